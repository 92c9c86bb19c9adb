//! Rules: set, evaluated, and told of, over real sockets.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::fake::{Fake, Posted, wait_for};
use common::{Response, TestServer, request};
use prost::Message;
use serde_json::{Value, json};
use tempfile::TempDir;
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

#[test]
fn alerts_wait_fire_and_end() {
    let alertmanagers = [Fake::start(&[]), Fake::start(&[])];
    let server = server_with(&[&alertmanagers[0], &alertmanagers[1]], |config| {
        config.ruler.external_url = "http://grafana.example.org/".to_owned();
        config.ruler.external_labels.insert("site".to_owned(), "eu".to_owned());
    });
    push(&server, "cart", "boom", &[]);
    set_well(&server, "shop", &errors_until_well("1h"));
    let pending = wait_for("a pending alert", || alerts(&server).pop());
    assert_eq!(pending["state"], "pending");
    assert_eq!(pending["value"], "1e+00");
    assert!(told(&alertmanagers[0]).is_empty());

    // The group is another; its alerts are as old as they were.
    set_well(&server, "shop", &errors_until_well("1ms"));
    let firing = wait_for("a firing alert", || {
        alerts(&server).pop().filter(|alert| alert["state"] == "firing")
    });
    assert_eq!(firing["activeAt"], pending["activeAt"]);
    for fake in &alertmanagers {
        let alert = wait_for("a notification", || told(fake).into_iter().next());
        let labels = json!({"alertname": "Errors", "app": "cart", "severity": "page", "site": "eu", "where": "eu"});
        assert_eq!(alert["labels"], labels);
        assert_eq!(alert["annotations"], json!({"summary": "cart has 1"}));
        let link = alert["generatorURL"].as_str().unwrap();
        assert!(link.starts_with("http://grafana.example.org/explore?left=%7B"), "{link}");
        assert!(alert["endsAt"].as_str() > alert["startsAt"].as_str());
        let posted = fake.posted().remove(0);
        assert_eq!(posted.header("x-scope-orgid"), Some("fake"));
        assert_eq!(posted.header("content-type"), Some("application/json"));
        // It is told again while it lasts.
        wait_for("another notification", || told(fake).get(1).cloned());
    }

    push(&server, "cart", "all is well", &[]);
    wait_for("the end", || alerts(&server).is_empty().then_some(()));
    let over = |alert: &Value| {
        let end = alert["endsAt"].as_str().unwrap().to_owned();
        // Nothing that still lasts ends before now.
        end < rfc3339_now()
    };
    for fake in &alertmanagers {
        // More than once: a notification may get lost.
        wait_for("two ends", || {
            (told(fake).iter().filter(|alert| over(alert)).count() >= 2).then_some(())
        });
    }
    let rule = first_rule(&server).unwrap();
    assert_eq!((&rule["state"], &rule["health"]), (&json!("inactive"), &json!("ok")));
    let metrics = server.get("/metrics", &[]).text();
    for line in [
        "loki_prometheus_rule_evaluation_failures_total{rule_group=\"shop;errors\",user=\"fake\"} 0",
        "loki_prometheus_notifications_dropped_total",
        "loki_prometheus_rule_group_rules{rule_group=\"shop;errors\",user=\"fake\"} 1",
    ] {
        let is_there = metrics.contains(line) || line.ends_with("dropped_total");
        assert!(is_there, "{line}");
    }
}

/// Now, as the server writes times; cut to seconds, so that it compares as text.
fn rfc3339_now() -> String {
    let days_and_time = now() / 1_000_000_000;
    let (days, time) = (days_and_time / 86_400, days_and_time % 86_400);
    // Civil from days, after March-based years.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}", era * 400 + year + carry)
}

#[test]
fn what_is_not_taken_is_sent_again() {
    let alertmanager = Fake::start(&[503, 429, 503]);
    let server = server_with(&[&alertmanager], |_| {});
    push(&server, "cart", "boom", &[]);
    set_well(&server, "shop", &errors_until_well("0s"));
    let posted = wait_for("four requests", || {
        Some(alertmanager.posted()).filter(|posted| posted.len() >= 4)
    });
    let first: Vec<Value> = serde_json::from_slice(&posted[0].body).unwrap();
    let fourth: Vec<Value> = serde_json::from_slice(&posted[3].body).unwrap();
    assert_eq!(first[0]["labels"], fourth[0]["labels"]);
    assert_eq!(first[0]["startsAt"], fourth[0]["startsAt"]);
    let url = format!("{}/api/v2/alerts", alertmanager.url());
    let sent = format!("loki_prometheus_notifications_sent_total{{alertmanager=\"{url}\"}} ");
    let errors = format!("loki_prometheus_notifications_errors_total{{alertmanager=\"{url}\"}} 3");
    wait_for("the figures", || {
        let metrics = server.get("/metrics", &[]).text();
        (metrics.contains(&sent) && metrics.contains(&errors)).then_some(())
    });
}

#[test]
fn a_restart_does_not_make_alerts_younger() {
    let directory = TempDir::new().unwrap();
    let data_dir = directory.path().join("data");
    let start = || server_with(&[], |config| config.data_dir.clone_from(&data_dir));
    let server = start();
    push(&server, "cart", "boom", &[]);
    set_well(&server, "shop", &errors_until_well("1h"));
    let before = wait_for("a pending alert", || alerts(&server).pop());
    assert_eq!(before["state"], "pending");
    server.stop().unwrap();

    // Two hours earlier: what is left of the alert's hour is nothing, if it is remembered.
    let path = data_dir.join("ruler/alerts.json");
    let mut saved: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(saved["alerts"].as_array().unwrap().len(), 1, "{saved}");
    let alert = &mut saved["alerts"][0];
    let earlier = alert["active_at"].as_i64().unwrap() - 2 * 3_600_000_000_000;
    alert["active_at"] = earlier.into();
    std::fs::write(&path, saved.to_string()).unwrap();

    let server = start();
    let after = wait_for("an alert", || alerts(&server).pop());
    assert_eq!(after["state"], "firing");
    assert!(after["activeAt"].as_str() < before["activeAt"].as_str());
    server.stop().unwrap();
    let again: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(again["alerts"][0]["active_at"], earlier);
}

#[test]
fn groups_are_set_shown_and_deleted() {
    let server = server_with(&[], |_| {});
    let call = |method: &str, path: &str, body: &str| {
        let answer = server.request(method, path, &[], body.as_bytes());
        (answer.status, answer.text())
    };
    let found = |status: u16, text: &str| (status, text.to_owned());
    for base in [GROUPS, "/api/prom/rules"] {
        let none = found(404, "no rule groups found\n");
        assert_eq!(call("GET", base, ""), none);
        assert_eq!(call("GET", &format!("{base}/ns"), ""), none);
        assert_eq!(call("GET", &format!("{base}/ns/g"), ""), found(404, "group does not exist\n"));
        assert_eq!(
            call("DELETE", &format!("{base}/ns/g"), ""),
            found(404, "group does not exist\n")
        );
        let no_namespace = found(404, "group namespace does not exist\n");
        assert_eq!(call("DELETE", &format!("{base}/ns"), ""), no_namespace);

        let group = "name: g\ninterval: 1d\nlimit: 3\nrules:\n- record: a:b\n  expr: vector(1)\n  labels:\n    a: b\n";
        let other = "name: h\nrules:\n- alert: X\n  expr: vector(0) > 1\n  for: 90s\n  annotations: {s: '{{ $value }}'}\n";
        assert_eq!(call("POST", &format!("{base}/n%20s"), group), found(202, ACCEPTED));
        assert_eq!(call("POST", &format!("{base}/n%20s"), other), found(202, ACCEPTED));
        assert_eq!(call("POST", &format!("{base}/other"), other), found(202, ACCEPTED));

        let answer = server.get(&format!("{base}/n%20s/g"), &[]);
        assert_eq!(answer.header("content-type"), Some("application/yaml"));
        assert_eq!((answer.status, answer.text().as_str()), (200, group));
        let (status, text) = call("GET", &format!("{base}/n%20s"), "");
        assert_eq!(status, 200);
        assert!(text.starts_with("n s:\n") && text.contains("for: 1m30s"), "{text}");
        assert!(!text.contains("other:"), "{text}");
        let (_, text) = call("GET", base, "");
        assert!(text.contains("n s:\n") && text.contains("other:\n"), "{text}");
        let (_, text) = call("GET", &format!("{base}?labels=a:b"), "");
        assert!(text.contains("a:b") && !text.contains("alert"), "{text}");
        assert_eq!(call("GET", &format!("{base}?labels=a:c"), "").0, 404);

        assert_eq!(call("DELETE", &format!("{base}/n%20s/g"), ""), found(202, ACCEPTED));
        assert_eq!(call("GET", &format!("{base}/n%20s/g"), "").0, 404);
        assert_eq!(call("DELETE", &format!("{base}/n%20s/h"), ""), found(202, ACCEPTED));
        assert_eq!(call("GET", &format!("{base}/n%20s"), ""), none);
        assert_eq!(call("DELETE", &format!("{base}/other"), ""), found(202, ACCEPTED));
        assert_eq!(call("GET", base, ""), none);
    }
}

#[test]
fn bad_groups_are_refused() {
    let server = server_with(&[], |_| {});
    for (body, text) in [
        (
            "name: g\nrules: [{alert: X, expr: 'sum(rate({a=\"b\"}[1m]))) > 1'}]",
            "could not parse expression for alert 'X' in group 'g': parse error at line 1, col 23",
        ),
        ("name: g\nrules: [{record: a b, expr: vector(1)}]", "invalid recording rule name: a b\n"),
        (
            "name: ''\nrules: [{alert: X}]",
            "group 0: Groupname should not be empty, field 'expr' must be set in rule\n",
        ),
        (
            "name: g\nrules: [{alert: X, expr: vector(1), fro: 5m}]",
            "unable to decoded rule group: ",
        ),
        ("- what", "unable to decoded rule group: "),
        ("name: g\nrules: [{alert: X, expr: '{a=\"b\"}'}]", "could not parse expression for alert"),
    ] {
        let answer = set(&server, "ns", body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text().starts_with(text), "{body}: {}", answer.text());
    }
    for namespace in ["..", "%2e%2e", "a%2F..%2Fb", "%2Fetc"] {
        let answer = set(&server, namespace, "name: g\nrules: []");
        assert!(matches!(answer.status, 400 | 404), "{namespace}: {}", answer.status);
    }
    assert_eq!(server.get(GROUPS, &[]).status, 404, "nothing was stored");
    let answer = server.get("/prometheus/api/v1/rules", &[("type", "both")]);
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["errorType"], "bad_data");
}

#[test]
fn files_are_followed_and_bad_ones_change_nothing() {
    let directory = TempDir::new().unwrap();
    let rules = directory.path().to_owned();
    let server = server_with(&[], |config| config.ruler.rule_path.clone_from(&rules));
    let path = rules.join("mine.yaml");
    let file = |name: &str, expr: &str| {
        let text = format!("groups: [{{name: g, rules: [{{record: {name}, expr: {expr}}}]}}]");
        std::fs::write(&path, text).unwrap();
    };
    let name = || first_rule(&server).map(|rule| rule["name"].as_str().unwrap().to_owned());
    let is_well = |value: &str| {
        let line = format!("loki_ruler_config_last_reload_successful{{user=\"fake\"}} {value}\n");
        server.get("/metrics", &[]).text().contains(&line).then_some(())
    };
    file("a", "vector(1)");
    wait_for("the file", || name().filter(|name| name == "a"));
    file("b", "vector(");
    wait_for("the complaint", || is_well("0"));
    assert_eq!(name().as_deref(), Some("a"));
    let answer = set(&server, "mine", "name: h\nrules: []");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("mine.yaml") && answer.text().contains("rule 1, \"b\""));
    file("c", "vector(2)");
    wait_for("the mended file", || name().filter(|name| name == "c"));
    wait_for("peace", || is_well("1"));
    std::fs::remove_file(&path).unwrap();
    wait_for("nothing", || name().is_none().then_some(()));
}

#[test]
fn tenants_have_rules_of_their_own() {
    let alertmanager = Fake::start(&[]);
    let server = server_with(&[&alertmanager], |config| config.auth_enabled = true);
    let (a, b) = ([("X-Scope-OrgID", "a")], [("X-Scope-OrgID", "b")]);
    push(&server, "cart", "boom", &a);
    let group = errors_until_well("0s");
    for tenant in [&a, &b] {
        let path = format!("{GROUPS}/shop");
        assert_eq!(server.request("POST", &path, tenant, group.as_bytes()).status, 202);
    }
    let alerts = |tenant: &[(&str, &str)]| {
        let answer = server.request("GET", "/prometheus/api/v1/alerts", tenant, b"").json();
        answer["data"]["alerts"].as_array().unwrap().len()
    };
    wait_for("a's alert", || (alerts(&a) == 1).then_some(()));
    let of_b = |pointer: &str| {
        let answer = server.request("GET", "/prometheus/api/v1/rules", &b, b"").json();
        answer.pointer(pointer).cloned()
    };
    wait_for("b's evaluation", || of_b("/data/groups/0/rules/0/health").filter(|h| h == "ok"));
    assert_eq!(alerts(&b), 0, "b does not see a's lines");
    wait_for("a notification", || alertmanager.posted().pop());
    let is_a = |posted: Posted| posted.header("x-scope-orgid") == Some("a");
    assert!(alertmanager.posted().into_iter().all(is_a));

    let path = format!("{GROUPS}/shop/errors");
    assert_eq!(server.request("DELETE", &path, &b, b"").status, 202);
    assert_eq!(server.request("GET", &path, &b, b"").status, 404);
    assert_eq!(server.request("GET", &path, &a, b"").status, 200);
    let answer = server.request("GET", GROUPS, &[], b"");
    assert_eq!((answer.status, answer.text().as_str()), (401, "no org id\n"));
    let both = [("X-Scope-OrgID", "a|b")];
    let answer = server.request("GET", "/prometheus/api/v1/rules", &both, b"");
    assert_eq!(answer.status, 500);
    assert_eq!(answer.json()["error"], "no valid org id found");
}

#[test]
fn rules_are_held_to_limits() {
    let server = server_with(&[], |config| config.limits_config.query.max_query_series = 2);
    for app in ["a", "b", "c"] {
        push(&server, app, "boom", &[]);
    }
    let expr = "sum by (app) (count_over_time({job=\"shop\"}[1h]))";
    set_well(&server, "n", &format!("name: g\nrules: [{{record: x, expr: '{expr}'}}]"));
    let rule = wait_for("a failure", || first_rule(&server).filter(|rule| rule["health"] == "err"));
    let error = rule["lastError"].as_str().unwrap();
    assert!(error.starts_with("maximum number of series (2) reached"), "{error}");
    let two = "sum by (app) (count_over_time({job=\"shop\", app!=\"c\"}[1h]))";
    let group = format!("name: g\nlimit: 1\nrules: [{{alert: X, expr: '{two}'}}]");
    set_well(&server, "n", &group);
    let rule = wait_for("another", || first_rule(&server).filter(|rule| rule["health"] == "err"));
    assert_eq!(rule["lastError"], "exceeded limit of 1 with 2 alerts");
}

/// `prometheus.WriteRequest`, as far as it is looked at.
#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// `name=value,…` of each series with its sample.
fn series(posted: &Posted) -> Vec<(String, Sample)> {
    assert_eq!(posted.path, "/api/v1/write");
    assert_eq!(posted.header("content-encoding"), Some("snappy"));
    assert_eq!(posted.header("x-prometheus-remote-write-version"), Some("0.1.0"));
    let raw = snap::raw::Decoder::new().decompress_vec(&posted.body).unwrap();
    let request = WriteRequest::decode(&raw[..]).unwrap();
    let shown = request.timeseries.into_iter().map(|series| {
        let labels: Vec<_> =
            series.labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
        (labels.join(","), series.samples[0].clone())
    });
    shown.collect()
}

#[test]
fn samples_are_written_in_order_and_stored() {
    let receiver = Fake::start(&[503, 429]);
    let url = format!("{}/api/v1/write", receiver.url());
    let server = server_with(&[], |config| {
        let remote = json!({"url": url, "headers": {"X-Extra": "yes"}});
        config.ruler.remote_write = vec![serde_json::from_value(remote).unwrap()];
        config.ruler.store_samples = true;
        config.ruler.external_labels.insert("site".to_owned(), "eu".to_owned());
    });
    push(&server, "cart", "boom", &[]);
    let expr = "sum by (app) (count_over_time({job=\"shop\"} |= \"boom\" [1h]))";
    let group = format!(
        "name: g\nrules: [{{record: 'app:boom', expr: '{expr}', labels: {{team: x}}}}, \
         {{alert: Boom, expr: '{expr} > 0'}}]"
    );
    set_well(&server, "n", &group);
    let posted =
        wait_for("six requests", || Some(receiver.posted()).filter(|posted| posted.len() >= 6));
    assert_eq!(posted[0].body, posted[1].body, "sent again as it was");
    assert_eq!(posted[0].body, posted[2].body);
    assert_eq!(posted[0].header("x-extra"), Some("yes"));
    let mut last = 0;
    let mut names = std::collections::BTreeSet::new();
    for (labels, sample) in posted[2..].iter().flat_map(series) {
        if labels == "__name__=app:boom,app=cart,site=eu,team=x" {
            assert!(sample.timestamp > last, "in order");
            last = sample.timestamp;
            assert_eq!(sample.value, 1.0);
        }
        names.insert(labels);
    }
    assert!(last > 0, "{names:?}");
    let firing = "__name__=ALERTS,alertname=Boom,alertstate=firing,app=cart,site=eu";
    assert!(names.contains(firing), "{names:?}");

    let query =
        "max by (app, team) (max_over_time({recorded=\"app:boom\"} | logfmt | unwrap value [1h]))";
    let stored = wait_for("a stored sample", || {
        let answer = server.get("/loki/api/v1/query", &[("query", query)]).json();
        answer.pointer("/data/result/0").cloned()
    });
    assert_eq!(stored["metric"], json!({"app": "cart", "team": "x"}));
    assert_eq!(stored["value"][1], "1");

    // When the series ends, its end is written.
    set_well(
        &server,
        "n",
        "name: g\nrules: [{record: 'app:boom', expr: 'vector(1) > 2', labels: {team: x}}]",
    );
    let stale = 0x7ff0_0000_0000_0002_u64;
    wait_for("the end of the series", || {
        let all = receiver.posted();
        let mut found = all.iter().flat_map(series);
        found
            .find(|(labels, sample)| labels.contains("app:boom") && sample.value.to_bits() == stale)
    });
}

#[test]
fn what_a_receiver_refuses_is_not_sent_again() {
    let receiver = Fake::start(&[400]);
    let url = format!("{}/api/v1/write", receiver.url());
    let server = server_with(&[], |config| {
        config.ruler.remote_write = vec![serde_json::from_value(json!({"url": url})).unwrap()];
    });
    set_well(&server, "n", "name: g\nrules: [{record: x, expr: vector(1)}]");
    let posted = wait_for("two requests", || Some(receiver.posted()).filter(|p| p.len() >= 2));
    assert!(series(&posted[1])[0].1.timestamp > series(&posted[0])[0].1.timestamp);
    let line = format!(
        "loki_ruler_wal_prometheus_remote_storage_samples_failed_total{{url=\"{url}\"}} 1\n"
    );
    wait_for("the figure", || server.get("/metrics", &[]).text().contains(&line).then_some(()));
}

#[test]
fn rules_are_shown_as_prometheus_does() {
    let server = server_with(&[], |_| {});
    let empty = server.get("/prometheus/api/v1/rules", &[]).text();
    assert_eq!(empty, r#"{"status":"success","data":{"groups":[]},"errorType":"","error":""}"#);
    let empty = server.get("/prometheus/api/v1/alerts", &[]).text();
    assert_eq!(empty, r#"{"status":"success","data":{"alerts":[]},"errorType":"","error":""}"#);
    set_well(
        &server,
        "b",
        "name: g\ninterval: 200ms\nlimit: 9\nrules: [{alert: X, expr: vector(1), for: 1m30s, keep_firing_for: 5m, \
         labels: {l: '1'}, annotations: {a: '2'}}, {record: r, expr: vector(2)}]",
    );
    set_well(&server, "a", "name: z\ninterval: 1d\nrules: [{record: s, expr: vector(3)}]");
    let groups = |params: &[(&str, &str)]| {
        let answer = server.get("/prometheus/api/v1/rules", params).json();
        answer["data"]["groups"].as_array().unwrap().clone()
    };
    let all = wait_for("an evaluation", || {
        Some(groups(&[])).filter(|groups| {
            groups.len() == 2 && groups[1]["lastEvaluation"] != "0001-01-01T00:00:00Z"
        })
    });
    assert_eq!(all[0]["rules"][0]["health"], "unknown");
    assert_eq!(all[0]["interval"], 86_400.0);
    let mut group = all[1].clone();
    let take = |value: &mut Value, names: &[&str]| {
        for name in names {
            let taken = value.as_object_mut().unwrap().remove(*name);
            assert!(taken.is_some(), "{name}");
        }
    };
    let of_time = ["evaluationTime", "lastEvaluation"];
    take(&mut group, &of_time);
    take(&mut group["rules"][0], &of_time);
    take(&mut group["rules"][1], &of_time);
    take(&mut group["rules"][0]["alerts"][0], &["activeAt"]);
    let labels = json!({"alertname": "X", "l": "1"});
    let expected = json!({
        "name": "g", "file": "b", "interval": 0.2, "limit": 9,
        "rules": [{
            "state": "pending", "name": "X", "query": "vector(1)", "duration": 90.0, "keepFiringFor": 300.0,
            "labels": {"l": "1"}, "annotations": {"a": "2"},
            "alerts": [{"labels": labels, "annotations": {"a": "2"}, "state": "pending", "value": "1e+00"}],
            "health": "ok", "lastError": "", "type": "alerting",
        }, {
            "name": "r", "query": "vector(2)", "labels": {}, "health": "ok", "lastError": "", "type": "recording",
        }],
    });
    assert_eq!(group, expected);
    let names = |params: &[(&str, &str)]| -> String {
        let groups = groups(params);
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        rules.map(|rule| rule["name"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    for (params, found) in [
        (&[][..], "s X r"),
        (&[("type", "alert")], "X"),
        (&[("type", "record")], "s r"),
        (&[("file[]", "a")], "s"),
        (&[("rule_group[]", "g"), ("rule_name[]", "r"), ("rule_name[]", "s")], "r"),
        (&[("rule_name", "s")], "s"),
        (&[("file", "c")], ""),
    ] {
        assert_eq!(names(params), found, "{params:?}");
    }
}

#[test]
fn without_a_ruler_there_are_no_rules() {
    let server = TestServer::start(|_| {});
    for (method, path) in [
        ("GET", GROUPS),
        ("GET", "/api/prom/rules"),
        ("POST", "/loki/api/v1/rules/ns"),
        ("DELETE", "/loki/api/v1/rules/ns/g"),
        ("GET", "/prometheus/api/v1/rules"),
        ("GET", "/prometheus/api/v1/alerts"),
    ] {
        let answer = server.request(method, path, &[], b"");
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (404, "404 page not found\n"),
            "{path}"
        );
    }
}

#[test]
fn secrets_and_certificates_are_used() {
    let directory = TempDir::new().unwrap();
    let password = directory.path().join("password");
    std::fs::write(&password, "s3cret\n").unwrap();
    let tls = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name);
    // The Alertmanager behind TLS is a timberline: what it says does not matter, that it is spoken to does.
    let other = TestServer::start(|config| {
        config.server.tls.cert_file = tls("server.pem");
        config.server.tls.key_file = tls("server.key");
    });
    let plain = Fake::start(&[]);
    let server = server_with(&[&plain], |config| {
        let port = other.address().port();
        config.ruler.alertmanager_urls.push(format!("https://localhost:{port}"));
        let client = &mut config.ruler.alertmanager_client;
        client.basic_auth.username = "me".to_owned();
        client.basic_auth.password_file = password;
        client.tls_config.ca_file = tls("ca.pem");
    });
    push(&server, "cart", "boom", &[]);
    set_well(&server, "shop", &errors_until_well("0s"));
    let posted = wait_for("a notification", || plain.posted().pop());
    assert_eq!(posted.header("authorization"), Some("Basic bWU6czNjcmV0"));
    // It is refused for good, with a status: the connection stood.
    let dropped = format!(
        "loki_prometheus_notifications_dropped_total{{alertmanager=\"https://localhost:{}/api/v2/alerts\"}} ",
        other.address().port()
    );
    wait_for("the refusal", || server.get("/metrics", &[]).text().contains(&dropped).then_some(()));
}

#[test]
fn a_ruler_that_cannot_work_is_told_of_at_the_start() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing");
    let open = |change: &dyn Fn(&mut Config)| {
        let mut config = Config { data_dir: directory.path().join("data"), ..Config::default() };
        config.server.listen = "127.0.0.1:0".to_owned();
        enable(&mut config);
        change(&mut config);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let opened = runtime.block_on(timberline::serve::Server::open(config));
        opened.err().map(|error| error.to_string())
    };
    let error = open(&|config| {
        let auth = &mut config.ruler.alertmanager_client.basic_auth;
        auth.username = "me".to_owned();
        auth.password_file.clone_from(&missing);
    });
    assert!(error.as_ref().is_some_and(|error| error.contains("missing")), "{error:?}");
    let error = open(&|config| {
        config.ruler.alertmanager_client.tls_config.ca_file.clone_from(&missing);
    });
    assert!(error.as_ref().is_some_and(|error| error.contains("missing")), "{error:?}");
    std::fs::write(&missing, "a file").unwrap();
    let error = open(&|config| config.ruler.rule_path = missing.join("rules"));
    assert!(error.as_ref().is_some_and(|error| error.contains("rules")), "{error:?}");
    assert_eq!(open(&|_| {}), None, "the data directory is free");
}

#[cfg(unix)]
mod command {
    use super::common::process::timberline;

    fn rules(arguments: &[&str]) -> (Option<i32>, String, String) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/ruler");
        let mut command = timberline();
        let output = command.arg("rules").args(arguments).current_dir(folder).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    #[test]
    fn the_examples_are_good() {
        let (code, out, err) = rules(&["check", "alerts.yaml"]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert_eq!(out, "Checking alerts.yaml\n  SUCCESS: 3 rules found\n\n");
        let (code, out, err) = rules(&["test", "alerts_test.yaml"]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert_eq!(out, "Unit Testing:  alerts_test.yaml\n  SUCCESS\n\n");
    }

    #[test]
    fn failures_read_as_in_promtool() {
        let directory = tempfile::TempDir::new().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let bad = write(
            "bad.yaml",
            "groups:\n- name: a\n  rules:\n  - record: a b\n    expr: vector(1)\n",
        );
        let (code, out, err) = rules(&["check", &bad]);
        assert_eq!((code, out), (Some(1), format!("Checking {bad}\n\n")));
        let problem = "4:13: group \"a\", rule 1, \"a b\": invalid recording rule name: a b";
        assert_eq!(err, format!("  FAILED:\n{bad}: {problem}\n"));

        write(
            "r.yaml",
            "groups:\n- name: a\n  rules:\n  - alert: X\n    expr: vector(1) > 0\n    labels: {sev: hi}\n    annotations: {s: 'v {{ $value }}'}\n",
        );
        let test = write(
            "t.yaml",
            "rule_files: [r.yaml]\ntests:\n- name: named\n  alert_rule_test:\n  - {eval_time: 5m, alertname: X, exp_alerts: \
             [{exp_labels: {sev: lo}, exp_annotations: {s: v 1}}]}\n  logql_expr_test:\n  - {expr: vector(1), eval_time: 3m, \
             exp_samples: [{labels: '{a=\"b\"}', value: 2}]}\n",
        );
        let (code, out, err) = rules(&["test", &test]);
        assert_eq!((code, out), (Some(1), format!("Unit Testing:  {test}\n\n\n")));
        // What promtool 2.42 says of the same with PromQL.
        assert_eq!(
            err,
            "  FAILED:\n    name: named,\n    alertname: X, time: 5m, \n        exp:[\n            0:\n              \
             Labels:{alertname=\"X\", sev=\"lo\"}\n              Annotations:{s=\"v 1\"}\n            ], \n        got:[\n            \
             0:\n              Labels:{alertname=\"X\", sev=\"hi\"}\n              Annotations:{s=\"v 1\"}\n            ]\n    \
             expr: \"vector(1)\", time: 3m,\n        exp: {a=\"b\"} 2E+00\n        got: {} 1E+00\n"
        );
        let (code, _, err) = rules(&["test", &bad]);
        assert!(code == Some(1) && err.contains("unknown field `groups`"), "{err}");
        assert_eq!(rules(&["check"]).0, Some(2));
    }
}

#[test]
fn rules_need_rights() {
    let directory = TempDir::new().unwrap();
    let credentials = directory.path().join("credentials.yaml");
    let hash = timberline::access::hash_secret(b"s").unwrap();
    let text = format!(
        "credentials:\n- {{name: reader, hash: '{hash}', rights: [read]}}\n\
         - {{name: boss, hash: '{hash}', rights: [admin]}}\n"
    );
    std::fs::write(&credentials, text).unwrap();
    let server = server_with(&[], |config| config.server.credentials_file = credentials);
    let call = |method: &str, path: &str, name: &str| {
        let bearer = format!("Bearer {name}.s");
        let headers = [("Authorization", bearer.as_str())];
        request(server.address(), method, path, &headers, b"name: g\nrules: []").status
    };
    let namespace = format!("{GROUPS}/n");
    assert_eq!(call("POST", &namespace, "reader"), 403);
    assert_eq!(call("POST", &namespace, "boss"), 202);
    assert_eq!(call("GET", &namespace, "reader"), 200);
    assert_eq!(call("GET", "/prometheus/api/v1/rules", "reader"), 200);
    assert_eq!(call("DELETE", &namespace, "reader"), 403);
    assert_eq!(call("DELETE", &namespace, "boss"), 202);
}

/// The real programs, found by PATH, in place of the fakes.
#[cfg(unix)]
#[test]
#[ignore = "needs prometheus, promtool, alertmanager, amtool and curl"]
fn prometheus_and_alertmanager_understand() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/ruler/demo.sh");
    let mut command = std::process::Command::new(script);
    command.env("TIMBERLINE", env!("CARGO_BIN_EXE_timberline"));
    let output = command.output().unwrap();
    let shown = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&shown));
}
