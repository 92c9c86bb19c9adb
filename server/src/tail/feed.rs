//! One query's entries, evaluated once for all its clients.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::IntCounter;
use timberline_query::{Engine, QueryError, TailQuery, TailRound};
use timberline_store::{Appended, DroppedEntries, Labels, Subscription, TenantId, Timestamp};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::TailMetrics;
use super::message::Message;

/// Bytes that may wait to be evaluated, and to be sent to each client. Clients share their messages.
const QUEUE_BYTES_MAX: usize = 8 << 20;

/// Bytes of lines that are evaluated at a time.
const ROUND_BYTES_MAX: usize = 1 << 20;

/// Bytes of lines and labels that may come of a round. More would find no room in the clients' queues.
const ROUND_RESULT_BYTES_MAX: usize = 16 << 20;

/// More are evaluated on a blocking thread, since a pipeline may take its time.
const INLINE_BYTES_MAX: usize = 16 << 10;

/// Between two rounds, so that what comes one by one goes out together: with thousands of clients each
/// message is thousands of writes.
const ROUND_PAUSE: Duration = Duration::from_millis(10);

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
    end: Option<FeedEnd>,
}

/// Why a feed gives nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FeedEnd {
    /// The store was closed: the server stops.
    Stopped,
    /// The query could not be evaluated. A bug.
    Failed,
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
        let evaluated = Arc::clone(&query);
        let evaluate: Evaluate =
            Arc::new(move |round| evaluated.evaluate(round, ROUND_RESULT_BYTES_MAX));
        Ok(Self::follow(query, subscription, evaluate, metrics))
    }

    fn follow(
        query: Arc<TailQuery>,
        subscription: Subscription,
        evaluate: Evaluate,
        metrics: &TailMetrics,
    ) -> Arc<Self> {
        let feed = Arc::new(Self {
            query,
            clients: Mutex::default(),
            dropped: metrics.dropped.clone(),
            task: Mutex::default(),
        });
        let task = tokio::spawn(run(Arc::downgrade(&feed), evaluate, subscription));
        *feed.task.lock() = Some(task.abort_handle());
        feed
    }

    /// Whether it gives nothing more.
    pub(super) fn is_over(&self) -> bool {
        self.clients.lock().end.is_some()
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
        queue.state.lock().end = clients.end;
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

    fn end(&self, end: FeedEnd) {
        let mut clients = self.clients.lock();
        clients.end = Some(end);
        for queue in clients.queues.values() {
            queue.state.lock().end = Some(end);
            queue.news.notify_one();
        }
    }
}

/// What evaluates the entries of a round.
type Evaluate = Arc<dyn Fn(&[Arc<Appended>]) -> TailRound + Send + Sync>;

/// Evaluates what comes until the store is closed, the last client has gone, or the evaluation panics.
async fn run(feed: Weak<Feed>, evaluate: Evaluate, mut subscription: Subscription) {
    let mut end = FeedEnd::Stopped;
    while let Some(first) = poll_fn(|context| subscription.poll_recv(context)).await {
        let (round, bytes) = collect(first, &mut subscription);
        let Some(TailRound { entries, mut dropped, .. }) = guarded(&evaluate, round, bytes).await
        else {
            end = FeedEnd::Failed;
            break;
        };
        let unheard = subscription.take_dropped();
        dropped.count += unheard.count;
        dropped.first.extend(unheard.first);
        let Some(feed) = feed.upgrade() else { return };
        if !entries.is_empty() || dropped.count > 0 {
            feed.send(&Message::split(entries), &dropped);
        }
        drop(feed);
        tokio::time::sleep(ROUND_PAUSE).await;
    }
    if let Some(feed) = feed.upgrade() {
        feed.end(end);
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

/// `None` where the evaluation panicked.
async fn guarded(
    evaluate: &Evaluate,
    round: Vec<Arc<Appended>>,
    bytes: usize,
) -> Option<TailRound> {
    let panicked = || tracing::error!("a tail ends, since its entries could not be evaluated");
    if bytes <= INLINE_BYTES_MAX {
        // What it may have left half done goes with it.
        let evaluated = catch_unwind(AssertUnwindSafe(|| evaluate(&round)));
        return evaluated.inspect_err(|_| panicked()).ok();
    }
    let evaluate = Arc::clone(evaluate);
    let evaluated = tokio::task::spawn_blocking(move || evaluate(&round)).await;
    evaluated.inspect_err(|_| panicked()).ok()
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
    end: Option<FeedEnd>,
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

    /// The next message, with what was dropped since the one before.
    ///
    /// # Errors
    /// The end.
    pub(super) async fn next(&self) -> Result<(Arc<Message>, Vec<(Timestamp, Labels)>), FeedEnd> {
        loop {
            {
                let mut state = self.state.lock();
                if let Some(message) = state.messages.pop_front() {
                    state.bytes -= message.bytes();
                    return Ok((message, std::mem::take(&mut state.dropped)));
                }
                if !state.dropped.is_empty() {
                    return Ok((Message::empty(), std::mem::take(&mut state.dropped)));
                }
                if let Some(end) = state.end {
                    return Err(end);
                }
            }
            self.news.notified().await;
        }
    }
}

impl ClientState {
    fn drop_entries(&mut self, entries: impl Iterator<Item = (Timestamp, Labels)>) {
        let room = DroppedEntries::FIRST_MAX.saturating_sub(self.dropped.len());
        self.dropped.extend(entries.take(room));
    }
}

#[cfg(test)]
mod tests {
    use timberline_store::{Store, WriteBatch};

    use super::*;

    /// Appends a line of so many bytes.
    fn append(store: &Store, tenant: &TenantId, timestamp: Timestamp, bytes: usize) {
        let mut batch = WriteBatch::new();
        batch.stream(&Labels::from_pairs([("job", "t")]).unwrap());
        batch.push(timestamp, &vec![b'x'; bytes], &[]).unwrap();
        store.append(tenant, &batch).unwrap();
    }

    #[test]
    fn a_feed_whose_evaluation_panics_ends_for_all_its_clients() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        // In the feed's task, and on a thread of its own.
        for bytes in [10, 2 * INLINE_BYTES_MAX] {
            let directory = tempfile::tempdir().unwrap();
            let store = Store::open(directory.path()).unwrap();
            let (engine, tenant) = (Engine::new(&store), TenantId::new("t").unwrap());
            let (query, subscription) = engine.tail(&tenant, r#"{job="t"}"#, 1 << 20).unwrap();
            let evaluate: Evaluate = Arc::new(|round| {
                // Both may come in one round.
                let mut times = round.iter().map(|new| new.batch().rows()[0].timestamp);
                assert!(times.all(|time| time < 2), "a bug");
                TailRound::default()
            });
            let metrics = TailMetrics { active: None, dropped: None };
            let feed = runtime.block_on(async {
                let feed = Feed::follow(query, subscription, evaluate, &metrics);
                let queues = [feed.add_client().1, feed.add_client().1];
                append(&store, &tenant, 1, bytes);
                append(&store, &tenant, 2, bytes);
                for queue in queues {
                    assert_eq!(queue.next().await.unwrap_err(), FeedEnd::Failed);
                }
                feed
            });
            assert!(feed.is_over());
            let late = feed.add_client().1;
            assert_eq!(runtime.block_on(late.next()).unwrap_err(), FeedEnd::Failed);
        }
    }
}
