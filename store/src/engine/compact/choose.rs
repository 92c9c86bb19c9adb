//! Which segments a merge takes.

use std::ops::Range;

use crate::segment::{MERGE_LEVEL, SegmentMeta};

/// How many segments a merge has at least. With fewer, entries would be written again more often.
const SEGMENTS_MIN: usize = 8;

/// How many it has at most: each has a few decoded blocks in memory.
const SEGMENTS_MAX: usize = 16;

/// The most bytes of lines in a merged segment: what a merge does in about a second.
const LINE_BYTES_MAX: u64 = 256 << 20;

pub(super) const DAY_NS: i64 = 86_400_000_000_000;

/// A segment that may be merged.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) meta: SegmentMeta,
    /// How many of the delete requests in force do not concern it because of its level. Merged segments
    /// must agree, or a request would take what came behind it, or not take what came before.
    pub(super) rank: usize,
}

/// Which segments to merge, if any. `None` is one that cannot be.
pub(super) fn choose(candidates: &[Option<Candidate>]) -> Option<Range<usize>> {
    let kind = |candidate: &Option<Candidate>| {
        let Candidate { meta, rank } = candidate.as_ref()?;
        let (first, last) = (meta.first.div_euclid(DAY_NS), meta.last.div_euclid(DAY_NS));
        (first == last).then_some((first, *rank))
    };
    (0..candidates.len()).find_map(|start| {
        let kind_wanted = kind(&candidates[start])?;
        let mut line_bytes = 0_u64;
        let alike = candidates[start..].iter().take(SEGMENTS_MAX).take_while(|candidate| {
            let bytes = candidate.as_ref().map_or(0, |candidate| candidate.meta.line_bytes);
            line_bytes = line_bytes.saturating_add(bytes);
            kind(candidate) == Some(kind_wanted) && line_bytes <= LINE_BYTES_MAX
        });
        let chosen = start..start + alike.count();
        let of_chosen = || candidates[chosen.clone()].iter().flatten();
        let sizes = || of_chosen().map(|candidate| candidate.meta.file_bytes);
        let largest = sizes().max().unwrap_or(0);
        let is_worth_it = chosen.len() >= SEGMENTS_MIN && largest <= sizes().sum::<u64>() - largest;
        is_worth_it.then_some(chosen)
    })
}

/// A segment to be written again by itself, since it was compressed in haste; of those that are `due`.
pub(super) fn choose_alone(
    candidates: &[Option<Candidate>],
    due: impl Fn(&SegmentMeta) -> bool,
) -> Option<Range<usize>> {
    let is_it = |candidate: &Option<Candidate>| {
        let meta = candidate.as_ref().map(|candidate| &candidate.meta);
        meta.is_some_and(|meta| i32::from(meta.zstd_level) < MERGE_LEVEL && due(meta))
    };
    let place = candidates.iter().position(is_it)?;
    Some(place..place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(day: i64, bytes: u64, rank: usize) -> Option<Candidate> {
        let (rows, streams, first) = (1, 1, day * DAY_NS);
        let (file_bytes, line_bytes, last) = (bytes, bytes * 10, first + 5);
        let zstd_level = 1;
        let meta = SegmentMeta { rows, line_bytes, file_bytes, first, last, streams, zstd_level };
        Some(Candidate { meta, rank })
    }

    fn chosen(segments: &[(i64, u64)]) -> Option<Range<usize>> {
        let candidates: Vec<_> =
            segments.iter().map(|&(day, bytes)| candidate(day, bytes, 0)).collect();
        choose(&candidates)
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

    #[test]
    fn what_was_compressed_in_haste_is_written_again_once() {
        let mut candidates = [candidate(1, 100, 0), candidate(5, 100, 0)];
        assert_eq!(choose_alone(&candidates, |_| true), Some(0..1));
        assert_eq!(choose_alone(&candidates, |meta| meta.first > DAY_NS), Some(1..2));
        for candidate in candidates.iter_mut().flatten() {
            candidate.meta.zstd_level = u8::try_from(MERGE_LEVEL).unwrap();
        }
        assert_eq!(choose_alone(&candidates, |_| true), None);
    }

    #[test]
    fn segments_from_before_and_behind_a_delete_request_stay_apart() {
        let mut candidates = vec![candidate(1, 100, 0); 5];
        candidates.extend(vec![candidate(1, 100, 1); 5]);
        assert_eq!(choose(&candidates), None);
        candidates.extend(vec![candidate(1, 100, 1); 3]);
        assert_eq!(choose(&candidates), Some(5..13));
    }
}
