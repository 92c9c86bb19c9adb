//! Syslog over UDP, TCP and TLS, from sockets and, where they are installed, from `logger` and rsyslog.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::TestServer;
use timberline::config::{Config, SyslogListener, SyslogProtocol};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
}

fn listener(protocol: SyslogProtocol) -> SyslogListener {
    let mut listener =
        SyslogListener { protocol, listen: "127.0.0.1:0".to_owned(), ..SyslogListener::default() };
    if protocol == SyslogProtocol::Tls {
        listener.tls.cert_file = data("server.pem");
        listener.tls.key_file = data("server.key");
    }
    listener
}

fn start(configure: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(|config| {
        common::accept_any_time(config);
        config.ingest.syslog =
            [SyslogProtocol::Udp, SyslogProtocol::Tcp, SyslogProtocol::Tls].map(listener).into();
        configure(config);
    })
}

fn send_datagrams(server: &TestServer, datagrams: &[&[u8]]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in datagrams {
        socket.send_to(datagram, server.ingest_address(0)).unwrap();
    }
}

fn send(server: &TestServer, bytes: &[u8]) {
    TcpStream::connect(server.ingest_address(1)).unwrap().write_all(bytes).unwrap();
}

/// What a series of a metric has reached, once it is `wanted` or two minutes have passed.
fn metric(server: &TestServer, series: &str, wanted: f64) -> f64 {
    for _ in 0..6000 {
        if server.metric(series) == Some(wanted) {
            return wanted;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    server.metric(series).unwrap_or(-1.0)
}

#[test]
fn datagrams_are_stored() {
    let server = start(|_| {});
    let same: &[u8] = b"<11>1 - box app 7 ID [x@1 k=\"v\"] same";
    send_datagrams(
        &server,
        &[same, same, b"", b"<11>1 - - app - - - from an address\n", b"no syslog at all"],
    );
    let query = r#"{host="box", app="app", facility="user", severity="err"} | x_1_k="v" | proc_id="7" | msg_id="ID""#;
    assert_eq!(server.recent_lines(query, 2), ["same", "same"], "neither is the other's duplicate");
    assert_eq!(server.recent_lines(r#"{host="127.0.0.1", app="app"}"#, 1), ["from an address"]);
    let bare = r#"{host="127.0.0.1", severity="notice", app=""}"#;
    assert_eq!(server.recent_lines(bare, 1), ["no syslog at all"]);
    let series =
        r#"timberline_listener_messages_total{listen="127.0.0.1:0",protocol="syslog_udp"}"#;
    assert_eq!(metric(&server, series, 5.0), 5.0);
}

#[test]
fn streams_are_stored_in_either_framing() {
    let server = start(|_| {});
    send(&server, b"<11>1 - s a - - - one\n22 <11>1 - s a - - - t\nwo<11>1 - s a - - - three\n<11>1 - s a - - - no end");
    let mut lines = server.recent_lines(r#"{host="s"}"#, 4);
    lines.sort();
    assert_eq!(lines, ["no end", "one", "t\nwo", "three"]);
    // Many in one connection keep their order, and all are there.
    let many: String = (0..5000).map(|index| format!("<14>1 - m a - - - {index:04}\n")).collect();
    send(&server, many.as_bytes());
    let expected: Vec<String> = (0..5000).map(|index| format!("{index:04}")).collect();
    assert_eq!(server.recent_lines(r#"{host="m"}"#, 5000), expected);
}

#[test]
fn tls_is_spoken() {
    let server = start(|_| {});
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(data("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(server.ingest_address(2)).unwrap();
    let mut stream = StreamOwned::new(client, stream);
    stream.write_all(b"31 <11>1 - tls a - - - over TLS, x").unwrap();
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    assert_eq!(server.recent_lines(r#"{host="tls"}"#, 1), ["over TLS, x"]);
    // Plain text is no TLS; the next client is served all the same.
    TcpStream::connect(server.ingest_address(2)).unwrap().write_all(b"<11>1 - x\n").unwrap();
    let series = r#"timberline_listener_refused_connections_total{listen="127.0.0.1:0",protocol="syslog_tls",reason="tls"}"#;
    assert_eq!(metric(&server, series, 1.0), 1.0);
}

#[test]
fn old_messages_have_the_nearest_year_and_the_listeners_zone() {
    let server = start(|config| {
        config.ingest.syslog[0].timezone = "+02:00".to_owned();
        config.ingest.syslog[0].static_labels = [("job".to_owned(), "net".to_owned())].into();
        config.ingest.syslog[0].labels.clear();
    });
    let date = Command::new("date").env("TZ", "XXX-2").arg("+%b %e %H:%M:%S").output().unwrap();
    let date = String::from_utf8(date.stdout).unwrap();
    let message = format!("<13>{} router kernel: link down", date.trim());
    send_datagrams(&server, &[message.as_bytes(), message.as_bytes()]);
    let query =
        r#"{job="net"} | host="router" | app="kernel" | facility="user" | severity="notice""#;
    assert_eq!(server.recent_lines(query, 2), ["link down", "link down"]);
}

#[test]
fn long_messages_are_cut_and_counted() {
    let server = start(|config| {
        for listener in &mut config.ingest.syslog {
            listener.message_bytes_max = 40;
        }
    });
    let long = format!("<11>1 - long a - - - {}", "x".repeat(100));
    send_datagrams(&server, &[long.as_bytes()]);
    send(&server, format!("{long}\n{} {long}<11>1 - long a - - - next\n", long.len()).as_bytes());
    let mut lines = server.recent_lines(r#"{host="long"}"#, 4);
    lines.sort();
    let cut = "x".repeat(40 - "<11>1 - long a - - - ".len());
    assert_eq!(lines, ["next", &cut, &cut, &cut]);
    let series = |protocol: &str| {
        format!(
            "timberline_listener_cut_messages_total{{listen=\"127.0.0.1:0\",protocol=\"{protocol}\"}}"
        )
    };
    assert_eq!(metric(&server, &series("syslog_udp"), 1.0), 1.0);
    assert_eq!(metric(&server, &series("syslog_tcp"), 2.0), 2.0);
}

#[test]
fn a_stream_that_is_refused_does_not_hold_up_the_others() {
    let server = start(|config| {
        config.limits_config.ingest.max_global_streams_per_user = 1;
        // What is still tried at the end is not waited for.
        config.server.shutdown_timeout = Duration::from_millis(100);
    });
    let mut stream = TcpStream::connect(server.ingest_address(1)).unwrap();
    stream.write_all(b"<11>1 - first a - - - one\n<11>1 - second a - - - x\n").unwrap();
    assert_eq!(server.recent_lines(r#"{host="first"}"#, 1), ["one"]);
    let received =
        r#"timberline_listener_messages_total{listen="127.0.0.1:0",protocol="syslog_tcp"}"#;
    assert_eq!(metric(&server, received, 2.0), 2.0);
    stream.write_all(b"<11>1 - first a - - - two\n").unwrap();
    assert_eq!(server.recent_lines(r#"{host="first"}"#, 2), ["one", "two"]);
    let series = r#"timberline_listener_dropped_messages_total{listen="127.0.0.1:0",protocol="syslog_tcp",reason="refused"}"#;
    assert_eq!(server.metric(series), None, "the other is still tried");
}

#[test]
fn messages_that_stand_for_too_much_together_are_stored_in_parts() {
    let server = start(|config| {
        let limits = &mut config.limits_config.ingest;
        // The least that there can be: what is stored together stands for 2,000 bytes at the most.
        limits.push_memory_bytes_max = 0;
        limits.max_recv_msg_size = 1000;
        limits.max_decompressed_size = 1000;
    });
    let text: String = (0..500).map(|index| format!("<11>1 - h a - - - {index}\n")).collect();
    send(&server, text.as_bytes());
    let mut lines = server.recent_lines(r#"{host="h"}"#, 500);
    lines.sort_by_key(|line| line.parse::<u32>().unwrap());
    let expected: Vec<String> = (0..500).map(|index| index.to_string()).collect();
    assert_eq!(lines, expected);
}

#[test]
fn connections_have_limits() {
    let server = start(|config| {
        config.ingest.syslog[1].max_connections = 1;
        config.ingest.syslog[1].idle_timeout = Duration::from_millis(200);
    });
    let series = |reason: &str| {
        format!(
            "timberline_listener_refused_connections_total{{listen=\"127.0.0.1:0\",protocol=\"syslog_tcp\",reason=\"{reason}\"}}"
        )
    };
    let idle = TcpStream::connect(server.ingest_address(1)).unwrap();
    assert_eq!(metric(&server, &series("idle"), 1.0), 1.0);
    drop(idle);
    let open = r#"timberline_listener_connections{listen="127.0.0.1:0",protocol="syslog_tcp"}"#;
    assert_eq!(metric(&server, open, 0.0), 0.0);
    let both = [(); 2].map(|()| TcpStream::connect(server.ingest_address(1)).unwrap());
    assert_eq!(metric(&server, &series("too_many"), 1.0), 1.0);
    drop(both);
}

#[test]
fn tenants_are_those_of_the_configuration() {
    let server = start(|config| {
        config.auth_enabled = true;
        for listener in &mut config.ingest.syslog {
            listener.tenant = "net".to_owned();
        }
    });
    send(&server, b"<11>1 - h a - - - x\n");
    let found = |tenant: &str| {
        let headers = [("X-Scope-OrgID", tenant)];
        let answer = server.request(
            "GET",
            "/loki/api/v1/series?match[]=%7Bhost%3D%22h%22%7D",
            &headers,
            b"",
        );
        answer.json()["data"].as_array().unwrap().len()
    };
    assert!((0..6000).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        found("net") == 1
    }));
    assert_eq!(found("other"), 0);
}

#[test]
fn what_was_read_is_stored_before_the_end() {
    let directory = tempfile::TempDir::new().unwrap();
    let data_dir = directory.path().join("data");
    let server = start(|config| config.data_dir = data_dir.clone());
    let mut stream = TcpStream::connect(server.ingest_address(1)).unwrap();
    stream.write_all(b"<11>1 - end a - - - x\n").unwrap();
    let series =
        r#"timberline_listener_messages_total{listen="127.0.0.1:0",protocol="syslog_tcp"}"#;
    assert_eq!(metric(&server, series, 1.0), 1.0);
    // The connection is still open; the server does not wait for its end.
    server.stop().unwrap();
    let again = start(|config| config.data_dir = data_dir.clone());
    assert_eq!(again.recent_lines(r#"{host="end"}"#, 1), ["x"]);
}

/// Whether a program of the system is there; tests pass where none is.
fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        println!("{program} is not installed");
    }
    found
}

#[test]
fn util_linux_logger_is_understood() {
    if !is_installed("logger") {
        return;
    }
    let server = start(|_| {});
    let log = |arguments: &[&str], port: u16| {
        let mut command = Command::new("logger");
        command.args([
            "--server",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "-p",
            "daemon.warning",
        ]);
        assert!(command.args(["-t", "probe"]).args(arguments).status().unwrap().success());
    };
    let (udp, tcp) = (server.ingest_address(0).port(), server.ingest_address(1).port());
    log(&["--udp", "--rfc5424", "new datagram"], udp);
    log(&["--udp", "--rfc3164", "old datagram"], udp);
    log(&["--tcp", "--rfc5424", "new stream"], tcp);
    log(&["--tcp", "--rfc3164", "old stream"], tcp);
    log(&["--tcp", "--octet-count", "--rfc5424", "--msgid=M1", "counted"], tcp);
    let query = r#"{app="probe", facility="daemon", severity="warning"}"#;
    let mut lines = server.recent_lines(query, 5);
    lines.sort();
    assert_eq!(lines, ["counted", "new datagram", "new stream", "old datagram", "old stream"]);
    assert_eq!(server.recent_lines(&format!("{query} | msg_id=\"M1\""), 1), ["counted"]);
}

#[test]
fn rsyslog_forwards() {
    if !is_installed("/usr/sbin/rsyslogd") || !is_installed("logger") {
        return;
    }
    let server = start(|_| {});
    let directory = tempfile::TempDir::new().unwrap();
    let (pid, config) = (directory.path().join("pid"), directory.path().join("rsyslog.conf"));
    // A port that nobody has; rsyslog takes it at once.
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let [udp, tcp] = [0, 1].map(|index| server.ingest_address(index).port());
    let text = format!(
        "global(workDirectory=\"{}\")\nmodule(load=\"imudp\")\n\
         input(type=\"imudp\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"out\")\n\
         ruleset(name=\"out\") {{\n\
         action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{tcp}\" protocol=\"tcp\" template=\"RSYSLOG_SyslogProtocol23Format\" TCP_Framing=\"octet-counted\")\n\
         action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{udp}\" protocol=\"udp\" template=\"RSYSLOG_ForwardFormat\")\n}}\n",
        directory.path().display()
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new("/usr/sbin/rsyslogd");
    command.arg("-n").arg("-f").arg(&config).arg("-i").arg(&pid);
    let mut rsyslog = command.spawn().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let query = r#"{app="probe", facility="local3", severity="err"}"#;
    let mut lines = Vec::new();
    // A datagram that comes before rsyslog listens is lost, so another is sent.
    for _ in 0..20 {
        let mut logger = Command::new("logger");
        logger.args([
            "--server",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--udp",
            "-p",
            "local3.err",
        ]);
        assert!(logger.args(["-t", "probe", "through rsyslog"]).status().unwrap().success());
        std::thread::sleep(Duration::from_secs(1));
        lines = server.recent_lines(query, 0);
        if lines.len() >= 2 {
            break;
        }
    }
    rsyslog.kill().unwrap();
    rsyslog.wait().unwrap();
    assert!(lines.len() >= 2, "{lines:?}");
    assert!(lines.iter().all(|line| line == "through rsyslog"), "{lines:?}");
}
