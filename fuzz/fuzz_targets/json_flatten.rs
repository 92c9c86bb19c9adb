//! An arbitrary line in JSON gives the same labels with hints as without.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| timberline_query::fuzzing::json_flatten(data));
