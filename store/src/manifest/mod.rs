//! Which segments are live, and up to where the log is in them.
//!
//! An append-only file of [records](crate::frame); each record is one commit, a list of edits that hold
//! together or not at all:
//! ```text
//! edit: 1 | segment id varint        the segment is live
//!       2 | segment id varint        the segment is no more
//!       3 | sequence varint          records of the log below this one are in segments
//! ```
//! The order of the segments is that of their entries' arrival. A segment comes behind those before it,
//! unless segments were removed by the same commit before it is added: it then has their entries, and
//! the place of the first of them.
//!
//! A torn record at the end was never acted on and is ignored. There is one at most, since a commit is
//! synced before the next: bytes that are no record and have one behind them are damage. Opening writes the file anew in one
//! record, under another name that then replaces it.

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codec::{Reader, put_varint};
use crate::frame::{self, BadHeader, Magic, Records, VERSION};
use crate::paths::io_error;
use crate::{StoreError, Vfs, WriteFile};

const MAGIC: Magic = *b"TMBRMAN1";

const ADD: u8 = 1;
const REMOVE: u8 = 2;
const FLUSHED: u8 = 3;

/// A change of what is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// The segment is live.
    Add(u64),
    /// The segment is no more.
    Remove(u64),
    /// Records of the log below this sequence are in segments.
    Flushed(u64),
}

/// What the edits so far come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    /// By arrival of their entries.
    pub(crate) segments: Vec<u64>,
    /// The first record of the log that is in no segment.
    pub(crate) flushed: u64,
    /// An id that no segment had.
    pub(crate) next_id: u64,
}

impl Default for Live {
    fn default() -> Self {
        Self { segments: Vec::new(), flushed: 1, next_id: 1 }
    }
}

impl Live {
    /// Applies the edits of one commit.
    fn apply(&mut self, edits: &[Edit]) {
        let mut place = None;
        for &edit in edits {
            match edit {
                Edit::Add(id) => {
                    self.segments.retain(|&other| other != id);
                    let end = self.segments.len();
                    self.segments.insert(place.take().unwrap_or(end).min(end), id);
                }
                Edit::Remove(id) => {
                    if let Some(index) = self.segments.iter().position(|&other| other == id) {
                        self.segments.remove(index);
                        place = Some(place.unwrap_or(index).min(index));
                    }
                }
                Edit::Flushed(sequence) => self.flushed = self.flushed.max(sequence),
            }
            if let Edit::Add(id) | Edit::Remove(id) = edit {
                self.next_id = self.next_id.max(id.saturating_add(1));
            }
        }
    }

    fn edits(&self) -> Vec<Edit> {
        let mut edits = vec![Edit::Flushed(self.flushed)];
        // The last id is named even when its segment is gone, so that it is not given out again.
        edits.extend(self.next_id.checked_sub(1).map(Edit::Remove));
        edits.extend(self.segments.iter().map(|&id| Edit::Add(id)));
        edits
    }
}

/// The manifest, open for commits.
#[derive(Debug)]
pub(crate) struct Manifest {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    live: Live,
    next_sequence: u64,
    /// `None` after a failed commit: what the file ends with is unknown, so it is written anew.
    file: Option<Box<dyn WriteFile>>,
}

impl Manifest {
    /// Reads the manifest, if there is one, and writes it anew.
    ///
    /// # Errors
    /// Refusals of the file system, a file of a later version, and [`StoreError::Corrupt`] for one that
    /// is not a manifest: guessing which segments are live could bring deleted entries back.
    pub(crate) fn open(vfs: Arc<dyn Vfs>, path: &Path) -> Result<Self, StoreError> {
        let live = match vfs.read(path) {
            Ok(bytes) => read(path, &bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Live::default(),
            Err(error) => return Err(io_error("read", path)(error)),
        };
        let mut manifest = Self { vfs, path: path.to_owned(), live, next_sequence: 1, file: None };
        manifest.rewrite()?;
        Ok(manifest)
    }

    pub(crate) const fn live(&self) -> &Live {
        &self.live
    }

    /// A new segment's id.
    pub(crate) fn take_id(&mut self) -> u64 {
        let id = self.live.next_id;
        self.live.next_id = id.saturating_add(1);
        id
    }

    /// Makes the edits durable, together.
    ///
    /// # Errors
    /// Refusals of the file system: the edits are not in force here, but a store that is opened later
    /// may find them so.
    pub(crate) fn commit(&mut self, edits: &[Edit]) -> Result<(), StoreError> {
        let mut live = self.live.clone();
        live.apply(edits);
        match self.file.take() {
            Some(mut file) => {
                let record = record(self.next_sequence, edits)?;
                file.write_all(&record).map_err(io_error("write", &self.path))?;
                file.sync().map_err(io_error("sync", &self.path))?;
                self.file = Some(file);
                self.next_sequence += 1;
                self.live = live;
                Ok(())
            }
            None => {
                let before = std::mem::replace(&mut self.live, live);
                let outcome = self.rewrite();
                if outcome.is_err() {
                    let next_id = self.live.next_id;
                    self.live = Live { next_id, ..before };
                }
                outcome
            }
        }
    }

    /// Writes all that is live to a new file and puts it in place of the old one.
    fn rewrite(&mut self) -> Result<(), StoreError> {
        let temporary = self.path.with_extension("tmp");
        match self.vfs.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("remove", &temporary)(error));
            }
            _ => {}
        }
        let mut bytes = frame::header(MAGIC, 1).to_vec();
        bytes.extend(record(1, &self.live.edits())?);
        let mut file = self.vfs.create(&temporary).map_err(io_error("create", &temporary))?;
        file.write_all(&bytes).map_err(io_error("write", &temporary))?;
        file.sync().map_err(io_error("sync", &temporary))?;
        self.vfs.replace(&temporary, &self.path).map_err(io_error("replace", &self.path))?;
        self.file = Some(file);
        self.next_sequence = 2;
        Ok(())
    }
}

fn record(sequence: u64, edits: &[Edit]) -> Result<Vec<u8>, StoreError> {
    let mut payload = Vec::new();
    for &edit in edits {
        let (tag, value) = match edit {
            Edit::Add(id) => (ADD, id),
            Edit::Remove(id) => (REMOVE, id),
            Edit::Flushed(sequence) => (FLUSHED, sequence),
        };
        payload.push(tag);
        put_varint(&mut payload, value);
    }
    let len = u32::try_from(payload.len())
        .map_err(|_| StoreError::Invalid("too many segments for one manifest".to_owned()))?;
    let mut out = Vec::new();
    frame::put_record(&mut out, sequence, len, frame::payload_crc(&[&payload]), &[&payload]);
    Ok(out)
}

fn read(path: &Path, bytes: &[u8]) -> Result<Live, StoreError> {
    let corrupt = |offset, detail: &str| StoreError::Corrupt {
        path: path.to_owned(),
        what: "manifest",
        offset,
        detail: detail.to_owned(),
    };
    let mut records = match Records::open(MAGIC, bytes) {
        Ok(records) => records,
        Err(BadHeader::Damaged) => return Err(corrupt(0, "not the header of a manifest")),
        Err(BadHeader::Version(found)) => {
            let path = path.to_owned();
            return Err(StoreError::FutureFormat { path, found, supported: VERSION });
        }
    };
    let mut live = Live::default();
    let mut records_read = 0;
    for (_, payload) in records.by_ref() {
        records_read += 1;
        live.apply(&read_edits(payload).ok_or_else(|| corrupt(0, "an unknown edit"))?);
    }
    if records.is_torn() && records.has_record_behind() {
        let offset = bytes.len() - records.bytes_left();
        let offset = u64::try_from(offset).unwrap_or(u64::MAX);
        return Err(corrupt(offset, "a commit that is not whole, with others behind it"));
    }
    // The first record is synced before the file gets its name: without it the file is damaged.
    if records_read == 0 {
        return Err(corrupt(24, "no whole record"));
    }
    Ok(live)
}

fn read_edits(payload: &[u8]) -> Option<Vec<Edit>> {
    let mut reader = Reader::new(payload);
    let mut edits = Vec::new();
    while !reader.is_empty() {
        edits.push(match (reader.u8()?, reader.varint()?) {
            (ADD, id) => Edit::Add(id),
            (REMOVE, id) => Edit::Remove(id),
            (FLUSHED, sequence) => Edit::Flushed(sequence),
            _ => return None,
        });
    }
    Some(edits)
}
