//! The time of day, as far as it is believed where something cannot be undone.
//!
//! A clock that is set far ahead makes everything look past its retention. That hides entries until it is set
//! right; what compaction has taken off the disk by then is gone. So compaction in the background goes by a
//! time that keeps pace with the clock that only goes forward, and follows a leap of the time of day only
//! once that has lasted.

use std::time::Duration;

use crate::{Clock, Timestamp};

/// The most that the time of day may be ahead of what it should be. Clocks that are slewed, and a machine
/// that sleeps for a while, stay below.
const AHEAD_MAX: Duration = Duration::from_secs(3600);

/// A leap that has lasted so long is believed: whoever looks at the answers has seen by then that entries
/// are missing.
const BELIEVED_AFTER: Duration = Duration::from_secs(86_400);

/// A time of day that was believed, and when that was by the clock that only goes forward.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct BelievedTime {
    time: Timestamp,
    at: Duration,
    /// Since when the time of day has been too far ahead.
    leapt_at: Option<Duration>,
}

impl BelievedTime {
    /// Believes the time of day up to `newest`, the newest entry that is known, which came from clocks that
    /// the machine's is compared with.
    pub(super) fn new(clock: &dyn Clock, newest: Timestamp) -> Self {
        let time = clock.unix_time().min(newest);
        Self { time, at: clock.elapsed(), leapt_at: None }
    }

    /// The time of day, or what it should be where it is too far ahead of that.
    pub(super) fn now(&mut self, clock: &dyn Clock) -> Timestamp {
        let (now, at) = (clock.unix_time(), clock.elapsed());
        let expected = self.time.saturating_add(nanos(at.saturating_sub(self.at)));
        if now > expected.saturating_add(nanos(AHEAD_MAX)) {
            let leapt_at = *self.leapt_at.get_or_insert(at);
            if at.saturating_sub(leapt_at) < BELIEVED_AFTER {
                return expected;
            }
        }
        *self = Self { time: now, at, leapt_at: None };
        now
    }

    /// Whether the time of day is not believed at present.
    pub(super) const fn is_in_doubt(&self) -> bool {
        self.leapt_at.is_some()
    }
}

fn nanos(duration: Duration) -> Timestamp {
    Timestamp::try_from(duration.as_nanos()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManualClock;

    const HOUR: Duration = Duration::from_secs(3600);
    const START: Timestamp = 1_700_000_000_000_000_000;

    fn at(clock: &ManualClock, hours: i64) {
        clock.set_unix_time(START + hours * nanos(HOUR));
    }

    #[test]
    fn a_leap_is_followed_once_it_has_lasted() {
        let clock = ManualClock::new();
        at(&clock, 0);
        let mut believed = BelievedTime::new(&clock, START);
        assert_eq!(believed.now(&clock), START);
        at(&clock, 1);
        assert_eq!(believed.now(&clock), START + nanos(HOUR), "an hour may be");
        at(&clock, 1000);
        clock.advance(HOUR);
        assert_eq!(believed.now(&clock), START + nanos(2 * HOUR));
        assert!(believed.is_in_doubt());
        at(&clock, 3);
        clock.advance(HOUR);
        assert_eq!(believed.now(&clock), START + nanos(3 * HOUR), "it was set right");
        at(&clock, 1000);
        assert_eq!(believed.now(&clock), START + nanos(3 * HOUR));
        clock.advance(24 * HOUR);
        assert_eq!(believed.now(&clock), START + 1000 * nanos(HOUR));
        assert!(!believed.is_in_doubt());
    }

    #[test]
    fn a_clock_that_is_set_back_is_followed() {
        let clock = ManualClock::new();
        at(&clock, 0);
        let mut believed = BelievedTime::new(&clock, START);
        at(&clock, -1000);
        assert_eq!(believed.now(&clock), START - 1000 * nanos(HOUR));
    }

    #[test]
    fn at_the_start_the_newest_entry_is_what_it_is_compared_with() {
        let clock = ManualClock::new();
        at(&clock, 1000);
        let mut believed = BelievedTime::new(&clock, START);
        assert_eq!(believed.now(&clock), START);
        let mut believed = BelievedTime::new(&clock, START + 999 * nanos(HOUR));
        assert_eq!(believed.now(&clock), START + 1000 * nanos(HOUR));
        let mut believed = BelievedTime::new(&clock, Timestamp::MAX);
        assert_eq!(believed.now(&clock), START + 1000 * nanos(HOUR), "entries of the future");
    }
}
