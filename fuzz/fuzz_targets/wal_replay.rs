//! Replaying a log of arbitrary bytes ends where the records do, never in a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| timberline_store::fuzzing::replay_wal(data));
