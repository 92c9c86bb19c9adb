//! Syslog of arbitrary bytes becomes messages, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| timberline::fuzzing::syslog(data));
