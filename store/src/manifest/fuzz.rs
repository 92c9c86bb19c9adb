//! Reading bytes that nobody vouches for.

use std::path::Path;
use std::sync::Arc;

use super::{FIRST_SEQUENCE, FORMAT, Manifest};
use crate::{MemVfs, StoreError, Vfs as _, frame};

/// Opens the bytes as a manifest, and as the one commit of a manifest, since checksums keep most inputs
/// from the edits.
///
/// What opens must read back the same from the file that opening wrote; what does not is salvaged. Meant
/// for fuzzing.
pub(crate) fn open_manifest_bytes(bytes: &[u8]) {
    // Refusals are the expected outcome.
    let _ = open(bytes);
    let Ok(len) = u32::try_from(bytes.len()) else { return };
    let mut file = frame::header(FORMAT, FIRST_SEQUENCE).to_vec();
    frame::put_record(&mut file, FIRST_SEQUENCE, len, frame::payload_crc(&[bytes]), &[bytes]);
    let _ = open(&file);
}

fn open(bytes: &[u8]) -> Result<(), StoreError> {
    let (vfs, path) = (MemVfs::new(), Path::new("/MANIFEST"));
    let refused = |source| StoreError::Io { action: "write", path: path.to_owned(), source };
    vfs.create_dir_all(Path::new("/")).map_err(refused)?;
    vfs.create(path).and_then(|mut file| file.write_all(bytes)).map_err(refused)?;
    Manifest::salvage(&vfs, path)?;
    let manifest = Manifest::open(Arc::new(vfs.clone()), path)?;
    let (live, has_bad_bytes) = Manifest::inspect(&vfs, path)?;
    assert!(live == *manifest.live() && !has_bad_bytes, "{live:?} is not {:?}", manifest.live());
    Ok(())
}
