//! Opening a store: what is live, what is damaged, what the log has that no segment has.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use parking_lot::{Condvar, Mutex, RwLock};

use super::sealer::{Queue, Sealer};
use super::{Compacting, Control, Core, Counters, Options, Sealing, drop_sealed};
use crate::deletes::ActiveDelete;
use crate::head::Pending;
use crate::manifest::{Edit, LiveId, Manifest};
use crate::paths::{Paths, io_error, number};
use crate::segment::Segment;
use crate::view::{LiveSegment, View};
use crate::wal::{Wal, replay};
use crate::{DeleteStatus, StoreError, Vfs};

/// Opens the store in a directory that the caller has locked.
pub(crate) fn open(options: Options, paths: Paths) -> Result<Core, StoreError> {
    let vfs = Arc::clone(&options.vfs);
    for dir in [paths.wal_dir(), paths.segment_dir(), paths.damaged_dir()] {
        vfs.create_dir_all(&dir).map_err(io_error("make", &dir))?;
    }
    refuse_lost_manifest(&*vfs, &paths)?;
    let mut manifest = Manifest::open(Arc::clone(&vfs), &paths.manifest())?;
    sweep(&*vfs, &paths, &manifest)?;
    let mut warnings = Vec::new();
    let segments = open_segments(&*vfs, &paths, &mut manifest, &mut warnings)?;
    let aside = set_aside(&*vfs, &paths)?;
    let damaged_segments =
        warnings.len() + aside.iter().filter(|path| number(path, "seg").is_some()).count();
    // Until someone takes the file away, answers are without its entries.
    if !aside.is_empty() {
        tracing::warn!(
            files = aside.len(),
            dir = %paths.damaged_dir().display(),
            "damaged files are set aside: answers are without their entries, and warn of it until the files are \
             taken away"
        );
    }
    warnings
        .extend(aside.iter().map(|path| format!("{} is damaged and set aside", file_name(path))));

    if manifest.has_bad_bytes() {
        tracing::warn!("the manifest had bytes that are no record; nothing is missing for them");
    }
    let deletes = restore_deletes(&options, &manifest, &mut warnings);
    let mut view = View {
        segments: Arc::new(segments),
        deletes: Arc::new(deletes),
        retention: Arc::new(options.retention.clone()),
        ..View::default()
    };
    let counters = Counters::default();
    counters
        .damaged_segments
        .store(u64::try_from(damaged_segments).unwrap_or(0), Ordering::Relaxed);
    let now = options.clock.elapsed();
    let flushed = manifest.live().flushed;
    let queue = Queue::default();
    let replayed = thread::scope(|scope| {
        let mut sealer = Sealer::new(scope, &queue, &*vfs, &paths, &counters);
        let replayed = replay(&*vfs, &paths, flushed, |sequence, tenant, batch| {
            let Ok(mut pending) = Pending::new(batch) else {
                warnings.push("an append in the write-ahead log cannot be understood".to_owned());
                return Ok(());
            };
            let sealed_newest = drop_sealed(&view, tenant, &mut pending)?;
            view.head.apply(tenant, &mut pending, &sealed_newest, now, None)?;
            counters.replayed_entries.fetch_add(pending.len(), Ordering::Relaxed);
            if view.head.size().bytes >= options.head_bytes_max {
                sealer.freeze(sequence.saturating_add(1), &mut manifest, &mut view)?;
            }
            Ok(())
        })?;
        sealer.finish(&mut manifest, &mut view)?;
        Ok::<_, StoreError>(replayed)
    })?;
    counters.torn_log_bytes.store(replayed.torn_bytes, Ordering::Relaxed);
    warnings.extend(replayed.warnings);
    view.warnings = Arc::new(warnings);
    let wal =
        Wal::begin(vfs, paths.clone(), options.durability, replayed.next_sequence, replayed.files)?;
    if let Err(error) = wal.trim(manifest.live().flushed) {
        tracing::warn!(%error, "an old file of the write-ahead log stays for now");
    }
    Ok(Core {
        options,
        paths,
        wal,
        counters,
        is_closed: AtomicBool::new(false),
        pacer: Arc::default(),
        compacting: Mutex::new(Compacting::default()),
        sealing: Mutex::new(Sealing::default()),
        gate: RwLock::new(()),
        subscribers: Arc::default(),
        manifest: Mutex::new(manifest),
        control: Mutex::new(Control::default()),
        believed: Mutex::new(None),
        view: RwLock::new(Arc::new(view)),
        work: Condvar::new(),
        flushed: Condvar::new(),
        compaction: Condvar::new(),
    })
}

/// The manifest is durable before the first segment is, so one that is missing beside segments was lost,
/// and going on without it would sweep them all.
fn refuse_lost_manifest(vfs: &dyn Vfs, paths: &Paths) -> Result<(), StoreError> {
    let path = paths.manifest();
    match vfs.file_len(&path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io_error("open", &path)(error)),
    }
    let dir = paths.segment_dir();
    let files = vfs.list(&dir).map_err(io_error("list", &dir))?;
    match files.iter().filter(|file| number(file, "seg").is_some()).count() {
        0 => Ok(()),
        count => {
            let detail = format!("it is missing, but there are {count} segments");
            Err(StoreError::Corrupt { path, what: "manifest", offset: 0, detail })
        }
    }
}

/// Makes the delete requests ready that were not carried out yet.
fn restore_deletes(
    options: &Options,
    manifest: &Manifest,
    warnings: &mut Vec<String>,
) -> Vec<Arc<ActiveDelete>> {
    let compiler = options.filter_compiler.as_deref();
    let mut active = Vec::new();
    for stored in &manifest.live().deletes {
        if stored.status != DeleteStatus::Processed {
            let (delete, warning) = ActiveDelete::restored(stored, compiler);
            active.push(Arc::new(delete));
            warnings.extend(warning);
        }
    }
    active
}

/// Removes what a crash left behind: temporary files, and segments that were never live or are no more.
fn sweep(vfs: &dyn Vfs, paths: &Paths, manifest: &Manifest) -> Result<(), StoreError> {
    let dir = paths.segment_dir();
    for path in vfs.list(&dir).map_err(io_error("list", &dir))? {
        let is_orphan = match number(&path, "seg") {
            Some(id) => !manifest.live().has(id),
            None => number(&path, "tmp").is_some(),
        };
        if is_orphan {
            tracing::info!(path = %path.display(), "sweeping a file that is not live");
            vfs.remove(&path).map_err(io_error("remove", &path))?;
        }
    }
    Ok(())
}

/// Opens what is live. A damaged segment is moved away; one that is missing stays in the manifest, and
/// is reported at each open, because its file may only be misplaced.
fn open_segments(
    vfs: &dyn Vfs,
    paths: &Paths,
    manifest: &mut Manifest,
    warnings: &mut Vec<String>,
) -> Result<Vec<LiveSegment>, StoreError> {
    let mut segments = Vec::new();
    for LiveId { id, level } in manifest.live().segments.clone() {
        let path = paths.segment(id);
        let aside = paths.damaged_dir().join(path.file_name().unwrap_or_default());
        match Segment::open(vfs, &path) {
            Ok(segment) => segments.push(LiveSegment { id, level, segment }),
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(%error, "setting a damaged segment aside");
                vfs.replace(&path, &aside).map_err(io_error("set aside", &path))?;
                manifest.commit(&[Edit::Remove(id)])?;
            }
            // Whoever set it aside was stopped before the commit.
            Err(error) if is_missing(&error) && vfs.file_len(&aside).is_ok() => {
                manifest.commit(&[Edit::Remove(id)])?;
            }
            Err(error) if is_missing(&error) => {
                tracing::error!(%error, "a segment is missing");
                warnings.push(format!("segment {} is missing", file_name(&path)));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(segments)
}

fn is_missing(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// The files that were set aside, now or before.
fn set_aside(vfs: &dyn Vfs, paths: &Paths) -> Result<Vec<PathBuf>, StoreError> {
    let dir = paths.damaged_dir();
    vfs.list(&dir).map_err(io_error("list", &dir))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
