//! Columns of texts: the values of a slot.
//!
//! ```text
//! column     kind u8, then
//!   0 numbers     width varint │ lengths, if the width is 0 │ integers
//!                                                     decimal; padded with zeros to the width if that is not 0
//!   1 hexadecimal digits varint │ is upper case u8    n × digits, two in a byte, the first one high
//!   2 dictionary  count varint │ column │ integers    distinct values; then which of them each value is
//!   3 texts       lengths │ bytes │ integers │ longest word varint │ parts varint │ parts × length varint
//!                                                     the lengths; the values one after the other
//!   4 templates   table                               also of values such as `17ms`: see [`runs`]
//!   5 same        slot varint                         the values of an earlier slot of the same template
//! lengths    shortest varint │ longest - shortest varint
//! bytes      octets u16 │ others u8 │ octets × u8     which bytes there are
//! ```

use std::io;

use foldhash::{HashMap, HashMapExt};

use super::super::codec::{Cursor, Damage, Decoded, put_varint};
use super::Listener;
use super::decoding::Decoding;
use super::ints::{IntColumn, distinct};
use super::numbers::{Numbers, numbers};
use super::runs;
use super::sink::{Kind, Place, Sink};
use super::split::{Draft, Texts, split};
use super::stamp::{ByteSet, Stamp, hexadecimal};
use super::table::Table;
use crate::needle::longer_word;

const NUMBERS: u8 = 0;
const HEXADECIMAL: u8 = 1;
const DICTIONARY: u8 = 2;
const TEXTS: u8 = 3;
const TEMPLATES: u8 = 4;
const SAME: u8 = 5;

/// Bytes of texts in one frame, where they are compressed in haste, and where they are compressed well: what a reader
/// of one value has to decompress, and, in the latter case, how far back a text can refer.
const TEXT_FRAME_BYTES: (usize, usize) = (1 << 20, 2 << 20);

/// Fewer texts than these have no dictionary.
const DICTIONARY_TEXTS_MIN: usize = 16;

/// How many texts are looked at before a dictionary is given up, and how many distinct ones they may have.
const DICTIONARY_TRIAL: (usize, usize) = (2048, 1400);

/// How many texts are looked at to see whether a column takes few values, and how many these may be.
const FEW_VALUES: (usize, usize) = (64, 16);

/// Shorter texts than this on average are not split into templates of their own, and fewer have none of any kind.
const NESTED_TEXT_LEN_MIN: usize = 12;
const NESTED_TEXTS_MIN: usize = 16;

/// Templates of values that save less than this, as a ratio, are weighed against the values as they are.
const SURE_RATIO: usize = 16;

/// How deep tables are nested: digits with a unit in a text in a line.
pub(super) const DEPTH_MAX: usize = 3;

/// How the values of a slot are stored.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) stamp: Stamp,
    pub(super) coding: Coding,
    /// Which cell what is read of them goes to.
    pub(super) cell: u32,
}

/// About how many bytes of memory a column takes, with the places of its planes.
pub(in crate::segment) const COLUMN_BYTES: usize = size_of::<Column>() + 4 * size_of::<Place>();

/// See the module's drawing.
#[derive(Debug)]
pub(super) enum Coding {
    Numbers { width: u32, values: IntColumn },
    Hexadecimal { digits: u32, is_upper: bool, place: Place },
    Dictionary { count: u32, values: Box<Column>, codes: IntColumn },
    Texts { lengths: IntColumn, word_max: u32, places: Vec<Place> },
    Templates(Box<Table>),
    Same { slot: u32 },
}

/// What a pass over all values found.
#[derive(Debug)]
struct Survey {
    stamp: Stamp,
    is_hex: [bool; 2],
}

impl Survey {
    fn of(texts: Texts<'_>) -> Self {
        let stamp = Stamp::of(texts);
        let is_hex = |is_upper: bool| {
            let allowed = ByteSet::of(hexadecimal(is_upper));
            stamp.bytes.is_in(allowed) && stamp.len_min == stamp.len_max && stamp.len_min > 3
        };
        Self { stamp, is_hex: [is_hex(false), is_hex(true)] }
    }
}

impl Column {
    pub(super) fn new(stamp: Stamp, coding: Coding) -> Self {
        Self { stamp, coding, cell: 0 }
    }

    /// Stores values in the form that suits them.
    pub(super) fn write(
        texts: Texts<'_>,
        is_quoted: bool,
        depth: usize,
        sink: &mut Sink,
        listener: Option<&mut dyn Listener>,
    ) -> io::Result<Self> {
        // What takes few values is known by these.
        let dictionary_first = takes_few_values(texts).then(|| dictionary(texts, FEW_VALUES.1));
        let found = dictionary_first.as_ref().and_then(Option::as_ref);
        let distinct = found.map_or(texts.spans, |(distinct, _)| distinct);
        let distinct = Texts { bytes: texts.bytes, spans: distinct };
        if let Some(Numbers { stamp, width, values }) = numbers(distinct) {
            if let Some(listener) = listener {
                tell(distinct, &stamp, listener);
            }
            let values = match found {
                Some((_, codes)) => codes.iter().map(|code| values[*code as usize]).collect(),
                None => values,
            };
            let values = IntColumn::write(&values, sink)?;
            return Ok(Self::new(stamp, Coding::Numbers { width, values }));
        }
        let survey = Survey::of(distinct);
        if let Some(listener) = listener {
            tell(distinct, &survey.stamp, listener);
        }
        let dictionary = dictionary_first.unwrap_or_else(|| dictionary(texts, DICTIONARY_TRIAL.1));
        if let Some((distinct, codes)) = dictionary {
            let count = u32::try_from(distinct.len()).unwrap_or(u32::MAX);
            let distinct = Texts { bytes: texts.bytes, spans: &distinct };
            let values = Box::new(Self::write_plain(distinct, is_quoted, depth, sink)?);
            let codes = IntColumn::write(&codes, sink)?;
            return Ok(Self::new(survey.stamp, Coding::Dictionary { count, values, codes }));
        }
        Self::write_surveyed(texts, is_quoted, depth, &survey, sink)
    }

    /// As [`write`](Self::write), without a dictionary.
    fn write_plain(
        texts: Texts<'_>,
        is_quoted: bool,
        depth: usize,
        sink: &mut Sink,
    ) -> io::Result<Self> {
        Self::write_surveyed(texts, is_quoted, depth, &Survey::of(texts), sink)
    }

    fn write_surveyed(
        texts: Texts<'_>,
        is_quoted: bool,
        depth: usize,
        survey: &Survey,
        sink: &mut Sink,
    ) -> io::Result<Self> {
        let stamp = survey.stamp;
        if let Some(is_upper) = survey.is_hex.iter().position(|is_hex| *is_hex) {
            let place = sink.put(Kind::Random, &pack_hex(texts))?;
            let is_upper = is_upper == 1;
            let coding = Coding::Hexadecimal { digits: stamp.len_max, is_upper, place };
            return Ok(Self::new(stamp, coding));
        }
        let coding = match nested(texts, is_quoted, depth, stamp, sink) {
            Some(drafts) => write_smaller(texts, drafts, depth, sink)?,
            None => write_texts(texts, sink)?,
        };
        Ok(Self::new(stamp, coding))
    }

    /// What no run of ASCII letters and digits in a value is longer than.
    pub(super) fn word_max(&self) -> u32 {
        match &self.coding {
            Coding::Texts { word_max, .. } => self.stamp.len_max.min(*word_max),
            Coding::Dictionary { values, .. } => values.word_max(),
            Coding::Templates(table) => self.stamp.len_max.min(table.word_max()),
            _ => self.stamp.len_max,
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match &self.coding {
            Coding::Numbers { width, values } => {
                out.push(NUMBERS);
                put_varint(out, (*width).into());
                if *width == 0 {
                    self.stamp.encode_lens(out);
                }
                values.encode(out);
            }
            Coding::Hexadecimal { digits, is_upper, .. } => {
                out.push(HEXADECIMAL);
                put_varint(out, (*digits).into());
                out.push((*is_upper).into());
            }
            Coding::Dictionary { count, values, codes } => {
                out.push(DICTIONARY);
                put_varint(out, (*count).into());
                values.encode(out);
                codes.encode(out);
            }
            Coding::Texts { lengths, word_max, places } => {
                out.push(TEXTS);
                self.stamp.encode(out);
                lengths.encode(out);
                put_varint(out, (*word_max).into());
                put_varint(out, places.len() as u64);
                places.iter().for_each(|place| put_varint(out, place.len.into()));
            }
            Coding::Templates(table) => {
                out.push(TEMPLATES);
                table.encode(out);
            }
            Coding::Same { slot } => {
                out.push(SAME);
                put_varint(out, (*slot).into());
            }
        }
    }

    /// Reads how a column of `count` values is stored, and counts its cells. `earlier` are the slots before it.
    pub(super) fn decode(
        cursor: &mut Cursor<'_>,
        count: u32,
        depth: usize,
        earlier: &[Self],
        decoding: &mut Decoding,
    ) -> Decoded<Self> {
        Self::decode_nested(cursor, count, depth, Some(earlier), decoding)
    }

    /// As [`decode`](Self::decode); without earlier slots, of the values of a dictionary.
    fn decode_nested(
        cursor: &mut Cursor<'_>,
        count: u32,
        depth: usize,
        earlier: Option<&[Self]>,
        decoding: &mut Decoding,
    ) -> Decoded<Self> {
        let cell = decoding.cell();
        let stored = match decoding.is_older() {
            true => Some(Stamp::decode_older(cursor, decoding.version)?),
            false => None,
        };
        let (stamp, coding) = match (cursor.u8()?, earlier) {
            (NUMBERS, _) => {
                let width = width(cursor)?;
                let lens = match width {
                    0 if stored.is_none() => Stamp::decode_lens(cursor)?,
                    _ => (width, width),
                };
                let values = IntColumn::decode(cursor, count, decoding)?;
                (Stamp::of_numbers(lens), Coding::Numbers { width, values })
            }
            (HEXADECIMAL, _) => {
                let (digits, is_upper) = (cursor.varint_u32()?, cursor.u8()? != 0);
                let len = (u64::from(count) * u64::from(digits)).div_ceil(2);
                let place = decoding.place(cursor, Kind::Random, len)?;
                let stamp = Stamp::of_hexadecimal(digits, is_upper);
                (stamp, Coding::Hexadecimal { digits, is_upper, place })
            }
            (DICTIONARY, Some(_)) => {
                let distinct = distinct(cursor, count)?;
                let values = Self::decode_nested(cursor, distinct, depth, None, decoding)?;
                let codes = IntColumn::decode(cursor, count, decoding)?;
                let (stamp, values) = (values.stamp, Box::new(values));
                (stamp, Coding::Dictionary { count: distinct, values, codes })
            }
            (TEXTS, _) => {
                let stamp = stored.map_or_else(|| Stamp::decode(cursor), Ok)?;
                let lengths = IntColumn::decode(cursor, count, decoding)?;
                let word_max =
                    if decoding.version == 2 { u32::MAX } else { cursor.varint_u32()? };
                let places: Decoded<Vec<_>> =
                    (0..cursor.count()?).map(|_| decoding.place_of_texts(cursor)).collect();
                let coding = Coding::Texts { lengths, word_max, places: places? };
                (stamp, coding)
            }
            (TEMPLATES, _) if depth < DEPTH_MAX => {
                let table = Box::new(Table::decode(cursor, depth + 1, decoding)?);
                (table.stamp(), Coding::Templates(table))
            }
            (SAME, Some(earlier)) => {
                let slot = cursor.varint_u32()?;
                let column = earlier.get(slot as usize);
                let column = column.filter(|column| !matches!(column.coding, Coding::Same { .. }));
                let stamp = column.map(|column| column.stamp);
                let index = earlier.len();
                let damage = || Damage(format!("slot {index} is to be as slot {slot}"));
                (stamp.ok_or_else(damage)?, Coding::Same { slot })
            }
            (kind, _) => {
                return Err(Damage(format!("a column of the kind {kind} at depth {depth}")));
            }
        };
        Ok(Self { stamp: stored.unwrap_or(stamp), coding, cell })
    }
}

/// Tells values, as far as they are wanted.
fn tell(texts: Texts<'_>, stamp: &Stamp, listener: &mut dyn Listener) {
    if stamp.is_digits() && (stamp.len_max as usize) < listener.digits_min() {
        return;
    }
    match stamp.is_words() {
        true => texts.iter().for_each(|text| listener.word(text)),
        false => texts.iter().for_each(|text| listener.piece(text)),
    }
}

/// The templates that values may have among themselves; `None` where none are looked for, or found.
fn nested(
    texts: Texts<'_>,
    is_quoted: bool,
    depth: usize,
    stamp: Stamp,
    sink: &mut Sink,
) -> Option<Vec<Draft>> {
    if depth >= DEPTH_MAX || texts.len() < NESTED_TEXTS_MIN {
        return None;
    }
    if is_quoted && texts.total() >= texts.len() * NESTED_TEXT_LEN_MIN {
        return Some(split(texts, &mut sink.tokens));
    }
    if stamp.has_digits() { runs::draft(texts).map(|draft| vec![draft]) } else { None }
}

fn width(cursor: &mut Cursor<'_>) -> Decoded<u32> {
    let width = cursor.varint_u32()?;
    if width < 20 { Ok(width) } else { Err(Damage(format!("numbers of {width} digits"))) }
}

fn pack_hex(texts: Texts<'_>) -> Vec<u8> {
    let mut packed = Vec::with_capacity(texts.total().div_ceil(2));
    let mut high = None;
    for digit in texts.iter().flatten() {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            _ => (digit | 0x20) - b'a' + 10,
        };
        match high.take() {
            None => high = Some(value << 4),
            Some(high) => packed.push(high | value),
        }
    }
    packed.extend(high);
    packed
}

/// Stores texts by their templates, or as they are if that takes less.
fn write_smaller(
    texts: Texts<'_>,
    drafts: Vec<Draft>,
    depth: usize,
    sink: &mut Sink,
) -> io::Result<Coding> {
    let weighed = sink.weigh(true);
    let mark = sink.mark();
    let table = Table::write_drafts(texts, drafts, depth + 1, sink, None)?;
    let table_bytes = sink.weight_behind(&mark)? + table.described_bytes();
    let mut coding = Coding::Templates(Box::new(table));
    if table_bytes * SURE_RATIO >= texts.total() {
        let taken = sink.take(&mark);
        let plain = write_texts(texts, sink)?;
        if sink.weight_behind(&mark)? <= table_bytes {
            coding = plain;
        } else {
            sink.take(&mark);
            sink.put_back(taken);
        }
    }
    sink.weigh(weighed);
    Ok(coding)
}

fn write_texts(texts: Texts<'_>, sink: &mut Sink) -> io::Result<Coding> {
    let lengths: Vec<u64> = texts.iter().map(|text| text.len() as u64).collect();
    let lengths = IntColumn::write(&lengths, sink)?;
    let (hasty, thorough) = TEXT_FRAME_BYTES;
    let frame_bytes = if sink.is_hasty() { hasty } else { thorough };
    let mut bytes = Vec::new();
    let mut places = Vec::new();
    for text in texts.iter() {
        bytes.extend_from_slice(text);
        if bytes.len() >= frame_bytes {
            places.push(sink.put(Kind::Texts, &bytes)?);
            bytes.clear();
        }
    }
    if !bytes.is_empty() {
        places.push(sink.put(Kind::Texts, &bytes)?);
    }
    let word_max = texts.iter().fold(0, |longest, text| longer_word(text, longest));
    let word_max = u32::try_from(word_max).unwrap_or(u32::MAX);
    Ok(Coding::Texts { lengths, word_max, places })
}

/// Whether the first of some texts are so few different ones that a dictionary is likely to be found.
fn takes_few_values(texts: Texts<'_>) -> bool {
    let (sample, few) = FEW_VALUES;
    texts.len() >= DICTIONARY_TEXTS_MIN && texts.take_at_most(few, sample)
}

/// Distinct texts, as places, and which of them each text is.
type Dictionary = (Vec<(u32, u32)>, Vec<u64>);

/// The distinct texts, in the order in which they come first, and which of them each text is, where
/// there are few enough. There is room at once for `distinct_about`.
fn dictionary(texts: Texts<'_>, distinct_about: usize) -> Option<Dictionary> {
    let (trial, trial_max) = DICTIONARY_TRIAL;
    if texts.len() < DICTIONARY_TEXTS_MIN {
        return None;
    }
    let distinct_about = distinct_about.min(texts.len());
    let mut numbers: HashMap<&[u8], u64> = HashMap::with_capacity(distinct_about);
    let mut distinct = Vec::with_capacity(distinct_about);
    let mut distinct_bytes = 0;
    let mut codes = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        if let Some(code) = numbers.get(text) {
            codes.push(*code);
            continue;
        }
        let next = distinct.len() as u64;
        numbers.insert(text, next);
        codes.push(next);
        distinct.push(texts.spans[index]);
        distinct_bytes += text.len();
        // That many of the first ones are too many, whatever comes behind them.
        if index <= trial && trial < texts.len() && distinct.len() > trial_max {
            return None;
        }
    }
    // A code costs up to two bytes, and zstd makes something of repeated texts, too.
    let is_worth_it = distinct.len() * 2 <= texts.len() && distinct_bytes * 2 <= texts.total();
    is_worth_it.then_some((distinct, codes))
}
