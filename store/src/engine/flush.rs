//! From the head to a segment.
//!
//! 1. With no append on its way, a new file of the log is begun, and an empty head takes the place of the
//!    head, which is frozen: it has exactly what the older files have.
//! 2. The frozen head is written to a temporary file, synced, and renamed.
//! 3. One record in the manifest says that the segment is live and the log is flushed up to there.
//! 4. Readers get the segment instead of the frozen head, and the older files of the log go.
//!
//! Where the head is empty but the log is not, since all that came was there already, 2 is left out.
//!
//! A crash before 3 leaves a file that is swept and a log that is replayed; one after 3 leaves log files
//! that replay passes over.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::Core;
use crate::head::HeadView;
use crate::manifest::Edit;
use crate::paths::{Paths, io_error};
use crate::segment::{Segment, SegmentMeta, SegmentWriter};
use crate::view::{Frozen, LiveSegment};
use crate::{StoreError, Vfs};

/// zstd's level for flushed segments: appends may be waiting, and a merge will come.
pub(super) const FLUSH_LEVEL: i32 = 1;

impl Core {
    /// Writes all that is in memory when it is called to segments.
    ///
    /// # Errors
    /// Refusals of the file system; what was in memory is then still there.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.flush_where(|| true)
    }

    /// [Flushes](Self::flush) if that is still due once no other flush is on its way: what that one takes
    /// along is seen as frozen until then, and what has come meanwhile is too little for a segment.
    pub(super) fn flush_due(&self) -> Result<(), StoreError> {
        self.flush_where(|| self.is_flush_due())
    }

    fn flush_where(&self, is_wanted: impl FnOnce() -> bool) -> Result<(), StoreError> {
        let outcome = {
            let sealing = self.sealing.lock();
            if sealing.is_over {
                return Err(StoreError::Closed);
            }
            if !is_wanted() {
                return Ok(());
            }
            self.guard(|| self.flush_all())
        };
        let failure = match &outcome {
            Ok(()) => None,
            Err(StoreError::Io { source, .. }) => Some((source.kind(), source.to_string())),
            Err(error) => Some((io::ErrorKind::Other, error.to_string())),
        };
        let mut control = self.control.lock();
        control.may_compact |= failure.is_none();
        control.flush_failure = failure;
        drop(control);
        self.flushed.notify_all();
        self.compaction.notify_all();
        outcome
    }

    pub(super) fn flush_all(&self) -> Result<(), StoreError> {
        // One that could not be written the last time.
        if let Some(frozen) = self.view().frozen.clone() {
            self.write_frozen(&frozen)?;
        }
        match self.freeze()? {
            Some(frozen) => self.write_frozen(&frozen),
            None => Ok(()),
        }
    }

    /// Puts an empty head in place of the head, unless that is empty itself.
    fn freeze(&self) -> Result<Option<Arc<Frozen>>, StoreError> {
        let _alone = self.gate.write();
        if self.view().head.size().entries == 0 {
            return self.cut_log().map(|()| None);
        }
        let end_sequence = self.wal.rotate()?;
        let frozen = self.publish(|view| view.freeze(end_sequence));
        // Those who wait for room in the head have it now.
        drop(self.control.lock());
        self.flushed.notify_all();
        Ok(Some(frozen))
    }

    /// Lets the log begin anew, with all that is in it being in segments.
    fn cut_log(&self) -> Result<(), StoreError> {
        let mut manifest = self.manifest.lock();
        if !self.wal.is_behind(manifest.live().flushed) {
            return Ok(());
        }
        let end_sequence = self.wal.rotate()?;
        manifest.commit(&[Edit::Flushed(end_sequence)])?;
        drop(manifest);
        self.trim_log(end_sequence);
        Ok(())
    }

    fn trim_log(&self, sequence: u64) {
        if let Err(error) = self.wal.trim(sequence) {
            tracing::warn!(%error, "an old file of the write-ahead log stays for now");
        }
    }

    fn write_frozen(&self, frozen: &Frozen) -> Result<(), StoreError> {
        let begun = Instant::now();
        let id = self.manifest.lock().take_id();
        let write = |path: &Path| write_head(&*self.options.vfs, &frozen.head.view(), path);
        let segment = self.seal(id, write)?;
        // From here on the file stays on an error: whether the commit is on disk is then unknown, and
        // the next open sweeps a file that is not live.
        let level = {
            let mut manifest = self.manifest.lock();
            // Its entries came behind every delete request there is: each began with a flush.
            let level = manifest.live().level();
            let mut edits = vec![Edit::Flushed(frozen.end_sequence)];
            edits.extend(segment.as_ref().map(|_| Edit::Add { id, level }));
            manifest.commit(&edits)?;
            level
        };
        let bytes = segment.as_ref().map_or(0, |segment| segment.meta().file_bytes);
        // Nobody else changes it: flushes come one at a time.
        let newest = Arc::new(self.view().newest.with(&frozen.head.view()));
        self.publish(|view| {
            view.frozen = None;
            view.newest = newest;
            let live = segment.map(|segment| LiveSegment { id, level, segment });
            Arc::make_mut(&mut view.segments).extend(live);
        });
        self.counters.flushed(bytes);
        self.counters.flush_durations.add_since(begun);
        self.trim_log(frozen.end_sequence);
        Ok(())
    }

    /// See [`seal`].
    pub(super) fn seal(
        &self,
        id: u64,
        write: impl FnOnce(&Path) -> Result<SegmentMeta, StoreError>,
    ) -> Result<Option<Arc<Segment>>, StoreError> {
        seal(&*self.options.vfs, &self.paths, id, write)
    }
}

/// Makes a segment by `write`, under a temporary name until it is whole and durable. `None` when it would
/// have no rows.
pub(super) fn seal(
    vfs: &dyn Vfs,
    paths: &Paths,
    id: u64,
    write: impl FnOnce(&Path) -> Result<SegmentMeta, StoreError>,
) -> Result<Option<Arc<Segment>>, StoreError> {
    let (temporary, path) = (paths.segment_temporary(id), paths.segment(id));
    let meta = write(&temporary).inspect_err(|_| remove_quietly(vfs, &temporary))?;
    if meta.rows == 0 {
        remove_quietly(vfs, &temporary);
        return Ok(None);
    }
    vfs.replace(&temporary, &path).map_err(io_error("rename", &path))?;
    Segment::open(vfs, &path).map(Some).inspect_err(|_| remove_quietly(vfs, &path))
}

/// Writes all that is in a head to a segment.
fn write_head(vfs: &dyn Vfs, head: &HeadView, path: &Path) -> Result<SegmentMeta, StoreError> {
    let mut writer = SegmentWriter::create(vfs, path, FLUSH_LEVEL)?;
    let mut rows = head.rows();
    while let Some(row) = rows.next() {
        if let Some((tenant, labels)) = row.begins {
            writer.stream(tenant, labels);
        }
        writer.row(row.timestamp, row.line, row.metadata)?;
    }
    writer.finish()
}

/// Removes a file that nothing refers to. Should that fail, the next open sweeps it.
pub(super) fn remove_quietly(vfs: &dyn Vfs, path: &Path) {
    if let Err(error) = vfs.remove(path) {
        tracing::debug!(%error, path = %path.display(), "a temporary file stays for now");
    }
}
