//! Which words the lines of a group may have.
//!
//! A *word* is a run of ASCII letters and digits; from 12 bytes on it is long: an id, most likely, or the
//! last part of a UUID. What is looked for by an id is in few groups, and a filter keeps it from the others
//! without a look at their columns.
//!
//! The [Bloom filter](super::bloom) is of *grams*: [three letters in a row](super::trigrams), unless those
//! of the group weigh more than a 512th of its lines, and ten bytes of a long word:
//! - the first ten of each long word. Ids that begin with the time have few of them;
//! - where a word is longer than the group's `inner`, of every 15 grams in a row (24 bytes) the one with
//!   the least hash, so that what is within the word is found, too.
//!
//! `inner` is the least with which the latter are at most a quarter of the former: a few long hashes among
//! many ids have all theirs, a text in base64 is not taken apart.
//!
//! ```text
//! x      = (first 8 bytes + last 2 bytes × FACTORS[0]) × FACTORS[1]      little-endian, 64 bits, wrapping
//! gram   = (x ^ x >> 32), the low half
//! ```

use std::ops::Range;

use foldhash::{HashSet, HashSetExt};

use super::super::checksum;
use super::super::codec::{Cursor, Damage, Decoded, put_varint};
use super::super::template::Listener;
use super::bloom::{self, BITS_PER_GRAM, Filter, filter_of};
use super::trigrams::{self, Trigrams};
use crate::Needle;
use crate::needle::for_each_word;

/// From so many bytes on a word is long.
pub(super) const LONG_LEN_MIN: usize = 12;

const GRAM_LEN: usize = 10;

/// Of so many grams in a row one is in the filter.
const WINDOW_GRAMS: usize = 15;

const WINDOW_LEN: usize = GRAM_LEN + WINDOW_GRAMS - 1;

/// Grams within words are at most this part of the first ones.
const INNER_PART: usize = 4;

/// A byte of trigrams is for so many bytes of lines, at the least.
const TEXT_PER_TRIGRAMS: usize = 512;

const FACTORS: [u64; 2] = [bloom::FACTOR, 0x2127_599b_f432_5c37];

/// What is known of a group's words but for the filter's bytes. Where trigrams are left out, the last number is 0;
/// where there is no filter, its length + 1 is, and nothing follows.
///
/// ```text
/// longest varint │ filter length + 1 varint │ filter crc u32 4 │ inner varint │ trigrams + 1 varint
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::segment) struct Words {
    filter_len: u32,
    filter_crc: u32,
    /// No word is longer.
    longest: u32,
    /// Words longer than this have grams from within in the filter.
    inner: u32,
    /// How many trigrams are in the filter; [`NO_TRIGRAMS`] where they are left out.
    trigrams: u32,
}

const NO_TRIGRAMS: u32 = u32::MAX;

impl Words {
    /// Of a group that nothing is known of.
    pub(super) const UNKNOWN: Self = Self {
        filter_len: 0,
        filter_crc: 0,
        longest: u32::MAX,
        inner: u32::MAX,
        trigrams: NO_TRIGRAMS,
    };

    pub(super) const fn filter_len(self) -> u32 {
        self.filter_len
    }

    /// Without a filter.
    pub(super) const fn unfiltered(self) -> Self {
        Self { longest: self.longest, ..Self::UNKNOWN }
    }

    /// Whether these bytes are the filter.
    pub(in crate::segment) fn check(self, filter: &[u8]) -> Decoded<()> {
        checksum::check(filter, self.filter_crc)
            .map_err(|Damage(text)| Damage(format!("filter: {text}")))
    }

    pub(super) fn encode(self, out: &mut Vec<u8>) {
        let Self { filter_len, filter_crc, longest, inner, trigrams } = self;
        put_varint(out, longest.into());
        if self == self.unfiltered() {
            return out.push(0);
        }
        put_varint(out, u64::from(filter_len) + 1);
        out.extend_from_slice(&filter_crc.to_le_bytes());
        put_varint(out, inner.into());
        put_varint(out, trigrams.wrapping_add(1).into());
    }

    pub(super) fn decode(cursor: &mut Cursor<'_>) -> Decoded<Self> {
        let longest = cursor.varint_u32()?;
        let Some(filter_len) = cursor.varint_u32()?.checked_sub(1) else {
            return Ok(Self { longest, ..Self::UNKNOWN });
        };
        let (filter_crc, inner) = (cursor.u32()?, cursor.varint_u32()?);
        let trigrams = cursor.varint_u32()?.wrapping_sub(1);
        Ok(Self { filter_len, filter_crc, longest, inner, trigrams })
    }

    /// Reads what versions 4 and 5 have.
    pub(super) fn decode_older(cursor: &mut Cursor<'_>, version: u32) -> Decoded<Self> {
        let number = if version < 5 { Cursor::u32 } else { Cursor::varint_u32 };
        let (filter_len, filter_crc) = (number(cursor)?, cursor.u32()?);
        let (longest, inner, trigrams) = (number(cursor)?, number(cursor)?, number(cursor)?);
        let trigrams = if version < 5 { trigrams } else { trigrams.wrapping_sub(1) };
        Ok(Self { filter_len, filter_crc, longest, inner, trigrams })
    }

    /// Whether a line may have the needle. The filter is asked for where it can tell.
    ///
    /// # Errors
    /// What `filter` says, or a filter that is none.
    pub(in crate::segment) fn may_have<'f>(
        self,
        needle: &Needle,
        filter: impl FnOnce() -> Decoded<&'f [u8]>,
    ) -> Decoded<bool> {
        if needle.word_len() > self.longest as usize {
            return Ok(false);
        }
        let asks_trigrams =
            self.trigrams != NO_TRIGRAMS && trigrams::grams_of(needle.bytes()).next().is_some();
        let asks_words = needle.word_len() >= LONG_LEN_MIN && !needle.ignores_case();
        if self == self.unfiltered() || !(asks_trigrams || asks_words) {
            return Ok(true);
        }
        let filter = Filter::new(filter()?)?;
        let may_have = |gram| filter.may_have(gram);
        if asks_trigrams && !trigrams::grams_of(needle.bytes()).all(may_have) {
            return Ok(false);
        }
        let mut may = true;
        if asks_words {
            for_each_long(needle.bytes(), |word| {
                may = may && self.may_have_word(needle.bytes(), word, filter);
            });
        }
        Ok(may)
    }

    /// Whether a line may have a long word of a needle, which may be the end or the middle of a longer one
    /// if it begins the needle.
    fn may_have_word(self, needle: &[u8], word: Range<usize>, filter: Filter<'_>) -> bool {
        let (may_be_inner, word) = (word.start == 0, &needle[word]);
        let begins_word = first_gram(word).is_none_or(|gram| filter.may_have(gram));
        if begins_word || !may_be_inner || word.len() >= self.longest as usize {
            return begins_word;
        }
        let is_known = word.len() >= WINDOW_LEN.max(self.inner as usize);
        !is_known || inner_grams(word).all(|gram| filter.may_have(gram))
    }
}

/// Collects the words of a group's lines.
pub(super) struct Surveyor {
    /// First grams of long words.
    grams: Vec<u32>,
    longest: usize,
    /// Words that have grams from within, one after the other, and where each ends.
    wide: Vec<u8>,
    wide_ends: Vec<usize>,
    trigrams: Trigrams,
}

impl Surveyor {
    /// Nothing seen yet.
    pub(super) fn new() -> Self {
        let (grams, longest, wide, wide_ends) =
            (Vec::new(), LONG_LEN_MIN - 1, Vec::new(), Vec::new());
        Self { grams, longest, wide, wide_ends, trigrams: Trigrams::new() }
    }

    /// Adds the words of a line, or of a part of one that no word reaches beyond. To add a part again changes
    /// nothing.
    pub(super) fn add(&mut self, text: &[u8]) {
        self.trigrams.add(text);
        for_each_long(text, |word| self.add_long(&text[word]));
    }

    fn add_long(&mut self, word: &[u8]) {
        self.grams.extend(first_gram(word));
        self.longest = self.longest.max(word.len());
        if word.len() >= WINDOW_LEN {
            self.wide.extend_from_slice(word);
            self.wide_ends.push(self.wide.len());
        }
    }

    /// What is known of them, where the lines have so many bytes, and the filter. That is empty where there are
    /// no grams.
    pub(super) fn finish(self, line_bytes: usize) -> (Words, Vec<u8>) {
        let Self { mut grams, longest, wide, wide_ends, trigrams } = self;
        grams.sort_unstable();
        grams.dedup();
        let starts = std::iter::once(0).chain(wide_ends.iter().copied());
        let wide = starts.zip(&wide_ends).map(|(start, end)| &wide[start..*end]).collect();
        let inner = add_inner(wide, &mut grams);
        let [longest, inner] = [longest, inner].map(|len| u32::try_from(len).unwrap_or(u32::MAX));
        let trigrams = add_trigrams(&trigrams, line_bytes, &mut grams);
        let filter = filter_of(&grams);
        // Less than the lines.
        let filter_len = u32::try_from(filter.len()).unwrap_or(u32::MAX);
        let filter_crc = crc32c::crc32c(&filter);
        (Words { filter_len, filter_crc, longest, inner, trigrams }, filter)
    }
}

impl Listener for Surveyor {
    fn digits_min(&self) -> usize {
        LONG_LEN_MIN
    }

    fn piece(&mut self, text: &[u8]) {
        self.add(text);
    }

    fn word(&mut self, text: &[u8]) {
        self.trigrams.add(text);
        if text.len() >= LONG_LEN_MIN {
            self.add_long(text);
        }
    }
}

/// Adds grams from within the longest words, as long as they are few. Returns how long words are that have
/// none, at the most.
fn add_inner(mut words: Vec<&[u8]>, grams: &mut Vec<u32>) -> usize {
    let grams_max = grams.len() + grams.len() / INNER_PART;
    words.sort_unstable_by_key(|word| std::cmp::Reverse(word.len()));
    let mut known = HashSet::new();
    for alike in words.chunk_by(|word, next| word.len() == next.len()) {
        let before = grams.len();
        known.clear();
        for word in alike.iter().filter(|word| known.insert(**word)) {
            grams.extend(inner_grams(word));
            if grams.len() > grams_max {
                grams.truncate(before);
                return word.len();
            }
        }
    }
    0
}

/// Adds trigrams, unless they weigh too much. Returns how many.
fn add_trigrams(trigrams: &Trigrams, text_len: usize, grams: &mut Vec<u32>) -> u32 {
    let before = grams.len();
    grams.extend(trigrams.grams());
    let count = grams.len() - before;
    if count * BITS_PER_GRAM / 8 > text_len / TEXT_PER_TRIGRAMS {
        grams.truncate(before);
        return NO_TRIGRAMS;
    }
    // There are less than 2^15.
    count as u32
}

/// The least gram of each window of a word, without those that come twice in a row.
fn inner_grams(word: &[u8]) -> impl Iterator<Item = u32> {
    let mut last = None;
    word.windows(WINDOW_LEN).filter_map(move |window| {
        let least = window.windows(GRAM_LEN).filter_map(first_gram).min();
        least.filter(|gram| last.replace(*gram) != Some(*gram))
    })
}

/// Calls back with the place of each long word of a text.
fn for_each_long(text: &[u8], mut found: impl FnMut(Range<usize>)) {
    for_each_word(text, LONG_LEN_MIN - 1, |word| {
        found(word);
        LONG_LEN_MIN - 1
    });
}

/// The hash of the gram that some bytes begin with.
fn first_gram(bytes: &[u8]) -> Option<u32> {
    let (head, tail) = bytes.get(..GRAM_LEN)?.split_first_chunk::<8>()?;
    let tail = u16::from_le_bytes(*tail.first_chunk()?);
    let sum = u64::from_le_bytes(*head).wrapping_add(u64::from(tail).wrapping_mul(FACTORS[0]));
    let product = sum.wrapping_mul(FACTORS[1]);
    Some((product ^ product >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use proptest::prelude::*;

    use super::*;

    fn survey(lines: &[impl AsRef<[u8]>]) -> (Words, Vec<u8>) {
        let mut surveyor = Surveyor::new();
        lines.iter().for_each(|line| surveyor.add(line.as_ref()));
        surveyor.finish(lines.iter().map(|line| line.as_ref().len()).sum())
    }

    fn may_have((words, filter): &(Words, Vec<u8>), needle: &str) -> bool {
        words.may_have(&Needle::new(needle.as_bytes()), || Ok(filter)).unwrap()
    }

    /// Hexadecimal digits that look random.
    fn id(number: u64, len: usize) -> String {
        let digits = |part: u64| {
            format!("{:016x}", foldhash::quality::FixedState::with_seed(number).hash_one(part))
        };
        let all: String = (0..len.div_ceil(16) as u64).map(digits).collect();
        all[..len].to_owned()
    }

    #[test]
    fn most_ids_that_are_not_there_are_told_apart() {
        let known = survey(&(0..5000).map(|n| format!("id={} end", id(n, 32))).collect::<Vec<_>>());
        assert!((0..5000).all(|n| may_have(&known, &id(n, 32))));
        let wrong = (5000..10_000).filter(|n| may_have(&known, &id(*n, 32))).count();
        assert!(wrong < 600, "{wrong} of 5,000 seem to be there");
        // What follows a byte that is in no word begins one.
        let wrong =
            (5000..10_000).filter(|n| may_have(&known, &format!("={}", id(*n, 12)))).count();
        assert!(wrong < 600, "{wrong} of 5,000 seem to be there");
        assert!(may_have(&known, &id(9000, 31)), "could be a part of a word");
        assert!(!may_have(&known, &id(1, 33)), "no word is as long");
    }

    #[test]
    fn few_longer_words_are_searched_within() {
        let line = |n: u64| {
            format!(
                "id={} {}",
                id(n, 24),
                if n.is_multiple_of(100) { id(n, 64) } else { String::new() }
            )
        };
        let known = survey(&(0..5000).map(line).collect::<Vec<_>>());
        assert!((0..5000).step_by(100).all(|n| may_have(&known, &id(n, 64)[20..50])));
        // Not a part of the many either, which are shorter.
        let wrong = (5000..10_000).filter(|n| may_have(&known, &id(*n, 25))).count();
        assert!(wrong < 600, "{wrong} of 5,000 seem to be there");
        assert!(may_have(&known, &id(9000, 23)), "could be a part of one of the many");
    }

    /// Lines enough that their trigrams are kept.
    fn many(lines: &[&str]) -> Vec<String> {
        (0..1000).map(|n| format!("{} {n}", lines[n % lines.len()])).collect()
    }

    #[test]
    fn letters_in_a_row_are_known_in_either_case() {
        let known = survey(&many(&["Failed password for root", "session opened"]));
        for there in ["password for", "ed Pass", "OPEN", "n o", "for r", "r7"] {
            assert!(may_have(&known, there), "{there}");
        }
        for absent in ["zqxjk", "passport", "ssh", "kexinit"] {
            assert!(!may_have(&known, absent), "{absent}");
            let needle = Needle::in_either_case(absent.as_bytes()).unwrap();
            assert!(!known.0.may_have(&needle, || Ok(&known.1)).unwrap(), "{absent}");
        }
        let needle = Needle::in_either_case(b"PASSWORD").unwrap();
        assert!(known.0.may_have(&needle, || Ok(&known.1)).unwrap());
    }

    #[test]
    fn trigrams_that_weigh_too_much_are_left_out() {
        let letters = |n: u64| id(n, 48).bytes().map(|byte| (b'a' + byte % 26) as char).collect();
        let lines: Vec<String> = (0..100).map(letters).collect();
        let known = survey(&lines);
        assert!(known.1.len() < 500, "{} bytes", known.1.len());
        assert!(may_have(&known, "zzz"));
    }

    #[test]
    fn lines_without_letters_and_long_words_have_no_filter() {
        let known = survey(&["12 -- 34", "zw\u{f6}", "a b c1d2e3f4g5h"]);
        assert!(known.1.is_empty());
        assert!(!may_have(&known, "twelve12byte"));
        assert!(!may_have(&known, "abc"));
        assert!(may_have(&known, "a b c"));
        let odd: &[u8] = &[0; 33];
        let needle = Needle::new(b"long enough: 1 2 3 4 5");
        let (words, _) = survey(&["elevenbytes"]);
        assert!(words.may_have(&needle, || Ok(odd)).unwrap(), "the filter is not asked");
    }

    #[test]
    fn a_filter_of_half_a_block_is_damage() {
        let (words, _) = survey(&["abcdefghijklmnop"]);
        let needle = Needle::new(b"abcdefghijkl");
        assert!(words.may_have(&needle, || Ok(&[0; 33])).is_err());
    }

    proptest! {
        #[test]
        fn every_part_of_a_line_may_be_there(
            lines in prop::collection::vec("([a-cA-C0-2]{1,40}|[ -~]{1,20}|ä| ){1,6}", 1..40),
            times in prop::sample::select(vec![1, 200]),
            picks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..60),
        ) {
            let known = survey(&vec![lines.clone(); times].concat());
            for (line, start, len) in picks {
                let line = line.get(&lines).as_bytes();
                let start = start.index(line.len());
                let needle = &line[start..=start + len.index(line.len() - start)];
                let other_case = needle.to_ascii_uppercase();
                for needle in [Needle::new(needle), Needle::in_either_case(&other_case).unwrap()] {
                    prop_assert!(known.0.may_have(&needle, || Ok(&known.1)).unwrap(), "{needle:?} of {line:?}");
                }
            }
        }

        #[test]
        fn long_words_are_those_of_a_plain_search(text in "([a-c0-2]{1,30}|[ -~]{1,14}|ä| ){0,9}") {
            let mut found = Vec::new();
            for_each_long(text.as_bytes(), |word| found.push(&text.as_bytes()[word]));
            let words = text.as_bytes().split(|byte| !byte.is_ascii_alphanumeric());
            let expected: Vec<&[u8]> = words.filter(|word| word.len() >= LONG_LEN_MIN).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
