//! An arbitrary query is refused, or printing and parsing it again changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| timberline_query::fuzzing::logql_parse(data));
