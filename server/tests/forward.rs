//! Fluentd's forward protocol over a socket.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use common::TestServer;
use rmpv::Value;
use timberline::config::{Config, ForwardListener};

fn start(configure: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(|config| {
        common::accept_any_time(config);
        let listen = "127.0.0.1:0".to_owned();
        config.ingest.fluent_forward =
            vec![ForwardListener { listen, ..ForwardListener::default() }];
        configure(config);
    })
}

fn connect(server: &TestServer) -> TcpStream {
    let stream = TcpStream::connect(server.ingest_address(0)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

fn bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, value).unwrap();
    out
}

fn map(pairs: &[(&str, Value)]) -> Value {
    Value::Map(pairs.iter().map(|(name, value)| (Value::from(*name), value.clone())).collect())
}

/// One second for all: entries of equal times come by arrival.
fn now() -> u64 {
    static NOW: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *NOW.get_or_init(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
    })
}

fn event(line: &str) -> Value {
    Value::Array(vec![now().into(), map(&[("log", line.into()), ("pod", "p".into())])])
}

/// A message in forward mode with these lines; it wants an acknowledgement where there is a chunk.
fn message(lines: &[&str], chunk: Option<&str>) -> Vec<u8> {
    let events = lines.iter().map(|line| event(line)).collect();
    let option =
        map(&chunk.map(|chunk| ("chunk", Value::from(chunk))).into_iter().collect::<Vec<_>>());
    bytes(&Value::Array(vec!["app.log".into(), Value::Array(events), option]))
}

#[test]
fn messages_are_stored_and_then_acknowledged() {
    let server = start(|_| {});
    let mut stream = connect(&server);
    stream.write_all(&message(&["a", "a"], Some("c1"))).unwrap();
    let ack = rmpv::decode::read_value(&mut stream).unwrap();
    assert_eq!(ack, map(&[("ack", "c1".into())]));
    // What is acknowledged can be read at once.
    let query = r#"{tag="app.log"} | pod="p""#;
    assert_eq!(server.recent_lines(query, 0), ["a", "a"]);
    // Several at once, in pieces, and the same chunk again, whose entries are there already.
    let rest = [message(&["b"], None), b"\xc0".to_vec(), message(&["c"], Some("c2"))].concat();
    for piece in rest.chunks(3) {
        stream.write_all(piece).unwrap();
    }
    assert_eq!(rmpv::decode::read_value(&mut stream).unwrap(), map(&[("ack", "c2".into())]));
    assert_eq!(server.recent_lines(query, 0), ["a", "a", "b", "c"]);
    let again = message(&["d"], Some("c3"));
    for _ in 0..2 {
        stream.write_all(&again).unwrap();
        assert_eq!(rmpv::decode::read_value(&mut stream).unwrap(), map(&[("ack", "c3".into())]));
    }
    assert_eq!(server.recent_lines(query, 0).len(), 5);
}

/// How many connections were closed for this reason.
fn closed(server: &TestServer, reason: &str) -> Option<f64> {
    server.metric(&format!(
        "timberline_listener_refused_connections_total{{listen=\"127.0.0.1:0\",protocol=\"fluent_forward\",reason=\"{reason}\"}}"
    ))
}

/// Waits for the metric, which is counted when a connection is closed already.
fn wait_until_closed(server: &TestServer, reason: &str, count: f64) {
    let begun = std::time::Instant::now();
    while closed(server, reason) != Some(count) {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{reason}: {:?}",
            closed(server, reason)
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_connection_too_many_is_closed_and_may_come_again() {
    let server = start(|config| config.ingest.fluent_forward[0].max_connections = 1);
    let mut only = connect(&server);
    only.write_all(&message(&["a"], Some("c"))).unwrap();
    rmpv::decode::read_value(&mut only).unwrap();
    let mut answer = Vec::new();
    // What was sent before it was closed resets it.
    let _ = connect(&server).read_to_end(&mut answer);
    assert!(answer.is_empty());
    wait_until_closed(&server, "too_many", 1.0);
    // The one that is there goes on, and its place is free when it is gone.
    only.write_all(&message(&["b"], Some("c"))).unwrap();
    rmpv::decode::read_value(&mut only).unwrap();
    drop(only);
    let ack = std::iter::repeat_with(|| {
        let mut next = connect(&server);
        let _ = next.write_all(&message(&["c"], Some("c")));
        rmpv::decode::read_value(&mut next)
    });
    let ack = ack.take(10_000).find_map(Result::ok);
    assert_eq!(ack, Some(map(&[("ack", "c".into())])));
    assert_eq!(server.recent_lines(r#"{tag="app.log"}"#, 3), ["a", "b", "c"]);
}

#[test]
fn who_is_silent_or_gone_within_a_message_is_closed_and_keeps_what_was_whole() {
    let server =
        start(|config| config.ingest.fluent_forward[0].idle_timeout = Duration::from_millis(50));
    let whole = message(&["before"], None);
    let part = &message(&["never whole"], Some("c"))[..20];
    let mut silent = connect(&server);
    silent.write_all(&[&whole[..], part].concat()).unwrap();
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).unwrap();
    assert!(answer.is_empty(), "what is not whole is not acknowledged");
    wait_until_closed(&server, "idle", 1.0);

    let server = start(|_| {});
    let mut gone = connect(&server);
    gone.write_all(&[&whole[..], part].concat()).unwrap();
    gone.shutdown(std::net::Shutdown::Write).unwrap();
    gone.read_to_end(&mut answer).unwrap();
    assert!(answer.is_empty());
    wait_until_closed(&server, "cut_off", 1.0);
    assert_eq!(server.recent_lines(r#"{tag="app.log"}"#, 1), ["before"]);
    // Between two messages a client may go.
    let mut done = connect(&server);
    done.write_all(&whole).unwrap();
    done.shutdown(std::net::Shutdown::Write).unwrap();
    done.read_to_end(&mut answer).unwrap();
    assert_eq!(closed(&server, "cut_off"), Some(1.0));
}

#[test]
fn a_wrong_message_ends_the_connection_and_those_before_are_stored() {
    let server = start(|_| {});
    for wrong in [&b"\xc1"[..], b"\x91\xa1t", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = connect(&server);
        stream.write_all(&[&message(&["good"], Some("x"))[..], wrong].concat()).unwrap();
        let mut answer = Vec::new();
        // A connection that is closed with bytes unread may be reset.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer == bytes(&map(&[("ack", "x".into())])), "{answer:?}");
    }
    assert_eq!(server.recent_lines(r#"{tag="app.log"}"#, 1)[0], "good");
    wait_until_closed(&server, "malformed", 3.0);
}

#[test]
fn sizes_are_limited() {
    let server = start(|config| config.ingest.fluent_forward[0].message_bytes_max = 1000);
    let mut stream = connect(&server);
    let large = "x".repeat(2000);
    stream.write_all(&message(&[&large], Some("large"))).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty(), "no acknowledgement");
    assert!(server.recent_lines(r#"{tag="app.log"}"#, 0).is_empty());
}

#[test]
fn what_stands_for_too_much_is_refused_at_once_and_what_fits_alone_comes_alone() {
    let server = start(|config| {
        let limits = &mut config.limits_config.ingest;
        // The least that there can be: a tenant has 3,000 bytes, and a message stands for 2,000 at the most.
        limits.push_memory_bytes_max = 0;
        limits.max_recv_msg_size = 1000;
        limits.max_decompressed_size = 1000;
    });
    let lines: Vec<String> = (0..45).map(|index| index.to_string()).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut stream = connect(&server);
    let both = [message(&lines[..15], Some("1")), message(&lines[15..30], Some("2"))].concat();
    stream.write_all(&both).unwrap();
    for chunk in ["1", "2"] {
        let ack = rmpv::decode::read_value(&mut stream).unwrap();
        assert_eq!(ack, map(&[("ack", chunk.into())]));
    }
    assert_eq!(server.recent_lines(r#"{tag="app.log"}"#, 30).len(), 30);
    // To send it again cannot help: it would hold up all that comes behind it for ever.
    stream.write_all(&message(&lines, Some("3"))).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{answer:?}");
    wait_until_closed(&server, "too_large", 1.0);
    assert_eq!(server.recent_lines(r#"{tag="app.log"}"#, 30).len(), 30);
}

#[test]
fn large_messages_wait_for_each_other() {
    let server = start(|config| {
        config.ingest.fluent_forward[0].message_bytes_max = 160 << 10;
        // One at a time.
        config.ingest.fluent_forward[0].buffer_bytes_max = 160 << 10;
    });
    // It must fit in the buffers of a socket that nobody reads.
    let large = "x".repeat(150 << 10);
    let message = message(&[&large], Some("large"));
    let (most, rest) = message.split_at(message.len() - 10);
    let waiting: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = connect(&server);
            stream.write_all(most).unwrap();
            stream
        })
        .collect();
    // What needs no room is not held up.
    let mut small = connect(&server);
    small.write_all(&self::message(&["small"], Some("small"))).unwrap();
    assert_eq!(rmpv::decode::read_value(&mut small).unwrap(), map(&[("ack", "small".into())]));
    // One after the other has its turn when those before it are done or gone.
    let mut waiting = waiting.into_iter();
    drop(waiting.next());
    let mut waiting: Vec<TcpStream> = waiting.collect();
    waiting.iter_mut().for_each(|stream| stream.write_all(rest).unwrap());
    for mut stream in waiting {
        let ack = rmpv::decode::read_value(&mut stream).unwrap();
        assert_eq!(ack, map(&[("ack", "large".into())]));
    }
}

#[test]
fn senders_show_that_they_know_the_key() {
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("key");
    std::fs::write(&file, "secret\n").unwrap();
    let server = start(|config| config.ingest.fluent_forward[0].shared_key_file = file);
    let greet = |key: &str| {
        let mut stream = connect(&server);
        let helo = rmpv::decode::read_value(&mut stream).unwrap();
        assert_eq!(helo[0].as_str(), Some("HELO"));
        let nonce = helo[1]["nonce"].as_slice().unwrap();
        let all = [b"salt", &b"client"[..], nonce, key.as_bytes()].concat();
        let digest = ring::digest::digest(&ring::digest::SHA512, &all);
        let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let ping = ["PING", "client", "salt", &digest, "", ""].map(Value::from).to_vec();
        stream.write_all(&bytes(&Value::Array(ping))).unwrap();
        let pong = rmpv::decode::read_value(&mut stream).unwrap();
        (stream, pong[1].as_bool().unwrap(), pong[2].as_str().unwrap().to_owned())
    };
    let (mut stream, is_good, _) = greet("secret");
    assert!(is_good);
    stream.write_all(&message(&["let in"], Some("c"))).unwrap();
    assert_eq!(rmpv::decode::read_value(&mut stream).unwrap(), map(&[("ack", "c".into())]));
    let (_, is_good, reason) = greet("guess");
    assert_eq!((is_good, reason.as_str()), (false, "shared_key mismatch"));
    // Without a handshake nothing is taken.
    let mut stream = connect(&server);
    stream.write_all(&message(&["not let in"], None)).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    assert_eq!(server.recent_lines(r#"{tag="app.log"}"#, 0), ["let in"]);
}

#[test]
fn heartbeats_are_answered() {
    let server = start(|_| {});
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket.send_to(&[0], server.ingest_address(0)).unwrap();
    assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
    drop(connect(&server));
}

/// The bytes that fluent-logger 0.11.1 for Python sends for `FluentSender("app").emit("follow", {…})`.
#[test]
fn fluent_logger_is_understood() {
    let server = start(|_| {});
    let mut stream = connect(&server);
    let seconds = u32::try_from(now()).unwrap().to_be_bytes();
    let head = b"\x93\xaaapp.follow\xce";
    let record = b"\x82\xa4from\xa5userA\xa2to\xa5userB";
    stream.write_all(&[&head[..], &seconds, record].concat()).unwrap();
    drop(stream);
    let lines = server.recent_lines(r#"{tag="app.follow"} | json | from="userA""#, 1);
    assert_eq!(lines, [r#"{"from":"userA","to":"userB"}"#]);
}

#[test]
fn ports_that_cannot_be_used_are_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let open = |configure: &dyn Fn(&mut Config)| {
        let directory = tempfile::TempDir::new().unwrap();
        let mut config = Config { data_dir: directory.path().join("data"), ..Config::default() };
        config.server.listen = "127.0.0.1:0".to_owned();
        config.ingest.fluent_forward = vec![ForwardListener {
            listen: taken.local_addr().unwrap().to_string(),
            ..ForwardListener::default()
        }];
        configure(&mut config);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(timberline::serve::Server::open(config)).unwrap_err().to_string()
    };
    let error = open(&|_| {});
    assert!(error.starts_with("ingest.fluent_forward[0]: cannot listen on 127.0.0.1:"), "{error}");
    let error = open(&|config| config.auth_enabled = true);
    assert_eq!(error, "ingest.fluent_forward[0]: a tenant is needed, since auth_enabled is on");
    let error = open(&|config| config.ingest.fluent_forward[0].tenant = "a".to_owned());
    assert!(error.contains("auth_enabled is off"), "{error}");
    let error =
        open(&|config| config.ingest.fluent_forward[0].shared_key_file = "/nowhere/key".into());
    assert!(error.contains("cannot read /nowhere/key"), "{error}");
}
