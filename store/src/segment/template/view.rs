//! A template as those see it who are to say which of its values they need.

use std::ops::Range;

use super::column::Coding;
use super::table::Template;
use crate::{Needle, SlotValues};

/// A template, without its values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TemplateView<'a>(pub(super) &'a Template);

impl<'a> TemplateView<'a> {
    pub(crate) fn slots(&self) -> usize {
        self.0.slots.len()
    }

    pub(crate) fn text(&self, number: usize) -> &'a [u8] {
        self.0.statics.get(number)
    }

    pub(crate) fn values(&self, slot: usize) -> SlotValues {
        let Some(column) = self.0.column(slot) else {
            let (len_min, len_max, ascii) = (0, 0, 0);
            return SlotValues { len_min, len_max, ascii, beyond_ascii: false, are_numbers: false };
        };
        let stamp = &column.stamp;
        SlotValues {
            len_min: stamp.len_min as usize,
            len_max: stamp.len_max as usize,
            ascii: stamp.bytes.ascii(),
            beyond_ascii: stamp.bytes.has(0x80),
            are_numbers: matches!(column.coding, Coding::Numbers { width: 0, .. }),
        }
    }

    pub(crate) fn may_have_in_values(&self, needle: &Needle, slots: &Range<usize>) -> bool {
        super::search::may_touch_slots(self.0, needle, slots)
    }
}
