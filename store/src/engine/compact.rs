//! From many small segments to few large ones.
//!
//! An age flush writes a small segment every few minutes, and each segment costs every query a look.
//! Segments that stand next to each other in the order of arrival and are of one day are merged into one
//! that takes their place; with days apart, a day's entries can still go with their files. A merge waits
//! until the largest is not larger than the others together, so that an entry is written again only a few
//! times, logarithmic in the day's size.
//!
//! The new segment is written and synced like one of a flush, and one record in the manifest puts it in
//! the place of the others. Snapshots keep the old ones as long as they need them.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Core;
use super::flush::remove_quietly;
use crate::StoreError;
use crate::manifest::Edit;
use crate::paths::number;
use crate::segment::{self, Segment, SegmentMeta};
use crate::view::LiveSegment;

/// How many segments a merge has at least. With fewer, entries would be written again more often.
const SEGMENTS_MIN: usize = 8;

/// How many it has at most: each has a few decoded blocks in memory.
const SEGMENTS_MAX: usize = 16;

/// The most bytes of lines in a merged segment: what a merge, which holds flushes up, does in about a
/// second.
const LINE_BYTES_MAX: u64 = 256 << 20;

const DAY_NS: i64 = 86_400_000_000_000;

impl Core {
    /// Merges small segments until none are left that are worth it.
    ///
    /// # Errors
    /// Refusals of the file system; the segments are then as before. A damaged one is left as it is, and
    /// what can be read of it stays readable.
    pub(crate) fn compact(&self) -> Result<(), StoreError> {
        // Whoever closes the store waits for one merge, not for all that are due.
        while !self.control.lock().is_stopping {
            let mut sealing = self.sealing.lock();
            if sealing.is_over {
                return Err(StoreError::Closed);
            }
            let segments = Arc::clone(&self.view().segments);
            let meta = |live: &LiveSegment| match sealing.unmergeable.contains(&live.id) {
                true => None,
                false => Some(live.segment.meta().clone()),
            };
            let metas: Vec<Option<SegmentMeta>> = segments.iter().map(meta).collect();
            let Some(chosen) = choose(&metas) else { return Ok(()) };
            match self.guard(|| self.merge(&segments[chosen])) {
                Err(StoreError::Corrupt { path, what, offset, detail }) => {
                    // Asked again, it would be in the way of all others.
                    let Some(id) = number(&path, "seg") else {
                        return Err(StoreError::Corrupt { path, what, offset, detail });
                    };
                    tracing::warn!(path = %path.display(), what, "a damaged segment is not merged");
                    sealing.unmergeable.insert(id);
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    fn merge(&self, old: &[LiveSegment]) -> Result<(), StoreError> {
        let sources: Vec<Arc<Segment>> = old.iter().map(|live| Arc::clone(&live.segment)).collect();
        let id = self.manifest.lock().take_id();
        let vfs = &*self.options.vfs;
        let merge = |path: &Path| segment::merge(vfs, path, &sources).map(drop);
        let segment = self.seal(id, merge)?;
        let mut edits: Vec<Edit> = old.iter().map(|live| Edit::Remove(live.id)).collect();
        edits.push(Edit::Add(id));
        self.manifest.lock().commit(&edits)?;
        self.publish(|view| {
            let segments = Arc::make_mut(&mut view.segments);
            let is_old = |live: &LiveSegment| old.iter().any(|old| old.id == live.id);
            let place = segments.iter().position(is_old).unwrap_or(segments.len());
            segments.retain(|live| !is_old(live));
            segments.insert(place, LiveSegment { id, segment });
        });
        self.counters.merges.fetch_add(1, Ordering::Relaxed);
        for live in old {
            remove_quietly(vfs, &self.paths.segment(live.id));
        }
        Ok(())
    }
}

/// Which segments to merge, if any. `None` is one that cannot be.
fn choose(metas: &[Option<SegmentMeta>]) -> Option<Range<usize>> {
    let day = |meta: &Option<SegmentMeta>| {
        let meta = meta.as_ref()?;
        let (first, last) = (meta.first.div_euclid(DAY_NS), meta.last.div_euclid(DAY_NS));
        (first == last).then_some(first)
    };
    (0..metas.len()).find_map(|start| {
        let of_day = day(&metas[start])?;
        let mut line_bytes = 0_u64;
        let alike = metas[start..].iter().take(SEGMENTS_MAX).take_while(|meta| {
            let bytes = meta.as_ref().map_or(0, |meta| meta.line_bytes);
            line_bytes = line_bytes.saturating_add(bytes);
            day(meta) == Some(of_day) && line_bytes <= LINE_BYTES_MAX
        });
        let chosen = start..start + alike.count();
        let sizes = || metas[chosen.clone()].iter().flatten().map(|meta| meta.file_bytes);
        let largest = sizes().max().unwrap_or(0);
        let is_worth_it = chosen.len() >= SEGMENTS_MIN && largest <= sizes().sum::<u64>() - largest;
        is_worth_it.then_some(chosen)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(segments: &[(i64, u64)]) -> Option<Range<usize>> {
        let meta = |&(day, bytes): &(i64, u64)| {
            let (rows, streams, first) = (1, 1, day * DAY_NS);
            let (file_bytes, line_bytes, last) = (bytes, bytes * 10, first + 5);
            Some(SegmentMeta { rows, line_bytes, file_bytes, first, last, streams })
        };
        choose(&segments.iter().map(meta).collect::<Vec<_>>())
    }

    #[test]
    fn eight_of_a_day_and_about_a_size_are_merged() {
        assert_eq!(chosen(&[(1, 100); 7]), None);
        assert_eq!(chosen(&[(1, 100); 9]), Some(0..9));
        assert_eq!(chosen(&[(1, 100); 40]), Some(0..16));
        let mut segments = vec![(-1, 100); 7];
        segments.extend([(0, 100); 7]);
        assert_eq!(chosen(&segments), None, "two days");
        segments.push((0, 100));
        assert_eq!(chosen(&segments), Some(7..15));
    }

    #[test]
    fn a_large_segment_waits_for_its_like() {
        let mut segments = vec![(1, 1000)];
        segments.extend([(1, 100); 7]);
        assert_eq!(chosen(&segments), None);
        segments.extend([(1, 100); 1]);
        assert_eq!(chosen(&segments), Some(1..9));
        assert_eq!(chosen(&[(1, LINE_BYTES_MAX / 20); 20]), None, "two fill a merged one");
    }
}
