//! Rules: set, evaluated, and told of, over real sockets.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

#[path = "../common/mod.rs"]
mod common;

mod alerts;
#[cfg(unix)]
mod command;
mod groups;
mod remote_write;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::fake::Fake;
use common::{Response, TestServer};
use serde_json::{Value, json};
use timberline::config::Config;

const GROUPS: &str = "/loki/api/v1/rules";
const ACCEPTED: &str = r#"{"status":"success","data":null,"errorType":"","error":""}"#;

/// A ruler that is quick.
fn enable(config: &mut Config) {
    config.ruler.enabled = true;
    config.ruler.evaluation_interval = Duration::from_millis(100);
    config.ruler.poll_interval = Duration::from_millis(50);
    config.ruler.resend_delay = Duration::from_millis(500);
}

/// A server that tells these of alerts.
fn server_with(alertmanagers: &[&Fake], configure: impl FnOnce(&mut Config)) -> TestServer {
    let urls = alertmanagers.iter().map(|fake| fake.url()).collect();
    TestServer::start(|config| {
        enable(config);
        config.ruler.alertmanager_urls = urls;
        configure(config);
    })
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap()
}

fn push(server: &TestServer, app: &str, line: &str, headers: &[(&str, &str)]) {
    let values = json!([[now().to_string(), line]]);
    let body = json!({"streams": [{"stream": {"job": "shop", "app": app}, "values": values}]});
    let mut headers = headers.to_vec();
    headers.push(("Content-Type", "application/json"));
    let body = body.to_string();
    let answer = server.request("POST", "/loki/api/v1/push", &headers, body.as_bytes());
    assert_eq!(answer.status, 204, "{}", answer.text());
}

fn set(server: &TestServer, namespace: &str, group: &str) -> Response {
    server.request("POST", &format!("{GROUPS}/{namespace}"), &[], group.as_bytes())
}

#[track_caller]
fn set_well(server: &TestServer, namespace: &str, group: &str) {
    let answer = set(server, namespace, group);
    assert_eq!((answer.status, answer.text().as_str()), (202, ACCEPTED));
}

/// The alerts that there are.
fn alerts(server: &TestServer) -> Vec<Value> {
    let answer = server.get("/prometheus/api/v1/alerts", &[]).json();
    answer["data"]["alerts"].as_array().unwrap().clone()
}

/// The first rule of the first group.
fn first_rule(server: &TestServer) -> Option<Value> {
    let answer = server.get("/prometheus/api/v1/rules", &[]).json();
    answer.pointer("/data/groups/0/rules/0").cloned()
}

/// The alerts that were posted, one after the other.
fn told(fake: &Fake) -> Vec<Value> {
    let bodies = fake.posted().into_iter().map(|posted| -> Vec<Value> {
        assert_eq!(posted.path, "/api/v2/alerts");
        serde_json::from_slice(&posted.body).unwrap()
    });
    bodies.flatten().collect()
}

/// Errors of the last hour, as long as nobody says that all is well.
fn errors_until_well(hold: &str) -> String {
    format!(
        "name: errors\nrules:\n- alert: Errors\n  expr: 'sum by (app) (count_over_time({{job=\"shop\"}} |= \"boom\" [1h])) \
         unless sum by (app) (count_over_time({{job=\"shop\"}} |= \"well\" [1h]))'\n  for: {hold}\n  labels: {{severity: page, \
         where: '{{{{ $externalLabels.site }}}}'}}\n  annotations: {{summary: '{{{{ $labels.app }}}} has {{{{ $value }}}}'}}\n"
    )
}
