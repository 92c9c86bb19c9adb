//! Range aggregations: from chunks to series.
//!
//! Chunks are the units of work. Each thread scans chunks into tables of its own, which are put
//! together at the end: counts are integers and numbers are sorted by time and place, so the answer
//! does not depend on which thread read what.
//!
//! How much is done for an entry depends on what it takes to know its series:
//! - where the pipeline has nothing to do and the stream's labels decide the group, a whole chunk
//!   belongs to one series: its timestamps are cut at the edges of windows, and a chunk that lies
//!   between two edges is not read at all;
//! - where metadata decides too, one label set is made for each set of metadata in a batch;
//! - otherwise every entry goes through the pipeline, which numbers the label sets it has seen.

use std::borrow::Cow;
use std::collections::HashMap;

use timberline_store::{Batch, Labels, Metadata, ReadScratch, Row, Timestamp};

use crate::QueryError;
use crate::engine::{ChunkUnit, Context, for_each};
use crate::label_text::label_text;
use crate::pipeline::{LabelSet, Worker};
use crate::plan::{Measure, RangePlan};

use super::grid::{Grid, Span, Windows};
use super::series::{POINT_BYTES, SERIES_BYTES, StepSeries, group_labels, intern};
use super::tally::{StepCount, Tally};
use super::window::{NumberSample, WindowFunction, slide};

/// Neighbouring chunks that a thread takes at once.
const CHUNKS_RUN: usize = 4;

/// Evaluates a range aggregation at every step.
///
/// # Errors
/// The store's and the budget's, timeout, cancellation, and entries that a stage marked as faulty.
pub(crate) fn evaluate(
    plan: &RangePlan<'_>,
    grid: Grid,
    context: &Context<'_>,
) -> Result<Vec<StepSeries>, QueryError> {
    let windows = Windows { grid, range: plan.range, offset: plan.offset };
    let units = context.chunks(&plan.selection.matchers, windows.data_range())?;
    let threads = context.threads(units.len().div_ceil(CHUNKS_RUN));
    let mut scanners: Vec<Scanner<'_>> =
        (0..threads).map(|_| Scanner::new(plan, windows, context)).collect();
    for_each(&mut scanners, &units, CHUNKS_RUN, Scanner::scan)?;
    let table = Table::gather(scanners)?;
    table.into_series(plan, &windows, context)
}

/// Where the samples of a label set go.
#[derive(Clone, Copy, Debug)]
enum Slot {
    /// To the series of this number.
    Series(u32),
    /// Nowhere: the entry has an error, and the query fails.
    Faulty,
}

/// An entry that a stage marked as faulty, at the first step whose window has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fault {
    step: u32,
    labels: Labels,
}

/// What series are made of.
#[derive(Debug)]
struct Table {
    index: HashMap<Labels, u32>,
    samples: Samples,
}

/// The samples of each series, by its number.
#[derive(Debug)]
enum Samples {
    Tallies(Vec<Tally>),
    Numbers(Vec<Vec<NumberSample>>),
}

/// What one thread needs to scan chunks, and what it found.
struct Scanner<'p> {
    plan: &'p RangePlan<'p>,
    windows: Windows,
    context: &'p Context<'p>,
    scratch: ReadScratch,
    worker: Option<Worker<'p>>,
    /// The rank of the stream that the worker is set to.
    stream: Option<u32>,
    /// Where the samples of the worker's label sets go, once known.
    slots: Vec<Option<Slot>>,
    /// What of the worker's memory is counted in the budget.
    worker_bytes: usize,
    /// Bytes of samples that are not counted in the budget yet.
    uncharged: usize,
    table: Table,
    fault: Option<Fault>,
}

/// The row's place among entries of the same time.
fn order(unit: &ChunkUnit, row: usize) -> u64 {
    u64::from(unit.rank) << 32 | u64::try_from(row).unwrap_or(u64::MAX)
}

impl<'p> Scanner<'p> {
    fn new(plan: &'p RangePlan<'p>, windows: Windows, context: &'p Context<'p>) -> Self {
        let samples = match plan.measure {
            Measure::Numbers(_) => Samples::Numbers(Vec::new()),
            Measure::Lines { .. } | Measure::Bytes { .. } | Measure::Absence => {
                Samples::Tallies(Vec::new())
            }
        };
        Self {
            plan,
            windows,
            context,
            scratch: ReadScratch::new(),
            worker: None,
            stream: None,
            slots: Vec::new(),
            worker_bytes: 0,
            uncharged: 0,
            table: Table { index: HashMap::new(), samples },
            fault: None,
        }
    }

    fn scan(&mut self, unit: &ChunkUnit) -> Result<(), QueryError> {
        let columns = self.plan.columns(unit.chunk.labels());
        let is_one_series = self.plan.is_flat() && !columns.metadata;
        if is_one_series && self.scan_unread(unit)? {
            return Ok(());
        }
        let batch = self.context.read(
            &unit.chunk,
            self.windows.data_range(),
            self.plan.selection.pipeline.line_predicate(),
            columns,
            &mut self.scratch,
        )?;
        if batch.rows().is_empty() {
            return Ok(());
        }
        if is_one_series {
            self.scan_one_series(unit, batch.rows())
        } else if self.plan.is_flat() {
            self.scan_by_metadata(unit, &batch)
        } else {
            self.scan_lines(unit, &batch)
        }
    }

    /// Counts a chunk without reading it, where no window's edge and no predicate divides it.
    fn scan_unread(&mut self, unit: &ChunkUnit) -> Result<bool, QueryError> {
        let (first, last) = unit.chunk.time_bounds();
        let span = self.windows.span(first);
        let takes_all = self.plan.selection.pipeline.line_predicate().is_always();
        if !takes_all || span.until < last {
            return Ok(false);
        }
        self.context.check()?;
        if span.is_empty() {
            return Ok(true);
        }
        let (rows, bytes) = (unit.chunk.rows(), unit.chunk.line_bytes());
        self.context.count_read(rows, bytes);
        self.context.count_matched(rows);
        let series = self.stream_series(unit.chunk.labels())?;
        self.tally(series, span, rows, bytes)?;
        Ok(true)
    }

    /// Counts rows that all belong to the series of their stream.
    fn scan_one_series(&mut self, unit: &ChunkUnit, rows: &[Row]) -> Result<(), QueryError> {
        let series = self.stream_series(unit.chunk.labels())?;
        self.context.count_matched(rows.len() as u64);
        let mut rest = rows;
        while let Some(first) = rest.first() {
            let span = self.windows.span(first.timestamp);
            let count = rest.partition_point(|row| row.timestamp <= span.until).max(1);
            let (rows, behind) = rest.split_at(count);
            let bytes = rows.iter().map(|row| u64::from(row.line_len)).sum();
            self.tally(series, span, rows.len() as u64, bytes)?;
            rest = behind;
        }
        Ok(())
    }

    /// Counts rows whose series are decided by the stream and their metadata.
    fn scan_by_metadata(&mut self, unit: &ChunkUnit, batch: &Batch) -> Result<(), QueryError> {
        self.set_stream(unit);
        self.context.count_matched(batch.rows().len() as u64);
        let mut known: Vec<Option<u32>> = vec![None; batch.metadata_sets().len().max(1)];
        let mut span = Span::NONE;
        for row in batch.rows() {
            if row.timestamp > span.until {
                span = self.windows.span(row.timestamp);
            }
            let known = known.get_mut(row.metadata as usize);
            let labels = match known.as_ref().and_then(|labels| **labels) {
                Some(labels) => labels,
                None => match self.process(row.timestamp, &[], batch, row) {
                    Some((labels, _)) => labels,
                    None => continue,
                },
            };
            if let Some(known) = known {
                *known = Some(labels);
            }
            if let Some(series) = self.series_of(labels, span)? {
                self.tally(series, span, 1, u64::from(row.line_len))?;
            }
        }
        self.charge()
    }

    /// Runs every row through the pipeline.
    fn scan_lines(&mut self, unit: &ChunkUnit, batch: &Batch) -> Result<(), QueryError> {
        self.set_stream(unit);
        let mut matched = 0;
        let mut span = Span::NONE;
        for (index, row) in batch.rows().iter().enumerate() {
            if row.timestamp > span.until {
                span = self.windows.span(row.timestamp);
            }
            if let Some((labels, measured)) =
                self.process(row.timestamp, batch.line(row), batch, row)
            {
                matched += 1;
                let place = (row.timestamp, order(unit, index));
                self.add_line(labels, measured, span, place)?;
            }
        }
        self.context.count_matched(matched);
        self.charge()
    }

    /// Adds what the pipeline made of an entry to its series.
    fn add_line(
        &mut self,
        labels: u32,
        measured: Measured,
        span: Span,
        (timestamp, order): (Timestamp, u64),
    ) -> Result<(), QueryError> {
        if span.is_empty() || self.plan.unwraps && measured.value.is_none() {
            return Ok(());
        }
        let Some(series) = self.series_of(labels, span)? else { return Ok(()) };
        if let (Samples::Numbers(numbers), Some(value)) = (&mut self.table.samples, measured.value)
        {
            if let Some(samples) = numbers.get_mut(series as usize) {
                samples.push(NumberSample { timestamp, order, value });
                self.uncharged += size_of::<NumberSample>();
            }
            return Ok(());
        }
        self.tally(series, span, 1, measured.line_len)
    }

    fn set_stream(&mut self, unit: &ChunkUnit) {
        if self.stream == Some(unit.stream) {
            return;
        }
        self.stream = Some(unit.stream);
        let stream = unit.chunk.labels();
        match &mut self.worker {
            Some(worker) => worker.set_stream(stream),
            None => {
                let worker = self.plan.selection.pipeline.worker(stream, &self.plan.output());
                self.worker = Some(worker);
            }
        }
    }

    /// The number of an entry's labels and what is measured of it; `None` where a stage dropped it.
    fn process(
        &mut self,
        timestamp: Timestamp,
        line: &[u8],
        batch: &Batch,
        row: &Row,
    ) -> Option<(u32, Measured)> {
        let metadata = metadata_of(batch, row);
        let processed = self.worker.as_mut()?.process(timestamp, line, metadata.as_ref())?;
        // A line that was not read was not changed either.
        let is_read = self.plan.selection.pipeline.needs_line();
        let line_len = if is_read { processed.line.len() as u64 } else { u64::from(row.line_len) };
        Some((processed.labels, Measured { line_len, value: processed.value }))
    }

    /// The series of a label set; `None` where it is faulty, which is noted.
    fn series_of(&mut self, labels: u32, span: Span) -> Result<Option<u32>, QueryError> {
        let index = labels as usize;
        let slot = match self.slots.get(index).copied().flatten() {
            Some(slot) => slot,
            None => self.new_slot(labels)?,
        };
        match slot {
            Slot::Series(series) => Ok(Some(series)),
            Slot::Faulty => {
                self.note_fault(labels, span);
                Ok(None)
            }
        }
    }

    fn new_slot(&mut self, labels: u32) -> Result<Slot, QueryError> {
        let set = self.label_set(labels).cloned().unwrap_or_default();
        let slot = if set.error {
            Slot::Faulty
        } else {
            Slot::Series(self.table.series(set.labels, self.context)?)
        };
        let index = labels as usize;
        if self.slots.len() <= index {
            self.slots.resize(index + 1, None);
        }
        self.slots[index] = Some(slot);
        Ok(slot)
    }

    fn label_set(&self, labels: u32) -> Option<&LabelSet> {
        self.worker.as_ref().map(|worker| worker.label_set(labels))
    }

    fn stream_series(&mut self, stream: &Labels) -> Result<u32, QueryError> {
        let labels = group_labels(stream, self.plan.grouping.as_deref());
        self.table.series(labels, self.context)
    }

    fn tally(&mut self, series: u32, span: Span, lines: u64, bytes: u64) -> Result<(), QueryError> {
        let steps = self.windows.grid.count();
        match &mut self.table.samples {
            Samples::Tallies(tallies) => match tallies.get_mut(series as usize) {
                Some(tally) => tally.add(span, lines, bytes, steps, &self.context.budget),
                None => Ok(()),
            },
            Samples::Numbers(_) => Ok(()),
        }
    }

    fn note_fault(&mut self, labels: u32, span: Span) {
        if span.is_empty() || self.fault.as_ref().is_some_and(|fault| fault.step < span.first) {
            return;
        }
        if let Some(set) = self.label_set(labels) {
            let fault = Fault { step: span.first, labels: set.labels.clone() };
            self.fault = self.fault.take().into_iter().chain([fault]).min();
        }
    }

    /// Counts in the budget what has grown since the last chunk.
    fn charge(&mut self) -> Result<(), QueryError> {
        let bytes = self.worker.as_ref().map_or(0, Worker::memory_bytes);
        let grown = bytes.saturating_sub(self.worker_bytes);
        self.worker_bytes = bytes;
        self.context.budget.charge(grown + std::mem::take(&mut self.uncharged))
    }
}

/// What the pipeline said of an entry.
#[derive(Clone, Copy, Debug)]
struct Measured {
    line_len: u64,
    value: Option<f64>,
}

impl Table {
    /// The number of the series with these labels.
    fn series(&mut self, labels: Labels, context: &Context<'_>) -> Result<u32, QueryError> {
        let (series, is_new) = intern(&mut self.index, labels);
        if is_new {
            context.budget.charge(SERIES_BYTES)?;
            match &mut self.samples {
                Samples::Tallies(tallies) => tallies.push(Tally::default()),
                Samples::Numbers(numbers) => numbers.push(Vec::new()),
            }
        }
        Ok(series)
    }

    /// Puts the tables of all threads together.
    ///
    /// # Errors
    /// The first fault, by step and labels; the budget's.
    fn gather(scanners: Vec<Scanner<'_>>) -> Result<Self, QueryError> {
        if let Some(fault) = scanners.iter().filter_map(|scanner| scanner.fault.as_ref()).min() {
            return Err(pipeline_error(&fault.labels));
        }
        let mut scanners = scanners.into_iter();
        let Some(first) = scanners.next() else {
            return Ok(Self { index: HashMap::new(), samples: Samples::Tallies(Vec::new()) });
        };
        let (context, steps, mut gathered) =
            (first.context, first.windows.grid.count(), first.table);
        for scanner in scanners {
            gathered.merge(scanner.table, steps, context)?;
        }
        Ok(gathered)
    }

    fn merge(&mut self, other: Self, steps: u32, context: &Context<'_>) -> Result<(), QueryError> {
        let mut labels: Vec<(Labels, u32)> = other.index.into_iter().collect();
        labels.sort_unstable_by_key(|(_, series)| *series);
        let mut ids = Vec::with_capacity(labels.len());
        for (labels, _) in labels {
            ids.push(self.series(labels, context)? as usize);
        }
        match (&mut self.samples, other.samples) {
            (Samples::Tallies(own), Samples::Tallies(tallies)) => {
                for (id, tally) in ids.into_iter().zip(tallies) {
                    own[id].merge(tally, steps, &context.budget)?;
                }
            }
            (Samples::Numbers(own), Samples::Numbers(numbers)) => {
                for (id, samples) in ids.into_iter().zip(numbers) {
                    own[id].extend(samples);
                }
            }
            // All tables of one plan are of one kind.
            _ => {}
        }
        Ok(())
    }

    /// The values at every step, by labels.
    fn into_series(
        self,
        plan: &RangePlan<'_>,
        windows: &Windows,
        context: &Context<'_>,
    ) -> Result<Vec<StepSeries>, QueryError> {
        let mut labels: Vec<(u32, Labels)> =
            self.index.into_iter().map(|(labels, series)| (series, labels)).collect();
        labels.sort_unstable_by_key(|(series, _)| *series);
        let mut series = match (plan.measure, self.samples) {
            (Measure::Absence, Samples::Tallies(tallies)) => absence(plan, tallies, windows),
            (measure, Samples::Tallies(tallies)) => {
                counted(labels, tallies, measure, windows, context)?
            }
            (Measure::Numbers(function), Samples::Numbers(numbers)) => {
                computed(labels, numbers, function, windows, context)?
            }
            (_, Samples::Numbers(_)) => Vec::new(),
        };
        series.retain(|series| !series.points.is_empty());
        series.sort_unstable_by(|left, right| left.labels.cmp(&right.labels));
        Ok(series)
    }
}

fn counted(
    labels: Vec<(u32, Labels)>,
    tallies: Vec<Tally>,
    measure: Measure,
    windows: &Windows,
    context: &Context<'_>,
) -> Result<Vec<StepSeries>, QueryError> {
    let seconds = windows.range_seconds();
    // Counts of lines and bytes stay below 2^53, so that they are exact as floats.
    let value = |count: &StepCount| match measure {
        Measure::Bytes { per_second: true } => count.bytes as f64 / seconds,
        Measure::Bytes { per_second: false } => count.bytes as f64,
        Measure::Lines { per_second: true } => count.lines as f64 / seconds,
        _ => count.lines as f64,
    };
    let mut result = Vec::with_capacity(labels.len());
    for ((_, labels), tally) in labels.into_iter().zip(tallies) {
        let counts = tally.into_counts();
        context.budget.charge(counts.len() * POINT_BYTES)?;
        let points = counts.iter().map(|count| (count.step, value(count))).collect();
        result.push(StepSeries { labels, points });
    }
    Ok(result)
}

fn computed(
    labels: Vec<(u32, Labels)>,
    numbers: Vec<Vec<NumberSample>>,
    function: WindowFunction,
    windows: &Windows,
    context: &Context<'_>,
) -> Result<Vec<StepSeries>, QueryError> {
    let mut result = Vec::with_capacity(labels.len());
    for ((_, labels), samples) in labels.into_iter().zip(numbers) {
        context.check()?;
        let points = slide(samples, windows, function, context)?;
        result.push(StepSeries { labels, points });
    }
    Ok(result)
}

/// One series, at the steps where nothing was counted.
fn absence(plan: &RangePlan<'_>, tallies: Vec<Tally>, windows: &Windows) -> Vec<StepSeries> {
    let mut is_present = vec![false; windows.grid.count() as usize];
    for count in tallies.into_iter().flat_map(Tally::into_counts) {
        if let Some(is_present) = is_present.get_mut(count.step as usize) {
            *is_present = true;
        }
    }
    let absent = (0..).zip(is_present).filter(|(_, is_present)| !is_present);
    let points = absent.map(|(step, _)| (step, 1.0)).collect();
    vec![StepSeries { labels: plan.absent_labels.clone(), points }]
}

/// A row's metadata, or the empty set.
pub(crate) fn metadata_of<'b>(batch: &'b Batch, row: &Row) -> Cow<'b, Metadata> {
    let set = batch.metadata_sets().get(row.metadata as usize);
    set.map_or_else(|| Cow::Owned(Metadata::default()), Cow::Borrowed)
}

/// # Source
/// Loki's text; its doubled words and line breaks are part of it.
fn pipeline_error(labels: &Labels) -> QueryError {
    let code = labels.get("__error__").unwrap_or_default();
    let labels = label_text(labels);
    QueryError::Refused(format!(
        "pipeline error: '{code}' for series: '{labels}'.\n\
         Use a label filter to intentionally skip this error. (e.g | __error__!=\"{code}\").\n\
         To skip all potential errors you can match empty errors.(e.g __error__=\"\")\n\
         The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__=\"\" )\n"
    ))
}
