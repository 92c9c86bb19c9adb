//! Memory that many share: so many bytes for all of them together.

use std::sync::atomic::{AtomicUsize, Ordering};

/// So many bytes, for everyone together.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicUsize,
}

impl Budget {
    pub(crate) const fn new(bytes: usize) -> Self {
        Self { left: AtomicUsize::new(bytes) }
    }

    /// A share of nothing, that may grow.
    pub(crate) const fn share(&self) -> Share<'_> {
        Share { budget: self, bytes: 0 }
    }
}

/// What one has of a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share<'b> {
    budget: &'b Budget,
    bytes: usize,
}

impl Share<'_> {
    /// Takes `bytes` more; `false`, and nothing taken, where as many are not left.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        // Nothing but the number itself is shared, so no order has to be kept.
        let take = |left: usize| left.checked_sub(bytes);
        let taken = self.budget.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if taken.is_ok() {
            self.bytes += bytes;
        }
        taken.is_ok()
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_grow_within_the_budget_and_are_given_back() {
        let budget = Budget::new(10);
        let (mut first, mut second) = (budget.share(), budget.share());
        assert!(first.grow(4) && first.grow(2) && second.grow(4));
        assert!(!second.grow(1));
        drop(first);
        assert!(!second.grow(7) && second.grow(6));
        drop(second);
        assert!(budget.share().grow(10));
    }
}
