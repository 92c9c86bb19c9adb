//! The server through its port: routes, methods, errors, tenancy, parameters, compression.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use common::{TestServer, with_params};

const PUSH: &str = r#"{"streams":[{"stream":{"job":"test","app":"a"},"values":[["1793538000000000001","one <1>"],["1793538000000000002","two",{"trace_id":"x"}]]},{"stream":{"job":"test","app":"b"},"values":[["1793538000000000003","three"]]}]}"#;

/// Around the lines of [`PUSH`].
const RANGE: [(&str, &str); 2] = [("start", "1793537000"), ("end", "1793539000")];

fn server() -> TestServer {
    TestServer::start(|_| {})
}

/// A server that holds the lines of [`PUSH`], whatever today's date is.
fn server_with_lines() -> TestServer {
    let server = TestServer::start(common::accept_any_time);
    let pushed = server.push(PUSH);
    assert_eq!(pushed.status, 204, "{}", pushed.text());
    server
}

fn ranged(query: &str) -> Vec<(&str, &str)> {
    let mut params = vec![("query", query)];
    params.extend(RANGE);
    params
}

#[test]
fn unknown_paths_and_wrong_methods() {
    let server = server();
    let missing = server.get("/loki/api/v1/nosuch", &[]);
    assert_eq!((missing.status, missing.text().as_str()), (404, "404 page not found\n"));
    let wrong = server.request("DELETE", "/loki/api/v1/query", &[], b"");
    assert_eq!((wrong.status, wrong.body.len()), (405, 0));
    assert_eq!(server.get("/loki/api/v1/push", &[]).status, 405);
}

#[test]
fn operators_endpoints() {
    let server = server();
    let ready = server.get("/ready", &[]);
    assert_eq!((ready.status, ready.text().as_str()), (200, "ready\n"));
    let info = server.get("/loki/api/v1/status/buildinfo", &[]).json();
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    let config = server.get("/config", &[]);
    assert!(config.text().contains("max_query_series: 500"));
    assert_eq!(config.header("content-type"), Some("text/plain; charset=utf-8"));
    let changed = server.get("/config", &[("mode", "diff")]).text();
    assert!(changed.contains("data_dir: ") && !changed.contains("max_query_series"), "{changed}");
    let defaults = server.get("/config", &[("mode", "defaults")]).text();
    assert!(defaults.contains("listen: \"127.0.0.1:3100\""), "{defaults}");
    assert!(server.get("/services", &[]).text().contains("store => Running\n"));
    assert_eq!(server.request("POST", "/flush", &[], b"").status, 204);
    assert!(server.get("/", &[]).text().contains("/loki/api/v1/query_range"));
}

#[test]
fn metrics_count_requests_and_describe_the_store() {
    let server = server_with_lines();
    server.get("/loki/api/v1/label/job/values", &RANGE);
    server.get("/nosuch", &[]);
    for method in ["AAA", "AAB"] {
        server.request(method, "/ready", &[], b"");
    }
    let metrics = server.get("/metrics", &[]).text();
    for part in [
        r#"loki_request_duration_seconds_count{method="GET",route="loki_api_v1_label_name_values",status_code="200",ws="false"} 1"#,
        r#"loki_request_duration_seconds_count{method="GET",route="other",status_code="404",ws="false"} 1"#,
        r#"loki_request_duration_seconds_count{method="other",route="ready",status_code="405",ws="false"} 2"#,
        "loki_build_info{",
        "timberline_head_entries 3",
        "# TYPE timberline_appends_total counter",
    ] {
        assert!(metrics.contains(part), "{part} is not in\n{metrics}");
    }
}

#[test]
fn parameter_errors_are_plain_text_without_a_newline() {
    let server = server();
    let query = ("query", "{a=\"b\"}");
    for (params, text) in [
        (vec![query, ("limit", "0")], "limit must be a positive value"),
        (vec![query, ("limit", "x")], "strconv.Atoi: parsing \"x\": invalid syntax"),
        (vec![query, ("direction", "up")], "invalid direction 'up'"),
        (vec![query, ("step", "1.5s")], "cannot parse \"1.5s\" to a valid duration"),
        (
            vec![query, ("start", "2"), ("end", "1")],
            "end timestamp must not be before or equal to start time",
        ),
    ] {
        let answer = server.get("/loki/api/v1/query_range", &params);
        assert_eq!((answer.status, answer.text().as_str()), (400, text));
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn tenants_are_needed_only_with_auth() {
    let server = TestServer::start(|config| config.auth_enabled = true);
    let labels =
        |header: &[(&str, &str)]| server.request("GET", "/loki/api/v1/labels", header, b"");
    let missing = labels(&[]);
    assert_eq!((missing.status, missing.text().as_str()), (401, "no org id\n"));
    assert_eq!(labels(&[("X-Scope-OrgID", "a")]).status, 200);
    assert_eq!(labels(&[("X-Scope-OrgID", "a:sub|a")]).status, 200);
    let several = labels(&[("X-Scope-OrgID", "a|b")]);
    assert_eq!((several.status, several.text().as_str()), (400, "multiple org IDs present\n"));
    let wrong = labels(&[("X-Scope-OrgID", "a/b")]);
    let text = "tenant ID 'a/b' contains unsupported character '/'\n";
    assert_eq!((wrong.status, wrong.text().as_str()), (400, text));
    for open in ["/ready", "/metrics", "/config", "/services", "/loki/api/v1/status/buildinfo"] {
        assert_eq!(server.get(open, &[]).status, 200, "{open}");
    }
}

#[test]
fn tenants_do_not_see_each_other() {
    let server = TestServer::start(|config| {
        common::accept_any_time(config);
        config.auth_enabled = true;
    });
    let json = ("Content-Type", "application/json");
    let push = |tenant| {
        let headers = [json, ("X-Scope-OrgID", tenant)];
        server.request("POST", "/loki/api/v1/push", &headers, PUSH.as_bytes()).status
    };
    assert_eq!(push("a"), 204);
    let target = with_params("/loki/api/v1/labels", &RANGE);
    let labels = |tenant| server.request("GET", &target, &[("X-Scope-OrgID", tenant)], b"").text();
    assert!(labels("a").contains("job"));
    assert_eq!(labels("b"), "{\"status\":\"success\"}\n");
}

#[test]
fn lines_come_back() {
    let server = server_with_lines();
    let answer = server.get("/loki/api/v1/query_range", &ranged("{app=\"a\"}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json; charset=UTF-8"));
    assert!(answer.text().contains("\\u003c1\\u003e"));
    let json = answer.json();
    assert_eq!(json["data"]["resultType"], "streams");
    assert_eq!(json["data"]["result"].as_array().unwrap().len(), 2);
    assert_eq!(json["data"]["stats"]["summary"]["totalEntriesReturned"], 2);

    let target = with_params("/loki/api/v1/query_range", &ranged("{app=\"a\"}"));
    let flags = [("X-Loki-Response-Encoding-Flags", "categorize-labels")];
    let json = server.request("GET", &target, &flags, b"").json();
    assert_eq!(json["data"]["encodingFlags"][0], "categorize-labels");
    let result = &json["data"]["result"];
    assert_eq!(result.as_array().unwrap().len(), 1);
    assert_eq!(result[0]["values"][0][2]["structuredMetadata"]["trace_id"], "x");
}

#[test]
fn form_bodies_come_before_the_url() {
    let server = server_with_lines();
    let form = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")];
    let body = with_params("", &ranged("{app=\"b\"}"));
    let target = with_params("/loki/api/v1/query_range", &[("query", "{"), ("limit", "1")]);
    let answer = server.request("POST", &target, &form, body.trim_start_matches('?').as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["data"]["result"][0]["stream"]["app"], "b");
}

#[test]
fn labels_series_and_index() {
    let server = server_with_lines();
    let labels = server.get("/loki/api/v1/labels", &RANGE).text();
    let expected = r#"{"status":"success","data":["app","job","service_name"]}"#;
    assert_eq!(labels.trim_end(), expected);
    let values = server.get("/loki/api/v1/label/app/values", &ranged("{app!=\"a\",job=\"test\"}"));
    assert_eq!(values.text(), "{\"status\":\"success\",\"data\":[\"b\"]}\n");
    let mut params = vec![("match[]", "{app=\"a\"}"), ("match", "{app=~\"a|b\"}")];
    params.extend(RANGE);
    let series = server.get("/loki/api/v1/series", &params).json();
    assert_eq!(series["data"].as_array().unwrap().len(), 2);
    let stats = server.get("/loki/api/v1/index/stats", &ranged("{job=\"test\"}")).json();
    assert_eq!((&stats["streams"], &stats["entries"]), (&2.into(), &3.into()));
    let volume = server.get("/loki/api/v1/index/volume", &ranged("{job=\"test\"}")).json();
    assert_eq!(volume["data"]["resultType"], "vector");
    assert_eq!(volume["data"]["result"][0]["metric"]["job"], "test");
    let stats = &volume["data"]["stats"];
    assert_eq!(stats["summary"]["totalEntriesReturned"], 1);
    assert_eq!(stats["summary"]["totalPostFilterLines"], 3);
    assert_eq!(stats["ingester"]["store"]["chunk"]["headChunkLines"], 3);
    assert_eq!(stats["querier"]["store"]["chunk"]["decompressedLines"], 0);
    let mut params = ranged("{job=\"test\"}");
    params.push(("aggregateBy", "shoes"));
    let wrong = server.get("/loki/api/v1/index/volume", &params);
    assert_eq!((wrong.status, wrong.text().as_str()), (400, "invalid aggregation option"));
    let everything = server.get("/loki/api/v1/label/app/values", &ranged("{}"));
    assert_eq!(everything.status, 400);
    assert!(everything.text().starts_with("parse error : queries require at least one"));
}

#[test]
fn queries_are_formatted() {
    let server = server();
    let answer = server.get("/loki/api/v1/format_query", &[("query", "{a=\"b\"}|=\"<x>\"")]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["data"], "{a=\"b\"} |= \"<x>\"");
    let wrong = server.get("/loki/api/v1/format_query", &[("query", "{")]);
    assert_eq!((wrong.status, &wrong.json()["status"]), (400, &"invalid-query".into()));
}

#[test]
fn answers_are_compressed_only_on_request() {
    let server = server_with_lines();
    let target = with_params("/loki/api/v1/query_range", &ranged("{job=\"test\"}"));
    let plain = server.request("GET", &target, &[], b"");
    assert_eq!(plain.header("content-encoding"), None);
    let packed = server.request("GET", &target, &[("Accept-Encoding", "gzip")], b"");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*packed.body).read_to_string(&mut text).unwrap();
    let result = |text: &str| {
        serde_json::from_str::<serde_json::Value>(text).unwrap()["data"]["result"].clone()
    };
    assert_eq!(result(&text), result(&plain.text()));
}

#[test]
fn parquet_is_refused() {
    let server = server_with_lines();
    let target = with_params("/loki/api/v1/query_range", &ranged("{job=\"test\"}"));
    let accepting = |media_type| server.request("GET", &target, &[("Accept", media_type)], b"");
    let refused = accepting("application/vnd.apache.parquet");
    let text = "support for Parquet encoded responses is disabled. Ask for application/json";
    assert_eq!((refused.status, refused.text().as_str()), (400, text));
    assert_eq!(accepting("application/json, text/plain, */*").status, 200);
}

#[test]
fn all_paths_may_be_below_one() {
    let server = TestServer::start(|config| {
        common::accept_any_time(config);
        config.server.http_path_prefix = "/logs".to_owned();
    });
    let push = r#"{"streams":[{"stream":{"app":"x"},"values":[["1793538000000000000","x"]]}]}"#;
    let headers = [("Content-Type", "application/json")];
    let post = |path| server.request("POST", path, &headers, push.as_bytes());
    assert_eq!(post("/logs/loki/api/v1/push").status, 204);
    let other = post("/loki/api/v1/push");
    assert_eq!((other.status, other.text().as_str()), (404, "404 page not found\n"));
    let params = [("query", "{app=\"x\"}"), ("start", "1793537999"), ("end", "1793538001")];
    let found = server.get("/logs/loki/api/v1/query_range", &params).json();
    assert_eq!(found["data"]["result"][0]["values"][0][1], "x");
    for path in ["/logs/ready", "/logs/metrics", "/logs/"] {
        assert_eq!(server.get(path, &[]).status, 200, "{path}");
    }
    for path in ["/ready", "/logsready", "/"] {
        assert_eq!(server.get(path, &[]).status, 404, "{path}");
    }
    let description = server.get("/logs/openapi.json", &[]).json();
    assert_eq!(description["servers"], serde_json::json!([{"url": "/logs"}]));
    // Routes are called as without it, and gRPC has paths of its own.
    let text = server.get("/logs/metrics", &[]).text();
    assert!(text.contains(r#"route="loki_api_v1_push",status_code="204""#), "{text}");
    let health = "/grpc.health.v1.Health/Check";
    let answer = server.request("POST", health, &[("Content-Type", "application/grpc")], b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let target = "/logs/loki/api/v1/tail?query=%7Bapp%3D%22x%22%7D";
    let mut tail = common::tail::Tail::open(server.address(), target, &[]).unwrap();
    tail.wait_for_pings(1);
}

#[test]
fn time_in_other_queues_is_told() {
    let server = server_with_lines();
    let target = common::with_params("/loki/api/v1/query_range", &ranged("{app=\"a\"}"));
    let queued = |headers: &[(&str, &str)]| {
        let answer = server.request("GET", &target, headers, b"").json();
        answer["data"]["stats"]["summary"]["queueTime"].as_f64().unwrap()
    };
    assert!(queued(&[("X-Query-Queue-Time", "1m30.5s")]) >= 90.5);
    assert!(queued(&[("X-Query-Queue-Time", "soon")]) < 90.5);
}

#[test]
fn http2_without_tls_is_spoken_on_the_same_port() {
    const EMPTY_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const SETTINGS_TYPE: u8 = 4;
    let server = server();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&EMPTY_SETTINGS).unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[3], SETTINGS_TYPE);
}

#[test]
fn the_server_stops_cleanly() {
    let server = server_with_lines();
    assert!(server.stop().is_ok());
}

#[test]
fn requests_in_flight_are_finished_and_no_more_are_taken() {
    let server = server();
    let address = server.address();
    let body = "since=10m&direction=forward";
    let (first, last) = body.split_at(5);
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /loki/api/v1/labels HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{first}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // An answer on another connection shows that the server has had time to see this one.
    assert_eq!(server.get("/ready", &[]).status, 200);
    let stopping = std::thread::spawn(move || server.stop());
    let refused = |_: &u32| {
        std::thread::sleep(Duration::from_millis(10));
        TcpStream::connect(address).is_err()
    };
    assert!((0..500).find(refused).is_some(), "connections are still taken");
    assert!(!stopping.is_finished());
    stream.write_all(last.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(stopping.join().unwrap().is_ok());
}
