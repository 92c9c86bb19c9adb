//! The rows of a head in the order of a segment.

use std::sync::Arc;
use std::vec;

use super::{HeadRun, HeadStream};
use crate::segment::SegmentRow;
use crate::{Labels, TenantId, Timestamp};

/// Rows by ascending tenant, labels and time, those alike in all of these by arrival. Lets go of each stream
/// when it is through with it.
#[derive(Debug)]
pub(crate) struct HeadRows {
    /// The streams that are still to come.
    streams: vec::IntoIter<StreamRuns>,
    stream: Option<StreamRuns>,
    /// The rows of the stream: timestamp, run, place in the run.
    order: Vec<(Timestamp, u32, u32)>,
    /// Which of these is next.
    next: usize,
}

#[derive(Debug)]
struct StreamRuns {
    tenant: TenantId,
    labels: Labels,
    runs: Arc<Vec<Arc<HeadRun>>>,
}

impl HeadRows {
    /// The rows of some streams, which may come in any order.
    pub(super) fn new<'a>(streams: impl Iterator<Item = (&'a TenantId, &'a HeadStream)>) -> Self {
        let runs = |(tenant, stream): (&TenantId, &HeadStream)| StreamRuns {
            tenant: tenant.clone(),
            labels: stream.labels.clone(),
            runs: Arc::clone(&stream.runs),
        };
        let mut streams: Vec<_> = streams.map(runs).collect();
        streams.sort_unstable_by(|a, b| (&a.tenant, &a.labels).cmp(&(&b.tenant, &b.labels)));
        Self { streams: streams.into_iter(), stream: None, order: Vec::new(), next: 0 }
    }

    /// The next row.
    pub(crate) fn next(&mut self) -> Option<SegmentRow<'_>> {
        while self.next == self.order.len() {
            self.begin_stream()?;
        }
        let (timestamp, run, row) = *self.order.get(self.next)?;
        let is_first = self.next == 0;
        self.next += 1;
        let stream = self.stream.as_ref()?;
        let run = stream.runs.get(run as usize)?;
        let row = run.rows().get(row as usize)?;
        Some(SegmentRow {
            begins: is_first.then_some((&stream.tenant, &stream.labels)),
            timestamp,
            line: run.line(row),
            metadata: run.metadata(row),
        })
    }

    fn begin_stream(&mut self) -> Option<()> {
        self.order.clear();
        self.next = 0;
        self.stream = self.streams.next();
        let stream = self.stream.as_ref()?;
        for (number, run) in (0..).zip(stream.runs.iter()) {
            let rows = (0..).zip(run.rows());
            self.order.extend(rows.map(|(place, row)| (row.timestamp, number, place)));
        }
        // Stable, and quick on what is mostly sorted runs already.
        self.order.sort_by_key(|(timestamp, ..)| *timestamp);
        Some(())
    }
}
