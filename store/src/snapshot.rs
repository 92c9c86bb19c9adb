//! A consistent view of the store: which streams there are, and their entries in chunks.

use std::collections::BTreeSet;

use crate::{
    Batch, Columns, Labels, LinePredicate, Matcher, ReadScratch, StoreError, TenantId, TimeRange,
    Timestamp,
};

/// A view of everything acknowledged before it was taken, unchanged by what comes after.
///
/// Holds the head's runs and the segments it sees alive; drop it soon.
#[derive(Clone, Debug)]
pub struct Snapshot {}

/// How much there is of what a selector names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// Streams with an entry in the range.
    pub streams: u64,
    /// Chunks with an entry in the range.
    pub chunks: u64,
    /// Entries in the range, exact.
    pub entries: u64,
    /// Bytes of lines and metadata of those entries.
    pub bytes: u64,
}

impl Snapshot {
    /// The label sets of the streams that pass every matcher and have an entry in the range, sorted.
    ///
    /// # Errors
    /// Damage and refusals of the file system.
    pub fn series(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<Labels>, StoreError> {
        let _ = (tenant, selector, range);
        unimplemented!()
    }

    /// The names of the labels of those streams.
    ///
    /// # Errors
    /// As [`series`](Self::series).
    pub fn label_names(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
    ) -> Result<BTreeSet<String>, StoreError> {
        let _ = (tenant, selector, range);
        unimplemented!()
    }

    /// The values that the label `name` has in those streams.
    ///
    /// # Errors
    /// As [`series`](Self::series).
    pub fn label_values(
        &self,
        tenant: &TenantId,
        name: &str,
        selector: &[Matcher],
        range: TimeRange,
    ) -> Result<BTreeSet<String>, StoreError> {
        let _ = (tenant, name, selector, range);
        unimplemented!()
    }

    /// How much there is in the range.
    ///
    /// # Errors
    /// As [`series`](Self::series).
    pub fn stats(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
    ) -> Result<IndexStats, StoreError> {
        let _ = (tenant, selector, range);
        unimplemented!()
    }

    /// The chunks that may have entries in the range, of the streams that pass every matcher.
    ///
    /// Chunks of one stream may overlap in time. Entries of one stream with the same timestamp arrived
    /// in the order of their chunks here, and within a chunk in the order of its rows. No entry is in
    /// two chunks, and no two entries of a stream are alike in timestamp, line and metadata.
    ///
    /// # Errors
    /// As [`series`](Self::series). A damaged segment does not fail the call: it is left out, reported
    /// in [`warnings`](Self::warnings).
    pub fn chunks(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<Chunk>, StoreError> {
        let _ = (tenant, selector, range);
        unimplemented!()
    }

    /// What is missing from this view, in sentences for people: segments set aside for damage.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        unimplemented!()
    }
}

/// A run of one stream's entries that are stored together. At most about 256 KiB of lines.
///
/// Cheap to clone; holds what it needs alive.
#[derive(Clone, Debug)]
pub struct Chunk {}

impl Chunk {
    /// The stream's labels. Chunks of one stream share them (the same allocation within a source).
    #[must_use]
    pub fn labels(&self) -> &Labels {
        unimplemented!()
    }

    /// The earliest and the latest timestamp of the chunk's entries, both included.
    #[must_use]
    pub fn time_bounds(&self) -> (Timestamp, Timestamp) {
        unimplemented!()
    }

    /// How many entries it has, whatever the range it was found by.
    #[must_use]
    pub fn rows(&self) -> u64 {
        unimplemented!()
    }

    /// How many bytes of lines it has.
    #[must_use]
    pub fn line_bytes(&self) -> u64 {
        unimplemented!()
    }

    /// Reads the entries in `range` whose line passes `predicate`, by ascending time.
    ///
    /// Columns that are not asked for are not decoded unless the predicate needs them.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged block: this chunk cannot be read, others can.
    pub fn read(
        &self,
        range: TimeRange,
        predicate: &LinePredicate,
        columns: Columns,
        scratch: &mut ReadScratch,
    ) -> Result<Batch, StoreError> {
        let _ = (range, predicate, columns, scratch);
        unimplemented!()
    }
}
