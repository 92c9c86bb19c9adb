//! What time it is, as a handle, so that tests can say it.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use timberline_store::Timestamp;

/// Tells the time. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The operating system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::from_fn(|| match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            Err(_) => 0,
        })
    }

    /// A clock that says what `now` says, in nanoseconds since the Unix epoch.
    pub fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

/// The most that two readings of a clock may be in the wrong order without its having been set: threads
/// that read it one after the other and are not heard in that order.
const BACK_MAX: Timestamp = 5_000_000_000;

/// Whether a clock that said `then` and says `now` was set back: what was reckoned by it begins anew, or it
/// would stand still until the clock is there again.
pub(crate) const fn was_set_back(then: Timestamp, now: Timestamp) -> bool {
    now < then.saturating_sub(BACK_MAX)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
