//! `/insert/jsonline` and `/insert/raw`.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::io::Write as _;

use common::{Response, TestServer};
use serde_json::Value;

const SECOND: i64 = 1_793_538_000;
const NANOS: i64 = 1_000_000_000;

fn start() -> TestServer {
    TestServer::start(|config| {
        common::accept_any_time(config);
        config.ingest.jsonline.enabled = true;
    })
}

fn post(server: &TestServer, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    server.request("POST", target, headers, body)
}

/// The streams that a query finds around [`SECOND`]: labels with metadata, and values.
fn streams(server: &TestServer, query: &str) -> Vec<(Value, Value)> {
    let (start, end) = (((SECOND - 60) * NANOS).to_string(), ((SECOND + 60) * NANOS).to_string());
    let params = [("query", query), ("start", &start), ("end", &end), ("direction", "forward")];
    let answer = server.get("/loki/api/v1/query_range", &params);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let found = answer.json()["data"]["result"].as_array().unwrap().clone();
    found.into_iter().map(|stream| (stream["stream"].clone(), stream["values"].clone())).collect()
}

fn recent_lines(server: &TestServer, query: &str) -> Vec<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_nanos()).unwrap();
    let found = common::lines(server.address(), query, now - 600 * NANOS, now + 600 * NANOS);
    found.into_iter().map(|(_, line)| line).collect()
}

#[test]
fn json_lines_become_entries() {
    let server = start();
    let body = format!(
        "{{\"ts\":{SECOND},\"log\":{{\"level\":\"warn\",\"text\":\"slow\"}},\"host\":\"a\",\"app\":\"shop\",\"n\":1.50,\"tmp\":1}}\n\
         \r\n\
         {{\"ts\":\"{}\",\"log.text\":\"fast\",\"host\":\"b\",\"app\":\"shop\"}}",
        "2026-11-01T13:00:00.5Z"
    );
    let target = "/insert/jsonline?_time_field=ts&_msg_field=log.text&_stream_fields=app,env\
                  &ignore_fields=tmp&extra_fields=env=prod,zone=z";
    let answer = post(&server, target, &[], body.as_bytes());
    assert_eq!((answer.status, answer.text().as_str()), (204, ""));
    let mut found = streams(&server, r#"{app="shop"}"#);
    found.sort_by_key(|(labels, _)| labels["host"].to_string());
    let expected = serde_json::json!({
        "app": "shop", "env": "prod", "service_name": "shop", "host": "a", "n": "1.50", "zone": "z",
        "log_level": "warn", "detected_level": found[0].0["detected_level"],
    });
    assert_eq!(found[0].0, expected);
    assert_eq!(found[0].1, serde_json::json!([[(SECOND * NANOS).to_string(), "slow"]]));
    let time = (1_793_538_000 * NANOS + NANOS / 2).to_string();
    assert_eq!(found[1].1, serde_json::json!([[time, "fast"]]));
    let values =
        server.get("/loki/api/v1/labels", &[("start", "1793537000"), ("end", "1793539000")]);
    assert_eq!(values.json()["data"], serde_json::json!(["app", "env", "service_name"]));
}

#[test]
fn headers_name_fields_where_the_query_string_does_not() {
    let server = start();
    let body = format!("{{\"when\":{SECOND},\"what\":\"x\",\"app\":\"y\"}}");
    let headers = [
        ("VL-Time-Field", "when"),
        ("VL-Msg-Field", "nothing,what"),
        ("VL-Stream-Fields", "app"),
        ("VL-Extra-Fields", "zone=z"),
    ];
    assert_eq!(post(&server, "/insert/jsonline", &headers, body.as_bytes()).status, 204);
    let found = streams(&server, r#"{app="y"} | zone="z""#);
    assert_eq!(found[0].1[0][1], "x");
}

#[test]
fn bodies_come_in_every_encoding() {
    let server = start();
    let encoded = |encoding: &str, body: &[u8]| -> Vec<u8> {
        let level = flate2::Compression::default();
        match encoding {
            "gzip" => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), level);
                out.write_all(body).unwrap();
                out.finish().unwrap()
            }
            "deflate" => {
                let mut out = flate2::write::ZlibEncoder::new(Vec::new(), level);
                out.write_all(body).unwrap();
                out.finish().unwrap()
            }
            "zstd" => zstd::encode_all(body, 3).unwrap(),
            "snappy" => snap::raw::Encoder::new().compress_vec(body).unwrap(),
            "frames" => {
                let mut out = snap::write::FrameEncoder::new(Vec::new());
                out.write_all(body).unwrap();
                out.into_inner().unwrap()
            }
            _ => body.to_vec(),
        }
    };
    let mut sent = Vec::new();
    for encoding in ["identity", "gzip", "deflate", "zstd", "snappy", "frames"] {
        let line = format!("as {encoding}");
        let called = if encoding == "frames" { "snappy" } else { encoding };
        let headers = [("Content-Encoding", called)];
        let body = format!("{{\"_msg\":\"{line}\",\"_time\":{SECOND}}}\n");
        let body = encoded(encoding, body.as_bytes());
        assert_eq!(
            post(
                &server,
                "/insert/jsonline?extra_fields=app=e&_stream_fields=app",
                &headers,
                &body
            )
            .status,
            204,
            "{line}"
        );
        sent.push(line);
    }
    sent.sort();
    let found =
        common::lines(server.address(), r#"{app="e"}"#, (SECOND - 1) * NANOS, (SECOND + 1) * NANOS);
    assert_eq!(found.into_iter().map(|(_, line)| line).collect::<Vec<_>>(), sent);
    let answer = post(&server, "/insert/jsonline", &[("Content-Encoding", "br")], b"{}");
    assert_eq!(answer.status, 400);
    let answer = post(&server, "/insert/jsonline", &[("Content-Encoding", "snappy")], b"no");
    assert_eq!((answer.status, answer.text().as_str()), (400, "snappy: corrupt input\n"));
}

#[test]
fn a_line_that_cannot_be_read_is_named_and_nothing_is_stored() {
    let server = start();
    for (line, text) in [
        ("[1]", "line 2: not a JSON object: invalid type: sequence, expected a JSON object"),
        ("{\"a\":", "line 2: not a JSON object: EOF while parsing"),
        ("{\"_time\":\"noon\"}", "line 2: _time is no time that is understood: \"noon\""),
    ] {
        let body = format!("{{\"_msg\":\"good\"}}\n{line}\n");
        let answer = post(&server, "/insert/jsonline", &[], body.as_bytes());
        assert_eq!(answer.status, 400, "{line}");
        assert!(answer.text().starts_with(text), "{line}: {}", answer.text());
        assert!(answer.text().ends_with("; nothing was stored\n"));
    }
    assert_eq!(recent_lines(&server, r#"{job="jsonline"}"#), [""; 0]);
    assert_eq!(post(&server, "/insert/jsonline", &[], b"").status, 204, "nothing is fine");
    let limited = TestServer::start(|config| {
        config.ingest.jsonline.enabled = true;
        config.limits_config.ingest.max_line_size = 8;
    });
    let body = b"{\"_msg\":\"short\"}\n{\"_msg\":\"far too long\"}\n";
    let answer = post(&limited, "/insert/jsonline", &[], body);
    assert_eq!(answer.status, 400);
    assert!(answer.text().starts_with("max entry size '8' bytes exceeded"), "{}", answer.text());
    assert_eq!(recent_lines(&limited, r#"{job="jsonline"}"#), ["short"]);
}

#[test]
fn raw_lines_keep_their_order_and_their_number() {
    let server = start();
    let file: String = (0..2000)
        .map(|index| ["same\n", "", "\ttab \"q\"\n", "\r\n"][index % 4].to_owned())
        .collect();
    let file = file + "last";
    for _ in 0..2 {
        let answer = post(&server, "/insert/raw?app=file&env=p%20q", &[], file.as_bytes());
        assert_eq!((answer.status, answer.text().as_str()), (204, ""));
    }
    let expected: Vec<&str> = file.split('\n').chain(file.split('\n')).collect();
    assert_eq!(recent_lines(&server, r#"{app="file", env="p q"}"#), expected);
    assert_eq!(post(&server, "/insert/raw", &[], b"x\n").status, 204);
    assert_eq!(recent_lines(&server, r#"{job="raw"}"#), ["x"]);
    let answer = post(&server, "/insert/raw?a-b=c", &[], b"x\n");
    let text =
        "the query string's \"a-b\" is no label: names have letters, digits and underscores\n";
    assert_eq!((answer.status, answer.text().as_str()), (400, text));
}

#[test]
fn endpoints_that_are_off_say_how_to_turn_them_on() {
    let server = TestServer::start(|_| {});
    for (target, key) in [
        ("/insert/jsonline", "ingest.jsonline.enabled"),
        ("/insert/raw?a=b", "ingest.jsonline.enabled"),
        ("/upload", "ingest.journald.enabled"),
        ("/_bulk", "ingest.elasticsearch.enabled"),
        ("/index/_bulk", "ingest.elasticsearch.enabled"),
    ] {
        let answer = post(&server, target, &[], b"{}");
        assert_eq!(answer.status, 404, "{target}");
        assert!(answer.text().contains(&format!("set {key} to true")), "{}", answer.text());
    }
}

#[test]
fn tenants_and_rates_are_those_of_pushes() {
    let server = TestServer::start(|config| {
        config.auth_enabled = true;
        config.ingest.jsonline.enabled = true;
        config.limits_config.ingest.ingestion_rate_mb = 0.001;
        config.limits_config.ingest.ingestion_burst_size_mb = 0.001;
    });
    assert_eq!(post(&server, "/insert/raw", &[], b"x").status, 401);
    let tenant = [("X-Scope-OrgID", "a")];
    assert_eq!(post(&server, "/insert/raw", &tenant, b"x").status, 204);
    let answer = post(&server, "/insert/raw", &tenant, &[b'x'; 5000]);
    assert_eq!(answer.status, 429);
    assert!(answer.header("retry-after").is_some() || answer.text().contains("rate limit"));
}
