//! Compiling and executing an arbitrary template ends in text or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| timberline_query::fuzzing::template(data));
