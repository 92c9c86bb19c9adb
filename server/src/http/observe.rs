//! What is counted and logged about each request.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderValue, Method};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet, ServiceDescriptorProto};

use crate::ingest::proto::DESCRIPTORS;
use crate::state::AppState;

/// The route or method of requests that have none of ours, so that strangers cannot make new series.
const OTHER: &str = "other";

/// What metrics show instead of the method of HTTP for calls over gRPC, whose route is their path.
const GRPC: &str = "gRPC";

/// The paths of the methods of our services, so that strangers cannot make new series here either.
static GRPC_PATHS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let sets = [
        DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let files = sets.into_iter().filter_map(|set| FileDescriptorSet::decode(set).ok());
    files.flat_map(|set| set.file).flat_map(|file| paths_of(&file)).collect()
});

/// `/package.Service/Method` of all that a file describes.
fn paths_of(file: &FileDescriptorProto) -> Vec<String> {
    let of_service = |service: &ServiceDescriptorProto| {
        let service_name = format!("/{}.{}", file.package(), service.name());
        let paths = service.method.iter().map(|method| format!("{service_name}/{}", method.name()));
        paths.collect::<Vec<_>>()
    };
    file.service.iter().flat_map(of_service).collect()
}

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
    (content_type.starts_with(b"application/grpc") && GRPC_PATHS.contains(path)).then_some(path)
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

    #[test]
    fn methods_of_our_services_are_known() {
        for path in [
            "/logproto.Pusher/Push",
            "/logproto.Querier/GetVolume",
            crate::ingest::LogsService::EXPORT,
            "/grpc.health.v1.Health/Watch",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ] {
            assert!(GRPC_PATHS.contains(path), "{path}");
        }
        assert!(GRPC_PATHS.len() < 20 && !GRPC_PATHS.contains("/logproto.Pusher/Pull"));
    }
}
