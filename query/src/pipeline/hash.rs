//! The hash of the tables in the hot loop.
//!
//! Names and label sets are looked up for every entry, and the standard library's hash costs more
//! than the rest of the lookup. Keys come from logs, so the state starts from a random seed: nobody
//! can prepare lines whose keys collide.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Makes [`FoldHasher`]s with one seed.
#[derive(Clone, Debug)]
pub(crate) struct FoldState {
    seed: u64,
}

impl Default for FoldState {
    fn default() -> Self {
        Self { seed: RandomState::new().hash_one(0_u8) }
    }
}

impl BuildHasher for FoldState {
    type Hasher = FoldHasher;

    fn build_hasher(&self) -> FoldHasher {
        FoldHasher { state: self.seed }
    }
}

/// Multiplies eight bytes at a time into a wide product and folds its halves together.
#[derive(Clone, Debug)]
pub(crate) struct FoldHasher {
    state: u64,
}

impl FoldHasher {
    /// An odd constant without a pattern in its bits (from the digits of pi).
    const FACTOR: u64 = 0x13_19_8a_2e_03_70_73_45;

    fn mix(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(Self::FACTOR);
        let bytes = product.to_le_bytes();
        let half = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(eight)
        };
        self.state = (half(0) ^ half(8)).rotate_left(23) ^ word;
    }
}

impl Hasher for FoldHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for &word in words {
            self.mix(u64::from_le_bytes(word));
        }
        // The length takes part, in the byte that a rest leaves free, so that a short rest is not the
        // same as one padded with zeros.
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last) ^ ((bytes.len() as u64) << 56));
    }

    fn write_u8(&mut self, value: u8) {
        self.mix(u64::from(value));
    }

    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }

    fn finish(&self) -> u64 {
        let mut last = self.clone();
        last.mix(Self::FACTOR);
        last.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_keys_do_not_collide() {
        let state = FoldState::default();
        let mut seen = std::collections::HashSet::new();
        for number in 0..100_000_u32 {
            assert!(seen.insert(state.hash_one(number.to_string().as_bytes())));
        }
        assert_ne!(state.hash_one(b"a".as_slice()), state.hash_one(b"a\0".as_slice()));
    }
}
