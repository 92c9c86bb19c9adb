//! `/openapi.json`: the HTTP API for programs that read descriptions. A test holds it against the routes.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::json as json_response;
use crate::state::AppState;

/// A path with its methods.
struct PathDoc {
    path: &'static str,
    /// In lower case, as the description has them.
    methods: &'static [&'static str],
    summary: &'static str,
    /// Names out of [`PARAMS`]; in the URL, and in a form where the method is POST.
    params: &'static [&'static str],
    /// Types of the body that is sent, other than a form.
    bodies: &'static [&'static str],
    /// Status and type of a good answer; no type where it has no body.
    answer: (u16, &'static str),
}

const GET: &[&str] = &["get"];
const POST: &[&str] = &["post"];
const BOTH: &[&str] = &["get", "post"];
const POST_OR_PUT: &[&str] = &["post", "put"];
const HEAD_OR_PUT: &[&str] = &["head", "put"];
const GET_OR_PUT: &[&str] = &["get", "put"];
const JSON: (u16, &str) = (200, "application/json");
const TEXT: (u16, &str) = (200, "text/plain");
const NONE: (u16, &str) = (204, "");
const ACCEPTED: (u16, &str) = (202, "text/plain");
const PUSHED: &[&str] = &["application/json", "application/x-protobuf"];

/// Every parameter: name, JSON type, what it is.
const PARAMS: [(&str, &str, &str); 35] = [
    ("query", "string", "LogQL"),
    (
        "start",
        "string",
        "From when, included: nanoseconds, seconds with up to ten digits, or RFC 3339",
    ),
    ("end", "string", "Until when; now by default"),
    ("since", "string", "How long before the end, where there is no start; 1h by default"),
    ("time", "string", "When; now by default"),
    ("limit", "integer", "How many are answered at the most"),
    ("line_limit", "integer", "How many lines are looked at"),
    ("direction", "string", "Which entries come first: forward or backward"),
    ("step", "string", "Between two points: seconds or a duration"),
    ("interval", "string", "Between two entries: seconds or a duration"),
    ("match[]", "string", "A stream selector; may be there several times"),
    ("targetLabels", "string", "Labels that volumes are added up by, between commas"),
    ("aggregateBy", "string", "series or labels"),
    ("regexp", "string", "One more line filter"),
    ("name", "string", "A label, a field, a backup, an index or one of its settings"),
    ("log_level", "string", "error, warn, info, debug or trace"),
    ("mode", "string", "diff or defaults; everything in force without it"),
    ("max_interval", "string", "By what a delete request may be cut; nothing follows from it"),
    ("request_id", "string", "A delete request"),
    ("force", "boolean", "Whether to take back what was begun"),
    ("field_limit", "integer", "Where there is no limit"),
    ("_time_field", "string", "Fields that may have the time, between commas"),
    ("_msg_field", "string", "Fields that may have the line, between commas"),
    ("_stream_fields", "string", "Fields that become labels, between commas"),
    (
        "ignore_fields",
        "string",
        "Fields that are left out, between commas; a* is all that begin so",
    ),
    ("extra_fields", "string", "Fields that every record gets: name=value, between commas"),
    ("delay_for", "integer", "How old an entry must be to be sent: 0 to 5 seconds"),
    ("namespace", "string", "A namespace of rule groups: a file"),
    ("group", "string", "A rule group"),
    ("labels", "string", "Labels that rules must have: name:value, between commas"),
    ("type", "string", "alert or record"),
    ("file[]", "string", "A namespace; may be there several times"),
    ("rule_group[]", "string", "A group; may be there several times"),
    ("rule_name[]", "string", "A rule; may be there several times"),
    ("exclude_alerts", "boolean", "Whether to leave alerts out"),
];

const fn read(
    path: &'static str,
    summary: &'static str,
    params: &'static [&'static str],
) -> PathDoc {
    PathDoc { path, methods: BOTH, summary, params, bodies: &[], answer: JSON }
}

const fn plain(
    path: &'static str,
    methods: &'static [&'static str],
    summary: &'static str,
    answer: (u16, &'static str),
) -> PathDoc {
    PathDoc { path, methods, summary, params: &[], bodies: &[], answer }
}

const fn push(path: &'static str, summary: &'static str) -> PathDoc {
    PathDoc { path, methods: POST, summary, params: &[], bodies: PUSHED, answer: NONE }
}

const fn lines(
    path: &'static str,
    summary: &'static str,
    bodies: &'static [&'static str],
    params: &'static [&'static str],
    answer: (u16, &'static str),
) -> PathDoc {
    PathDoc { path, methods: POST, summary, params, bodies, answer }
}

const fn bulk(path: &'static str, params: &'static [&'static str]) -> PathDoc {
    let (methods, bodies) = (POST_OR_PUT, &["application/x-ndjson"]);
    PathDoc {
        path,
        methods,
        summary: "Stores documents, as Elasticsearch does",
        params,
        bodies,
        answer: JSON,
    }
}

const fn granted(path: &'static str) -> PathDoc {
    let summary = "Elasticsearch's settings: taken for granted";
    PathDoc { path, methods: GET_OR_PUT, summary, params: &["name"], bodies: &[], answer: JSON }
}

const fn index(path: &'static str) -> PathDoc {
    let summary = "An index of Elasticsearch's, where that is switched on: taken for granted";
    PathDoc { path, methods: HEAD_OR_PUT, summary, params: &["name"], bodies: &[], answer: JSON }
}

const fn told(path: &'static str) -> PathDoc {
    plain(path, GET, "What Elasticsearch's clients want to know", JSON)
}

const fn follow(path: &'static str, summary: &'static str) -> PathDoc {
    PathDoc { path, methods: BOTH, summary, params: TAIL, bodies: &[], answer: (101, "") }
}

const TAIL: &[&str] = &["query", "start", "limit", "delay_for"];
const LOGS: &[&str] = &["query", "start", "end", "since", "step", "interval", "limit", "direction"];
const VOLUME: &[&str] =
    &["query", "start", "end", "since", "step", "limit", "targetLabels", "aggregateBy"];
const SELECTED: &[&str] = &["query", "start", "end", "since"];
const VALUES: &[&str] = &["name", "query", "start", "end", "since"];
const MATCHED: &[&str] = &["match[]", "start", "end", "since"];
const FIELDS: &[&str] =
    &["query", "start", "end", "since", "step", "line_limit", "limit", "field_limit"];
const FIELD_VALUES: &[&str] =
    &["name", "query", "start", "end", "since", "step", "line_limit", "limit", "field_limit"];

const RULES: &[&str] = &["labels"];
const NAMESPACE: &[&str] = &["namespace", "labels"];
const ONE_NAMESPACE: &[&str] = &["namespace"];
const ONE_GROUP: &[&str] = &["namespace", "group"];
const RULE_FILTERS: &[&str] = &["type", "file[]", "rule_group[]", "rule_name[]", "exclude_alerts"];

/// A route of the ruler, which exists where the ruler is enabled.
const fn rules(
    path: &'static str,
    methods: &'static [&'static str],
    summary: &'static str,
    params: &'static [&'static str],
    answer: (u16, &'static str),
) -> PathDoc {
    let bodies: &[&str] = if answer.0 == RULES_TAKEN.0 { &[YAML.1] } else { &[] };
    PathDoc { path, methods, summary, params, bodies, answer }
}

const DELETE: &[&str] = &["delete"];
const SET: &[&str] = &["post", "delete"];
const YAML: (u16, &str) = (200, "application/yaml");
const RULES_TAKEN: (u16, &str) = (202, "application/json");

const RECORDS: &[&str] =
    &["_time_field", "_msg_field", "_stream_fields", "ignore_fields", "extra_fields"];
const RECORDS_OF_INDEX: &[&str] =
    &["name", "_time_field", "_msg_field", "_stream_fields", "ignore_fields", "extra_fields"];
const EXPORT: &[&str] = &["application/vnd.fdo.journal"];

const PATHS: [PathDoc; 86] = [
    rules("/loki/api/v1/rules", GET, "Rule groups by namespace", RULES, YAML),
    rules("/loki/api/v1/rules/{namespace}", GET, "Rule groups of a namespace", NAMESPACE, YAML),
    rules(
        "/loki/api/v1/rules/{namespace}",
        SET,
        "Sets a rule group, or deletes a namespace of them",
        ONE_NAMESPACE,
        RULES_TAKEN,
    ),
    rules("/loki/api/v1/rules/{namespace}/{group}", GET, "A rule group", ONE_GROUP, YAML),
    rules(
        "/loki/api/v1/rules/{namespace}/{group}",
        DELETE,
        "Deletes a rule group",
        ONE_GROUP,
        RULES_TAKEN,
    ),
    rules("/api/prom/rules", GET, "Rule groups by namespace", RULES, YAML),
    rules("/api/prom/rules/{namespace}", GET, "Rule groups of a namespace", NAMESPACE, YAML),
    rules(
        "/api/prom/rules/{namespace}",
        SET,
        "Sets a rule group, or deletes a namespace of them",
        ONE_NAMESPACE,
        RULES_TAKEN,
    ),
    rules("/api/prom/rules/{namespace}/{group}", GET, "A rule group", ONE_GROUP, YAML),
    rules(
        "/api/prom/rules/{namespace}/{group}",
        DELETE,
        "Deletes a rule group",
        ONE_GROUP,
        RULES_TAKEN,
    ),
    rules(
        "/prometheus/api/v1/rules",
        GET,
        "What rules have come to, as Prometheus tells it",
        RULE_FILTERS,
        JSON,
    ),
    rules("/prometheus/api/v1/alerts", GET, "The alerts that there are", &[], JSON),
    push("/loki/api/v1/push", "Stores entries"),
    push("/api/prom/push", "Stores entries, in an older shape"),
    push("/otlp/v1/logs", "Stores OpenTelemetry's log records"),
    lines(
        "/insert/jsonline",
        "Stores a JSON object a line",
        &["application/stream+json"],
        RECORDS,
        NONE,
    ),
    lines(
        "/insert/raw",
        "Stores any text, an entry a line; the query string has labels",
        &["text/plain"],
        &[],
        NONE,
    ),
    lines("/upload", "Stores entries that systemd-journal-upload sends", EXPORT, &[], ACCEPTED),
    lines("/insert/journald/upload", "The same", EXPORT, &[], ACCEPTED),
    bulk("/_bulk", RECORDS),
    bulk("/{name}/_bulk", RECORDS_OF_INDEX),
    bulk("/insert/elasticsearch/_bulk", RECORDS),
    bulk("/insert/elasticsearch/{name}/_bulk", RECORDS_OF_INDEX),
    told("/insert/elasticsearch"),
    told("/insert/elasticsearch/"),
    told("/_license"),
    told("/_xpack"),
    told("/_cluster/health"),
    told("/_nodes/http"),
    granted("/_ilm/policy/{name}"),
    granted("/_index_template/{name}"),
    granted("/_component_template/{name}"),
    granted("/_template/{name}"),
    granted("/_data_stream/{name}"),
    granted("/_ingest/pipeline/{name}"),
    told("/_alias"),
    granted("/_alias/{name}"),
    granted("/{name}/_alias"),
    index("/{name}"),
    told("/insert/elasticsearch/_license"),
    told("/insert/elasticsearch/_xpack"),
    told("/insert/elasticsearch/_cluster/health"),
    told("/insert/elasticsearch/_nodes/http"),
    granted("/insert/elasticsearch/_ilm/policy/{name}"),
    granted("/insert/elasticsearch/_index_template/{name}"),
    granted("/insert/elasticsearch/_component_template/{name}"),
    granted("/insert/elasticsearch/_template/{name}"),
    granted("/insert/elasticsearch/_data_stream/{name}"),
    granted("/insert/elasticsearch/_ingest/pipeline/{name}"),
    told("/insert/elasticsearch/_alias"),
    granted("/insert/elasticsearch/_alias/{name}"),
    granted("/insert/elasticsearch/{name}/_alias"),
    index("/insert/elasticsearch/{name}"),
    follow("/loki/api/v1/tail", "Follows a log query over a WebSocket"),
    follow("/api/prom/tail", "Follows a log query over a WebSocket, in an older shape"),
    read("/loki/api/v1/query_range", "Evaluates a query over a range of time", LOGS),
    read(
        "/loki/api/v1/query",
        "Evaluates a metric query at a time",
        &["query", "time", "limit", "direction"],
    ),
    read("/loki/api/v1/labels", "The names of labels", SELECTED),
    read("/loki/api/v1/label", "The names of labels", SELECTED),
    read("/loki/api/v1/label/{name}/values", "The values of a label", VALUES),
    read("/loki/api/v1/series", "The label sets of streams", MATCHED),
    read("/loki/api/v1/index/stats", "How many streams, entries and bytes there are", SELECTED),
    read("/loki/api/v1/index/volume", "How many bytes streams or labels take", VOLUME),
    read("/loki/api/v1/index/volume_range", "The same over time", VOLUME),
    read(
        "/loki/api/v1/patterns",
        "What kinds of lines there are",
        &["query", "start", "end", "since", "step"],
    ),
    read("/loki/api/v1/detected_labels", "Labels worth filtering by", SELECTED),
    read("/loki/api/v1/detected_fields", "Fields that lines have", FIELDS),
    read("/loki/api/v1/detected_field/{name}/values", "Values of a field", FIELD_VALUES),
    read("/loki/api/v1/format_query", "Puts a query into its printed form", &["query"]),
    read(
        "/api/prom/query",
        "Evaluates a log query over a range of time",
        &["query", "regexp", "start", "end", "since", "step", "interval", "limit", "direction"],
    ),
    read("/api/prom/label", "The names of labels", SELECTED),
    read("/api/prom/label/{name}/values", "The values of a label", VALUES),
    read("/api/prom/series", "The label sets of streams", MATCHED),
    PathDoc {
        path: "/loki/api/v1/delete",
        methods: &["get", "post", "put", "delete"],
        summary: "Makes, lists and takes back delete requests; parameters are those of the URL alone",
        params: &["query", "start", "end", "max_interval", "request_id", "force"],
        bodies: &[],
        answer: NONE,
    },
    PathDoc {
        path: "/timberline/api/v1/backup",
        methods: POST,
        summary: "Makes a backup in the data directory",
        params: &["name"],
        bodies: &[],
        answer: JSON,
    },
    plain("/loki/api/v1/drilldown-limits", GET, "Limits that explorers look at", JSON),
    plain("/config/tenant/v1/limits", GET, "The limits of a tenant", (200, "application/yaml")),
    plain("/loki/api/v1/status/buildinfo", GET, "Which build this is", JSON),
    plain("/openapi.json", GET, "This description", JSON),
    plain("/metrics", GET, "Figures for Prometheus", TEXT),
    PathDoc {
        path: "/config",
        methods: GET,
        summary: "The effective configuration, what of it is not as by default, or the defaults",
        params: &["mode"],
        bodies: &[],
        answer: TEXT,
    },
    PathDoc {
        path: "/log_level",
        methods: BOTH,
        summary: "How much is logged; POST changes it",
        params: &["log_level"],
        bodies: &[],
        answer: JSON,
    },
    plain("/services", GET, "What runs", TEXT),
    plain("/ready", GET, "Whether requests are served", TEXT),
    plain("/flush", BOTH, "Writes what is in memory to disk", NONE),
    plain("/", GET, "A page for people", TEXT),
];

/// `/openapi.json`
pub(super) async fn openapi(State(state): State<Arc<AppState>>) -> Response {
    let mut description = description();
    let prefix = &state.config.server.http_path_prefix;
    if !prefix.is_empty() {
        description["servers"] = json!([{ "url": prefix }]);
    }
    json_response(description.to_string().into_bytes())
}

fn description() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for doc in &PATHS {
        let path = paths.entry(doc.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.extend(doc.operations());
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Timberline",
            "version": crate::VERSION,
            "description": "A log store that speaks Grafana Loki's protocols.",
        },
        "security": [{}, { "basic": [] }, { "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "basic": { "type": "http", "scheme": "basic" },
                "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "NAME.SECRET" },
            },
            "parameters": { "tenant": tenant() },
        },
    })
}

fn tenant() -> Value {
    json!({
        "name": "X-Scope-OrgID",
        "in": "header",
        "description": "The tenant, where auth_enabled; reads may name several between |",
        "schema": { "type": "string" },
    })
}

impl PathDoc {
    fn operations(&self) -> Map<String, Value> {
        let operation = |method: &&str| ((*method).to_owned(), self.operation(method));
        self.methods.iter().map(operation).collect()
    }

    fn operation(&self, method: &str) -> Value {
        let mut parameters = vec![json!({ "$ref": "#/components/parameters/tenant" })];
        parameters.extend(self.params.iter().map(|name| self.parameter(name)));
        let mut operation = json!({
            "summary": self.summary,
            "parameters": parameters,
            "responses": self.responses(),
        });
        let content = self.content(method);
        if !content.is_empty() {
            operation["requestBody"] = json!({ "content": content });
        }
        operation
    }

    fn parameter(&self, name: &str) -> Value {
        let known = PARAMS.iter().find(|(known, _, _)| *known == name);
        let (_, kind, text) = known.copied().unwrap_or((name, "string", ""));
        let is_in_path = self.path.contains(&format!("{{{name}}}"));
        let place = if is_in_path { "path" } else { "query" };
        let schema = match name {
            name if name.ends_with("[]") => json!({ "type": "array", "items": { "type": kind } }),
            _ => json!({ "type": kind }),
        };
        json!({
            "name": name,
            "in": place,
            "required": is_in_path,
            "description": text,
            "schema": schema,
        })
    }

    /// The bodies that the method takes.
    fn content(&self, method: &str) -> Map<String, Value> {
        let bodies = self.bodies.iter().filter(|_| method == "post");
        let mut content: Map<String, Value> =
            bodies.map(|kind| ((*kind).to_owned(), json!({}))).collect();
        if method == "post" && self.bodies.is_empty() && !self.params.is_empty() {
            let form = json!({ "schema": { "type": "object" } });
            content.insert("application/x-www-form-urlencoded".to_owned(), form);
        }
        content
    }

    fn responses(&self) -> Value {
        let (status, kind) = self.answer;
        let mut good = json!({ "description": "As asked" });
        if !kind.is_empty() {
            good["content"] = json!({ kind: {} });
        }
        json!({
            (status.to_string()): good,
            "default": {
                "description": "What is wrong, in words",
                "content": { "text/plain": { "schema": { "type": "string" } } },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use ::http::{Method, Request, StatusCode};
    use axum::body::Body;
    use http_body_util::BodyExt as _;
    use tower::Service as _;

    use super::*;
    use crate::access::Access;
    use crate::config::Config;

    #[test]
    fn the_description_has_every_route_and_method_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: directory.path().into(), ..Config::default() };
        config.ruler.enabled = true;
        config.ingest.jsonline.enabled = true;
        config.ingest.elasticsearch.enabled = true;
        config.ingest.journald.enabled = true;
        let access = Access::new(&config).unwrap();
        let state = AppState::open(config, access).unwrap();
        let routes = crate::http::routes(&state);
        // gRPC services have a description of their own.
        let is_http = |path: &&&str| {
            !path.split('/').nth(1).unwrap_or_default().contains('.') || **path == "/openapi.json"
        };
        let mut routed: Vec<&str> = routes.paths().iter().filter(is_http).copied().collect();
        let mut described: Vec<&str> = PATHS.iter().map(|doc| doc.path).collect();
        routed.sort_unstable();
        described.sort_unstable();
        routed.dedup();
        described.dedup();
        assert_eq!(described, routed);

        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let mut router = crate::http::router(&state);
        for doc in &PATHS {
            for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
                let path = ["{name}", "{namespace}", "{group}"]
                    .iter()
                    .fold(doc.path.to_owned(), |path, name| path.replace(name, "x"));
                let request = Request::builder().method(&method).uri(path);
                let call = router.call(request.body(Body::empty()).unwrap());
                let answer = runtime.block_on(call).unwrap();
                let status = answer.status();
                let text = runtime.block_on(answer.into_body().collect());
                // What is asked for, as a rule group, may not be there: the route is.
                let is_found = text.unwrap().to_bytes() != "404 page not found\n";
                assert!(is_found, "{method} {}", doc.path);
                let method_name = method.as_str().to_lowercase();
                let is_described = PATHS.iter().any(|other| {
                    other.path == doc.path && other.methods.contains(&method_name.as_str())
                });
                let is_routed = status != StatusCode::METHOD_NOT_ALLOWED;
                assert_eq!(is_described, is_routed, "{method} {}", doc.path);
            }
        }
        state.store.close().unwrap();
    }

    #[test]
    fn parameters_are_known_and_used() {
        let used = || PATHS.iter().flat_map(|doc| doc.params.iter());
        assert!(used().all(|name| PARAMS.iter().any(|(known, _, _)| known == name)));
        assert!(PARAMS.iter().all(|(known, _, _)| used().any(|name| name == known)));
        let description = description();
        let operation = &description["paths"]["/loki/api/v1/label/{name}/values"]["get"];
        assert_eq!(operation["parameters"][1]["in"], "path");
        assert_eq!(operation["parameters"][1]["required"], true);
    }
}
