//! `query_range`, `query` and `format_query`.

use std::sync::Arc;

use ::http::{HeaderMap, StatusCode};
use axum::extract::State;
use axum::response::Response;
use timberline_query::{InstantQuery, QueryAnswer, RangeQuery, syntax};

use super::params::{NANOS_PER_MILLI, Params, now};
use super::tags::{QueryTags, QueueTime};
use super::{json, json_with_status, work};
use crate::encode::{self, Encoding};
use crate::error::ApiError;
use crate::state::AppState;
use crate::tenant::ReadTenants;

/// Asks for answers that tell stream labels, structured metadata and parsed labels apart.
pub(super) const ENCODING_FLAGS_HEADER: &str = "x-loki-response-encoding-flags";

/// `/loki/api/v1/query_range`
pub(super) async fn range(
    State(state): State<Arc<AppState>>,
    ReadTenants(tenants): ReadTenants,
    tags: QueryTags,
    QueueTime(queued): QueueTime,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let bounds = params.bounds(now())?.ordered()?;
    let limit = params.limit()?;
    let direction = params.direction()?;
    let step = params.step(bounds)?;
    let interval = params.interval()?;
    let encoding = Encoding { flags: encoding_flags(&headers) };
    let query = params.first("query").to_owned();
    let body = work::run(&state, tenants, move |state, ticket| {
        let query = RangeQuery {
            query,
            start: bounds.start,
            end: bounds.end,
            step: whole_millis(step),
            interval,
            limit,
            direction,
            categorize_labels: encoding.categorizes(),
            cancel: Arc::clone(&ticket.cancel),
        };
        let engine = state.engine(&ticket.limits).with_partial_series(tags.is_drilldown());
        let answer = engine.range(&ticket.tenants, &query)?;
        log(&query.query, &tags, &answer);
        state.metrics.observe_query(&ticket.tenants, &answer.stats);
        Ok(encode::answer(&answer, &encoding, ticket.queued + queued))
    });
    Ok(json(body.await?))
}

/// `/loki/api/v1/query`
pub(super) async fn instant(
    State(state): State<Arc<AppState>>,
    ReadTenants(tenants): ReadTenants,
    tags: QueryTags,
    QueueTime(queued): QueueTime,
    params: Params,
) -> Result<Response, ApiError> {
    params.limit()?;
    let time = params.time(now())?;
    params.direction()?;
    let query = params.first("query").to_owned();
    let body = work::run(&state, tenants, move |state, ticket| {
        let query = InstantQuery { query, time, cancel: Arc::clone(&ticket.cancel) };
        let engine = state.engine(&ticket.limits).with_partial_series(tags.is_drilldown());
        let answer = engine.instant(&ticket.tenants, &query)?;
        log(&query.query, &tags, &answer);
        state.metrics.observe_query(&ticket.tenants, &answer.stats);
        Ok(encode::answer(&answer, &Encoding::default(), ticket.queued + queued))
    });
    Ok(json(body.await?))
}

/// `/loki/api/v1/format_query`: needs no tenant. Its errors are JSON, unlike all others.
pub(super) async fn format(params: Params) -> Response {
    match syntax::parse(params.first("query")) {
        Ok(expr) => json(encode::formatted_query(&syntax::format(&expr))),
        Err(error) => {
            json_with_status(StatusCode::BAD_REQUEST, encode::invalid_query(&error.to_string()))
        }
    }
}

fn log(query: &str, tags: &QueryTags, QueryAnswer { stats, .. }: &QueryAnswer) {
    let (tags, lines) = (tags.text(), stats.lines_processed);
    tracing::debug!(query, tags, lines, seconds = stats.exec_seconds, "query");
}

/// Steps of metric queries are whole milliseconds, and at least one.
fn whole_millis(step: i64) -> i64 {
    (step - step % NANOS_PER_MILLI).max(NANOS_PER_MILLI)
}

/// The flags asked for, as they stand between commas: items are not trimmed.
pub(super) fn encoding_flags(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(ENCODING_FLAGS_HEADER).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let flags = texts.flat_map(|text| text.split(',')).filter(|flag| !flag.is_empty());
    flags.map(str::to_owned).collect()
}
