//! One query's entries, evaluated once for all its clients.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::IntCounter;
use timberline_query::{Engine, QueryError, TailEntry, TailQuery};
use timberline_store::{Appended, DroppedEntries, Labels, Subscription, TenantId, Timestamp};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::TailMetrics;
use super::message::Message;

/// Bytes that may wait to be evaluated, and to be sent to each client. Clients share their messages.
const QUEUE_BYTES_MAX: usize = 8 << 20;

/// Bytes of lines that are evaluated at a time.
const ROUND_BYTES_MAX: usize = 1 << 20;

/// More are evaluated on a blocking thread, since a pipeline may take its time.
const INLINE_BYTES_MAX: usize = 16 << 10;

/// Between two rounds, so that what comes one by one goes out together: with thousands of clients each
/// message is thousands of writes.
const ROUND_PAUSE: Duration = Duration::from_millis(10);

/// Dropped entries that a client is told one by one.
const DROPPED_TOLD_MAX: usize = 1000;

/// One query with its clients.
pub(crate) struct Feed {
    query: Arc<TailQuery>,
    clients: Mutex<FeedClients>,
    dropped: Option<IntCounter>,
    task: Mutex<Option<AbortHandle>>,
}

#[derive(Default)]
struct FeedClients {
    queues: HashMap<u64, Arc<ClientQueue>>,
    last_id: u64,
    is_over: bool,
}

impl Feed {
    /// Begins to follow a query. Must be called within the runtime.
    pub(super) fn start(
        engine: &Engine,
        tenant: &TenantId,
        query: &str,
        metrics: &TailMetrics,
    ) -> Result<Arc<Self>, QueryError> {
        let (query, subscription) = engine.tail(tenant, query, QUEUE_BYTES_MAX)?;
        let feed = Arc::new(Self {
            query,
            clients: Mutex::default(),
            dropped: metrics.dropped.clone(),
            task: Mutex::default(),
        });
        let task = tokio::spawn(run(Arc::downgrade(&feed), Arc::clone(&feed.query), subscription));
        *feed.task.lock() = Some(task.abort_handle());
        Ok(feed)
    }

    /// The query, for the history.
    pub(super) const fn query(&self) -> &Arc<TailQuery> {
        &self.query
    }

    pub(super) fn add_client(&self) -> (u64, Arc<ClientQueue>) {
        let mut clients = self.clients.lock();
        clients.last_id += 1;
        let id = clients.last_id;
        let queue = Arc::new(ClientQueue::default());
        queue.state.lock().is_over = clients.is_over;
        clients.queues.insert(id, Arc::clone(&queue));
        (id, queue)
    }

    /// Says whether nobody is left; the feed has then ended.
    pub(super) fn remove_client(&self, id: u64) -> bool {
        let mut clients = self.clients.lock();
        clients.queues.remove(&id);
        let is_left = clients.queues.is_empty();
        if is_left && let Some(task) = self.task.lock().take() {
            task.abort();
        }
        is_left
    }

    fn send(&self, messages: &[Arc<Message>], dropped: &DroppedEntries) {
        let clients = self.clients.lock();
        let mut lost = 0;
        for queue in clients.queues.values() {
            lost += queue.push(messages, dropped);
        }
        self.dropped.iter().for_each(|dropped| dropped.inc_by(lost));
    }

    fn end(&self) {
        let mut clients = self.clients.lock();
        clients.is_over = true;
        for queue in clients.queues.values() {
            queue.state.lock().is_over = true;
            queue.news.notify_one();
        }
    }
}

/// Evaluates what comes until the store is closed or the last client has gone.
async fn run(feed: Weak<Feed>, query: Arc<TailQuery>, mut subscription: Subscription) {
    while let Some(first) = poll_fn(|context| subscription.poll_recv(context)).await {
        let (round, bytes) = collect(first, &mut subscription);
        let entries = evaluate(&query, round, bytes).await;
        let dropped = subscription.take_dropped();
        let Some(feed) = feed.upgrade() else { return };
        if !entries.is_empty() || dropped.count > 0 {
            feed.send(&Message::split(entries), &dropped);
        }
        drop(feed);
        tokio::time::sleep(ROUND_PAUSE).await;
    }
    if let Some(feed) = feed.upgrade() {
        feed.end();
    }
}

/// What has come by now, with its bytes of lines.
fn collect(first: Arc<Appended>, subscription: &mut Subscription) -> (Vec<Arc<Appended>>, usize) {
    let bytes_of = |new: &Appended| -> usize {
        new.batch().rows().iter().map(|row| row.line_len as usize).sum()
    };
    let mut bytes = bytes_of(&first);
    let mut round = vec![first];
    while bytes < ROUND_BYTES_MAX
        && let Some(next) = subscription.try_recv()
    {
        bytes += bytes_of(&next);
        round.push(next);
    }
    (round, bytes)
}

async fn evaluate(
    query: &Arc<TailQuery>,
    round: Vec<Arc<Appended>>,
    bytes: usize,
) -> Vec<TailEntry> {
    if bytes <= INLINE_BYTES_MAX {
        return query.evaluate(&round);
    }
    let query = Arc::clone(query);
    tokio::task::spawn_blocking(move || query.evaluate(&round)).await.unwrap_or_else(|error| {
        tracing::error!(%error, "entries of a tail could not be evaluated");
        Vec::new()
    })
}

/// What waits to be sent to one client.
#[derive(Debug, Default)]
pub(crate) struct ClientQueue {
    state: Mutex<ClientState>,
    news: Notify,
}

#[derive(Debug, Default)]
struct ClientState {
    messages: VecDeque<Arc<Message>>,
    bytes: usize,
    dropped: Vec<(Timestamp, Labels)>,
    is_over: bool,
}

impl ClientQueue {
    /// Adds what there is room for. Returns how many entries are dropped.
    fn push(&self, messages: &[Arc<Message>], dropped: &DroppedEntries) -> u64 {
        let mut state = self.state.lock();
        let mut lost = dropped.count;
        state.drop_entries(dropped.first.iter().cloned());
        for message in messages {
            let bytes = state.bytes + message.bytes();
            if bytes > QUEUE_BYTES_MAX && !state.messages.is_empty() {
                let entries = message.entries();
                lost += u64::try_from(entries.len()).unwrap_or_default();
                state.drop_entries(
                    entries.iter().map(|entry| (entry.entry.timestamp, entry.all_labels())),
                );
                continue;
            }
            state.bytes = bytes;
            state.messages.push_back(Arc::clone(message));
        }
        drop(state);
        self.news.notify_one();
        lost
    }

    /// The next message, with what was dropped since the one before. `None` at the end.
    pub(super) async fn next(&self) -> Option<(Arc<Message>, Vec<(Timestamp, Labels)>)> {
        loop {
            {
                let mut state = self.state.lock();
                if let Some(message) = state.messages.pop_front() {
                    state.bytes -= message.bytes();
                    return Some((message, std::mem::take(&mut state.dropped)));
                }
                if !state.dropped.is_empty() {
                    return Some((Message::empty(), std::mem::take(&mut state.dropped)));
                }
                if state.is_over {
                    return None;
                }
            }
            self.news.notified().await;
        }
    }
}

impl ClientState {
    fn drop_entries(&mut self, entries: impl Iterator<Item = (Timestamp, Labels)>) {
        let room = DROPPED_TOLD_MAX.saturating_sub(self.dropped.len());
        self.dropped.extend(entries.take(room));
    }
}
