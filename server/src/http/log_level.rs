//! `/log_level`: how much the server says in its own log, without a restart.

use std::sync::Arc;

use ::http::StatusCode;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::json_with_status;
use super::params::Params;
use crate::logs;
use crate::state::AppState;

/// `GET /log_level`
pub(super) async fn show(State(state): State<Arc<AppState>>) -> Response {
    let level = logs::level().unwrap_or_else(|| state.config.server.log_level.clone());
    answer(StatusCode::OK, &json!({ "message": format!("Current log level is {level}") }))
}

/// `POST /log_level` with `log_level=debug`
pub(super) async fn set(params: Params) -> Response {
    let level = params.first("log_level");
    match logs::set_level(level) {
        Ok(()) => {
            let message = format!("Log level set to {level}");
            answer(StatusCode::OK, &json!({ "status": "success", "message": message }))
        }
        Err(error) => {
            let body = json!({ "status": "failed", "message": error.to_string() });
            answer(StatusCode::BAD_REQUEST, &body)
        }
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    json_with_status(status, body.to_string().into_bytes())
}
