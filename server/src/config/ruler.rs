//! The section `ruler`: which rules are evaluated, and who is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::http::Uri;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{Config, units};

/// The section `ruler`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RulerConfig {
    /// Whether rules are evaluated, and can be read and set.
    pub enabled: bool,
    /// The directory of the rules, with one below it for each tenant. Empty: `rules` in the data directory.
    pub rule_path: PathBuf,
    /// How often rules are evaluated whose group does not say.
    #[serde(with = "units::duration")]
    pub evaluation_interval: Duration,
    /// How often the directory is looked at for changes.
    #[serde(with = "units::duration")]
    pub poll_interval: Duration,
    /// Alertmanagers; each is told of every alert.
    #[serde(alias = "alertmanager_url", deserialize_with = "urls")]
    pub alertmanager_urls: Vec<String>,
    /// How they are spoken to.
    pub alertmanager_client: ClientConfig,
    /// Alerts that may wait for an Alertmanager.
    pub notification_queue_capacity: usize,
    /// How long after a notification a firing alert is told of again.
    #[serde(with = "units::duration")]
    pub resend_delay: Duration,
    /// How long the server may be down so that alerts are still as old as they were.
    #[serde(with = "units::duration")]
    pub for_outage_tolerance: Duration,
    /// Where the samples of rules are written to.
    #[serde(deserialize_with = "receivers")]
    pub remote_write: Vec<RemoteWriteConfig>,
    /// Samples that may wait for a receiver.
    pub remote_write_queue_capacity: usize,
    /// Whether the samples of recording rules become log entries of the tenant.
    pub store_samples: bool,
    /// Where people reach what shows the logs; links of alerts begin with it.
    pub external_url: String,
    /// Labels that alerts and samples have on the way out, unless they have them already.
    pub external_labels: BTreeMap<String, String>,
    /// Loki's word for `enabled`.
    #[serde(skip_serializing)]
    enable_api: bool,
    /// Loki's way to say `rule_path`.
    #[serde(skip_serializing)]
    storage: Storage,
}

/// How a server is spoken to. Secrets come from files, since everyone who operates may see the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientConfig {
    /// How long a request may take.
    #[serde(with = "units::duration")]
    pub timeout: Duration,
    /// Name and password.
    pub basic_auth: BasicAuthConfig,
    /// A file with a token. Empty: none is sent.
    pub bearer_token_file: PathBuf,
    /// More headers of every request.
    pub headers: BTreeMap<String, String>,
    /// Certificates.
    pub tls_config: ClientTlsConfig,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            basic_auth: BasicAuthConfig::default(),
            bearer_token_file: PathBuf::new(),
            headers: BTreeMap::new(),
            tls_config: ClientTlsConfig::default(),
        }
    }
}

/// A name and a password. Without a name neither is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BasicAuthConfig {
    /// The name.
    pub username: String,
    /// A file with the password.
    pub password_file: PathBuf,
}

/// The certificates of a client, as PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientTlsConfig {
    /// The authorities that are trusted. Empty: those of the system.
    pub ca_file: PathBuf,
    /// The certificate that is shown. Empty: none.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
}

/// A receiver of Prometheus's remote write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct RemoteWriteConfig {
    /// Where it is.
    pub url: String,
    /// How it is spoken to.
    #[serde(flatten)]
    pub client: ClientConfig,
}

impl TryFrom<Map<String, Value>> for RemoteWriteConfig {
    type Error = String;

    fn try_from(mut fields: Map<String, Value>) -> Result<Self, String> {
        let url = match fields.remove("url") {
            Some(Value::String(url)) => url,
            _ => return Err("remote_write: an entry has no url".to_owned()),
        };
        check_url("remote_write", &url)?;
        let client = ClientConfig::deserialize(Value::Object(fields));
        let client = client.map_err(|error| format!("remote_write: {error}"))?;
        Ok(Self { url, client })
    }
}

impl Default for RulerConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            rule_path: PathBuf::new(),
            evaluation_interval: Duration::from_secs(60),
            poll_interval: Duration::from_secs(10),
            alertmanager_urls: Vec::new(),
            alertmanager_client: ClientConfig::default(),
            notification_queue_capacity: 10_000,
            resend_delay: Duration::from_secs(60),
            for_outage_tolerance: Duration::from_secs(3600),
            remote_write: Vec::new(),
            remote_write_queue_capacity: 100_000,
            store_samples: false,
            external_url: String::new(),
            external_labels: BTreeMap::new(),
            enable_api: false,
            storage: Storage::default(),
        }
    }
}

/// Loki's `ruler.storage`, of which there is the local kind.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Storage {
    #[serde(rename = "type")]
    kind: String,
    local: LocalStorage,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LocalStorage {
    directory: PathBuf,
}

/// Reads the section, and checks it as a whole.
///
/// # Errors
/// What cannot work.
pub(super) fn section<'de, D: Deserializer<'de>>(input: D) -> Result<RulerConfig, D::Error> {
    RulerConfig::deserialize(input)?.checked().map_err(D::Error::custom)
}

impl RulerConfig {
    /// With what Loki's words say under our own, unless it cannot work.
    fn checked(mut self) -> Result<Self, String> {
        let storage = std::mem::take(&mut self.storage);
        if !matches!(&*storage.kind, "" | "local") {
            return Err(format!("storage.type '{}' is not local", storage.kind));
        }
        // In Loki's configuration `rule_path` is a place for copies where there is a storage.
        if !is_empty(&storage.local.directory) {
            self.rule_path = storage.local.directory;
        }
        self.enabled |= std::mem::take(&mut self.enable_api);
        for url in &self.alertmanager_urls {
            check_url("alertmanager_urls", url)?;
        }
        if !self.external_url.is_empty() {
            check_url("external_url", &self.external_url)?;
        }
        for (what, duration) in [
            ("evaluation_interval", self.evaluation_interval),
            ("poll_interval", self.poll_interval),
            ("alertmanager_client.timeout", self.alertmanager_client.timeout),
        ] {
            if duration.is_zero() {
                return Err(format!("{what} must be longer than 0s"));
            }
        }
        for capacity in
            [&mut self.notification_queue_capacity, &mut self.remote_write_queue_capacity]
        {
            *capacity = (*capacity).max(1);
        }
        Ok(self)
    }
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

/// Refuses what is no address of a server.
fn check_url(what: &str, url: &str) -> Result<(), String> {
    let refuse = |why: &str| Err(format!("{what}: '{url}' {why}"));
    let Ok(parsed) = url.parse::<Uri>() else { return refuse("is no URL") };
    if !matches!(parsed.scheme_str(), Some("http" | "https")) {
        return refuse("begins neither with http:// nor with https://");
    }
    match parsed.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            refuse("has a password in it: use basic_auth with a password_file")
        }
        Some(_) => Ok(()),
        None => refuse("names no host"),
    }
}

/// A list of URLs, or a text of them between commas, as in Loki's configuration.
fn urls<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a URL, or a list of URLs")]
    enum Urls {
        Text(String),
        List(Vec<String>),
    }
    Ok(match Option::<Urls>::deserialize(input)? {
        None => Vec::new(),
        Some(Urls::List(urls)) => urls,
        Some(Urls::Text(text)) => {
            let urls = text.split(',').map(str::trim).filter(|url| !url.is_empty());
            urls.map(str::to_owned).collect()
        }
    })
}

/// A list of receivers; or, as in Loki's configuration, `{enabled, client}` or `{enabled, clients}`.
fn receivers<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<RemoteWriteConfig>, D::Error> {
    #[derive(Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Section {
        enabled: bool,
        client: Option<RemoteWriteConfig>,
        clients: BTreeMap<String, RemoteWriteConfig>,
    }
    impl Default for Section {
        fn default() -> Self {
            Self { enabled: true, client: None, clients: BTreeMap::new() }
        }
    }
    match Option::<Value>::deserialize(input)? {
        None => Ok(Vec::new()),
        Some(Value::Object(section)) => {
            let section = Section::deserialize(Value::Object(section)).map_err(D::Error::custom)?;
            let clients = section.client.into_iter().chain(section.clients.into_values());
            Ok(clients.filter(|_| section.enabled).collect())
        }
        Some(list) => Vec::deserialize(list).map_err(D::Error::custom),
    }
}

impl Config {
    /// The directory of the rules.
    #[must_use]
    pub fn rule_directory(&self) -> PathBuf {
        if is_empty(&self.ruler.rule_path) {
            return self.data_dir.join("rules");
        }
        self.ruler.rule_path.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::layers::parse_yaml;
    use super::*;

    fn read(yaml: &str) -> Result<RulerConfig, String> {
        let tree = parse_yaml(yaml)?;
        let config: Config = serde_json::from_value(tree).map_err(|error| error.to_string())?;
        Ok(config.ruler)
    }

    #[test]
    fn lokis_words_are_understood() {
        let loki = read(
            "ruler:\n  enable_api: true\n  storage: {type: local, local: {directory: /rules}}\n  \
             rule_path: /tmp/copies\n  alertmanager_url: http://a:9093, http://b:9093\n  \
             remote_write: {enabled: true, client: {url: 'http://p/write', headers: {X: z}}}\n",
        );
        let ours = read(
            "ruler:\n  enabled: true\n  rule_path: /rules\n  \
             alertmanager_urls: ['http://a:9093', 'http://b:9093']\n  \
             remote_write: [{url: 'http://p/write', headers: {X: z}}]\n",
        );
        assert_eq!(loki, ours);
        assert!(loki.unwrap().enabled);
        let off = read("ruler: {remote_write: {enabled: false, client: {url: 'http://p/'}}}");
        assert_eq!(off, Ok(RulerConfig::default()));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (yaml, text) in [
            ("ruler: {alertmanager_urls: ['a:9093']}", "begins neither"),
            ("ruler: {alertmanager_urls: ['http://u:p@a']}", "password_file"),
            ("ruler: {remote_write: [{}]}", "has no url"),
            ("ruler: {remote_write: [{url: 'http://p', pasword: x}]}", "unknown field `pasword`"),
            ("ruler: {evaluation_interval: 0}", "longer than 0s"),
            ("ruler: {storage: {type: s3}}", "'s3' is not local"),
            ("ruler: {nothing: 1}", "unknown field `nothing`"),
        ] {
            let error = read(yaml).unwrap_err();
            assert!(error.contains(text), "{yaml}: {error}");
        }
    }
}
