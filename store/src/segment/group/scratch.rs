//! What one reading thread keeps from group to group.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::super::codec::{Damage, Decoded};
use super::super::frame::{Frame, FrameReader};
use super::super::template::Hits;
use super::{Group, kept};
use crate::{LinePredicate, Metadata, Needle};

/// How many groups a thread keeps open. Chunks come stream by stream, so that small streams meet the
/// same group again and again; a decoded group takes about as much memory as its lines.
const GROUPS_MAX: usize = 1;

/// How many needles' hits are kept for the group used last.
const HITS_MAX: usize = 8;

/// Open groups, zstd's tables and buffers.
#[derive(Debug, Default)]
pub(in crate::segment) struct GroupScratch {
    /// The group used last is in front.
    groups: Vec<(GroupKey, Arc<Group>)>,
    /// What was found in the group in front: small streams ask for the same again and again.
    hits: Vec<(Arc<Needle>, Arc<Hits>)>,
    /// What passed the predicate used last, by group: chunks come by time as often as by stream, so that
    /// small streams meet each of many groups again and again.
    passing: Passing,
    pub(super) frames: FrameScratch,
    no_metadata: Option<Arc<Vec<Metadata>>>,
}

impl Drop for GroupScratch {
    fn drop(&mut self) {
        self.let_go(0);
    }
}

/// Which rows of groups pass a predicate.
#[derive(Debug, Default)]
struct Passing {
    predicate: Option<LinePredicate>,
    hits: HashMap<GroupKey, Arc<Hits>>,
    bytes: usize,
}

/// Bytes of hits that a thread keeps: those of a hundred full groups, or of any number that have none.
const PASSING_BYTES_MAX: usize = 4 << 20;

/// A segment's identity and a group's number.
pub(in crate::segment) type GroupKey = (u64, u32);

/// How many shared frames are kept: small columns that are read together share them, one of each kind.
const SHARED_MAX: usize = 3;

/// Opens frames; keeps the shared ones that were opened last.
#[derive(Debug, Default)]
pub(super) struct FrameScratch {
    reader: FrameReader,
    own: Vec<u8>,
    /// In the order in which they were opened.
    shared: Vec<SharedFrame>,
}

#[derive(Debug, Default)]
struct SharedFrame {
    key: Option<(GroupKey, u32)>,
    /// None of one that is kept as it is, which was checked.
    bytes: Vec<u8>,
}

/// Groups that some thread has open, so that others need not open them again.
#[derive(Debug, Default)]
pub(in crate::segment) struct OpenGroups(Mutex<Vec<(u32, Weak<Group>)>>);

impl OpenGroups {
    fn get(&self, number: u32) -> Option<Arc<Group>> {
        let open = self.0.lock();
        open.iter().find(|(other, _)| *other == number).and_then(|(_, group)| group.upgrade())
    }

    /// The group to use: another thread's, if that was quicker.
    fn add(&self, number: u32, group: Group) -> Arc<Group> {
        let mut open = self.0.lock();
        open.retain(|(_, group)| group.strong_count() > 0);
        let known = open.iter().find(|(other, _)| *other == number);
        if let Some(group) = known.and_then(|(_, group)| group.upgrade()) {
            return group;
        }
        let group = Arc::new(group);
        open.push((number, Arc::downgrade(&group)));
        group
    }
}

impl GroupScratch {
    /// The group, opened by `open` if no thread has it open.
    pub(in crate::segment) fn group<E>(
        &mut self,
        key: GroupKey,
        shared: &OpenGroups,
        open: impl FnOnce(&mut Self) -> Result<Group, E>,
    ) -> Result<Arc<Group>, E> {
        match self.groups.iter().position(|(other, _)| *other == key) {
            Some(0) => {}
            Some(index) => {
                self.groups[..=index].rotate_right(1);
                self.forget_hits();
            }
            None => {
                let group = match shared.get(key.1) {
                    Some(group) => group,
                    None => shared.add(key.1, open(self)?),
                };
                self.let_go(GROUPS_MAX - 1);
                self.groups.insert(0, (key, group));
                self.forget_hits();
            }
        }
        Ok(Arc::clone(&self.groups[0].1))
    }

    /// Lets go of all groups but so many.
    fn let_go(&mut self, left: usize) {
        let left = left.min(self.groups.len());
        self.groups.drain(left..).for_each(|(_, group)| kept::let_go(group));
    }

    fn forget_hits(&mut self) {
        self.hits.clear();
    }

    /// Which rows of a group pass, if that is known.
    pub(super) fn passing(&self, key: GroupKey, predicate: &LinePredicate) -> Option<&Arc<Hits>> {
        let known = &self.passing;
        let is_it = known.predicate.as_ref().is_some_and(|last| last.is_same(predicate));
        known.hits.get(&key).filter(|_| is_it)
    }

    /// Keeps which rows of a group pass.
    pub(super) fn keep_passing(
        &mut self,
        key: GroupKey,
        predicate: &LinePredicate,
        hits: Hits,
    ) -> Arc<Hits> {
        let known = &mut self.passing;
        let is_it = known.predicate.as_ref().is_some_and(|last| last.is_same(predicate));
        if !is_it || known.bytes > PASSING_BYTES_MAX {
            *known = Passing { predicate: Some(predicate.clone()), ..Passing::default() };
        }
        let hits = Arc::new(hits);
        known.bytes += size_of::<GroupKey>() + hits.bytes();
        known.hits.insert(key, Arc::clone(&hits));
        hits
    }

    /// What a needle hits in the group used last, found by `find` if it was not looked for before.
    pub(super) fn hits(
        &mut self,
        needle: &Arc<Needle>,
        find: impl FnOnce(&mut Self) -> Decoded<Hits>,
    ) -> Decoded<Arc<Hits>> {
        let known = self.hits.iter().find(|(other, _)| Arc::ptr_eq(other, needle));
        if let Some((_, hits)) = known {
            return Ok(Arc::clone(hits));
        }
        let hits = Arc::new(find(self)?);
        if self.hits.len() == HITS_MAX {
            self.hits.remove(0);
        }
        self.hits.push((Arc::clone(needle), Arc::clone(&hits)));
        Ok(hits)
    }

    /// The stored bytes that were read since it was last asked.
    pub(in crate::segment) const fn take_stored_bytes(&mut self) -> u64 {
        self.frames.reader.take_opened_bytes()
    }

    /// The list of the one empty set, for rows whose metadata was not asked for.
    pub(in crate::segment) fn no_metadata(&mut self) -> Arc<Vec<Metadata>> {
        let none = self.no_metadata.get_or_insert_with(|| Arc::new(vec![Metadata::default()]));
        Arc::clone(none)
    }
}

impl FrameScratch {
    /// Calls back with a part of a frame.
    pub(super) fn with<T>(
        &mut self,
        key: (GroupKey, u32),
        frame: Frame,
        stored: &[u8],
        part: std::ops::Range<usize>,
        read: impl FnOnce(&[u8]) -> Decoded<T>,
    ) -> Decoded<T> {
        let is_whole = part == (0..frame.raw as usize);
        let bytes = match (frame.is_plain(), is_whole) {
            (true, true) => {
                frame.check(stored)?;
                self.reader.count(part.len());
                stored
            }
            (true, false) => {
                self.shared(key, |_, _| frame.check(stored))?;
                self.reader.count(part.len());
                stored
            }
            (false, true) => {
                self.reader.read(frame, stored, &mut self.own)?;
                &self.own
            }
            (false, false) => self.shared(key, |reader, out| reader.read(frame, stored, out))?,
        };
        let bytes = bytes.get(part.clone());
        read(bytes.ok_or_else(|| Damage(format!("bytes {part:?} of a frame of {}", frame.raw)))?)
    }

    /// The bytes of a shared frame, opened if it is none of those that are kept.
    fn shared(
        &mut self,
        key: (GroupKey, u32),
        open: impl FnOnce(&mut FrameReader, &mut Vec<u8>) -> Decoded<()>,
    ) -> Decoded<&[u8]> {
        let place = match self.shared.iter().position(|frame| frame.key == Some(key)) {
            Some(place) => place,
            None => {
                let mut frame = match self.shared.len() {
                    SHARED_MAX => self.shared.remove(0),
                    _ => SharedFrame::default(),
                };
                frame.bytes.clear();
                let opened = open(&mut self.reader, &mut frame.bytes);
                frame.key = opened.is_ok().then_some(key);
                self.shared.push(frame);
                opened?;
                self.shared.len() - 1
            }
        };
        Ok(&self.shared[place].bytes)
    }
}
