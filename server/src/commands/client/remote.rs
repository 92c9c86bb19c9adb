//! A server over HTTP/1.1, on one connection that is kept.

use std::sync::Arc;
use std::time::Duration;

use ::http::header::{HOST, HeaderValue};
use ::http::{Request, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{Answer, tls};
use crate::commands::{Failure, Target};

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a server is, taken from its URL.
#[derive(Clone, Debug)]
pub(in crate::commands) struct Endpoint {
    pub(in crate::commands) is_tls: bool,
    pub(in crate::commands) host: String,
    pub(in crate::commands) port: u16,
    /// As the `Host` header has it.
    authority: String,
    /// What stands before every path; empty, or with a slash in front and none behind.
    prefix: String,
}

impl Endpoint {
    /// Reads `http://HOST:PORT/PREFIX`; without a scheme it is `http`.
    pub(in crate::commands) fn new(addr: &str) -> Result<Self, Failure> {
        let wrong = || Failure::usage(format!("--addr {addr}: not the URL of a server"));
        let full = if addr.contains("://") { addr.to_owned() } else { format!("http://{addr}") };
        let uri: Uri = full.parse().map_err(|_| wrong())?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(Failure::usage(format!("--addr {addr}: neither http nor https"))),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        // Credentials in a URL are seen by everyone who sees the command.
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(Failure::usage("--addr has credentials: use --username and LOKI_PASSWORD"));
        }
        Ok(Self {
            is_tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            authority: uri.authority().map(ToString::to_string).unwrap_or_default(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The whole URL of a path, with another scheme.
    pub(in crate::commands) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{}{path}", self.authority, self.prefix)
    }
}

/// A server and the connection to it.
#[derive(Debug)]
pub(super) struct Remote {
    endpoint: Endpoint,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Remote {
    pub(super) fn new(target: &Target) -> Result<Self, Failure> {
        let endpoint = Endpoint::new(target.addr())?;
        let tls = tls::connector(&endpoint, target)?;
        Ok(Self { endpoint, tls, connection: None })
    }

    pub(super) async fn send(
        &mut self,
        mut request: Request<Bytes>,
        target: &str,
    ) -> Result<Answer, Failure> {
        let uri = format!("{}{target}", self.endpoint.prefix).parse();
        *request.uri_mut() = uri.map_err(|_| Failure::usage(format!("no path: {target}")))?;
        if let Ok(host) = HeaderValue::from_str(&self.endpoint.authority) {
            request.headers_mut().insert(HOST, host);
        }
        // A kept connection may have been closed by the server meanwhile. Everything that is sent here
        // may be sent twice: questions do no harm, and a line that the store has already is kept once.
        if let Some(connection) = self.connection.take()
            && let Ok(answer) = self.send_on(connection, request.clone()).await
        {
            return Ok(answer);
        }
        let connection = self.connect().await?;
        self.send_on(connection, request).await
    }

    async fn send_on(
        &mut self,
        mut connection: SendRequest<Full<Bytes>>,
        request: Request<Bytes>,
    ) -> Result<Answer, Failure> {
        let broken = |error: hyper::Error| {
            let addr = &self.endpoint.authority;
            Failure::failed(format!("the connection to {addr} broke: {}", chain(&error)))
        };
        connection.ready().await.map_err(broken)?;
        let answer = connection.send_request(request.map(Full::new)).await.map_err(broken)?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(broken)?.to_bytes();
        self.connection = Some(connection);
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let Endpoint { host, port, .. } = &self.endpoint;
        let failed =
            |error: String| Failure::failed(format!("cannot connect to {host}:{port}: {error}"));
        let stream = TcpStream::connect((host.as_str(), *port));
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, stream).await;
        let stream = stream.map_err(|_| failed("no answer".to_owned()))?;
        let stream = stream.map_err(|error| failed(error.to_string()))?;
        // Whether it could be set makes no difference but of speed.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => begin(stream).await.map_err(|error| failed(chain(&error))),
            Some((config, name)) => {
                let connector = TlsConnector::from(Arc::clone(config));
                let stream = connector.connect(name.clone(), stream).await;
                let stream = stream.map_err(|error| failed(tls::refusal(&error)))?;
                begin(stream).await.map_err(|error| failed(chain(&error)))
            }
        }
    }
}

async fn begin<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Its errors come to whoever sends.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// An error with its causes: hyper's say little by themselves.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let endpoint = Endpoint::new("https://logs.example:8443/loki/").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port), ("logs.example", 8443));
        assert_eq!(endpoint.url("wss", "/x"), "wss://logs.example:8443/loki/x");
        assert_eq!(Endpoint::new("localhost:3100").unwrap().port, 3100);
        assert_eq!(Endpoint::new("https://x").unwrap().port, 443);
        assert_eq!(Endpoint::new("http://[::1]:1").unwrap().host, "::1");
        for wrong in ["", "ftp://x", "http://", "http://a b", "http://me:secret@x"] {
            assert!(matches!(Endpoint::new(wrong), Err(Failure::Usage(_))), "{wrong}");
        }
    }
}
