//! Bodies of pushes over HTTP: every format in every encoding, and those that are too large or stand
//! for more than they are.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use common::{Response, TestServer};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use prost::Message as _;
use timberline::ingest::proto::logproto::{EntryAdapter, PushRequest, StreamAdapter};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";
const SECOND: i64 = 1_793_538_000;
const NANOS: i64 = 1_000_000_000;

/// A push of one line at [`SECOND`] into `{job="bytes"}`.
fn body(content_type: &str, line: &str) -> Vec<u8> {
    if content_type == JSON {
        let values = serde_json::json!([[(SECOND * NANOS).to_string(), line]]);
        let stream = serde_json::json!({"stream": {"job": "bytes"}, "values": values});
        return serde_json::json!({"streams": [stream]}).to_string().into_bytes();
    }
    let timestamp = Some(prost_types::Timestamp { seconds: SECOND, nanos: 0 });
    let entry = EntryAdapter { timestamp, line: line.to_owned(), structured_metadata: Vec::new() };
    let labels = "{job=\"bytes\"}".to_owned();
    let request = PushRequest { streams: vec![StreamAdapter { labels, entries: vec![entry] }] };
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap()
}

/// What an encoding makes of a body, or of nothing in particular.
fn encoded(encoding: &str, body: &[u8]) -> Vec<u8> {
    let level = Compression::default();
    match encoding {
        "gzip" => {
            let mut out = GzEncoder::new(Vec::new(), level);
            out.write_all(body).unwrap();
            out.finish().unwrap()
        }
        "deflate" => {
            let mut out = DeflateEncoder::new(Vec::new(), level);
            out.write_all(body).unwrap();
            out.finish().unwrap()
        }
        "zlib" => {
            let mut out = ZlibEncoder::new(Vec::new(), level);
            out.write_all(body).unwrap();
            out.finish().unwrap()
        }
        "zstd" => zstd::encode_all(body, 3).unwrap(),
        "lz4" => {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            out.write_all(body).unwrap();
            out.finish().unwrap()
        }
        _ => body.to_vec(),
    }
}

fn push(server: &TestServer, content_type: &str, encoding: &str, body: &[u8]) -> Response {
    let mut headers = vec![("Content-Type", content_type)];
    headers.extend((!encoding.is_empty()).then_some(("Content-Encoding", encoding)));
    server.request("POST", "/loki/api/v1/push", &headers, body)
}

fn stored(server: &TestServer) -> Vec<String> {
    let (start, end) = ((SECOND - 1) * NANOS, (SECOND + 1) * NANOS);
    let found = common::lines(server.address(), "{job=\"bytes\"}", start, end);
    found.into_iter().map(|(_, line)| line).collect()
}

#[test]
fn every_format_is_taken_in_every_encoding() {
    let server = TestServer::start(common::accept_any_time);
    let mut sent = Vec::new();
    for content_type in [JSON, "application/json; charset=utf-8", PROTOBUF] {
        for (encoding, written) in [
            ("", ""),
            ("snappy", ""),
            ("gzip", "gzip"),
            ("deflate", "deflate"),
            ("deflate", "zlib"),
            ("zstd", "zstd"),
        ] {
            let line = format!("{content_type} as {written} called {encoding}: \u{e9}\t\"<\r");
            let content = if content_type == PROTOBUF { PROTOBUF } else { JSON };
            let bytes = encoded(written, &body(content, &line));
            let answer = push(&server, content_type, encoding, &bytes);
            assert_eq!((answer.status, answer.text().as_str()), (204, ""), "{line}");
            sent.push(line);
        }
    }
    sent.sort();
    assert_eq!(stored(&server), sent);
    for content_type in [JSON, PROTOBUF] {
        let answer = push(&server, content_type, "br", b"");
        let text = "Content-Encoding \"br\" not supported\n";
        assert_eq!((answer.status, answer.text().as_str()), (400, text));
        for encoding in ["gzip", "deflate", "zstd"] {
            let answer = push(&server, content_type, encoding, b"not so");
            assert_eq!(answer.status, 400, "{encoding}");
            assert!(answer.text().starts_with("cannot decompress the body: "), "{}", answer.text());
        }
    }
    assert_eq!(stored(&server), sent, "nothing of the others");
}

#[test]
fn bodies_that_are_too_large_are_refused() {
    const MAX: usize = 100_000;
    let server = TestServer::start(|config| {
        common::accept_any_time(config);
        config.limits_config.ingest.max_recv_msg_size = MAX;
        config.limits_config.ingest.max_decompressed_size = 2 * MAX;
    });
    // As sent, by what the head announces. Far more than the sockets' buffers hold, so that an answer
    // that does not wait for the client would be lost.
    for size in [MAX + 1, 20 * MAX] {
        let answer = push(&server, JSON, "", &vec![b' '; size]);
        let text = format!("request body too large: limit is {MAX} bytes\n");
        assert_eq!((answer.status, answer.text()), (413, text), "{size}");
    }
    // The same without an announcement.
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head = "POST /loki/api/v1/push HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
                Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    for _ in 0..3 {
        let chunk = [&b"c350\r\n"[..], &[b' '; 50_000], b"\r\n"].concat();
        stream.write_all(&chunk).unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // After decompression: JSON is 400, as in Loki, and protobuf 413.
    let large = vec![b' '; 2 * MAX + 1];
    assert_eq!(push(&server, JSON, "gzip", &encoded("gzip", &large)).status, 400);
    let packed = snap::raw::Encoder::new().compress_vec(&large).unwrap();
    assert_eq!(push(&server, PROTOBUF, "", &packed).status, 413);
    assert_eq!(stored(&server), [""; 0]);
}

#[test]
fn bodies_share_the_memory_that_there_is_for_pushes() {
    const MAX: usize = 1000;
    let server = TestServer::start(|config| {
        common::accept_any_time(config);
        let limits = &mut config.limits_config.ingest;
        // The least that there can be: twice a body of the largest size, and unpacked twice. One tenant may
        // have half of it.
        limits.push_memory_bytes_max = 0;
        limits.max_recv_msg_size = MAX;
        limits.max_decompressed_size = MAX;
    });
    let half_sent = [(); 3].map(|()| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let head = format!(
            "POST /loki/api/v1/push HTTP/1.1\r\nHost: test\r\nContent-Type: {JSON}\r\n\
             Content-Length: {MAX}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), &[b' '; MAX - 1]].concat()).unwrap();
        stream
    });
    // Servers see what is sent a little later.
    let until = |status: u16| {
        (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            let answer = push(&server, JSON, "", &body(JSON, "x"));
            assert!(matches!(answer.status, 204 | 503), "{}", answer.text());
            let busy = "too much is being pushed at once: send it again later\n";
            assert!(answer.status == 204 || answer.text() == busy);
            answer.status == status
        })
    };
    assert!(until(503), "there is room for everyone");
    drop(half_sent);
    assert!(until(204), "nothing was given back");
}

#[test]
fn what_can_never_fit_is_refused_for_good() {
    let server = TestServer::start(|config| {
        common::accept_any_time(config);
        let limits = &mut config.limits_config.ingest;
        // The least that there can be, of which a tenant has 3,000 bytes.
        limits.push_memory_bytes_max = 0;
        limits.max_recv_msg_size = 1000;
        limits.max_decompressed_size = 1000;
    });
    // Records of two bytes, which are hundreds each once they are read.
    let records = [0x12, 0].repeat(161);
    let protobuf = [&[0x0a, 0xc5, 0x02, 0x12, 0xc2, 0x02][..], &records].concat();
    let json = format!(r#"{{"resourceLogs":[{{}}{}]}}"#, ",{}".repeat(200)).into_bytes();
    for (content_type, body) in [(PROTOBUF, protobuf), (JSON, json)] {
        let answer =
            server.request("POST", "/otlp/v1/logs", &[("Content-Type", content_type)], &body);
        assert_eq!(answer.status, 413, "{content_type}: {}", answer.text());
        assert_eq!(answer.header("Retry-After"), None, "{content_type}");
        let text = answer.text();
        assert!(text.contains("more than 3000 bytes"), "{content_type}: {text}");
    }
    let discarded =
        r#"loki_discarded_samples_total{reason="request_body_too_large",tenant="fake"}"#;
    assert_eq!(server.metric(discarded), Some(2.0));
    assert_eq!(push(&server, JSON, "", &body(JSON, "x")).status, 204);
}

const PUSH: &str = "/loki/api/v1/push";

/// `parts` times 16 MiB of zeros in a few bytes, with where it goes, its type and its encoding.
#[cfg(target_os = "linux")]
fn bombs(parts: usize) -> Vec<([&'static str; 3], Vec<u8>)> {
    const PART: usize = 16 << 20;
    let zeros = vec![0; PART];
    // Members of gzip and frames of zstd may follow each other; so may flushed blocks of DEFLATE.
    let mut blocks = DeflateEncoder::new(Vec::new(), Compression::best());
    blocks.write_all(&zeros).unwrap();
    blocks.flush().unwrap();
    let block = blocks.get_ref().clone();
    let mut bombs = Vec::new();
    for content_type in [JSON, PROTOBUF] {
        for encoding in ["gzip", "zstd"] {
            let bomb = encoded(encoding, &zeros).repeat(parts);
            bombs.push((["/otlp/v1/logs", content_type, encoding], bomb.clone()));
            bombs.push(([PUSH, content_type, encoding], bomb));
        }
        bombs.push(([PUSH, content_type, "deflate"], block.repeat(parts)));
        let lz4 = encoded("lz4", &zeros).repeat(parts);
        bombs.push((["/otlp/v1/logs", content_type, "lz4"], lz4));
    }
    let gibibyte = [0x80, 0x80, 0x80, 0x80, 0x04];
    bombs.push(([PUSH, PROTOBUF, ""], [&gibibyte[..], &[0; 100]].concat()));
    bombs
}

#[cfg(target_os = "linux")]
#[test]
fn bodies_that_stand_for_a_gigabyte_cost_neither_memory_nor_time() {
    let directory = tempfile::TempDir::new().unwrap();
    let limit = [("TIMBERLINE_LIMITS_CONFIG_MAX_DECOMPRESSED_SIZE", "16MiB")];
    let server = common::process::Running::start_with(directory.path(), &limit);
    // What the server's processor did for bodies of so many parts, in ticks of the system.
    let ticks_of = |parts: usize| {
        let before = server.cpu_ticks();
        for ([path, content_type, encoding], bomb) in bombs(parts) {
            let mut headers = vec![("Content-Type", content_type)];
            headers.extend((!encoding.is_empty()).then_some(("Content-Encoding", encoding)));
            let answer = common::request(server.address, "POST", path, &headers, &bomb);
            let status = if path == PUSH && content_type == JSON { 400 } else { 413 };
            assert_eq!(answer.status, status, "{content_type} {encoding}: {}", answer.text());
            assert!(answer.text().contains("request body too large: "), "{}", answer.text());
        }
        server.cpu_ticks() - before
    };
    let before = server.peak_memory_kib();
    let (small, large) = (ticks_of(2), ticks_of(64));
    // Unpacked as a whole it would be 32 times as much. Ticks are coarse, so a few are let pass.
    assert!(large <= 6 * small + 20, "{large} ticks for 1 GiB, {small} for 32 MiB");
    let grown = server.peak_memory_kib() - before;
    assert!(grown < 200 << 10, "the server grew by {grown} KiB");
}
