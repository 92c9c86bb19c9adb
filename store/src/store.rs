//! The store: open, append, snapshot, flush, close.

use std::path::Path;
use std::time::Duration;

use crate::{Labels, Snapshot, StoreError, TenantId, Timestamp, WriteBatch};

/// When an append counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the write-ahead log is synced to disk. Concurrent appends share a sync.
    Sync,
    /// When it is written to the operating system; a background sync follows within the interval.
    Interval(Duration),
    /// When it is in memory and handed to the operating system at leisure; synced at a flush.
    None,
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct StoreBuilder {}

impl StoreBuilder {
    /// Bytes of lines and metadata that may wait in memory before they are flushed to a segment.
    #[must_use]
    pub fn head_bytes_max(self, bytes: usize) -> Self {
        let _ = bytes;
        unimplemented!()
    }

    /// How long an entry may wait in memory before it is flushed to a segment.
    #[must_use]
    pub fn head_age_max(self, age: Duration) -> Self {
        let _ = age;
        unimplemented!()
    }

    /// When an append counts as done. [`Durability::Sync`] by default.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        let _ = durability;
        unimplemented!()
    }

    /// Opens the store in `directory`, made if it is not there: replays the log, maps the segments.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when someone else has it open; refusals of the file system.
    pub fn open(self, directory: impl AsRef<Path>) -> Result<Store, StoreError> {
        let _ = directory;
        unimplemented!()
    }
}

/// What an append did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendReport {
    /// Entries that are new.
    pub appended: u64,
    /// Entries that the store had already: same stream, timestamp, line and metadata. Kept once.
    pub duplicates: u64,
}

/// Figures about a store, for metrics.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct StoreStats {
    /// Streams in the head, over all tenants.
    pub head_streams: u64,
    /// Entries in the head.
    pub head_entries: u64,
    /// Bytes of lines and metadata in the head.
    pub head_bytes: u64,
    /// Live segment files.
    pub segments: u64,
    /// Bytes of live segment files.
    pub segment_bytes: u64,
    /// Entries in live segments.
    pub segment_entries: u64,
    /// Bytes of write-ahead-log files.
    pub wal_bytes: u64,
    /// Syncs of the write-ahead log since the store was opened.
    pub wal_syncs: u64,
    /// Appends since the store was opened.
    pub appends: u64,
    /// Flushes of the head since the store was opened.
    pub flushes: u64,
    /// Segments set aside because they are damaged.
    pub damaged_segments: u64,
    /// Entries that the log gave back when the store was opened.
    pub replayed_entries: u64,
}

/// An open store. Cheap to clone; all clones are the same store. `Send`, `Sync`, no async runtime.
#[derive(Clone, Debug)]
pub struct Store {}

impl Store {
    /// Opens the store in `directory` with the defaults.
    ///
    /// # Errors
    /// As [`StoreBuilder::open`].
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder().open(directory)
    }

    /// The defaults, to be changed before opening.
    #[must_use]
    pub fn builder() -> StoreBuilder {
        unimplemented!()
    }

    /// Appends a batch and waits until it is durable. Visible to snapshots taken after it returns.
    ///
    /// # Errors
    /// Nothing of the batch is kept on an error, but for [`StoreError::Poisoned`], after which the
    /// store must be reopened to know.
    pub fn append(
        &self,
        tenant: &TenantId,
        batch: &WriteBatch,
    ) -> Result<AppendReport, StoreError> {
        let _ = (tenant, batch);
        unimplemented!()
    }

    /// A consistent view of everything acknowledged so far.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        unimplemented!()
    }

    /// How many streams of the tenant are active, that is in the head.
    #[must_use]
    pub fn active_streams(&self, tenant: &TenantId) -> usize {
        let _ = tenant;
        unimplemented!()
    }

    /// The newest timestamp of an active stream; `None` when the stream is not in the head.
    #[must_use]
    pub fn newest_entry(&self, tenant: &TenantId, labels: &Labels) -> Option<Timestamp> {
        let _ = (tenant, labels);
        unimplemented!()
    }

    /// Writes all that is in the head to a segment and waits for it.
    ///
    /// # Errors
    /// Refusals of the file system; the head is then kept.
    pub fn flush(&self) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Figures about the store.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        unimplemented!()
    }

    /// Flushes, syncs and lets the directory go. Later calls on any clone give [`StoreError::Closed`].
    ///
    /// # Errors
    /// As [`flush`](Self::flush); the directory is let go all the same.
    pub fn close(&self) -> Result<(), StoreError> {
        unimplemented!()
    }
}
