//! The fuzzers' corpora, through the functions that the fuzzers call.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../fuzz/replay.rs"]
mod replay;

use replay::replay;
use timberline_store::fuzzing;

#[test]
fn segments_are_opened_or_refused() {
    replay("segment_open", fuzzing::open_segment);
}

#[test]
#[cfg(feature = "label-index")]
fn label_indexes_answer_or_are_damaged() {
    replay("label_index", fuzzing::open_label_index);
}

#[test]
fn manifests_are_opened_or_refused() {
    replay("manifest_open", fuzzing::open_manifest);
}

#[test]
fn logs_are_replayed_to_their_last_whole_record() {
    replay("wal_replay", fuzzing::replay_wal);
}
