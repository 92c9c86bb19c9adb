//! A file system over [`MemVfs`] that counts the operations which change something and lets one of them
//! be the last, or fail.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use timberline_store::{LockOutcome, Mapped, MemVfs, Vfs, WriteFile};

/// A seeded generator (splitmix64); small enough to be read, and the same everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number of `0..=most`.
    pub(crate) fn up_to(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % (most as u64 + 1)).unwrap()
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.up_to(count - 1) == 0
    }
}

/// What goes wrong, by the number of the operation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    /// This operation is done by half or not at all, and none after it.
    pub(crate) stop_at: Option<u64>,
    /// So many operations from this one on fail; a write may have been done by half.
    pub(crate) fail_at: Option<(u64, u64)>,
    /// This operation is a bug: it panics.
    pub(crate) panic_at: Option<u64>,
    /// Appends are not synced. The process may end, but not the machine.
    pub(crate) is_unsynced: bool,
    /// What the file system says it did and did not do.
    pub(crate) lie: Lie,
}

/// Faults of a store, played by a file system that lies about what the store should have asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lie {
    #[default]
    None,
    /// As if the log were not synced before an acknowledgement.
    LogNotSynced,
    /// As if the manifest named a segment before it is synced.
    SegmentNotSynced,
    /// As if a commit of the manifest were acted on before it is synced.
    ManifestNotSynced,
    /// As if the manifest named a segment before its name is durable: the wrong order.
    SegmentNamesNotSynced,
    /// As if a failed sync were taken for a success.
    SyncErrorsSwallowed,
    /// As if a new file of the log were used before its name is durable.
    LogNamesNotSynced,
    /// As if an opened log were taken for durable because it could be read.
    OpenedLogNotSynced,
}

/// No space left, an error of the device, too many open files, a read-only file system: what Linux calls
/// them, and other systems mostly too.
const ENOSPC: i32 = 28;
pub(crate) const EIO: i32 = 5;
pub(crate) const EMFILE: i32 = 24;
const EROFS: i32 = 30;

#[derive(Clone, Debug)]
pub(crate) struct FaultVfs {
    under: MemVfs,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    plan: Plan,
    seed: u64,
    operations: AtomicU64,
    is_stopped: AtomicBool,
    /// What reading fails with; 0 for nothing.
    read_error: AtomicI32,
}

/// What becomes of an operation.
enum Fate {
    Done,
    /// It fails, after so much of it as the generator says.
    Fails(Random, io::Error),
}

impl FaultVfs {
    pub(crate) fn new(under: &MemVfs, plan: Plan, seed: u64) -> Self {
        let (operations, is_stopped) = (AtomicU64::new(0), AtomicBool::new(false));
        let read_error = AtomicI32::new(0);
        let state = Arc::new(State { plan, seed, operations, is_stopped, read_error });
        Self { under: under.clone(), state }
    }

    /// The file system below.
    pub(crate) fn under(&self) -> MemVfs {
        self.under.clone()
    }

    pub(crate) fn plan(&self) -> Plan {
        self.state.plan
    }

    /// How many operations there were.
    pub(crate) fn operations(&self) -> u64 {
        self.state.operations.load(Ordering::SeqCst)
    }

    /// Lets every file that is opened for reading from now on fail with this error, or with none.
    pub(crate) fn fail_reads(&self, error: Option<i32>) {
        self.state.read_error.store(error.unwrap_or(0), Ordering::SeqCst);
    }

    /// Lets nothing happen from now on.
    pub(crate) fn stop(&self) {
        self.state.is_stopped.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state.is_stopped.load(Ordering::SeqCst)
    }
}

impl State {
    fn check_read(&self) -> io::Result<()> {
        match self.read_error.load(Ordering::SeqCst) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    fn fate(&self) -> Fate {
        let number = self.operations.fetch_add(1, Ordering::SeqCst);
        let random = Random::new(self.seed ^ number.wrapping_mul(0x9e37_79b9));
        assert!(self.plan.panic_at != Some(number), "operation {number} is to panic");
        if self.is_stopped.load(Ordering::SeqCst) {
            return Fate::Fails(Random::new(0), io::Error::other("stopped"));
        }
        if self.plan.stop_at == Some(number) {
            self.is_stopped.store(true, Ordering::SeqCst);
            return Fate::Fails(random, io::Error::other("stopped"));
        }
        match self.plan.fail_at {
            Some((first, count)) if (first..first + count).contains(&number) => {
                let errors = [ENOSPC, EIO, EMFILE, EROFS];
                let which = random.clone().up_to(errors.len() - 1);
                Fate::Fails(random, io::Error::from_raw_os_error(errors[which]))
            }
            _ => Fate::Done,
        }
    }

    /// An operation that is done or not, and which of both a failure leaves open.
    fn all_or_nothing<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let was_stopped = self.is_stopped.load(Ordering::SeqCst);
        match self.fate() {
            Fate::Done => act(),
            Fate::Fails(mut random, error) => {
                if !was_stopped && random.one_in(2) {
                    drop(act());
                }
                Err(error)
            }
        }
    }

    /// A sync: when it fails, nothing was made durable by it.
    fn sync(&self, is_left_out: bool, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match self.fate() {
            Fate::Done if is_left_out => Ok(()),
            Fate::Done => act(),
            Fate::Fails(..) if self.plan.lie == Lie::SyncErrorsSwallowed => Ok(()),
            Fate::Fails(_, error) => Err(error),
        }
    }

    fn lies(&self, lie: Lie) -> bool {
        self.plan.lie == lie
    }
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wal")
}

impl Vfs for FaultVfs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let file = self.state.all_or_nothing(|| self.under.create(path))?;
        Ok(Box::new(FaultFile { file, path: path.to_owned(), state: Arc::clone(&self.state) }))
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.state.check_read()?;
        self.under.map(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.state.check_read()?;
        self.under.read(path)
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        // The name changes first and is durable later; a failure may come in between.
        let was_stopped = self.is_stopped();
        let is_segment = to.parent().is_some_and(|dir| dir.ends_with("segments"));
        match self.state.fate() {
            Fate::Done if is_segment && self.state.lies(Lie::SegmentNamesNotSynced) => {
                self.under.fail_syncs(true);
                drop(self.under.replace(from, to));
                self.under.fail_syncs(false);
                Ok(())
            }
            Fate::Done => self.under.replace(from, to),
            Fate::Fails(mut random, error) => {
                if !was_stopped && random.one_in(2) {
                    self.under.fail_syncs(true);
                    drop(self.under.replace(from, to));
                    self.under.fail_syncs(false);
                }
                Err(error)
            }
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state.all_or_nothing(|| self.under.remove(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.under.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.under.create_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let is_left_out = self.state.lies(Lie::LogNamesNotSynced) && dir.ends_with("wal");
        self.state.sync(is_left_out, || self.under.sync_dir(dir))
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        let is_left_out = self.state.lies(Lie::OpenedLogNotSynced);
        self.state.sync(is_left_out, || self.under.sync_file(path))
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        self.under.file_len(path)
    }

    fn lock(&self, path: &Path) -> io::Result<LockOutcome> {
        self.under.lock(path)
    }
}

#[derive(Debug)]
struct FaultFile {
    file: Box<dyn WriteFile>,
    path: PathBuf,
    state: Arc<State>,
}

impl io::Write for FaultFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let was_stopped = self.state.is_stopped.load(Ordering::SeqCst);
        match self.state.fate() {
            Fate::Done => self.file.write(bytes),
            Fate::Fails(mut random, error) => {
                if !was_stopped {
                    // Often all of it: a record that is whole although its write failed.
                    let written =
                        if random.one_in(2) { bytes.len() } else { random.up_to(bytes.len()) };
                    self.file.write_all(&bytes[..written])?;
                }
                Err(error)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl WriteFile for FaultFile {
    fn sync(&mut self) -> io::Result<()> {
        let lies = |lie| self.state.lies(lie);
        let is_segment = self.path.parent().is_some_and(|dir| dir.ends_with("segments"));
        let is_left_out = if is_log(&self.path) {
            lies(Lie::LogNotSynced)
        } else {
            lies(if is_segment { Lie::SegmentNotSynced } else { Lie::ManifestNotSynced })
        };
        let file = &mut self.file;
        self.state.sync(is_left_out, || file.sync())
    }
}
