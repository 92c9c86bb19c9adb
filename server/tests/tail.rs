//! Live tails, as Grafana, logcli and loki-canary ask for them.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::tail::{Tail, TailEnd, lines_of};
use common::{TestServer, with_params};
use serde_json::{Value, json};

const TAIL: &str = "/loki/api/v1/tail";
const QUERY: &str = r#"{job="t"}"#;
const CATEGORIZE: (&str, &str) = ("X-Loki-Response-Encoding-Flags", "categorize-labels");

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_nanos().try_into().unwrap()
}

fn start() -> TestServer {
    TestServer::start(|_| {})
}

fn open(server: &TestServer, params: &[(&str, &str)]) -> Tail {
    Tail::open(server.address(), &with_params(TAIL, params), &[]).unwrap()
}

/// Pushes lines to `{job="t"}` as one push, one nanosecond apart.
fn push(server: &TestServer, first: i64, lines: &[&str]) {
    let values: Vec<Value> =
        (first..).zip(lines).map(|(time, line)| json!([time.to_string(), line])).collect();
    let body = json!({"streams": [{"stream": {"job": "t"}, "values": values}]});
    assert_eq!(server.push(&body.to_string()).status, 204);
}

/// Opens a tail and waits until it has its history, so that what is pushed from now on is live.
fn follow(server: &TestServer, params: &[(&str, &str)]) -> Tail {
    push(server, now(), &["mark"]);
    let mut tail = open(server, params);
    while !tail.lines(1).contains(&"mark".to_owned()) {}
    tail
}

#[test]
fn history_comes_first_and_then_what_is_pushed() {
    let server = start();
    let time = now() - 1_000_000_000;
    push(&server, time, &["one", "two", "three", "four"]);
    let from = (time + 1).to_string();
    let mut tail = open(&server, &[("query", QUERY), ("start", &from), ("limit", "2")]);
    let stream = json!({"job": "t", "service_name": "t", "detected_level": "unknown"});
    let values = json!([[(time + 2).to_string(), "three"], [(time + 3).to_string(), "four"]]);
    let history = json!({"streams": [{"stream": stream, "values": values}]});
    assert_eq!(tail.next().unwrap(), history);
    push(&server, time + 4, &["level=warn five"]);
    assert_eq!(
        tail.next_text(),
        format!(
            r#"{{"streams":[{{"stream":{{"detected_level":"warn","job":"t","service_name":"t"}},"values":[["{}","level=warn five"]]}}]}}"#,
            time + 4
        )
    );
    // The same entries again are no new ones; older ones that are new come as they are.
    push(&server, time + 3, &["four", "level=warn five", "six"]);
    assert_eq!(tail.lines(1), ["six"]);
}

#[test]
fn every_line_comes_once_while_others_push() {
    let server = start();
    let time = now();
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let server = &server;
            scope.spawn(move || {
                for number in 0..50 {
                    push(server, time + number * 10, &[&format!("{writer} {number}")]);
                }
            });
        }
        for _ in 0..4 {
            let mut tail = open(&server, &[("query", QUERY), ("limit", "1000")]);
            let mut lines = tail.lines(150);
            lines.sort();
            lines.dedup();
            assert_eq!(lines.len(), 150);
        }
    });
}

#[test]
fn pipelines_are_applied() {
    let server = start();
    let query = r#"{job="t"} |= "pay" | json | status >= 500 | line_format "{{.path}}!""#;
    let mut tail = open(&server, &[("query", query)]);
    push(
        &server,
        now(),
        &[
            r#"{"path":"/pay","status":500}"#,
            r#"{"path":"/pay","status":200}"#,
            r#"{"path":"/home","status":503}"#,
            r#"{"path":"/repay","status":502}"#,
        ],
    );
    let frame = tail.next().unwrap();
    assert_eq!(lines_of(&frame), ["/pay!", "/repay!"]);
    assert_eq!(frame["streams"][1]["stream"]["status"], "502");
}

#[test]
fn labels_are_told_apart_for_those_who_ask() {
    let server = start();
    let target = with_params(TAIL, &[("query", r#"{job="t"} | logfmt"#)]);
    let mut tail = Tail::open(server.address(), &target, &[CATEGORIZE]).unwrap();
    let time = now();
    push(&server, time, &["a=1"]);
    assert_eq!(
        tail.next_text(),
        format!(
            r#"{{"streams":[{{"stream":{{"job":"t","service_name":"t"}},"values":[["{time}","a=1",{{"structuredMetadata":{{"detected_level":"unknown"}},"parsed":{{"a":"1"}}}}]]}}],"encodingFlags":["categorize-labels"]}}"#
        )
    );
}

#[test]
fn legacy_tails_have_their_own_frames() {
    let server = start();
    let target = with_params("/api/prom/tail", &[("query", QUERY)]);
    let mut tail = Tail::open(server.address(), &target, &[]).unwrap();
    push(&server, now(), &["x"]);
    let frame = tail.next().unwrap();
    let labels = r#"{detected_level="unknown", job="t", service_name="t"}"#;
    assert_eq!(frame["streams"][0]["labels"], labels);
    assert_eq!(frame["streams"][0]["entries"][0]["line"], "x");
    assert_eq!(frame["dropped_entries"], Value::Null);
}

#[test]
fn what_is_wrong_before_the_upgrade_is_said_as_text() {
    let server = start();
    for (params, text) in [
        (
            vec![("query", "{job=}")],
            "parse error at line 1, col 6: syntax error: unexpected }, expecting STRING",
        ),
        (vec![("query", QUERY), ("delay_for", "6")], "delay_for can't be greater than 5"),
        (vec![("query", QUERY), ("limit", "0")], "limit must be a positive value"),
        (
            vec![("query", QUERY), ("start", "x")],
            "could not parse 'start' parameter: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
    ] {
        let target = with_params(TAIL, &params);
        let refused = Tail::open(server.address(), &target, &[]).err().unwrap();
        assert_eq!(refused, (400, text.to_owned()));
    }
    let plain = server.get(TAIL, &[("query", QUERY)]);
    assert_eq!(plain.status, 400);
    assert!(plain.text().starts_with("a tail needs a WebSocket: "), "{}", plain.text());
}

#[test]
fn what_is_wrong_later_is_said_in_the_reason() {
    let server = start();
    for (params, reason) in [
        (
            vec![("query", r#"rate({job="t"}[1m])"#)],
            "only log selector is supported".to_owned(),
        ),
        (
            vec![("query", QUERY), ("limit", "6000")],
            "max entries limit per query exceeded, limit > max_entries_limit_per_query (6000 > 5000)"
                .to_owned(),
        ),
    ] {
        assert_eq!(open(&server, &params).end(), TailEnd::Closed(1011, reason));
    }
}

#[test]
fn a_tenant_has_so_many_tails_at_a_time() {
    let server = TestServer::start(|config| {
        config.limits_config.query.max_concurrent_tail_requests = 2;
    });
    let first = follow(&server, &[("query", QUERY)]);
    let _second = follow(&server, &[("query", QUERY)]);
    let reason = "max concurrent tail requests limit exceeded, count > limit (3 > 2)".to_owned();
    assert_eq!(open(&server, &[("query", QUERY)]).end(), TailEnd::Closed(1011, reason));
    first.close();
    // The place is free when the server has seen the close, which is before it answered.
    follow(&server, &[("query", QUERY)]);
}

#[test]
fn a_tail_lasts_so_long() {
    let server = TestServer::start(|config| {
        config.limits_config.query.tail_max_duration = Duration::from_millis(300);
    });
    let reason = "reached tail max duration limit".to_owned();
    assert_eq!(open(&server, &[("query", QUERY)]).end(), TailEnd::Closed(1011, reason));
}

#[test]
fn clients_are_pinged() {
    let server = start();
    open(&server, &[("query", QUERY)]).wait_for_pings(2);
}

#[test]
fn a_server_that_stops_breaks_the_connection() {
    let server = start();
    let mut tail = follow(&server, &[("query", QUERY)]);
    server.stop().unwrap();
    assert_eq!(tail.end(), TailEnd::Broken, "clients come again only then");
}

#[test]
fn a_slow_client_is_told_what_it_missed() {
    const LINES: usize = 600;
    let server = start();
    let mut tail = follow(&server, &[("query", QUERY)]);
    let time = now();
    let line = "x".repeat(100_000);
    for number in 0..LINES {
        push(&server, time + i64::try_from(number).unwrap(), &[&format!("{number} {line}")]);
    }
    let (mut received, mut dropped) = (0, Vec::new());
    while received + dropped.len() < LINES {
        let frame = tail.next().unwrap();
        received += lines_of(&frame).len();
        dropped.extend(frame["dropped_entries"].as_array().cloned().unwrap_or_default());
    }
    assert!(!dropped.is_empty() && received > 0, "{received} {}", dropped.len());
    let first: i64 = dropped[0]["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(first > time);
    assert_eq!(dropped[0]["labels"]["job"], "t");
    push(&server, now(), &["later"]);
    assert_eq!(tail.lines(1), ["later"]);
    let metrics = server.get("/metrics", &[]).text();
    let counted = format!("timberline_tail_dropped_entries_total {}", dropped.len());
    assert!(metrics.contains(&counted), "{counted}");
}

#[test]
fn what_templates_make_too_large_is_dropped_and_told() {
    const LINES: usize = 100;
    let server = start();
    let query = r#"{job="t"} | line_format "{{ repeat 1000000 `x` }}""#;
    let mut tail = follow(&server, &[("query", QUERY)]);
    let mut large = open(&server, &[("query", query), ("limit", "1")]);
    assert_eq!(large.lines(1)[0].len(), 1_000_000);
    push(&server, now(), &(0..LINES).map(|_| "short").collect::<Vec<_>>());
    let (mut received, mut dropped) = (0, 0);
    while received + dropped < LINES {
        let frame = large.next().unwrap();
        received += lines_of(&frame).len();
        dropped += frame["dropped_entries"].as_array().map_or(0, Vec::len);
    }
    // 16 MiB for what is made at a time, of which the client's queue takes half if it does not get on.
    assert!((7..=16).contains(&received), "{received}");
    assert_eq!(tail.lines(LINES).len(), LINES, "others are not concerned");
}

#[test]
fn entries_are_held_back_until_they_are_old_enough() {
    let server = start();
    let mut tail = open(&server, &[("query", QUERY), ("delay_for", "1")]);
    let time = now();
    push(&server, time + 2, &["third"]);
    push(&server, time, &["first", "second"]);
    assert_eq!(tail.lines(3), ["first", "second", "third"]);
    assert!(now() >= time + 1_000_000_000);
}

#[test]
fn tenants_follow_their_own() {
    let server = TestServer::start(|config| config.auth_enabled = true);
    let target = with_params(TAIL, &[("query", QUERY)]);
    let open = |headers: &[(&str, &str)]| Tail::open(server.address(), &target, headers);
    assert_eq!(open(&[]).err().unwrap(), (401, "no org id\n".to_owned()));
    let several = open(&[("X-Scope-OrgID", "a|b")]).err().unwrap();
    assert_eq!(several, (400, "multiple org IDs present\n".to_owned()));
    let mut tails = ["a", "b"].map(|tenant| open(&[("X-Scope-OrgID", tenant)]).unwrap());
    for tenant in ["b", "a"] {
        let time = now().to_string();
        let values = json!([[time, format!("of {tenant}")]]);
        let body = json!({"streams": [{"stream": {"job": "t"}, "values": values}]}).to_string();
        let headers = [("Content-Type", "application/json"), ("X-Scope-OrgID", tenant)];
        let pushed = server.request("POST", "/loki/api/v1/push", &headers, body.as_bytes());
        assert_eq!(pushed.status, 204);
    }
    assert_eq!(tails[0].lines(1), ["of a"]);
    assert_eq!(tails[1].lines(1), ["of b"]);
}

#[test]
fn a_browser_of_any_origin_may_follow() {
    let server = start();
    push(&server, now(), &["x"]);
    let target = with_params(TAIL, &[("query", QUERY)]);
    let headers = [("Origin", "https://grafana.example"), ("Accept-Encoding", "gzip")];
    let mut tail = Tail::open(server.address(), &target, &headers).unwrap();
    assert_eq!(tail.lines(1), ["x"]);
}
