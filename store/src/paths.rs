//! Where the files of a store are.
//!
//! ```text
//! LOCK               the process that has the store open
//! MANIFEST           which segments are live, and up to where the log is in them
//! wal/0000000001.wal the write-ahead log, by number
//! segments/0000000001.seg
//! damaged/           files that were set aside
//! ```

use std::io;
use std::path::{Path, PathBuf};

use crate::StoreError;

#[derive(Clone, Debug)]
pub(crate) struct Paths {
    root: PathBuf,
}

impl Paths {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("LOCK")
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.root.join("MANIFEST")
    }

    pub(crate) fn wal_dir(&self) -> PathBuf {
        self.root.join("wal")
    }

    pub(crate) fn segment_dir(&self) -> PathBuf {
        self.root.join("segments")
    }

    pub(crate) fn damaged_dir(&self) -> PathBuf {
        self.root.join("damaged")
    }

    pub(crate) fn wal_file(&self, number: u64) -> PathBuf {
        self.wal_dir().join(format!("{number:010}.wal"))
    }

    pub(crate) fn segment(&self, id: u64) -> PathBuf {
        self.segment_dir().join(format!("{id:010}.seg"))
    }

    /// A segment while it is written.
    pub(crate) fn segment_temporary(&self, id: u64) -> PathBuf {
        self.segment_dir().join(format!("{id:010}.tmp"))
    }
}

/// The number in the name of a file with this extension.
pub(crate) fn number(path: &Path, extension: &str) -> Option<u64> {
    if path.extension()? != extension {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

/// An error of the file system, with what was tried.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}
