//! What stands behind the groups of a segment: which streams there are, and where.

use std::io;

use super::SegmentMeta;
use super::frame::{Frame, FrameWriter};
use super::index;
use super::layout::Streams;
use super::stream_table;

/// zstd's level for tables.
const TABLE_LEVEL: i32 = 3;

/// The tables of a segment and its label index, as they are stored.
pub(super) struct Tables {
    /// But for the length of the file.
    pub(super) meta: SegmentMeta,
    /// The frames of the stream table and of the minute table.
    pub(super) bytes: Vec<u8>,
    pub(super) streams: Frame,
    pub(super) minutes: Frame,
    /// Files of the label index, by name.
    pub(super) index: Vec<(String, Vec<u8>)>,
}

impl Tables {
    /// Encodes what is known of the streams of a segment whose columns are of a level of zstd.
    ///
    /// # Errors
    /// What zstd or the label index refuse.
    pub(super) fn encode(streams: Streams, level: i32) -> io::Result<Self> {
        let Streams { records, runs, minutes } = streams;
        let totals = || records.iter().map(|stream| &stream.totals);
        let meta = SegmentMeta {
            rows: totals().map(|totals| totals.rows).sum(),
            line_bytes: totals().map(|totals| totals.line_bytes).sum(),
            file_bytes: 0,
            first: totals().map(|totals| totals.first).min().unwrap_or_default(),
            last: totals().map(|totals| totals.last).max().unwrap_or_default(),
            streams: records.len() as u64,
            zstd_level: u8::try_from(level).unwrap_or_default(),
        };
        let mut bytes = Vec::new();
        let mut writer = FrameWriter::new(TABLE_LEVEL)?;
        let mut frame = |table: &[u8]| {
            let (frame, stored) = writer.frame(table)?;
            bytes.extend_from_slice(&stored);
            io::Result::Ok(frame)
        };
        let streams = frame(&stream_table::encode(&records, &runs, (meta.first, meta.last)))?;
        let minutes = frame(&minutes.into_bytes())?;
        let index = index::build(&records).map_err(io::Error::other)?;
        Ok(Self { meta, bytes, streams, minutes, index })
    }
}
