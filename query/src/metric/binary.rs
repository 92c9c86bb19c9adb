//! Binary operations: arithmetic, comparisons and set operations, by matching labels.
//!
//! The samples of two vectors find each other at every step anew, but by labels that do not change
//! from step to step. So series are brought together by their matching labels once, and then their
//! points are joined by step. What must be unique must be so at each step, not over all of them: two
//! series may share a key as long as they are never there together.

use std::collections::HashMap;

use timberline_store::Labels;

use crate::QueryError;
use crate::syntax::{BinaryOp, BinaryOperation, GroupModifier, VectorMatching};

use super::series::{Groups, StepSeries, Value, filtered, with_label};

/// Evaluates `left op right`.
///
/// # Errors
/// [`QueryError::Refused`] where more than one sample matches what may be only one.
pub(crate) fn evaluate(
    operation: &BinaryOperation,
    left: Value,
    right: Value,
) -> Result<Value, QueryError> {
    let operator = Operator { op: operation.op, return_bool: operation.return_bool };
    Ok(match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => Value::Scalar(operator.numbers(left, right)),
        (Value::Vector(left), Value::Scalar(right)) => {
            Value::Vector(mapped(left, |value| operator.samples(value, right, value)))
        }
        (Value::Scalar(left), Value::Vector(right)) => {
            Value::Vector(mapped(right, |value| operator.samples(left, value, value)))
        }
        (Value::Vector(left), Value::Vector(right)) => Value::Vector(match operation.op {
            BinaryOp::And => kept(left, &right, operation.matching.as_ref(), true),
            BinaryOp::Unless => kept(left, &right, operation.matching.as_ref(), false),
            BinaryOp::Or => united(left, right, operation.matching.as_ref()),
            _ => matched(operator, &left, &right, operation.matching.as_ref())?,
        }),
    })
}

/// An operator that computes, with its `bool`.
#[derive(Clone, Copy, Debug)]
struct Operator {
    op: BinaryOp,
    return_bool: bool,
}

impl Operator {
    /// `left op right` of two numbers; comparisons give 1 or 0.
    fn numbers(self, left: f64, right: f64) -> f64 {
        match self.compare(left, right) {
            Some(holds) => f64::from(u8::from(holds)),
            None => self.arithmetic(left, right),
        }
    }

    /// `left op right` of two samples. A comparison without `bool` gives `kept` where it holds and
    /// nothing where it does not.
    fn samples(self, left: f64, right: f64, kept: f64) -> Option<f64> {
        match self.compare(left, right) {
            Some(holds) if !self.return_bool => holds.then_some(kept),
            _ => Some(self.numbers(left, right)),
        }
    }

    fn compare(self, left: f64, right: f64) -> Option<bool> {
        Some(match self.op {
            BinaryOp::Equal => left == right,
            BinaryOp::NotEqual => left != right,
            BinaryOp::Less => left < right,
            BinaryOp::LessOrEqual => left <= right,
            BinaryOp::Greater => left > right,
            BinaryOp::GreaterOrEqual => left >= right,
            _ => return None,
        })
    }

    /// # Source
    /// Loki: dividing by zero is NaN and never infinite.
    fn arithmetic(self, left: f64, right: f64) -> f64 {
        match self.op {
            BinaryOp::Add => left + right,
            BinaryOp::Sub => left - right,
            BinaryOp::Mul => left * right,
            BinaryOp::Div if right != 0.0 => left / right,
            BinaryOp::Mod if right != 0.0 => left % right,
            BinaryOp::Pow => left.powf(right),
            _ => f64::NAN,
        }
    }
}

fn mapped(series: Vec<StepSeries>, map: impl Fn(f64) -> Option<f64>) -> Vec<StepSeries> {
    let mapped = series.into_iter().map(|mut series| {
        let points = series.points.into_iter();
        series.points = points.filter_map(|(step, value)| Some((step, map(value)?))).collect();
        series
    });
    mapped.filter(|series| !series.points.is_empty()).collect()
}

/// The labels by which a sample is matched.
fn match_key(labels: &Labels, matching: Option<&VectorMatching>) -> Labels {
    match matching {
        None => labels.clone(),
        Some(matching) => {
            filtered(labels, |name| matching.labels.iter().any(|own| own == name) == matching.on)
        }
    }
}

fn by_key<'s>(
    series: &'s [StepSeries],
    matching: Option<&VectorMatching>,
) -> Groups<&'s StepSeries> {
    Groups::collect(series.iter().map(|series| (match_key(&series.labels, matching), series)))
}

/// For each key the steps at which some series has a sample, ascending.
fn steps_by_key(
    series: &[StepSeries],
    matching: Option<&VectorMatching>,
) -> HashMap<Labels, Vec<u32>> {
    let groups = by_key(series, matching);
    let steps = groups.iter().map(|(key, series)| {
        let points = series.iter().flat_map(|series| &series.points);
        let mut steps: Vec<u32> = points.map(|(step, _)| *step).collect();
        steps.sort_unstable();
        steps.dedup();
        (key.clone(), steps)
    });
    steps.collect()
}

/// The samples of `series` whose key is (or is not) there at the same step in `steps`.
fn restricted(
    series: Vec<StepSeries>,
    steps: &HashMap<Labels, Vec<u32>>,
    matching: Option<&VectorMatching>,
    is_there: bool,
) -> Vec<StepSeries> {
    let restricted = series.into_iter().map(|mut series| {
        let steps = steps.get(&match_key(&series.labels, matching)).map_or(&[][..], Vec::as_slice);
        series.points.retain(|(step, _)| steps.binary_search(step).is_ok() == is_there);
        series
    });
    restricted.filter(|series| !series.points.is_empty()).collect()
}

/// `and` and `unless`
fn kept(
    left: Vec<StepSeries>,
    right: &[StepSeries],
    matching: Option<&VectorMatching>,
    is_there: bool,
) -> Vec<StepSeries> {
    restricted(left, &steps_by_key(right, matching), matching, is_there)
}

/// `or`
fn united(
    mut left: Vec<StepSeries>,
    right: Vec<StepSeries>,
    matching: Option<&VectorMatching>,
) -> Vec<StepSeries> {
    let steps = steps_by_key(&left, matching);
    left.extend(restricted(right, &steps, matching, false));
    left
}

/// Why a match fails, by step; at one step the first kind is found first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ambiguity {
    OneSide,
    ManySide,
}

/// The samples of the side on which a key must be unique, by step.
#[derive(Debug)]
struct OneSide<'s> {
    series: &'s [&'s StepSeries],
    /// Step, index into `series`, value.
    points: Vec<(u32, usize, f64)>,
}

impl<'s> OneSide<'s> {
    /// The samples, and the first step at which there are two.
    fn new(series: &'s [&'s StepSeries]) -> (Self, Option<u32>) {
        let mut points: Vec<(u32, usize, f64)> = series
            .iter()
            .enumerate()
            .flat_map(|(index, series)| {
                series.points.iter().map(move |&(step, value)| (step, index, value))
            })
            .collect();
        points.sort_by_key(|(step, ..)| *step);
        let twice = points.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| pair[0].0);
        (Self { series, points }, twice)
    }

    fn at(&self, step: u32) -> Option<(&'s Labels, f64)> {
        let found = self.points.binary_search_by_key(&step, |(step, ..)| *step).ok()?;
        let (_, index, value) = self.points[found];
        Some((&self.series[index].labels, value))
    }
}

/// Arithmetic and comparisons of two vectors.
fn matched(
    operator: Operator,
    left: &[StepSeries],
    right: &[StepSeries],
    matching: Option<&VectorMatching>,
) -> Result<Vec<StepSeries>, QueryError> {
    let group = matching.and_then(|matching| matching.group.as_ref());
    let many_is_left = group.is_none_or(|group| group.left);
    let (many, one) = if many_is_left { (left, right) } else { (right, left) };
    let (many, one) = (by_key(many, matching), by_key(one, matching));
    let mut ambiguity: Option<(u32, Ambiguity)> = None;
    let mut note = |step: Option<u32>, kind| {
        let found = step.map(|step| (step, kind));
        ambiguity = ambiguity.into_iter().chain(found).min();
    };
    for (_, series) in one.iter() {
        note(OneSide::new(series).1, Ambiguity::OneSide);
    }
    let mut result = Vec::new();
    for (key, many) in many.iter() {
        let (one, _) = OneSide::new(one.get(key));
        let pairs = many.iter().flat_map(|many| {
            joined(many, &one, group, key).map(|(step, labels, many, one)| {
                let (left, right) = if many_is_left { (many, one) } else { (one, many) };
                (labels, (step, operator.samples(left, right, left)))
            })
        });
        for (labels, points) in Groups::collect(pairs).into_groups() {
            let (points, twice) = unique(points);
            note(twice, Ambiguity::ManySide);
            if !points.is_empty() {
                result.push(StepSeries { labels, points });
            }
        }
    }
    match ambiguity {
        Some((_, kind)) => Err(ambiguous(kind, group)),
        None => Ok(result),
    }
}

/// The samples of `many` that have a partner: step, the result's labels, both values.
fn joined<'s>(
    many: &'s StepSeries,
    one: &'s OneSide<'s>,
    group: Option<&'s GroupModifier>,
    key: &'s Labels,
) -> impl Iterator<Item = (u32, Labels, f64, f64)> + 's {
    // The labels only change with the partner's, and there is mostly one partner.
    let mut last: Option<(&Labels, Labels)> = None;
    many.points.iter().filter_map(move |&(step, value)| {
        let (partner, other) = one.at(step)?;
        let labels = match &last {
            Some((of, labels)) if std::ptr::eq(*of, partner) => labels.clone(),
            _ => group.map_or_else(|| key.clone(), |group| included(many, partner, group)),
        };
        last = Some((partner, labels.clone()));
        Some((step, labels, value, other))
    })
}

/// The labels of the "many" side with those included from the "one" side.
fn included(many: &StepSeries, one: &Labels, group: &GroupModifier) -> Labels {
    group
        .include
        .iter()
        .fold(many.labels.clone(), |labels, name| with_label(&labels, name, one.get(name)))
}

/// Points by step without those that a comparison dropped, and the first step that is there twice.
fn unique(mut points: Vec<(u32, Option<f64>)>) -> (Vec<(u32, f64)>, Option<u32>) {
    points.sort_by_key(|(step, _)| *step);
    let twice = points.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| pair[0].0);
    (points.into_iter().filter_map(|(step, value)| Some((step, value?))).collect(), twice)
}

/// # Source
/// Loki's texts.
fn ambiguous(kind: Ambiguity, group: Option<&GroupModifier>) -> QueryError {
    QueryError::Refused(match (kind, group) {
        (Ambiguity::OneSide, group) => {
            let side = if group.is_none_or(|group| group.left) { "right" } else { "left" };
            format!(
                "found duplicate series on the {side} hand-side;many-to-many matching not allowed: \
                 matching labels must be unique on one side"
            )
        }
        (Ambiguity::ManySide, None) => "multiple matches for labels: many-to-one matching must be \
                                        explicit (group_left/group_right)"
            .to_owned(),
        (Ambiguity::ManySide, Some(_)) => {
            "multiple matches for labels: grouping labels must ensure unique matches".to_owned()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{MetricExpr, MetricKind, Span};

    fn on(labels: &[&str], group: Option<GroupModifier>) -> Option<VectorMatching> {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        Some(VectorMatching { on: true, labels, group })
    }

    fn run(
        op: BinaryOp,
        return_bool: bool,
        matching: Option<VectorMatching>,
        left: Value,
        right: Value,
    ) -> Result<Value, String> {
        let inner = Box::new(MetricExpr { kind: MetricKind::Literal(0.0), span: Span::default() });
        let operation =
            BinaryOperation { op, return_bool, matching, left: inner.clone(), right: inner };
        evaluate(&operation, left, right).map_err(|error| error.to_string())
    }

    fn two() -> Value {
        Value::Vector(vec![
            StepSeries::of(&[("a", "1"), ("b", "x")], &[(0, 1.0), (1, 2.0)]),
            StepSeries::of(&[("a", "2"), ("b", "x")], &[(0, 3.0)]),
        ])
    }

    #[test]
    fn dividing_by_zero_is_not_a_number() {
        for op in [BinaryOp::Div, BinaryOp::Mod] {
            let Ok(Value::Scalar(value)) =
                run(op, false, None, Value::Scalar(1.0), Value::Scalar(0.0))
            else {
                panic!("a scalar is expected")
            };
            assert!(value.is_nan());
        }
    }

    #[test]
    fn comparisons_filter_or_tell() {
        let over = run(BinaryOp::Less, false, None, Value::Scalar(1.5), two());
        let kept = vec![
            StepSeries::of(&[("a", "1"), ("b", "x")], &[(1, 2.0)]),
            StepSeries::of(&[("a", "2"), ("b", "x")], &[(0, 3.0)]),
        ];
        assert_eq!(over, Ok(Value::Vector(kept)));
        let told = run(BinaryOp::Greater, true, None, two(), Value::Scalar(1.5));
        let Ok(Value::Vector(told)) = told else { panic!("a vector is expected") };
        assert_eq!(told[0].points, [(0, 0.0), (1, 1.0)]);
    }

    #[test]
    fn one_to_one_wants_unique_keys_at_each_step() {
        let right = Value::Vector(vec![StepSeries::of(&[("b", "x")], &[(0, 10.0), (1, 10.0)])]);
        let twice = run(BinaryOp::Add, false, on(&["b"], None), two(), right.clone());
        assert!(twice.unwrap_err().starts_with("multiple matches for labels: many-to-one"));
        let twice = run(BinaryOp::Add, false, on(&["b"], None), right.clone(), two());
        assert!(twice.unwrap_err().starts_with("found duplicate series on the right hand-side;"));
        let Value::Vector(mut apart) = two() else { panic!("a vector is expected") };
        apart[1].points = vec![(2, 3.0)];
        let sum = run(BinaryOp::Add, false, on(&["b"], None), Value::Vector(apart), right);
        assert_eq!(
            sum,
            Ok(Value::Vector(vec![StepSeries::of(&[("b", "x")], &[(0, 11.0), (1, 12.0)])]))
        );
    }

    #[test]
    fn many_match_one_and_take_its_labels() {
        let right = Value::Vector(vec![StepSeries::of(&[("b", "x"), ("c", "y")], &[(0, 10.0)])]);
        let group = GroupModifier { left: true, include: vec!["c".to_owned()] };
        let ratio = run(BinaryOp::Div, false, on(&["b"], Some(group)), two(), right.clone());
        let expected = vec![
            StepSeries::of(&[("a", "1"), ("b", "x"), ("c", "y")], &[(0, 0.1)]),
            StepSeries::of(&[("a", "2"), ("b", "x"), ("c", "y")], &[(0, 0.3)]),
        ];
        assert_eq!(ratio, Ok(Value::Vector(expected)));
        let group = GroupModifier { left: false, include: vec![] };
        let ratio = run(BinaryOp::Div, false, on(&["b"], Some(group)), right, two());
        let Ok(Value::Vector(ratio)) = ratio else { panic!("a vector is expected") };
        assert_eq!(ratio[0].points, [(0, 10.0)]);
    }

    #[test]
    fn set_operations_go_step_by_step() {
        let right = || {
            Value::Vector(vec![StepSeries::of(&[("a", "1"), ("b", "x")], &[(0, 7.0), (2, 8.0)])])
        };
        let and = run(BinaryOp::And, false, None, two(), right());
        assert_eq!(
            and,
            Ok(Value::Vector(vec![StepSeries::of(&[("a", "1"), ("b", "x")], &[(0, 1.0)])]))
        );
        let unless = run(BinaryOp::Unless, false, None, two(), right());
        let Ok(Value::Vector(unless)) = unless else { panic!("a vector is expected") };
        assert_eq!(unless[0].points, [(1, 2.0)]);
        let Ok(Value::Vector(or)) = run(BinaryOp::Or, false, None, two(), right()) else {
            panic!("a vector is expected")
        };
        assert_eq!((or.len(), &or[2].points[..]), (3, &[(2, 8.0)][..]));
    }
}
