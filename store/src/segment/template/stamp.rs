//! What is known of a column's values without reading them.

use super::super::codec::{Cursor, Damage, Decoded, put_varint};
use super::numbers::are_digits;
use super::split::Texts;
use crate::Needle;

/// The lengths of the values of a column and the bytes that they are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) len_min: u32,
    pub(super) len_max: u32,
    pub(super) bytes: ByteSet,
}

/// ASCII letters and digits.
const WORDS: ByteSet = ByteSet {
    ascii: ((1 << 10) - 1) << b'0' | ((1 << 26) - 1) << b'A' | ((1 << 26) - 1) << b'a',
    others: false,
};

/// A set of bytes. Those beyond ASCII are all in it, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ByteSet {
    ascii: u128,
    others: bool,
}

impl ByteSet {
    /// The set of some bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut set = Self::default();
        bytes.iter().for_each(|byte| set.add(*byte));
        set
    }

    fn add(&mut self, byte: u8) {
        match byte {
            0..128 => self.ascii |= 1 << byte,
            _ => self.others = true,
        }
    }

    pub(super) const fn has(self, byte: u8) -> bool {
        match byte {
            0..128 => self.ascii >> byte & 1 != 0,
            _ => self.others,
        }
    }

    /// Takes another set in.
    pub(super) const fn join(&mut self, other: Self) {
        self.ascii |= other.ascii;
        self.others |= other.others;
    }

    /// Whether a text of these bytes may have a needle.
    pub(super) const fn may_have(self, needle: &Needle) -> bool {
        needle.is_made_of(self.ascii, self.others)
    }

    /// Bit `b` for the byte `b`.
    pub(super) const fn ascii(self) -> u128 {
        self.ascii
    }

    /// Whether every byte of it is in another set.
    pub(super) const fn is_in(self, other: Self) -> bool {
        self.ascii & !other.ascii == 0 && (other.others || !self.others)
    }

    const fn is_empty(self) -> bool {
        self.ascii == 0 && !self.others
    }

    /// From the set of version 2, in which letters and digits have a bit each, the rest of ASCII one and
    /// all other bytes another.
    fn from_classes(classes: u64) -> Self {
        let mut set = Self { ascii: 0, others: classes >> 63 != 0 };
        for byte in 0..128_u8 {
            let class = match byte {
                b'0'..=b'9' => byte - b'0',
                b'A'..=b'Z' => byte - b'A' + 10,
                b'a'..=b'z' => byte - b'a' + 36,
                _ => 62,
            };
            set.ascii |= u128::from(classes >> class & 1) << byte;
        }
        set
    }
}

/// Whether bytes are up to 16 decimal digits; not told of some that end with all bytes.
fn is_short_number(bytes: &[u8], start: usize, len: usize) -> bool {
    let Some(bytes) = bytes.get(start..).and_then(|bytes| bytes.first_chunk::<16>()) else {
        return false;
    };
    let bytes = u128::from_le_bytes(*bytes);
    match len {
        0 => true,
        1..=8 => are_digits(bytes as u64, len),
        9..=16 => are_digits(bytes as u64, 8) && are_digits((bytes >> 64) as u64, len - 8),
        _ => false,
    }
}

impl Stamp {
    /// Of some values.
    pub(super) fn of(values: Texts<'_>) -> Self {
        let (mut len_min, mut len_max) = (u32::MAX, 0);
        // A store a byte is less than looking up and joining bits.
        let mut seen = [false; 256];
        let mut has_all_digits = false;
        for (index, &(start, end)) in values.spans.iter().enumerate() {
            let len = end - start;
            len_min = len_min.min(len);
            len_max = len_max.max(len);
            // Numbers are many and short, and a loop over each takes longer to leave than to run.
            if has_all_digits && is_short_number(values.bytes, start as usize, len as usize) {
                continue;
            }
            values.get(index).iter().for_each(|byte| seen[usize::from(*byte)] = true);
            if index % 16 == 0 {
                has_all_digits = (b'0'..=b'9').all(|digit| seen[usize::from(digit)]);
            }
        }
        let mut bytes = ByteSet::default();
        (0..=u8::MAX).zip(seen).filter(|(_, seen)| *seen).for_each(|(byte, _)| bytes.add(byte));
        Self { len_min, len_max, bytes }
    }

    /// Whether a value may have all of these bytes, whatever the case of letters if `ignores_case`.
    pub(super) fn may_have(&self, bytes: &[u8], ignores_case: bool) -> bool {
        match ignores_case {
            false => bytes.iter().all(|byte| self.bytes.has(*byte)),
            true => bytes.iter().all(|byte| {
                let cases = [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()];
                cases.into_iter().any(|byte| self.bytes.has(byte))
            }),
        }
    }

    /// Whether values may have that length.
    pub(super) fn may_be_long(&self, len: usize) -> bool {
        (self.len_min as usize..=self.len_max as usize).contains(&len)
    }

    /// Whether values are of ASCII letters and digits alone.
    pub(super) fn is_words(&self) -> bool {
        self.bytes.is_in(WORDS)
    }

    /// Whether values are of digits alone.
    pub(super) fn is_digits(&self) -> bool {
        self.bytes.is_in(ByteSet::of(b"0123456789")) && !self.bytes.is_empty()
    }

    /// Whether there are decimal digits among other bytes.
    pub(super) fn has_digits(&self) -> bool {
        !self.is_digits() && (b'0'..=b'9').any(|digit| self.bytes.has(digit))
    }

    /// Of decimal numbers whose shortest and whose longest one have so many digits.
    pub(super) fn of_numbers((len_min, len_max): (u32, u32)) -> Self {
        Self { len_min, len_max, bytes: ByteSet::of(b"0123456789") }
    }

    /// Of so many hexadecimal digits each.
    pub(super) fn of_hexadecimal(digits: u32, is_upper: bool) -> Self {
        Self { len_min: digits, len_max: digits, bytes: ByteSet::of(hexadecimal(is_upper)) }
    }

    /// Appends the shortest and the longest length.
    pub(super) fn encode_lens(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len_min.into());
        put_varint(out, self.len_max.saturating_sub(self.len_min).into());
    }

    pub(super) fn decode_lens(cursor: &mut Cursor<'_>) -> Decoded<(u32, u32)> {
        let (len_min, longer) = (cursor.varint_u32()?, cursor.varint_u32()?);
        let len_max = len_min.checked_add(longer);
        Ok((len_min, len_max.ok_or_else(|| Damage::new("values of over 4 GiB"))?))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.encode_lens(out);
        let Self { bytes: ByteSet { ascii, others }, .. } = self;
        let octets = ascii.to_le_bytes();
        let are_there: u16 = (0..).zip(octets).map(|(at, octet)| u16::from(octet != 0) << at).sum();
        out.extend_from_slice(&are_there.to_le_bytes());
        out.push((*others).into());
        out.extend(octets.iter().filter(|octet| **octet != 0));
    }

    pub(super) fn decode(cursor: &mut Cursor<'_>) -> Decoded<Self> {
        let (len_min, len_max) = Self::decode_lens(cursor)?;
        let (are_there, others) = (cursor.u16()?, cursor.u8()? != 0);
        let mut octets = [0; 16];
        for (at, octet) in (0..).zip(&mut octets) {
            if are_there >> at & 1 != 0 {
                *octet = cursor.u8()?;
            }
        }
        let bytes = ByteSet { ascii: u128::from_le_bytes(octets), others };
        Ok(Self { len_min, len_max, bytes })
    }

    /// Reads a stamp of a version before 5, where each column had one.
    pub(super) fn decode_older(cursor: &mut Cursor<'_>, version: u32) -> Decoded<Self> {
        let len_min = cursor.varint_u32()?;
        if version == 2 {
            let len_max = len_min.saturating_add(cursor.varint_u32()?);
            return Ok(Self { len_min, len_max, bytes: ByteSet::from_classes(cursor.u64()?) });
        }
        let longer = cursor.varint()?;
        let len_max = u32::try_from(longer >> 1).ok().and_then(|more| len_min.checked_add(more));
        let len_max = len_max.ok_or_else(|| Damage::new("values of over 4 GiB"))?;
        let ascii = u128::from(cursor.u64()?) | u128::from(cursor.u64()?) << 64;
        Ok(Self { len_min, len_max, bytes: ByteSet { ascii, others: longer & 1 != 0 } })
    }
}

/// The digits of hexadecimal numbers.
pub(super) const fn hexadecimal(is_upper: bool) -> &'static [u8] {
    if is_upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_stamp_is_that_of_a_look_at_each_byte(
            some in prop::collection::vec("[0-9]{0,20}|[ -~]{0,9}|[0-8:/]{1,17}", 1..8),
            digits in prop::sample::select(vec!["", "0123456789"]),
            times in prop::sample::select(vec![1, 30]),
        ) {
            let mut values = vec![digits.to_owned(); times];
            values.extend(some);
            let mut spans = Vec::new();
            for value in &values {
                let start = spans.last().map_or(0, |(_, end)| *end);
                spans.push((start, start + u32::try_from(value.len()).unwrap()));
            }
            let bytes = values.concat();
            let stamp = Stamp::of(Texts { bytes: bytes.as_bytes(), spans: &spans });
            let lens = || values.iter().map(|value| u32::try_from(value.len()).unwrap());
            prop_assert_eq!((stamp.len_min, stamp.len_max), (lens().min().unwrap(), lens().max().unwrap()));
            prop_assert_eq!(stamp.bytes, ByteSet::of(bytes.as_bytes()));
        }

        #[test]
        fn stamps_come_back(
            bytes in prop::collection::vec(any::<u8>(), 0..20),
            len_min in any::<u32>(),
            longer in 0..9_u32,
        ) {
            let len_max = len_min.saturating_add(longer);
            let stamp = Stamp { len_min, len_max, bytes: ByteSet::of(&bytes) };
            let mut encoded = Vec::new();
            stamp.encode(&mut encoded);
            let cursor = &mut Cursor::new(&encoded);
            prop_assert_eq!(Stamp::decode(cursor), Ok(stamp));
            prop_assert_eq!(cursor.end(), Ok(()));
        }
    }
}
