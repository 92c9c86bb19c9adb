//! Which segments a merge takes.

use std::ops::Range;
use std::time::Duration;

use crate::retention::Retention;
use crate::segment::{MERGE_LEVEL, SegmentMeta};

/// How many segments a merge has at least, while others may still come that would go with them. With fewer,
/// entries would be written again more often.
const SEGMENTS_MIN: usize = 8;

/// How many it has at least where the next is of days too far away, so that none will come.
const SEGMENTS_OF_WHOLE_DAYS_MIN: usize = 2;

/// How many it has at most: each has a few decoded blocks in memory.
const SEGMENTS_MAX: usize = 16;

/// The most bytes of lines in a merged segment: what a merge does in some seconds.
const LINE_BYTES_MAX: u64 = 1 << 30;

pub(super) const DAY_NS: i64 = 86_400_000_000_000;

/// The most days in a merged segment. With more, a question about an hour would read much of other days, where
/// streams are small.
const DAYS_MAX: i64 = 8;

/// A segment of several days leaves the disk when its last day is past its time: up to such a part of a
/// period later than it might.
const LATE_PART: u64 = 8;

/// How many days a merged segment may have.
pub(super) fn days_max(retention: &Retention) -> i64 {
    let days = |shortest: Duration| i64::try_from(shortest.as_secs() / 86_400 / LATE_PART);
    let days = retention.shortest().map_or(DAYS_MAX, |shortest| days(shortest).unwrap_or(DAYS_MAX));
    days.clamp(1, DAYS_MAX)
}

/// A segment that may be merged.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) meta: SegmentMeta,
    /// How many of the delete requests in force do not concern it because of its level. Merged segments
    /// must agree, or a request would take what came behind it, or not take what came before.
    pub(super) rank: usize,
}

impl Candidate {
    /// The days of its first and its last entry, counted from 1970.
    fn days(&self) -> (i64, i64) {
        (self.meta.first.div_euclid(DAY_NS), self.meta.last.div_euclid(DAY_NS))
    }
}

/// Which segments to merge, if any: of one day, or else of several that are over. `None` is one that cannot
/// be.
pub(super) fn choose(candidates: &[Option<Candidate>], days_max: i64) -> Option<Range<usize>> {
    let of_a_day = |start| {
        let (chosen, _) = neighbours(candidates, start, 1, i64::MAX)?;
        is_worth_it(candidates, &chosen, SEGMENTS_MIN).then_some(chosen)
    };
    let today = candidates.iter().flatten().map(|candidate| candidate.days().1).max()?;
    let of_days = |start| {
        let (chosen, is_whole) = neighbours(candidates, start, days_max, today)?;
        let at_least = if is_whole { SEGMENTS_OF_WHOLE_DAYS_MIN } else { SEGMENTS_MIN };
        is_worth_it(candidates, &chosen, at_least).then_some(chosen)
    };
    let starts = || 0..candidates.len();
    starts().find_map(of_a_day).or_else(|| starts().find_map(of_days))
}

/// The segments from `start` on that may be merged into one of so many days that are before `end`, and
/// whether the one behind them is of days too far away.
fn neighbours(
    candidates: &[Option<Candidate>],
    start: usize,
    days: i64,
    end: i64,
) -> Option<(Range<usize>, bool)> {
    let rank_wanted = candidates[start].as_ref()?.rank;
    let (mut line_bytes, mut first_day, mut last_day) = (0_u64, i64::MAX, i64::MIN);
    for (place, candidate) in (start..).zip(&candidates[start..]) {
        let Some(candidate) = candidate else { return Some((start..place, false)) };
        let (first, last) = candidate.days();
        (first_day, last_day) = (first_day.min(first), last_day.max(last));
        line_bytes = line_bytes.saturating_add(candidate.meta.line_bytes);
        let is_near = last_day.saturating_sub(first_day) < days;
        let fits = place - start < SEGMENTS_MAX
            && last_day < end
            && candidate.rank == rank_wanted
            && line_bytes <= LINE_BYTES_MAX;
        if !is_near || !fits {
            return Some((start..place, !is_near));
        }
    }
    Some((start..candidates.len(), false))
}

/// Whether they are enough, and the largest is not larger than the others together.
fn is_worth_it(candidates: &[Option<Candidate>], chosen: &Range<usize>, at_least: usize) -> bool {
    let sizes = || candidates[chosen.clone()].iter().flatten().map(|it| it.meta.file_bytes);
    let largest = sizes().max().unwrap_or(0);
    chosen.len() >= at_least && largest <= sizes().sum::<u64>() - largest
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
        choose(&candidates, 1)
    }

    #[test]
    fn eight_of_a_day_and_about_a_size_are_merged() {
        assert_eq!(chosen(&[(1, 100); 7]), None);
        assert_eq!(chosen(&[(1, 100); 9]), Some(0..9));
        assert_eq!(chosen(&[(1, 100); 40]), Some(0..16));
        let mut segments = vec![(-1, 100); 7];
        segments.extend([(0, 100); 7]);
        segments.push((0, 100));
        assert_eq!(chosen(&segments), Some(7..15), "of one day");
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
    fn days_that_are_over_are_merged_where_they_may_be() {
        let days = |days: std::ops::Range<i64>| -> Vec<_> {
            days.map(|day| candidate(day, 100, 0)).collect()
        };
        assert_eq!(choose(&days(0..9), 1), None);
        assert_eq!(choose(&days(0..8), 8), None, "the last is not over");
        assert_eq!(choose(&days(0..9), 8), Some(0..8));
        assert_eq!(choose(&days(0..30), 8), Some(0..8), "of no more days");
        let mut candidates = days(0..4);
        candidates.push(None);
        candidates.extend(days(4..12));
        assert_eq!(choose(&candidates, 8), None, "neighbours only");
        candidates.extend(days(12..13));
        assert_eq!(choose(&candidates, 8), Some(5..13));
    }

    #[test]
    fn few_are_merged_once_no_other_can_come() {
        let days =
            |days: &[i64]| -> Vec<_> { days.iter().map(|day| candidate(*day, 100, 0)).collect() };
        assert_eq!(choose(&days(&[0, 3, 6]), 8), None, "the last day is not over");
        assert_eq!(choose(&days(&[0, 3, 6, 7, 7]), 8), None, "nor is that one");
        assert_eq!(choose(&days(&[0, 3, 6, 9]), 8), Some(0..3));
        assert_eq!(choose(&days(&[0, 9, 18, 27]), 8), None, "each is alone");
        assert_eq!(choose(&days(&[0, 0, 1, 1]), 1), Some(0..2), "a day that is over");
        let mut unlike = days(&[0, 3, 9, 9, 10]);
        unlike[0] = candidate(0, 1000, 0);
        assert_eq!(choose(&unlike, 8), None, "the large one would be written again for little");
    }

    #[test]
    fn segments_that_reach_into_the_next_day_are_merged_in_time() {
        // As a head fills up in a little more than a day: no eight of them are within eight days.
        let spanning = |start: i64| {
            let mut candidate = candidate(start, 100, 0)?;
            candidate.meta.last = candidate.meta.first + DAY_NS + DAY_NS / 10;
            Some(candidate)
        };
        let candidates: Vec<_> = (0..20).map(spanning).collect();
        assert_eq!(choose(&candidates, 8), Some(0..7));
    }

    #[test]
    fn a_short_period_keeps_days_apart() {
        let kept = |days: u64| days_max(&Retention::keep(Duration::from_secs(days * 86_400)));
        assert_eq!([1, 8, 16, 30, 365].map(kept), [1, 1, 2, 3, 8]);
        assert_eq!(days_max(&Retention::default()), 8);
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
        assert_eq!(choose(&candidates, 1), None);
        candidates.extend(vec![candidate(1, 100, 1); 3]);
        assert_eq!(choose(&candidates, 1), Some(5..13));
    }
}
