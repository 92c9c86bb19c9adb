//! Delete requests and retention, as clients see them.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::{Response, TestServer};
use timberline::config::{Config, DeletionMode};

const DELETE: &str = "/loki/api/v1/delete";

fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Lines of the stream `app`, one a second up to a minute ago.
fn push(server: &TestServer, app: &str, lines: &[&str]) {
    let start = now_seconds() - 60 - lines.len() as u64;
    let values: Vec<_> = (start..)
        .zip(lines)
        .map(|(second, line)| serde_json::json!([format!("{second}000000000"), line]))
        .collect();
    let body = serde_json::json!({"streams": [{"stream": {"app": app}, "values": values}]});
    assert_eq!(server.push(&body.to_string()).status, 204);
}

fn delete(server: &TestServer, query: &str) -> Response {
    let start = (now_seconds() - 600).to_string();
    let target = common::with_params(DELETE, &[("query", query), ("start", &start)]);
    server.request("POST", &target, &[], b"")
}

fn lines(server: &TestServer, query: &str) -> Vec<String> {
    let answer = server.get("/loki/api/v1/query_range", &[("query", query)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let result = answer.json()["data"]["result"].clone();
    let values = result.as_array().unwrap().iter().flat_map(|s| s["values"].as_array().unwrap());
    let mut lines: Vec<_> = values.map(|v| v[1].as_str().unwrap().to_owned()).collect();
    lines.sort();
    lines
}

#[test]
fn deleted_lines_are_in_no_answer() {
    let server = TestServer::start(|_| {});
    push(&server, "a", &["user=bob one", "user=eve two", "user=bob three"]);
    push(&server, "b", &["user=bob"]);
    let answer = delete(&server, r#"{app="a"} | logfmt | user="bob""#);
    assert_eq!((answer.status, answer.text().as_str()), (204, ""));
    assert_eq!(answer.header("X-Delete-Request-ID"), Some("00000001"));
    assert_eq!(lines(&server, r#"{app=~".+"}"#), ["user=bob", "user=eve two"]);
    assert_eq!(lines(&server, r#"{app="a"} |= "bob""#), [""; 0]);
    let counted = server.get(
        "/loki/api/v1/query",
        &[("query", r#"sum by (app) (count_over_time({app=~".+"}[1h]))"#)],
    );
    let text = counted.text();
    assert!(text.contains(r#"{"app":"a"}"#) && !text.contains("\"3\"]"), "{text}");
    let stats = server.get("/loki/api/v1/index/stats", &[("query", r#"{app="a"}"#)]).json();
    assert_eq!((&stats["entries"], &stats["streams"]), (&1.into(), &1.into()));
    delete(&server, r#"{app="a"}"#);
    let stats = server.get("/loki/api/v1/index/stats", &[("query", r#"{app="a"}"#)]).json();
    assert_eq!((&stats["entries"], &stats["bytes"]), (&0.into(), &0.into()));
    let volume = server.get("/loki/api/v1/index/volume", &[("query", r#"{app=~".+"}"#)]);
    assert!(!volume.text().contains(r#""app":"a""#), "{}", volume.text());
    let series = server.get("/loki/api/v1/series", &[("match[]", "{}")]);
    assert!(!series.text().contains(r#""app":"a""#), "{}", series.text());
    let values = server.get("/loki/api/v1/label/app/values", &[]);
    assert_eq!(values.json()["data"], serde_json::json!(["b"]));
}

#[test]
fn requests_are_listed_and_taken_back() {
    let server = TestServer::start(|_| {});
    push(&server, "a", &["one", "two"]);
    assert_eq!(server.get(DELETE, &[]).text(), "[]\n");
    delete(&server, r#"{app="a"} |= "one""#);
    delete(&server, "{}");
    assert_eq!(lines(&server, r#"{app="a"}"#), [""; 0]);
    let listed = server.get(DELETE, &[]);
    assert_eq!(listed.header("content-type"), Some("application/json; charset=UTF-8"));
    let listed = listed.json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let first = &listed[0];
    assert_eq!(first["request_id"], "00000001");
    assert_eq!(first["query"], r#"{app="a"} |= "one""#);
    assert_eq!((&first["status"], &first["user_id"]), (&"received".into(), &"".into()));
    assert!(first["start_time"].is_u64() && first["end_time"].is_u64(), "{first}");
    assert!(first["created_at"].as_f64().unwrap() > 1.6e9, "{first}");
    let early = server.get(DELETE, &[("start", "1500000000"), ("end", "1500000100")]);
    assert_eq!(early.text(), "[]\n");

    let cancel = |params: &[(&str, &str)]| {
        let answer = server.request("DELETE", &common::with_params(DELETE, params), &[], b"");
        (answer.status, answer.text())
    };
    let not_found = (404, "could not find delete request with given id\n".to_owned());
    assert_eq!(cancel(&[("request_id", "00000009")]), not_found);
    assert_eq!(cancel(&[]), not_found);
    assert_eq!(cancel(&[("request_id", "00000002")]), (204, String::new()));
    assert_eq!(cancel(&[("request_id", "00000002")]), not_found);
    assert_eq!(lines(&server, r#"{app="a"}"#), ["two"]);
}

#[test]
fn refusals_have_their_texts() {
    let server = TestServer::start(|_| {});
    let future = (now_seconds() + 3600).to_string();
    let past = (now_seconds() - 3600).to_string();
    let query = ("query", r#"{app="a"}"#);
    for (params, text) in [
        (vec![], "query not set"),
        (vec![("query", "{app=")], "invalid query expression"),
        (vec![("query", "rate({a=\"b\"}[1m])")], "invalid query expression"),
        (vec![query], "start time not set"),
        (
            vec![query, ("start", "123")],
            "invalid start time: require unix seconds or RFC3339 format",
        ),
        (
            vec![query, ("start", &past), ("end", "tomorrow")],
            "invalid end time: require unix seconds or RFC3339 format",
        ),
        (vec![query, ("start", &past), ("end", &future)], "deletes in the future are not allowed"),
        (
            vec![query, ("start", &past), ("end", &past)],
            "start time can't be greater than or equal to end time",
        ),
        (
            vec![query, ("start", &past), ("max_interval", "1d")],
            "invalid max_interval: valid time units are 's', 'm', 'h'",
        ),
        (
            vec![query, ("start", &past), ("max_interval", "25h")],
            "max_interval can't be greater than 24h0m0s",
        ),
    ] {
        let answer = server.request("PUT", &common::with_params(DELETE, &params), &[], b"");
        assert_eq!((answer.status, answer.text()), (400, format!("{text}\n")));
    }
    assert_eq!(server.get(DELETE, &[]).text(), "[]\n");
}

#[test]
fn deletion_can_be_turned_off() {
    let without = TestServer::start(|config| config.compactor.retention_enabled = false);
    let answer = delete(&without, r#"{app="a"}"#);
    assert_eq!((answer.status, answer.text().as_str()), (400, "Retention is not enabled\n"));
    let disabled = |config: &mut Config| {
        config.limits_config.retention.deletion_mode = DeletionMode::Disabled;
    };
    let without = TestServer::start(disabled);
    for method in ["POST", "GET", "DELETE"] {
        assert_eq!(without.request(method, DELETE, &[], b"").status, 403);
    }
}

fn disk_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[test]
fn deleted_lines_leave_the_disk() {
    let mut data_dir = None;
    let server = TestServer::start(|config| {
        config.compactor.delete_request_cancel_period = Duration::ZERO;
        data_dir = Some(config.data_dir.clone());
    });
    let segments = data_dir.unwrap().join("segments");
    let noise: Vec<String> = (0..2000_u64)
        .map(|n| format!("{:x}", u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_0c4a)))
        .collect();
    push(&server, "big", &noise.iter().map(String::as_str).collect::<Vec<_>>());
    push(&server, "small", &["kept"]);
    server.request("POST", "/flush", &[], b"");
    let before = disk_bytes(&segments);
    let start = (now_seconds() - 36_000).to_string();
    let params = [("query", r#"{app="big"}"#), ("start", start.as_str())];
    let target = common::with_params(DELETE, &params);
    assert_eq!(server.request("POST", &target, &[], b"").status, 204);
    let begun = Instant::now();
    while server.get(DELETE, &[]).json()[0]["status"] != "processed" {
        assert!(begun.elapsed() < Duration::from_secs(60), "it was not carried out");
        std::thread::sleep(Duration::from_millis(20));
    }
    let after = disk_bytes(&segments);
    assert!(after * 4 < before, "{before} bytes before, {after} after");
    assert_eq!(lines(&server, r#"{app="small"}"#), ["kept"]);
    let target = common::with_params(DELETE, &[("request_id", "00000001"), ("force", "true")]);
    let refused = server.request("DELETE", &target, &[], b"");
    let text = "deletion of request which is in process or already processed is not allowed\n";
    assert_eq!((refused.status, refused.text().as_str()), (400, text));
}

#[test]
fn what_is_past_its_retention_is_not_returned() {
    let server = TestServer::start(|config| {
        let retention = r#"{
            "retention_period": "30d",
            "retention_stream": [{"selector": "{app=\"short\"}", "priority": 1, "period": "30s"}]
        }"#;
        config.limits_config.retention = serde_json::from_str(retention).unwrap();
    });
    push(&server, "short", &["gone"]);
    push(&server, "long", &["kept"]);
    assert_eq!(lines(&server, r#"{app=~".+"}"#), ["kept"]);
    server.request("POST", "/flush", &[], b"");
    assert_eq!(lines(&server, r#"{app=~".+"}"#), ["kept"]);
    let limits = server.get("/loki/api/v1/drilldown-limits", &[]).json();
    let expected = serde_json::json!([
        {"period": "30s", "priority": 1, "selector": "{app=\"short\"}"}
    ]);
    assert_eq!(limits["limits"]["retention_stream"], expected);
    assert_eq!(limits["limits"]["retention_period"], "30d");
}
