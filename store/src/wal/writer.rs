//! Appending to the log, many appenders at a time.
//!
//! Appenders put their records in a queue. One of them, the leader, writes and syncs all that is queued
//! while the others go on queueing; when it is done, those whose records it took are done too, and one
//! of the rest leads the next group. So a sync is shared by all who came during the one before.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{MAGIC, put_tenant};
use crate::frame::{self, HEADER_BYTES};
use crate::paths::{Paths, io_error};
use crate::{Durability, StoreError, TenantId, Vfs, WriteFile};

/// The largest batch, in bytes of its log record: positions in a run's text have 32 bits.
const BATCH_BYTES_MAX: usize = 1 << 30;

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
    syncs: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// Records that nobody has written yet.
    queue: Vec<u8>,
    /// The buffer of the group before, to be used again.
    spare: Vec<u8>,
    next_sequence: u64,
    /// All records below this one are with the operating system.
    written: u64,
    /// All records below this one are durable.
    durable: u64,
    /// The file; a leader has it while it is `None`.
    file: Option<Box<dyn WriteFile>>,
    is_poisoned: bool,
    /// The next file's. Not used again when that file could not be made, for it may be there by half.
    next_number: u64,
    /// The file being written.
    current: LogFile,
    /// The files before it that are not deleted yet.
    sealed: Vec<LogFile>,
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
        let number = sealed.last().map_or(1, |last| last.number + 1);
        let (file, current) = begin_file(&*vfs, &paths, number, next_sequence)?;
        let state = State {
            queue: Vec::new(),
            spare: Vec::new(),
            next_sequence,
            written: next_sequence,
            durable: next_sequence,
            file: Some(file),
            is_poisoned: false,
            next_number: number + 1,
            current,
            sealed,
        };
        let (state, progress, syncs) = (Mutex::new(state), Condvar::new(), AtomicU64::new(0));
        Ok(Self { vfs, paths, durability, state, progress, syncs })
    }

    /// Appends a record and waits until it is as durable as the log was told to make it.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a batch that is too large, with nothing written. Otherwise
    /// [`StoreError::Poisoned`]: the record may or may not be found by the next replay.
    pub(crate) fn append(&self, tenant: &TenantId, batch: &[u8]) -> Result<(), StoreError> {
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
        if state.is_poisoned {
            return Err(StoreError::Poisoned);
        }
        frame::put_record(&mut state.queue, sequence, payload_len, crc, &parts);
        state.next_sequence += 1;
        let end = state.next_sequence;
        match self.durability {
            Durability::Sync => self.wait(state, end, Stage::Durable),
            Durability::Interval(_) => self.wait(state, end, Stage::Written),
            Durability::None if state.queue.len() < UNWRITTEN_BYTES_MAX => Ok(()),
            Durability::None => self.wait(state, end, Stage::Written),
        }
    }

    /// Makes everything appended so far durable.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        let state = self.state.lock();
        let end = state.next_sequence;
        self.wait(state, end, Stage::Durable)
    }

    /// Makes everything durable and begins a new file. Returns the sequence of its first record.
    ///
    /// Nobody may append meanwhile.
    pub(crate) fn rotate(&self) -> Result<u64, StoreError> {
        self.sync()?;
        let mut state = self.state.lock();
        let (number, next_sequence) = (state.next_number, state.next_sequence);
        state.next_number += 1;
        let (file, current) = begin_file(&*self.vfs, &self.paths, number, next_sequence)?;
        let mut sealed = std::mem::replace(&mut state.current, current);
        sealed.end_sequence = next_sequence;
        state.sealed.push(sealed);
        state.file = Some(file);
        Ok(next_sequence)
    }

    /// Deletes the files that have only records below `sequence`; damaged ones are set aside.
    ///
    /// A file that cannot be deleted stays in the list for the next time.
    pub(crate) fn trim(&self, sequence: u64) -> Result<(), StoreError> {
        let done: Vec<LogFile> = {
            let mut state = self.state.lock();
            let (done, left) = std::mem::take(&mut state.sealed)
                .into_iter()
                .partition(|file| file.end_sequence <= sequence);
            state.sealed = left;
            done
        };
        for (index, file) in done.iter().enumerate() {
            if let Err(error) = self.discard(file) {
                self.state.lock().sealed.splice(0..0, done[index..].iter().cloned());
                return Err(error);
            }
        }
        Ok(())
    }

    fn discard(&self, file: &LogFile) -> Result<(), StoreError> {
        let path = self.paths.wal_file(file.number);
        if !file.is_damaged {
            return self.vfs.remove(&path).map_err(io_error("remove", &path));
        }
        let aside = self.paths.damaged_dir().join(path.file_name().unwrap_or_default());
        self.vfs.replace(&path, &aside).map_err(io_error("set aside", &path))
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

    /// Waits until all records below `end` have come to `stage`, leading groups where nobody else does.
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        end: u64,
        stage: Stage,
    ) -> Result<(), StoreError> {
        loop {
            if state.is_poisoned {
                return Err(StoreError::Poisoned);
            }
            let reached = if stage == Stage::Written { state.written } else { state.durable };
            if reached >= end {
                return Ok(());
            }
            match state.file.take() {
                Some(file) => state = self.lead(state, file, stage),
                None => self.progress.wait(&mut state),
            }
        }
    }

    /// Writes what is queued, and syncs it if asked to, with the lock let go meanwhile.
    fn lead<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        mut file: Box<dyn WriteFile>,
        stage: Stage,
    ) -> MutexGuard<'a, State> {
        let spare = std::mem::take(&mut state.spare);
        let mut group = std::mem::replace(&mut state.queue, spare);
        let end = state.next_sequence;
        let path = self.paths.wal_file(state.current.number);
        drop(state);

        let outcome = self.write(&mut *file, &group, stage, path);

        let mut state = self.state.lock();
        state.current.bytes += u64::try_from(group.len()).unwrap_or(0);
        group.clear();
        state.spare = group;
        match outcome {
            Ok(()) => {
                state.file = Some(file);
                state.written = end;
                if stage == Stage::Durable {
                    state.durable = end;
                }
            }
            Err(error) => {
                // After a failed sync the system may have dropped the pages, and a second sync that
                // succeeds would prove nothing: only reading the log again can tell what is there.
                tracing::error!(%error, "the write-ahead log failed; the store is read-only now");
                state.is_poisoned = true;
            }
        }
        self.progress.notify_all();
        state
    }

    fn write(
        &self,
        file: &mut dyn WriteFile,
        group: &[u8],
        stage: Stage,
        path: PathBuf,
    ) -> Result<(), StoreError> {
        if let Err(source) = file.write_all(group) {
            return Err(StoreError::Io { action: "write", path, source });
        }
        if stage == Stage::Durable {
            if let Err(source) = file.sync() {
                return Err(StoreError::Io { action: "sync", path, source });
            }
            self.syncs.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn too_large(bytes: usize) -> StoreError {
    StoreError::Invalid(format!("a batch of {bytes} bytes; the most is {BATCH_BYTES_MAX}"))
}

/// A file with its header, durable under its name.
fn begin_file(
    vfs: &dyn Vfs,
    paths: &Paths,
    number: u64,
    first_sequence: u64,
) -> Result<(Box<dyn WriteFile>, LogFile), StoreError> {
    let path = paths.wal_file(number);
    let mut file = vfs.create(&path).map_err(io_error("create", &path))?;
    file.write_all(&frame::header(MAGIC, first_sequence)).map_err(io_error("write", &path))?;
    file.sync().map_err(io_error("sync", &path))?;
    vfs.sync_dir(&paths.wal_dir()).map_err(io_error("sync", &paths.wal_dir()))?;
    let bytes = u64::try_from(HEADER_BYTES).unwrap_or(0);
    Ok((file, LogFile { number, bytes, end_sequence: first_sequence, is_damaged: false }))
}
