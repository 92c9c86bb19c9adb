//! Heads on their way to segments while the log is read back.
//!
//! A log of any length is to be opened in little memory, so that heads are sealed on the way, and that takes
//! longer than the reading. So a thread of its own encodes the head that was full last while the next one
//! fills; once that is full, too, the reader joins in. At most two heads are in memory.
//!
//! All operations on files are the reader's, in an order that does not depend on who encoded what. Nor do
//! the bytes of a segment, whose parts are cut one after the other and written in that order; only tantivy's
//! names of its files are random.

use std::collections::VecDeque;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, Scope};

use parking_lot::{Condvar, Mutex};

use super::Counters;
use super::flush::{FLUSH_LEVEL, seal};
use crate::head::{HeadRows, HeadView};
use crate::manifest::{Edit, Manifest};
use crate::paths::{Paths, io_error};
use crate::segment::{EncodedPart, Part, PartCutter, write_parts};
use crate::view::{Frozen, LiveSegment, View};
use crate::{StoreError, Vfs};

/// Makes segments of heads in the order in which they are given.
pub(super) struct Sealer<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    queue: &'env Queue,
    vfs: &'env dyn Vfs,
    paths: &'env Paths,
    counters: &'env Counters,
    has_thread: bool,
    /// The head that is being encoded; the view has it, too.
    underway: Option<(Arc<Frozen>, Arc<Encoding>)>,
}

impl<'scope, 'env> Sealer<'scope, 'env> {
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        queue: &'env Queue,
        vfs: &'env dyn Vfs,
        paths: &'env Paths,
        counters: &'env Counters,
    ) -> Self {
        Self { scope, queue, vfs, paths, counters, has_thread: false, underway: None }
    }

    /// Freezes the head, which has the records of the log below `end_sequence`, to make a segment of it. Waits
    /// for the one before.
    ///
    /// # Errors
    /// What the file system refuses, of this one or the one before.
    pub(super) fn freeze(
        &mut self,
        end_sequence: u64,
        manifest: &mut Manifest,
        view: &mut View,
    ) -> Result<(), StoreError> {
        self.start_thread()?;
        // The thread goes on with it while the one before is written.
        let encoding = Arc::new(Encoding::new(&view.head.view()));
        self.queue.push(Arc::clone(&encoding));
        self.finish(manifest, view)?;
        self.underway = Some((view.freeze(end_sequence), encoding));
        Ok(())
    }

    /// Waits for the segment that is being made and puts it in place of its head.
    ///
    /// # Errors
    /// What the file system refuses.
    pub(super) fn finish(
        &mut self,
        manifest: &mut Manifest,
        view: &mut View,
    ) -> Result<(), StoreError> {
        let Some((frozen, encoding)) = self.underway.take() else { return Ok(()) };
        let dir = self.paths.segment_dir();
        let parts = self.queue.finish(&encoding).map_err(io_error("make a segment in", &dir))?;
        let id = manifest.take_id();
        let write = |path: &Path| write_parts(self.vfs, path, parts);
        let segment = seal(self.vfs, self.paths, id, write)?;
        let level = manifest.live().level();
        let mut edits = vec![Edit::Flushed(frozen.end_sequence)];
        edits.extend(segment.as_ref().map(|_| Edit::Add { id, level }));
        manifest.commit(&edits)?;
        let bytes = segment.as_ref().map_or(0, |segment| segment.meta().file_bytes);
        self.counters.flushed(bytes);
        view.frozen = None;
        view.newest = Arc::new(view.newest.with(&frozen.head.view()));
        let live = segment.map(|segment| LiveSegment { id, level, segment });
        Arc::make_mut(&mut view.segments).extend(live);
        Ok(())
    }

    fn start_thread(&mut self) -> Result<(), StoreError> {
        if self.has_thread {
            return Ok(());
        }
        let queue = self.queue;
        let thread = thread::Builder::new().name("timberline-flush".to_owned());
        let started = thread.spawn_scoped(self.scope, move || queue.work());
        started.map_err(io_error("start a thread for", self.paths.root()))?;
        self.has_thread = true;
        Ok(())
    }
}

impl Drop for Sealer<'_, '_> {
    fn drop(&mut self) {
        self.queue.change(|waiting| waiting.is_over = true);
    }
}

/// What the threads share.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Told of more to encode, of a head whose last part is encoded, and of the end.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Heads with parts that nobody has begun with, the oldest first.
    heads: VecDeque<Arc<Encoding>>,
    /// No more is wanted.
    is_over: bool,
    /// A thread panicked, and its part will never come.
    is_broken: bool,
}

impl Queue {
    fn push(&self, encoding: Arc<Encoding>) {
        self.change(|waiting| waiting.heads.push_back(encoding));
    }

    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut self.waiting.lock());
        self.changed.notify_all();
    }

    /// Encodes what there is, until the end.
    fn work(&self) {
        loop {
            let mut waiting = self.waiting.lock();
            while waiting.heads.is_empty() && !waiting.is_over {
                self.changed.wait(&mut waiting);
            }
            if waiting.is_over || waiting.is_broken {
                return;
            }
            drop(waiting);
            self.guarded(|| self.encode_one());
        }
    }

    /// Lends a hand until all parts of a head are encoded, and returns them in order.
    fn finish(&self, encoding: &Encoding) -> io::Result<Vec<EncodedPart>> {
        loop {
            let mut waiting = self.waiting.lock();
            if waiting.is_broken {
                return Err(io::Error::other("a bug: it panicked"));
            }
            if let Some(parts) = encoding.take_all() {
                return parts;
            }
            if waiting.heads.is_empty() {
                self.changed.wait(&mut waiting);
                continue;
            }
            drop(waiting);
            self.guarded(|| self.encode_one());
        }
    }

    /// Does something that, should it panic, leaves the queue broken: whoever opens the store gets an error.
    fn guarded(&self, act: impl FnOnce()) {
        if panic::catch_unwind(AssertUnwindSafe(act)).is_err() {
            self.change(|waiting| waiting.is_broken = true);
        }
    }

    /// Encodes the next part, if there is one.
    fn encode_one(&self) {
        let Some(encoding) = self.waiting.lock().heads.front().cloned() else { return };
        match encoding.cut() {
            Some((place, part)) => {
                let encoded = part.and_then(Part::encode);
                if encoding.put(place, encoded) {
                    self.change(|_| ());
                }
            }
            None => self.change(|waiting| {
                waiting.heads.retain(|head| !Arc::ptr_eq(head, &encoding));
            }),
        }
    }
}

/// A head that becomes the parts of a segment.
#[derive(Debug)]
struct Encoding {
    /// Cutting is quick and goes from front to back: one thread at a time.
    source: Mutex<Source>,
    encoded: Mutex<Encoded>,
}

#[derive(Debug)]
struct Source {
    rows: HeadRows,
    cutter: PartCutter,
}

#[derive(Debug, Default)]
struct Encoded {
    /// By the order of cutting; `None` where a part is being encoded.
    parts: Vec<Option<io::Result<EncodedPart>>>,
    /// The number of parts that are being encoded.
    under_way: usize,
    /// Whether no part will be added.
    is_cut: bool,
}

impl Encoding {
    fn new(head: &HeadView) -> Self {
        let source = Source { rows: head.rows(), cutter: PartCutter::new(FLUSH_LEVEL) };
        Self { source: Mutex::new(source), encoded: Mutex::default() }
    }

    /// The next part and its place; `None` when all were cut.
    fn cut(&self) -> Option<(usize, io::Result<Part>)> {
        let mut source = self.source.lock();
        if self.encoded.lock().is_cut {
            return None;
        }
        let part = source.cut().map_err(io::Error::other).transpose();
        let mut encoded = self.encoded.lock();
        encoded.is_cut = source.cutter.is_over() || !matches!(part, Some(Ok(_)));
        let part = part?;
        encoded.parts.push(None);
        encoded.under_way += 1;
        Some((encoded.parts.len() - 1, part))
    }

    /// Takes an encoded part. Returns whether it is the last one that was missing.
    fn put(&self, place: usize, part: io::Result<EncodedPart>) -> bool {
        let mut encoded = self.encoded.lock();
        encoded.under_way -= 1;
        if let Some(slot) = encoded.parts.get_mut(place) {
            *slot = Some(part);
        }
        encoded.is_cut && encoded.under_way == 0
    }

    /// All parts in order; `None` while some are missing.
    fn take_all(&self) -> Option<io::Result<Vec<EncodedPart>>> {
        let mut encoded = self.encoded.lock();
        let is_whole = encoded.is_cut && encoded.under_way == 0;
        is_whole.then(|| encoded.parts.drain(..).flatten().collect())
    }
}

impl Source {
    fn cut(&mut self) -> Result<Option<Part>, StoreError> {
        while let Some(row) = self.rows.next() {
            if let Some(full) = self.cutter.row(row)? {
                return Ok(Some(full));
            }
        }
        Ok(self.cutter.rest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_whoever_waits() {
        let queue = Queue::default();
        let encoding = Arc::new(Encoding::new(&View::default().head.view()));
        // Its parts would never come.
        encoding.encoded.lock().under_way = 1;
        let message = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                queue.guarded(|| panic!("a planted panic"));
                queue.work();
            });
            let message = queue.finish(&encoding).unwrap_err().to_string();
            queue.push(Arc::clone(&encoding));
            thread.join().unwrap();
            message
        });
        assert_eq!(message, "a bug: it panicked");
    }
}
