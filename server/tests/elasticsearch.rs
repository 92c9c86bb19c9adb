//! Elasticsearch's bulk requests, and what Filebeat, Logstash and the official clients ask before them.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use common::{Response, TestServer};
use serde_json::{Value, json};

const SECOND: i64 = 1_793_538_000;
const NANOS: i64 = 1_000_000_000;
const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");

fn start() -> TestServer {
    TestServer::start(|config| {
        common::accept_any_time(config);
        config.ingest.elasticsearch.enabled = true;
    })
}

fn stored(server: &TestServer, query: &str) -> Vec<(i64, String)> {
    common::lines(server.address(), query, (SECOND - 60) * NANOS, (SECOND + 60) * NANOS)
}

fn statuses(answer: &Response) -> Vec<u64> {
    let items = answer.json()["items"].as_array().unwrap().clone();
    let status =
        |item: &Value| item.as_object().unwrap().values().next().unwrap()["status"].as_u64();
    items.iter().map(|item| status(item).unwrap()).collect()
}

/// The requests of Filebeat 8 with its defaults, in its order: the version, the licence, whether there
/// are a policy and a template, then events.
#[test]
fn filebeat_connects_and_sends() {
    let server = start();
    let agent = ("User-Agent", "Elastic-filebeat/8.17.0 (linux; amd64; 0000; 2024-12-11)");
    let accept = ("Accept", "application/json");
    let get = |target: &str| server.request("GET", target, &[agent, accept], b"");
    let root = get("/");
    assert_eq!(root.status, 200);
    assert_eq!(root.header("x-elastic-product"), Some("Elasticsearch"));
    assert_eq!(root.json()["version"]["number"], "8.17.0");
    let license = get("/_license?human=false").json();
    assert_eq!(license["license"]["status"], "active");
    assert_eq!(get("/_xpack").json()["features"]["ilm"]["enabled"], true);
    assert_eq!(get("/_ilm/policy/filebeat").status, 200);
    let policy = br#"{"policy":{"phases":{"hot":{"actions":{"rollover":{}}}}}}"#;
    let put = server.request("PUT", "/_ilm/policy/filebeat", &[agent], policy);
    assert_eq!(put.json(), json!({"acknowledged": true}));
    let head = server.request("HEAD", "/_index_template/filebeat-8.17.0", &[agent], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    let put = server.request("PUT", "/_index_template/filebeat-8.17.0", &[agent], b"{}");
    assert_eq!(put.json(), json!({"acknowledged": true}));
    assert_eq!(get("/_data_stream/filebeat-8.17.0").status, 200);
    assert_eq!(get("/_ingest/pipeline/filebeat-8.17.0-nginx").status, 200);
    let event = json!({
        "@timestamp": "2026-11-01T13:00:00.123Z",
        "message": "Nov  1 13:00:00 box sshd[7]: error: kex",
        "log": {"offset": 120, "file": {"path": "/var/log/auth.log"}},
        "input": {"type": "filestream"},
        "agent": {"name": "box", "type": "filebeat", "version": "8.17.0"},
        "ecs": {"version": "8.0.0"},
        "host": {"name": "box", "ip": ["10.0.0.1", "fe80::1"]},
        "tags": [],
    });
    let body = format!("{{\"create\":{{\"_index\":\"filebeat-8.17.0\"}}}}\n{event}\n");
    let target = "/_bulk?filter_path=errors%2Citems.%2A.error%2Citems.%2A.status";
    let answer = server.request("POST", target, &[agent, accept, NDJSON], body.as_bytes());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json()["errors"], false);
    assert_eq!(statuses(&answer), [201]);
    let query = r#"{index="filebeat-8.17.0", host_name="box"} | log_file_path="/var/log/auth.log" | log_offset="120""#;
    let time = SECOND * NANOS + 123_000_000;
    assert_eq!(
        stored(&server, query),
        [(time, "Nov  1 13:00:00 box sshd[7]: error: kex".to_owned())]
    );
}

/// The same with a body as Filebeat compresses it, to an index and an alias as Filebeat 7 asks for them.
#[test]
fn filebeat_7_connects_and_sends_gzip() {
    use std::io::Write as _;
    let server = start();
    let ask = |method: &str, target: &str| server.request(method, target, &[], b"").status;
    assert_eq!(ask("HEAD", "/_alias/filebeat-7.17.0"), 200);
    assert_eq!(ask("GET", "/_alias/filebeat-7.17.0"), 200);
    assert_eq!(ask("GET", "/_alias"), 200);
    assert_eq!(ask("HEAD", "/filebeat-7.17.0"), 200);
    let put = server.request("PUT", "/%3Cfilebeat-7.17.0-000001%3E", &[], b"{\"aliases\":{}}");
    assert_eq!(put.json()["index"], "<filebeat-7.17.0-000001>");
    assert_eq!(ask("GET", "/filebeat-7.17.0"), 405, "a page that is not there stays none");
    assert_eq!(ask("GET", "/ready"), 200);
    let body = "{\"index\":{\"_index\":\"filebeat-7.17.0\"}}\n\
        {\"@timestamp\":\"2026-11-01T13:00:00.000Z\",\"message\":\"packed\"}\n";
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(1));
    packed.write_all(body.as_bytes()).unwrap();
    let headers = [
        ("User-Agent", "Elastic-filebeat/7.17.0"),
        ("Content-Encoding", "gzip"),
        ("Content-Type", "application/json; charset=UTF-8"),
        ("X-Elastic-Product-Origin", "beats"),
    ];
    let answer = server.request("POST", "/_bulk", &headers, &packed.finish().unwrap());
    assert_eq!(statuses(&answer), [201], "{}", answer.text());
    let query = r#"{index="filebeat-7.17.0"}"#;
    assert_eq!(stored(&server, query), [(SECOND * NANOS, "packed".to_owned())]);
    let off = TestServer::start(|_| {});
    for method in ["HEAD", "GET", "PUT"] {
        assert_eq!(off.request(method, "/filebeat", &[], b"").status, 404, "{method}");
    }
}

/// What `helpers.bulk` of the Python client 8.19.3 sends.
#[test]
fn the_python_client_sends() {
    let server = start();
    let headers = [
        ("accept-encoding", "identity"),
        ("user-agent", "elasticsearch-py/8.19.3 (Python/3.11.7; elastic-transport/8.19.0)"),
        ("connection", "keep-alive"),
        ("accept", "application/vnd.elasticsearch+json; compatible-with=8"),
        ("content-type", "application/vnd.elasticsearch+x-ndjson; compatible-with=8"),
        ("x-elastic-client-meta", "es=8.19.3,py=3.11.7,t=8.19.0,ur=2.8.0,h=bp"),
    ];
    let body = "{\"create\":{\"_index\":\"app\"}}\n\
        {\"message\":\"one\",\"@timestamp\":\"2026-11-01T13:00:00.000Z\"}\n\
        {\"create\":{\"_index\":\"app\"}}\n\
        {\"message\":\"two\",\"@timestamp\":\"2026-11-01T13:00:01.000Z\"}\n";
    let answer = server.request("PUT", "/_bulk", &headers, body.as_bytes());
    assert_eq!(statuses(&answer), [201, 201], "{}", answer.text());
    assert_eq!(answer.header("x-elastic-product"), Some("Elasticsearch"));
    let lines = stored(&server, r#"{index="app"}"#);
    assert_eq!(lines.into_iter().map(|(_, line)| line).collect::<Vec<_>>(), ["one", "two"]);
}

/// Logstash's output with a path of its own, as for VictoriaLogs.
#[test]
fn logstash_connects_below_a_prefix() {
    let server = start();
    let prefix = "/insert/elasticsearch";
    let head = server.request("HEAD", &format!("{prefix}/"), &[], b"");
    assert_eq!(head.status, 200);
    assert_eq!(head.header("x-elastic-product"), Some("Elasticsearch"));
    for path in ["/_license", "/_cluster/health", "/_nodes/http", "/_xpack", "/_template/logstash"]
    {
        assert_eq!(
            server.request("GET", &format!("{prefix}{path}"), &[], b"").status,
            200,
            "{path}"
        );
    }
    let body = "{\"index\":{\"_id\":null,\"_index\":\"logstash-2026.11.01\",\"routing\":null}}\n\
        {\"when\":\"2026-11-01T13:00:00Z\",\"text\":\"line\",\"app\":\"web\",\"@version\":\"1\"}\n";
    let target = format!(
        "{prefix}/_bulk?_time_field=when&_msg_field=text&_stream_fields=app&ignore_fields=@version"
    );
    let answer =
        server.request("POST", &target, &[("Content-Type", "application/json")], body.as_bytes());
    assert_eq!(statuses(&answer), [201], "{}", answer.text());
    assert_eq!(stored(&server, r#"{app="web"}"#), [(SECOND * NANOS, "line".to_owned())]);
    let of_index = server.request(
        "POST",
        &format!("{prefix}/web/_bulk"),
        &[NDJSON],
        b"{\"create\":{}}\n{\"message\":\"x\"}\n",
    );
    assert_eq!(of_index.json()["items"][0]["create"]["_index"], "web");
}

#[test]
fn each_item_has_its_outcome_and_good_ones_are_stored() {
    let server = TestServer::start(|config| {
        common::accept_any_time(config);
        config.ingest.elasticsearch.enabled = true;
        config.limits_config.ingest.max_line_size = 20;
    });
    let time = "\"@timestamp\":\"2026-11-01T13:00:00Z\"";
    let body = format!(
        "{{\"index\":{{\"_index\":\"a\"}}}}\n{{{time},\"message\":\"good\"}}\n\
         {{\"update\":{{\"_id\":\"1\"}}}}\n{{\"doc\":{{}}}}\n\
         {{\"delete\":{{\"_id\":\"1\"}}}}\n\
         {{\"create\":{{\"_index\":\"b\"}}}}\n{{{time},\"message\":\"{}\"}}\n\
         {{\"create\":{{\"_index\":\"a\"}}}}\n{{broken\n\
         {{\"create\":{{\"_index\":\"a\"}}}}\n{{{time},\"message\":\"good too\"}}\n",
        "x".repeat(21)
    );
    let answer = server.request("POST", "/_bulk", &[NDJSON], body.as_bytes());
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(body["errors"], true);
    assert_eq!(statuses(&answer), [201, 400, 400, 400, 400, 201]);
    let reason = body["items"][3]["create"]["error"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("max entry size '20' bytes exceeded"), "{reason}");
    assert_eq!(body["items"][4]["create"]["error"]["type"], "document_parsing_exception");
    let mut lines = stored(&server, r#"{index="a"}"#);
    lines.sort();
    let lines: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(lines, ["good", "good too"]);
    assert!(stored(&server, r#"{index="b"}"#).is_empty());
}

#[test]
fn requests_that_cannot_be_read_are_refused_as_a_whole() {
    let server = start();
    let body = b"{\"create\":{\"_index\":\"a\"}}\n{\"@timestamp\":\"2026-11-01T13:00:00Z\",\"message\":\"far more than one\"}\n{\"nonsense\":{}}\n";
    let answer = server.request("POST", "/_bulk", &[NDJSON], body);
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("x-elastic-product"), Some("Elasticsearch"));
    let reason = answer.json()["error"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("Malformed action/metadata line [3]"), "{reason}");
    assert!(stored(&server, r#"{index="a"}"#).is_empty(), "nothing is half stored");
    let limited = TestServer::start(|config| {
        common::accept_any_time(config);
        config.ingest.elasticsearch.enabled = true;
        config.limits_config.ingest.max_recv_msg_size = 1000;
        config.limits_config.ingest.ingestion_rate_mb = 1e-6;
        config.limits_config.ingest.ingestion_burst_size_mb = 1e-6;
    });
    let answer = limited.request("POST", "/_bulk", &[NDJSON], &[b'x'; 2000]);
    assert_eq!((answer.status, &answer.json()["status"]), (413, &json!(413)));
    let answer = limited.request("POST", "/_bulk", &[NDJSON], &body[..body.len() - 16]);
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(answer.json()["error"]["type"], "es_rejected_execution_exception");
}

#[test]
fn the_front_page_stays_for_people() {
    let page = "timberline";
    let off = TestServer::start(|_| {});
    assert!(off.get("/", &[]).text().starts_with(page));
    let on = start();
    let browser = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    assert!(on.request("GET", "/", &browser, b"").text().starts_with(page));
    assert_eq!(on.get("/", &[]).json()["tagline"], "You Know, for Search");
    assert_eq!(on.get("/ready", &[]).text(), "ready\n");
}
