//! Appending to the log, many appenders at a time.
//!
//! Appenders put their records in a queue. One of them, the leader, writes and syncs all that is queued
//! while the others go on queueing; when it is done, those whose records it took are done too, and one
//! of the rest leads the next group. So a sync is shared by all who came during the one before.
//!
//! # When the disk refuses
//! Nothing was promised of a group whose **write** or **sync** fails. The file may now end in a part of it,
//! or even in all of it, and what of it is durable is unknown: a later sync that succeeds proves nothing,
//! since the system may have forgotten what it could not write. So the file is left alone for good, and the
//! records of the group and of the queue are taken back: their appenders are told, and their sequences are
//! given out again. The next file begins with the first of those sequences, and in
//! [replay](mod@super::replay) a file's records end where the next file's begin. As long as no such file can
//! be made, which takes an append or a flush that finds room, a reopened log may still give back a record
//! that reached the disk whole.
//!
//! What was acknowledged before is durable where every acknowledgement waits for a sync. Where it does not,
//! a failed sync may have lost what came since the last one, and what is taken back may have been acknowledged
//! while it was only queued; that is still in memory, and the log asks for a [flush](Wal::needs_flush), which
//! writes it to a segment.

use std::io::{self, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::sync::{Condvar, Mutex, MutexGuard};
use super::{FORMAT, put_tenant};
use crate::durations::{DurationCounters, Durations};
use crate::frame::{self, HEADER_BYTES};
use crate::paths::{Paths, io_error};
use crate::{Durability, StoreError, TenantId, Vfs, WriteFile};

/// The largest batch, in bytes of its log record. Half of the longest column of a segment's block, which
/// may have the metadata of a whole batch behind that of earlier ones.
const BATCH_BYTES_MAX: usize = 1 << 29;

/// A file that has so many bytes is followed by another: replay holds a file in memory.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Bytes of a file without records.
const HEADER_LEN: u64 = HEADER_BYTES as u64;

/// A group's buffer is kept for the next one unless it is larger: a huge batch is an exception.
const SPARE_BYTES_MAX: usize = 16 << 20;

/// With [`Durability::None`], how many bytes may wait in the process before they are written.
const UNWRITTEN_BYTES_MAX: usize = 1 << 20;

/// The log, open for appending.
#[derive(Debug)]
pub(crate) struct Wal {
    vfs: Arc<dyn Vfs>,
    paths: Paths,
    durability: Durability,
    state: Mutex<State>,
    /// Told whenever a leader is done.
    progress: Condvar,
    /// The next file's. Not used again when that file could not be made, for it may be there by half.
    next_number: AtomicU64,
    syncs: AtomicU64,
    sync_durations: DurationCounters,
}

#[derive(Debug)]
struct State {
    /// Records that nobody has written yet.
    queue: Vec<u8>,
    /// What their appenders look at.
    group: Arc<Group>,
    /// The buffer of the group before, to be used again.
    spare: Vec<u8>,
    next_sequence: u64,
    /// All records below this one are with the operating system.
    written: u64,
    /// All records below this one are durable.
    durable: u64,
    tail: Tail,
    /// Records below this one were acknowledged, whether they are written or not.
    acknowledged: u64,
    /// What was acknowledged without a sync may not be durable, whatever is synced from now on.
    needs_flush: bool,
    /// The file that was written last.
    current: LogFile,
    /// The files before it that are not deleted yet.
    sealed: Vec<LogFile>,
    /// Records below this one are in segments.
    trimmed: u64,
}

/// Where the next group goes.
#[derive(Debug)]
enum Tail {
    /// To this file.
    Open(Box<dyn WriteFile>),
    /// A leader has the file.
    Taken,
    /// To a new file: a write failed, or a file that was to come behind may be there by half and ends
    /// the ones before it. All that was written is durable.
    Abandoned,
}

/// Records that are written together.
#[derive(Debug, Default)]
struct Group {
    /// Set when they were taken back. Their sequences then say nothing any more.
    failure: OnceLock<Failure>,
}

/// Why the file system refused, for everyone whose records it refused.
#[derive(Clone, Debug)]
struct Failure {
    action: &'static str,
    path: PathBuf,
    kind: io::ErrorKind,
    os_code: Option<i32>,
    detail: String,
}

/// What a leader brings back.
#[derive(Debug)]
struct Led {
    tail: Tail,
    /// The files it made.
    begun: Vec<LogFile>,
    /// A sync failed: what was written since the last one may be lost.
    is_unsure: bool,
    outcome: Result<(), Failure>,
}

/// A file of the log.
#[derive(Clone, Debug)]
pub(crate) struct LogFile {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    /// The sequence behind its last record.
    pub(crate) end_sequence: u64,
    /// Records are missing from it; it is set aside rather than deleted.
    pub(crate) is_damaged: bool,
}

/// How far a record must have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Written,
    Durable,
}

impl Wal {
    /// Begins a new file behind the ones that were replayed.
    pub(crate) fn begin(
        vfs: Arc<dyn Vfs>,
        paths: Paths,
        durability: Durability,
        next_sequence: u64,
        sealed: Vec<LogFile>,
    ) -> Result<Self, StoreError> {
        for file in &sealed {
            // What replay read may be in the system's memory only, if whoever wrote it was ended before
            // its sync. The new file's first sequence says that it is there.
            let path = paths.wal_file(file.number);
            vfs.sync_file(&path).map_err(io_error("sync", &path))?;
        }
        let number = sealed.last().map_or(1, |last| last.number.saturating_add(1));
        let (file, current) = begin_file(&*vfs, &paths, number, next_sequence)?;
        let state = State {
            queue: Vec::new(),
            group: Arc::default(),
            spare: Vec::new(),
            next_sequence,
            written: next_sequence,
            durable: next_sequence,
            acknowledged: next_sequence,
            tail: Tail::Open(file),
            needs_flush: false,
            current,
            sealed,
            trimmed: 0,
        };
        Ok(Self {
            vfs,
            paths,
            durability,
            state: Mutex::new(state),
            progress: Condvar::new(),
            next_number: AtomicU64::new(number.saturating_add(1)),
            syncs: AtomicU64::new(0),
            sync_durations: DurationCounters::default(),
        })
    }

    /// How durable an append is that does not say.
    pub(crate) const fn durability(&self) -> Durability {
        self.durability
    }

    /// As [`append_with`](Self::append_with), as durable as the log was told to make it.
    #[cfg(test)]
    pub(crate) fn append(&self, tenant: &TenantId, batch: &[u8]) -> Result<(), StoreError> {
        self.append_with(tenant, batch, self.durability)
    }

    /// Appends a record and waits until it is as durable as it is to be.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a batch that is too large, with nothing written.
    /// [`StoreError::Io`] when it could not be written or synced: the log is without it and takes others.
    pub(crate) fn append_with(
        &self,
        tenant: &TenantId,
        batch: &[u8],
        durability: Durability,
    ) -> Result<(), StoreError> {
        let mut tenant_bytes = Vec::new();
        put_tenant(&mut tenant_bytes, tenant);
        let parts = [&tenant_bytes[..], batch];
        let payload_len = match u32::try_from(tenant_bytes.len() + batch.len()) {
            Ok(len) if batch.len() <= BATCH_BYTES_MAX => len,
            _ => return Err(too_large(batch.len())),
        };
        let crc = frame::payload_crc(&parts);

        let mut state = self.state.lock();
        let sequence = state.next_sequence;
        let Some(end) = sequence.checked_add(1) else {
            return Err(StoreError::Invalid("the log has no sequence left".to_owned()));
        };
        frame::put_record(&mut state.queue, sequence, payload_len, crc, &parts);
        state.next_sequence = end;
        match durability {
            Durability::Sync => self.wait(state, end, Stage::Durable).map(drop),
            Durability::Interval(_) => self.wait(state, end, Stage::Written).map(drop),
            Durability::None if state.queue.len() < UNWRITTEN_BYTES_MAX => {
                state.acknowledged = end;
                Ok(())
            }
            Durability::None => self.wait(state, end, Stage::Written).map(drop),
        }
    }

    /// Makes everything appended so far durable.
    ///
    /// # Errors
    /// As [`append`](Self::append), when some of it was taken back meanwhile.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        let state = self.state.lock();
        let end = state.next_sequence;
        self.wait(state, end, Stage::Durable).map(drop)
    }

    /// Makes everything durable and begins a new file. Returns the sequence of its first record.
    ///
    /// Nobody may append meanwhile.
    pub(crate) fn rotate(&self) -> Result<u64, StoreError> {
        let state = self.state.lock();
        let end = state.next_sequence;
        let mut state = self.wait(state, end, Stage::Durable)?;
        while matches!(state.tail, Tail::Taken) {
            self.progress.wait(&mut state);
        }
        // Should the new file not come to be used, its header may be on disk all the same, and then
        // ends the records of this one.
        state.tail = Tail::Abandoned;
        let next_sequence = state.next_sequence;
        let (file, begun) = self.begin_next(next_sequence)?;
        state.began(begun, next_sequence);
        state.tail = Tail::Open(file);
        state.needs_flush = false;
        Ok(next_sequence)
    }

    /// Whether there are records from `sequence` on, bytes that only a new file tells from records, or a
    /// [wish for a flush](Self::needs_flush) that a new file ends.
    pub(crate) fn is_behind(&self, sequence: u64) -> bool {
        let state = self.state.lock();
        state.next_sequence > sequence || matches!(state.tail, Tail::Abandoned) || state.needs_flush
    }

    /// Deletes the files that have only records below `sequence`; damaged ones are set aside.
    ///
    /// A file that cannot be deleted stays in the list for the next time.
    pub(crate) fn trim(&self, sequence: u64) -> Result<(), StoreError> {
        let done: Vec<LogFile> = {
            let mut state = self.state.lock();
            state.trimmed = state.trimmed.max(sequence);
            let (done, left) = std::mem::take(&mut state.sealed)
                .into_iter()
                .partition(|file| file.end_sequence <= sequence);
            state.sealed = left;
            done
        };
        let mut outcome = Ok(());
        for file in done {
            if let Err(error) = self.discard(&file) {
                outcome = Err(error);
                self.state.lock().sealed.push(file);
            }
        }
        outcome
    }

    fn discard(&self, file: &LogFile) -> Result<(), StoreError> {
        let path = self.paths.wal_file(file.number);
        let outcome = if file.is_damaged {
            let aside = self.paths.damaged_dir().join(path.file_name().unwrap_or_default());
            self.vfs.replace(&path, &aside).map_err(io_error("set aside", &path))
        } else {
            self.vfs.remove(&path).map_err(io_error("remove", &path))
        };
        match outcome {
            // Somebody else did it; waiting for the file would be for ever.
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(())
            }
            other => other,
        }
    }

    /// Whether only a flush makes durable what was acknowledged: a sync or a write of what was acknowledged
    /// without it has failed.
    pub(crate) fn needs_flush(&self) -> bool {
        self.state.lock().needs_flush
    }

    /// Bytes of the records that are not in segments, in whole files.
    pub(crate) fn record_bytes(&self) -> u64 {
        let state = self.state.lock();
        let behind = state.sealed.iter().filter(|file| file.end_sequence > state.trimmed);
        let bytes = behind.chain([&state.current]);
        bytes.map(|file| file.bytes.saturating_sub(HEADER_LEN)).sum()
    }

    /// Bytes of the log's files.
    pub(crate) fn bytes(&self) -> u64 {
        let state = self.state.lock();
        state.current.bytes + state.sealed.iter().map(|file| file.bytes).sum::<u64>()
    }

    /// Syncs of log files so far.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// How long they took.
    pub(crate) fn sync_durations(&self) -> Durations {
        self.sync_durations.get()
    }

    /// Waits until all records below `end`, the last of which is in the queue or before it, have come to
    /// `stage`, leading groups where nobody else does.
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        end: u64,
        stage: Stage,
    ) -> Result<MutexGuard<'a, State>, StoreError> {
        let group = Arc::clone(&state.group);
        loop {
            // First of all: when the records were taken back, others may have come as far as `end`.
            if let Some(failure) = group.failure.get() {
                return Err(failure.to_error());
            }
            let reached = if stage == Stage::Written { state.written } else { state.durable };
            if reached >= end {
                return Ok(state);
            }
            match mem::replace(&mut state.tail, Tail::Taken) {
                Tail::Taken => self.progress.wait(&mut state),
                tail => state = self.lead(state, tail, stage),
            }
        }
    }

    /// Writes what is queued, and syncs it if asked to, with the lock let go meanwhile.
    fn lead<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        tail: Tail,
        stage: Stage,
    ) -> MutexGuard<'a, State> {
        let spare = mem::take(&mut state.spare);
        let mut records = mem::replace(&mut state.queue, spare);
        let group = mem::take(&mut state.group);
        let (first, end) = (state.written, state.next_sequence);
        let number = state.current.number;
        // What is left behind in a full file must be durable: this group syncs it, or the next one goes on
        // in another file.
        let (tail, stage) = match state.current.bytes >= FILE_BYTES_MAX {
            true if state.durable == state.written => (Tail::Abandoned, stage),
            true => (tail, Stage::Durable),
            false => (tail, stage),
        };
        drop(state);

        let led = self.write_group(tail, number, first, &records, stage);

        let mut state = self.state.lock();
        led.begun.into_iter().for_each(|begun| state.began(begun, first));
        state.tail = led.tail;
        match led.outcome {
            Ok(()) => {
                state.current.bytes += u64::try_from(records.len()).unwrap_or(0);
                state.written = end;
                if stage == Stage::Durable {
                    state.durable = end;
                }
            }
            Err(failure) => {
                tracing::warn!(error = %failure.to_error(), "the write-ahead log refuses appends");
                state.needs_flush |= led.is_unsure && state.durable < state.written;
                state.take_back(&group, &failure);
            }
        }
        if records.capacity() <= SPARE_BYTES_MAX {
            records.clear();
            state.spare = records;
        }
        self.progress.notify_all();
        state
    }

    /// Writes a group whose first record is `first`, to a new file if there is none to go on with.
    fn write_group(
        &self,
        tail: Tail,
        number: u64,
        first: u64,
        records: &[u8],
        stage: Stage,
    ) -> Led {
        let mut led =
            Led { tail: Tail::Abandoned, begun: Vec::new(), is_unsure: false, outcome: Ok(()) };
        let (mut file, number) = match tail {
            Tail::Open(file) => (file, number),
            Tail::Taken | Tail::Abandoned => match self.begin_next(first) {
                Ok((file, begun)) => {
                    let number = begun.number;
                    led.begun.push(begun);
                    (file, number)
                }
                // A file that could not be begun was never used, so that nothing about it matters.
                Err(error) => return Led { outcome: Err(Failure::from(error)), ..led },
            },
        };
        let failure = |action, error| Failure::new(action, &self.paths.wal_file(number), &error);
        led.outcome = file.write_all(records).map_err(|error| failure("write", error));
        // Behind a failed write, too: what was acknowledged without a sync must not wait for a file that
        // nobody has open.
        if stage == Stage::Durable || led.outcome.is_err() {
            let begun = Instant::now();
            match file.sync() {
                Ok(()) => {
                    self.syncs.fetch_add(1, Ordering::Relaxed);
                    self.sync_durations.add_since(begun);
                }
                Err(error) => {
                    led.is_unsure = true;
                    led.outcome = led.outcome.and(Err(failure("sync", error)));
                }
            }
        }
        match led.outcome {
            Ok(()) => led.tail = Tail::Open(file),
            Err(_) => {
                if let Ok((file, begun)) = self.begin_next(first) {
                    led.begun.push(begun);
                    led.tail = Tail::Open(file);
                }
            }
        }
        led
    }

    fn begin_next(&self, first: u64) -> Result<(Box<dyn WriteFile>, LogFile), StoreError> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let begun = begin_file(&*self.vfs, &self.paths, number, first);
        if begun.is_err() {
            // On a full disk there would be one for every append that is tried.
            drop(self.vfs.remove(&self.paths.wal_file(number)));
        }
        begun
    }
}

impl State {
    /// Takes note of a new file, whose first record is `first`.
    fn began(&mut self, begun: LogFile, first: u64) {
        let mut sealed = mem::replace(&mut self.current, begun);
        sealed.end_sequence = first;
        self.sealed.push(sealed);
    }

    /// Forgets all records that are not written: those of the group that could not be, and those queued
    /// behind it, whose sequences would leave a gap.
    fn take_back(&mut self, group: &Group, failure: &Failure) {
        let queued = mem::take(&mut self.group);
        for group in [group, &*queued] {
            // Nobody else sets it, so it is not set yet.
            drop(group.failure.set(failure.clone()));
        }
        self.queue.clear();
        self.needs_flush |= self.acknowledged > self.written;
        self.acknowledged = self.written;
        self.next_sequence = self.written;
        // The file was synced before it was abandoned; if that failed, only a flush can do more.
        self.durable = self.written;
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Io { action, path, source } => Self::new(action, &path, &source),
            other => Self::new("begin a file of", Path::new("wal"), &io::Error::other(other)),
        }
    }
}

impl Failure {
    fn new(action: &'static str, path: &Path, source: &io::Error) -> Self {
        Self {
            action,
            path: path.to_owned(),
            kind: source.kind(),
            os_code: source.raw_os_error(),
            detail: source.to_string(),
        }
    }

    fn to_error(&self) -> StoreError {
        let source = match self.os_code {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.kind, self.detail.clone()),
        };
        StoreError::Io { action: self.action, path: self.path.clone(), source }
    }
}

fn too_large(bytes: usize) -> StoreError {
    StoreError::Invalid(format!("a batch of {bytes} bytes; the most is {BATCH_BYTES_MAX}"))
}

/// A file with its header, durable under its name.
pub(super) fn begin_file(
    vfs: &dyn Vfs,
    paths: &Paths,
    number: u64,
    first_sequence: u64,
) -> Result<(Box<dyn WriteFile>, LogFile), StoreError> {
    let path = paths.wal_file(number);
    let mut file = vfs.create(&path).map_err(io_error("create", &path))?;
    file.write_all(&frame::header(FORMAT, first_sequence)).map_err(io_error("write", &path))?;
    file.sync().map_err(io_error("sync", &path))?;
    vfs.sync_dir(&paths.wal_dir()).map_err(io_error("sync", &paths.wal_dir()))?;
    Ok((
        file,
        LogFile { number, bytes: HEADER_LEN, end_sequence: first_sequence, is_damaged: false },
    ))
}
