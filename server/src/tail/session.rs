//! One client's tail: the history, then what comes, each entry once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use timberline_query::{TailEntry, TailHistory, TailQuery};
use timberline_store::{Labels, TenantId, Timestamp};

use super::feed::{ClientQueue, FeedEnd};
use super::message::Message;
use super::{Place, TailRequest};
use crate::encode::{TailDialect, tail_frame};
use crate::error::ApiError;
use crate::http::{now, work};
use crate::state::AppState;

/// Bytes of messages that a delay may hold back; what is over it is sent before its time.
const HELD_BYTES_MAX: usize = 8 << 20;

/// How often it is looked which of the entries held back are due.
const HELD_CHECK: Duration = Duration::from_millis(100);

/// What is to be sent next.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Entries, perhaps none.
    pub(crate) message: Arc<Message>,
    /// Entries that the client was too slow for: when, and whose.
    pub(crate) dropped: Vec<(Timestamp, Labels)>,
}

impl Outgoing {
    /// As a frame.
    pub(crate) fn frame(&self, dialect: TailDialect) -> axum::extract::ws::Utf8Bytes {
        if self.dropped.is_empty() {
            return self.message.frame(dialect);
        }
        tail_frame(self.message.entries(), &self.dropped, dialect).into()
    }
}

/// One client's tail.
pub(crate) struct Session {
    tenant: TenantId,
    query: Arc<TailQuery>,
    queue: Arc<ClientQueue>,
    start: Timestamp,
    limit: usize,
    /// The history up to here was given.
    position: u64,
    /// What is to be given before anything new.
    ready: VecDeque<Arc<Message>>,
    held: Option<Held>,
    _place: Place,
}

impl Session {
    pub(super) fn new(place: Place, queue: Arc<ClientQueue>, request: &TailRequest) -> Self {
        Self {
            tenant: place.key.0.clone(),
            query: Arc::clone(place.feed.query()),
            queue,
            start: request.start,
            limit: request.limit,
            position: 0,
            ready: VecDeque::new(),
            held: (!request.delay.is_zero()).then(|| Held::new(request.delay)),
            _place: place,
        }
    }

    /// Reads the history, which [`next`](Self::next) gives first.
    ///
    /// # Errors
    /// As a query's.
    pub(crate) async fn read_history(&mut self, state: &Arc<AppState>) -> Result<(), ApiError> {
        let (query, start, limit) = (Arc::clone(&self.query), self.start, self.limit);
        let history = work::run(state, (&self.tenant).into(), move |_, ticket| {
            Ok(query.history(start, now(), limit, &ticket.cancel)?)
        });
        let TailHistory { entries, position } = history.await?;
        self.position = position;
        self.take(entries);
        Ok(())
    }

    /// What is to be sent next; waits for it. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// Why nothing more comes.
    pub(crate) async fn next(&mut self) -> Result<Outgoing, FeedEnd> {
        loop {
            self.release();
            if let Some(message) = self.ready.pop_front() {
                return Ok(Outgoing { message, dropped: Vec::new() });
            }
            let next = match self.held.as_ref().is_some_and(|held| !held.is_empty()) {
                true => match tokio::time::timeout(HELD_CHECK, self.queue.next()).await {
                    Ok(next) => next,
                    Err(_) => continue,
                },
                false => self.queue.next().await,
            };
            let (message, dropped) = next?;
            let message = self.admit(message);
            if message.is_some() || !dropped.is_empty() {
                let message = message.unwrap_or_else(Message::empty);
                return Ok(Outgoing { message, dropped });
            }
        }
    }

    /// The message without what the history had; `None` where nothing of it is to be sent now.
    fn admit(&mut self, message: Arc<Message>) -> Option<Arc<Message>> {
        let (first, last) = message.positions();
        if last <= self.position {
            return None;
        }
        if first > self.position && self.held.is_none() {
            return Some(message);
        }
        let entries = message.entries().iter().filter(|entry| entry.position > self.position);
        self.take(entries.cloned().collect());
        self.ready.pop_front()
    }

    /// Takes in entries that come in order, to be sent when they are due.
    fn take(&mut self, entries: Vec<TailEntry>) {
        match &mut self.held {
            None => self.ready.extend(Message::split(entries)),
            Some(held) => held.add(entries),
        }
    }

    fn release(&mut self) {
        if let Some(held) = &mut self.held {
            self.ready.extend(Message::split(held.due(now())));
        }
    }
}

/// Entries that are not old enough to be sent.
struct Held {
    delay: Timestamp,
    entries: BTreeMap<(Timestamp, u64), TailEntry>,
    bytes: usize,
    count: u64,
}

impl Held {
    fn new(delay: Duration) -> Self {
        let delay = Timestamp::try_from(delay.as_nanos()).unwrap_or(Timestamp::MAX);
        Self { delay, entries: BTreeMap::new(), bytes: 0, count: 0 }
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn add(&mut self, entries: Vec<TailEntry>) {
        for entry in entries {
            self.count += 1;
            self.bytes += weight(&entry);
            self.entries.insert((entry.entry.timestamp, self.count), entry);
        }
    }

    /// Takes out what is old enough, and the oldest of what is too much.
    fn due(&mut self, now: Timestamp) -> Vec<TailEntry> {
        let newest = now.saturating_sub(self.delay);
        let mut due = Vec::new();
        while let Some(first) = self.entries.first_entry() {
            if first.key().0 > newest && self.bytes <= HELD_BYTES_MAX {
                break;
            }
            let entry = first.remove();
            self.bytes -= weight(&entry);
            due.push(entry);
        }
        due
    }
}

fn weight(entry: &TailEntry) -> usize {
    entry.text_bytes() + size_of::<TailEntry>()
}

#[cfg(test)]
mod tests {
    use timberline_query::EntryResult;

    use super::*;

    fn entry(timestamp: Timestamp, len: usize) -> TailEntry {
        TailEntry {
            labels: Labels::default(),
            entry: EntryResult {
                timestamp,
                line: vec![b'x'; len].into(),
                structured_metadata: Labels::default(),
                parsed: Labels::default(),
            },
            position: 1,
        }
    }

    fn times(entries: &[TailEntry]) -> Vec<Timestamp> {
        entries.iter().map(|entry| entry.entry.timestamp).collect()
    }

    #[test]
    fn what_is_held_back_comes_out_in_order_when_it_is_due() {
        let mut held = Held::new(Duration::from_nanos(10));
        held.add(vec![entry(7, 1), entry(5, 1)]);
        held.add(vec![entry(6, 1), entry(5, 2)]);
        assert!(held.due(14).is_empty());
        assert_eq!(times(&held.due(16)), [5, 5, 6]);
        assert_eq!(times(&held.due(17)), [7]);
        assert!(held.is_empty() && held.bytes == 0);
    }

    #[test]
    fn what_is_too_much_is_not_held_back() {
        let mut held = Held::new(Duration::from_nanos(10));
        held.add(vec![entry(5, HELD_BYTES_MAX / 2), entry(6, HELD_BYTES_MAX / 2), entry(7, 1)]);
        assert_eq!(times(&held.due(0)), [5]);
        assert!(!held.is_empty());
    }

    #[test]
    fn messages_are_bounded() {
        let entries = (0..250).map(|time| entry(time, 10)).collect();
        let sizes = |messages: &[Arc<Message>]| -> Vec<usize> {
            messages.iter().map(|message| message.entries().len()).collect()
        };
        assert_eq!(sizes(&Message::split(entries)), [100, 100, 50]);
        let long = vec![entry(1, 100_000), entry(2, 1), entry(3, 60_000), entry(4, 60_000)];
        assert_eq!(sizes(&Message::split(long)), [1, 2, 1]);
        assert!(Message::split(Vec::new()).is_empty());
    }
}
