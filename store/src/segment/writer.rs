//! Writes a segment front to back.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::SegmentMeta;
use super::footer::{Footer, HEADER_BYTES, IndexFile, header};
use super::frame::{FRAME_BYTES_MAX, FrameWriter};
use super::group::{GroupBuilder, GroupEntry};
use super::index;
use super::minutes::Minutes;
use super::stream_table::{self, Run, StreamRecord, Totals};
use crate::io::{Vfs, WriteFile};
use crate::{Labels, Metadata, StoreError, TenantId, Timestamp};

/// zstd's level for tables.
const TABLE_LEVEL: i32 = 3;

/// Writes one segment: streams in ascending order of tenant and labels, and the rows of each in
/// ascending order of time, those alike in time in the order in which they arrived.
///
/// Holds one group, and of each stream its labels and its runs. A segment that was not
/// [finished](Self::finish) is no segment: its file has no footer.
pub(crate) struct SegmentWriter {
    file: Box<dyn WriteFile>,
    path: PathBuf,
    offset: u64,
    group: GroupBuilder,
    groups: Vec<GroupEntry>,
    minutes: Minutes,
    streams: Vec<StreamRecord>,
    runs: Vec<Run>,
    /// A stream that was begun and has no row yet.
    pending: Option<(TenantId, Labels)>,
    /// The run that the next row adds to; never empty.
    run: Option<Run>,
    totals: SegmentMeta,
    /// What is about to be written; kept for its memory.
    out: Vec<u8>,
}

impl SegmentWriter {
    /// Makes the file, which must not be there yet, and writes its header. Columns are compressed at a
    /// level of zstd.
    ///
    /// # Errors
    /// What the file system refuses.
    pub(crate) fn create(vfs: &dyn Vfs, path: &Path, level: i32) -> Result<Self, StoreError> {
        let failed =
            |action| move |source| StoreError::Io { action, path: path.to_owned(), source };
        let mut file = vfs.create(path).map_err(failed("create"))?;
        let header = header();
        file.write_all(&header).map_err(failed("write"))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            offset: header.len() as u64,
            group: GroupBuilder::new(level),
            groups: Vec::new(),
            minutes: Minutes::default(),
            streams: Vec::new(),
            runs: Vec::new(),
            pending: None,
            run: None,
            totals: SegmentMeta {
                rows: 0,
                line_bytes: 0,
                file_bytes: 0,
                first: 0,
                last: 0,
                streams: 0,
                zstd_level: u8::try_from(level).unwrap_or_default(),
            },
            out: Vec::new(),
        })
    }

    /// Begins the next stream. One that gets no row is left out.
    pub(crate) fn stream(&mut self, tenant: &TenantId, labels: &Labels) {
        self.end_run();
        self.pending = Some((tenant.clone(), labels.clone()));
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
        if let Some((tenant, labels)) = self.pending.take() {
            self.begin(tenant, labels, timestamp)?;
        }
        if line.len() > FRAME_BYTES_MAX {
            return Err(StoreError::Invalid(format!("a line of {} bytes", line.len())));
        }
        if !self.group.has_room(line.len()) {
            self.end_run();
            self.write_group()?;
        }
        let Some(stream) = self.streams.last_mut().filter(|stream| stream.totals.last <= timestamp)
        else {
            return Err(StoreError::Invalid("rows of a segment out of order".to_owned()));
        };
        let line_bytes = line.len() as u64;
        stream.totals.rows += 1;
        stream.totals.line_bytes += line_bytes;
        stream.totals.metadata_bytes += metadata.text_bytes() as u64;
        stream.totals.last = timestamp;
        let (group, row) = (self.groups.len(), self.group.rows());
        let run = self.run.get_or_insert_with(|| Run::begin(group, row, timestamp));
        run.rows += 1;
        run.last = timestamp;
        run.line_bytes += line_bytes;
        self.minutes.add(timestamp, line_bytes);
        self.group.push(timestamp, line, metadata);
        Ok(())
    }

    /// Writes what is left, syncs the file and tells how much is in it.
    ///
    /// The file's name is not made durable.
    ///
    /// # Errors
    /// What the file system refuses.
    pub(crate) fn finish(mut self) -> Result<SegmentMeta, StoreError> {
        self.end_run();
        self.write_group()?;
        self.write_tables()?;
        self.file.sync().map_err(|source| self.failed("sync", source))?;
        self.totals.file_bytes = self.offset;
        Ok(self.totals)
    }

    fn begin(
        &mut self,
        tenant: TenantId,
        labels: Labels,
        first: Timestamp,
    ) -> Result<(), StoreError> {
        let last = self.streams.last();
        if last.is_some_and(|last| (&last.tenant, &last.labels) >= (&tenant, &labels)) {
            return Err(StoreError::Invalid("streams of a segment out of order".to_owned()));
        }
        let totals = Totals { first, last: first, ..Totals::default() };
        let runs = self.runs.len()..self.runs.len();
        self.streams.push(StreamRecord { tenant, labels, totals, runs });
        Ok(())
    }

    fn end_run(&mut self) {
        if let (Some(run), Some(stream)) = (self.run.take(), self.streams.last_mut()) {
            self.minutes.end_run(&run);
            self.runs.push(run);
            stream.runs.end = self.runs.len();
        }
    }

    fn write_group(&mut self) -> Result<(), StoreError> {
        if self.group.rows() == 0 {
            return Ok(());
        }
        let mut out = std::mem::take(&mut self.out);
        let entry = self.group.finish(&mut out);
        let entry = entry.map_err(|source| self.failed("compress for", source))?;
        self.groups.push(GroupEntry { offset: self.offset + entry.offset, ..entry });
        self.write(&out)?;
        out.clear();
        self.out = out;
        Ok(())
    }

    fn write_tables(&mut self) -> Result<(), StoreError> {
        self.sum_up();
        let (mut out, tables) = (
            Vec::new(),
            [
                stream_table::encode(&self.streams, &self.runs),
                std::mem::take(&mut self.minutes).into_bytes(),
            ],
        );
        let frames = FrameWriter::new(TABLE_LEVEL).and_then(|mut writer| {
            let mut frame = |table: &Vec<u8>| {
                let (frame, stored) = writer.frame(table)?;
                out.extend_from_slice(&stored);
                io::Result::Ok(frame)
            };
            Ok([frame(&tables[0])?, frame(&tables[1])?])
        });
        let [streams, minutes] = frames.map_err(|source| self.failed("compress for", source))?;
        let streams_offset = self.offset;
        let minutes_offset = streams_offset + u64::from(streams.stored);
        self.write(&out)?;
        out.clear();
        self.groups.iter().for_each(|group| group.encode(&mut out));
        let (groups_offset, groups_crc) = (self.offset, crc32c::crc32c(&out));
        self.write(&out)?;
        out.clear();
        let footer = Footer {
            meta: self.totals.clone(),
            streams_offset,
            streams,
            minutes: Some((minutes_offset, minutes)),
            blocks_offset: groups_offset,
            blocks: u32::try_from(self.groups.len()).unwrap_or(u32::MAX),
            blocks_crc: groups_crc,
            index: self.write_index()?,
        };
        footer.encode(&mut out);
        self.write(&out)
    }

    fn write_index(&mut self) -> Result<Vec<IndexFile>, StoreError> {
        let files = index::build(&self.streams)
            .map_err(|error| self.failed("build the label index of", io::Error::other(error)))?;
        let mut entries = Vec::with_capacity(files.len());
        for (name, bytes) in files {
            let (offset, crc) = (self.offset, crc32c::crc32c(&bytes));
            self.write(&bytes)?;
            entries.push(IndexFile { name, offset, length: bytes.len() as u64, crc });
        }
        Ok(entries)
    }

    fn sum_up(&mut self) {
        let streams = || self.streams.iter().map(|stream| &stream.totals);
        self.totals = SegmentMeta {
            rows: streams().map(|totals| totals.rows).sum(),
            line_bytes: streams().map(|totals| totals.line_bytes).sum(),
            file_bytes: 0,
            first: streams().map(|totals| totals.first).min().unwrap_or_default(),
            last: streams().map(|totals| totals.last).max().unwrap_or_default(),
            streams: self.streams.len() as u64,
            zstd_level: self.totals.zstd_level,
        };
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

impl fmt::Debug for SegmentWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut writer = f.debug_struct("SegmentWriter");
        writer.field("path", &self.path).field("offset", &self.offset).finish_non_exhaustive()
    }
}

const _: () = assert!(HEADER_BYTES == 12, "the header as drawn");
