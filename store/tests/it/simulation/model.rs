//! What a store must have after a script, whatever became of single operations.

use std::collections::BTreeSet;

use timberline_store::{
    Columns, DeleteRequest, LinePredicate, MatchOp, Matcher, ReadScratch, Store, TimeRange,
};

use crate::util::*;

pub(super) const APPS: [&str; 3] = ["a", "b", "c"];

/// The stream that is not kept for ever.
pub(super) const SHORT_LIVED: usize = 2;

/// How long its entries are kept, in nanoseconds.
pub(super) const PERIOD: i64 = 12;

/// An entry of a script: stream, timestamp, line.
pub(super) type Entry = (usize, i64, String);

/// What is deleted: the stream, from when to when, and the digit that the line has, if that matters.
#[derive(Clone, Debug)]
pub(super) struct Deletion {
    pub(super) app: usize,
    pub(super) range: TimeRange,
    pub(super) digit: Option<char>,
}

impl Deletion {
    fn takes(&self, (app, timestamp, line): &Entry) -> bool {
        *app == self.app
            && self.range.contains(*timestamp)
            && self.digit.is_none_or(|digit| line.contains(digit))
    }

    pub(super) fn request(&self) -> DeleteRequest {
        let selector = Matcher::new("app", MatchOp::Equal, APPS[self.app]).unwrap();
        let request = DeleteRequest::new(&tenant(), vec![selector], self.range);
        match self.digit {
            Some(digit) => request.containing(digit.to_string().as_bytes()),
            None => request,
        }
    }
}

/// Why a run failed, in a sentence.
pub(super) type Failure = String;

/// An entry that the store was given.
#[derive(Clone, Debug)]
pub(super) struct Given {
    entry: Entry,
    /// The requests in force that take it.
    deleted_by: BTreeSet<u64>,
}

/// What the store must have.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    /// By arrival.
    pub(super) given: Vec<Given>,
    /// Requests that were acknowledged.
    pub(super) requests: BTreeSet<u64>,
    /// Batches that were refused, by arrival: each is there as a whole or not at all after the store was
    /// opened anew, and none of them once an append was acknowledged.
    pub(super) unsure: Vec<Vec<Entry>>,
    /// Requests that were refused, with how many entries had been given: each is in force or not after the
    /// store was opened anew.
    pub(super) unsure_deletions: Vec<(Deletion, usize)>,
    /// Requests whose cancellation was refused: they may be no more after the store was opened anew.
    pub(super) unsure_cancels: BTreeSet<u64>,
    /// The time of day.
    pub(super) now: i64,
}

impl Model {
    pub(super) fn acknowledge(&mut self, batch: &[Entry]) {
        self.unsure.clear();
        self.take(batch);
    }

    fn take(&mut self, batch: &[Entry]) {
        // A batch's entries arrive by time.
        let mut batch = batch.to_vec();
        batch.sort_by_key(|entry| entry.1);
        let given = batch.into_iter().map(|entry| Given { entry, deleted_by: BTreeSet::new() });
        self.given.extend(given);
    }

    pub(super) fn delete(&mut self, id: u64, deletion: &Deletion, given: usize) {
        self.requests.insert(id);
        for given in self.given.iter_mut().take(given) {
            if deletion.takes(&given.entry) {
                given.deleted_by.insert(id);
            }
        }
    }

    pub(super) fn cancel(&mut self, id: u64) {
        self.requests.remove(&id);
        for given in &mut self.given {
            given.deleted_by.remove(&id);
        }
    }

    /// Entries that nobody sees since they were deleted and not given again. Each once: one that was deleted
    /// twice would otherwise be given twice in one batch, of which the store keeps one.
    pub(super) fn deleted(&self) -> Vec<Entry> {
        let mut deleted: Vec<Entry> = Vec::new();
        for Given { entry, .. } in &self.given {
            if deleted.len() < 2 && !self.is_seen(entry) && !deleted.contains(entry) {
                deleted.push(entry.clone());
            }
        }
        deleted
    }

    /// Whether an entry was given and is not deleted.
    fn is_seen(&self, entry: &Entry) -> bool {
        self.given.iter().any(|given| given.entry == *entry && given.deleted_by.is_empty())
    }

    fn of(&self, app: usize) -> Vec<(i64, String)> {
        let cutoff = if app == SHORT_LIVED { self.now - PERIOD } else { i64::MIN };
        let seen = self.given.iter().filter(|given| {
            given.entry.0 == app && given.entry.1 >= cutoff && given.deleted_by.is_empty()
        });
        let mut entries: Vec<_> =
            seen.map(|given| (given.entry.1, given.entry.2.clone())).collect();
        entries.sort_by_key(|entry| entry.0);
        entries
    }

    /// Whether an entry that the request took was given again: were the request taken back, it would be
    /// there twice.
    pub(super) fn was_given_again(&self, id: u64) -> bool {
        let taken = self.given.iter().filter(|given| given.deleted_by.contains(&id));
        let mut entries = taken.map(|given| &given.entry);
        entries.any(|entry| {
            self.given.iter().filter(|given| given.entry == *entry).count() > 1
                || self.unsure.iter().flatten().any(|unsure| unsure == entry)
        })
    }

    /// Compares with a store that was opened anew, and settles what was unsure.
    pub(super) fn settle(&mut self, store: &Store) -> Result<(), Failure> {
        let found = found(store)?;
        for batch in std::mem::take(&mut self.unsure) {
            // One that was refused twice is there once.
            let is_there = |entry: &Entry| {
                found[entry.0].contains(&(entry.1, entry.2.clone())) && !self.is_seen(entry)
            };
            if batch.iter().any(is_there) {
                self.take(&batch);
            }
        }
        // The list says which requests are in force; what that means is then checked.
        let listed: BTreeSet<u64> = store.deletes(&tenant()).iter().map(|found| found.id).collect();
        let gone: Vec<u64> = self.requests.difference(&listed).copied().collect();
        for id in gone {
            if !self.unsure_cancels.contains(&id) {
                return Err(format!("request {id} was lost"));
            }
            self.cancel(id);
        }
        self.unsure_cancels.clear();
        let unknown = listed.difference(&self.requests).copied().collect::<Vec<_>>();
        let unsure = std::mem::take(&mut self.unsure_deletions);
        match &unknown[..] {
            [] => {}
            // Which of them it is shows in what it takes: one may have failed before it was recorded.
            [id] if !unsure.is_empty() => {
                let with = |(deletion, given): &(Deletion, usize)| {
                    let mut model = self.clone();
                    model.delete(*id, deletion, *given);
                    model
                };
                let fits = |model: &Model| (0..APPS.len()).all(|app| model.of(app) == found[app]);
                let models: Vec<Model> = unsure.iter().map(with).collect();
                let fitting = models.iter().find(|model| fits(model)).or(models.last());
                *self = fitting.cloned().unwrap_or_default();
            }
            _ => return Err(format!("requests {unknown:?} were never made")),
        }
        self.check(store)
    }

    pub(super) fn check(&self, store: &Store) -> Result<(), Failure> {
        let mut entries = 0;
        for (app, found) in found(store)?.iter().enumerate() {
            let expected = self.of(app);
            if *found != expected {
                return Err(format!("stream {app} has {found:?}, expected {expected:?}"));
            }
            entries += expected.len() as u64;
        }
        let counted = store.snapshot().stats(&tenant(), &[], TimeRange::ALL);
        match counted.map_err(|error| error.to_string())?.entries == entries {
            true => Ok(()),
            false => Err("entries are counted that are not there".to_owned()),
        }
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
