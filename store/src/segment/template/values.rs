//! Reading: columns as values by their place, and texts made of them.

use std::sync::OnceLock;

use super::super::codec::{Damage, Decoded};
use super::column::{Coding, Column};
use super::ints::IntColumn;
use super::lazy::Lazy;
use super::raw::RawInts;
use super::sink::{Place, Source};
use super::table::{Table, Template};

/// What is kept of a column that was read.
#[derive(Debug)]
pub(super) enum Values {
    Numbers(Vec<u64>),
    /// Numbers of at most nine digits.
    SmallNumbers(Vec<u32>),
    /// Hexadecimal digits, two in a byte.
    Digits(Vec<u8>),
    /// Which of a dictionary's values.
    Codes(Vec<u32>),
    Texts(TextValues),
    /// The table keeps its own.
    Templates,
    /// Those of a table.
    Places(TemplatePlaces),
}

/// Texts one after the other, in frames.
#[derive(Debug)]
pub(super) struct TextValues {
    /// Where each begins, and where the last one ends.
    pub(super) starts: Vec<u32>,
    frames: Vec<TextFrame>,
}

/// No text lies in two frames.
#[derive(Debug)]
struct TextFrame {
    start: u32,
    place: Place,
    bytes: Lazy<Vec<u8>>,
}

/// The templates of a table's texts.
#[derive(Debug)]
pub(super) struct TemplatePlaces {
    pub(super) numbers: Vec<u16>,
    /// Which of its template's texts each text is. A search does without.
    ranks: OnceLock<Vec<u32>>,
}

/// Which values are about to be looked at: all, or those at some places, ascending.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted<'a> {
    All,
    These(&'a [u32]),
    /// So few that most of what decoding all would take is saved.
    Few(&'a [u32]),
}

impl<'a> Wanted<'a> {
    /// As many of `count`, at these places.
    fn at(places: &'a [u32], count: usize) -> Self {
        match are_few(places, count) {
            true => Self::Few(places),
            false => Self::These(places),
        }
    }
}

/// Values are few when there are more than so many times as many in the column.
const FEW_PART: usize = 64;

/// Whether values at these places are few of `count`.
pub(in crate::segment) const fn are_few(places: &[u32], count: usize) -> bool {
    places.len().saturating_mul(FEW_PART) < count
}

/// A column whose wanted values are in memory.
#[derive(Debug)]
pub(super) enum Loaded<'a> {
    Numbers {
        width: usize,
        values: &'a [u64],
    },
    SmallNumbers {
        width: usize,
        values: &'a [u32],
    },
    Digits {
        count: usize,
        is_upper: bool,
        bytes: &'a [u8],
    },
    Dictionary {
        values: Box<Loaded<'a>>,
        codes: &'a [u32],
    },
    Texts(&'a TextValues),
    Templates(LoadedTable<'a>),
    /// Numbers that are decoded one by one.
    RawNumbers {
        width: usize,
        values: &'a RawInts,
    },
    /// A dictionary whose codes are.
    RawDictionary {
        values: Box<Loaded<'a>>,
        codes: &'a RawInts,
    },
}

/// A table whose wanted texts can be made.
#[derive(Debug)]
pub(in crate::segment) struct LoadedTable<'a> {
    /// `None` where there is one template.
    places: Option<&'a TemplatePlaces>,
    /// `None` for those that no wanted text has.
    templates: Vec<Option<(&'a Template, Vec<Loaded<'a>>)>>,
}

impl TemplatePlaces {
    /// The templates of texts, of which the templates of a table have so many each.
    fn new(numbers: Vec<u16>, counts: impl ExactSizeIterator<Item = u32>) -> Decoded<Self> {
        let mut found = vec![0; counts.len()];
        for number in &numbers {
            let count = found.get_mut(usize::from(*number));
            *count.ok_or_else(|| Damage(format!("template {number}")))? += 1;
        }
        match counts.eq(found) {
            true => Ok(Self { numbers, ranks: OnceLock::new() }),
            false => Err(Damage::new("templates of other counts")),
        }
    }

    fn memory_bytes(&self) -> usize {
        size_of_val(&self.numbers[..]) + self.ranks.get().map_or(0, |ranks| size_of_val(&ranks[..]))
    }

    fn ranks(&self) -> &[u32] {
        self.ranks.get_or_init(|| {
            let last = self.numbers.iter().max();
            let mut counts = vec![0; last.map_or(0, |last| usize::from(*last) + 1)];
            let mut ranks = Vec::with_capacity(self.numbers.len());
            for number in &self.numbers {
                let count = &mut counts[usize::from(*number)];
                ranks.push(*count);
                *count += 1;
            }
            ranks
        })
    }

    /// The template of a text, and which of its texts it is.
    pub(super) fn of(&self, text: usize) -> Option<(usize, usize)> {
        Some((usize::from(*self.numbers.get(text)?), *self.ranks().get(text)? as usize))
    }

    /// Some texts as places in the columns of each of so many templates.
    pub(super) fn by_template(&self, texts: &[u32], templates: usize) -> Vec<Vec<u32>> {
        let mut ranks = vec![Vec::new(); templates];
        for (number, rank) in texts.iter().filter_map(|text| self.of(*text as usize)) {
            // Ranks are counted in 32 bits.
            ranks[number].push(rank as u32);
        }
        ranks
    }
}

impl Values {
    /// Bytes of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Numbers(values) => size_of_val(&values[..]),
            Self::SmallNumbers(values) | Self::Codes(values) => size_of_val(&values[..]),
            Self::Digits(bytes) => bytes.len(),
            Self::Texts(texts) => {
                let frames = texts.frames().map(|(_, bytes)| bytes.len());
                size_of_val(&texts.starts[..]) + frames.sum::<usize>()
            }
            Self::Templates => 0,
            Self::Places(places) => places.memory_bytes(),
        }
    }
}

impl TextValues {
    fn read(
        lengths: &super::ints::IntColumn,
        places: &[Place],
        count: usize,
        source: &impl Source,
    ) -> Decoded<Self> {
        let mut starts = Vec::with_capacity(count + 1);
        let mut end = 0_u32;
        starts.push(end);
        for length in lengths.read::<u32>(count, source)? {
            let next = end.checked_add(length);
            end = next.ok_or_else(|| Damage::new("texts of over 4 GiB"))?;
            starts.push(end);
        }
        let mut start = 0_u32;
        let frame = |place: &Place| {
            let frame = TextFrame { start, place: *place, bytes: Lazy::default() };
            start = start.saturating_add(place.len);
            frame
        };
        let frames = places.iter().map(frame).collect();
        if start != end {
            return Err(Damage(format!("texts of {end} bytes in {start}")));
        }
        Ok(Self { starts, frames })
    }

    fn load(&self, wanted: Wanted<'_>, source: &impl Source) -> Decoded<()> {
        let load = |frame: &TextFrame| {
            let read = || source.with(frame.place, |bytes| Ok(bytes.to_vec()));
            frame.bytes.get_or_try(read).map(|_| ())
        };
        match wanted {
            Wanted::All => self.frames.iter().try_for_each(load),
            Wanted::These(places) | Wanted::Few(places) if self.frames.len() > 1 => places
                .iter()
                .try_for_each(|place| self.frame_of(*place as usize).map_or(Ok(()), load)),
            Wanted::These(_) | Wanted::Few(_) => self.frames.iter().try_for_each(load),
        }
    }

    fn frame_of(&self, place: usize) -> Option<&TextFrame> {
        let start = self.starts.get(place)?;
        let behind = self.frames.partition_point(|frame| frame.start <= *start);
        self.frames.get(behind.checked_sub(1)?)
    }

    /// A value that was loaded; nothing for one that was not.
    pub(super) fn get(&self, place: usize) -> &[u8] {
        let span = |frame: &TextFrame| {
            let at = |place: usize| Some((self.starts.get(place)? - frame.start) as usize);
            Some(at(place)?..at(place + 1)?)
        };
        let bytes = self
            .frame_of(place)
            .and_then(|frame| frame.bytes.loaded().and_then(|bytes| bytes.get(span(frame)?)));
        bytes.unwrap_or_default()
    }

    /// The frames that were loaded, each with the place of its first byte.
    pub(super) fn frames(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.frames.iter().filter_map(|frame| Some((frame.start, frame.bytes.loaded()?.as_slice())))
    }
}

impl Column {
    /// Reads the wanted ones of a column's `count` values, unless they were read before.
    pub(super) fn load<'a>(
        &'a self,
        count: usize,
        wanted: Wanted<'_>,
        source: &'a impl Source,
    ) -> Decoded<Loaded<'a>> {
        if let Wanted::Few(places) = wanted
            && !source.cells().values.has(self.cell)
            && let Some(loaded) = self.load_few(count, places, source)?
        {
            return Ok(loaded);
        }
        let values = source.cells().values.get(self.cell, || self.read(count, source))?;
        Ok(match (&self.coding, values) {
            (Coding::Numbers { width, .. }, Values::Numbers(values)) => {
                Loaded::Numbers { width: *width as usize, values }
            }
            (Coding::Numbers { width, .. }, Values::SmallNumbers(values)) => {
                Loaded::SmallNumbers { width: *width as usize, values }
            }
            (Coding::Hexadecimal { digits, is_upper, .. }, Values::Digits(bytes)) => {
                Loaded::Digits { count: *digits as usize, is_upper: *is_upper, bytes }
            }
            (Coding::Dictionary { count, values, .. }, Values::Codes(codes)) => {
                let values = Box::new(values.load(*count as usize, Wanted::All, source)?);
                Loaded::Dictionary { values, codes }
            }
            (Coding::Texts { .. }, Values::Texts(texts)) => {
                texts.load(wanted, source)?;
                Loaded::Texts(texts)
            }
            (Coding::Templates(table), Values::Templates) => {
                Loaded::Templates(table.load(wanted, source)?)
            }
            _ => return Err(Damage::new("a column of another column's values")),
        })
    }

    /// Reads a few values of a column without decoding the others; `None` of columns where that does not pay.
    fn load_few<'a>(
        &'a self,
        count: usize,
        places: &[u32],
        source: &'a impl Source,
    ) -> Decoded<Option<Loaded<'a>>> {
        // What decoding all would have found to be wrong is found for those that are wanted.
        let raw = |column: &IntColumn, end: Option<u32>| {
            let values =
                source.cells().raw.get(self.cell, || RawInts::read(column, count, source))?;
            let is_good = |value| end.is_none_or(|end| value < u64::from(end));
            let mut wanted = places.iter().map(|place| values.get(*place as usize));
            match wanted.all(|value| value.is_some_and(is_good)) {
                true => Ok(values),
                false => Err(Damage::new("a code that stands for nothing")),
            }
        };
        Ok(match &self.coding {
            Coding::Numbers { width, values } => {
                let values = raw(values, None)?;
                Some(Loaded::RawNumbers { width: *width as usize, values })
            }
            Coding::Dictionary { count: distinct, values, codes } => {
                let codes = raw(codes, Some(*distinct))?;
                let values = Box::new(values.load(*distinct as usize, Wanted::All, source)?);
                Some(Loaded::RawDictionary { values, codes })
            }
            _ => None,
        })
    }

    fn read(&self, count: usize, source: &impl Source) -> Decoded<Values> {
        Ok(match &self.coding {
            Coding::Numbers { values, .. } if self.stamp.len_max < 10 => {
                Values::SmallNumbers(values.read(count, source)?)
            }
            Coding::Numbers { values, .. } => Values::Numbers(values.read(count, source)?),
            Coding::Hexadecimal { digits, place, .. } => {
                Values::Digits(source.with(*place, |bytes| {
                    let expected = (count * *digits as usize).div_ceil(2);
                    match bytes.len() == expected {
                        true => Ok(bytes.to_vec()),
                        false => Err(Damage(format!("{} bytes of {expected}", bytes.len()))),
                    }
                })?)
            }
            Coding::Dictionary { count: distinct, codes, .. } => {
                let codes: Vec<u32> = codes.read(count, source)?;
                match codes.iter().find(|code| *code >= distinct) {
                    Some(code) => return Err(Damage(format!("code {code} of {distinct}"))),
                    None => Values::Codes(codes),
                }
            }
            Coding::Texts { lengths, places, .. } => {
                Values::Texts(TextValues::read(lengths, places, count, source)?)
            }
            Coding::Templates(table) if table.count as usize == count => Values::Templates,
            Coding::Templates(table) => {
                return Err(Damage(format!("a table of {} texts for {count}", table.count)));
            }
            Coding::Same { .. } => return Err(Damage::new("a column that has no values")),
        })
    }
}

impl Template {
    /// The column that has a slot's values.
    pub(super) fn column(&self, slot: usize) -> Option<&Column> {
        let column = self.slots.get(slot)?;
        match column.coding {
            Coding::Same { slot } => self.slots.get(slot as usize),
            _ => Some(column),
        }
    }

    pub(super) fn load<'a>(
        &'a self,
        wanted: Wanted<'_>,
        source: &'a impl Source,
    ) -> Decoded<Vec<Loaded<'a>>> {
        let columns = (0..self.slots.len()).filter_map(|slot| self.column(slot));
        columns.map(|column| column.load(self.count as usize, wanted, source)).collect()
    }
}

impl Table {
    /// How many texts there are.
    pub(in crate::segment) const fn len(&self) -> usize {
        self.count as usize
    }

    /// The template and the rank of each text; `None` where there is one template, or no text.
    pub(super) fn places<'a>(
        &'a self,
        source: &'a impl Source,
    ) -> Decoded<Option<&'a TemplatePlaces>> {
        let Some(numbers) = &self.numbers else { return Ok(None) };
        let places = source.cells().values.get(self.cell, || {
            let numbers: Vec<u16> = numbers.read(self.count as usize, source)?;
            let counts = self.templates.iter().map(|template| template.count);
            TemplatePlaces::new(numbers, counts).map(Values::Places)
        })?;
        match places {
            Values::Places(places) => Ok(Some(places)),
            _ => Err(Damage::new("a table of a column's values")),
        }
    }

    /// Reads what it takes to make the wanted texts.
    pub(super) fn load<'a>(
        &'a self,
        wanted: Wanted<'_>,
        source: &'a impl Source,
    ) -> Decoded<LoadedTable<'a>> {
        let places = self.places(source)?;
        let mut templates = Vec::with_capacity(self.templates.len());
        match (wanted, places) {
            (Wanted::All, _) | (_, None) => {
                for template in &self.templates {
                    let wanted = if places.is_none() { wanted } else { Wanted::All };
                    templates.push(Some((template, template.load(wanted, source)?)));
                }
            }
            (Wanted::These(texts) | Wanted::Few(texts), Some(places)) => {
                let ranks = places.by_template(texts, self.templates.len());
                for (template, ranks) in self.templates.iter().zip(&ranks) {
                    let wanted = Wanted::at(ranks, template.count as usize);
                    templates.push(match ranks.is_empty() {
                        true => None,
                        false => Some((template, template.load(wanted, source)?)),
                    });
                }
            }
        }
        Ok(LoadedTable { places, templates })
    }

    /// Reads what it takes to make the texts at some places, which ascend.
    pub(in crate::segment) fn load_these<'a>(
        &'a self,
        texts: &[u32],
        source: &'a impl Source,
    ) -> Decoded<LoadedTable<'a>> {
        self.load(Wanted::at(texts, self.len()), source)
    }
}

impl<'a> LoadedTable<'a> {
    /// Appends a text; nothing for one that was not loaded.
    pub(in crate::segment) fn push(&self, text: usize, out: &mut Vec<u8>) {
        if let Some((template, slots, rank)) = self.parts(text) {
            push_text(template, slots, rank, out);
        }
    }

    /// The length of a text; 0 of one that was not loaded.
    pub(in crate::segment) fn len_of(&self, text: usize) -> usize {
        let Some((template, slots, rank)) = self.parts(text) else { return 0 };
        template.statics.total() + slots.iter().map(|slot| slot.len_of(rank)).sum::<usize>()
    }

    /// The template of a text, its columns and the text's place in them.
    fn parts(&self, text: usize) -> Option<(&'a Template, &[Loaded<'a>], usize)> {
        let (number, rank) = match self.places {
            None => (0, text),
            Some(places) => places.of(text)?,
        };
        let (template, slots) = self.templates.get(number)?.as_ref()?;
        Some((template, slots, rank))
    }
}

/// Appends the text that a template makes of the values at a place.
pub(super) fn push_text(template: &Template, slots: &[Loaded<'_>], rank: usize, out: &mut Vec<u8>) {
    let mut statics = template.statics.iter();
    out.extend_from_slice(statics.next().unwrap_or_default());
    for (slot, behind) in slots.iter().zip(statics) {
        slot.push(rank, out);
        match behind {
            // Most are a blank or a mark, which is quicker pushed than copied.
            [mark] => out.push(*mark),
            behind => out.extend_from_slice(behind),
        }
    }
}

impl Loaded<'_> {
    /// Appends a value.
    pub(super) fn push(&self, place: usize, out: &mut Vec<u8>) {
        match self {
            Self::Numbers { width, values } => {
                if let Some(value) = values.get(place) {
                    push_number(*value, *width, out);
                }
            }
            Self::SmallNumbers { width, values } => {
                if let Some(value) = values.get(place) {
                    push_small_number(*value, *width, out);
                }
            }
            Self::Digits { count, is_upper, bytes } => {
                push_digits(bytes, place * count, *count, *is_upper, out);
            }
            Self::Dictionary { values, codes } => {
                if let Some(code) = codes.get(place) {
                    values.push(*code as usize, out);
                }
            }
            Self::Texts(texts) => out.extend_from_slice(texts.get(place)),
            Self::Templates(table) => table.push(place, out),
            Self::RawNumbers { width, values } => {
                if let Some(value) = values.get(place) {
                    push_number(value, *width, out);
                }
            }
            Self::RawDictionary { values, codes } => {
                if let Some(code) = codes.get(place) {
                    values.push(code as usize, out);
                }
            }
        }
    }
}

impl Loaded<'_> {
    /// The length of a value.
    fn len_of(&self, place: usize) -> usize {
        match self {
            Self::Numbers { width: 0, values } => values.get(place).copied().map_or(0, digits),
            Self::SmallNumbers { width: 0, values } => {
                values.get(place).map_or(0, |value| digits(u64::from(*value)))
            }
            Self::RawNumbers { width: 0, values } => values.get(place).map_or(0, digits),
            Self::Numbers { width: len, .. }
            | Self::SmallNumbers { width: len, .. }
            | Self::RawNumbers { width: len, .. }
            | Self::Digits { count: len, .. } => *len,
            Self::Dictionary { values, codes } => {
                codes.get(place).map_or(0, |code| values.len_of(*code as usize))
            }
            Self::Texts(texts) => texts.get(place).len(),
            Self::Templates(table) => table.len_of(place),
            Self::RawDictionary { values, codes } => {
                codes.get(place).map_or(0, |code| values.len_of(code as usize))
            }
        }
    }
}

/// How many digits a number has.
fn digits(value: u64) -> usize {
    value.checked_ilog10().unwrap_or(0) as usize + 1
}

/// Two digits for each number below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// Two digits for each byte, in lower and in upper case.
const HEX_PAIRS: [[[u8; 2]; 256]; 2] = {
    let mut pairs = [[[0; 2]; 256]; 2];
    let digits = [b"0123456789abcdef", b"0123456789ABCDEF"];
    let mut byte = 0;
    while byte < 256 {
        pairs[0][byte] = [digits[0][byte >> 4], digits[0][byte & 15]];
        pairs[1][byte] = [digits[1][byte >> 4], digits[1][byte & 15]];
        byte += 1;
    }
    pairs
};

/// Appends a number in decimal, with zeros in front up to the width.
fn push_number(mut value: u64, width: usize, out: &mut Vec<u8>) {
    if let Ok(small) = u32::try_from(value) {
        return push_small_number(small, width, out);
    }
    // 20 digits are enough for 64 bits, and no width is larger.
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while value > 0 {
        let pair = PAIRS[(value % 100) as usize];
        digits[start - 2..start].copy_from_slice(&pair);
        start -= 2;
        value /= 100;
    }
    if digits[start] == b'0' {
        start += 1;
    }
    out.extend_from_slice(&digits[start.min(digits.len() - width)..]);
}

/// As [`push_number`].
fn push_small_number(mut value: u32, width: usize, out: &mut Vec<u8>) {
    match (value, width) {
        (0..10, 0 | 1) => return out.push(b'0' + value as u8),
        (0..100, 2) | (10..100, 0) => return out.extend_from_slice(&PAIRS[value as usize]),
        _ => {}
    }
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while value >= 10 {
        let pair = PAIRS[(value % 100) as usize];
        digits[start - 2..start].copy_from_slice(&pair);
        start -= 2;
        value /= 100;
    }
    if value > 0 {
        start -= 1;
        digits[start] = b'0' + value as u8;
    }
    out.extend_from_slice(&digits[start.min(digits.len() - width)..]);
}

/// Appends hexadecimal digits from a place on; those beyond the end are left out.
fn push_digits(bytes: &[u8], start: usize, count: usize, is_upper: bool, out: &mut Vec<u8>) {
    let pairs = &HEX_PAIRS[usize::from(is_upper)];
    let end = start + count;
    let whole = bytes.get(start.div_ceil(2)..end / 2).unwrap_or_default();
    let half = |at: usize| bytes.get(at / 2).map(|byte| pairs[*byte as usize][at % 2]);
    if start % 2 == 1 {
        out.extend(half(start));
    }
    out.extend(whole.iter().flat_map(|byte| pairs[*byte as usize]));
    if end % 2 == 1 && end > start {
        out.extend(half(end - 1));
    }
}
