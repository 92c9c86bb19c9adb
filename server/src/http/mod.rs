//! The HTTP endpoints: a file per family.
//!
//! Handlers read parameters, hand the work to a blocking thread (`work`) and encode what comes back.
//! Paths, methods, parameters, bodies and texts are those of Loki 3.7.

mod admin;
mod body;
mod detected;
mod grpc;
mod index;
mod labels;
mod legacy;
mod limits;
mod log_level;
mod observe;
mod otlp;
mod params;
mod patterns;
mod push;
mod query;
mod tail;
mod volume;
pub(crate) mod work;

use std::sync::Arc;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, HeaderValue, StatusCode};
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use tonic::Status;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

pub(crate) use self::params::now;
use crate::error::text_response;
use crate::state::AppState;

/// Every route of the server.
pub fn router(state: &Arc<AppState>) -> Router {
    reads()
        // Answers repeat label names over and over: they are worth compressing, pushes' are empty.
        .layer(CompressionLayer::new())
        .merge(push::routes(state))
        .merge(grpc::routes(state))
        .fallback(not_found)
        .layer(CatchPanicLayer::custom(|_| {
            text_response(StatusCode::INTERNAL_SERVER_ERROR, "internal error".to_owned())
        }))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(state), observe::request))
        .with_state(Arc::clone(state))
}

fn reads() -> Router<Arc<AppState>> {
    Router::new()
        .route("/loki/api/v1/query_range", get(query::range).post(query::range))
        .route("/loki/api/v1/query", get(query::instant).post(query::instant))
        .route("/loki/api/v1/labels", get(labels::names).post(labels::names))
        .route("/loki/api/v1/label", get(labels::names).post(labels::names))
        .route("/loki/api/v1/label/{name}/values", get(labels::values).post(labels::values))
        .route("/loki/api/v1/series", get(labels::series).post(labels::series))
        .route("/loki/api/v1/tail", get(tail::tail).post(tail::tail))
        .route("/api/prom/tail", get(tail::legacy).post(tail::legacy))
        .route("/api/prom/query", get(legacy::query).post(legacy::query))
        .route("/api/prom/label", get(legacy::names).post(legacy::names))
        .route("/api/prom/label/{name}/values", get(legacy::values).post(legacy::values))
        .route("/api/prom/series", get(labels::series).post(labels::series))
        .route("/loki/api/v1/detected_labels", get(detected::labels).post(detected::labels))
        .route("/loki/api/v1/detected_fields", get(detected::fields).post(detected::fields))
        .route(
            "/loki/api/v1/detected_field/{name}/values",
            get(detected::field_values).post(detected::field_values),
        )
        .route("/loki/api/v1/patterns", get(patterns::patterns).post(patterns::patterns))
        .route("/loki/api/v1/index/stats", get(index::stats).post(index::stats))
        .route("/loki/api/v1/index/volume", get(index::volume).post(index::volume))
        .route(
            "/loki/api/v1/index/volume_range",
            get(index::volume_range).post(index::volume_range),
        )
        .route("/loki/api/v1/drilldown-limits", get(limits::drilldown))
        .route("/config/tenant/v1/limits", get(limits::tenant))
        .route("/loki/api/v1/format_query", get(query::format).post(query::format))
        .route("/loki/api/v1/status/buildinfo", get(admin::build_info))
        .route("/metrics", get(admin::metrics))
        .route("/config", get(admin::config))
        .route("/log_level", get(log_level::show).post(log_level::set))
        .route("/services", get(admin::services))
        .route("/ready", get(admin::ready))
        .route("/", get(admin::index))
        .route("/flush", get(admin::flush).post(admin::flush))
}

/// A path that is not ours. gRPC has its own way to say so: to its clients a 404 is a broken server.
async fn not_found(headers: HeaderMap) -> Response {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if content_type.starts_with(b"application/grpc") {
        return Status::unimplemented("unknown service").into_http();
    }
    text_response(StatusCode::NOT_FOUND, "404 page not found\n".to_owned())
}

/// A JSON body of the query endpoints.
fn json(body: Vec<u8>) -> Response {
    json_with_status(StatusCode::OK, body)
}

fn json_with_status(status: StatusCode, body: Vec<u8>) -> Response {
    let headers = [(CONTENT_TYPE, "application/json; charset=UTF-8")];
    (status, headers, Body::from(Bytes::from(body))).into_response()
}
