//! What of a view is not to be seen: entries that were deleted, and those past their retention.

use std::ops::Range;
use std::sync::Arc;

use super::ActiveDelete;
use crate::chunk::{Selected, Selection};
use crate::retention::{Retention, TenantRetention};
use crate::{
    Batch, Columns, Labels, LineColumn, Metadata, Row, StoreError, TenantId, TimeRange, Timestamp,
};

/// Rows that are read at once to see which are deleted: their lines are to stay in a core's cache.
const ROWS_AT_ONCE: usize = 2048;

/// What of a view is not to be seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hidden {
    /// By number.
    pub(crate) deletes: Arc<Vec<Arc<ActiveDelete>>>,
    pub(crate) retention: Arc<Retention>,
    pub(crate) now: Timestamp,
}

/// What of a tenant's entries in one segment, or of the head, is not to be seen.
#[derive(Debug)]
pub(crate) struct HiddenHere<'a> {
    deletes: Vec<&'a Arc<ActiveDelete>>,
    retention: Option<&'a TenantRetention>,
    now: Timestamp,
}

/// What of some entries of one stream is not to be seen.
#[derive(Clone, Debug)]
pub(crate) enum Hiding {
    Nothing,
    Everything,
    Some(Arc<Mask>),
}

/// Which entries of a stream are not to be seen.
#[derive(Clone, Debug)]
pub(crate) struct Mask {
    /// Those before this.
    start: Timestamp,
    /// And those that one of these takes; all of them select the stream.
    deletes: Vec<Arc<ActiveDelete>>,
}

impl Hidden {
    /// What may be hidden of a tenant's entries of the time `first..=last` in a segment of that level. In
    /// the head, whose entries came behind every request, the level is the highest number.
    pub(crate) fn here(
        &self,
        tenant: &TenantId,
        level: u64,
        first: Timestamp,
        last: Timestamp,
    ) -> HiddenHere<'_> {
        let concerns = |delete: &&Arc<ActiveDelete>| delete.concerns(tenant, level, first, last);
        let deletes = self.deletes.iter().filter(concerns).collect();
        let retention = self.retention.of(tenant);
        let retention = retention.filter(|retention| retention.may_expire(first, self.now));
        HiddenHere { deletes, retention, now: self.now }
    }

    /// Whether an entry is deleted that is in a segment of that level.
    pub(crate) fn takes(
        deletes: &[Arc<ActiveDelete>],
        tenant: &TenantId,
        level: u64,
        labels: &Labels,
        (timestamp, line, metadata): (Timestamp, &[u8], &Metadata),
    ) -> bool {
        deletes.iter().any(|delete| {
            delete.concerns(tenant, level, timestamp, timestamp)
                && delete.takes(labels, timestamp, line, metadata)
        })
    }
}

impl HiddenHere<'_> {
    /// Whether nothing is hidden of any stream.
    pub(crate) fn is_nothing(&self) -> bool {
        self.deletes.is_empty() && self.retention.is_none()
    }

    /// What is hidden of a stream's entries of the time `first..=last`.
    pub(crate) fn of(&self, labels: &Labels, first: Timestamp, last: Timestamp) -> Hiding {
        if self.is_nothing() {
            return Hiding::Nothing;
        }
        let cutoff = |retention: &TenantRetention| retention.cutoff(labels, self.now);
        let start = self.retention.map_or(Timestamp::MIN, cutoff);
        let concerns = |delete: &&&Arc<ActiveDelete>| {
            delete.body.range.overlaps(first, last) && delete.selects(labels)
        };
        let deletes: Vec<_> =
            self.deletes.iter().filter(concerns).map(|delete| Arc::clone(delete)).collect();
        if last < start || deletes.iter().any(|delete| delete.takes_all(first, last)) {
            Hiding::Everything
        } else if start <= first && deletes.is_empty() {
            Hiding::Nothing
        } else {
            Hiding::Some(Arc::new(Mask { start, deletes }))
        }
    }
}

impl Mask {
    /// The part of a range that is not past its retention.
    pub(crate) fn kept(&self, range: TimeRange) -> TimeRange {
        TimeRange::new(range.start.max(self.start), range.end)
    }

    /// Takes what was deleted out of a selection, whose rows `fetch` reads.
    pub(crate) fn thin(
        &self,
        labels: &Labels,
        selection: Selection,
        mut fetch: impl FnMut(&Selection, Range<usize>, Columns) -> Result<Batch, StoreError>,
    ) -> Result<Selection, StoreError> {
        if self.deletes.is_empty() || selection.is_empty() {
            return Ok(selection);
        }
        let mut columns = Columns::TIMESTAMPS;
        for delete in &self.deletes {
            if delete.line_column() == LineColumn::Text {
                columns.line = LineColumn::Text;
            }
            columns.metadata |= delete.reads_metadata();
        }
        let mut left = Vec::new();
        for start in (0..selection.len()).step_by(ROWS_AT_ONCE) {
            let part = start..selection.len().min(start + ROWS_AT_ONCE);
            let batch = fetch(&selection, part.clone(), columns)?;
            let marks = self.marks(labels, &batch);
            let numbers = selection.rows.numbers(part);
            let seen = numbers.iter().zip(marks).filter(|(_, is_hidden)| !is_hidden);
            left.extend(seen.map(|(number, _)| *number));
        }
        Ok(Selection { rows: Selected::These(left), ..selection })
    }

    /// Takes what is hidden out of a batch with all columns.
    pub(crate) fn retain(&self, labels: &Labels, batch: &mut Batch) {
        let mut marks = self.marks(labels, batch).into_iter();
        batch.rows.retain(|_| !marks.next().unwrap_or(false));
    }

    /// Says of each row whether it is hidden.
    fn marks(&self, labels: &Labels, batch: &Batch) -> Vec<bool> {
        let is_old = |row: &Row| row.timestamp < self.start;
        let mut marks: Vec<bool> = batch.rows().iter().map(is_old).collect();
        self.deletes.iter().for_each(|delete| delete.mark(labels, batch, &mut marks));
        marks
    }
}
