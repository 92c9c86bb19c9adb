//! Which values a group's columns of ids may have.
//!
//! A filter is a Bloom filter in blocks of 32 bytes, so that a question touches one line of a cache. A
//! block is eight words of 32 bits; a value sets one bit in each word of one block.
//!
//! ```text
//! h      = CRC-32C of the value × 0x9E3779B97F4A7C15, 64 bits, wrapping
//! block  = (h >> 32) × blocks >> 32
//! bit i  = (low half of h) × SALTS[i] >> 27, 32 bits, wrapping
//! ```

use super::super::codec::{Damage, Decoded};

const BLOCK_BYTES: usize = 32;

/// Bits of a filter for each value: about one in thirty values that are not there seems to be.
const BITS_PER_VALUE: usize = 8;

/// Fewer values than these have no filter: their columns are as quickly read.
const VALUES_MIN: usize = 256;

/// Odd numbers whose products with a hash have unlike high bits.
const SALTS: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// The values of a filter that is being made.
#[derive(Debug, Default)]
pub(super) struct ValueFilter {
    hashes: Vec<u32>,
}

impl ValueFilter {
    pub(super) fn add(&mut self, value: &[u8]) {
        self.hashes.push(crc32c::crc32c(value));
    }

    /// The filter; empty where there are too few values.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        if self.hashes.len() < VALUES_MIN {
            return Vec::new();
        }
        let blocks = (self.hashes.len() * BITS_PER_VALUE).div_ceil(BLOCK_BYTES * 8);
        let mut filter = vec![0; blocks * BLOCK_BYTES];
        for hash in self.hashes {
            let (block, bits) = place(hash, blocks);
            let words = filter[block * BLOCK_BYTES..][..BLOCK_BYTES].chunks_exact_mut(4);
            for (word, bit) in words.zip(bits) {
                word[bit / 8] |= 1 << (bit % 8);
            }
        }
        filter
    }
}

/// Whether a filter's values may be one of these bytes.
pub(in crate::segment) fn may_have(filter: &[u8], value: &[u8]) -> Decoded<bool> {
    let blocks = filter.len() / BLOCK_BYTES;
    if blocks == 0 || !filter.len().is_multiple_of(BLOCK_BYTES) {
        return Err(Damage(format!("a filter of {} bytes", filter.len())));
    }
    let (block, bits) = place(crc32c::crc32c(value), blocks);
    let mut words = filter[block * BLOCK_BYTES..][..BLOCK_BYTES].chunks_exact(4).zip(bits);
    Ok(words.all(|(word, bit)| word[bit / 8] >> (bit % 8) & 1 != 0))
}

/// The block of a hash and its bit in each word.
fn place(hash: u32, blocks: usize) -> (usize, [usize; 8]) {
    let spread = u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // Filters are of a group's values, far fewer than 2^32.
    let block = (((spread >> 32) * blocks as u64) >> 32) as usize;
    let low = spread as u32;
    (block, SALTS.map(|salt| (low.wrapping_mul(salt) >> 27) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_and_few_others() {
        let mut filter = ValueFilter::default();
        (0..10_000_u64).for_each(|value| filter.add(format!("{value:016x}").as_bytes()));
        let filter = filter.into_bytes();
        let has = |value: u64| may_have(&filter, format!("{value:016x}").as_bytes()).unwrap();
        assert!((0..10_000).all(has));
        let wrong = (10_000..20_000).filter(|value| has(*value)).count();
        assert!(wrong < 500, "{wrong} of 10,000 seem to be there");
    }

    #[test]
    fn few_values_have_none_and_damage_is_seen() {
        let mut filter = ValueFilter::default();
        (0..1000).for_each(|_| filter.add(b"the same"));
        assert!(filter.into_bytes().is_empty());
        assert!(may_have(&[], b"x").is_err());
        assert!(may_have(&[0; 33], b"x").is_err());
    }
}
