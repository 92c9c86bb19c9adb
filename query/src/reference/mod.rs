//! A slow, obvious evaluator, for tests to hold the engine against.
//!
//! It keeps every entry in one list, keeps an entry's labels in maps by where they came from, runs
//! every stage where it stands, and evaluates each step by itself: for each step each entry is looked
//! at, each window is computed from its definition, labels are grouped and matched anew. Nothing is
//! pushed down. What it shares with the engine are the parser, the conventions of Go (regular
//! expressions, numbers, quoting), the execution of templates, and the types of queries and answers;
//! everything else is written here a second time.

mod binary;
mod filters;
mod hints;
mod json;
mod labels;
mod parsers;
mod range;
mod stages;
mod text;
mod vector;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use timberline_store::{Labels, Metadata, Timestamp};

use self::hints::Needed;
use self::labels::{EntryLabels, to_labels};
use self::stages::Stages;
use crate::label_text::label_text;
use crate::syntax::{
    Expr, Grouping, LogExpr, MetricExpr, MetricKind, ParseError, RangeAggregation, RangeFunction,
    VectorFunction, parse,
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

/// An entry of a range aggregation behind the stages.
struct Passed {
    timestamp: Timestamp,
    stream: String,
    arrival: usize,
    line: Vec<u8>,
    /// Those of its series.
    labels: Labels,
    value: Option<f64>,
    is_faulty: bool,
}

/// A metric query on its way. The entries of a range aggregation are the same at every step but for
/// the window, so they are kept.
struct Evaluation<'a> {
    reference: &'a Reference,
    passed: RefCell<HashMap<*const RangeAggregation, Rc<Vec<Passed>>>>,
    is_instant: bool,
}

/// Labels by a grouping.
fn grouped(labels: &Labels, grouping: &Grouping) -> Labels {
    let is_named = |name: &str| grouping.labels.iter().any(|label| label == name);
    let kept = labels.iter().filter(|(name, _)| is_named(name) != grouping.without);
    Labels::metadata(kept).unwrap_or_default()
}

impl Reference {
    /// Adds an entry, unless it is there already.
    pub fn push(&mut self, entry: ReferenceEntry) {
        if !self.entries.contains(&entry) {
            self.entries.push(entry);
        }
    }

    /// Evaluates a query over a range of time.
    ///
    /// # Errors
    /// A query that does not parse or compile, entries with errors in a metric query, and samples that
    /// match more than one. The texts are not the engine's.
    pub fn range(&self, query: &RangeQuery) -> Result<QueryValue, QueryError> {
        let expr = match parse(&query.query)? {
            Expr::Log(expr) => return Ok(QueryValue::Streams(self.streams(&expr, query)?)),
            Expr::Metric(expr) => expr,
        };
        let evaluation = self.evaluation(query.start == query.end);
        let mut matrix: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
        let mut time = query.start;
        while time <= query.end {
            for (labels, value) in evaluation.vector(&expr, time)? {
                matrix.entry(labels).or_default().push((time.div_euclid(1_000_000), value));
            }
            time += query.step;
        }
        let series = matrix.into_iter().map(|(labels, points)| Series { labels, points });
        Ok(QueryValue::Matrix(series.collect()))
    }

    /// Evaluates a metric query at one point in time; the samples are sorted by labels, unless the
    /// query sorts.
    ///
    /// # Errors
    /// As [`range`](Self::range).
    pub fn instant(&self, query: &InstantQuery) -> Result<QueryValue, QueryError> {
        let Expr::Metric(expr) = parse(&query.query)? else {
            return Err(QueryError::Refused("a log query at an instant".to_owned()));
        };
        let timestamp_ms = query.time.div_euclid(1_000_000);
        let mut vector = match self.evaluation(true).at(&expr, query.time)? {
            Value::Scalar(value) => return Ok(QueryValue::Scalar { timestamp_ms, value }),
            Value::Vector(vector) => vector,
        };
        if !sorts(&expr) {
            vector.sort_by(|left, right| left.0.cmp(&right.0));
        }
        let samples = vector.into_iter();
        let samples = samples.map(|(labels, value)| Sample { labels, timestamp_ms, value });
        Ok(QueryValue::Vector(samples.collect()))
    }

    fn evaluation(&self, is_instant: bool) -> Evaluation<'_> {
        Evaluation { reference: self, passed: RefCell::default(), is_instant }
    }

    /// The entries that a selector selects, with their place in the order of arrival.
    fn selected(&self, expr: &LogExpr) -> Result<Vec<(usize, &ReferenceEntry)>, ParseError> {
        let mut selected = Vec::new();
        for (arrival, entry) in self.entries.iter().enumerate() {
            let mut is_selected = true;
            for matcher in &expr.selector.matchers {
                let value = entry.stream.get(&matcher.name).unwrap_or_default();
                is_selected &= filters::matches(matcher, value).map_err(ParseError::new)?;
            }
            if is_selected {
                selected.push((arrival, entry));
            }
        }
        Ok(selected)
    }

    fn streams(&self, expr: &LogExpr, query: &RangeQuery) -> Result<Vec<StreamResult>, QueryError> {
        let needed = Needed::default();
        let stages = Stages::new(&expr.stages, None, true, &needed)?;
        let mut entries = self.selected(expr)?;
        entries.retain(|(_, entry)| query.start <= entry.timestamp && entry.timestamp < query.end);
        // The other way round within a stream, but not from stream to stream.
        let sign = if query.direction == Direction::Forward { 1 } else { -1 };
        entries.sort_by_key(|(arrival, entry)| {
            let arrival = i64::try_from(*arrival).unwrap_or(i64::MAX);
            (sign * entry.timestamp, label_text(&entry.stream), sign * arrival)
        });
        let mut streams: BTreeMap<String, StreamResult> = BTreeMap::new();
        let (mut count, mut last) = (0, None);
        for (_, entry) in entries {
            let mut labels = EntryLabels::new(&entry.stream, &entry.metadata, &needed);
            let passed = stages.run(entry.timestamp, &entry.line, &mut labels);
            let Some((line, _)) = passed.map_err(ParseError::new)? else { continue };
            let is_due = last.is_none_or(|last: Timestamp| {
                entry.timestamp.abs_diff(last) >= query.interval.unsigned_abs()
            });
            if count == query.limit || !is_due {
                continue;
            }
            count += 1;
            last = Some(entry.timestamp);
            let categories = labels.categories();
            let (labels, metadata, parsed) = match query.categorize_labels {
                true => (categories.stream, categories.metadata, categories.parsed),
                false => {
                    (to_labels(&labels.with_error()), Metadata::default(), Metadata::default())
                }
            };
            let empty = StreamResult { labels: labels.clone(), entries: Vec::new() };
            streams.entry(label_text(&labels)).or_insert(empty).entries.push(EntryResult {
                timestamp: entry.timestamp,
                line: line.into(),
                structured_metadata: metadata,
                parsed,
            });
        }
        Ok(streams.into_values().collect())
    }
}

/// Whether the query says how an instant's samples are ordered.
fn sorts(expr: &MetricExpr) -> bool {
    match &expr.kind {
        MetricKind::Vector(aggregation) => {
            matches!(aggregation.function, VectorFunction::Sort | VectorFunction::SortDesc)
                || sorts(&aggregation.inner)
        }
        MetricKind::Binary(operation) => sorts(&operation.left) || sorts(&operation.right),
        MetricKind::LabelReplace(replace) => sorts(&replace.inner),
        _ => false,
    }
}

impl Evaluation<'_> {
    fn at(&self, expr: &MetricExpr, time: Timestamp) -> Result<Value, QueryError> {
        self.at_within(expr, time, None)
    }

    fn vector(&self, expr: &MetricExpr, time: Timestamp) -> Result<Vector, QueryError> {
        Ok(vector_of(self.at(expr, time)?))
    }

    /// The expression's value; `known` is the grouping around it that parsers know of.
    fn at_within(
        &self,
        expr: &MetricExpr,
        time: Timestamp,
        known: Option<&Grouping>,
    ) -> Result<Value, QueryError> {
        Ok(match &expr.kind {
            MetricKind::Literal(value) => Value::Scalar(*value),
            MetricKind::VectorLiteral(value) => Value::Vector(vec![(Labels::default(), *value)]),
            MetricKind::Range(range) => {
                Value::Vector(range::aggregated(range, &self.passed(range, known)?, time)?)
            }
            MetricKind::Vector(aggregation) => {
                let known = match &aggregation.inner.kind {
                    MetricKind::Range(range) => hints::known_grouping(aggregation, range),
                    _ => None,
                };
                let inner = vector_of(self.at_within(&aggregation.inner, time, known.as_ref())?);
                Value::Vector(vector::aggregated(aggregation, inner, self.is_instant))
            }
            MetricKind::Binary(operation) => {
                let left = self.at(&operation.left, time)?;
                binary::binary(operation, left, self.at(&operation.right, time)?)?
            }
            MetricKind::LabelReplace(replace) => {
                Value::Vector(vector::replaced(replace, self.vector(&replace.inner, time)?)?)
            }
        })
    }

    /// The entries of a range aggregation, whatever their time.
    fn passed(
        &self,
        range: &RangeAggregation,
        known: Option<&Grouping>,
    ) -> Result<Rc<Vec<Passed>>, QueryError> {
        let key: *const RangeAggregation = range;
        if let Some(passed) = self.passed.borrow().get(&key) {
            return Ok(Rc::clone(passed));
        }
        let passed = Rc::new(passed(self.reference, range, known)?);
        self.passed.borrow_mut().insert(key, Rc::clone(&passed));
        Ok(passed)
    }
}

fn vector_of(value: Value) -> Vector {
    match value {
        Value::Scalar(value) => vec![(Labels::default(), value)],
        Value::Vector(vector) => vector,
    }
}

fn passed(
    reference: &Reference,
    range: &RangeAggregation,
    known: Option<&Grouping>,
) -> Result<Vec<Passed>, QueryError> {
    let nothing = Grouping { without: false, labels: Vec::new() };
    let grouping = match range.function {
        RangeFunction::AbsentOverTime => Some(&nothing),
        _ => range.grouping.as_ref().or(known),
    };
    let needs_line =
        matches!(range.function, RangeFunction::BytesOverTime | RangeFunction::BytesRate);
    let needed = Needed::new(range, &stages::seen(&range.log.stages, needs_line), grouping);
    let stages = Stages::new(&range.log.stages, range.unwrap.as_ref(), needs_line, &needed)?;
    let mut passed = Vec::new();
    for (arrival, entry) in reference.selected(&range.log)? {
        let mut labels = EntryLabels::new(&entry.stream, &entry.metadata, &needed);
        let run = stages.run(entry.timestamp, &entry.line, &mut labels);
        let Some((line, value)) = run.map_err(ParseError::new)? else { continue };
        passed.push(Passed {
            timestamp: entry.timestamp,
            stream: label_text(&entry.stream),
            arrival,
            line,
            labels: series_labels(range, grouping, &labels),
            value,
            is_faulty: labels.is_faulty(),
        });
    }
    Ok(passed)
}

/// The labels of an entry's series: grouped and without the unwrapped one, unless it has an error.
fn series_labels(
    range: &RangeAggregation,
    grouping: Option<&Grouping>,
    labels: &EntryLabels<'_>,
) -> Labels {
    let mut all = labels.with_error();
    if labels.error.is_some() {
        return to_labels(&all);
    }
    let by = grouping.filter(|grouping| !grouping.without);
    if let (None, Some(unwrap)) = (by, &range.unwrap) {
        all.remove(&unwrap.label);
    }
    let all = to_labels(&all);
    grouping.map_or_else(|| all.clone(), |grouping| grouped(&all, grouping))
}
