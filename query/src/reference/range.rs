//! Range aggregations, at one step.

use std::collections::BTreeMap;

use timberline_store::{Labels, MatchOp, Timestamp};

use super::vector::variance;
use super::{Passed, Vector};
use crate::QueryError;
use crate::syntax::{RangeAggregation, RangeFunction, Selector};

/// The aggregation of the entries that are in the window of the step at `time`.
///
/// # Errors
/// An entry with an error.
pub(super) fn aggregated(
    range: &RangeAggregation,
    passed: &[Passed],
    time: Timestamp,
) -> Result<Vector, QueryError> {
    let until = time - range.offset_nanos;
    let after = until - i64::try_from(range.range.as_nanos()).unwrap_or(i64::MAX);
    let mut entries: Vec<&Passed> = passed.iter().collect();
    entries.retain(|entry| after < entry.timestamp && entry.timestamp <= until);
    entries.sort_by_key(|entry| (entry.timestamp, &entry.stream, entry.arrival));
    if let Some(faulty) = entries.iter().find(|entry| entry.is_faulty) {
        return Err(QueryError::Refused(format!("pipeline error for series {}", faulty.labels)));
    }
    if range.function == RangeFunction::AbsentOverTime {
        let absent = (sure_labels(&range.log.selector), 1.0);
        return Ok(if entries.is_empty() { vec![absent] } else { Vec::new() });
    }
    let mut groups: BTreeMap<Labels, Vec<&Passed>> = BTreeMap::new();
    for entry in entries {
        groups.entry(entry.labels.clone()).or_default().push(entry);
    }
    let value = |entries: Vec<&Passed>| function(range, &entries);
    Ok(groups.into_iter().map(|(labels, entries)| (labels, value(entries))).collect())
}

/// The labels that one matcher names, with `=`.
fn sure_labels(selector: &Selector) -> Labels {
    let matchers = &selector.matchers;
    let sure = matchers.iter().filter(|matcher| {
        let same_name = matchers.iter().filter(|other| other.name == matcher.name);
        matcher.op == MatchOp::Equal && same_name.count() == 1
    });
    Labels::from_pairs(sure.map(|matcher| (matcher.name.as_str(), matcher.value.as_str())))
        .unwrap_or_default()
}

fn function(range: &RangeAggregation, entries: &[&Passed]) -> f64 {
    let seconds = range.range.as_secs_f64();
    let lines = entries.len() as f64;
    let bytes = entries.iter().map(|entry| entry.line.len()).sum::<usize>() as f64;
    let values: Vec<f64> = entries.iter().filter_map(|entry| entry.value).collect();
    let numbers = values.iter().copied().filter(|value| !value.is_nan());
    let sum: f64 = values.iter().sum();
    match range.function {
        RangeFunction::CountOverTime => lines,
        RangeFunction::Rate if range.unwrap.is_none() => lines / seconds,
        RangeFunction::Rate => sum / seconds,
        RangeFunction::BytesOverTime => bytes,
        RangeFunction::BytesRate => bytes / seconds,
        RangeFunction::SumOverTime => sum,
        RangeFunction::AvgOverTime => sum / lines,
        RangeFunction::MinOverTime => numbers.reduce(f64::min).unwrap_or(f64::NAN),
        RangeFunction::MaxOverTime => numbers.reduce(f64::max).unwrap_or(f64::NAN),
        RangeFunction::StdvarOverTime => variance(&values),
        RangeFunction::StddevOverTime => variance(&values).sqrt(),
        RangeFunction::FirstOverTime => values.first().copied().unwrap_or(f64::NAN),
        RangeFunction::LastOverTime => values.last().copied().unwrap_or(f64::NAN),
        RangeFunction::QuantileOverTime => quantile(range.parameter.unwrap_or_default(), values),
        RangeFunction::RateCounter => rate_counter(entries, &values, seconds),
        RangeFunction::AbsentOverTime => 1.0,
    }
}

fn quantile(phi: f64, mut values: Vec<f64>) -> f64 {
    if !(0.0..=1.0).contains(&phi) {
        return if phi < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    // Any NaN is the least.
    let key = |value: f64| if value.is_nan() { f64::NEG_INFINITY } else { value };
    values.sort_by(|left, right| {
        (!left.is_nan()).cmp(&!right.is_nan()).then(key(*left).total_cmp(&key(*right)))
    });
    let last = values.len() - 1;
    let rank = phi * last as f64;
    let low = rank as usize;
    let high = (low + 1).min(last);
    let weight = rank - low as f64;
    values[low] * (1.0 - weight) + values[high] * weight
}

/// As Loki 3.7: the distance of the samples in microseconds, the range in seconds.
fn rate_counter(entries: &[&Passed], values: &[f64], seconds: f64) -> f64 {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return 0.0 };
    if entries.len() < 2 {
        return 0.0;
    }
    let mut increase = values[values.len() - 1] - values[0];
    for pair in values.windows(2) {
        if pair[1] < pair[0] {
            increase += pair[0];
        }
    }
    let sampled = (last.timestamp - first.timestamp) as f64 / 1000.0;
    let average = sampled / (entries.len() - 1) as f64;
    let mut start = seconds;
    if increase > 0.0 && values[0] >= 0.0 {
        start = start.min(sampled * (values[0] / increase));
    }
    if start >= average * 1.1 {
        start = average / 2.0;
    }
    let end = if average > 0.0 { 0.0 } else { average / 2.0 };
    increase * ((sampled + start + end) / sampled) / seconds
}
