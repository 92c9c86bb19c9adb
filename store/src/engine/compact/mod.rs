//! Segments in the place of others: merged ones, and ones without what nobody is to see any more.
//!
//! An age flush writes a small segment every few minutes, and each segment costs every query a look.
//! Segments that stand next to each other in the order of arrival and are of one day are merged into one
//! that takes their place. Days that are over are merged to weeks, unless entries are kept for so short a
//! time that they would go late: a hundred thousand streams have a few lines a day each, and each of them
//! would be looked at again for every day. A merge waits until it has many segments, or until what comes next
//! is of days too far away to go with them; and until the largest is not larger than the others together, so
//! that an entry is written again only a few times, logarithmic in the day's size. A flush compresses in haste;
//! what is a day old and was not merged is written again by itself, once, when there is nothing else to do.
//!
//! The new segment is written and synced like one of a flush, and one record in the manifest puts it in
//! the place of the others. Snapshots keep the old ones as long as they need them; neither queries nor
//! flushes wait for any of this.

mod believed;
mod choose;
mod pace;
mod rewrite;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

pub(super) use self::believed::BelievedTime;
pub(crate) use self::pace::{Pace, Pacer};

use self::choose::{Candidate, DAY_NS, choose, choose_alone, days_max};
use self::pace::PacedVfs;
use self::rewrite::{Loss, due_deletes, expiry, takes_any, touches, write_rest};
use super::flush::remove_quietly;
use super::{Compacting, Core};
use crate::deletes::{ActiveDelete, Hidden};
use crate::manifest::{Edit, LiveId};
use crate::paths::number;
use crate::segment::{self, Segment};
use crate::view::{LiveSegment, View};
use crate::{DeleteStatus, StoreError, Timestamp, Vfs};

/// How fast a compaction is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haste {
    /// As fast as it can.
    Full,
    /// Likewise, and it does what is not urgent and what is not due yet.
    Thorough,
    /// Within the limits that the store was given.
    Paced,
    /// Likewise, and there is time for what is not urgent.
    Idle,
}

impl Core {
    /// Does all there is to do: takes off the disk what nobody is to see any more, and merges segments.
    ///
    /// # Errors
    /// Refusals of the file system; the segments are then as before. A damaged one is left as it is, and
    /// what can be read of it stays readable.
    pub(crate) fn compact(&self, haste: Haste) -> Result<(), StoreError> {
        let vfs = self.vfs_for(haste);
        // Whoever closes the store waits for one step, not for all that are due.
        while !self.control.lock().is_stopping {
            let mut compacting = self.compacting.lock();
            if compacting.is_over {
                return Err(StoreError::Closed);
            }
            match self.guard(|| self.compact_once(&*vfs, haste, &mut compacting)) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(StoreError::Corrupt { path, what, offset, detail }) => {
                    // Asked again, it would be in the way of all others.
                    let Some(id) = number(&path, "seg") else {
                        return Err(StoreError::Corrupt { path, what, offset, detail });
                    };
                    tracing::warn!(path = %path.display(), what, "a damaged segment is left as it is");
                    compacting.damaged.insert(id);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn vfs_for(&self, haste: Haste) -> Arc<dyn Vfs> {
        let inner = Arc::clone(&self.options.vfs);
        match haste {
            Haste::Full | Haste::Thorough => inner,
            Haste::Paced | Haste::Idle => Arc::new(PacedVfs {
                inner,
                clock: Arc::clone(&self.options.clock),
                pacer: Arc::clone(&self.pacer),
                pace: self.options.pace,
            }),
        }
    }

    /// One step. `false` when there is nothing left to do.
    fn compact_once(
        &self,
        vfs: &dyn Vfs,
        haste: Haste,
        compacting: &mut Compacting,
    ) -> Result<bool, StoreError> {
        let view = self.view();
        let now = self.compaction_time(haste);
        Ok(self.lose_one(vfs, &view, now, compacting)?
            || self.finish_deletes(&view, now, &compacting.damaged)?
            || self.merge_one(vfs, haste, &view, &compacting.damaged)?)
    }

    /// The time by which entries expire and delete requests become final. Whoever asks for a compaction
    /// trusts the clock; in the background it is not followed far ahead at once.
    fn compaction_time(&self, haste: Haste) -> Timestamp {
        match haste {
            Haste::Full | Haste::Thorough => self.options.clock.unix_time(),
            Haste::Paced | Haste::Idle => self.believed_time(),
        }
    }

    /// The time of day, as far as it is believed.
    pub(super) fn believed_time(&self) -> Timestamp {
        let clock = &*self.options.clock;
        let mut believed = self.believed.lock();
        let start = || {
            let view = self.view();
            let newest = view.segments.iter().map(|live| live.segment.meta().last).max();
            BelievedTime::new(clock, newest.unwrap_or(Timestamp::MAX))
        };
        let believed = believed.get_or_insert_with(start);
        let was_in_doubt = believed.is_in_doubt();
        let now = believed.now(clock);
        if believed.is_in_doubt() && !was_in_doubt {
            let ahead_seconds = clock.unix_time().saturating_sub(now) / 1_000_000_000;
            tracing::warn!(
                ahead_seconds,
                "the clock is far ahead: nothing that looks past its retention leaves the disk for a day"
            );
        }
        now
    }

    /// Takes off the disk what nobody is to see any more of the first segment that has such entries.
    fn lose_one(
        &self,
        vfs: &dyn Vfs,
        view: &View,
        now: Timestamp,
        compacting: &mut Compacting,
    ) -> Result<bool, StoreError> {
        compacting.forget_expiries_unless(&view.retention);
        for live in view.segments.iter() {
            if compacting.damaged.contains(&live.id) {
                continue;
            }
            let Some(loss) = self.loss(view, live, now, compacting)? else { continue };
            if self.begin_deletes(&loss.hidden.deletes)? {
                self.lose(vfs, live, &loss)?;
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// What a segment is to lose now; `None` for nothing.
    fn loss(
        &self,
        view: &View,
        live: &LiveSegment,
        now: Timestamp,
        compacting: &mut Compacting,
    ) -> Result<Option<Loss>, StoreError> {
        let meta = live.segment.meta();
        let is_final = |delete: &ActiveDelete| self.is_final(delete.body.created, now);
        let deletes = due_deletes(live, &view.deletes, is_final)?;
        let look_again = compacting.expiries.get(&live.id).copied();
        let mut is_overdue = false;
        if view.retention.may_expire(meta.first, now) && look_again.is_none_or(|at| at <= now) {
            let expiry = expiry(&live.segment, &view.retention, now)?;
            is_overdue = expiry.is_due;
            compacting.expiries.insert(live.id, expiry.look_again);
        }
        if deletes.is_empty() && !is_overdue {
            return Ok(None);
        }
        let level = deletes.last().map_or(live.level, |last| last.id);
        let (deletes, retention) = (Arc::new(deletes), Arc::clone(&view.retention));
        Ok(Some(Loss { hidden: Hidden { deletes, retention, now }, level, is_overdue }))
    }

    /// Takes note that requests are about to be carried out. `false` when one was taken back meanwhile.
    fn begin_deletes(&self, deletes: &[Arc<ActiveDelete>]) -> Result<bool, StoreError> {
        let mut manifest = self.manifest.lock();
        let mut edits = Vec::new();
        for delete in deletes {
            let mut known = manifest.live().deletes.iter();
            let Some(stored) = known.find(|stored| stored.id == delete.id) else {
                return Ok(false);
            };
            if stored.status == DeleteStatus::Received {
                let (id, status) = (delete.id, Some(DeleteStatus::Started));
                edits.push(Edit::DeleteState { id, status });
            }
        }
        if !edits.is_empty() {
            manifest.commit(&edits)?;
        }
        Ok(true)
    }

    fn lose(&self, vfs: &dyn Vfs, live: &LiveSegment, loss: &Loss) -> Result<(), StoreError> {
        let (id, level) = (live.id, loss.level);
        if !loss.is_overdue && !takes_any(live, &loss.hidden.deletes)? {
            let mut manifest = self.manifest.lock();
            manifest.commit(&[Edit::Add { id, level }])?;
            self.publish(|view| {
                let mut segments = Arc::make_mut(&mut view.segments).iter_mut();
                if let Some(live) = segments.find(|live| live.id == id) {
                    live.level = level;
                }
            });
            return Ok(());
        }
        let new_id = self.manifest.lock().take_id();
        let write = |path: &Path| write_rest(vfs, path, live, &loss.hidden);
        let segment = self.seal(new_id, write)?;
        let bytes = segment.as_ref().map_or(0, |segment| segment.meta().file_bytes);
        self.counters.rewrite_bytes.fetch_add(bytes, Ordering::Relaxed);
        let counter = match segment {
            Some(_) => &self.counters.rewrites,
            None => &self.counters.removed_segments,
        };
        let new = segment.map(|segment| LiveSegment { id: new_id, level, segment });
        self.put_in_place(std::slice::from_ref(live), new)?;
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Marks requests as carried out of which no segment has an entry any more.
    fn finish_deletes(
        &self,
        view: &View,
        now: Timestamp,
        damaged: &BTreeSet<u64>,
    ) -> Result<bool, StoreError> {
        let mut finished = Vec::new();
        for delete in view.deletes.iter() {
            if !self.is_final(delete.body.created, now) || !delete.is_understood() {
                continue;
            }
            let mut is_done = true;
            for live in view.segments.iter() {
                // What a damaged one has cannot be told, so that its entries stay hidden.
                is_done &= match damaged.contains(&live.id) {
                    true => live.level >= delete.id,
                    false => !touches(delete, live)?,
                };
            }
            if is_done {
                finished.push(delete.id);
            }
        }
        let mut manifest = self.manifest.lock();
        // A segment whose file is missing may come back.
        let is_there = |live: &LiveId| view.segments.iter().any(|other| other.id == live.id);
        let missing = manifest.live().segments.iter().filter(|live| !is_there(live));
        let oldest = missing.map(|live| live.level).min().unwrap_or(u64::MAX);
        let is_known = |id: &u64| manifest.live().deletes.iter().any(|stored| stored.id == *id);
        finished.retain(|id| *id <= oldest && is_known(id));
        if finished.is_empty() {
            return Ok(false);
        }
        let status = Some(DeleteStatus::Processed);
        let edits: Vec<_> = finished.iter().map(|&id| Edit::DeleteState { id, status }).collect();
        manifest.commit(&edits)?;
        self.publish(|view| {
            Arc::make_mut(&mut view.deletes).retain(|delete| !finished.contains(&delete.id));
        });
        Ok(true)
    }

    fn merge_one(
        &self,
        vfs: &dyn Vfs,
        haste: Haste,
        view: &View,
        damaged: &BTreeSet<u64>,
    ) -> Result<bool, StoreError> {
        let rank = |level| view.deletes.iter().filter(|delete| delete.id <= level).count();
        let candidate = |live: &LiveSegment| match damaged.contains(&live.id) {
            true => None,
            false => Some(Candidate { meta: live.segment.meta().clone(), rank: rank(live.level) }),
        };
        let candidates: Vec<_> = view.segments.iter().map(candidate).collect();
        let yesterday = self.options.clock.unix_time().saturating_sub(DAY_NS);
        let days_max = days_max(&view.retention);
        let chosen = choose(&candidates, days_max).or_else(|| match haste {
            Haste::Thorough => choose_alone(&candidates, |_| true),
            // What is younger may still find others of its day to be merged with.
            Haste::Idle => choose_alone(&candidates, |meta| meta.last < yesterday),
            Haste::Full | Haste::Paced => None,
        });
        let Some(chosen) = chosen else { return Ok(false) };
        self.merge(vfs, &view.segments[chosen])?;
        Ok(true)
    }

    fn merge(&self, vfs: &dyn Vfs, old: &[LiveSegment]) -> Result<(), StoreError> {
        let begun = Instant::now();
        let sources: Vec<Arc<Segment>> = old.iter().map(|live| Arc::clone(&live.segment)).collect();
        let id = self.manifest.lock().take_id();
        let segment = self.seal(id, |path| segment::merge(vfs, path, &sources))?;
        let bytes = segment.as_ref().map_or(0, |segment| segment.meta().file_bytes);
        let (count, count_bytes) = match old.len() {
            1 => (&self.counters.rewrites, &self.counters.rewrite_bytes),
            _ => (&self.counters.merges, &self.counters.merge_bytes),
        };
        count_bytes.fetch_add(bytes, Ordering::Relaxed);
        let level = old.iter().map(|live| live.level).min().unwrap_or(0);
        let new = segment.map(|segment| LiveSegment { id, level, segment });
        self.put_in_place(old, new)?;
        count.fetch_add(1, Ordering::Relaxed);
        self.counters.merge_durations.add_since(begun);
        Ok(())
    }

    /// Puts a segment in the place of others, durably, and lets go of these.
    fn put_in_place(
        &self,
        old: &[LiveSegment],
        new: Option<LiveSegment>,
    ) -> Result<(), StoreError> {
        let mut edits: Vec<Edit> = old.iter().map(|live| Edit::Remove(live.id)).collect();
        edits.extend(new.iter().map(|&LiveSegment { id, level, .. }| Edit::Add { id, level }));
        self.manifest.lock().commit(&edits)?;
        self.publish(|view| {
            let segments = Arc::make_mut(&mut view.segments);
            let is_old = |live: &LiveSegment| old.iter().any(|old| old.id == live.id);
            let place = segments.iter().position(is_old).unwrap_or(segments.len());
            segments.retain(|live| !is_old(live));
            segments.splice(place..place, new);
        });
        for live in old {
            remove_quietly(&*self.options.vfs, &self.paths.segment(live.id));
        }
        Ok(())
    }
}
