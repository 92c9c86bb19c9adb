//! What is known of a column's values without reading them.

use super::super::codec::{Cursor, Damage, Decoded, put_varint};
use crate::Needle;

/// The lengths of the values of a column and the bytes that they are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) len_min: u32,
    pub(super) len_max: u32,
    pub(super) bytes: ByteSet,
}

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

impl Stamp {
    /// Of some values.
    pub(super) fn of<'v>(values: impl Iterator<Item = &'v [u8]>) -> Self {
        // A store a byte is less than looking up and joining bits.
        let (mut seen, mut len_min, mut len_max) = ([false; 256], usize::MAX, 0);
        for value in values {
            len_min = len_min.min(value.len());
            len_max = len_max.max(value.len());
            value.iter().for_each(|byte| seen[usize::from(*byte)] = true);
        }
        let mut bytes = ByteSet::default();
        (0..=u8::MAX).zip(seen).filter(|(_, seen)| *seen).for_each(|(byte, _)| bytes.add(byte));
        let [len_min, len_max] =
            [len_min, len_max].map(|len| u32::try_from(len).unwrap_or(u32::MAX));
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

    /// Whether values are of digits alone.
    pub(super) fn is_digits(&self) -> bool {
        self.bytes.is_in(ByteSet::of(b"0123456789")) && !self.bytes.is_empty()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len_min.into());
        let longer = u64::from(self.len_max.saturating_sub(self.len_min));
        put_varint(out, longer << 1 | u64::from(self.bytes.others));
        out.extend_from_slice(&self.bytes.ascii.to_le_bytes());
    }

    /// Reads a stamp of some version of the segment.
    pub(super) fn decode(cursor: &mut Cursor<'_>, version: u32) -> Decoded<Self> {
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
