//! Vector aggregations and `label_replace`, at one step.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use regex::Regex;
use timberline_store::Labels;

use super::labels::{Map, to_labels};
use super::{Vector, grouped};
use crate::QueryError;
use crate::syntax::{LabelReplace, VectorAggregation, VectorFunction};

/// The order of values; NaN is last either way.
fn order(left: f64, right: f64, largest_first: bool) -> Ordering {
    match (left.is_nan(), right.is_nan()) {
        (false, false) if largest_first => right.total_cmp(&(left + 0.0)),
        (false, false) => left.total_cmp(&(right + 0.0)),
        (left, right) => left.cmp(&right),
    }
}

/// The aggregation of a vector. `sorts` says whether the order of the result is looked at.
pub(super) fn aggregated(
    aggregation: &VectorAggregation,
    mut vector: Vector,
    sorts: bool,
) -> Vector {
    use VectorFunction::{ApproxTopk, Bottomk, Sort, SortDesc, Topk};
    let function = aggregation.function;
    let largest_first = matches!(function, Topk | ApproxTopk | SortDesc);
    if matches!(function, Sort | SortDesc) {
        if sorts {
            vector.sort_by(|left, right| order(left.1, right.1, largest_first));
        }
        return vector;
    }
    let mut groups: BTreeMap<Labels, Vector> = BTreeMap::new();
    for (labels, value) in vector {
        let key = aggregation
            .grouping
            .as_ref()
            .map_or_else(Labels::default, |grouping| grouped(&labels, grouping));
        groups.entry(key).or_default().push((labels, value));
    }
    let mut result = Vec::new();
    for (key, mut samples) in groups {
        if matches!(function, Topk | ApproxTopk | Bottomk) {
            samples.sort_by(|left, right| order(left.1, right.1, largest_first));
            let count = aggregation.parameter.and_then(|count| usize::try_from(count).ok());
            samples.truncate(count.unwrap_or(1));
            result.extend(samples);
        } else {
            let values: Vec<f64> = samples.iter().map(|(_, value)| *value).collect();
            result.push((key, folded(function, &values)));
        }
    }
    result
}

fn folded(function: VectorFunction, values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let numbers = values.iter().copied().filter(|value| !value.is_nan());
    match function {
        VectorFunction::Count => count,
        VectorFunction::Min => numbers.reduce(f64::min).unwrap_or(f64::NAN),
        VectorFunction::Max => numbers.reduce(f64::max).unwrap_or(f64::NAN),
        VectorFunction::Stdvar => variance(values),
        VectorFunction::Stddev => variance(values).sqrt(),
        // A mean that was infinite once is no number from then on.
        VectorFunction::Avg => match values.iter().position(|value| value.is_infinite()) {
            Some(at) if at + 1 < values.len() => f64::NAN,
            _ => values.iter().sum::<f64>() / count,
        },
        _ => values.iter().sum(),
    }
}

/// The population variance; of numbers that are not all finite there is none.
pub(super) fn variance(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count
}

/// `label_replace(…)`
///
/// # Errors
/// A regular expression that does not compile.
pub(super) fn replaced(replace: &LabelReplace, vector: Vector) -> Result<Vector, QueryError> {
    let regex = Regex::new(&format!("^(?:{})$", replace.regex))
        .map_err(|error| QueryError::Refused(error.to_string()))?;
    let replaced = vector.into_iter().map(|(labels, value)| {
        let Some(captures) = regex.captures(labels.get(&replace.source).unwrap_or_default()) else {
            return (labels, value);
        };
        let mut text = String::new();
        captures.expand(&replace.replacement, &mut text);
        let mut map: Map =
            labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        map.remove(&replace.destination);
        if !text.is_empty() {
            map.insert(replace.destination.clone(), text);
        }
        (to_labels(&map), value)
    });
    Ok(replaced.collect())
}
