//! OpenTelemetry's records over HTTP and gRPC, as its SDKs and its collector send them.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::io::Write as _;

use common::{Response, TestServer, grpc};
use prost::Message as _;
use serde_json::{Value, json};
use timberline::ingest::proto::opentelemetry::proto::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use timberline::ingest::proto::opentelemetry::proto::common::v1::any_value::Value as Any;
use timberline::ingest::proto::opentelemetry::proto::common::v1::{
    AnyValue, InstrumentationScope, KeyValue,
};
use timberline::ingest::proto::opentelemetry::proto::logs::v1::{
    LogRecord, ResourceLogs, ScopeLogs,
};
use timberline::ingest::proto::opentelemetry::proto::resource::v1::Resource;
use tonic::Code;
use tonic::codec::CompressionEncoding;

const LOGS: &str = "/otlp/v1/logs";
const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const TIME: u64 = 1_793_534_400_000_000_000;
const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn start() -> TestServer {
    TestServer::start(common::accept_any_time)
}

fn string(text: &str) -> AnyValue {
    AnyValue { value: Some(Any::StringValue(text.to_owned())) }
}

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let pair = |(key, value): &(&str, &str)| KeyValue {
        key: (*key).to_owned(),
        value: Some(string(value)),
    };
    pairs.iter().map(pair).collect()
}

/// What the Python SDK sends for `logging.warning(line, extra={"user.id": "7"})`.
fn request(lines: &[&str]) -> ExportLogsServiceRequest {
    let records = (0..).zip(lines).map(|(number, line)| LogRecord {
        time_unix_nano: TIME + number,
        observed_time_unix_nano: TIME + 1_000_000,
        severity_number: 13,
        severity_text: "WARN".to_owned(),
        body: Some(string(line)),
        attributes: attributes(&[("user.id", "7")]),
        trace_id: (1..=16).collect(),
        span_id: (1..=8).collect(),
        flags: 1,
        ..LogRecord::default()
    });
    let resource = attributes(&[("service.name", "shop"), ("telemetry.sdk.language", "python")]);
    let scope = InstrumentationScope { name: "root".to_owned(), ..Default::default() };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource { attributes: resource, ..Default::default() }),
            scope_logs: vec![ScopeLogs {
                scope: Some(scope),
                log_records: records.collect(),
                ..Default::default()
            }],
            ..Default::default()
        }],
    }
}

fn post(server: &TestServer, headers: &[(&str, &str)], body: &[u8]) -> Response {
    server.request("POST", LOGS, headers, body)
}

/// The streams that there are, labels told apart.
fn stored(server: &TestServer) -> Value {
    let (start, end) = (TIME.to_string(), (TIME + 1_000_000_000).to_string());
    let params = [("query", "{service_name=~\".+\"}"), ("start", &start), ("end", &end)];
    let target = common::with_params("/loki/api/v1/query_range", &params);
    let headers = [("X-Loki-Response-Encoding-Flags", "categorize-labels")];
    server.request("GET", &target, &headers, b"").json()["data"]["result"].clone()
}

/// What is stored of `request(&["pay"])`.
fn expected() -> Value {
    json!([{
        "stream": {"service_name": "shop"},
        "values": [[TIME.to_string(), "pay", {"structuredMetadata": {
            "detected_level": "warn",
            "flags": "1",
            "observed_timestamp": (TIME + 1_000_000).to_string(),
            "scope_name": "root",
            "severity_number": "13",
            "severity_text": "WARN",
            "span_id": "0102030405060708",
            "telemetry_sdk_language": "python",
            "trace_id": "0102030405060708090a0b0c0d0e0f10",
            "user_id": "7",
        }}]],
    }])
}

/// The text of a `google.rpc.Status` in a refusal.
fn refusal(answer: &Response) -> String {
    #[derive(Clone, PartialEq, prost::Message)]
    struct RpcStatus {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(string, tag = "2")]
        message: String,
    }
    assert_eq!(answer.header("content-type"), Some("application/x-protobuf"));
    RpcStatus::decode(&*answer.body).unwrap().message
}

#[test]
fn records_in_protobuf_are_stored_whatever_their_encoding() {
    let body = request(&["pay"]).encode_to_vec();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&body).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(&body).unwrap();
    for (encoding, sent) in [
        ("", body.clone()),
        ("gzip", gzip.finish().unwrap()),
        ("zstd", zstd::encode_all(&*body, 1).unwrap()),
        ("lz4", lz4.finish().unwrap()),
    ] {
        let server = start();
        let mut headers = vec![PROTOBUF];
        if !encoding.is_empty() {
            headers.push(("Content-Encoding", encoding));
        }
        let answer = post(&server, &headers, &sent);
        assert_eq!((answer.status, answer.text()), (204, String::new()), "{encoding}");
        assert_eq!(stored(&server), expected(), "{encoding}");
    }
}

#[test]
fn records_in_json_are_stored() {
    let server = start();
    let body = json!({"resourceLogs": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": "shop"}},
            {"key": "telemetry.sdk.language", "value": {"stringValue": "python"}},
        ]},
        "scopeLogs": [{
            "scope": {"name": "root"},
            "logRecords": [{
                "timeUnixNano": TIME.to_string(),
                "observedTimeUnixNano": (TIME + 1_000_000).to_string(),
                "severityNumber": 13,
                "severityText": "WARN",
                "body": {"stringValue": "pay"},
                "attributes": [{"key": "user.id", "value": {"intValue": "7"}}],
                "traceId": "0102030405060708090a0b0c0d0e0f10",
                "spanId": "0102030405060708",
                "flags": 1,
            }],
        }],
    }]});
    let headers = [("Content-Type", "application/json; charset=utf-8")];
    assert_eq!(post(&server, &headers, body.to_string().as_bytes()).status, 204);
    assert_eq!(stored(&server), expected());
}

#[test]
fn refusals_are_statuses_in_protobuf() {
    let server = start();
    let long = "x".repeat(256 * 1024 + 1);
    let empty = "error at least one valid stream is required for ingestion";
    for (headers, body, status, text) in [
        (vec![PROTOBUF], request(&[]).encode_to_vec(), 422, empty),
        (vec![JSON], b"{}".to_vec(), 422, empty),
        (vec![JSON], b"{".to_vec(), 400, "EOF while parsing an object at line 1 column 1"),
        (vec![PROTOBUF], vec![0x0a, 5], 400, "unexpected EOF"),
        (
            vec![("Content-Type", "text/plain")],
            vec![],
            400,
            "content type: text/plain is not supported, send application/x-protobuf or application/json",
        ),
        (
            vec![PROTOBUF, ("Content-Encoding", "br")],
            vec![],
            400,
            "unsupported content encoding br: only gzip, lz4 and zstd are supported",
        ),
        (
            vec![PROTOBUF],
            request(&[&long]).encode_to_vec(),
            400,
            "max entry size '262144' bytes exceeded for stream '{service_name=\"shop\"}' while adding an entry with length '262145' bytes",
        ),
    ] {
        let answer = post(&server, &headers, &body);
        assert_eq!((answer.status, refusal(&answer)), (status, text.to_owned()));
    }
    assert_eq!(stored(&server), json!([]));
    let part = request(&["pay", &long]).encode_to_vec();
    assert_eq!(post(&server, &[PROTOBUF], &part).status, 400);
    assert_eq!(stored(&server), expected(), "the good part is stored");
    assert_eq!(server.get(LOGS, &[]).status, 405);
}

#[test]
fn the_mapping_is_configurable() {
    let server = TestServer::start(|config| {
        common::accept_any_time(config);
        config.limits_config.ingest.otlp_config = serde_json::from_value(json!({
            "resource_attributes": {"attributes_config": [
                {"action": "index_label", "attributes": ["telemetry.sdk.language"]},
            ]},
            "log_attributes": [{"action": "drop", "regex": "user.*"}],
            "severity_text_as_label": true,
        }))
        .unwrap();
    });
    assert_eq!(post(&server, &[PROTOBUF], &request(&["pay"]).encode_to_vec()).status, 204);
    let found = stored(&server);
    let labels = json!({"service_name": "shop", "severity_text": "WARN", "telemetry_sdk_language": "python"});
    assert_eq!(found[0]["stream"], labels);
    assert_eq!(found[0]["values"][0][2]["structuredMetadata"].get("user_id"), None);
    let limits = server.get("/loki/api/v1/drilldown-limits", &[]).json();
    assert_eq!(limits["limits"]["otlp_config"]["severity_text_as_label"], true);
}

#[test]
fn records_over_grpc_are_stored() {
    for compression in [None, Some(CompressionEncoding::Gzip)] {
        let server = start();
        let answer: ExportLogsServiceResponse =
            grpc::call_compressed(&server, EXPORT, None, request(&["pay"]), compression).unwrap();
        assert_eq!(answer, ExportLogsServiceResponse::default());
        assert_eq!(stored(&server), expected(), "{compression:?}");
    }
}

#[test]
fn grpc_refusals_have_a_code() {
    let server = TestServer::start(|config| {
        common::accept_any_time(config);
        config.auth_enabled = true;
        config.limits_config.ingest.ingestion_rate_mb = 0.001;
        config.limits_config.ingest.ingestion_burst_size_mb = 0.001;
    });
    let export = |tenant, request| {
        grpc::call::<_, ExportLogsServiceResponse>(&server, EXPORT, tenant, request)
    };
    let status = export(None, request(&["x"])).unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unknown, "no org id"));
    let status = export(Some("a"), request(&[])).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let status = export(Some("a"), request(&[&"x".repeat(5000)])).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "exporters send again: {}", status.message());
    let status = export(Some("a"), request(&[&"x".repeat(5 << 20)])).unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
}

#[test]
fn a_bomb_costs_nothing_and_the_server_goes_on() {
    let server = start();
    // A thousand million bytes, all of them empty records.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let part = [0x0a, 0].repeat(1 << 19);
    for _ in 0..1000 {
        gzip.write_all(&part).unwrap();
    }
    let bomb = gzip.finish().unwrap();
    let headers = [PROTOBUF, ("Content-Encoding", "gzip")];
    assert_eq!(post(&server, &headers, &bomb).status, 413);
    let nested = r#"{"arrayValue":{"values":["#.repeat(10_000);
    assert_eq!(post(&server, &[JSON], nested.as_bytes()).status, 400);
    assert_eq!(post(&server, &[PROTOBUF], &request(&["pay"]).encode_to_vec()).status, 204);
}
