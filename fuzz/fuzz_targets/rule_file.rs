//! A rule file of arbitrary bytes is refused or taken, and then reads back as it is written, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| timberline::fuzzing::rule_file(data));
