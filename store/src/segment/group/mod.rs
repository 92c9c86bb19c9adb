//! Groups: rows of a segment that share templates and columns, the unit that is opened.

mod bloom;
mod filter;
mod header;
mod kept;
mod reader;
mod scratch;
mod times;
mod trigrams;
mod words;
mod writer;

use super::codec::{Cursor, Damage, Decoded, put_varint};
use super::footer::slice;
use super::frame::Frame;
use super::template::TEXTS_MAX;

use self::words::Words;

pub(super) use self::filter::{all_passing, known_passing, passing};
pub(super) use self::reader::Group;
pub(super) use self::scratch::{GroupKey, GroupScratch, OpenGroups};
pub(super) use self::writer::GroupBuilder;

/// The most rows of a group.
const GROUP_ROWS_MAX: usize = TEXTS_MAX as usize;

/// Where a group is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GroupEntry {
    /// Where its header begins; its frames follow, and then its filter.
    pub(super) offset: u64,
    /// Bytes of all these.
    pub(super) length: u64,
    pub(super) rows: u32,
    pub(super) header: Frame,
    pub(super) words: Words,
    /// The segment's; not stored with it.
    pub(super) version: u32,
}

impl GroupEntry {
    /// Bytes of an entry of a version before 5.
    pub(super) const fn fixed_bytes(version: u32) -> usize {
        20 + Frame::FIXED_BYTES + if version < 4 { 0 } else { 20 }
    }

    pub(super) const fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.length);
        put_varint(out, self.rows.into());
        self.header.encode(out);
        self.words.encode(out);
    }

    /// Reads the entry of a group that begins at `offset`, unless it says otherwise.
    pub(super) fn decode(cursor: &mut Cursor<'_>, version: u32, offset: u64) -> Decoded<Self> {
        let (offset, length, rows) = match version {
            ..5 => (cursor.u64()?, cursor.u64()?, cursor.u32()?),
            _ => (offset, cursor.varint()?, cursor.varint_u32()?),
        };
        let header = Frame::decode(cursor, version)?;
        let words = match version {
            ..4 => Words::UNKNOWN,
            4 | 5 => Words::decode_older(cursor, version)?,
            _ => Words::decode(cursor)?,
        };
        let least = u64::from(header.stored) + u64::from(words.filter_len());
        if least > length || rows as usize > GROUP_ROWS_MAX {
            return Err(Damage(format!("a group of {rows} rows in {length} bytes")));
        }
        Ok(Self { offset, length, rows, header, words, version })
    }

    /// Where its frames end.
    pub(super) fn frames_end(&self) -> u64 {
        self.end() - u64::from(self.words.filter_len())
    }

    /// The bytes of its filter, which are to be [checked](Words::check).
    pub(super) fn filter<'f>(&self, file: &'f [u8]) -> Decoded<&'f [u8]> {
        slice(file, self.frames_end(), self.words.filter_len().into())
    }
}
