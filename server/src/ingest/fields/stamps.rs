//! Times for what comes without one.

use std::sync::atomic::{AtomicI64, Ordering};

use timberline_store::Timestamp;

use super::super::clock::was_set_back;

/// Gives every entry a time of its own. A store keeps the same line with the same time once, and reads
/// entries back in the order of their times: neither may change what came without times.
#[derive(Debug)]
pub(crate) struct Stamps {
    last: AtomicI64,
}

impl Default for Stamps {
    fn default() -> Self {
        Self { last: AtomicI64::new(i64::MIN) }
    }
}

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

    /// A time of whole seconds with nanoseconds that no other of them is likely to have.
    pub(crate) fn within(&self, second: Timestamp, now: Timestamp) -> Timestamp {
        const SECOND: i64 = 1_000_000_000;
        second.saturating_add(self.take(now, 1).rem_euclid(SECOND))
    }
}
