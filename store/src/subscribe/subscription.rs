//! The subscriber's end.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::Subscribers;
use super::queue::Queue;
use crate::deletes::ActiveDelete;
use crate::head::HeadRun;
use crate::{Batch, Labels, TenantId, Timestamp};

/// New entries of one stream: those of one append, at most some 256 KiB of lines at a time.
#[derive(Clone, Debug)]
pub struct Appended {
    labels: Labels,
    batch: Batch,
    position: u64,
    bytes: usize,
}

impl Appended {
    pub(super) fn new(labels: Labels, run: &HeadRun, position: u64) -> Self {
        let batch = run.to_batch();
        let metadata: usize = batch.metadata_sets().iter().map(Labels::text_bytes).sum();
        let bytes = run.text_bytes() + size_of_val(batch.rows()) + size_of::<Self>() + metadata;
        Self { labels, batch, position, bytes }
    }

    /// The stream's labels.
    #[must_use]
    pub const fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The entries by ascending time, with lines and metadata.
    #[must_use]
    pub const fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The entries' place in the order of appends, for
    /// [`Store::snapshot_with_position`](crate::Store::snapshot_with_position). Never falls; streams of
    /// one append have the same.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Without what is older than `start`.
    pub(super) fn from(mut self, start: Timestamp) -> Self {
        self.batch.rows.retain(|row| row.timestamp >= start);
        self
    }

    /// The rest, where a request takes some of it. It counts the same in a queue: the text is still held.
    pub(super) fn without(&self, delete: &ActiveDelete) -> Option<Self> {
        if !delete.selects(&self.labels) {
            return None;
        }
        let mut is_taken = vec![false; self.batch.rows.len()];
        delete.mark(&self.labels, &self.batch, &mut is_taken);
        if !is_taken.contains(&true) {
            return None;
        }
        let mut rest = self.clone();
        let mut marks = is_taken.into_iter();
        rest.batch.rows.retain(|_| !marks.next().unwrap_or(false));
        Some(rest)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batch.rows.is_empty()
    }

    /// What it counts in a queue.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Entries that a subscriber was too slow for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DroppedEntries {
    /// How many.
    pub count: u64,
    /// The first of them, up to [`FIRST_MAX`](Self::FIRST_MAX): when, and which stream.
    pub first: Vec<(Timestamp, Labels)>,
}

impl DroppedEntries {
    /// How many are told one by one: a thousand, as in Loki's live tails. The others are counted.
    pub const FIRST_MAX: usize = 1000;
}

/// Gives what is appended to the streams that a selector names, from the moment it was made.
///
/// Made by [`Store::subscribe`](crate::Store::subscribe). Every entry that is new to the store comes
/// once, after it is durable and before its append returns, unless it is past its retention by then or
/// deleted before it is received. The queue is bounded: what finds no room is
/// dropped and told by [`take_dropped`](Self::take_dropped). Receive by blocking ([`recv`](Self::recv)),
/// by asking ([`try_recv`](Self::try_recv)), or from any async runtime ([`poll_recv`](Self::poll_recv)).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// use timberline_store::{Labels, MatchOp, Matcher, Store, TenantId, WriteBatch};
///
/// let store = Store::open(directory.path())?;
/// let tenant = TenantId::new("acme")?;
/// let shop = Matcher::new("app", MatchOp::Equal, "shop")?;
/// let mut subscription = store.subscribe(&tenant, &[shop], 1 << 20)?;
///
/// let mut batch = WriteBatch::new();
/// batch.stream(&Labels::from_pairs([("app", "shop")])?);
/// batch.push(1_700_000_000_000_000_000, b"order 17 paid", &[])?;
/// store.append(&tenant, &batch)?;
///
/// let appended = subscription.recv().ok_or("the store was closed")?;
/// let row = &appended.batch().rows()[0];
/// assert_eq!(appended.batch().line(row), b"order 17 paid");
/// assert_eq!(subscription.take_dropped().count, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Subscription {
    subscribers: Arc<Subscribers>,
    tenant: TenantId,
    id: u64,
    queue: Arc<Queue>,
}

impl Subscription {
    pub(super) const fn new(
        subscribers: Arc<Subscribers>,
        tenant: TenantId,
        id: u64,
        queue: Arc<Queue>,
    ) -> Self {
        Self { subscribers, tenant, id, queue }
    }

    /// Waits for the next entries. `None` when the store was closed and all was received.
    pub fn recv(&mut self) -> Option<Arc<Appended>> {
        self.queue.recv(None)
    }

    /// Waits for the next entries no longer than `timeout`. `None` after that, and at the end, which
    /// [`is_over`](Self::is_over) tells apart.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Option<Arc<Appended>> {
        // A time that no clock reaches is for ever.
        self.queue.recv(Instant::now().checked_add(timeout))
    }

    /// The next entries, if there are any now.
    pub fn try_recv(&mut self) -> Option<Arc<Appended>> {
        self.queue.try_recv()
    }

    /// The next entries for a task: pending until there are some, `None` at the end. The task polled
    /// last is woken.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Arc<Appended>>> {
        self.queue.poll_recv(context)
    }

    /// What was dropped since this was asked the last time: entries that came while the queue was full.
    pub fn take_dropped(&mut self) -> DroppedEntries {
        self.queue.take_dropped()
    }

    /// Whether the store was closed and all was received.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.queue.is_over()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.subscribers.remove(&self.tenant, self.id);
    }
}
