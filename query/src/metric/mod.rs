//! Numbers from entries.
//!
//! A metric query is evaluated as a tree, each node for all steps at once: a range aggregation reads
//! the store and makes series ([`range`]), the others turn series into series. Doing all steps in one
//! go means that an entry is read once however many windows it is in, and that labels are grouped and
//! matched once and not at every step.

mod binary;
mod fold;
mod grid;
mod label_replace;
mod range;
mod series;
mod tally;
mod vector;
mod window;

use timberline_store::Labels;

use crate::QueryError;
use crate::engine::Context;
use crate::plan::MetricPlan;

pub(crate) use self::fold::FoldFunction;
pub(crate) use self::grid::Grid;
pub(crate) use self::label_replace::LabelReplacer;
pub(crate) use self::range::metadata_of;
pub(crate) use self::series::{StepSeries, Value};
pub(crate) use self::window::WindowFunction;

/// Evaluates a metric query at the steps of `grid`.
///
/// # Errors
/// The store's and the budget's, timeout, cancellation, and what the query's operations refuse.
pub(crate) fn evaluate(
    plan: &MetricPlan<'_>,
    grid: Grid,
    context: &Context<'_>,
) -> Result<Value, QueryError> {
    context.check()?;
    let series = |plan| Ok::<_, QueryError>(evaluate(plan, grid, context)?.into_series(grid));
    Ok(match plan {
        MetricPlan::Range(plan) => Value::Vector(range::evaluate(plan, grid, context)?),
        MetricPlan::Vector(aggregation, inner) => {
            let is_instant = grid.count() == 1;
            let input = series(inner)?;
            Value::Vector(vector::aggregate(aggregation, input, is_instant, &context.budget)?)
        }
        MetricPlan::Binary(operation, left, right) => {
            let left = evaluate(left, grid, context)?;
            let right = evaluate(right, grid, context)?;
            binary::evaluate(operation, left, right)?
        }
        MetricPlan::LabelReplace(replacer, inner) => {
            let mut series = series(inner)?;
            replacer.apply(&mut series);
            Value::Vector(series)
        }
        MetricPlan::Literal(value) => Value::Scalar(*value),
        MetricPlan::VectorLiteral(value) => Value::Vector(Value::Scalar(*value).into_series(grid)),
    })
}

impl Value {
    /// The series; a number becomes one without labels, at every step.
    pub(crate) fn into_series(self, grid: Grid) -> Vec<StepSeries> {
        match self {
            Self::Vector(series) => series,
            Self::Scalar(value) => vec![StepSeries {
                labels: Labels::default(),
                points: (0..grid.count()).map(|step| (step, value)).collect(),
            }],
        }
    }
}
