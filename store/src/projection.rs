//! Lines by their templates: what a reader that needs a few values of each line asks for.
//!
//! Segments keep lines as templates and the values of their slots. A reader that can tell from a
//! template alone which of its slots matter, such as a parser of which a few fields are wanted, says so
//! once for each template ([`Projector`]), and is given those values instead of lines. Lines without a
//! template, and those of templates that it declines, come whole.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::Range;

use crate::Needle;
use crate::segment::{KnownProjections, TemplateView};

/// What the lines of one template have in common: text, between which there are slots whose values
/// differ from line to line.
#[derive(Clone, Copy)]
pub struct LineTemplate<'a> {
    pub(crate) view: TemplateView<'a>,
    pub(crate) few_values: &'a dyn Fn(usize) -> Option<Vec<Vec<u8>>>,
}

impl fmt::Debug for LineTemplate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LineTemplate").field(&self.view).finish()
    }
}

/// What is known of the values of a slot without reading them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotValues {
    /// Bytes of the shortest one.
    pub len_min: usize,
    /// Bytes of the longest one.
    pub len_max: usize,
    /// The ASCII bytes that some value may have: bit `b` for the byte `b`.
    pub ascii: u128,
    /// Whether some value may have a byte beyond ASCII.
    pub beyond_ascii: bool,
    /// Whether all of them are decimal numbers without needless zeros in front.
    pub are_numbers: bool,
}

impl<'a> LineTemplate<'a> {
    /// How many slots there are.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.view.slots()
    }

    /// The text before a slot, counted from 0; behind the last one with the number of slots.
    #[must_use]
    pub fn text(&self, number: usize) -> &'a [u8] {
        self.view.text(number)
    }

    /// What is known of a slot's values; nothing may be in one that is not there.
    #[must_use]
    pub fn values(&self, slot: usize) -> SlotValues {
        self.view.values(slot)
    }

    /// All values of a slot, in no order, where they are few and a list of them is kept; it is read. Each is
    /// that of some line.
    #[must_use]
    pub fn few_values(&self, slot: usize) -> Option<Vec<Vec<u8>>> {
        (self.few_values)(slot)
    }

    /// Whether in some line the needle may lie in a value of these slots, or partly in one, as far as is
    /// known without reading values. Where it may not, it is found among them where the text has it, and
    /// nowhere else.
    #[must_use]
    pub fn may_have_in_values(&self, needle: &Needle, slots: Range<usize>) -> bool {
        self.view.may_have_in_values(needle, &slots)
    }
}

/// Decides what of a template's lines is read.
pub trait Projector {
    /// The slots whose values are wanted; `None` where lines are wanted whole. Asked once for each template
    /// of a group that is read.
    fn project(&mut self, template: &LineTemplate<'_>) -> Option<Projection>;
}

/// The slots of a template whose values are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    /// How rows refer to it: [`Row::projection`](crate::Row::projection). Templates may share it.
    pub number: NonZeroU32,
    /// In the order in which values are wanted.
    pub slots: Vec<u32>,
}

/// A projector, and what it said of the group read last: small streams share one.
#[derive(Debug)]
pub struct ProjectionScratch<P> {
    pub(crate) projector: P,
    pub(crate) known: KnownProjections,
}

impl<P: Projector> ProjectionScratch<P> {
    /// Nothing asked yet.
    pub fn new(projector: P) -> Self {
        Self { projector, known: KnownProjections::default() }
    }

    /// The projector.
    pub const fn projector(&self) -> &P {
        &self.projector
    }
}

/// The values of a row that has a projection, in the order of its slots.
pub(crate) fn values(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = bytes.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        bytes = rest;
        Some(value)
    })
}

/// Appends a value so that [`values`] finds it.
pub(crate) fn push_value(out: &mut Vec<u8>, push: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    push(out);
    // A value is no longer than a line, which is shorter than 4 GiB.
    let len = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back() {
        let mut bytes = Vec::new();
        for value in [&b"a"[..], b"", b"\xff\0\0\0"] {
            push_value(&mut bytes, |out| out.extend_from_slice(value));
        }
        assert_eq!(values(&bytes).collect::<Vec<_>>(), [&b"a"[..], b"", b"\xff\0\0\0"]);
        assert_eq!(values(&bytes[..bytes.len() - 1]).count(), 2);
    }
}
