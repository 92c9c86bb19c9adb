//! What `/metrics` says, under the names that dashboards ask for.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{TestServer, with_params};

const SECOND: i64 = 1_793_538_000;

fn metrics(server: &TestServer) -> String {
    let answer = server.get("/metrics", &[]);
    assert_eq!(answer.header("Content-Type"), Some("text/plain; version=0.0.4"));
    answer.text()
}

/// The value of a series.
fn value(text: &str, series: &str) -> Option<f64> {
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(value.parse().unwrap())
}

fn push(server: &TestServer, lines: &[&str]) -> u16 {
    let value = |line: &&str| serde_json::json!([format!("{SECOND}000000000"), line]);
    let values: Vec<_> = lines.iter().map(value).collect();
    let stream = serde_json::json!({"stream": {"app": "x"}, "values": values});
    server.push(&serde_json::json!({"streams": [stream]}).to_string()).status
}

#[test]
fn requests_pushes_and_queries_are_counted() {
    let server = TestServer::start(|config| {
        common::accept_any_time(config);
        config.limits_config.ingest.max_line_size = 10;
    });
    assert_eq!(push(&server, &["12345", "1234567890"]), 204);
    assert_eq!(push(&server, &["12345678901"]), 400);
    let (start, end) = (SECOND.to_string(), (SECOND + 1).to_string());
    let params = [("query", "{app=\"x\"}"), ("start", &start), ("end", &end)];
    let target = with_params("/loki/api/v1/query_range", &params);
    assert_eq!(server.request("GET", &target, &[], b"").status, 200);
    assert_eq!(server.request("POST", "/flush", &[], b"").status, 204);
    assert_eq!(server.get("/no/such/path", &[]).status, 404);
    let text = metrics(&server);
    for (series, expected) in [
        (r#"loki_distributor_lines_received_total{tenant="fake"}"#, 3.0),
        (r#"loki_distributor_bytes_received_total{tenant="fake"}"#, 26.0),
        (r#"loki_discarded_samples_total{reason="line_too_long",tenant="fake"}"#, 1.0),
        (r#"loki_discarded_bytes_total{reason="line_too_long",tenant="fake"}"#, 11.0),
        (r#"timberline_query_lines_processed_total{tenant="fake"}"#, 2.0),
        (r#"timberline_query_bytes_processed_total{tenant="fake"}"#, 15.0),
        ("timberline_query_queue_duration_seconds_count", 1.0),
        ("timberline_queries_running", 0.0),
        ("timberline_queries_waiting", 0.0),
        ("timberline_appends_total", 1.0),
        ("timberline_flushes_total", 1.0),
        ("timberline_merges_total", 0.0),
        ("timberline_flush_duration_seconds_count", 1.0),
        (r#"timberline_flush_duration_seconds_bucket{le="+Inf"}"#, 1.0),
        (r#"timberline_merge_duration_seconds_bucket{le="0.0001"}"#, 0.0),
        ("timberline_merge_duration_seconds_sum", 0.0),
        ("timberline_segments", 1.0),
        ("loki_ingester_memory_streams", 0.0),
        ("loki_panic_total", 0.0),
        ("loki_runtime_config_last_reload_successful", 1.0),
        (r#"loki_inflight_requests{method="GET",route="metrics"}"#, 1.0),
        (r#"loki_inflight_requests{method="POST",route="loki_api_v1_push"}"#, 0.0),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series}");
    }
    for (method, route, status) in [
        ("POST", "loki_api_v1_push", 204),
        ("POST", "loki_api_v1_push", 400),
        ("GET", "loki_api_v1_query_range", 200),
        ("GET", "other", 404),
    ] {
        let labels =
            format!(r#"{{method="{method}",route="{route}",status_code="{status}",ws="false"}}"#);
        let series = format!("loki_request_duration_seconds_count{labels}");
        assert_eq!(value(&text, &series), Some(1.0), "{series}");
    }
    let syncs = value(&text, "timberline_wal_syncs_total").unwrap();
    assert!(syncs >= 1.0);
    assert_eq!(value(&text, "timberline_wal_sync_duration_seconds_count"), Some(syncs));
    assert!(value(&text, "timberline_wal_sync_duration_seconds_sum").unwrap() > 0.0);
}

#[test]
fn names_follow_the_conventions() {
    let server = TestServer::start(common::accept_any_time);
    assert_eq!(push(&server, &["x"]), 204);
    let text = metrics(&server);
    let words = |kind: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(kind));
        let pairs = lines.filter_map(|line| line.trim().split_once(' '));
        pairs.map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
    };
    let (help, types) = (words("# HELP"), words("# TYPE"));
    let names: BTreeSet<_> = types.keys().collect();
    assert!(names.len() > 15 && help.keys().collect::<BTreeSet<_>>() == names);
    for (name, kind) in &types {
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        assert!(kind != "histogram" || name.ends_with("_seconds"), "{name}");
        assert!(name.starts_with("loki_") || name.starts_with("timberline_"), "{name}");
    }
}
