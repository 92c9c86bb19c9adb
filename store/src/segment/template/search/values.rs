//! Tests on the values of a column.

use memchr::memmem::Finder;

use super::super::column::{Coding, Column};
use super::super::hits::Hits;
use super::super::ints::Word;
use super::super::sink::Source;
use super::super::values::{Loaded, TextValues, Wanted};
use super::{Lies, Test};
use crate::segment::bitmap::Bitmap;
use crate::segment::codec::Decoded;

impl Column {
    /// Which of the column's `count` values pass.
    pub(super) fn passing(
        &self,
        count: usize,
        test: &Test<'_>,
        source: &impl Source,
    ) -> Decoded<Hits> {
        let is_longest = test.bytes.len() >= self.stamp.len_max as usize;
        // What is as long as the longest value can only be all of it, which is tested soonest.
        let lies = if is_longest { Lies::Whole } else { test.lies };
        let test = &Test { lies, ..*test };
        if test.lies == Lies::Within && test.needle.word_len() > self.word_max() as usize {
            return Ok(Hits::None);
        }
        match &self.coding {
            Coding::Dictionary { count: distinct, values, .. } => {
                let distinct = values.passing(*distinct as usize, test, source)?;
                let Hits::Some(distinct) = distinct else { return Ok(distinct) };
                let Loaded::Dictionary { codes, .. } = self.load(count, Wanted::All, source)?
                else {
                    return Ok(Hits::None);
                };
                Ok(Hits::of(count, |at| distinct.contains(codes[at] as usize)))
            }
            Coding::Templates(table) => table.passing(test, source),
            _ => {
                let loaded = self.load(count, Wanted::All, source)?;
                Ok(match loaded {
                    Loaded::Numbers { width, values } => numbers(values, width, &loaded, test),
                    Loaded::SmallNumbers { width, values } => numbers(values, width, &loaded, test),
                    Loaded::Digits { count: digits, is_upper, bytes }
                        if digits % 2 == 0 && test.bytes.len() >= PACKED_DIGITS_MIN =>
                    {
                        packed_digits(bytes, digits, is_upper, count, test)
                    }
                    Loaded::Texts(texts) if test.lies == Lies::Within => within(texts, count, test),
                    Loaded::Texts(texts) => Hits::of(count, |at| test.passes(texts.get(at))),
                    loaded => each(&loaded, count, test),
                })
            }
        }
    }
}

/// Makes every value and tests it.
fn each(loaded: &Loaded<'_>, count: usize, test: &Test<'_>) -> Hits {
    let mut value = Vec::new();
    Hits::of(count, |at| {
        value.clear();
        loaded.push(at, &mut value);
        test.passes(&value)
    })
}

/// Tests numbers without making texts of them, where the test can be told by ranges or remainders.
fn numbers<W: Word>(values: &[W], width: usize, loaded: &Loaded<'_>, test: &Test<'_>) -> Hits {
    let count = values.len();
    let Some(number) = parse(test.bytes) else { return Hits::None };
    let has_leading_zero = test.bytes.len() > 1 && test.bytes.first() == Some(&b'0');
    let len = test.bytes.len();
    match test.lies {
        Lies::Whole if width == 0 && has_leading_zero || width > 0 && width != len => Hits::None,
        Lies::Whole => equal(values, number),
        Lies::First if width > 0 && len > width => Hits::None,
        Lies::First if width > 0 => {
            let unit = power(width.saturating_sub(len));
            Hits::of(count, |at| values[at].wide() / unit == number)
        }
        Lies::First if has_leading_zero => Hits::None,
        // Zero begins no other number.
        Lies::First if number == 0 => Hits::of(count, |at| values[at].wide() == 0),
        Lies::First => {
            let ranges: Vec<(u64, u64)> = (0..=20 - len)
                .map_while(|more| {
                    let first = number.checked_mul(10_u64.checked_pow(more as u32)?)?;
                    Some((first, first.saturating_add(power(more) - 1)))
                })
                .collect();
            Hits::of(count, |at| {
                let value = values[at].wide();
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&value))
            })
        }
        Lies::Last if len < 20 => {
            let unit = power(len);
            // A number that is not padded has its leading zeros only within.
            let least = if width == 0 && has_leading_zero { unit } else { 0 };
            Hits::of(count, |at| {
                let value = values[at].wide();
                value % unit == number && value >= least
            })
        }
        Lies::Last | Lies::Within => each(loaded, count, test),
    }
}

/// Fewer digits than these hit too often to be searched for two at a time.
const PACKED_DIGITS_MIN: usize = 4;

/// Searches for digits two at a time: as they are packed where the needle's first one is a byte's high
/// half, and where it is the low half.
fn packed_digits(
    bytes: &[u8],
    digits: usize,
    is_upper: bool,
    count: usize,
    test: &Test<'_>,
) -> Hits {
    let len = test.bytes.len();
    let is_odd_case =
        |digit: &u8| digit.is_ascii_alphabetic() && digit.is_ascii_uppercase() != is_upper;
    let cannot = len > digits
        || !test.bytes.iter().all(u8::is_ascii_hexdigit)
        || !test.needle.ignores_case() && test.bytes.iter().any(is_odd_case);
    if cannot {
        return Hits::None;
    }
    let value = |digit: &u8| match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    };
    let nibbles: Vec<u8> = test.bytes.iter().map(value).collect();
    let nibble = |at: usize| {
        bytes.get(at / 2).map(|byte| if at.is_multiple_of(2) { byte >> 4 } else { byte & 15 })
    };
    let mut hits = Bitmap::empty(count);
    for skipped in 0..2 {
        let pairs = nibbles[skipped..].chunks_exact(2);
        let packed: Vec<u8> = pairs.map(|pair| pair[0] << 4 | pair[1]).collect();
        let (finder, mut at) = (Finder::new(&packed), 0);
        while let Some(found) = bytes.get(at..).and_then(|rest| finder.find(rest)) {
            // A hit may hide one that begins within it.
            at = at + found + 1;
            let Some(first) = (2 * (at - 1)).checked_sub(skipped) else { continue };
            let (within, value) = (first % digits, first / digits);
            let lies = match test.lies {
                Lies::Whole => within == 0 && len == digits,
                Lies::First => within == 0,
                Lies::Last => within + len == digits,
                Lies::Within => within + len <= digits,
            };
            // The first and the last digit may be half a byte that was not compared.
            let ends_alike = nibble(first) == nibbles.first().copied()
                && nibble(first + len - 1) == nibbles.last().copied();
            if lies && ends_alike && value < count {
                hits.insert(u32::try_from(value).unwrap_or(u32::MAX));
            }
        }
    }
    Hits::from_bitmap(hits, count)
}

/// Which values are this number: blocks that do not have it are passed over, several at a time.
fn equal<W: Word>(values: &[W], number: u64) -> Hits {
    let mut hits = Bitmap::empty(values.len());
    for (start, block) in (0_u32..).step_by(64).zip(values.chunks(64)) {
        if block.iter().fold(false, |any, value| any | (value.wide() == number)) {
            let equal = (start..).zip(block).filter(|(_, value)| value.wide() == number);
            equal.for_each(|(at, _)| hits.insert(at));
        }
    }
    Hits::from_bitmap(hits, values.len())
}

/// A power of ten; the largest that there is where it would be larger.
fn power(exponent: usize) -> u64 {
    10_u64.saturating_pow(u32::try_from(exponent).unwrap_or(u32::MAX))
}

/// A number of at most 19 digits.
fn parse(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0'))
    })
}

/// Searches all texts at once: most are shorter than the start of a search is worth.
fn within(texts: &TextValues, count: usize, test: &Test<'_>) -> Hits {
    let mut hits = Bitmap::empty(count);
    let len = test.bytes.len();
    for (frame_start, bytes) in texts.frames() {
        let mut at = 0;
        while let Some(found) = bytes.get(at..).and_then(|rest| test.needle.find(rest)) {
            let hit = at + found;
            // Places fit 32 bits: the starts do.
            let place = frame_start + hit as u32;
            let text = texts.starts.partition_point(|start| *start <= place).saturating_sub(1);
            let end = texts.starts.get(text + 1).map_or(0, |end| (end - frame_start) as usize);
            if hit + len <= end {
                hits.insert(u32::try_from(text).unwrap_or(u32::MAX));
                at = end.max(hit + 1);
            } else {
                // Across two texts: no hit, but one may begin at its second byte.
                at = hit + 1;
            }
        }
    }
    Hits::from_bitmap(hits, count)
}
