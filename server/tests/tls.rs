//! TLS: served, asked of clients, and with certificates that may be replaced.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::TestServer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// Made with openssl, good for a hundred years: an authority and what it signed.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
}

/// A server with the certificate `server` in a directory of its own.
fn server(ask_clients: bool) -> (TestServer, TempDir) {
    let directory = TempDir::new().unwrap();
    install(&directory, "server");
    let server = TestServer::start(|config| {
        config.server.tls.cert_file = directory.path().join("cert.pem");
        config.server.tls.key_file = directory.path().join("cert.key");
        if ask_clients {
            config.server.tls.client_ca_file = data("ca.pem");
        }
    });
    (server, directory)
}

fn install(directory: &TempDir, name: &str) {
    for (from, to) in [("key", "cert.key"), ("pem", "cert.pem")] {
        let content = std::fs::read(data(&format!("{name}.{from}"))).unwrap();
        std::fs::write(directory.path().join(to), content).unwrap();
    }
}

/// The status line, the protocol chosen, and the server's certificate.
type Answer = (String, Option<Vec<u8>>, CertificateDer<'static>);

/// Asks whether the server is ready, as the client `identity` where there is one.
fn ask(address: SocketAddr, identity: Option<&str>, protocols: &[&str]) -> std::io::Result<Answer> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(data("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder =
        builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let certificate = CertificateDer::from_pem_file(data(&format!("{name}.pem"))).unwrap();
            let key = PrivateKeyDer::from_pem_file(data(&format!("{name}.key"))).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let request = b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let status = answer.lines().next().unwrap_or_default().to_owned();
        let connection = stream.get_ref().1;
        let certificate = connection.peer_certificates().unwrap()[0].clone().into_owned();
        Ok((status, connection.alpn_protocol().map(<[u8]>::to_vec), certificate))
    })
}

#[test]
fn requests_are_answered_over_tls_and_not_without() {
    let (server, _directory) = server(false);
    let (status, protocol, _) = ask(server.address(), None, &["http/1.1"]).unwrap();
    assert_eq!((status.as_str(), protocol.unwrap()), ("HTTP/1.1 200 OK", b"http/1.1".to_vec()));
    let mut plain = std::net::TcpStream::connect(server.address()).unwrap();
    std::io::Write::write_all(&mut plain, b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // It may be reset.
    let _ = std::io::Read::read_to_end(&mut plain, &mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
}

#[test]
fn clients_may_have_to_show_a_certificate() {
    let (server, _directory) = server(true);
    assert!(ask(server.address(), None, &[]).is_err());
    let (status, _, _) = ask(server.address(), Some("client"), &[]).unwrap();
    assert_eq!(status, "HTTP/1.1 200 OK");
}

#[test]
fn a_certificate_may_be_replaced() {
    let (server, directory) = server(false);
    let shown = || ask(server.address(), None, &[]).unwrap().2;
    let (first, second) = ("server.pem", "other.pem");
    let certificate = |name: &str| CertificateDer::from_pem_file(data(name)).unwrap();
    assert_eq!(shown(), certificate(first));
    // A certificate without its key is no pair: the first goes on.
    std::fs::write(directory.path().join("cert.pem"), "nonsense").unwrap();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(shown(), certificate(first));
    install(&directory, "other");
    let replaced = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        shown() == certificate(second)
    });
    assert!(replaced);
}

/// Where a change cannot be seen, a signal is enough.
#[cfg(unix)]
#[test]
fn a_certificate_is_replaced_at_a_signal() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    // A text around them does not count, and makes them as long as each other.
    let padded = |name: &str| {
        let text = std::fs::read_to_string(data(name)).unwrap();
        text.clone() + &"\n".repeat(4096 - text.len())
    };
    std::fs::write(path("cert.pem"), padded("server.pem")).unwrap();
    std::fs::write(path("cert.key"), padded("server.key")).unwrap();
    let (cert, key) = (path("cert.pem"), path("cert.key"));
    let variables = [
        ("TIMBERLINE_SERVER_TLS_CERT_FILE", cert.to_str().unwrap()),
        ("TIMBERLINE_SERVER_TLS_KEY_FILE", key.to_str().unwrap()),
    ];
    let server = common::process::Running::start_with(&path("data"), &variables);
    let certificate = |name: &str| CertificateDer::from_pem_file(data(name)).unwrap();
    let shown = || ask(server.address, None, &[]).unwrap().2;
    assert_eq!(shown(), certificate("server.pem"));
    common::write_unseen(&cert, &padded("other.pem"));
    common::write_unseen(&key, &padded("other.key"));
    server.signal("-HUP");
    let is_replaced = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        shown() == certificate("other.pem")
    });
    assert!(is_replaced);
}
