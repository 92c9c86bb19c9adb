//! What all clones of a store and its threads share, and the path of an append.

mod backup;
mod compact;
mod delete;
mod flush;
mod recover;
mod sealer;
mod worker;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, RwLock};

use self::compact::{BelievedTime, Pacer};
pub(crate) use self::compact::{Haste, Pace};
pub(crate) use self::recover::open;
pub(crate) use self::worker::Workers;
use crate::batch::WriteBatch;
use crate::durations::DurationCounters;
use crate::head::{HeadSize, Pending};
use crate::manifest::Manifest;
use crate::paths::{Paths, io_error};
use crate::subscribe::{Subscriber, Subscribers};
use crate::view::View;
use crate::wal::Wal;
use crate::{
    AppendReport, Clock, Durability, FilterCompiler, Labels, Matcher, ReadScratch, Retention,
    Snapshot, StoreError, StoreStats, Subscription, TenantId, Timestamp, Vfs,
};

/// Appends wait for a flush when the head is larger than its budget by this factor.
const HOLD_BACK_FACTOR: u64 = 2;

/// The log is cut when it has more than the head's budget by this factor: entries that are there already
/// fill the log and not the head, and a sender that repeats itself must not fill the disk.
const LOG_FACTOR: u64 = 8;

/// What a store is opened with.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) head_bytes_max: u64,
    pub(crate) head_age_max: Duration,
    pub(crate) durability: Durability,
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) retention: Retention,
    pub(crate) filter_compiler: Option<Arc<dyn FilterCompiler>>,
    pub(crate) delete_cancel_period: Duration,
    pub(crate) pace: Pace,
}

/// The shared state. Locks are taken in the order of the fields, from `compacting` on.
#[derive(Debug)]
pub(crate) struct Core {
    options: Options,
    paths: Paths,
    wal: Wal,
    counters: Counters,
    is_closed: AtomicBool,
    pacer: Arc<Pacer>,
    /// Whoever puts segments in the place of others holds it, one at a time.
    compacting: Mutex<Compacting>,
    /// Whoever makes segments of the head holds it, one at a time.
    sealing: Mutex<Sealing>,
    /// Appends hold it shared from the log to the head, so that whoever holds it alone sees the same
    /// entries in both.
    gate: RwLock<()>,
    subscribers: Arc<Subscribers>,
    manifest: Mutex<Manifest>,
    control: Mutex<Control>,
    /// The time of day as whatever cannot be undone goes by it.
    believed: Mutex<Option<BelievedTime>>,
    view: RwLock<Arc<View>>,
    /// Told when the worker has something to look at, or is to stop.
    work: Condvar,
    /// Told when a flush is over, whatever came of it.
    flushed: Condvar,
    /// Told when there may be something to compact, or its thread is to stop.
    compaction: Condvar,
}

#[derive(Debug, Default)]
struct Sealing {
    /// The directory may be someone else's: no more segments.
    is_over: bool,
}

#[derive(Debug, Default)]
struct Compacting {
    /// As of [`Sealing`].
    is_over: bool,
    /// Segments with damage that a compaction met.
    damaged: BTreeSet<u64>,
    /// When to look for expired entries in a segment again, by its number.
    expiries: HashMap<u64, Timestamp>,
    /// The retention that this is by.
    retention: Arc<Retention>,
}

impl Compacting {
    /// Looks at every segment again when another retention holds.
    fn forget_expiries_unless(&mut self, retention: &Arc<Retention>) {
        if !Arc::ptr_eq(&self.retention, retention) {
            self.expiries.clear();
            self.retention = Arc::clone(retention);
        }
    }
}

#[derive(Debug, Default)]
struct Control {
    is_stopping: bool,
    /// A flush that was due is over: there may be something to merge.
    may_compact: bool,
    /// Why the last flush failed; `None` after one that did not.
    flush_failure: Option<(io::ErrorKind, String)>,
}

#[derive(Debug, Default)]
struct Counters {
    appends: AtomicU64,
    flushes: AtomicU64,
    merges: AtomicU64,
    rewrites: AtomicU64,
    flush_bytes: AtomicU64,
    merge_bytes: AtomicU64,
    rewrite_bytes: AtomicU64,
    removed_segments: AtomicU64,
    damaged_segments: AtomicU64,
    replayed_entries: AtomicU64,
    torn_log_bytes: AtomicU64,
    flush_durations: DurationCounters,
    merge_durations: DurationCounters,
}

impl Counters {
    /// Counts a flush that made so many bytes of a segment.
    fn flushed(&self, bytes: u64) {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        self.flush_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Core {
    /// See [`Store::append`](crate::Store::append).
    pub(crate) fn append(
        &self,
        tenant: &TenantId,
        batch: &WriteBatch,
        durability: Durability,
    ) -> Result<AppendReport, StoreError> {
        if batch.is_empty() {
            return Ok(AppendReport::default());
        }
        let mut pending = Pending::of(batch)
            .map_err(|_| StoreError::Invalid("a batch that cannot be read".to_owned()))?;
        self.hold_back()?;
        let report = {
            let _gate = self.gate.read();
            if self.is_closed.load(Ordering::SeqCst) {
                return Err(StoreError::Closed);
            }
            self.wal.append_with(tenant, batch.as_bytes(), durability)?;
            self.apply(tenant, &mut pending)?
        };
        self.counters.appends.fetch_add(1, Ordering::Relaxed);
        if self.is_due(self.view().head.size()) {
            self.work.notify_one();
        }
        Ok(report)
    }

    /// Takes a logged batch into the head.
    fn apply(
        &self,
        tenant: &TenantId,
        pending: &mut Pending<'_>,
    ) -> Result<AppendReport, StoreError> {
        let view = self.view();
        let sealed_newest = drop_sealed(&view, tenant, pending)?;
        let now = self.options.clock.elapsed();
        if self.subscribers.are_there() {
            let time = self.options.clock.unix_time();
            let retention = view.retention.of(tenant);
            let cutoff = |labels: &Labels| {
                retention.map_or(Timestamp::MIN, |retention| retention.cutoff(labels, time))
            };
            self.subscribers.publish(tenant, cutoff, |added| {
                view.head.apply(tenant, pending, &sealed_newest, now, added)
            })?;
        } else {
            view.head.apply(tenant, pending, &sealed_newest, now, None)?;
        }
        Ok(AppendReport { appended: pending.len(), duplicates: pending.duplicates })
    }

    /// Waits while the head is far over its budget because a flush is behind.
    fn hold_back(&self) -> Result<(), StoreError> {
        let limit = self.options.head_bytes_max.saturating_mul(HOLD_BACK_FACTOR);
        let is_full = || {
            let size = self.view().head.size();
            size.entries > 0 && size.bytes >= limit
        };
        if !is_full() {
            return Ok(());
        }
        let mut control = self.control.lock();
        while is_full() && !control.is_stopping {
            if let Some((kind, detail)) = &control.flush_failure {
                let source = io::Error::new(*kind, detail.clone());
                let path = self.paths.segment_dir();
                return Err(StoreError::Io { action: "flush to", path, source });
            }
            self.work.notify_one();
            self.flushed.wait(&mut control);
        }
        Ok(())
    }

    /// Whether a head of this size, or the log, is to be flushed.
    fn is_due(&self, size: HeadSize) -> bool {
        let age = |first_at| self.options.clock.elapsed().saturating_sub(first_at);
        let bytes_max = self.options.head_bytes_max;
        (size.entries > 0 && size.bytes >= bytes_max)
            || size.first_at.is_some_and(|first_at| age(first_at) >= self.options.head_age_max)
            || self.wal.record_bytes() > bytes_max.saturating_mul(LOG_FACTOR)
            || self.wal.needs_flush()
    }

    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read())
    }

    /// See [`Store::subscribe`](crate::Store::subscribe).
    pub(crate) fn subscribe(
        &self,
        tenant: &TenantId,
        matchers: &[Matcher],
        bytes_max: usize,
    ) -> Result<Subscription, StoreError> {
        self.check_open()?;
        self.subscribers.add(tenant, Subscriber::new(matchers, bytes_max), &self.gate)
    }

    /// See [`Store::snapshot_with_position`](crate::Store::snapshot_with_position).
    pub(crate) fn snapshot_with_position(&self) -> (Snapshot, u64) {
        self.subscribers.at_position(|| self.snapshot())
    }

    /// When an append counts as done that does not say.
    pub(crate) const fn durability(&self) -> Durability {
        self.wal.durability()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.view(), self.options.clock.unix_time())
    }

    /// Lets other periods of retention hold from now on.
    pub(crate) fn set_retention(&self, retention: Retention) {
        let retention = Arc::new(retention);
        self.publish(|view| view.retention = retention);
    }

    /// Replaces the view by one that is made from it.
    fn publish<T>(&self, change: impl FnOnce(&mut View) -> T) -> T {
        let mut view = self.view.write();
        let mut next = View::clone(&view);
        let changed = change(&mut next);
        *view = Arc::new(next);
        changed
    }

    pub(crate) fn check_open(&self) -> Result<(), StoreError> {
        if self.is_closed.load(Ordering::SeqCst) { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// Lets no more appends in and writes what there is to a segment.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        if self.is_closed.swap(true, Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        // Whoever passed the check before has left the gate after this.
        drop(self.gate.write());
        self.flush()?;
        self.wal.sync()
    }

    /// Waits for a flush and a merge that are under way and lets no other begin, before the directory is
    /// let go. Ends subscriptions.
    pub(crate) fn end(&self) {
        self.compacting.lock().is_over = true;
        self.sealing.lock().is_over = true;
        self.subscribers.close();
    }

    /// Makes segments, by `act`. A thread that died of a bug there would leave appends waiting for it, so
    /// a panic is an error; what it held is let go by unwinding, and a manifest in the midst of a commit
    /// is written anew by the next one.
    fn guard<T>(&self, act: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        panic::catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_| {
            let bug = io::Error::other("a bug: it panicked");
            Err(io_error("make a segment in", &self.paths.segment_dir())(bug))
        })
    }

    /// Makes the log durable, as the last thing before the store is let go without being closed.
    pub(crate) fn sync_log(&self) {
        if let Err(error) = self.wal.sync() {
            tracing::warn!(%error, "the write-ahead log could not be synced");
        }
    }

    pub(crate) fn stats(&self) -> StoreStats {
        let view = self.view();
        let mut head = view.head.size();
        if let Some(frozen) = &view.frozen {
            let frozen = frozen.head.size();
            head.entries += frozen.entries;
            head.bytes += frozen.bytes;
            head.streams = head.streams.max(frozen.streams);
        }
        let metas = || view.segments.iter().map(|live| live.segment.meta());
        StoreStats {
            head_streams: head.streams,
            head_entries: head.entries,
            head_bytes: head.bytes,
            segments: u64::try_from(view.segments.len()).unwrap_or(u64::MAX),
            segment_bytes: metas().map(|meta| meta.file_bytes).sum(),
            segment_entries: metas().map(|meta| meta.rows).sum(),
            wal_bytes: self.wal.bytes(),
            wal_syncs: self.wal.syncs(),
            wal_sync_durations: self.wal.sync_durations(),
            flush_durations: self.counters.flush_durations.get(),
            merge_durations: self.counters.merge_durations.get(),
            appends: self.counters.appends.load(Ordering::Relaxed),
            flushes: self.counters.flushes.load(Ordering::Relaxed),
            merges: self.counters.merges.load(Ordering::Relaxed),
            rewrites: self.counters.rewrites.load(Ordering::Relaxed),
            removed_segments: self.counters.removed_segments.load(Ordering::Relaxed),
            flush_bytes: self.counters.flush_bytes.load(Ordering::Relaxed),
            merge_bytes: self.counters.merge_bytes.load(Ordering::Relaxed),
            rewrite_bytes: self.counters.rewrite_bytes.load(Ordering::Relaxed),
            deletes_pending: u64::try_from(view.deletes.len()).unwrap_or(u64::MAX),
            damaged_segments: self.counters.damaged_segments.load(Ordering::Relaxed),
            damaged_reads: view.damaged_reads.load(Ordering::Relaxed),
            replayed_entries: self.counters.replayed_entries.load(Ordering::Relaxed),
            torn_log_bytes: self.counters.torn_log_bytes.load(Ordering::Relaxed),
        }
    }
}

/// Leaves out what is outside the head already. Returns the newest timestamp known of each stream.
fn drop_sealed(
    view: &View,
    tenant: &TenantId,
    pending: &mut Pending<'_>,
) -> Result<Vec<Timestamp>, StoreError> {
    let mut all_newest = Vec::with_capacity(pending.streams.len());
    let mut scratch = ReadScratch::new();
    let frozen = view.frozen.as_ref().map(|frozen| frozen.head.view());
    for (place, in_head) in view.head.newest_of(tenant, pending).into_iter().enumerate() {
        let (stream, entries) = (&pending.streams[place], pending.entries_of(place));
        let oldest = entries.first().map_or(Timestamp::MAX, |first| first.timestamp);
        let newest = match in_head {
            Some(newest) => newest,
            None => view.sealed_newest(tenant, stream, oldest)?,
        };
        all_newest.push(newest);
        if oldest > newest {
            continue;
        }
        let until = entries.last().map_or(newest, |last| newest.min(last.timestamp));
        let in_frozen =
            frozen.as_ref().and_then(|frozen| frozen.stream_by_bytes(tenant, stream.label_bytes));
        let sealed = view.sealed(tenant, stream, in_frozen, &(oldest..=until))?;
        if let Some(sealed) = sealed {
            pending.drop_known(place, |entry| {
                entry.timestamp <= newest && sealed.contains(entry, &mut scratch)
            });
        }
    }
    Ok(all_newest)
}
