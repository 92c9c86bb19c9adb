//! Entries on their way to the store, so many bytes of them: many that come one by one share a sync.

use std::sync::Arc;

use timberline_store::TenantId;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{PortMetrics, reason, until_stored};
use crate::ingest::{Event, Ingester};

/// Entries that are stored together at the most.
const BATCH_MAX: usize = 10_000;

/// What an entry takes up beside its texts, about.
const ENTRY_BYTES: usize = 256;

type Waiting = (Event, OwnedSemaphorePermit);

/// Where entries wait. Cheap to clone; when the last is gone, so is the queue once it is empty.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    sender: UnboundedSender<Waiting>,
    space: Arc<Semaphore>,
    bytes_max: u32,
}

/// The other end.
#[derive(Debug)]
pub(super) struct Drain {
    receiver: UnboundedReceiver<Waiting>,
    ingester: Ingester,
    tenant: TenantId,
    metrics: PortMetrics,
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
    let drain = Drain { receiver, ingester: ingester.clone(), tenant, metrics };
    (Queue { sender, space, bytes_max }, drain)
}

impl Queue {
    /// Puts an entry in where there is room.
    pub(super) fn offer(&self, event: Event) -> bool {
        let space = Arc::clone(&self.space).try_acquire_many_owned(self.cost(&event));
        let Ok(space) = space else { return false };
        self.sender.send((event, space)).is_ok()
    }

    /// Puts an entry in once there is room.
    pub(super) async fn add(&self, event: Event) {
        // The space is never closed; the receiver goes last.
        if let Ok(space) = Arc::clone(&self.space).acquire_many_owned(self.cost(&event)).await {
            let _ = self.sender.send((event, space));
        }
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
        let mut waiting = Vec::new();
        while self.receiver.recv_many(&mut waiting, BATCH_MAX).await > 0 {
            let (events, space): (Vec<Event>, Vec<_>) = waiting.drain(..).unzip();
            let (events, count) = (Arc::new(events), space.len());
            let stored =
                until_stored(|| self.ingester.push_events(&self.tenant, Arc::clone(&events))).await;
            if let Err(error) = stored {
                self.metrics.dropped(reason(&error), count);
                tracing::error!(text = %error.text, count, "messages dropped");
            }
            drop(space);
        }
    }
}
