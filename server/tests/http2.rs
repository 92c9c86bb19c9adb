//! The same port over HTTP/2 without TLS: gRPC pushes, and queries.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use common::grpc::{self, block_on, connect};
use common::{TestServer, with_params};
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use timberline::ingest::proto::logproto::{
    EntryAdapter, LabelPairAdapter, PushRequest, PushResponse, StreamAdapter,
};
use tonic::{Code, Status};

const SECOND: i64 = 1_793_538_000;
const PUSH: &str = "/logproto.Pusher/Push";

/// Calls a method that takes a push, for a tenant or for none.
fn call(
    server: &TestServer,
    method: &'static str,
    tenant: Option<&'static str>,
    push: PushRequest,
) -> Result<(), Status> {
    grpc::call(server, method, tenant, push).map(|PushResponse {}| ())
}

fn stream(labels: &str, lines: &[&str]) -> StreamAdapter {
    let entries = lines.iter().zip(0..).map(|(line, nanos)| EntryAdapter {
        timestamp: Some(prost_types::Timestamp { seconds: SECOND, nanos }),
        line: (*line).to_owned(),
        structured_metadata: vec![LabelPairAdapter { name: "k".into(), value: "v".into() }],
    });
    StreamAdapter { labels: labels.to_owned(), entries: entries.collect() }
}

fn push(streams: Vec<StreamAdapter>) -> PushRequest {
    PushRequest { streams }
}

/// The path of a query for what `{job="grpc"}` has.
fn query() -> String {
    let (start, end) = (SECOND.to_string(), (SECOND + 1).to_string());
    let params = [("query", "{job=\"grpc\"}"), ("start", &start), ("end", &end)];
    with_params("/loki/api/v1/query_range", &params)
}

/// Streams with their values, as HTTP/1.1 has them.
fn result(server: &TestServer, tenant: Option<&str>) -> serde_json::Value {
    let headers: Vec<_> = tenant.map(|tenant| ("X-Scope-OrgID", tenant)).into_iter().collect();
    let answer = server.request("GET", &query(), &headers, b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"]["result"].clone()
}

#[test]
fn lines_that_came_over_grpc_are_found_over_both_versions_of_http() {
    let server = TestServer::start(common::accept_any_time);
    let lines = ["level=warn one", "level=warn two \u{1f680}"];
    call(&server, PUSH, None, push(vec![stream("{job=\"grpc\"}", &lines)])).unwrap();
    let first = result(&server, None);
    let values = serde_json::json!([
        [format!("{SECOND}000000001"), lines[1]],
        [format!("{SECOND}000000000"), lines[0]],
    ]);
    assert_eq!(first[0]["values"], values);
    assert_eq!(first[0]["stream"]["detected_level"], "warn");
    assert_eq!(first[0]["stream"]["k"], "v");
    let second: serde_json::Value = block_on(async {
        let mut connection = connect::<Empty<Bytes>>(server.address()).await;
        let uri = format!("http://{}{}", server.address(), query());
        let request = Request::get(uri).body(Empty::new()).unwrap();
        let answer = connection.send_request(request).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
        serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
    });
    assert_eq!(second["data"]["result"], first);
    call(&server, PUSH, None, push(vec![])).unwrap_err();
    for status in ["success", "error"] {
        let labels = format!(r#"method="gRPC",route="{PUSH}",status_code="{status}",ws="false""#);
        let count = server.metric(&format!("loki_request_duration_seconds_count{{{labels}}}"));
        assert_eq!(count, Some(1.0), "{labels}");
    }
}

#[test]
fn what_grpc_pushes_break_is_said_in_their_status() {
    let server = TestServer::start(common::accept_any_time);
    let long = "x".repeat(256 * 1024 + 1);
    let huge = "x".repeat(5 << 20);
    let dropped = "max entry size '262144' bytes exceeded for stream '{job=\"grpc\", \
                   service_name=\"grpc\"}' while adding an entry with length '262145' bytes";
    for (sent, code, text) in [
        (
            vec![],
            Code::InvalidArgument,
            "error at least one valid stream is required for ingestion",
        ),
        (
            vec![stream("{job=\"grpc\"}", &["good"]), stream("{job=grpc}", &["bad"])],
            Code::InvalidArgument,
            "couldn't parse labels: 1:6: parse error: unexpected identifier \"grpc\" in label set, \
             expected string",
        ),
        (vec![stream("{job=\"grpc\"}", &[&long])], Code::InvalidArgument, dropped),
        (vec![stream("{job=\"grpc\"}", &[&huge])], Code::OutOfRange, ""),
    ] {
        let status = call(&server, PUSH, None, push(sent)).unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(text.is_empty() || status.message() == text, "{}", status.message());
        assert_eq!(result(&server, None), serde_json::json!([]), "{text}");
    }
    let some = push(vec![stream("{job=\"grpc\"}", &["good", &long])]);
    let status = call(&server, PUSH, None, some).unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, dropped));
    assert_eq!(result(&server, None)[0]["values"][0][1], "good", "the good part is stored");
    for method in ["/logproto.Pusher/Pull", "/logproto.Nobody/Push"] {
        let status = call(&server, method, None, push(vec![])).unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{method}");
    }
}

#[test]
fn grpc_tenants_are_those_of_their_metadata() {
    let server = TestServer::start(|config| {
        common::accept_any_time(config);
        config.auth_enabled = true;
    });
    let sent = || push(vec![stream("{job=\"grpc\"}", &["x"])]);
    let status = call(&server, PUSH, None, sent()).unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unknown, "no org id"));
    let status = call(&server, PUSH, Some("a|b"), sent()).unwrap_err();
    assert_eq!(status.message(), "multiple org IDs present");
    call(&server, PUSH, Some("a"), sent()).unwrap();
    assert_eq!(result(&server, Some("a")).as_array().unwrap().len(), 1);
    assert_eq!(result(&server, Some("b")), serde_json::json!([]));
}

/// A server that loses patience soon.
fn impatient() -> TestServer {
    with_patience(Duration::from_millis(400))
}

fn with_patience(patience: Duration) -> TestServer {
    TestServer::start(|config| {
        common::accept_any_time(config);
        config.server.head_timeout = patience / 2;
        config.server.idle_timeout = patience;
        config.server.write_timeout = patience;
    })
}

/// What a connection begins with, and an empty frame of settings.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[test]
fn a_connection_without_a_request_ends() {
    let server = impatient();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    // Far longer than the server's patience; that the connection ends is what is tested.
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(HELLO).unwrap();
    let mut rest = Vec::new();
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "still open");
    }
    // The settings that the server told: pairs of a number of two bytes and a value of four.
    let len = usize::from(rest[2]);
    let settings: Vec<(u8, u32)> = rest[9..9 + len]
        .chunks(6)
        .map(|pair| (pair[1], u32::from_be_bytes(pair[2..].try_into().unwrap())))
        .collect();
    assert!(settings.contains(&(3, 250)), "concurrent streams: {settings:?}");
    assert!(settings.contains(&(6, 128 << 10)), "the list of headers: {settings:?}");
    assert_eq!(server.get("/ready", &[]).status, 200);
}

/// Asks over a connection whose client takes `window` bytes of an answer, and what came until the connection
/// ended.
async fn ask(server: &TestServer, target: &str, window: u32) -> Vec<u8> {
    let stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window);
    let (mut sender, connection) =
        builder.handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let uri = format!("http://{}{target}", server.address());
    let answer = sender.send_request(Request::get(uri).body(Empty::new()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    let mut taken = Vec::new();
    if window > 0 {
        while let Some(Ok(frame)) = body.frame().await {
            taken.extend_from_slice(&frame.into_data().unwrap());
        }
    }
    let ended = tokio::time::timeout(Duration::from_secs(60), connection).await;
    drop(ended.expect("the connection is still open"));
    taken
}

#[test]
fn a_client_that_takes_nothing_loses_its_connection() {
    let long = "x".repeat(200_000);
    let lines: Vec<&str> = (0..10).map(|_| &*long).collect();
    let server = with_patience(Duration::from_secs(3));
    call(&server, PUSH, None, push(vec![stream("{job=\"grpc\"}", &lines)])).unwrap();
    block_on(async {
        for target in ["/ready", &query()] {
            assert_eq!(ask(&server, target, 0).await.len(), 0, "{target}");
        }
        // One that takes it has the whole answer, and then its connection ends in silence.
        let taken = ask(&server, &query(), 1 << 16).await;
        let answer: serde_json::Value = serde_json::from_slice(&taken).unwrap();
        assert_eq!(answer["data"]["result"][0]["values"].as_array().unwrap().len(), 10);
    });
}
