//! Decoded columns, kept from chunk to chunk by one reading thread.

use std::sync::Arc;

use super::block::{BlockEntry, Column};
use crate::segment::codec::Decoded;
use crate::segment::column::{MetadataColumn, decode_starts, decode_timestamps};
use crate::segment::footer::slice;
use crate::segment::frame::FrameReader;
use crate::segment::reader::Segment;
use crate::{StoreError, Timestamp};

/// How many blocks are kept. Chunks come stream by stream, so that small streams hit the same block
/// again and again; more than one block only helps a reader that merges streams.
const BLOCKS_MAX: usize = 4;

/// The blocks that a thread decoded last, about half a megabyte each, and zstd's tables.
#[derive(Debug, Default)]
pub(in crate::segment) struct DecodeCache {
    /// The block used last is in front.
    blocks: Vec<Block>,
    frames: FrameReader,
    /// A decompressed column that is about to be decoded; kept for its memory.
    column: Vec<u8>,
    /// A text that nobody refers to any more; kept for its memory.
    spare: Vec<u8>,
}

/// The columns of a block that were asked for so far.
#[derive(Debug)]
struct Block {
    segment: u64,
    number: u32,
    timestamps: Option<Arc<Vec<Timestamp>>>,
    starts: Option<Arc<Vec<u32>>>,
    text: Option<Arc<Vec<u8>>>,
    metadata: Option<MetadataColumn>,
}

impl DecodeCache {
    /// The stored bytes that were read since it was last asked.
    pub(in crate::segment) const fn take_stored_bytes(&mut self) -> u64 {
        self.frames.take_opened_bytes()
    }

    /// The timestamps of a block's rows.
    pub(in crate::segment) fn timestamps(
        &mut self,
        segment: &Segment,
        number: u32,
    ) -> Result<Arc<Vec<Timestamp>>, StoreError> {
        let (entry, index) = self.block(segment, number)?;
        if let Some(timestamps) = self.blocks.get(index).and_then(|block| block.timestamps.clone())
        {
            return Ok(timestamps);
        }
        let what = "timestamp block";
        let decoded = self.column(segment, entry, Column::Timestamps, what, |bytes| {
            decode_timestamps(bytes, entry.rows as usize)
        })?;
        let decoded = Arc::new(decoded);
        self.blocks[index].timestamps = Some(Arc::clone(&decoded));
        Ok(decoded)
    }

    /// Where the lines of a block's rows begin in its text, and where the last one ends.
    pub(in crate::segment) fn starts(
        &mut self,
        segment: &Segment,
        number: u32,
    ) -> Result<Arc<Vec<u32>>, StoreError> {
        let (entry, index) = self.block(segment, number)?;
        if let Some(starts) = self.blocks.get(index).and_then(|block| block.starts.clone()) {
            return Ok(starts);
        }
        let text_bytes = entry.column(Column::Text).1.raw;
        let decoded = self.column(segment, entry, Column::Lengths, "length block", |bytes| {
            decode_starts(bytes, entry.rows as usize, text_bytes)
        })?;
        let decoded = Arc::new(decoded);
        self.blocks[index].starts = Some(Arc::clone(&decoded));
        Ok(decoded)
    }

    /// The bytes of a block's lines.
    pub(in crate::segment) fn text(
        &mut self,
        segment: &Segment,
        number: u32,
    ) -> Result<Arc<Vec<u8>>, StoreError> {
        let (entry, index) = self.block(segment, number)?;
        if let Some(text) = self.blocks.get(index).and_then(|block| block.text.clone()) {
            return Ok(text);
        }
        let mut text = std::mem::take(&mut self.spare);
        self.decompress(segment, entry, Column::Text, "line block", &mut text)?;
        let text = Arc::new(text);
        self.blocks[index].text = Some(Arc::clone(&text));
        Ok(text)
    }

    /// The metadata of a block's rows.
    pub(in crate::segment) fn metadata(
        &mut self,
        segment: &Segment,
        number: u32,
    ) -> Result<MetadataColumn, StoreError> {
        let (entry, index) = self.block(segment, number)?;
        if let Some(metadata) = self.blocks.get(index).and_then(|block| block.metadata.clone()) {
            return Ok(metadata);
        }
        let decoded = self.column(segment, entry, Column::Metadata, "metadata block", |bytes| {
            MetadataColumn::decode(bytes, entry.rows as usize)
        })?;
        self.blocks[index].metadata = Some(decoded.clone());
        Ok(decoded)
    }

    /// Brings a block to the front, in place of the one that was used longest ago if it is new.
    fn block<'s>(
        &mut self,
        segment: &'s Segment,
        number: u32,
    ) -> Result<(&'s BlockEntry, usize), StoreError> {
        let entry = segment.block(number)?;
        let is_it = |block: &Block| (block.segment, block.number) == (segment.identity(), number);
        match self.blocks.iter().position(is_it) {
            Some(index) => self.blocks[..=index].rotate_right(1),
            None => {
                if self.blocks.len() == BLOCKS_MAX {
                    self.evict();
                }
                let segment = segment.identity();
                let (timestamps, starts, text, metadata) = (None, None, None, None);
                self.blocks
                    .insert(0, Block { segment, number, timestamps, starts, text, metadata });
            }
        }
        Ok((entry, 0))
    }

    fn evict(&mut self) {
        let text = self.blocks.pop().and_then(|block| block.text);
        if let Some(text) = text.and_then(Arc::into_inner) {
            self.spare = text;
        }
    }

    fn column<T>(
        &mut self,
        segment: &Segment,
        entry: &BlockEntry,
        column: Column,
        what: &'static str,
        decode: impl FnOnce(&[u8]) -> Decoded<T>,
    ) -> Result<T, StoreError> {
        let mut bytes = std::mem::take(&mut self.column);
        let read = self.decompress(segment, entry, column, what, &mut bytes);
        let (offset, _) = entry.column(column);
        let decoded = read.and_then(|()| {
            decode(&bytes).map_err(|damage| damage.at(segment.path(), what, offset))
        });
        self.column = bytes;
        decoded
    }

    fn decompress(
        &mut self,
        segment: &Segment,
        entry: &BlockEntry,
        column: Column,
        what: &'static str,
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let (offset, frame) = entry.column(column);
        slice(segment.bytes(), offset, u64::from(frame.stored))
            .and_then(|stored| self.frames.read(frame, stored, out))
            .map_err(|damage| damage.at(segment.path(), what, offset))
    }
}
