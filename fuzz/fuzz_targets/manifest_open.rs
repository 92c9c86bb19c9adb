//! Arbitrary bytes are a manifest or refused, and what is one reads back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| timberline_store::fuzzing::open_manifest(data));
