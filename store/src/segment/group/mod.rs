//! Groups: rows of a segment that share templates and columns, the unit that is opened.

mod filter;
mod header;
mod reader;
mod scratch;
mod times;
mod words;
mod writer;

use super::codec::{Cursor, Damage, Decoded};
use super::frame::Frame;
use super::template::TEXTS_MAX;

pub(super) use self::filter::{all_passing, known_passing, passing};
pub(super) use self::reader::Group;
pub(super) use self::scratch::{GroupKey, GroupScratch, OpenGroups};
pub(super) use self::writer::GroupBuilder;

/// The most rows of a group.
const GROUP_ROWS_MAX: usize = TEXTS_MAX as usize;

/// Where a group is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GroupEntry {
    /// Where its header begins; its frames follow.
    pub(super) offset: u64,
    /// Bytes of header and frames.
    pub(super) length: u64,
    pub(super) rows: u32,
    pub(super) header: Frame,
    /// The segment's; not stored with it.
    pub(super) version: u32,
}

impl GroupEntry {
    /// Bytes of an encoded entry.
    pub(super) const ENCODED_BYTES: usize = 20 + Frame::ENCODED_BYTES;

    pub(super) const fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
        self.header.encode(out);
    }

    pub(super) fn decode(cursor: &mut Cursor<'_>, version: u32) -> Decoded<Self> {
        let (offset, length, rows) = (cursor.u64()?, cursor.u64()?, cursor.u32()?);
        let header = Frame::decode(cursor)?;
        if u64::from(header.stored) > length || rows as usize > GROUP_ROWS_MAX {
            return Err(Damage(format!("a group of {rows} rows in {length} bytes")));
        }
        Ok(Self { offset, length, rows, header, version })
    }
}
