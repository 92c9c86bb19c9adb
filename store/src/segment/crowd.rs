//! Finding the chunks with a match among very many.
//!
//! With a hundred thousand streams a group has the rows of thousands. A look at each of them, to find in
//! most that nothing in it matches, takes far longer than a look at the group: so the group is asked first,
//! and then whose rows those are.

use std::ops::Range;
use std::sync::Arc;

use super::chunk::SegmentChunk;
use super::group;
use super::reader::{Parts, Segment};
use super::stream_table::StreamTable;
use super::template::Hits;
use crate::{LinePredicate, Matcher, ReadScratch, StoreError, TenantId, TimeRange};

/// With so many selected streams for each group of the segment, groups are asked first.
const STREAMS_PER_GROUP: usize = 16;

/// The selected streams of a segment, where they are many.
#[derive(Debug)]
pub(crate) struct Crowd {
    table: Arc<StreamTable>,
    /// Ascending.
    ordinals: Vec<u32>,
    groups: Range<u32>,
}

impl Crowd {
    /// The groups that may have their rows.
    pub(crate) fn groups(&self) -> Range<u32> {
        self.groups.clone()
    }
}

impl Segment {
    /// The streams that pass every matcher, if they are so many that it pays to
    /// [search](Self::search_group) group by group.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged stream table.
    pub(crate) fn crowd(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
    ) -> Result<Option<Crowd>, StoreError> {
        let Parts::Groups(groups) = self.parts() else { return Ok(None) };
        let streams_min = groups.len().saturating_mul(STREAMS_PER_GROUP);
        if self.meta().streams <= streams_min as u64 {
            return Ok(None);
        }
        let table = self.streams()?;
        let ordinals = self.select(&table, tenant, selector)?;
        let (Some(&first), Some(&last)) = (ordinals.first(), ordinals.last()) else {
            return Ok(None);
        };
        if ordinals.len() <= streams_min {
            return Ok(None);
        }
        let runs = |ordinal| table.stream(ordinal).and_then(|stream| stream.runs());
        let damaged = |damage| self.table_damage(damage);
        let start = runs(first).map_err(damaged)?.first().map_or(0, |run| run.block);
        let end = runs(last).map_err(damaged)?.last().map_or(0, |run| run.block + 1);
        Ok(Some(Crowd { table, ordinals, groups: start..end }))
    }

    /// Appends the chunks of a crowd that are in one group, overlap the range and may have a line that
    /// passes the predicate, which needles decide, stream by stream. Says how many rows they have.
    ///
    /// A damaged group may have any: reading its chunks tells.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged stream table.
    pub(crate) fn search_group(
        self: &Arc<Self>,
        crowd: &Crowd,
        number: u32,
        (range, predicate): (TimeRange, &LinePredicate),
        scratch: &mut ReadScratch,
        out: &mut Vec<SegmentChunk>,
    ) -> Result<u64, StoreError> {
        let hits = self.group_hits(number, predicate, scratch).unwrap_or(Arc::new(Hits::All));
        if *hits == Hits::None {
            return Ok(0);
        }
        let table = &crowd.table;
        let first = table.first_of_block(number);
        let mut rows = 0;
        for ordinal in &crowd.ordinals[crowd.ordinals.partition_point(|other| *other < first)..] {
            let damaged = |damage| self.table_damage(damage);
            let stream = table.stream(*ordinal).map_err(damaged)?;
            let mut is_behind = false;
            let mut labels = None;
            for (number_of_run, run) in stream.numbered_runs().map_err(damaged)? {
                is_behind = run.block > number;
                let is_here = run.block == number && range.overlaps(run.first, run.last);
                if !is_here || !hits.any_in(run.row..run.row + run.rows) {
                    continue;
                }
                let labels = match &labels {
                    Some(labels) => labels,
                    None => labels.insert(stream.labels().map_err(damaged)?),
                };
                rows += u64::from(run.rows);
                let (segment, labels) = (Arc::clone(self), labels.clone());
                out.push(SegmentChunk { segment, labels, run, number: number_of_run });
            }
            if is_behind {
                break;
            }
        }
        Ok(rows)
    }

    /// The rows of a group.
    pub(crate) fn group_rows(&self, number: u32) -> u64 {
        let Parts::Groups(groups) = self.parts() else { return 0 };
        groups.get(number as usize).map_or(0, |group| u64::from(group.rows))
    }

    /// About how many bytes of lines so many rows have.
    pub(crate) fn line_bytes_of(&self, rows: u64) -> u64 {
        let meta = self.meta();
        let bytes = u128::from(meta.line_bytes) * u128::from(rows) / u128::from(meta.rows.max(1));
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    fn group_hits(
        &self,
        number: u32,
        predicate: &LinePredicate,
        scratch: &mut ReadScratch,
    ) -> Result<Arc<Hits>, StoreError> {
        if !self.may_pass(number, predicate) {
            return Ok(Arc::new(Hits::None));
        }
        let scratch = scratch.segment.groups();
        let group = self.group(number, scratch)?;
        let hits = group::all_passing(&group, self.bytes(), predicate, scratch);
        hits.map_err(|damage| self.group_damage(number, damage))
    }
}
