//! Token buckets: so many bytes a second, so many at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use timberline_store::Timestamp;

use super::clock::was_set_back;

/// How many buckets are kept before those that are full, and so say nothing, are dropped.
const BUCKETS_SWEPT_AT: usize = 4096;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    /// Bytes per second.
    per_second: f64,
    burst: f64,
}

impl Rate {
    /// `None` where `per_second` is 0, that is unlimited.
    pub(crate) fn new(per_second: f64, burst: f64) -> Option<Self> {
        (per_second > 0.0).then_some(Self { per_second, burst })
    }

    /// Bytes per second, cut to a whole number.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and rates are positive"
    )]
    pub(crate) const fn per_second(self) -> u64 {
        self.per_second as u64
    }
}

/// There is not enough in the bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Exceeded {
    /// In how long there will be; `None` where the bucket never holds as much.
    pub(crate) retry_after: Option<Duration>,
}

/// A bucket per key. Keys whose bucket is full again are forgotten.
#[derive(Debug)]
pub(crate) struct RateLimiter<K> {
    buckets: Mutex<Buckets<K>>,
}

#[derive(Debug)]
struct Buckets<K> {
    map: HashMap<K, Bucket>,
    sweep_at: usize,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Timestamp,
    /// The rate it was last asked with.
    rate: Rate,
}

impl Bucket {
    /// The bucket at `now`, with what has come into it until then.
    fn filled(self, now: Timestamp, rate: Rate) -> Self {
        let since = seconds(now.saturating_sub(self.at).max(0));
        let tokens = (self.tokens + since * rate.per_second).min(rate.burst);
        let at = if was_set_back(self.at, now) { now } else { now.max(self.at) };
        Self { tokens, at, rate }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a token more or less does not matter")]
fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

impl<K: Hash + Eq> Default for RateLimiter<K> {
    fn default() -> Self {
        let buckets = Buckets { map: HashMap::new(), sweep_at: BUCKETS_SWEPT_AT };
        Self { buckets: Mutex::new(buckets) }
    }
}

impl<K: Hash + Eq> RateLimiter<K> {
    /// Takes `bytes` out of the key's bucket, or nothing where it has not as many.
    ///
    /// # Errors
    /// [`Exceeded`]; nothing was taken.
    #[expect(clippy::cast_precision_loss, reason = "a token more or less does not matter")]
    pub(crate) fn take(
        &self,
        key: K,
        rate: Rate,
        bytes: usize,
        now: Timestamp,
    ) -> Result<(), Exceeded> {
        let mut buckets = self.buckets.lock();
        if buckets.map.len() >= buckets.sweep_at {
            buckets.map.retain(|_, bucket| {
                *bucket = bucket.filled(now, bucket.rate);
                bucket.tokens < bucket.rate.burst
            });
            buckets.sweep_at = BUCKETS_SWEPT_AT.max(2 * buckets.map.len());
        }
        let full = Bucket { tokens: rate.burst, at: now, rate };
        let bucket = buckets.map.entry(key).or_insert(full);
        *bucket = bucket.filled(now, rate);
        let (level, wanted) = (bucket.tokens, bytes as f64);
        if level >= wanted {
            bucket.tokens -= wanted;
            return Ok(());
        }
        let wait = Duration::try_from_secs_f64((wanted - level) / rate.per_second);
        Err(Exceeded { retry_after: wait.ok().filter(|_| wanted <= rate.burst) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn rate() -> Rate {
        Rate::new(10.0, 20.0).unwrap()
    }

    #[test]
    fn a_bucket_empties_and_fills() {
        let limiter = RateLimiter::default();
        let take = |key, bytes, now| limiter.take(key, rate(), bytes, now).is_ok();
        assert!(take("a", 20, 0));
        assert!(!take("a", 1, 0));
        assert!(take("b", 20, 0), "each key has its own");
        assert!(take("a", 10, SECOND));
        assert!(!take("a", 1, SECOND));
        assert!(!take("a", 21, 100 * SECOND), "never more than the burst");
        assert!(take("a", 20, 100 * SECOND));
        assert!(!take("a", 1, 98 * SECOND), "time that runs backwards fills nothing");
        assert!(!take("a", 1, 100 * SECOND), "nor does it run twice");
        assert!(take("a", 10, 101 * SECOND));
    }

    #[test]
    fn a_bucket_fills_again_once_a_clock_that_was_ahead_is_set_right() {
        let limiter = RateLimiter::default();
        let take = |bytes, now| limiter.take("a", rate(), bytes, now).is_ok();
        assert!(take(20, 1_000_000 * SECOND));
        assert!(!take(1, 10 * SECOND));
        assert!(take(10, 11 * SECOND));
    }

    #[test]
    fn buckets_of_a_clock_that_was_ahead_are_forgotten_too() {
        let limiter = RateLimiter::default();
        for key in 0..BUCKETS_SWEPT_AT {
            limiter.take(key, rate(), 10, 1_000_000 * SECOND).unwrap();
        }
        // The first sweep finds none that is full, the next all of them.
        for (key, now) in [(BUCKETS_SWEPT_AT, 10 * SECOND), (2 * BUCKETS_SWEPT_AT, 20 * SECOND)] {
            limiter.buckets.lock().sweep_at = 0;
            limiter.take(key, rate(), 10, now).unwrap();
        }
        assert_eq!(limiter.buckets.lock().map.len(), 1);
    }

    #[test]
    fn a_refusal_says_how_long_to_wait() {
        let limiter = RateLimiter::default();
        assert_eq!(limiter.take("a", rate(), 15, 0), Ok(()));
        let after = |bytes| limiter.take("a", rate(), bytes, 0).unwrap_err().retry_after;
        assert_eq!(after(10), Some(Duration::from_millis(500)));
        assert_eq!(after(21), None, "more than the bucket ever holds");
    }

    #[test]
    fn rates_may_change() {
        let limiter = RateLimiter::default();
        let slower = Rate::new(10.0, 5.0).unwrap();
        assert!(limiter.take("a", rate(), 0, 0).is_ok());
        assert!(limiter.take("a", slower, 6, 0).is_err());
        assert!(limiter.take("a", slower, 5, 0).is_ok());
        assert_eq!(Rate::new(0.0, 1.0), None);
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let limiter = RateLimiter::default();
        for key in 0..3 * BUCKETS_SWEPT_AT {
            let now = i64::try_from(key).unwrap() * SECOND;
            limiter.take(key, rate(), 10, now).unwrap();
        }
        assert!(limiter.buckets.lock().map.len() <= BUCKETS_SWEPT_AT + 1);
    }
}
