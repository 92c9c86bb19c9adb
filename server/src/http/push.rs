//! The way to the ingester: `/loki/api/v1/push`, `/api/prom/push`, `/otlp/v1/logs`, and the gRPC services
//! `logproto.Pusher` and OpenTelemetry's `LogsService`.

use std::sync::Arc;

use ::http::{HeaderMap, StatusCode};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any_service, post};
use bytes::Bytes;
use timberline_store::TenantId;

use super::body::read_shared_body;
use super::otlp;
use super::routes::{Routes, WRITE};
use crate::error::ApiError;
use crate::ingest::{Dialect, LogsService, PushError, PushService, Share};
use crate::state::AppState;
use crate::tenant::Tenant;

/// The routes of pushes.
pub(super) fn routes(routes: Routes, state: &AppState) -> Routes {
    let service = PushService::new(state.ingester.clone(), state.config.auth_enabled);
    let logs_service = LogsService::new(state.ingester.clone(), state.config.auth_enabled);
    let export = post(move |request| logs_service.clone().export(request));
    routes
        .add(WRITE, "/loki/api/v1/push", post(push_v1))
        .add(WRITE, "/api/prom/push", post(push_legacy))
        .add(WRITE, "/otlp/v1/logs", post(otlp::push))
        .add(WRITE, LogsService::EXPORT, export)
        .add(WRITE, "/logproto.Pusher/{method}", any_service(service.into_server()))
}

async fn push_v1(
    State(state): State<Arc<AppState>>,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    body: Body,
) -> Response {
    push(&state, &tenant, Dialect::V1, &headers, body).await
}

async fn push_legacy(
    State(state): State<Arc<AppState>>,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    body: Body,
) -> Response {
    push(&state, &tenant, Dialect::Legacy, &headers, body).await
}

/// The ingester knows the formats, the limits and the texts.
async fn push(
    state: &AppState,
    tenant: &TenantId,
    dialect: Dialect,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let push = |body| state.ingester.push_http(tenant, dialect, headers, body);
    answer_push(state, tenant, body, push).await
}

/// Reads the body of a push, does it, and answers with a status and, where something is wrong, a line.
pub(super) async fn answer_push<F>(
    state: &AppState,
    tenant: &TenantId,
    body: Body,
    push: impl FnOnce(Bytes) -> F,
) -> Response
where
    F: Future<Output = Result<(), PushError>>,
{
    // Given back when the push is done, or its client gone.
    let mut share = state.ingester.share(tenant);
    let body = match read_push(state, tenant, body, &mut share).await {
        Ok(body) => body,
        Err(error) => return error.into_line_response(),
    };
    match push(body).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => error.into_response(),
    }
}

/// The body of a push, as large as its tenant may send.
pub(super) async fn read_push(
    state: &AppState,
    tenant: &TenantId,
    body: Body,
    share: &mut Share<'_>,
) -> Result<Bytes, ApiError> {
    let max = state.limits.of(tenant).ingest.max_recv_msg_size;
    let pause = state.config.server.body_timeout;
    read_shared_body(body, max, pause, |len| Ok(share.grow(len)?)).await
}
