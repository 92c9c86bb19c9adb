//! The header, the footer and the directory: where everything else is.

use std::path::Path;

use super::checksum;
use super::codec::{Cursor, Damage, Decoded, put_text, put_varint, unzigzag, zigzag};
use super::frame::Frame;
use super::group::GroupEntry;
use super::reader::Parts;
use super::v1::BlockEntry;
use super::{SegmentMeta, VERSION};
use crate::StoreError;

/// What a segment begins and ends with.
const MAGIC: [u8; 8] = *b"TMBRSEG1";

/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 12;

/// Bytes behind the footer.
const TAIL_BYTES: usize = 16;

/// The longest footer: tantivy writes half a dozen files with names of about 40 bytes.
const FOOTER_BYTES_MAX: usize = 64 * 1024;

/// A file of the label index, bundled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexFile {
    pub(super) name: String,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) crc: u32,
}

/// Where a segment's parts are, and how much there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    /// `file_bytes` is not stored: the file's length is it.
    pub(super) meta: SegmentMeta,
    pub(super) streams_offset: u64,
    pub(super) streams: Frame,
    /// Not there in version 1.
    pub(super) minutes: Option<(u64, Frame)>,
    /// Of groups; of blocks in version 1.
    pub(super) blocks_offset: u64,
    pub(super) blocks: u32,
    /// Bytes of their directory.
    pub(super) blocks_bytes: u64,
    pub(super) blocks_crc: u32,
    pub(super) index: Vec<IndexFile>,
}

/// The header's bytes.
pub(super) fn header() -> Vec<u8> {
    [&MAGIC[..], &VERSION.to_le_bytes()[..]].concat()
}

impl Footer {
    /// Appends the footer and the tail.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        put_varint(out, VERSION.into());
        let meta = &self.meta;
        put_varint(out, meta.rows);
        put_varint(out, meta.line_bytes);
        put_varint(out, zigzag(meta.first));
        put_varint(out, meta.last.wrapping_sub(meta.first).cast_unsigned());
        put_varint(out, meta.streams);
        out.push(meta.zstd_level);
        self.streams.encode(out);
        if let Some((_, minutes)) = &self.minutes {
            minutes.encode(out);
        }
        put_varint(out, self.blocks.into());
        put_varint(out, self.blocks_bytes);
        out.extend_from_slice(&self.blocks_crc.to_le_bytes());
        put_varint(out, self.index.len() as u64);
        for file in &self.index {
            put_text(out, &file.name);
            put_varint(out, file.length);
            out.extend_from_slice(&file.crc.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out[start..]);
        let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&MAGIC);
    }

    /// Reads version, footer and directory of a whole file, and checks that every part lies where it
    /// can.
    pub(super) fn read(path: &Path, file: &[u8]) -> Result<(u32, Self, Parts), StoreError> {
        let version = check_header(path, file)?;
        let (offset, bytes) =
            footer_bytes(file).map_err(|damage| damage.at(path, "footer", file.len() as u64))?;
        let footer = Self::decode(bytes, version, offset, file.len() as u64)
            .map_err(|damage| damage.at(path, "footer", offset))?;
        let parts = footer
            .parts(version, file)
            .map_err(|damage| damage.at(path, "directory", footer.blocks_offset))?;
        Ok((version, footer, parts))
    }

    fn decode(bytes: &[u8], version: u32, offset: u64, file_bytes: u64) -> Decoded<Self> {
        let cursor = &mut Cursor::new(bytes);
        let own = if version < 6 { cursor.u32()? } else { cursor.varint_u32()? };
        if own != version {
            return Err(Damage::new("its version is not the header's"));
        }
        let footer = match version {
            ..5 => Self::decode_older(cursor, version, offset, file_bytes)?,
            _ => Self::decode_parts(cursor, version, file_bytes)?.placed(offset)?,
        };
        cursor.end()?;
        Ok(footer)
    }

    /// Reads what is behind the version: all but the offsets of the parts.
    fn decode_parts(cursor: &mut Cursor<'_>, version: u32, file_bytes: u64) -> Decoded<Self> {
        let (rows, line_bytes, first) =
            (cursor.varint()?, cursor.varint()?, unzigzag(cursor.varint()?));
        let last = first.wrapping_add(cursor.varint()?.cast_signed());
        let (streams, zstd_level) = (cursor.varint()?, cursor.u8()?);
        Ok(Self {
            meta: SegmentMeta { rows, line_bytes, file_bytes, first, last, streams, zstd_level },
            streams_offset: 0,
            streams: Frame::decode(cursor, version)?,
            minutes: Some((0, Frame::decode(cursor, version)?)),
            blocks_offset: 0,
            blocks: cursor.varint_u32()?,
            blocks_bytes: cursor.varint()?,
            blocks_crc: cursor.u32()?,
            index: decode_index(cursor, |cursor| Ok((0, cursor.varint()?)))?,
        })
    }

    /// As [`decode_parts`](Self::decode_parts), of a version before 5, which has the offsets: they must be those that
    /// [`placed`](Self::placed) finds.
    fn decode_older(
        cursor: &mut Cursor<'_>,
        version: u32,
        offset: u64,
        file_bytes: u64,
    ) -> Decoded<Self> {
        let meta = SegmentMeta {
            rows: cursor.u64()?,
            line_bytes: cursor.u64()?,
            file_bytes,
            first: cursor.i64()?,
            last: cursor.i64()?,
            streams: cursor.u64()?,
            zstd_level: if version == 1 { 0 } else { cursor.u8()? },
        };
        let (streams_offset, streams) = (cursor.u64()?, Frame::decode(cursor, version)?);
        let minutes = match version {
            1 => None,
            _ => Some((cursor.u64()?, Frame::decode(cursor, version)?)),
        };
        let (blocks_offset, blocks) = (cursor.u64()?, cursor.u32()?);
        let entry_bytes = match version {
            1 => BlockEntry::ENCODED_BYTES,
            _ => GroupEntry::fixed_bytes(version),
        };
        let footer = Self {
            meta,
            streams_offset,
            streams,
            minutes,
            blocks_offset,
            blocks,
            blocks_bytes: u64::from(blocks) * entry_bytes as u64,
            blocks_crc: cursor.u32()?,
            index: decode_index(cursor, |cursor| Ok((cursor.u64()?, cursor.u64()?)))?,
        };
        let placed = footer.clone().placed(offset)?;
        if placed == footer { Ok(footer) } else { Err(apart()) }
    }

    /// With the parts one behind the other, up to the footer, which begins at `offset`.
    fn placed(mut self, offset: u64) -> Decoded<Self> {
        let mut end = offset;
        let mut before = |length: u64| {
            end = end.checked_sub(length).ok_or_else(apart)?;
            Ok(end)
        };
        for file in self.index.iter_mut().rev() {
            file.offset = before(file.length)?;
        }
        self.blocks_offset = before(self.blocks_bytes)?;
        if let Some((offset, minutes)) = &mut self.minutes {
            *offset = before(minutes.stored.into())?;
        }
        self.streams_offset = before(self.streams.stored.into())?;
        if end < HEADER_BYTES as u64 { Err(apart()) } else { Ok(self) }
    }

    fn parts(&self, version: u32, file: &[u8]) -> Decoded<Parts> {
        let bytes = slice(file, self.blocks_offset, self.blocks_bytes)?;
        checksum::check(bytes, self.blocks_crc)?;
        let mut offset = HEADER_BYTES as u64;
        let follow = |offset: &mut u64, start: u64, rows: u32, end: u64| {
            if start != *offset || rows == 0 || end > self.streams_offset {
                return Err(Damage(format!("{rows} rows from {start} to {end}")));
            }
            *offset = end;
            Ok(())
        };
        let cursor = &mut Cursor::new(bytes);
        let parts = if version == 1 {
            let blocks = (0..self.blocks).map(|_| {
                let block = BlockEntry::decode(cursor)?;
                follow(&mut offset, block.offset, block.rows, block.end()).map(|()| block)
            });
            Parts::Blocks(blocks.collect::<Decoded<_>>()?)
        } else {
            let groups = (0..self.blocks).map(|_| {
                let group = GroupEntry::decode(cursor, version, offset)?;
                follow(&mut offset, group.offset, group.rows, group.end()).map(|()| group)
            });
            Parts::Groups(groups.collect::<Decoded<_>>()?)
        };
        cursor.end()?;
        match offset == self.streams_offset {
            true => Ok(parts),
            false => Err(Damage::new("bytes before the stream table")),
        }
    }
}

/// The entries of the index files, whose offset and length `place` reads.
fn decode_index(
    cursor: &mut Cursor<'_>,
    place: impl Fn(&mut Cursor<'_>) -> Decoded<(u64, u64)>,
) -> Decoded<Vec<IndexFile>> {
    let count = cursor.count()?;
    let file = |_| {
        let name = cursor.text()?.to_owned();
        let (offset, length) = place(cursor)?;
        Ok(IndexFile { name, offset, length, crc: cursor.u32()? })
    };
    (0..count).map(file).collect()
}

fn apart() -> Damage {
    Damage::new("its parts do not follow each other")
}

/// A part of the file.
pub(super) fn slice(file: &[u8], offset: u64, length: u64) -> Decoded<&[u8]> {
    let start = usize::try_from(offset).ok();
    let end = offset.checked_add(length).and_then(|end| usize::try_from(end).ok());
    let part = start.zip(end).and_then(|(start, end)| file.get(start..end));
    part.ok_or_else(|| Damage(format!("{length} bytes at {offset} of {}", file.len())))
}

/// The version, if it is one that can be read.
fn check_header(path: &Path, file: &[u8]) -> Result<u32, StoreError> {
    let cursor = &mut Cursor::new(file);
    let mut version = || match cursor.bytes(MAGIC.len())? == MAGIC {
        true => cursor.u32(),
        false => Err(Damage::new("it does not begin as a segment does")),
    };
    match version().map_err(|damage| damage.at(path, "header", 0))? {
        version @ 1..=VERSION => Ok(version),
        0 => Err(Damage::new("version 0").at(path, "header", 0)),
        // The footer says it too, under a checksum.
        _ if footer_version(file).is_some_and(|version| version <= VERSION) => {
            Err(Damage::new("its version is not the footer's").at(path, "header", 0))
        }
        found => Err(StoreError::FutureFormat { path: path.to_owned(), found, supported: VERSION }),
    }
}

fn footer_version(file: &[u8]) -> Option<u32> {
    let (_, bytes) = footer_bytes(file).ok()?;
    // The lowest byte of four, or a varint.
    bytes.first().copied().map(u32::from)
}

/// The checked bytes of the footer, and where they begin.
fn footer_bytes(file: &[u8]) -> Decoded<(u64, &[u8])> {
    let body = file.get(HEADER_BYTES..).unwrap_or_default();
    let tail_at = body.len().checked_sub(TAIL_BYTES).ok_or_else(|| Damage::new("no footer"))?;
    let (body, tail) = body.split_at(tail_at);
    let cursor = &mut Cursor::new(tail);
    let (expected, length) = (cursor.u32()?, cursor.u32()? as usize);
    if cursor.bytes(MAGIC.len())? != MAGIC {
        return Err(Damage::new("the file does not end as a segment does"));
    }
    let at = body.len().checked_sub(length).filter(|_| length <= FOOTER_BYTES_MAX);
    let at = at.ok_or_else(|| Damage(format!("a footer of {length} bytes")))?;
    checksum::check(&body[at..], expected)?;
    Ok(((HEADER_BYTES + at) as u64, &body[at..]))
}
