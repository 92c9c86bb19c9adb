//! What is counted and logged about each request.

use std::sync::Arc;
use std::time::Instant;

use ::http::Method;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::state::AppState;

/// The route or method of requests that have none of ours, so that strangers cannot make new series.
const OTHER: &str = "other";

/// Counts the request and its time by method, route and status, and logs it at level debug.
pub(super) async fn request(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or_else(|| OTHER.to_owned(), |path| name_of(path.as_str()));
    let _in_flight = state.metrics.begin_request(method_name(&method), &route);
    let response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    state.metrics.observe_request(method_name(&method), &route, status, took);
    tracing::debug!(%method, route, status, ?took, "request");
    response
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
