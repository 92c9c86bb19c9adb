//! Reading the log back.
//!
//! In each file records are read up to the first that is not whole. In the last file that is a torn
//! tail: an append waits for all before it, so nothing behind was acknowledged. Opening begins a new
//! file with the sequence behind the last whole record, so that a file in the middle with bad bytes is
//! harmless when the next one begins where its records end, and damaged when numbers are missing.

use std::path::Path;

use super::writer::LogFile;
use super::{MAGIC, split};
use crate::frame::{BadHeader, Records, VERSION};
use crate::paths::{Paths, io_error, number};
use crate::{StoreError, TenantId, Vfs};

/// What replay found beside the records.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// The files, by number. The last may have a torn tail: begin a new one.
    pub(crate) files: Vec<LogFile>,
    /// The sequence behind the last record.
    pub(crate) next_sequence: u64,
    /// Sentences about records that are missing.
    pub(crate) warnings: Vec<String>,
}

/// Reads all records from the sequence `from` on and hands each, with its tenant, to `apply`.
///
/// # Errors
/// Refusals of the file system, a file of a later version, and what `apply` returns. Damage is none.
pub(crate) fn replay(
    vfs: &dyn Vfs,
    paths: &Paths,
    from: u64,
    mut apply: impl FnMut(&TenantId, &[u8]) -> Result<(), StoreError>,
) -> Result<Replayed, StoreError> {
    let mut replayed = Replayed { next_sequence: from, ..Replayed::default() };
    for (number, path) in log_files(vfs, paths)? {
        let bytes = vfs.read(&path).map_err(io_error("read", &path))?;
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        match Records::open(MAGIC, &bytes) {
            Ok(records) => {
                replayed.expect(records.next_sequence());
                replay_file(records, &path, from, &mut replayed, &mut apply)?;
            }
            Err(BadHeader::Version(found)) => {
                return Err(StoreError::FutureFormat { path, found, supported: VERSION });
            }
            // Whether anything is missing shows in where the next file begins.
            Err(BadHeader::Damaged) => {}
        }
        let end_sequence = replayed.next_sequence;
        replayed.files.push(LogFile { number, bytes: len, end_sequence, is_damaged: false });
    }
    Ok(replayed)
}

impl Replayed {
    /// Takes note that a file begins with `first`; what was not seen before it is lost.
    fn expect(&mut self, first: u64) {
        if first <= self.next_sequence {
            return;
        }
        let missing = first - self.next_sequence;
        let place = match self.files.last_mut() {
            Some(before) => {
                before.is_damaged = true;
                format!("the end of write-ahead-log file {:010}.wal", before.number)
            }
            None => "the beginning of the write-ahead log".to_owned(),
        };
        self.warnings.push(format!("{missing} appends are missing at {place}"));
        self.next_sequence = first;
    }
}

fn replay_file(
    mut records: Records<'_>,
    path: &Path,
    from: u64,
    replayed: &mut Replayed,
    apply: &mut impl FnMut(&TenantId, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for (sequence, payload) in records.by_ref() {
        replayed.next_sequence = replayed.next_sequence.max(sequence + 1);
        if sequence < from {
            continue;
        }
        match split(payload) {
            Some((tenant, batch)) => apply(&tenant, batch)?,
            None => replayed.warnings.push(format!(
                "append {sequence} in {} cannot be understood and is left out",
                path.display()
            )),
        }
    }
    if records.is_torn() {
        let bytes = records.bytes_left();
        tracing::warn!(path = %path.display(), bytes, "the file ends in bytes that are no record");
    }
    Ok(())
}

fn log_files(vfs: &dyn Vfs, paths: &Paths) -> Result<Vec<(u64, std::path::PathBuf)>, StoreError> {
    let dir = paths.wal_dir();
    let listed = vfs.list(&dir).map_err(io_error("list", &dir))?;
    let mut files: Vec<_> =
        listed.into_iter().filter_map(|path| Some((number(&path, "wal")?, path))).collect();
    files.sort_unstable();
    Ok(files)
}
