//! Messages of the forward protocol of arbitrary bytes are taken or refused, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| timberline::fuzzing::fluent_forward(data));
