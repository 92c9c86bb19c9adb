//! A run of rows, and reading it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::DecodeCache;
use super::codec::Damage;
use super::reader::Segment;
use super::stream_table::Run;
use crate::scan::{self, Lines};
use crate::{
    Batch, Columns, Labels, LineColumn, LinePredicate, ReadScratch, Row, StoreError, TimeRange,
    Timestamp,
};

/// The rows of one stream that are in one block of a segment.
#[derive(Clone)]
pub(crate) struct SegmentChunk {
    pub(super) segment: Arc<Segment>,
    pub(super) labels: Labels,
    pub(super) run: Run,
}

/// Lines of a block, told by where they begin: one more number than lines.
#[derive(Debug)]
struct Spans<'a>(&'a [u32]);

impl Lines for Spans<'_> {
    fn count(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    fn span(&self, line: usize) -> Range<usize> {
        self.0[line] as usize..self.0[line + 1] as usize
    }
}

/// Which rows of a block are read: those of a range, or of these some.
struct Selected {
    rows: Range<usize>,
    /// Counted from the beginning of `rows`; `None` for all of them.
    passing: Option<Vec<u32>>,
    bytes_scanned: u64,
}

impl Selected {
    fn len(&self) -> usize {
        self.passing.as_ref().map_or(self.rows.len(), Vec::len)
    }

    /// Calls back with the rows, counted in the block.
    fn for_each(&self, mut each: impl FnMut(usize)) {
        match &self.passing {
            None => self.rows.clone().for_each(each),
            Some(passing) => {
                passing.iter().for_each(|row| each(self.rows.start + *row as usize));
            }
        }
    }
}

impl SegmentChunk {
    /// The stream's labels.
    pub(crate) const fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The earliest and the latest timestamp, both included.
    pub(crate) const fn time_bounds(&self) -> (Timestamp, Timestamp) {
        (self.run.first, self.run.last)
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> u64 {
        u64::from(self.run.rows)
    }

    /// How many bytes of lines there are.
    pub(crate) const fn line_bytes(&self) -> u64 {
        self.run.line_bytes
    }

    /// Reads the rows in `range` whose line passes `predicate`, by ascending time.
    ///
    /// Decodes what it needs and no more: where the range covers the chunk and no line passes, not
    /// even the timestamps; where neither predicate nor `columns` ask for lines, neither lines nor
    /// lengths, and no bytes are counted as scanned then. The text is the block's, not a copy.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged block.
    pub(crate) fn read(
        &self,
        range: TimeRange,
        predicate: &LinePredicate,
        columns: Columns,
        scratch: &mut ReadScratch,
    ) -> Result<Batch, StoreError> {
        let cache = &mut scratch.segment;
        let selected = self.select(range, predicate, columns, cache)?;
        let mut batch = Batch {
            rows_scanned: selected.rows.len() as u64,
            bytes_scanned: selected.bytes_scanned,
            metadata: cache.no_metadata(),
            ..Batch::default()
        };
        if selected.len() > 0 {
            self.fill(&selected, columns, cache, &mut batch)?;
        }
        Ok(batch)
    }

    /// Reads all rows with all columns.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged block.
    pub(crate) fn read_whole(&self, scratch: &mut ReadScratch) -> Result<Batch, StoreError> {
        // Not by a range: none has the last nanosecond in it.
        let selected = Selected { rows: self.block_rows(), passing: None, bytes_scanned: 0 };
        let mut batch = Batch::default();
        self.fill(&selected, Columns::ALL, &mut scratch.segment, &mut batch)?;
        Ok(batch)
    }

    /// Whether a row of exactly this content is there.
    pub(super) fn contains(
        &self,
        timestamp: Timestamp,
        line: &[u8],
        metadata: &crate::Metadata,
        cache: &mut DecodeCache,
    ) -> Result<bool, StoreError> {
        let (segment, block) = (&*self.segment, self.run.block);
        let timestamps = self.timestamps(cache)?;
        let mut rows = rows_between(&timestamps, self.block_rows(), |other| other < timestamp);
        rows.end = rows_between(&timestamps, rows.clone(), |other| other <= timestamp).start;
        if rows.is_empty() {
            return Ok(false);
        }
        let (starts, text) = (cache.starts(segment, block)?, cache.text(segment, block)?);
        let spans = Spans(&starts);
        rows.start = match rows.clone().find(|row| text.get(spans.span(*row)) == Some(line)) {
            Some(row) => row,
            None => return Ok(false),
        };
        let column = cache.metadata(segment, block)?;
        let has_set = |row: usize| column.sets.get(column.id(row) as usize) == Some(metadata);
        Ok(rows.into_iter().any(|row| text.get(spans.span(row)) == Some(line) && has_set(row)))
    }

    /// The rows of the run, counted in the block.
    const fn block_rows(&self) -> Range<usize> {
        let start = self.run.row as usize;
        start..start + self.run.rows as usize
    }

    /// The block's timestamps, in which those of the run are where the stream table says.
    fn timestamps(&self, cache: &mut DecodeCache) -> Result<Arc<Vec<Timestamp>>, StoreError> {
        let timestamps = cache.timestamps(&self.segment, self.run.block)?;
        let run = timestamps.get(self.block_rows()).unwrap_or_default();
        if (run.first(), run.last()) == (Some(&self.run.first), Some(&self.run.last)) {
            return Ok(timestamps);
        }
        let damage = Damage::new("its timestamps are not those of the stream table");
        Err(damage.at(self.segment.path(), "timestamp block", 0))
    }

    fn select(
        &self,
        range: TimeRange,
        predicate: &LinePredicate,
        columns: Columns,
        cache: &mut DecodeCache,
    ) -> Result<Selected, StoreError> {
        let mut rows = self.block_rows();
        if !range.covers(self.run.first, self.run.last) {
            if !range.overlaps(self.run.first, self.run.last) {
                return Ok(Selected { rows: 0..0, passing: None, bytes_scanned: 0 });
            }
            let timestamps = self.timestamps(cache)?;
            rows.start = rows_between(&timestamps, rows.clone(), |time| time < range.start).start;
            rows.end = rows_between(&timestamps, rows.clone(), |time| time < range.end).start;
        }
        let mut selected = Selected { rows, passing: None, bytes_scanned: 0 };
        if predicate.is_always() && columns.line == LineColumn::None {
            return Ok(selected);
        }
        let starts = cache.starts(&self.segment, self.run.block)?;
        let spans = Spans(starts.get(selected.rows.start..=selected.rows.end).unwrap_or_default());
        if let (Some(start), Some(end)) = (spans.0.first(), spans.0.last()) {
            selected.bytes_scanned = u64::from(end - start);
        }
        if !predicate.is_always() {
            let text = cache.text(&self.segment, self.run.block)?;
            selected.passing = Some(scan::select(&text, &spans, predicate));
        }
        Ok(selected)
    }

    /// Fills in the columns of the selected rows.
    fn fill(
        &self,
        selected: &Selected,
        columns: Columns,
        cache: &mut DecodeCache,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let (segment, block) = (&*self.segment, self.run.block);
        let timestamps = self.timestamps(cache)?;
        batch.rows.reserve_exact(selected.len());
        selected.for_each(|row| {
            let timestamp = timestamps[row];
            batch.rows.push(Row { timestamp, line_len: 0, line_start: 0, metadata: 0 });
        });
        if columns.line != LineColumn::None {
            let starts = cache.starts(segment, block)?;
            let mut rows = batch.rows.iter_mut();
            selected.for_each(|row| {
                if let Some(out) = rows.next() {
                    (out.line_start, out.line_len) = (starts[row], starts[row + 1] - starts[row]);
                }
            });
        }
        if columns.line == LineColumn::Text {
            batch.text = cache.text(segment, block)?;
        }
        if columns.metadata {
            let column = cache.metadata(segment, block)?;
            let mut rows = batch.rows.iter_mut();
            selected.for_each(|row| {
                if let Some(out) = rows.next() {
                    out.metadata = column.id(row);
                }
            });
            batch.metadata = column.sets;
        }
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

/// The rows of a range behind those, at its beginning, whose timestamp is `before`.
fn rows_between(
    timestamps: &[Timestamp],
    rows: Range<usize>,
    before: impl Fn(Timestamp) -> bool,
) -> Range<usize> {
    let of_rows = timestamps.get(rows.clone()).unwrap_or_default();
    rows.start + of_rows.partition_point(|timestamp| before(*timestamp))..rows.end
}
