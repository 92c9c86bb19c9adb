//! Reading the lines of those rows only that may pass a pipeline.
//!
//! Where most rows are dropped by a label filter, a row is first looked at in part: at its metadata and the
//! values that the filter needs ([`Pipeline::probe`]). Only the lines of those that pass are read. Of rows
//! of which nothing can be said beforehand the lines are read, too.
//!
//! A row that passes is read twice, and templates have to be looked at. So the first rows of a query are
//! read whole, which is all that the newest hundred lines take, and rows are looked at in part as long as most are
//! dropped ([`Record`]).

use std::num::NonZeroU32;
use std::ops::Range;

use timberline_store::{
    Batch, Columns, LineColumn, LineTemplate, Projection, ProjectionScratch, Projector,
    ReadScratch, Row, Selection as Rows,
};

use super::context::{ChunkUnit, Context, ROWS_PER_CHECK};
use crate::QueryError;
use crate::metric::metadata_of;
use crate::pipeline::{Output, Pipeline, TemplateParser, Worker};
use crate::plan::Selection;
use crate::syntax::Grouping;

/// When rows are looked at in part before their lines are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Probing {
    /// While most rows are dropped.
    #[default]
    WhereWorthwhile,
    /// Wherever it can be done.
    #[cfg(test)]
    Always,
    /// Nowhere.
    #[cfg(test)]
    Never,
}

/// Rows with their lines.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) batch: Batch,
    places: Places,
}

/// Where rows are in what was found in their chunk.
#[derive(Debug)]
enum Places {
    /// The first one; the others follow.
    From(usize),
    These(Vec<usize>),
}

impl Fetched {
    /// Rows of which the first is at a place, and the others follow.
    pub(crate) const fn from(batch: Batch, first: usize) -> Self {
        Self { batch, places: Places::From(first) }
    }

    /// The rows, each with its place in what was found.
    pub(crate) fn rows(&self) -> impl DoubleEndedIterator<Item = (usize, &Row)> {
        let place = |index| match &self.places {
            Places::From(first) => first + index,
            Places::These(places) => places.get(index).copied().unwrap_or_default(),
        };
        self.batch.rows().iter().enumerate().map(move |(index, row)| (place(index), row))
    }
}

/// Reads rows for a pipeline, in one thread.
pub(crate) struct LineReader<'p> {
    prober: Option<Prober<'p>>,
}

impl<'p> LineReader<'p> {
    pub(crate) fn new(selection: &'p Selection, context: &Context<'_>) -> Self {
        let prober = selection.probe.as_ref().map(|probe| Prober::new(probe, context.probing));
        Self { prober }
    }

    /// Reads a part of what was found in a chunk, but for rows that the pipeline is known to drop.
    ///
    /// # Errors
    /// As [`Context::fetch`], and the budget's.
    pub(crate) fn fetch(
        &mut self,
        context: &Context<'_>,
        unit: &ChunkUnit,
        (found, part): (&Rows, Range<usize>),
        columns: Columns,
        scratch: &mut ReadScratch,
    ) -> Result<Fetched, QueryError> {
        let first = part.start;
        let prober = self.prober.as_mut().filter(|prober| {
            // In memory there are lines, and nothing is made of parts.
            columns.line == LineColumn::Text
                && !unit.chunk.is_in_memory()
                && prober.is_worthwhile(unit, found)
        });
        let Some(prober) = prober else {
            let batch = context.fetch(&unit.chunk, found, part, columns, scratch)?;
            return Ok(Fetched::from(batch, first));
        };
        let places = prober.passing(context, unit, (found, part), scratch)?;
        let batch = if places.is_empty() {
            Batch::default()
        } else {
            let left = found.at(&places);
            context.fetch_again(&unit.chunk, &left, 0..left.len(), columns, scratch)?
        };
        Ok(Fetched { batch, places: Places::These(places) })
    }

    /// Notes how many of some rows the pipeline dropped.
    pub(crate) fn note(&mut self, fetched: &Fetched, rows: usize, dropped: usize) {
        if let (Some(prober), Places::From(_)) = (&mut self.prober, &fetched.places) {
            prober.record.note_whole(rows, dropped);
        }
    }
}

/// Looks at rows in part.
struct Prober<'p> {
    probe: &'p Pipeline,
    when: Probing,
    record: Record,
    /// `None` where the metadata is enough.
    projections: Option<ProjectionScratch<EmptyUnlessKnown<'p>>>,
    worker: Option<Worker<'p>>,
    worker_bytes: usize,
}

/// What a probe counts passing entries by.
static NO_LABELS: Grouping = Grouping { without: false, labels: Vec::new() };

impl<'p> Prober<'p> {
    fn new(probe: &'p Pipeline, when: Probing) -> Self {
        let parser = TemplateParser::new(probe).map(EmptyUnlessKnown);
        Self {
            probe,
            when,
            record: Record::default(),
            projections: parser.map(ProjectionScratch::new),
            worker: None,
            worker_bytes: 0,
        }
    }

    fn is_worthwhile(&self, unit: &ChunkUnit, found: &Rows) -> bool {
        // The templates of a whole group are looked at, which is too many for a few of its rows.
        let are_many = || {
            let rows = found.len() as u64;
            self.projections.is_none() || rows >= ROWS_MIN || rows * 4 >= unit.chunk.rows()
        };
        match self.when {
            Probing::WhereWorthwhile => self.record.is_worthwhile() && are_many(),
            #[cfg(test)]
            Probing::Always => true,
            #[cfg(test)]
            Probing::Never => false,
        }
    }

    /// The places of the rows that may pass.
    fn passing(
        &mut self,
        context: &Context<'_>,
        unit: &ChunkUnit,
        (found, part): (&Rows, Range<usize>),
        scratch: &mut ReadScratch,
    ) -> Result<Vec<usize>, QueryError> {
        let (chunk, range) = (&unit.chunk, part.clone());
        let batch = match &mut self.projections {
            Some(projections) => {
                context.fetch_projected(chunk, found, range, projections, scratch)?
            }
            None => {
                let columns = Columns { line: LineColumn::None, metadata: true };
                context.fetch(chunk, found, range, columns, scratch)?
            }
        };
        self.set_stream(unit);
        let mut places = Vec::new();
        for (index, (place, row)) in part.zip(batch.rows()).enumerate() {
            if index % ROWS_PER_CHECK == 0 {
                context.check()?;
            }
            if self.may_pass(&batch, row) {
                places.push(place);
            }
        }
        let rows = batch.rows().len();
        self.record.note_probed(rows, rows - places.len());
        let bytes = self.worker.as_ref().map_or(0, Worker::memory_bytes);
        context.budget.follow(bytes, &mut self.worker_bytes)?;
        Ok(places)
    }

    fn set_stream(&mut self, unit: &ChunkUnit) {
        let stream = unit.chunk.labels();
        match &mut self.worker {
            Some(worker) => worker.set_stream(stream),
            None => self.worker = Some(self.probe.worker(stream, &Output::Grouped(&NO_LABELS))),
        }
    }

    fn may_pass(&mut self, batch: &Batch, row: &Row) -> bool {
        let Some(worker) = &mut self.worker else { return true };
        let metadata = metadata_of(batch, row);
        let Some(projections) = &self.projections else {
            return worker.process(row.timestamp, &[], metadata.as_ref()).is_some();
        };
        let plan = row.projection.and_then(|number| {
            let plan = projections.projector().0.plan(number)?;
            Some((number, plan))
        });
        let Some(plan) = plan else { return true };
        let values = (batch.line(row), batch.values(row));
        worker.process_values(row.timestamp, plan, values, metadata.as_ref()).is_some()
    }
}

/// Reads nothing of lines that would have to be read whole: that is done later, if at all.
struct EmptyUnlessKnown<'p>(TemplateParser<'p>);

/// The number of no plan.
const UNKNOWN: NonZeroU32 = NonZeroU32::MAX;

impl Projector for EmptyUnlessKnown<'_> {
    fn project(&mut self, template: &LineTemplate<'_>) -> Option<Projection> {
        let known = self.0.project(template);
        Some(known.unwrap_or(Projection { number: UNKNOWN, slots: Vec::new() }))
    }
}

/// Rows that are read before the record says anything.
const TRIALS: usize = 256;

/// Rows found in a chunk that templates are looked at for, unless they are a good part of it.
const ROWS_MIN: u64 = 1024;

/// Rows that are read whole once looking at them in part was of no use; twice as many the next time.
const REST_MIN: usize = 8192;

/// How many rows were dropped of late.
#[derive(Clone, Copy, Debug)]
struct Record {
    rows: usize,
    dropped: usize,
    /// Rows that are still to be read whole.
    resting: usize,
    next_rest: usize,
}

impl Default for Record {
    fn default() -> Self {
        Self { rows: 0, dropped: 0, resting: 0, next_rest: REST_MIN }
    }
}

impl Record {
    const fn is_worthwhile(self) -> bool {
        self.resting == 0 && self.rows >= TRIALS && self.dropped > self.rows / 2
    }

    /// Counts rows of which the lines were read. Older ones count for less and less.
    fn note_whole(&mut self, rows: usize, dropped: usize) {
        self.resting = self.resting.saturating_sub(rows);
        self.note(rows, dropped);
    }

    /// Counts rows that were looked at in part.
    fn note_probed(&mut self, rows: usize, dropped: usize) {
        self.note(rows, dropped);
        if self.is_worthwhile() {
            self.next_rest = REST_MIN;
        } else if self.rows >= TRIALS {
            // The pipeline may drop them later on, which says nothing.
            self.resting = self.next_rest;
            self.next_rest = self.next_rest.saturating_mul(2);
        }
    }

    fn note(&mut self, rows: usize, dropped: usize) {
        if self.rows >= 2 * TRIALS {
            self.rows /= 2;
            self.dropped /= 2;
        }
        self.rows += rows;
        self.dropped += dropped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_whole_until_most_are_dropped() {
        let mut record = Record::default();
        for _ in 0..TRIALS {
            assert!(!record.is_worthwhile());
            record.note_whole(1, 1);
        }
        assert!(record.is_worthwhile());
    }

    #[test]
    fn looking_at_rows_that_pass_is_tried_less_and_less() {
        let mut record = Record::default();
        let mut probed = 0;
        for _ in 0..1000 {
            // Something drops them, but not what the probe sees.
            if record.is_worthwhile() {
                record.note_probed(TRIALS, 0);
                probed += 1;
            } else {
                record.note_whole(TRIALS, TRIALS);
            }
        }
        assert!((2..20).contains(&probed), "{probed}");
    }

    #[test]
    fn looking_at_rows_that_are_dropped_goes_on() {
        let mut record = Record::default();
        record.note_whole(TRIALS, TRIALS);
        for _ in 0..1000 {
            assert!(record.is_worthwhile());
            record.note_probed(100, 60);
        }
    }
}
