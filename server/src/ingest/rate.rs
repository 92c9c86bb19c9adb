//! Token buckets: so many bytes a second, so many at once.

use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::Mutex;
use timberline_store::Timestamp;

/// How many buckets are kept before those that are full, and so say nothing, are dropped.
const BUCKETS_SWEPT_AT: usize = 4096;

/// A bucket per key. Keys whose bucket is full again are forgotten.
#[derive(Debug)]
pub(crate) struct RateLimiter<K> {
    /// Bytes per second.
    rate: f64,
    burst: f64,
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
}

impl Bucket {
    /// What is in the bucket at `now`.
    fn level(self, now: Timestamp, rate: f64, burst: f64) -> f64 {
        (self.tokens + seconds(now.saturating_sub(self.at).max(0)) * rate).min(burst)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a token more or less does not matter")]
fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

impl<K: Hash + Eq> RateLimiter<K> {
    /// `rate` bytes per second and `burst` bytes at once for every key; `None` where `rate` is 0,
    /// that is unlimited.
    pub(crate) fn new(rate: f64, burst: f64) -> Option<Self> {
        let buckets = Mutex::new(Buckets { map: HashMap::new(), sweep_at: BUCKETS_SWEPT_AT });
        (rate > 0.0).then_some(Self { rate, burst, buckets })
    }

    /// Bytes per second, cut to a whole number.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and rates are positive"
    )]
    pub(crate) fn rate(&self) -> u64 {
        self.rate as u64
    }

    /// Takes `bytes` out of the key's bucket, or nothing where it has not as many.
    #[expect(clippy::cast_precision_loss, reason = "a token more or less does not matter")]
    pub(crate) fn allow(&self, key: K, bytes: usize, now: Timestamp) -> bool {
        let mut buckets = self.buckets.lock();
        if buckets.map.len() >= buckets.sweep_at {
            buckets.map.retain(|_, bucket| bucket.level(now, self.rate, self.burst) < self.burst);
            buckets.sweep_at = BUCKETS_SWEPT_AT.max(2 * buckets.map.len());
        }
        let full = Bucket { tokens: self.burst, at: now };
        let bucket = buckets.map.entry(key).or_insert(full);
        let level = bucket.level(now, self.rate, self.burst);
        let allowed = level >= bytes as f64;
        let tokens = if allowed { level - bytes as f64 } else { level };
        *bucket = Bucket { tokens, at: now.max(bucket.at) };
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_bucket_empties_and_fills() {
        let limiter = RateLimiter::new(10.0, 20.0).unwrap();
        assert!(limiter.allow("a", 20, 0));
        assert!(!limiter.allow("a", 1, 0));
        assert!(limiter.allow("b", 20, 0), "each key has its own");
        assert!(limiter.allow("a", 10, SECOND));
        assert!(!limiter.allow("a", 1, SECOND));
        assert!(!limiter.allow("a", 21, 100 * SECOND), "never more than the burst");
        assert!(limiter.allow("a", 20, 100 * SECOND));
        assert!(!limiter.allow("a", 1, 0), "time that runs backwards fills nothing");
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let limiter = RateLimiter::new(10.0, 20.0).unwrap();
        for key in 0..3 * BUCKETS_SWEPT_AT {
            limiter.allow(key, 10, i64::try_from(key).unwrap() * SECOND);
        }
        assert!(limiter.buckets.lock().map.len() <= BUCKETS_SWEPT_AT + 1);
        assert!(RateLimiter::<u8>::new(0.0, 1.0).is_none());
    }
}
