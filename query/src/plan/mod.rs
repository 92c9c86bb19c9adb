//! What a query needs from the store, apart from what is computed behind it.
//!
//! A plan is made from the syntax tree before anything is read, so that whatever is wrong with a query
//! is said at once. For each selector it holds the matchers, which choose streams, and the pipeline,
//! whose leading line filters become the predicate that the store reads by. A range aggregation also
//! knows its labels: a `sum` straight over a count, rate or sum groups its entries instead of its
//! series ([`hints`]), and what a chunk has to decode follows from that ([`columns`]).

mod columns;
mod hints;
mod metric;

use timberline_store::Matcher;

use crate::pipeline::{Hints, Pipeline};
use crate::syntax::{LogExpr, ParseError, Selector, Unwrap};
use crate::{EngineLimits, QueryError};

pub(crate) use self::metric::{Measure, MetricPlan, RangePlan};

/// A selector with what is done to its entries.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Which streams.
    pub(crate) matchers: Vec<Matcher>,
    /// What is done to their entries.
    pub(crate) pipeline: Pipeline,
    /// What says beforehand, from a part of an entry, that the pipeline drops it.
    pub(crate) probe: Option<Pipeline>,
}

impl Selection {
    /// Compiles a log expression.
    ///
    /// # Errors
    /// Too many matchers, or the first stage that cannot be built.
    pub(crate) fn new(
        expr: &LogExpr,
        unwrap: Option<&Unwrap>,
        hints: &Hints,
        limits: &EngineLimits,
    ) -> Result<Self, QueryError> {
        let count = expr.selector.matchers.len();
        if limits.max_matchers > 0 && count > limits.max_matchers {
            return Err(QueryError::Refused(format!(
                "max streams matchers per query exceeded, matchers-count > limit ({count} > {})",
                limits.max_matchers
            )));
        }
        let matchers = matchers(&expr.selector)?;
        let pipeline = Pipeline::compile(&expr.stages, unwrap, hints)?;
        let probe = pipeline.probe(&expr.stages, unwrap);
        Ok(Self { matchers, pipeline, probe })
    }
}

/// The matchers of a selector, as the store takes them.
///
/// # Errors
/// A regular expression that is none.
pub(crate) fn matchers(selector: &Selector) -> Result<Vec<Matcher>, ParseError> {
    let matchers = selector.matchers.iter().map(|matcher| {
        Matcher::new(&matcher.name, matcher.op, &matcher.value)
            .map_err(|error| ParseError::new(format!("error parsing regexp: {error}")))
    });
    matchers.collect()
}
