//! What `systemd-journal-upload` sends.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use common::TestServer;

const TYPE: (&str, &str) = ("Content-Type", "application/vnd.fdo.journal");
const MICROS: i64 = 1_793_538_000_000_000;

fn start() -> TestServer {
    TestServer::start(|config| {
        common::accept_any_time(config);
        config.ingest.journald.enabled = true;
    })
}

fn entry(index: i64, message: &str) -> Vec<u8> {
    let mut out = format!(
        "__CURSOR=s=1;i={index}\n__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP=1\n_BOOT_ID=b\nPRIORITY=3\n_HOSTNAME=box\n\
         _SYSTEMD_UNIT=cron.service\nSYSLOG_IDENTIFIER=cron\n",
        MICROS + index
    )
    .into_bytes();
    if message.contains('\n') {
        out.extend_from_slice(b"MESSAGE\n");
        out.extend_from_slice(&u64::try_from(message.len()).unwrap().to_le_bytes());
        out.extend_from_slice(message.as_bytes());
        out.push(b'\n');
    } else {
        out.extend_from_slice(format!("MESSAGE={message}\n").as_bytes());
    }
    out.push(b'\n');
    out
}

fn stored(server: &TestServer) -> Vec<String> {
    let (start, end) = (MICROS * 1000, (MICROS + 10_000_000) * 1000);
    let query = r#"{hostname="box", systemd_unit="cron.service", syslog_identifier="cron"}"#;
    let found = common::lines(server.address(), query, start, end);
    found.into_iter().map(|(_, line)| line).collect()
}

/// Sends a body in chunks, as the uploader does, and gives the head of the answer.
fn send_chunks(server: &TestServer, chunks: &[&[u8]], end: bool) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head = "POST /insert/journald/upload HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nConnection: close\r\n\
                Content-Type: application/vnd.fdo.journal\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    for chunk in chunks {
        stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).unwrap();
        stream.write_all(chunk).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    if end {
        stream.write_all(b"0\r\n\r\n").unwrap();
    } else {
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn uploads_are_stored() {
    let server = start();
    let body = [entry(0, "one"), entry(1, "two\nlines"), entry(2, "na\u{ef}ve")].concat();
    let answer = server.request("POST", "/upload", &[TYPE], &body);
    assert_eq!((answer.status, answer.text().as_str()), (202, "OK.\n"));
    // In chunks that end anywhere, and sent again: what is there already is there once.
    let pieces: Vec<&[u8]> = body.chunks(7).collect();
    let answer = send_chunks(&server, &pieces, true);
    assert!(answer.contains("HTTP/1.1 202 Accepted"), "{answer}");
    assert_eq!(stored(&server), ["one", "two\nlines", "na\u{ef}ve"]);
    let query = r#"{hostname="box"} | detected_level="error" | _BOOT_ID="b""#;
    let found = common::lines(server.address(), query, MICROS * 1000, (MICROS + 9) * 1000);
    assert_eq!(found.len(), 3, "metadata and levels are there");
    let gzip = {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(&entry(3, "packed")).unwrap();
        out.finish().unwrap()
    };
    let headers = [TYPE, ("Content-Encoding", "gzip")];
    assert_eq!(server.request("POST", "/upload", &headers, &gzip).status, 202);
    assert_eq!(stored(&server).len(), 4);
}

#[test]
fn large_uploads_are_stored_in_parts_as_they_come() {
    let server = TestServer::start(|config| {
        common::accept_any_time(config);
        config.ingest.journald.enabled = true;
        // Far less than the whole upload.
        config.limits_config.ingest.max_recv_msg_size = 1 << 20;
    });
    let message = "m".repeat(20_000);
    let entries: Vec<Vec<u8>> =
        (0..500).map(|index| entry(index, &format!("{index} {message}"))).collect();
    let pieces: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
    let answer = send_chunks(&server, &pieces, true);
    assert!(answer.contains("HTTP/1.1 202 Accepted"), "{answer}");
    assert_eq!(stored(&server).len(), 500);
}

#[test]
fn what_is_no_export_is_refused() {
    let server = start();
    let answer = server.request("POST", "/upload", &[("Content-Type", "text/plain")], b"x");
    assert_eq!(answer.status, 415);
    let packed = |body: &[u8]| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(body).unwrap();
        out.finish().unwrap()
    };
    // What comes before the fault is stored, as the answer says, whatever way the body was sent.
    let bad = |index: i64| {
        let good = entry(index, &format!("good {index}"));
        [good, b"not a field\n\n".to_vec(), entry(9, "behind it")].concat()
    };
    let answers = [
        server.request("POST", "/upload", &[TYPE], &bad(1)),
        server.request("POST", "/upload", &[TYPE, ("Content-Encoding", "gzip")], &packed(&bad(2))),
    ];
    for answer in answers {
        assert_eq!(answer.status, 400);
        let text = answer.text();
        assert!(text.contains("field's name: the entries before it are stored"), "{text}");
    }
    assert_eq!(stored(&server), ["good 1", "good 2"]);
    let cut = entry(0, "two\nlines");
    let answer = server.request("POST", "/upload", &[TYPE], &cut[..cut.len() - 40]);
    assert!(answer.status == 400 || answer.status == 202);
    let answer = server.request("POST", "/upload", &[TYPE], &cut[..cut.len() - 4]);
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("ends within an entry"), "{}", answer.text());
    let cut = [entry(3, "good 3"), cut[..cut.len() - 4].to_vec()].concat();
    assert_eq!(server.request("POST", "/upload", &[TYPE], &cut).status, 400);
    assert_eq!(stored(&server).last().unwrap(), "good 3");
    assert_eq!(server.request("POST", "/upload", &[TYPE], b"").status, 202);
    let answer = server.request("POST", "/upload", &[TYPE, ("Content-Encoding", "gzip")], b"x");
    assert_eq!(answer.status, 400);
}
