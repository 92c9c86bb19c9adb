//! Reading the log back.
//!
//! In each file records are read up to the first that is not whole, or to where the next file's begin.
//! What a file has behind that was never acknowledged: an append waits for all before it, and a file
//! that has taken bytes of a failed write is left alone and followed by one that begins with the same
//! sequence. Opening begins a new file with the sequence behind the last whole record, so that a file in
//! the middle with bad bytes is harmless when the next one begins where its records end, and damaged
//! when numbers are missing.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::writer::LogFile;
use super::{MAGIC, split};
use crate::frame::{BadHeader, HEADER_BYTES, Records, VERSION};
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
    let files = log_files(vfs, paths)?;
    let ends = ends(vfs, &files)?;
    for ((number, path), end) in files.into_iter().zip(ends) {
        let bytes = vfs.read(&path).map_err(io_error("read", &path))?;
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let mut is_damaged = false;
        match Records::open(MAGIC, &bytes) {
            Ok(records) => {
                replayed.expect(records.next_sequence());
                replay_file(records, &path, from..end, &mut replayed, &mut apply)?;
            }
            Err(BadHeader::Version(found)) => {
                return Err(StoreError::FutureFormat { path, found, supported: VERSION });
            }
            // Whether anything is missing shows in where the next file begins; and the header is durable
            // before there is a record, so that one too short for records had none.
            Err(BadHeader::Damaged) => is_damaged = bytes.len() > HEADER_BYTES,
        }
        if is_damaged {
            replayed.warnings.push(format!("write-ahead-log file {number:010}.wal has no header"));
        }
        let end_sequence = replayed.next_sequence;
        replayed.files.push(LogFile { number, bytes: len, end_sequence, is_damaged });
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
    wanted: Range<u64>,
    replayed: &mut Replayed,
    apply: &mut impl FnMut(&TenantId, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for (sequence, payload) in records.by_ref() {
        if sequence >= wanted.end {
            tracing::warn!(path = %path.display(), sequence, "leaving out appends that failed");
            return Ok(());
        }
        replayed.next_sequence = replayed.next_sequence.max(sequence + 1);
        if sequence < wanted.start {
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

/// Where each file's records end at the latest: at the first of any file behind it.
fn ends(vfs: &dyn Vfs, files: &[(u64, PathBuf)]) -> Result<Vec<u64>, StoreError> {
    let mut ends = vec![u64::MAX; files.len()];
    let mut end = u64::MAX;
    for (slot, (_, path)) in ends.iter_mut().zip(files).rev() {
        *slot = end;
        let bytes = vfs.read(path).map_err(io_error("read", path))?;
        if let Ok(records) = Records::open(MAGIC, &bytes) {
            end = end.min(records.next_sequence());
        }
    }
    Ok(ends)
}

fn log_files(vfs: &dyn Vfs, paths: &Paths) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let dir = paths.wal_dir();
    let listed = vfs.list(&dir).map_err(io_error("list", &dir))?;
    let mut files: Vec<_> =
        listed.into_iter().filter_map(|path| Some((number(&path, "wal")?, path))).collect();
    files.sort_unstable();
    Ok(files)
}
