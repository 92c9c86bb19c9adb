//! How a needle can lie over a template.

use std::ops::Range;

use super::super::table::Template;
use super::{Lies, Test};
use crate::Needle;

/// More alignments than these are not followed one by one.
const ALIGNMENTS_MAX: usize = 32;

/// How many places are tried before texts are searched instead; needles of one byte repeated lie
/// everywhere.
const STEPS_MAX: usize = 4096;

/// What a slot's value has to be for one way in which a needle lies over a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part<'n> {
    pub(super) slot: usize,
    pub(super) bytes: &'n [u8],
    pub(super) lies: Lies,
}

/// All parts must hold.
pub(super) type Alignment<'n> = Vec<Part<'n>>;

/// All the ways in which a needle can lie over a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Aligned<'n> {
    /// None: no text has it.
    None,
    /// In static text: every text has it.
    All,
    Some(Vec<Alignment<'n>>),
    TooMany,
}

/// Finds all alignments, leaving out those that a column's stamp rules out.
pub(super) fn align<'n>(template: &Template, test: &Test<'n>) -> Aligned<'n> {
    let mut search = Search::new(template, test.needle);
    search.is_anchored_behind = matches!(test.lies, Lies::Whole | Lies::Last);
    let ended = match test.lies {
        Lies::Whole | Lies::First => search.at_static(0, 0, test.bytes),
        Lies::Within | Lies::Last => search.anywhere(test.bytes),
    };
    match ended {
        Err(End::All) => Aligned::All,
        Err(End::TooMany) => Aligned::TooMany,
        Ok(()) if search.found.is_empty() => Aligned::None,
        Ok(()) => Aligned::Some(search.found),
    }
}

/// Whether a needle can lie in a value of some slots, or partly in one.
pub(in crate::segment::template) fn may_touch_slots(
    template: &Template,
    needle: &Needle,
    slots: &Range<usize>,
) -> bool {
    if slots.is_empty() {
        return false;
    }
    let mut search = Search { passes_statics: true, ..Search::new(template, needle) };
    let ended = search.anywhere(needle.bytes());
    let mut parts = search.found.iter().flatten();
    ended.is_err() || parts.any(|part| slots.contains(&part.slot))
}

/// Why a search ends before it has tried everything.
enum End {
    All,
    TooMany,
}

struct Search<'t, 'n> {
    template: &'t Template,
    needle: &'n Needle,
    /// Whether the text must end where the needle does.
    is_anchored_behind: bool,
    /// Whether static text is of no interest.
    passes_statics: bool,
    /// What the slots passed so far must be.
    parts: Alignment<'n>,
    found: Vec<Alignment<'n>>,
    steps: usize,
}

impl<'t, 'n> Search<'t, 'n> {
    const fn new(template: &'t Template, needle: &'n Needle) -> Self {
        Self {
            template,
            needle,
            is_anchored_behind: false,
            passes_statics: false,
            parts: Vec::new(),
            found: Vec::new(),
            steps: 0,
        }
    }

    fn anywhere(&mut self, bytes: &'n [u8]) -> Result<(), End> {
        let template = self.template;
        let decided_by_statics = !self.is_anchored_behind && !self.passes_statics;
        if decided_by_statics && template.statics.have(self.needle) {
            return Err(End::All);
        }
        let first = bytes.first().copied().unwrap_or_default();
        for (number, text) in template.statics.iter().enumerate() {
            // A needle that begins here covers the end of the text.
            if text.last().is_some_and(|last| !self.needle.may_have(*last)) {
                continue;
            }
            // Within the text it does not lie, unless it has to end it: it reaches beyond.
            let start = match self.is_anchored_behind {
                true => 0,
                false => text.len().saturating_sub(bytes.len()),
            };
            for at in self.places(first, &text[start..]) {
                self.at_static(number, start + at, bytes)?;
            }
        }
        (0..template.slots.len()).try_for_each(|slot| self.within_slot(slot, bytes))
    }

    /// The needle goes on with `rest` at a place of a static text.
    fn at_static(&mut self, number: usize, at: usize, rest: &'n [u8]) -> Result<(), End> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(End::TooMany);
        }
        let text = self.template.statics.get(number).get(at..).unwrap_or_default();
        let len = text.len().min(rest.len());
        if !self.needle.is_alike(&text[..len], &rest[..len]) {
            return Ok(());
        }
        let is_last = number == self.template.slots.len();
        let rest = &rest[len..];
        match (rest.is_empty(), self.is_anchored_behind) {
            (true, false) => self.found(),
            (true, true) if text.len() > len => Ok(()),
            (true, true) if is_last => self.found(),
            (false, _) if is_last => Ok(()),
            _ => self.at_slot(number, rest),
        }
    }

    /// The needle goes on with `rest` at the beginning of a slot.
    fn at_slot(&mut self, slot: usize, rest: &'n [u8]) -> Result<(), End> {
        if !self.is_anchored_behind {
            self.with(slot, rest, Lies::First, Self::found)?;
        }
        // As a whole the value is followed by static text.
        let may_begin = self.may_begin(slot, rest);
        for len in self.cuts(slot, rest) {
            if len == 0 || may_begin {
                let (value, behind) = rest.split_at(len);
                self.with(slot, value, Lies::Whole, |search| {
                    search.at_static(slot + 1, 0, behind)
                })?;
            }
        }
        Ok(())
    }

    /// The needle begins within a slot.
    fn within_slot(&mut self, slot: usize, bytes: &'n [u8]) -> Result<(), End> {
        if !self.may_begin(slot, bytes) {
            return Ok(());
        }
        if !self.is_anchored_behind {
            self.with(slot, bytes, Lies::Within, Self::found)?;
        }
        for len in self.cuts(slot, bytes).into_iter().filter(|len| *len > 0) {
            let (value, behind) = bytes.split_at(len);
            self.with(slot, value, Lies::Last, |search| search.at_static(slot + 1, 0, behind))?;
        }
        Ok(())
    }

    /// How many of some bytes of the needle can end a slot's value: the static text behind the slot has to
    /// go on as the needle does. All of them can where the text has to end there, too.
    fn cuts(&self, slot: usize, bytes: &[u8]) -> Vec<usize> {
        let mut cuts = match self.template.statics.get(slot + 1).first() {
            Some(next) if !self.needle.may_have(*next) => Vec::new(),
            Some(next) => self.places(*next, bytes),
            None => (0..bytes.len()).collect(),
        };
        if self.is_anchored_behind {
            cuts.push(bytes.len());
        }
        cuts
    }

    /// Where a byte is, in either case if case is ignored.
    fn places(&self, byte: u8, bytes: &[u8]) -> Vec<usize> {
        match self.needle.ignores_case() {
            false => memchr::memchr_iter(byte, bytes).collect(),
            true => {
                let (lower, upper) = (byte.to_ascii_lowercase(), byte.to_ascii_uppercase());
                memchr::memchr2_iter(lower, upper, bytes).collect()
            }
        }
    }

    /// Whether a slot's values may have the first of some bytes.
    fn may_begin(&self, slot: usize, bytes: &[u8]) -> bool {
        let (column, first) = (self.template.column(slot), bytes.get(..1).unwrap_or_default());
        column.is_some_and(|column| column.stamp.may_have(first, self.needle.ignores_case()))
    }

    /// Goes on with a part, unless the column's stamp rules it out.
    fn with(
        &mut self,
        slot: usize,
        bytes: &'n [u8],
        lies: Lies,
        go_on: impl FnOnce(&mut Self) -> Result<(), End>,
    ) -> Result<(), End> {
        let Some(column) = self.template.column(slot) else { return Ok(()) };
        let stamp = &column.stamp;
        let may_fit = match lies {
            Lies::Whole => stamp.may_be_long(bytes.len()),
            Lies::First | Lies::Last | Lies::Within => bytes.len() <= stamp.len_max as usize,
        };
        if !may_fit || !stamp.may_have(bytes, self.needle.ignores_case()) {
            return Ok(());
        }
        self.parts.push(Part { slot, bytes, lies });
        let ended = go_on(self);
        self.parts.pop();
        ended
    }

    fn found(&mut self) -> Result<(), End> {
        if self.parts.is_empty() {
            return if self.passes_statics { Ok(()) } else { Err(End::All) };
        }
        if self.found.len() == ALIGNMENTS_MAX {
            return Err(End::TooMany);
        }
        self.found.push(self.parts.clone());
        Ok(())
    }
}
