//! What reads may ask for: how far back, how much, for how long; for all tenants and for some.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Response, TestServer, with_params};
use serde_json::{Value, json};
use timberline::config::Config;

const MINUTE: i64 = 60_000_000_000;

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_nanos().try_into().unwrap()
}

/// A server with a line of two hours ago, `{app="old"}`, and one of a minute ago, `{app="new"}`.
fn server(change: impl FnOnce(&mut Config)) -> TestServer {
    let server = TestServer::start(change);
    for (app, minutes) in [("old", 120), ("new", 1)] {
        let values = json!([[(now() - minutes * MINUTE).to_string(), "x".repeat(1000)]]);
        let stream = json!({"stream": {"app": app}, "values": values});
        assert_eq!(server.push(&json!({"streams": [stream]}).to_string()).status, 204);
    }
    server
}

/// Asks about the time between so many minutes ago.
fn ask(server: &TestServer, path: &str, (from, to): (i64, i64), query: &str) -> Response {
    let (start, end) = (now() - from * MINUTE, now() - to * MINUTE);
    let (start, end) = (start.to_string(), end.to_string());
    let params = [("query", query), ("start", &start), ("end", &end), ("time", &end)];
    server.get(path, &params)
}

fn json_of(server: &TestServer, path: &str, minutes: (i64, i64), query: &str) -> Value {
    let answer = ask(server, path, minutes, query);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

const READS: [&str; 11] = [
    "/loki/api/v1/query_range",
    "/loki/api/v1/labels",
    "/loki/api/v1/label/app/values",
    "/loki/api/v1/series",
    "/loki/api/v1/index/stats",
    "/loki/api/v1/index/volume",
    "/loki/api/v1/index/volume_range",
    "/loki/api/v1/detected_labels",
    "/loki/api/v1/detected_fields",
    "/loki/api/v1/patterns",
    "/api/prom/label",
];

#[test]
fn every_read_ends_in_time() {
    let server = server(|config| {
        config.limits_config.query.query_timeout = Duration::from_nanos(1);
    });
    let text = "request timed out, decrease the duration of the request or add more label matchers \
                (prefer exact match over regex match) to reduce the amount of data processed";
    let metric = "sum(count_over_time({app=~\".+\"}[1m]))";
    let instant = ask(&server, "/loki/api/v1/query", (0, 0), metric);
    assert_eq!((instant.status, instant.text().as_str()), (504, text));
    // In memory, and then in a segment.
    for _ in 0..2 {
        for path in READS {
            let answer = ask(&server, path, (180, 0), "{app=~\".+\"}");
            assert_eq!((answer.status, answer.text().as_str()), (504, text), "{path}");
        }
        assert_eq!(server.request("POST", "/flush", &[], b"").status, 204);
    }
}

#[test]
fn reads_look_back_so_far() {
    let server = server(|config| {
        config.limits_config.query.max_query_lookback = Duration::from_secs(3600);
    });
    let all = "{app=~\".+\"}";
    let streams = |minutes| {
        let found = json_of(&server, "/loki/api/v1/query_range", minutes, all);
        assert_eq!(found["data"]["resultType"], "streams");
        found["data"]["result"].as_array().unwrap().len()
    };
    assert_eq!((streams((180, 0)), streams((180, 90))), (1, 0));
    // What is before is as if it were not there; the answer is of the same type.
    for (path, kind) in [("/loki/api/v1/query_range", "matrix"), ("/loki/api/v1/query", "vector")] {
        let query = "sum by (app) (count_over_time({app=~\".+\"}[30m]))";
        let found = json_of(&server, path, (130, 110), query);
        assert_eq!(found["data"]["resultType"], kind);
        assert_eq!(found["data"]["result"], json!([]), "{path}");
        let found = json_of(&server, path, (180, 0), query);
        assert_eq!(found["data"]["result"][0]["metric"], json!({"app": "new"}), "{path}");
    }
    let (values, series) = ("/loki/api/v1/label/app/values", "/loki/api/v1/series");
    assert_eq!(json_of(&server, values, (180, 0), "")["data"], json!(["new"]));
    assert!(json_of(&server, values, (180, 90), "").get("data").is_none());
    let found = json_of(&server, series, (180, 0), "")["data"].clone();
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(json_of(&server, series, (180, 90), "")["data"], json!([]));
    let stats = "/loki/api/v1/index/stats";
    assert_eq!(json_of(&server, stats, (180, 0), all)["entries"], 1);
    let none = json!({"streams": 0, "chunks": 0, "bytes": 0, "entries": 0});
    assert_eq!(json_of(&server, stats, (180, 90), all), none);
    for path in ["/loki/api/v1/index/volume", "/loki/api/v1/index/volume_range"] {
        let found = json_of(&server, path, (180, 0), all);
        assert_eq!(found["data"]["result"].as_array().unwrap().len(), 1, "{path}");
        assert_eq!(json_of(&server, path, (180, 90), all)["data"]["result"], json!([]), "{path}");
    }
    let parse = ask(&server, "/loki/api/v1/query_range", (180, 90), "{app=");
    assert_eq!(parse.status, 400, "what is wrong is wrong at any time");
    let limits = server.get("/loki/api/v1/drilldown-limits", &[]).json();
    assert_eq!(limits["limits"]["max_query_lookback"], "1h");
}

#[test]
fn queries_read_so_many_bytes() {
    let server = server(|config| config.limits_config.query.max_query_bytes_read = 1500);
    let query = |query: &str| ask(&server, "/loki/api/v1/query_range", (180, 0), query);
    assert_eq!(query("{app=\"new\"}").status, 200);
    let refused = |answer: Response| {
        let text = answer.text();
        assert_eq!(answer.status, 400, "{text}");
        assert!(text.starts_with("the query would read too many bytes (query: 2.0 KiB"), "{text}");
        let rest = ", limit: 1.5 KiB); consider adding more specific stream selectors or reduce \
                    the time range of the query";
        assert!(text.ends_with(rest), "{text}");
    };
    refused(query("{app=~\".+\"} |= \"not there\""));
    let rate = "sum(rate({app=~\".+\"}[3h]))";
    refused(ask(&server, "/loki/api/v1/query", (0, 0), rate));
    // Each selector of a query is read, in its window.
    let of = |app: &str, range: &str| format!("sum(rate({{app=\"{app}\"}}[{range}]))");
    refused(query(&format!("{} + {}", of("new", "5m"), of("old", "5m"))));
    let instant = |query: &str| ask(&server, "/loki/api/v1/query", (0, 0), query).status;
    assert_eq!(instant(&format!("{} + {}", of("new", "5m"), of("old", "5m"))), 200);
    assert_eq!(instant(&format!("{} + {} ", of("new", "5m"), of("old", "3h"))), 400);
    assert_eq!(instant("sum(rate({app=\"old\"}[5m] offset 118m))"), 200);
    let limits = server.get("/loki/api/v1/drilldown-limits", &[]).json();
    assert_eq!(limits["limits"]["max_query_bytes_read"], "1.5KiB");
}

#[test]
fn volumes_may_be_off_and_limits_are_each_tenants() {
    let server = TestServer::start(|config| {
        config.auth_enabled = true;
        config.querier.multi_tenant_queries_enabled = true;
        config.overrides = serde_json::from_value(json!({
            "off": {"volume_enabled": false, "max_query_lookback": "1h", "max_query_bytes_read": "1KB"},
        }))
        .unwrap();
    });
    let ask = |tenant: &str, path: &str| {
        let target = with_params(path, &[("query", "{app=\"x\"}")]);
        server.request("GET", &target, &[("X-Scope-OrgID", tenant)], b"")
    };
    for path in ["/loki/api/v1/index/volume", "/loki/api/v1/index/volume_range"] {
        for tenant in ["off", "off|on"] {
            let answer = ask(tenant, path);
            assert_eq!((answer.status, answer.text().as_str()), (404, "not found"), "{tenant}");
        }
        assert_eq!(ask("on", path).status, 200);
    }
    for (tenant, expected) in
        [("off", json!([false, "1h", "1.0KiB"])), ("on", json!([true, "0s", "0B"]))]
    {
        let limits = ask(tenant, "/loki/api/v1/drilldown-limits").json()["limits"].clone();
        let told = ["volume_enabled", "max_query_lookback", "max_query_bytes_read"];
        assert_eq!(json!(told.map(|name| limits[name].clone())), expected, "{tenant}");
    }
}
