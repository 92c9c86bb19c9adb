//! What is kept of a push goes to the store, each entry with its level.

use std::sync::Arc;

use timberline_store::{InvalidLabels, Labels, Store, StoreError, TenantId, Timestamp, WriteBatch};

use super::level::{self, LEVEL_NAME};
use super::push::{Entry, Push};
use super::spares::Spare;
use super::streams::KnownStream;

/// About what an entry takes in a batch beside its line.
const ENTRY_BYTES: usize = 32;

/// What the write path needs of a store.
pub(crate) trait Backend: Send + Sync + 'static {
    /// Entries to be appended together.
    type Batch: Sink + Spare + Send;

    /// As [`Store::append`].
    fn append(&self, tenant: &TenantId, batch: &Self::Batch) -> Result<(), StoreError>;

    /// As [`Store::active_streams`].
    fn active_streams(&self, tenant: &TenantId) -> usize;

    /// As [`Store::newest_entry`].
    fn newest_entry(&self, tenant: &TenantId, labels: &Labels) -> Option<Timestamp>;
}

/// What takes in entries, stream by stream.
pub(crate) trait Sink {
    /// As [`WriteBatch::clear`].
    fn clear(&mut self);

    /// As [`WriteBatch::reserve`]; nothing where there is nothing to reserve.
    fn reserve(&mut self, _bytes: usize) {}

    /// As [`WriteBatch::stream`].
    fn stream(&mut self, labels: &Labels);

    /// As [`WriteBatch::push`].
    fn push(
        &mut self,
        timestamp: Timestamp,
        line: &[u8],
        metadata: &[(&str, &str)],
    ) -> Result<(), InvalidLabels>;
}

impl Backend for Store {
    type Batch = WriteBatch;

    fn append(&self, tenant: &TenantId, batch: &WriteBatch) -> Result<(), StoreError> {
        self.append(tenant, batch).map(drop)
    }

    fn active_streams(&self, tenant: &TenantId) -> usize {
        self.active_streams(tenant)
    }

    fn newest_entry(&self, tenant: &TenantId, labels: &Labels) -> Option<Timestamp> {
        self.newest_entry(tenant, labels)
    }
}

impl Spare for WriteBatch {
    fn capacity(&self) -> usize {
        self.capacity()
    }
}

impl Sink for WriteBatch {
    fn clear(&mut self) {
        self.clear();
    }

    fn reserve(&mut self, bytes: usize) {
        self.reserve(bytes);
    }

    fn stream(&mut self, labels: &Labels) {
        self.stream(labels);
    }

    fn push(
        &mut self,
        timestamp: Timestamp,
        line: &[u8],
        metadata: &[(&str, &str)],
    ) -> Result<(), InvalidLabels> {
        self.push(timestamp, line, metadata)
    }
}

/// Puts the entries that are kept into a batch. `known` has the streams of the push, in its order.
///
/// # Errors
/// None that a client can cause: names that are there twice are resolved here.
pub(crate) fn fill(
    batch: &mut impl Sink,
    push: &Push<'_>,
    known: &[Arc<KnownStream>],
    kept: &[bool],
    discover_levels: bool,
) -> Result<(), InvalidLabels> {
    let mut metadata: Vec<(&str, &str)> = Vec::new();
    let line_bytes: usize = push.entries.iter().map(|entry| entry.line.len()).sum();
    batch.reserve(line_bytes + push.entries.len() * ENTRY_BYTES);
    for (stream, known) in push.streams.iter().zip(known) {
        if !kept[stream.entries.clone()].contains(&true) {
            continue;
        }
        batch.stream(&known.labels);
        let entries = stream.entries.clone().filter(|&place| kept[place]);
        for entry in entries.map(|place| &push.entries[place]) {
            collect_metadata(push, entry, &mut metadata);
            if discover_levels {
                add_level(known, &entry.line, &mut metadata);
            }
            batch.push(entry.timestamp, entry.line.as_bytes(), &metadata)?;
        }
    }
    Ok(())
}

/// The entry's pairs; of a name that is there twice, the later value.
fn collect_metadata<'p>(push: &'p Push<'_>, entry: &Entry<'_>, out: &mut Vec<(&'p str, &'p str)>) {
    out.clear();
    for (name, value) in &push.pairs[entry.pairs.clone()] {
        match out.iter_mut().find(|(known, _)| known == name) {
            Some(pair) => pair.1 = value,
            None => out.push((name, value)),
        }
    }
}

fn add_level<'p>(stream: &'p KnownStream, line: &str, metadata: &mut Vec<(&'p str, &'p str)>) {
    if let Some((_, level)) = metadata.iter_mut().find(|(name, _)| *name == LEVEL_NAME) {
        *level = level::normalize(level);
        return;
    }
    let level = match &stream.level {
        Some(level) => level,
        None => level::of_entry(line, metadata),
    };
    if !level.is_empty() {
        metadata.push((LEVEL_NAME, level));
    }
}
