//! The write path from a body to the store's acknowledgement, without a runtime.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use ::http::StatusCode;
use prometheus::Registry;
use timberline_store::{InvalidLabels, Labels, TenantId, Timestamp};

use super::body::{Envelope, Format};
use super::budget::{Budget, Share};
use super::bulk::{self, Bulk};
use super::check::{Checked, check};
use super::clock::Clock;
use super::error::PushError;
use super::event::Event;
use super::fields::{Gathered, Stamps};
use super::forward::ForwardRules;
use super::journal::JournalRules;
use super::limits::IngestLimits;
use super::metrics::{Discards, IngestMetrics};
use super::push::{self, DecodeError, Push};
use super::rate::{Rate, RateLimiter};
use super::reason::Reason;
use super::spares::Spares;
use super::streams::{KnownStream, StreamCaches};
use super::window::{Refusal, Window};
use super::write::{Backend, Sink as _, fill};
use super::{json, legacy_json, otlp, protobuf};
use crate::config::LiveLimits;

/// The write path over a store.
pub(crate) struct Core<B: Backend> {
    backend: B,
    limits: Arc<LiveLimits>,
    clock: Clock,
    /// What the bodies of pushes may take up together.
    pub(crate) memory: Budget,
    opened: Spares<Vec<u8>>,
    batches: Spares<B::Batch>,
    streams: StreamCaches,
    tenant_rates: RateLimiter<TenantId>,
    stream_rates: RateLimiter<(TenantId, Labels)>,
    metrics: IngestMetrics,
    stamps: Stamps,
}

impl<B: Backend> fmt::Debug for Core<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Why a body is not taken in.
enum Refused {
    /// It cannot be read.
    Unreadable(DecodeError),
    /// What it says is not stored.
    Push(PushError),
}

impl From<DecodeError> for Refused {
    fn from(error: DecodeError) -> Self {
        Self::Unreadable(error)
    }
}

impl From<PushError> for Refused {
    fn from(error: PushError) -> Self {
        Self::Push(error)
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
            opened: Spares::default(),
            batches: Spares::default(),
            streams: StreamCaches::default(),
            tenant_rates: RateLimiter::default(),
            stream_rates: RateLimiter::default(),
            metrics: IngestMetrics::new(registry),
            stamps: Stamps::default(),
        }
    }

    /// Takes in a body as it came.
    pub(crate) fn push(
        &self,
        tenant: &TenantId,
        envelope: Envelope,
        body: &[u8],
    ) -> Result<(), PushError> {
        self.opened(tenant, Some(envelope), body, |opened, limits, share| {
            let push = match envelope.format {
                Format::Json => json::decode(opened)?,
                Format::LegacyJson => legacy_json::decode(opened)?,
                // Text is not asked for here: what its lines are is said by those who know.
                Format::Protobuf | Format::Text => protobuf::decode(opened)?,
                Format::Otlp | Format::OtlpJson => {
                    let request = otlp::decode(opened, envelope.format, share)?;
                    let push = otlp::map(&request, limits, self.clock.now(), share)?;
                    return Ok(self.accept(tenant, push)?);
                }
            };
            Ok(self.accept(tenant, push)?)
        })
    }

    /// Does `work` on a body without its compression, with a share of the memory that is given back when the
    /// work is done. Without an envelope the body is as it is.
    fn opened<T>(
        &self,
        tenant: &TenantId,
        envelope: Option<Envelope>,
        body: &[u8],
        work: impl FnOnce(&[u8], &IngestLimits, &mut Share<'_>) -> Result<T, Refused>,
    ) -> Result<T, PushError> {
        let limits = self.limits.of(tenant);
        let mut share = self.memory.share(tenant);
        // Whoever read it holds it.
        share.beside(body.len());
        let mut spare = self.opened.take();
        let opened = match envelope {
            Some(envelope) => envelope.open(body, &limits.ingest, &mut share, &mut spare),
            None => Ok(Cow::Borrowed(body)),
        };
        let done = opened.map_err(Refused::from).and_then(|opened| {
            let done = work(&opened, &limits.ingest, &mut share);
            if let Cow::Owned(opened) = opened {
                spare = opened;
            }
            done
        });
        self.opened.give(spare);
        done.map_err(|refused| match refused {
            Refused::Push(error) => error,
            Refused::Unreadable(error) => {
                if matches!(error, DecodeError::TooLarge(_)) {
                    self.discard(tenant, Reason::RequestBodyTooLarge, 1, body.len());
                }
                let format = envelope.map_or(Format::Text, |envelope| envelope.format);
                PushError::undecodable(&error, format)
            }
        })
    }

    /// Takes in a body of text that `read` makes entries of. One without entries is fine.
    pub(crate) fn push_text(
        &self,
        tenant: &TenantId,
        envelope: Envelope,
        body: &[u8],
        read: impl for<'a> FnOnce(&'a str, &Self, &mut Gathered<'a, '_, '_>) -> Result<(), DecodeError>,
    ) -> Result<(), PushError> {
        self.opened(tenant, Some(envelope), body, |opened, limits, share| {
            let text = push::text(opened);
            let mut gathered = Gathered::new(limits, share);
            read(&text, self, &mut gathered)?;
            match gathered.finish() {
                (_, order) if order.is_empty() => Ok(()),
                (push, _) => Ok(self.accept(tenant, push)?),
            }
        })
    }

    /// Takes in the body of a bulk request; gives the answer's body.
    pub(crate) fn push_bulk(
        &self,
        tenant: &TenantId,
        envelope: Envelope,
        body: &[u8],
        bulk: &Bulk,
    ) -> Result<Vec<u8>, PushError> {
        let begun = std::time::Instant::now();
        self.opened(tenant, Some(envelope), body, |opened, limits, share| {
            let text = push::text(opened);
            let mut gathered = Gathered::new(limits, share);
            let items = bulk.read(&text, || self.stamp(), &mut gathered)?;
            let (push, order) = gathered.finish();
            let refusals = match order.is_empty() {
                true => Vec::new(),
                false => self.accept_each(tenant, push)?,
            };
            let mut by_index = vec![None; order.len()];
            for (place, refusal) in refusals.into_iter().enumerate() {
                by_index[order[place]] = refusal;
            }
            Ok(bulk::answer(&items, &by_index, begun.elapsed()))
        })
    }

    /// Takes in entries of journald's export format: a body as its envelope says, or a part of one that
    /// was read as it came.
    pub(crate) fn push_journal(
        &self,
        tenant: &TenantId,
        envelope: Option<Envelope>,
        body: &[u8],
        rules: &JournalRules,
    ) -> Result<(), PushError> {
        self.opened(tenant, envelope, body, |opened, limits, share| {
            let mut gathered = Gathered::new(limits, share);
            let fault = rules.read(opened, || self.stamp(), &mut gathered)?;
            self.accept_all(tenant, gathered)?;
            fault.map_or(Ok(()), |fault| Err(fault.into()))
        })
    }

    /// Takes in events that were read before, by whatever protocol. Entries that break a rule are left
    /// out, counted, and no error: whoever sent them could not mend them by sending them again. Gives
    /// those that a limit refuses for now, by their places in `events`.
    pub(crate) fn push_events(
        &self,
        tenant: &TenantId,
        events: &[Event],
    ) -> Result<Vec<Refusal>, PushError> {
        self.opened(tenant, None, &[], |_, limits, share| {
            let mut gathered = Gathered::new(limits, share);
            for event in events {
                event.add_to(&mut gathered)?;
            }
            Ok(self.accept_most(tenant, gathered)?)
        })
    }

    /// Takes in whole messages of the forward protocol, up to the first that is wrong. Gives how many
    /// are safe, which may be fewer than there are, and what is wrong with the next. `stamp` is as
    /// [`ForwardRules::add_all`] has it.
    ///
    /// # Errors
    /// What a later attempt may mend, 429 and 5xx; 413 where the first stands for more than there will ever be
    /// room for.
    pub(crate) fn push_forward(
        &self,
        tenant: &TenantId,
        rules: &ForwardRules,
        messages: &[u8],
        stamp: Timestamp,
    ) -> Result<(usize, Option<String>), PushError> {
        let all = self.push_messages(tenant, rules, messages, stamp);
        let lacks_room = matches!(
            &all,
            Err(error) if matches!(error.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::SERVICE_UNAVAILABLE)
        );
        match ForwardRules::first_of(messages) {
            // Together they may stand for more than there is room for, and each by itself not.
            Some(first) if lacks_room && first.len() < messages.len() => {
                self.push_messages(tenant, rules, first, stamp)
            }
            _ => all,
        }
    }

    fn push_messages(
        &self,
        tenant: &TenantId,
        rules: &ForwardRules,
        messages: &[u8],
        stamp: Timestamp,
    ) -> Result<(usize, Option<String>), PushError> {
        let mut opening = self.memory.share(tenant);
        self.opened(tenant, None, messages, |messages, limits, share| {
            let mut opened = ForwardRules::open(messages, limits, &mut opening);
            if let Some(DecodeError::Busy | DecodeError::TooLarge(_)) = opened.fault
                && let Some(fault) = opened.fault.take()
                && opened.is_empty()
            {
                return Err(fault.into());
            }
            share.beside(messages.len() + opening.bytes());
            let mut gathered = Gathered::new(limits, share);
            let added = rules.add_all(&opened, stamp, &mut gathered)?;
            self.accept_all(tenant, gathered)?;
            Ok(added)
        })
    }

    /// Takes in what was gathered, but for entries that break a rule. What a limit refuses for now is an
    /// error: all of it has to be sent again, and what is stored already is not stored twice.
    fn accept_all(
        &self,
        tenant: &TenantId,
        gathered: Gathered<'_, '_, '_>,
    ) -> Result<(), PushError> {
        let refusals = self.accept_most(tenant, gathered)?;
        Refusal::of_push(refusals).map_or(Ok(()), Err)
    }

    /// Takes in what was gathered. Entries that break a rule are left out; gives those that a limit
    /// refuses for now, as in [`push_events`](Self::push_events).
    fn accept_most(
        &self,
        tenant: &TenantId,
        gathered: Gathered<'_, '_, '_>,
    ) -> Result<Vec<Refusal>, PushError> {
        let (mut push, order) = gathered.finish();
        if order.is_empty() {
            return Ok(Vec::new());
        }
        let (checked, mut refusals) = self.take(tenant, &mut push, false)?;
        if let Some(text) = checked.messages.into_text() {
            tracing::warn!(%tenant, %text, "entries refused");
        }
        // Too far behind: it stays so.
        for refused in refusals.extract_if(.., |refusal| !refusal.is_for_now()) {
            tracing::warn!(%tenant, text = %refused.error.text, "entries refused");
        }
        for refusal in &mut refusals {
            refusal.places.iter_mut().for_each(|place| *place = order[*place]);
        }
        Ok(refusals)
    }

    /// What the clock says.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A time of its own for an entry that has none, or one in whole seconds.
    pub(crate) fn stamp_of(&self, second: Option<Timestamp>) -> Timestamp {
        match second {
            Some(second) => self.stamps.within(second, self.clock.now()),
            None => self.stamp(),
        }
    }

    /// A time for an entry that has none.
    pub(crate) fn stamp(&self) -> Timestamp {
        self.stamps.take(self.clock.now(), 1)
    }

    /// Times for so many entries, one after the other; the first of them.
    pub(crate) fn stamps(&self, count: usize) -> Timestamp {
        self.stamps.take(self.clock.now(), i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Takes in a decoded push: checks it, stores what passes and waits until that is durable.
    pub(crate) fn accept(&self, tenant: &TenantId, mut push: Push<'_>) -> Result<(), PushError> {
        if push.streams.is_empty() {
            let text = "error at least one valid stream is required for ingestion";
            return Err(PushError::new(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
        let (checked, refusals) = self.take(tenant, &mut push, false)?;
        Refusal::of_push(refusals).map_or(Ok(()), Err)?;
        match checked.messages.into_text() {
            Some(text) => Err(PushError::new(StatusCode::BAD_REQUEST, text)),
            None => Ok(()),
        }
    }

    /// The same, with an outcome for each entry, by its place in [`Push::entries`].
    fn accept_each(
        &self,
        tenant: &TenantId,
        mut push: Push<'_>,
    ) -> Result<Vec<Option<PushError>>, PushError> {
        let (checked, refusals) = self.take(tenant, &mut push, true)?;
        let mut outcomes = vec![None; push.entries.len()];
        for (entries, text) in checked.notes.into_iter().flatten() {
            let refusal = PushError::new(StatusCode::BAD_REQUEST, text);
            outcomes[entries].fill(Some(refusal));
        }
        for Refusal { places, error } in refusals {
            places.into_iter().for_each(|place| outcomes[place] = Some(error.clone()));
        }
        Ok(outcomes)
    }

    /// Checks a push and stores what passes; what was refused for what came before is the second.
    fn take(
        &self,
        tenant: &TenantId,
        push: &mut Push<'_>,
        notes: bool,
    ) -> Result<(Checked, Vec<Refusal>), PushError> {
        let limits = self.limits.of(tenant);
        let known = self.known_streams(tenant, push, &limits.ingest)?;
        let bytes = push.entries.iter().map(|entry| push.entry_bytes(entry)).sum();
        self.metrics.received(tenant, push.entries.len(), bytes);
        let now = self.clock.now();
        let checked = check(push, &known, &limits.ingest, now, notes);
        let mut checked = checked.map_err(|error| {
            PushError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        })?;
        let stored = self.store(tenant, push, &known, &mut checked, (&limits.ingest, now));
        self.metrics.discarded(tenant, &checked.discards);
        Ok((checked, stored?))
    }

    /// The streams of a push, in its order. One that cannot be read fails the push.
    fn known_streams(
        &self,
        tenant: &TenantId,
        push: &Push<'_>,
        limits: &IngestLimits,
    ) -> Result<Vec<Arc<KnownStream>>, PushError> {
        let streams = self.streams.of(limits);
        let mut all = Vec::with_capacity(push.streams.len());
        for stream in &push.streams {
            let known = streams.get(&stream.labels, limits).map_err(|error| {
                self.discard(tenant, Reason::InvalidLabels, push.entries.len(), 0);
                let text = format!("couldn't parse labels: {error}");
                PushError::new(StatusCode::BAD_REQUEST, text)
            });
            all.push(known?);
        }
        Ok(all)
    }

    /// Stores what passed the checks and the rules that depend on what came before.
    fn store(
        &self,
        tenant: &TenantId,
        push: &Push<'_>,
        known: &[Arc<KnownStream>],
        checked: &mut Checked,
        (limits, now): (&IngestLimits, Timestamp),
    ) -> Result<Vec<Refusal>, PushError> {
        if checked.lines == 0 {
            return Ok(Vec::new());
        }
        self.check_tenant_rate(tenant, limits, checked, now)?;
        let (backend, rates) = (&self.backend, &self.stream_rates);
        let window = Window { backend, limits, rates, rate: stream_rate(limits), tenant, now };
        let refusals = window.check(push, known, checked);
        if checked.lines > 0 {
            let mut batch = self.batches.take();
            batch.clear();
            fill(&mut batch, push, known, &checked.kept, limits.discover_log_levels)
                .map_err(|error| internal(&error))?;
            let stored = self.backend.append(tenant, &batch);
            self.batches.give(batch);
            stored.map_err(|error| {
                tracing::error!(%tenant, %error, "push not stored");
                PushError::store(&error)
            })?;
        }
        Ok(refusals)
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

/// What the limits say, but enough for the largest push when it is alone: as sent, and unpacked twice, with
/// as much again that a tenant leaves for others.
fn memory_bytes_max(limits: &LiveLimits) -> usize {
    let limits = limits.current();
    let largest = |limits: &IngestLimits| {
        let unpacked = limits.max_decompressed_size.saturating_mul(2);
        unpacked.saturating_add(limits.max_recv_msg_size)
    };
    let largest = limits.sets().map(|limits| largest(&limits.ingest)).max().unwrap_or_default();
    limits.section().ingest.push_memory_bytes_max.max(largest.saturating_mul(2))
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
