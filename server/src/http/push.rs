//! The way to the ingester: `/loki/api/v1/push`, `/api/prom/push`, `/otlp/v1/logs`, and the gRPC services
//! `logproto.Pusher` and OpenTelemetry's `LogsService`.

use std::sync::Arc;

use ::http::{HeaderMap, StatusCode};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;

use super::body::read_shared_body;
use super::otlp;
use crate::error::ApiError;
use crate::ingest::{LogsService, PushError, PushService, Share};
use crate::state::AppState;
use crate::tenant::Tenant;

/// The routes of pushes.
pub(super) fn routes(state: &AppState) -> Router<Arc<AppState>> {
    let service = PushService::new(state.ingester.clone(), state.config.auth_enabled);
    let logs_service = LogsService::new(state.ingester.clone(), state.config.auth_enabled);
    Router::new()
        .route("/loki/api/v1/push", post(push))
        .route("/api/prom/push", post(push_legacy))
        .route("/otlp/v1/logs", post(otlp::push))
        .route(LogsService::EXPORT, post(move |request| logs_service.clone().export(request)))
        .route_service("/logproto.Pusher/{method}", service.into_server())
}

/// `/loki/api/v1/push`. The ingester knows the formats, the limits and the texts.
async fn push(
    State(state): State<Arc<AppState>>,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    body: Body,
) -> Response {
    // Given back when the push is done, or its client gone.
    let mut share = state.ingester.share();
    match read_push(&state, body, &mut share).await {
        Ok(body) => answer(state.ingester.push_http(&tenant, &headers, body).await),
        Err(error) => error.into_line_response(),
    }
}

/// `/api/prom/push`: the same with another JSON.
async fn push_legacy(
    State(state): State<Arc<AppState>>,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut share = state.ingester.share();
    match read_push(&state, body, &mut share).await {
        Ok(body) => answer(state.ingester.push_http_legacy(&tenant, &headers, body).await),
        Err(error) => error.into_line_response(),
    }
}

/// The body of a push.
pub(super) async fn read_push(
    state: &AppState,
    body: Body,
    share: &mut Share<'_>,
) -> Result<Bytes, ApiError> {
    let max = state.config.limits_config.ingest.max_recv_msg_size;
    read_shared_body(body, max, |len| share.grow(len)).await
}

fn answer(pushed: Result<(), PushError>) -> Response {
    match pushed {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => error.into_response(),
    }
}
