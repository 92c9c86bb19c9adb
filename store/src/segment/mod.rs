//! Segments: sealed, immutable files of rows, sorted and compressed.
//!
//! A segment holds rows of any number of tenants and streams. It is written once, front to back, by
//! [`SegmentWriter`], synced, and from then on only read, through a map, by [`Segment`]. Nothing in it
//! refers to another file or to a path.
//!
//! # What is where
//! Rows are sorted by tenant, labels and time (rows alike in those keep the order of arrival) and cut
//! into *groups* of at most 4 MiB of line bytes. Small streams share a group, large ones span several;
//! the part of a stream in one group is a *run*. Within a group lines are split into templates and
//! columns ([`template`]), so that a count reads timestamps only, and a filter reads the few columns
//! that may have what it looks for. The *stream table* says where the runs of each stream are, the
//! *minute table* how much of a run there is in each minute, and a bundled tantivy index which streams
//! a label selects.
//!
//! # Format, version 6
//! Integers are little-endian. A *varint* is LEB128 of at most 10 bytes; *zigzag* maps a signed number
//! to an unsigned one, small magnitudes first; *text* is a varint length and as many bytes. A *frame*
//! is one zstd frame, or the bytes as they are where that is no longer: then stored and raw length are
//! the same. Every checksum is the CRC-32C of the bytes as stored, and is checked before they are
//! decompressed or parsed.
//!
//! ```text
//! file     ┌──────────────────────────────────────────────────────────────┐
//!          │ magic "TMBRSEG1" 8 │ version u32 4                           │ header, 12 bytes
//!          ├──────────────────────────────────────────────────────────────┤
//!          │ group 0: header │ frames │ filter                            │
//!          │ group 1: …                                                   │
//!          ├──────────────────────────────────────────────────────────────┤
//!          │ stream table                                                 │ one frame
//!          ├──────────────────────────────────────────────────────────────┤
//!          │ minute table                                                 │ one frame
//!          ├──────────────────────────────────────────────────────────────┤
//!          │ group directory                                              │ some 25 bytes a group
//!          ├──────────────────────────────────────────────────────────────┤
//!          │ index file 0 │ index file 1 │ …                              │ as tantivy wrote them
//!          ├──────────────────────────────────────────────────────────────┤
//!          │ footer                                                       │ n bytes
//!          ├──────────────────────────────────────────────────────────────┤
//!          │ footer crc u32 4 │ footer length n u32 4 │ magic "TMBRSEG1" 8│ tail, 16 bytes
//!          └──────────────────────────────────────────────────────────────┘
//!
//! group directory, per group
//!   length varint │ rows varint │ header: frame │ longest word varint
//!   │ filter length + 1 varint │ filter crc u32 4 │ inner varint │ trigrams + 1 varint
//!                                                            where there is no filter, 0 in place of these
//! frame      stored length varint │ raw length varint │ crc u32 4
//!
//! header of a group, one frame
//!   frames varint │ frames × { frame, or 0 u8 }              they follow the header; 0 where its bytes are at the header's end
//!   │ lines table
//!   │ first time zigzag varint │ unit varint │ integers      the timestamps: (time - first) / unit
//!   │ metadata length varint │ bytes of a frame
//! table      texts varint │ templates varint │ integers      which template each text has; not there with one template
//!            │ templates × { texts varint │ slots varint │ text │ slots × { column │ text } }
//! column     kind u8, then
//!   0 numbers     width varint │ lengths, if the width is 0 │ integers
//!                                                            decimal; padded with zeros to the width if that is not 0
//!   1 hexadecimal digits varint │ is upper case u8           n × digits, two in a byte, the first one high
//!   2 dictionary  count varint │ column │ integers           distinct values; then which of them each value is
//!   3 texts       lengths │ bytes │ integers │ longest word varint │ parts varint │ parts × length varint
//!                                                            the lengths; the values one after the other
//!   4 templates   table
//!   5 same        slot varint                                the values of an earlier slot of the same template
//! lengths    shortest varint │ longest - shortest varint
//! bytes      octets u16 │ others u8 │ octets × u8            which bytes there are
//! integers   kind u8, then
//!   0 constant    value varint
//!   1 packed      base varint │ bits u8                      n × (value - base) in so many bits, lowest first
//!   2 planes      base varint │ width + 16 × random u8       the lowest bytes of all (value - base), then the next
//!   3 deltas      width + 16 × random u8                     planes of zigzag differences to the value before, 0 before the first
//!   4 dictionary  count varint │ integers │ integers         distinct values; then which of them each value is
//!
//! metadata     sets varint │ sets × { pairs varint │ pairs × { name text │ value text } }
//!              │ r × set of the row, varint (not there when there is one set)
//!              (no bytes at all when no row of the group has metadata)
//!
//! stream table, before compression
//!   strings varint │ strings × length varint │ the strings' bytes
//!   tenants varint │ tenants × { tenant text │ streams varint }
//!   per stream, ascending by tenant and labels
//!     labels varint │ labels × { name varint │ value varint }           numbers of strings
//!     rows varint │ line bytes varint │ metadata bytes varint
//!     first - segment's first varint                                    timestamps; then the shorter of two ways to the last:
//!     │ (segment's last - last) × 2 varint, or (last - first) × 2 + 1 varint
//!     runs varint │ runs × { groups behind the run before varint │ first row in the group varint
//!                          │ and, if there are several: rows varint │ run's first - stream's first varint
//!                          │ run's last - run's first varint │ line bytes varint }
//!
//! minute table, before compression; per run, in the order of the stream table
//!   minutes varint │ minutes × { minute - minute before varint │ rows varint │ line bytes varint }
//!                                                                     the last one: without rows and bytes
//!
//! footer
//!   version varint │ rows varint │ line bytes varint │ first zigzag varint │ last - first varint │ streams varint
//!   │ zstd level u8 1 │ stream table: frame │ minute table: frame
//!   │ groups varint │ directory length varint │ directory crc u32 4
//!   │ index files varint │ files × { name text │ length varint │ crc u32 4 }
//! ```
//!
//! All parts of a file follow one another, and the last ends where the footer begins.
//!
//! Where the bytes of columns lie is not stored: they come in the order in which the header names their columns,
//! and how many there are is known by then. There are three kinds of them: *texts* (the values of texts, and the
//! metadata), *random* ones (hexadecimal digits, packed integers, and as many of the lowest planes of integers as
//! `random` says, which is 0 where they have 4 KiB) and *planes* (the others). From 4 KiB on texts and random bytes,
//! and from 2 KiB on planes, have a frame of their own. Fewer go to the end of the frame that bytes of their kind
//! share, all of them to the same; with 32 KiB it is full. Frames are numbered as they are begun, by one byte at the
//! least. The last one that texts share may be within the header, at its end: so it is where it has less than 4 KiB.
//!
//! `unit` is 1, 1,000, 1,000,000 or 1,000,000,000: many agents stamp in micro-, milli- or whole
//! seconds, and the zeros would be stored with every row. Which bytes there are in some texts is told by bits, of
//! which bit `b` is set where a text has the byte `b`, in octets: bit `n` of `octets` is set where octet `n` is not
//! 0, and these follow; `others` is 1 where there is a byte beyond ASCII. The longest word is
//! the longest run of ASCII letters and digits in a value, or in the group's lines. The filter tells which
//! words the lines do not have; groups of less than 64 KiB of lines have none; it, `inner` and `trigrams` are drawn in [`group`]'s `words`.
//!
//! A group ends before a row with which it would exceed 4 MiB of line bytes or 262,144 rows, and behind the
//! one with which its distinct metadata comes to 4 MiB; one larger line has a group of its own.
//!
//! # Older versions
//! All are read, and become version 6 when they are merged.
//!
//! ```text
//! before version 6
//! directory  … │ header: frame │ filter length varint │ filter crc u32 4 │ longest word varint │ inner varint │ trigrams + 1 varint
//! header     no 0 in place of a frame
//! stream     … │ first timestamp zigzag varint │ last - first varint │ runs with all their numbers
//! minutes    the last one of a run, too, with its rows and bytes
//! footer     version u32 4 │ …
//!
//! before version 5
//! frame      stored length u32 4 │ raw length u32 4 │ crc u32 4
//! directory, per group
//!            offset u64 8 │ length u64 8 │ rows u32 4 │ header: frame
//!            │ filter length, filter crc, longest word, inner, trigrams: u32 4 each
//! header     frames varint │ frames × frame │ first time, unit, integers │ metadata place │ lines table
//! place      frame varint │ offset in the frame varint │ length varint
//!                                                            behind packed integers and hexadecimal digits; one for each plane;
//!                                                            those of texts, in place of their lengths
//! column     stamp │ as above, without lengths and bytes; `random` is 0
//! stamp      shortest varint │ (longest - shortest) × 2 + others varint │ bits u128
//! footer     version u32 4 │ rows u64 8 │ line bytes u64 8 │ first i64 8 │ last i64 8 │ streams u64 8 │ zstd level u8 1
//!            │ stream table: offset u64 8 │ frame │ minute table: likewise
//!            │ group directory: offset u64 8 │ groups u32 4 │ crc u32 4
//!            │ index files varint │ files × { name text │ offset u64 8 │ length u64 8 │ crc u32 4 }
//! ```
//!
//! Version 3 has no filters and longest words in the directory, and in a group's header, behind the metadata place, that of
//! another filter, which is passed over. Version 2 has none and no longest words, and its stamps are
//! `shortest varint │ longest - shortest varint │ classes u64`: a bit for each digit and letter (0-9, A-Z, a-z from the
//! lowest), one for all other ASCII and one for the rest. Version 1 ([`v1`]) has blocks of lines.
//!
//! # The label index
//! Document `n` is stream `n` of the stream table. Its one field, `label`, has a term
//! `tenant NUL name NUL value` for each label. A segment of few streams, or one with a label that does
//! not fit that form, has no index files: matchers are then tried on the stream table. So they are where the index
//! turns out to be damaged.

mod bitmap;
mod checksum;
mod chunk;
mod codec;
mod column;
mod crowd;
mod describe;
mod footer;
mod frame;
mod fuzz;
mod group;
#[cfg(feature = "label-index")]
mod index;
#[cfg(not(feature = "label-index"))]
#[path = "no_index.rs"]
mod index;
mod layout;
mod merge;
mod minutes;
mod parts;
mod reader;
mod stream_table;
mod table_cache;
mod tables;
mod template;
#[cfg(test)]
mod tests;
mod v1;
mod verify;
mod writer;

use crate::Timestamp;

pub(crate) use chunk::{KnownProjections, SegmentChunk, SegmentScratch};
pub(crate) use crowd::Crowd;
pub(crate) use fuzz::open_segment_bytes;
#[cfg(feature = "label-index")]
pub(crate) use index::open_label_index_bytes;
pub(crate) use merge::{LEVEL as MERGE_LEVEL, merge};
pub use minutes::Minute;
pub(crate) use parts::{EncodedPart, Part, PartCutter, SegmentRow};
pub(crate) use reader::{Segment, StreamEntry};
pub(crate) use template::TemplateView;
pub(crate) use writer::{SegmentWriter, write_parts};

/// The version this module writes, and the newest it reads.
const VERSION: u32 = 6;

/// How much there is in a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// zstd's level for its columns; 0 in version 1.
    pub(crate) zstd_level: u8,
}
