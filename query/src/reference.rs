//! A slow, obvious evaluator, for tests to hold the engine against.
//!
//! It keeps every entry in one list and evaluates each step by itself: for each step each entry is
//! looked at, each window is computed from its definition, labels are grouped and matched anew. What
//! it shares with the engine are the parser, the pipeline's stages and the types of queries and
//! answers; how chunks are read, windows are found, counts are kept and series are put together is
//! written here a second time.

use std::collections::BTreeMap;

use timberline_store::{Labels, Matcher, Metadata, Timestamp};

use crate::pipeline::{Hints, NeededLabels, Output, Pipeline};
use crate::syntax::{
    BinaryOp, BinaryOperation, Expr, Grouping, LogExpr, MetricExpr, MetricKind, RangeAggregation,
    RangeFunction, Unwrap, VectorAggregation, VectorFunction, VectorMatching, parse,
};
use crate::{
    Direction, EntryResult, InstantQuery, QueryError, QueryValue, RangeQuery, Sample, Series,
    StreamResult,
};

/// An entry as it was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceEntry {
    /// Its stream.
    pub stream: Labels,
    /// When.
    pub timestamp: Timestamp,
    /// The line.
    pub line: Vec<u8>,
    /// Structured metadata.
    pub metadata: Metadata,
}

/// All entries, in the order of arrival.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    entries: Vec<ReferenceEntry>,
}

/// A vector at one step.
type Vector = Vec<(Labels, f64)>;

/// What an expression is at one step.
enum Value {
    Scalar(f64),
    Vector(Vector),
}

/// An entry behind the pipeline.
struct Passed {
    timestamp: Timestamp,
    stream: String,
    arrival: usize,
    line: Vec<u8>,
    labels: Labels,
    value: Option<f64>,
}

impl Reference {
    /// Adds an entry, unless it is there already.
    pub fn push(&mut self, entry: ReferenceEntry) {
        if !self.entries.contains(&entry) {
            self.entries.push(entry);
        }
    }

    /// Evaluates a query over a range of time; never categorises labels.
    ///
    /// # Errors
    /// A query that does not parse, and samples that match more than one.
    pub fn range(&self, query: &RangeQuery) -> Result<QueryValue, QueryError> {
        let expr = match parse(&query.query)? {
            Expr::Log(expr) => return Ok(QueryValue::Streams(self.streams(&expr, query)?)),
            Expr::Metric(expr) => expr,
        };
        let mut matrix: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
        let mut time = query.start;
        while time <= query.end {
            for (labels, value) in self.vector(&expr, time)? {
                matrix.entry(labels).or_default().push((time.div_euclid(1_000_000), value));
            }
            time += query.step;
        }
        let series = matrix.into_iter().map(|(labels, points)| Series { labels, points });
        Ok(QueryValue::Matrix(series.collect()))
    }

    /// Evaluates a metric query at one point in time; the samples are sorted by labels.
    ///
    /// # Errors
    /// As [`range`](Self::range).
    pub fn instant(&self, query: &InstantQuery) -> Result<QueryValue, QueryError> {
        let Expr::Metric(expr) = parse(&query.query)? else {
            return Err(QueryError::Refused("a log query at an instant".to_owned()));
        };
        let timestamp_ms = query.time.div_euclid(1_000_000);
        let mut vector = match self.at(&expr, query.time)? {
            Value::Scalar(value) => return Ok(QueryValue::Scalar { timestamp_ms, value }),
            Value::Vector(vector) => vector,
        };
        vector.sort_by(|left, right| left.0.cmp(&right.0));
        let samples = vector.into_iter();
        let samples = samples.map(|(labels, value)| Sample { labels, timestamp_ms, value });
        Ok(QueryValue::Vector(samples.collect()))
    }

    fn streams(&self, expr: &LogExpr, query: &RangeQuery) -> Result<Vec<StreamResult>, QueryError> {
        let is_in = |time| query.start <= time && time < query.end;
        let mut passed = self.passed(expr, None, &Hints::LOG, is_in)?;
        passed.sort_by(|left, right| match query.direction {
            Direction::Forward => (left.timestamp, &left.stream, left.arrival).cmp(&(
                right.timestamp,
                &right.stream,
                right.arrival,
            )),
            Direction::Backward => (right.timestamp, &left.stream, right.arrival).cmp(&(
                left.timestamp,
                &right.stream,
                left.arrival,
            )),
        });
        let mut streams: BTreeMap<String, StreamResult> = BTreeMap::new();
        let (mut count, mut last) = (0, None);
        for entry in passed {
            let is_due = last.is_none_or(|last: Timestamp| {
                entry.timestamp.abs_diff(last) >= query.interval.unsigned_abs()
            });
            if count == query.limit || !is_due {
                continue;
            }
            count += 1;
            last = Some(entry.timestamp);
            let empty = StreamResult { labels: entry.labels.clone(), entries: Vec::new() };
            let stream = streams.entry(entry.labels.to_string()).or_insert(empty);
            stream.entries.push(EntryResult {
                timestamp: entry.timestamp,
                line: entry.line.into(),
                structured_metadata: Metadata::default(),
                parsed: Metadata::default(),
            });
        }
        Ok(streams.into_values().collect())
    }

    /// The entries that pass, in the order of arrival.
    fn passed(
        &self,
        expr: &LogExpr,
        unwrap: Option<&Unwrap>,
        hints: &Hints,
        is_in: impl Fn(Timestamp) -> bool,
    ) -> Result<Vec<Passed>, QueryError> {
        let pipeline = Pipeline::compile(&expr.stages, unwrap, hints)?;
        let mut matchers = Vec::new();
        for matcher in &expr.selector.matchers {
            let matcher = Matcher::new(&matcher.name, matcher.op, &matcher.value);
            matchers.push(matcher.map_err(|error| QueryError::Refused(error.to_string()))?);
        }
        let mut passed = Vec::new();
        for (arrival, entry) in self.entries.iter().enumerate() {
            let value = |matcher: &Matcher| entry.stream.get(matcher.name()).unwrap_or_default();
            if !is_in(entry.timestamp)
                || !matchers.iter().all(|matcher| matcher.matches(value(matcher)))
                || !pipeline.line_predicate().matches(&entry.line)
            {
                continue;
            }
            let mut worker = pipeline.worker(&entry.stream, &Output::Full);
            let processed = worker.process(entry.timestamp, &entry.line, &entry.metadata);
            let Some(processed) = processed else { continue };
            let (line, value, labels) =
                (processed.line.to_vec(), processed.value, processed.labels);
            let set = worker.label_set(labels);
            if set.error && !hints.line {
                return Err(QueryError::Refused("pipeline error".to_owned()));
            }
            let (stream, labels) = (entry.stream.to_string(), set.labels.clone());
            let timestamp = entry.timestamp;
            passed.push(Passed { timestamp, stream, arrival, line, labels, value });
        }
        Ok(passed)
    }

    fn at(&self, expr: &MetricExpr, time: Timestamp) -> Result<Value, QueryError> {
        Ok(match &expr.kind {
            MetricKind::Literal(value) => Value::Scalar(*value),
            MetricKind::VectorLiteral(value) => Value::Vector(vec![(Labels::default(), *value)]),
            MetricKind::Range(range) => Value::Vector(self.range_at(range, time)?),
            MetricKind::Vector(aggregation) => {
                Value::Vector(aggregated(aggregation, self.vector(&aggregation.inner, time)?))
            }
            MetricKind::Binary(operation) => {
                let (left, right) =
                    (self.at(&operation.left, time)?, self.at(&operation.right, time)?);
                binary(operation, left, right)?
            }
            MetricKind::LabelReplace(_) => {
                return Err(QueryError::Refused("label_replace is left out".to_owned()));
            }
        })
    }

    fn vector(&self, expr: &MetricExpr, time: Timestamp) -> Result<Vector, QueryError> {
        Ok(match self.at(expr, time)? {
            Value::Scalar(value) => vec![(Labels::default(), value)],
            Value::Vector(vector) => vector,
        })
    }

    fn range_at(&self, range: &RangeAggregation, time: Timestamp) -> Result<Vector, QueryError> {
        let to = time - range.offset_nanos;
        let from = to - i64::try_from(range.range.as_nanos()).unwrap_or(i64::MAX);
        let hints = Hints { labels: NeededLabels::All, line: false };
        let is_in = |time| from < time && time <= to;
        let mut passed = self.passed(&range.log, range.unwrap.as_ref(), &hints, is_in)?;
        passed.retain(|entry| range.unwrap.is_none() || entry.value.is_some());
        passed.sort_by(|left, right| {
            (left.timestamp, &left.stream, left.arrival).cmp(&(
                right.timestamp,
                &right.stream,
                right.arrival,
            ))
        });
        let mut groups: BTreeMap<Labels, Vec<Passed>> = BTreeMap::new();
        for entry in passed {
            let labels = match &range.grouping {
                Some(grouping) => grouped(&entry.labels, grouping),
                None => entry.labels.clone(),
            };
            groups.entry(labels).or_default().push(entry);
        }
        let seconds = range.range.as_secs_f64();
        let value = |entries: Vec<Passed>| function(range, &entries, seconds);
        Ok(groups.into_iter().map(|(labels, entries)| (labels, value(entries))).collect())
    }
}

fn function(range: &RangeAggregation, entries: &[Passed], seconds: f64) -> f64 {
    let lines = entries.len() as f64;
    let bytes = entries.iter().map(|entry| entry.line.len()).sum::<usize>() as f64;
    let mut values: Vec<f64> = entries.iter().filter_map(|entry| entry.value).collect();
    let sum: f64 = values.iter().sum();
    let mean = sum / lines;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / lines;
    match range.function {
        RangeFunction::CountOverTime => lines,
        RangeFunction::Rate if range.unwrap.is_none() => lines / seconds,
        RangeFunction::Rate => sum / seconds,
        RangeFunction::BytesOverTime => bytes,
        RangeFunction::BytesRate => bytes / seconds,
        RangeFunction::SumOverTime => sum,
        RangeFunction::AvgOverTime => mean,
        RangeFunction::MinOverTime => values.iter().copied().fold(f64::INFINITY, f64::min),
        RangeFunction::MaxOverTime => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        RangeFunction::StdvarOverTime => variance,
        RangeFunction::StddevOverTime => variance.sqrt(),
        RangeFunction::FirstOverTime => values.first().copied().unwrap_or(f64::NAN),
        RangeFunction::LastOverTime => values.last().copied().unwrap_or(f64::NAN),
        RangeFunction::QuantileOverTime => {
            values.sort_by(f64::total_cmp);
            let rank = range.parameter.unwrap_or_default() * (lines - 1.0);
            let at = |rank: f64| values.get(rank as usize).copied().unwrap_or(f64::NAN);
            let high = (rank.floor() + 1.0).min(lines - 1.0);
            at(rank.floor()) * (1.0 - rank.fract()) + at(high) * rank.fract()
        }
        // Left out: their answers are pinned by tests of their own.
        RangeFunction::RateCounter | RangeFunction::AbsentOverTime => f64::NAN,
    }
}

fn grouped(labels: &Labels, grouping: &Grouping) -> Labels {
    let is_named = |name: &str| grouping.labels.iter().any(|label| label == name);
    let kept = labels.iter().filter(|(name, _)| is_named(name) != grouping.without);
    Labels::metadata(kept).unwrap_or_default()
}

fn aggregated(aggregation: &VectorAggregation, vector: Vector) -> Vector {
    let mut groups: BTreeMap<Labels, Vector> = BTreeMap::new();
    for (labels, value) in vector {
        let key = aggregation
            .grouping
            .as_ref()
            .map_or_else(Labels::default, |grouping| grouped(&labels, grouping));
        groups.entry(key).or_default().push((labels, value));
    }
    let ranked = |mut samples: Vector, largest: bool| {
        samples.sort_by(|left, right| {
            let order = left.1.total_cmp(&right.1);
            if largest { order.reverse() } else { order }
        });
        let count = aggregation.parameter.and_then(|count| usize::try_from(count).ok());
        samples.truncate(count.unwrap_or(usize::MAX));
        samples
    };
    let mut result = Vec::new();
    for (key, samples) in groups {
        let values: Vec<f64> = samples.iter().map(|(_, value)| *value).collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let value = match aggregation.function {
            VectorFunction::Sum => values.iter().sum(),
            VectorFunction::Avg => mean,
            VectorFunction::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
            VectorFunction::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            VectorFunction::Count => count,
            VectorFunction::Stdvar => variance,
            VectorFunction::Stddev => variance.sqrt(),
            VectorFunction::Topk | VectorFunction::ApproxTopk => {
                result.extend(ranked(samples, true));
                continue;
            }
            VectorFunction::Bottomk => {
                result.extend(ranked(samples, false));
                continue;
            }
            VectorFunction::Sort | VectorFunction::SortDesc => {
                result.extend(samples);
                continue;
            }
        };
        result.push((key, value));
    }
    result
}

fn number(op: BinaryOp, left: f64, right: f64) -> f64 {
    let told = |holds: bool| if holds { 1.0 } else { 0.0 };
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div if right == 0.0 => f64::NAN,
        BinaryOp::Mod if right == 0.0 => f64::NAN,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        BinaryOp::Equal => told(left == right),
        BinaryOp::NotEqual => told(left != right),
        BinaryOp::Less => told(left < right),
        BinaryOp::LessOrEqual => told(left <= right),
        BinaryOp::Greater => told(left > right),
        BinaryOp::GreaterOrEqual => told(left >= right),
        BinaryOp::Or | BinaryOp::And | BinaryOp::Unless => f64::NAN,
    }
}

/// The sample that the operation makes: nothing where a comparison filters it out.
fn sample(operation: &BinaryOperation, left: f64, right: f64, kept: f64) -> Option<f64> {
    let is_comparison = matches!(
        operation.op,
        BinaryOp::Equal
            | BinaryOp::NotEqual
            | BinaryOp::Less
            | BinaryOp::LessOrEqual
            | BinaryOp::Greater
            | BinaryOp::GreaterOrEqual
    );
    let value = number(operation.op, left, right);
    if is_comparison && !operation.return_bool {
        (value == 1.0).then_some(kept)
    } else {
        Some(value)
    }
}

fn key(labels: &Labels, matching: Option<&VectorMatching>) -> Labels {
    let Some(matching) = matching else { return labels.clone() };
    grouped(labels, &Grouping { without: !matching.on, labels: matching.labels.clone() })
}

fn binary(operation: &BinaryOperation, left: Value, right: Value) -> Result<Value, QueryError> {
    let matching = operation.matching.as_ref();
    let (left, right) = match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => {
            return Ok(Value::Scalar(number(operation.op, left, right)));
        }
        (Value::Vector(left), Value::Scalar(right)) => {
            let mapped = left.into_iter();
            let mapped = mapped.filter_map(|(labels, value)| {
                Some((labels, sample(operation, value, right, value)?))
            });
            return Ok(Value::Vector(mapped.collect()));
        }
        (Value::Scalar(left), Value::Vector(right)) => {
            let mapped = right.into_iter();
            let mapped = mapped.filter_map(|(labels, value)| {
                Some((labels, sample(operation, left, value, value)?))
            });
            return Ok(Value::Vector(mapped.collect()));
        }
        (Value::Vector(left), Value::Vector(right)) => (left, right),
    };
    let has = |vector: &Vector, labels: &Labels| {
        vector.iter().any(|(other, _)| key(other, matching) == key(labels, matching))
    };
    Ok(Value::Vector(match operation.op {
        BinaryOp::And => left.into_iter().filter(|(labels, _)| has(&right, labels)).collect(),
        BinaryOp::Unless => left.into_iter().filter(|(labels, _)| !has(&right, labels)).collect(),
        BinaryOp::Or => {
            let others: Vector =
                right.into_iter().filter(|(labels, _)| !has(&left, labels)).collect();
            left.into_iter().chain(others).collect()
        }
        _ => matched(operation, &left, &right)?,
    }))
}

fn matched(
    operation: &BinaryOperation,
    left: &Vector,
    right: &Vector,
) -> Result<Vector, QueryError> {
    let matching = operation.matching.as_ref();
    let group = matching.and_then(|matching| matching.group.as_ref());
    let many_is_left = group.is_none_or(|group| group.left);
    let (many, one) = if many_is_left { (left, right) } else { (right, left) };
    let partners = |labels: &Labels, vector: &Vector| -> Vector {
        let own = key(labels, matching);
        vector.iter().filter(|(other, _)| key(other, matching) == own).cloned().collect()
    };
    let ambiguous = || QueryError::Refused("more than one sample matches".to_owned());
    if one.iter().any(|(labels, _)| partners(labels, one).len() > 1) {
        return Err(ambiguous());
    }
    let mut seen: Vec<(Labels, Labels)> = Vec::new();
    let mut result = Vec::new();
    for (labels, value) in many {
        for (partner, other) in partners(labels, one) {
            let mut set: BTreeMap<String, String> = BTreeMap::new();
            let own = key(labels, matching);
            let base = if group.is_some() { labels } else { &own };
            set.extend(base.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
            for name in group.iter().flat_map(|group| &group.include) {
                set.remove(name);
                set.extend(partner.get(name).map(|value| (name.clone(), value.to_owned())));
            }
            let labels = Labels::metadata(set).unwrap_or_default();
            if seen.contains(&(own.clone(), labels.clone())) {
                return Err(ambiguous());
            }
            seen.push((own, labels.clone()));
            let (left, right) = if many_is_left { (*value, other) } else { (other, *value) };
            result.extend(sample(operation, left, right, left).map(|value| (labels, value)));
        }
    }
    Ok(result)
}
