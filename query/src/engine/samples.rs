//! The samples that entries stand for in a range aggregation, before anything is aggregated.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use timberline_store::{Batch, Columns, Labels, ReadScratch, TenantId, TimeRange, Timestamp};

use super::limits::check_series;
use super::{ChunkUnit, Context, Engine, ROWS_PER_CHECK, ROWS_PER_FETCH};
use crate::QueryError;
use crate::label_text::label_text;
use crate::metric::metadata_of;
use crate::pipeline::Worker;
use crate::plan::{Measure, MetricPlan, RangePlan};
use crate::syntax::{Expr, parse};

/// What a series takes without its samples and the texts of its labels.
const SERIES_BYTES: usize = size_of::<(Labels, Vec<EntrySample>)>();

/// What one entry stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EntrySample {
    /// When.
    pub timestamp: Timestamp,
    /// 1, the line's length, or the unwrapped number.
    pub value: f64,
    /// A hash of the line, to tell samples of the same time apart.
    pub hash: u64,
}

/// Samples that share their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleSeries {
    /// The labels that the aggregation groups by; all where it does not.
    pub labels: Labels,
    /// By ascending time.
    pub samples: Vec<EntrySample>,
}

impl Engine {
    /// The samples of the entries from `start` (included) to `end` (excluded) that a metric query's range
    /// aggregation is made of, by the text of their labels. The range, the function and what is around
    /// it are not applied.
    ///
    /// # Errors
    /// As [`range`](Self::range); [`QueryError::Refused`] for a query that is not one range aggregation.
    pub fn samples(
        &self,
        tenant: &TenantId,
        query: &str,
        start: Timestamp,
        end: Timestamp,
        cancel: &Arc<AtomicBool>,
    ) -> Result<Vec<SampleSeries>, QueryError> {
        let Expr::Metric(expr) = parse(query)? else { return Err(no_samples()) };
        let start = start.max(self.limits.earliest.min(end));
        super::limits::check_length(start, end, &self.limits)?;
        let plan = MetricPlan::new(&expr, &self.limits)?;
        let plan = only_range(&plan).ok_or_else(no_samples)?;
        let context = Context::new(tenant.into(), self.store.snapshot(), &self.limits, cancel);
        let range = TimeRange::new(start, end);
        let mut reader = Reader {
            plan,
            context: &context,
            series: BTreeMap::new(),
            worker: None,
            worker_bytes: 0,
        };
        let mut scratch = ReadScratch::new();
        let predicate = plan.selection.pipeline.line_predicate();
        let mut units = context.chunks(&plan.selection.matchers, range, predicate)?;
        units.sort_unstable_by_key(|unit| unit.rank);
        for unit in units {
            let chunk = &unit.chunk;
            let Some(found) = context.select(chunk, range, predicate, &mut scratch)? else {
                continue;
            };
            for first in (0..found.len()).step_by(ROWS_PER_FETCH) {
                let part = first..found.len().min(first + ROWS_PER_FETCH);
                let batch = context.fetch(chunk, &found, part, Columns::ALL, &mut scratch)?;
                reader.take(&unit, &batch)?;
            }
        }
        let mut series: Vec<_> = reader
            .series
            .into_iter()
            .map(|(labels, samples)| SampleSeries { labels, samples })
            .collect();
        series.iter_mut().for_each(|one| one.samples.sort_by_key(|sample| sample.timestamp));
        series.sort_by_cached_key(|one| label_text(&one.labels));
        Ok(series)
    }
}

fn no_samples() -> QueryError {
    QueryError::Refused("samples are those of one range aggregation".to_owned())
}

fn only_range<'p, 'q>(plan: &'p MetricPlan<'q>) -> Option<&'p RangePlan<'q>> {
    match plan {
        MetricPlan::Range(range) => Some(range),
        MetricPlan::Vector(_, inner) | MetricPlan::LabelReplace(_, inner) => only_range(inner),
        MetricPlan::Binary(..) | MetricPlan::Literal(_) | MetricPlan::VectorLiteral(_) => None,
    }
}

struct Reader<'p> {
    plan: &'p RangePlan<'p>,
    context: &'p Context<'p>,
    series: BTreeMap<Labels, Vec<EntrySample>>,
    worker: Option<Worker<'p>>,
    worker_bytes: usize,
}

impl Reader<'_> {
    fn take(&mut self, unit: &ChunkUnit, batch: &Batch) -> Result<(), QueryError> {
        let pipeline = &self.plan.selection.pipeline;
        let stream = unit.chunk.labels();
        let worker =
            self.worker.get_or_insert_with(|| pipeline.worker(stream, &self.plan.output()));
        worker.set_stream(stream);
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        for (index, row) in batch.rows().iter().enumerate() {
            if index % ROWS_PER_CHECK == 0 {
                self.context.check()?;
            }
            let line = batch.line(row);
            let metadata = metadata_of(batch, row);
            let processed = worker.process(row.timestamp, line, metadata.as_ref());
            let Some(processed) = processed else { continue };
            let value = match (self.plan.measure, self.plan.unwraps) {
                (_, true) => match processed.value {
                    Some(value) => value,
                    None => continue,
                },
                #[expect(clippy::cast_precision_loss, reason = "lines are far below 2^53 bytes")]
                (Measure::Bytes { .. }, false) => processed.line.len() as f64,
                _ => 1.0,
            };
            let labels = processed.labels;
            let sample =
                EntrySample { timestamp: row.timestamp, value, hash: hasher.hash_one(line) };
            self.context.budget.charge(size_of::<EntrySample>())?;
            let labels = &worker.label_set(labels).labels;
            match self.series.get_mut(labels) {
                Some(samples) => samples.push(sample),
                None => {
                    self.context.budget.charge(SERIES_BYTES)?;
                    self.series.insert(labels.clone(), vec![sample]);
                    check_series(self.series.len(), self.context.limits)?;
                }
            }
            self.context.budget.follow(worker.memory_bytes(), &mut self.worker_bytes)?;
        }
        Ok(())
    }
}
