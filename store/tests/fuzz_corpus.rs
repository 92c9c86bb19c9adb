//! Everything the fuzzers were started with, and every crash they found, through the same entrances.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use timberline_store::fuzzing;

/// Runs `target` on each file of its corpus; one that panics is named by what is printed before.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        println!("{}", path.display());
        target(&std::fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn segments_are_opened_or_refused() {
    replay("segment_open", fuzzing::open_segment);
}

#[test]
fn logs_are_replayed_to_their_last_whole_record() {
    replay("wal_replay", fuzzing::replay_wal);
}
