//! What a tenant may send.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::otlp::OtlpConfig;
use crate::config::units;

/// What a tenant may send, with Loki's names.
///
/// The defaults are Loki's where a limit guards the store against malformed data. Where a limit would
/// refuse an import of history (rates, ages, order), it is off by default.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct IngestLimits {
    /// Bytes of lines and metadata per tenant and second, in MiB; 0 = unlimited.
    #[serde(deserialize_with = "units::not_negative")]
    pub ingestion_rate_mb: f64,
    /// How much may come at once while the rate is limited, in MiB; the largest push that passes.
    #[serde(deserialize_with = "units::not_negative")]
    pub ingestion_burst_size_mb: f64,
    /// Bytes of lines and metadata per stream and second; 0 = unlimited.
    #[serde(with = "units::size")]
    pub per_stream_rate_limit: usize,
    /// How much may come at once to a stream while its rate is limited.
    #[serde(with = "units::size")]
    pub per_stream_rate_limit_burst: usize,
    /// The longest line in bytes; 0 = any length.
    #[serde(with = "units::size")]
    pub max_line_size: usize,
    /// Whether lines that are too long are cut instead of refused.
    pub max_line_size_truncate: bool,
    /// How many labels a stream may have, `service_name` not counted.
    pub max_label_names_per_series: usize,
    /// The longest label name in bytes.
    pub max_label_name_length: usize,
    /// The longest label value in bytes.
    pub max_label_value_length: usize,
    /// Whether entries older than `reject_old_samples_max_age` are refused.
    pub reject_old_samples: bool,
    /// How old an entry may be when old ones are refused.
    #[serde(with = "units::duration")]
    pub reject_old_samples_max_age: Duration,
    /// How far in the future an entry may be.
    #[serde(with = "units::duration")]
    pub creation_grace_period: Duration,
    /// How far an entry may be behind the newest of its stream; 0 = any order is accepted.
    #[serde(with = "units::duration")]
    pub max_entry_lag: Duration,
    /// How many streams of a tenant may be active at a time; 0 = any number.
    pub max_global_streams_per_user: usize,
    /// Whether entries may have structured metadata.
    pub allow_structured_metadata: bool,
    /// Bytes of names and values that an entry's metadata may have; 0 = any number.
    #[serde(with = "units::size")]
    pub max_structured_metadata_size: usize,
    /// How many pairs an entry's metadata may have; 0 = any number.
    pub max_structured_metadata_entries_count: usize,
    /// Labels whose value becomes `service_name` where that is missing, by preference; empty = off.
    pub discover_service_name: Vec<String>,
    /// Whether every entry gets a `detected_level`.
    pub discover_log_levels: bool,
    /// The largest push body as sent.
    #[serde(with = "units::size")]
    pub max_recv_msg_size: usize,
    /// The largest push body after decompression.
    #[serde(with = "units::size")]
    pub max_decompressed_size: usize,
    /// Bytes that the bodies of all pushes may take up together, as sent and decompressed; more are
    /// answered with 503. A tenant has at most as much as it leaves for others, half when it is alone.
    /// Never less than twice what the largest push needs by itself.
    #[serde(with = "units::size")]
    pub push_memory_bytes_max: usize,
    /// What becomes of OpenTelemetry's attributes.
    pub otlp_config: OtlpConfig,
}

impl Default for IngestLimits {
    fn default() -> Self {
        Self {
            ingestion_rate_mb: 0.0,
            ingestion_burst_size_mb: 6.0,
            per_stream_rate_limit: 0,
            per_stream_rate_limit_burst: 15 << 20,
            max_line_size: 256 << 10,
            max_line_size_truncate: false,
            max_label_names_per_series: 15,
            max_label_name_length: 1024,
            max_label_value_length: 2048,
            reject_old_samples: false,
            reject_old_samples_max_age: Duration::from_secs(7 * 86_400),
            creation_grace_period: Duration::from_secs(600),
            max_entry_lag: Duration::ZERO,
            max_global_streams_per_user: 100_000,
            allow_structured_metadata: true,
            max_structured_metadata_size: 64 << 10,
            max_structured_metadata_entries_count: 128,
            discover_service_name: SERVICE_NAME_SOURCES.map(str::to_owned).into(),
            discover_log_levels: true,
            max_recv_msg_size: 100 << 20,
            max_decompressed_size: 256 << 20,
            push_memory_bytes_max: 1 << 30,
            otlp_config: OtlpConfig::default(),
        }
    }
}

/// Where a service's name is looked for, in Loki's order.
const SERVICE_NAME_SOURCES: [&str; 13] = [
    "service",
    "app",
    "application",
    "app_name",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
    "k8s_job_name",
];

impl IngestLimits {
    /// Every limit's name with a line about it, in the order of the fields; what is within another is
    /// told by its path, with dots.
    #[must_use]
    pub const fn describe() -> &'static [(&'static str, &'static str)] {
        &DESCRIPTIONS
    }
}

const DESCRIPTIONS: [(&str, &str); 29] = [
    (
        "ingestion_rate_mb",
        "Bytes of lines and metadata per tenant and second, in MiB; 0 = unlimited.",
    ),
    (
        "ingestion_burst_size_mb",
        "How much may come at once while the rate is limited, in MiB; the largest push that passes.",
    ),
    ("per_stream_rate_limit", "Bytes of lines and metadata per stream and second; 0 = unlimited."),
    (
        "per_stream_rate_limit_burst",
        "How much may come at once to a stream while its rate is limited.",
    ),
    ("max_line_size", "The longest line in bytes; 0 = any length."),
    ("max_line_size_truncate", "Whether lines that are too long are cut instead of refused."),
    ("max_label_names_per_series", "How many labels a stream may have, service_name not counted."),
    ("max_label_name_length", "The longest label name in bytes."),
    ("max_label_value_length", "The longest label value in bytes."),
    ("reject_old_samples", "Whether entries older than reject_old_samples_max_age are refused."),
    ("reject_old_samples_max_age", "How old an entry may be when old ones are refused."),
    ("creation_grace_period", "How far in the future an entry may be."),
    (
        "max_entry_lag",
        "How far an entry may be behind the newest of its stream; 0 = any order is accepted.",
    ),
    (
        "max_global_streams_per_user",
        "How many streams of a tenant may be active at a time; 0 = any number.",
    ),
    ("allow_structured_metadata", "Whether entries may have structured metadata."),
    (
        "max_structured_metadata_size",
        "Bytes of names and values that an entry's metadata may have; 0 = any number.",
    ),
    (
        "max_structured_metadata_entries_count",
        "How many pairs an entry's metadata may have; 0 = any number.",
    ),
    (
        "discover_service_name",
        "Labels whose value becomes service_name where that is missing, by preference; [] = off.",
    ),
    ("discover_log_levels", "Whether every entry gets a detected_level."),
    ("max_recv_msg_size", "The largest push body as sent."),
    ("max_decompressed_size", "The largest push body after decompression."),
    (
        "push_memory_bytes_max",
        "Bytes that the bodies of all pushes may take up together, with what they unpack to; more get 503.",
    ),
    ("otlp_config", "What becomes of OpenTelemetry's attributes."),
    ("otlp_config.resource_attributes", "Attributes of resources."),
    (
        "otlp_config.resource_attributes.ignore_defaults",
        "Whether service.name, k8s.namespace.name and the others that are labels by default are not.",
    ),
    (
        "otlp_config.resource_attributes.attributes_config",
        "Rules {action: index_label, structured_metadata or drop; attributes: [names]; regex: whole names}.",
    ),
    ("otlp_config.scope_attributes", "Rules for attributes of scopes; not index_label."),
    ("otlp_config.log_attributes", "Rules for attributes of records."),
    (
        "otlp_config.severity_text_as_label",
        "Whether a record's severity text is a label instead of metadata.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_described_in_order() {
        let written = serde_json::to_string(&IngestLimits::default()).unwrap();
        let mut rest = written.as_str();
        for (name, comment) in IngestLimits::describe() {
            let key = format!("\"{}\":", name.rsplit('.').next().unwrap());
            rest = rest.split_once(&key).unwrap_or_else(|| panic!("{name} out of order")).1;
            assert!(comment.ends_with('.'), "{name}");
        }
        let keys = serde_json::to_value(IngestLimits::default()).unwrap();
        let described = IngestLimits::describe().iter().filter(|(name, _)| !name.contains('.'));
        assert_eq!(keys.as_object().unwrap().len(), described.count());
    }

    #[test]
    fn durations_and_sizes_are_texts() {
        let limits: IngestLimits = serde_json::from_str(
            r#"{"max_line_size":"1MB","creation_grace_period":"1h","ingestion_rate_mb":4}"#,
        )
        .unwrap();
        assert_eq!(limits.max_line_size, 1 << 20);
        assert_eq!(limits.creation_grace_period, Duration::from_secs(3600));
        let written = serde_json::to_value(&limits).unwrap();
        assert_eq!(written["max_line_size"], "1MiB");
        assert_eq!(serde_json::from_value::<IngestLimits>(written).unwrap(), limits);
        assert!(serde_json::from_str::<IngestLimits>(r#"{"max_lines":1}"#).is_err());
    }
}
