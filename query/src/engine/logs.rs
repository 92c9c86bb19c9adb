//! Log queries: the first entries in time, out of many chunks.
//!
//! Chunks are read in waves, in the order of their nearest entry. After a wave the entries at hand are
//! put in order; those that no chunk still unread can come before are settled. The query ends with
//! the last entry that it asked for, which for the newest hundred lines is after a few chunks: once
//! there are enough entries, the farthest of them bounds what is still read. Waves grow, and fast where
//! nothing is found, so that a search for rare lines keeps all threads busy and a query for the newest
//! lines reads little.
//!
//! Entries of the same time are in the order of their streams' labels, and within a stream as they
//! arrived, or exactly the other way round.

use std::cmp::Ordering;
use std::collections::HashMap;

use timberline_store::{Batch, Columns, Labels, ReadScratch, Row, TimeRange, Timestamp};

use crate::label_text::label_text;
use crate::metric::metadata_of;
use crate::pipeline::{Hints, LabelSet, Output, Worker};
use crate::plan::Selection;
use crate::syntax::LogExpr;
use crate::{Direction, EntryResult, QueryError, QueryValue, RangeQuery, StreamResult};

use super::context::{ChunkUnit, Context, ROWS_PER_CHECK, ROWS_PER_FETCH};
use super::parallel::{for_each, groups};
use super::probe::LineReader;

/// Chunks of a wave for each thread, at the most.
const WAVE_CHUNKS_MAX: usize = 32;

/// Likewise, where the wave before found nothing.
const SEARCH_CHUNKS_MAX: usize = 512;

/// Evaluates a log query.
///
/// # Errors
/// The store's and the budget's, timeout, cancellation, and stages that cannot be built.
pub(super) fn evaluate(
    expr: &LogExpr,
    query: &RangeQuery,
    context: &Context<'_>,
) -> Result<QueryValue, QueryError> {
    let selection = Selection::new(expr, None, &Hints::LOG, context.limits)?;
    let range = TimeRange::new(query.start, query.end);
    let predicate = selection.pipeline.line_predicate();
    let mut units = context.chunks(&selection.matchers, range, predicate)?;
    let order = Order(query.direction);
    units.sort_by(|left, right| order.times(order.nearest(left), order.nearest(right)));
    let mut reader = Reader::new(&selection, query, context);
    let mut collector = Collector::new(query);
    let mut rest = units.as_slice();
    while !collector.settle(rest.first().map(|unit| order.nearest(unit)), context) {
        let (wave, behind) = rest.split_at(reader.wave.min(rest.len()));
        collector.pending.extend(reader.read(wave, collector.wanted(range), collector.room())?);
        rest = behind;
    }
    Ok(QueryValue::Streams(grouped(collector.settled)))
}

/// The order of entries for a direction.
#[derive(Clone, Copy, Debug)]
struct Order(Direction);

impl Order {
    /// The time at which a chunk begins, seen in the direction.
    fn nearest(self, unit: &ChunkUnit) -> Timestamp {
        let (first, last) = unit.chunk.time_bounds();
        match self.0 {
            Direction::Forward => first,
            Direction::Backward => last,
        }
    }

    /// The part of a range that ends with a time, seen in the direction.
    fn until(self, mut range: TimeRange, last: Timestamp) -> TimeRange {
        match self.0 {
            Direction::Forward => range.end = range.end.min(last.saturating_add(1)),
            Direction::Backward => range.start = range.start.max(last),
        }
        range
    }

    fn times(self, left: Timestamp, right: Timestamp) -> Ordering {
        match self.0 {
            Direction::Forward => left.cmp(&right),
            Direction::Backward => right.cmp(&left),
        }
    }

    fn entries(self, left: &Candidate, right: &Candidate) -> Ordering {
        let place = match self.0 {
            Direction::Forward => left.place.cmp(&right.place),
            Direction::Backward => right.place.cmp(&left.place),
        };
        self.times(left.timestamp, right.timestamp).then(left.stream.cmp(&right.stream)).then(place)
    }
}

/// An entry that may be in the answer.
#[derive(Clone, Debug)]
struct Candidate {
    timestamp: Timestamp,
    stream: u32,
    /// The chunk's rank and the row.
    place: (u32, usize),
    line: Box<[u8]>,
    labels: LabelSet,
}

impl Candidate {
    /// What it counts in the budget.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.line.len()
    }
}

/// The entries at hand.
#[derive(Debug)]
struct Collector {
    order: Order,
    limit: usize,
    interval: i64,
    /// The answer so far, in order.
    settled: Vec<Candidate>,
    /// Entries that may still be preceded by others.
    pending: Vec<Candidate>,
}

impl Collector {
    fn new(query: &RangeQuery) -> Self {
        Self {
            order: Order(query.direction),
            limit: query.limit,
            interval: query.interval.max(0),
            settled: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// How many more entries the answer takes; all there are where some will be passed over.
    fn room(&self) -> usize {
        if self.interval > 0 { usize::MAX } else { self.limit - self.settled.len() }
    }

    /// Settles the entries that none of the unread chunks, the nearest of which begins at `unread`, can
    /// come before. Says whether the answer is complete.
    fn settle(&mut self, unread: Option<Timestamp>, context: &Context<'_>) -> bool {
        let order = self.order;
        self.pending.sort_unstable_by(|left, right| order.entries(left, right));
        let is_settled = |candidate: &Candidate| {
            unread.is_none_or(|unread| order.times(candidate.timestamp, unread).is_lt())
        };
        let count = self.pending.partition_point(is_settled);
        let behind = self.pending.split_off(count);
        for candidate in std::mem::replace(&mut self.pending, behind) {
            if self.settled.len() < self.limit && self.is_due(candidate.timestamp) {
                self.settled.push(candidate);
            } else {
                context.budget.release(candidate.bytes());
            }
        }
        if self.room() < self.pending.len() {
            let dropped = self.pending.drain(self.room()..);
            dropped.for_each(|candidate| context.budget.release(candidate.bytes()));
        }
        self.settled.len() == self.limit || unread.is_none()
    }

    /// Whether an entry is far enough from the one before it in the answer.
    fn is_due(&self, timestamp: Timestamp) -> bool {
        let Some(last) = self.settled.last().filter(|_| self.interval > 0) else { return true };
        timestamp.abs_diff(last.timestamp) >= self.interval.unsigned_abs()
    }

    /// The part of `range` in which an entry can still come into the answer.
    fn wanted(&self, range: TimeRange) -> TimeRange {
        let is_full = self.interval == 0 && self.pending.len() >= self.room();
        let farthest = self.pending.last().filter(|_| is_full);
        let mut range = farthest.map_or(range, |last| self.order.until(range, last.timestamp));
        let Some(last) = self.settled.last().filter(|_| self.interval > 0) else { return range };
        match self.order.0 {
            Direction::Forward => {
                range.start = range.start.max(last.timestamp.saturating_add(self.interval));
            }
            Direction::Backward => {
                let due = last.timestamp.saturating_sub(self.interval);
                range.end = range.end.min(due.saturating_add(1));
            }
        }
        range
    }
}

/// Reads waves of chunks.
struct Reader<'q> {
    threads: Vec<Thread<'q>>,
    /// How many chunks the next wave has.
    wave: usize,
}

/// What one thread reads with.
struct Thread<'q> {
    selection: &'q Selection,
    context: &'q Context<'q>,
    order: Order,
    output: Output<'q>,
    scratch: ReadScratch,
    lines: LineReader<'q>,
    worker: Option<Worker<'q>>,
    worker_bytes: usize,
    /// Where entries are still wanted.
    range: TimeRange,
    found: Vec<Candidate>,
}

impl<'q> Reader<'q> {
    fn new(selection: &'q Selection, query: &RangeQuery, context: &'q Context<'q>) -> Self {
        let output = if query.categorize_labels { Output::Categorized } else { Output::Full };
        let thread = || Thread {
            selection,
            context,
            order: Order(query.direction),
            output,
            scratch: ReadScratch::new(),
            lines: LineReader::new(selection, context),
            worker: None,
            worker_bytes: 0,
            range: TimeRange::ALL,
            found: Vec::new(),
        };
        let count = context.threads(usize::MAX);
        Self { threads: (0..count).map(|_| thread()).collect(), wave: count }
    }

    /// The entries of some chunks that are in `range`, at most `room` of each chunk.
    fn read(
        &mut self,
        wave: &[ChunkUnit],
        range: TimeRange,
        room: usize,
    ) -> Result<Vec<Candidate>, QueryError> {
        let count = self.threads.len();
        let mut wave: Vec<&ChunkUnit> = wave.iter().collect();
        wave.sort_unstable_by_key(|unit| unit.place);
        self.threads.iter_mut().for_each(|thread| thread.range = range);
        for_each(&mut self.threads, &groups(&wave), 1, |thread, group| {
            group.iter().try_for_each(|unit| {
                thread.read(unit, room)?;
                thread.keep(room);
                Ok(())
            })
        })?;
        let found: Vec<Candidate> =
            self.threads.iter_mut().flat_map(|thread| thread.found.drain(..)).collect();
        self.wave = match found.is_empty() {
            true => (self.wave * 8).min(count * SEARCH_CHUNKS_MAX),
            false => (self.wave * 2).min(count * WAVE_CHUNKS_MAX),
        };
        Ok(found)
    }
}

impl Thread<'_> {
    fn read(&mut self, unit: &ChunkUnit, room: usize) -> Result<(), QueryError> {
        let ((first, last), range) = (unit.chunk.time_bounds(), self.range);
        if !range.overlaps(first, last) {
            return Ok(());
        }
        let (chunk, context) = (&unit.chunk, self.context);
        let predicate = self.selection.pipeline.line_predicate();
        let Some(selection) = context.select(chunk, range, predicate, &mut self.scratch)? else {
            return Ok(());
        };
        self.set_stream(unit);
        let before = self.found.len();
        let enough = before.saturating_add(room);
        // As many as are wanted, if the pipeline drops none; then more at a time.
        let mut count = room.clamp(1, ROWS_PER_FETCH);
        let mut rest = 0..selection.len();
        while !rest.is_empty() && self.found.len() < enough {
            let part = match self.order.0 {
                Direction::Forward => rest.start..rest.end.min(rest.start + count),
                Direction::Backward => rest.start.max(rest.end.saturating_sub(count))..rest.end,
            };
            match self.order.0 {
                Direction::Forward => rest.start = part.end,
                Direction::Backward => rest.end = part.start,
            }
            let (lines, scratch) = (&mut self.lines, &mut self.scratch);
            let fetched = lines.fetch(context, unit, (&selection, part), Columns::ALL, scratch)?;
            let found = self.found.len();
            let rows = match self.order.0 {
                Direction::Forward => self.take(unit, &fetched.batch, fetched.rows(), enough)?,
                Direction::Backward => {
                    self.take(unit, &fetched.batch, fetched.rows().rev(), enough)?
                }
            };
            self.lines.note(&fetched, rows, rows - (self.found.len() - found));
            count = ROWS_PER_FETCH.min(count * 4);
        }
        self.context.count_matched(chunk, (self.found.len() - before) as u64);
        Ok(())
    }

    /// Lets go of entries that so many others come before, once they are as many, and of wishing for more
    /// such.
    fn keep(&mut self, room: usize) {
        let room = room.max(1);
        if self.found.len() / 2 < room {
            return;
        }
        let order = self.order;
        self.found.select_nth_unstable_by(room - 1, |left, right| order.entries(left, right));
        for dropped in self.found.drain(room..) {
            self.context.budget.release(dropped.bytes());
        }
        let farthest = self.found[room - 1].timestamp;
        self.range = order.until(self.range, farthest);
    }

    fn set_stream(&mut self, unit: &ChunkUnit) {
        let stream = unit.chunk.labels();
        match &mut self.worker {
            Some(worker) => worker.set_stream(stream),
            None => self.worker = Some(self.selection.pipeline.worker(stream, &self.output)),
        }
    }

    /// Runs rows through the pipeline until there are `enough` entries. Gives the rows that were run.
    ///
    /// # Errors
    /// The budget's, timeout and cancellation. All are asked for within the chunk, since a template can
    /// make large texts of short lines, and take its time.
    fn take<'b>(
        &mut self,
        unit: &ChunkUnit,
        batch: &'b Batch,
        rows: impl Iterator<Item = (usize, &'b Row)>,
        enough: usize,
    ) -> Result<usize, QueryError> {
        let Some(worker) = &mut self.worker else { return Ok(0) };
        let mut count = 0;
        for (index, row) in rows {
            if self.found.len() >= enough {
                break;
            }
            count += 1;
            if count % ROWS_PER_CHECK == 0 {
                self.context.check()?;
            }
            let metadata = metadata_of(batch, row);
            let processed = worker.process(row.timestamp, batch.line(row), metadata.as_ref());
            let Some(processed) = processed else { continue };
            let (line, labels) = (processed.line.into(), processed.labels);
            let candidate = Candidate {
                timestamp: row.timestamp,
                stream: unit.stream,
                place: (unit.rank, index),
                line,
                labels: worker.label_set(labels).clone(),
            };
            self.context.budget.charge(candidate.bytes())?;
            self.found.push(candidate);
            self.context.budget.follow(worker.memory_bytes(), &mut self.worker_bytes)?;
        }
        Ok(count)
    }
}

/// Puts entries, which are in order, together by their labels; sorts by the labels' text.
fn grouped(entries: Vec<Candidate>) -> Vec<StreamResult> {
    let mut index: HashMap<Labels, usize> = HashMap::new();
    let mut streams: Vec<StreamResult> = Vec::new();
    for entry in entries {
        let LabelSet { labels, structured_metadata, parsed, .. } = entry.labels;
        let stream = *index.entry(labels).or_insert_with_key(|labels| {
            streams.push(StreamResult { labels: labels.clone(), entries: Vec::new() });
            streams.len() - 1
        });
        streams[stream].entries.push(EntryResult {
            timestamp: entry.timestamp,
            line: entry.line,
            structured_metadata,
            parsed,
        });
    }
    streams.sort_by_cached_key(|stream| label_text(&stream.labels));
    streams
}
