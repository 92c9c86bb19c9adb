//! Sets of small numbers: ordinals of streams, rows of a group.

use std::ops::Range;

/// A set of numbers below a bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bitmap {
    words: Vec<u64>,
}

impl Bitmap {
    /// The set of the numbers in `range`, of which those below `bound` are kept.
    pub(super) fn with_range(bound: u32, range: Range<u32>) -> Self {
        let (start, end) = (u64::from(range.start), u64::from(range.end.min(bound)));
        // Of a word's 64 bits those below a place.
        let below = |place: u64, word: u64| match place.saturating_sub(word) {
            64.. => u64::MAX,
            bits => (1 << bits) - 1,
        };
        let words = (0..u64::from(bound)).step_by(64);
        Self { words: words.map(|word| below(end, word) & !below(start, word)).collect() }
    }

    /// No number, of those below `bound`.
    pub(super) fn empty(bound: usize) -> Self {
        Self { words: vec![0; bound.div_ceil(64)] }
    }

    /// The numbers below `bound` for which `test` holds, which is asked for them in turn.
    pub(super) fn of(bound: usize, mut test: impl FnMut(usize) -> bool) -> Self {
        let word = |start: usize| {
            let numbers = start..bound.min(start + 64);
            numbers.fold(0, |word, number| word | u64::from(test(number)) << (number - start))
        };
        Self { words: (0..bound).step_by(64).map(word).collect() }
    }

    /// Whether a number is in the set.
    pub(super) fn contains(&self, number: usize) -> bool {
        self.words.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    pub(super) fn unite(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    /// The numbers below `bound` that are not in the set.
    pub(super) fn complement(mut self, bound: usize) -> Self {
        self.words.iter_mut().for_each(|word| *word = !*word);
        if let Some(last) = self.words.last_mut().filter(|_| !bound.is_multiple_of(64)) {
            *last &= (1 << (bound % 64)) - 1;
        }
        self
    }

    /// Bytes of memory.
    pub(super) const fn bytes(&self) -> usize {
        self.words.len() * 8
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
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

    #[cfg_attr(not(feature = "label-index"), expect(dead_code, reason = "for the label index"))]
    pub(super) fn subtract(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
    }

    pub(super) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The numbers in a range, ascending.
    pub(super) fn iter_in(&self, range: Range<u32>) -> impl Iterator<Item = u32> + '_ {
        let words = self.words.get(range.start as usize / 64..).unwrap_or_default();
        let words = (range.start / 64 * 64..range.end).step_by(64).zip(words);
        words
            .flat_map(|(base, word)| Bits(*word).map(move |bit| base + bit))
            .filter(move |number| range.contains(number))
    }

    /// The numbers, ascending.
    #[cfg_attr(not(feature = "label-index"), expect(dead_code, reason = "for the label index"))]
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
        assert_eq!(bitmap.iter_in(63..191).collect::<Vec<_>>(), [63, 129]);
        assert_eq!(bitmap.iter_in(64..1000).collect::<Vec<_>>(), [129, 191]);
        assert_eq!(bitmap.iter_in(130..130).count(), 0);
        bitmap.unite(&Bitmap::of(200, |number| number == 199));
        let rest = bitmap.complement(200);
        assert_eq!((rest.count(), rest.contains(199), rest.contains(0)), (196, false, true));
    }
}
