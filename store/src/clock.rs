//! Time as a handle, so that tests decide how late it is.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Timestamp;

/// What tells the time: for ages a clock that only goes forward, for retention the time of day.
pub trait Clock: Send + Sync + Debug {
    /// The time since a moment that is fixed for this clock.
    fn elapsed(&self) -> Duration;

    /// The time of day. It may be set, forward and back.
    fn unix_time(&self) -> Timestamp;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    fn unix_time(&self) -> Timestamp {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Timestamp::try_from(since.as_nanos()).unwrap_or(Timestamp::MAX),
            Err(_) => 0,
        }
    }
}

/// A clock that stands still until it is moved.
///
/// ```
/// use std::time::Duration;
/// use timberline_store::{Clock, ManualClock};
///
/// let clock = ManualClock::default();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.elapsed(), Duration::from_secs(60));
/// ```
#[derive(Debug, Default)]
pub struct ManualClock {
    elapsed_ns: AtomicU64,
    unix_time: AtomicI64,
}

impl ManualClock {
    /// A clock at its origin, on the 1st of January 1970.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let by_ns = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.elapsed_ns.fetch_add(by_ns, Ordering::SeqCst);
    }

    /// Sets the time of day. [`advance`](Self::advance) leaves it as it is.
    pub fn set_unix_time(&self, time: Timestamp) {
        self.unix_time.store(time, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_ns.load(Ordering::SeqCst))
    }

    fn unix_time(&self) -> Timestamp {
        self.unix_time.load(Ordering::SeqCst)
    }
}
