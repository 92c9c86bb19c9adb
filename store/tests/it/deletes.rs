//! Delete requests: hidden at once, everywhere and for good; off the disk at a compaction.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use timberline_store::{
    Batch, CancelOutcome, Columns, DeleteRequest, DeleteStatus, EntryFilter, FilterCompiler,
    Labels, LineColumn, LinePredicate, ManualClock, MatchOp, Matcher, MemVfs, ReadScratch, Store,
    StoreBuilder, StoreError, TimeRange, Vfs,
};

use crate::util::*;

/// Of texts like `trace=7`: entries with that metadata.
#[derive(Debug)]
struct ByTrace;

struct Trace(String);

impl FilterCompiler for ByTrace {
    fn compile(&self, text: &str) -> Result<Arc<dyn EntryFilter>, String> {
        let trace = text.strip_prefix("trace=").ok_or("not a trace")?;
        Ok(Arc::new(Trace(trace.to_owned())))
    }
}

impl EntryFilter for Trace {
    fn passes(&self, labels: &Labels, batch: &Batch) -> Vec<bool> {
        assert!(labels.get("app").is_some());
        let is_it = |row| batch.metadata(row).get("trace") == Some(&self.0);
        batch.rows().iter().map(is_it).collect()
    }
}

fn is(app: &str) -> Vec<Matcher> {
    vec![Matcher::new("app", MatchOp::Equal, app).unwrap()]
}

fn request(app: &str, start: i64, end: i64) -> DeleteRequest {
    DeleteRequest::new(&tenant(), is(app), TimeRange::new(start, end))
}

/// A store whose requests are carried out by the next compaction.
fn open_hasty(vfs: &MemVfs) -> Store {
    hasty(vfs).open(DIR).unwrap()
}

fn hasty(vfs: &MemVfs) -> StoreBuilder {
    on(vfs).delete_cancel_period(Duration::ZERO)
}

fn segment_bytes(vfs: &MemVfs) -> u64 {
    let files = vfs.list(&Path::new(DIR).join("segments")).unwrap();
    files.iter().map(|path| vfs.file_len(path).unwrap()).sum()
}

#[test]
fn what_is_deleted_is_seen_by_nobody_and_leaves_the_disk() {
    let vfs = MemVfs::new();
    let store = open_hasty(&vfs);
    append(&store, "a", &[(1, "one"), (2, "two"), (3, "three")]).unwrap();
    append(&store, "b", &[(2, "two")]).unwrap();
    store.flush().unwrap();
    append(&store, "a", &[(2, "zwei"), (9, "nine")]).unwrap();
    let before = store.snapshot();
    assert_eq!(store.delete(request("a", 2, 4)).unwrap(), 1);
    let check = |store: &Store| {
        assert_eq!(read(store, "a"), told(&[(1, "one"), (9, "nine")]));
        assert_eq!(read(store, "b"), told(&[(2, "two")]));
        let snapshot = store.snapshot();
        let stats = snapshot.stats(&tenant(), &[], TimeRange::ALL).unwrap();
        assert_eq!((stats.entries, stats.bytes, stats.streams), (3, 10, 2));
        let of_range = TimeRange::new(2, 4);
        assert_eq!(snapshot.series(&tenant(), &[], of_range).unwrap(), [labels("b")]);
        let values = snapshot.label_values(&tenant(), "app", &[], of_range).unwrap();
        assert_eq!(values, BTreeSet::from(["b".to_owned()]));
        assert_eq!(snapshot.warnings(), [""; 0]);
    };
    check(&store);
    check(&open_hasty(&vfs.crash()));
    store.compact().unwrap();
    check(&store);
    assert_eq!(store.deletes(&tenant())[0].status, DeleteStatus::Processed);
    assert_eq!((store.stats().rewrites, store.stats().deletes_pending), (2, 0));
    assert_eq!(store.stats().segment_entries, 3);
    check(&open_hasty(&vfs.crash()));
    let entries = before.stats(&tenant(), &[], TimeRange::ALL).unwrap().entries;
    assert_eq!(entries, 6, "a snapshot does not change");
}

#[test]
fn only_what_was_there_before_is_deleted() {
    let vfs = MemVfs::new();
    let store = open_hasty(&vfs);
    append(&store, "a", &[(1, "one"), (2, "two")]).unwrap();
    store.delete(request("a", 0, 10)).unwrap();
    assert_eq!(read(&store, "a"), []);
    // The same once more is a new entry, not a duplicate of one that nobody sees.
    let report = append(&store, "a", &[(1, "one"), (3, "three")]).unwrap();
    assert_eq!((report.appended, report.duplicates), (2, 0));
    let expected = told(&[(1, "one"), (3, "three")]);
    assert_eq!(read(&store, "a"), expected);
    store.flush().unwrap();
    assert_eq!(read(&store, "a"), expected);
    assert_eq!(append(&store, "a", &[(1, "one")]).unwrap().duplicates, 1);
    store.compact().unwrap();
    assert_eq!(read(&store, "a"), expected);
    assert_eq!(read(&open_hasty(&vfs.crash()), "a"), expected);
}

#[test]
fn a_segment_without_entries_goes_with_its_file() {
    let vfs = MemVfs::new();
    let store = open_hasty(&vfs);
    append(&store, "a", &[(1, "one"), (2, "two")]).unwrap();
    store.flush().unwrap();
    append(&store, "b", &[(1, "one")]).unwrap();
    store.flush().unwrap();
    let before = segment_bytes(&vfs);
    store.delete(request("a", 0, 10)).unwrap();
    assert_eq!(segment_bytes(&vfs), before);
    store.compact().unwrap();
    assert_eq!((store.stats().segments, store.stats().removed_segments), (1, 1));
    assert!(segment_bytes(&vfs) < before);
}

#[test]
fn filters_choose_among_the_entries() {
    let vfs = MemVfs::new();
    let open = || hasty(&vfs).filter_compiler(Arc::new(ByTrace)).open(DIR).unwrap();
    let store = open();
    let mut batch = timberline_store::WriteBatch::new();
    batch.stream(&labels("a"));
    for (timestamp, line, trace) in [(1, "card=4", "7"), (2, "ok", "7"), (3, "card=5", "8")] {
        batch.push(timestamp, line.as_bytes(), &[("trace", trace)]).unwrap();
    }
    store.append(&tenant(), &batch).unwrap();
    let all = || DeleteRequest::new(&tenant(), Vec::new(), TimeRange::ALL);
    store.delete(all().containing(b"card=5")).unwrap();
    assert_eq!(read(&store, "a"), told(&[(1, "card=4"), (2, "ok")]));
    let refused = store.delete(all().passing("level=7"));
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    store.delete(request("a", 2, 3).passing("trace=7")).unwrap();
    for round in 0..2 {
        assert_eq!(read(&store, "a"), told(&[(1, "card=4")]), "round {round}");
        store.compact().unwrap();
    }
    drop(store);
    let store = open();
    assert_eq!(read(&store, "a"), told(&[(1, "card=4")]));
    assert_eq!(store.stats().deletes_pending, 0);
}

#[test]
fn reads_have_the_columns_that_were_asked_for() {
    let store = open(&MemVfs::new());
    append(&store, "a", &[(1, "one"), (2, "two"), (3, "three")]).unwrap();
    let all = DeleteRequest::new(&tenant(), Vec::new(), TimeRange::ALL);
    store.delete(all.containing(b"two")).unwrap();
    let chunks = store.snapshot().chunks(&tenant(), &[], TimeRange::ALL).unwrap();
    let [chunk] = &chunks[..] else { panic!("{chunks:?}") };
    assert!(chunk.has_hidden());
    let mut scratch = ReadScratch::new();
    let mut read = |predicate: &LinePredicate, columns| {
        chunk.read(TimeRange::ALL, predicate, columns, &mut scratch).unwrap()
    };
    let batch = read(&LinePredicate::Always, Columns::TIMESTAMPS);
    assert_eq!(batch.rows().iter().map(|row| row.timestamp).collect::<Vec<_>>(), [1, 3]);
    assert!(batch.rows().iter().all(|row| row.line_len == 0 && batch.line(row).is_empty()));
    let lengths = Columns { line: LineColumn::Length, metadata: false };
    let batch = read(&LinePredicate::contains(b"t"), lengths);
    assert_eq!(batch.rows().iter().map(|row| row.line_len).collect::<Vec<_>>(), [5]);
    assert_eq!(batch.metadata_sets().len(), 1);
}

#[test]
fn a_request_that_is_not_understood_hides_all_it_may_mean_and_destroys_nothing() {
    let vfs = MemVfs::new();
    let understanding = || hasty(&vfs).filter_compiler(Arc::new(ByTrace)).open(DIR).unwrap();
    let store = understanding();
    append(&store, "a", &[(1, "one"), (5, "five")]).unwrap();
    append(&store, "b", &[(1, "one")]).unwrap();
    store.delete(request("a", 0, 3).passing("trace=7")).unwrap();
    assert_eq!(read(&store, "a").len(), 2, "no entry has the trace");
    drop(store);
    let store = open_hasty(&vfs);
    let snapshot = store.snapshot();
    let warnings = snapshot.warnings();
    assert!(warnings[0].starts_with("delete request 1 cannot be understood"), "{warnings:?}");
    let series = snapshot.series(&tenant(), &[], TimeRange::new(0, 3)).unwrap();
    assert_eq!(series, [], "even other streams, since the selector may be what is not understood");
    assert_eq!(snapshot.stats(&tenant(), &[], TimeRange::ALL).unwrap().entries, 1);
    store.compact().unwrap();
    assert_eq!(store.deletes(&tenant())[0].status, DeleteStatus::Received);
    store.close().unwrap();
    let store = understanding();
    store.compact().unwrap();
    assert_eq!((read(&store, "a").len(), read(&store, "b").len()), (2, 1));
    assert_eq!(store.deletes(&tenant())[0].status, DeleteStatus::Processed);
}

#[test]
fn a_request_can_be_taken_back_for_a_time() {
    let (vfs, clock) = (MemVfs::new(), Arc::new(ManualClock::new()));
    let open = || {
        let builder = on(&vfs).clock(clock.clone());
        builder.delete_cancel_period(Duration::from_nanos(100)).open(DIR).unwrap()
    };
    let store = open();
    append(&store, "a", &[(1, "one")]).unwrap();
    let id = store.delete(request("a", 0, 3)).unwrap();
    store.compact().unwrap();
    assert_eq!(store.stats().segment_entries, 1, "not yet");
    let other = timberline_store::TenantId::new("other").unwrap();
    assert_eq!(store.cancel_delete(&other, id, true).unwrap(), CancelOutcome::NotFound);
    assert_eq!(store.deletes(&other).len(), 0);
    assert_eq!(store.cancel_delete(&tenant(), id, false).unwrap(), CancelOutcome::Cancelled);
    assert_eq!(read(&store, "a"), told(&[(1, "one")]));
    assert_eq!(read(&open_again(store, open), "a"), told(&[(1, "one")]));

    let store = open();
    let id = store.delete(request("a", 0, 3)).unwrap();
    assert_eq!(id, 2, "numbers are not given out again");
    clock.set_unix_time(100);
    assert_eq!(store.cancel_delete(&tenant(), id, false).unwrap(), CancelOutcome::TooLate);
    assert_eq!(store.cancel_delete(&tenant(), id, true).unwrap(), CancelOutcome::Cancelled);
    let id = store.delete(request("a", 0, 3)).unwrap();
    clock.set_unix_time(200);
    store.compact().unwrap();
    assert_eq!(store.cancel_delete(&tenant(), id, true).unwrap(), CancelOutcome::Processed);
    let listed = &store.deletes(&tenant())[0];
    assert_eq!((listed.id, listed.created, listed.range), (3, 100, TimeRange::new(0, 3)));
}

fn open_again(store: Store, open: impl Fn() -> Store) -> Store {
    drop(store);
    open()
}

#[test]
fn merges_do_not_mix_what_was_there_before_a_request_with_what_came_behind_it() {
    let vfs = MemVfs::new();
    let store = on(&vfs).open(DIR).unwrap();
    for number in 0..6 {
        append(&store, "a", &[(number, "before")]).unwrap();
        store.flush().unwrap();
    }
    store.delete(request("a", 0, 100)).unwrap();
    for number in 0..6 {
        append(&store, "a", &[(number, "behind")]).unwrap();
        store.flush().unwrap();
    }
    store.compact().unwrap();
    assert_eq!(store.stats().merges, 0);
    let expected: Vec<_> = (0..6).map(|number| (number, "behind".to_owned())).collect();
    assert_eq!(read(&store, "a"), expected);
    drop(store);
    let store = open_hasty(&vfs);
    store.compact().unwrap();
    assert_eq!((store.stats().removed_segments, store.stats().segments), (6, 6));
    assert_eq!(read(&store, "a"), expected);
}

#[test]
fn requests_that_cannot_be_are_refused() {
    let store = open(&MemVfs::new());
    for request in [
        request("a", 3, 3),
        request("a", 0, 9).passing("trace=7"),
        request("a", 0, 9).described_as(&"x".repeat(70_000)),
    ] {
        assert!(matches!(store.delete(request), Err(StoreError::Invalid(_))));
    }
    assert_eq!(store.deletes(&tenant()).len(), 0);
    store.close().unwrap();
    assert!(matches!(store.delete(request("a", 0, 9)), Err(StoreError::Closed)));
}
