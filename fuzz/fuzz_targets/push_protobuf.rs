//! A protobuf push of arbitrary bytes is refused or taken, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| timberline::fuzzing::push_protobuf(data));
