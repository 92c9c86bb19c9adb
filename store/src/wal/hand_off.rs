//! The hand-off between appenders in every order there is: who leads, who waits, what a failing disk takes
//! back, and a new file begun beside a sync.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p timberline-store --no-default-features --lib hand_off`. Each
//! scenario is played with a healthy disk and once for each operation of the disk with that one failing. A
//! thread that nobody wakes is found as a deadlock.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use loom::thread::{self, JoinHandle};

use super::tests::{begin_on, new_vfs, read, tenant};
use super::*;
use crate::{Durability, LockOutcome, Mapped, MemVfs, Vfs, WriteFile};

const INTERVAL: Durability = Durability::Interval(Duration::from_secs(1));

/// More operations than any scenario has until its disk is well again.
const OPERATIONS: u64 = 16;

/// A disk of which one operation fails.
#[derive(Clone, Debug)]
struct Disk {
    under: MemVfs,
    /// Operations until then.
    left: Arc<AtomicU64>,
}

impl Disk {
    fn operate(&self) -> io::Result<()> {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            0 => Err(io::Error::other("the disk fails")),
            _ => Ok(()),
        }
    }

    fn heal(&self) {
        self.left.store(u64::MAX, Ordering::SeqCst);
    }
}

/// Plays a scenario in every order, with each operation failing and with none.
fn play(scenario: fn(&Arc<Wal>, &Disk)) {
    (0..OPERATIONS).chain([u64::MAX]).for_each(|fails| play_once(fails, scenario));
}

/// Plays a scenario on an empty log, in every order, with one operation failing.
fn play_once(fails: u64, scenario: fn(&Arc<Wal>, &Disk)) {
    loom::model(move || {
        let disk = Disk { under: new_vfs(), left: Arc::new(AtomicU64::new(u64::MAX)) };
        let wal = begin_on(Arc::new(disk.clone()), read(&disk.under, 1).1, Durability::Sync);
        disk.left.store(fails, Ordering::SeqCst);
        scenario(&Arc::new(wal), &disk);
    });
}

/// Appends in a thread of its own; gives the batch back if it was acknowledged.
fn append(wal: &Arc<Wal>, batch: &'static str, durability: Durability) -> JoinHandle<Vec<String>> {
    let wal = Arc::clone(wal);
    thread::spawn(move || match wal.append_with(&tenant(), batch.as_bytes(), durability) {
        Ok(()) => vec![batch.to_owned()],
        Err(_) => Vec::new(),
    })
}

/// The log goes on, and has what was acknowledged and nothing that was refused: in a process that is
/// started again and, where nothing asks for a flush, on a machine that lost its power.
fn check(wal: &Wal, disk: &Disk, from: u64, mut acknowledged: Vec<String>) {
    disk.heal();
    wal.append(&tenant(), b"last").unwrap();
    acknowledged.push("last".to_owned());
    acknowledged.sort();
    let power_failures = [disk.under.crash(), disk.under.crash_torn(1 << 20)];
    let is_durable = !wal.needs_flush();
    for left in power_failures.iter().filter(|_| is_durable).chain([&disk.under]) {
        let (mut batches, replayed) = read(left, from);
        batches.sort();
        assert_eq!((&batches, &replayed.warnings[..]), (&acknowledged, &[][..]));
    }
}

#[test]
fn synced_appends() {
    play(|wal, disk| {
        let appends = ["a", "b"].map(|batch| append(wal, batch, Durability::Sync));
        let acknowledged = appends.map(|append| append.join().unwrap()).concat();
        check(wal, disk, 1, acknowledged);
    });
}

#[test]
fn three_synced_appends_on_a_healthy_disk() {
    play_once(u64::MAX, |wal, disk| {
        let appends = ["a", "b", "c"].map(|batch| append(wal, batch, Durability::Sync));
        let acknowledged = appends.map(|append| append.join().unwrap()).concat();
        assert_eq!(acknowledged.len(), 3);
        check(wal, disk, 1, acknowledged);
    });
}

#[test]
fn an_append_that_waits_for_a_sync_beside_one_that_does_not() {
    play(|wal, disk| {
        let appends = [append(wal, "a", INTERVAL), append(wal, "b", Durability::Sync)];
        let acknowledged = appends.map(|append| append.join().unwrap()).concat();
        check(wal, disk, 1, acknowledged);
    });
}

#[test]
fn an_append_that_waits_for_nothing_beside_one_that_waits_for_a_sync() {
    play(|wal, disk| {
        let appends = [append(wal, "a", Durability::None), append(wal, "b", Durability::Sync)];
        let acknowledged = appends.map(|append| append.join().unwrap()).concat();
        assert!(acknowledged.contains(&"a".to_owned()));
        if wal.needs_flush() {
            // Only the head has it, until whoever rotates flushes.
            disk.heal();
            wal.rotate().unwrap();
            assert!(!wal.needs_flush());
        } else {
            check(wal, disk, 1, acknowledged);
        }
    });
}

#[test]
fn a_sync_beside_appends_that_do_not_wait_for_one() {
    play(|wal, disk| {
        let appends = [append(wal, "a", INTERVAL), append(wal, "b", INTERVAL)];
        // Whether it succeeds or not.
        drop(wal.sync());
        let acknowledged = appends.map(|append| append.join().unwrap()).concat();
        check(wal, disk, 1, acknowledged);
    });
}

#[test]
fn a_new_file_beside_a_sync() {
    play(|wal, disk| {
        let acknowledged = append(wal, "a", INTERVAL).join().unwrap();
        let syncing = {
            let wal = Arc::clone(wal);
            thread::spawn(move || drop(wal.sync()))
        };
        let rotated = wal.rotate();
        syncing.join().unwrap();
        disk.heal();
        let first = rotated.unwrap_or_else(|_| wal.rotate().unwrap());
        assert_eq!(first, 1 + acknowledged.len() as u64);
        assert!(!wal.needs_flush(), "whoever rotates flushes");
        check(wal, disk, first, Vec::new());
        wal.trim(first).unwrap();
        check(wal, disk, first, vec!["last".to_owned()]);
    });
}

impl Vfs for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.operate()?;
        let under = self.under.create(path)?;
        Ok(Box::new(DiskFile { under, disk: self.clone() }))
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.under.map(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.under.read(path)
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.under.replace(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.under.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.under.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.under.create_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.operate()?;
        self.under.sync_dir(dir)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.under.sync_file(path)
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        self.under.file_len(path)
    }

    fn lock(&self, path: &Path) -> io::Result<LockOutcome> {
        self.under.lock(path)
    }
}

#[derive(Debug)]
struct DiskFile {
    under: Box<dyn WriteFile>,
    disk: Disk,
}

impl Write for DiskFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.operate()?;
        self.under.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.under.flush()
    }
}

impl WriteFile for DiskFile {
    fn sync(&mut self) -> io::Result<()> {
        self.disk.operate()?;
        self.under.sync()
    }
}
