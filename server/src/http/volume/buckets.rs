//! The pieces of a range that volumes are added up in.

use timberline_store::{TimeRange, Timestamp};

use crate::http::params::{Bounds, NANOS_PER_MILLI};

/// The buckets of a volume request: multiples of the step since the epoch, cut to the range.
#[derive(Debug)]
pub(super) struct Buckets {
    bounds: Bounds,
    step: Option<i64>,
    count: usize,
}

impl Buckets {
    /// The buckets of a range; one where there is no step.
    pub(super) fn new(bounds: Bounds, step: Option<i64>) -> Self {
        let Bounds { start, end } = bounds;
        let count = match step {
            // A range that ends on a multiple of the step ends with the bucket before it.
            Some(step) if end > start => (end - 1).div_euclid(step) - start.div_euclid(step) + 1,
            Some(_) => 0,
            None => 1,
        };
        Self { bounds, step, count: usize::try_from(count).unwrap_or(0) }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// All that is in some bucket; entries at `end` are.
    pub(super) const fn range(&self) -> TimeRange {
        TimeRange::new(self.bounds.start, self.bounds.end.saturating_add(1))
    }

    /// The bucket that a time of the range is in.
    pub(super) fn of(&self, timestamp: Timestamp) -> usize {
        let Some(step) = self.step else { return 0 };
        let index = timestamp.div_euclid(step) - self.bounds.start.div_euclid(step);
        usize::try_from(index).unwrap_or(0).min(self.count.saturating_sub(1))
    }

    /// The time on a bucket's volume, in milliseconds: just before its end; the end, for the last.
    pub(super) fn stamp(&self, bucket: usize) -> i64 {
        let end = self.bounds.end.div_euclid(NANOS_PER_MILLI);
        let Some(step) = self.step.filter(|_| bucket + 1 < self.count) else { return end };
        let next = i64::try_from(bucket).unwrap_or(i64::MAX).saturating_add(1);
        let first = self.bounds.start.div_euclid(step);
        first.saturating_add(next).saturating_mul(step).div_euclid(NANOS_PER_MILLI) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn cut((start, end, step): (i64, i64, Option<i64>)) -> Buckets {
        Buckets::new(Bounds { start, end }, step)
    }

    #[test]
    fn buckets_are_aligned_and_stamped_before_their_end() {
        let buckets = cut((15 * S, 35 * S, Some(10 * S)));
        let stamps: Vec<_> = (0..buckets.len()).map(|bucket| buckets.stamp(bucket)).collect();
        assert_eq!(stamps, [19_999, 29_999, 35_000]);
        assert_eq!([15, 19, 20, 30, 35].map(|s| buckets.of(s * S)), [0, 0, 1, 2, 2]);
        let buckets = cut((10 * S, 30 * S, Some(10 * S)));
        assert_eq!(
            (0..buckets.len()).map(|b| buckets.stamp(b)).collect::<Vec<_>>(),
            [19_999, 30_000]
        );
        assert_eq!(buckets.of(30 * S), 1);
        assert_eq!(cut((S, S, Some(S))).len(), 0);
        assert_eq!(cut((0, 7 * S, None)).stamp(0), 7_000);
    }
}
