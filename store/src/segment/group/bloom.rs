//! A Bloom filter in blocks: a gram has a bit in each of the four words of one block.
//!
//! ```text
//! spread = gram × FACTOR                                                64 bits, wrapping
//! block  = (spread >> 32) × blocks >> 32                                32 bytes: four words of 64 bits
//! bit i  = (low half of spread) × SALTS[i] >> 26                        32 bits, wrapping; in word i
//! ```

use super::super::codec::{Damage, Decoded};

const BLOCK_BYTES: usize = 32;

/// Bits of a filter for each gram: about one in fifteen that are not there seems to be.
pub(super) const BITS_PER_GRAM: usize = 6;

pub(super) const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Odd numbers whose products with a hash have unlike high bits.
const SALTS: [u32; 4] = [0x47b6_137b, 0x8824_ad5b, 0x2df1_424b, 0x9efc_4947];

/// The bytes of a filter.
#[derive(Clone, Copy)]
pub(super) struct Filter<'a>(&'a [u8]);

impl<'a> Filter<'a> {
    /// A filter of no bytes has no gram.
    pub(super) fn new(bytes: &'a [u8]) -> Decoded<Self> {
        match bytes.len() % BLOCK_BYTES {
            0 => Ok(Self(bytes)),
            _ => Err(Damage(format!("a filter of {} bytes", bytes.len()))),
        }
    }

    pub(super) fn may_have(self, gram: u32) -> bool {
        let (block, bits) = place(gram, self.0.len() / BLOCK_BYTES);
        let Some(block) = self.0.get(block * BLOCK_BYTES..) else { return false };
        !block.is_empty()
            && block
                .chunks_exact(8)
                .zip(bits)
                .all(|(word, bit)| word[bit / 8] >> (bit % 8) & 1 != 0)
    }
}

/// The bytes of a filter that has some grams.
pub(super) fn filter_of(grams: &[u32]) -> Vec<u8> {
    let blocks = (grams.len() * BITS_PER_GRAM).div_ceil(BLOCK_BYTES * 8);
    let mut filter = vec![0; blocks * BLOCK_BYTES];
    for gram in grams {
        let (block, bits) = place(*gram, blocks);
        let words = filter[block * BLOCK_BYTES..][..BLOCK_BYTES].chunks_exact_mut(8);
        words.zip(bits).for_each(|(word, bit)| word[bit / 8] |= 1 << (bit % 8));
    }
    filter
}

/// The block of a gram and its bit in each word.
fn place(gram: u32, blocks: usize) -> (usize, [usize; 4]) {
    let spread = u64::from(gram).wrapping_mul(FACTOR);
    // Filters are of a group's words, far fewer than 2^32.
    let block = (((spread >> 32) * blocks as u64) >> 32) as usize;
    (block, SALTS.map(|salt| ((spread as u32).wrapping_mul(salt) >> 26) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_it_is_found_and_most_of_the_rest_is_not() {
        let gram = |n: u32| n.wrapping_mul(0x85eb_ca6b);
        let grams: Vec<u32> = (0..2000).map(gram).collect();
        let bytes = filter_of(&grams);
        assert!(bytes.len() * 8 < 2000 * BITS_PER_GRAM + BLOCK_BYTES * 8);
        let filter = Filter::new(&bytes).unwrap();
        assert!(grams.iter().all(|gram| filter.may_have(*gram)));
        let wrong = (2000..12_000).filter(|n| filter.may_have(gram(*n))).count();
        assert!(wrong < 1000, "{wrong} of 10,000 seem to be there");
    }

    #[test]
    fn a_filter_of_nothing_has_nothing() {
        assert!(filter_of(&[]).is_empty());
        assert!(!Filter::new(&[]).unwrap().may_have(7));
        assert!(Filter::new(&[0; 33]).is_err());
    }
}
