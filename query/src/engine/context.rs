//! What the parts of one running query share.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use timberline_store::{
    Batch, Chunk, ChunkSource, Columns, Labels, LinePredicate, Matcher, ProjectionScratch,
    Projector, ReadScratch, Selection, Snapshot, StoreError, TimeRange,
};

use super::parallel::for_each;
use super::probe::Probing;
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
    /// When rows are looked at in part before their lines are read.
    pub(crate) probing: Probing,
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
    compressed_bytes: AtomicU64,
    metadata_bytes: AtomicU64,
    chunks_read: AtomicU64,
    chunks_matched: AtomicU64,
    bytes_in_memory: AtomicU64,
    lines_in_memory: AtomicU64,
    lines_matched_in_memory: AtomicU64,
    metadata_bytes_in_memory: AtomicU64,
    chunks_in_memory: AtomicU64,
    batches_in_memory: AtomicU64,
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
            probing: Probing::default(),
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

    /// The chunks that may have entries in `range` whose line passes, as they lie side by side in the store.
    ///
    /// # Errors
    /// What the store says; the budget's, timeout and cancellation.
    pub(crate) fn chunks(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        predicate: &LinePredicate,
    ) -> Result<Vec<ChunkUnit>, QueryError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        self.check()?;
        // What every line passes is in every chunk.
        let chunks = match predicate.is_always() {
            true => self.tenants.chunks(&self.snapshot, matchers, range)?,
            false => self.search(matchers, range, predicate)?,
        };
        let units = ranked(chunks);
        self.budget.charge(units.len().saturating_mul(size_of::<ChunkUnit>()))?;
        let streams = units.iter().map(|unit| u64::from(unit.stream) + 1).max().unwrap_or(0);
        self.counters.streams_matched.fetch_add(streams, Ordering::Relaxed);
        Ok(units)
    }

    /// How many bytes there are in `range` of the streams that pass every matcher.
    ///
    /// # Errors
    /// As [`chunks`](Self::chunks).
    pub(crate) fn bytes(&self, matchers: &[Matcher], range: TimeRange) -> Result<u64, QueryError> {
        self.check()?;
        Ok(self.tenants.stats(&self.snapshot, matchers, range)?.bytes)
    }

    /// Looks through the store, with as many threads as there may be, for chunks with lines that pass.
    fn search(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        predicate: &LinePredicate,
    ) -> Result<Vec<Chunk>, QueryError> {
        let sources = self.tenants.chunk_sources(&self.snapshot, matchers, range)?;
        let (tenants, sources): (Vec<_>, Vec<_>) =
            sources.into_iter().map(|(tenant, source)| (tenant, Mutex::new(source))).unzip();
        let threads =
            self.threads(sources.iter().filter(|source| is_to_be_searched(source)).count());
        let mut scratches: Vec<_> = (0..threads).map(|_| ReadScratch::new()).collect();
        for_each(&mut scratches, &sources, 1, |scratch, source| {
            self.check()?;
            let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
            let passed = source.search(predicate, scratch)?;
            self.count_stored(scratch);
            self.counters.lines_processed.fetch_add(passed.rows, Ordering::Relaxed);
            self.counters.bytes_processed.fetch_add(passed.line_bytes, Ordering::Relaxed);
            Ok(())
        })?;
        let mut chunks = Vec::new();
        for (tenant, source) in tenants.into_iter().zip(sources) {
            let found = source.into_inner().unwrap_or_else(PoisonError::into_inner).into_chunks();
            chunks.extend(self.tenants.labelled(tenant, found));
        }
        Ok(chunks)
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
        self.count_stored(scratch);
        if let Some(selection) = &selection {
            self.count_read(chunk, selection.rows_scanned(), selection.bytes_scanned());
        }
        let found = selection.filter(|selection| !selection.is_empty());
        if found.is_some() {
            self.counters.chunks_matched.fetch_add(1, Ordering::Relaxed);
        }
        Ok(found)
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
        let batch = self.fetch_again(chunk, selection, part, columns, scratch)?;
        Ok(self.counted(chunk, batch))
    }

    /// As [`fetch`](Self::fetch), of rows that something else was fetched of, and which count already.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub(crate) fn fetch_again(
        &self,
        chunk: &Chunk,
        selection: &Selection,
        part: Range<usize>,
        columns: Columns,
        scratch: &mut ReadScratch,
    ) -> Result<Batch, QueryError> {
        self.read(scratch, |scratch| chunk.fetch(selection, part, columns, scratch))
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
        let fetch = |scratch: &mut _| chunk.fetch_projected(selection, part, projections, scratch);
        let batch = self.read(scratch, fetch)?;
        Ok(self.counted(chunk, batch))
    }

    /// Reads rows of a chunk; none of a damaged one.
    fn read(
        &self,
        scratch: &mut ReadScratch,
        fetch: impl FnOnce(&mut ReadScratch) -> Result<Batch, StoreError>,
    ) -> Result<Batch, QueryError> {
        self.check()?;
        let batch = fetch(scratch);
        self.count_stored(scratch);
        Ok(self.unless_damaged(batch)?.unwrap_or_default())
    }

    /// Counts what was read of segments.
    fn count_stored(&self, scratch: &mut ReadScratch) {
        let bytes = scratch.take_stored_bytes();
        if bytes > 0 {
            self.counters.compressed_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Counts what was fetched.
    fn counted(&self, chunk: &Chunk, batch: Batch) -> Batch {
        let bytes = batch.metadata_bytes();
        self.counters.metadata_bytes.fetch_add(bytes, Ordering::Relaxed);
        if chunk.is_in_memory() {
            self.counters.metadata_bytes_in_memory.fetch_add(bytes, Ordering::Relaxed);
            self.counters.batches_in_memory.fetch_add(1, Ordering::Relaxed);
        }
        batch
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

    /// Counts a chunk whose lines all pass, of which some are counted without being read.
    pub(crate) fn count_unread(&self, chunk: &Chunk, lines: u64, bytes: u64) {
        self.count_read(chunk, lines, bytes);
        self.counters.chunks_matched.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a chunk as read.
    fn count_read(&self, chunk: &Chunk, lines: u64, bytes: u64) {
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

    /// Counts lines of a chunk that passed every filter.
    pub(crate) fn count_matched(&self, chunk: &Chunk, lines: u64) {
        self.counters.lines_matched.fetch_add(lines, Ordering::Relaxed);
        if chunk.is_in_memory() {
            self.counters.lines_matched_in_memory.fetch_add(lines, Ordering::Relaxed);
        }
    }

    /// Says what is missing from the answer.
    pub(crate) fn warn(&self, warning: String) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).insert(warning);
    }

    /// What the query took and what is missing from its answer.
    pub(crate) fn finish(self, entries_returned: usize) -> (QueryStats, Vec<String>) {
        let counters = self.counters;
        let stats = QueryStats {
            bytes_processed: counters.bytes_processed.into_inner(),
            lines_processed: counters.lines_processed.into_inner(),
            lines_matched: counters.lines_matched.into_inner(),
            compressed_bytes: counters.compressed_bytes.into_inner(),
            metadata_bytes: counters.metadata_bytes.into_inner(),
            chunks_read: counters.chunks_read.into_inner(),
            chunks_matched: counters.chunks_matched.into_inner(),
            bytes_in_memory: counters.bytes_in_memory.into_inner(),
            lines_in_memory: counters.lines_in_memory.into_inner(),
            lines_matched_in_memory: counters.lines_matched_in_memory.into_inner(),
            metadata_bytes_in_memory: counters.metadata_bytes_in_memory.into_inner(),
            chunks_in_memory: counters.chunks_in_memory.into_inner(),
            batches_in_memory: counters.batches_in_memory.into_inner(),
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
    pub(crate) chunk: Chunk,
    /// The stream's rank among those of the selector, by the labels' text.
    pub(crate) stream: u32,
    /// The chunk's rank, by stream and arrival.
    pub(crate) rank: u32,
    /// Its place among all in the store: neighbours share groups.
    pub(crate) place: u32,
}

fn is_to_be_searched(source: &Mutex<ChunkSource>) -> bool {
    source.lock().unwrap_or_else(PoisonError::into_inner).is_to_be_searched()
}

/// Ranks chunks by the text of their stream's labels, and within a stream in the store's order, in which
/// they stay.
fn ranked(chunks: Vec<Chunk>) -> Vec<ChunkUnit> {
    // Chunks outnumber streams by far, so labels are printed once for each stream.
    let mut numbers: HashMap<Labels, usize> = HashMap::new();
    let mut texts: Vec<(String, usize)> = Vec::new();
    // The number of each chunk's stream, and then how many chunks a stream has.
    let mut of_chunks: Vec<usize> = Vec::with_capacity(chunks.len());
    let mut counts: Vec<u32> = Vec::new();
    let mut last: Option<&Labels> = None;
    for chunk in &chunks {
        let number = match of_chunks.last() {
            Some(number) if last == Some(chunk.labels()) => *number,
            _ => *numbers.entry(chunk.labels().clone()).or_insert_with_key(|labels| {
                texts.push((label_text(labels), texts.len()));
                counts.push(0);
                texts.len() - 1
            }),
        };
        last = Some(chunk.labels());
        counts[number] += 1;
        of_chunks.push(number);
    }
    texts.sort_unstable();
    let (mut streams, mut next_ranks, mut before) = (vec![0; texts.len()], vec![0; texts.len()], 0);
    for (stream, (_, number)) in (0..).zip(&texts) {
        (streams[*number], next_ranks[*number]) = (stream, before);
        before += counts[*number];
    }
    let units = (0..).zip(chunks).zip(of_chunks).map(|((place, chunk), number)| {
        let (stream, rank) = (streams[number], next_ranks[number]);
        next_ranks[number] += 1;
        ChunkUnit { chunk, stream, rank, place }
    });
    units.collect()
}
