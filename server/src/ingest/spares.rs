//! Buffers that one push has done with and the next one takes: to get a large one anew each time costs as much as to
//! fill it.

use parking_lot::Mutex;

/// So many are kept, which is as many as there are pushes at work on a small machine.
const SPARES_MAX: usize = 4;

/// A larger one is an exception, and is not kept.
const BYTES_MAX: usize = 1 << 20;

/// What is kept from push to push.
pub(crate) trait Spare: Default {
    /// Bytes of memory that it holds.
    fn capacity(&self) -> usize;
}

impl Spare for Vec<u8> {
    fn capacity(&self) -> usize {
        self.capacity()
    }
}

/// Those that nobody uses.
#[derive(Debug)]
pub(crate) struct Spares<T>(Mutex<Vec<T>>);

impl<T> Default for Spares<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Spare> Spares<T> {
    /// One with whatever it was left with, or a new one.
    pub(crate) fn take(&self) -> T {
        self.0.lock().pop().unwrap_or_default()
    }

    /// Keeps one for others.
    pub(crate) fn give(&self, spare: T) {
        if !(1..=BYTES_MAX).contains(&spare.capacity()) {
            return;
        }
        let mut spares = self.0.lock();
        if spares.len() < SPARES_MAX {
            spares.push(spare);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_kept_and_none_that_is_huge() {
        let spares = Spares::<Vec<u8>>::default();
        spares.give(vec![7; BYTES_MAX + 1]);
        assert_eq!(spares.take().capacity(), 0);
        (0..=SPARES_MAX).for_each(|_| spares.give(vec![7; 10]));
        let taken: Vec<_> = (0..=SPARES_MAX).map(|_| spares.take().len()).collect();
        assert_eq!(taken, [10, 10, 10, 10, 0]);
    }
}
