//! The write path: from a push in any wire format to entries in the store.
//!
//! ```text
//! HTTP body ──▶ body (decompress, bounded) ──▶ json / protobuf / otlp ─┐
//! gRPC message ────────────────────────────────────────────────────────┴▶ Push ──▶ streams (labels, cached)
//!   ──▶ check (each entry by itself) ──▶ window (by what came before) ──▶ write (levels) ──▶ Store
//! ```
//!
//! A push is acknowledged when the store has made it durable, never before. What breaks a rule is
//! refused with Loki's words, and what is right about the same push is stored all the same.

mod body;
mod budget;
mod bulk;
mod check;
mod clock;
mod core;
mod error;
mod event;
mod fields;
mod forward;
#[doc(hidden)]
pub mod fuzzing;
mod go_text;
mod grpc;
mod journal;
mod json;
mod label_text;
mod legacy_json;
mod level;
mod limits;
mod lines;
mod metadata;
mod metrics;
mod otlp;
pub mod proto;
mod protobuf;
mod push;
mod rate;
mod reason;
mod spares;
mod streams;
mod syslog;
mod window;
mod write;

use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use prometheus::Registry;
use prost::Message as _;
use timberline_store::{Store, TenantId, Timestamp};

pub use self::body::Dialect;
pub(crate) use self::budget::{Lack, Share};
pub(crate) use self::bulk::{Bulk, error_body as bulk_error};
pub use self::clock::Clock;
pub use self::error::PushError;
pub(crate) use self::event::Event;
pub(crate) use self::fields::FieldRules;
pub(crate) use self::forward::{Envelope as ForwardEnvelope, ForwardRules, Greeting, Scanner};
pub(crate) use self::go_text::{quote as go_quote, rfc3339_nano};
pub use self::grpc::PushService;
pub(crate) use self::journal::{JournalRules, entries_end as journal_end};
pub(crate) use self::label_text::label_text;
pub(crate) use self::level::{FIELD_NAMES as LEVEL_FIELD_NAMES, LEVEL_NAME as DETECTED_LEVEL};
pub use self::limits::IngestLimits;
pub use self::otlp::{
    AttributeAction, AttributeRule, LogsService, NamePattern, OtlpConfig, ResourceAttributes,
};
pub(crate) use self::syslog::{Frames, SyslogRules};
pub(crate) use self::window::Refusal;

use self::body::{Envelope, Format};
use self::core::Core;
use self::proto::logproto::PushRequest;
use crate::config::LiveLimits;
use crate::turns::Turns;

/// Pushes that are worked on at the same time. Each has a thread, which waits for the disk and for room in
/// memory; half of the runtime's threads that may wait are left for queries and all else.
const PUSHES_MAX: usize = 256;

/// How long a push may wait for its turn. Agents give up after 10 s, and then send again.
const PATIENCE: Duration = Duration::from_secs(5);

/// The write path over a store. Cheap to clone; all clones share caches and rate limits.
#[derive(Clone, Debug)]
pub struct Ingester {
    core: Arc<Core<Store>>,
    turns: Turns,
    patience: Duration,
}

impl Ingester {
    /// The write path over `store`; its metrics go into `registry`.
    #[must_use]
    pub fn new(store: Store, limits: Arc<LiveLimits>, registry: &Registry) -> Self {
        Self::with_clock(store, limits, registry, Clock::system())
    }

    /// The same with a clock of the caller's.
    #[must_use]
    pub fn with_clock(
        store: Store,
        limits: Arc<LiveLimits>,
        registry: &Registry,
        clock: Clock,
    ) -> Self {
        let core = Arc::new(Core::new(store, limits, registry, clock));
        Self { core, turns: Turns::new(PUSHES_MAX, 0), patience: PATIENCE }
    }

    /// A share of the memory that there is for pushes, to read a tenant's body with.
    pub(crate) fn share(&self, tenant: &TenantId) -> Share<'_> {
        self.core.memory.share(tenant)
    }

    /// Whose push is next.
    pub(crate) const fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Takes in the body of a push over HTTP. When it returns `Ok`, every entry is durable.
    ///
    /// The work is done on a blocking thread, and goes on when the caller is dropped.
    ///
    /// # Errors
    /// [`PushError`]. A 400 may mean that a part of the push is stored, see there.
    pub async fn push_http(
        &self,
        tenant: &TenantId,
        dialect: Dialect,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<(), PushError> {
        // Without a known format, only the message counts.
        let envelope = Envelope::from_headers(headers, dialect)
            .map_err(|error| PushError::undecodable(&error, Format::Json))?;
        self.push_body(tenant, envelope, body).await
    }

    /// Takes in the body of `POST /otlp/v1/logs`: OpenTelemetry's records.
    ///
    /// # Errors
    /// As [`push_http`](Self::push_http).
    pub async fn push_otlp(
        &self,
        tenant: &TenantId,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<(), PushError> {
        let envelope = Envelope::of_otlp(headers)
            .map_err(|error| PushError::undecodable(&error, Format::Otlp))?;
        self.push_body(tenant, envelope, body).await
    }

    /// Takes in an `ExportLogsServiceRequest` that came over gRPC, as its bytes are.
    ///
    /// # Errors
    /// As [`push_http`](Self::push_http).
    pub async fn push_otlp_message(
        &self,
        tenant: &TenantId,
        message: Bytes,
    ) -> Result<(), PushError> {
        // While it waits for its turn it is as much in memory as a body of HTTP.
        let _share = self.hold(tenant, message.len(), Format::Otlp)?;
        self.push_body(tenant, Envelope::plain(Format::Otlp), message).await
    }

    /// A share of so many bytes of a message that has come.
    fn hold(
        &self,
        tenant: &TenantId,
        bytes: usize,
        format: Format,
    ) -> Result<Share<'_>, PushError> {
        let mut share = self.share(tenant);
        let held = share.grow(bytes);
        held.map_err(|lack| PushError::undecodable(&lack.into(), format))?;
        Ok(share)
    }

    async fn push_body(
        &self,
        tenant: &TenantId,
        envelope: Envelope,
        body: Bytes,
    ) -> Result<(), PushError> {
        self.blocking(tenant, move |core, tenant| core.push(tenant, envelope, &body)).await
    }

    /// Works off the threads that serve connections, once it is the tenant's turn.
    async fn blocking<T: Send + 'static>(
        &self,
        tenant: &TenantId,
        work: impl FnOnce(&Core<Store>, &TenantId) -> Result<T, PushError> + Send + 'static,
    ) -> Result<T, PushError> {
        // What waits holds its body, which is a part of the memory that there is for pushes.
        let turn = tokio::time::timeout(self.patience, self.turns.acquire(tenant)).await;
        let Ok(Ok(permit)) = turn else { return Err(PushError::busy()) };
        let (core, tenant) = (Arc::clone(&self.core), tenant.clone());
        let work = move || {
            let _permit = permit;
            work(&core, &tenant)
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
            tracing::error!(%error, "push died");
            let text = "internal error: the push was not finished";
            Err(PushError::new(StatusCode::INTERNAL_SERVER_ERROR, text))
        })
    }

    /// Takes in lines of JSON, an entry each.
    ///
    /// # Errors
    /// As [`push_http`](Self::push_http). A line that cannot be read fails the whole body.
    pub(crate) async fn push_json_lines(
        &self,
        tenant: &TenantId,
        rules: FieldRules,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<(), PushError> {
        let envelope = text_envelope(headers)?;
        self.blocking(tenant, move |core, tenant| {
            core.push_text(tenant, envelope, &body, |text, core, out| {
                lines::read_json(text, &rules, || core.stamp(), out)
            })
        })
        .await
    }

    /// Takes in lines of any text as entries of one stream, in their order.
    ///
    /// # Errors
    /// As [`push_http`](Self::push_http).
    pub(crate) async fn push_plain_lines(
        &self,
        tenant: &TenantId,
        labels: String,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<(), PushError> {
        let envelope = text_envelope(headers)?;
        self.blocking(tenant, move |core, tenant| {
            core.push_text(tenant, envelope, &body, |text, core, out| {
                lines::read_plain(text, &labels, |count| core.stamps(count), out)
            })
        })
        .await
    }

    /// Takes in a bulk request of Elasticsearch's clients. Gives the body of the answer, with an outcome
    /// for each item: those that are said to be stored are durable.
    ///
    /// # Errors
    /// As [`push_http`](Self::push_http), where the request fails as a whole.
    pub(crate) async fn push_bulk(
        &self,
        tenant: &TenantId,
        bulk: Bulk,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Vec<u8>, PushError> {
        let envelope = text_envelope(headers)?;
        self.blocking(tenant, move |core, tenant| core.push_bulk(tenant, envelope, &body, &bulk))
            .await
    }

    /// Takes in entries of journald's export format: a body with these headers, which may be compressed, or
    /// a part of one that was read as it came. Entries that break a rule are left out and counted.
    ///
    /// # Errors
    /// Bytes that are no entries: those before them are stored. And what a later attempt may mend.
    pub(crate) async fn push_journal(
        &self,
        tenant: &TenantId,
        rules: Arc<JournalRules>,
        headers: Option<&HeaderMap>,
        entries: Bytes,
    ) -> Result<(), PushError> {
        let envelope = headers.map(text_envelope).transpose()?;
        self.blocking(tenant, move |core, tenant| {
            core.push_journal(tenant, envelope, &entries, &rules)
        })
        .await
    }

    /// Takes in events. Those that break a rule are left out and counted. Gives those that a limit refuses
    /// for now, by their places in `events`; all others are durable.
    ///
    /// # Errors
    /// What a later attempt may mend: 429 and 5xx. Nothing is stored then.
    pub(crate) async fn push_events(
        &self,
        tenant: &TenantId,
        events: Arc<Vec<Event>>,
    ) -> Result<Vec<Refusal>, PushError> {
        self.blocking(tenant, move |core, tenant| core.push_events(tenant, &events)).await
    }

    /// Takes in whole messages of the forward protocol. Gives how many are safe, which may be fewer than
    /// there are, and what is wrong with the one behind them.
    ///
    /// # Errors
    /// As [`Core::push_forward`]. Some of the entries may be stored then.
    pub(crate) async fn push_forward(
        &self,
        tenant: &TenantId,
        rules: Arc<ForwardRules>,
        messages: Bytes,
        stamp: Timestamp,
    ) -> Result<(usize, Option<String>), PushError> {
        self.blocking(tenant, move |core, tenant| {
            core.push_forward(tenant, &rules, &messages, stamp)
        })
        .await
    }

    /// The entry of a syslog message, see [`SyslogRules::event`].
    pub(crate) fn syslog_event(&self, rules: &SyslogRules, bytes: &[u8], sender: &str) -> Event {
        let core = &self.core;
        rules.event(bytes, sender, core.now(), |second| core.stamp_of(second))
    }

    /// Times that no other entry without one has, one after the other; the first of them.
    pub(crate) fn stamps(&self, count: usize) -> Timestamp {
        self.core.stamps(count)
    }

    /// Takes in a request that came over gRPC. When it returns `Ok`, every entry is durable.
    ///
    /// # Errors
    /// As [`push_http`](Self::push_http).
    pub async fn push_request(
        &self,
        tenant: &TenantId,
        request: PushRequest,
    ) -> Result<(), PushError> {
        let _share = self.hold(tenant, request.encoded_len(), Format::Protobuf)?;
        self.blocking(tenant, move |core, tenant| {
            let push = protobuf::borrow(&request);
            let push = push.map_err(|error| PushError::undecodable(&error, Format::Protobuf))?;
            core.accept(tenant, push)
        })
        .await
    }
}

fn text_envelope(headers: &HeaderMap) -> Result<Envelope, PushError> {
    Envelope::of_text(headers).map_err(|error| PushError::undecodable(&error, Format::Text))
}

#[cfg(test)]
mod tests {
    use timberline_store::MemVfs;

    use super::*;
    use crate::config::LimitsConfig;

    const BODY: &str =
        r#"{"streams":[{"stream":{"a":"b"},"values":[["1793534400000000000","x"]]}]}"#;

    #[test]
    fn a_push_whose_turn_does_not_come_is_refused_and_nothing_of_it_is_stored() {
        let store = Store::builder().vfs(Arc::new(MemVfs::new())).open("/db").unwrap();
        let limits = Arc::new(LiveLimits::new(LimitsConfig::default().into()));
        let clock = Clock::from_fn(|| 1_793_534_400_000_000_000);
        let mut ingester = Ingester::with_clock(store.clone(), limits, &Registry::new(), clock);
        ingester.turns = Turns::new(1, 0);
        ingester.patience = Duration::from_millis(1);
        let (a, b) = (TenantId::new("a").unwrap(), TenantId::new("b").unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let push = || {
                let envelope = Envelope::plain(Format::Json);
                ingester.push_body(&b, envelope, Bytes::from_static(BODY.as_bytes()))
            };
            // As a push that waits for room in memory.
            let taken = ingester.turns.acquire(&a).await.unwrap();
            let refused = push().await.unwrap_err();
            assert_eq!(
                (refused.status.as_u16(), refused.retry_after),
                (503, Some(Duration::from_secs(1)))
            );
            assert_eq!(store.stats().appends, 0);
            drop(taken);
            push().await.unwrap();
            assert_eq!(store.stats().appends, 1);
            assert_eq!(ingester.turns.lengths(), (0, 0), "who gave up is not waited for");
        });
    }
}
