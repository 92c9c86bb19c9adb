//! Finding bytes in texts without making the texts.
//!
//! A needle may lie within a template's static text: then all its texts have it, and no column is read.
//! It may lie within a slot: then its values are searched. Or it may lie across: then the static parts
//! must agree with it, and what falls to slots is a prefix, a suffix or the whole of a value
//! ([`align`]). Each of these tests first asks the column's stamp; most needles fall there.
//!
//! The answer is exact: alignments are all there are, and where there are too many of them texts are
//! made and searched.

mod align;

mod values;

use super::super::codec::Decoded;
use super::hits::Hits;
use super::sink::Source;
use super::table::{Table, Template};
use super::values::{TemplatePlaces, Wanted};
use crate::segment::bitmap::Bitmap;

use self::align::{Aligned, Alignment};

pub(super) use self::align::may_touch_slots;
use crate::Needle;

/// How some bytes lie in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lies {
    /// They are all of it.
    Whole,
    /// It begins with them.
    First,
    /// It ends with them.
    Last,
    /// Anywhere.
    Within,
}

/// Some bytes, or a part of a needle, and how they lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Test<'n> {
    pub(super) needle: &'n Needle,
    /// A part of the needle's bytes; all of them when they may lie anywhere.
    pub(super) bytes: &'n [u8],
    pub(super) lies: Lies,
}

impl Test<'_> {
    /// Whether a text passes.
    fn passes(&self, text: &[u8]) -> bool {
        let len = self.bytes.len();
        match self.lies {
            Lies::Whole => self.needle.is_alike(text, self.bytes),
            Lies::First => {
                text.get(..len).is_some_and(|head| self.needle.is_alike(head, self.bytes))
            }
            Lies::Last => {
                let tail = text.len().checked_sub(len).and_then(|start| text.get(start..));
                tail.is_some_and(|tail| self.needle.is_alike(tail, self.bytes))
            }
            Lies::Within => self.needle.find(text).is_some(),
        }
    }
}

impl Table {
    /// Which texts have the needle.
    ///
    /// # Errors
    /// Damaged frames.
    pub(in crate::segment) fn having(
        &self,
        needle: &Needle,
        source: &impl Source,
    ) -> Decoded<Hits> {
        self.passing(&Test { needle, bytes: needle.bytes(), lies: Lies::Within }, source)
    }

    fn passing(&self, test: &Test<'_>, source: &impl Source) -> Decoded<Hits> {
        let hits: Decoded<Vec<Hits>> =
            self.templates.iter().map(|template| template.passing(test, source)).collect();
        let hits = hits?;
        if hits.iter().all(|hits| *hits == Hits::None) {
            return Ok(Hits::None);
        }
        if hits.iter().all(|hits| *hits == Hits::All) {
            return Ok(Hits::All);
        }
        match self.places(source)? {
            None => Ok(hits.into_iter().next().unwrap_or(Hits::None)),
            Some(places) => Ok(spread(&hits, places)),
        }
    }
}

/// From the hits of each template to those of the table.
fn spread(hits: &[Hits], places: &TemplatePlaces) -> Hits {
    let count = places.numbers.len();
    // Of each template, how many texts came before.
    let mut ranks = vec![0; hits.len()];
    let mut texts = places.numbers.iter().map(|number| usize::from(*number));
    let bitmap = Bitmap::of(count, |_| {
        texts.next().is_some_and(|number| match &hits[number] {
            Hits::None => false,
            Hits::All => true,
            Hits::Some(bitmap) => {
                ranks[number] += 1;
                bitmap.contains(ranks[number] - 1)
            }
        })
    });
    Hits::from_bitmap(bitmap, count)
}

impl Template {
    /// Which of the template's texts pass.
    fn passing(&self, test: &Test<'_>, source: &impl Source) -> Decoded<Hits> {
        let is_impossible =
            test.needle.word_len() as u64 > self.word_max || !self.bytes.may_have(test.needle);
        if test.lies == Lies::Within && is_impossible {
            return Ok(Hits::None);
        }
        match align::align(self, test) {
            Aligned::None => Ok(Hits::None),
            Aligned::All => Ok(Hits::All),
            Aligned::Some(alignments) => {
                let mut hits = Hits::None;
                for alignment in alignments {
                    hits = hits.or(self.along(&alignment, test.needle, source)?);
                    if hits == Hits::All {
                        break;
                    }
                }
                Ok(match hits {
                    Hits::Some(bitmap) => Hits::from_bitmap(bitmap, self.count as usize),
                    decided => decided,
                })
            }
            Aligned::TooMany => self.searched(test, source),
        }
    }

    /// Which texts pass all tests of an alignment.
    fn along(
        &self,
        alignment: &Alignment<'_>,
        needle: &Needle,
        source: &impl Source,
    ) -> Decoded<Hits> {
        let mut hits = Hits::All;
        for part in alignment {
            if hits == Hits::None {
                break;
            }
            let Some(column) = self.column(part.slot) else { return Ok(Hits::None) };
            let test = Test { needle, bytes: part.bytes, lies: part.lies };
            hits = hits.and(column.passing(self.count as usize, &test, source)?);
        }
        Ok(hits)
    }

    /// Makes the texts and searches them.
    fn searched(&self, test: &Test<'_>, source: &impl Source) -> Decoded<Hits> {
        let slots = self.load(Wanted::All, source)?;
        let mut text = Vec::new();
        Ok(Hits::of(self.count as usize, |rank| {
            text.clear();
            super::values::push_text(self, &slots, rank, &mut text);
            test.passes(&text)
        }))
    }
}
