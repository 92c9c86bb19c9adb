//! Sets of stream ordinals.

use std::ops::Range;

/// A set of numbers below a bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bitmap {
    words: Vec<u64>,
}

impl Bitmap {
    /// The set of the numbers in `range`, of which those below `bound` are kept.
    pub(super) fn with_range(bound: u32, range: Range<u32>) -> Self {
        let mut bitmap = Self { words: vec![0; (bound as usize).div_ceil(64)] };
        range.take_while(|number| *number < bound).for_each(|number| bitmap.insert(number));
        bitmap
    }

    /// Adds a number; one beyond the bound is left out.
    pub(super) fn insert(&mut self, number: u32) {
        if let Some(word) = self.words.get_mut(number as usize / 64) {
            *word |= 1 << (number % 64);
        }
    }

    pub(super) fn intersect(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
    }

    pub(super) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The numbers, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let words = (0_u32..).step_by(64).zip(&self.words);
        words.flat_map(|(base, word)| Bits(*word).map(move |bit| base + bit))
    }
}

/// The places of the bits that are set, ascending.
struct Bits(u64);

impl Iterator for Bits {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let bit = self.0.trailing_zeros();
        self.0 &= self.0.checked_sub(1)?;
        Some(bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_behave_as_sets() {
        let mut bitmap = Bitmap::with_range(200, 60..130);
        assert_eq!(bitmap.iter().collect::<Vec<_>>(), (60..130).collect::<Vec<_>>());
        bitmap.subtract(&Bitmap::with_range(200, 64..129));
        bitmap.insert(191);
        bitmap.insert(1000);
        assert_eq!(bitmap.iter().collect::<Vec<_>>(), [60, 61, 62, 63, 129, 191]);
        bitmap.intersect(&Bitmap::with_range(200, 63..400));
        assert_eq!((bitmap.iter().collect::<Vec<_>>(), bitmap.count()), (vec![63, 129, 191], 3));
    }
}
