//! A client that posts: to Alertmanagers and to receivers of samples.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use ::http::{HeaderMap, Request, StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, pem};
use tokio_rustls::rustls::{self, ClientConfig as RustlsConfig, RootCertStore, crypto};

use crate::config::ClientConfig;
use crate::tls::{TlsError, certificates};

/// The most of an answer that is read: it only says what is wrong.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// How long a connection is kept that nothing is sent over.
const IDLE: Duration = Duration::from_secs(90);

/// Why nobody can be spoken to with this configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The trusted authorities or the certificate that is shown do not fit.
    #[error("certificates cannot be used: {0}")]
    Certificates(#[from] rustls::Error),
    /// A file with a secret cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Something that is to be a header is none.
    #[error("'{0}' cannot be a header")]
    Header(String),
}

/// Posts to servers.
#[derive(Clone, Debug)]
pub(super) struct Poster {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    config: Arc<ClientConfig>,
    headers: HeaderMap,
}

/// Why something was not taken.
#[derive(Debug)]
pub(super) struct Refusal {
    /// None where there was no answer.
    pub(super) status: Option<StatusCode>,
    /// How long the other side wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    pub(super) text: String,
}

impl Refusal {
    /// Whether the same may be taken at another time.
    pub(super) fn may_pass(&self) -> bool {
        self.status.is_none_or(|status| {
            status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
        })
    }

    fn without_answer(text: impl ToString) -> Self {
        Self { status: None, retry_after: None, text: text.to_string() }
    }
}

impl Poster {
    /// # Errors
    /// Files that cannot be used.
    pub(super) fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        let tls = tls_config(config)?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        let mut headers = HeaderMap::new();
        let agent = format!("timberline/{}", crate::VERSION);
        headers.insert(USER_AGENT, header(&agent)?);
        for (name, value) in &config.headers {
            let name = name.parse::<HeaderName>();
            let name = name.map_err(|_| ClientError::Header(value.clone()))?;
            headers.insert(name, header(value)?);
        }
        // A secret that is not there is told of at the start, not when there is an alert.
        authorization(config)?;
        Ok(Self { client, config: Arc::new(config.clone()), headers })
    }

    /// Posts a body.
    ///
    /// # Errors
    /// What the other side says where the status is not 2xx, or why there is no answer.
    pub(super) async fn post(
        &self,
        url: &Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(), Refusal> {
        match tokio::time::timeout(self.config.timeout, self.send(url, headers, body)).await {
            Ok(result) => result,
            Err(_) => Err(Refusal::without_answer(format!(
                "no answer in {}",
                crate::config::units::format_duration(self.config.timeout)
            ))),
        }
    }

    async fn send(&self, url: &Uri, headers: HeaderMap, body: Bytes) -> Result<(), Refusal> {
        let config = Arc::clone(&self.config);
        // Read each time: files with secrets are replaced while the server runs.
        let secret = tokio::task::spawn_blocking(move || authorization(&config)).await;
        let secret = secret.map_err(Refusal::without_answer)?.map_err(Refusal::without_answer)?;
        let request = Request::post(url.clone()).body(Full::new(body));
        let mut request = request.map_err(Refusal::without_answer)?;
        request.headers_mut().extend(self.headers.clone());
        request.headers_mut().extend(headers);
        if let Some(secret) = secret {
            request.headers_mut().insert(AUTHORIZATION, secret);
        }
        let response = self.client.request(request).await.map_err(|error| {
            // The cause says more than "client error".
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            Refusal::without_answer(cause.unwrap_or_else(|| error.to_string()))
        })?;
        let (parts, body) = response.into_parts();
        let text = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        if parts.status.is_success() {
            return Ok(());
        }
        let text = text.map(|text| text.to_bytes()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let retry_after = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        Err(Refusal {
            status: Some(parts.status),
            retry_after: retry_after.and_then(|text| text.parse().ok()).map(Duration::from_secs),
            text: format!("{}: {}", parts.status, text.lines().next().unwrap_or_default()),
        })
    }
}

fn header(text: &str) -> Result<HeaderValue, ClientError> {
    HeaderValue::from_str(text).map_err(|_| ClientError::Header(text.to_owned()))
}

/// The header that says who we are.
fn authorization(config: &ClientConfig) -> Result<Option<HeaderValue>, ClientError> {
    let basic = &config.basic_auth;
    let text = if !basic.username.is_empty() {
        let password = secret(&basic.password_file)?;
        format!("Basic {}", STANDARD.encode(format!("{}:{password}", basic.username)))
    } else if !config.bearer_token_file.as_os_str().is_empty() {
        format!("Bearer {}", secret(&config.bearer_token_file)?)
    } else {
        return Ok(None);
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| ClientError::Header("the content of the secret's file".to_owned()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn secret(path: &Path) -> Result<String, ClientError> {
    if path.as_os_str().is_empty() {
        return Ok(String::new());
    }
    let text = std::fs::read_to_string(path)
        .map_err(|source| ClientError::Secret { path: path.to_owned(), source })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn tls_config(config: &ClientConfig) -> Result<RustlsConfig, ClientError> {
    let files = &config.tls_config;
    let mut roots = RootCertStore::empty();
    if files.ca_file.as_os_str().is_empty() {
        // Without any, https fails with a text that says so; plain HTTP needs none.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        for certificate in certificates(&files.ca_file)? {
            roots.add(certificate)?;
        }
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = RustlsConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots);
    if files.cert_file.as_os_str().is_empty() {
        return Ok(builder.with_no_client_auth());
    }
    let wrong = |source: pem::Error| TlsError::File { path: files.key_file.clone(), source };
    let key = PrivateKeyDer::from_pem_file(&files.key_file).map_err(wrong)?;
    Ok(builder.with_client_auth_cert(certificates(&files.cert_file)?, key)?)
}
