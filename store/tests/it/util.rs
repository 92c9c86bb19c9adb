//! A store on a file system in memory, and short ways to fill and read it.

use std::path::Path;
use std::sync::Arc;

use timberline_store::{
    AppendReport, Columns, Labels, LinePredicate, MemVfs, Metadata, ReadScratch, Store,
    StoreBuilder, StoreError, TenantId, TimeRange, WriteBatch,
};

pub(crate) const DIR: &str = "/db";

/// What an entry is told by: timestamp, line and metadata.
pub(crate) type Told = (i64, String, Metadata);

pub(crate) fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub(crate) fn labels(app: &str) -> Labels {
    Labels::from_pairs([("app", app), ("env", "test")]).unwrap()
}

/// Nothing is compacted in the background, so that tests see both before and after.
pub(crate) fn on(vfs: &MemVfs) -> StoreBuilder {
    Store::builder().vfs(Arc::new(vfs.clone())).compaction_limits(0.0, 0)
}

pub(crate) fn open(vfs: &MemVfs) -> Store {
    on(vfs).open(Path::new(DIR)).unwrap()
}

/// A batch of one stream.
pub(crate) fn batch(app: &str, entries: &[(i64, &str)]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.stream(&labels(app));
    for (timestamp, line) in entries {
        batch.push(*timestamp, line.as_bytes(), &[]).unwrap();
    }
    batch
}

pub(crate) fn append(
    store: &Store,
    app: &str,
    entries: &[(i64, &str)],
) -> Result<AppendReport, StoreError> {
    store.append(&tenant(), &batch(app, entries))
}

/// The entries of a stream in the range by time, equal timestamps by arrival.
pub(crate) fn read_range(store: &Store, app: &str, range: TimeRange) -> Vec<Told> {
    let snapshot = store.snapshot();
    assert_eq!(snapshot.warnings(), [""; 0]);
    let mut scratch = ReadScratch::new();
    let mut entries = Vec::new();
    for chunk in snapshot.chunks(&tenant(), &[], range).unwrap() {
        if *chunk.labels() != labels(app) {
            continue;
        }
        let read = chunk.read(range, &LinePredicate::Always, Columns::ALL, &mut scratch).unwrap();
        for row in read.rows() {
            let line = String::from_utf8(read.line(row).to_vec()).unwrap();
            entries.push((row.timestamp, line, read.metadata(row)));
        }
    }
    entries.sort_by_key(|entry| entry.0);
    entries
}

/// Timestamps and lines of a stream.
pub(crate) fn read(store: &Store, app: &str) -> Vec<(i64, String)> {
    let entries = read_range(store, app, TimeRange::ALL);
    entries.into_iter().map(|(timestamp, line, _)| (timestamp, line)).collect()
}

pub(crate) fn told(entries: &[(i64, &str)]) -> Vec<(i64, String)> {
    entries.iter().map(|&(timestamp, line)| (timestamp, line.to_owned())).collect()
}
