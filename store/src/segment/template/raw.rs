//! Integers as they are stored, of which single ones are decoded.

use super::super::codec::Decoded;
use super::ints::{IntColumn, packed_bytes, plane_bytes, unpack_at};
use super::sink::Source;

/// A column's integers, decompressed and no further.
#[derive(Debug)]
pub(super) enum RawInts {
    Constant(u64),
    Packed {
        base: u64,
        bits: u8,
        bytes: Vec<u8>,
    },
    Planes {
        base: u64,
        planes: Vec<Vec<u8>>,
    },
    /// Of differences each is the sum of all before it.
    Decoded(Vec<u64>),
    Dictionary {
        values: Vec<u64>,
        codes: Box<Self>,
    },
}

impl RawInts {
    /// Reads a column of `count` integers.
    pub(super) fn read(column: &IntColumn, count: usize, source: &impl Source) -> Decoded<Self> {
        Ok(match column {
            IntColumn::Constant(value) => Self::Constant(*value),
            IntColumn::Packed { base, bits, place } => {
                let (base, bits) = (*base, *bits);
                source.with(*place, |bytes| {
                    let bytes = packed_bytes(bytes, bits, count)?.to_vec();
                    Ok(Self::Packed { base, bits, bytes })
                })?
            }
            IntColumn::Planes { base, planes } => {
                Self::Planes { base: *base, planes: plane_bytes(&planes.places, count, source)? }
            }
            IntColumn::Deltas { .. } => Self::Decoded(column.read(count, source)?),
            IntColumn::Dictionary { count: distinct, values, codes } => Self::Dictionary {
                values: values.read(*distinct as usize, source)?,
                codes: Box::new(Self::read(codes, count, source)?),
            },
        })
    }

    /// Bytes of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Constant(_) => 0,
            Self::Packed { bytes, .. } => bytes.len(),
            Self::Planes { planes, .. } => planes.iter().map(Vec::len).sum(),
            Self::Decoded(values) => size_of_val(&values[..]),
            Self::Dictionary { values, codes } => size_of_val(&values[..]) + codes.memory_bytes(),
        }
    }

    /// One of them; `None` beyond the last, and for a code that stands for nothing.
    pub(super) fn get(&self, place: usize) -> Option<u64> {
        match self {
            Self::Constant(value) => Some(*value),
            Self::Packed { base, bits, bytes } => {
                Some(base.wrapping_add(unpack_at(bytes, *bits, place)?))
            }
            Self::Planes { base, planes } => {
                let mut value = 0;
                for (byte, plane) in planes.iter().enumerate() {
                    value |= u64::from(*plane.get(place)?) << (8 * byte);
                }
                Some(base.wrapping_add(value))
            }
            Self::Decoded(values) => values.get(place).copied(),
            Self::Dictionary { values, codes } => {
                values.get(usize::try_from(codes.get(place)?).ok()?).copied()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::template::Sink;
    use crate::segment::template::tests::Frames;

    fn check(name: &str, values: &[u64]) {
        let mut sink = Sink::new(1).unwrap();
        let column = IntColumn::write(values, &mut sink).unwrap();
        let kind = format!("{column:?}");
        assert!(kind.starts_with(name), "{kind}");
        let frames = Frames::of(sink, 0);
        let raw = RawInts::read(&column, values.len(), &frames).unwrap();
        let decoded: Vec<u64> = column.read(values.len(), &frames).unwrap();
        assert_eq!(decoded, values);
        for (place, value) in values.iter().enumerate() {
            assert_eq!(raw.get(place), Some(*value), "{name} at {place}");
        }
        assert!(matches!(column, IntColumn::Constant(_)) || raw.get(values.len() + 8).is_none());
    }

    #[test]
    fn single_integers_are_those_of_the_whole_column() {
        let mut noise = 7_u64;
        let mut random = |bits: u32| {
            noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            noise >> (64 - bits)
        };
        check("Constant", &[5; 100]);
        for bits in [3, 7, 12, 31, 48, 56] {
            let values: Vec<u64> = (0..9001).map(|_| 1000 + random(bits)).collect();
            check("Packed", &values);
        }
        check("Planes", &(0..50).map(|_| 9 + random(60)).collect::<Vec<_>>());
        check("Planes", &(0..50).map(|_| random(17)).collect::<Vec<_>>());
        let mut sum = 1 << 40;
        let rising = (0..5000).map(|_| {
            sum += random(5);
            sum
        });
        check("Deltas", &rising.collect::<Vec<_>>());
        let few: Vec<u64> = (0..20).map(|_| random(40)).collect();
        check("Dictionary", &(0..5000).map(|_| few[random(32) as usize % 20]).collect::<Vec<_>>());
    }
}
