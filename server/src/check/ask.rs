//! Asks a server for a query's numbers, once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::http::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue};
use ::http::{Request, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::tenant::TENANT_HEADER;

/// The largest answer, in bytes: a check is about few numbers.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Where systems keep the certificates that they trust.
const SYSTEM_CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The server, and who asks.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) addr: String,
    pub(super) tenant: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) bearer_token: Option<String>,
    pub(super) ca_cert: Option<PathBuf>,
}

impl Server {
    /// The series of a query now: labels as text, and the number.
    ///
    /// # Errors
    /// What is wrong, in words for whoever is on duty.
    pub(super) async fn ask(&self, query: &str) -> Result<Vec<(String, f64)>, String> {
        let uri: Uri = self.addr.parse().map_err(|_| format!("{}: no URL", self.addr))?;
        let host = uri.host().ok_or_else(|| format!("{}: no host", self.addr))?.to_owned();
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(format!("{}: neither http nor https", self.addr)),
        };
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let request = self.request(&uri, query)?;
        let name = host.trim_matches(['[', ']']).to_owned();
        let stream = TcpStream::connect((name.as_str(), port)).await;
        let stream = stream.map_err(|error| format!("cannot connect to {host}:{port}: {error}"))?;
        if !is_tls {
            return read(exchange(stream, request).await?);
        }
        let server = ServerName::try_from(name).map_err(|_| format!("{host}: no host's name"))?;
        let connector = TlsConnector::from(Arc::new(self.tls()?));
        let stream = connector.connect(server, stream).await;
        let stream = stream.map_err(|error| format!("no TLS with {host}:{port}: {error}"))?;
        read(exchange(stream, request).await?)
    }

    fn request(&self, uri: &Uri, query: &str) -> Result<Request<Empty<Bytes>>, String> {
        let form =
            form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let target = format!("{}/loki/api/v1/query?{form}", uri.path().trim_end_matches('/'));
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        let mut request =
            Request::get(target).header(HOST, host).header(ACCEPT, "application/json");
        if let Some(tenant) = &self.tenant {
            request = request.header(TENANT_HEADER, tenant);
        }
        let credential = match (&self.bearer_token, &self.username) {
            (Some(token), _) => Some(format!("Bearer {token}")),
            (None, Some(name)) => {
                let password = self.password.as_deref().unwrap_or_default();
                Some(format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))
            }
            (None, None) => None,
        };
        if let Some(credential) = credential {
            let value = HeaderValue::from_str(&credential);
            let value = value
                .map_err(|_| "the credential has characters that no header may have".to_owned())?;
            request = request.header(AUTHORIZATION, value);
        }
        request.body(Empty::new()).map_err(|error| error.to_string())
    }

    fn tls(&self) -> Result<ClientConfig, String> {
        let system = || SYSTEM_CERTIFICATES.map(Path::new).into_iter().find(|path| path.exists());
        let file = self.ca_cert.as_deref().or_else(system);
        let file = file.ok_or("https needs --ca-cert: this system has no certificates")?;
        let mut roots = RootCertStore::empty();
        let unreadable = |error| format!("cannot read {}: {error}", file.display());
        let found = tokio_rustls::rustls::pki_types::CertificateDer::pem_file_iter(file)
            .map_err(unreadable)?;
        let found = found.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        roots.add_parsable_certificates(found);
        let builder =
            ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
        let builder =
            builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

/// Sends the request; gives the body of a good answer.
async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Bytes, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |error: hyper::Error| format!("the connection broke: {error}");
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Its errors come to whoever sends.
    tokio::spawn(async move { drop(connection.await) });
    let answer = sender.send_request(request).await.map_err(broken)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes();
    if status.is_success() {
        return Ok(body);
    }
    Err(format!("the server answers {status}: {}", String::from_utf8_lossy(&body).trim_end()))
}

fn read(body: Bytes) -> Result<Vec<(String, f64)>, String> {
    let strange = || "the answer is not what a Loki server says; is --addr right?".to_owned();
    let answer: Value = serde_json::from_slice(&body).map_err(|_| strange())?;
    let data = &answer["data"];
    let number =
        |value: &Value| value[1].as_str().and_then(|text| text.parse().ok()).ok_or_else(strange);
    match data["resultType"].as_str() {
        Some("scalar") => Ok(vec![("{}".to_owned(), number(&data["result"])?)]),
        Some("vector") => {
            let series = data["result"].as_array().ok_or_else(strange)?;
            let one = |series: &Value| Ok((labels(&series["metric"]), number(&series["value"])?));
            series.iter().map(one).collect()
        }
        Some(other) => {
            Err(format!("the query gives {other}: a check needs numbers, as of count_over_time"))
        }
        None => Err(strange()),
    }
}

/// `{a="b",c="d"}`
fn labels(metric: &Value) -> String {
    let pairs = metric.as_object().into_iter().flatten();
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let read = |text: &'static str| super::read(Bytes::from_static(text.as_bytes()));
        let vector = r#"{"data":{"resultType":"vector","result":[{"metric":{"a":"b","c":"d"},"value":[1,"2.5"]},{"metric":{},"value":[1,"NaN"]}]}}"#;
        let series = read(vector).unwrap();
        assert_eq!(series[0], (r#"{a="b",c="d"}"#.to_owned(), 2.5));
        assert!(series[1].0 == "{}" && series[1].1.is_nan());
        let scalar = r#"{"data":{"resultType":"scalar","result":[1,"7"]}}"#;
        assert_eq!(read(scalar), Ok(vec![("{}".to_owned(), 7.0)]));
        assert!(
            read(r#"{"data":{"resultType":"streams","result":[]}}"#)
                .unwrap_err()
                .contains("needs numbers")
        );
        for strange in ["", "[]", "<html>", r#"{"data":{"resultType":"vector","result":[{}]}}"#] {
            assert!(read(strange).unwrap_err().contains("is --addr right?"), "{strange}");
        }
    }
}
