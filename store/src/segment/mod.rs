//! Segments: sealed, immutable files of rows, sorted and compressed.
//!
//! A segment holds rows of any number of tenants and streams. It is written once, front to back, by
//! [`SegmentWriter`], synced, and from then on only read, through a map, by [`Segment`]. Nothing in it
//! refers to another file or to a path.
//!
//! # What is where
//! Rows are sorted by tenant, labels and time (rows alike in those keep the order of arrival) and cut
//! into *blocks* of at most 256 KiB of line bytes, the unit of decompression. Small streams share a
//! block, large ones span several; the part of a stream in one block is a *run*. A block's columns are
//! compressed apart, so that a count reads timestamps only and a filter that finds nothing reads no
//! timestamps. The *stream table* says where the runs of each stream are, and a bundled tantivy index
//! says which streams a label selects.
//!
//! # Format, version 1
//! Integers are little-endian. A *varint* is LEB128 of at most 10 bytes; *zigzag* maps a signed number
//! to an unsigned one, small magnitudes first; *text* is a varint length and as many bytes of UTF-8.
//! A *frame* is one zstd frame; an empty column has no bytes at all. Every checksum is the CRC-32C of
//! the bytes as stored, and is checked before they are decompressed or parsed.
//!
//! ```text
//! file     ┌──────────────────────────────────────────────────────────────┐
//!          │ magic "TMBRSEG1" 8 │ version u32 4                           │ header, 12 bytes
//!          ├──────────────────────────────────────────────────────────────┤
//!          │ block 0: timestamps │ lengths │ text │ metadata              │ four frames each
//!          │ block 1: …                                                   │
//!          ├──────────────────────────────────────────────────────────────┤
//!          │ stream table                                                 │ one frame
//!          ├──────────────────────────────────────────────────────────────┤
//!          │ block directory                                              │ 60 bytes a block
//!          ├──────────────────────────────────────────────────────────────┤
//!          │ index file 0 │ index file 1 │ …                              │ as tantivy wrote them
//!          ├──────────────────────────────────────────────────────────────┤
//!          │ footer                                                       │ n bytes
//!          ├──────────────────────────────────────────────────────────────┤
//!          │ footer crc u32 4 │ footer length n u32 4 │ magic "TMBRSEG1" 8│ tail, 16 bytes
//!          └──────────────────────────────────────────────────────────────┘
//!
//! columns of a block, before compression (r rows, in the order of the rows)
//!   timestamps  unit varint │ first zigzag varint │ r-1 × (difference to the row before) / unit, zigzag varint
//!   lengths     r × length of the line, varint
//!   text        the lines' bytes, one after the other, nothing between
//!   metadata    sets varint │ sets × { pairs varint │ pairs × { name text │ value text } }
//!               │ r × set of the row, varint (not there when there is one set)
//!               (no bytes at all when no row of the block has metadata)
//!
//! stream table, before compression
//!   strings varint │ strings × length varint │ the strings' bytes
//!   tenants varint │ tenants × { tenant text │ streams varint }
//!   per stream, ascending by tenant and labels
//!     labels varint │ labels × { name varint │ value varint }           numbers of strings
//!     rows varint │ line bytes varint │ metadata bytes varint
//!     first timestamp zigzag varint │ last - first varint
//!     runs varint │ runs × { blocks behind the run before varint │ first row in the block varint
//!                          │ rows varint │ run's first - stream's first varint
//!                          │ run's last - run's first varint │ line bytes varint }
//!
//! block directory, per block
//!   offset u64 8 │ rows u32 4 │ 4 × { stored length u32 4 │ raw length u32 4 │ crc u32 4 }
//!
//! footer
//!   version u32 4 │ rows u64 8 │ line bytes u64 8 │ first i64 8 │ last i64 8 │ streams u64 8
//!   stream table: offset u64 8 │ stored length u32 4 │ raw length u32 4 │ crc u32 4
//!   block directory: offset u64 8 │ blocks u32 4 │ crc u32 4
//!   index files varint │ files × { name text │ offset u64 8 │ length u64 8 │ crc u32 4 }
//! ```
//!
//! `unit` is 1, 1,000, 1,000,000 or 1,000,000,000: many agents stamp in micro-, milli- or whole
//! seconds, and the zeros would be stored with every row.
//!
//! A block ends before a row with which it would exceed 256 KiB of line bytes or of distinct metadata,
//! or 65,536 rows; one larger line has a block of its own.
//!
//! # The label index
//! Document `n` is stream `n` of the stream table. Its one field, `label`, has a term
//! `tenant NUL name NUL value` for each label. A segment of few streams, or one with a label that does
//! not fit that form, has no index files: matchers are then tried on the stream table.

mod cache;
mod chunk;
mod codec;
mod column;
mod footer;
mod frame;
mod fuzz;
mod index;
mod merge;
mod reader;
mod stream_table;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use crate::Timestamp;

pub(crate) use cache::DecodeCache;
pub(crate) use chunk::SegmentChunk;
pub(crate) use fuzz::open_segment_bytes;
pub(crate) use merge::merge;
pub(crate) use reader::{Segment, StreamEntry};
pub(crate) use writer::SegmentWriter;

/// The version this module writes, and the newest it reads.
const VERSION: u32 = 1;

/// How much there is in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentMeta {
    /// Rows.
    pub(crate) rows: u64,
    /// Bytes of lines, before compression.
    pub(crate) line_bytes: u64,
    /// The file's length.
    pub(crate) file_bytes: u64,
    /// The earliest timestamp; 0 when there are no rows.
    pub(crate) first: Timestamp,
    /// The latest timestamp; 0 when there are no rows.
    pub(crate) last: Timestamp,
    /// Streams, over all tenants.
    pub(crate) streams: u64,
}
