//! A file system in memory that knows which bytes and names would outlive a power failure.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::{DirLock, LockOutcome, Mapped, Vfs, WriteFile};

/// A file system in memory, for tests and for stores that need not outlive the process.
///
/// It keeps live and durable state apart: [`crash`](Self::crash) gives what a machine would find after
/// a power failure, [`fail_writes`](Self::fail_writes) and [`fail_syncs`](Self::fail_syncs) make it a
/// disk that is full or broken. Clones are the same file system.
///
/// ```
/// use std::sync::Arc;
/// use timberline_store::{Labels, MemVfs, Store, TenantId, TimeRange, WriteBatch};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (disk, tenant) = (MemVfs::new(), TenantId::default());
/// let store = Store::builder().vfs(Arc::new(disk.clone())).open("/logs")?;
/// let mut batch = WriteBatch::new();
/// batch.stream(&Labels::from_pairs([("app", "shop")])?);
/// batch.push(1_700_000_000_000_000_000, b"order 17 paid", &[])?;
/// store.append(&tenant, &batch)?;
///
/// let found = Store::builder().vfs(Arc::new(disk.crash())).open("/logs")?;
/// assert_eq!(found.entries(&tenant, &[], TimeRange::ALL)?.count(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemVfs {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    names: Mutex<Names>,
    faults: Arc<Faults>,
}

/// What goes wrong, and how long a sync takes; shared with the open files.
#[derive(Debug, Default)]
struct Faults {
    writes_fail: AtomicBool,
    syncs_fail: AtomicBool,
    sync_delay_ns: AtomicU64,
    syncs: AtomicU64,
}

#[derive(Debug, Default)]
struct Names {
    /// Directories are made durable at once: no test is about losing one.
    dirs: BTreeSet<PathBuf>,
    live: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    durable: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    locks: BTreeSet<PathBuf>,
}

impl Names {
    /// The file system after a power failure that left these files.
    fn after(&self, files: BTreeMap<PathBuf, Arc<Mutex<Content>>>) -> MemVfs {
        let after = Self {
            dirs: self.dirs.clone(),
            durable: files.clone(),
            live: files,
            locks: BTreeSet::new(),
        };
        MemVfs { shared: Arc::new(Shared { names: Mutex::new(after), faults: Arc::default() }) }
    }
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// How many of the bytes were synced.
    synced: usize,
}

impl Content {
    /// What a power failure leaves of the bytes. See [`MemVfs::crash_by`].
    fn left_by(&self, choose: &mut impl FnMut(usize) -> usize) -> Self {
        let synced = self.synced.min(self.bytes.len());
        let kept = synced + choose(self.bytes.len() - synced);
        let mut bytes = self.bytes[..kept].to_vec();
        if choose(3) == 0 {
            let whole = synced + choose(kept - synced);
            bytes[whole..].fill(0);
        }
        Self { synced: bytes.len(), bytes }
    }
}

impl MemVfs {
    /// An empty file system.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is there after a power failure now: synced bytes under synced names, no locks.
    ///
    /// The file system itself goes on as it was.
    #[must_use]
    pub fn crash(&self) -> Self {
        self.crash_torn(0)
    }

    /// As [`crash`](Self::crash), but of each file up to `bytes` unsynced bytes happened to reach the
    /// disk before the power went.
    #[must_use]
    pub fn crash_torn(&self, bytes: usize) -> Self {
        let names = self.shared.names.lock();
        let survive = |(path, content): (&PathBuf, &Arc<Mutex<Content>>)| {
            let content = content.lock();
            let kept = content.bytes.len().min(content.synced + bytes);
            let left = Content { bytes: content.bytes[..kept].to_vec(), synced: kept };
            (path.clone(), Arc::new(Mutex::new(left)))
        };
        names.after(names.durable.iter().map(survive).collect())
    }

    /// As [`crash`](Self::crash), but what was not synced is lost, kept or torn as `choose` says: asked
    /// for a number of `0..=n` it decides how many unsynced bytes of a file reached the disk, how many
    /// of those are zeros because only the length did, and whether a name that was made, replaced or
    /// removed without a sync of its directory is as before or as after.
    #[must_use]
    pub fn crash_by(&self, mut choose: impl FnMut(usize) -> usize) -> Self {
        let names = self.shared.names.lock();
        let paths: BTreeSet<&PathBuf> = names.live.keys().chain(names.durable.keys()).collect();
        let mut files = BTreeMap::new();
        for path in paths {
            let (live, durable) = (names.live.get(path), names.durable.get(path));
            let is_settled = match (live, durable) {
                (Some(live), Some(durable)) => Arc::ptr_eq(live, durable),
                _ => false,
            };
            let left = if is_settled || choose(1) == 0 { durable } else { live };
            if let Some(content) = left {
                let left = content.lock().left_by(&mut choose);
                files.insert(path.clone(), Arc::new(Mutex::new(left)));
            }
        }
        names.after(files)
    }

    /// Replaces a file's bytes, durably: how a test damages one. The file is made if it is not there.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let synced = bytes.len();
        let content = Arc::new(Mutex::new(Content { bytes, synced }));
        let mut names = self.shared.names.lock();
        names.live.insert(path.to_owned(), Arc::clone(&content));
        names.durable.insert(path.to_owned(), content);
    }

    /// From now on writes fail, as on a full disk, or work again.
    pub fn fail_writes(&self, fail: bool) {
        self.shared.faults.writes_fail.store(fail, Ordering::SeqCst);
    }

    /// From now on syncs fail, as on a broken disk, or work again.
    pub fn fail_syncs(&self, fail: bool) {
        self.shared.faults.syncs_fail.store(fail, Ordering::SeqCst);
    }

    /// From now on each sync of a file takes that long.
    pub fn delay_syncs(&self, delay: Duration) {
        let delay_ns = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        self.shared.faults.sync_delay_ns.store(delay_ns, Ordering::SeqCst);
    }

    /// How many times a file was synced.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.shared.faults.syncs.load(Ordering::SeqCst)
    }

    fn content(&self, path: &Path) -> io::Result<Arc<Mutex<Content>>> {
        self.shared.names.lock().live.get(path).cloned().ok_or_else(|| not_found(path))
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} is not there", path.display()))
}

impl Vfs for MemVfs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let mut names = self.shared.names.lock();
        if path.parent().is_some_and(|dir| !names.dirs.contains(dir)) {
            return Err(not_found(path));
        }
        if names.live.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = Arc::new(Mutex::new(Content::default()));
        names.live.insert(path.to_owned(), Arc::clone(&content));
        Ok(Box::new(MemFile { content, faults: Arc::clone(&self.shared.faults) }))
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.read(path).map(Mapped::from)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.content(path)?.lock().bytes.clone())
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        {
            let mut names = self.shared.names.lock();
            let content = names.live.remove(from).ok_or_else(|| not_found(from))?;
            names.live.insert(to.to_owned(), content);
        }
        for dir in [to.parent(), from.parent()].into_iter().flatten() {
            self.sync_dir(dir)?;
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = self.shared.names.lock().live.remove(path);
        removed.map(drop).ok_or_else(|| not_found(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let names = self.shared.names.lock();
        if !names.dirs.contains(dir) {
            return Err(not_found(dir));
        }
        Ok(names.live.keys().filter(|path| path.parent() == Some(dir)).cloned().collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let above = dir.ancestors().map(Path::to_owned);
        self.shared.names.lock().dirs.extend(above);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.shared.faults.syncs_fail.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk does not sync"));
        }
        let names = &mut *self.shared.names.lock();
        names.durable.retain(|path, _| path.parent() != Some(dir));
        let here = names.live.iter().filter(|(path, _)| path.parent() == Some(dir));
        names.durable.extend(here.map(|(path, content)| (path.clone(), Arc::clone(content))));
        Ok(())
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        if self.shared.faults.syncs_fail.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk does not sync"));
        }
        let content = self.content(path)?;
        let mut content = content.lock();
        content.synced = content.bytes.len();
        Ok(())
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        let len = self.content(path)?.lock().bytes.len();
        u64::try_from(len).map_err(io::Error::other)
    }

    fn lock(&self, path: &Path) -> io::Result<LockOutcome> {
        if !self.shared.names.lock().locks.insert(path.to_owned()) {
            return Ok(LockOutcome::Busy { holder: Some(std::process::id()) });
        }
        let lock = MemLock { shared: Arc::clone(&self.shared), path: path.to_owned() };
        Ok(LockOutcome::Held(Box::new(lock)))
    }
}

#[derive(Debug)]
struct MemLock {
    shared: Arc<Shared>,
    path: PathBuf,
}

impl DirLock for MemLock {}

impl Drop for MemLock {
    fn drop(&mut self) {
        self.shared.names.lock().locks.remove(&self.path);
    }
}

#[derive(Debug)]
struct MemFile {
    content: Arc<Mutex<Content>>,
    faults: Arc<Faults>,
}

impl io::Write for MemFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.faults.writes_fail.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.content.lock().bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl WriteFile for MemFile {
    fn sync(&mut self) -> io::Result<()> {
        if self.faults.syncs_fail.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk does not sync"));
        }
        let delay_ns = self.faults.sync_delay_ns.load(Ordering::SeqCst);
        if delay_ns > 0 {
            std::thread::sleep(Duration::from_nanos(delay_ns));
        }
        self.faults.syncs.fetch_add(1, Ordering::SeqCst);
        let mut content = self.content.lock();
        content.synced = content.bytes.len();
        Ok(())
    }
}
