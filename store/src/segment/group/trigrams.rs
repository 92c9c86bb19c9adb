//! Which three ASCII letters follow one another in the lines of a group, whatever their case.
//!
//! The words that a program's messages are made of have some hundred in all, so that they weigh next to
//! nothing and tell of most other words that none of the group's lines has them.
//!
//! ```text
//! code   = letter & 31                                                  1 to 26
//! gram   = (code of the first << 10 | of the second << 5 | of the third) × FACTOR    32 bits, wrapping
//! ```

const CODE_BITS: u32 = 5;

/// As many as there are numbers of three codes.
const NUMBERS: usize = 1 << (3 * CODE_BITS);

const FACTOR: u32 = 0x9e37_79b1;

/// The code of each byte; 0 for all that are not letters.
const CODES: [u8; 256] = {
    let mut codes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        if (byte as u8).is_ascii_alphabetic() {
            codes[byte] = byte as u8 & 31;
        }
        byte += 1;
    }
    codes
};

/// Collects the trigrams of texts.
pub(super) struct Trigrams(Box<[bool; NUMBERS]>);

impl Trigrams {
    pub(super) fn new() -> Self {
        Self(Box::new([false; NUMBERS]))
    }

    /// Adds those of a text, and of whatever bytes it has: numbers with a code of 0 are left out in the end.
    pub(super) fn add(&mut self, text: &[u8]) {
        numbers(text).for_each(|number| self.0[number] = true);
    }

    /// The grams, each once.
    pub(super) fn grams(&self) -> impl Iterator<Item = u32> {
        let seen = self.0.iter().enumerate().filter(|(_, is_seen)| **is_seen);
        seen.filter(|(number, _)| is_of_letters(*number)).map(|(number, _)| gram(number))
    }
}

/// The grams of a text.
pub(super) fn grams_of(text: &[u8]) -> impl Iterator<Item = u32> {
    numbers(text).filter(|number| is_of_letters(*number)).map(gram)
}

/// The number of each byte and the two before it.
fn numbers(text: &[u8]) -> impl Iterator<Item = usize> {
    // Shifted apart from one another, so that no number waits for the one before.
    let (mut first, mut second) = (0, 0);
    text.iter().map(move |byte| {
        let third = usize::from(CODES[usize::from(*byte)]);
        let number = first | second | third;
        (first, second) = (second << CODE_BITS, third << CODE_BITS);
        number % NUMBERS
    })
}

fn is_of_letters(number: usize) -> bool {
    (0..3).all(|place| number >> (place * CODE_BITS) & 31 != 0)
}

fn gram(number: usize) -> u32 {
    (number as u32).wrapping_mul(FACTOR)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_is_ignored_and_other_bytes_part_letters() {
        assert_eq!(grams_of(b"abC").collect::<Vec<_>>(), grams_of(b"ABc").collect::<Vec<_>>());
        assert_ne!(grams_of(b"abc").collect::<Vec<_>>(), grams_of(b"abd").collect::<Vec<_>>());
        assert_eq!(grams_of("ab ab1ab_ab\u{e4}ab".as_bytes()).count(), 0);
        assert_eq!(grams_of(b"@@@ [[[ `{|").count(), 0);
    }

    proptest! {
        #[test]
        fn a_collection_has_those_of_each_text(texts in prop::collection::vec("[a-dA-D .-]{0,12}", 0..6)) {
            let mut all = Trigrams::new();
            texts.iter().for_each(|text| all.add(text.as_bytes()));
            let grams: Vec<u32> = all.grams().collect();
            let found: BTreeSet<u32> = grams.iter().copied().collect();
            prop_assert_eq!(found.len(), grams.len());
            let expected = texts.iter().flat_map(|text| grams_of(text.as_bytes())).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
