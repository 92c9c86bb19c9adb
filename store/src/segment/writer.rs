//! Writes a segment front to back.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::SegmentMeta;
use super::codec::put_varint;
use super::column::{MetadataBuilder, encode_timestamps};
use super::footer::{BlockEntry, Footer, HEADER_BYTES, IndexFile, header};
use super::frame::{FRAME_BYTES_MAX, Frame, FrameWriter};
use super::index;
use super::stream_table::{self, Run, StreamRecord, Totals};
use crate::io::{Vfs, WriteFile};
use crate::{Labels, Metadata, StoreError, TenantId, Timestamp};

/// The most line bytes in a block of several lines, and the most bytes of distinct metadata.
///
/// Larger blocks compress better (1 MiB: 10 % on mixed logs) but cost more to read one row of,
/// and no longer fit a core's second-level cache with their columns.
pub(super) const BLOCK_BYTES_MAX: usize = 256 * 1024;

/// The most rows in a block: what bounds a block of empty lines.
pub(super) const BLOCK_ROWS_MAX: usize = 65_536;

/// Writes one segment: streams in ascending order of tenant and labels, and the rows of each in
/// ascending order of time, those alike in time in the order in which they arrived.
///
/// Holds one block, and of each stream its labels and its runs. A segment that was not
/// [finished](Self::finish) is no segment: its file has no footer.
pub(crate) struct SegmentWriter {
    file: Box<dyn WriteFile>,
    path: PathBuf,
    offset: u64,
    frames: FrameWriter,
    block: BlockBuilder,
    blocks: Vec<BlockEntry>,
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

/// The rows of the block being filled, by column.
#[derive(Debug)]
struct BlockBuilder {
    timestamps: Vec<Timestamp>,
    lengths: Vec<u8>,
    text: Vec<u8>,
    metadata: MetadataBuilder,
    /// An encoded column; kept for its memory.
    column: Vec<u8>,
}

impl SegmentWriter {
    /// Makes the file, which must not be there yet, and writes its header.
    ///
    /// # Errors
    /// What the file system refuses.
    pub(crate) fn create(vfs: &dyn Vfs, path: &Path) -> Result<Self, StoreError> {
        let failed =
            |action| move |source| StoreError::Io { action, path: path.to_owned(), source };
        let mut file = vfs.create(path).map_err(failed("create"))?;
        let header = header();
        file.write_all(&header).map_err(failed("write"))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            offset: header.len() as u64,
            frames: FrameWriter::new().map_err(failed("compress for"))?,
            block: BlockBuilder::new(),
            blocks: Vec::new(),
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
        if !self.block.has_room(line.len()) {
            self.end_run();
            self.write_block()?;
        }
        let Some(stream) = self.streams.last_mut().filter(|stream| stream.totals.last <= timestamp)
        else {
            return Err(StoreError::Invalid("rows of a segment out of order".to_owned()));
        };
        let line_bytes = line.len() as u64;
        stream.totals.rows += 1;
        stream.totals.line_bytes += line_bytes;
        stream.totals.metadata_bytes += metadata_bytes(metadata);
        stream.totals.last = timestamp;
        let run = self.run.get_or_insert_with(|| self.block.run_at(self.blocks.len(), timestamp));
        run.rows += 1;
        run.last = timestamp;
        run.line_bytes += line_bytes;
        self.block.push(timestamp, line, metadata);
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
        self.write_block()?;
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
            self.runs.push(run);
            stream.runs.end = self.runs.len();
        }
    }

    fn write_block(&mut self) -> Result<(), StoreError> {
        if self.block.timestamps.is_empty() {
            return Ok(());
        }
        let mut out = std::mem::take(&mut self.out);
        let frames = self.block.finish(&mut self.frames, &mut out);
        let (rows, frames) = frames.map_err(|source| self.failed("compress for", source))?;
        self.blocks.push(BlockEntry { offset: self.offset, rows, frames });
        self.write(&out)?;
        out.clear();
        self.out = out;
        Ok(())
    }

    /// Writes all that is behind the blocks.
    fn write_tables(&mut self) -> Result<(), StoreError> {
        self.sum_up();
        let (streams_offset, mut out) = (self.offset, std::mem::take(&mut self.out));
        let table = stream_table::encode(&self.streams, &self.runs);
        let streams = self.frames.append(&table, &mut out);
        let streams = streams.map_err(|source| self.failed("compress for", source))?;
        self.write(&out)?;
        out.clear();

        let blocks_offset = self.offset;
        self.blocks.iter().for_each(|block| block.encode(&mut out));
        let blocks_crc = crc32c::crc32c(&out);
        self.write(&out)?;
        out.clear();

        let footer = Footer {
            meta: self.totals.clone(),
            streams_offset,
            streams,
            blocks_offset,
            blocks: u32::try_from(self.blocks.len()).unwrap_or(u32::MAX),
            blocks_crc,
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

impl BlockBuilder {
    fn new() -> Self {
        Self {
            timestamps: Vec::new(),
            lengths: Vec::new(),
            text: Vec::with_capacity(BLOCK_BYTES_MAX),
            metadata: MetadataBuilder::new(),
            column: Vec::new(),
        }
    }

    /// Whether a line of `len` bytes still belongs in this block.
    fn has_room(&self, len: usize) -> bool {
        let rows = self.timestamps.len();
        rows == 0
            || (self.text.len() + len <= BLOCK_BYTES_MAX
                && rows < BLOCK_ROWS_MAX
                && self.metadata.set_bytes() < BLOCK_BYTES_MAX)
    }

    /// A run without rows yet that begins with the next row.
    fn run_at(&self, block: usize, first: Timestamp) -> Run {
        let block = u32::try_from(block).unwrap_or(u32::MAX);
        let row = u32::try_from(self.timestamps.len()).unwrap_or(u32::MAX);
        Run { block, row, rows: 0, first, last: first, line_bytes: 0 }
    }

    fn push(&mut self, timestamp: Timestamp, line: &[u8], metadata: &Metadata) {
        self.timestamps.push(timestamp);
        put_varint(&mut self.lengths, line.len() as u64);
        self.text.extend_from_slice(line);
        self.metadata.push(metadata);
    }

    /// Appends the four frames to `out` and empties the block.
    fn finish(
        &mut self,
        frames: &mut FrameWriter,
        out: &mut Vec<u8>,
    ) -> io::Result<(u32, [Frame; 4])> {
        let rows = u32::try_from(self.timestamps.len()).map_err(io::Error::other)?;
        self.column.clear();
        encode_timestamps(&self.timestamps, &mut self.column);
        let timestamps = frames.append(&self.column, out)?;
        let lengths = frames.append(&self.lengths, out)?;
        let text = frames.append(&self.text, out)?;
        self.column.clear();
        self.metadata.finish(&mut self.column);
        let metadata = frames.append(&self.column, out)?;
        self.timestamps.clear();
        self.lengths.clear();
        self.text.clear();
        Ok((rows, [timestamps, lengths, text, metadata]))
    }
}

/// Bytes of names and values.
fn metadata_bytes(metadata: &Metadata) -> u64 {
    metadata.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum()
}

const _: () = assert!(HEADER_BYTES == 12, "the header as drawn");
