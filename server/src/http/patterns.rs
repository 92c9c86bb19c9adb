//! `/loki/api/v1/patterns`: what kinds of lines there are, found when asked.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use timberline_query::patterns::{Pattern, PatternReader};
use timberline_store::{Matcher, TimeRange};

use super::labels::selector;
use super::params::{NANOS_PER_SECOND, Params, now};
use super::work::Ticket;
use super::{json, work};
use crate::encode;
use crate::error::ApiError;
use crate::ingest::DETECTED_LEVEL;
use crate::state::AppState;
use crate::tenant::ReadTenants;

/// The shortest step that lines are counted by, in nanoseconds.
const STEP_MIN: i64 = 10 * NANOS_PER_SECOND;

/// The level of entries that have none.
const NO_LEVEL: &str = "unknown";

/// `/loki/api/v1/patterns`
pub(super) async fn patterns(
    State(state): State<Arc<AppState>>,
    ReadTenants(tenants): ReadTenants,
    params: Params,
) -> Result<Response, ApiError> {
    let bounds = params.bounds(now())?;
    let step = params.step(bounds)?.max(STEP_MIN);
    let selector = selector(params.first("query"))?;
    let body = work::run(&state, tenants, move |state, ticket| {
        let patterns = mine(state, &selector, ticket.range(bounds), step, ticket)?;
        Ok(encode::patterns(&patterns))
    });
    Ok(json(body.await?))
}

/// Reads the streams, a chunk at a time.
fn mine(
    state: &AppState,
    selector: &[Matcher],
    range: TimeRange,
    step: i64,
    ticket: &Ticket,
) -> Result<Vec<Pattern>, ApiError> {
    let mut reader = PatternReader::new(step, DETECTED_LEVEL, NO_LEVEL);
    let snapshot = ticket.snapshot(state);
    let mut chunks = ticket.tenants.chunks(&snapshot, selector, range)?;
    // Which lines come first decides how templates grow: the same lines give the same patterns.
    chunks.sort_by(|a, b| {
        a.labels().cmp(b.labels()).then_with(|| a.time_bounds().cmp(&b.time_bounds()))
    });
    for chunk in &chunks {
        ticket.check()?;
        reader.read(chunk, range)?;
    }
    Ok(reader.finish())
}
