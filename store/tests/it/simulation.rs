//! A store that is stopped, or let down by its disk, at every single file operation.
//!
//! A run is a seeded script of appends, deletions, flushes, compactions, reopenings and a clock that moves on,
//! so that entries grow past their retention and requests can no longer be taken back. It is played once to
//! count the file operations and then once for each of them, with that one being the last before the power
//! goes or the process is killed, or failing. The store is then opened again and must have every
//! acknowledged entry once and in order, none that was deleted, batches and requests that were not
//! acknowledged as a whole or not at all, no damage to report, and it must go on working.
//!
//! `TIMBERLINE_SIMULATIONS=1000 cargo test -p timberline-store --test it simulation` plays so many runs
//! instead of a few; `TIMBERLINE_SIMULATION_SEED=7` begins with the run of that seed. The seeds are always
//! printed; a failure names the seed and the operation.

mod model;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use timberline_store::{
    CancelOutcome, Durability, ManualClock, MatchOp, Matcher, MemVfs, Retention, Store, StoreError,
    StreamRetention, TenantRetention, TimeRange, WriteBatch,
};

use self::model::{APPS, Deletion, Entry, Failure, Model, PERIOD, SHORT_LIVED};
use crate::faults::{FaultVfs, Lie, Plan, Random};
use crate::util::*;

/// How long a request may be taken back.
const CANCEL_PERIOD: i64 = 4;

/// How many runs, unless told otherwise.
const RUNS: u64 = 320;

/// The least number of stops that these come to. Two in three of the recoveries after them are stopped as well; the
/// others are over before.
const STOPS: u64 = 20_000;

/// One in so many runs is also played with other faults than a stop.
const FEW: usize = 10;

/// Steps of a run.
const STEPS: usize = 14;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Entry>),
    /// Entries that were deleted, once more.
    AppendAgain,
    Delete(Deletion),
    /// Takes the last request back.
    Cancel,
    Advance(i64),
    Flush,
    Compact,
    Drop,
    Close,
}

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
    let deletion = |random: &mut Random| {
        let start = i64::try_from(random.up_to(9)).unwrap();
        let length = 1 + i64::try_from(random.up_to(9)).unwrap();
        let digits = ['1', '4', '7'];
        Deletion {
            app: random.up_to(2),
            range: TimeRange::new(start, start + length),
            digit: random.one_in(2).then(|| digits[random.up_to(2)]),
        }
    };
    (0..STEPS)
        .map(|_| match random.up_to(19) {
            0..=7 => Step::Append(entries(random)),
            8 => Step::AppendAgain,
            9 | 10 => Step::Delete(deletion(random)),
            11 => Step::Cancel,
            12 => Step::Advance(1 + i64::try_from(random.up_to(6)).unwrap()),
            13..=15 => Step::Flush,
            16 | 17 => Step::Compact,
            18 => Step::Drop,
            _ => Step::Close,
        })
        .collect()
}

fn batch(entries: &[Entry]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (app, timestamp, line) in entries {
        batch.stream(&labels(APPS[*app]));
        batch.push(*timestamp, line.as_bytes(), &[]).unwrap();
    }
    batch
}

fn nanos(nanos: i64) -> Duration {
    Duration::from_nanos(nanos.unsigned_abs())
}

fn open_on(vfs: &FaultVfs, clock: &Arc<ManualClock>) -> Result<Store, StoreError> {
    // The clock moves only as the script says, and nothing happens in the background.
    let builder = Store::builder().vfs(Arc::new(vfs.clone())).clock(clock.clone());
    let never = Durability::Interval(Duration::from_secs(1 << 20));
    let durability = if vfs.plan().is_unsynced { never } else { Durability::Sync };
    let selector = vec![Matcher::new("app", MatchOp::Equal, APPS[SHORT_LIVED]).unwrap()];
    let short = StreamRetention { selector, priority: 0, period: Some(nanos(PERIOD)) };
    builder
        .durability(durability)
        .retention(Retention::new(TenantRetention::new(None).streams(vec![short])))
        .delete_cancel_period(nanos(CANCEL_PERIOD))
        .compaction_limits(0.0, 0)
        .open(DIR)
}

/// A store on a file system that is about to let it down.
struct Run {
    vfs: FaultVfs,
    clock: Arc<ManualClock>,
    /// `None` when it could not be opened.
    store: Option<Store>,
    model: Model,
}

impl Run {
    /// Opens the store. Tries again while the disk fails, but not once it was stopped.
    fn open(vfs: FaultVfs, mut model: Model) -> Result<Self, Failure> {
        let clock = Arc::new(ManualClock::new());
        clock.set_unix_time(model.now);
        for _ in 0..40 {
            match open_on(&vfs, &clock) {
                Ok(store) => {
                    if !vfs.is_stopped() {
                        model.settle(&store)?;
                    }
                    return Ok(Self { vfs, clock, store: Some(store), model });
                }
                Err(_) if vfs.is_stopped() => {
                    return Ok(Self { vfs, clock, store: None, model });
                }
                Err(StoreError::Io { .. }) => {}
                Err(error) => return Err(format!("cannot be opened: {error}")),
            }
        }
        Err("cannot be opened".to_owned())
    }

    /// Plays the script, as far as it comes.
    fn play(mut self, script: &[Step]) -> Result<Self, Failure> {
        for step in script {
            let Some(store) = self.store.clone() else { return Ok(self) };
            let is_reopened = self.step(&store, step);
            if self.vfs.is_stopped() {
                return Ok(self);
            }
            self.model.check(&store).map_err(|failure| format!("after {step:?}: {failure}"))?;
            if is_reopened {
                drop((self.store.take(), store));
                if self.vfs.is_stopped() {
                    return Ok(self);
                }
                self = Self::open(self.vfs, self.model)?;
            }
        }
        Ok(self)
    }

    /// Does one step. Returns whether the store is to be opened again behind it.
    fn step(&mut self, store: &Store, step: &Step) -> bool {
        let model = &mut self.model;
        match step {
            Step::Append(entries) => append_to(store, model, entries),
            Step::AppendAgain => {
                let entries = model.deleted();
                // With a request that may be no more, they may be duplicates instead.
                if !entries.is_empty() && model.unsure_cancels.is_empty() {
                    append_to(store, model, &entries);
                }
            }
            Step::Delete(deletion) => {
                let given = model.given.len();
                match store.delete(deletion.request()) {
                    Ok(id) => model.delete(id, deletion, given),
                    Err(_) => model.unsure_deletions.push((deletion.clone(), given)),
                }
            }
            Step::Cancel => {
                let last = model.requests.last().copied();
                if let Some(id) = last.filter(|id| !model.was_given_again(*id)) {
                    match store.cancel_delete(&tenant(), id, false) {
                        Ok(CancelOutcome::Cancelled) => model.cancel(id),
                        Ok(_) => {}
                        Err(_) => {
                            model.unsure_cancels.insert(id);
                        }
                    }
                }
            }
            Step::Advance(by) => {
                model.now += by;
                self.clock.set_unix_time(model.now);
            }
            // Their failures are no matter to anyone but the disk.
            Step::Flush => drop(store.flush()),
            Step::Compact => drop(store.compact()),
            Step::Drop => return true,
            Step::Close => {
                // It says what went wrong, and lets go all the same.
                drop(store.close());
                return true;
            }
        }
        false
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

fn append_to(store: &Store, model: &mut Model, entries: &[Entry]) {
    match store.append(&tenant(), &batch(entries)) {
        Ok(_) => model.acknowledge(entries),
        Err(_) => model.unsure.push(entries.to_vec()),
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

/// What was played.
#[derive(Clone, Copy, Debug, Default)]
struct Played {
    /// Operations there were before the end.
    operations: u64,
    /// Recoveries that were stopped: one that has fewer operations than its stop is not.
    stopped_recoveries: u64,
}

/// Plays a run with what the plan has, crashes it, crashes the recovery too, and looks whether the store
/// is well after that.
fn simulate(seed: u64, plan: Plan) -> Result<Played, Failure> {
    simulate_script(&script(&mut Random::new(seed)), seed, plan)
}

fn simulate_script(script: &[Step], seed: u64, plan: Plan) -> Result<Played, Failure> {
    let mut random = Random::new(seed ^ (plan.stop_at.unwrap_or(0) << 32));
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
    let stopped_recoveries = u64::from(run.vfs.is_stopped());
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
    Ok(Played { operations, stopped_recoveries })
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("TIMBERLINE_SIMULATION_SEED").unwrap_or(1);
    first..first + number("TIMBERLINE_SIMULATIONS").unwrap_or(RUNS)
}

fn few_seeds() -> impl Iterator<Item = u64> {
    seeds().take(seeds().count().div_ceil(FEW))
}

/// Says which runs are played, past the test harness, which keeps what a test prints until it fails.
fn tell(text: &str) {
    // Nobody may be listening.
    let _ = writeln!(std::io::stderr(), "simulation: {text}");
}

/// Plays the runs of all seeds with a fault at each operation, on as many threads as there are cores, and
/// returns how many operations that were.
fn at_every_operation(
    seeds: impl Iterator<Item = u64>,
    fault: impl Fn(u64) -> Plan + Sync,
) -> Result<Played, Failure> {
    let seeds: Vec<u64> = seeds.collect();
    let (first, last) = (seeds.first().unwrap_or(&0), seeds.last().unwrap_or(&0));
    tell(&format!("seeds {first} to {last}, {:?} and so on", fault(0)));
    let next = AtomicU64::new(0);
    let (played, stopped) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = || -> Result<(), Failure> {
        loop {
            let place = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap();
            let Some(&seed) = seeds.get(place) else { return Ok(()) };
            let none = Plan { stop_at: None, fail_at: None, ..fault(0) };
            let failed = |plan: Plan| move |failure| format!("seed {seed}, {plan:?}: {failure}");
            let operations = simulate(seed, none).map_err(failed(none))?.operations;
            for number in 0..operations {
                let plan = fault(number);
                let run = simulate(seed, plan).map_err(failed(plan))?;
                stopped.fetch_add(run.stopped_recoveries, Ordering::Relaxed);
            }
            played.fetch_add(operations, Ordering::Relaxed);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    outcomes.into_iter().collect::<Result<Vec<()>, _>>()?;
    Ok(Played { operations: played.into_inner(), stopped_recoveries: stopped.into_inner() })
}

#[test]
fn a_stop_at_any_operation_loses_nothing() {
    let stop = |number| Plan { stop_at: Some(number), ..Plan::default() };
    let played = at_every_operation(seeds(), stop).unwrap_or_else(|failure| panic!("{failure}"));
    tell(&format!("{played:?}"));
    // A few seeds alone may be shorter than others.
    if seeds().count() as u64 >= RUNS {
        assert!(played.operations >= STOPS, "{played:?}: not {STOPS} stops");
        assert!(2 * played.stopped_recoveries >= STOPS, "{played:?}: too few stopped recoveries");
    }
}

#[test]
fn a_failure_of_any_operation_loses_nothing() {
    for count in [1, 2, 5] {
        let fail = |number| Plan { fail_at: Some((number, count)), ..Plan::default() };
        let played = at_every_operation(few_seeds(), fail);
        played.unwrap_or_else(|failure| panic!("{failure}"));
    }
}

#[test]
fn a_killed_process_loses_nothing_although_appends_are_not_synced() {
    let is_unsynced = true;
    let stop = |number| Plan { stop_at: Some(number), is_unsynced, ..Plan::default() };
    at_every_operation(few_seeds(), stop).unwrap_or_else(|failure| panic!("{failure}"));
    let fail = |number| Plan { fail_at: Some((number, 1)), is_unsynced, ..Plan::default() };
    at_every_operation(few_seeds(), fail).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_merge_loses_nothing_wherever_it_ends() {
    for seed in few_seeds().take(seeds().count().div_ceil(8 * FEW)) {
        let (script, merge) = script_of_a_merge(&mut Random::new(seed));
        let play = |script: &[Step], plan: Plan| {
            simulate_script(script, seed, plan)
                .unwrap_or_else(|failure| panic!("seed {seed}, {plan:?}: {failure}"))
        };
        let begin = play(&script[..merge], Plan::default()).operations;
        let end = play(&script, Plan::default()).operations;
        for number in begin..end {
            play(&script, Plan { stop_at: Some(number), ..Plan::default() });
            play(&script, Plan { fail_at: Some((number, 1)), ..Plan::default() });
        }
    }
}

/// The simulation is worth something only if it sees a store that is wrong.
#[test]
fn planted_faults_are_caught() {
    for lie in [
        Lie::LogNotSynced,
        Lie::SegmentNotSynced,
        Lie::ManifestNotSynced,
        Lie::LogNamesNotSynced,
        Lie::OpenedLogNotSynced,
        Lie::SegmentNamesNotSynced,
    ] {
        let stop = |number| Plan { stop_at: Some(number), lie, ..Plan::default() };
        let caught = at_every_operation(1..100, stop);
        assert!(caught.is_err(), "{lie:?} was not caught");
    }
    let lie = Lie::SyncErrorsSwallowed;
    let fail = |number| Plan { fail_at: Some((number, 1)), lie, ..Plan::default() };
    assert!(at_every_operation(1..100, fail).is_err(), "{lie:?} was not caught");
}
