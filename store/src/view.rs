//! What there is at one moment: the head, the head that is being flushed, and the segments.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::ReadScratch;
use crate::batch::Entry;
use crate::deletes::{ActiveDelete, Hidden};
use crate::head::{Head, PendingStream};
use crate::newest::NewestTimes;
use crate::retention::Retention;
use crate::segment::Segment;
use crate::{Labels, StoreError, TenantId, Timestamp};

/// What there is. Replaced as a whole, so that entries on their way from the head to a segment are seen
/// in exactly one place.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) head: Arc<Head>,
    /// A head that takes no more entries and is being written to a segment.
    pub(crate) frozen: Option<Arc<Frozen>>,
    /// The live segments, the oldest first.
    pub(crate) segments: Arc<Vec<LiveSegment>>,
    /// The newest timestamps of streams in segments, as far as they are remembered.
    pub(crate) newest: Arc<NewestTimes>,
    /// The delete requests that are in force and not carried out, by number.
    pub(crate) deletes: Arc<Vec<Arc<ActiveDelete>>>,
    /// How long entries are kept.
    pub(crate) retention: Arc<Retention>,
    /// How often reading has met damage.
    pub(crate) damaged_reads: Arc<AtomicU64>,
    /// Sentences about what is missing since the store was opened.
    pub(crate) warnings: Arc<Vec<String>>,
}

/// A head that takes no more entries.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) head: Arc<Head>,
    /// The sequence behind the last record of the log that is in it.
    pub(crate) end_sequence: u64,
}

/// A segment with its number.
#[derive(Clone, Debug)]
pub(crate) struct LiveSegment {
    pub(crate) id: u64,
    /// The number of the last delete request that does not concern it any more.
    pub(crate) level: u64,
    pub(crate) segment: Arc<Segment>,
}

impl View {
    /// Puts an empty head in place of the head, which has the records of the log below `end_sequence`.
    pub(crate) fn freeze(&mut self, end_sequence: u64) -> Arc<Frozen> {
        let frozen = Arc::new(Frozen { head: std::mem::take(&mut self.head), end_sequence });
        self.frozen = Some(Arc::clone(&frozen));
        frozen
    }

    /// A time that no entry of a stream outside the head is newer than.
    ///
    /// Segments that are older than all that is pending are not asked about the stream: how new they are
    /// themselves is enough to know that nothing of it is there already.
    ///
    /// # Errors
    /// Labels that cannot be read.
    pub(crate) fn sealed_newest(
        &self,
        tenant: &TenantId,
        stream: &PendingStream<'_>,
    ) -> Result<Timestamp, StoreError> {
        if let Some(frozen) = &self.frozen {
            let view = frozen.head.view();
            // It was given what the segments knew when it came into that head.
            if let Some(stream) = view.stream_by_bytes(tenant, stream.label_bytes) {
                return Ok(stream.newest);
            }
        }
        if let Some(newest) = self.newest.get(tenant, stream.label_bytes) {
            return Ok(newest);
        }
        let oldest = stream.entries.first().map_or(Timestamp::MAX, |first| first.timestamp);
        let (asked, older): (Vec<_>, Vec<_>) =
            self.segments.iter().partition(|live| live.segment.meta().last >= oldest);
        let mut newest = older.iter().map(|live| live.segment.meta().last).max();
        if !asked.is_empty() {
            let labels = stream.labels()?;
            for live in asked {
                // Of a damaged one every entry is then compared with its readable part.
                let of_segment = live.segment.newest(tenant, &labels);
                newest = newest.max(of_segment.unwrap_or(Some(live.segment.meta().last)));
            }
        }
        Ok(newest.unwrap_or(Timestamp::MIN))
    }

    /// Whether an entry like this one is outside the head and not deleted. What cannot be read has none: to
    /// store an entry twice is better than to lose it.
    pub(crate) fn sealed_contains(
        &self,
        tenant: &TenantId,
        stream: &PendingStream<'_>,
        labels: &Labels,
        entry: &Entry<'_>,
        scratch: &mut ReadScratch,
    ) -> bool {
        if let Some(frozen) = &self.frozen {
            let view = frozen.head.view();
            let stream = view.stream_by_bytes(tenant, stream.label_bytes);
            if stream.is_some_and(|stream| stream.contains(entry)) {
                return true;
            }
        }
        let Ok(metadata) = crate::codec::metadata(entry.metadata) else { return false };
        let told = (entry.timestamp, entry.line, &metadata);
        self.segments.iter().any(|live| {
            let meta = live.segment.meta();
            meta.first <= entry.timestamp
                && entry.timestamp <= meta.last
                && live
                    .segment
                    .contains(tenant, labels, entry.timestamp, entry.line, &metadata, scratch)
                    .unwrap_or(false)
                && !Hidden::takes(&self.deletes, tenant, live.level, labels, told)
        })
    }
}
