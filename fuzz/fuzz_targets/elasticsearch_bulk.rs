//! A bulk request of arbitrary bytes is answered with JSON or refused, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| timberline::fuzzing::elasticsearch_bulk(data));
