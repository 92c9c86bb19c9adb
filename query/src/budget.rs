//! How much memory one query may hold.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::QueryError;

/// The bytes one query holds, counted by all of its threads.
///
/// What is counted is what grows with the data: listed chunks, collected entries, samples and series. Decoded
/// blocks are not; there is one set of them for each thread, whatever the query.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    bytes_max: usize,
}

impl Budget {
    /// Nothing held yet.
    pub(crate) const fn new(bytes_max: usize) -> Self {
        Self { used: AtomicUsize::new(0), bytes_max }
    }

    /// Counts `bytes` as held.
    ///
    /// # Errors
    /// [`QueryError::Refused`] once more is held than the query may. The bytes stay counted: the
    /// query is over.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), QueryError> {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= self.bytes_max {
            return Ok(());
        }
        Err(QueryError::Refused(format!(
            "the query needs more memory than the {} bytes that one query may hold; consider a \
             narrower time range, more specific stream selectors, or grouping by fewer labels",
            self.bytes_max
        )))
    }

    /// Counts what has grown to `bytes` where `counted` were counted before.
    ///
    /// # Errors
    /// As [`charge`](Self::charge).
    pub(crate) fn follow(&self, bytes: usize, counted: &mut usize) -> Result<(), QueryError> {
        let grown = bytes.saturating_sub(*counted);
        if grown == 0 {
            return Ok(());
        }
        *counted = bytes;
        self.charge(grown)
    }

    /// Counts `bytes` as let go.
    pub(crate) fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_allowed_and_released_bytes_count_no_more() {
        let budget = Budget::new(100);
        budget.charge(100).unwrap();
        budget.release(60);
        budget.charge(60).unwrap();
        let refused = budget.charge(1).unwrap_err().to_string();
        assert!(refused.contains("100 bytes"), "{refused}");
    }
}
