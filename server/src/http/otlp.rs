//! `/otlp/v1/logs`: OpenTelemetry's records over HTTP.

use std::sync::Arc;

use ::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use ::http::{HeaderMap, StatusCode};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use prost::encoding;

use super::push::read_push;
use crate::error::with_retry_after;
use crate::state::AppState;
use crate::tenant::Tenant;

/// The field of `google.rpc.Status` that has the text.
const MESSAGE_TAG: u32 = 2;

/// `/otlp/v1/logs`. What is wrong is said as OpenTelemetry has it, in protobuf whatever was sent.
pub(super) async fn push(
    State(state): State<Arc<AppState>>,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    body: Body,
) -> Response {
    // Given back when the push is done, or its client gone.
    let mut share = state.ingester.share(&tenant);
    let body = match read_push(&state, &tenant, body, &mut share).await {
        Ok(body) => body,
        Err(error) => {
            let response = refusal(error.status(), &error.to_string());
            return with_retry_after(response, error.retry_after());
        }
    };
    match state.ingester.push_otlp(&tenant, &headers, body).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => with_retry_after(refusal(error.status, &error.text), error.retry_after),
    }
}

/// Exporters send again after 503, not after 500.
fn refusal(status: StatusCode, text: &str) -> Response {
    let status = match status {
        StatusCode::INTERNAL_SERVER_ERROR => StatusCode::SERVICE_UNAVAILABLE,
        status => status,
    };
    let mut message = Vec::new();
    encoding::string::encode(MESSAGE_TAG, &text.to_owned(), &mut message);
    let headers = [(CONTENT_TYPE, "application/x-protobuf"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, headers, message).into_response()
}
