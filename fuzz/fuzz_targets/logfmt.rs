//! An arbitrary line in logfmt gives the same labels with hints as without.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| timberline_query::fuzzing::logfmt(data));
