//! The threads behind a store: one that flushes and, if the log asks for it, one that syncs.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

use super::Core;
use crate::paths::io_error;
use crate::{Durability, StoreError};

/// How often the head's age is looked at.
const AGE_CHECK: Duration = Duration::from_secs(1);

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
        let failed = |source: io::Error| io_error("start a thread for", core.paths.root())(source);
        let workers = Self { core: Arc::clone(core), threads: Mutex::default() };
        let flusher = Arc::clone(core);
        let spawned = thread::Builder::new()
            .name("timberline-flush".to_owned())
            .spawn(move || flusher.flush_when_due())
            .map_err(failed)?;
        workers.threads.lock().push(spawned);
        if let Durability::Interval(interval) = core.options.durability {
            let syncer = Arc::clone(core);
            let spawned = thread::Builder::new()
                .name("timberline-sync".to_owned())
                .spawn(move || syncer.sync_every(interval))
                .map_err(|source| io_error("start a thread for", core.paths.root())(source))?;
            workers.threads.lock().push(spawned);
        }
        Ok(workers)
    }

    /// Tells the threads to stop and waits for them.
    pub(crate) fn stop(&self) {
        self.core.control.lock().is_stopping = true;
        self.core.work.notify_all();
        self.core.flushed.notify_all();
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
            if let Err(error) = self.flush() {
                tracing::error!(%error, "cannot flush; the entries stay in memory and in the log");
                self.pause(RETRY_AFTER);
                continue;
            }
            if let Err(error) = self.compact() {
                tracing::warn!(%error, "small segments stay as they are for now");
            }
        }
    }

    /// Waits until a flush is due. `false` when the thread is to stop instead.
    fn wait_for_work(&self) -> bool {
        let mut control = self.control.lock();
        while !control.is_stopping {
            let view = self.view();
            if view.frozen.is_some() || self.is_due(view.head.size()) {
                return true;
            }
            drop(view);
            self.work.wait_for(&mut control, AGE_CHECK);
        }
        false
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
            // After another error there may be room the next time.
            if self.control.lock().is_stopping
                || matches!(self.wal.sync(), Err(StoreError::Poisoned))
            {
                return;
            }
        }
    }
}
