//! Writes one group.

use std::io;

use super::super::VERSION;
use super::super::codec::put_varint;
use super::super::column::MetadataBuilder;
use super::super::frame::{FRAME_BYTES_MAX, FrameWriter};
use super::super::template::{self, Finished, Kind, Sink};
use super::header::WITHIN;
use super::times::Times;
use super::words::Surveyor;
use super::{GROUP_ROWS_MAX, GroupEntry};
use crate::{Metadata, Timestamp};

/// The most bytes of lines in a group of several lines; one that has as many of distinct metadata is full,
/// too.
///
/// The more rows, the less its templates, dictionaries and stamps weigh, and the more a needle can be
/// kept from; but it is held in memory while it is written, and a reader that wants a few rows decodes
/// whole columns of it.
pub(in crate::segment) const GROUP_BYTES_MAX: usize = 4 << 20;

/// Groups of fewer bytes of lines have no filter: they are as quickly searched.
const FILTERED_BYTES_MIN: usize = 64 << 10;

/// zstd's level for headers: they are small, and the first that a reader decompresses.
const HEADER_LEVEL: i32 = 6;

/// The rows of the group being filled.
#[derive(Debug)]
pub(in crate::segment) struct GroupBuilder {
    timestamps: Vec<Timestamp>,
    text: Vec<u8>,
    /// Where each line is in the text.
    spans: Vec<(u32, u32)>,
    metadata: MetadataBuilder,
}

impl GroupBuilder {
    /// An empty group.
    pub(in crate::segment) fn new() -> Self {
        Self {
            timestamps: Vec::new(),
            text: Vec::new(),
            spans: Vec::new(),
            metadata: MetadataBuilder::new(),
        }
    }

    /// The rows, which are then no more in here.
    pub(in crate::segment) fn take(&mut self) -> Self {
        let empty = Self { text: Vec::with_capacity(self.text.len()), ..Self::new() };
        std::mem::replace(self, empty)
    }

    pub(in crate::segment) fn rows(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether a line of `len` bytes still belongs in this group.
    pub(in crate::segment) fn has_room(&self, len: usize) -> bool {
        let rows = self.rows();
        rows == 0
            || (self.text.len() + len <= GROUP_BYTES_MAX
                && rows < GROUP_ROWS_MAX
                && self.metadata.set_bytes() < GROUP_BYTES_MAX)
    }

    /// Adds a row; its line is at most [`FRAME_BYTES_MAX`] bytes long.
    pub(in crate::segment) fn push(
        &mut self,
        timestamp: Timestamp,
        line: &[u8],
        metadata: &Metadata,
    ) {
        debug_assert!(line.len() <= FRAME_BYTES_MAX, "a line that no frame can hold");
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let start = place(self.text.len());
        self.text.extend_from_slice(line);
        self.spans.push((start, place(self.text.len())));
        self.timestamps.push(timestamp);
        self.metadata.push(metadata);
    }

    /// Appends the group's header and frames to `out` and empties it. The entry's offset is that in
    /// `out`; the sink has nothing in it, before and after.
    pub(in crate::segment) fn finish(
        &mut self,
        sink: &mut Sink,
        out: &mut Vec<u8>,
    ) -> io::Result<GroupEntry> {
        let rows = u32::try_from(self.rows()).map_err(io::Error::other)?;
        let mut surveyor = Surveyor::new();
        let table = template::write(&self.text, &self.spans, sink, &mut surveyor)?;
        let times = Times::write(&self.timestamps, sink)?;
        let mut column = Vec::new();
        self.metadata.finish(&mut column);
        let metadata = sink.put(Kind::Texts, &column)?;
        let Finished { frames, within } = sink.finish()?;
        let mut header = Vec::new();
        put_varint(&mut header, frames.len() as u64);
        for frame in &frames {
            match frame {
                Some((frame, _)) => frame.encode(&mut header),
                None => header.push(WITHIN),
            }
        }
        // In the order in which they were put, which tells their places.
        table.encode(&mut header);
        times.encode(&mut header);
        put_varint(&mut header, metadata.len.into());
        header.extend_from_slice(&within);
        let (header, stored) = FrameWriter::new(HEADER_LEVEL)?.frame(&header)?;
        let offset = out.len();
        out.extend_from_slice(&stored);
        frames.iter().flatten().for_each(|(_, stored)| out.extend_from_slice(stored));
        let (mut words, filter) = surveyor.finish(self.text.len());
        if self.text.len() < FILTERED_BYTES_MIN {
            words = words.unfiltered();
        } else {
            out.extend_from_slice(&filter);
        }
        self.timestamps.clear();
        self.text.clear();
        self.spans.clear();
        let length = (out.len() - offset) as u64;
        Ok(GroupEntry { offset: offset as u64, length, rows, header, words, version: VERSION })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::words::Words;
    use super::*;

    /// What a survey of the pieces that a table is made of finds, and one of the lines.
    fn surveys(lines: &[String]) -> [(Words, Vec<u8>); 2] {
        let (mut text, mut spans, mut of_lines) = (String::new(), Vec::new(), Surveyor::new());
        for line in lines {
            let start = u32::try_from(text.len()).unwrap();
            text.push_str(line);
            spans.push((start, u32::try_from(text.len()).unwrap()));
            of_lines.add(line.as_bytes());
        }
        let mut of_pieces = Surveyor::new();
        let mut sink = Sink::new(1).unwrap();
        template::write(text.as_bytes(), &spans, &mut sink, &mut of_pieces).unwrap();
        [of_pieces.finish(text.len()), of_lines.finish(text.len())]
    }

    proptest! {
        #[test]
        fn pieces_have_the_words_of_the_lines(
            words in prop::collection::vec("([a-zA-Z]{1,9}|[0-9]{1,20}|[0-9a-f]{4,40}|[a-z]{1,4}=|\"[a-zA-Zé ,.]{0,30}\"|\\\\\"| |[!-/]|ä){1,8}", 1..12),
            shapes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
            count in prop::sample::select(vec![3, 40, 400]),
        ) {
            let line = |number: usize| {
                let (first, second) = &shapes[number % shapes.len()];
                format!("{} {number} {}", first.get(&words), words[(number + second.index(words.len())) % words.len()])
            };
            let [of_pieces, of_lines] = surveys(&(0..count).map(line).collect::<Vec<_>>());
            prop_assert_eq!(of_pieces, of_lines);
        }
    }
}
