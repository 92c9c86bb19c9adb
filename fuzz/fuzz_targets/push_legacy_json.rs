//! A push of arbitrary bytes as the legacy path has it is refused or taken, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| timberline::fuzzing::push_legacy_json(data));
