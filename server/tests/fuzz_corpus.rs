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
fn legacy_pushes_are_taken_or_refused() {
    replay("push_legacy_json", fuzzing::push_legacy_json);
}

#[test]
fn protobuf_pushes_are_taken_or_refused() {
    replay("push_protobuf", fuzzing::push_protobuf);
}

#[test]
fn compressed_pushes_are_taken_or_refused() {
    replay("push_compressed", fuzzing::push_compressed);
}

#[test]
fn opentelemetrys_records_are_taken_or_refused() {
    replay("otlp_protobuf", fuzzing::otlp_protobuf);
    replay("otlp_json", fuzzing::otlp_json);
}

#[test]
fn rule_files_are_taken_or_refused() {
    replay("rule_file", fuzzing::rule_file);
    replay("rule_test_file", fuzzing::rule_test_file);
}

#[test]
fn what_other_protocols_send_is_taken_or_refused() {
    replay("json_lines", fuzzing::json_lines);
    replay("elasticsearch_bulk", fuzzing::elasticsearch_bulk);
    replay("journal_export", fuzzing::journal_export);
    replay("syslog", fuzzing::syslog);
    replay("fluent_forward", fuzzing::fluent_forward);
}
