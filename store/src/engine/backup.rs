//! A consistent copy of a running store.
//!
//! What is in memory is flushed, which cuts the log; from there on the copy is the live segments, linked,
//! and a manifest that names them. While they are linked nobody can commit, so that none of them goes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Core;
use crate::StoreError;
use crate::maintenance::make_empty;
use crate::manifest::Manifest;
use crate::paths::{Paths, io_error};

impl Core {
    /// See [`Store::backup`](crate::Store::backup).
    pub(crate) fn backup(&self, directory: &Path) -> Result<(), StoreError> {
        let (vfs, to) = (&self.options.vfs, Paths::new(directory));
        make_empty(&**vfs, &to)?;
        self.flush()?;
        let live = {
            let manifest = self.manifest.lock();
            for live in &manifest.live().segments {
                let from = self.paths.segment(live.id);
                match vfs.link(&from, &to.segment(live.id)) {
                    // A missing segment is missing in the copy as well, and reported there.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    outcome => outcome.map_err(io_error("copy", &from))?,
                }
            }
            manifest.live().clone()
        };
        vfs.sync_dir(&to.segment_dir()).map_err(io_error("sync", &to.segment_dir()))?;
        Manifest::write(Arc::clone(vfs), &to.manifest(), live).map(drop)
    }
}
