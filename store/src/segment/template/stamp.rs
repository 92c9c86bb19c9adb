//! What is known of a column's values without reading them.

use super::super::codec::{Cursor, Decoded, put_varint};

/// The lengths of the values of a column and the bytes that they are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) len_min: u32,
    pub(super) len_max: u32,
    /// A bit for each byte in [`bit_of`].
    pub(super) bytes: u64,
}

/// Letters and digits have a bit each; the rest of ASCII shares one, all other bytes another.
const BITS: [u64; 256] = {
    let mut bits = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        bits[byte] = 1
            << match byte {
                0x30..=0x39 => byte - 0x30,
                0x41..=0x5a => byte - 0x41 + 10,
                0x61..=0x7a => byte - 0x61 + 36,
                0x00..=0x7f => 62,
                _ => 63,
            };
        byte += 1;
    }
    bits
};

/// The digits' bits.
const DIGITS: u64 = (1 << 10) - 1;

impl Stamp {
    /// Of no value.
    pub(super) const EMPTY: Self = Self { len_min: u32::MAX, len_max: 0, bytes: 0 };

    /// Takes a value in.
    pub(super) fn add(&mut self, value: &[u8]) {
        let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.len_min = self.len_min.min(len);
        self.len_max = self.len_max.max(len);
        self.bytes |= bytes_of(value);
    }

    /// Whether a value may have all of these bytes, whatever the case of letters if `ignores_case`.
    pub(super) fn may_have(&self, bytes: &[u8], ignores_case: bool) -> bool {
        if !ignores_case {
            return bytes_of(bytes) & !self.bytes == 0;
        }
        bytes.iter().all(|byte| {
            let either =
                BITS[byte.to_ascii_lowercase() as usize] | BITS[byte.to_ascii_uppercase() as usize];
            either & self.bytes != 0
        })
    }

    /// Whether values may have that length.
    pub(super) fn may_be_long(&self, len: usize) -> bool {
        (self.len_min as usize..=self.len_max as usize).contains(&len)
    }

    /// Whether values are of digits alone.
    pub(super) const fn is_digits(&self) -> bool {
        self.bytes & !DIGITS == 0 && self.bytes != 0
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len_min.into());
        put_varint(out, u64::from(self.len_max).wrapping_sub(self.len_min.into()));
        out.extend_from_slice(&self.bytes.to_le_bytes());
    }

    pub(super) fn decode(cursor: &mut Cursor<'_>) -> Decoded<Self> {
        let len_min = cursor.varint_u32()?;
        let len_max = len_min.saturating_add(cursor.varint_u32()?);
        Ok(Self { len_min, len_max, bytes: cursor.u64()? })
    }
}

/// The bits of some bytes.
fn bytes_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |bits, byte| bits | BITS[*byte as usize])
}
