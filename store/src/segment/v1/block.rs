//! Where a block is.

use crate::segment::codec::{Cursor, Decoded};
use crate::segment::frame::Frame;

const COLUMNS: usize = 4;

/// A column of a block, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::segment) enum Column {
    Timestamps,
    Lengths,
    Text,
    Metadata,
}

/// Where a block is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::segment) struct BlockEntry {
    pub(in crate::segment) offset: u64,
    pub(in crate::segment) rows: u32,
    pub(in crate::segment) frames: [Frame; COLUMNS],
}

impl BlockEntry {
    /// Bytes of an encoded entry.
    pub(in crate::segment) const ENCODED_BYTES: usize = 12 + COLUMNS * Frame::FIXED_BYTES;

    /// A column's frame and its offset in the file.
    pub(in crate::segment) fn column(&self, column: Column) -> (u64, Frame) {
        let [timestamps, lengths, text, metadata] = self.frames;
        let (before, frame): (&[Frame], Frame) = match column {
            Column::Timestamps => (&[], timestamps),
            Column::Lengths => (&[timestamps], lengths),
            Column::Text => (&[timestamps, lengths], text),
            Column::Metadata => (&[timestamps, lengths, text], metadata),
        };
        let before: u64 = before.iter().map(|frame| u64::from(frame.stored)).sum();
        (self.offset.saturating_add(before), frame)
    }

    pub(in crate::segment) fn end(&self) -> u64 {
        let (offset, frame) = self.column(Column::Metadata);
        offset.saturating_add(u64::from(frame.stored))
    }

    pub(in crate::segment) fn decode(cursor: &mut Cursor<'_>) -> Decoded<Self> {
        let mut entry = Self { offset: cursor.u64()?, rows: cursor.u32()?, ..Self::default() };
        for frame in &mut entry.frames {
            *frame = Frame::decode(cursor, 1)?;
        }
        Ok(entry)
    }
}
