//! Every byte of every file flipped in turn: no panic, no entry that was not there, no entry seen that was
//! deleted, and nothing missing without a word about it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use timberline_store::{
    Columns, DeleteRequest, LinePredicate, MatchOp, Matcher, MemVfs, ReadScratch, Store,
    StoreDirectory, StoreError, TimeRange, Vfs, WriteBatch,
};

use crate::util::*;

/// What is read of an entry.
type Line = (String, i64, String);

/// A store with a delete request in force, a small segment, one of so many streams that it has a label index,
/// and three appends that only the log has.
fn store_with_everything() -> MemVfs {
    let vfs = MemVfs::new();
    let store = on(&vfs).delete_cancel_period(Duration::from_secs(1 << 30)).open(DIR).unwrap();
    append(&store, "a", &[(1, "one"), (2, "two secret"), (3, "three")]).unwrap();
    store.flush().unwrap();
    let mut batch = WriteBatch::new();
    for number in 0..70 {
        batch.stream(&labels(&format!("many{number}")));
        batch.push(number, format!("line {number}").as_bytes(), &[("trace", "7")]).unwrap();
    }
    store.append(&tenant(), &batch).unwrap();
    let selector = vec![Matcher::new("app", MatchOp::Equal, "a").unwrap()];
    let request = DeleteRequest::new(&tenant(), selector, TimeRange::ALL).containing(b"secret");
    store.delete(request).unwrap();
    store.flush().unwrap();
    for (timestamp, line) in [(10, "ten"), (11, "eleven"), (12, "twelve")] {
        append(&store, "a", &[(timestamp, line)]).unwrap();
    }
    vfs.crash()
}

/// What can be read, and whether something was said to be missing.
fn read_all(store: &Store) -> (BTreeSet<Line>, bool) {
    let snapshot = store.snapshot();
    let (mut scratch, mut found, mut is_said) = (ReadScratch::new(), BTreeSet::new(), false);
    for chunk in snapshot.chunks(&tenant(), &[], TimeRange::ALL).unwrap() {
        let app = chunk.labels().get("app").unwrap_or_default().to_owned();
        match chunk.read(TimeRange::ALL, &LinePredicate::Always, Columns::ALL, &mut scratch) {
            Ok(read) => found.extend(read.rows().iter().map(|row| {
                let line = String::from_utf8_lossy(read.line(row)).into_owned();
                (app.clone(), row.timestamp, line)
            })),
            Err(StoreError::Corrupt { .. }) => is_said = true,
            Err(error) => panic!("{error}"),
        }
    }
    // A selector that asks the label index.
    let matcher = Matcher::new("app", MatchOp::Equal, "many5").unwrap();
    for series in snapshot.series(&tenant(), &[matcher], TimeRange::ALL).unwrap() {
        assert_eq!(series.get("app"), Some("many5"));
    }
    is_said |= !snapshot.warnings().is_empty() || store.stats().torn_log_bytes > 0;
    (found, is_said)
}

fn files(vfs: &MemVfs) -> Vec<PathBuf> {
    let root = Path::new(DIR);
    let dirs = [root.to_owned(), root.join("wal"), root.join("segments")];
    let files = dirs.iter().flat_map(|dir| vfs.list(dir).unwrap());
    files.filter(|path| !path.ends_with("LOCK")).collect()
}

#[test]
fn every_flipped_byte_is_noticed() {
    let whole = store_with_everything();
    let (expected, is_said) = read_all(&open(&whole.crash()));
    assert!(expected.len() == 75 && !is_said, "{} entries", expected.len());
    let mut flips = 0;
    for path in files(&whole) {
        let bytes = whole.read(&path).unwrap();
        for place in 0..bytes.len() {
            flips += 1;
            let vfs = whole.crash();
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << (place % 8);
            vfs.put(&path, flipped);
            let told = format!("byte {place} of {}", path.display());

            let directory = StoreDirectory::new(DIR).vfs(Arc::new(vfs.clone()));
            match directory.check() {
                Ok(report) => assert!(!report.findings.is_empty(), "check does not see {told}"),
                Err(StoreError::FutureFormat { .. }) => {}
                Err(error) => panic!("{told}: {error}"),
            }
            let store = match on(&vfs).open(DIR) {
                Ok(store) => store,
                // Said as well as can be.
                Err(StoreError::Corrupt { .. } | StoreError::FutureFormat { .. }) => continue,
                Err(error) => panic!("{told}: {error}"),
            };
            let (found, is_said) = read_all(&store);
            assert!(found.is_subset(&expected), "{told}: {:?}", found.difference(&expected));
            let is_whole = found == expected;
            assert!(is_whole || is_said, "{told}: {:?}", expected.difference(&found));
        }
    }
    println!("{flips} flips");
}

#[test]
fn what_is_damaged_is_repaired_and_what_is_lost_is_said() {
    let whole = store_with_everything();
    let (expected, _) = read_all(&open(&whole.crash()));
    for path in files(&whole) {
        let bytes = whole.read(&path).unwrap();
        for place in (0..bytes.len()).step_by(13) {
            let vfs = whole.crash();
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << (place % 8);
            vfs.put(&path, flipped);
            let told = format!("byte {place} of {}", path.display());
            let directory = StoreDirectory::new(DIR).vfs(Arc::new(vfs.clone()));
            let report = match directory.repair() {
                Ok(report) => report,
                Err(StoreError::FutureFormat { .. }) => continue,
                Err(error) => panic!("{told}: {error}"),
            };
            let after = directory.check().unwrap();
            assert!(!after.is_damaged(), "{told}: {:?}", after.findings);
            let (found, _) = read_all(&open(&vfs));
            let may_be_back = path.ends_with("MANIFEST");
            assert!(may_be_back || found.is_subset(&expected), "{told}");
            let is_whole = expected.is_subset(&found);
            let is_last_append = path.extension().is_some_and(|extension| extension == "wal");
            assert!(is_whole || !report.actions.is_empty() || is_last_append, "{told}");
        }
    }
}

#[test]
fn damage_in_a_block_is_counted() {
    let vfs = store_with_everything();
    let path = Path::new(DIR).join("segments").join("0000000001.seg");
    let mut bytes = vfs.read(&path).unwrap();
    bytes[14] ^= 1;
    vfs.put(&path, bytes);
    let store = open(&vfs);
    let (found, is_said) = read_all(&store);
    assert!(is_said && found.len() == 73, "{}", found.len());
    assert!(store.stats().damaged_reads > 0);
}
