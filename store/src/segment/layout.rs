//! Which rows of a segment go into which group.

use super::frame::FRAME_BYTES_MAX;
use super::group::GroupBuilder;
use super::minutes::Minutes;
use super::stream_table::{Run, StreamRecord, Totals};
use crate::{Labels, Metadata, StoreError, TenantId, Timestamp};

/// Cuts streams in ascending order of tenant and labels, and the rows of each in ascending order of time,
/// into groups. Keeps of each stream its labels and its runs.
pub(super) struct Layout {
    group: GroupBuilder,
    /// How many groups were cut off.
    groups: usize,
    minutes: Minutes,
    streams: Vec<StreamRecord>,
    runs: Vec<Run>,
    /// A stream that was begun and has no row yet.
    pending: Option<(TenantId, Labels)>,
    /// The run that the next row adds to; never empty.
    run: Option<Run>,
}

/// What a layout knows when all rows are in groups.
pub(super) struct Streams {
    pub(super) records: Vec<StreamRecord>,
    pub(super) runs: Vec<Run>,
    pub(super) minutes: Minutes,
}

impl Layout {
    /// No rows yet.
    pub(super) fn new() -> Self {
        Self {
            group: GroupBuilder::new(),
            groups: 0,
            minutes: Minutes::default(),
            streams: Vec::new(),
            runs: Vec::new(),
            pending: None,
            run: None,
        }
    }

    /// Begins the next stream. One that gets no row is left out.
    pub(super) fn stream(&mut self, tenant: &TenantId, labels: &Labels) {
        self.end_run();
        self.pending = Some((tenant.clone(), labels.clone()));
    }

    /// Adds a row to the stream begun last. A group that has no room for it is given to `cut`, which is to
    /// leave it empty.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for rows or streams out of order, and for a line of over 1 GiB; what `cut`
    /// returns.
    pub(super) fn row(
        &mut self,
        timestamp: Timestamp,
        line: &[u8],
        metadata: &Metadata,
        cut: impl FnOnce(&mut GroupBuilder) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if let Some((tenant, labels)) = self.pending.take() {
            self.begin(tenant, labels, timestamp)?;
        }
        if line.len() > FRAME_BYTES_MAX {
            return Err(StoreError::Invalid(format!("a line of {} bytes", line.len())));
        }
        if !self.group.has_room(line.len()) {
            self.cut(cut)?;
        }
        let Some(stream) = self.streams.last_mut().filter(|stream| stream.totals.last <= timestamp)
        else {
            return Err(StoreError::Invalid("rows of a segment out of order".to_owned()));
        };
        let line_bytes = line.len() as u64;
        stream.totals.rows += 1;
        stream.totals.line_bytes += line_bytes;
        stream.totals.metadata_bytes += metadata.text_bytes() as u64;
        stream.totals.last = timestamp;
        let (group, row) = (self.groups, self.group.rows());
        let run = self.run.get_or_insert_with(|| Run::begin(group, row, timestamp));
        run.rows += 1;
        run.last = timestamp;
        run.line_bytes += line_bytes;
        self.minutes.add(timestamp, line_bytes);
        self.group.push(timestamp, line, metadata);
        Ok(())
    }

    /// Gives the group that is being filled to `cut`, unless it is empty.
    ///
    /// # Errors
    /// What `cut` returns.
    pub(super) fn cut<E>(
        &mut self,
        cut: impl FnOnce(&mut GroupBuilder) -> Result<(), E>,
    ) -> Result<(), E> {
        self.end_run();
        if self.group.rows() == 0 {
            return Ok(());
        }
        self.groups += 1;
        cut(&mut self.group)
    }

    /// What is known of the streams, once the last group was [cut](Self::cut).
    pub(super) fn finish(self) -> Streams {
        Streams { records: self.streams, runs: self.runs, minutes: self.minutes }
    }

    fn begin(
        &mut self,
        tenant: TenantId,
        labels: Labels,
        first: Timestamp,
    ) -> Result<(), StoreError> {
        let last = self.streams.last();
        if last.is_some_and(|last| (&last.tenant, &last.labels) >= (&tenant, &labels)) {
            return Err(StoreError::Invalid("streams of a segment out of order".to_owned()));
        }
        let totals = Totals { first, last: first, ..Totals::default() };
        let runs = self.runs.len()..self.runs.len();
        self.streams.push(StreamRecord { tenant, labels, totals, runs });
        Ok(())
    }

    fn end_run(&mut self) {
        if let (Some(run), Some(stream)) = (self.run.take(), self.streams.last_mut()) {
            self.minutes.end_run(&run);
            self.runs.push(run);
            stream.runs.end = self.runs.len();
        }
    }
}
