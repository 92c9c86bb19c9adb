//! What the parts of one running query share.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use timberline_store::{
    Batch, Chunk, Columns, Labels, LinePredicate, Matcher, ProjectionScratch, Projector,
    ReadScratch, Selection, Snapshot, StoreError, TimeRange,
};

use crate::budget::Budget;
use crate::label_text::label_text;
use crate::{EngineLimits, QueryError, QueryStats, Tenants};

/// After how many rows of a chunk a query looks whether it may go on.
pub(crate) const ROWS_PER_CHECK: usize = 64;

/// How many rows of a chunk are read at a time: their lines are to stay in a core's cache.
pub(crate) const ROWS_PER_FETCH: usize = 2048;

/// What the parts of one running query share: its view of the store, its bounds and its figures.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    tenants: Tenants,
    snapshot: Snapshot,
    /// What the query may use.
    pub(crate) limits: &'a EngineLimits,
    /// What the query holds.
    pub(crate) budget: Budget,
    cancel: &'a AtomicBool,
    started: Instant,
    counters: Counters,
    warnings: Mutex<BTreeSet<String>>,
}

/// [`QueryStats`] while they grow.
#[derive(Debug, Default)]
struct Counters {
    bytes_processed: AtomicU64,
    lines_processed: AtomicU64,
    lines_matched: AtomicU64,
    chunks_read: AtomicU64,
    bytes_in_memory: AtomicU64,
    lines_in_memory: AtomicU64,
    chunks_in_memory: AtomicU64,
    streams_matched: AtomicU64,
}

impl<'a> Context<'a> {
    /// A query that starts now.
    pub(crate) fn new(
        tenants: Tenants,
        snapshot: Snapshot,
        limits: &'a EngineLimits,
        cancel: &'a AtomicBool,
    ) -> Self {
        Self {
            tenants,
            snapshot,
            limits,
            budget: Budget::new(limits.memory_bytes_max),
            cancel,
            started: Instant::now(),
            counters: Counters::default(),
            warnings: Mutex::default(),
        }
    }

    /// Whether the query may go on. Cheap enough to be asked for every chunk.
    ///
    /// # Errors
    /// [`QueryError::Cancelled`] and [`QueryError::Timeout`].
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(QueryError::Cancelled);
        }
        if self.started.elapsed() > self.limits.timeout {
            return Err(QueryError::Timeout);
        }
        Ok(())
    }

    /// How many threads may work on `units` pieces of work.
    pub(crate) fn threads(&self, units: usize) -> usize {
        self.limits.threads.min(units).max(1)
    }

    /// The chunks that may have entries in `range`, in the order of [`ChunkUnit`]s: by stream, then
    /// as the stream's entries arrived.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) fn chunks(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<ChunkUnit>, QueryError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        self.check()?;
        let units = ranked(self.tenants.chunks(&self.snapshot, matchers, range)?);
        let streams = units.last().map_or(0, |unit| u64::from(unit.stream) + 1);
        self.counters.streams_matched.fetch_add(streams, Ordering::Relaxed);
        Ok(units)
    }

    /// Finds the rows of a chunk. A damaged one is reported in the warnings and has none.
    ///
    /// # Errors
    /// Timeout, cancellation, and what the store says but for damage.
    pub(crate) fn select(
        &self,
        chunk: &Chunk,
        range: TimeRange,
        predicate: &LinePredicate,
        scratch: &mut ReadScratch,
    ) -> Result<Option<Selection>, QueryError> {
        self.check()?;
        let selection = self.unless_damaged(chunk.select(range, predicate, scratch))?;
        if let Some(selection) = &selection {
            self.count_read(chunk, selection.rows_scanned(), selection.bytes_scanned());
        }
        Ok(selection.filter(|selection| !selection.is_empty()))
    }

    /// Reads a part of the rows that were found.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub(crate) fn fetch(
        &self,
        chunk: &Chunk,
        selection: &Selection,
        part: Range<usize>,
        columns: Columns,
        scratch: &mut ReadScratch,
    ) -> Result<Batch, QueryError> {
        self.check()?;
        let batch = self.unless_damaged(chunk.fetch(selection, part, columns, scratch))?;
        Ok(batch.unwrap_or_default())
    }

    /// As [`fetch`](Self::fetch) with all columns, of values instead of lines where the projector wants these.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub(crate) fn fetch_projected<P: Projector>(
        &self,
        chunk: &Chunk,
        selection: &Selection,
        part: Range<usize>,
        projections: &mut ProjectionScratch<P>,
        scratch: &mut ReadScratch,
    ) -> Result<Batch, QueryError> {
        self.check()?;
        let batch = chunk.fetch_projected(selection, part, projections, scratch);
        Ok(self.unless_damaged(batch)?.unwrap_or_default())
    }

    /// Takes damage for nothing there, and reports it in the warnings.
    ///
    /// # Errors
    /// What the store says but for damage.
    pub(crate) fn unless_damaged<T>(
        &self,
        outcome: Result<T, StoreError>,
    ) -> Result<Option<T>, QueryError> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error @ StoreError::Corrupt { .. }) => {
                self.warn(format!("a damaged chunk was left out: {error}"));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Counts a chunk as read.
    pub(crate) fn count_read(&self, chunk: &Chunk, lines: u64, bytes: u64) {
        let counters = &self.counters;
        counters.chunks_read.fetch_add(1, Ordering::Relaxed);
        counters.lines_processed.fetch_add(lines, Ordering::Relaxed);
        counters.bytes_processed.fetch_add(bytes, Ordering::Relaxed);
        if chunk.is_in_memory() {
            counters.chunks_in_memory.fetch_add(1, Ordering::Relaxed);
            counters.lines_in_memory.fetch_add(lines, Ordering::Relaxed);
            counters.bytes_in_memory.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Counts lines that passed every filter.
    pub(crate) fn count_matched(&self, lines: u64) {
        self.counters.lines_matched.fetch_add(lines, Ordering::Relaxed);
    }

    fn warn(&self, warning: String) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).insert(warning);
    }

    /// What the query took and what is missing from its answer.
    pub(crate) fn finish(self, entries_returned: usize) -> (QueryStats, Vec<String>) {
        let counters = self.counters;
        let stats = QueryStats {
            bytes_processed: counters.bytes_processed.into_inner(),
            lines_processed: counters.lines_processed.into_inner(),
            lines_matched: counters.lines_matched.into_inner(),
            chunks_read: counters.chunks_read.into_inner(),
            bytes_in_memory: counters.bytes_in_memory.into_inner(),
            lines_in_memory: counters.lines_in_memory.into_inner(),
            chunks_in_memory: counters.chunks_in_memory.into_inner(),
            streams_matched: counters.streams_matched.into_inner(),
            entries_returned: entries_returned.try_into().unwrap_or(u64::MAX),
            exec_seconds: self.started.elapsed().as_secs_f64(),
        };
        let mut warnings = self.warnings.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Damage to a segment's tables is found while they are read.
        warnings.extend(self.snapshot.warnings());
        (stats, warnings.into_iter().collect())
    }
}

/// A chunk with its place in the order that ties are broken by.
#[derive(Clone, Debug)]
pub(crate) struct ChunkUnit {
    /// The chunk.
    pub(crate) chunk: Chunk,
    /// The stream's rank among those of the selector, by the labels' text.
    pub(crate) stream: u32,
    /// The chunk's rank, by stream and arrival.
    pub(crate) rank: u32,
}

/// Ranks chunks by the text of their stream's labels, keeping the store's order within a stream.
fn ranked(chunks: Vec<Chunk>) -> Vec<ChunkUnit> {
    // Chunks outnumber streams by far, so labels are printed once for each stream.
    let mut numbers: HashMap<Labels, usize> = HashMap::new();
    let mut texts: Vec<(String, usize)> = Vec::new();
    let mut numbered: Vec<(usize, Chunk)> = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let number = match numbered.last() {
            Some((number, last)) if last.labels() == chunk.labels() => *number,
            _ => *numbers.entry(chunk.labels().clone()).or_insert_with_key(|labels| {
                texts.push((label_text(labels), texts.len()));
                texts.len() - 1
            }),
        };
        numbered.push((number, chunk));
    }
    texts.sort_unstable();
    let mut ranks: Vec<u32> = vec![0; texts.len()];
    (0..).zip(&texts).for_each(|(rank, (_, number))| ranks[*number] = rank);
    numbered.sort_by_key(|(number, _)| ranks[*number]);
    let units = (0..).zip(numbered).map(|(rank, (number, chunk))| {
        let stream = ranks[number];
        ChunkUnit { chunk, stream, rank }
    });
    units.collect()
}
