//! All paths below one, where the configuration says so.

use std::sync::Arc;

use ::http::Uri;
use ::http::uri::PathAndQuery;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};

use super::routes::{is_grpc, not_found};

/// Puts a router below a path: a slash in front, none behind. Paths of gRPC stay as they are, since they are the
/// names of services.
pub(super) fn below(prefix: &str, router: Router) -> Router {
    // Outside all routes, so that these, and what is counted by them, are the same with a prefix and without.
    let strip = from_fn_with_state(Arc::from(prefix), strip);
    Router::new().fallback_service(router).layer(strip)
}

async fn strip(State(prefix): State<Arc<str>>, mut request: Request, next: Next) -> Response {
    match without(&prefix, request.uri()) {
        Some(uri) => *request.uri_mut() = uri,
        None if is_grpc(request.headers()) => {}
        None => return not_found(request.headers().clone()).await.into_response(),
    }
    next.run(request).await
}

/// The address without the prefix; `None` where it has another.
fn without(prefix: &str, uri: &Uri) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix(prefix)?;
    let rest = match rest.chars().next() {
        Some('/') => rest.to_owned(),
        None | Some('?') => format!("/{rest}"),
        Some(_) => return None,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(rest).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_taken_off_whole_parts_of_paths() {
        let without = |uri: &str| {
            without("/logs", &uri.parse().unwrap())
                .map(|uri| uri.path_and_query().unwrap().to_string())
        };
        for (uri, path) in [
            ("/logs/ready", Some("/ready")),
            ("/logs/loki/api/v1/labels?start=1", Some("/loki/api/v1/labels?start=1")),
            ("http://host/logs/a", Some("/a")),
            ("/logs", Some("/")),
            ("/logs?a=/b", Some("/?a=/b")),
            ("/logs/logs", Some("/logs")),
            ("/logsready", None),
            ("/ready", None),
            ("/a/logs/ready", None),
        ] {
            assert_eq!(without(uri).as_deref(), path, "{uri}");
        }
    }
}
