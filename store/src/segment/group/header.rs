//! The header of a group: how its columns are stored.

use std::sync::{Arc, LazyLock};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::GroupEntry;
use super::scratch::{GroupKey, GroupScratch};
use super::times::Times;
use crate::segment::codec::{Cursor, Damage, Decoded};
use crate::segment::footer::slice;
use crate::segment::frame::Frame;
use crate::segment::template::{COLUMN_BYTES, Decoding, Place, Table};

/// Bytes that decoded headers may take up in a process. Those of some gigabytes of logs fit; a query that
/// meets more decodes them again.
const CACHE_BYTES: u64 = 48 << 20;

/// Bytes of the shortest entry of a frame that has its bytes elsewhere.
const FRAME_ENTRY_BYTES_MIN: usize = 6;

/// The entry of a frame whose bytes are in the header. Others begin with a length, which is not 0.
pub(super) const WITHIN: u8 = 0;

/// A decoded header.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) rows: u32,
    /// Where each frame is.
    pub(super) frames: Vec<FramePlace>,
    /// The bytes of the frame that is in the header.
    pub(super) within: Vec<u8>,
    pub(super) times: Times,
    pub(super) metadata: Place,
    pub(super) lines: Table,
    /// How many cells the columns of the lines have.
    pub(super) cells: u32,
    /// Bytes before it was decoded.
    bytes: u64,
}

/// Where the bytes of a frame are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FramePlace {
    /// From an offset of the file on.
    File(u64, Frame),
    /// In the header, as they are.
    Within,
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<GroupKey, Arc<Header>> for ByBytes {
    fn weight(&self, _: &GroupKey, header: &Arc<Header>) -> u64 {
        header.memory()
    }
}

/// Headers by the segment's identity, which no two segments of a process share, and the group's number.
/// Those of segments that are gone make room in time.
static HEADERS: LazyLock<Cache<GroupKey, Arc<Header>, ByBytes>> =
    LazyLock::new(|| Cache::with_weighter(256, CACHE_BYTES, ByBytes));

impl Header {
    /// About how many bytes of memory it takes.
    fn memory(&self) -> u64 {
        let frames = self.frames.len() * size_of::<FramePlace>();
        let columns = self.cells as usize * COLUMN_BYTES;
        self.bytes + (size_of::<Self>() + frames + columns) as u64
    }

    /// The header of a group of the file.
    pub(super) fn of(
        key: GroupKey,
        entry: &GroupEntry,
        file: &[u8],
        scratch: &mut GroupScratch,
    ) -> Decoded<Arc<Self>> {
        if let Some(header) = HEADERS.get(&key) {
            return Ok(header);
        }
        let stored = slice(file, entry.offset, u64::from(entry.header.stored))?;
        let whole = 0..entry.header.raw as usize;
        let header =
            scratch.frames.with((key, u32::MAX), entry.header, stored, whole, |header| {
                Self::decode(entry, header)
            })?;
        let header = Arc::new(header);
        HEADERS.insert(key, Arc::clone(&header));
        Ok(header)
    }

    fn decode(entry: &GroupEntry, header: &[u8]) -> Decoded<Self> {
        let cursor = &mut Cursor::new(header);
        let frames = Self::decode_frames(cursor, entry)?;
        let decoding = &mut Decoding::new(entry.version);
        let described = match entry.version {
            ..5 => Self::decode_older(cursor, entry, decoding),
            _ => Self::decode_columns(cursor, entry, decoding),
        };
        let (lines, times, metadata) = described?;
        let within = match frames.contains(&FramePlace::Within) {
            false => cursor.end().map(|()| Vec::new())?,
            true => cursor.bytes(cursor.remaining())?.to_vec(),
        };
        if let Some(begun) = decoding.frames().filter(|begun| *begun as usize != frames.len()) {
            return Err(Damage(format!("columns in {begun} frames, of {}", frames.len())));
        }
        if lines.len() != entry.rows as usize {
            return Err(Damage(format!("{} lines in {} rows", lines.len(), entry.rows)));
        }
        let (rows, bytes, cells) = (entry.rows, header.len() as u64, decoding.cells());
        Ok(Self { rows, frames, within, times, metadata, lines, cells, bytes })
    }

    fn decode_frames(cursor: &mut Cursor<'_>, entry: &GroupEntry) -> Decoded<Vec<FramePlace>> {
        let mut offset = entry.offset + u64::from(entry.header.stored);
        let count = cursor.count()?;
        let most = cursor.remaining() / FRAME_ENTRY_BYTES_MIN + 1;
        let mut frames = Vec::with_capacity(count.min(most));
        for _ in 0..count {
            let mut ahead = *cursor;
            if entry.version >= 6 && ahead.u8()? == WITHIN {
                if frames.contains(&FramePlace::Within) {
                    return Err(Damage::new("two frames in the header"));
                }
                frames.push(FramePlace::Within);
                *cursor = ahead;
                continue;
            }
            let frame = Frame::decode(cursor, entry.version)?;
            frames.push(FramePlace::File(offset, frame));
            offset += u64::from(frame.stored);
        }
        let end = entry.frames_end();
        if offset != end {
            return Err(Damage(format!("frames up to {offset}, of a group up to {end}")));
        }
        Ok(frames)
    }

    fn decode_columns(
        cursor: &mut Cursor<'_>,
        entry: &GroupEntry,
        decoding: &mut Decoding,
    ) -> Decoded<(Table, Times, Place)> {
        let lines = Table::decode(cursor, 0, decoding)?;
        let times = Times::decode(cursor, entry.rows, decoding)?;
        Ok((lines, times, decoding.place_of_texts(cursor)?))
    }

    fn decode_older(
        cursor: &mut Cursor<'_>,
        entry: &GroupEntry,
        decoding: &mut Decoding,
    ) -> Decoded<(Table, Times, Place)> {
        let times = Times::decode(cursor, entry.rows, decoding)?;
        let metadata = decoding.place_of_texts(cursor)?;
        if entry.version == 3 {
            // Of a filter that is not asked any more.
            decoding.place_of_texts(cursor)?;
        }
        Ok((Table::decode(cursor, 0, decoding)?, times, metadata))
    }
}
