//! Reading the log back.
//!
//! In each file records are read to where the next file's begin. Behind the last whole one there may be
//! bytes that were never acknowledged: an append waits for all before it, and a file that has taken bytes
//! of a failed write is left alone and followed by one that begins with the same sequence. Opening begins
//! a new file with the sequence behind the last whole record.
//!
//! So bytes that are no record are harmless when the next file begins where the records before them end,
//! and damage when numbers are missing. Where whole records follow in the same file, these are read: a
//! machine that lost its power within a write may leave such a hole in what nobody was promised, damage
//! leaves one in what somebody was, and neither is passed over in silence.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::writer::LogFile;
use super::{FORMAT, split};
use crate::frame::{BadHeader, HEADER_BYTES, Records};
use crate::paths::{Paths, io_error, number};
use crate::{StoreError, TenantId, Vfs, codec};

/// What replay found beside the records.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// The files, by number. The last may have a torn tail: begin a new one.
    pub(crate) files: Vec<LogFile>,
    /// The sequence behind the last record.
    pub(crate) next_sequence: u64,
    /// Bytes behind the last whole record that are none: of a write that was cut off, or damaged.
    pub(crate) torn_bytes: u64,
    /// Files with bytes that are no record, whether or not anything is missing because of them.
    pub(crate) files_with_bad_bytes: u64,
    /// Sentences about records that are missing.
    pub(crate) warnings: Vec<String>,
}

/// Reads all records from the sequence `from` on and hands each, with its sequence and tenant, to `apply`.
/// Holds one file at a time.
///
/// # Errors
/// Refusals of the file system, a file of a later version, and what `apply` returns. Damage is none.
pub(crate) fn replay(
    vfs: &dyn Vfs,
    paths: &Paths,
    from: u64,
    mut apply: impl FnMut(u64, &TenantId, &[u8]) -> Result<(), StoreError>,
) -> Result<Replayed, StoreError> {
    let mut replayed = Replayed { next_sequence: from, ..Replayed::default() };
    let files = log_files(vfs, paths)?;
    let ends = ends(vfs, &files)?;
    for ((number, path), end) in files.into_iter().zip(ends) {
        let bytes = vfs.read(&path).map_err(io_error("read", &path))?;
        let (records, has_header) = match Records::open(FORMAT, &bytes) {
            Ok(records) => (records, true),
            Err(BadHeader::Version(found)) => {
                return Err(StoreError::FutureFormat { path, found, supported: FORMAT.version });
            }
            Err(BadHeader::Damaged) => {
                (Records::without_header(&bytes, replayed.next_sequence), false)
            }
        };
        if has_header {
            replayed.expect(records.next_sequence());
        }
        // The header is durable before there is a record: a file too short for one had none.
        let is_damaged = !has_header && bytes.len() > HEADER_BYTES;
        if is_damaged {
            replayed.warnings.push(format!("write-ahead-log file {number:010}.wal has no header"));
        }
        let bytes = codec::len_u64(&bytes);
        replayed.files.push(LogFile { number, bytes, end_sequence: 0, is_damaged });
        replay_file(records, &path, from..end, &mut replayed, &mut apply)?;
        let end_sequence = replayed.next_sequence;
        if let Some(file) = replayed.files.last_mut() {
            file.end_sequence = end_sequence;
        }
    }
    Ok(replayed)
}

impl Replayed {
    /// Takes note that records go on with `first`; what was not seen before it is lost.
    fn expect(&mut self, first: u64) {
        if first <= self.next_sequence {
            return;
        }
        let missing = first - self.next_sequence;
        let place = match self.files.last_mut() {
            Some(before) => {
                before.is_damaged = true;
                format!("in write-ahead-log file {:010}.wal", before.number)
            }
            None => "at the beginning of the write-ahead log".to_owned(),
        };
        self.warnings.push(format!("{missing} appends are missing {place}"));
        self.next_sequence = first;
    }
}

fn replay_file(
    mut records: Records<'_>,
    path: &Path,
    wanted: Range<u64>,
    replayed: &mut Replayed,
    apply: &mut impl FnMut(u64, &TenantId, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut has_bad_bytes = false;
    loop {
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
                Some((tenant, batch)) => apply(sequence, &tenant, batch)?,
                None => replayed.warnings.push(format!(
                    "append {sequence} in {} cannot be understood and is left out",
                    path.display()
                )),
            }
        }
        replayed.torn_bytes = codec::len_u64(records.rest());
        if !records.is_torn() {
            return Ok(());
        }
        replayed.files_with_bad_bytes += u64::from(!has_bad_bytes);
        has_bad_bytes = true;
        match records.resume(replayed.next_sequence) {
            Some(found) if found < wanted.end => replayed.expect(found),
            _ => {
                let bytes = replayed.torn_bytes;
                tracing::warn!(path = %path.display(), bytes, "the file ends in bytes that are no record");
                return Ok(());
            }
        }
    }
}

/// Where each file's records end at the latest: at the first of any file behind it.
fn ends(vfs: &dyn Vfs, files: &[(u64, PathBuf)]) -> Result<Vec<u64>, StoreError> {
    let mut ends = vec![u64::MAX; files.len()];
    let mut end = u64::MAX;
    for (slot, (_, path)) in ends.iter_mut().zip(files).rev() {
        *slot = end;
        // Of the map only the header is touched.
        let bytes = vfs.map(path).map_err(io_error("read", path))?;
        if let Ok(records) = Records::open(FORMAT, &bytes) {
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
