//! The threads behind a store: one that flushes, one that compacts and, if the log asks for it, one that
//! syncs.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

use super::{Core, Haste};
use crate::paths::io_error;
use crate::{Durability, StoreError};

/// How often the head's age is looked at.
const AGE_CHECK: Duration = Duration::from_secs(1);

/// How often there is a look at what retention and delete requests leave to do.
const COMPACT_EVERY: Duration = Duration::from_secs(60);

/// How long the worker waits after a flush that failed.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The threads of a store.
#[derive(Debug)]
pub(crate) struct Workers {
    core: Arc<Core>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Workers {
    pub(crate) fn start(core: &Arc<Core>) -> Result<Self, StoreError> {
        let workers = Self { core: Arc::clone(core), threads: Mutex::default() };
        workers.spawn("timberline-flush", |core| core.flush_when_due())?;
        if !core.options.pace.is_off() {
            workers.spawn("timberline-compact", |core| core.compact_when_due())?;
        }
        if let Durability::Interval(interval) = core.options.durability {
            workers.spawn("timberline-sync", move |core| core.sync_every(interval))?;
        }
        Ok(workers)
    }

    fn spawn(
        &self,
        name: &str,
        work: impl FnOnce(&Core) + Send + 'static,
    ) -> Result<(), StoreError> {
        let core = Arc::clone(&self.core);
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || work(&core));
        let spawned = spawned.map_err(io_error("start a thread for", self.core.paths.root()))?;
        self.threads.lock().push(spawned);
        Ok(())
    }

    /// Tells the threads to stop and waits for them.
    pub(crate) fn stop(&self) {
        self.core.control.lock().is_stopping = true;
        self.core.work.notify_all();
        self.core.flushed.notify_all();
        self.core.compaction.notify_all();
        self.core.pacer.stop();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Core {
    fn flush_when_due(&self) {
        while self.wait_for_work() {
            if let Err(error) = self.flush_due() {
                tracing::error!(%error, "cannot flush; the entries stay in memory and in the log");
                self.pause(RETRY_AFTER);
            }
        }
    }

    fn compact_when_due(&self) {
        let mut last = self.options.clock.elapsed();
        while let Some(haste) = self.wait_to_compact(last) {
            last = self.options.clock.elapsed();
            if let Err(error) = self.compact(haste) {
                tracing::warn!(%error, "segments stay as they are for now");
                self.pause(RETRY_AFTER);
            }
        }
    }

    /// Waits until there may be something to compact: after a flush, and now and then because
    /// entries grow old. `None` when the thread is to stop instead.
    fn wait_to_compact(&self, last: Duration) -> Option<Haste> {
        let mut control = self.control.lock();
        while !control.is_stopping {
            let waited = self.options.clock.elapsed().saturating_sub(last);
            if std::mem::take(&mut control.may_compact) {
                return Some(Haste::Paced);
            }
            if waited >= COMPACT_EVERY {
                return Some(Haste::Idle);
            }
            self.compaction.wait_for(&mut control, AGE_CHECK);
        }
        None
    }

    /// Waits until a flush is due. `false` when the thread is to stop instead.
    fn wait_for_work(&self) -> bool {
        let mut control = self.control.lock();
        while !control.is_stopping {
            if self.is_flush_due() {
                return true;
            }
            self.work.wait_for(&mut control, AGE_CHECK);
        }
        false
    }

    /// Whether something waits to be written, or the head is to be.
    pub(super) fn is_flush_due(&self) -> bool {
        let view = self.view();
        view.frozen.is_some() || self.is_due(view.head.size())
    }

    /// Waits so long, or until the thread is to stop.
    fn pause(&self, duration: Duration) {
        let mut control = self.control.lock();
        let is_going = |control: &mut super::Control| !control.is_stopping;
        self.flushed.wait_while_for(&mut control, is_going, duration);
    }

    fn sync_every(&self, interval: Duration) {
        loop {
            self.pause(interval);
            if self.control.lock().is_stopping {
                return;
            }
            // The log says what went wrong, and asks for a flush.
            drop(self.wal.sync());
        }
    }
}
