//! OpenTelemetry records in protobuf of arbitrary bytes are refused or taken, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| timberline::fuzzing::otlp_protobuf(data));
