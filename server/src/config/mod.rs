//! The configuration: what was said, in layers, and what it means.
//!
//! Four layers say something, each over the one before: the defaults, a YAML file, variables of the
//! environment and flags of the command line. Every layer is a tree of plain values; the merged tree
//! is then read as one [`Config`], which is what the rest of the program sees.
//!
//! A key has one name per layer and it is always the same: `server.listen` in YAML's nesting,
//! `TIMBERLINE_SERVER_LISTEN` in the environment (`TIMBERLINE_`, the path in capitals, `_` between its
//! parts). What is not known is refused: a misspelt limit must not silently be no limit.

mod compactor;
pub(crate) mod file;
mod ingest;
mod keys;
mod layers;
mod limits;
mod live;
mod network;
mod overrides;
mod print;
mod ruler;
#[cfg(test)]
mod tests;
pub mod units;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use timberline_query::LogqlFilters;
use timberline_store::{Durability, Store, StoreBuilder};

pub use compactor::{CompactorConfig, DeletionMode, RetentionLimits, SelectorText, StreamPeriod};
pub use file::FileError;
pub(crate) use ingest::is_label_name;
pub use ingest::{
    ElasticsearchConfig, ForwardListener, IngestConfig, JournaldConfig, JsonlineConfig,
    SyslogLabel, SyslogListener, SyslogProtocol,
};
pub(crate) use layers::FILE_VARIABLE;
pub use layers::{ConfigError, Layers};
pub use limits::{LimitsConfig, QueryLimits, RulerLimits};
pub use live::{LiveLimits, TenantLimits};
pub use network::{InvalidNetwork, Network};
pub use overrides::Overrides;
pub use print::{changes_to_yaml, to_yaml};
pub use ruler::{BasicAuthConfig, ClientConfig, ClientTlsConfig, RemoteWriteConfig, RulerConfig};

/// The effective configuration. `timberline config --print` shows it with a comment on every key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The directory that holds everything. Made if it is not there.
    pub data_dir: PathBuf,
    /// Whether requests must name their tenant in `X-Scope-OrgID`. Otherwise all are `fake`'s.
    pub auth_enabled: bool,
    /// The process and its port.
    pub server: ServerConfig,
    /// The storage engine.
    pub store: StoreConfig,
    /// What becomes of stored entries.
    pub compactor: CompactorConfig,
    /// Protocols beside Loki's push and OpenTelemetry.
    pub ingest: IngestConfig,
    /// Reading.
    pub querier: QuerierConfig,
    /// Alerting and recording rules.
    #[serde(deserialize_with = "ruler::section")]
    pub ruler: RulerConfig,
    /// What writes and queries may ask for.
    pub limits_config: LimitsConfig,
    /// What limits of single tenants are instead.
    pub overrides: Overrides,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./data"),
            auth_enabled: false,
            server: ServerConfig::default(),
            store: StoreConfig::default(),
            compactor: CompactorConfig::default(),
            ingest: IngestConfig::default(),
            querier: QuerierConfig::default(),
            ruler: RulerConfig::default(),
            limits_config: LimitsConfig::default(),
            overrides: Overrides::default(),
        }
    }
}

/// The section `server`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Host and port for HTTP/1.1, HTTP/2 and gRPC. Port 0 takes a free one.
    pub listen: String,
    /// What stands before every path of HTTP: empty, or as in `/logs`.
    #[serde(deserialize_with = "units::path_prefix")]
    pub http_path_prefix: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// A level, or directives per module such as `info,timberline_store=debug`.
    pub log_level: String,
    /// How long requests in flight may go on after a signal to stop.
    #[serde(with = "units::duration")]
    pub shutdown_timeout: Duration,
    /// Who may do what. Empty: everyone everything.
    pub credentials_file: PathBuf,
    /// Proxies in front: what they say in `X-Forwarded-For` of who is behind them is believed.
    pub trusted_proxies: Vec<Network>,
    /// Certificates. Without them the port speaks plain HTTP.
    pub tls: TlsConfig,
    /// Origins whose pages may read answers in a browser, as in `https://example.org`; `*` is any.
    #[serde(deserialize_with = "units::origins")]
    pub cors_allowed_origins: Vec<String>,
    /// Connections that may be open. More wait until one ends.
    pub max_connections: usize,
    /// How long a client may take for a connection's first bytes, and for the head of a request.
    #[serde(with = "units::duration")]
    pub head_timeout: Duration,
    /// How long a client may pause in the middle of a body.
    #[serde(with = "units::duration")]
    pub body_timeout: Duration,
    /// How long a connection may be silent between two requests.
    #[serde(with = "units::duration")]
    pub idle_timeout: Duration,
    /// How long a client may take none of an answer.
    #[serde(with = "units::duration")]
    pub write_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:3100".to_owned(),
            http_path_prefix: String::new(),
            log_format: LogFormat::Human,
            log_level: "info".to_owned(),
            shutdown_timeout: Duration::from_secs(30),
            credentials_file: PathBuf::new(),
            trusted_proxies: Vec::new(),
            tls: TlsConfig::default(),
            cors_allowed_origins: Vec::new(),
            max_connections: 10_000,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            // Longer than clients keep idle connections (90 s in Go), or a push may meet a connection
            // that is just being closed.
            idle_timeout: Duration::from_secs(120),
            write_timeout: Duration::from_secs(120),
        }
    }
}

/// The section `server.tls`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The server's certificate and those between it and its root, as PEM. Empty: no TLS.
    pub cert_file: PathBuf,
    /// The certificate's key, as PEM.
    pub key_file: PathBuf,
    /// Certificates of the authorities whose clients are let in, as PEM. Empty: all clients are.
    pub client_ca_file: PathBuf,
}

/// How the server's own log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// The section `store`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Bytes of lines and metadata that may wait in memory before they are flushed.
    #[serde(with = "units::size")]
    pub head_bytes_max: usize,
    /// How long an entry may wait in memory before it is flushed.
    #[serde(with = "units::duration")]
    pub head_age_max: Duration,
    /// When a push is acknowledged.
    pub durability: DurabilityMode,
    /// How often the log is synced where `durability` is `interval`.
    #[serde(with = "units::duration")]
    pub sync_interval: Duration,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            // Three times that are held while a flush does not keep up, and segments of it are soon merged.
            head_bytes_max: 20 << 20,
            head_age_max: Duration::from_secs(30 * 60),
            durability: DurabilityMode::Sync,
            sync_interval: Duration::from_secs(1),
        }
    }
}

/// When a push is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DurabilityMode {
    /// When it is on disk.
    Sync,
    /// When the operating system has it; it is on disk an interval later.
    Interval,
    /// When it is in memory.
    None,
}

/// The section `querier`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuerierConfig {
    /// Whether a read may name several tenants, `a|b`, and gets the entries of all of them.
    pub multi_tenant_queries_enabled: bool,
    /// Queries of one tenant that may wait for their turn. 0 is no limit.
    pub max_outstanding_per_tenant: usize,
}

impl Default for QuerierConfig {
    fn default() -> Self {
        Self { multi_tenant_queries_enabled: false, max_outstanding_per_tenant: 2048 }
    }
}

impl Config {
    /// How to open the store.
    #[must_use]
    pub fn store_builder(&self) -> StoreBuilder {
        let durability = match self.store.durability {
            DurabilityMode::Sync => Durability::Sync,
            DurabilityMode::Interval => Durability::Interval(self.store.sync_interval),
            DurabilityMode::None => Durability::None,
        };
        Store::builder()
            .head_bytes_max(self.store.head_bytes_max)
            .head_age_max(self.store.head_age_max)
            .durability(durability)
            .retention(self.retention())
            .filter_compiler(Arc::new(LogqlFilters))
            .delete_cancel_period(self.compactor.delete_request_cancel_period)
            .compaction_limits(
                self.compactor.time_share,
                u64::try_from(self.compactor.bytes_per_second).unwrap_or(u64::MAX),
            )
    }

    /// How many queries may run at the same time.
    #[must_use]
    pub fn concurrent_queries(&self) -> usize {
        match self.limits_config.query.max_concurrent_queries {
            0 => 2 * std::thread::available_parallelism().map_or(1, usize::from),
            queries => queries.min(tokio::sync::Semaphore::MAX_PERMITS),
        }
    }
}
