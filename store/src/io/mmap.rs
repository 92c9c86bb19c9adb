//! The bytes of a sealed file, mapped or copied.
#![expect(unsafe_code, reason = "memory maps; the contract is on `Mapped::file`")]

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

use memmap2::Mmap;

/// The bytes of a whole sealed file. Cheap to clone; all clones share the map or the buffer.
#[derive(Clone)]
pub struct Mapped(Source);

#[derive(Clone)]
enum Source {
    Map(Arc<Mmap>),
    Buffer(Arc<[u8]>),
}

impl Mapped {
    /// Maps a file that is sealed: nobody writes to it or cuts it while the map lives.
    ///
    /// The store keeps to that by writing each mapped file once under a temporary name, syncing and
    /// renaming it before it is mapped, and only ever unlinking it afterwards, which leaves maps
    /// whole. The directory lock keeps other stores out. Someone with write access who cuts such a
    /// file by hand, or a disk that fails under the map, ends the process with `SIGBUS`: a store on a
    /// disk that is not trusted so far should read through [`Mapped::from`] a buffer instead.
    pub(crate) fn file(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() == 0 {
            return Ok(Self::from(Vec::new()));
        }
        // SAFETY: the map is read-only and the file is sealed (see above): its bytes do not change and
        // its length does not shrink while the map lives, so that the slices given out by `Deref` stay
        // valid and unaliased by writes for as long as the `Arc` that owns the map.
        let map = unsafe { Mmap::map(file)? };
        Ok(Self(Source::Map(Arc::new(map))))
    }
}

impl From<Vec<u8>> for Mapped {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Source::Buffer(bytes.into()))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Source::Map(map) => map,
            Source::Buffer(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Source::Map(_) => "map",
            Source::Buffer(_) => "buffer",
        };
        write!(f, "Mapped({kind}, {} bytes)", self.len())
    }
}
