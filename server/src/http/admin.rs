//! Health, metrics and what else operators ask for.

use std::sync::Arc;

use ::http::StatusCode;
use ::http::header::CONTENT_TYPE;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use prometheus::TEXT_FORMAT;

use super::json;
use super::params::Params;
use crate::error::{ApiError, text_response};
use crate::state::AppState;
use crate::{config, encode, metrics};

/// `GET /`: for the person who opens the port in a browser.
pub(super) async fn index() -> Response {
    let text = format!(
        "timberline {}: a Loki-compatible log store\n\n\
         Push to /loki/api/v1/push, query /loki/api/v1/query_range, or add this address to Grafana as a Loki\n\
         data source.\n\n\
         /ready      whether requests are served\n\
         /metrics    figures for Prometheus\n\
         /config     the effective configuration\n\
         /services   what runs\n\
         /log_level  how much is logged; POST log_level=debug changes it\n\
         /flush      writes what is in memory to disk\n\
         /timberline/api/v1/backup  POST name=NAME makes a backup in the data directory\n",
        crate::VERSION
    );
    text_response(StatusCode::OK, text)
}

/// `/ready`
pub(super) async fn ready(State(state): State<Arc<AppState>>) -> Response {
    if state.is_stopping() {
        let text = "Application is stopping\n".to_owned();
        return text_response(StatusCode::SERVICE_UNAVAILABLE, text);
    }
    text_response(StatusCode::OK, "ready\n".to_owned())
}

/// `/services`
pub(super) async fn services(State(state): State<Arc<AppState>>) -> Response {
    let phase = if state.is_stopping() { "Stopping" } else { "Running" };
    let names = ["server", "ingester", "querier", "store"];
    text_response(StatusCode::OK, names.map(|name| format!("{name} => {phase}\n")).concat())
}

/// `/metrics`
pub(super) async fn metrics(State(state): State<Arc<AppState>>) -> Result<Response, ApiError> {
    let text = metrics::to_text(&state.registry);
    let text = text.map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response())
}

/// `/config`: YAML that can be loaded back; with `mode=diff` what is not as it is by default, with
/// `mode=defaults` the defaults.
pub(super) async fn config(
    State(state): State<Arc<AppState>>,
    params: Params,
) -> Result<Response, ApiError> {
    let in_force = || state.limits.current().in_config(&state.config);
    let text = match params.first("mode") {
        "diff" => config::changes_to_yaml(&in_force()),
        "defaults" => config::to_yaml(&config::Config::default()),
        _ => config::to_yaml(&in_force()),
    };
    let text = text.map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(text_response(StatusCode::OK, text))
}

/// `/loki/api/v1/status/buildinfo`
pub(super) async fn build_info() -> Response {
    json(encode::build_info(crate::VERSION))
}

/// `/flush`: answers when everything is in segments.
pub(super) async fn flush(State(state): State<Arc<AppState>>) -> Result<StatusCode, ApiError> {
    let store = state.store.clone();
    tokio::task::spawn_blocking(move || store.flush())
        .await
        .map_err(|error| ApiError::Internal(error.to_string()))??;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /timberline/api/v1/backup?name=NAME`: a copy of everything acknowledged so far, in `backups/NAME` of
/// the data directory.
pub(super) async fn backup(
    State(state): State<Arc<AppState>>,
    params: Params,
) -> Result<Response, ApiError> {
    let name = params.first("name");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !begins_well || name.len() > 100 || !name.chars().all(is_plain) {
        let text = "name must be letters, digits and - _ . and begin with a letter or digit";
        return Err(ApiError::BadRequest(text.to_owned()));
    }
    let directory = state.config.data_dir.join("backups").join(name);
    let (store, to) = (state.store.clone(), directory.clone());
    tokio::task::spawn_blocking(move || store.backup(to))
        .await
        .map_err(|error| ApiError::Internal(error.to_string()))??;
    tracing::info!(directory = %directory.display(), "a backup was made");
    let body = serde_json::json!({"status": "success", "directory": directory});
    Ok(json(format!("{body}\n").into_bytes()))
}
