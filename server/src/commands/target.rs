//! Where a command finds the logs: flags and logcli's environment variables.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;
use timberline_store::TenantId;

use super::Failure;
use crate::config::units::parse_duration;

/// The server that is asked where nothing is said.
const DEFAULT_ADDR: &str = "http://127.0.0.1:3100";

/// The header that says who asks.
const AUTHORIZATION: &str = "Authorization";

/// Where the logs are and who asks.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Where the logs are")]
pub(crate) struct Target {
    /// The server [default: http://127.0.0.1:3100]
    #[arg(long, value_name = "URL", env = "LOKI_ADDR", hide_env_values = true)]
    pub(crate) addr: Option<String>,
    /// A data directory that no server is using, instead of a server
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Whose logs; a server without auth_enabled takes no notice
    #[arg(long, visible_alias = "org-id", value_name = "ID", env = "LOKI_ORG_ID")]
    pub(crate) tenant: Option<String>,
    /// For basic authentication
    #[arg(long, value_name = "NAME", env = "LOKI_USERNAME", hide_env_values = true)]
    pub(crate) username: Option<String>,
    /// For basic authentication; better in the environment, where others do not see it
    #[arg(long, value_name = "SECRET", env = "LOKI_PASSWORD", hide_env_values = true)]
    pub(crate) password: Option<String>,
    /// A bearer token
    #[arg(long, value_name = "TOKEN", env = "LOKI_BEARER_TOKEN", hide_env_values = true)]
    pub(crate) bearer_token: Option<String>,
    /// A file with a bearer token, which counts before --bearer-token
    #[arg(long, value_name = "FILE", env = "LOKI_BEARER_TOKEN_FILE")]
    pub(crate) bearer_token_file: Option<PathBuf>,
    /// The header that the token goes into
    #[arg(long, value_name = "NAME", env = "LOKI_AUTH_HEADER", default_value = AUTHORIZATION)]
    pub(crate) auth_header: String,
    /// Certificates of the authorities to trust instead of the system's
    #[arg(long, value_name = "FILE", env = "LOKI_CA_CERT_PATH")]
    pub(crate) ca_cert: Option<PathBuf>,
    /// A client certificate
    #[arg(long, value_name = "FILE", env = "LOKI_CLIENT_CERT_PATH")]
    pub(crate) cert: Option<PathBuf>,
    /// The client certificate's key
    #[arg(long, value_name = "FILE", env = "LOKI_CLIENT_KEY_PATH")]
    pub(crate) key: Option<PathBuf>,
    /// Takes any certificate of the server's: whoever is between can read all
    #[arg(long, env = "LOKI_TLS_SKIP_VERIFY", value_parser = FalseyValueParser::new())]
    pub(crate) tls_skip_verify: bool,
    /// Tags for the server's own log, as key=value,key=value
    #[arg(long, value_name = "TAGS", env = "LOKI_QUERY_TAGS")]
    pub(crate) query_tags: Option<String>,
    /// How often a request is tried again that the server could not answer
    #[arg(long, value_name = "N", env = "LOKI_CLIENT_RETRIES", default_value_t = 0)]
    pub(crate) retries: u32,
    /// How long a request may take
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
}

impl Target {
    /// The server's address.
    pub(super) fn addr(&self) -> &str {
        self.addr.as_deref().unwrap_or(DEFAULT_ADDR)
    }

    /// The tenant, for a data directory: as a server without `auth_enabled` where none is named.
    pub(super) fn tenant(&self) -> &str {
        self.tenant.as_deref().unwrap_or(TenantId::DEFAULT)
    }

    /// The same with another server, of another tenant.
    pub(super) fn with_addr(&self, addr: String, tenant: Option<String>) -> Self {
        Self { addr: Some(addr), data: None, tenant, ..self.clone() }
    }

    /// The name and value of the header that says who asks.
    pub(super) fn authorization(&self) -> Result<Option<(String, String)>, Failure> {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        if let Some(token) = self.token()? {
            return Ok(Some((self.auth_header.clone(), format!("Bearer {token}"))));
        }
        let Some(name) = &self.username else { return Ok(None) };
        let pair = format!("{name}:{}", self.password.as_deref().unwrap_or_default());
        let value = format!("Basic {}", STANDARD.encode(pair));
        Ok(Some((AUTHORIZATION.to_owned(), value)))
    }

    fn token(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.bearer_token_file else { return Ok(self.bearer_token.clone()) };
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| Failure::file("read", path, &error))?;
        Ok(Some(text.trim().to_owned()))
    }
}
