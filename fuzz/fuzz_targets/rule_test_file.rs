//! Unit tests of rules in a file of arbitrary bytes are refused or run, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| timberline::fuzzing::rule_test_file(data));
