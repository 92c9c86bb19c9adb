//! The rules that depend on what came before: how many streams there are, how fast one grows, how far
//! an entry is behind its stream.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ::http::StatusCode;
use timberline_store::{Labels, TenantId, Timestamp};

use super::check::Checked;
use super::error::PushError;
use super::go_text::{byte_size, rfc3339, time_string};
use super::limits::IngestLimits;
use super::push::Push;
use super::rate::{Rate, RateLimiter};
use super::reason::Reason;
use super::streams::KnownStream;
use super::write::Backend;

/// How many refused entries of a stream an answer names.
const ENTRIES_NAMED_MAX: usize = 10;

/// When a client may ask again for a stream that was one too many. Streams end when nothing has come for
/// them and the head is flushed, which takes minutes.
const STREAMS_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Refuses streams and entries by what came before.
pub(crate) struct Window<'a, B> {
    pub(crate) backend: &'a B,
    pub(crate) limits: &'a IngestLimits,
    pub(crate) rates: &'a RateLimiter<(TenantId, Labels)>,
    /// What each stream may grow by; `None` is any rate.
    pub(crate) rate: Option<Rate>,
    pub(crate) tenant: &'a TenantId,
    pub(crate) now: Timestamp,
}

/// Entries of a stream that are refused for what came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Which, by their places in [`Push::entries`].
    pub(crate) places: Vec<usize>,
    pub(crate) error: PushError,
}

impl Refusal {
    /// Whether the same entries may pass later.
    pub(crate) fn is_for_now(&self) -> bool {
        self.error.status == StatusCode::TOO_MANY_REQUESTS
    }

    /// What a push as a whole is answered: a refusal that a later attempt may mend, where there is one.
    /// What is refused for good is refused again then, and told.
    pub(crate) fn of_push(refusals: Vec<Self>) -> Option<PushError> {
        let at = refusals.iter().position(Self::is_for_now).unwrap_or(0);
        refusals.into_iter().nth(at).map(|refusal| refusal.error)
    }
}

/// Entries of a stream that are refused, as the answer names them.
#[derive(Default)]
struct Ignored {
    text: String,
    count: usize,
}

impl Ignored {
    fn add(&mut self, timestamp: Timestamp, reason: &str) {
        self.count += 1;
        if self.count <= ENTRIES_NAMED_MAX {
            let time = time_string(timestamp);
            // Writing to a String cannot fail.
            let _ = writeln!(self.text, "entry with timestamp {time} ignored, reason: '{reason}',");
        }
    }
}

impl<B: Backend> Window<'_, B> {
    /// Takes out of `checked` what is refused, and says why, stream by stream.
    pub(crate) fn check(
        &self,
        push: &Push<'_>,
        known: &[Arc<KnownStream>],
        checked: &mut Checked,
    ) -> Vec<Refusal> {
        let mut refusals = self.check_stream_count(push, known, checked);
        for (index, stream) in known.iter().enumerate() {
            let refused = self
                .check_rate(push, index, stream, checked)
                .or_else(|| self.check_lag(push, index, stream, checked));
            refusals.extend(refused);
        }
        refusals
    }

    /// Refuses streams that would be one too many. Streams that are active already always pass.
    fn check_stream_count(
        &self,
        push: &Push<'_>,
        known: &[Arc<KnownStream>],
        checked: &mut Checked,
    ) -> Vec<Refusal> {
        let max = self.limits.max_global_streams_per_user;
        let active = self.backend.active_streams(self.tenant);
        // Asking for each stream costs a look-up; far from the limit there is no need to.
        if max == 0 || active.saturating_add(known.len()) <= max {
            return Vec::new();
        }
        let (mut added, mut refusals) = (HashSet::new(), Vec::new());
        for (index, stream) in known.iter().enumerate() {
            let is_new = || self.backend.newest_entry(self.tenant, &stream.labels).is_none();
            let wanted = checked.keeps_any(push, index) && !added.contains(&stream.labels);
            if !wanted || !is_new() {
                continue;
            }
            if active.saturating_add(added.len()) < max {
                added.insert(&stream.labels);
                continue;
            }
            let entries = push.streams[index].entries.clone();
            let places = checked.refuse(push, entries, Reason::StreamLimit);
            refusals.push(Refusal { places, error: self.too_many_streams(&stream.name) });
        }
        refusals
    }

    fn too_many_streams(&self, stream: &str) -> PushError {
        let text = format!(
            "maximum active stream limit exceeded when trying to create stream {stream}, reduce the \
             number of active streams (reduce labels or reduce label values), or contact your Loki \
             administrator to see if the limit can be increased, user: '{}'",
            self.tenant
        );
        PushError::new(StatusCode::TOO_MANY_REQUESTS, text).retry_after(Some(STREAMS_RETRY_AFTER))
    }

    /// Refuses a stream as a whole that grows too fast.
    fn check_rate(
        &self,
        push: &Push<'_>,
        index: usize,
        stream: &KnownStream,
        checked: &mut Checked,
    ) -> Option<Refusal> {
        let rate = self.rate?;
        let entries = push.streams[index].entries.clone();
        let kept = || entries.clone().filter(|&place| checked.kept[place]);
        let bytes: usize = kept().map(|place| push.entry_bytes(&push.entries[place])).sum();
        let key = (self.tenant.clone(), stream.labels.clone());
        if bytes == 0 {
            return None;
        }
        let exceeded = self.rates.take(key, rate, bytes, self.now).err()?;
        let reason = format!(
            "Per stream rate limit exceeded (limit: {}/sec) while attempting to ingest for stream \
             '{}' totaling {}, consider splitting a stream via additional labels or contact your \
             Loki administrator to see if the limit can be increased",
            byte_size(rate.per_second()),
            stream.name,
            byte_size(u64::try_from(bytes).unwrap_or(u64::MAX)),
        );
        let mut ignored = Ignored::default();
        kept().for_each(|place| ignored.add(push.entries[place].timestamp, &reason));
        let places = checked.refuse(push, entries.clone(), Reason::PerStreamRateLimit);
        let error = self.ignored(StatusCode::TOO_MANY_REQUESTS, ignored, entries.len(), stream);
        Some(Refusal { places, error: error.retry_after(exceeded.retry_after) })
    }

    /// Refuses the entries that are too far behind the newest of their stream.
    fn check_lag(
        &self,
        push: &Push<'_>,
        index: usize,
        stream: &KnownStream,
        checked: &mut Checked,
    ) -> Option<Refusal> {
        let lag =
            Timestamp::try_from(self.limits.max_entry_lag.as_nanos()).unwrap_or(Timestamp::MAX);
        if lag == 0 || !checked.keeps_any(push, index) {
            return None;
        }
        let entries = push.streams[index].entries.clone();
        let stored = self.backend.newest_entry(self.tenant, &stream.labels);
        let mut newest = stored.unwrap_or(Timestamp::MIN);
        let (mut ignored, mut places) = (Ignored::default(), Vec::new());
        for place in entries.clone() {
            let timestamp = push.entries[place].timestamp;
            let oldest = newest.saturating_sub(lag);
            if !checked.kept[place] || timestamp >= oldest {
                newest = if checked.kept[place] { newest.max(timestamp) } else { newest };
                continue;
            }
            let reason = format!(
                "entry too far behind, entry timestamp is: {}, oldest acceptable timestamp is: {}",
                rfc3339(timestamp),
                rfc3339(oldest)
            );
            ignored.add(timestamp, &reason);
            places.extend(checked.refuse(push, place..place + 1, Reason::TooFarBehind));
        }
        (!places.is_empty()).then(|| {
            let error = self.ignored(StatusCode::BAD_REQUEST, ignored, entries.len(), stream);
            Refusal { places, error }
        })
    }

    fn ignored(
        &self,
        status: StatusCode,
        ignored: Ignored,
        of: usize,
        stream: &KnownStream,
    ) -> PushError {
        let Ignored { mut text, count } = ignored;
        let (tenant, name) = (self.tenant, &stream.name);
        // Writing to a String cannot fail.
        let _ =
            write!(text, "user '{tenant}', total ignored: {count} out of {of} for stream: {name}");
        PushError::new(status, text)
    }
}
