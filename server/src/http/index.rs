//! How much there is: index statistics and volumes.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use timberline_query::{QueryAnswer, syntax};

use super::labels::{matchers, selector};
use super::params::{Params, now};
use super::tags::QueueTime;
use super::volume::{self, Aggregation, VolumeQuery};
use super::{json, work};
use crate::encode::{self, Encoding};
use crate::error::ApiError;
use crate::state::AppState;
use crate::tenant::ReadTenants;

/// `/loki/api/v1/index/stats`: an object without an envelope.
pub(super) async fn stats(
    State(state): State<Arc<AppState>>,
    ReadTenants(tenants): ReadTenants,
    params: Params,
) -> Result<Response, ApiError> {
    let bounds = params.bounds(now())?.ordered()?;
    params.step(bounds)?;
    let selector = selector(params.first("query"))?;
    let stats = work::run(&state, tenants, move |state, ticket| {
        Ok(ticket.tenants.stats(&ticket.snapshot(state), &selector, ticket.range(bounds))?)
    });
    Ok(json(encode::index_stats(&stats.await?)))
}

/// `/loki/api/v1/index/volume`
pub(super) async fn volume(
    State(state): State<Arc<AppState>>,
    tenants: ReadTenants,
    queued: QueueTime,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.volume_limit()?;
    let aggregation = aggregation(&params)?;
    let bounds = params.bounds(now())?.ordered()?;
    let query = VolumeQuery { aggregation, limit, bounds, step: None };
    answer_volume(&state, tenants, queued, &params, query).await
}

/// `/loki/api/v1/index/volume_range`
pub(super) async fn volume_range(
    State(state): State<Arc<AppState>>,
    tenants: ReadTenants,
    queued: QueueTime,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.volume_limit()?;
    let bounds = params.bounds(now())?.ordered()?;
    let step = Some(params.step(bounds)?);
    let aggregation = aggregation(&params)?;
    let query = VolumeQuery { aggregation, limit, bounds, step };
    answer_volume(&state, tenants, queued, &params, query).await
}

async fn answer_volume(
    state: &Arc<AppState>,
    ReadTenants(tenants): ReadTenants,
    QueueTime(queued): QueueTime,
    params: &Params,
    query: VolumeQuery,
) -> Result<Response, ApiError> {
    if !state.limits.current().of_all(&tenants).query.volume_enabled {
        return Err(ApiError::NotFound);
    }
    let matchers = matchers(&syntax::parse_selector(params.first("query"))?)?;
    let body = work::run(state, tenants, move |state, ticket| {
        let begun = std::time::Instant::now();
        let snapshot = ticket.snapshot(state);
        let (value, mut stats) = volume::compute(&snapshot, &matchers, &query, ticket)?;
        stats.exec_seconds = begun.elapsed().as_secs_f64();
        state.metrics.observe_query(&ticket.tenants, &stats);
        let answer = QueryAnswer { value, stats, warnings: snapshot.warnings() };
        Ok(encode::answer(&answer, &Encoding::default(), ticket.queued + queued))
    });
    Ok(json(body.await?))
}

/// `targetLabels` and `aggregateBy`.
fn aggregation(params: &Params) -> Result<Aggregation, ApiError> {
    let targets = params.first("targetLabels").split(',').filter(|name| !name.is_empty());
    let targets = targets.map(str::to_owned).collect();
    match params.first("aggregateBy") {
        "" | "series" => Ok(Aggregation { by_label: false, targets }),
        "labels" => Ok(Aggregation { by_label: true, targets }),
        _ => Err(ApiError::BadRequest("invalid aggregation option".to_owned())),
    }
}
