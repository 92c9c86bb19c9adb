//! A run of rows in a block, and reading it.

use std::ops::Range;
use std::sync::Arc;

use super::DecodeCache;
use crate::scan::{self, Lines};
use crate::segment::reader::Segment;
use crate::segment::stream_table::Run;
use crate::{Batch, Columns, LineColumn, LinePredicate, Row, StoreError, Timestamp};

/// The rows of one stream that are in one block.
#[derive(Debug)]
pub(in crate::segment) struct BlockRun<'a> {
    pub(in crate::segment) segment: &'a Segment,
    pub(in crate::segment) run: &'a Run,
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

impl BlockRun<'_> {
    /// The timestamps of the block's rows.
    pub(in crate::segment) fn timestamps(
        &self,
        cache: &mut DecodeCache,
    ) -> Result<Arc<Vec<Timestamp>>, StoreError> {
        cache.timestamps(self.segment, self.run.block)
    }

    /// Which of some rows pass, counted in the block.
    pub(in crate::segment) fn passing(
        &self,
        rows: Range<u32>,
        predicate: &LinePredicate,
        cache: &mut DecodeCache,
    ) -> Result<Vec<u32>, StoreError> {
        let starts = cache.starts(self.segment, self.run.block)?;
        let text = cache.text(self.segment, self.run.block)?;
        let span = rows.start as usize..=rows.end as usize;
        let spans = Spans(starts.get(span).unwrap_or_default());
        let mut passing = scan::select(&text, &spans, predicate);
        passing.iter_mut().for_each(|row| *row += rows.start);
        Ok(passing)
    }

    /// Fills in the columns of some rows. The text is the block's, not a copy.
    pub(in crate::segment) fn fill(
        &self,
        numbers: &[u32],
        columns: Columns,
        cache: &mut DecodeCache,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let (segment, block) = (self.segment, self.run.block);
        let each = |rows: &mut [Row], set: &mut dyn FnMut(&mut Row, usize)| {
            numbers.iter().zip(rows).for_each(|(number, row)| set(row, *number as usize));
        };
        if columns.line != LineColumn::None {
            let starts = cache.starts(segment, block)?;
            each(&mut batch.rows, &mut |row, number| {
                (row.line_start, row.line_len) =
                    (starts[number], starts[number + 1] - starts[number]);
            });
        }
        if columns.line == LineColumn::Text {
            batch.text = cache.text(segment, block)?;
        }
        if columns.metadata {
            let column = cache.metadata(segment, block)?;
            each(&mut batch.rows, &mut |row, number| row.metadata = column.id(number));
            batch.metadata = column.sets;
        }
        Ok(())
    }
}
