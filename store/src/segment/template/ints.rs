//! Columns of integers.
//!
//! ```text
//! integers   kind u8, then
//!   0 constant   value varint
//!   1 packed     base varint │ bits u8                n × (value - base) in so many bits, lowest first
//!   2 planes     base varint │ width + 16 × random u8  the lowest bytes of all (value - base), then the next ones
//!   3 deltas     width + 16 × random u8               planes of zigzag differences to the value before, 0 before the first
//!   4 dictionary count varint │ integers │ integers      distinct values, ascending; then which of them each value is
//! ```
//!
//! Values that are all but random are packed; where bytes repeat, zstd takes less for planes: a
//! plane has a frame of its own, since the bytes of one tell nothing about those of another, or shares one
//! with planes where it is short. So many of the lowest planes as `random` says are as good as random, and share
//! frames with bytes that are.

use std::array;
use std::io;

use foldhash::{HashMap, HashMapExt};

use super::super::codec::{Cursor, Damage, Decoded, put_varint, unzigzag, zigzag};
use super::super::frame::Frame;
use super::decoding::Decoding;
use super::sink::{Kind, Place, Sink, Source};

const CONSTANT: u8 = 0;
const PACKED: u8 = 1;
const PLANES: u8 = 2;
const DELTAS: u8 = 3;
const DICTIONARY: u8 = 4;

/// The most distinct values of a dictionary of integers.
const DICTIONARY_MAX: usize = 4096;

/// How many values are looked at before a dictionary is given up, and how many distinct ones they may have.
const DICTIONARY_TRIAL: (usize, usize) = (1024, 512);

/// Integers that would take fewer bytes are not packed: their planes share frames.
const PACKED_BYTES_MIN: usize = 2 * 1024;

/// Fewer bytes than these tell nothing about how random they are.
const RANDOM_BYTES_MIN: usize = 16;

/// How a column of integers is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::segment) enum IntColumn {
    Constant(u64),
    Packed { base: u64, bits: u8, place: Place },
    Planes { base: u64, planes: Planes },
    Deltas { planes: Planes },
    Dictionary { count: u32, values: Box<Self>, codes: Box<Self> },
}

/// Where the planes of integers are, the lowest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::segment) struct Planes {
    pub(super) places: Vec<Place>,
    /// So many of the lowest are [random](Kind::Random).
    random: u8,
}

impl IntColumn {
    /// Stores values in the smallest form.
    pub(in crate::segment) fn write(values: &[u64], sink: &mut Sink) -> io::Result<Self> {
        let (min, max) = bounds(values);
        if let Some((distinct, codes)) = dictionary(values, max - min) {
            let count = u32::try_from(distinct.len()).unwrap_or(u32::MAX);
            let values = Box::new(Self::write_plain(&distinct, (min, max), sink)?);
            let codes = Box::new(Self::write_plain(&codes, bounds(&codes), sink)?);
            return Ok(Self::Dictionary { count, values, codes });
        }
        Self::write_plain(values, (min, max), sink)
    }

    /// Stores values between two bounds, which are among them.
    fn write_plain(values: &[u64], (min, max): (u64, u64), sink: &mut Sink) -> io::Result<Self> {
        if min == max {
            return Ok(Self::Constant(min));
        }
        let bits = bits_of(max - min);
        let offsets = || values.iter().map(|value| value - min);
        let offset_bits: u64 = offsets().map(|value| u64::from(bits_of(value))).sum();
        let delta_bits: u64 = deltas_of(values).map(|value| u64::from(bits_of(value))).sum();
        // Differences carry the noise of two values: they must be clearly smaller.
        let is_smooth = delta_bits + values.len() as u64 <= offset_bits;
        let planes = match is_smooth {
            true => planes_of(&deltas_of(values).collect::<Vec<_>>()),
            false => planes_of(&offsets().collect::<Vec<_>>()),
        };
        let packed_len = (values.len() * bits as usize).div_ceil(8);
        let planes = if packed_len >= PACKED_BYTES_MIN {
            let frames: io::Result<Vec<_>> =
                planes.iter().map(|plane| sink.compress(plane)).collect();
            let frames = frames?;
            let planes_len: usize = frames.iter().map(|(_, stored)| stored.len()).sum();
            if bits < 57 && packed_len <= planes_len + planes_len / 32 {
                let place = sink.put(Kind::Random, &pack(offsets(), bits, packed_len))?;
                return Ok(Self::Packed { base: min, bits: bits as u8, place });
            }
            Planes::put(&planes, frames, sink)?
        } else {
            Planes::put(&planes, Vec::new(), sink)?
        };
        Ok(match is_smooth {
            true => Self::Deltas { planes },
            false => Self::Planes { base: min, planes },
        })
    }

    /// Appends how the column is stored.
    pub(in crate::segment) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Constant(value) => {
                out.push(CONSTANT);
                put_varint(out, *value);
            }
            Self::Packed { base, bits, .. } => {
                out.push(PACKED);
                put_varint(out, *base);
                out.push(*bits);
            }
            Self::Planes { base, planes } => {
                out.push(PLANES);
                put_varint(out, *base);
                planes.encode(out);
            }
            Self::Deltas { planes } => {
                out.push(DELTAS);
                planes.encode(out);
            }
            Self::Dictionary { count, values, codes } => {
                out.push(DICTIONARY);
                put_varint(out, (*count).into());
                values.encode(out);
                codes.encode(out);
            }
        }
    }

    /// Reads how a column of `count` values is stored.
    pub(in crate::segment) fn decode(
        cursor: &mut Cursor<'_>,
        count: u32,
        decoding: &mut Decoding,
    ) -> Decoded<Self> {
        Self::decode_nested(cursor, count, true, decoding)
    }

    fn decode_nested(
        cursor: &mut Cursor<'_>,
        count: u32,
        may_be_dictionary: bool,
        decoding: &mut Decoding,
    ) -> Decoded<Self> {
        Ok(match cursor.u8()? {
            CONSTANT => Self::Constant(cursor.varint()?),
            PACKED => {
                let (base, bits) = (cursor.varint()?, cursor.u8()?);
                if !(1..57).contains(&bits) {
                    return Err(Damage(format!("integers of {bits} bits")));
                }
                let len = (u64::from(count) * u64::from(bits)).div_ceil(8);
                Self::Packed { base, bits, place: decoding.place(cursor, Kind::Random, len)? }
            }
            PLANES => {
                let base = cursor.varint()?;
                Self::Planes { base, planes: Planes::decode(cursor, count, decoding)? }
            }
            DELTAS => Self::Deltas { planes: Planes::decode(cursor, count, decoding)? },
            DICTIONARY if may_be_dictionary => {
                let distinct = distinct(cursor, count)?;
                let values = Box::new(Self::decode_nested(cursor, distinct, false, decoding)?);
                let codes = Box::new(Self::decode_nested(cursor, count, false, decoding)?);
                Self::Dictionary { count: distinct, values, codes }
            }
            kind => return Err(Damage(format!("integers of the unknown kind {kind}"))),
        })
    }

    /// Reads the column's `count` values.
    pub(in crate::segment) fn read<W: Word>(
        &self,
        count: usize,
        source: &impl Source,
    ) -> Decoded<Vec<W>> {
        match self {
            Self::Constant(value) => Ok(vec![word(*value)?; count]),
            Self::Packed { base, bits, place } => {
                let base = word(*base)?;
                source.with(*place, |bytes| unpack(bytes, base, *bits, count))
            }
            Self::Planes { base, planes } => {
                let base: W = word(*base)?;
                let mut values: Vec<W> = read_planes(&planes.places, count, source)?;
                if base.wide() != 0 {
                    values.iter_mut().for_each(|value| *value = value.plus(base));
                }
                Ok(values)
            }
            Self::Deltas { planes } => {
                let deltas: Vec<u64> = read_planes(&planes.places, count, source)?;
                let (mut last, mut all) = (0_u64, 0_u64);
                let sum = |delta: u64| {
                    last = last.wrapping_add(unzigzag(delta).cast_unsigned());
                    all |= last;
                    W::cut(last)
                };
                let values: Vec<W> = deltas.into_iter().map(sum).collect();
                word::<W>(all).map(|_| values)
            }
            Self::Dictionary { count: distinct, values, codes } => {
                let values: Vec<W> = values.read(*distinct as usize, source)?;
                let codes: Vec<u32> = codes.read(count, source)?;
                // Checked apart, so that neither loop has an early end.
                match codes.iter().max().filter(|code| **code as usize >= values.len()) {
                    Some(code) => Err(Damage(format!("code {code} of {distinct}"))),
                    None => Ok(codes.iter().map(|code| values[*code as usize]).collect()),
                }
            }
        }
    }
}

/// What integers are read as.
pub(in crate::segment) trait Word: Copy + Default + Send {
    /// How many bytes it has.
    const BYTES: usize;
    /// The lowest bytes of a number.
    fn cut(value: u64) -> Self;
    fn wide(self) -> u64;
    /// With a byte so many bits up, where it has none yet.
    fn with_byte(self, byte: u8, shift: u32) -> Self;
    /// Adds, around the end of the numbers.
    fn plus(self, other: Self) -> Self;
}

macro_rules! word {
    ($word:ty) => {
        impl Word for $word {
            const BYTES: usize = size_of::<Self>();

            fn cut(value: u64) -> Self {
                value as Self
            }

            fn wide(self) -> u64 {
                self.into()
            }

            fn with_byte(self, byte: u8, shift: u32) -> Self {
                self | Self::from(byte) << shift
            }

            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
        }
    };
}

word!(u16);
word!(u32);
word!(u64);

/// A number that must fit.
fn word<W: Word>(value: u64) -> Decoded<W> {
    let word = W::cut(value);
    if word.wide() == value { Ok(word) } else { Err(Damage(format!("an integer of {value}"))) }
}

/// How many values a dictionary has, of `count` that refer to it.
pub(super) fn distinct(cursor: &mut Cursor<'_>, count: u32) -> Decoded<u32> {
    let distinct = cursor.varint_u32()?;
    if distinct > count {
        return Err(Damage(format!("{distinct} distinct values, of {count}")));
    }
    Ok(distinct)
}

impl Planes {
    /// Stores planes, of which those that have frames of their own may be compressed already.
    fn put(planes: &[Vec<u8>], frames: Vec<(Frame, Vec<u8>)>, sink: &mut Sink) -> io::Result<Self> {
        // Where all have frames of their own, nobody asks.
        let may_share = |plane: &Vec<u8>| !Kind::Random.has_own_frame(plane.len() as u32);
        let is_random = |plane: &&Vec<u8>| may_share(plane) && is_random(plane);
        let random = planes.iter().take_while(is_random).count();
        let mut frames = frames.into_iter();
        let mut places = Vec::with_capacity(planes.len());
        for (number, plane) in planes.iter().enumerate() {
            let kind = if number < random { Kind::Random } else { Kind::Planes };
            let len = u32::try_from(plane.len()).map_err(io::Error::other)?;
            places.push(match frames.next().filter(|_| kind.has_own_frame(len)) {
                Some(frame) => sink.put_frame(kind, frame, len)?,
                None => sink.put(kind, plane)?,
            });
        }
        Ok(Self { places, random: random as u8 })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.places.len() as u8 | self.random << 4);
    }

    fn decode(cursor: &mut Cursor<'_>, count: u32, decoding: &mut Decoding) -> Decoded<Self> {
        let byte = cursor.u8()?;
        let (width, random) = if decoding.is_older() { (byte, 0) } else { (byte & 15, byte >> 4) };
        if !(1..=8).contains(&width) || random > width {
            return Err(Damage(format!("integers of {width} bytes, {random} of them random")));
        }
        let place = |number| {
            let kind = if number < random { Kind::Random } else { Kind::Planes };
            decoding.place(cursor, kind, count.into())
        };
        Ok(Self { places: (0..width).map(place).collect::<Decoded<_>>()?, random })
    }
}

/// Whether a plane is as good as random: two of its bytes are alike at most twice as often as two random ones.
fn is_random(plane: &[u8]) -> bool {
    if plane.len() < RANDOM_BYTES_MIN {
        return false;
    }
    let mut counts = [0_u64; 256];
    plane.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let alike: u64 = counts.iter().map(|count| count * count.saturating_sub(1)).sum();
    let len = plane.len() as u64;
    alike * 256 <= len * (len - 1) * 2
}

fn bits_of(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

/// The least and the largest value; 0 where there is none.
fn bounds(values: &[u64]) -> (u64, u64) {
    let first = values.first().copied().unwrap_or_default();
    // Four at a time, none of which waits for another.
    let (fours, rest) = values.as_chunks::<4>();
    let (mut least, mut largest) = ([first; 4], [first; 4]);
    for four in fours {
        least = array::from_fn(|lane| least[lane].min(four[lane]));
        largest = array::from_fn(|lane| largest[lane].max(four[lane]));
    }
    let least = least.iter().chain(rest).fold(first, |least, value| least.min(*value));
    (least, largest.iter().chain(rest).fold(first, |largest, value| largest.max(*value)))
}

fn deltas_of(values: &[u64]) -> impl Iterator<Item = u64> {
    let mut last = 0;
    values.iter().map(move |value| {
        let delta = value.wrapping_sub(last).cast_signed();
        last = *value;
        zigzag(delta)
    })
}

/// The bytes of values, the lowest of all first. As many planes as the largest value has bytes.
fn planes_of(values: &[u64]) -> Vec<Vec<u8>> {
    let all = values.iter().fold(0, |all, value| all | value);
    let width = bits_of(all).div_ceil(8).max(1);
    let plane = |byte: u32| values.iter().map(|value| (value >> (8 * byte)) as u8).collect();
    (0..width).map(plane).collect()
}

/// The planes of `count` integers.
pub(super) fn plane_bytes(
    planes: &[Place],
    count: usize,
    source: &impl Source,
) -> Decoded<Vec<Vec<u8>>> {
    let plane = |place: &Place| {
        source.with(*place, |bytes| match bytes.len() == count {
            true => Ok(bytes.to_vec()),
            false => Err(Damage(format!("{} bytes for {count} integers", bytes.len()))),
        })
    };
    planes.iter().map(plane).collect()
}

fn read_planes<W: Word>(planes: &[Place], count: usize, source: &impl Source) -> Decoded<Vec<W>> {
    if planes.len() > W::BYTES {
        return Err(Damage(format!("integers of {} bytes, not {}", planes.len(), W::BYTES)));
    }
    Ok(join(&plane_bytes(planes, count, source)?))
}

/// The integers whose bytes lie in planes of one length, as many as the integers have bytes at the most.
///
/// A plane at a time, in loops that are compiled to several values at a time whatever they are inlined into.
fn join<W: Word>(planes: &[Vec<u8>]) -> Vec<W> {
    let Some((lowest, others)) = planes.split_first() else { return Vec::new() };
    let mut values: Vec<W> = lowest.iter().map(|byte| W::cut(u64::from(*byte))).collect();
    for (shift, plane) in (8..).step_by(8).zip(others) {
        for (value, byte) in values.iter_mut().zip(plane) {
            *value = value.with_byte(*byte, shift);
        }
    }
    values
}

fn pack(values: impl Iterator<Item = u64>, bits: u32, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len + 8);
    let (mut word, mut filled) = (0_u64, 0);
    for value in values {
        word |= value << filled;
        filled += bits;
        while filled >= 8 {
            out.push(word as u8);
            word >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(word as u8);
    }
    out
}

/// The bytes that `count` integers are packed in, if they are.
pub(super) fn packed_bytes(bytes: &[u8], bits: u8, count: usize) -> Decoded<&[u8]> {
    match bytes.len() == (count * usize::from(bits)).div_ceil(8) {
        true => Ok(bytes),
        false => Err(Damage(format!("{} bytes for {count} integers of {bits} bits", bytes.len()))),
    }
}

/// One of the integers that are packed in some bytes; `None` beyond the last.
pub(super) fn unpack_at(bytes: &[u8], bits: u8, place: usize) -> Option<u64> {
    let bits = usize::from(bits);
    let bit = place.checked_mul(bits)?;
    // Those that end in the last byte may be fewer than it has room for, never more.
    let rest = bytes.get(bit / 8..).filter(|rest| rest.len() * 8 >= bit % 8 + bits)?;
    let mut word = [0; 8];
    let len = rest.len().min(8);
    word[..len].copy_from_slice(&rest[..len]);
    Some(u64::from_le_bytes(word) >> (bit % 8) & ((1_u64 << bits) - 1))
}

/// Fewer than 57 bits lie in eight bytes wherever they begin.
fn unpack<W: Word>(bytes: &[u8], base: W, bits: u8, count: usize) -> Decoded<Vec<W>> {
    let bytes = packed_bytes(bytes, bits, count)?;
    let bits = usize::from(bits);
    if bits > 8 * W::BYTES {
        return Err(Damage(format!("integers of {bits} bits")));
    }
    let mask = (1_u64 << bits) - 1;
    let mut values = Vec::with_capacity(count);
    // All but the last few are read eight bytes at a time.
    let whole = bytes.len().checked_sub(8).map_or(0, |last| (last * 8 / bits + 1).min(count));
    for index in 0..whole {
        let bit = index * bits;
        let word = bytes[bit / 8..].first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
        values.push(W::cut(word >> (bit % 8) & mask).plus(base));
    }
    for index in whole..count {
        let value = unpack_at(bytes, bits as u8, index).unwrap_or_default();
        values.push(W::cut(value).plus(base));
    }
    Ok(values)
}

/// The distinct values, ascending, and which of them each value is, where that is likely to be smaller.
fn dictionary(values: &[u64], span: u64) -> Option<(Vec<u64>, Vec<u64>)> {
    let (trial, distinct_max) = DICTIONARY_TRIAL;
    if span < 256 || values.len() < 64 {
        return None;
    }
    let mut counts: HashMap<u64, u64> = HashMap::with_capacity(distinct_max);
    let mut last = None;
    for (index, value) in values.iter().enumerate() {
        if last.replace(*value) == Some(*value) {
            continue;
        }
        counts.entry(*value).or_default();
        // That many of the first ones are too many, whatever comes behind them.
        let is_trial = index <= trial && trial < values.len();
        if is_trial && counts.len() > distinct_max || counts.len() > DICTIONARY_MAX {
            return None;
        }
    }
    let code_bits = bits_of(counts.len() as u64 - 1) as usize;
    let plain = values.len() * bits_of(span) as usize;
    if values.len() * code_bits + counts.len() * 16 > plain / 8 * 6 {
        return None;
    }
    let mut distinct: Vec<u64> = counts.keys().copied().collect();
    distinct.sort_unstable();
    (0..).zip(&distinct).for_each(|(code, value)| {
        counts.insert(*value, code);
    });
    let codes = values.iter().map(|value| counts.get(value).copied().unwrap_or_default());
    Some((distinct.clone(), codes.collect()))
}
