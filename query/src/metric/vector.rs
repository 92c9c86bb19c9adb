//! Aggregations over the series of a vector, at every step.

use timberline_store::Labels;

use crate::QueryError;
use crate::budget::Budget;
use crate::syntax::{VectorAggregation, VectorFunction};

use super::series::{Groups, POINT_BYTES, SERIES_BYTES, StepSeries, group_labels};

/// A value of one of a group's series at one step.
#[derive(Clone, Copy, Debug)]
struct Cell {
    step: u32,
    /// The series' place in its group.
    series: usize,
    value: f64,
}

/// Evaluates an aggregation over the series of its inner expression.
///
/// `is_instant` says whether there is only one step and the order of the result matters: `sort` and
/// `topk` order their result then.
///
/// # Errors
/// The budget's.
pub(crate) fn aggregate(
    aggregation: &VectorAggregation,
    input: Vec<StepSeries>,
    is_instant: bool,
    budget: &Budget,
) -> Result<Vec<StepSeries>, QueryError> {
    let largest_first = match aggregation.function {
        VectorFunction::Sort | VectorFunction::SortDesc => {
            let descending = aggregation.function == VectorFunction::SortDesc;
            return Ok(if is_instant { sorted(input, descending) } else { input });
        }
        VectorFunction::Topk | VectorFunction::ApproxTopk => Some(true),
        VectorFunction::Bottomk => Some(false),
        _ => None,
    };
    let grouping = aggregation.grouping.as_ref();
    let groups = Groups::collect(
        input.into_iter().map(|series| (group_labels(&series.labels, grouping), series)),
    );
    let mut result = Vec::new();
    for (labels, members) in groups.into_groups() {
        match largest_first {
            Some(largest_first) => {
                let count = aggregation.parameter.unwrap_or(1);
                result.extend(ranked(members, count, largest_first, is_instant));
            }
            None => {
                let series = folded(labels, &members, aggregation.function);
                budget.charge(SERIES_BYTES + series.points.len() * POINT_BYTES)?;
                result.push(series);
            }
        }
    }
    if largest_first.is_none() {
        result.sort_by(|left, right| left.labels.cmp(&right.labels));
    }
    Ok(result)
}

/// The values of a group by step; at each step in the order of the series.
fn cells(members: &[StepSeries]) -> Vec<Cell> {
    let mut cells: Vec<Cell> = members
        .iter()
        .enumerate()
        .flat_map(|(series, member)| {
            member.points.iter().map(move |&(step, value)| Cell { step, series, value })
        })
        .collect();
    // Each series is a sorted run already, which a stable merge sort makes use of.
    cells.sort_by_key(|cell| cell.step);
    cells
}

/// One value for each step at which the group has any.
fn folded(labels: Labels, members: &[StepSeries], function: VectorFunction) -> StepSeries {
    let cells = cells(members);
    let points = cells
        .chunk_by(|left, right| left.step == right.step)
        .map(|cells| (cells[0].step, fold(function, cells.iter().map(|cell| cell.value))))
        .collect();
    StepSeries { labels, points }
}

fn fold(function: VectorFunction, values: impl Iterator<Item = f64>) -> f64 {
    match function {
        VectorFunction::Avg => {
            let mut seen = 0.0;
            values.fold(0.0, |mean, value| {
                seen += 1.0;
                mean + (value - mean) / seen
            })
        }
        VectorFunction::Min => values.fold(f64::NAN, f64::min),
        VectorFunction::Max => values.fold(f64::NAN, f64::max),
        VectorFunction::Count => values.fold(0.0, |count, _| count + 1.0),
        VectorFunction::Stdvar => variance(values),
        VectorFunction::Stddev => variance(values).sqrt(),
        // The others order or pick and never come here.
        VectorFunction::Sum
        | VectorFunction::Topk
        | VectorFunction::Bottomk
        | VectorFunction::ApproxTopk
        | VectorFunction::Sort
        | VectorFunction::SortDesc => values.sum(),
    }
}

/// The population variance, by Welford's method.
fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut seen, mut mean, mut squares) = (0.0_f64, 0.0_f64, 0.0_f64);
    for value in values {
        seen += 1.0;
        let delta = value - mean;
        mean += delta / seen;
        squares += delta * (value - mean);
    }
    squares / seen
}

/// The `count` greatest or least series of a group, picked anew at each step.
fn ranked(
    mut members: Vec<StepSeries>,
    count: u64,
    largest_first: bool,
    is_instant: bool,
) -> Vec<StepSeries> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut cells = cells(&members);
    members.iter_mut().for_each(|member| member.points.clear());
    let mut order = Vec::new();
    for cells in cells.chunk_by_mut(|left, right| left.step == right.step) {
        // Stable: of equal values the earlier series stays.
        cells.sort_by(|left, right| compare(left.value, right.value, largest_first));
        for cell in cells.iter().take(count) {
            members[cell.series].points.push((cell.step, cell.value));
            order.push(cell.series);
        }
    }
    if is_instant {
        let mut members: Vec<Option<StepSeries>> = members.into_iter().map(Some).collect();
        return order.into_iter().filter_map(|index| members[index].take()).collect();
    }
    members.retain(|member| !member.points.is_empty());
    members
}

fn sorted(mut series: Vec<StepSeries>, descending: bool) -> Vec<StepSeries> {
    let value = |series: &StepSeries| series.points.first().map_or(f64::NAN, |point| point.1);
    series.sort_by(|left, right| compare(value(left), value(right), descending));
    series
}

/// The order of values, NaN last in both directions.
fn compare(left: f64, right: f64, descending: bool) -> std::cmp::Ordering {
    let numbers = left.partial_cmp(&right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()));
    if descending && !left.is_nan() && !right.is_nan() { numbers.reverse() } else { numbers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{Grouping, MetricExpr, MetricKind, Span};

    fn run(
        function: VectorFunction,
        parameter: Option<u64>,
        by: Option<&[&str]>,
        input: Vec<StepSeries>,
        is_instant: bool,
    ) -> Vec<StepSeries> {
        let grouping = by.map(|by| Grouping {
            without: false,
            labels: by.iter().map(|&name| name.to_owned()).collect(),
        });
        let inner = Box::new(MetricExpr { kind: MetricKind::Literal(0.0), span: Span::default() });
        let aggregation = VectorAggregation { function, parameter, grouping, inner };
        aggregate(&aggregation, input, is_instant, &Budget::new(usize::MAX)).unwrap()
    }

    fn input() -> Vec<StepSeries> {
        vec![
            StepSeries::of(&[("a", "1"), ("b", "1")], &[(0, 1.0), (1, 5.0)]),
            StepSeries::of(&[("a", "1"), ("b", "2")], &[(0, 3.0)]),
            StepSeries::of(&[("a", "2"), ("b", "1")], &[(1, 4.0), (2, f64::NAN)]),
        ]
    }

    #[test]
    fn groups_have_values_where_a_member_has() {
        let sums = run(VectorFunction::Sum, None, Some(&["a"]), input(), false);
        assert_eq!(sums[0], StepSeries::of(&[("a", "1")], &[(0, 4.0), (1, 5.0)]));
        assert_eq!(sums[1].points[0], (1, 4.0));
        assert!(sums[1].points[1].1.is_nan());
        let counts = run(VectorFunction::Count, None, None, input(), false);
        assert_eq!(counts, vec![StepSeries::of(&[], &[(0, 2.0), (1, 2.0), (2, 1.0)])]);
        let averages = run(VectorFunction::Avg, None, None, input(), false);
        assert_eq!(averages[0].points[..2], [(0, 2.0), (1, 4.5)]);
    }

    #[test]
    fn topk_picks_at_every_step_and_keeps_labels() {
        let top = run(VectorFunction::Topk, Some(1), None, input(), false);
        assert_eq!(top[0], StepSeries::of(&[("a", "1"), ("b", "1")], &[(1, 5.0)]));
        assert_eq!(top[1], StepSeries::of(&[("a", "1"), ("b", "2")], &[(0, 3.0)]));
        assert!(top[2].points[0].1.is_nan());
        let bottom = run(VectorFunction::Bottomk, Some(1), None, input(), false);
        assert_eq!(bottom[0], StepSeries::of(&[("a", "1"), ("b", "1")], &[(0, 1.0)]));
    }

    #[test]
    fn instant_vectors_are_ordered_with_nan_last() {
        let at = |values: &[f64]| -> Vec<StepSeries> {
            values.iter().map(|&value| StepSeries::of(&[], &[(0, value)])).collect()
        };
        let values = |series: Vec<StepSeries>| -> Vec<String> {
            series.iter().map(|series| series.points[0].1.to_string()).collect()
        };
        let input = at(&[2.0, f64::NAN, 3.0, 1.0]);
        let ascending = run(VectorFunction::Sort, None, None, input.clone(), true);
        assert_eq!(values(ascending), ["1", "2", "3", "NaN"]);
        let descending = run(VectorFunction::SortDesc, None, None, input.clone(), true);
        assert_eq!(values(descending), ["3", "2", "1", "NaN"]);
        let top = run(VectorFunction::Topk, Some(2), None, input.clone(), true);
        assert_eq!(values(top), ["3", "2"]);
        let untouched = run(VectorFunction::Sort, None, None, input, false);
        assert_eq!(values(untouched), ["2", "NaN", "3", "1"]);
    }
}
