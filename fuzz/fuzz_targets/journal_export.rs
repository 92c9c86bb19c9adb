//! journald's export format of arbitrary bytes is taken or refused, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| timberline::fuzzing::journal_export(data));
