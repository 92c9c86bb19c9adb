//! What is counted and logged about each request.

use std::sync::Arc;
use std::time::Instant;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderValue, Method};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::state::AppState;

/// The route or method of requests that have none of ours, so that strangers cannot make new series.
const OTHER: &str = "other";

/// What metrics show instead of the method of HTTP for calls over gRPC, whose route is their path.
const GRPC: &str = "gRPC";

/// The methods of our services, so that strangers cannot make new series here either.
const GRPC_METHODS: [&str; 13] = [
    "Push",
    "Query",
    "QuerySample",
    "Label",
    "Series",
    "Tail",
    "TailersCount",
    "GetStats",
    "GetVolume",
    "Export",
    "Check",
    "Watch",
    "ServerReflectionInfo",
];

/// Counts the request and its time by method, route and status, and logs it at level debug.
pub(super) async fn request(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let (method, route) = match grpc_method(&request) {
        Some(path) => (GRPC, path.to_owned()),
        None => {
            let matched = request.extensions().get::<MatchedPath>();
            let route = matched.map_or_else(|| OTHER.to_owned(), |path| name_of(path.as_str()));
            (method_name(request.method()), route)
        }
    };
    let _in_flight = state.metrics.begin_request(method, &route);
    let response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    let told = if method == GRPC { grpc_status(&response) } else { &status.to_string() };
    state.metrics.observe_request(method, &route, told, status == 101, took);
    tracing::debug!(method, route, status = told, ?took, "request");
    response
}

/// The path of a method of ours that is called over gRPC.
fn grpc_method(request: &Request) -> Option<&str> {
    let content_type = request.headers().get(CONTENT_TYPE)?.as_bytes();
    let path = request.uri().path();
    let (service, method) = path.rsplit_once('/')?;
    // A route that takes any name in the service's place would make a series of each.
    let route = request.extensions().get::<MatchedPath>()?.as_str();
    let is_ours = GRPC_METHODS.contains(&method)
        && route.rsplit_once('/').is_some_and(|(fixed, _)| fixed == service);
    (content_type.starts_with(b"application/grpc") && is_ours).then_some(path)
}

/// How a call over gRPC went, in the words of Loki's metrics. One that fails while its answers come has
/// begun well, and counts so.
fn grpc_status(response: &Response) -> &'static str {
    match response.headers().get("grpc-status").map(HeaderValue::as_bytes) {
        None | Some(b"0") => "success",
        Some(b"1") => "cancel",
        Some(_) => "error",
    }
}

/// The method as metrics show it: one of a few, whatever clients invent.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => OTHER,
    }
}

/// `/loki/api/v1/label/{name}/values` is `loki_api_v1_label_name_values`, as in Loki's metrics.
fn name_of(path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "root".to_owned() } else { words.join("_") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_have_lokis_names() {
        assert_eq!(name_of("/loki/api/v1/query_range"), "loki_api_v1_query_range");
        assert_eq!(name_of("/loki/api/v1/label/{name}/values"), "loki_api_v1_label_name_values");
        assert_eq!(name_of("/"), "root");
    }
}
