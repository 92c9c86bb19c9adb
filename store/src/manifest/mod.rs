//! Which segments are live, and up to where the log is in them.
//!
//! An append-only file of [records](crate::frame); each record is one commit, a list of edits that hold
//! together or not at all:
//! ```text
//! edit: 1 | segment id varint        the segment is live, at level 0
//!       2 | segment id varint        the segment is no more
//!       3 | sequence varint          records of the log below this one are in segments
//!       4 | segment id varint        the segment is live at this level; one that is live already stays
//!         | level varint             where it is and gets the level
//!       5 | request id varint        a delete request, in the form of `deletes/codec.rs`
//!         | body
//!       6 | request id varint        a delete request is: 0 no more, 1 begun, 2 carried out,
//!         | state u8                 3 as it came
//! ```
//! Version 1 had edits 1 to 3. A segment's level is the number of the last delete request that does not
//! concern it any more.
//!
//! The order of the segments is that of their entries' arrival. A segment comes behind those before it,
//! unless segments were removed by the same commit before it is added: it then has their entries, and
//! the place of the first of them.
//!
//! Every record is there twice, one copy behind the other, written and synced together. A commit that was
//! acted on is whole in both, so that damage in one of them costs nothing; at the end of the file, where
//! neither is whole, the commit was never acted on. Where neither is and later ones are, the file is
//! damaged beyond that. Opening writes it anew in one commit, under another name that then replaces it; so does
//! a commit with which it would be more than twice as long as it was then.

mod fuzz;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codec::{Reader, put_varint};
use crate::deletes::{DeleteBody, PROCESSED_MAX, StoredDelete, get_body, put_body};
use crate::frame::{self, BadHeader, Format, Records};
use crate::paths::io_error;
use crate::{DeleteStatus, StoreError, Vfs, WriteFile};

pub(crate) use fuzz::open_manifest_bytes;

const FORMAT: Format = Format { magic: *b"TMBRMAN1", version: 2 };

/// The sequence of a file's first record.
const FIRST_SEQUENCE: u64 = 1;

const ADD: u8 = 1;
const REMOVE: u8 = 2;
const FLUSHED: u8 = 3;
const ADD_AT: u8 = 4;
const DELETE: u8 = 5;
const DELETE_STATE: u8 = 6;

/// A change of what is live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// The segment is live, or stays so, at this level.
    Add { id: u64, level: u64 },
    /// The segment is no more.
    Remove(u64),
    /// Records of the log below this sequence are in segments.
    Flushed(u64),
    /// A delete request is recorded.
    Delete { id: u64, body: Arc<DeleteBody> },
    /// A delete request is so far, or is no more.
    DeleteState { id: u64, status: Option<DeleteStatus> },
}

/// A live segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LiveId {
    pub(crate) id: u64,
    /// The number of the last delete request that does not concern it any more.
    pub(crate) level: u64,
}

/// What the edits so far come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    /// By arrival of their entries.
    pub(crate) segments: Vec<LiveId>,
    /// The first record of the log that is in no segment.
    pub(crate) flushed: u64,
    /// An id that no segment had.
    pub(crate) next_id: u64,
    /// By number.
    pub(crate) deletes: Vec<StoredDelete>,
    /// A number that no delete request had.
    pub(crate) next_delete: u64,
}

impl Default for Live {
    fn default() -> Self {
        Self { segments: Vec::new(), flushed: 1, next_id: 1, deletes: Vec::new(), next_delete: 1 }
    }
}

impl Live {
    /// Whether a segment is live.
    pub(crate) fn has(&self, id: u64) -> bool {
        self.segments.iter().any(|live| live.id == id)
    }

    /// The level of a segment whose entries come now.
    pub(crate) const fn level(&self) -> u64 {
        self.next_delete.saturating_sub(1)
    }

    /// Applies the edits of one commit.
    fn apply(&mut self, edits: &[Edit]) {
        let mut place = None;
        for edit in edits {
            match *edit {
                Edit::Add { id, level } => {
                    self.next_id = self.next_id.max(id.saturating_add(1));
                    self.add(LiveId { id, level }, &mut place);
                }
                Edit::Remove(id) => {
                    self.next_id = self.next_id.max(id.saturating_add(1));
                    if let Some(index) = self.segments.iter().position(|other| other.id == id) {
                        self.segments.remove(index);
                        place = Some(place.unwrap_or(index).min(index));
                    }
                }
                Edit::Flushed(sequence) => self.flushed = self.flushed.max(sequence),
                Edit::Delete { id, ref body } => {
                    self.next_delete = self.next_delete.max(id.saturating_add(1));
                    // An id is given out once, and its request does not change.
                    if self.deletes.iter().all(|known| known.id != id) {
                        let (status, body) = (DeleteStatus::Received, Arc::clone(body));
                        self.deletes.push(StoredDelete { id, status, body });
                    }
                }
                Edit::DeleteState { id, status } => self.set_state(id, status),
            }
        }
    }

    fn add(&mut self, live: LiveId, place: &mut Option<usize>) {
        if let Some(known) = self.segments.iter_mut().find(|other| other.id == live.id) {
            known.level = live.level;
            return;
        }
        let end = self.segments.len();
        self.segments.insert(place.take().unwrap_or(end).min(end), live);
    }

    fn set_state(&mut self, id: u64, status: Option<DeleteStatus>) {
        self.next_delete = self.next_delete.max(id.saturating_add(1));
        let Some(index) = self.deletes.iter().position(|delete| delete.id == id) else { return };
        match status {
            Some(status) => self.deletes[index].status = status,
            None => drop(self.deletes.remove(index)),
        }
        let is_processed = |delete: &StoredDelete| delete.status == DeleteStatus::Processed;
        if self.deletes.iter().filter(|delete| is_processed(delete)).count() > PROCESSED_MAX
            && let Some(oldest) = self.deletes.iter().position(is_processed)
        {
            self.deletes.remove(oldest);
        }
    }

    fn edits(&self) -> Vec<Edit> {
        let mut edits = vec![Edit::Flushed(self.flushed)];
        // The last ids are named even when what they name is gone, so that they are not given out again.
        let last = self.next_id.saturating_sub(1);
        edits.extend((last > 0 && !self.has(last)).then_some(Edit::Remove(last)));
        let last = self.next_delete.saturating_sub(1);
        let is_known = self.deletes.iter().any(|delete| delete.id == last);
        let is_gone = last > 0 && !is_known;
        edits.extend(is_gone.then_some(Edit::DeleteState { id: last, status: None }));
        edits.extend(self.segments.iter().map(|&LiveId { id, level }| Edit::Add { id, level }));
        for StoredDelete { id, status, body } in &self.deletes {
            edits.push(Edit::Delete { id: *id, body: Arc::clone(body) });
            edits.push(Edit::DeleteState { id: *id, status: Some(*status) });
        }
        edits
    }
}

/// The manifest, open for commits.
#[derive(Debug)]
pub(crate) struct Manifest {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    live: Live,
    has_bad_bytes: bool,
    next_sequence: u64,
    /// `None` after a failed commit: what the file ends with is unknown, so it is written anew.
    file: Option<Box<dyn WriteFile>>,
    /// The file's length, and what it was when it was written anew.
    bytes: usize,
    fresh_bytes: usize,
}

impl Manifest {
    /// Reads the manifest, if there is one, and writes it anew.
    ///
    /// # Errors
    /// Refusals of the file system, a file of a later version, and [`StoreError::Corrupt`] for one that
    /// is not a manifest: guessing which segments are live could bring deleted entries back.
    pub(crate) fn open(vfs: Arc<dyn Vfs>, path: &Path) -> Result<Self, StoreError> {
        let (live, has_bad_bytes) = match vfs.read(path) {
            Ok(bytes) => read(path, &bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Default::default(),
            Err(error) => return Err(io_error("read", path)(error)),
        };
        Ok(Self { has_bad_bytes, ..Self::write(vfs, path, live)? })
    }

    /// What a manifest says, without writing it anew, and whether it has bytes that are no record.
    ///
    /// # Errors
    /// As [`open`](Self::open); also when there is no manifest.
    pub(crate) fn inspect(vfs: &dyn Vfs, path: &Path) -> Result<(Live, bool), StoreError> {
        read(path, &vfs.read(path).map_err(io_error("read", path))?)
    }

    /// What can be read of a manifest that is damaged. Commits are missing.
    ///
    /// # Errors
    /// Refusals of the file system.
    pub(crate) fn salvage(vfs: &dyn Vfs, path: &Path) -> Result<Live, StoreError> {
        let bytes = match vfs.read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(io_error("read", path)(error)),
        };
        let mut records = Records::without_header(&bytes, FIRST_SEQUENCE);
        let mut live = Live::default();
        while records.resume(records.next_sequence()).is_some() {
            for (_, payload) in records.by_ref() {
                live.apply(&read_edits(payload).unwrap_or_default());
            }
        }
        Ok(live)
    }

    /// Writes a manifest that says this, in place of another if there is one.
    ///
    /// # Errors
    /// Refusals of the file system.
    pub(crate) fn write(vfs: Arc<dyn Vfs>, path: &Path, live: Live) -> Result<Self, StoreError> {
        let mut manifest = Self {
            vfs,
            path: path.to_owned(),
            live,
            has_bad_bytes: false,
            next_sequence: FIRST_SEQUENCE,
            file: None,
            bytes: 0,
            fresh_bytes: 0,
        };
        manifest.replace(&fresh(&manifest.live)?)?;
        Ok(manifest)
    }

    /// Whether it had bytes that are no record when it was opened: nothing is missing because of them.
    pub(crate) const fn has_bad_bytes(&self) -> bool {
        self.has_bad_bytes
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
        let records = records(self.next_sequence, edits)?;
        // So that it stays about as small as what it says, however long it is open.
        let is_long = self.bytes + records.len() > 2 * self.fresh_bytes;
        match self.file.take().filter(|_| !is_long) {
            Some(file) => self.append(file, &records)?,
            None => self.replace(&fresh(&live)?)?,
        }
        self.live = live;
        Ok(())
    }

    fn append(&mut self, mut file: Box<dyn WriteFile>, records: &[u8]) -> Result<(), StoreError> {
        file.write_all(records).map_err(io_error("write", &self.path))?;
        file.sync().map_err(io_error("sync", &self.path))?;
        self.file = Some(file);
        self.bytes += records.len();
        self.next_sequence += 1;
        Ok(())
    }

    /// Writes a new file and puts it in place of the old one.
    fn replace(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let temporary = self.path.with_extension("tmp");
        match self.vfs.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("remove", &temporary)(error));
            }
            _ => {}
        }
        let mut file = self.vfs.create(&temporary).map_err(io_error("create", &temporary))?;
        file.write_all(bytes).map_err(io_error("write", &temporary))?;
        file.sync().map_err(io_error("sync", &temporary))?;
        self.vfs.replace(&temporary, &self.path).map_err(io_error("replace", &self.path))?;
        self.file = Some(file);
        (self.bytes, self.fresh_bytes) = (bytes.len(), bytes.len());
        self.next_sequence = FIRST_SEQUENCE + 1;
        Ok(())
    }
}

/// A file that says what is live in one commit.
fn fresh(live: &Live) -> Result<Vec<u8>, StoreError> {
    let mut bytes = frame::header(FORMAT, FIRST_SEQUENCE).to_vec();
    bytes.extend(records(FIRST_SEQUENCE, &live.edits())?);
    Ok(bytes)
}

/// A commit, twice.
fn records(sequence: u64, edits: &[Edit]) -> Result<Vec<u8>, StoreError> {
    let mut payload = Vec::new();
    edits.iter().for_each(|edit| put_edit(&mut payload, edit));
    let len = u32::try_from(payload.len())
        .map_err(|_| StoreError::Invalid("too much for one commit of the manifest".to_owned()))?;
    let mut out = Vec::new();
    let crc = frame::payload_crc(&[&payload]);
    for _ in 0..2 {
        frame::put_record(&mut out, sequence, len, crc, &[&payload]);
    }
    Ok(out)
}

fn put_edit(out: &mut Vec<u8>, edit: &Edit) {
    let (tag, value) = match *edit {
        Edit::Add { id, level: 0 } => (ADD, id),
        Edit::Add { id, .. } => (ADD_AT, id),
        Edit::Remove(id) => (REMOVE, id),
        Edit::Flushed(sequence) => (FLUSHED, sequence),
        Edit::Delete { id, .. } => (DELETE, id),
        Edit::DeleteState { id, .. } => (DELETE_STATE, id),
    };
    out.push(tag);
    put_varint(out, value);
    match edit {
        Edit::Add { level: 0, .. } | Edit::Remove(_) | Edit::Flushed(_) => {}
        Edit::Add { level, .. } => put_varint(out, *level),
        Edit::Delete { body, .. } => put_body(out, body),
        Edit::DeleteState { status, .. } => out.push(match status {
            None => 0,
            Some(DeleteStatus::Started) => 1,
            Some(DeleteStatus::Processed) => 2,
            Some(DeleteStatus::Received) => 3,
        }),
    }
}

/// What the edits come to, and whether there are bytes that are no record: of a commit that was cut off, or
/// of one whose other copy is whole.
fn read(path: &Path, bytes: &[u8]) -> Result<(Live, bool), StoreError> {
    let corrupt = |offset, detail: &str| StoreError::Corrupt {
        path: path.to_owned(),
        what: "manifest",
        offset,
        detail: detail.to_owned(),
    };
    let mut records = match Records::open(FORMAT, bytes) {
        Ok(records) => records,
        Err(BadHeader::Damaged) => return Err(corrupt(0, "not the header of a manifest")),
        Err(BadHeader::Version(found)) => {
            let path = path.to_owned();
            return Err(StoreError::FutureFormat { path, found, supported: FORMAT.version });
        }
    };
    let (mut live, mut has_bad_bytes) = (Live::default(), false);
    loop {
        match records.next() {
            Some((_, payload)) => {
                live.apply(&read_edits(payload).ok_or_else(|| corrupt(0, "an unknown edit"))?);
                records.skip_copy();
                continue;
            }
            None if records.is_torn() => {}
            None => break,
        }
        let next = records.next_sequence();
        let offset = u64::try_from(bytes.len() - records.rest().len()).unwrap_or(u64::MAX);
        match records.resume(next) {
            Some(found) if found == next => has_bad_bytes = true,
            Some(_) => return Err(corrupt(offset, "no copy of a commit is whole, later ones are")),
            // A commit that was cut off, or the second copy of the last one.
            None => {
                has_bad_bytes = true;
                break;
            }
        }
    }
    // The first commit is synced before the file gets its name: without it the file is damaged.
    if records.next_sequence() == FIRST_SEQUENCE {
        return Err(corrupt(24, "no whole record"));
    }
    Ok((live, has_bad_bytes))
}

fn read_edits(payload: &[u8]) -> Option<Vec<Edit>> {
    let mut reader = Reader::new(payload);
    let mut edits = Vec::new();
    while !reader.is_empty() {
        edits.push(read_edit(&mut reader)?);
    }
    Some(edits)
}

fn read_edit(reader: &mut Reader<'_>) -> Option<Edit> {
    Some(match (reader.u8()?, reader.varint()?) {
        (ADD, id) => Edit::Add { id, level: 0 },
        (ADD_AT, id) => Edit::Add { id, level: reader.varint()? },
        (REMOVE, id) => Edit::Remove(id),
        (FLUSHED, sequence) => Edit::Flushed(sequence),
        (DELETE, id) => Edit::Delete { id, body: Arc::new(get_body(reader)?) },
        (DELETE_STATE, id) => {
            let status = match reader.u8()? {
                0 => None,
                1 => Some(DeleteStatus::Started),
                2 => Some(DeleteStatus::Processed),
                3 => Some(DeleteStatus::Received),
                _ => return None,
            };
            Edit::DeleteState { id, status }
        }
        _ => return None,
    })
}
