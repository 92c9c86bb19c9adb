//! The fuzzers' corpora, through the functions that the fuzzers call.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../fuzz/replay.rs"]
mod replay;

use replay::replay;
use timberline::fuzzing;

#[test]
fn json_pushes_are_taken_or_refused() {
    replay("push_json", fuzzing::push_json);
}

#[test]
fn protobuf_pushes_are_taken_or_refused() {
    replay("push_protobuf", fuzzing::push_protobuf);
}

#[test]
fn opentelemetrys_records_are_taken_or_refused() {
    replay("otlp_protobuf", fuzzing::otlp_protobuf);
    replay("otlp_json", fuzzing::otlp_json);
}

#[test]
fn rule_files_are_taken_or_refused() {
    replay("rule_file", fuzzing::rule_file);
}
