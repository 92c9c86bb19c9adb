//! Chunks: runs of one stream's entries, wherever they are stored, and reading them.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::deletes::Mask;
use crate::head::HeadRun;
use crate::segment::{KnownProjections, SegmentChunk};
use crate::{
    Batch, Columns, Labels, LineColumn, LinePredicate, Minute, ProjectionScratch, Projector,
    ReadScratch, StoreError, TimeRange, Timestamp,
};

/// Rows of a chunk that were found and not yet read.
#[derive(Clone, Debug)]
pub struct Selection {
    pub(crate) rows: Selected,
    pub(crate) rows_scanned: u64,
    pub(crate) bytes_scanned: u64,
}

/// What was selected of one minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedMinute {
    /// The minute, with all entries that the chunk has in it, selected or not.
    pub minute: Minute,
    /// Its part of the selection; not empty.
    pub part: Range<usize>,
}

/// Numbers of rows, ascending, in whatever holds the chunk.
#[derive(Clone, Debug)]
pub(crate) enum Selected {
    Range(Range<u32>),
    These(Vec<u32>),
}

impl Selection {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.rows {
            Selected::Range(rows) => rows.len(),
            Selected::These(rows) => rows.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows that were looked at, before the predicate.
    #[must_use]
    pub const fn rows_scanned(&self) -> u64 {
        self.rows_scanned
    }

    /// Bytes of lines that were looked at, before the predicate.
    #[must_use]
    pub const fn bytes_scanned(&self) -> u64 {
        self.bytes_scanned
    }

    /// The rows at some places, ascending, of what was found: what is left once a reader has ruled out the
    /// others. Places beyond the end are left out. What was looked at is counted in the whole, and 0 here.
    #[must_use]
    pub fn at(&self, places: &[usize]) -> Self {
        let rows = places.iter().filter_map(|place| self.rows.get(*place)).collect();
        Self { rows: Selected::These(rows), rows_scanned: 0, bytes_scanned: 0 }
    }

    /// The batch that was read of all of it, with what was looked at for it. No bytes count where
    /// neither the predicate nor the columns ask for lines.
    pub(crate) fn with_figures(
        &self,
        mut batch: Batch,
        predicate: &LinePredicate,
        columns: Columns,
    ) -> Batch {
        batch.rows_scanned = self.rows_scanned;
        if !predicate.is_always() || columns.line != LineColumn::None {
            batch.bytes_scanned = self.bytes_scanned;
        }
        batch
    }
}

impl Selected {
    /// The numbers of a part of the rows; what is beyond them is left out.
    pub(crate) fn numbers(&self, part: Range<usize>) -> Cow<'_, [u32]> {
        match self {
            Self::Range(rows) => rows.clone().skip(part.start).take(part.len()).collect(),
            Self::These(rows) => {
                let end = part.end.min(rows.len());
                rows.get(part.start.min(end)..end).unwrap_or_default().into()
            }
        }
    }

    fn get(&self, place: usize) -> Option<u32> {
        match self {
            Self::Range(rows) => rows.clone().nth(place),
            Self::These(rows) => rows.get(place).copied(),
        }
    }

    /// How many rows have a lower number.
    pub(crate) fn count_before(&self, number: u32) -> usize {
        match self {
            Self::Range(rows) => (rows.start..number.min(rows.end)).len(),
            Self::These(rows) => rows.partition_point(|row| *row < number),
        }
    }
}

/// A run of one stream's entries that are stored together. At most about 4 MiB of lines.
///
/// Cheap to clone; holds what it needs alive. Rows are found first and read as far as they are wanted:
///
/// ```
/// use timberline_store::{Columns, LinePredicate, ReadScratch, Store, TenantId, TimeRange};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use timberline_store::{Labels, WriteBatch};
/// # let directory = tempfile::tempdir()?;
/// # let (store, tenant) = (Store::open(directory.path())?, TenantId::default());
/// # let mut batch = WriteBatch::new();
/// # batch.stream(&Labels::from_pairs([("app", "shop")])?);
/// # batch.push(1_700_000_000_000_000_000, b"order 17 paid", &[])?;
/// # store.append(&tenant, &batch)?;
/// let (paid, mut scratch) = (LinePredicate::contains(b"paid"), ReadScratch::new());
/// for chunk in store.snapshot().chunks(&tenant, &[], TimeRange::ALL)? {
///     let found = chunk.select(TimeRange::ALL, &paid, &mut scratch)?;
///     let first = chunk.fetch(&found, 0..1, Columns::ALL, &mut scratch)?;
///     assert_eq!(first.line(&first.rows()[0]), b"order 17 paid");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Chunk {
    source: Source,
    /// In place of the stream's own.
    labels: Option<Labels>,
    /// What of it is not to be seen.
    mask: Option<Arc<Mask>>,
    damaged_reads: Arc<AtomicU64>,
}

/// Where a chunk's entries are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Head { labels: Labels, run: Arc<HeadRun> },
    Segment(SegmentChunk),
}

impl Source {
    pub(crate) fn labels(&self) -> &Labels {
        match self {
            Self::Head { labels, .. } => labels,
            Self::Segment(chunk) => chunk.labels(),
        }
    }

    pub(crate) fn time_bounds(&self) -> (Timestamp, Timestamp) {
        match self {
            Self::Head { run, .. } => run.bounds(),
            Self::Segment(chunk) => chunk.time_bounds(),
        }
    }

    fn select(
        &self,
        range: TimeRange,
        predicate: &LinePredicate,
        scratch: &mut ReadScratch,
    ) -> Result<Selection, StoreError> {
        match self {
            Self::Head { run, .. } => Ok(run.select(range, predicate)),
            Self::Segment(chunk) => chunk.select(range, predicate, scratch),
        }
    }

    fn fetch(
        &self,
        selection: &Selection,
        part: Range<usize>,
        columns: Columns,
        scratch: &mut ReadScratch,
    ) -> Result<Batch, StoreError> {
        match self {
            Self::Head { run, .. } => Ok(run.fetch(selection, part, columns)),
            Self::Segment(chunk) => chunk.fetch(selection, part, columns, scratch),
        }
    }

    fn fetch_projected(
        &self,
        selection: &Selection,
        part: Range<usize>,
        projector: (&mut dyn Projector, &mut KnownProjections),
        scratch: &mut ReadScratch,
    ) -> Result<Batch, StoreError> {
        match self {
            Self::Head { run, .. } => Ok(run.fetch(selection, part, Columns::ALL)),
            Self::Segment(chunk) => chunk.fetch_projected(selection, part, projector, scratch),
        }
    }
}

impl Chunk {
    pub(crate) fn new(
        source: Source,
        mask: Option<Arc<Mask>>,
        damaged_reads: Arc<AtomicU64>,
    ) -> Self {
        Self { source, labels: None, mask, damaged_reads }
    }

    /// The same entries under other labels, for readers who put several tenants' streams side by side.
    #[must_use]
    pub fn relabelled(self, labels: Labels) -> Self {
        Self { labels: Some(labels), ..self }
    }

    /// The stream's labels. Chunks of one stream share them (the same allocation within a source).
    #[must_use]
    pub fn labels(&self) -> &Labels {
        self.labels.as_ref().unwrap_or_else(|| self.source.labels())
    }

    /// Bounds of the entries' timestamps, both included. Entries have them, unless some are hidden.
    #[must_use]
    pub fn time_bounds(&self) -> (Timestamp, Timestamp) {
        self.source.time_bounds()
    }

    /// Whether entries of it may be hidden, since they were deleted or are past their retention.
    /// [`rows`](Self::rows), [`line_bytes`](Self::line_bytes) and [`time_bounds`](Self::time_bounds) count
    /// them in.
    #[must_use]
    pub const fn has_hidden(&self) -> bool {
        self.mask.is_some()
    }

    /// How many entries it has, whatever the range it was found by.
    #[must_use]
    pub fn rows(&self) -> u64 {
        match &self.source {
            Source::Head { run, .. } => u64::try_from(run.rows().len()).unwrap_or(u64::MAX),
            Source::Segment(chunk) => chunk.rows(),
        }
    }

    /// How many bytes of lines it has.
    #[must_use]
    pub fn line_bytes(&self) -> u64 {
        match &self.source {
            Source::Head { run, .. } => u64::try_from(run.text_bytes()).unwrap_or(u64::MAX),
            Source::Segment(chunk) => chunk.line_bytes(),
        }
    }

    /// Whether the chunk is in memory, not in a segment yet.
    #[must_use]
    pub const fn is_in_memory(&self) -> bool {
        matches!(self.source, Source::Head { .. })
    }

    /// Whether both are parts of one group of a segment: whoever reads one behind the other opens it once,
    /// and finds what passes a filter once.
    #[must_use]
    pub fn shares_group_with(&self, other: &Self) -> bool {
        match (&self.source, &other.source) {
            (Source::Segment(one), Source::Segment(other)) => one.is_beside(other),
            _ => false,
        }
    }

    /// How many entries and bytes of lines there are in each minute, by ascending time; nothing where
    /// that is not kept, which is so in the head, where there are few entries in a minute, and where
    /// some may be hidden.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged segment.
    pub fn minutes(&self) -> Result<&[Minute], StoreError> {
        match &self.source {
            Source::Segment(chunk) if !self.has_hidden() => self.noting_damage(chunk.minutes()),
            Source::Segment(_) | Source::Head { .. } => Ok(&[]),
        }
    }

    /// The minutes that entries of what [`select`](Self::select) found are in, by ascending time, each with
    /// its part of the selection; nothing where minutes are not kept. No timestamp is read. Entries that are
    /// hidden are counted in the minute and are in no part.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged segment.
    pub fn by_minute(&self, selection: &Selection) -> Result<Vec<SelectedMinute>, StoreError> {
        match &self.source {
            Source::Segment(chunk) => self.noting_damage(chunk.by_minute(selection)),
            Source::Head { .. } => Ok(Vec::new()),
        }
    }

    /// Finds the entries in `range` whose line passes `predicate`, by ascending time, without reading
    /// them: [`fetch`](Self::fetch) does, as many as are wanted.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn select(
        &self,
        range: TimeRange,
        predicate: &LinePredicate,
        scratch: &mut ReadScratch,
    ) -> Result<Selection, StoreError> {
        let outcome = match &self.mask {
            None => self.source.select(range, predicate, scratch),
            Some(mask) => self.select_seen(mask, range, predicate, scratch),
        };
        self.noting_damage(outcome)
    }

    fn select_seen(
        &self,
        mask: &Mask,
        range: TimeRange,
        predicate: &LinePredicate,
        scratch: &mut ReadScratch,
    ) -> Result<Selection, StoreError> {
        let selection = self.source.select(mask.kept(range), predicate, scratch)?;
        mask.thin(self.source.labels(), selection, |selection, part, columns| {
            self.source.fetch(selection, part, columns, scratch)
        })
    }

    /// Reads a part of what [`select`](Self::select) found in this chunk; what is beyond it is left out.
    /// The batch's figures of what was scanned are 0: the selection has them.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn fetch(
        &self,
        selection: &Selection,
        part: Range<usize>,
        columns: Columns,
        scratch: &mut ReadScratch,
    ) -> Result<Batch, StoreError> {
        self.noting_damage(self.source.fetch(selection, part, columns, scratch))
    }

    /// As [`fetch`](Self::fetch) with all columns, but for lines of which the projector wants some values
    /// only: of these the values are read, and nothing else of the line.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn fetch_projected<P: Projector>(
        &self,
        selection: &Selection,
        part: Range<usize>,
        projections: &mut ProjectionScratch<P>,
        scratch: &mut ReadScratch,
    ) -> Result<Batch, StoreError> {
        let ProjectionScratch { projector, known } = projections;
        let fetched = self.source.fetch_projected(selection, part, (projector, known), scratch);
        self.noting_damage(fetched)
    }

    /// Reads the entries in `range` whose line passes `predicate`, by ascending time, all at once: up to
    /// 4 MiB of lines. Where that is too much there are [`select`](Self::select) and
    /// [`fetch`](Self::fetch).
    ///
    /// Columns that are not asked for are not decoded unless the predicate needs them, or a delete request
    /// that takes some of the entries.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged group: this chunk cannot be read, others can.
    pub fn read(
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

    fn noting_damage<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(outcome, Err(StoreError::Corrupt { .. })) {
            self.damaged_reads.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_at_places() {
        let of = |rows| Selection { rows, rows_scanned: 9, bytes_scanned: 90 };
        for rows in [Selected::Range(10..14), Selected::These(vec![10, 11, 12, 13])] {
            let found = of(rows);
            let left = found.at(&[0, 2, 3, 4]);
            assert_eq!(left.rows.numbers(0..9).into_owned(), [10, 12, 13]);
            assert_eq!((left.len(), left.rows_scanned(), left.bytes_scanned()), (3, 0, 0));
            assert_eq!(left.at(&[1]).rows.numbers(0..9).into_owned(), [12]);
            assert!(found.at(&[]).is_empty());
        }
    }
}
