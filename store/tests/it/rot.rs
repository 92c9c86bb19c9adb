//! Every byte of every file of a small store flipped in turn, and random bytes of a larger one: no panic, no entry
//! that was not there or is there twice, no entry seen that was deleted, and nothing missing without a word about
//! it.
//!
//! `TIMBERLINE_FLIPS=10000 cargo test --release -p timberline-store --test it rot` flips so many bytes of the larger
//! one instead of a few, `TIMBERLINE_FLIPS_SEED=7` others.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use timberline_store::{
    Columns, DeleteRequest, LinePredicate, MatchOp, Matcher, MemVfs, Metadata, ReadScratch,
    Snapshot, Store, StoreDirectory, StoreError, TimeRange, Vfs, WriteBatch,
};

use crate::faults::Random;
use crate::util::*;

/// What is read of an entry: its stream, timestamp, line and metadata.
type Line = (String, i64, String, Metadata);

/// How many bytes of the larger store are flipped unless told otherwise.
const FLIPS: u64 = 200;

/// A store with a delete request in force, a small segment, one of so many streams that it has a label index,
/// and three appends that only the log has.
fn store_with_everything() -> MemVfs {
    let vfs = MemVfs::new();
    let store = on(&vfs).delete_cancel_period(Duration::from_secs(1 << 30)).open(DIR).unwrap();
    append(&store, "a", &[(1, "one"), (2, "two secret"), (3, "three")]).unwrap();
    store.flush().unwrap();
    store.append(&tenant(), &many_streams()).unwrap();
    let selector = vec![Matcher::new("app", MatchOp::Equal, "a").unwrap()];
    let request = DeleteRequest::new(&tenant(), selector, TimeRange::ALL).containing(b"secret");
    store.delete(request).unwrap();
    store.flush().unwrap();
    for (timestamp, line) in [(10, "ten"), (11, "eleven"), (12, "twelve")] {
        append(&store, "a", &[(timestamp, line)]).unwrap();
    }
    vfs.crash()
}

/// More streams than are tried without the label index, with metadata.
fn many_streams() -> WriteBatch {
    let mut batch = WriteBatch::new();
    for number in 0..70 {
        batch.stream(&labels(&format!("many{number}")));
        let trace = (number % 9).to_string();
        batch.push(number, format!("line {number}").as_bytes(), &[("trace", &trace)]).unwrap();
    }
    batch
}

/// The same with a segment of several groups, and two files of the log.
fn larger_store() -> MemVfs {
    let vfs = store_with_everything();
    let store = on(&vfs).delete_cancel_period(Duration::from_secs(1 << 30)).open(DIR).unwrap();
    let mut random = Random::new(7);
    // A group has about 4 MiB of lines.
    for number in 0..9 {
        let mut batch = many_streams();
        batch.stream(&labels(&format!("large{}", number % 3)));
        let digits = (0..4096).map(|_| random.up_to(usize::MAX - 1).to_string());
        let line = digits.collect::<Vec<_>>().join(" ").repeat(16);
        batch.push(number, line.as_bytes(), &[("number", &number.to_string())]).unwrap();
        store.append(&tenant(), &batch).unwrap();
    }
    store.flush().unwrap();
    append(&store, "a", &[(20, "twenty")]).unwrap();
    drop(store);
    let store = on(&vfs).delete_cancel_period(Duration::from_secs(1 << 30)).open(DIR).unwrap();
    append(&store, "b", &[(21, "twenty-one")]).unwrap();
    let logs = vfs.list(&Path::new(DIR).join("wal")).unwrap();
    assert_eq!(logs.len(), 2, "{logs:?}");
    vfs.crash()
}

/// What a store gives.
#[derive(Debug)]
struct Found {
    /// All its entries, sorted.
    all: Vec<Line>,
    /// Whether it was said that some are missing.
    is_said: bool,
    /// Those that a selector asks for which the label index answers.
    selected: Vec<Line>,
    /// Whether whoever asks for these alone was told that some are missing.
    is_selected_said: bool,
}

/// The stream that is selected.
const SELECTED: &str = "many5";

fn read_all(store: &Store) -> Found {
    let snapshot = store.snapshot();
    let (all, all_said) = read_selected(&snapshot, &[]);
    let matcher = Matcher::new("app", MatchOp::Equal, SELECTED).unwrap();
    let (selected, selected_said) = read_selected(&snapshot, std::slice::from_ref(&matcher));
    for series in snapshot.series(&tenant(), &[matcher], TimeRange::ALL).unwrap() {
        assert_eq!(series.get("app"), Some(SELECTED));
    }
    let has_warnings = !snapshot.warnings().is_empty() || store.stats().torn_log_bytes > 0;
    Found {
        all,
        is_said: all_said || has_warnings,
        selected,
        is_selected_said: selected_said || has_warnings,
    }
}

fn read_selected(snapshot: &Snapshot, selector: &[Matcher]) -> (Vec<Line>, bool) {
    let (mut scratch, mut found, mut is_said) = (ReadScratch::new(), Vec::new(), false);
    for chunk in snapshot.chunks(&tenant(), selector, TimeRange::ALL).unwrap() {
        let app = chunk.labels().get("app").unwrap_or_default().to_owned();
        match chunk.read(TimeRange::ALL, &LinePredicate::Always, Columns::ALL, &mut scratch) {
            Ok(read) => found.extend(read.rows().iter().map(|row| {
                let line = String::from_utf8_lossy(read.line(row)).into_owned();
                (app.clone(), row.timestamp, line, read.metadata(row))
            })),
            Err(StoreError::Corrupt { .. }) => is_said = true,
            Err(error) => panic!("{error}"),
        }
    }
    found.sort();
    (found, is_said)
}

/// Whether `found` has only entries of `expected`, and each as often at the most. Both are sorted.
fn is_part(found: &[Line], expected: &[Line]) -> bool {
    let mut expected = expected.iter();
    found.iter().all(|line| expected.any(|other| other == line))
}

fn files(vfs: &MemVfs) -> Vec<PathBuf> {
    let root = Path::new(DIR);
    let dirs = [root.to_owned(), root.join("wal"), root.join("segments")];
    let files = dirs.iter().flat_map(|dir| vfs.list(dir).unwrap());
    files.filter(|path| !path.ends_with("LOCK")).collect()
}

/// Flips a bit of one byte and looks at what the store's check, its opening and its answers make of it.
fn flip(whole: &MemVfs, expected: &Found, path: &Path, place: usize) {
    let vfs = whole.crash();
    let mut flipped = whole.read(path).unwrap();
    flipped[place] ^= 1 << (place % 8);
    vfs.put(path, flipped);
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
        Err(StoreError::Corrupt { .. } | StoreError::FutureFormat { .. }) => return,
        Err(error) => panic!("{told}: {error}"),
    };
    let found = read_all(&store);
    for (what, found, expected, is_said) in [
        ("all", &found.all, &expected.all, found.is_said),
        ("selected", &found.selected, &expected.selected, found.is_selected_said),
    ] {
        assert!(is_part(found, expected), "{told}: wrong entries, {what}");
        assert!(found == expected || is_said, "{told}: not a word about what is missing, {what}");
    }
}

#[test]
fn every_flipped_byte_is_noticed() {
    let whole = store_with_everything();
    let expected = read_all(&open(&whole.crash()));
    assert!(expected.all.len() == 75 && expected.selected.len() == 1 && !expected.is_said);
    for path in files(&whole) {
        for place in 0..whole.read(&path).unwrap().len() {
            flip(&whole, &expected, &path, place);
        }
    }
}

#[test]
fn random_flips_in_a_larger_store_are_noticed() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("TIMBERLINE_FLIPS_SEED").unwrap_or(1);
    let flips = number("TIMBERLINE_FLIPS").unwrap_or(FLIPS);
    // Past the test harness, which keeps what a test prints until it fails.
    let _ = writeln!(std::io::stderr(), "rot: {flips} flips, seed {seed}");

    let whole = larger_store();
    let expected = read_all(&open(&whole.crash()));
    assert!(expected.all.len() == 75 + 9 + 2 && !expected.is_said, "{}", expected.all.len());
    let files: Vec<(PathBuf, usize)> = files(&whole)
        .into_iter()
        .map(|path| {
            let len = whole.read(&path).unwrap().len();
            (path, len)
        })
        .collect();
    let next = AtomicU64::new(0);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= flips {
                return;
            }
            let mut random = Random::new(seed ^ (number << 32));
            // Each file as often as the others, and its end, where tables are, as often as all of it.
            let (path, len) = &files[random.up_to(files.len() - 1)];
            let from = if random.one_in(2) { len.saturating_sub(4096) } else { 0 };
            flip(&whole, &expected, path, from + random.up_to(len - from - 1));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
}

#[test]
fn what_is_damaged_is_repaired_and_what_is_lost_is_said() {
    let whole = store_with_everything();
    let expected = read_all(&open(&whole.crash())).all;
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
            let found = read_all(&open(&vfs)).all;
            let may_be_back = path.ends_with("MANIFEST");
            assert!(may_be_back || is_part(&found, &expected), "{told}");
            let is_whole = is_part(&expected, &found);
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
    let found = read_all(&store);
    assert!(found.is_said && found.all.len() == 73, "{}", found.all.len());
    assert!(store.stats().damaged_reads > 0);
}
