//! An open group: what is in it, read as far as it is asked for.

use std::cell::RefCell;
use std::sync::Arc;

use super::super::codec::{Cursor, Damage, Decoded};
use super::super::column::MetadataColumn;
use super::super::footer::slice;
use super::super::frame::Frame;
use super::super::template::{Hits, Lazy, Place, Source, Table};
use super::GroupEntry;
use super::scratch::{FrameScratch, GroupKey, GroupScratch};
use super::times::Times;
use crate::{LineColumn, Needle, Row, Timestamp};

/// An open group. Its header is decoded, its columns when they are first needed; they are kept as long
/// as the group is open.
#[derive(Debug)]
pub(in crate::segment) struct Group {
    key: GroupKey,
    rows: u32,
    frames: Vec<(u64, Frame)>,
    timestamps: (Times, Lazy<Arc<Vec<Timestamp>>>),
    metadata: (Place, Lazy<MetadataColumn>),
    lines: Table,
}

/// The frames of a group.
struct Frames<'a> {
    group: &'a Group,
    file: &'a [u8],
    scratch: RefCell<&'a mut FrameScratch>,
}

impl Source for Frames<'_> {
    fn with<T>(&self, place: Place, read: impl FnOnce(&[u8]) -> Decoded<T>) -> Decoded<T> {
        if place.len == 0 {
            return read(&[]);
        }
        let frame = self.group.frames.get(place.frame as usize);
        let (offset, frame) = frame.ok_or_else(|| Damage(format!("frame {}", place.frame)))?;
        let stored = slice(self.file, *offset, u64::from(frame.stored))?;
        let start = place.offset as usize;
        let part = start..start.saturating_add(place.len as usize);
        let key = (self.group.key, place.frame);
        self.scratch.borrow_mut().with(key, *frame, stored, part, read)
    }
}

impl Group {
    /// Opens a group of the file.
    pub(in crate::segment) fn open(
        key: GroupKey,
        entry: &GroupEntry,
        file: &[u8],
        scratch: &mut GroupScratch,
    ) -> Decoded<Self> {
        let stored = slice(file, entry.offset, u64::from(entry.header.stored))?;
        let whole = 0..entry.header.raw as usize;
        scratch.frames.with((key, u32::MAX), entry.header, stored, whole, |header| {
            Self::decode(key, entry, header)
        })
    }

    fn decode(key: GroupKey, entry: &GroupEntry, header: &[u8]) -> Decoded<Self> {
        let cursor = &mut Cursor::new(header);
        let mut offset = entry.offset + u64::from(entry.header.stored);
        let count = cursor.count()?;
        let mut frames = Vec::with_capacity(count);
        for _ in 0..count {
            let frame = Frame::decode(cursor)?;
            frames.push((offset, frame));
            offset += u64::from(frame.stored);
        }
        if offset != entry.end() {
            return Err(Damage(format!("frames up to {offset}, of a group up to {}", entry.end())));
        }
        let (timestamps, metadata) = (Times::decode(cursor)?, Place::decode(cursor)?);
        let lines = Table::decode(cursor, 0)?;
        cursor.end()?;
        if lines.len() != entry.rows as usize {
            return Err(Damage(format!("{} lines in {} rows", lines.len(), entry.rows)));
        }
        let (timestamps, metadata) = ((timestamps, Lazy::default()), (metadata, Lazy::default()));
        Ok(Self { key, rows: entry.rows, frames, timestamps, metadata, lines })
    }

    pub(in crate::segment) const fn rows(&self) -> usize {
        self.rows as usize
    }

    fn source<'a>(&'a self, file: &'a [u8], scratch: &'a mut GroupScratch) -> Frames<'a> {
        Frames { group: self, file, scratch: RefCell::new(&mut scratch.frames) }
    }

    /// The timestamps of the rows.
    pub(in crate::segment) fn timestamps(
        &self,
        file: &[u8],
        scratch: &mut GroupScratch,
    ) -> Decoded<&Arc<Vec<Timestamp>>> {
        let (times, timestamps) = &self.timestamps;
        timestamps.get_or_try(|| times.read(self.rows(), &self.source(file, scratch)).map(Arc::new))
    }

    /// The metadata of the rows.
    pub(in crate::segment) fn metadata(
        &self,
        file: &[u8],
        scratch: &mut GroupScratch,
    ) -> Decoded<&MetadataColumn> {
        let (place, metadata) = &self.metadata;
        metadata.get_or_try(|| {
            let source = self.source(file, scratch);
            source.with(*place, |bytes| MetadataColumn::decode(bytes, self.rows()))
        })
    }

    /// Which rows' lines have the needle.
    pub(super) fn having(
        &self,
        needle: &Needle,
        file: &[u8],
        scratch: &mut GroupScratch,
    ) -> Decoded<Hits> {
        self.lines.having(needle, &self.source(file, scratch))
    }

    /// Makes the lines of some rows, which ascend, or finds their lengths. Appends to `out` and says in
    /// `rows` where each one is.
    pub(in crate::segment) fn lines(
        &self,
        numbers: &[u32],
        what: LineColumn,
        file: &[u8],
        scratch: &mut GroupScratch,
        out: &mut Vec<u8>,
        rows: &mut [Row],
    ) -> Decoded<()> {
        if what == LineColumn::None {
            return Ok(());
        }
        let table = self.lines.load_these(numbers, &self.source(file, scratch))?;
        for (number, row) in numbers.iter().zip(rows) {
            // Groups have less than 4 GiB of lines, or one line.
            match what {
                LineColumn::Text => {
                    row.line_start = out.len() as u32;
                    table.push(*number as usize, out);
                    row.line_len = out.len() as u32 - row.line_start;
                }
                LineColumn::Length => row.line_len = table.len_of(*number as usize) as u32,
                LineColumn::None => {}
            }
        }
        Ok(())
    }
}
