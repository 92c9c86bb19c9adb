//! The limits that are checked before anything is read, and Loki's words for them.

use std::time::Duration;

use timberline_store::Timestamp;

use crate::golang::{format_duration, format_prometheus_duration};
use crate::{EngineLimits, QueryError, RangeQuery};

/// The most points of a series, but for one (Loki's limit).
const STEPS_MAX: i128 = 11_000;

/// Checks a range query's bounds.
///
/// # Errors
/// A query that ends before it starts, or is longer than it may be.
pub(crate) fn check_length(
    start: Timestamp,
    end: Timestamp,
    limits: &EngineLimits,
) -> Result<(), QueryError> {
    if end < start {
        return refuse("end timestamp must not be before or equal to start time".to_owned());
    }
    let length = Duration::from_nanos(end.abs_diff(start));
    if !limits.max_query_length.is_zero() && length > limits.max_query_length {
        return refuse(format!(
            "the query time range exceeds the limit (query length: {}, limit: {})",
            format_duration(nanos(length)),
            format_prometheus_duration(nanos(limits.max_query_length))
        ));
    }
    Ok(())
}

/// Checks how many entries a log query asks for.
///
/// # Errors
/// None at all, or more than it may.
pub(crate) fn check_entries(limit: usize, limits: &EngineLimits) -> Result<(), QueryError> {
    let max = limits.max_entries;
    if limit == 0 {
        return refuse("limit must be a positive value".to_owned());
    }
    if max > 0 && limit > max {
        return refuse(format!(
            "max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > {max})"
        ));
    }
    Ok(())
}

/// Checks how many points a metric query asks for.
///
/// # Errors
/// A step that is not positive, or too small for the range.
pub(crate) fn check_steps(query: &RangeQuery) -> Result<(), QueryError> {
    if query.step <= 0 {
        return refuse(
            "zero or negative query resolution step widths are not accepted. Try a positive integer"
                .to_owned(),
        );
    }
    let length = i128::from(query.end) - i128::from(query.start);
    if length / i128::from(query.step) > STEPS_MAX {
        return refuse(
            "exceeded maximum resolution of 11,000 points per time series. Try increasing the value \
             of the step parameter"
                .to_owned(),
        );
    }
    Ok(())
}

/// Checks a `[range]`.
///
/// # Errors
/// A longer one than a query may have.
pub(crate) fn check_range(range: Duration, limits: &EngineLimits) -> Result<(), QueryError> {
    let max = limits.max_query_range;
    if !max.is_zero() && range > max {
        return refuse(format!(
            "[interval] value exceeds limit: [{}] > [{}]",
            format_prometheus_duration(nanos(range)),
            format_prometheus_duration(nanos(max))
        ));
    }
    Ok(())
}

/// Checks how many series an answer has.
///
/// # Errors
/// More than it may have.
pub(crate) fn check_series(series: usize, limits: &EngineLimits) -> Result<(), QueryError> {
    let max = limits.max_series;
    if max > 0 && series > max {
        return refuse(format!(
            "maximum number of series ({max}) reached for a single query; consider reducing query \
             cardinality by adding more specific stream selectors, reducing the time range, or \
             aggregating results with functions like sum(), count() or topk()"
        ));
    }
    Ok(())
}

fn refuse(text: String) -> Result<(), QueryError> {
    Err(QueryError::Refused(text))
}

/// A duration in nanoseconds; centuries are the longest there are.
fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_lokis() {
        let hour = 3_600_000_000_000;
        let refused = check_length(0, 800 * hour, &EngineLimits::default()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the query time range exceeds the limit (query length: 800h0m0s, limit: 30d1h)"
        );
        let limits =
            EngineLimits { max_query_range: Duration::from_secs(3600), ..Default::default() };
        let refused = check_range(Duration::from_secs(86_400), &limits).unwrap_err();
        assert_eq!(refused.to_string(), "[interval] value exceeds limit: [1d] > [1h]");
        let refused = check_entries(6000, &EngineLimits::default()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "max entries limit per query exceeded, limit > max_entries_limit_per_query (6000 > 5000)"
        );
    }
}
