//! Live tails: what is appended goes to the clients that asked for it.
//!
//! ```text
//! Store::subscribe ──▶ feed (one task per distinct query: pipeline, once) ──▶ message (frame, made once)
//!                                                   └──▶ queue of each client ──▶ session ──▶ WebSocket, gRPC
//! ```
//!
//! A [`Session`] first gives the history that its client asked for, then what comes. A message and its
//! frame are shared by all clients of a feed, so that a client costs its socket and a queue of pointers.
//! Every queue is bounded; what finds no room is dropped and told in the next frame.

mod feed;
mod message;
mod session;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::{IntCounter, IntGauge, Registry};
use timberline_query::{Engine, QueryError};
use timberline_store::{TenantId, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) use self::feed::{Feed, FeedEnd};
pub(crate) use self::session::{Outgoing, Session};
use crate::metrics::registered;

/// What a client asks to follow.
#[derive(Clone, Debug)]
pub(crate) struct TailRequest {
    /// A log query.
    pub(crate) query: String,
    /// From when on entries are replayed that are there already.
    pub(crate) start: Timestamp,
    /// How many of those: the newest.
    pub(crate) limit: usize,
    /// How old an entry must be to be sent.
    pub(crate) delay: Duration,
}

/// All tails of a server.
pub(crate) struct Tails {
    registry: Mutex<Clients>,
    is_stopping: watch::Sender<bool>,
    metrics: TailMetrics,
    began: Instant,
}

#[derive(Default)]
struct Clients {
    feeds: HashMap<(TenantId, String), Arc<Feed>>,
    /// How many clients each tenant has.
    counts: HashMap<TenantId, usize>,
}

#[derive(Clone)]
struct TailMetrics {
    active: Option<IntGauge>,
    dropped: Option<IntCounter>,
}

impl fmt::Debug for Tails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tails").finish_non_exhaustive()
    }
}

impl Tails {
    /// No tails yet.
    pub(crate) fn new(registry: &Registry) -> Self {
        let active = IntGauge::new("loki_querier_tail_active", "Live tails.");
        let dropped = IntCounter::new(
            "timberline_tail_dropped_entries_total",
            "Entries that live tails were too slow for.",
        );
        let metrics = TailMetrics {
            active: registered(registry, active),
            dropped: registered(registry, dropped),
        };
        Self {
            registry: Mutex::default(),
            is_stopping: watch::Sender::new(false),
            metrics,
            began: Instant::now(),
        }
    }

    /// Since when there may be tails.
    pub(crate) const fn began(&self) -> Instant {
        self.began
    }

    /// Ends all tails without a word, so that clients take it for a broken connection and come again.
    pub(crate) fn stop(&self) {
        self.is_stopping.send_replace(true);
    }

    /// Becomes `true` when the tails end.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.is_stopping.subscribe()
    }

    /// Lets a client of the tenant in, which may have `clients_max` at a time; 0 is no limit. The query
    /// is `engine`'s where nobody follows it yet.
    ///
    /// # Errors
    /// [`QueryError::Refused`] where there are too many, and what the query's text gives.
    pub(crate) fn join(
        self: &Arc<Self>,
        engine: &Engine,
        tenant: &TenantId,
        request: &TailRequest,
        clients_max: usize,
    ) -> Result<Session, QueryError> {
        let mut clients = self.registry.lock();
        let count = clients.counts.get(tenant).copied().unwrap_or_default();
        if clients_max > 0 && count >= clients_max {
            return Err(QueryError::Refused(format!(
                "max concurrent tail requests limit exceeded, count > limit ({} > {clients_max})",
                count + 1
            )));
        }
        let key = (tenant.clone(), request.query.clone());
        let feed = match clients.feeds.get(&key) {
            Some(feed) if !feed.is_over() => Arc::clone(feed),
            _ => {
                let feed = Feed::start(engine, tenant, &request.query, &self.metrics)?;
                clients.feeds.insert(key.clone(), Arc::clone(&feed));
                feed
            }
        };
        let (id, queue) = feed.add_client();
        *clients.counts.entry(tenant.clone()).or_default() += 1;
        self.metrics.active.iter().for_each(IntGauge::inc);
        let place = Place { tails: Arc::clone(self), feed, key, id };
        Ok(Session::new(place, queue, request))
    }

    /// How many tails a tenant has.
    pub(crate) fn count(&self, tenant: &TenantId) -> usize {
        self.registry.lock().counts.get(tenant).copied().unwrap_or_default()
    }

    /// How many tails there are.
    pub(crate) fn count_all(&self) -> usize {
        self.registry.lock().counts.values().sum()
    }

    fn leave(&self, Place { feed, key, id, .. }: &Place) {
        let mut clients = self.registry.lock();
        self.metrics.active.iter().for_each(IntGauge::dec);
        // One that ended may have been followed by another.
        let is_current = |clients: &Clients| {
            clients.feeds.get(key).is_some_and(|current| Arc::ptr_eq(current, feed))
        };
        if feed.remove_client(*id) && is_current(&clients) {
            clients.feeds.remove(key);
        }
        if let Some(count) = clients.counts.get_mut(&key.0) {
            *count -= 1;
            if *count == 0 {
                clients.counts.remove(&key.0);
            }
        }
    }
}

/// A client's place; given back when it is dropped.
struct Place {
    tails: Arc<Tails>,
    feed: Arc<Feed>,
    key: (TenantId, String),
    id: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tails.leave(self);
    }
}
