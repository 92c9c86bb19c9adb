//! What Grafana's Logs Drilldown asks, screen by screen: times in RFC 3339, and a header that says who asks.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use common::{TestServer, with_params};
use serde_json::{Value, json};
use timberline::config::Config;

const START: &str = "2026-11-01T13:00:00.000Z";
const END: &str = "2026-11-01T13:10:00.000Z";
const SECOND: i64 = 1_793_538_000;
const TAGS: (&str, &str) = ("X-Query-Tags", "Source=grafana-lokiexplore-app");

/// A server with lines of two services: logfmt and JSON, with levels and metadata.
fn server(change: impl FnOnce(&mut Config)) -> TestServer {
    let server = TestServer::start(|config| {
        common::accept_any_time(config);
        change(config);
    });
    let value = |number: i64, line: String, metadata: Value| {
        json!([(SECOND * 1_000_000_000 + number).to_string(), line, metadata])
    };
    let shop = (0..6).map(|number| {
        let level = if number % 3 == 0 { "error" } else { "info" };
        let line = format!("level={level} duration={number}ms size={number}KB user=u{number}");
        value(number, line, json!({"trace_id": format!("t{}", number % 2)}))
    });
    let web = (0..3).map(|number| {
        value(number, format!(r#"{{"level":"warn","http":{{"status":{number}}}}}"#), json!({}))
    });
    let streams = json!([
        {"stream": {"app": "shop", "cluster": "eu"}, "values": shop.collect::<Vec<_>>()},
        {"stream": {"app": "web", "cluster": "eu"}, "values": web.collect::<Vec<_>>()},
    ]);
    assert_eq!(server.push(&json!({"streams": streams}).to_string()).status, 204);
    server
}

fn get(server: &TestServer, path: &str, params: &[(&str, &str)]) -> Value {
    let mut all = vec![("start", START), ("end", END)];
    all.extend(params);
    let answer = server.request("GET", &with_params(path, &all), &[TAGS], b"");
    assert_eq!(answer.status, 200, "{path} {params:?}: {}", answer.text());
    answer.json()
}

/// The series of a metric query, by one label: its values added up.
fn series(answer: &Value, label: &str) -> Vec<(String, f64)> {
    let series = answer["data"]["result"].as_array().unwrap().iter().map(|series| {
        let values = series["values"].as_array().unwrap().iter();
        let sum = values.map(|point| point[1].as_str().unwrap().parse::<f64>().unwrap()).sum();
        (series["metric"][label].as_str().unwrap_or_default().to_owned(), sum)
    });
    series.collect()
}

#[test]
fn it_starts_and_lists_services() {
    let server = server(|_| {});
    let limits = server.request("GET", "/loki/api/v1/drilldown-limits", &[TAGS], b"").json();
    assert!(limits["limits"]["max_entries_limit_per_query"].is_u64());
    assert_eq!(limits["limits"]["volume_enabled"], true);
    assert!(limits["pattern_ingester_enabled"].is_boolean() && limits["version"].is_string());
    let labels = get(&server, "/loki/api/v1/labels", &[]);
    assert_eq!(labels["data"], json!(["app", "cluster", "service_name"]));
    let asked = [("query", r#"{service_name=~".+"}"#), ("limit", "5000")];
    let volume = get(&server, "/loki/api/v1/index/volume", &asked);
    assert_eq!(volume["data"]["resultType"], "vector");
    let services: Vec<_> = volume["data"]["result"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            assert!(one["value"][1].as_str().unwrap().parse::<u64>().unwrap() > 0);
            one["metric"]["service_name"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(services, ["shop", "web"], "the larger first");
    let asked = [("query", "{}"), ("targetLabels", "cluster"), ("limit", "5000")];
    let volume = get(&server, "/loki/api/v1/index/volume", &asked);
    assert_eq!(volume["data"]["result"][0]["metric"], json!({"cluster": "eu"}));
    let query = r#"sum by (detected_level) (count_over_time({service_name="shop"} [5m]))"#;
    let levels = get(&server, "/loki/api/v1/query_range", &[("query", query), ("step", "5m")]);
    assert_eq!(series(&levels, "detected_level"), [("error".into(), 2.0), ("info".into(), 4.0)]);
}

#[test]
fn it_shows_labels_fields_and_patterns_of_a_service() {
    let server = server(|_| {});
    let of_shop = r#"{service_name="shop"}"#;
    let query = r#"sum(count_over_time({service_name="shop"} | detected_level != "" [5m])) by (detected_level)"#;
    let levels = get(&server, "/loki/api/v1/query_range", &[("query", query), ("step", "5m")]);
    assert_eq!(series(&levels, "detected_level").len(), 2);
    let detected = get(&server, "/loki/api/v1/detected_labels", &[("query", of_shop)]);
    let labels: Vec<_> = detected["detectedLabels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["label"].as_str().unwrap(), one["cardinality"].as_u64().unwrap()))
        .collect();
    assert!(labels.contains(&("cluster", 1)), "{labels:?}");
    let query = r#"sum(count_over_time({service_name="shop", cluster!=""} [5m])) by (cluster)"#;
    let by_label = get(&server, "/loki/api/v1/query_range", &[("query", query), ("step", "5m")]);
    assert_eq!(series(&by_label, "cluster"), [("eu".into(), 6.0)]);

    let parsed = r#"{service_name="shop"} | json | logfmt | drop __error__, __error_details__"#;
    let detected = get(&server, "/loki/api/v1/detected_fields", &[("query", parsed)]);
    let field = |name: &str| {
        let fields = detected["fields"].as_array().unwrap();
        let field = fields.iter().find(|field| field["label"] == name);
        field.unwrap_or_else(|| panic!("no {name}: {detected}")).clone()
    };
    assert_eq!(field("duration")["type"], "duration");
    assert_eq!(field("size")["type"], "bytes");
    assert_eq!(field("trace_id")["parsers"], Value::Null, "null, not []");
    assert_eq!(field("detected_level")["parsers"], Value::Null);
    assert_eq!(field("user")["cardinality"], 6);
    let path = "/loki/api/v1/detected_field/user/values";
    let values = get(&server, path, &[("query", parsed)]);
    assert_eq!(values["values"].as_array().unwrap().len(), 6);
    // The first line is at the start, and so in the first window alone; of the others this is the mean.
    for (unwrap, sum) in [("duration(duration)", 0.003), ("bytes(size)", 3000.0)] {
        let query = format!(
            r#"avg_over_time({{service_name="shop"}} | json | logfmt | drop __error__, __error_details__ | unwrap {unwrap} | __error__="" [5m]) by ()"#
        );
        let answer = get(&server, "/loki/api/v1/query_range", &[("query", &query), ("step", "5m")]);
        let found = series(&answer, "none");
        assert_eq!(found.len(), 1, "{unwrap}");
        assert!((found[0].1 - sum).abs() < 1e-9, "{unwrap}: {found:?}");
    }
    let patterns = get(&server, "/loki/api/v1/patterns", &[("query", of_shop), ("step", "10s")]);
    let first = &patterns["data"][0];
    assert!(first["pattern"].as_str().unwrap().contains("<_>"), "{patterns}");
    assert!(first["level"].is_string() && first["samples"][0][1].is_u64(), "{patterns}");
}

#[test]
fn its_lines_have_no_errors_of_parsers() {
    let server = server(|_| {});
    let query = r#"{cluster="eu"} | json | logfmt | drop __error__, __error_details__"#;
    let params = [("query", query), ("limit", "100"), ("start", START), ("end", END)];
    let target = with_params("/loki/api/v1/query_range", &params);
    let headers = [TAGS, ("X-Loki-Response-Encoding-Flags", "categorize-labels")];
    let answer = server.request("GET", &target, &headers, b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.text().contains("__error"), "{}", answer.text());
    let body = answer.json();
    let streams = body["data"]["result"].as_array().unwrap();
    let lines: usize = streams.iter().map(|one| one["values"].as_array().unwrap().len()).sum();
    assert_eq!(lines, 9);
    // 9 entries have a level each, and 6 a trace: names and values.
    let level = |text: &str| ("detected_level".len() + text.len()) as u64;
    let expected = 2 * level("error")
        + 4 * level("info")
        + 3 * level("warn")
        + 6 * ("trace_id".len() as u64 + 2);
    let stats = &body["data"]["stats"];
    let summary = &stats["summary"];
    assert_eq!(summary["totalStructuredMetadataBytesProcessed"], expected);
    let chunk = &stats["ingester"]["store"]["chunk"];
    assert_eq!(chunk["headChunkStructuredMetadataBytes"], expected);
    assert_eq!(stats["ingester"]["totalLinesSent"], 9);
    assert!(stats["ingester"]["totalBatches"].as_u64().unwrap() >= 2);
    let chunks = |query: &str| {
        let answer = get(&server, "/loki/api/v1/query_range", &[("query", query)]);
        let index = answer["data"]["stats"]["index"].clone();
        (index["totalChunks"].as_u64().unwrap(), index["postFilterChunks"].as_u64().unwrap())
    };
    assert_eq!(chunks(r#"{cluster="eu"}"#), (2, 2));
    assert!(chunks(r#"{cluster="eu"} |= "http""#).1 == 1);
}

#[test]
fn too_many_series_are_a_warning_to_it_and_an_error_to_others() {
    let server = server(|config| config.limits_config.query.max_query_series = 2);
    let query = r#"sum by (user) (count_over_time({app="shop"} | logfmt [5m]))"#;
    let warning =
        "maximum number of series (2) reached for a single query; returning partial results";
    let params = [("query", query), ("time", END)];
    for (path, params) in [
        ("/loki/api/v1/query_range", &[("query", query), ("step", "5m")][..]),
        ("/loki/api/v1/query", &[("query", query), ("time", "2026-11-01T13:01:00Z")]),
    ] {
        let answer = get(&server, path, params);
        assert_eq!(answer["data"]["result"].as_array().unwrap().len(), 2, "{path}");
        assert_eq!(answer["warnings"], json!([warning]), "{path}");
        let mut all = vec![("start", START), ("end", END)];
        all.extend(params);
        let other = ("X-Query-Tags", "Source=logvolhist");
        let answer = server.request("GET", &with_params(path, &all), &[other], b"");
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().starts_with("maximum number of series (2) reached"), "{path}");
    }
    let few = get(
        &server,
        "/loki/api/v1/query",
        &[("query", "sum(count_over_time({app=\"shop\"}[5m]))"), params[1]],
    );
    assert!(few.get("warnings").is_none());
}

/// What it asks where metrics may be aggregated beforehand, and patterns kept: there are no such streams, which
/// is no error.
#[test]
fn streams_of_aggregated_metrics_and_kept_patterns_are_empty() {
    let server = server(|_| {});
    let aggregated = r#"{__aggregated_metric__=~".+"}"#;
    let counts =
        format!("sum by (service_name) (sum_over_time({aggregated} | logfmt | unwrap count [1m]))");
    let of_level =
        r#"sum by (level) (count_over_time({__aggregated_metric__="shop"} | logfmt [1m]))"#;
    for (path, kind, query) in [
        ("/loki/api/v1/query_range", "matrix", counts.as_str()),
        ("/loki/api/v1/query_range", "matrix", of_level),
        ("/loki/api/v1/query", "vector", &counts),
        ("/loki/api/v1/query_range", "streams", aggregated),
        ("/loki/api/v1/query_range", "streams", r#"{__pattern__="shop"}"#),
        ("/loki/api/v1/index/volume", "vector", aggregated),
    ] {
        let answer = get(&server, path, &[("query", query), ("time", END)]);
        assert_eq!(answer["status"], "success", "{path} {query}");
        assert_eq!(answer["data"]["resultType"], kind, "{path} {query}");
        assert_eq!(answer["data"]["result"], json!([]), "{path} {query}");
    }
    let values = get(&server, "/loki/api/v1/label/__aggregated_metric__/values", &[]);
    assert_eq!(values, json!({"status": "success"}));
}
