//! Rules: `/loki/api/v1/rules` and `/api/prom/rules` to read and set them, `/prometheus/api/v1/…` to see what
//! they have come to.
//!
//! Paths, statuses and texts are those of Loki's ruler. Where the ruler is off these routes do not exist.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, StatusCode};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::Serialize;
use timberline_store::TenantId;

use super::body::read_body;
use super::json_with_status;
use super::params::Params;
use super::routes::{ADMIN, READ, Routes};
use crate::error::{ApiError, text_response};
use crate::ruler::{
    AlertView, BookError, Filter, GroupView, LabelMap, RuleGroup, Ruler, check_name, parse_group,
    to_yaml, validate,
};
use crate::state::AppState;
use crate::tenant::{TenantError, tenant_of};

/// The largest group that is taken, in bytes.
const GROUP_BYTES_MAX: usize = 1 << 20;

const NO_GROUPS: &str = "no rule groups found";
const BAD_GROUP: &str = "unable to decoded rule group";

/// The routes of the ruler.
pub(super) fn routes(mut routes: Routes) -> Routes {
    for [all, namespace, group] in [
        [
            "/loki/api/v1/rules",
            "/loki/api/v1/rules/{namespace}",
            "/loki/api/v1/rules/{namespace}/{group}",
        ],
        ["/api/prom/rules", "/api/prom/rules/{namespace}", "/api/prom/rules/{namespace}/{group}"],
    ] {
        routes = routes
            .add(READ, all, get(list))
            .add(READ, namespace, get(list_namespace))
            .add(ADMIN, namespace, post(set).delete(delete_namespace))
            .add(READ, group, get(show))
            .add(ADMIN, group, axum::routing::delete(delete_group));
    }
    routes.add(READ, "/prometheus/api/v1/rules", get(prometheus_rules)).add(
        READ,
        "/prometheus/api/v1/alerts",
        get(prometheus_alerts),
    )
}

/// Why there is no answer.
#[derive(Debug)]
enum RulesError {
    /// A line of text.
    Text(StatusCode, String),
    /// In Prometheus's JSON.
    Json(StatusCode, &'static str, String),
    Api(ApiError),
}

impl axum::response::IntoResponse for RulesError {
    fn into_response(self) -> Response {
        match self {
            Self::Text(status, text) => text_response(status, format!("{text}\n")),
            Self::Json(status, kind, error) => envelope::<()>(status, kind, &error, None),
            Self::Api(error) => error.into_line_response(),
        }
    }
}

impl From<BookError> for RulesError {
    fn from(error: BookError) -> Self {
        let status = match &error {
            BookError::NoGroup | BookError::NoNamespace => StatusCode::NOT_FOUND,
            BookError::Name(_) | BookError::Broken(_) | BookError::TooMany { .. } => {
                StatusCode::BAD_REQUEST
            }
            BookError::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::error!(%error, "rules were not changed");
        }
        Self::Text(status, error.to_string())
    }
}

type Answer = Result<Response, RulesError>;

/// What Prometheus's API puts around everything.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'e, T> {
    status: &'static str,
    data: Option<T>,
    error_type: &'e str,
    error: &'e str,
}

fn envelope<T: Serialize>(
    status: StatusCode,
    error_type: &str,
    error: &str,
    data: Option<T>,
) -> Response {
    let word = if status.is_success() { "success" } else { "error" };
    let envelope = Envelope { status: word, data, error_type, error };
    match serde_json::to_vec(&envelope) {
        Ok(body) => json_with_status(status, body),
        Err(error) => ApiError::Internal(error.to_string()).into_response(),
    }
}

fn accepted() -> Response {
    envelope::<()>(StatusCode::ACCEPTED, "", "", None)
}

/// The ruler and the tenant; `no_tenant` is said where the header names none that is usable.
fn enter<'s>(
    state: &'s AppState,
    headers: &HeaderMap,
    no_tenant: Option<&str>,
) -> Result<(&'s Arc<Ruler>, TenantId), RulesError> {
    let tenant = tenant_of(state.config.auth_enabled, headers).map_err(|error| match error {
        TenantError::Missing => RulesError::Api(error.into()),
        error => {
            let text = no_tenant.map_or_else(|| error.to_string(), str::to_owned);
            RulesError::Json(StatusCode::INTERNAL_SERVER_ERROR, "server_error", text)
        }
    })?;
    let ruler = state.ruler.as_ref();
    let absent = || RulesError::Text(StatusCode::NOT_FOUND, "404 page not found".to_owned());
    Ok((ruler.ok_or_else(absent)?, tenant))
}

/// Does on a blocking thread what syncs files.
async fn change(
    ruler: &Arc<Ruler>,
    change: impl FnOnce(&Ruler) -> Result<(), BookError> + Send + 'static,
) -> Answer {
    let ruler = Arc::clone(ruler);
    let changed = tokio::task::spawn_blocking(move || change(&ruler)).await;
    changed.map_err(|error| RulesError::Api(ApiError::Internal(error.to_string())))??;
    Ok(accepted())
}

fn yaml<T: Serialize>(value: &T) -> Answer {
    let text = to_yaml(value).map_err(|error| RulesError::Api(ApiError::Internal(error)))?;
    Ok(([(CONTENT_TYPE, "application/yaml")], text).into_response())
}

/// `GET …/rules`: all groups by namespace.
async fn list(State(state): State<Arc<AppState>>, headers: HeaderMap, params: Params) -> Answer {
    let (ruler, tenant) = enter(&state, &headers, None)?;
    listing(ruler.rule_groups(&tenant), &params)
}

/// `GET …/rules/{namespace}`: likewise, of one namespace.
async fn list_namespace(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    Path(namespace): Path<String>,
    params: Params,
) -> Answer {
    let (ruler, tenant) = enter(&state, &headers, None)?;
    check_name(&namespace)?;
    let mut groups = ruler.rule_groups(&tenant);
    groups.retain(|name, _| *name == namespace);
    listing(groups, &params)
}

fn listing(mut groups: BTreeMap<String, Vec<RuleGroup>>, params: &Params) -> Answer {
    let wanted = wanted_labels(params.first("labels"))?;
    if !wanted.is_empty() {
        for groups in groups.values_mut() {
            groups.iter_mut().for_each(|group| retain_labelled(group, &wanted));
            groups.retain(|group| !group.rules.is_empty());
        }
        groups.retain(|_, groups| !groups.is_empty());
    }
    if groups.is_empty() {
        return Err(RulesError::Text(StatusCode::NOT_FOUND, NO_GROUPS.to_owned()));
    }
    yaml(&groups)
}

/// `k:v,k2:v2`
fn wanted_labels(text: &str) -> Result<LabelMap, RulesError> {
    let pairs = text.split(',').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once(':').ok_or_else(|| {
            let text = format!("labels: '{pair}' is not of the form name:value");
            RulesError::Text(StatusCode::BAD_REQUEST, text)
        })?;
        Ok((name.to_owned(), value.to_owned()))
    });
    pairs.collect()
}

fn retain_labelled(group: &mut RuleGroup, wanted: &LabelMap) {
    let of_group = &group.labels;
    group.rules.retain(|rule| {
        let label = |name: &String| rule.labels.get(name).or_else(|| of_group.get(name));
        wanted.iter().all(|(name, value)| label(name) == Some(value))
    });
}

/// `GET …/rules/{namespace}/{group}`
async fn show(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
) -> Answer {
    let (ruler, tenant) = enter(&state, &headers, None)?;
    check_name(&namespace)?;
    check_name(&name)?;
    let groups = ruler.rule_groups(&tenant).remove(&namespace).unwrap_or_default();
    let group = groups.iter().find(|group| group.name == name);
    yaml(group.ok_or(BookError::NoGroup)?)
}

/// `POST …/rules/{namespace}`: a group, in the place of the one of its name.
async fn set(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    Path(namespace): Path<String>,
    body: Body,
) -> Answer {
    let (ruler, tenant) = enter(&state, &headers, None)?;
    check_name(&namespace)?;
    let pause = state.config.server.body_timeout;
    let body = read_body(body, GROUP_BYTES_MAX, pause).await.map_err(RulesError::Api)?;
    let refuse = |text: String| RulesError::Text(StatusCode::BAD_REQUEST, text);
    let text = std::str::from_utf8(&body).map_err(|_| refuse(format!("{BAD_GROUP}: not UTF-8")))?;
    let group = parse_group(text).map_err(|error| refuse(format!("{BAD_GROUP}: {error}")))?;
    let problems = validate(&group);
    if !problems.is_empty() {
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        return Err(refuse(texts.join(", ")));
    }
    let limits = &state.limits.of(&tenant).ruler;
    let (max, count) = (limits.ruler_max_rules_per_rule_group, group.rules.len());
    if max > 0 && count > max {
        let text = "per-user rules per rule group limit";
        return Err(refuse(format!("{text} (limit: {max} actual: {count}) exceeded")));
    }
    let groups_max = limits.ruler_max_rule_groups_per_tenant;
    tracing::info!(%tenant, namespace, group = group.name, "a rule group is set");
    change(ruler, move |ruler| ruler.set_group(&tenant, &namespace, group, groups_max)).await
}

/// `DELETE …/rules/{namespace}`
async fn delete_namespace(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    Path(namespace): Path<String>,
) -> Answer {
    let (ruler, tenant) = enter(&state, &headers, None)?;
    check_name(&namespace)?;
    tracing::info!(%tenant, namespace, "a namespace of rules is deleted");
    change(ruler, move |ruler| ruler.delete_namespace(&tenant, &namespace)).await
}

/// `DELETE …/rules/{namespace}/{group}`
async fn delete_group(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    Path((namespace, group)): Path<(String, String)>,
) -> Answer {
    let (ruler, tenant) = enter(&state, &headers, None)?;
    check_name(&namespace)?;
    check_name(&group)?;
    tracing::info!(%tenant, namespace, group, "a rule group is deleted");
    change(ruler, move |ruler| ruler.delete_group(&tenant, &namespace, &group)).await
}

const NO_TENANT: Option<&str> = Some("no valid org id found");

/// `GET /prometheus/api/v1/rules`
async fn prometheus_rules(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let (ruler, tenant) = enter(&state, &headers, NO_TENANT)?;
    let filter = filter(&params)?;
    let groups = ruler.group_views(&tenant, &filter);
    Ok(envelope(StatusCode::OK, "", "", Some(Found::Groups(groups))))
}

/// `{"groups": …}` or `{"alerts": …}`
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Found {
    Groups(Vec<GroupView>),
    Alerts(Vec<AlertView>),
}

fn filter(params: &Params) -> Result<Filter, RulesError> {
    let is_alerting = match &*params.first("type").to_lowercase() {
        "" => None,
        "alert" => Some(true),
        "record" => Some(false),
        other => {
            let text = format!("invalid parameter \"type\": not supported value {other:?}");
            return Err(RulesError::Json(StatusCode::BAD_REQUEST, "bad_data", text));
        }
    };
    let names = |names: &[&str]| params.all(names).map(str::to_owned).collect();
    Ok(Filter {
        is_alerting,
        files: names(&["file[]", "file"]),
        groups: names(&["rule_group[]", "rule_group"]),
        rules: names(&["rule_name[]", "rule_name"]),
        without_alerts: params.first("exclude_alerts") == "true",
    })
}

/// `GET /prometheus/api/v1/alerts`
async fn prometheus_alerts(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Answer {
    let (ruler, tenant) = enter(&state, &headers, NO_TENANT)?;
    let alerts = ruler.alert_views(&tenant);
    Ok(envelope(StatusCode::OK, "", "", Some(Found::Alerts(alerts))))
}
