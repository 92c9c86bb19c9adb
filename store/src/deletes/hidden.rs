//! What of a view is not to be seen: entries that were deleted, and those past their retention.

use std::sync::Arc;

use super::ActiveDelete;
use crate::retention::{Retention, TenantRetention};
use crate::{
    Batch, Columns, Labels, LineColumn, LinePredicate, Metadata, StoreError, TenantId, TimeRange,
    Timestamp,
};

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
    /// Reads by `read` what a [`Chunk::read`](crate::Chunk::read) asks for, without what is hidden.
    pub(crate) fn read(
        &self,
        labels: &Labels,
        range: TimeRange,
        predicate: &LinePredicate,
        columns: Columns,
        read: impl FnOnce(TimeRange, &LinePredicate, Columns) -> Result<Batch, StoreError>,
    ) -> Result<Batch, StoreError> {
        let range = TimeRange::new(range.start.max(self.start), range.end);
        if self.deletes.is_empty() {
            return read(range, predicate, columns);
        }
        let mut needed = columns;
        for delete in &self.deletes {
            if delete.line_column() == LineColumn::Text {
                needed.line = LineColumn::Text;
            }
            needed.metadata |= delete.reads_metadata();
        }
        let mut batch = read(range, predicate, needed)?;
        self.retain(labels, &mut batch);
        narrow(&mut batch, columns);
        Ok(batch)
    }

    /// Takes what is hidden out of a batch with all columns.
    pub(crate) fn retain(&self, labels: &Labels, batch: &mut Batch) {
        let is_old = |row: &crate::Row| row.timestamp < self.start;
        let mut marks: Vec<bool> = batch.rows.iter().map(is_old).collect();
        self.deletes.iter().for_each(|delete| delete.mark(labels, batch, &mut marks));
        let mut marks = marks.into_iter();
        batch.rows.retain(|_| !marks.next().unwrap_or(false));
    }
}

/// Leaves out the columns that only the mask asked for.
fn narrow(batch: &mut Batch, columns: Columns) {
    if columns.line != LineColumn::Text {
        batch.text = Arc::default();
    }
    if !columns.metadata {
        batch.metadata = Arc::new(vec![Metadata::default()]);
    }
    for row in &mut batch.rows {
        if columns.line != LineColumn::Text {
            row.line_start = 0;
        }
        if columns.line == LineColumn::None {
            row.line_len = 0;
        }
        if !columns.metadata {
            row.metadata = 0;
        }
    }
}
