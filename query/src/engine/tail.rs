//! Log queries over what is appended from now on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use timberline_store::{Appended, Labels, Subscription, TenantId, Timestamp};

use super::{Context, Engine, limits, logs};
use crate::metric::metadata_of;
use crate::pipeline::{Hints, Output};
use crate::plan::Selection;
use crate::syntax::{Expr, LogExpr, parse};
use crate::{Direction, EntryResult, QueryError, QueryValue, RangeQuery};

/// A log query that is compiled once, for entries as they come. Made by [`Engine::tail`].
///
/// Shared by threads. The entries come from its [`Subscription`]; many clients that ask the same share
/// one of each.
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

impl TailEntry {
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
    /// The entries that pass, by ascending time; equal times in the order of arrival.
    #[must_use]
    pub fn evaluate(&self, appended: &[Arc<Appended>]) -> Vec<TailEntry> {
        let pipeline = &self.selection.pipeline;
        let Some(first) = appended.first() else { return Vec::new() };
        let mut worker = pipeline.worker(first.labels(), &Output::Categorized);
        let mut entries = Vec::new();
        for new in appended {
            worker.set_stream(new.labels());
            let batch = new.batch();
            for row in batch.rows() {
                let line = batch.line(row);
                if !pipeline.line_predicate().matches(line) {
                    continue;
                }
                let metadata = metadata_of(batch, row);
                let processed = worker.process(row.timestamp, line, metadata.as_ref());
                let Some(processed) = processed else { continue };
                let (line, labels) = (processed.line.into(), processed.labels);
                let set = worker.label_set(labels).clone();
                let entry = EntryResult {
                    timestamp: row.timestamp,
                    line,
                    structured_metadata: set.structured_metadata,
                    parsed: set.parsed,
                };
                entries.push(TailEntry { labels: set.labels, entry, position: new.position() });
            }
        }
        entries.sort_by_key(|entry| entry.entry.timestamp);
        entries
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
