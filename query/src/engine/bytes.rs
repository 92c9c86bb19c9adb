//! How much a query would read, which is asked before it reads anything.

use timberline_store::{TimeRange, Timestamp};

use super::Context;
use crate::QueryError;
use crate::golang::format_binary_bytes;
use crate::plan::matchers;
use crate::syntax::{Expr, MetricExpr, MetricKind, Selector};

/// Refuses a query whose selectors have more bytes between these times, with its windows, than a query may
/// read.
///
/// # Errors
/// [`QueryError::Refused`] with Loki's text; what the store says.
pub(super) fn check(
    expr: &Expr,
    (start, end): (Timestamp, Timestamp),
    context: &Context<'_>,
) -> Result<(), QueryError> {
    let max = context.limits.max_bytes_read;
    if max == 0 {
        return Ok(());
    }
    let mut reads = Vec::new();
    match expr {
        Expr::Log(log) => reads.push((&log.selector, TimeRange::new(start, end))),
        Expr::Metric(metric) => of_metric(metric, (start, end), &mut reads),
    }
    let mut bytes = 0_u64;
    for (selector, range) in reads {
        bytes = bytes.saturating_add(context.bytes(&matchers(selector)?, range)?);
    }
    if bytes > max {
        return Err(QueryError::Refused(format!(
            "the query would read too many bytes (query: {}, limit: {}); consider adding more specific \
             stream selectors or reduce the time range of the query",
            format_binary_bytes(bytes),
            format_binary_bytes(max)
        )));
    }
    Ok(())
}

/// The selectors of a metric query with the range of the entries that it looks at.
fn of_metric<'q>(
    expr: &'q MetricExpr,
    (start, end): (Timestamp, Timestamp),
    reads: &mut Vec<(&'q Selector, TimeRange)>,
) {
    let mut of_metric = |expr: &'q MetricExpr| of_metric(expr, (start, end), reads);
    match &expr.kind {
        MetricKind::Range(range) => {
            let window = i64::try_from(range.range.as_nanos()).unwrap_or(i64::MAX);
            // A window is open at its start and closed at its end.
            let at = |time: Timestamp| time.saturating_sub(range.offset_nanos).saturating_add(1);
            let range_of_entries = TimeRange::new(at(start).saturating_sub(window), at(end));
            reads.push((&range.log.selector, range_of_entries));
        }
        MetricKind::Vector(aggregation) => of_metric(&aggregation.inner),
        MetricKind::Binary(operation) => {
            of_metric(&operation.left);
            of_metric(&operation.right);
        }
        MetricKind::LabelReplace(replace) => of_metric(&replace.inner),
        MetricKind::Literal(_) | MetricKind::VectorLiteral(_) => {}
    }
}
