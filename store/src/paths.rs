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

/// The number in the name of a file with this extension; `None` for a name that is not just as the store
/// writes it, for such a file is not the store's.
pub(crate) fn number(path: &Path, extension: &str) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let number = name.strip_suffix(extension)?.strip_suffix('.')?.parse().ok()?;
    (name == format!("{number:010}.{extension}")).then_some(number)
}

/// An error of the file system, with what was tried.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_as_the_store_writes_them_have_a_number() {
        let paths = Paths::new(Path::new("/db"));
        for id in [1, 9_999_999_999, u64::MAX] {
            assert_eq!(number(&paths.wal_file(id), "wal"), Some(id));
        }
        for name in ["1.wal", "+000000001.wal", "0000000001.seg", "0000000001wal", "x.wal"] {
            assert_eq!(number(Path::new(name), "wal"), None, "{name}");
        }
    }
}
