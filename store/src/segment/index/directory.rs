//! The bundled index files as tantivy wants to see them: a directory, here a read-only one.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tantivy::directory::error::{DeleteError, OpenReadError, OpenWriteError};
use tantivy::directory::{FileHandle, OwnedBytes, WatchCallback, WatchHandle, WritePtr};
use tantivy::{Directory, HasLen};

use crate::io::Mapped;
use crate::segment::footer::{IndexFile, slice};

/// The files of a label index, within the mapped segment.
#[derive(Clone, Debug)]
pub(super) struct BundleDirectory {
    files: Arc<BTreeMap<PathBuf, BundledFile>>,
}

/// One file: a part of the segment.
///
/// Reads copy the range asked for: tantivy reads a dictionary once, when it opens it, and then a
/// postings list a query, both small, while handing out the map itself would take unsafe code.
#[derive(Clone)]
struct BundledFile {
    segment: Mapped,
    offset: u64,
    length: usize,
}

impl BundleDirectory {
    pub(super) fn new(segment: &Mapped, files: &[IndexFile]) -> Self {
        let file = |file: &IndexFile| {
            let length = usize::try_from(file.length).unwrap_or_default();
            let part = BundledFile { segment: segment.clone(), offset: file.offset, length };
            (PathBuf::from(&file.name), part)
        };
        Self { files: Arc::new(files.iter().map(file).collect()) }
    }

    fn file(&self, path: &Path) -> Result<&BundledFile, OpenReadError> {
        self.files.get(path).ok_or_else(|| OpenReadError::FileDoesNotExist(path.to_owned()))
    }
}

impl BundledFile {
    fn read(&self, range: Range<usize>) -> io::Result<Vec<u8>> {
        let bytes = slice(&self.segment, self.offset, self.length as u64)
            .map_err(|damage| io::Error::new(io::ErrorKind::InvalidData, damage.0))?;
        bytes.get(range).map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl fmt::Debug for BundledFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {}", self.length, self.offset)
    }
}

impl HasLen for BundledFile {
    fn len(&self) -> usize {
        self.length
    }
}

impl FileHandle for BundledFile {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        self.read(range).map(OwnedBytes::new)
    }
}

fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "a sealed segment is not written to")
}

impl Directory for BundleDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        Ok(Arc::new(self.file(path)?.clone()))
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(self.files.contains_key(path))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let file = self.file(path)?;
        let failed = |error| OpenReadError::wrap_io_error(error, path.to_owned());
        file.read(0..file.length).map_err(failed)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        let (io_error, filepath) = (Arc::new(read_only()), path.to_owned());
        Err(DeleteError::IoError { io_error, filepath })
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        Err(OpenWriteError::wrap_io_error(read_only(), path.to_owned()))
    }

    fn atomic_write(&self, _path: &Path, _data: &[u8]) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn watch(&self, _callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        // The files never change.
        Ok(WatchHandle::empty())
    }
}
