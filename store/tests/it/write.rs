//! Appending, deduplicating, flushing and locking while nothing goes wrong.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use timberline_store::{
    Durability, IndexStats, ManualClock, MatchOp, Matcher, MemVfs, Store, StoreError, TimeRange,
};

use crate::util::*;

#[test]
fn a_store_on_disk_gives_back_what_it_got() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    append(&store, "a", &[(1, "one"), (2, "two")]).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.stats().replayed_entries, 2);
    append(&store, "a", &[(3, "three")]).unwrap();
    store.close().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(read(&store, "a"), told(&[(1, "one"), (2, "two"), (3, "three")]));
    assert_eq!((store.stats().segments, store.stats().replayed_entries), (1, 0));
}

#[test]
fn an_append_may_have_a_durability_of_its_own() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    let append = |timestamp: i64, durability| {
        let batch = batch("a", &[(timestamp, "x")]);
        store.append_with(&tenant(), &batch, durability).unwrap()
    };
    let after_a_crash = || {
        let store = open(&vfs.crash());
        read(&store, "a").len()
    };
    append(1, Durability::None);
    append(2, Durability::Interval(Duration::from_secs(1)));
    assert_eq!(read(&store, "a").len(), 2, "readable at once");
    assert_eq!(after_a_crash(), 0, "not durable yet");
    append(3, Durability::Sync);
    assert_eq!(after_a_crash(), 3, "a sync takes along what was before it");
    let lazy = on(&vfs.crash()).durability(Durability::None).open("/db").unwrap();
    lazy.append(&tenant(), &batch("a", &[(4, "x")])).unwrap();
    lazy.append_with(&tenant(), &batch("a", &[(5, "x")]), Durability::Sync).unwrap();
    assert_eq!(read(&lazy, "a").len(), 5);
}

#[test]
fn a_second_handle_is_told_who_holds_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let Err(StoreError::Locked { path, holder }) = Store::open(dir.path()) else { panic!() };
    assert_eq!((path.as_path(), holder), (dir.path(), Some(std::process::id())));
    store.close().unwrap();
    Store::open(dir.path()).unwrap();
}

#[test]
fn a_closed_store_refuses_but_its_snapshots_read_on() {
    let store = open(&MemVfs::new());
    append(&store, "a", &[(1, "one")]).unwrap();
    store.close().unwrap();
    assert!(matches!(append(&store, "a", &[(2, "two")]), Err(StoreError::Closed)));
    assert!(matches!(store.flush(), Err(StoreError::Closed)));
    assert!(matches!(store.close(), Err(StoreError::Closed)));
    assert_eq!(read(&store, "a"), told(&[(1, "one")]));
}

#[test]
fn duplicates_are_dropped_wherever_the_other_is() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    let entries = [(5, "x"), (5, "y"), (5, "x"), (7, "x")];
    let report = append(&store, "a", &entries).unwrap();
    assert_eq!((report.appended, report.duplicates), (3, 1));
    assert_eq!(append(&store, "a", &entries).unwrap().duplicates, 4, "in the head");
    store.flush().unwrap();
    assert_eq!(append(&store, "a", &entries).unwrap().duplicates, 4, "in a segment");
    let report = append(&store, "a", &[(5, "z"), (7, "x"), (6, "x")]).unwrap();
    assert_eq!((report.appended, report.duplicates), (2, 1));
    assert_eq!(append(&store, "b", &entries).unwrap().appended, 3, "another stream");
    let expected = told(&[(5, "x"), (5, "y"), (5, "z"), (6, "x"), (7, "x")]);
    assert_eq!(read(&store, "a"), expected);
    drop(store);
    assert_eq!(read(&open(&vfs), "a"), expected, "after a replay");
}

#[test]
fn metadata_tells_entries_apart() {
    let store = open(&MemVfs::new());
    let mut batch = timberline_store::WriteBatch::new();
    batch.stream(&labels("a"));
    for trace in ["1", "2", "1"] {
        batch.push(5, b"x", &[("trace", trace), ("level", "info")]).unwrap();
    }
    assert_eq!(store.append(&tenant(), &batch).unwrap().appended, 2);
    store.flush().unwrap();
    assert_eq!(store.append(&tenant(), &batch).unwrap().appended, 0);
    let entries = read_range(&store, "a", TimeRange::ALL);
    let traces: Vec<_> = entries.iter().map(|entry| entry.2.get("trace").unwrap()).collect();
    assert_eq!(traces, ["1", "2"]);
}

#[test]
fn late_entries_are_read_by_time_and_equal_ones_by_arrival() {
    let store = open(&MemVfs::new());
    append(&store, "a", &[(10, "b"), (10, "a")]).unwrap();
    store.flush().unwrap();
    append(&store, "a", &[(10, "c"), (5, "early")]).unwrap();
    append(&store, "a", &[(10, "0")]).unwrap();
    let expected = told(&[(5, "early"), (10, "b"), (10, "a"), (10, "c"), (10, "0")]);
    assert_eq!(read(&store, "a"), expected);
    store.flush().unwrap();
    assert_eq!(read(&store, "a"), expected);
}

#[test]
fn concurrent_appends_share_syncs() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    vfs.delay_syncs(Duration::from_millis(5));
    thread::scope(|scope| {
        for number in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for timestamp in 0..10 {
                    append(store, &number.to_string(), &[(timestamp, "x")]).unwrap();
                }
            });
        }
    });
    let stats = store.stats();
    assert_eq!((stats.appends, stats.head_entries), (80, 80));
    assert!(stats.wal_syncs < 60, "{} syncs for 80 appends", stats.wal_syncs);
}

#[test]
fn a_snapshot_does_not_change() {
    let store = open(&MemVfs::new());
    append(&store, "a", &[(1, "one")]).unwrap();
    let before = store.snapshot();
    append(&store, "a", &[(2, "two")]).unwrap();
    append(&store, "b", &[(2, "two")]).unwrap();
    store.flush().unwrap();
    append(&store, "c", &[(3, "three")]).unwrap();
    assert_eq!(before.series(&tenant(), &[], TimeRange::ALL).unwrap(), [labels("a")]);
    assert_eq!(before.stats(&tenant(), &[], TimeRange::ALL).unwrap().entries, 1);
    assert_eq!(store.snapshot().stats(&tenant(), &[], TimeRange::ALL).unwrap().entries, 4);
}

#[test]
fn the_index_answers_by_selector_and_range() {
    let store = open(&MemVfs::new());
    append(&store, "api", &[(10, "1234"), (20, "12"), (30, "1")]).unwrap();
    append(&store, "web", &[(20, "1")]).unwrap();
    for _ in 0..2 {
        let snapshot = store.snapshot();
        let matcher = |op, value| [Matcher::new("app", op, value).unwrap()];
        let series =
            |selector: &[Matcher], range| snapshot.series(&tenant(), selector, range).unwrap();
        assert_eq!(series(&[], TimeRange::ALL), [labels("api"), labels("web")]);
        assert_eq!(series(&matcher(MatchOp::NotEqual, "api"), TimeRange::ALL), [labels("web")]);
        assert_eq!(series(&matcher(MatchOp::Matches, "a.*"), TimeRange::ALL), [labels("api")]);
        assert_eq!(series(&[], TimeRange::new(11, 20)), [], "a hole in the stream");
        assert_eq!(series(&[], TimeRange::new(30, 31)), [labels("api")]);
        let names = snapshot.label_names(&tenant(), &[], TimeRange::ALL).unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["app", "env"]);
        let values = snapshot.label_values(&tenant(), "app", &[], TimeRange::ALL).unwrap();
        assert_eq!(values.into_iter().collect::<Vec<_>>(), ["api", "web"]);
        let stats = snapshot.stats(&tenant(), &[], TimeRange::new(20, 31)).unwrap();
        assert_eq!(stats, IndexStats { streams: 2, chunks: 2, entries: 3, bytes: 4 });
        store.flush().unwrap();
    }
}

/// Waits for the flushing thread.
fn wait_for_flush(store: &Store) {
    let begun = Instant::now();
    while store.stats().flushes == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no flush");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_head_is_flushed_by_size_and_by_age() {
    let store = on(&MemVfs::new()).head_bytes_max(10).open(DIR).unwrap();
    append(&store, "a", &[(1, "0123456789")]).unwrap();
    wait_for_flush(&store);
    assert_eq!(store.active_streams(&tenant()), 0);

    let clock = Arc::new(ManualClock::new());
    let builder = on(&MemVfs::new()).clock(Arc::clone(&clock) as _);
    let store = builder.head_age_max(Duration::from_secs(60)).open(DIR).unwrap();
    append(&store, "a", &[(1, "x")]).unwrap();
    assert_eq!(store.newest_entry(&tenant(), &labels("a")), Some(1));
    clock.advance(Duration::from_secs(60));
    wait_for_flush(&store);
    assert_eq!(store.newest_entry(&tenant(), &labels("a")), None);
}

#[test]
fn appends_under_a_tiny_budget_all_arrive() {
    let store = on(&MemVfs::new()).head_bytes_max(100).open(DIR).unwrap();
    thread::scope(|scope| {
        for app in ["a", "b", "c"] {
            let store = &store;
            scope.spawn(move || {
                for timestamp in 0..50 {
                    append(store, app, &[(timestamp, "a line of some length")]).unwrap();
                }
            });
        }
    });
    for app in ["a", "b", "c"] {
        assert_eq!(read(&store, app).len(), 50);
    }
}

#[test]
fn whoever_closes_second_does_not_let_the_directory_go() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    append(&store, "a", &[(1, "one")]).unwrap();
    vfs.delay_syncs(Duration::from_millis(100));
    thread::scope(|scope| {
        let first = scope.spawn(|| store.close());
        thread::sleep(Duration::from_millis(50));
        assert!(matches!(store.close(), Err(StoreError::Closed)));
        assert!(matches!(on(&vfs).open(DIR), Err(StoreError::Locked { .. })));
        first.join().unwrap().unwrap();
    });
    vfs.delay_syncs(Duration::ZERO);
    assert_eq!(read(&open(&vfs), "a"), told(&[(1, "one")]));
}

#[test]
fn repeated_entries_do_not_fill_the_log() {
    let vfs = MemVfs::new();
    let store = on(&vfs).head_bytes_max(100).open(DIR).unwrap();
    append(&store, "a", &[(1, "one")]).unwrap();
    store.flush().unwrap();
    for _ in 0..1000 {
        assert_eq!(append(&store, "a", &[(1, "one")]).unwrap().duplicates, 1);
    }
    let begun = Instant::now();
    while store.stats().wal_bytes > 2000 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{} bytes", store.stats().wal_bytes);
        thread::sleep(Duration::from_millis(5));
    }
    store.flush().unwrap();
    let store = open(&vfs.crash());
    assert_eq!((store.stats().replayed_entries, store.stats().segments), (0, 1));
    assert_eq!(read(&store, "a"), told(&[(1, "one")]));
}

#[test]
fn a_head_without_a_budget_is_flushed_with_every_append() {
    let store = on(&MemVfs::new()).head_bytes_max(0).open(DIR).unwrap();
    append(&store, "a", &[(1, "one")]).unwrap();
    append(&store, "a", &[(2, "")]).unwrap();
    append(&store, "a", &[(3, "three")]).unwrap();
    assert_eq!(read(&store, "a"), told(&[(1, "one"), (2, ""), (3, "three")]));
}

#[test]
fn label_names_and_values_are_those_of_the_range() {
    let store = open(&MemVfs::new());
    append(&store, "old", &[(10, "x")]).unwrap();
    append(&store, "both", &[(10, "x"), (30, "x")]).unwrap();
    store.flush().unwrap();
    append(&store, "new", &[(40, "x")]).unwrap();
    let snapshot = store.snapshot();
    let values = |start, end| {
        let range = TimeRange::new(start, end);
        let values = snapshot.label_values(&tenant(), "app", &[], range).unwrap();
        let names = snapshot.label_names(&tenant(), &[], range).unwrap();
        assert_eq!(names.is_empty(), values.is_empty());
        values.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(values(0, 100), ["both", "new", "old"]);
    assert_eq!(values(0, 31), ["both", "old"], "the segment as a whole");
    assert_eq!(values(11, 100), ["both", "new"], "a part of the segment");
    assert_eq!(values(11, 30), [""; 0], "a hole");
    assert_eq!(values(31, 41), ["new"]);
}

#[test]
fn merged_segments_keep_entries_times_and_ties() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    let mut expected = Vec::new();
    for number in 0..20 {
        let line = format!("tie {number}");
        append(&store, "a", &[(7, &line), (100 - number, "late")]).unwrap();
        append(&store, &format!("only {number}"), &[(1, "x")]).unwrap();
        store.flush().unwrap();
        expected.push((7, line));
    }
    expected.extend((81..=100).map(|time| (time, "late".to_owned())));
    let before = store.snapshot();
    store.compact().unwrap();
    assert!(store.stats().segments < 8, "{} segments", store.stats().segments);
    assert_eq!(before.stats(&tenant(), &[], TimeRange::ALL).unwrap().entries, 60);
    for store in [store, open(&vfs.crash())] {
        assert_eq!(read(&store, "a"), expected);
        assert_eq!(read(&store, "only 3"), told(&[(1, "x")]));
        assert_eq!(append(&store, "a", &[(7, "tie 3")]).unwrap().duplicates, 1);
    }
}

#[test]
fn a_flush_that_was_asked_for_is_followed_by_a_merge_too() {
    let store = Store::builder().vfs(Arc::new(MemVfs::new())).open(DIR).unwrap();
    for number in 0..8 {
        append(&store, "a", &[(number, "x")]).unwrap();
        store.flush().unwrap();
    }
    let begun = Instant::now();
    while store.stats().segments > 1 {
        // Without a flush there is a look once a minute only.
        assert!(begun.elapsed() < Duration::from_secs(30), "{} segments", store.stats().segments);
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(read(&store, "a").len(), 8);
}

#[test]
fn entries_are_written_again_a_few_times_only() {
    let store = open(&MemVfs::new());
    // Lines that do not compress, so that bytes on disk are bytes that came.
    let mut noise = 1_u64;
    for number in 0..256 {
        let mut line = String::new();
        for _ in 0..32 {
            noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            line.push_str(&format!("{noise:x}"));
        }
        append(&store, "a", &[(number, &line)]).unwrap();
        store.flush().unwrap();
        store.compact().unwrap();
    }
    let stats = store.stats();
    assert!(stats.segments < 24, "{} segments", stats.segments);
    // Eight at a time: an entry is in a flush, in a merge of eight, and in one of those.
    let written = stats.flush_bytes + stats.merge_bytes;
    assert!(written < 4 * stats.flush_bytes, "{written} for {}", stats.flush_bytes);
    assert_eq!(stats.rewrite_bytes, 0);
}
