//! The section `compactor`, and the limits that say how long entries are kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use timberline_query::syntax::{LabelMatcher, ParseError, parse_selector};
use timberline_store::{Matcher, Retention, StreamRetention, TenantRetention};

use super::{Config, TenantLimits, units};

/// The section `compactor`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompactorConfig {
    /// Whether entries go that are past their retention, and can be deleted on request.
    pub retention_enabled: bool,
    /// How long a delete request may be taken back.
    #[serde(with = "units::duration")]
    pub delete_request_cancel_period: Duration,
    /// The longest `max_interval` that a delete request may name.
    #[serde(with = "units::duration")]
    pub delete_max_interval: Duration,
    /// The share of the time that compaction may be at work, on one core.
    #[serde(deserialize_with = "units::not_negative")]
    pub time_share: f64,
    /// Bytes that compaction may write in a second.
    #[serde(with = "units::size")]
    pub bytes_per_second: usize,
}

impl Default for CompactorConfig {
    fn default() -> Self {
        Self {
            retention_enabled: true,
            delete_request_cancel_period: Duration::from_secs(24 * 3600),
            delete_max_interval: Duration::from_secs(24 * 3600),
            time_share: 0.5,
            bytes_per_second: 64 << 20,
        }
    }
}

/// How long a tenant's entries are kept, and whether they can be deleted. Part of `limits_config`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionLimits {
    /// How long entries are kept. Zero is for ever.
    #[serde(with = "units::duration")]
    pub retention_period: Duration,
    /// What holds for some streams instead.
    pub retention_stream: Vec<StreamPeriod>,
    /// What delete requests may do.
    pub deletion_mode: DeletionMode,
}

/// How long the entries of some streams are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamPeriod {
    /// Which streams, as a LogQL selector.
    pub selector: SelectorText,
    /// Of several selectors of a stream the one of the highest priority counts.
    #[serde(default)]
    pub priority: i64,
    /// How long. Zero is for ever.
    #[serde(with = "units::duration")]
    pub period: Duration,
}

/// A LogQL selector that parses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SelectorText {
    text: String,
    matchers: Vec<Matcher>,
}

impl TryFrom<String> for SelectorText {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        let selector = parse_selector(&text)?;
        let matchers = selector.matchers.iter().map(LabelMatcher::compile);
        Ok(Self { matchers: matchers.collect::<Result<_, _>>()?, text })
    }
}

impl From<SelectorText> for String {
    fn from(selector: SelectorText) -> Self {
        selector.text
    }
}

/// What delete requests may do. Loki's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeletionMode {
    /// There are none.
    Disabled,
    /// Entries are hidden at once and leave the disk later.
    #[default]
    FilterAndDelete,
}

impl RetentionLimits {
    /// These limits as the store takes them.
    #[must_use]
    pub fn of_tenant(&self) -> TenantRetention {
        let period = |period: Duration| (!period.is_zero()).then_some(period);
        let streams = self.retention_stream.iter().map(|stream| StreamRetention {
            selector: stream.selector.matchers.clone(),
            priority: stream.priority,
            period: period(stream.period),
        });
        TenantRetention::new(period(self.retention_period)).streams(streams.collect())
    }
}

impl Config {
    /// How long the store keeps what.
    #[must_use]
    pub fn retention(&self) -> Retention {
        match self.compactor.retention_enabled {
            true => {
                TenantLimits::new(self.limits_config.clone(), self.overrides.clone()).retention()
            }
            false => Retention::default(),
        }
    }
}
