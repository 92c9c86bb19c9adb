//! What has to be decoded of a chunk.

use timberline_store::{Columns, Labels, LineColumn};

use crate::syntax::Grouping;

use super::{Measure, RangePlan};

impl RangePlan<'_> {
    /// Whether an entry's labels are its stream's and its metadata, and its value is its line's length
    /// or that it is there: the pipeline has nothing to do.
    pub(crate) fn is_flat(&self) -> bool {
        self.selection.pipeline.is_trivial() && !self.unwraps
    }

    /// What has to be read of a stream's chunks.
    pub(crate) fn columns(&self, stream: &Labels) -> Columns {
        let pipeline = &self.selection.pipeline;
        let line = match self.measure {
            _ if pipeline.needs_line() => LineColumn::Text,
            Measure::Bytes { .. } => LineColumn::Length,
            _ => LineColumn::None,
        };
        let metadata = pipeline.needs_metadata() || !self.is_decided_by(stream);
        Columns { line, metadata }
    }

    /// Whether the stream's labels alone say in which group its entries are. Metadata cannot change a
    /// label that the stream has: it gets another name.
    fn is_decided_by(&self, stream: &Labels) -> bool {
        match self.grouping.as_deref() {
            Some(Grouping { without: false, labels }) => {
                labels.iter().all(|label| stream.get(label).is_some())
            }
            Some(Grouping { without: true, .. }) | None => false,
        }
    }
}
