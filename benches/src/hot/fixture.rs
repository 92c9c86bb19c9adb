//! What the hot paths work on. Everything is in memory, so that no disk is measured, and nothing happens
//! behind the work: no compaction, no flush by age or size.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use timberline::encode::{Encoding, TailDialect, answer, tail_frame};
use timberline_query::syntax::parse_selector;
use timberline_query::{Engine, EngineLimits, QueryAnswer, QueryValue, RangeQuery};
use timberline_store::{Labels, ManualClock, MemVfs, Store, TenantId, TimeRange, WriteBatch};

use super::Work;
use super::queries::Query;
use crate::corpus::{self, Corpus, START_SECONDS, ServicesOptions};
use crate::push;

/// Lines of the corpus: enough for what a path does once to be small beside what it does for each line.
const LINES: u64 = 30_000;
const SEED: u64 = 7;
/// Lines in one append.
const LINES_PER_BATCH: usize = 1000;
/// More than the corpus has.
const HEAD_BYTES_MAX: usize = 1 << 30;
const HEAD_AGE_MAX: Duration = Duration::from_secs(1 << 30);
/// Segments that are merged into one.
const SEGMENTS_MERGED: usize = 8;
/// Label sets that are made and looked up.
const LABEL_SETS: usize = 2000;
/// Lines of an answer that is encoded: as many as Grafana may ask for.
const LINES_ANSWERED: usize = 5000;
/// Entries of one frame of a live tail.
const FRAME_ENTRIES: usize = 100;
/// Pushes that are decoded: a few of thirty, which have all six services' lines.
const PUSHES: usize = 5;

/// What the hot paths work on, made when a path first needs it.
#[derive(Debug)]
pub struct Fixture {
    tenant: TenantId,
    corpus: Corpus,
    batches: OnceCell<Vec<WriteBatch>>,
    flushed: OnceCell<Store>,
}

impl Fixture {
    /// The fixture. The same bytes each time.
    ///
    /// # Errors
    /// None that a machine can have.
    pub fn new() -> Result<Self> {
        Ok(Self {
            tenant: TenantId::new("bench")?,
            corpus: corpus::services(ServicesOptions { lines: LINES, seed: SEED }),
            batches: OnceCell::new(),
            flushed: OnceCell::new(),
        })
    }

    /// Appends the corpus to an empty store: log, duplicates, head.
    pub(super) fn append(&self) -> Result<Work<'_>> {
        let (batches, store) = (self.batches()?, empty_store()?);
        Ok(Box::new(move || append_all(&store, &self.tenant, batches)))
    }

    /// Makes a segment of a head that has the corpus.
    pub(super) fn flush(&self) -> Result<Work<'_>> {
        let store = empty_store()?;
        append_all(&store, &self.tenant, self.batches()?)?;
        Ok(Box::new(move || {
            store.flush()?;
            Ok(store.stats().segment_entries as usize)
        }))
    }

    /// Makes one segment of several that have the corpus between them.
    pub(super) fn merge(&self) -> Result<Work<'_>> {
        let (batches, store) = (self.batches()?, empty_store()?);
        for part in batches.chunks(batches.len().div_ceil(SEGMENTS_MERGED)) {
            append_all(&store, &self.tenant, part)?;
            store.flush()?;
        }
        Ok(Box::new(move || {
            store.compact()?;
            let stats = store.stats();
            ensure!(stats.segments == 1, "{} segments are left", stats.segments);
            Ok(stats.segment_entries as usize)
        }))
    }

    /// Opens a store whose log has the corpus.
    pub(super) fn replay(&self) -> Result<Work<'_>> {
        let vfs = MemVfs::new();
        append_all(&store_on(&vfs)?, &self.tenant, self.batches()?)?;
        Ok(Box::new(move || Ok(store_on(&vfs.crash())?.stats().head_entries as usize)))
    }

    /// Makes label sets, keeps them in a hash table and looks each up.
    pub(super) fn label_sets(&self) -> Work<'_> {
        let pairs = |number: usize| {
            let (app, pod) = (format!("app-{}", number % 40), format!("app-{number}-7d4b9c"));
            [
                ("app", app),
                ("cluster", "eu-1".to_owned()),
                ("namespace", "shop".to_owned()),
                ("pod", pod),
            ]
        };
        let sets: Vec<_> = (0..LABEL_SETS).map(pairs).collect();
        Box::new(move || {
            let mut places = HashMap::new();
            for set in black_box(&sets) {
                let pairs = set.iter().map(|(name, value)| (name, value));
                places.insert(Labels::from_pairs(pairs)?, places.len());
            }
            let found = places.keys().filter(|labels| places.contains_key(labels)).count();
            Ok(found)
        })
    }

    /// Writes a query's answer in JSON.
    pub(super) fn encode(&self, query: Query, step_seconds: u64) -> Result<Work<'_>> {
        let query = self.query_range(query, step_seconds, LINES_ANSWERED)?;
        let answered = engine(self.flushed()?).range(&self.tenant, &query)?;
        Ok(Box::new(move || {
            Ok(answer(black_box(&answered), &Encoding::default(), Duration::ZERO).len())
        }))
    }

    /// Evaluates what was appended for a live tail and writes its frames.
    pub(super) fn tail(&self, query: Query) -> Result<Work<'_>> {
        let store = empty_store()?;
        let (tail, mut subscription) = engine(&store).tail(&self.tenant, query.text, usize::MAX)?;
        let mut rounds = Vec::new();
        for batch in self.batches()? {
            store.append(&self.tenant, batch)?;
            rounds.push(std::iter::from_fn(|| subscription.try_recv()).collect::<Vec<_>>());
        }
        Ok(Box::new(move || {
            let mut bytes = 0;
            for appended in black_box(&rounds) {
                let entries = tail.evaluate(appended, usize::MAX).entries;
                let frame = |entries| tail_frame(entries, &[], TailDialect::Merged).len();
                bytes += entries.chunks(FRAME_ENTRIES).map(frame).sum::<usize>();
            }
            Ok(bytes)
        }))
    }

    /// Takes in pushes in protobuf and snappy, without a store behind them.
    pub(super) fn decode_pushes(&self) -> Work<'_> {
        let mut bodies = push::bodies(&self.corpus);
        bodies.truncate(PUSHES);
        Box::new(move || {
            for body in &bodies {
                timberline::fuzzing::push_protobuf(black_box(body));
            }
            Ok(bodies.len())
        })
    }

    /// Asks a query over the whole corpus, which is in a segment, on this thread.
    pub(super) fn ask(&self, query: Query) -> Result<Work<'_>> {
        let engine = engine(self.flushed()?);
        let query_range = self.query_range(query, 60, 100)?;
        Ok(Box::new(move || {
            let rows = rows(&engine.range(&self.tenant, black_box(&query_range))?);
            ensure!(query.has_answer == (rows > 0), "{} has {rows} rows", query.text);
            Ok(rows)
        }))
    }

    /// A query over the whole corpus.
    fn query_range(&self, query: Query, step_seconds: u64, limit: usize) -> Result<RangeQuery> {
        let nanos = |seconds: u64| i64::try_from(seconds * 1_000_000_000);
        let range = TimeRange::new(nanos(START_SECONDS)?, nanos(self.corpus.end_seconds())?);
        Ok(RangeQuery { step: nanos(step_seconds)?, limit, ..RangeQuery::new(query.text, range) })
    }

    /// The corpus as appends. The first call makes them.
    fn batches(&self) -> Result<&[WriteBatch]> {
        if self.batches.get().is_none() {
            let _ = self.batches.set(batches(&self.corpus)?);
        }
        Ok(self.batches.get().context("batches were made")?)
    }

    /// A store that has the corpus in one segment. The first call makes it.
    fn flushed(&self) -> Result<&Store> {
        if self.flushed.get().is_none() {
            let store = empty_store()?;
            append_all(&store, &self.tenant, self.batches()?)?;
            store.flush()?;
            let _ = self.flushed.set(store);
        }
        self.flushed.get().context("a store was made")
    }
}

fn batches(corpus: &Corpus) -> Result<Vec<WriteBatch>> {
    let labels: Vec<Labels> =
        corpus.streams().iter().map(|stream| labels(stream)).collect::<Result<_>>()?;
    let lines: Vec<_> = corpus.iter().collect();
    let batch = |lines: &[corpus::Line]| {
        let mut batch = WriteBatch::new();
        for line in lines {
            batch.stream(&labels[line.stream]);
            batch.push(i64::try_from(line.timestamp)?, line.text.as_bytes(), &[])?;
        }
        Ok(batch)
    };
    lines.chunks(LINES_PER_BATCH).map(batch).collect()
}

/// The labels of a stream that is written as LogQL selects it.
fn labels(stream: &str) -> Result<Labels> {
    let selector = parse_selector(stream)?;
    let pairs = selector.matchers.iter().map(|matcher| (&*matcher.name, &*matcher.value));
    Ok(Labels::from_pairs(pairs)?)
}

/// An engine that works on its caller's thread.
fn engine(store: &Store) -> Engine {
    let limits = EngineLimits { threads: 1, ..EngineLimits::default() };
    Engine::with_limits(store.clone(), limits)
}

fn empty_store() -> Result<Store> {
    store_on(&MemVfs::new())
}

fn store_on(vfs: &MemVfs) -> Result<Store> {
    let store = Store::builder()
        .vfs(Arc::new(vfs.clone()))
        .clock(Arc::new(ManualClock::new()))
        .head_bytes_max(HEAD_BYTES_MAX)
        .head_age_max(HEAD_AGE_MAX)
        .compaction_limits(0.0, 0)
        .open("/bench")?;
    Ok(store)
}

fn append_all(store: &Store, tenant: &TenantId, batches: &[WriteBatch]) -> Result<usize> {
    let mut appended = 0;
    for batch in batches {
        appended += store.append(tenant, batch)?.appended as usize;
    }
    Ok(appended)
}

/// Entries or points of an answer.
fn rows(answer: &QueryAnswer) -> usize {
    match &answer.value {
        QueryValue::Streams(streams) => streams.iter().map(|stream| stream.entries.len()).sum(),
        QueryValue::Matrix(series) => series.iter().map(|series| series.points.len()).sum(),
        QueryValue::Vector(samples) => samples.len(),
        QueryValue::Scalar { .. } => 1,
    }
}
