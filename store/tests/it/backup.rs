//! Backups: everything acknowledged before, as a store of its own.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use timberline_store::{
    DeleteRequest, MatchOp, Matcher, MemVfs, Store, StoreDirectory, StoreError, TimeRange, Vfs,
};

use crate::util::*;

#[test]
fn a_backup_has_what_was_there_and_does_not_change() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    append(&store, "a", &[(1, "one"), (2, "two")]).unwrap();
    store.flush().unwrap();
    append(&store, "a", &[(3, "three")]).unwrap();
    let selector = vec![Matcher::new("app", MatchOp::Equal, "a").unwrap()];
    store.delete(DeleteRequest::new(&tenant(), selector, TimeRange::new(2, 3))).unwrap();
    append(&store, "a", &[(4, "four")]).unwrap();
    store.backup("/backup").unwrap();
    append(&store, "a", &[(5, "five")]).unwrap();
    assert!(matches!(store.backup("/backup"), Err(StoreError::Invalid(_))));

    let backup = StoreDirectory::new("/backup").vfs(Arc::new(vfs.crash()));
    let report = backup.check().unwrap();
    assert_eq!((report.findings.len(), report.segment_entries, report.log_entries), (0, 4, 0));
    let report = backup.restore("/restored").unwrap();
    assert_eq!((report.findings.len(), report.segment_entries), (0, 4));
    assert!(matches!(backup.restore("/restored"), Err(StoreError::Invalid(_))));
    let expected = told(&[(1, "one"), (3, "three"), (4, "four")]);
    let vfs = vfs.crash();
    let copy = on(&vfs).open("/backup").unwrap();
    assert_eq!(read(&copy, "a"), expected);
}

#[test]
fn a_restored_store_has_what_its_log_had() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    append(&store, "a", &[(1, "one")]).unwrap();
    drop(store);
    let directory = StoreDirectory::new(DIR).vfs(Arc::new(vfs.clone()));
    let report = directory.restore("/copy").unwrap();
    assert_eq!(report.log_entries, 1);
    assert_eq!(read(&on(&vfs).open("/copy").unwrap(), "a"), told(&[(1, "one")]));
}

#[test]
fn nothing_is_restored_over_a_log_that_is_left() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    append(&store, "a", &[(1, "one")]).unwrap();
    let left = Path::new("/copy/wal/0000000009.wal");
    vfs.create_dir_all(left.parent().unwrap()).unwrap();
    vfs.put(left, vfs.read(&Path::new(DIR).join("wal/0000000001.wal")).unwrap());
    assert!(matches!(store.backup("/copy"), Err(StoreError::Invalid(_))));
    drop(store);
    let directory = StoreDirectory::new(DIR).vfs(Arc::new(vfs.clone()));
    let refused = directory.restore("/copy");
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    vfs.remove(left).unwrap();
    assert_eq!(directory.restore("/copy").unwrap().log_entries, 1);
}

#[test]
fn a_backup_that_was_cut_off_cannot_be_opened() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    append(&store, "a", &[(1, "one")]).unwrap();
    store.backup("/backup").unwrap();
    vfs.remove(Path::new("/backup/MANIFEST")).unwrap();
    let refused = on(&vfs).open("/backup");
    assert!(matches!(refused, Err(StoreError::Corrupt { what: "manifest", .. })));
}

#[test]
fn a_backup_on_disk_is_made_while_others_write_and_compact() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().join("data")).unwrap();
    let writer = store.clone();
    thread::scope(|scope| {
        let writing = scope.spawn(move || {
            for number in 0..60 {
                append(&writer, "a", &[(number, "x")]).unwrap();
                writer.flush().unwrap();
                writer.compact().unwrap();
            }
        });
        for number in 0..5 {
            let to = directory.path().join(number.to_string());
            let before = read(&store, "a");
            store.backup(&to).unwrap();
            let report = StoreDirectory::new(&to).check().unwrap();
            assert_eq!(report.findings, []);
            let copy = Store::open(&to).unwrap();
            assert_eq!(read(&copy, "a")[..before.len()], before[..]);
        }
        writing.join().unwrap();
    });
}

#[test]
fn a_directory_that_is_in_use_is_not_checked() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    let directory = StoreDirectory::new(DIR).vfs(Arc::new(vfs.clone()));
    assert!(matches!(directory.check(), Err(StoreError::Locked { .. })));
    assert!(matches!(directory.repair(), Err(StoreError::Locked { .. })));
    drop(store);
    assert_eq!(directory.check().unwrap().findings, []);
    assert!(directory.repair().unwrap().actions.is_empty());
    let other = StoreDirectory::new("/other").vfs(Arc::new(vfs));
    assert!(matches!(other.check(), Err(StoreError::Invalid(_))));
}
