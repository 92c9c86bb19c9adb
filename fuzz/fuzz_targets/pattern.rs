//! An arbitrary pattern is refused, or cuts an arbitrary line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| timberline_query::fuzzing::pattern(data));
