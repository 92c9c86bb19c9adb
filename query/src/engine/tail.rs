//! Log queries over what is appended from now on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use timberline_store::{Appended, DroppedEntries, Labels, Row, Subscription, TenantId, Timestamp};

use super::{Context, Engine, limits, logs};
use crate::metric::metadata_of;
use crate::pipeline::{Hints, Output, Worker};
use crate::plan::Selection;
use crate::syntax::{Expr, LogExpr, parse};
use crate::{Direction, EntryResult, QueryError, QueryValue, RangeQuery};

/// A log query that is compiled once, for entries as they come. Made by [`Engine::tail`].
///
/// Shared by threads. The entries come from its [`Subscription`]; many clients that ask the same share
/// one of each.
///
/// ```
/// use timberline_query::Engine;
/// use timberline_store::{Labels, Store, TenantId, WriteBatch};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let (store, tenant) = (Store::open(directory.path())?, TenantId::default());
/// let query = r#"{app="shop"} | logfmt | status >= 500"#;
/// let (query, mut subscription) = Engine::new(&store).tail(&tenant, query, 1 << 20)?;
///
/// let mut batch = WriteBatch::new();
/// batch.stream(&Labels::from_pairs([("app", "shop")])?);
/// batch.push(1_700_000_000_000_000_000, b"status=200", &[])?;
/// batch.push(1_700_000_000_000_000_001, b"status=503", &[])?;
/// store.append(&tenant, &batch)?;
///
/// let appended = subscription.recv().ok_or("the store is closed")?;
/// let round = query.evaluate(&[appended], 1 << 20);
/// assert_eq!(round.entries.len(), 1);
/// assert_eq!(&*round.entries[0].entry.line, b"status=503");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TailQuery {
    engine: Engine,
    tenant: TenantId,
    text: String,
    expr: LogExpr,
    selection: Selection,
}

/// An entry that passed a [`TailQuery`].
#[derive(Clone, Debug)]
pub struct TailEntry {
    /// The stream's labels, but for those that stages dropped or made anew.
    pub labels: Labels,
    /// The entry. Metadata and parsed labels are always filled in.
    pub entry: EntryResult,
    /// [`Appended::position`]; 0 for entries of [`TailQuery::history`].
    pub position: u64,
}

/// What came of entries that were evaluated together.
#[derive(Clone, Debug, Default)]
pub struct TailRound {
    /// Those that passed, by ascending time; equal times in the order of arrival.
    pub entries: Vec<TailEntry>,
    /// Those that there was no room for, with their streams' labels: they may have passed.
    pub dropped: DroppedEntries,
}

impl TailRound {
    fn drop_entry(&mut self, timestamp: Timestamp, stream: &Labels) {
        self.dropped.count += 1;
        if self.dropped.first.len() < DroppedEntries::FIRST_MAX {
            self.dropped.first.push((timestamp, stream.clone()));
        }
    }
}

impl TailEntry {
    /// Bytes of the line and of all labels.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let EntryResult { line, structured_metadata, parsed, .. } = &self.entry;
        let sets = [&self.labels, structured_metadata, parsed].into_iter();
        line.len() + sets.map(Labels::text_bytes).sum::<usize>()
    }

    /// Stream labels, structured metadata and parsed labels together.
    #[must_use]
    pub fn all_labels(&self) -> Labels {
        let EntryResult { structured_metadata, parsed, .. } = &self.entry;
        if structured_metadata.is_empty() && parsed.is_empty() {
            return self.labels.clone();
        }
        let parts = [&self.labels, structured_metadata, parsed];
        // What is parsed hides what it is named like.
        let all: BTreeMap<&str, &str> = parts.into_iter().flat_map(Labels::iter).collect();
        // A map has each name once, so there is nothing to refuse.
        Labels::metadata(all).unwrap_or_default()
    }
}

/// The newest entries that there were.
#[derive(Clone, Debug)]
pub struct TailHistory {
    /// By ascending time.
    pub entries: Vec<TailEntry>,
    /// Up to which [`Appended::position`] the entries are among those that were searched.
    pub position: u64,
}

impl Engine {
    /// Compiles a log query for the entries that come from now on, and subscribes to them.
    ///
    /// `queue_bytes_max` bounds what may wait in the subscription, see
    /// [`Store::subscribe`](timberline_store::Store::subscribe).
    ///
    /// # Errors
    /// [`QueryError::Parse`]; [`QueryError::Refused`] for a metric query and too many matchers;
    /// [`QueryError::Store`] when the store is closed.
    pub fn tail(
        &self,
        tenant: &TenantId,
        query: &str,
        queue_bytes_max: usize,
    ) -> Result<(Arc<TailQuery>, Subscription), QueryError> {
        let Expr::Log(expr) = parse(query)? else {
            return Err(QueryError::Refused("only log selector is supported".to_owned()));
        };
        let selection = Selection::new(&expr, None, &Hints::LOG, &self.limits)?;
        let subscription = self.store.subscribe(tenant, &selection.matchers, queue_bytes_max)?;
        let (engine, tenant, text) = (self.clone(), tenant.clone(), query.to_owned());
        Ok((Arc::new(TailQuery { engine, tenant, text, expr, selection }), subscription))
    }
}

impl TailQuery {
    /// The entries that pass, as many as `bytes_max` bytes have room for. Templates can make megabytes of a
    /// short line: from the first entry that finds no room on, all are dropped whose line passes.
    #[must_use]
    pub fn evaluate(&self, appended: &[Arc<Appended>], bytes_max: usize) -> TailRound {
        let Some(first) = appended.first() else { return TailRound::default() };
        let pipeline = &self.selection.pipeline;
        let worker = pipeline.worker(first.labels(), &Output::Categorized);
        let mut evaluation =
            Evaluation { worker, round: TailRound::default(), bytes: 0, bytes_max, is_full: false };
        for new in appended {
            evaluation.worker.set_stream(new.labels());
            for row in new.batch().rows() {
                if pipeline.line_predicate().matches(new.batch().line(row)) {
                    evaluation.take(new, row);
                }
            }
        }
        evaluation.round.entries.sort_by_key(|entry| entry.entry.timestamp);
        evaluation.round
    }

    /// The newest `limit` entries from `start` on that there are now.
    ///
    /// `now` is what the longest time that a query may span is told from.
    ///
    /// # Errors
    /// As [`Engine::range`].
    pub fn history(
        &self,
        start: Timestamp,
        now: Timestamp,
        limit: usize,
        cancel: &Arc<AtomicBool>,
    ) -> Result<TailHistory, QueryError> {
        let start = start.max(self.engine.limits.earliest);
        limits::check_length(start.min(now), now, &self.engine.limits)?;
        limits::check_entries(limit, &self.engine.limits)?;
        let query = RangeQuery {
            query: self.text.clone(),
            start,
            end: Timestamp::MAX,
            step: 1,
            interval: 0,
            limit,
            direction: Direction::Backward,
            categorize_labels: true,
            cancel: Arc::clone(cancel),
        };
        let (snapshot, position) = self.engine.store.snapshot_with_position();
        let context = Context::new((&self.tenant).into(), snapshot, &self.engine.limits, cancel);
        let mut entries = Vec::new();
        if let QueryValue::Streams(streams) = logs::evaluate(&self.expr, &query, &context)? {
            for stream in streams {
                let labels = &stream.labels;
                entries.extend(stream.entries.into_iter().rev().map(|entry| TailEntry {
                    labels: labels.clone(),
                    entry,
                    position: 0,
                }));
            }
        }
        entries.sort_by_key(|entry| entry.entry.timestamp);
        Ok(TailHistory { entries, position })
    }
}

/// Entries that are being evaluated together.
struct Evaluation<'q> {
    worker: Worker<'q>,
    round: TailRound,
    /// What the entries take that passed, without their labels.
    bytes: usize,
    bytes_max: usize,
    is_full: bool,
}

impl Evaluation<'_> {
    fn take(&mut self, new: &Appended, row: &Row) {
        if self.is_full {
            return self.round.drop_entry(row.timestamp, new.labels());
        }
        let (line, metadata) = (new.batch().line(row), metadata_of(new.batch(), row));
        let processed = self.worker.process(row.timestamp, line, metadata.as_ref());
        let Some(processed) = processed else { return };
        let (line, labels): (Box<[u8]>, _) = (processed.line.into(), processed.labels);
        self.bytes += line.len() + size_of::<TailEntry>();
        // Label sets are shared by entries; the worker knows what they take.
        if self.bytes.saturating_add(self.worker.memory_bytes()) > self.bytes_max {
            self.is_full = true;
            return self.round.drop_entry(row.timestamp, new.labels());
        }
        let set = self.worker.label_set(labels).clone();
        let entry = EntryResult {
            timestamp: row.timestamp,
            line,
            structured_metadata: set.structured_metadata,
            parsed: set.parsed,
        };
        self.round.entries.push(TailEntry { labels: set.labels, entry, position: new.position() });
    }
}
