//! How long things took that come again and again: how many took up to so long, and all together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest time of each class but the last, in microseconds: from a sync of a fast disk to the merge of a
/// week.
const UPPER_MICROS: [u64; 20] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    1_800_000_000,
];

/// Classes: one for each bound, and one for what took longer.
const CLASSES: usize = UPPER_MICROS.len() + 1;

/// How long something took that was done many times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    counts: [u64; CLASSES],
    sum_nanos: u64,
}

impl Durations {
    /// How often it was done.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long all of them took together.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos)
    }

    /// How many took up to so long, for ascending times.
    pub fn up_to(&self) -> impl Iterator<Item = (Duration, u64)> {
        UPPER_MICROS.iter().zip(&self.counts).scan(0, |sum, (micros, count)| {
            *sum += count;
            Some((Duration::from_micros(*micros), *sum))
        })
    }
}

/// [`Durations`] while they grow.
#[derive(Debug, Default)]
pub(crate) struct DurationCounters {
    counts: [AtomicU64; CLASSES],
    sum_nanos: AtomicU64,
}

impl DurationCounters {
    /// Counts what has taken since then. Nothing but the numbers is shared, so no order has to be kept.
    pub(crate) fn add_since(&self, begun: Instant) {
        self.add(begun.elapsed());
    }

    fn add(&self, took: Duration) {
        let class = UPPER_MICROS.partition_point(|upper| Duration::from_micros(*upper) < took);
        self.counts[class].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Durations {
        Durations {
            counts: std::array::from_fn(|class| self.counts[class].load(Ordering::Relaxed)),
            sum_nanos: self.sum_nanos.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_by_their_class() {
        let counters = DurationCounters::default();
        for micros in [0, 100, 101, 1_800_000_000, 1_800_000_001, 10_000_000_000] {
            counters.add(Duration::from_micros(micros));
        }
        let durations = counters.get();
        let up_to: Vec<_> = durations.up_to().collect();
        assert_eq!(up_to[..2], [(Duration::from_micros(100), 2), (Duration::from_micros(250), 3)]);
        assert_eq!(up_to.last(), Some(&(Duration::from_secs(1800), 4)));
        assert_eq!(
            (durations.count(), durations.sum()),
            (6, Duration::from_micros(13_600_000_202))
        );
        assert!(UPPER_MICROS.is_sorted());
    }
}
