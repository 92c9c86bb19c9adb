//! The small encodings that log records are made of: varints, zigzag and length-prefixed bytes.

use std::iter;

use crate::{InvalidLabels, Labels, StoreError};

/// Appends `value`, seven bits a byte, the lowest first.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    out.push(low_byte(value));
}

/// The lowest eight bits.
const fn low_byte(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

/// A signed number with its sign in the lowest bit, so that small ones of either sign stay small.
pub(crate) const fn zigzag(value: i64) -> u64 {
    value.wrapping_shl(1).cast_unsigned() ^ (value >> 63).cast_unsigned()
}

/// What [`zigzag`] was given.
pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, len_u64(bytes));
    out.extend_from_slice(bytes);
}

/// A slice's length as it is written to disk.
pub(crate) fn len_u64(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Reads what the functions above wrote. Every read is checked: `None` is damage, never a panic.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What was not read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(first)
    }

    pub(crate) fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(taken)
    }

    /// Bytes behind their length.
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.varint()?).ok()?;
        self.take(len)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

/// Appends pairs, which come sorted by name: names and values in turn, each behind its length.
pub(crate) fn put_pairs<'a>(out: &mut Vec<u8>, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    for (name, value) in pairs {
        put_bytes(out, name.as_bytes());
        put_bytes(out, value.as_bytes());
    }
}

/// The pairs of [`put_pairs`], all of `bytes`, checked to be sorted with each name once: a `None` where they are not,
/// or are no pairs.
pub(crate) fn pairs(bytes: &[u8]) -> impl Iterator<Item = Option<(&str, &str)>> {
    let (mut reader, mut before) = (Reader::new(bytes), None);
    iter::from_fn(move || {
        if reader.is_empty() {
            return None;
        }
        let pair = reader.text().zip(reader.text());
        let pair = pair.filter(|pair| before.is_none_or(|before| before < pair.0));
        match pair {
            Some((name, _)) => before = Some(name),
            None => reader = Reader::new(&[]),
        }
        Some(pair)
    })
}

/// A stream's labels from [`put_pairs`] bytes that were checked already.
pub(crate) fn labels(bytes: &[u8]) -> Result<Labels, StoreError> {
    set(bytes, Labels::from_pairs, "labels that cannot be read")
}

/// An entry's metadata from [`put_pairs`] bytes that were checked already.
pub(crate) fn metadata(bytes: &[u8]) -> Result<Labels, StoreError> {
    set(bytes, Labels::metadata, "metadata that cannot be read")
}

fn set<'a>(
    bytes: &'a [u8],
    of: impl FnOnce(Vec<(&'a str, &'a str)>) -> Result<Labels, InvalidLabels>,
    fault: &str,
) -> Result<Labels, StoreError> {
    let pairs: Option<Vec<_>> = pairs(bytes).collect();
    let pairs = pairs.ok_or_else(|| StoreError::Invalid(fault.to_owned()))?;
    of(pairs).map_err(|error| StoreError::Invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let mut reader = Reader::new(&out);
            assert_eq!(reader.varint(), Some(value));
            assert!(reader.is_empty());
            assert_eq!(Reader::new(&out[..out.len() - 1]).varint(), None);
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
        assert_eq!((zigzag(-1), zigzag(1)), (1, 2));
    }

    #[test]
    fn overlong_numbers_and_lengths_are_refused() {
        assert_eq!(Reader::new(&[0xff; 11]).varint(), None);
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).varint(),
            None
        );
        assert_eq!(Reader::new(&[5, 1, 2]).bytes(), None);
    }

    #[test]
    fn pairs_must_be_sorted() {
        let mut out = Vec::new();
        put_pairs(&mut out, [("a", "1"), ("b", "")].into_iter());
        let (a, b) = (Some(("a", "1")), Some(("b", "")));
        assert_eq!(pairs(&out).collect::<Vec<_>>(), [a, b]);
        put_pairs(&mut out, [("b", "2"), ("c", "3")].into_iter());
        assert_eq!(pairs(&out).collect::<Vec<_>>(), [a, b, None]);
        assert_eq!(pairs(&out[..out.len() - 9]).collect::<Vec<_>>(), [a, None]);
    }
}
