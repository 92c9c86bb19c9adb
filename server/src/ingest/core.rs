//! The write path from a body to the store's acknowledgement, without a runtime.

use std::fmt;
use std::sync::Arc;

use ::http::StatusCode;
use prometheus::Registry;
use timberline_store::{InvalidLabels, Labels, TenantId, Timestamp};

use super::body::{Envelope, Format};
use super::budget::Budget;
use super::check::{Checked, check};
use super::clock::Clock;
use super::error::PushError;
use super::limits::IngestLimits;
use super::metrics::{Discards, IngestMetrics};
use super::push::Push;
use super::rate::{Rate, RateLimiter};
use super::reason::Reason;
use super::streams::{KnownStream, StreamCaches};
use super::window::Window;
use super::write::{Backend, fill};
use super::{json, legacy_json, otlp, protobuf};
use crate::config::LiveLimits;

/// The write path over a store.
pub(crate) struct Core<B> {
    backend: B,
    limits: Arc<LiveLimits>,
    clock: Clock,
    /// What the bodies of pushes may take up together.
    pub(crate) memory: Budget,
    streams: StreamCaches,
    tenant_rates: RateLimiter<TenantId>,
    stream_rates: RateLimiter<(TenantId, Labels)>,
    metrics: IngestMetrics,
}

impl<B> fmt::Debug for Core<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("limits", &self.limits).finish_non_exhaustive()
    }
}

const MIB: f64 = 1_048_576.0;

impl<B: Backend> Core<B> {
    pub(crate) fn new(
        backend: B,
        limits: Arc<LiveLimits>,
        registry: &Registry,
        clock: Clock,
    ) -> Self {
        Self {
            backend,
            memory: Budget::new(memory_bytes_max(&limits)),
            limits,
            clock,
            streams: StreamCaches::default(),
            tenant_rates: RateLimiter::default(),
            stream_rates: RateLimiter::default(),
            metrics: IngestMetrics::new(registry),
        }
    }

    /// Takes in a body as it came.
    pub(crate) fn push(
        &self,
        tenant: &TenantId,
        envelope: Envelope,
        body: &[u8],
    ) -> Result<(), PushError> {
        let undecodable = |error| PushError::undecodable(&error, envelope.format);
        // Given back when the push is done.
        let mut share = self.memory.share();
        let limits = self.limits.of(tenant);
        let opened = envelope.open(body, &limits.ingest, &mut share).map_err(|error| {
            if matches!(error, super::push::DecodeError::TooLarge(_)) {
                self.discard(tenant, Reason::RequestBodyTooLarge, 1, body.len());
            }
            undecodable(error)
        })?;
        let push = match envelope.format {
            Format::Json => json::decode(&opened),
            Format::LegacyJson => legacy_json::decode(&opened),
            Format::Protobuf => protobuf::decode(&opened),
            Format::Otlp | Format::OtlpJson => {
                let request = otlp::decode(&opened, envelope.format, &mut share);
                let request = request.map_err(undecodable)?;
                let push = otlp::map(&request, &limits.ingest, self.clock.now(), &mut share);
                return self.accept(tenant, push.map_err(undecodable)?);
            }
        };
        self.accept(tenant, push.map_err(undecodable)?)
    }

    /// Takes in a decoded push: checks it, stores what passes and waits until that is durable.
    pub(crate) fn accept(&self, tenant: &TenantId, mut push: Push<'_>) -> Result<(), PushError> {
        if push.streams.is_empty() {
            let text = "error at least one valid stream is required for ingestion";
            return Err(PushError::new(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
        let limits = self.limits.of(tenant);
        let known = self.known_streams(tenant, &push, &limits.ingest)?;
        let bytes = push.entries.iter().map(|entry| push.entry_bytes(entry)).sum();
        self.metrics.received(tenant, push.entries.len(), bytes);
        let now = self.clock.now();
        let mut checked = check(&mut push, &known, &limits.ingest, now).map_err(|error| {
            PushError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        })?;
        let stored = self.store(tenant, &push, &known, &mut checked, (&limits.ingest, now));
        self.metrics.discarded(tenant, &checked.discards);
        stored?;
        match checked.messages.into_text() {
            Some(text) => Err(PushError::new(StatusCode::BAD_REQUEST, text)),
            None => Ok(()),
        }
    }

    /// The streams of a push, in its order. One that cannot be read fails the push.
    fn known_streams(
        &self,
        tenant: &TenantId,
        push: &Push<'_>,
        limits: &IngestLimits,
    ) -> Result<Vec<Arc<KnownStream>>, PushError> {
        let streams = self.streams.of(limits);
        let known = |stream: &super::push::Stream<'_>| {
            streams.get(&stream.labels, limits).map_err(|error| {
                self.discard(tenant, Reason::InvalidLabels, push.entries.len(), 0);
                let text = format!("couldn't parse labels: {error}");
                PushError::new(StatusCode::BAD_REQUEST, text)
            })
        };
        push.streams.iter().map(known).collect()
    }

    /// Stores what passed the checks and the rules that depend on what came before.
    fn store(
        &self,
        tenant: &TenantId,
        push: &Push<'_>,
        known: &[Arc<KnownStream>],
        checked: &mut Checked,
        (limits, now): (&IngestLimits, Timestamp),
    ) -> Result<(), PushError> {
        if checked.lines == 0 {
            return Ok(());
        }
        self.check_tenant_rate(tenant, limits, checked, now)?;
        let (backend, rates) = (&self.backend, &self.stream_rates);
        let window = Window { backend, limits, rates, rate: stream_rate(limits), tenant, now };
        let refused = window.check(push, known, checked);
        if checked.lines > 0 {
            let mut batch = B::Batch::default();
            fill(&mut batch, push, known, &checked.kept, limits.discover_log_levels)
                .map_err(|error| internal(&error))?;
            self.backend.append(tenant, &batch).map_err(|error| {
                tracing::error!(%tenant, %error, "push not stored");
                PushError::store(&error)
            })?;
        }
        refused.map_or(Ok(()), Err)
    }

    fn check_tenant_rate(
        &self,
        tenant: &TenantId,
        limits: &IngestLimits,
        checked: &mut Checked,
        now: Timestamp,
    ) -> Result<(), PushError> {
        let Some(rate) = tenant_rate(limits) else {
            return Ok(());
        };
        let (lines, bytes) = (checked.lines, checked.bytes);
        let Err(exceeded) = self.tenant_rates.take(tenant.clone(), rate, bytes, now) else {
            return Ok(());
        };
        checked.discards.add(Reason::RateLimited, lines, bytes);
        let text = format!(
            "ingestion rate limit exceeded for user {tenant} (limit: {} bytes/sec) while attempting \
             to ingest '{lines}' lines totaling '{bytes}' bytes, reduce log volume or contact your \
             Loki administrator to see if the limit can be increased",
            rate.per_second()
        );
        let refused = PushError::new(StatusCode::TOO_MANY_REQUESTS, text);
        Err(refused.retry_after(exceeded.retry_after))
    }

    fn discard(&self, tenant: &TenantId, reason: Reason, entries: usize, bytes: usize) {
        let mut discards = Discards::default();
        discards.add(reason, entries, bytes);
        self.metrics.discarded(tenant, &discards);
    }
}

/// What a tenant may send in a second.
fn tenant_rate(limits: &IngestLimits) -> Option<Rate> {
    Rate::new(limits.ingestion_rate_mb * MIB, limits.ingestion_burst_size_mb * MIB)
}

/// What a stream may grow by in a second.
fn stream_rate(limits: &IngestLimits) -> Option<Rate> {
    let burst = as_f64(limits.per_stream_rate_limit_burst);
    Rate::new(as_f64(limits.per_stream_rate_limit), burst)
}

/// What the limits say, but enough for the largest push when it is alone: as sent, and unpacked twice.
fn memory_bytes_max(limits: &LiveLimits) -> usize {
    let limits = limits.current();
    let largest = |limits: &IngestLimits| {
        let unpacked = limits.max_decompressed_size.saturating_mul(2);
        unpacked.saturating_add(limits.max_recv_msg_size)
    };
    let largest = limits.sets().map(|limits| largest(&limits.ingest)).max().unwrap_or_default();
    limits.section().ingest.push_memory_bytes_max.max(largest)
}

fn internal(error: &InvalidLabels) -> PushError {
    PushError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("internal error: {error}"))
}

#[expect(clippy::cast_precision_loss, reason = "limits are far below 2^53")]
fn as_f64(bytes: usize) -> f64 {
    bytes as f64
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
