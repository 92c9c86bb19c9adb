//! The head: entries that are in no segment yet.
//!
//! A tenant's streams stand in a table; each is a row of sorted [runs](run::HeadRun), as in a log-structured
//! merge tree of one level: an append adds a run per stream, or lets the newest one grow while it is small and
//! nobody reads it, and small runs are merged, larger ones many at a time. A reader takes the tables as they
//! are, by reference count; what it has taken does not change, and it is not in anyone's way afterwards.

mod index;
mod pending;
mod rows;
mod run;
mod sets;
mod table;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use self::index::TenantIndex;
pub(crate) use self::pending::Pending;
pub(crate) use self::pending::PendingStream;
pub(crate) use self::rows::HeadRows;
pub(crate) use self::run::HeadRun;
pub(crate) use self::table::HeadStream;
use self::table::StreamTable;
use crate::{Labels, Matcher, StoreError, TenantId, Timestamp, codec};

/// Entries in memory. Swapped for an empty one at a flush and not changed after that.
#[derive(Debug, Default)]
pub(crate) struct Head {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tenants: Arc<HashMap<TenantId, TenantHead>>,
    size: HeadSize,
}

/// A run that an append has added.
#[derive(Debug)]
pub(crate) struct NewRun {
    /// The labels of its stream.
    pub(crate) labels: Labels,
    pub(crate) run: Arc<HeadRun>,
}

/// How much is in a head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeadSize {
    pub(crate) entries: u64,
    /// Bytes of lines and metadata.
    pub(crate) bytes: u64,
    pub(crate) streams: u64,
    /// When the first entry came, by the store's clock.
    pub(crate) first_at: Option<Duration>,
}

#[derive(Clone, Debug, Default)]
struct TenantHead {
    index: Arc<RwLock<TenantIndex>>,
    table: StreamTable,
}

/// A head as it was at one moment.
#[derive(Clone, Debug)]
pub(crate) struct HeadView {
    tenants: Arc<HashMap<TenantId, TenantHead>>,
}

impl Head {
    /// The newest timestamp known of each pending stream; `None` for one that is not in the head.
    pub(crate) fn newest_of(
        &self,
        tenant: &TenantId,
        pending: &Pending<'_>,
    ) -> Vec<Option<Timestamp>> {
        let state = self.state.lock();
        let Some(head) = state.tenants.get(tenant) else {
            return vec![None; pending.streams.len()];
        };
        let index = head.index.read();
        let newest = |stream: &PendingStream<'_>| {
            Some(head.table.get(index.number(stream.label_bytes)?)?.newest)
        };
        pending.streams.iter().map(newest).collect()
    }

    /// Takes in what is pending, but for entries that are here already. `sealed_newest` has the newest
    /// timestamp outside the head for each stream that was not in it. `added` is told what is new.
    pub(crate) fn apply(
        &self,
        tenant: &TenantId,
        pending: &mut Pending<'_>,
        sealed_newest: &[Timestamp],
        now: Duration,
        mut added: Option<&mut Vec<NewRun>>,
    ) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let State { tenants, size } = &mut *state;
        let tenants = Arc::make_mut(tenants);
        if !tenants.contains_key(tenant) {
            tenants.insert(tenant.clone(), TenantHead::default());
        }
        let Some(head) = tenants.get_mut(tenant) else { return Ok(()) };
        for (place, &newest) in sealed_newest.iter().enumerate().take(pending.streams.len()) {
            if pending.entries_of(place).is_empty() {
                continue;
            }
            let stream = head.stream(&pending.streams[place], newest, size)?;
            drop_held(stream, pending, place);
            let entries = pending.entries_of(place);
            let Some(added) = &mut added else {
                size.bytes += stream.append(entries)?;
                size.entries += entries.len() as u64;
                continue;
            };
            for run in HeadRun::build(entries, None) {
                let run = run?;
                size.entries += run.rows().len() as u64;
                size.bytes += run.bytes_of(0..run.rows().len());
                added.push(NewRun { labels: stream.labels.clone(), run: Arc::clone(&run) });
                stream.push(run)?;
            }
        }
        if size.entries > 0 {
            size.first_at.get_or_insert(now);
        }
        Ok(())
    }

    pub(crate) fn size(&self) -> HeadSize {
        self.state.lock().size
    }

    pub(crate) fn view(&self) -> HeadView {
        HeadView { tenants: Arc::clone(&self.state.lock().tenants) }
    }
}

/// Leaves out what the stream's runs have.
fn drop_held(stream: &HeadStream, pending: &mut Pending<'_>, place: usize) {
    let entries = pending.entries_of(place);
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return };
    if first.timestamp > stream.newest {
        return;
    }
    let runs: Vec<_> = stream.runs_at(&(first.timestamp..=last.timestamp)).collect();
    if !runs.is_empty() {
        pending.drop_known(place, |entry| runs.iter().any(|run| run.contains(entry)));
    }
}

impl TenantHead {
    /// The pending stream's place here, made if it has none.
    fn stream(
        &mut self,
        pending: &PendingStream<'_>,
        newest: Timestamp,
        size: &mut HeadSize,
    ) -> Result<&mut HeadStream, StoreError> {
        let known = self.index.read().number(pending.label_bytes);
        let number = match known {
            Some(number) => number,
            None => {
                let labels = pending.labels()?;
                let number = u32::try_from(self.table.len())
                    .map_err(|_| StoreError::Invalid("too many streams".to_owned()))?;
                self.index.write().insert(pending.label_bytes, number);
                self.table.push(HeadStream { labels, runs: Arc::default(), newest });
                size.streams += 1;
                number
            }
        };
        let lost = || StoreError::Invalid("a stream that is not in its table".to_owned());
        self.table.get_mut(number).ok_or_else(lost)
    }
}

impl HeadView {
    /// The streams of a tenant that pass every matcher, in no order.
    pub(crate) fn select(&self, tenant: &TenantId, selector: &[Matcher]) -> Vec<&HeadStream> {
        let Some(head) = self.tenants.get(tenant) else { return Vec::new() };
        let mut index = head.index.read();
        if !selector.is_empty() && !index.covers(&head.table) {
            drop(index);
            head.index.write().catch_up(&head.table);
            index = head.index.read();
        }
        let numbers = index.select(selector, &head.table);
        numbers.into_iter().filter_map(|number| head.table.get(number)).collect()
    }

    /// One stream, by its labels.
    pub(crate) fn stream(&self, tenant: &TenantId, labels: &Labels) -> Option<&HeadStream> {
        let mut label_bytes = Vec::new();
        codec::put_pairs(&mut label_bytes, labels.iter());
        self.stream_by_bytes(tenant, &label_bytes)
    }

    /// One stream, by the bytes its labels have in a batch.
    pub(crate) fn stream_by_bytes(
        &self,
        tenant: &TenantId,
        label_bytes: &[u8],
    ) -> Option<&HeadStream> {
        let head = self.tenants.get(tenant)?;
        let number = head.index.read().number(label_bytes)?;
        head.table.get(number)
    }

    pub(crate) fn streams(&self, tenant: &TenantId) -> usize {
        self.tenants.get(tenant).map_or(0, |head| head.table.len())
    }

    /// All streams with their tenants, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&TenantId, &HeadStream)> {
        let tenants = self.tenants.iter();
        tenants.flat_map(|(tenant, head)| head.table.iter().map(move |stream| (tenant, stream)))
    }

    /// All rows in the order of a segment.
    pub(crate) fn rows(&self) -> HeadRows {
        HeadRows::new(self.all())
    }
}
