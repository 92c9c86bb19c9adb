//! What can be done with a store's directory while no store is open on it.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::head::Pending;
use crate::manifest::{Edit, Live, LiveId, Manifest};
use crate::paths::{Paths, io_error, number};
use crate::segment::{MERGE_LEVEL, Segment, SegmentWriter};
use crate::wal::replay;
use crate::{DirLock, FilterCompiler, LockOutcome, OsVfs, Store, StoreError, Vfs};

/// The directory of a store that is not open.
///
/// ```
/// use timberline_store::{Store, StoreDirectory};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// Store::open(directory.path())?.close()?;
/// let report = StoreDirectory::new(directory.path()).check()?;
/// assert!(!report.is_damaged());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StoreDirectory {
    vfs: Arc<dyn Vfs>,
    paths: Paths,
    filter_compiler: Option<Arc<dyn FilterCompiler>>,
}

/// What a check found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CheckReport {
    /// Live segments.
    pub segments: u64,
    /// Entries in them, whether or not they can be read.
    pub segment_entries: u64,
    /// Entries that only the log has.
    pub log_entries: u64,
    /// Bytes that were checked.
    pub bytes: u64,
    /// What is not as it should be.
    pub findings: Vec<Finding>,
}

/// Something in a directory that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub path: PathBuf,
    /// What, in a sentence.
    pub detail: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is missing because of it: left by a crash, or made up for.
    Notice,
    /// Entries cannot be read, or may be missing.
    Damage,
}

/// What a repair did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RepairReport {
    /// What was done, and what is lost, in sentences. None where there was nothing to do.
    pub actions: Vec<String>,
    /// Entries of segments that are lost, as far as that can be told.
    pub entries_lost: u64,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Notice => "notice",
            Severity::Damage => "damage",
        };
        write!(f, "{severity}: {}: {}", self.path.display(), self.detail)
    }
}

impl CheckReport {
    /// Whether entries cannot be read, or may be missing.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Damage)
    }

    fn find(&mut self, severity: Severity, path: &Path, detail: impl Into<String>) {
        self.findings.push(Finding { severity, path: path.to_owned(), detail: detail.into() });
    }
}

impl StoreDirectory {
    /// The directory at a path of the operating system.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        let (vfs, paths) = (Arc::new(OsVfs), Paths::new(path.as_ref()));
        Self { vfs, paths, filter_compiler: None }
    }

    /// On another file system.
    #[must_use]
    pub fn vfs(mut self, vfs: Arc<dyn Vfs>) -> Self {
        self.vfs = vfs;
        self
    }

    /// What understands the texts of delete requests: see [`StoreBuilder::filter_compiler`].
    ///
    /// [`StoreBuilder::filter_compiler`]: crate::StoreBuilder::filter_compiler
    #[must_use]
    pub fn filter_compiler(mut self, compiler: Arc<dyn FilterCompiler>) -> Self {
        self.filter_compiler = Some(compiler);
        self
    }

    /// Refuses a directory that has no store: opening it would make one.
    ///
    /// # Errors
    /// [`StoreError::Invalid`]; refusals of the file system.
    pub fn check_exists(&self) -> Result<(), StoreError> {
        let has_store = has_dir(&*self.vfs, &self.paths.segment_dir())?
            || self.vfs.file_len(&self.paths.manifest()).is_ok();
        match has_store {
            true => Ok(()),
            false => {
                let reason = format!("there is no store in {}", self.paths.root().display());
                Err(StoreError::Invalid(reason))
            }
        }
    }

    /// Reads every byte of the manifest, of all live segments and of the log, and changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while a store is open there, [`StoreError::Invalid`] where there is none; a
    /// later version's files; refusals of the file system. Damage is no error.
    pub fn check(&self) -> Result<CheckReport, StoreError> {
        let _lock = self.lock()?;
        let mut report = CheckReport::default();
        let manifest = self.paths.manifest();
        let live = match Manifest::inspect(&*self.vfs, &manifest) {
            Ok((live, has_bad_bytes)) => {
                if has_bad_bytes {
                    let detail = "a commit was cut off, or one of its two copies is damaged";
                    report.find(Severity::Notice, &manifest, detail);
                }
                live
            }
            Err(StoreError::Corrupt { detail, .. }) => {
                report.find(Severity::Damage, &manifest, detail);
                Manifest::salvage(&*self.vfs, &manifest)?
            }
            Err(error) if is_missing(&error) => {
                report.find(Severity::Damage, &manifest, "it is missing");
                Live::default()
            }
            Err(error) => return Err(error),
        };
        report.bytes += self.vfs.file_len(&manifest).unwrap_or(0);
        self.check_segments(&live, &mut report)?;
        self.check_log(&live, &mut report)?;
        for path in self.list(&self.paths.damaged_dir())? {
            report.find(Severity::Notice, &path, "it was set aside; answers are without it");
        }
        Ok(report)
    }

    fn check_segments(&self, live: &Live, report: &mut CheckReport) -> Result<(), StoreError> {
        for &LiveId { id, .. } in &live.segments {
            let path = self.paths.segment(id);
            report.segments += 1;
            match Segment::open(&*self.vfs, &path) {
                Ok(segment) => {
                    report.segment_entries += segment.meta().rows;
                    report.bytes += segment.meta().file_bytes;
                    match segment.verify() {
                        Err(StoreError::Corrupt { what, offset, detail, .. }) => {
                            let detail = format!("damaged {what} at byte {offset}: {detail}");
                            report.find(Severity::Damage, &path, detail);
                        }
                        outcome => outcome?,
                    }
                }
                Err(StoreError::Corrupt { what, offset, detail, .. }) => {
                    let detail = format!("damaged {what} at byte {offset}: {detail}");
                    report.find(Severity::Damage, &path, detail);
                }
                Err(error) if is_missing(&error) => {
                    report.find(Severity::Damage, &path, "it is missing");
                }
                Err(error) => return Err(error),
            }
        }
        for path in self.list(&self.paths.segment_dir())? {
            if number(&path, "seg").is_none_or(|id| !live.has(id)) {
                report.find(Severity::Notice, &path, "it is not live: a crash left it behind");
            }
        }
        Ok(())
    }

    fn check_log(&self, live: &Live, report: &mut CheckReport) -> Result<(), StoreError> {
        let dir = self.paths.wal_dir();
        if !has_dir(&*self.vfs, &dir)? {
            return Ok(());
        }
        let mut is_unreadable = false;
        let replayed = replay(&*self.vfs, &self.paths, live.flushed, |_, _, batch| {
            match Pending::new(batch) {
                Ok(pending) => report.log_entries += pending.len(),
                Err(_) => is_unreadable = true,
            }
            Ok(())
        })?;
        report.bytes += replayed.files.iter().map(|file| file.bytes).sum::<u64>();
        if is_unreadable {
            report.find(Severity::Damage, &dir, "an append cannot be understood");
        }
        for warning in &replayed.warnings {
            report.find(Severity::Damage, &dir, warning.clone());
        }
        if replayed.torn_bytes > 0 {
            let detail = format!(
                "it ends in {} bytes that are no append: one was cut off before it was acknowledged, \
                 or the last one is damaged",
                replayed.torn_bytes
            );
            report.find(Severity::Notice, &dir, detail);
        } else if replayed.files_with_bad_bytes > 0 {
            let files = replayed.files_with_bad_bytes;
            let detail =
                format!("{files} files have bytes that are no append; the others are whole");
            report.find(Severity::Notice, &dir, detail);
        }
        Ok(())
    }

    /// Makes the directory one that can be opened and is served whole: sets damaged files aside in
    /// `damaged/`, saves what can be read of them, and says what is lost.
    ///
    /// # Errors
    /// As [`check`](Self::check). A repair that was stopped can be done again.
    pub fn repair(&self) -> Result<RepairReport, StoreError> {
        let mut report = RepairReport::default();
        {
            let _lock = self.lock()?;
            let dirs = [self.paths.wal_dir(), self.paths.segment_dir(), self.paths.damaged_dir()];
            for dir in dirs {
                self.vfs.create_dir_all(&dir).map_err(io_error("make", &dir))?;
            }
            let mut manifest = self.repair_manifest(&mut report)?;
            for live in manifest.live().segments.clone() {
                self.repair_segment(&mut manifest, live, &mut report)?;
            }
        }
        // Opening it replays the log, and closing it lets damaged files of the log go aside.
        let before: BTreeSet<PathBuf> = self.list(&self.paths.damaged_dir())?.into_iter().collect();
        let mut store = Store::builder().vfs(Arc::clone(&self.vfs)).compaction_limits(0.0, 0);
        if let Some(compiler) = &self.filter_compiler {
            store = store.filter_compiler(Arc::clone(compiler));
        }
        let store = store.open(self.paths.root())?;
        let is_old =
            |warning: &String| before.iter().any(|path| warning.starts_with(&file_name(path)));
        let warnings = store.snapshot().warnings().into_iter();
        report.actions.extend(warnings.filter(|warning| !is_old(warning)));
        store.close()?;
        Ok(report)
    }

    fn repair_manifest(&self, report: &mut RepairReport) -> Result<Manifest, StoreError> {
        let path = self.paths.manifest();
        match Manifest::inspect(&*self.vfs, &path) {
            Ok((live, _)) => Manifest::write(Arc::clone(&self.vfs), &path, live),
            Err(StoreError::Corrupt { detail, .. }) => {
                let aside = self.set_aside(&path)?;
                report.actions.push(format!(
                    "the manifest is damaged ({detail}); it is now {}, and a new one was made of what \
                     can be read of it and of the segments there are. Entries that were deleted or \
                     merged last may be back",
                    aside.display()
                ));
                self.rebuild_manifest(&aside)
            }
            Err(error) if is_missing(&error) => {
                report.actions.push(
                    "the manifest is missing; a new one was made of the segments there are. Entries \
                     that were deleted may be back"
                        .to_owned(),
                );
                self.rebuild_manifest(&path)
            }
            Err(error) => Err(error),
        }
    }

    /// A manifest of what the damaged one says, and of the segments that it does not know.
    fn rebuild_manifest(&self, damaged: &Path) -> Result<Manifest, StoreError> {
        let live = Manifest::salvage(&*self.vfs, damaged)?;
        let mut manifest = Manifest::write(Arc::clone(&self.vfs), &self.paths.manifest(), live)?;
        let mut edits = Vec::new();
        let files = self.list(&self.paths.segment_dir())?;
        let ids: Vec<u64> = files.iter().filter_map(|path| number(path, "seg")).collect();
        for live in &manifest.live().segments {
            if !ids.contains(&live.id) {
                edits.push(Edit::Remove(live.id));
            }
        }
        // At level 0 every request concerns them: rather too little is seen than what was deleted.
        let unknown = ids.into_iter().filter(|&id| !manifest.live().has(id));
        edits.extend(unknown.map(|id| Edit::Add { id, level: 0 }));
        manifest.commit(&edits)?;
        Ok(manifest)
    }

    fn repair_segment(
        &self,
        manifest: &mut Manifest,
        live: LiveId,
        report: &mut RepairReport,
    ) -> Result<(), StoreError> {
        let path = self.paths.segment(live.id);
        let segment = match Segment::open(&*self.vfs, &path) {
            Ok(segment) => segment,
            Err(StoreError::Corrupt { what, .. }) => {
                // Moved first: a file that is not live is swept.
                let aside = self.set_aside(&path)?;
                manifest.commit(&[Edit::Remove(live.id)])?;
                report.actions.push(format!(
                    "the {what} of a segment is damaged; all of it is lost, and is now {}",
                    aside.display()
                ));
                return Ok(());
            }
            Err(error) if is_missing(&error) => {
                manifest.commit(&[Edit::Remove(live.id)])?;
                report.actions.push(format!("{} is missing; it is lost", path.display()));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        match segment.verify() {
            Err(StoreError::Corrupt { .. }) => self.save_rest(manifest, live, &segment, report),
            outcome => outcome,
        }
    }

    /// Writes what can be read of a damaged segment to a new one that takes its place.
    fn save_rest(
        &self,
        manifest: &mut Manifest,
        live: LiveId,
        segment: &Arc<Segment>,
        report: &mut RepairReport,
    ) -> Result<(), StoreError> {
        let id = manifest.take_id();
        let (temporary, path) = (self.paths.segment_temporary(id), self.paths.segment(id));
        // Left there by a repair that was stopped.
        drop(self.vfs.remove(&temporary));
        let rows = segment.meta().rows;
        let kept = copy_readable(&*self.vfs, &temporary, segment)?;
        let mut edits = vec![Edit::Remove(live.id)];
        if kept > 0 {
            self.vfs.replace(&temporary, &path).map_err(io_error("rename", &path))?;
            edits.push(Edit::Add { id, level: live.level });
        } else {
            drop(self.vfs.remove(&temporary));
        }
        manifest.commit(&edits)?;
        let aside = self.set_aside(&self.paths.segment(live.id))?;
        report.entries_lost += rows.saturating_sub(kept);
        report.actions.push(format!(
            "{} of {rows} entries of a segment are lost; it is now {}, and the others were saved",
            rows.saturating_sub(kept),
            aside.display()
        ));
        Ok(())
    }

    /// Copies this directory, of a store or a backup, to another that is empty or not there, and checks the
    /// copy.
    ///
    /// # Errors
    /// As [`check`](Self::check), and [`StoreError::Invalid`] for a directory that is not empty.
    pub fn restore(&self, directory: impl AsRef<Path>) -> Result<CheckReport, StoreError> {
        let to = Self { paths: Paths::new(directory.as_ref()), ..self.clone() };
        let _lock = self.lock()?;
        make_empty(&*self.vfs, &to.paths)?;
        let wal_dir = to.paths.wal_dir();
        self.vfs.create_dir_all(&wal_dir).map_err(io_error("make", &wal_dir))?;
        for (from_dir, to_dir, extension) in [
            (self.paths.segment_dir(), to.paths.segment_dir(), "seg"),
            (self.paths.wal_dir(), wal_dir, "wal"),
        ] {
            for from in self.list(&from_dir)? {
                if number(&from, extension).is_some() {
                    let to = to_dir.join(from.file_name().unwrap_or_default());
                    self.vfs.copy(&from, &to).map_err(io_error("copy", &from))?;
                }
            }
            self.vfs.sync_dir(&to_dir).map_err(io_error("sync", &to_dir))?;
        }
        // Last, so that a copy that was cut off is none.
        let (live, _) = Manifest::inspect(&*self.vfs, &self.paths.manifest())?;
        Manifest::write(Arc::clone(&self.vfs), &to.paths.manifest(), live)?;
        to.check()
    }

    fn lock(&self) -> Result<Box<dyn DirLock>, StoreError> {
        self.check_exists()?;
        let lock = self.vfs.lock(&self.paths.lock());
        match lock.map_err(io_error("lock", &self.paths.lock()))? {
            LockOutcome::Held(lock) => Ok(lock),
            LockOutcome::Busy { holder } => {
                Err(StoreError::Locked { path: self.paths.root().to_owned(), holder })
            }
        }
    }

    /// Moves a file to `damaged/`, under a name that is free.
    fn set_aside(&self, path: &Path) -> Result<PathBuf, StoreError> {
        let name = file_name(path);
        let dir = self.paths.damaged_dir();
        let taken = self.list(&dir)?;
        let numbered = (1..).map(|number| dir.join(format!("{name}.{number}")));
        let mut names = std::iter::once(dir.join(&name)).chain(numbered);
        let aside = names.find(|path| !taken.contains(path)).unwrap_or_default();
        self.vfs.replace(path, &aside).map_err(io_error("set aside", path))?;
        Ok(aside)
    }

    /// The files in a directory; none where that is not there.
    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
        match self.vfs.list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            outcome => outcome.map_err(io_error("list", dir)),
        }
    }
}

/// Makes a store's directory with a place for segments, refusing one that has anything in it: a log that is
/// left would be replayed over what comes.
pub(crate) fn make_empty(vfs: &dyn Vfs, paths: &Paths) -> Result<(), StoreError> {
    let (root, segments, wal) = (paths.root(), paths.segment_dir(), paths.wal_dir());
    for dir in [root, &segments, &wal] {
        let has_files =
            has_dir(vfs, dir)? && !vfs.list(dir).map_err(io_error("list", dir))?.is_empty();
        if has_files {
            return Err(StoreError::Invalid(format!("{} is not empty", dir.display())));
        }
    }
    vfs.create_dir_all(&segments).map_err(io_error("make", &segments))
}

fn has_dir(vfs: &dyn Vfs, dir: &Path) -> Result<bool, StoreError> {
    match vfs.list(dir) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error("list", dir)(error)),
    }
}

/// Writes the chunks that can be read to a new segment. Returns how many entries that were.
fn copy_readable(vfs: &dyn Vfs, path: &Path, segment: &Arc<Segment>) -> Result<u64, StoreError> {
    let mut writer = SegmentWriter::create(vfs, path, MERGE_LEVEL)?;
    let mut last = None;
    let outcome = segment.read_all(|tenant, labels, chunk, scratch| {
        let stream = Some((tenant.clone(), labels.clone()));
        if last != stream {
            writer.stream(tenant, labels);
            last = stream;
        }
        for rows in chunk.batches() {
            let batch = match chunk.read_rows(rows, scratch) {
                Err(StoreError::Corrupt { .. }) => continue,
                read => read?,
            };
            for row in batch.rows() {
                writer.row(row.timestamp, batch.line(row), &batch.metadata(row))?;
            }
        }
        Ok(())
    });
    match outcome {
        // Tables: what was read before them is kept.
        Ok(()) | Err(StoreError::Corrupt { .. }) => Ok(writer.finish()?.rows),
        Err(error) => Err(error),
    }
}

fn is_missing(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
