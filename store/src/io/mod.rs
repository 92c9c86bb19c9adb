//! Files as the store sees them: a small trait with a real implementation and an in-memory twin.
//!
//! Every file of a store is written front to back once and never changed behind a sync, so that the
//! trait needs neither seeks nor overwrites. What counts as durable is explicit: a file's bytes after
//! [`WriteFile::sync`], a file's name after [`Vfs::sync_dir`] or [`Vfs::replace`].

mod mem;
mod mmap;
mod os;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

pub use mem::MemVfs;
pub use mmap::Mapped;
pub use os::OsVfs;

/// A file system, as far as the store needs one.
pub trait Vfs: Send + Sync + Debug {
    /// Makes a new file for writing.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when the path is taken; what the file system refuses.
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;

    /// The whole of a sealed file, one that nobody writes to any more.
    ///
    /// # Errors
    /// What the file system refuses.
    fn map(&self, path: &Path) -> io::Result<Mapped>;

    /// The whole of a file, copied to memory.
    ///
    /// # Errors
    /// What the file system refuses.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Renames a file, over another one if need be, and makes the new name durable.
    ///
    /// A [`WriteFile`] that is open on `from` goes on writing to the file under its new name.
    ///
    /// # Errors
    /// What the file system refuses.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes a file that nobody writes to any more available under a second name, in whatever directory: by a
    /// link where that is possible, else by a copy that is made durable. The name is durable after
    /// [`sync_dir`](Self::sync_dir).
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when the name is taken; what the file system refuses.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.copy(from, to)
    }

    /// As [`link`](Self::link), but always a copy, which damage to the first file does not touch.
    ///
    /// # Errors
    /// As [`link`](Self::link).
    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let bytes = self.map(from)?;
        let mut file = self.create(to)?;
        file.write_all(&bytes)?;
        file.sync()
    }

    /// Takes a file's name away. Durable after [`sync_dir`](Self::sync_dir); maps stay readable.
    ///
    /// # Errors
    /// What the file system refuses.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The files in a directory, sorted by path. Directories are left out.
    ///
    /// # Errors
    /// What the file system refuses.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// Makes a directory, with those above it, durably. No error when it is there.
    ///
    /// # Errors
    /// What the file system refuses.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// What the file system refuses.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes the bytes of a file durable that was written by someone who may have ended before its sync.
    ///
    /// # Errors
    /// What the file system refuses.
    fn sync_file(&self, path: &Path) -> io::Result<()>;

    /// A file's length in bytes.
    ///
    /// # Errors
    /// What the file system refuses.
    fn file_len(&self, path: &Path) -> io::Result<u64>;

    /// Takes the exclusive lock at `path`, without waiting. The file is made if it is not there, and
    /// holds the process id of whoever has the lock.
    ///
    /// # Errors
    /// What the file system refuses; a lock that is taken is [`LockOutcome::Busy`].
    fn lock(&self, path: &Path) -> io::Result<LockOutcome>;
}

/// A file being written, front to back.
pub trait WriteFile: io::Write + Send + Debug {
    /// Makes all bytes written so far durable (`fdatasync`).
    ///
    /// # Errors
    /// What the file system refuses. What of the file is durable is then unknown.
    fn sync(&mut self) -> io::Result<()>;
}

/// An exclusive lock that is held until it is dropped.
pub trait DirLock: Send + Sync + Debug {}

/// What came of [`Vfs::lock`].
#[derive(Debug)]
pub enum LockOutcome {
    /// The caller has the lock, until this is dropped.
    Held(Box<dyn DirLock>),
    /// Someone else has it.
    Busy {
        /// The process that has it, where the file says so.
        holder: Option<u32>,
    },
}
