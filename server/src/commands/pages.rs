//! A log query whose result is fetched in batches, beyond what a server gives at once.
//!
//! The next batch begins at the last time of the one before, since there may be more entries of that
//! time; those that are known already are left out of it.

use std::collections::HashMap;
use std::sync::Arc;

use ::http::header::HeaderName;
use timberline_store::Timestamp;

use super::Failure;
use super::answer::{Entry, LabelSet, QueryAnswer, Value};
use super::client::Client;

/// The longest range that is asked for at once: servers refuse longer ones than 30 days and an hour.
const WINDOW: i64 = 30 * 86_400 * 1_000_000_000;

/// Asks for labels, metadata and parsed labels apart from each other.
const CATEGORIZE: (HeaderName, &str) =
    (HeaderName::from_static("x-loki-response-encoding-flags"), "categorize-labels");

/// A range in parts that may be asked for at once, by time.
pub(super) fn windows(
    start: Timestamp,
    end: Timestamp,
) -> impl Iterator<Item = (Timestamp, Timestamp)> {
    let window = move |start: Timestamp| {
        (start < end).then(|| (start, end.min(start.saturating_add(WINDOW))))
    };
    std::iter::successors(window(start), move |(_, behind)| window(*behind))
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct PagedQuery {
    pub(super) query: String,
    /// Included.
    pub(super) start: Timestamp,
    /// Excluded.
    pub(super) end: Timestamp,
    /// How many entries at most; `None` is all of them.
    pub(super) limit: Option<usize>,
    /// How many entries are fetched at once.
    pub(super) batch: usize,
    pub(super) is_forward: bool,
    /// Whether metadata is told apart from labels.
    pub(super) categorizes: bool,
    /// Between two entries, as the server reads it.
    pub(super) interval: Option<String>,
}

/// A batch.
#[derive(Debug)]
pub(super) struct Page {
    /// In the direction of the query.
    pub(super) entries: Vec<Entry>,
    pub(super) stats: serde_json::Value,
    pub(super) warnings: Vec<String>,
    /// Whether another may follow.
    pub(super) has_next: bool,
}

/// An entry, as it is recognised in the next batch.
type Identity = (Arc<LabelSet>, String, LabelSet);

/// Where a query has come to.
#[derive(Debug)]
pub(super) struct Pages {
    query: PagedQuery,
    /// What is left of the range.
    start: Timestamp,
    end: Timestamp,
    left: Option<usize>,
    /// The entries of the outermost time that were given out, and how many of each.
    seen: HashMap<Identity, usize>,
    seen_count: usize,
    is_over: bool,
}

impl Pages {
    pub(super) fn new(query: PagedQuery) -> Self {
        Self {
            start: query.start,
            end: query.end,
            left: query.limit,
            seen: HashMap::new(),
            seen_count: 0,
            is_over: false,
            query,
        }
    }

    /// The next batch that has entries; `None` at the end. The last batch may be empty.
    pub(super) fn next(&mut self, client: &mut Client) -> Result<Option<Page>, Failure> {
        while !self.is_over {
            let page = self.fetch(client)?;
            if !page.entries.is_empty() || self.is_over {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    fn fetch(&mut self, client: &mut Client) -> Result<Page, Failure> {
        let (start, end) = self.window();
        let wanted = self.left.map_or(self.query.batch, |left| left.min(self.query.batch));
        // What was given out already comes again, and something new has to find room beside it.
        let limit = match self.seen_count {
            0 => wanted,
            seen if seen < self.query.batch => (wanted + seen).min(self.query.batch),
            seen => seen.saturating_mul(2),
        };
        let QueryAnswer { value, stats, warnings, .. } = self.ask(client, (start, end), limit)?;
        let Value::Entries(mut entries) = value else {
            return Err(Failure::usage("this is no log query: only log queries have entries"));
        };
        match self.query.is_forward {
            true => entries.sort_by_key(|entry| entry.timestamp),
            false => entries.sort_by_key(|entry| std::cmp::Reverse(entry.timestamp)),
        }
        let is_full = entries.len() >= limit;
        let entries = self.without_seen(entries);
        self.advance(&entries, is_full, (start, end));
        let has_next = !self.is_over;
        Ok(Page { entries, stats, warnings, has_next })
    }

    fn ask(
        &self,
        client: &mut Client,
        (start, end): (Timestamp, Timestamp),
        limit: usize,
    ) -> Result<QueryAnswer, Failure> {
        let (start, end, limit) = (start.to_string(), end.to_string(), limit.to_string());
        let direction = if self.query.is_forward { "forward" } else { "backward" };
        let mut params = vec![
            ("query", self.query.query.as_str()),
            ("start", &start),
            ("end", &end),
            ("limit", &limit),
            ("direction", direction),
        ];
        params.extend(self.query.interval.as_deref().map(|interval| ("interval", interval)));
        let headers: &[_] = if self.query.categorizes { &[CATEGORIZE] } else { &[] };
        let answer = client.get_with("/loki/api/v1/query_range", &params, headers);
        QueryAnswer::decode(&answer.map_err(|failure| self.explained(failure))?)
    }

    /// With what to do where so many entries have one time that they do not fit into an answer.
    fn explained(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Usage(text) if self.seen_count >= self.query.batch => {
                Failure::Failed(format!(
                    "{text}\n{} entries and more have the time {}: they can only be fetched with a larger \
                 max_entries_limit_per_query, or stream by stream",
                    self.seen_count,
                    if self.query.is_forward { self.start } else { self.end.saturating_sub(1) },
                ))
            }
            other => other,
        }
    }

    /// The part of the range that is asked next.
    fn window(&self) -> (Timestamp, Timestamp) {
        if self.query.is_forward {
            (self.start, self.end.min(self.start.saturating_add(WINDOW)))
        } else {
            (self.start.max(self.end.saturating_sub(WINDOW)), self.end)
        }
    }

    fn without_seen(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut seen = self.seen.clone();
        let is_new = |entry: &Entry| match seen.get_mut(&identity(entry)) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        };
        let outermost = if self.query.is_forward { self.start } else { self.end.saturating_sub(1) };
        let (old, new): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|entry| entry.timestamp == outermost);
        let mut kept: Vec<Entry> = old.into_iter().filter(is_new).collect();
        kept.extend(new);
        kept.truncate(self.left.unwrap_or(usize::MAX));
        kept
    }

    fn advance(&mut self, entries: &[Entry], is_full: bool, (start, end): (Timestamp, Timestamp)) {
        if let Some(left) = &mut self.left {
            *left -= entries.len();
        }
        if is_full && let Some(last) = entries.last() {
            self.remember(entries, last.timestamp);
        } else if !is_full {
            // This window is done.
            match self.query.is_forward {
                true => self.start = end,
                false => self.end = start,
            }
            (self.seen_count, self.seen) = (0, HashMap::new());
        } else {
            // Nothing but what is known: with a larger limit there will be more.
            self.seen_count = self.seen_count.saturating_mul(2).max(self.query.batch);
        }
        self.is_over = self.start >= self.end || self.left == Some(0);
    }

    /// Goes on at the time of the last entry.
    fn remember(&mut self, entries: &[Entry], last: Timestamp) {
        let outermost = if self.query.is_forward { self.start } else { self.end.saturating_sub(1) };
        if last != outermost {
            (self.seen_count, self.seen) = (0, HashMap::new());
        }
        match self.query.is_forward {
            true => self.start = last,
            false => self.end = last.saturating_add(1),
        }
        for entry in entries.iter().filter(|entry| entry.timestamp == last) {
            *self.seen.entry(identity(entry)).or_default() += 1;
            self.seen_count += 1;
        }
    }
}

fn identity(entry: &Entry) -> Identity {
    (Arc::clone(&entry.labels), entry.line.clone(), entry.metadata.clone())
}
