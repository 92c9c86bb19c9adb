//! Times for what comes without one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use timberline_store::Timestamp;

use super::super::clock::was_set_back;

/// Gives every entry a time of its own. A store keeps the same line with the same time once, and reads
/// entries back in the order of their times: neither may change what came without times.
#[derive(Debug)]
pub(crate) struct Stamps {
    last: AtomicI64,
    /// The last time given within each of some seconds, those asked for last at the end.
    seconds: Mutex<VecDeque<(Timestamp, Timestamp)>>,
}

impl Default for Stamps {
    fn default() -> Self {
        Self { last: AtomicI64::new(i64::MIN), seconds: Mutex::default() }
    }
}

const SECOND: i64 = 1_000_000_000;

/// How many seconds are kept in mind: sources are behind each other by a few.
const SECONDS_MAX: usize = 64;

impl Stamps {
    /// The first of `count` times, each a nanosecond after the one before, and all after those that
    /// were given before, unless the clock was set back meanwhile. They are `now` and later.
    pub(crate) fn take(&self, now: Timestamp, count: i64) -> Timestamp {
        let first = |last: i64| match was_set_back(last, now) {
            true => now,
            false => now.max(last.saturating_add(1)),
        };
        let after = |last: i64| first(last).saturating_add(count - 1);
        // Only the number itself is shared.
        let update =
            self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(after(last)));
        let last = update.unwrap_or_else(|last| last);
        first(last)
    }

    /// A time of whole seconds with nanoseconds that no other of them is likely to have, after those that
    /// were given within the same second before, unless there is no room left in it.
    pub(crate) fn within(&self, second: Timestamp, now: Timestamp) -> Timestamp {
        let mut seconds = self.seconds.lock();
        let time = second.saturating_add(self.take(now, 1).rem_euclid(SECOND));
        let known = seconds.iter().rposition(|(known, _)| *known == second);
        // The clock may have come to another second since.
        let last = known.and_then(|place| seconds.remove(place)).map_or(i64::MIN, |(_, last)| last);
        let next = last.saturating_add(1);
        let time = if next < second.saturating_add(SECOND) { time.max(next) } else { time };
        if seconds.len() == SECONDS_MAX {
            seconds.pop_front();
        }
        seconds.push_back((second, time));
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_within_a_second_are_in_the_order_in_which_they_are_asked_for() {
        let stamps = Stamps::default();
        let (second, other) = (7 * SECOND, 6 * SECOND);
        // The clock comes to the next second, and to others later.
        let times = [0, 999_000_000, SECOND, SECOND + 5, 90 * SECOND];
        let [mut asked, mut between] = [Vec::new(), Vec::new()];
        for now in times {
            asked.push(stamps.within(second, second + now));
            between.push(stamps.within(other, second + now));
        }
        for (second, times) in [(second, asked), (other, between)] {
            assert!(times.is_sorted_by(|one, next| one < next), "{times:?}");
            assert!(times.iter().all(|time| (second..second + SECOND).contains(time)), "{times:?}");
        }
    }

    #[test]
    fn few_seconds_are_kept_in_mind() {
        let stamps = Stamps::default();
        for number in 0..1000 {
            stamps.within(number * SECOND, number);
        }
        assert_eq!(stamps.seconds.lock().len(), SECONDS_MAX);
    }
}
