//! Writes a segment front to back.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::SegmentMeta;
use super::footer::{Footer, HEADER_BYTES, IndexFile, header};
use super::group::{GroupBuilder, GroupEntry};
use super::layout::Layout;
use super::parts::{Encoded, EncodedPart};
use super::tables::Tables;
use super::template::Sink;
use crate::io::{Vfs, WriteFile};
use crate::{Labels, Metadata, StoreError, TenantId, Timestamp};

/// Writes one segment: streams in ascending order of tenant and labels, and the rows of each in
/// ascending order of time, those alike in time in the order in which they arrived.
///
/// Holds one group, and of each stream its labels and its runs. A segment that was not
/// [finished](Self::finish) is no segment: its file has no footer.
pub(crate) struct SegmentWriter {
    output: Output,
    layout: Layout,
    sink: Sink,
    level: i32,
}

/// Writes the encoded parts of a segment, syncs the file and tells how much is in it.
///
/// The file's name is not made durable.
///
/// # Errors
/// What the file system refuses.
pub(crate) fn write_parts(
    vfs: &dyn Vfs,
    path: &Path,
    parts: impl IntoIterator<Item = EncodedPart>,
) -> Result<SegmentMeta, StoreError> {
    let mut output = Output::create(vfs, path)?;
    for EncodedPart(part) in parts {
        match part {
            Encoded::Group(entry, bytes) => output.group(entry, &bytes)?,
            Encoded::Tables(tables) => return output.finish(tables),
        }
    }
    Err(StoreError::Invalid("a segment without tables".to_owned()))
}

impl SegmentWriter {
    /// Makes the file, which must not be there yet, and writes its header. Columns are compressed at a
    /// level of zstd.
    ///
    /// # Errors
    /// What the file system refuses.
    pub(crate) fn create(vfs: &dyn Vfs, path: &Path, level: i32) -> Result<Self, StoreError> {
        let output = Output::create(vfs, path)?;
        let sink = Sink::new(level).map_err(|source| output.failed("compress for", source))?;
        Ok(Self { output, layout: Layout::new(), sink, level })
    }

    /// Begins the next stream. One that gets no row is left out.
    pub(crate) fn stream(&mut self, tenant: &TenantId, labels: &Labels) {
        self.layout.stream(tenant, labels);
    }

    /// Adds a row to the stream begun last.
    ///
    /// # Errors
    /// What the file system refuses; [`StoreError::Invalid`] for rows or streams out of order, and
    /// for a line of over 1 GiB. The segment is then lost.
    pub(crate) fn row(
        &mut self,
        timestamp: Timestamp,
        line: &[u8],
        metadata: &Metadata,
    ) -> Result<(), StoreError> {
        let Self { output, sink, .. } = self;
        self.layout.row(timestamp, line, metadata, |group| output.encode(group, sink))
    }

    /// Writes what is left, syncs the file and tells how much is in it.
    ///
    /// The file's name is not made durable.
    ///
    /// # Errors
    /// What the file system refuses.
    pub(crate) fn finish(self) -> Result<SegmentMeta, StoreError> {
        let Self { mut output, mut layout, mut sink, level } = self;
        layout.cut(|group| output.encode(group, &mut sink))?;
        let tables = Tables::encode(layout.finish(), level);
        let tables = tables.map_err(|source| output.failed("make the tables of", source))?;
        output.finish(tables)
    }
}

impl fmt::Debug for SegmentWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Output { path, offset, .. } = &self.output;
        let mut writer = f.debug_struct("SegmentWriter");
        writer.field("path", path).field("offset", offset).finish_non_exhaustive()
    }
}

/// The file.
struct Output {
    file: Box<dyn WriteFile>,
    path: PathBuf,
    offset: u64,
    groups: Vec<GroupEntry>,
    /// What is about to be written; kept for its memory.
    out: Vec<u8>,
}

impl Output {
    fn create(vfs: &dyn Vfs, path: &Path) -> Result<Self, StoreError> {
        let failed =
            |action| move |source| StoreError::Io { action, path: path.to_owned(), source };
        let mut file = vfs.create(path).map_err(failed("create"))?;
        let header = header();
        file.write_all(&header).map_err(failed("write"))?;
        let offset = header.len() as u64;
        Ok(Self { file, path: path.to_owned(), offset, groups: Vec::new(), out: Vec::new() })
    }

    /// Encodes and writes a group, and empties it.
    fn encode(&mut self, group: &mut GroupBuilder, sink: &mut Sink) -> Result<(), StoreError> {
        let mut out = std::mem::take(&mut self.out);
        let entry = group.finish(sink, &mut out);
        let entry = entry.map_err(|source| self.failed("compress for", source))?;
        self.group(entry, &out)?;
        out.clear();
        self.out = out;
        Ok(())
    }

    /// Writes an encoded group, whose entry's offset is that in its bytes.
    fn group(&mut self, entry: GroupEntry, bytes: &[u8]) -> Result<(), StoreError> {
        self.groups.push(GroupEntry { offset: self.offset + entry.offset, ..entry });
        self.write(bytes)
    }

    fn finish(mut self, tables: Tables) -> Result<SegmentMeta, StoreError> {
        let Tables { mut meta, bytes, streams, minutes, index } = tables;
        let streams_offset = self.offset;
        let minutes_offset = streams_offset + u64::from(streams.stored);
        self.write(&bytes)?;
        let mut out = Vec::new();
        self.groups.iter().for_each(|group| group.encode(&mut out));
        let (groups_offset, groups_bytes) = (self.offset, out.len() as u64);
        let groups_crc = crc32c::crc32c(&out);
        self.write(&out)?;
        out.clear();
        let footer = Footer {
            meta: meta.clone(),
            streams_offset,
            streams,
            minutes: Some((minutes_offset, minutes)),
            blocks_offset: groups_offset,
            blocks: u32::try_from(self.groups.len()).unwrap_or(u32::MAX),
            blocks_bytes: groups_bytes,
            blocks_crc: groups_crc,
            index: self.index(index)?,
        };
        footer.encode(&mut out);
        self.write(&out)?;
        self.file.sync().map_err(|source| self.failed("sync", source))?;
        meta.file_bytes = self.offset;
        Ok(meta)
    }

    fn index(&mut self, files: Vec<(String, Vec<u8>)>) -> Result<Vec<IndexFile>, StoreError> {
        let mut entries = Vec::with_capacity(files.len());
        for (name, bytes) in files {
            let (offset, crc) = (self.offset, crc32c::crc32c(&bytes));
            self.write(&bytes)?;
            entries.push(IndexFile { name, offset, length: bytes.len() as u64, crc });
        }
        Ok(entries)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(|source| self.failed("write", source))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn failed(&self, action: &'static str, source: io::Error) -> StoreError {
        StoreError::Io { action, path: self.path.clone(), source }
    }
}

const _: () = assert!(HEADER_BYTES == 12, "the header as drawn");
