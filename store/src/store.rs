//! The store: open, append, snapshot, flush, close.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::engine::{self, Core, Options, Workers};
use crate::paths::{Paths, io_error};
use crate::{
    Clock, DirLock, Labels, LockOutcome, Matcher, OsVfs, Snapshot, StoreError, Subscription,
    SystemClock, TenantId, Timestamp, Vfs, WriteBatch,
};

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

/// Bytes of lines and metadata in the head, unless told otherwise.
const HEAD_BYTES_MAX: usize = 32 << 20;

/// How long an entry may be in the head, unless told otherwise.
const HEAD_AGE_MAX: Duration = Duration::from_secs(600);

/// How to open a store.
#[derive(Clone, Debug)]
pub struct StoreBuilder {
    options: Options,
}

impl StoreBuilder {
    /// Bytes of lines and metadata that may wait in memory before they are flushed to a segment. 32 MiB
    /// by default. Appends are held back at twice as much.
    #[must_use]
    pub fn head_bytes_max(mut self, bytes: usize) -> Self {
        self.options.head_bytes_max = u64::try_from(bytes).unwrap_or(u64::MAX);
        self
    }

    /// How long an entry may wait in memory before it is flushed to a segment. Ten minutes by default.
    #[must_use]
    pub fn head_age_max(mut self, age: Duration) -> Self {
        self.options.head_age_max = age;
        self
    }

    /// When an append counts as done. [`Durability::Sync`] by default.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.options.durability = durability;
        self
    }

    /// Where the files are. The operating system's file system by default.
    #[must_use]
    pub fn vfs(mut self, vfs: Arc<dyn Vfs>) -> Self {
        self.options.vfs = vfs;
        self
    }

    /// What tells the head's age. The machine's monotonic clock by default.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.options.clock = clock;
        self
    }

    /// Opens the store in `directory`, made if it is not there: replays the log, maps the segments.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when someone else has it open; [`StoreError::FutureFormat`] when a later
    /// version wrote it; refusals of the file system.
    pub fn open(self, directory: impl AsRef<Path>) -> Result<Store, StoreError> {
        let paths = Paths::new(directory.as_ref());
        let vfs = Arc::clone(&self.options.vfs);
        vfs.create_dir_all(paths.root()).map_err(io_error("make", paths.root()))?;
        let lock = match vfs.lock(&paths.lock()).map_err(io_error("lock", &paths.lock()))? {
            LockOutcome::Held(lock) => lock,
            LockOutcome::Busy { holder } => {
                return Err(StoreError::Locked { path: paths.root().to_owned(), holder });
            }
        };
        let core = Arc::new(engine::open(self.options, paths)?);
        let workers = Workers::start(&core)?;
        Ok(Store { handle: Arc::new(Handle { core, workers, lock: Mutex::new(Some(lock)) }) })
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
    /// Merges of small segments since the store was opened.
    pub merges: u64,
    /// Segments set aside because they are damaged.
    pub damaged_segments: u64,
    /// Entries that the log gave back when the store was opened.
    pub replayed_entries: u64,
}

/// An open store. Cheap to clone; all clones are the same store. `Send`, `Sync`, no async runtime.
///
/// Dropping the last clone lets the directory go without a flush: what was acknowledged as durable is
/// in the log and comes back when the store is opened again.
#[derive(Clone, Debug)]
pub struct Store {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    core: Arc<Core>,
    workers: Workers,
    /// `None` once the directory was let go.
    lock: Mutex<Option<Box<dyn DirLock>>>,
}

impl Handle {
    fn let_go(&self) {
        self.workers.stop();
        self.core.end();
        *self.lock.lock() = None;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.lock.lock().is_some() {
            self.core.sync_log();
            self.let_go();
        }
    }
}

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
        let options = Options {
            head_bytes_max: 0,
            head_age_max: HEAD_AGE_MAX,
            durability: Durability::Sync,
            vfs: Arc::new(OsVfs),
            clock: Arc::new(SystemClock::new()),
        };
        StoreBuilder { options }.head_bytes_max(HEAD_BYTES_MAX)
    }

    /// Appends a batch and waits until it is durable. Visible to snapshots taken after it returns.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the log or, with the head full, a segment could not be written: the batch
    /// is not kept, and the next may be. When a full disk leaves no room to say so in the log, a store
    /// that is opened before the next append or flush that succeeds may still find the batch there, as a
    /// whole. [`StoreError::Poisoned`] after a failed sync: the store must be reopened to know.
    /// Otherwise nothing of the batch is kept on an error.
    ///
    /// With [`Durability::None`] a write that fails may be one of earlier batches: they stay readable,
    /// but are durable only from the next flush on.
    pub fn append(
        &self,
        tenant: &TenantId,
        batch: &WriteBatch,
    ) -> Result<AppendReport, StoreError> {
        self.handle.core.append(tenant, batch)
    }

    /// A consistent view of everything acknowledged so far.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.handle.core.view())
    }

    /// Gives what is appended from now on to the tenant's streams that pass every matcher.
    ///
    /// `bytes_max` bounds what may wait to be received: lines, metadata and some bytes an entry. What
    /// comes while there is no room is dropped and counted; appends never wait. Many subscriptions cost
    /// an append little, but one per selector, shared out by the caller, costs less.
    ///
    /// For what was appended before, see [`snapshot_with_position`](Self::snapshot_with_position).
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub fn subscribe(
        &self,
        tenant: &TenantId,
        matchers: &[Matcher],
        bytes_max: usize,
    ) -> Result<Subscription, StoreError> {
        self.handle.core.subscribe(tenant, matchers, bytes_max)
    }

    /// A view, with the position up to which it has what subscriptions give: of a subscription that was
    /// there before, what has a greater [`Appended::position`](crate::Appended::position) is not in the
    /// view, and all the rest is.
    #[must_use]
    pub fn snapshot_with_position(&self) -> (Snapshot, u64) {
        self.handle.core.snapshot_with_position()
    }

    /// How many streams of the tenant are active, that is in the head.
    #[must_use]
    pub fn active_streams(&self, tenant: &TenantId) -> usize {
        self.handle.core.view().head.view().streams(tenant)
    }

    /// The newest timestamp of an active stream; `None` when the stream is not in the head.
    #[must_use]
    pub fn newest_entry(&self, tenant: &TenantId, labels: &Labels) -> Option<Timestamp> {
        let head = self.handle.core.view().head.view();
        head.stream(tenant, labels).map(|stream| stream.newest)
    }

    /// Writes all that is in the head to a segment and waits for it.
    ///
    /// # Errors
    /// Refusals of the file system; the head is then kept.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.handle.core.check_open()?;
        self.handle.core.flush()
    }

    /// Merges segments that are small and of one day, as the store does by itself behind a flush that was
    /// due, and waits for it.
    ///
    /// # Errors
    /// Refusals of the file system; the segments are then as before. Damaged segments are left alone.
    pub fn compact(&self) -> Result<(), StoreError> {
        self.handle.core.check_open()?;
        self.handle.core.compact()
    }

    /// Figures about the store.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.handle.core.stats()
    }

    /// Flushes, syncs and lets the directory go. Later calls on any clone give [`StoreError::Closed`];
    /// snapshots, taken before or after, go on showing what there was.
    ///
    /// # Errors
    /// As [`flush`](Self::flush); the directory is let go all the same.
    pub fn close(&self) -> Result<(), StoreError> {
        let outcome = self.handle.core.close();
        if matches!(outcome, Err(StoreError::Closed)) {
            // Another call is at it, or done, and lets the directory go when it is.
            return outcome;
        }
        self.handle.let_go();
        outcome
    }
}
