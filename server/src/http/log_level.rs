//! `/log_level`: how much the server says in its own log, without a restart.

use std::sync::Arc;

use ::http::StatusCode;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::json_with_status;
use super::params::Params;
use crate::error::ApiError;
use crate::logs;
use crate::state::AppState;

/// What is answered; the keys in Loki's order.
#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    message: String,
}

/// `GET /log_level`
pub(super) async fn show(State(state): State<Arc<AppState>>) -> Response {
    let level = logs::level().unwrap_or_else(|| state.config.server.log_level.clone());
    answer(StatusCode::OK, None, format!("Current log level is {level}"))
}

/// `POST /log_level` with `log_level=debug`
pub(super) async fn set(params: Params) -> Response {
    let level = params.first("log_level");
    match logs::set_level(level) {
        Ok(()) => answer(StatusCode::OK, Some("success"), format!("Log level set to {level}")),
        Err(error) => answer(StatusCode::BAD_REQUEST, Some("failed"), error.to_string()),
    }
}

fn answer(code: StatusCode, status: Option<&'static str>, message: String) -> Response {
    match serde_json::to_vec(&Answer { status, message }) {
        Ok(body) => json_with_status(code, body),
        Err(error) => ApiError::Internal(error.to_string()).into_response(),
    }
}
