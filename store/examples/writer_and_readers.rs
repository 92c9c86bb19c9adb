//! One thread writes, others read at the same time: one follows what comes, one asks what there is.
//!
//! ```text
//! cargo run -p timberline-store --example writer_and_readers
//! ```

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use timberline_store::{
    Durability, Labels, LinePredicate, Matcher, Store, StoreError, Subscription, TenantId,
    TimeRange, WriteBatch,
};

const LINES: usize = 20_000;
const LINES_PER_BATCH: usize = 100;

/// What may wait for a reader that is slow.
const QUEUE_BYTES_MAX: usize = 16 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("timberline-readers-{}", std::process::id()));
    let store = Store::open(&directory)?;
    let tenant = TenantId::default();
    // Nothing is missed that is appended from here on.
    let subscription =
        store.subscribe(&tenant, &[Matcher::equal("app", "writer")], QUEUE_BYTES_MAX)?;

    let (followed, questions) = thread::scope(|scope| {
        let follower = scope.spawn(|| follow(subscription));
        let asker = scope.spawn(|| ask(&store, &tenant));
        let written = write(&store, &tenant);
        let questions = asker.join().unwrap_or(Ok(0));
        written.map(|()| (follower.join().unwrap_or(0), questions))
    })?;
    let found = store.entries(&tenant, &[], TimeRange::ALL)?.count();
    println!("wrote {LINES} lines; the follower saw {followed}, the store has {found}");
    println!("asked {} times while they were written", questions?);
    store.close()?;
    std::fs::remove_dir_all(&directory)?;
    assert_eq!((followed, found), (LINES, LINES));
    Ok(())
}

/// Appends line by line; every tenth batch waits for the disk, and takes those before it along.
fn write(store: &Store, tenant: &TenantId) -> Result<(), Box<dyn Error>> {
    let labels = Labels::from_pairs([("app", "writer")])?;
    let mut batch = WriteBatch::new();
    for first in (0..LINES).step_by(LINES_PER_BATCH) {
        batch.clear();
        batch.stream(&labels);
        for number in first..first + LINES_PER_BATCH {
            batch.push(i64::try_from(number)?, format!("line {number}").as_bytes(), &[])?;
        }
        let is_last = first + LINES_PER_BATCH >= LINES;
        let durability = match first / LINES_PER_BATCH % 10 {
            9 => Durability::Sync,
            _ if is_last => Durability::Sync,
            _ => Durability::None,
        };
        store.append_with(tenant, &batch, durability)?;
    }
    Ok(())
}

/// Counts what comes until all has come.
fn follow(mut subscription: Subscription) -> usize {
    let mut lines = 0;
    while lines < LINES {
        let Some(appended) = subscription.recv_timeout(Duration::from_secs(10)) else { break };
        lines += appended.batch().rows().len();
    }
    lines
}

/// Looks for a needle again and again. Each look sees everything that was acknowledged before it.
fn ask(store: &Store, tenant: &TenantId) -> Result<usize, StoreError> {
    let begun = Instant::now();
    let last = format!("line {}", LINES - 1);
    let needle = LinePredicate::contains(last.as_bytes());
    for questions in 1.. {
        let found = store.entries(tenant, &[], TimeRange::ALL)?.matching(needle.clone()).next();
        if found.transpose()?.is_some() || begun.elapsed() > Duration::from_secs(60) {
            return Ok(questions);
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(0)
}
