//! `/loki/api/v1/push`: the way to the ingester.

use std::sync::Arc;

use ::http::HeaderMap;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;

use super::body::read_body;
use crate::state::AppState;
use crate::tenant::Tenant;

/// The largest body of a push as it is sent, in bytes.
const PUSH_BYTES_MAX: usize = 100 << 20;

/// `/loki/api/v1/push`. The ingester knows the formats, the limits and the texts.
pub(super) async fn push(
    State(state): State<Arc<AppState>>,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match read_body(body, PUSH_BYTES_MAX).await {
        Ok(body) => state.ingester.push_http(&tenant, &headers, body).await,
        Err(error) => error.into_line_response(),
    }
}
