//! The fuzzers' corpora, through the functions that the fuzzers call.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../fuzz/replay.rs"]
mod replay;

use replay::replay;
use timberline_query::fuzzing;

#[test]
fn logql_parse() {
    replay("logql_parse", fuzzing::logql_parse);
}

#[test]
fn template() {
    replay("template", fuzzing::template);
}

#[test]
fn pattern() {
    replay("pattern", fuzzing::pattern);
}

#[test]
fn json_flatten() {
    replay("json_flatten", fuzzing::json_flatten);
}

#[test]
fn logfmt() {
    replay("logfmt", fuzzing::logfmt);
}
