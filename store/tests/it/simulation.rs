//! A store that is stopped, or let down by its disk, at every single file operation.
//!
//! A run is a seeded script of appends, flushes and reopenings. It is played once to count the file
//! operations and then once for each of them, with that one being the last before the power goes or the
//! process is killed, or failing. The store is then opened again and must have every acknowledged entry
//! once and in order, batches that were not acknowledged as a whole or not at all, no damage to report,
//! and it must go on working.
//!
//! `TIMBERLINE_SIMULATIONS=1000 cargo test -p timberline-store --test it simulation` plays so many runs
//! instead of a few; `TIMBERLINE_SIMULATION_SEED=7` begins with the run of that seed. A failure names
//! the seed and the operation.

use std::sync::Arc;
use std::time::Duration;

use timberline_store::{
    Columns, Durability, LinePredicate, ManualClock, MemVfs, ReadScratch, Store, StoreError,
    TimeRange, WriteBatch,
};

use crate::faults::{FaultVfs, Lie, Plan, Random};
use crate::util::*;

const APPS: [&str; 3] = ["a", "b", "c"];

/// How many runs, unless told otherwise.
const RUNS: u64 = 3;

/// Steps of a run.
const STEPS: usize = 12;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Entry>),
    Flush,
    Compact,
    Drop,
    Close,
}

/// An entry of a script: stream, timestamp, line.
type Entry = (usize, i64, String);

/// Why a run failed, in a sentence.
type Failure = String;

fn script(random: &mut Random) -> Vec<Step> {
    let mut lines = 0;
    let mut entries = |random: &mut Random| {
        let count = 1 + random.up_to(3);
        let mut entry = || {
            lines += 1;
            // Few timestamps, so that equal and late ones are common; lines that compress badly enough
            // for a torn record to end anywhere.
            let line = format!("{lines} {}", random.up_to(usize::MAX - 1));
            (random.up_to(2), i64::try_from(random.up_to(9)).unwrap(), line)
        };
        (0..count).map(|_| entry()).collect::<Vec<_>>()
    };
    (0..STEPS)
        .map(|_| match random.up_to(9) {
            0..=5 => Step::Append(entries(random)),
            6 | 7 => Step::Flush,
            8 => Step::Drop,
            _ => Step::Close,
        })
        .collect()
}

/// What the store must have.
#[derive(Clone, Debug, Default)]
struct Model {
    /// By arrival.
    entries: Vec<Entry>,
    /// Batches that were refused, by arrival: each is there as a whole or not at all after the store was
    /// opened anew, and none of them once an append was acknowledged.
    unsure: Vec<Vec<Entry>>,
}

impl Model {
    fn acknowledge(&mut self, batch: &[Entry]) {
        self.unsure.clear();
        self.take(batch);
    }

    fn take(&mut self, batch: &[Entry]) {
        // A batch's entries arrive by time.
        let mut batch = batch.to_vec();
        batch.sort_by_key(|entry| entry.1);
        self.entries.extend(batch);
    }

    fn of(&self, app: usize) -> Vec<(i64, String)> {
        let entries = self.entries.iter().filter(|entry| entry.0 == app);
        let mut entries: Vec<_> =
            entries.map(|(_, timestamp, line)| (*timestamp, line.clone())).collect();
        entries.sort_by_key(|entry| entry.0);
        entries
    }

    /// Compares with a store that was opened anew, and settles what was unsure.
    fn settle(&mut self, store: &Store) -> Result<(), Failure> {
        let found = found(store)?;
        for batch in std::mem::take(&mut self.unsure) {
            let is_there = |entry: &Entry| found[entry.0].contains(&(entry.1, entry.2.clone()));
            if batch.iter().any(is_there) {
                self.take(&batch);
            }
        }
        self.check(store)
    }

    fn check(&self, store: &Store) -> Result<(), Failure> {
        for (app, found) in found(store)?.iter().enumerate() {
            let expected = self.of(app);
            if *found != expected {
                return Err(format!("stream {app} has {found:?}, expected {expected:?}"));
            }
        }
        Ok(())
    }
}

/// The entries of each stream by time, equal timestamps by arrival.
fn found(store: &Store) -> Result<Vec<Vec<(i64, String)>>, Failure> {
    let snapshot = store.snapshot();
    if let [warning, ..] = &snapshot.warnings()[..] {
        return Err(warning.clone());
    }
    let (mut scratch, mut found) = (ReadScratch::new(), vec![Vec::new(); APPS.len()]);
    for chunk in snapshot.chunks(&tenant(), &[], TimeRange::ALL).map_err(|e| e.to_string())? {
        let app = APPS.iter().position(|app| labels(app) == *chunk.labels()).unwrap();
        let read = chunk.read(TimeRange::ALL, &LinePredicate::Always, Columns::ALL, &mut scratch);
        let read = read.map_err(|error| error.to_string())?;
        let told = |row| String::from_utf8(read.line(row).to_vec()).unwrap();
        found[app].extend(read.rows().iter().map(|row| (row.timestamp, told(row))));
    }
    found.iter_mut().for_each(|entries| entries.sort_by_key(|entry| entry.0));
    Ok(found)
}

fn batch(entries: &[Entry]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (app, timestamp, line) in entries {
        batch.stream(&labels(APPS[*app]));
        batch.push(*timestamp, line.as_bytes(), &[]).unwrap();
    }
    batch
}

fn open_on(vfs: &FaultVfs) -> Result<Store, StoreError> {
    // The clock stands still, so that nothing happens but what the script says.
    let builder = Store::builder().vfs(Arc::new(vfs.clone())).clock(Arc::new(ManualClock::new()));
    let never = Durability::Interval(Duration::from_secs(1 << 20));
    let durability = if vfs.plan().is_unsynced { never } else { Durability::Sync };
    builder.durability(durability).open(DIR)
}

/// A store on a file system that is about to let it down.
struct Run {
    vfs: FaultVfs,
    /// `None` when it could not be opened.
    store: Option<Store>,
    model: Model,
}

impl Run {
    /// Opens the store. Tries again while the disk fails, but not once it was stopped.
    fn open(vfs: FaultVfs, mut model: Model) -> Result<Self, Failure> {
        for _ in 0..40 {
            match open_on(&vfs) {
                Ok(store) => {
                    if !vfs.is_stopped() {
                        model.settle(&store)?;
                    }
                    return Ok(Self { vfs, store: Some(store), model });
                }
                Err(_) if vfs.is_stopped() => return Ok(Self { vfs, store: None, model }),
                Err(StoreError::Io { .. }) => {}
                Err(error) => return Err(format!("cannot be opened: {error}")),
            }
        }
        Err("cannot be opened".to_owned())
    }

    /// Plays the script, as far as it comes.
    fn play(mut self, script: &[Step]) -> Result<Self, Failure> {
        for step in script {
            let Some(store) = &self.store else { return Ok(self) };
            let mut is_reopened = false;
            match step {
                Step::Append(entries) => match store.append(&tenant(), &batch(entries)) {
                    Ok(_) => self.model.acknowledge(entries),
                    Err(error) => {
                        self.model.unsure.push(entries.clone());
                        is_reopened = matches!(error, StoreError::Poisoned);
                    }
                },
                Step::Flush => is_reopened = matches!(store.flush(), Err(StoreError::Poisoned)),
                // Its failures are no matter to anyone but the disk.
                Step::Compact => drop(store.compact()),
                Step::Drop => is_reopened = true,
                Step::Close => {
                    // It says what went wrong, and lets go all the same.
                    drop(store.close());
                    is_reopened = true;
                }
            }
            if self.vfs.is_stopped() {
                return Ok(self);
            }
            self.model.check(store)?;
            if is_reopened {
                drop(self.store.take());
                if self.vfs.is_stopped() {
                    return Ok(self);
                }
                self = Self::open(self.vfs, self.model)?;
            }
        }
        Ok(self)
    }

    /// Ends the process, and with it the machine or not. Returns what is left on the disk.
    fn end(self, is_power_lost: bool, random: &mut Random) -> (MemVfs, Model) {
        self.vfs.stop();
        drop(self.store);
        let under = self.vfs.under();
        let left = if is_power_lost { under.crash_by(|most| random.up_to(most)) } else { under };
        (left, self.model)
    }
}

/// A script that ends in a merge, behind appends that are alike in time; and where the merge begins.
fn script_of_a_merge(random: &mut Random) -> (Vec<Step>, usize) {
    let mut script = Vec::new();
    for number in 0..9 {
        let entry = |app| (app, i64::from(number % 3), format!("{app} {number}"));
        let streams = random.up_to(2);
        script.extend([Step::Append((0..=streams).map(entry).collect()), Step::Flush]);
    }
    let merge = script.len();
    let last = |line: &str| Step::Append(vec![(0, 1, line.to_owned())]);
    script.extend([Step::Compact, last("x"), Step::Compact, Step::Flush, last("y"), Step::Drop]);
    (script, merge)
}

/// Plays a run with what the plan has, crashes it, crashes the recovery too, and looks whether the store
/// is well after that. Returns how many operations there were.
fn simulate(seed: u64, plan: Plan) -> Result<u64, Failure> {
    simulate_script(&script(&mut Random::new(seed)), seed, plan)
}

fn simulate_script(script: &[Step], seed: u64, plan: Plan) -> Result<u64, Failure> {
    let mut random = Random::new(seed ^ plan.stop_at.unwrap_or(0) << 32);
    let calm = Plan { stop_at: None, fail_at: None, ..plan };
    let may_lose_power = !plan.is_unsynced;
    let run = Run::open(FaultVfs::new(&MemVfs::new(), plan, seed), Model::default())?;
    let run = run.play(script)?;
    let operations = run.vfs.operations();
    let is_power_lost = may_lose_power && random.one_in(2);
    let (mut disk, mut model) = run.end(is_power_lost, &mut random);
    // The recovery is stopped as well.
    let stop_at = Some(random.up_to(15) as u64);
    let run = Run::open(FaultVfs::new(&disk, Plan { stop_at, ..calm }, seed), model)?;
    let is_power_lost = may_lose_power && random.one_in(2);
    (disk, model) = run.end(is_power_lost, &mut random);
    for number in 0..2 {
        let run = Run::open(FaultVfs::new(&disk, calm, seed), model)?;
        let line = format!("after {number}");
        let run = run.play(&[
            Step::Append(vec![(0, 5, line), (1, 0, "after".to_owned() + &number.to_string())]),
            Step::Flush,
        ])?;
        (disk, model) = run.end(may_lose_power, &mut random);
    }
    Run::open(FaultVfs::new(&disk, calm, seed), model)?;
    Ok(operations)
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("TIMBERLINE_SIMULATION_SEED").unwrap_or(1);
    first..first + number("TIMBERLINE_SIMULATIONS").unwrap_or(RUNS)
}

/// Plays the runs of all seeds with a fault at each operation, and returns how many that were.
fn at_every_operation(
    seeds: impl Iterator<Item = u64>,
    fault: impl Fn(u64) -> Plan,
) -> Result<u64, Failure> {
    let mut played = 0;
    for seed in seeds {
        let none = Plan { stop_at: None, fail_at: None, ..fault(0) };
        let failed = |plan: Plan| move |failure| format!("seed {seed}, {plan:?}: {failure}");
        let operations = simulate(seed, none).map_err(failed(none))?;
        for number in 0..operations {
            let plan = fault(number);
            simulate(seed, plan).map_err(failed(plan))?;
        }
        played += operations;
    }
    Ok(played)
}

#[test]
fn a_stop_at_any_operation_loses_nothing() {
    let stop = |number| Plan { stop_at: Some(number), ..Plan::default() };
    let played = at_every_operation(seeds(), stop).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{played} stops");
    assert!(played > 150, "only {played} stops");
}

#[test]
fn a_failure_of_any_operation_loses_nothing() {
    for count in [1, 2, 5] {
        let fail = |number| Plan { fail_at: Some((number, count)), ..Plan::default() };
        let played = at_every_operation(seeds(), fail);
        let played = played.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(played > 150, "only {played} failures");
    }
}

#[test]
fn a_killed_process_loses_nothing_although_appends_are_not_synced() {
    let is_unsynced = true;
    let stop = |number| Plan { stop_at: Some(number), is_unsynced, ..Plan::default() };
    at_every_operation(seeds(), stop).unwrap_or_else(|failure| panic!("{failure}"));
    let fail = |number| Plan { fail_at: Some((number, 1)), is_unsynced, ..Plan::default() };
    at_every_operation(seeds(), fail).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_merge_loses_nothing_wherever_it_ends() {
    for seed in seeds() {
        let (script, merge) = script_of_a_merge(&mut Random::new(seed));
        let play = |script: &[Step], plan: Plan| {
            simulate_script(script, seed, plan)
                .unwrap_or_else(|failure| panic!("seed {seed}, {plan:?}: {failure}"))
        };
        let begin = play(&script[..merge], Plan::default());
        let end = play(&script, Plan::default());
        for number in begin..end {
            play(&script, Plan { stop_at: Some(number), ..Plan::default() });
            play(&script, Plan { fail_at: Some((number, 1)), ..Plan::default() });
        }
    }
}

/// The simulation is worth something only if it sees a store that is wrong.
#[test]
fn planted_faults_are_caught() {
    for lie in
        [Lie::LogNotSynced, Lie::SegmentNotSynced, Lie::LogNamesNotSynced, Lie::OpenedLogNotSynced]
    {
        let stop = |number| Plan { stop_at: Some(number), lie, ..Plan::default() };
        let caught = at_every_operation(1..100, stop);
        assert!(caught.is_err(), "{lie:?} was not caught");
    }
    let lie = Lie::SyncErrorsSwallowed;
    let fail = |number| Plan { fail_at: Some((number, 1)), lie, ..Plan::default() };
    assert!(at_every_operation(1..100, fail).is_err(), "{lie:?} was not caught");
}
