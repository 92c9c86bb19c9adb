//! Binary operations, at one step.

use std::collections::BTreeMap;

use timberline_store::Labels;

use super::{Value, Vector, grouped};
use crate::QueryError;
use crate::syntax::{BinaryOp, BinaryOperation, Grouping, VectorMatching};

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

/// `left op right`
///
/// # Errors
/// Samples that match more than one.
pub(super) fn binary(
    operation: &BinaryOperation,
    left: Value,
    right: Value,
) -> Result<Value, QueryError> {
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
