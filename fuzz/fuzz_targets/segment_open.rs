//! Opening and reading a segment of arbitrary bytes gives an error or rows, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| timberline_store::fuzzing::open_segment(data));
