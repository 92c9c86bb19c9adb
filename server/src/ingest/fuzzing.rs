//! Entry points for fuzzers: the write path on any bytes, with a store that forgets.

use std::sync::Arc;

use prometheus::Registry;
use timberline_store::{InvalidLabels, Labels, StoreError, TenantId, Timestamp};

use super::body::{Envelope, Format};
use super::clock::Clock;
use super::core::Core;
use super::write::{Backend, Sink};

/// Takes in a JSON body.
pub fn push_json(body: &[u8]) {
    push(Format::Json, body);
}

/// Takes in protobuf: the bytes as a compressed body, and as one before its compression, so that a
/// fuzzer reaches the decoder, too.
pub fn push_protobuf(body: &[u8]) {
    push(Format::Protobuf, body);
    if let Ok(body) = snap::raw::Encoder::new().compress_vec(body) {
        push(Format::Protobuf, &body);
    }
}

/// Takes in OpenTelemetry's records in protobuf.
pub fn otlp_protobuf(body: &[u8]) {
    push(Format::Otlp, body);
}

/// Takes in OpenTelemetry's records in JSON.
pub fn otlp_json(body: &[u8]) {
    push(Format::OtlpJson, body);
}

fn push(format: Format, body: &[u8]) {
    let clock = Clock::from_fn(|| 1_793_534_400_000_000_000);
    let core = Core::new(Forgetful, Arc::default(), &Registry::new(), clock);
    if let Ok(tenant) = TenantId::new("fuzz") {
        // Both outcomes are fine; a panic is not.
        let _ = core.push(&tenant, Envelope::plain(format), body);
    }
}

struct Forgetful;

#[derive(Default)]
struct Nothing;

impl Backend for Forgetful {
    type Batch = Nothing;

    fn append(&self, _: &TenantId, _: &Nothing) -> Result<(), StoreError> {
        Ok(())
    }

    fn active_streams(&self, _: &TenantId) -> usize {
        0
    }

    fn newest_entry(&self, _: &TenantId, _: &Labels) -> Option<Timestamp> {
        None
    }
}

impl Sink for Nothing {
    fn stream(&mut self, _: &Labels) {}

    fn push(
        &mut self,
        _: Timestamp,
        _: &[u8],
        metadata: &[(&str, &str)],
    ) -> Result<(), InvalidLabels> {
        Labels::metadata(metadata.iter().copied()).map(drop)
    }
}
