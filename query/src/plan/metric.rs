//! Plans of metric queries.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use timberline_store::{Labels, MatchOp};

use crate::engine::limits;
use crate::metric::{FoldFunction, LabelReplacer, WindowFunction};
use crate::pipeline::Output;
use crate::syntax::{
    BinaryOperation, Grouping, MetricExpr, MetricKind, RangeAggregation, RangeFunction, Selector,
    VectorAggregation, VectorFunction,
};
use crate::{EngineLimits, QueryError};

use super::{Selection, hints};

/// A metric query, ready to be evaluated.
#[derive(Debug)]
pub(crate) enum MetricPlan<'q> {
    /// Reads entries.
    Range(Box<RangePlan<'q>>),
    /// Aggregates series.
    Vector(&'q VectorAggregation, Box<MetricPlan<'q>>),
    /// Computes with two.
    Binary(&'q BinaryOperation, Box<MetricPlan<'q>>, Box<MetricPlan<'q>>),
    /// Changes labels.
    LabelReplace(LabelReplacer, Box<MetricPlan<'q>>),
    /// A number.
    Literal(f64),
    /// A number as a series.
    VectorLiteral(f64),
}

/// What a range aggregation computes, by what has to be kept of its entries.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Measure {
    /// How many lines.
    Lines {
        /// Whether for each second of the range.
        per_second: bool,
    },
    /// How many bytes of lines.
    Bytes {
        /// Whether for each second of the range.
        per_second: bool,
    },
    /// Whether there is no line.
    Absence,
    /// A function of the unwrapped numbers that is put together from parts.
    Folds(FoldFunction),
    /// A function that needs all the unwrapped numbers of a window.
    Numbers(WindowFunction),
}

/// A range aggregation, ready to be evaluated.
#[derive(Debug)]
pub(crate) struct RangePlan<'q> {
    /// Its entries.
    pub(crate) selection: Selection,
    /// What is computed.
    pub(crate) measure: Measure,
    /// Whether entries have a number only where a label could be unwrapped.
    pub(crate) unwraps: bool,
    /// How entries are grouped; `None` keeps all labels.
    pub(crate) grouping: Option<Cow<'q, Grouping>>,
    /// The window's length in nanoseconds.
    pub(crate) range: i64,
    /// How far back the window is moved, in nanoseconds.
    pub(crate) offset: i64,
    /// The labels of `absent_over_time`'s answer.
    pub(crate) absent_labels: Labels,
}

impl<'q> MetricPlan<'q> {
    /// Plans a metric query.
    ///
    /// # Errors
    /// What a limit forbids, and the first stage that cannot be built.
    pub(crate) fn new(expr: &'q MetricExpr, limits: &EngineLimits) -> Result<Self, QueryError> {
        Self::with_pushed(expr, None, limits)
    }

    fn with_pushed(
        expr: &'q MetricExpr,
        pushed: Option<Cow<'q, Grouping>>,
        limits: &EngineLimits,
    ) -> Result<Self, QueryError> {
        let plan = |expr: &'q MetricExpr| Self::new(expr, limits).map(Box::new);
        Ok(match &expr.kind {
            MetricKind::Range(range) => {
                Self::Range(Box::new(RangePlan::new(range, pushed, limits)?))
            }
            MetricKind::Vector(aggregation) => {
                if aggregation.function == VectorFunction::ApproxTopk {
                    return Err(QueryError::Refused(
                        "approx_topk is not enabled. See -limits.shard_aggregations".to_owned(),
                    ));
                }
                let pushed = hints::pushed_grouping(aggregation);
                let inner = Self::with_pushed(&aggregation.inner, pushed, limits)?;
                Self::Vector(aggregation, Box::new(inner))
            }
            MetricKind::Binary(operation) => {
                Self::Binary(operation, plan(&operation.left)?, plan(&operation.right)?)
            }
            MetricKind::LabelReplace(replace) => {
                Self::LabelReplace(LabelReplacer::new(replace)?, plan(&replace.inner)?)
            }
            MetricKind::Literal(value) => Self::Literal(*value),
            MetricKind::VectorLiteral(value) => Self::VectorLiteral(*value),
        })
    }

    /// Whether the query says how an instant's series are ordered.
    pub(crate) fn sorts(&self) -> bool {
        match self {
            Self::Vector(aggregation, inner) => {
                matches!(aggregation.function, VectorFunction::Sort | VectorFunction::SortDesc)
                    || inner.sorts()
            }
            Self::Binary(_, left, right) => left.sorts() || right.sorts(),
            Self::LabelReplace(_, inner) => inner.sorts(),
            Self::Range(_) | Self::Literal(_) | Self::VectorLiteral(_) => false,
        }
    }
}

impl<'q> RangePlan<'q> {
    fn new(
        expr: &'q RangeAggregation,
        pushed: Option<Cow<'q, Grouping>>,
        limits: &EngineLimits,
    ) -> Result<Self, QueryError> {
        limits::check_range(expr.range, limits)?;
        let grouping = hints::entry_grouping(expr, pushed);
        let hints = hints::hints(grouping.as_deref(), expr.function);
        let unwrap = expr.unwrap.as_ref();
        Ok(Self {
            selection: Selection::new(&expr.log, unwrap, &hints, limits)?,
            measure: measure(expr),
            unwraps: unwrap.is_some(),
            grouping,
            range: nanos(expr.range),
            offset: expr.offset_nanos,
            absent_labels: absent_labels(&expr.log.selector),
        })
    }

    /// The labels that the pipeline is to make.
    pub(crate) fn output(&self) -> Output<'_> {
        self.grouping.as_deref().map_or(Output::Full, Output::Grouped)
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn measure(expr: &RangeAggregation) -> Measure {
    match expr.function {
        RangeFunction::CountOverTime => Measure::Lines { per_second: false },
        RangeFunction::Rate if expr.unwrap.is_none() => Measure::Lines { per_second: true },
        RangeFunction::BytesOverTime => Measure::Bytes { per_second: false },
        RangeFunction::BytesRate => Measure::Bytes { per_second: true },
        RangeFunction::AbsentOverTime => Measure::Absence,
        RangeFunction::Rate => Measure::Folds(FoldFunction::Rate),
        RangeFunction::SumOverTime => Measure::Folds(FoldFunction::Sum),
        RangeFunction::AvgOverTime => Measure::Folds(FoldFunction::Average),
        RangeFunction::MinOverTime => Measure::Folds(FoldFunction::Min),
        RangeFunction::MaxOverTime => Measure::Folds(FoldFunction::Max),
        RangeFunction::StdvarOverTime => Measure::Folds(FoldFunction::Variance),
        RangeFunction::StddevOverTime => Measure::Folds(FoldFunction::Deviation),
        RangeFunction::FirstOverTime => Measure::Folds(FoldFunction::First),
        RangeFunction::LastOverTime => Measure::Folds(FoldFunction::Last),
        RangeFunction::RateCounter => Measure::Numbers(WindowFunction::RateCounter),
        RangeFunction::QuantileOverTime => {
            let phi = expr.parameter.unwrap_or_default();
            Measure::Numbers(WindowFunction::Quantile(phi))
        }
    }
}

/// The labels that a selector is sure of: those that one matcher names, with `=`.
fn absent_labels(selector: &Selector) -> Labels {
    let mut values: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for matcher in &selector.matchers {
        let value = Some(matcher.value.as_str()).filter(|_| matcher.op == MatchOp::Equal);
        values.entry(&matcher.name).and_modify(|value| *value = None).or_insert(value);
    }
    let sure = values.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Labels::from_pairs(sure).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{LabelMatcher, Span};

    #[test]
    fn absence_has_the_labels_that_one_equality_names() {
        let matcher = |name: &str, op, value: &str| LabelMatcher {
            name: name.to_owned(),
            op,
            value: value.to_owned(),
            span: Span::default(),
        };
        let matchers = vec![
            matcher("a", MatchOp::Equal, "1"),
            matcher("b", MatchOp::Equal, "2"),
            matcher("b", MatchOp::NotEqual, "3"),
            matcher("c", MatchOp::Matches, "4"),
        ];
        let labels = absent_labels(&Selector { matchers, span: Span::default() });
        assert_eq!(labels.to_string(), r#"{a="1"}"#);
    }
}
