//! A run of rows, and reading it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::codec::Damage;
use super::group::{self, Group, GroupKey, GroupScratch};
use super::minutes::Minute;
use super::reader::{Parts, Segment};
use super::stream_table::Run;
use super::template::Projections;
use super::v1::{BlockRun, DecodeCache};
use crate::chunk::{Selected, SelectedMinute, Selection};
use crate::{
    Batch, Columns, Labels, LinePredicate, Projector, ReadScratch, Row, StoreError, TimeRange,
    Timestamp,
};

/// What one reading thread keeps from chunk to chunk.
#[derive(Debug, Default)]
pub(crate) struct SegmentScratch {
    groups: GroupScratch,
    blocks: DecodeCache,
}

impl SegmentScratch {
    pub(super) const fn groups(&mut self) -> &mut GroupScratch {
        &mut self.groups
    }

    /// The stored bytes that were read since it was last asked.
    pub(crate) const fn take_stored_bytes(&mut self) -> u64 {
        self.groups.take_stored_bytes() + self.blocks.take_stored_bytes()
    }
}

/// What a projector said of a group.
#[derive(Debug, Default)]
pub(crate) struct KnownProjections(Option<(GroupKey, Projections)>);

impl KnownProjections {
    fn of(
        &mut self,
        key: GroupKey,
        group: &Group,
        (file, scratch): (&[u8], &mut GroupScratch),
        projector: &mut dyn Projector,
    ) -> &Projections {
        let known = self.0.take().filter(|(other, _)| *other == key);
        let ask = || (key, group.projections(projector, file, scratch));
        &self.0.insert(known.unwrap_or_else(ask)).1
    }
}

/// The rows of one stream that are in one group of a segment.
#[derive(Clone)]
pub(crate) struct SegmentChunk {
    pub(super) segment: Arc<Segment>,
    pub(super) labels: Labels,
    pub(super) run: Run,
    /// The run's number among those of the segment.
    pub(super) number: u32,
}

/// Rows that are read at once where all are: what is made of them is to stay in a core's cache.
const ROWS_AT_ONCE: usize = 4096;

impl SegmentChunk {
    /// The stream's labels.
    pub(crate) const fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The earliest and the latest timestamp, both included.
    pub(crate) const fn time_bounds(&self) -> (Timestamp, Timestamp) {
        (self.run.first, self.run.last)
    }

    /// Whether it is in the same group as another.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        (self.segment.identity(), self.run.block) == (other.segment.identity(), other.run.block)
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> u64 {
        u64::from(self.run.rows)
    }

    /// How many bytes of lines there are.
    pub(crate) const fn line_bytes(&self) -> u64 {
        self.run.line_bytes
    }

    /// How much there is in each minute; nothing where that is not kept.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged table.
    pub(crate) fn minutes(&self) -> Result<&[Minute], StoreError> {
        self.segment.minutes_of(self.number)
    }

    /// See [`Chunk::by_minute`](crate::Chunk::by_minute).
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged table.
    pub(crate) fn by_minute(
        &self,
        selection: &Selection,
    ) -> Result<Vec<SelectedMinute>, StoreError> {
        let (mut row, mut start, mut found) = (u64::from(self.run.row), 0, Vec::new());
        for minute in self.minutes()? {
            row += minute.rows;
            let end = selection.rows.count_before(u32::try_from(row).unwrap_or(u32::MAX));
            if end > start {
                found.push(SelectedMinute { minute: *minute, part: start..end });
            }
            start = end;
        }
        Ok(found)
    }

    /// Finds the rows in `range` whose line passes `predicate`.
    ///
    /// Decodes what it needs and no more: where the range covers the chunk, no timestamps; where
    /// templates decide, no columns. The bytes of a part of the chunk are told by its share of rows.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged group.
    pub(crate) fn select(
        &self,
        range: TimeRange,
        predicate: &LinePredicate,
        scratch: &mut ReadScratch,
    ) -> Result<Selection, StoreError> {
        let rows = self.rows_in(range, scratch)?;
        let scanned = rows.len() as u64;
        let share = u128::from(self.run.line_bytes) * u128::from(scanned) / u128::from(self.rows());
        let rows = match rows.is_empty() || predicate.is_always() {
            true => Selected::Range(rows),
            false => Selected::These(self.passing(rows, predicate, scratch)?),
        };
        let bytes_scanned = u64::try_from(share).unwrap_or(u64::MAX);
        Ok(Selection { rows, rows_scanned: scanned, bytes_scanned })
    }

    /// Fills in columns of a part of what was selected.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged group.
    pub(crate) fn fetch(
        &self,
        selection: &Selection,
        part: Range<usize>,
        columns: Columns,
        scratch: &mut ReadScratch,
    ) -> Result<Batch, StoreError> {
        let numbers = selection.rows.numbers(part);
        let mut batch = self.timed(&numbers, scratch)?;
        match self.segment.parts() {
            _ if numbers.is_empty() => {}
            Parts::Blocks(_) => {
                self.block_run().fill(
                    &numbers,
                    columns,
                    &mut scratch.segment.blocks,
                    &mut batch,
                )?;
            }
            Parts::Groups(_) => self.fill(&numbers, columns, scratch, &mut batch)?,
        }
        Ok(batch)
    }

    /// As [`fetch`](Self::fetch) of lines and metadata, or of values of the lines where the projector wants
    /// these instead.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged group.
    pub(crate) fn fetch_projected(
        &self,
        selection: &Selection,
        part: Range<usize>,
        (projector, known): (&mut dyn Projector, &mut KnownProjections),
        scratch: &mut ReadScratch,
    ) -> Result<Batch, StoreError> {
        let is_projected = match self.segment.parts() {
            Parts::Blocks(_) => None,
            Parts::Groups(_) => {
                let group = self.group(scratch)?;
                let key = (self.segment.identity(), self.run.block);
                let file = (self.segment.bytes(), &mut scratch.segment.groups);
                let projections = known.of(key, &group, file, projector);
                (!projections.are_all_whole()).then_some((group, projections))
            }
        };
        let Some((group, projections)) = is_projected else {
            return self.fetch(selection, part, Columns::ALL, scratch);
        };
        let numbers = selection.rows.numbers(part);
        let mut batch = self.timed(&numbers, scratch)?;
        let (file, mut text) = (self.segment.bytes(), Vec::new());
        let groups = &mut scratch.segment.groups;
        group
            .projected_lines(&numbers, projections, file, groups, &mut text, &mut batch.rows)
            .map_err(|damage| self.damage(damage))?;
        batch.text = Arc::new(text);
        self.fill_metadata(&group, &numbers, scratch, &mut batch)?;
        Ok(batch)
    }

    /// Rows by their numbers, with their timestamps and nothing else.
    fn timed(&self, numbers: &[u32], scratch: &mut ReadScratch) -> Result<Batch, StoreError> {
        let metadata = scratch.segment.groups.no_metadata();
        if numbers.is_empty() {
            return Ok(Batch { metadata, ..Batch::default() });
        }
        let timestamps = self.timestamps(scratch)?;
        let row = |number: &u32| {
            let timestamp = timestamps.get(*number as usize).copied().unwrap_or_default();
            Row { timestamp, ..Row::default() }
        };
        Ok(Batch { rows: numbers.iter().map(row).collect(), metadata, ..Batch::default() })
    }

    /// Reads the rows in `range` whose line passes `predicate`, by ascending time.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub(crate) fn read(
        &self,
        range: TimeRange,
        predicate: &LinePredicate,
        columns: Columns,
        scratch: &mut ReadScratch,
    ) -> Result<Batch, StoreError> {
        let selection = self.select(range, predicate, scratch)?;
        let batch = self.fetch(&selection, 0..selection.len(), columns, scratch)?;
        Ok(selection.with_figures(batch, predicate, columns))
    }

    /// All rows, a few thousand at a time, with all columns.
    pub(crate) fn batches(&self) -> impl Iterator<Item = Range<u32>> + use<> {
        let rows = self.block_rows();
        let end = rows.end;
        rows.step_by(ROWS_AT_ONCE)
            .map(move |start| start..end.min(start.saturating_add(ROWS_AT_ONCE as u32)))
    }

    /// Reads some rows, counted in the group, with all columns.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub(crate) fn read_rows(
        &self,
        rows: Range<u32>,
        scratch: &mut ReadScratch,
    ) -> Result<Batch, StoreError> {
        let (rows_scanned, bytes_scanned) = (0, 0);
        let selection = Selection { rows: Selected::Range(rows), rows_scanned, bytes_scanned };
        self.fetch(&selection, 0..selection.len(), Columns::ALL, scratch)
    }

    /// Whether a row of exactly this content is there.
    pub(super) fn contains(
        &self,
        timestamp: Timestamp,
        line: &[u8],
        metadata: &crate::Metadata,
        scratch: &mut ReadScratch,
    ) -> Result<bool, StoreError> {
        let timestamps = self.timestamps(scratch)?;
        let start = rows_between(&timestamps, self.block_rows(), |other| other < timestamp).start;
        let end =
            rows_between(&timestamps, start..self.block_rows().end, |other| other <= timestamp);
        if start == end.start {
            return Ok(false);
        }
        let batch = self.read_rows(start..end.start, scratch)?;
        let is_it = |row: &Row| {
            let sets = batch.metadata_sets();
            batch.line(row) == line && sets.get(row.metadata as usize) == Some(metadata)
        };
        Ok(batch.rows().iter().any(is_it))
    }

    /// The rows of the run, counted in the group.
    const fn block_rows(&self) -> Range<u32> {
        self.run.row..self.run.row + self.run.rows
    }

    fn block_run(&self) -> BlockRun<'_> {
        BlockRun { segment: &self.segment, run: &self.run }
    }

    /// The rows in a range, counted in the group.
    fn rows_in(
        &self,
        range: TimeRange,
        scratch: &mut ReadScratch,
    ) -> Result<Range<u32>, StoreError> {
        let rows = self.block_rows();
        if range.covers(self.run.first, self.run.last) {
            return Ok(rows);
        }
        if !range.overlaps(self.run.first, self.run.last) {
            return Ok(rows.start..rows.start);
        }
        if let Some(rows) = self.rows_by_minutes(range)? {
            return Ok(rows);
        }
        let timestamps = self.timestamps(scratch)?;
        let start = rows_between(&timestamps, rows.clone(), |time| time < range.start).start;
        let end = rows_between(&timestamps, rows, |time| time < range.end).start;
        Ok(start..end.max(start))
    }

    /// The rows in a range, counted in the group, where the minutes tell.
    fn rows_by_minutes(&self, range: TimeRange) -> Result<Option<Range<u32>>, StoreError> {
        let minutes = self.minutes()?;
        let behind = |time| rows_before(minutes, (self.run.first, self.run.last), time);
        let (Some(start), Some(end)) = (behind(range.start), behind(range.end)) else {
            return Ok(None);
        };
        let row = |count: u64| self.run.row + u32::try_from(count).unwrap_or(self.run.rows);
        Ok(Some(row(start)..row(end.max(start))))
    }

    /// The group's timestamps, in which those of the run are where the stream table says.
    fn timestamps(&self, scratch: &mut ReadScratch) -> Result<Arc<Vec<Timestamp>>, StoreError> {
        let timestamps = match self.segment.parts() {
            Parts::Blocks(_) => self.block_run().timestamps(&mut scratch.segment.blocks)?,
            Parts::Groups(_) => {
                let group = self.group(scratch)?;
                let scratch = &mut scratch.segment.groups;
                let timestamps = group.timestamps(self.segment.bytes(), scratch);
                Arc::clone(timestamps.map_err(|damage| self.damage(damage))?)
            }
        };
        let rows = self.block_rows();
        let run = timestamps.get(rows.start as usize..rows.end as usize).unwrap_or_default();
        if (run.first(), run.last()) == (Some(&self.run.first), Some(&self.run.last)) {
            return Ok(timestamps);
        }
        Err(self.damage(Damage::new("its timestamps are not those of the stream table")))
    }

    fn group(&self, scratch: &mut ReadScratch) -> Result<Arc<Group>, StoreError> {
        self.segment.group(self.run.block, &mut scratch.segment.groups)
    }

    fn damage(&self, damage: Damage) -> StoreError {
        self.segment.group_damage(self.run.block, damage)
    }

    /// Which of some rows pass.
    fn passing(
        &self,
        rows: Range<u32>,
        predicate: &LinePredicate,
        scratch: &mut ReadScratch,
    ) -> Result<Vec<u32>, StoreError> {
        if let Parts::Blocks(_) = self.segment.parts() {
            return self.block_run().passing(rows, predicate, &mut scratch.segment.blocks);
        }
        let key = (self.segment.identity(), self.run.block);
        let known = &scratch.segment.groups;
        if let Some(rows) = group::known_passing(key, predicate, rows.clone(), known) {
            return Ok(rows);
        }
        if !self.segment.may_pass(self.run.block, predicate) {
            return Ok(Vec::new());
        }
        let group = self.group(scratch)?;
        let (file, scratch) = (self.segment.bytes(), &mut scratch.segment.groups);
        group::passing(&group, file, predicate, rows, scratch).map_err(|damage| self.damage(damage))
    }

    /// Fills in the columns of some rows of a group.
    fn fill(
        &self,
        numbers: &[u32],
        columns: Columns,
        scratch: &mut ReadScratch,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let group = self.group(scratch)?;
        let (file, groups) = (self.segment.bytes(), &mut scratch.segment.groups);
        let mut text = Vec::new();
        group
            .lines(numbers, columns.line, file, groups, &mut text, &mut batch.rows)
            .map_err(|damage| self.damage(damage))?;
        batch.text = Arc::new(text);
        if columns.metadata { self.fill_metadata(&group, numbers, scratch, batch) } else { Ok(()) }
    }

    fn fill_metadata(
        &self,
        group: &Group,
        numbers: &[u32],
        scratch: &mut ReadScratch,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let groups = &mut scratch.segment.groups;
        let column = group.metadata(self.segment.bytes(), groups);
        let column = column.map_err(|damage| self.damage(damage))?;
        for (number, row) in numbers.iter().zip(&mut batch.rows) {
            row.metadata = column.id(*number as usize);
        }
        batch.metadata = Arc::clone(&column.sets);
        Ok(())
    }
}

impl fmt::Debug for SegmentChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentChunk")
            .field("segment", &self.segment.path())
            .field("labels", &self.labels)
            .field("run", &self.run)
            .finish()
    }
}

/// How many rows of a run are before a time, where its minutes tell.
fn rows_before(
    minutes: &[Minute],
    (first, last): (Timestamp, Timestamp),
    time: Timestamp,
) -> Option<u64> {
    if time <= first {
        return Some(0);
    }
    let rows = |minutes: &[Minute]| minutes.iter().map(|minute| minute.rows).sum();
    if time > last {
        return (!minutes.is_empty()).then(|| rows(minutes));
    }
    let before = minutes.partition_point(|minute| minute.last() < time);
    let is_edge = minutes.get(before).is_some_and(|minute| time <= minute.first());
    is_edge.then(|| rows(&minutes[..before]))
}

/// The rows of a range behind those, at its beginning, whose timestamp is `before`.
fn rows_between(
    timestamps: &[Timestamp],
    rows: Range<u32>,
    before: impl Fn(Timestamp) -> bool,
) -> Range<u32> {
    let of_rows = timestamps.get(rows.start as usize..rows.end as usize).unwrap_or_default();
    let behind = of_rows.partition_point(|timestamp| before(*timestamp));
    // No more than the rows, which are counted in 32 bits.
    rows.start + behind as u32..rows.end
}
