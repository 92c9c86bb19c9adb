//! The HTTP endpoints: a file per family.
//!
//! Handlers read parameters, hand the work to a blocking thread (`work`) and encode what comes back.
//! Paths, methods, parameters, bodies and texts are those of Loki 3.7.

mod admin;
mod body;
mod deletes;
mod detected;
mod elastic;
mod grpc;
mod index;
mod insert;
mod journald;
mod labels;
mod legacy;
mod limits;
mod log_level;
mod observe;
mod openapi;
mod otlp;
mod params;
mod patterns;
mod prefix;
mod push;
mod query;
mod routes;
mod rules;
mod tags;
mod tail;
mod volume;
pub(crate) mod work;

pub(crate) use self::params::now;

use std::any::Any;
use std::sync::Arc;

use ::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use ::http::{HeaderValue, Method, StatusCode};
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;

use self::routes::{ADMIN, READ, Routes};
use crate::access::Need;
use crate::error::text_response;
use crate::state::AppState;
use crate::tenant::TENANT_HEADER;

/// Every route of the server.
pub fn router(state: &Arc<AppState>) -> Router {
    let of_panics = Arc::clone(state);
    let panicked = move |_: Box<dyn Any + Send>| {
        of_panics.metrics.count_panic();
        text_response(StatusCode::INTERNAL_SERVER_ERROR, "internal error".to_owned())
    };
    // Answers are some tenant's and true for a moment: nobody on the way is to keep one.
    let uncached =
        SetResponseHeaderLayer::if_not_present(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let router = routes(state)
        .into_router()
        // Answers repeat label names over and over: they are worth compressing.
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::custom(panicked))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(state), observe::request))
        .layer(uncached)
        .with_state(Arc::clone(state));
    let router = match &state.config.server.cors_allowed_origins[..] {
        [] => router,
        origins => router.layer(cors(origins)),
    };
    match &*state.config.server.http_path_prefix {
        "" => router,
        prefix => prefix::below(prefix, router),
    }
}

fn routes(state: &Arc<AppState>) -> Routes {
    let routes = push::routes(reads(Routes::new(state)), state);
    let routes = grpc::routes(elastic::routes(insert::routes(routes), state), state);
    if state.ruler.is_some() { rules::routes(routes) } else { routes }
}

/// Lets pages of these origins read answers; without it, browsers do not let them.
fn cors(origins: &[String]) -> CorsLayer {
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        // They were checked when the configuration was read.
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let headers = [
        AUTHORIZATION,
        CONTENT_TYPE,
        CACHE_CONTROL,
        HeaderName::from_static(TENANT_HEADER),
        HeaderName::from_static(query::ENCODING_FLAGS_HEADER),
        HeaderName::from_static(tags::HEADER),
    ];
    let methods = [Method::GET, Method::POST, Method::PUT, Method::DELETE];
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods(methods)
        .allow_headers(headers)
        .expose_headers([deletes::ID_HEADER])
}

fn reads(routes: Routes) -> Routes {
    routes
        .add(READ, "/loki/api/v1/query_range", get(query::range).post(query::range))
        .add(READ, "/loki/api/v1/query", get(query::instant).post(query::instant))
        .add(READ, "/loki/api/v1/labels", get(labels::names).post(labels::names))
        .add(READ, "/loki/api/v1/label", get(labels::names).post(labels::names))
        .add(READ, "/loki/api/v1/label/{name}/values", get(labels::values).post(labels::values))
        .add(READ, "/loki/api/v1/series", get(labels::series).post(labels::series))
        .add(READ, "/loki/api/v1/tail", get(tail::tail).post(tail::tail))
        .add(READ, "/api/prom/tail", get(tail::legacy).post(tail::legacy))
        .add(READ, "/api/prom/query", get(legacy::query).post(legacy::query))
        .add(READ, "/api/prom/label", get(legacy::names).post(legacy::names))
        .add(READ, "/api/prom/label/{name}/values", get(legacy::values).post(legacy::values))
        .add(READ, "/api/prom/series", get(labels::series).post(labels::series))
        .add(READ, "/loki/api/v1/detected_labels", get(detected::labels).post(detected::labels))
        .add(READ, "/loki/api/v1/detected_fields", get(detected::fields).post(detected::fields))
        .add(
            READ,
            "/loki/api/v1/detected_field/{name}/values",
            get(detected::field_values).post(detected::field_values),
        )
        .add(READ, "/loki/api/v1/patterns", get(patterns::patterns).post(patterns::patterns))
        .add(READ, "/loki/api/v1/index/stats", get(index::stats).post(index::stats))
        .add(READ, "/loki/api/v1/index/volume", get(index::volume).post(index::volume))
        .add(
            READ,
            "/loki/api/v1/index/volume_range",
            get(index::volume_range).post(index::volume_range),
        )
        .add(
            ADMIN,
            "/loki/api/v1/delete",
            get(deletes::list).post(deletes::create).put(deletes::create).delete(deletes::cancel),
        )
        .add(READ, "/loki/api/v1/drilldown-limits", get(limits::drilldown))
        .add(READ, "/config/tenant/v1/limits", get(limits::tenant))
        .add(Need::Anyone, "/loki/api/v1/format_query", get(query::format).post(query::format))
        .add(Need::Anyone, "/loki/api/v1/status/buildinfo", get(admin::build_info))
        .add(Need::Anyone, "/openapi.json", get(openapi::openapi))
        .add(Need::Figures, "/metrics", get(admin::metrics))
        .add(Need::Operator, "/config", get(admin::config))
        .add(Need::Operator, "/log_level", get(log_level::show).post(log_level::set))
        .add(Need::Anyone, "/services", get(admin::services))
        .add(Need::Nothing, "/ready", get(admin::ready))
        .add(Need::Anyone, "/", get(elastic::index_or_information))
        .add(Need::Operator, "/timberline/api/v1/backup", post(admin::backup))
        .add(Need::Operator, "/flush", get(admin::flush).post(admin::flush))
}

/// A JSON body of the query endpoints.
fn json(body: Vec<u8>) -> Response {
    json_with_status(StatusCode::OK, body)
}

fn json_with_status(status: StatusCode, body: Vec<u8>) -> Response {
    let headers = [(CONTENT_TYPE, "application/json; charset=UTF-8")];
    (status, headers, Body::from(Bytes::from(body))).into_response()
}
