//! The section `ingest`: protocols beside Loki's push and OpenTelemetry. All are off by default.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::{Offset, TimeZone};
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use timberline_store::TenantId;

use super::{TlsConfig, units};

/// The section `ingest`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestConfig {
    /// `/insert/jsonline` and `/insert/raw`.
    pub jsonline: JsonlineConfig,
    /// Elasticsearch's bulk requests.
    pub elasticsearch: ElasticsearchConfig,
    /// What `systemd-journal-upload` sends.
    pub journald: JournaldConfig,
    /// Ports for syslog.
    pub syslog: Vec<SyslogListener>,
    /// Ports for Fluentd's forward protocol.
    pub fluent_forward: Vec<ForwardListener>,
}

/// The section `ingest.jsonline`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JsonlineConfig {
    /// Whether the endpoints are there.
    pub enabled: bool,
}

/// The section `ingest.elasticsearch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ElasticsearchConfig {
    /// Whether the endpoints are there.
    pub enabled: bool,
    /// The version that clients are told. They talk to their own or a newer one.
    pub version: String,
    /// Fields that become labels. `_index` is the index, and the label `index`.
    pub labels: Vec<String>,
    /// Fields that may have the line; the first that is there has it.
    pub message_fields: Vec<String>,
}

impl Default for ElasticsearchConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            version: "8.17.0".to_owned(),
            labels: ["_index", "host.name", "service.name"].map(str::to_owned).into(),
            message_fields: MESSAGE_FIELDS.map(str::to_owned).into(),
        }
    }
}

/// What agents call the line.
const MESSAGE_FIELDS: [&str; 4] = ["message", "log", "msg", "_msg"];

/// The section `ingest.journald`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JournaldConfig {
    /// Whether the endpoints are there.
    pub enabled: bool,
    /// Fields that become labels.
    pub labels: Vec<String>,
}

impl Default for JournaldConfig {
    fn default() -> Self {
        let labels = ["_HOSTNAME", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER"];
        Self { enabled: false, labels: labels.map(str::to_owned).into() }
    }
}

/// One of `ingest.syslog`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyslogListener {
    /// Host and port. Port 0 takes a free one.
    pub listen: String,
    /// How messages come.
    pub protocol: SyslogProtocol,
    /// Whose the messages are. Needed where `auth_enabled`, else there is none.
    #[serde(deserialize_with = "tenant")]
    pub tenant: String,
    /// What of a message becomes labels; the rest is metadata.
    pub labels: Vec<SyslogLabel>,
    /// Labels that every message gets.
    #[serde(deserialize_with = "static_labels")]
    pub static_labels: BTreeMap<String, String>,
    /// Where the clocks of senders are that do not say it: `UTC`, `local`, `Europe/Berlin`, `+02:00`.
    #[serde(deserialize_with = "timezone")]
    pub timezone: String,
    /// Certificates, where `protocol` is `tls`.
    pub tls: TlsConfig,
    /// Connections that may be open; more are closed at once.
    pub max_connections: usize,
    /// The longest message in bytes; the rest of longer ones is cut off and counted.
    #[serde(with = "units::size")]
    pub message_bytes_max: usize,
    /// Bytes of messages that may wait to be stored. Past it TCP senders wait, and UDP messages are
    /// dropped and counted.
    #[serde(with = "units::size")]
    pub queue_bytes_max: usize,
    /// How long a connection may be silent.
    #[serde(with = "units::duration")]
    pub idle_timeout: Duration,
}

impl Default for SyslogListener {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:5514".to_owned(),
            protocol: SyslogProtocol::Udp,
            tenant: String::new(),
            labels: SyslogLabel::ALL.into(),
            static_labels: BTreeMap::new(),
            timezone: "UTC".to_owned(),
            tls: TlsConfig::default(),
            max_connections: 1000,
            message_bytes_max: 64 << 10,
            queue_bytes_max: 16 << 20,
            idle_timeout: Duration::from_secs(3600),
        }
    }
}

/// How syslog messages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyslogProtocol {
    /// One in each datagram.
    Udp,
    /// One after the other, each with its length in front or a line feed behind.
    Tcp,
    /// The same within TLS.
    Tls,
}

impl SyslogProtocol {
    /// Its name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// What of a syslog message can be a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyslogLabel {
    /// The sender's name for itself, else its address.
    Host,
    /// The program.
    App,
    /// `kern` to `local7`.
    Facility,
    /// `emerg` to `debug`.
    Severity,
}

impl SyslogLabel {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Host, Self::App, Self::Facility, Self::Severity];
}

impl SyslogListener {
    /// Where the clocks of senders are that do not say it.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        // It was checked when it was read.
        zone(&self.timezone).unwrap_or(TimeZone::UTC)
    }
}

/// One of `ingest.fluent_forward`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ForwardListener {
    /// Host and port. Port 0 takes a free one.
    pub listen: String,
    /// Whose the events are. Needed where `auth_enabled`, else there is none.
    #[serde(deserialize_with = "tenant")]
    pub tenant: String,
    /// A file whose first line is the key that senders must know. Empty: all senders are let in.
    pub shared_key_file: std::path::PathBuf,
    /// Fields of records that become labels beside `tag`.
    pub labels: Vec<String>,
    /// Labels that every event gets.
    #[serde(deserialize_with = "static_labels")]
    pub static_labels: BTreeMap<String, String>,
    /// Fields that may have the line; the first that is there has it.
    pub message_fields: Vec<String>,
    /// Connections that may be open; more are closed at once.
    pub max_connections: usize,
    /// The largest message in bytes, as sent. Larger ones end their connection.
    #[serde(with = "units::size")]
    pub message_bytes_max: usize,
    /// Bytes that large messages (over 64 KiB) of all connections may take up together while they are not
    /// stored: so many at a time as have room with `message_bytes_max` each, one at the least. Others wait
    /// and are read no further.
    #[serde(with = "units::size")]
    pub buffer_bytes_max: usize,
    /// How long a connection may be silent.
    #[serde(with = "units::duration")]
    pub idle_timeout: Duration,
}

impl Default for ForwardListener {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:24224".to_owned(),
            tenant: String::new(),
            shared_key_file: std::path::PathBuf::new(),
            labels: Vec::new(),
            static_labels: BTreeMap::new(),
            message_fields: MESSAGE_FIELDS.map(str::to_owned).into(),
            max_connections: 1000,
            message_bytes_max: 32 << 20,
            buffer_bytes_max: 256 << 20,
            idle_timeout: Duration::from_secs(3600),
        }
    }
}

fn tenant<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    let text = String::deserialize(input)?;
    if text.is_empty() {
        return Ok(text);
    }
    TenantId::new(&text).map_err(D::Error::custom)?;
    Ok(text)
}

fn static_labels<'de, D: Deserializer<'de>>(
    input: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let labels = BTreeMap::<String, String>::deserialize(input)?;
    match labels.keys().find(|name| !is_label_name(name)) {
        Some(name) => Err(D::Error::invalid_value(
            Unexpected::Str(name),
            &"a label's name of letters, digits and underscores",
        )),
        None => Ok(labels),
    }
}

/// Whether a label may have this name.
pub(crate) fn is_label_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.bytes().all(is_part)
}

fn timezone<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    let text = String::deserialize(input)?;
    match zone(&text) {
        Some(_) => Ok(text),
        None => Err(D::Error::invalid_value(
            Unexpected::Str(&text),
            &"a time zone such as UTC, local, Europe/Berlin or +02:00",
        )),
    }
}

fn zone(text: &str) -> Option<TimeZone> {
    if text == "local" {
        return Some(TimeZone::system());
    }
    let signed = |sign: i8, rest: &str| {
        let (hours, minutes) = rest.split_once(':')?;
        let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
        let seconds = i32::from(sign) * (hours * 3600 + minutes * 60);
        let in_range = (0..24).contains(&hours) && (0..60).contains(&minutes);
        in_range.then(|| Offset::from_seconds(seconds).ok()).flatten()
    };
    let offset = match text.split_at_checked(1)? {
        ("+", rest) => signed(1, rest),
        ("-", rest) => signed(-1, rest),
        _ => return TimeZone::get(text).ok(),
    };
    offset.map(TimeZone::fixed)
}

#[cfg(test)]
mod tests {
    use super::super::layers::parse_yaml;
    use super::*;

    fn read(yaml: &str) -> Result<super::super::Config, String> {
        let tree = parse_yaml(yaml)?;
        serde_json::from_value(tree).map_err(|error| error.to_string())
    }

    #[test]
    fn listeners_are_read() {
        let yaml = "ingest:\n  syslog:\n    - {listen: '0.0.0.0:514', protocol: tcp, labels: [host, severity], static_labels: {job: syslog}, timezone: Europe/Berlin}\n    - {}\n  fluent_forward: [{labels: [container_name], message_bytes_max: 1MiB}]\n";
        let ingest = read(yaml).unwrap().ingest;
        assert_eq!(ingest.syslog[0].protocol, SyslogProtocol::Tcp);
        assert_eq!(ingest.syslog[0].labels, [SyslogLabel::Host, SyslogLabel::Severity]);
        assert_eq!(ingest.syslog[1], SyslogListener::default());
        assert_eq!(ingest.fluent_forward[0].message_bytes_max, 1 << 20);
    }

    #[test]
    fn what_is_no_listener_is_refused_where_it_stands() {
        for (yaml, text) in [
            ("ingest: {syslog: [{protocol: dccp}]}", "dccp"),
            ("ingest: {syslog: [{timezone: Mars/Olympus}]}", "Mars/Olympus"),
            ("ingest: {syslog: [{timezone: '+25:00'}]}", "+25:00"),
            ("ingest: {syslog: [{tenant: a/b}]}", "unsupported character '/'"),
            ("ingest: {syslog: [{static_labels: {a-b: c}}]}", "a-b"),
            ("ingest: {syslog: [{prot: tcp}]}", "prot"),
            ("ingest: {fluent_forward: [{shared_key: x}]}", "shared_key"),
        ] {
            let error = read(yaml).unwrap_err();
            assert!(error.contains(text) && error.contains("line 1"), "{yaml}: {error}");
        }
    }

    #[test]
    fn zones_are_read() {
        for text in ["UTC", "local", "Europe/Berlin", "+02:00", "-05:30"] {
            assert!(zone(text).is_some(), "{text}");
        }
        assert!(["", "+", "+2", "CEST?"].into_iter().all(|text| zone(text).is_none()));
    }
}
