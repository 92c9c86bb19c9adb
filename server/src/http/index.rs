//! How much there is: index statistics and volumes.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use timberline_query::{QueryAnswer, syntax};

use super::labels::{inclusive, matchers, selector};
use super::params::{Params, now};
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
        Ok(ticket.tenants.stats(&state.store.snapshot(), &selector, inclusive(bounds))?)
    });
    Ok(json(encode::index_stats(&stats.await?)))
}

/// `/loki/api/v1/index/volume`
pub(super) async fn volume(
    State(state): State<Arc<AppState>>,
    tenants: ReadTenants,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.volume_limit()?;
    let aggregation = aggregation(&params)?;
    let bounds = params.bounds(now())?.ordered()?;
    answer_volume(&state, tenants, &params, VolumeQuery { aggregation, limit, bounds, step: None })
        .await
}

/// `/loki/api/v1/index/volume_range`
pub(super) async fn volume_range(
    State(state): State<Arc<AppState>>,
    tenants: ReadTenants,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.volume_limit()?;
    let bounds = params.bounds(now())?.ordered()?;
    let step = Some(params.step(bounds)?);
    let aggregation = aggregation(&params)?;
    answer_volume(&state, tenants, &params, VolumeQuery { aggregation, limit, bounds, step }).await
}

async fn answer_volume(
    state: &Arc<AppState>,
    ReadTenants(tenants): ReadTenants,
    params: &Params,
    query: VolumeQuery,
) -> Result<Response, ApiError> {
    let matchers = matchers(&syntax::parse_selector(params.first("query"))?)?;
    let body = work::run(state, tenants, move |state, ticket| {
        let begun = std::time::Instant::now();
        let snapshot = state.store.snapshot();
        let (value, mut stats) = volume::compute(&snapshot, &matchers, &query, ticket)?;
        stats.exec_seconds = begun.elapsed().as_secs_f64();
        state.metrics.observe_query(&ticket.tenants, &stats);
        let answer = QueryAnswer { value, stats, warnings: snapshot.warnings() };
        Ok(encode::answer(&answer, &Encoding::default(), ticket.queued))
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
