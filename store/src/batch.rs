//! Entries on their way in ([`WriteBatch`]) and out ([`Batch`]).

use std::sync::Arc;

use crate::{InvalidLabels, Labels, Metadata, Timestamp};

/// Entries of one tenant to be appended together: all of them become durable and visible, or none.
///
/// The batch is kept in the form of its write-ahead-log record, so that appending copies each line
/// only once more.
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {}

impl WriteBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a stream: entries pushed from now on belong to it. A stream may be begun more than once.
    pub fn stream(&mut self, labels: &Labels) {
        let _ = labels;
        unimplemented!()
    }

    /// Adds an entry to the stream begun last. `metadata` in any order.
    ///
    /// # Errors
    /// A metadata name that is there twice; the entry is then not added.
    ///
    /// # Panics
    /// When no stream was begun.
    pub fn push(
        &mut self,
        timestamp: Timestamp,
        line: &[u8],
        metadata: &[(&str, &str)],
    ) -> Result<(), InvalidLabels> {
        let _ = (timestamp, line, metadata);
        unimplemented!()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the entries, keeps the memory.
    pub fn clear(&mut self) {
        unimplemented!()
    }
}

/// What of a line is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineColumn {
    /// Nothing: only how many rows there are and when.
    None,
    /// Its length in bytes.
    Length,
    /// Its bytes.
    Text,
}

/// Which columns a read fills in. Timestamps always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// What of the line.
    pub line: LineColumn,
    /// Whether structured metadata is wanted.
    pub metadata: bool,
}

impl Columns {
    /// Timestamps alone.
    pub const TIMESTAMPS: Self = Self { line: LineColumn::None, metadata: false };
    /// All there is.
    pub const ALL: Self = Self { line: LineColumn::Text, metadata: true };
}

/// One entry in a [`Batch`].
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// When.
    pub timestamp: Timestamp,
    /// The line's length in bytes; 0 where the line was not asked for.
    pub line_len: u32,
    pub(crate) line_start: u32,
    /// Which of [`Batch::metadata_sets`] the entry has; 0 where metadata was not asked for.
    pub metadata: u32,
}

/// Rows of one chunk that passed, by ascending time; equal timestamps in the order of arrival.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(crate) rows: Vec<Row>,
    pub(crate) text: Arc<Vec<u8>>,
    pub(crate) metadata: Arc<Vec<Metadata>>,
    /// Rows that were looked at, before the predicate.
    pub(crate) rows_scanned: u64,
    /// Bytes of lines that were looked at, before the predicate.
    pub(crate) bytes_scanned: u64,
}

impl Batch {
    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The bytes of a row's line; empty where [`LineColumn::Text`] was not asked for.
    #[must_use]
    pub fn line(&self, row: &Row) -> &[u8] {
        let start = row.line_start as usize;
        self.text.get(start..start + row.line_len as usize).unwrap_or_default()
    }

    /// The distinct metadata sets that rows refer to. Set 0 is there even when no row has it.
    #[must_use]
    pub fn metadata_sets(&self) -> &[Metadata] {
        &self.metadata
    }

    /// A row's metadata; empty where metadata was not asked for.
    #[must_use]
    pub fn metadata(&self, row: &Row) -> Metadata {
        self.metadata.get(row.metadata as usize).cloned().unwrap_or_default()
    }

    /// Rows that were looked at, before the predicate.
    #[must_use]
    pub const fn rows_scanned(&self) -> u64 {
        self.rows_scanned
    }

    /// Bytes of lines that were looked at, before the predicate.
    #[must_use]
    pub const fn bytes_scanned(&self) -> u64 {
        self.bytes_scanned
    }
}

/// Decoded blocks and buffers that one reading thread keeps from chunk to chunk, so that chunks that
/// share a block decode it once.
#[derive(Debug, Default)]
pub struct ReadScratch {
    /// What segments keep between reads.
    pub(crate) segment: crate::segment::DecodeCache,
}

impl ReadScratch {
    /// Empty buffers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
