//! Tables: texts as templates and the values of their slots.
//!
//! ```text
//! table      texts varint │ templates varint │ integers       which template each text has; not there with one template
//!            │ templates × { texts varint │ slots varint │ text │ slots × { column │ text } }
//! ```
//!
//! A *text* is what stands before the first, between two, or behind the last slot. The values of a slot
//! are those of the texts that have the template, in the order of the texts.

use std::io;

use super::super::codec::{Cursor, Damage, Decoded, put_varint};
use super::Listener;
use super::column::{Coding, Column};
use super::decoding::Decoding;
use super::ints::IntColumn;
use super::sink::Sink;
use super::split::{Draft, Slot, Texts, split, whole_texts};
use super::stamp::{ByteSet, Stamp};
use crate::Needle;

/// The most texts in a table: what a few bytes of a damaged one can make a reader allocate.
pub(in crate::segment) const TEXTS_MAX: u32 = 1 << 18;

/// How some texts are stored.
#[derive(Debug)]
pub(in crate::segment) struct Table {
    /// How many texts.
    pub(super) count: u32,
    /// Which template each text has; `None` with one template.
    pub(super) numbers: Option<IntColumn>,
    pub(super) templates: Vec<Template>,
    /// Which cell the numbers go to once they are read.
    pub(super) cell: u32,
}

/// A template with its columns.
#[derive(Debug)]
pub(super) struct Template {
    /// How many texts it makes; never 0.
    pub(super) count: u32,
    /// One more than slots.
    pub(super) statics: Statics,
    pub(super) slots: Vec<Column>,
    /// What no run of ASCII letters and digits in a text is longer than.
    pub(super) word_max: u64,
    /// The bytes of its texts.
    pub(super) bytes: ByteSet,
}

/// The texts before, between and behind the slots of a template.
#[derive(Debug, Default)]
pub(super) struct Statics {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Statics {
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
    }

    /// Whether one of the texts has a needle.
    pub(super) fn have(&self, needle: &Needle) -> bool {
        // Most have it nowhere, which is seen at once; a place across two texts is none.
        needle.find(&self.bytes).is_some() && self.iter().any(|text| needle.find(text).is_some())
    }

    /// Bytes of all texts together.
    pub(super) const fn total(&self) -> usize {
        self.bytes.len()
    }

    /// The text before a slot; behind the last one with their number.
    pub(super) fn get(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let span = start.zip(self.ends.get(number).copied());
        let text = span.and_then(|(start, end)| self.bytes.get(start as usize..end as usize));
        text.unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let spans = starts.zip(&self.ends);
        spans.map(|(start, end)| self.bytes.get(start as usize..*end as usize).unwrap_or_default())
    }
}

impl Table {
    /// Splits texts into templates and stores their columns.
    pub(super) fn write(
        texts: Texts<'_>,
        depth: usize,
        sink: &mut Sink,
        listener: Option<&mut dyn Listener>,
    ) -> io::Result<Self> {
        let drafts = split(texts, &mut sink.tokens);
        Self::write_drafts(texts, drafts, depth, sink, listener)
    }

    /// Stores texts as they are.
    pub(super) fn write_whole(texts: Texts<'_>, sink: &mut Sink) -> io::Result<Self> {
        let rows = (0..).take(texts.len()).collect();
        Self::write_drafts(texts, vec![whole_texts(texts, rows)], 0, sink, None)
    }

    /// Stores texts as drafts have them.
    pub(super) fn write_drafts(
        texts: Texts<'_>,
        drafts: Vec<Draft>,
        depth: usize,
        sink: &mut Sink,
        mut listener: Option<&mut dyn Listener>,
    ) -> io::Result<Self> {
        let numbers = match drafts.len() {
            0 | 1 => None,
            _ => {
                let mut numbers = vec![0; texts.len()];
                for (number, draft) in (0..).zip(&drafts) {
                    draft.rows.iter().for_each(|row| numbers[*row as usize] = number);
                }
                Some(IntColumn::write(&numbers, sink)?)
            }
        };
        let mut templates = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let mut slots: Vec<Column> = Vec::with_capacity(draft.slots.len());
            for slot in &draft.slots {
                let listener =
                    listener.as_mut().map(|listener| &mut **listener as &mut dyn Listener);
                slots.push(write_slot(texts, &draft.slots, &slots, slot, depth, sink, listener)?);
            }
            if let Some(listener) = &mut listener {
                draft.statics.iter().for_each(|text| listener.piece(text));
            }
            let count = u32::try_from(draft.rows.len()).unwrap_or(u32::MAX);
            let mut statics = Statics::default();
            draft.statics.iter().for_each(|text| statics.push(text));
            templates.push(Template::new(count, statics, slots));
        }
        let count = u32::try_from(texts.len()).unwrap_or(u32::MAX);
        Ok(Self { count, numbers, templates, cell: 0 })
    }

    /// About how many bytes the description takes, compressed.
    pub(super) fn described_bytes(&self) -> usize {
        let mut described = Vec::new();
        self.encode(&mut described);
        described.len() / 2
    }

    pub(in crate::segment) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.count.into());
        put_varint(out, self.templates.len() as u64);
        if let Some(numbers) = &self.numbers {
            numbers.encode(out);
        }
        for template in &self.templates {
            put_varint(out, template.count.into());
            put_varint(out, template.slots.len() as u64);
            let mut statics = template.statics.iter();
            put_bytes(out, statics.next().unwrap_or_default());
            for (column, behind) in template.slots.iter().zip(statics) {
                column.encode(out);
                put_bytes(out, behind);
            }
        }
    }

    /// Reads how texts are stored, and counts the cells of their columns.
    pub(in crate::segment) fn decode(
        cursor: &mut Cursor<'_>,
        depth: usize,
        decoding: &mut Decoding,
    ) -> Decoded<Self> {
        let cell = decoding.cell();
        let (count, templates) = (cursor.varint_u32()?, cursor.count()?);
        if count > TEXTS_MAX {
            return Err(Damage(format!("a table of {count} texts")));
        }
        let numbers = match templates {
            0 | 1 => None,
            _ => Some(IntColumn::decode(cursor, count, decoding)?),
        };
        let templates: Decoded<Vec<_>> =
            (0..templates).map(|_| Template::decode(cursor, depth, decoding)).collect();
        let templates = templates?;
        let sum: u64 = templates.iter().map(|template| u64::from(template.count)).sum();
        if sum != u64::from(count) {
            return Err(Damage(format!("templates of {sum} texts, of {count}")));
        }
        Ok(Self { count, numbers, templates, cell })
    }

    /// What is known of its texts: none is shorter or longer, or has another byte.
    pub(super) fn stamp(&self) -> Stamp {
        let mut stamp = Stamp { len_min: u32::MAX, ..Stamp::default() };
        for template in &self.templates {
            let lens = template.lens();
            stamp.len_min = stamp.len_min.min(lens.0);
            stamp.len_max = stamp.len_max.max(lens.1);
            stamp.bytes.join(template.bytes);
        }
        stamp.len_min = stamp.len_min.min(stamp.len_max);
        stamp
    }

    /// What no run of ASCII letters and digits in a text is longer than.
    pub(super) fn word_max(&self) -> u32 {
        let longest = self.templates.iter().map(|template| template.word_max).max();
        u32::try_from(longest.unwrap_or_default()).unwrap_or(u32::MAX)
    }
}

impl Template {
    /// What no text is shorter, or longer, than.
    fn lens(&self) -> (u32, u32) {
        let fixed = u32::try_from(self.statics.total()).unwrap_or(u32::MAX);
        self.slots.iter().fold((fixed, fixed), |(shortest, longest), column| {
            let Stamp { len_min, len_max, .. } = column.stamp;
            (shortest.saturating_add(len_min), longest.saturating_add(len_max))
        })
    }

    fn new(count: u32, statics: Statics, slots: Vec<Column>) -> Self {
        let mut bytes = ByteSet::of(&statics.bytes);
        slots.iter().for_each(|column| bytes.join(column.stamp.bytes));
        let mut template = Self { count, statics, slots, word_max: 0, bytes };
        template.word_max = template.longest_word();
        template
    }

    fn longest_word(&self) -> u64 {
        let (mut longest, mut current) = (0, 0_u64);
        for number in 0..=self.slots.len() {
            for byte in self.statics.get(number) {
                current = if byte.is_ascii_alphanumeric() { current + 1 } else { 0 };
                longest = longest.max(current);
            }
            if let Some(column) = self.column(number) {
                // A value that is not all letters and digits ends a word, and may begin one as long.
                current += u64::from(column.word_max());
                longest = longest.max(current);
            }
        }
        longest
    }

    fn decode(cursor: &mut Cursor<'_>, depth: usize, decoding: &mut Decoding) -> Decoded<Self> {
        let (count, slot_count) = (cursor.varint_u32()?, cursor.count()?);
        let mut statics = Statics::default();
        statics.push(bytes(cursor)?);
        let mut slots: Vec<Column> = Vec::with_capacity(slot_count.min(64));
        for _ in 0..slot_count {
            let column = Column::decode(cursor, count, depth, &slots, decoding)?;
            slots.push(column);
            statics.push(bytes(cursor)?);
        }
        if count == 0 {
            return Err(Damage::new("a template of no text"));
        }
        Ok(Self::new(count, statics, slots))
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn bytes<'c>(cursor: &mut Cursor<'c>) -> Decoded<&'c [u8]> {
    let len = cursor.count()?;
    cursor.bytes(len)
}

/// Stores a slot's values, unless an earlier slot has the same ones.
fn write_slot(
    texts: Texts<'_>,
    all: &[Slot],
    written: &[Column],
    slot: &Slot,
    depth: usize,
    sink: &mut Sink,
    listener: Option<&mut dyn Listener>,
) -> io::Result<Column> {
    let values = Texts { bytes: texts.bytes, spans: &slot.spans };
    for (place, (earlier, column)) in (0..).zip(all.iter().zip(written)) {
        let other = Texts { bytes: texts.bytes, spans: &earlier.spans };
        if !matches!(column.coding, Coding::Same { .. }) && values.iter().eq(other.iter()) {
            return Ok(Column::new(column.stamp, Coding::Same { slot: place }));
        }
    }
    Column::write(values, slot.is_quoted, depth, sink, listener)
}
