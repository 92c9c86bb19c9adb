use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::replay::Replayed;
use super::*;
use crate::frame::HEADER_BYTES;
use crate::paths::Paths;
use crate::{Durability, MemVfs, StoreError, Vfs};

fn paths() -> Paths {
    Paths::new(Path::new("/db"))
}

fn begin(vfs: &MemVfs, replayed: Replayed) -> Wal {
    begin_with(vfs, replayed, Durability::Sync)
}

fn begin_with(vfs: &MemVfs, replayed: Replayed, durability: Durability) -> Wal {
    begin_on(Arc::new(vfs.clone()), replayed, durability)
}

pub(super) fn begin_on(vfs: Arc<dyn Vfs>, replayed: Replayed, durability: Durability) -> Wal {
    Wal::begin(vfs, paths(), durability, replayed.next_sequence, replayed.files).unwrap()
}

pub(super) fn new_vfs() -> MemVfs {
    let vfs = MemVfs::new();
    for dir in [paths().wal_dir(), paths().damaged_dir()] {
        vfs.create_dir_all(&dir).unwrap();
    }
    vfs
}

/// The batches that a replay from `from` gives, and the rest.
pub(super) fn read(vfs: &MemVfs, from: u64) -> (Vec<String>, Replayed) {
    let mut batches = Vec::new();
    let replayed = replay(vfs, &paths(), from, |_, tenant, batch| {
        assert_eq!(tenant.as_str(), "t");
        batches.push(String::from_utf8(batch.to_vec()).unwrap());
        Ok(())
    });
    (batches, replayed.unwrap())
}

pub(super) fn tenant() -> TenantId {
    TenantId::new("t").unwrap()
}

/// A log of two files, with the records `a`, `b` and `c`, `d`.
fn two_files() -> MemVfs {
    let vfs = new_vfs();
    let wal = begin(&vfs, read(&vfs, 1).1);
    for batch in ["a", "b"] {
        wal.append(&tenant(), batch.as_bytes()).unwrap();
    }
    assert_eq!(wal.rotate().unwrap(), 3);
    for batch in ["c", "d"] {
        wal.append(&tenant(), batch.as_bytes()).unwrap();
    }
    vfs
}

#[test]
fn acknowledged_records_outlive_a_crash() {
    let vfs = two_files().crash();
    let (batches, replayed) = read(&vfs, 1);
    assert_eq!(batches, ["a", "b", "c", "d"]);
    assert_eq!((replayed.next_sequence, replayed.warnings.len()), (5, 0));
    assert_eq!(read(&vfs, 3).0, ["c", "d"]);
}

#[test]
fn a_torn_tail_ends_the_log_and_stays_harmless() {
    let vfs = two_files();
    let (first, last) = (paths().wal_file(1), paths().wal_file(2));
    let whole = vfs.read(&last).unwrap();
    for cut in 0..whole.len() {
        let vfs = new_vfs();
        vfs.put(&first, two_files().read(&first).unwrap());
        vfs.put(&last, whole[..cut].to_vec());
        let (before, replayed) = read(&vfs, 1);
        assert!(before.starts_with(&["a".to_owned(), "b".to_owned()]));
        assert!(replayed.warnings.is_empty(), "cut at {cut}: {:?}", replayed.warnings);

        let wal = begin(&vfs, replayed);
        wal.append(&tenant(), b"new").unwrap();
        let (after, replayed) = read(&vfs, 1);
        assert_eq!(after[..before.len()], before);
        assert_eq!(after[before.len()..], ["new"]);
        assert!(replayed.warnings.is_empty(), "cut at {cut}: {:?}", replayed.warnings);
    }
}

#[test]
fn damage_in_an_older_file_is_reported_and_the_rest_is_read() {
    let vfs = two_files();
    let path = paths().wal_file(1);
    let mut bytes = vfs.read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    vfs.put(&path, bytes);
    let (batches, replayed) = read(&vfs, 1);
    assert_eq!(batches, ["a", "c", "d"]);
    assert_eq!(replayed.warnings, ["1 appends are missing in write-ahead-log file 0000000001.wal"]);
    let wal = begin(&vfs, replayed);
    wal.trim(5).unwrap();
    let aside = vfs.list(&paths().damaged_dir()).unwrap();
    assert_eq!(aside, [paths().damaged_dir().join("0000000001.wal")]);
    assert_eq!(vfs.list(&paths().wal_dir()).unwrap(), [paths().wal_file(3)]);
}

#[test]
fn appenders_share_syncs() {
    let vfs = new_vfs();
    let wal = begin(&vfs, read(&vfs, 1).1);
    vfs.delay_syncs(Duration::from_millis(10));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| wal.append(&tenant(), b"x").unwrap());
        }
    });
    assert!(wal.syncs() < 16, "{} syncs for 16 appends", wal.syncs());
    assert_eq!(read(&vfs.crash(), 1).0.len(), 16);
}

#[test]
fn a_failed_sync_takes_the_record_back_and_its_file_is_left_alone() {
    let vfs = new_vfs();
    let wal = begin(&vfs, read(&vfs, 1).1);
    wal.append(&tenant(), b"a").unwrap();
    vfs.fail_syncs(true);
    assert!(matches!(wal.append(&tenant(), b"x"), Err(StoreError::Io { .. })));
    vfs.fail_syncs(false);
    wal.append(&tenant(), b"b").unwrap();
    assert!(!wal.needs_flush(), "all that was acknowledged is durable");
    // Although it reached the disk whole.
    let (batches, replayed) = read(&vfs.crash_torn(1 << 20), 1);
    assert_eq!((batches, replayed.warnings), (vec!["a".into(), "b".into()], vec![]));
}

#[test]
fn a_failed_sync_of_what_was_acknowledged_asks_for_a_flush() {
    let vfs = new_vfs();
    let interval = Durability::Interval(Duration::from_secs(1));
    let wal = begin_with(&vfs, read(&vfs, 1).1, interval);
    wal.append(&tenant(), b"a").unwrap();
    vfs.fail_syncs(true);
    assert!(matches!(wal.sync(), Err(StoreError::Io { .. })));
    vfs.fail_syncs(false);
    assert!(wal.needs_flush());
    wal.rotate().unwrap();
    assert!(!wal.needs_flush());
}

#[test]
fn a_refused_write_takes_the_record_back_and_the_log_goes_on() {
    let vfs = new_vfs();
    let wal = begin(&vfs, read(&vfs, 1).1);
    wal.append(&tenant(), b"a").unwrap();
    vfs.fail_writes(true);
    for _ in 0..3 {
        let refused = wal.append(&tenant(), b"x");
        assert!(matches!(refused, Err(StoreError::Io { .. })), "{refused:?}");
    }
    assert!(wal.rotate().is_err());
    vfs.fail_writes(false);
    wal.append(&tenant(), b"b").unwrap();
    assert_eq!(wal.rotate().unwrap(), 3);
    wal.append(&tenant(), b"c").unwrap();
    let (batches, replayed) = read(&vfs.crash(), 1);
    assert_eq!((batches, replayed.warnings), (vec!["a".into(), "b".into(), "c".into()], vec![]));
    assert_eq!(vfs.list(&paths().wal_dir()).unwrap().len(), 3, "none for a file not begun");
}

#[test]
fn a_record_that_is_whole_although_its_write_failed_ends_at_the_next_file() {
    let vfs = new_vfs();
    let wal = begin(&vfs, read(&vfs, 1).1);
    for batch in ["a", "failed", "failed too"] {
        wal.append(&tenant(), batch.as_bytes()).unwrap();
    }
    // As if the last two had failed: the next file begins with their sequences.
    let (_file, _) = super::writer::begin_file(&vfs, &paths(), 2, 2).unwrap();
    let (batches, replayed) = read(&vfs, 1);
    assert_eq!((batches, replayed.next_sequence), (vec!["a".to_owned()], 2));
    let wal = begin(&vfs, replayed);
    wal.append(&tenant(), b"b").unwrap();
    let (batches, replayed) = read(&vfs.crash(), 1);
    assert_eq!((batches, replayed.warnings), (vec!["a".into(), "b".into()], vec![]));
}

#[test]
fn everyone_in_a_refused_group_is_told() {
    let vfs = new_vfs();
    let wal = begin(&vfs, read(&vfs, 1).1);
    vfs.delay_syncs(Duration::from_millis(5));
    let (acknowledged, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let stop = AtomicBool::new(false);
    // Until one more append ended as `counter` counts: the writers never rest, so one will.
    let one_more = |counter: &AtomicUsize| {
        let before = counter.load(Ordering::SeqCst);
        while counter.load(Ordering::SeqCst) == before {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let (wal, acknowledged, refused, stop) = (&wal, &acknowledged, &refused, &stop);
            scope.spawn(move || {
                for number in 0.. {
                    let batch = format!("{writer} {number}");
                    let appended = wal.append(&tenant(), batch.as_bytes()).is_ok();
                    let counter = if appended { acknowledged } else { refused };
                    counter.fetch_add(1, Ordering::SeqCst);
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                }
            });
        }
        for _ in 0..10 {
            one_more(&acknowledged);
            vfs.fail_writes(true);
            one_more(&refused);
            vfs.fail_writes(false);
        }
        stop.store(true, Ordering::SeqCst);
    });
    wal.append(&tenant(), b"last").unwrap();
    let (batches, replayed) = read(&vfs.crash(), 1);
    assert_eq!(replayed.warnings, [""; 0]);
    assert_eq!(batches.len(), acknowledged.into_inner() + 1);
}

#[test]
fn a_record_that_was_read_but_not_synced_outlives_the_next_crash() {
    let vfs = new_vfs();
    let wal = begin(&vfs, read(&vfs, 1).1);
    wal.append(&tenant(), b"a").unwrap();
    vfs.fail_syncs(true);
    wal.append(&tenant(), b"not synced").unwrap_err();
    vfs.fail_syncs(false);
    // The process ends, the machine does not.
    let (batches, replayed) = read(&vfs, 1);
    assert_eq!(batches, ["a", "not synced"]);
    begin(&vfs, replayed).append(&tenant(), b"b").unwrap();
    let (batches, replayed) = read(&vfs.crash(), 1);
    assert_eq!(batches, ["a", "not synced", "b"]);
    assert_eq!(replayed.warnings, [""; 0]);
}

#[test]
fn a_lost_header_is_reported_though_no_file_follows() {
    let vfs = two_files();
    let path = paths().wal_file(2);
    let mut bytes = vfs.read(&path).unwrap();
    bytes[9] ^= 1;
    vfs.put(&path, bytes);
    let (batches, replayed) = read(&vfs, 1);
    assert_eq!(batches, ["a", "b", "c", "d"], "its records are read all the same");
    assert_eq!(replayed.warnings, ["write-ahead-log file 0000000002.wal has no header"]);
}

#[test]
fn damage_between_records_of_the_last_file_costs_one_of_them_and_is_reported() {
    let vfs = two_files();
    let path = paths().wal_file(2);
    let whole = vfs.read(&path).unwrap();
    let record = (whole.len() - HEADER_BYTES) / 2;
    for byte in HEADER_BYTES..HEADER_BYTES + record {
        let mut bytes = whole.clone();
        bytes[byte] ^= 1;
        vfs.put(&path, bytes);
        let (batches, replayed) = read(&vfs, 1);
        assert_eq!(batches, ["a", "b", "d"], "byte {byte}");
        let warning = "1 appends are missing in write-ahead-log file 0000000002.wal";
        assert_eq!((&replayed.warnings[..], replayed.torn_bytes), (&[warning.to_owned()][..], 0));
    }
    for byte in HEADER_BYTES + record..whole.len() {
        let mut bytes = whole.clone();
        bytes[byte] ^= 1;
        vfs.put(&path, bytes);
        let (batches, replayed) = read(&vfs, 1);
        assert_eq!(batches, ["a", "b", "c"], "byte {byte}");
        assert_eq!(replayed.torn_bytes, u64::try_from(record).unwrap(), "may have been cut off");
    }
}

#[test]
fn a_file_that_is_gone_does_not_keep_the_others() {
    let vfs = two_files();
    let wal = begin(&vfs, read(&vfs, 1).1);
    vfs.remove(&paths().wal_file(1)).unwrap();
    wal.trim(5).unwrap();
    assert_eq!(vfs.list(&paths().wal_dir()).unwrap(), [paths().wal_file(3)]);
}

#[test]
fn nothing_is_written_in_front_of_a_file_that_could_not_be_begun() {
    let vfs = new_vfs();
    let wal = begin(&vfs, read(&vfs, 1).1);
    wal.append(&tenant(), b"a").unwrap();
    vfs.fail_syncs(true);
    wal.rotate().unwrap_err();
    vfs.fail_syncs(false);
    // The file was removed, but a power failure could bring it back.
    drop(super::writer::begin_file(&vfs, &paths(), 2, 2).unwrap());
    wal.append(&tenant(), b"b").unwrap();
    let (batches, replayed) = read(&vfs.crash(), 1);
    assert_eq!((batches, replayed.warnings), (vec!["a".into(), "b".into()], vec![]));
}

#[test]
fn what_was_acknowledged_unsynced_is_synced_before_its_file_is_left() {
    let vfs = new_vfs();
    let interval = Durability::Interval(Duration::from_secs(1));
    let wal = begin_with(&vfs, read(&vfs, 1).1, interval);
    wal.append(&tenant(), b"a").unwrap();
    vfs.fail_writes(true);
    wal.append(&tenant(), b"x").unwrap_err();
    vfs.fail_writes(false);
    wal.append(&tenant(), b"b").unwrap();
    wal.sync().unwrap();
    let (batches, replayed) = read(&vfs.crash(), 1);
    assert_eq!((batches, replayed.warnings), (vec!["a".into(), "b".into()], vec![]));
}

#[test]
fn what_was_acknowledged_unwritten_and_is_taken_back_asks_for_a_flush() {
    let vfs = new_vfs();
    let wal = begin_with(&vfs, read(&vfs, 1).1, Durability::None);
    wal.append(&tenant(), b"a").unwrap();
    vfs.fail_writes(true);
    wal.append_with(&tenant(), b"x", Durability::Sync).unwrap_err();
    vfs.fail_writes(false);
    assert!(wal.needs_flush());
    assert!(wal.is_behind(1), "although it has no record");
    wal.rotate().unwrap();
    assert!(!wal.needs_flush());
    vfs.fail_writes(true);
    wal.append_with(&tenant(), b"x", Durability::Sync).unwrap_err();
    assert!(!wal.needs_flush(), "nothing of it was acknowledged");
}
