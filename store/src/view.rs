//! What there is at one moment: the head, the head that is being flushed, and the segments.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::ReadScratch;
use crate::batch::Entry;
use crate::deletes::{ActiveDelete, Hidden};
use crate::head::{Head, HeadRun, HeadStream, PendingStream};
use crate::newest::NewestTimes;
use crate::retention::Retention;
use crate::segment::Segment;
use crate::{Labels, Metadata, StoreError, TenantId, Timestamp};

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
    /// Segments that are older than `oldest`, which is that of all that is pending, are not asked about the stream: how
    /// new they are themselves is enough to know that nothing of it is there already.
    ///
    /// # Errors
    /// Labels that cannot be read.
    pub(crate) fn sealed_newest(
        &self,
        tenant: &TenantId,
        stream: &PendingStream<'_>,
        oldest: Timestamp,
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

    /// What is outside the head of a stream, which the frozen head may have, and has entries at these times; `None` for
    /// nothing.
    ///
    /// # Errors
    /// Labels that cannot be read.
    pub(crate) fn sealed<'v>(
        &'v self,
        tenant: &'v TenantId,
        stream: &PendingStream<'_>,
        in_frozen: Option<&'v HeadStream>,
        times: &RangeInclusive<Timestamp>,
    ) -> Result<Option<SealedStream<'v>>, StoreError> {
        let runs: Vec<_> = in_frozen.into_iter().flat_map(|stream| stream.runs_at(times)).collect();
        let segments = self.segments.iter().filter(|live| {
            let meta = live.segment.meta();
            meta.first <= *times.end() && *times.start() <= meta.last
        });
        let segments: Vec<_> = segments.collect();
        if runs.is_empty() && segments.is_empty() {
            return Ok(None);
        }
        let (labels, deletes) = (stream.labels()?, &self.deletes[..]);
        Ok(Some(SealedStream { tenant, labels, runs, segments, deletes }))
    }
}

/// What is outside the head of one stream, as far as it may have what is pending.
#[derive(Debug)]
pub(crate) struct SealedStream<'v> {
    tenant: &'v TenantId,
    labels: Labels,
    runs: Vec<&'v HeadRun>,
    segments: Vec<&'v LiveSegment>,
    deletes: &'v [Arc<ActiveDelete>],
}

impl SealedStream<'_> {
    /// Whether an entry like this one is here and not deleted. What cannot be read has none: to store an entry
    /// twice is better than to lose it.
    pub(crate) fn contains(&self, entry: &Entry<'_>, scratch: &mut ReadScratch) -> bool {
        if self.runs.iter().any(|run| run.contains(entry)) {
            return true;
        }
        if self.segments.is_empty() {
            return false;
        }
        let Ok(metadata) = crate::codec::metadata(entry.metadata) else { return false };
        self.segments.iter().any(|live| self.segment_contains(live, entry, &metadata, scratch))
    }

    fn segment_contains(
        &self,
        live: &LiveSegment,
        entry: &Entry<'_>,
        metadata: &Metadata,
        scratch: &mut ReadScratch,
    ) -> bool {
        let &Entry { timestamp, line, .. } = entry;
        let (tenant, labels, meta) = (self.tenant, &self.labels, live.segment.meta());
        meta.first <= timestamp
            && timestamp <= meta.last
            && live
                .segment
                .contains(tenant, labels, timestamp, line, metadata, scratch)
                .unwrap_or(false)
            && !Hidden::takes(self.deletes, tenant, live.level, labels, (timestamp, line, metadata))
    }
}
