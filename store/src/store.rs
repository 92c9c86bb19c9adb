//! The store: open, append, snapshot, flush, close.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::engine::{self, Core, Haste, Options, Pace, Workers};
use crate::paths::{Paths, io_error};
use crate::{
    CancelOutcome, Clock, DeleteRequest, Deletion, DirLock, Durations, Entries, FilterCompiler,
    Labels, LockOutcome, Matcher, OsVfs, Retention, Snapshot, StoreError, Subscription,
    SystemClock, TenantId, TimeRange, Timestamp, Vfs, WriteBatch,
};

/// When an append counts as done.
///
/// ```
/// use timberline_store::{Durability, Labels, Store, TenantId, WriteBatch};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let store = Store::builder().durability(Durability::Sync).open(directory.path())?;
/// let mut batch = WriteBatch::new();
/// batch.stream(&Labels::from_pairs([("app", "shop")])?);
/// batch.push(1_700_000_000_000_000_000, b"cache warmed", &[])?;
/// // What may be lost in a crash need not wait for the disk.
/// store.append_with(&TenantId::default(), &batch, Durability::None)?;
/// # Ok(())
/// # }
/// ```
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

/// How long a delete request may be taken back, unless told otherwise.
const DELETE_CANCEL_PERIOD: Duration = Duration::from_secs(24 * 3600);

/// How to open a store.
///
/// ```
/// use std::time::Duration;
/// use timberline_store::{Durability, Retention, Store};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let store = Store::builder()
///     .durability(Durability::Interval(Duration::from_millis(100)))
///     .retention(Retention::keep(Duration::from_secs(30 * 86_400)))
///     .head_bytes_max(8 << 20)
///     .open(directory.path())?;
/// store.close()?;
/// # Ok(())
/// # }
/// ```
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

    /// What tells the head's age and what is past its retention. The machine's clocks by default.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.options.clock = clock;
        self
    }

    /// How long entries are kept. For ever by default. See [`Store::set_retention`].
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.options.retention = retention;
        self
    }

    /// What understands the texts of delete requests. None by default.
    #[must_use]
    pub fn filter_compiler(mut self, compiler: Arc<dyn FilterCompiler>) -> Self {
        self.options.filter_compiler = Some(compiler);
        self
    }

    /// How long a delete request may be taken back: so long its entries are hidden but stay on disk. A day
    /// by default.
    #[must_use]
    pub fn delete_cancel_period(mut self, period: Duration) -> Self {
        self.options.delete_cancel_period = period;
        self
    }

    /// The most that compaction in the background takes: the share of the time that its one thread is at
    /// work, of 0 to 1, and the bytes that it writes in a second. Half the time and 64 MiB by default. A
    /// share of 0 turns it off.
    #[must_use]
    pub fn compaction_limits(mut self, time_share: f64, bytes_per_second: u64) -> Self {
        self.options.pace = Pace { time_share, bytes_per_second };
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
    /// Flushes of the head since the store was opened, with those that opening it took to read back a long log.
    pub flushes: u64,
    /// Merges of small segments since the store was opened.
    pub merges: u64,
    /// Segments that were written anew, without deleted or expired entries or compressed better, since the
    /// store was opened.
    pub rewrites: u64,
    /// Segments that went because all of their entries were deleted or expired, since the store was opened.
    pub removed_segments: u64,
    /// Bytes of segments that flushes wrote since the store was opened. Together with the next two it tells
    /// how many times over entries are written.
    pub flush_bytes: u64,
    /// Bytes of segments that merges wrote since the store was opened.
    pub merge_bytes: u64,
    /// Bytes of segments that were written anew since the store was opened.
    pub rewrite_bytes: u64,
    /// Delete requests whose entries are hidden but not yet off the disk.
    pub deletes_pending: u64,
    /// Segments set aside because they are damaged.
    pub damaged_segments: u64,
    /// How often reading has met damage since the store was opened: a part of a segment that was left out.
    pub damaged_reads: u64,
    /// Entries that the log gave back when the store was opened.
    pub replayed_entries: u64,
    /// How long syncs of the write-ahead log have taken since the store was opened.
    pub wal_sync_durations: Durations,
    /// How long it has taken to write heads to segments since the store was opened. Those that were written
    /// while it was being opened are not in it: they share their time with reading the log.
    pub flush_durations: Durations,
    /// How long merges, and rewrites of single segments, have taken since the store was opened. Most of it is
    /// pauses, where compaction is held to a share of the time.
    pub merge_durations: Durations,
    /// Bytes at the end of the log that were no whole record when the store was opened: of an append that
    /// was cut off before it was acknowledged, or of one that is damaged.
    pub torn_log_bytes: u64,
}

/// An open store.
///
/// ```
/// use timberline_store::{Labels, Matcher, Store, TenantId, TimeRange, WriteBatch};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let (store, tenant) = (Store::open(directory.path())?, TenantId::default());
/// let mut batch = WriteBatch::new();
/// batch.stream(&Labels::from_pairs([("app", "shop"), ("env", "prod")])?);
/// batch.push(1_700_000_000_000_000_000, b"order 17 paid", &[("trace", "4f2a")])?;
/// store.append(&tenant, &batch)?;
///
/// let entries = store.entries(&tenant, &[Matcher::equal("app", "shop")], TimeRange::ALL)?;
/// for entry in entries {
///     let entry = entry?;
///     println!("{} {} {} {}", entry.timestamp, entry.labels, entry.text(), entry.metadata);
/// }
/// store.close()?;
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone; all clones are the same store. `Send`, `Sync`, no async runtime.
///
/// Dropping the last clone lets the directory go without a flush: what was acknowledged as durable is
/// in the log and comes back when the store is opened again.
#[derive(Clone, Debug)]
pub struct Store {
    handle: Arc<Handle>,
}

/// A clone: what takes a store takes a reference to one as well.
impl From<&Self> for Store {
    fn from(store: &Self) -> Self {
        store.clone()
    }
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
            retention: Retention::default(),
            filter_compiler: None,
            delete_cancel_period: DELETE_CANCEL_PERIOD,
            pace: Pace::default(),
        };
        StoreBuilder { options }.head_bytes_max(HEAD_BYTES_MAX)
    }

    /// Appends a batch and waits until it is durable. Visible to snapshots taken after it returns.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the log or, with the head full, a segment could not be written or synced: the
    /// batch is not kept, and the next may be. When the disk leaves no way to say so in the log, a store
    /// that is opened before the next append or flush that succeeds may still find the batch there, as a
    /// whole. Otherwise nothing of the batch is kept on an error.
    ///
    /// With [`Durability::None`] a write that fails may be one of earlier batches: they stay readable,
    /// but are durable only from the next flush on.
    pub fn append(
        &self,
        tenant: &TenantId,
        batch: &WriteBatch,
    ) -> Result<AppendReport, StoreError> {
        self.append_with(tenant, batch, self.handle.core.durability())
    }

    /// As [`append`](Self::append), with a durability of its own: a program may sync what must not be lost
    /// and take its chances with the rest. A sync makes durable what was appended before it, too.
    ///
    /// [`Durability::Interval`] counts when the batch is written to the operating system. Which interval it
    /// names makes no difference here: only a store that was opened with one syncs in the background.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_with(
        &self,
        tenant: &TenantId,
        batch: &WriteBatch,
        durability: Durability,
    ) -> Result<AppendReport, StoreError> {
        self.handle.core.append(tenant, batch, durability)
    }

    /// The entries acknowledged so far that are of the tenant's selected streams and in the range, by time.
    /// Short for [`snapshot`](Self::snapshot) and [`Snapshot::entries`].
    ///
    /// # Errors
    /// As [`Snapshot::entries`].
    pub fn entries(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
    ) -> Result<Entries, StoreError> {
        self.snapshot().entries(tenant, selector, range)
    }

    /// A consistent view of everything acknowledged so far.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.handle.core.snapshot()
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

    /// Does all at once, and without limits, what the store does in the background by and by: takes entries
    /// off the disk that are past their retention or whose delete request can no longer be taken back,
    /// and merges segments that are small and of one day.
    ///
    /// # Errors
    /// Refusals of the file system; the segments are then as before. Damaged segments are left alone.
    pub fn compact(&self) -> Result<(), StoreError> {
        self.handle.core.check_open()?;
        self.handle.core.compact(Haste::Full)
    }

    /// As [`compact`](Self::compact), and compresses what was flushed in haste and not merged as well as it
    /// can. The store does that by itself once entries are a day old and it has nothing else to do.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub fn compact_thoroughly(&self) -> Result<(), StoreError> {
        self.handle.core.check_open()?;
        self.handle.core.compact(Haste::Thorough)
    }

    /// Deletes what was acknowledged before this call and is meant by the request, and waits until that is
    /// recorded durably. Returns the request's number.
    ///
    /// Snapshots taken after it returns do not have the entries. They leave the disk with a compaction once
    /// the request can no longer be taken back. Entries that are appended later are not meant.
    ///
    /// What of the tenant's matching entries is in memory is flushed first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for an empty range, a text that cannot be understood, and too many requests;
    /// refusals of the file system. Nothing is deleted then, unless a store that is opened later finds the
    /// request recorded all the same.
    pub fn delete(&self, request: DeleteRequest) -> Result<u64, StoreError> {
        self.handle.core.check_open()?;
        self.handle.core.delete(request)
    }

    /// The tenant's delete requests, the oldest first. Of those that were carried out the last 1,000 of all
    /// tenants are remembered.
    #[must_use]
    pub fn deletes(&self, tenant: &TenantId) -> Vec<Deletion> {
        self.handle.core.deletes(tenant)
    }

    /// Takes a delete request back, and waits until that is recorded. `force` does so even when the time for
    /// it is over or a part was carried out; what has left the disk does not come back.
    ///
    /// An entry that was deleted, appended again and is then seen again is there twice.
    ///
    /// # Errors
    /// Refusals of the file system; the request is then in force as before.
    pub fn cancel_delete(
        &self,
        tenant: &TenantId,
        id: u64,
        force: bool,
    ) -> Result<CancelOutcome, StoreError> {
        self.handle.core.check_open()?;
        self.handle.core.cancel_delete(tenant, id, force)
    }

    /// Makes a copy of everything acknowledged before this call in `directory`, which is made if it is not
    /// there and must be empty. The copy is a store directory of its own, without a log; its segments are
    /// links to this store's where the file system can do that, so that it takes next to no time and space.
    ///
    /// It is complete when this returns: one that was cut off has no manifest and cannot be opened. See
    /// [`StoreDirectory::restore`](crate::StoreDirectory::restore).
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a directory that is not empty; refusals of the file system.
    pub fn backup(&self, directory: impl AsRef<Path>) -> Result<(), StoreError> {
        self.handle.core.check_open()?;
        self.handle.core.backup(directory.as_ref())
    }

    /// Lets other periods of retention hold, for snapshots taken from now on. They are not recorded: whoever
    /// opens the store says them again.
    pub fn set_retention(&self, retention: Retention) {
        self.handle.core.set_retention(retention);
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
