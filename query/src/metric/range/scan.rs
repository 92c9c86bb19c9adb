//! One thread's part of a range aggregation: from chunks to the tables of series.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::ops::Range;

use timberline_store::{
    Batch, Columns, Labels, LineColumn, Metadata, Minute, ProjectionScratch, ReadScratch, Row,
    SelectedMinute, Selection, TimeRange, Timestamp,
};

use crate::QueryError;
use crate::engine::{ChunkUnit, Context, Fetched, LineReader, ROWS_PER_CHECK, ROWS_PER_FETCH};
use crate::pipeline::{LabelSet, TemplateParser, Worker};
use crate::plan::RangePlan;

use super::super::grid::{Span, Windows};
use super::super::series::group_labels;
use super::table::{Place, Table};

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
pub(super) struct Fault {
    step: u32,
    /// All of the entry's labels.
    pub(super) labels: Labels,
}

/// What one thread needs to scan chunks, and what it found.
pub(super) struct Scanner<'p> {
    plan: &'p RangePlan<'p>,
    windows: Windows,
    context: &'p Context<'p>,
    scratch: ReadScratch,
    /// Where lines need not be read whole.
    projections: Option<ProjectionScratch<TemplateParser<'p>>>,
    lines: LineReader<'p>,
    worker: Option<Worker<'p>>,
    /// Where the samples of the worker's label sets go, once known.
    slots: Vec<Option<Slot>>,
    /// What of the worker's memory is counted in the budget.
    worker_bytes: usize,
    /// What it found.
    pub(super) table: Table,
    /// The first fault it met.
    pub(super) fault: Option<Fault>,
}

impl<'p> Scanner<'p> {
    /// Nothing found yet.
    pub(super) fn new(plan: &'p RangePlan<'p>, windows: Windows, context: &'p Context<'p>) -> Self {
        Self {
            plan,
            windows,
            context,
            scratch: ReadScratch::new(),
            projections: TemplateParser::new(&plan.selection.pipeline).map(ProjectionScratch::new),
            lines: LineReader::new(&plan.selection, context),
            worker: None,
            slots: Vec::new(),
            worker_bytes: 0,
            table: Table::new(plan.measure, windows),
            fault: None,
        }
    }

    /// Scans a chunk.
    ///
    /// # Errors
    /// The store's and the budget's, timeout and cancellation.
    pub(super) fn scan(&mut self, unit: &ChunkUnit) -> Result<(), QueryError> {
        let columns = self.plan.columns(unit.chunk.labels());
        let is_one_series = self.plan.is_flat() && !columns.metadata;
        if is_one_series && self.scan_unread(unit, columns)? {
            return Ok(());
        }
        self.scan_read(unit, self.windows.data_range(), columns, is_one_series)
    }

    /// Scans the rows of a chunk that are in a range.
    fn scan_read(
        &mut self,
        unit: &ChunkUnit,
        range: TimeRange,
        columns: Columns,
        is_one_series: bool,
    ) -> Result<(), QueryError> {
        let (chunk, context) = (&unit.chunk, self.context);
        let predicate = self.plan.selection.pipeline.line_predicate();
        let Some(selection) = context.select(chunk, range, predicate, &mut self.scratch)? else {
            return Ok(());
        };
        let counts_rows = is_one_series && columns.line == LineColumn::None;
        let minutes = match counts_rows {
            true => self.count_by_minute(unit, &selection)?,
            false => None,
        };
        let parts =
            minutes.unwrap_or_else(|| Vec::from([Range { start: 0, end: selection.len() }]));
        for part in parts.into_iter().flat_map(in_fetches) {
            let (found, scratch) = ((&selection, part), &mut self.scratch);
            let fetched = match &mut self.projections {
                None => self.lines.fetch(context, unit, found, columns, scratch)?,
                Some(projections) => {
                    let (found, part) = found;
                    let first = part.start;
                    let batch =
                        context.fetch_projected(chunk, found, part, projections, scratch)?;
                    Fetched::from(batch, first)
                }
            };
            if is_one_series {
                self.scan_one_series(unit, fetched.batch.rows())?;
            } else if self.plan.is_flat() {
                self.scan_by_metadata(unit, &fetched.batch)?;
            } else {
                self.scan_lines(unit, &fetched)?;
            }
        }
        Ok(())
    }

    /// Counts a chunk without reading it, as far as no window's edge and no predicate divides it or the
    /// minutes that the store has counted, and nothing of it is hidden.
    fn scan_unread(&mut self, unit: &ChunkUnit, columns: Columns) -> Result<bool, QueryError> {
        let takes_all = self.plan.selection.pipeline.line_predicate().is_always();
        if !takes_all || unit.chunk.has_hidden() {
            return Ok(false);
        }
        self.context.check()?;
        let chunk = &unit.chunk;
        let (first, last) = chunk.time_bounds();
        let whole = Counted { first, last, rows: chunk.rows(), bytes: chunk.line_bytes() };
        if self.count_whole(unit, whole)? {
            self.context.count_unread(chunk, whole.rows, whole.bytes);
            return Ok(true);
        }
        let minutes = self.context.unless_damaged(chunk.minutes())?.unwrap_or_default();
        let (mut rows, mut bytes) = (0, 0);
        for minute in minutes {
            let part = whole.of_minute(minute, minute.rows, minute.line_bytes);
            if self.count_whole(unit, part)? {
                (rows, bytes) = (rows + part.rows, bytes + part.bytes);
            } else {
                let range = TimeRange::new(part.first, part.last.saturating_add(1));
                self.scan_read(unit, self.windows.data_range().intersect(range), columns, true)?;
            }
        }
        if rows > 0 {
            self.context.count_unread(chunk, rows, bytes);
        }
        Ok(!minutes.is_empty())
    }

    /// Counts rows of a stream by the minutes they are in. Returns what windows' edges divide, parts of which
    /// the timestamps are to be read; `None` where there are no minutes.
    fn count_by_minute(
        &mut self,
        unit: &ChunkUnit,
        selection: &Selection,
    ) -> Result<Option<Vec<Range<usize>>>, QueryError> {
        let minutes = self.context.unless_damaged(unit.chunk.by_minute(selection))?;
        let Some(minutes) = minutes.filter(|minutes| !minutes.is_empty()) else { return Ok(None) };
        let (first, last) = unit.chunk.time_bounds();
        let all = Counted { first, last, rows: selection.len() as u64, bytes: 0 };
        let mut divided = Vec::new();
        for SelectedMinute { minute, part } in minutes {
            let counted = all.of_minute(&minute, part.len() as u64, 0);
            if !self.count_whole(unit, counted)? {
                divided.push(part);
            }
        }
        Ok(Some(divided))
    }

    /// Counts rows of a stream that no window's edge divides; says whether that is so.
    fn count_whole(&mut self, unit: &ChunkUnit, part: Counted) -> Result<bool, QueryError> {
        let span = self.windows.span(part.first);
        if span.until < part.last {
            return Ok(false);
        }
        if !span.is_empty() {
            self.context.count_matched(&unit.chunk, part.rows);
            let series = self.stream_series(unit.chunk.labels())?;
            self.table.count(series, span, part.rows, part.bytes, self.context)?;
        }
        Ok(true)
    }

    /// Counts rows that all belong to the series of their stream.
    fn scan_one_series(&mut self, unit: &ChunkUnit, rows: &[Row]) -> Result<(), QueryError> {
        let series = self.stream_series(unit.chunk.labels())?;
        self.context.count_matched(&unit.chunk, rows.len() as u64);
        let mut rest = rows;
        while let Some(first) = rest.first() {
            let span = self.windows.span(first.timestamp);
            let count = rest.partition_point(|row| row.timestamp <= span.until).max(1);
            let (rows, behind) = rest.split_at(count);
            let bytes = rows.iter().map(|row| u64::from(row.line_len)).sum();
            self.table.count(series, span, rows.len() as u64, bytes, self.context)?;
            rest = behind;
        }
        Ok(())
    }

    /// Counts rows whose series are decided by the stream and their metadata.
    fn scan_by_metadata(&mut self, unit: &ChunkUnit, batch: &Batch) -> Result<(), QueryError> {
        self.set_stream(unit);
        self.context.count_matched(&unit.chunk, batch.rows().len() as u64);
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
                self.table.count(series, span, 1, u64::from(row.line_len), self.context)?;
            }
            self.charge()?;
        }
        Ok(())
    }

    /// Runs every row through the pipeline.
    fn scan_lines(&mut self, unit: &ChunkUnit, fetched: &Fetched) -> Result<(), QueryError> {
        self.set_stream(unit);
        let batch = &fetched.batch;
        let mut matched = 0;
        let mut span = Span::NONE;
        for (index, (place, row)) in fetched.rows().enumerate() {
            if row.timestamp > span.until {
                span = self.windows.span(row.timestamp);
            }
            let processed = match row.projection {
                None => self.process(row.timestamp, batch.line(row), batch, row),
                Some(number) => self.process_values(number, batch, row),
            };
            if let Some((labels, measured)) = processed {
                matched += 1;
                let place = Place { timestamp: row.timestamp, chunk: unit.rank, row: place };
                self.add_line(labels, measured, span, place)?;
                self.charge()?;
            }
            // A template can take its time.
            if index % ROWS_PER_CHECK == 0 {
                self.context.check()?;
            }
        }
        let rows = batch.rows().len();
        self.lines.note(fetched, rows, rows - matched);
        self.context.count_matched(&unit.chunk, matched as u64);
        Ok(())
    }

    /// Adds what the pipeline made of an entry to its series.
    fn add_line(
        &mut self,
        labels: u32,
        measured: Measured,
        span: Span,
        place: Place,
    ) -> Result<(), QueryError> {
        if span.is_empty() || self.plan.unwraps && measured.value.is_none() {
            return Ok(());
        }
        let Some(series) = self.series_of(labels, span)? else { return Ok(()) };
        match measured.value {
            Some(value) => self.table.number(series, span, value, place, self.context),
            None => self.table.count(series, span, 1, measured.line_len, self.context),
        }
    }

    fn set_stream(&mut self, unit: &ChunkUnit) {
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
        // A line that no stage reads is not decoded, but a stage may make another one of labels.
        let is_there = self.plan.selection.pipeline.needs_line() || processed.is_rewritten;
        let line_len = if is_there { processed.line.len() as u64 } else { u64::from(row.line_len) };
        Some((processed.labels, Measured { line_len, value: processed.value }))
    }

    /// As [`process`](Self::process), of a row of whose line some values were read. Nothing measures it.
    fn process_values(
        &mut self,
        number: NonZeroU32,
        batch: &Batch,
        row: &Row,
    ) -> Option<(u32, Measured)> {
        let plan = self.projections.as_ref()?.projector().plan(number)?;
        let (values, metadata) = (batch.values(row), metadata_of(batch, row));
        let line = (batch.line(row), values);
        let worker = self.worker.as_mut()?;
        let (labels, value) =
            worker.process_values(row.timestamp, (number, plan), line, metadata.as_ref())?;
        Some((labels, Measured { line_len: 0, value }))
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

    fn note_fault(&mut self, labels: u32, span: Span) {
        if span.is_empty() || self.fault.as_ref().is_some_and(|fault| fault.step < span.first) {
            return;
        }
        if let Some(set) = self.label_set(labels) {
            let fault = Fault { step: span.first, labels: set.labels.clone() };
            self.fault = self.fault.take().into_iter().chain([fault]).min();
        }
    }

    /// Counts in the budget what the label sets have grown by.
    fn charge(&mut self) -> Result<(), QueryError> {
        let bytes = self.worker.as_ref().map_or(0, Worker::memory_bytes);
        self.context.budget.follow(bytes, &mut self.worker_bytes)
    }
}

/// Rows that were counted when they were written.
#[derive(Clone, Copy, Debug)]
struct Counted {
    first: Timestamp,
    last: Timestamp,
    rows: u64,
    bytes: u64,
}

impl Counted {
    /// Those of them that are in a minute.
    fn of_minute(self, minute: &Minute, rows: u64, bytes: u64) -> Self {
        let (first, last) = (minute.first().max(self.first), minute.last().min(self.last));
        Self { first, last, rows, bytes }
    }
}

/// What the pipeline said of an entry.
#[derive(Clone, Copy, Debug)]
struct Measured {
    line_len: u64,
    value: Option<f64>,
}

/// Parts of a selection that are read at once.
fn in_fetches(part: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = part.end;
    part.step_by(ROWS_PER_FETCH).map(move |first| first..end.min(first + ROWS_PER_FETCH))
}

/// A row's metadata, or the empty set.
pub(crate) fn metadata_of<'b>(batch: &'b Batch, row: &Row) -> Cow<'b, Metadata> {
    let set = batch.metadata_sets().get(row.metadata as usize);
    set.map_or_else(|| Cow::Owned(Metadata::default()), Cow::Borrowed)
}
