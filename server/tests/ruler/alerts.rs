//! Alerts: how they begin and end, who is told of them, and what outlives a restart.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use timberline::config::Config;

use super::common::TestServer;
use super::common::fake::{Fake, Posted, wait_for};
use super::{
    GROUPS, alerts, enable, errors_until_well, first_rule, push, server_with, set_well, told,
};

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
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S").to_string()
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
