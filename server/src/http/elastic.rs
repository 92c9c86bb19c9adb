//! What Elasticsearch's clients ask for: bulk requests, and what they want to know and set before.
//!
//! Templates, policies and pipelines say how Elasticsearch would store documents. Nothing is stored that
//! way here, so they are taken for granted: they are there when asked for, and acknowledged when sent.

use std::sync::Arc;

use ::http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use ::http::{HeaderMap, HeaderValue, StatusCode};
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on, post};
use serde_json::{Value, json};

use super::admin;
use super::insert::{disabled, field_rules};
use super::push::read_push;
use super::routes::{Routes, WRITE};
use crate::access::Need;
use crate::error::with_retry_after;
use crate::ingest::{Bulk, FieldRules, bulk_error};
use crate::state::AppState;
use crate::tenant::Tenant;

/// Clients of Elastic's make do with no server that does not say this.
const PRODUCT: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-elastic-product"), HeaderValue::from_static("Elasticsearch"));

/// Identifies the cluster; clients keep it beside what they have sent.
const CLUSTER_UUID: &str = "dGltYmVybGluZS1sb2dzLQ";

/// The routes, as Elasticsearch has them and below `/insert/elasticsearch`.
pub(super) fn routes(mut routes: Routes, state: &AppState) -> Routes {
    // Any name may be an index, but only where there are any.
    if state.config.ingest.elasticsearch.enabled {
        routes = routes.add(Need::Anyone, "/{name}", index()).add(
            Need::Anyone,
            "/insert/elasticsearch/{name}",
            index(),
        );
    }
    let routes = routes
        .add(WRITE, "/_bulk", post(bulk).put(bulk))
        .add(WRITE, "/{name}/_bulk", post(bulk_of_index).put(bulk_of_index))
        .add(WRITE, "/insert/elasticsearch/_bulk", post(bulk).put(bulk))
        .add(WRITE, "/insert/elasticsearch/{name}/_bulk", post(bulk_of_index).put(bulk_of_index))
        .add(Need::Anyone, "/insert/elasticsearch", get(information))
        .add(Need::Anyone, "/insert/elasticsearch/", get(information));
    ANSWERED.iter().fold(routes, |routes, (path, answer)| routes.add(Need::Anyone, path, answer()))
}

/// Paths that are answered from nothing but the configuration.
type Answered = (&'static str, fn() -> MethodRouter<Arc<AppState>>);

const ANSWERED: [Answered; 26] = [
    ("/_license", license),
    ("/_xpack", xpack),
    ("/_cluster/health", health),
    ("/_nodes/http", nodes),
    ("/_ilm/policy/{name}", granted),
    ("/_index_template/{name}", granted),
    ("/_component_template/{name}", granted),
    ("/_template/{name}", granted),
    ("/_data_stream/{name}", granted),
    ("/_ingest/pipeline/{name}", granted),
    ("/_alias", aliases),
    ("/_alias/{name}", granted),
    ("/{name}/_alias", granted),
    ("/insert/elasticsearch/_license", license),
    ("/insert/elasticsearch/_xpack", xpack),
    ("/insert/elasticsearch/_cluster/health", health),
    ("/insert/elasticsearch/_nodes/http", nodes),
    ("/insert/elasticsearch/_ilm/policy/{name}", granted),
    ("/insert/elasticsearch/_index_template/{name}", granted),
    ("/insert/elasticsearch/_component_template/{name}", granted),
    ("/insert/elasticsearch/_template/{name}", granted),
    ("/insert/elasticsearch/_data_stream/{name}", granted),
    ("/insert/elasticsearch/_ingest/pipeline/{name}", granted),
    ("/insert/elasticsearch/_alias", aliases),
    ("/insert/elasticsearch/_alias/{name}", granted),
    ("/insert/elasticsearch/{name}/_alias", granted),
];

fn license() -> MethodRouter<Arc<AppState>> {
    get(|State(state): State<Arc<AppState>>| async move {
        let license =
            json!({ "status": "active", "uid": CLUSTER_UUID, "type": "basic", "mode": "basic" });
        answer(&state, &json!({ "license": license }))
    })
}

fn xpack() -> MethodRouter<Arc<AppState>> {
    get(|State(state): State<Arc<AppState>>| async move {
        let license =
            json!({ "uid": CLUSTER_UUID, "type": "basic", "mode": "basic", "status": "active" });
        let off = json!({ "available": false, "enabled": false });
        let on = json!({ "available": true, "enabled": true });
        let features = json!({ "ilm": on, "data_streams": on, "security": off, "ml": off });
        answer(&state, &json!({ "build": {}, "license": license, "features": features }))
    })
}

fn health() -> MethodRouter<Arc<AppState>> {
    get(|State(state): State<Arc<AppState>>| async move {
        let health = json!({
            "cluster_name": "timberline", "status": "green", "timed_out": false,
            "number_of_nodes": 1, "number_of_data_nodes": 1, "unassigned_shards": 0,
        });
        answer(&state, &health)
    })
}

fn nodes() -> MethodRouter<Arc<AppState>> {
    get(|State(state): State<Arc<AppState>>| async move {
        // A client that looks for nodes goes on with the address it has where a node names none.
        let version = &state.config.ingest.elasticsearch.version;
        let node = json!({ "name": "timberline", "version": version, "roles": ["data", "ingest"] });
        let counts = json!({ "total": 1, "successful": 1, "failed": 0 });
        let nodes = json!({ "_nodes": counts, "cluster_name": "timberline", "nodes": { CLUSTER_UUID: node } });
        answer(&state, &nodes)
    })
}

fn aliases() -> MethodRouter<Arc<AppState>> {
    get(|State(state): State<Arc<AppState>>| async move { answer(&state, &json!({})) })
}

/// Something that is there, and may be set to anything.
fn granted() -> MethodRouter<Arc<AppState>> {
    get(show).put(set)
}

/// An index: what is sent to it makes it, so that it is there when asked for. What is in it is not told here,
/// and a page that is not there is none.
fn index() -> MethodRouter<Arc<AppState>> {
    on(MethodFilter::HEAD, show).put(make_index)
}

async fn show(State(state): State<Arc<AppState>>, Path(name): Path<String>) -> Response {
    answer(&state, &json!({ (name): {} }))
}

async fn set(State(state): State<Arc<AppState>>) -> Response {
    answer(&state, &json!({ "acknowledged": true }))
}

async fn make_index(State(state): State<Arc<AppState>>, Path(name): Path<String>) -> Response {
    answer(&state, &json!({ "acknowledged": true, "shards_acknowledged": true, "index": name }))
}

/// `GET /`: what Elasticsearch's clients ask first, where they are served; else the page for people, who
/// get it from their browsers in any case.
pub(super) async fn index_or_information(
    state: State<Arc<AppState>>,
    headers: HeaderMap,
) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if !state.config.ingest.elasticsearch.enabled || accept.contains("text/html") {
        return admin::index().await;
    }
    information(state).await
}

async fn information(State(state): State<Arc<AppState>>) -> Response {
    let version = &state.config.ingest.elasticsearch.version;
    let information = json!({
        "name": "timberline",
        "cluster_name": "timberline",
        "cluster_uuid": CLUSTER_UUID,
        "version": {
            "number": version,
            "build_flavor": "default",
            "build_type": "tar",
            "build_hash": "0000000000000000000000000000000000000000",
            "build_date": "2025-01-01T00:00:00Z",
            "build_snapshot": false,
            "lucene_version": "9.12.0",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    });
    answer(&state, &information)
}

/// An answer, where these endpoints are there at all.
fn answer(state: &AppState, body: &Value) -> Response {
    if !state.config.ingest.elasticsearch.enabled {
        return disabled("Elasticsearch's API", "ingest.elasticsearch.enabled");
    }
    with_body(StatusCode::OK, body.to_string().into_bytes())
}

fn with_body(status: StatusCode, body: Vec<u8>) -> Response {
    let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (status, [PRODUCT, json], Bytes::from(body)).into_response()
}

fn refused(status: StatusCode, text: &str) -> Response {
    with_body(status, bulk_error(status, text))
}

async fn bulk(
    state: State<Arc<AppState>>,
    tenant: Tenant,
    query: RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    take_bulk(state, tenant, String::new(), query, headers, body).await
}

async fn bulk_of_index(
    state: State<Arc<AppState>>,
    tenant: Tenant,
    Path(index): Path<String>,
    query: RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    take_bulk(state, tenant, index, query, headers, body).await
}

async fn take_bulk(
    State(state): State<Arc<AppState>>,
    Tenant(tenant): Tenant,
    index: String,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let config = &state.config.ingest.elasticsearch;
    if !config.enabled {
        return disabled("Elasticsearch's API", "ingest.elasticsearch.enabled");
    }
    // Given back when the push is done, or its client gone.
    let mut share = state.ingester.share(&tenant);
    let body = match read_push(&state, &tenant, body, &mut share).await {
        Ok(body) => body,
        Err(error) => {
            let response = refused(error.status(), &error.to_string());
            return with_retry_after(response, error.retry_after());
        }
    };
    let defaults = FieldRules {
        time: vec!["@timestamp".to_owned()],
        message: config.message_fields.clone(),
        labels: config.labels.clone(),
        job: "elasticsearch",
        ..FieldRules::default()
    };
    let rules = field_rules(defaults, query.as_deref().unwrap_or_default(), &headers);
    match state.ingester.push_bulk(&tenant, Bulk { rules, index }, &headers, body).await {
        Ok(body) => with_body(StatusCode::OK, body),
        Err(error) => with_retry_after(refused(error.status, &error.text), error.retry_after),
    }
}
