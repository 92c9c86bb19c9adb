//! What those who mean harm send, or do not send: they get their errors, and the server goes on.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use common::{TestServer, grpc};
use prost::Message as _;
use serde_json::json;
use tonic::Code;

const SECOND: i64 = 1_793_538_000;
const JSON: (&str, &str) = ("Content-Type", "application/json");
const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
const OTLP: &str = "/otlp/v1/logs";

fn body(line: &str) -> Vec<u8> {
    let values = json!([[format!("{SECOND}000000000"), line]]);
    json!({"streams": [{"stream": {"app": "x"}, "values": values}]}).to_string().into_bytes()
}

/// What `google.rpc.Status` says, as OpenTelemetry's endpoint answers.
fn status_text(body: &[u8]) -> String {
    #[derive(Clone, PartialEq, prost::Message)]
    struct RpcStatus {
        #[prost(string, tag = "2")]
        message: String,
    }
    RpcStatus::decode(body).unwrap().message
}

#[test]
fn bodies_that_mean_harm_are_refused() {
    let server = TestServer::start(common::accept_any_time);
    let push = |headers: &[(&str, &str)], body: &[u8]| {
        server.request("POST", "/loki/api/v1/push", headers, body)
    };
    let protobuf = ("Content-Type", "application/x-protobuf");
    let deep = |open: &str, close: &str| [open.repeat(100_000), close.repeat(100_000)].concat();
    let label = "x".repeat(3000);
    let oversized = json!({"streams": [{"stream": {"a": label}, "values": [["1", "x"]]}]});
    let nested = format!(r#"{{"streams":{}}}"#, deep("[", "]"));
    let ignored = format!(r#"{{"ignored":{},"streams":[]}}"#, deep(r#"{"a":["#, "]}"));
    let snappy = |bytes: &[u8]| snap::raw::Encoder::new().compress_vec(bytes).unwrap();
    for (what, header, body, statuses) in [
        ("oversized labels", JSON, oversized.to_string().into_bytes(), [400, 400]),
        ("deep JSON", JSON, deep("[", "]").into_bytes(), [400, 400]),
        ("deep streams", JSON, nested.into_bytes(), [400, 400]),
        ("deep JSON that is passed over", JSON, ignored.into_bytes(), [400, 422]),
        ("no snappy", protobuf, vec![0xff; 100], [400, 400]),
        ("no protobuf", protobuf, snappy(&[0xff; 100]), [400, 400]),
        ("a length past the end", protobuf, snappy(&[0x0a, 0x7f, 0x0a]), [400, 400]),
        ("a huge length", protobuf, snappy(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), [400, 400]),
        ("groups in groups", protobuf, snappy(&[0x0b; 100_000]), [400, 400]),
    ] {
        let answer = push(&[header], &body);
        assert!(statuses.contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
        assert!(!answer.text().is_empty() && answer.text().len() < 10_000, "{what}");
    }
    let deep_query = format!("{}vector(1){}", "(".repeat(10_000), ")".repeat(10_000));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let sent = form_urlencoded::Serializer::new(String::new())
        .append_pair("query", &deep_query)
        .append_pair("time", "1793538000")
        .finish();
    let answer = server.request("POST", "/loki/api/v1/query", &form, sent.as_bytes());
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(server.get("/ready", &[]).status, 200);
    assert_eq!(push(&[JSON], &body("still here")).status, 204);
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let server = TestServer::start(|_| {});
    let long = "x".repeat(200_000);
    let answer = server.request("GET", "/ready", &[("X-Long", &long)], b"");
    assert_eq!(answer.status, 431);
    let answer = server.request("GET", &format!("/ready?{long}"), &[], b"");
    assert!(matches!(answer.status, 414 | 431), "{}", answer.status);
    let many: Vec<_> = (0..200).map(|_| ("X-Many", "x")).collect();
    assert_eq!(server.request("GET", "/ready", &many, b"").status, 431);
    assert_eq!(server.get("/ready", &[]).status, 200);
}

#[test]
fn clients_that_do_not_get_on_lose_their_connection() {
    let server = TestServer::start(|config| {
        config.server.head_timeout = Duration::from_millis(200);
        config.server.idle_timeout = Duration::from_millis(400);
    });
    let connect = || {
        let stream = TcpStream::connect(server.address()).unwrap();
        // Far longer than the server's patience; that the connection ends is what is tested.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    };
    let rest = |mut stream: TcpStream| {
        let mut rest = Vec::new();
        // It may be reset.
        let _ = stream.read_to_end(&mut rest).map_err(|error| {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "still open");
        });
        String::from_utf8_lossy(&rest).into_owned()
    };
    assert_eq!(rest(connect()), "", "nothing is sent");
    let mut slow = connect();
    let half = slow.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        // A byte now and then, until the server has enough of it.
        let head = b"GET /ready HTTP/1.1\r\nHost: x\r\nX: ".iter().chain(std::iter::repeat(&b'x'));
        for byte in head {
            std::thread::sleep(Duration::from_millis(10));
            if slow.write_all(&[*byte]).is_err() {
                return;
            }
        }
    });
    assert!(!rest(half).contains("200 OK"));
    sender.join().unwrap();
    let mut idle = connect();
    idle.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(rest(idle).starts_with("HTTP/1.1 200 OK"), "an answer, and then the end");
    assert_eq!(server.get("/ready", &[]).status, 200);
}

#[test]
fn only_so_many_connections_are_served() {
    let server = TestServer::start(|config| config.server.max_connections = 2);
    let ask = |stream: &mut TcpStream| stream.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n");
    let answered = |stream: &mut TcpStream| stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0);
    let mut held = [(); 2].map(|()| TcpStream::connect(server.address()).unwrap());
    for stream in &mut held {
        ask(stream).unwrap();
        assert!(answered(stream));
    }
    let mut third = TcpStream::connect(server.address()).unwrap();
    ask(&mut third).unwrap();
    third.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(!answered(&mut third), "it waits");
    drop(held);
    third.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert!(answered(&mut third), "there is room");
}

#[test]
fn messages_that_mean_harm_are_refused_over_grpc() {
    use timberline::ingest::proto::logproto::{
        EntryAdapter, PushRequest, PushResponse, StreamAdapter, TailersCountResponse,
    };
    let server = TestServer::start(common::accept_any_time);
    let (push, export) = ("/logproto.Pusher/Push", timberline::ingest::LogsService::EXPORT);
    // A number where a message is expected.
    for method in [push, export, "/logproto.Querier/Query"] {
        let number = TailersCountResponse { count: 7 };
        let status = grpc::call_with::<_, ()>(&server, method, &[], number).unwrap_err();
        assert!(matches!(status.code(), Code::Internal | Code::InvalidArgument), "{status:?}");
    }
    let line = "x".repeat(256 << 20);
    let entry = EntryAdapter {
        timestamp: Some(prost_types::Timestamp { seconds: SECOND, nanos: 0 }),
        line,
        structured_metadata: Vec::new(),
    };
    let stream = StreamAdapter { labels: "{a=\"b\"}".to_owned(), entries: vec![entry] };
    let bomb = PushRequest { streams: vec![stream] };
    let gzip = Some(tonic::codec::CompressionEncoding::Gzip);
    let sent = grpc::call_compressed::<_, PushResponse>(&server, push, None, bomb, gzip);
    let code = sent.unwrap_err().code();
    assert!(matches!(code, Code::OutOfRange | Code::ResourceExhausted), "{code:?}");
    assert_eq!(server.get("/ready", &[]).status, 200);
}

#[test]
fn bodies_that_pause_or_drip_are_not_waited_for() {
    let server = TestServer::start(|config| {
        common::accept_any_time(config);
        config.server.body_timeout = Duration::from_millis(200);
    });
    let begin = |path: &str, (name, value): (&str, &str), length: &str| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: x\r\n{name}: {value}\r\n{length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let text = "the request body did not come to its end in time";
    let mut answer = Vec::new();
    let told = |answer: &[u8]| {
        let answer = String::from_utf8_lossy(answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains(text), "{answer}");
    };
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    for (path, kind) in [
        ("/loki/api/v1/push", JSON),
        ("/loki/api/v1/push", PROTOBUF),
        (OTLP, JSON),
        (OTLP, PROTOBUF),
        ("/loki/api/v1/query_range", form),
    ] {
        // A part of a body, announced and in chunks, and then nothing.
        for (length, part) in
            [("Content-Length: 1000", "{"), ("Transfer-Encoding: chunked", "1\r\n{\r\n")]
        {
            let mut stream = begin(path, kind, length);
            stream.write_all(part.as_bytes()).unwrap();
            answer.clear();
            let _ = stream.read_to_end(&mut answer);
            told(&answer);
        }
        // A byte now and then, which is never a pause.
        let mut stream = begin(path, kind, "Content-Length: 1000000");
        let mut sending = stream.try_clone().unwrap();
        let sender = std::thread::spawn(move || {
            while sending.write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        answer.clear();
        let _ = stream.read_to_end(&mut answer);
        told(&answer);
        sender.join().unwrap();
    }
    assert_eq!(server.push(&String::from_utf8(body("still here")).unwrap()).status, 204);
    let params = [("query", "{app=\"x\"}"), ("start", "1793537000"), ("end", "1793539000")];
    let found = server.get("/loki/api/v1/query_range", &params).json();
    assert_eq!(found["data"]["result"][0]["values"].as_array().unwrap().len(), 1);
}

/// A field of protobuf that has a length.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

/// A request whose one record has this body.
fn record(value: &[u8]) -> Vec<u8> {
    field(1, &field(2, &field(2, &field(5, value))))
}

#[test]
fn opentelemetrys_records_that_mean_harm_are_refused() {
    let server = TestServer::start(common::accept_any_time);
    // Lists in lists, and maps in maps.
    let mut lists = field(1, b"x");
    let mut maps = field(1, b"x");
    for _ in 0..2000 {
        lists = field(5, &field(1, &lists));
        maps = field(6, &field(1, &[field(1, b"k"), field(2, &maps)].concat()));
    }
    let deep = |open: &str, close: &str| {
        let value = [open.repeat(10_000), "{}".to_owned(), close.repeat(10_000)].concat();
        let record = format!(
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{value}}}]}}]}}]}}"#
        );
        record.into_bytes()
    };
    let in_record = |field: &str| {
        let record =
            format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{{field}}}]}}]}}]}}"#);
        record.into_bytes()
    };
    let encoded = |encoding| ("Content-Encoding", encoding);
    for (what, headers, body) in [
        ("no protobuf", vec![PROTOBUF], vec![0xff; 100]),
        ("a record that is cut off", vec![PROTOBUF], record(&field(1, b"x"))[..9].to_vec()),
        ("a huge length", vec![PROTOBUF], vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        ("groups in groups", vec![PROTOBUF], vec![0x0b; 100_000]),
        ("a number for a message", vec![PROTOBUF], vec![0x08, 1]),
        ("lists in lists", vec![PROTOBUF], record(&lists)),
        ("maps in maps", vec![PROTOBUF], record(&maps)),
        ("no UTF-8", vec![PROTOBUF], record(&field(1, b"\xff\xfe"))),
        ("no JSON", vec![JSON], b"resourceLogs".to_vec()),
        ("a list for an object", vec![JSON], b"[]".to_vec()),
        ("deep lists", vec![JSON], deep(r#"{"arrayValue":{"values":["#, "]}}")),
        ("deep maps", vec![JSON], deep(r#"{"kvlistValue":{"values":[{"key":"k","value":"#, "}]}}")),
        ("a time that is none", vec![JSON], in_record(r#""timeUnixNano":"soon""#)),
        ("a trace that is no hex", vec![JSON], in_record(r#""traceId":"xyz""#)),
        ("a body that is a text", vec![JSON], in_record(r#""body":"x""#)),
        ("no gzip", vec![PROTOBUF, encoded("gzip")], b"x".repeat(100)),
        ("no zstd", vec![PROTOBUF, encoded("zstd")], b"x".repeat(100)),
        ("no lz4", vec![PROTOBUF, encoded("lz4")], b"x".repeat(100)),
    ] {
        let answer = server.request("POST", OTLP, &headers, &body);
        // A list is a message without fields, as far as its decoder goes.
        let status = if what == "a list for an object" { 422 } else { 400 };
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/x-protobuf"), "{what}");
        let text = status_text(&answer.body);
        assert!(!text.is_empty() && text.len() < 10_000, "{what}: {text}");
    }
    let good = record(&field(1, b"still here"));
    assert_eq!(server.request("POST", OTLP, &[PROTOBUF], &good).status, 204);
}
