//! A store with entries, and short ways to ask it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use timberline_store::{Durability, Labels, Metadata, Store, TenantId, Timestamp, WriteBatch};

use crate::reference::{Reference, ReferenceEntry};
use crate::{
    Direction, Engine, EngineLimits, InstantQuery, QueryAnswer, QueryError, QueryValue, RangeQuery,
};

pub(super) const SECOND: i64 = 1_000_000_000;

/// A store in a directory of its own, and the same entries in the reference.
pub(super) struct Fixture {
    pub(super) store: Store,
    pub(super) reference: Reference,
    pub(super) tenant: TenantId,
    pub(super) directory: tempfile::TempDir,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let builder = Store::builder().durability(Durability::None);
        let store = builder.open(directory.path()).unwrap();
        let tenant = TenantId::new("tests").unwrap();
        Self { store, reference: Reference::default(), tenant, directory }
    }

    /// Appends one entry.
    pub(super) fn push(
        &mut self,
        stream: &[(&str, &str)],
        timestamp: Timestamp,
        line: &str,
        metadata: &[(&str, &str)],
    ) {
        let stream = Labels::from_pairs(stream.iter().copied()).unwrap();
        let mut batch = WriteBatch::new();
        batch.stream(&stream);
        batch.push(timestamp, line.as_bytes(), metadata).unwrap();
        self.store.append(&self.tenant, &batch).unwrap();
        let metadata = Metadata::metadata(metadata.iter().copied()).unwrap();
        let line = line.as_bytes().to_vec();
        self.reference.push(ReferenceEntry { stream, timestamp, line, metadata });
    }

    pub(super) fn engine(&self) -> Engine {
        Engine::new(self.store.clone())
    }

    pub(super) fn engine_with(&self, limits: EngineLimits) -> Engine {
        Engine::with_limits(self.store.clone(), limits)
    }

    pub(super) fn ask(&self, query: &RangeQuery) -> Result<QueryAnswer, QueryError> {
        self.engine().range(&self.tenant, query)
    }

    pub(super) fn ask_at(&self, query: &str, time: Timestamp) -> Result<QueryValue, QueryError> {
        let query = instant(query, time);
        self.engine().instant(&self.tenant, &query).map(|answer| answer.value)
    }

    /// The entries of a log query, `time line` each, by stream.
    pub(super) fn lines(&self, query: &RangeQuery) -> Vec<(String, Vec<String>)> {
        let QueryValue::Streams(streams) = self.ask(query).unwrap().value else {
            panic!("streams are expected")
        };
        let lines = streams.iter().map(|stream| {
            let lines = stream.entries.iter().map(|entry| {
                format!("{} {}", entry.timestamp, String::from_utf8_lossy(&entry.line))
            });
            (stream.labels.to_string(), lines.collect())
        });
        lines.collect()
    }

    /// The series of a metric query over a range, points as `step=value`.
    pub(super) fn matrix(&self, query: &RangeQuery) -> Vec<(String, Vec<(i64, f64)>)> {
        let QueryValue::Matrix(series) = self.ask(query).unwrap().value else {
            panic!("a matrix is expected")
        };
        series.into_iter().map(|series| (series.labels.to_string(), series.points)).collect()
    }

    /// The samples of a metric query at an instant, in order.
    pub(super) fn vector(&self, query: &str, time: Timestamp) -> Vec<(String, f64)> {
        let QueryValue::Vector(samples) = self.ask_at(query, time).unwrap() else {
            panic!("a vector is expected")
        };
        samples.into_iter().map(|sample| (sample.labels.to_string(), sample.value)).collect()
    }
}

/// A query from `start` to `end`, with a step of ten seconds and room for a hundred entries, forward.
pub(super) fn range(query: &str, start: Timestamp, end: Timestamp) -> RangeQuery {
    RangeQuery {
        query: query.to_owned(),
        start,
        end,
        step: 10 * SECOND,
        interval: 0,
        limit: 100,
        direction: Direction::Forward,
        categorize_labels: false,
        cancel: Arc::new(AtomicBool::new(false)),
    }
}

pub(super) fn instant(query: &str, time: Timestamp) -> InstantQuery {
    InstantQuery { query: query.to_owned(), time, cancel: Arc::new(AtomicBool::new(false)) }
}
