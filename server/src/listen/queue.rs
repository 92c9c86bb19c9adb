//! Entries on their way to the store, so many bytes of them: many that come one by one share a sync.
//!
//! A limit may refuse the entries of a few streams for now. They are tried again apart, so that the others
//! need not wait, as long as they take up no more than half of the space.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::http::StatusCode;
use parking_lot::Mutex;
use timberline_store::TenantId;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::{PAUSE_MIN, PortMetrics, reason, until_stored};
use crate::ingest::{Event, Ingester, PushError, Refusal};

/// Entries that are stored together at the most.
const BATCH_MAX: usize = 10_000;

/// What an entry takes up beside its texts, about.
const ENTRY_BYTES: usize = 256;

type Waiting = (Event, OwnedSemaphorePermit);

/// Entries, and the space that they take up.
type Waits = (Vec<Event>, Vec<OwnedSemaphorePermit>);

/// Where entries wait. Cheap to clone; when the last is gone, so is the queue once it is empty.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    sender: UnboundedSender<Waiting>,
    space: Arc<Semaphore>,
    bytes_max: u32,
    waiting: Arc<AtomicUsize>,
}

/// The other end.
#[derive(Debug)]
pub(super) struct Drain {
    receiver: UnboundedReceiver<Waiting>,
    store: Store,
    /// How much of the space those may take up that are tried again.
    again_max: usize,
}

/// Where entries go.
#[derive(Clone, Debug)]
struct Store {
    ingester: Ingester,
    tenant: TenantId,
    metrics: PortMetrics,
    /// How many entries came and are neither stored nor dropped.
    waiting: Arc<AtomicUsize>,
}

/// A queue of `bytes_max` bytes for entries of a tenant.
pub(super) fn queue(
    bytes_max: usize,
    ingester: &Ingester,
    tenant: TenantId,
    metrics: PortMetrics,
) -> (Queue, Drain) {
    let bytes_max = u32::try_from(bytes_max.max(ENTRY_BYTES)).unwrap_or(u32::MAX);
    let permits = usize::try_from(bytes_max).unwrap_or(Semaphore::MAX_PERMITS);
    // No bound of its own is needed: what waits holds a part of the space.
    let (sender, receiver) = mpsc::unbounded_channel();
    let space = Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
    let waiting = Arc::new(AtomicUsize::new(0));
    let store =
        Store { ingester: ingester.clone(), tenant, metrics, waiting: Arc::clone(&waiting) };
    let drain = Drain { receiver, store, again_max: permits / 2 };
    (Queue { sender, space, bytes_max, waiting }, drain)
}

impl Queue {
    /// Puts an entry in where there is room.
    pub(super) fn offer(&self, event: Event) -> bool {
        let space = Arc::clone(&self.space).try_acquire_many_owned(self.cost(&event));
        let Ok(space) = space else { return false };
        self.send(event, space);
        true
    }

    /// Puts an entry in once there is room.
    pub(super) async fn add(&self, event: Event) {
        // The space is never closed; the receiver goes last.
        if let Ok(space) = Arc::clone(&self.space).acquire_many_owned(self.cost(&event)).await {
            self.send(event, space);
        }
    }

    fn send(&self, event: Event, space: OwnedSemaphorePermit) {
        // Nothing but the number is shared, so no order has to be kept.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // The receiver goes when the port does, and tells what was waiting.
        let _ = self.sender.send((event, space));
    }

    fn cost(&self, event: &Event) -> u32 {
        let metadata: usize =
            event.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        let bytes = ENTRY_BYTES + event.labels.len() + event.line.len() + metadata;
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max)
    }
}

impl Drain {
    /// Stores what comes until nothing can come any more.
    pub(super) async fn run(mut self) {
        let (mut came, mut refused) = (Vec::new(), Vec::new());
        let (mut trying, mut tried) = (JoinSet::new(), 0);
        loop {
            let space: usize = refused.iter().map(space_of).sum();
            tokio::select! {
                count = self.receiver.recv_many(&mut came, BATCH_MAX), if space + tried <= self.again_max => {
                    if count == 0 {
                        break;
                    }
                    refused.extend(self.store.take(came.drain(..).unzip()).await);
                }
                Some(_) = trying.join_next() => tried = 0,
            }
            if trying.is_empty() && !refused.is_empty() {
                tried = refused.iter().map(space_of).sum();
                let waits = refused.drain(..).unzip();
                trying.spawn(self.store.clone().take_again(waits));
            }
        }
        while trying.join_next().await.is_some() {}
        self.store.clone().take_again(refused.into_iter().unzip()).await;
    }
}

impl Drop for Drain {
    /// The port may be made to end while a store that fails is waited for.
    fn drop(&mut self) {
        let count = self.store.waiting.load(Ordering::Relaxed);
        if count > 0 {
            self.store.metrics.dropped("stopped", count);
            tracing::error!(count, "messages that were not stored before the end are lost");
        }
    }
}

fn space_of((_, space): &Waiting) -> usize {
    space.num_permits()
}

impl Store {
    /// Stores entries, and gives back those that a limit refuses for now.
    async fn take(&self, waits: Waits) -> Vec<Waiting> {
        let (mut parts, mut waiting) = (vec![waits], Vec::new());
        while let Some((events, mut space)) = parts.pop() {
            let events = Arc::new(events);
            let push = || self.ingester.push_events(&self.tenant, Arc::clone(&events));
            let stored = until_stored(push).await;
            match stored {
                // Together they stand for more than there is room for, each by itself perhaps not.
                Err(error) if error.status == StatusCode::PAYLOAD_TOO_LARGE && events.len() > 1 => {
                    let mut events = Arc::unwrap_or_clone(events);
                    let half = events.len() / 2;
                    let rest = (events.split_off(half), space.split_off(half));
                    parts.extend([rest, (events, space)]);
                }
                Err(error) => {
                    self.dropped(events.len(), &error);
                    self.waiting.fetch_sub(events.len(), Ordering::Relaxed);
                }
                Ok(refusals) => waiting.extend(self.refused(&events, space, &places(&refusals))),
            }
        }
        waiting
    }

    /// Those of the entries that were refused, when the others are stored.
    fn refused(
        &self,
        events: &[Event],
        space: Vec<OwnedSemaphorePermit>,
        refused: &[usize],
    ) -> Vec<Waiting> {
        self.waiting.fetch_sub(events.len() - refused.len(), Ordering::Relaxed);
        let mut space: Vec<_> = space.into_iter().map(Some).collect();
        let waiting =
            refused.iter().filter_map(|&at| Some((events[at].clone(), space[at].take()?)));
        waiting.collect()
    }

    /// Stores entries that were refused before. What is refused for long is dropped and counted.
    async fn take_again(self, (events, space): Waits) {
        if events.is_empty() {
            return;
        }
        tokio::time::sleep(PAUSE_MIN).await;
        let (count, left) = (events.len(), Mutex::new(Arc::new(events)));
        if let Err(error) = until_stored(|| self.push_left(&left)).await {
            self.dropped(left.lock().len(), &error);
        }
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        drop(space);
    }

    /// Stores what is left, and leaves what is refused.
    async fn push_left(&self, left: &Mutex<Arc<Vec<Event>>>) -> Result<(), PushError> {
        let events = Arc::clone(&left.lock());
        let refusals = self.ingester.push_events(&self.tenant, Arc::clone(&events)).await?;
        let refused = places(&refusals).into_iter().map(|at| events[at].clone());
        *left.lock() = Arc::new(refused.collect());
        Refusal::of_push(refusals).map_or(Ok(()), Err)
    }

    fn dropped(&self, count: usize, error: &PushError) {
        self.metrics.dropped(reason(error), count);
        tracing::error!(text = %error.text, count, "messages dropped");
    }
}

fn places(refusals: &[Refusal]) -> Vec<usize> {
    refusals.iter().flat_map(|refusal| refusal.places.iter().copied()).collect()
}
