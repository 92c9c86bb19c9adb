//! Power failures: what was acknowledged is there again, and the store goes on from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use timberline_store::{Durability, MemVfs, Store, StoreError, Vfs};

use crate::faults::{FaultVfs, Plan};
use crate::util::*;

fn wal_file(number: u32) -> PathBuf {
    Path::new(DIR).join("wal").join(format!("{number:010}.wal"))
}

#[test]
fn acknowledged_appends_outlive_a_crash() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    append(&store, "a", &[(1, "one")]).unwrap();
    store.flush().unwrap();
    append(&store, "a", &[(2, "two")]).unwrap();
    let after = open(&vfs.crash());
    assert_eq!(read(&after, "a"), told(&[(1, "one"), (2, "two")]));
    assert_eq!(after.stats().replayed_entries, 1);
}

#[test]
fn without_syncs_a_crash_leaves_a_prefix() {
    let vfs = MemVfs::new();
    let store = on(&vfs).durability(Durability::None).open(DIR).unwrap();
    append(&store, "a", &[(1, "one")]).unwrap();
    assert_eq!(read(&open(&vfs.crash()), "a"), []);
    store.flush().unwrap();
    append(&store, "a", &[(2, "two")]).unwrap();
    assert_eq!(read(&open(&vfs.crash()), "a"), told(&[(1, "one")]));
    drop(store);
    assert_eq!(read(&open(&vfs.crash()), "a"), told(&[(1, "one"), (2, "two")]), "dropped in order");
}

#[test]
fn a_log_cut_at_any_byte_gives_its_whole_appends() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    for (timestamp, line) in [(1, "one"), (2, "two"), (3, "three")] {
        append(&store, "a", &[(timestamp, line)]).unwrap();
    }
    let whole = vfs.read(&wal_file(1)).unwrap();
    let expected = told(&[(1, "one"), (2, "two"), (3, "three"), (9, "new")]);
    let mut most = 0;
    for cut in 0..=whole.len() {
        let vfs = vfs.crash();
        vfs.put(&wal_file(1), whole[..cut].to_vec());
        let store = open(&vfs);
        let found = read(&store, "a").len();
        assert!(found == most || found == most + 1);
        most = found;
        // What is appended behind a torn tail must be found by the next replay.
        append(&store, "a", &[(9, "new")]).unwrap();
        let again = read(&open(&vfs.crash()), "a");
        assert_eq!(again[..found], expected[..found]);
        assert_eq!(again[found..], expected[3..]);
    }
    assert_eq!(most, 3);
}

#[test]
fn a_failed_sync_refuses_its_appends_and_the_store_goes_on() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    append(&store, "a", &[(1, "one")]).unwrap();
    vfs.fail_syncs(true);
    for _ in 0..2 {
        assert!(matches!(append(&store, "a", &[(2, "two")]), Err(StoreError::Io { .. })));
    }
    assert_eq!(read(&store, "a"), told(&[(1, "one")]));
    vfs.fail_syncs(false);
    append(&store, "a", &[(3, "three")]).unwrap();
    let expected = told(&[(1, "one"), (3, "three")]);
    assert_eq!(read(&store, "a"), expected);
    assert_eq!(read(&open(&vfs.crash()), "a"), expected, "what was refused does not come back");
    store.close().unwrap();
    assert_eq!(read(&open(&vfs), "a"), expected);
}

#[test]
fn what_a_failed_sync_may_have_lost_is_flushed() {
    let vfs = MemVfs::new();
    let hour = Durability::Interval(Duration::from_secs(3600));
    let store = on(&vfs).durability(hour).open(DIR).unwrap();
    append(&store, "a", &[(1, "one")]).unwrap();
    vfs.fail_syncs(true);
    store.flush().unwrap_err();
    vfs.fail_syncs(false);
    // The log does not say again that it could not be synced; the worker looks every second.
    wait_for_a_flush(&store);
    assert_eq!(read(&open(&vfs.crash()), "a"), told(&[(1, "one")]));
}

#[test]
fn what_was_acknowledged_unwritten_and_then_could_not_be_written_is_flushed() {
    let vfs = MemVfs::new();
    let store = on(&vfs).durability(Durability::None).open(DIR).unwrap();
    append(&store, "a", &[(1, "one")]).unwrap();
    vfs.fail_writes(true);
    let refused = batch("a", &[(2, "two")]);
    store.append_with(&tenant(), &refused, Durability::Sync).unwrap_err();
    vfs.fail_writes(false);
    wait_for_a_flush(&store);
    assert_eq!(read(&open(&vfs.crash()), "a"), told(&[(1, "one")]));
}

/// The worker looks every second whether one is due.
fn wait_for_a_flush(store: &Store) {
    let begun = Instant::now();
    while store.stats().flushes == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_flush_that_fails_keeps_the_entries_and_is_made_up_for() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    append(&store, "a", &[(1, "one")]).unwrap();
    // The log's new file is the first thing a flush writes.
    vfs.fail_writes(true);
    store.flush().unwrap_err();
    vfs.fail_writes(false);
    assert_eq!(read(&store, "a"), told(&[(1, "one")]));
    append(&store, "a", &[(2, "two")]).unwrap();
    store.flush().unwrap();
    assert_eq!(store.stats().segments, 1);
    assert_eq!(read(&open(&vfs.crash()), "a"), told(&[(1, "one"), (2, "two")]));
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_room() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    append(&store, "a", &[(1, "one")]).unwrap();
    vfs.fail_writes(true);
    for _ in 0..3 {
        assert!(matches!(append(&store, "a", &[(2, "two")]), Err(StoreError::Io { .. })));
    }
    assert_eq!(read(&store, "a"), told(&[(1, "one")]));
    vfs.fail_writes(false);
    append(&store, "a", &[(3, "three")]).unwrap();
    let expected = told(&[(1, "one"), (3, "three")]);
    assert_eq!(read(&store, "a"), expected);
    assert_eq!(read(&open(&vfs.crash()), "a"), expected);
    store.close().unwrap();
    assert_eq!(read(&open(&vfs), "a"), expected);
}

#[test]
fn a_flush_that_panics_is_one_that_failed() {
    let operations = |panic_at| {
        let vfs = FaultVfs::new(&MemVfs::new(), Plan { panic_at, ..Plan::default() }, 1);
        let store = Store::builder().vfs(Arc::new(vfs.clone())).open(DIR).unwrap();
        append(&store, "a", &[(1, "one")]).unwrap();
        (vfs.operations(), store)
    };
    // A new file of the log takes four; then comes the segment.
    let segment = operations(None).0 + 4;
    let (_, store) = operations(Some(segment));
    assert!(matches!(store.flush(), Err(StoreError::Io { .. })));
    assert_eq!(read(&store, "a"), told(&[(1, "one")]));
    store.flush().unwrap();
    assert_eq!(read(&store, "a"), told(&[(1, "one")]));
    store.close().unwrap();
}

#[test]
fn a_log_that_is_larger_than_the_head_may_be_is_flushed_while_it_is_read() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    let mut expected = Vec::new();
    for number in 0..50 {
        let line = format!("{number:0>100}");
        append(&store, "a", &[(number, &line)]).unwrap();
        expected.push((number, line));
    }
    drop(store);
    for _ in 0..2 {
        let store = on(&vfs).head_bytes_max(1000).open(DIR).unwrap();
        let stats = store.stats();
        assert!(stats.segments >= 4 && stats.head_bytes < 1000, "{stats:?}");
        assert_eq!(read(&store, "a"), expected);
        assert_eq!(read(&open(&vfs.crash()), "a"), expected);
    }
}

/// A disk with a log of far more than a head of 500 bytes, and what is in it. Each entry comes again a little
/// later, when its first may be in a segment, on its way there, or in memory.
fn disk_with_a_long_log() -> (MemVfs, Vec<(i64, String)>) {
    let disk = MemVfs::new();
    let store = open(&disk);
    let mut expected = Vec::new();
    for number in 0..30 {
        let line = format!("{number:0>100}");
        let again = number - number % 7;
        append(&store, "a", &[(number, &line), (again, &format!("{again:0>100}"))]).unwrap();
        expected.push((number, line));
    }
    drop(store);
    (disk, expected)
}

/// However two threads share the work, a start does the same to its files in the same order.
#[test]
fn a_start_that_flushes_the_log_is_the_same_each_time() {
    let (disk, _) = disk_with_a_long_log();
    let left_by = |stop_at| {
        let plan = Plan { stop_at, ..Plan::default() };
        let vfs = FaultVfs::new(&disk.crash(), plan, 1);
        let builder = Store::builder().vfs(Arc::new(vfs.clone())).head_bytes_max(500);
        let is_open = builder.compaction_limits(0.0, 0).open(DIR).is_ok();
        // What closing does is no matter here.
        vfs.stop();
        let left = vfs.under();
        let mut files = Vec::new();
        for dir in ["wal", "segments", "."] {
            for path in left.list(&Path::new(DIR).join(dir)).unwrap() {
                let bytes = left.read(&path).unwrap_or_default();
                files.push((path, bytes));
            }
        }
        (is_open, files)
    };
    let mut number = 0;
    loop {
        let left = left_by(Some(number));
        for _ in 0..5 {
            assert!(left_by(Some(number)) == left, "stopped at operation {number}");
        }
        if left.0 {
            break;
        }
        number += 1;
    }
    assert!(number > 30, "{number} operations");
}

#[test]
fn a_start_that_flushes_the_log_may_end_anywhere() {
    let (disk, expected) = disk_with_a_long_log();
    let start = |plan| {
        let vfs = FaultVfs::new(&disk.crash(), plan, 1);
        let builder = Store::builder().vfs(Arc::new(vfs.clone())).head_bytes_max(500);
        (builder.compaction_limits(0.0, 0).open(DIR), vfs)
    };
    let (store, vfs) = start(Plan::default());
    let store = store.unwrap();
    let stats = store.stats();
    assert!(stats.segments > 4, "{stats:?}");
    assert_eq!((stats.flushes, stats.flush_bytes), (stats.segments, stats.segment_bytes));
    assert_eq!(read(&store, "a"), expected);
    for number in 0..vfs.operations() {
        let stop = Plan { stop_at: Some(number), ..Plan::default() };
        let fail = Plan { fail_at: Some((number, 1)), ..Plan::default() };
        for plan in [stop, fail] {
            let (store, vfs) = start(plan);
            drop(store);
            for left in [vfs.under().crash(), vfs.under()] {
                assert_eq!(read(&open(&left), "a"), expected, "{plan:?}");
            }
        }
    }
}

/// Where the measurement's other process is to make its log.
const LOG_DIRECTORY: &str = "TIMBERLINE_LOG_DIRECTORY";

/// Says how long a store takes to open that was killed with a gigabyte in its log, and with how much memory.
#[test]
#[ignore = "writes a gigabyte; a measurement"]
fn opening_a_log_of_a_gigabyte() {
    if let Some(directory) = std::env::var_os(LOG_DIRECTORY) {
        return write_a_gigabyte(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    // Another process, whose memory is not this one's.
    let name = "crash::opening_a_log_of_a_gigabyte";
    let mut writer = std::process::Command::new(std::env::current_exe().unwrap());
    writer.args(["--ignored", "--exact", name]).env(LOG_DIRECTORY, directory.path());
    assert!(writer.status().unwrap().success());
    let begun = Instant::now();
    let store = Store::builder().compaction_limits(0.0, 0).open(directory.path()).unwrap();
    let took = begun.elapsed();
    let entries = store.stats().replayed_entries;
    assert!(entries > 1_000_000);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("{entries} entries: opened in {took:?}, {memory}, {:?}", store.stats());
}

fn write_a_gigabyte(directory: &Path) {
    let builder = Store::builder().compaction_limits(0.0, 0).durability(Durability::None);
    let store = builder.head_bytes_max(4 << 30).open(directory).unwrap();
    let (mut bytes, mut number) = (0, 0_i64);
    while bytes < 1 << 30 {
        let line = |index: i64| {
            let (item, took) = (index * 7919 % 100_003, index % 977);
            format!("level=info ts={index} msg=\"served\" path=/api/v1/items/{item} took={took}ms")
        };
        let lines: Vec<_> = (number..number + 1000).map(|index| (index, line(index))).collect();
        let entries: Vec<_> = lines.iter().map(|(time, line)| (*time, line.as_str())).collect();
        bytes += lines.iter().map(|(_, line)| line.len() + 6).sum::<usize>();
        append(&store, &format!("app{}", number / 1000 % 50), &entries).unwrap();
        number += 1000;
    }
}
