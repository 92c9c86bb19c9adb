//! Integers and texts as bytes, and the cursor that reads them back without trusting them.

use std::path::Path;

use crate::StoreError;

/// What was wrong with some bytes; where they are is added by whoever knows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damage(pub(super) String);

/// What comes of reading bytes that may be damaged.
pub(super) type Decoded<T> = Result<T, Damage>;

impl Damage {
    /// Damage that a constant sentence describes.
    pub(super) fn new(detail: &str) -> Self {
        Self(detail.to_owned())
    }

    /// The error for the part `what` of the file, which begins at `offset`.
    pub(super) fn at(self, path: &Path, what: &'static str, offset: u64) -> StoreError {
        StoreError::Corrupt { path: path.to_owned(), what, offset, detail: self.0 }
    }
}

/// Maps small magnitudes to small numbers: 0, -1, 1, -2, … to 0, 1, 2, 3, …
pub(super) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The inverse of [`zigzag`].
pub(super) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Appends a varint.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a text: its length and its bytes.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Reads from the front of a slice. Past the end, or on a number that cannot be, there is [`Damage`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub(super) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn bytes(&mut self, len: usize) -> Decoded<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Decoded<u8> {
        self.array().map(|[byte]: [u8; 1]| byte)
    }

    pub(super) fn u16(&mut self) -> Decoded<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Decoded<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Decoded<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Decoded<i64> {
        self.array().map(i64::from_le_bytes)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Decoded<u64> {
        match self.rest.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Decoded<u64> {
        let mut value = 0;
        for (index, &byte) in self.rest.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            let shift = 7 * index;
            if shift == 63 && bits > 1 {
                return Err(Damage::new("a varint over 64 bits"));
            }
            value |= bits << shift;
            if byte < 0x80 {
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(Damage::new("a varint without an end"))
    }

    pub(super) fn varint_u32(&mut self) -> Decoded<u32> {
        u32::try_from(self.varint()?).map_err(|_| Damage::new("a number over 32 bits"))
    }

    /// The number of things that follow, each of at least one byte, so that a damaged number cannot
    /// make the caller allocate more than a multiple of what is there.
    pub(super) fn count(&mut self) -> Decoded<usize> {
        let count = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if count > self.rest.len() {
            return Err(Damage(format!("{count} items in {} bytes", self.rest.len())));
        }
        Ok(count)
    }

    pub(super) fn text(&mut self) -> Decoded<&'a str> {
        let len = self.count()?;
        std::str::from_utf8(self.bytes(len)?).map_err(|_| Damage::new("a text that is not UTF-8"))
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Decoded<()> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(Damage(format!("{left} bytes too many"))),
        }
    }
}

fn ends_early() -> Damage {
    Damage::new("it ends too early")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), 1 << 62, u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let mut cursor = Cursor::new(&out);
            assert_eq!(cursor.varint(), Ok(value));
            assert_eq!(cursor.end(), Ok(()));
        }
    }

    #[test]
    fn zigzag_round_trips() {
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
        assert_eq!([zigzag(0), zigzag(-1), zigzag(1)], [0, 1, 2]);
    }

    #[test]
    fn bad_varints_are_damage() {
        assert!(Cursor::new(&[0x80]).varint().is_err());
        assert!(Cursor::new(&[0xff; 11]).varint().is_err());
        assert!(Cursor::new(&[200, 1]).count().is_err());
        assert!(Cursor::new(&[1, 0xff]).text().is_err());
    }
}
