//! `/api/prom`: the paths that came before `/loki/api/v1`, for old shippers and scripts.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use timberline_query::syntax::{self, Expr};
use timberline_query::{QueryValue, RangeQuery};

use super::params::{NANOS_PER_MILLI, Params, now};
use super::tags::QueueTime;
use super::{json, labels, work};
use crate::encode;
use crate::error::ApiError;
use crate::ingest::go_quote;
use crate::state::AppState;
use crate::tenant::ReadTenants;

/// `/api/prom/query`: log queries over a range; `regexp` is one more line filter.
pub(super) async fn query(
    State(state): State<Arc<AppState>>,
    ReadTenants(tenants): ReadTenants,
    QueueTime(queued): QueueTime,
    params: Params,
) -> Result<Response, ApiError> {
    let bounds = params.bounds(now())?.ordered()?;
    let (limit, direction) = (params.limit()?, params.direction()?);
    let (step, interval) = (params.step(bounds)?, params.interval()?);
    let query = filtered(params.first("query"), params.first("regexp"))?;
    let body = work::run(&state, tenants, move |state, ticket| {
        let query = RangeQuery {
            query,
            start: bounds.start,
            end: bounds.end,
            step: step.max(NANOS_PER_MILLI),
            interval,
            limit,
            direction,
            categorize_labels: false,
            cancel: Arc::clone(&ticket.cancel),
        };
        let answer = state.engine(&ticket.limits).range(&ticket.tenants, &query)?;
        state.metrics.observe_query(&ticket.tenants, &answer.stats);
        match &answer.value {
            QueryValue::Streams(streams) => {
                Ok(encode::legacy_streams(streams, &answer.stats, ticket.queued + queued))
            }
            _ => Err(only_streams()),
        }
    });
    Ok(json(body.await?))
}

/// `/api/prom/label`
pub(super) async fn names(
    State(state): State<Arc<AppState>>,
    ReadTenants(tenants): ReadTenants,
    params: Params,
) -> Result<Response, ApiError> {
    Ok(json(encode::legacy_texts(&labels::find_names(&state, tenants, &params).await?)))
}

/// `/api/prom/label/{name}/values`
pub(super) async fn values(
    State(state): State<Arc<AppState>>,
    ReadTenants(tenants): ReadTenants,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    Ok(json(encode::legacy_texts(&labels::find_values(&state, tenants, name, &params).await?)))
}

/// The query with the line filter that stands beside it.
fn filtered(query: &str, regexp: &str) -> Result<String, ApiError> {
    if let Expr::Metric(_) = syntax::parse(query)? {
        return Err(only_streams());
    }
    if regexp.is_empty() {
        return Ok(query.to_owned());
    }
    // On a line of its own, since the query may end with a comment.
    Ok(format!("{query}\n|~ {}", go_quote(regexp)))
}

fn only_streams() -> ApiError {
    ApiError::BadRequest("legacy endpoints only support streams result type".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expression_is_one_more_filter() {
        assert_eq!(filtered("{a=\"b\"}", "").unwrap(), "{a=\"b\"}");
        let query = filtered("{a=\"b\"} |= \"x\" # why", "a\"b\\d").unwrap();
        let printed = syntax::parse(&query).unwrap().to_string();
        assert!(printed.contains(r#""a\"b\\d""#), "{printed}");
        let refused = filtered("vector(1)", "").unwrap_err();
        assert_eq!(refused.to_string(), "legacy endpoints only support streams result type");
    }
}
