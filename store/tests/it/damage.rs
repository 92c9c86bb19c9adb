//! Damaged files: the store starts and serves the rest.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use timberline_store::{Columns, LinePredicate, MemVfs, ReadScratch, StoreError, TimeRange, Vfs};

use crate::util::*;

#[test]
fn a_damaged_segment_is_set_aside_and_reported() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    for (app, timestamp) in [("a", 1), ("b", 2)] {
        append(&store, app, &[(timestamp, "x")]).unwrap();
        store.flush().unwrap();
    }
    store.close().unwrap();
    let path = Path::new(DIR).join("segments").join("0000000001.seg");
    let bytes = vfs.read(&path).unwrap();
    vfs.put(&path, bytes[..bytes.len() / 2].to_vec());
    for _ in 0..2 {
        let store = open(&vfs);
        let snapshot = store.snapshot();
        assert_eq!(snapshot.warnings(), ["0000000001.seg is damaged and set aside"]);
        assert_eq!(store.stats().damaged_segments, 1);
        let series = snapshot.series(&tenant(), &[], TimeRange::ALL).unwrap();
        assert_eq!(series, [labels("b")]);
        store.close().unwrap();
    }
    let aside = Path::new(DIR).join("damaged").join("0000000001.seg");
    assert_eq!(vfs.read(&aside).unwrap().len(), bytes.len() / 2);
}

/// What a subscriber was told, as text.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn each_start_logs_that_files_are_set_aside() {
    let vfs = MemVfs::new();
    let start = || {
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || open(&vfs).close().unwrap());
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(" WARN ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(start(), [""; 0]);
    for name in ["0000000001.seg", "0000000002.wal"] {
        vfs.put(&Path::new(DIR).join("damaged").join(name), vec![0; 3]);
    }
    for _ in 0..2 {
        let log = start();
        assert_eq!(log.len(), 1, "{log:?}");
        assert!(log[0].contains("set aside") && log[0].contains("files=2"), "{log:?}");
        assert!(log[0].contains("dir=/db/damaged"), "{log:?}");
    }
}

#[test]
fn a_damaged_filter_is_told_and_costs_no_answer() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    let id = |n: u64| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut lines: Vec<String> = (0..100).map(|n| format!("request {} is done", id(n))).collect();
    // Little text has no filter.
    lines.push("so ".repeat(30_000));
    let rows: Vec<(i64, &str)> = (0..).zip(&lines).map(|(n, line)| (n, line.as_str())).collect();
    append(&store, "a", &rows).unwrap();
    store.close().unwrap();
    let segments = Path::new(DIR).join("segments");
    let path = vfs.list(&segments).unwrap().pop().unwrap();
    let bytes = vfs.read(&path).unwrap();
    let mut told = 0;
    for at in 0..bytes.len() {
        let (vfs, mut damaged) = (vfs.crash(), bytes.clone());
        damaged[at] ^= 0x20;
        vfs.put(&path, damaged);
        let store = open(&vfs);
        let snapshot = store.snapshot();
        let predicate = LinePredicate::contains(id(7).as_bytes());
        let (mut found, mut scratch) = (Vec::new(), ReadScratch::new());
        for chunk in snapshot.chunks(&tenant(), &[], TimeRange::ALL).unwrap() {
            let read = chunk.read(TimeRange::ALL, &predicate, Columns::ALL, &mut scratch);
            found.extend(read.into_iter().flat_map(|batch| {
                batch.rows().iter().map(|row| row.timestamp).collect::<Vec<_>>()
            }));
        }
        let warnings = snapshot.warnings().join("; ");
        if warnings.contains("searched without the filter") {
            told += 1;
            assert_eq!(found, [7], "byte {at}: {warnings}");
            assert_eq!(snapshot.warnings().join("; "), warnings);
            assert_eq!(store.stats().damaged_reads, 1, "byte {at}");
        }
    }
    assert!(told >= 64, "of {} bytes {told} are the filter's", bytes.len());
}

#[test]
fn entries_go_on_behind_a_damaged_chunk() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    for (app, timestamp) in [("a", 1), ("b", 2)] {
        append(&store, app, &[(timestamp, "some line")]).unwrap();
        store.flush().unwrap();
    }
    store.close().unwrap();
    let path = Path::new(DIR).join("segments").join("0000000001.seg");
    let mut bytes = vfs.read(&path).unwrap();
    // The first byte of the first group.
    bytes[12] ^= 1;
    vfs.put(&path, bytes);
    let store = open(&vfs);
    for is_newest_first in [false, true] {
        let entries = store.entries(&tenant(), &[], TimeRange::ALL).unwrap();
        let entries = if is_newest_first { entries.newest_first() } else { entries };
        let mut found: Vec<Option<i64>> =
            entries.map(|entry| entry.ok().map(|entry| entry.timestamp)).collect();
        if is_newest_first {
            found.reverse();
        }
        assert_eq!(found, [None, Some(2)]);
    }
}

#[test]
fn what_a_crash_left_in_the_segment_directory_is_swept() {
    let vfs = MemVfs::new();
    open(&vfs).close().unwrap();
    let dir = Path::new(DIR).join("segments");
    vfs.put(&dir.join("0000000007.seg"), b"never live".to_vec());
    vfs.put(&dir.join("0000000008.tmp"), b"half".to_vec());
    let store = open(&vfs);
    assert_eq!(vfs.list(&dir).unwrap(), [""; 0].map(Into::<std::path::PathBuf>::into));
    append(&store, "a", &[(1, "x")]).unwrap();
    store.flush().unwrap();
    assert_eq!(read(&store, "a"), told(&[(1, "x")]));
}

#[test]
fn segments_without_a_manifest_are_left_alone() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    append(&store, "a", &[(1, "x")]).unwrap();
    store.close().unwrap();
    vfs.remove(&Path::new(DIR).join("MANIFEST")).unwrap();
    let refused = on(&vfs).open(DIR);
    assert!(matches!(refused, Err(StoreError::Corrupt { what: "manifest", .. })));
    assert_eq!(vfs.list(&Path::new(DIR).join("segments")).unwrap().len(), 1);
}

#[test]
fn a_segment_that_was_set_aside_before_a_crash_is_reported_once() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    append(&store, "a", &[(1, "x")]).unwrap();
    store.close().unwrap();
    // The file was moved, the manifest does not say so yet.
    let name = "0000000001.seg";
    let path = Path::new(DIR).join("segments").join(name);
    let bytes = vfs.read(&path).unwrap();
    vfs.put(&Path::new(DIR).join("damaged").join(name), bytes);
    vfs.remove(&path).unwrap();
    let store = open(&vfs);
    assert_eq!(store.snapshot().warnings(), ["0000000001.seg is damaged and set aside"]);
    assert_eq!(store.stats().damaged_segments, 1);
}

#[test]
fn a_damaged_segment_does_not_keep_others_from_being_merged() {
    let vfs = MemVfs::new();
    let store = open(&vfs);
    for number in 0..10 {
        append(&store, "a", &[(number, "x")]).unwrap();
        store.flush().unwrap();
    }
    store.close().unwrap();
    // In its first block: its tables can be read.
    let path = Path::new(DIR).join("segments").join("0000000001.seg");
    let mut bytes = vfs.read(&path).unwrap();
    bytes[14] ^= 1;
    vfs.put(&path, bytes);
    let store = open(&vfs);
    store.compact().unwrap();
    assert_eq!((store.stats().merges, store.stats().segments), (1, 2));
    assert_eq!(store.snapshot().stats(&tenant(), &[], TimeRange::ALL).unwrap().entries, 10);
}
