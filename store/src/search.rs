//! Chunks that are found by looking for lines.

use std::sync::Arc;

use crate::chunk::Source;
use crate::segment::Crowd;
use crate::view::LiveSegment;
use crate::{Chunk, LinePredicate, ReadScratch, Snapshot, StoreError, TenantId, TimeRange};

/// Some of a snapshot's chunks, of which those without a wanted line can be left out together.
///
/// [`search`](Self::search) does that, and may be worth several threads. See
/// [`Snapshot::chunk_sources`].
#[derive(Debug)]
pub struct ChunkSource {
    group: Option<(Arc<CrowdedSegment>, u32)>,
    chunks: Vec<Chunk>,
}

/// A segment of which so many streams are selected that it is searched group by group.
#[derive(Debug)]
pub(crate) struct CrowdedSegment {
    pub(crate) snapshot: Snapshot,
    pub(crate) live: LiveSegment,
    pub(crate) tenant: TenantId,
    pub(crate) crowd: Crowd,
    pub(crate) range: TimeRange,
}

/// How much was looked through without a chunk of it being found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Rows.
    pub rows: u64,
    /// Bytes of lines, told by the share of rows.
    pub line_bytes: u64,
}

impl ChunkSource {
    pub(crate) const fn known(chunks: Vec<Chunk>) -> Self {
        Self { group: None, chunks }
    }

    /// The parts of a segment that are searched one by one.
    pub(crate) fn of_groups(segment: CrowdedSegment) -> impl Iterator<Item = Self> {
        let segment = Arc::new(segment);
        segment.crowd.groups().map(move |number| Self {
            group: Some((Arc::clone(&segment), number)),
            chunks: Vec::new(),
        })
    }

    /// Whether the chunks are not known before [`search`](Self::search).
    #[must_use]
    pub const fn is_to_be_searched(&self) -> bool {
        self.group.is_some()
    }

    /// Finds the chunks that may have a line that passes, unless they are known. What is passed by was
    /// seen to have none.
    ///
    /// # Errors
    /// Refusals of the file system. Damage does not fail the call: reading a chunk of the damaged part
    /// does, and a segment of which nothing can be said is left out and reported in
    /// [`Snapshot::warnings`].
    pub fn search(
        &mut self,
        predicate: &LinePredicate,
        scratch: &mut ReadScratch,
    ) -> Result<Passed, StoreError> {
        let Some((segment, number)) = self.group.take() else { return Ok(Passed::default()) };
        let CrowdedSegment { snapshot, live, tenant, crowd, range } = &*segment;
        let (predicate, mut found) = (predicate.by_needles(), Vec::new());
        let what = (*range, &predicate);
        let searched = live.segment.search_group(crowd, number, what, scratch, &mut found);
        let rows_found = snapshot.or_damaged(live, searched)?;
        let here = snapshot.hidden_in(live, tenant);
        let seen = |chunk| snapshot.seen(Source::Segment(chunk), &here);
        self.chunks = found.into_iter().filter_map(seen).collect();
        let rows = live.segment.group_rows(number).saturating_sub(rows_found);
        Ok(Passed { rows, line_bytes: live.segment.line_bytes_of(rows) })
    }

    /// The chunks that were found, or were known: see [`Snapshot::chunks`] for their order.
    #[must_use]
    pub fn into_chunks(self) -> Vec<Chunk> {
        self.chunks
    }
}
