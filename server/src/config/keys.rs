//! Every key with its comment, in the order in which it is printed.

use std::borrow::Cow;

use crate::ingest::IngestLimits;

/// A key or section: its path, and the comment above it.
pub(super) struct Key {
    /// Names from the outermost section inwards, with dots.
    pub(super) path: Cow<'static, str>,
    /// One line, without `#`.
    pub(super) doc: &'static str,
}

/// All sections and keys; a section comes right before its keys.
pub(super) fn keys() -> impl Iterator<Item = Key> {
    let ingest = IngestLimits::describe().iter();
    let ingest = ingest.map(|(name, doc)| Key { path: format!("{LIMITS}.{name}").into(), doc });
    KEYS.into_iter()
        .chain(ingest)
        .chain(QUERY_LIMITS)
        .chain(RETENTION_LIMITS)
        .chain(RULER_LIMITS)
        .chain(OVERRIDES)
        .chain(RULER)
}

/// Whether a path has keys below it.
pub(super) fn is_section(path: &str) -> bool {
    let below = |key: &Key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    keys().any(|key| below(&key))
}

/// The section that the ingest limits are in, too.
const LIMITS: &str = "limits_config";

const fn key(path: &'static str, doc: &'static str) -> Key {
    Key { path: Cow::Borrowed(path), doc }
}

/// What comes before the limits.
const KEYS: [Key; 48] = [
    key("data_dir", "The directory that holds everything. Made if it is not there."),
    key(
        "auth_enabled",
        "Whether requests must name their tenant in X-Scope-OrgID. Otherwise everything is tenant fake's.",
    ),
    key("server", "The process and its port."),
    key(
        "server.listen",
        "Host and port for HTTP/1.1, HTTP/2 without TLS, and gRPC. Port 0 takes a free one.",
    ),
    key(
        "server.http_path_prefix",
        "What stands before every path of HTTP, as in /logs; those of gRPC stay as they are. Empty: nothing.",
    ),
    key("server.log_format", "How log lines on stderr look: human or json."),
    key(
        "server.log_level",
        "error, warn, info, debug or trace; or per module: info,timberline_store=debug.",
    ),
    key(
        "server.shutdown_timeout",
        "How long requests in flight may go on after SIGTERM before they are cut off.",
    ),
    key(
        "server.credentials_file",
        "A YAML file of who may do what, see docs/security.md. Empty: everyone may do everything.",
    ),
    key(
        "server.trusted_proxies",
        "Proxies in front, [10.0.0.7, 10.1.0.0/16]: who is behind them is what X-Forwarded-For says.",
    ),
    key(
        "server.cors_allowed_origins",
        "Origins whose pages may read answers in a browser: [https://example.org]; '*' is any.",
    ),
    key("server.max_connections", "Connections that may be open; more wait until one ends."),
    key(
        "server.head_timeout",
        "How long a client may take for a connection's first bytes, and for the head of a request.",
    ),
    key(
        "server.body_timeout",
        "How long a client may pause in the middle of a body, beside a second for each KiB that it has sent.",
    ),
    key("server.idle_timeout", "How long a connection may be silent between two requests."),
    key("server.write_timeout", "How long a client may take none of an answer."),
    key("server.tls", "Certificates, as PEM. They are read again when the files change."),
    key(
        "server.tls.cert_file",
        "The server's certificate and those between it and its root. Empty: plain HTTP.",
    ),
    key("server.tls.key_file", "The certificate's key."),
    key(
        "server.tls.client_ca_file",
        "Certificates of the authorities whose clients are let in. Empty: all clients are.",
    ),
    key("store", "The storage engine."),
    key(
        "store.head_bytes_max",
        "Bytes of lines and metadata that may wait in memory before they are flushed to a segment.",
    ),
    key(
        "store.head_age_max",
        "How long an entry may wait in memory before it is flushed to a segment.",
    ),
    key(
        "store.durability",
        "When a push is acknowledged: sync (on disk), interval (on disk a sync_interval later), none (in memory).",
    ),
    key("store.sync_interval", "How often the log is synced to disk where durability is interval."),
    key("compactor", "What becomes of stored entries."),
    key(
        "compactor.retention_enabled",
        "Whether entries past their retention_period go, and entries can be deleted on request.",
    ),
    key(
        "compactor.delete_request_cancel_period",
        "How long a delete request may be taken back: so long its entries are hidden but stay on disk.",
    ),
    key(
        "compactor.delete_max_interval",
        "The longest max_interval that a delete request may name.",
    ),
    key(
        "compactor.time_share",
        "The share of the time that compaction may be at work, on one core: 0 to 1; 0 = it does not run.",
    ),
    key(
        "compactor.bytes_per_second",
        "Bytes that compaction may write in a second; 0 = any number.",
    ),
    key("ingest", "Protocols beside Loki's push and OpenTelemetry; see docs/clients.md."),
    key("ingest.jsonline", "JSON lines and plain files over HTTP."),
    key("ingest.jsonline.enabled", "Whether /insert/jsonline and /insert/raw are there."),
    key(
        "ingest.elasticsearch",
        "Elasticsearch's bulk requests, for Filebeat, Logstash and others.",
    ),
    key(
        "ingest.elasticsearch.enabled",
        "Whether /_bulk is there, and under /insert/elasticsearch/, with what clients ask before.",
    ),
    key(
        "ingest.elasticsearch.version",
        "The version that clients are told; Beats want one that is not older than they are.",
    ),
    key(
        "ingest.elasticsearch.labels",
        "Fields that become labels; _index is the index. The others become metadata.",
    ),
    key(
        "ingest.elasticsearch.message_fields",
        "Fields that may have the line; the first that is there has it.",
    ),
    key("ingest.journald", "What systemd-journal-upload sends."),
    key("ingest.journald.enabled", "Whether /upload and /insert/journald/upload are there."),
    key("ingest.journald.labels", "Fields that become labels. The others become metadata."),
    key(
        "ingest.syslog",
        "Ports for syslog: a list of {listen, protocol: udp, tcp or tls, tenant, labels, …}, see docs/configuration.md.",
    ),
    key(
        "ingest.fluent_forward",
        "Ports for Fluentd's forward protocol: a list of {listen, tenant, shared_key_file, labels, …}.",
    ),
    key("querier", "Reading."),
    key(
        "querier.multi_tenant_queries_enabled",
        "Whether a read may name several tenants, as in X-Scope-OrgID: a|b.",
    ),
    key(
        "querier.max_outstanding_per_tenant",
        "Queries of one tenant that may wait for their turn; more get 429; 0 = any number.",
    ),
    key("limits_config", "What writes and queries may ask for."),
];

/// The limits of queries.
const QUERY_LIMITS: [Key; 15] = [
    key("limits_config.max_query_series", "Series that an answer may have; 0 = unlimited."),
    key(
        "limits_config.max_entries_limit_per_query",
        "Entries that a log query may ask for; 0 = unlimited.",
    ),
    key(
        "limits_config.max_query_length",
        "The longest time from start to end of a query; 0 = unlimited.",
    ),
    key("limits_config.max_query_range", "The longest [range] in a query; 0 = unlimited."),
    key(
        "limits_config.max_query_lookback",
        "How far back from now reads may look: what is before is as if it were not there; 0 = any time.",
    ),
    key(
        "limits_config.max_query_bytes_read",
        "Bytes that a query's selectors may have in its range, filters or not; more is refused; 0 = unlimited.",
    ),
    key(
        "limits_config.max_streams_matchers_per_query",
        "Matchers that a selector may have; 0 = unlimited.",
    ),
    key(
        "limits_config.volume_enabled",
        "Whether there are volume endpoints; otherwise they are 404.",
    ),
    key("limits_config.volume_max_series", "Series that the volume endpoints may return."),
    key("limits_config.query_timeout", "How long a query may take."),
    key(
        "limits_config.max_concurrent_queries",
        "Queries that run at the same time; more wait for their turn; 0 = twice the cores.",
    ),
    key(
        "limits_config.max_concurrent_tail_requests",
        "Live tails that a tenant may have at the same time; 0 = unlimited.",
    ),
    key(
        "limits_config.tail_max_duration",
        "How long a live tail may last; clients then begin a new one.",
    ),
    key("limits_config.query_memory_bytes_max", "Bytes that one query may hold in memory."),
    key("limits_config.query_threads", "Threads that one query may use; 0 = the cores."),
];

/// How long entries are kept.
const RETENTION_LIMITS: [Key; 3] = [
    key("limits_config.retention_period", "How long entries are kept; 0 = for ever."),
    key(
        "limits_config.retention_stream",
        "What holds for some streams instead: a list of {selector, priority, period}.",
    ),
    key(
        "limits_config.deletion_mode",
        "Whether entries can be deleted on request: filter-and-delete or disabled.",
    ),
];

/// How many rules there may be.
const RULER_LIMITS: [Key; 2] = [
    key(
        "limits_config.ruler_max_rules_per_rule_group",
        "Rules that a group may have which is set over HTTP; 0 = unlimited.",
    ),
    key(
        "limits_config.ruler_max_rule_groups_per_tenant",
        "Groups that a tenant may have when one more is set over HTTP; 0 = unlimited.",
    ),
];

/// The section of the rules.
const RULER: [Key; 25] = [
    key("ruler", "Alerting and recording rules, see docs/ruler.md."),
    key("ruler.enabled", "Whether rules are evaluated, and can be read and set over HTTP."),
    key("ruler.rule_path", "The directory of the rules, TENANT/*.yaml. Empty: rules in data_dir."),
    key("ruler.evaluation_interval", "How often rules are evaluated whose group does not say."),
    key("ruler.poll_interval", "How often the directory is looked at for changes."),
    key(
        "ruler.alertmanager_urls",
        "Alertmanagers, [http://host:9093]; each is told of every alert.",
    ),
    key("ruler.alertmanager_client", "How Alertmanagers are spoken to."),
    key("ruler.alertmanager_client.timeout", "How long a request may take."),
    key("ruler.alertmanager_client.bearer_token_file", "A file with a token. Empty: none is sent."),
    key("ruler.alertmanager_client.headers", "More headers of every request: {name: value}."),
    key("ruler.alertmanager_client.basic_auth", "A name and a password."),
    key("ruler.alertmanager_client.basic_auth.username", "The name. Empty: neither is sent."),
    key("ruler.alertmanager_client.basic_auth.password_file", "A file with the password."),
    key("ruler.alertmanager_client.tls_config", "Certificates, as PEM, for https."),
    key(
        "ruler.alertmanager_client.tls_config.ca_file",
        "The authorities that are trusted. Empty: those of the system.",
    ),
    key(
        "ruler.alertmanager_client.tls_config.cert_file",
        "The certificate that is shown. Empty: none.",
    ),
    key("ruler.alertmanager_client.tls_config.key_file", "Its key."),
    key(
        "ruler.notification_queue_capacity",
        "Alerts that may wait for an Alertmanager; beyond, the oldest are dropped.",
    ),
    key("ruler.resend_delay", "How long after a notification a firing alert is told of again."),
    key(
        "ruler.for_outage_tolerance",
        "How long the server may be down so that alerts are still as old as they were.",
    ),
    key(
        "ruler.remote_write",
        "Receivers of the samples: a list of {url, timeout, basic_auth, bearer_token_file, headers, tls_config}.",
    ),
    key(
        "ruler.remote_write_queue_capacity",
        "Samples that may wait for a receiver; beyond, the oldest are dropped.",
    ),
    key(
        "ruler.store_samples",
        "Whether samples of recording rules become log entries of the tenant, too.",
    ),
    key(
        "ruler.external_url",
        "Where people reach what shows the logs; links of alerts begin with it.",
    ),
    key(
        "ruler.external_labels",
        "Labels that alerts and samples get on the way out: {name: value}.",
    ),
];

/// What comes behind the limits.
const OVERRIDES: [Key; 1] = [key(
    "overrides",
    "Limits of single tenants, by tenant and by name: {team-a: {max_query_series: 1000}}.",
)];
