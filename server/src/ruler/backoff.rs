//! How long to wait before the same is tried again.

use std::time::Duration;

use super::client::Refusal;

/// Doubles with each failure, and begins anew with a success.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    min: Duration,
    max: Duration,
}

impl Backoff {
    pub(super) const fn new(min: Duration, max: Duration) -> Self {
        Self { next: min, min, max }
    }

    /// After a success.
    pub(super) fn reset(&mut self) {
        self.next = self.min;
    }

    /// How long to wait after this; as long as the other side asks for, within the bounds.
    pub(super) fn pause(&mut self, refusal: &Refusal) -> Duration {
        let pause = self.next;
        self.next = (self.next * 2).min(self.max);
        refusal.retry_after.map_or(pause, |asked| asked.clamp(pause, self.max.max(pause)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        let (short, long) = (Duration::from_millis(100), Duration::from_millis(350));
        let mut backoff = Backoff::new(short, long);
        let refusal = |retry_after| Refusal { status: None, retry_after, text: String::new() };
        let pauses: Vec<_> = (0..4).map(|_| backoff.pause(&refusal(None)).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 350, 350]);
        backoff.reset();
        assert_eq!(backoff.pause(&refusal(Some(Duration::from_millis(250)))).as_millis(), 250);
        assert_eq!(backoff.pause(&refusal(Some(Duration::from_secs(9)))), long);
    }
}
