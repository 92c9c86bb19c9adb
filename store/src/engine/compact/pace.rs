//! How fast compaction in the background may be.
//!
//! Whatever it writes goes through a [`PacedVfs`], which lets the writer wait so long that the thread is at
//! work for no more than its share of the time, and writes no more than its bytes in a second. Work is the
//! time between two writes, so that decompressing and reading count as well.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::{Clock, LockOutcome, Mapped, Vfs, WriteFile};

/// Waits are put together until they are worth it.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// The most of the time that compaction is at work, unless told otherwise.
const TIME_SHARE: f64 = 0.5;

/// The most bytes that compaction writes in a second, unless told otherwise.
const BYTES_PER_SECOND: u64 = 64 << 20;

/// The most that compaction takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The share of the time that its thread is at work, of 0 to 1. With 0 it does not run.
    pub(crate) time_share: f64,
    /// Bytes written in a second; 0 is no limit.
    pub(crate) bytes_per_second: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { time_share: TIME_SHARE, bytes_per_second: BYTES_PER_SECOND }
    }
}

impl Pace {
    /// Whether compaction in the background is turned off.
    pub(crate) fn is_off(&self) -> bool {
        self.time_share <= 0.0
    }

    /// How long to wait after so much work and so many bytes.
    fn owed(&self, worked: Duration, bytes: usize) -> Duration {
        let share = self.time_share.clamp(0.01, 1.0);
        let by_time = worked.mul_f64(1.0 / share - 1.0);
        if self.bytes_per_second == 0 {
            return by_time;
        }
        #[expect(clippy::cast_precision_loss, reason = "a duration need not be exact")]
        let at_least = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        by_time.max(at_least.saturating_sub(worked))
    }
}

/// Lets threads wait until it is told that waiting is over.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    is_stopped: Mutex<bool>,
    stopped: Condvar,
}

impl Pacer {
    /// Ends all waits, now and later: whoever waits has to come to its end.
    pub(crate) fn stop(&self) {
        *self.is_stopped.lock() = true;
        self.stopped.notify_all();
    }

    fn pause(&self, duration: Duration) {
        let mut is_stopped = self.is_stopped.lock();
        self.stopped.wait_while_for(&mut is_stopped, |is_stopped| !*is_stopped, duration);
    }
}

/// A file system whose writers are held to a pace.
#[derive(Clone, Debug)]
pub(super) struct PacedVfs {
    pub(super) inner: Arc<dyn Vfs>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) pacer: Arc<Pacer>,
    pub(super) pace: Pace,
}

#[derive(Debug)]
struct PacedFile {
    inner: Box<dyn WriteFile>,
    vfs: PacedVfs,
    /// When the work before the next write began.
    since: Duration,
    owed: Duration,
}

impl PacedFile {
    fn worked(&mut self, bytes: usize) {
        let worked = self.vfs.clock.elapsed().saturating_sub(self.since);
        self.owed += self.vfs.pace.owed(worked, bytes);
        if self.owed >= PAUSE_MIN {
            self.vfs.pacer.pause(self.owed);
            self.owed = Duration::ZERO;
        }
        self.since = self.vfs.clock.elapsed();
    }
}

impl io::Write for PacedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.worked(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl WriteFile for PacedFile {
    fn sync(&mut self) -> io::Result<()> {
        self.inner.sync()
    }
}

impl Vfs for PacedVfs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let inner = self.inner.create(path)?;
        let since = self.clock.elapsed();
        Ok(Box::new(PacedFile { inner, vfs: self.clone(), since, owed: Duration::ZERO }))
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.inner.map(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.inner.read(path)
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.replace(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.inner.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_file(path)
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        self.inner.file_len(path)
    }

    fn lock(&self, path: &Path) -> io::Result<LockOutcome> {
        self.inner.lock(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_keep_to_both_limits() {
        let pace = Pace { time_share: 0.25, bytes_per_second: 1000 };
        let second = Duration::from_secs(1);
        assert_eq!(pace.owed(second, 0), second * 3);
        assert_eq!(pace.owed(second, 9000), second * 8);
        let unlimited = Pace { time_share: 1.0, bytes_per_second: 0 };
        assert_eq!(unlimited.owed(second, usize::MAX), Duration::ZERO);
    }

    #[test]
    fn stopping_ends_every_wait() {
        let pacer = Pacer::default();
        std::thread::scope(|scope| {
            scope.spawn(|| pacer.pause(Duration::from_secs(1 << 20)));
            pacer.stop();
        });
        pacer.pause(Duration::from_secs(1 << 20));
    }
}
