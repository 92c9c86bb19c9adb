//! `/insert/jsonline`, `/insert/raw` and journald's uploads: lines as they are, with what is what in the
//! query string, under the names that VictoriaLogs gives it.

use std::sync::Arc;

use ::http::{HeaderMap, StatusCode};
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::post;

use super::journald;
use super::push::answer_push;
use super::routes::{Routes, WRITE};
use crate::config::is_label_name;
use crate::error::text_response;
use crate::ingest::{FieldRules, label_text};
use crate::state::AppState;
use crate::tenant::Tenant;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(WRITE, "/insert/jsonline", post(jsonline))
        .add(WRITE, "/insert/raw", post(raw))
        .add(WRITE, "/insert/journald/upload", post(journald::upload))
        .add(WRITE, "/upload", post(journald::upload))
}

/// An endpoint that is not there unless the configuration says so.
pub(super) fn disabled(what: &str, key: &str) -> Response {
    let text = format!("{what}: off; set {key} to true in the configuration to turn it on\n");
    text_response(StatusCode::NOT_FOUND, text)
}

/// A JSON object a line.
async fn jsonline(
    State(state): State<Arc<AppState>>,
    Tenant(tenant): Tenant,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if !state.config.ingest.jsonline.enabled {
        return disabled("JSON lines", "ingest.jsonline.enabled");
    }
    let defaults = FieldRules {
        time: vec!["_time".to_owned()],
        message: vec!["_msg".to_owned()],
        job: "jsonline",
        ..FieldRules::default()
    };
    let rules = field_rules(defaults, query.as_deref().unwrap_or_default(), &headers);
    let push = |body| state.ingester.push_json_lines(&tenant, rules, &headers, body);
    answer_push(&state, &tenant, body, push).await
}

/// Any text, an entry a line.
async fn raw(
    State(state): State<Arc<AppState>>,
    Tenant(tenant): Tenant,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if !state.config.ingest.jsonline.enabled {
        return disabled("plain lines", "ingest.jsonline.enabled");
    }
    let labels = match labels_of(query.as_deref().unwrap_or_default()) {
        Ok(labels) => labels,
        Err(text) => return text_response(StatusCode::BAD_REQUEST, text),
    };
    let push = |body| state.ingester.push_plain_lines(&tenant, labels, &headers, body);
    answer_push(&state, &tenant, body, push).await
}

/// `app=shop&env=prod` as a stream's labels; `{job="raw"}` where there are none.
fn labels_of(query: &str) -> Result<String, String> {
    let mut labels: Vec<(_, _)> = form_urlencoded::parse(query.as_bytes()).collect();
    if let Some((name, _)) = labels.iter().find(|(name, _)| !is_label_name(name)) {
        return Err(format!(
            "the query string's {name:?} is no label: names have letters, digits and underscores\n"
        ));
    }
    labels.retain(|(_, value)| !value.is_empty());
    if labels.is_empty() {
        labels.push(("job".into(), "raw".into()));
    }
    Ok(label_text(&labels))
}

/// What the query string and the headers say of fields; `defaults` for what they do not say.
pub(super) fn field_rules(defaults: FieldRules, query: &str, headers: &HeaderMap) -> FieldRules {
    let params: Vec<(_, _)> = form_urlencoded::parse(query.as_bytes()).collect();
    let said = |param: &str, header: &str| -> Option<String> {
        let of_query = params.iter().find(|(name, value)| name == param && !value.is_empty());
        let of_header = || headers.get(header)?.to_str().ok().map(str::to_owned);
        of_query.map(|(_, value)| value.to_string()).or_else(of_header)
    };
    let names = |param: &str, header: &str| {
        let parts = |text: String| -> Vec<String> {
            let parts = text.split(',').map(|part| part.trim().to_owned());
            parts.filter(|part| !part.is_empty()).collect()
        };
        said(param, header).map(parts)
    };
    let extra = |parts: Vec<String>| {
        let pair = |part: &String| {
            part.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        parts.iter().filter_map(pair).collect()
    };
    FieldRules {
        time: names("_time_field", "vl-time-field").unwrap_or(defaults.time),
        message: names("_msg_field", "vl-msg-field").unwrap_or(defaults.message),
        labels: names("_stream_fields", "vl-stream-fields").unwrap_or(defaults.labels),
        ignored: names("ignore_fields", "vl-ignore-fields").unwrap_or(defaults.ignored),
        extra: names("extra_fields", "vl-extra-fields").map(extra).unwrap_or(defaults.extra),
        ..defaults
    }
}
