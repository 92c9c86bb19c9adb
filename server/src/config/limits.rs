//! The section `limits_config`: what writes and queries may ask for.

use std::fmt;
use std::time::Duration;

use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use timberline_query::EngineLimits;
use timberline_store::Timestamp;

use crate::config::{RetentionLimits, units};
use crate::ingest::IngestLimits;

/// What writes and queries may ask for. One flat section, as in Loki's configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LimitsConfig {
    /// Limits of writes.
    #[serde(flatten)]
    pub ingest: IngestLimits,
    /// Limits of reads.
    #[serde(flatten)]
    pub query: QueryLimits,
    /// How long entries are kept.
    #[serde(flatten)]
    pub retention: RetentionLimits,
    /// How many rules there may be.
    #[serde(flatten)]
    pub ruler: RulerLimits,
}

/// How many rules a tenant may set over the API. Files may have more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RulerLimits {
    /// Rules of a group. 0 is no limit.
    pub ruler_max_rules_per_rule_group: usize,
    /// Groups of a tenant. 0 is no limit.
    pub ruler_max_rule_groups_per_tenant: usize,
}

/// What queries may ask for. The defaults are Loki's where Loki has the limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueryLimits {
    /// Series in an answer. 0 is no limit.
    pub max_query_series: usize,
    /// Entries that a log query may ask for. 0 is no limit.
    pub max_entries_limit_per_query: usize,
    /// The longest time from start to end. Zero is no limit.
    #[serde(with = "units::duration")]
    pub max_query_length: Duration,
    /// The longest `[range]`. Zero is no limit.
    #[serde(with = "units::duration")]
    pub max_query_range: Duration,
    /// How far back from now a read may look. Zero is no limit.
    #[serde(with = "units::duration")]
    pub max_query_lookback: Duration,
    /// Bytes that the entries of a query's selectors may have in its range, filters or not. 0 is no limit.
    #[serde(with = "units::size")]
    pub max_query_bytes_read: usize,
    /// Matchers in a selector. 0 is no limit.
    pub max_streams_matchers_per_query: usize,
    /// Whether there are volume endpoints.
    pub volume_enabled: bool,
    /// Series that the volume endpoints may aggregate.
    pub volume_max_series: usize,
    /// How long a query may take.
    #[serde(with = "units::duration")]
    pub query_timeout: Duration,
    /// Queries that may run at the same time; more wait for their turn. 0 takes twice the cores.
    pub max_concurrent_queries: usize,
    /// Live tails that a tenant may have at the same time. 0 is no limit.
    pub max_concurrent_tail_requests: usize,
    /// How long a live tail may last; clients then begin a new one.
    #[serde(with = "units::duration")]
    pub tail_max_duration: Duration,
    /// Bytes that one query may hold.
    #[serde(with = "units::size")]
    pub query_memory_bytes_max: usize,
    /// Threads that one query may use. 0 takes the cores.
    pub query_threads: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            max_query_series: 500,
            max_entries_limit_per_query: 5000,
            max_query_length: Duration::from_secs(721 * 3600),
            max_query_range: Duration::ZERO,
            max_query_lookback: Duration::ZERO,
            max_query_bytes_read: 0,
            max_streams_matchers_per_query: 1000,
            volume_enabled: true,
            volume_max_series: 1000,
            query_timeout: Duration::from_secs(60),
            max_concurrent_queries: 0,
            max_concurrent_tail_requests: 10,
            tail_max_duration: Duration::from_secs(3600),
            query_memory_bytes_max: 256 << 20,
            query_threads: 0,
        }
    }
}

impl QueryLimits {
    /// The earliest time that a read may look back to.
    #[must_use]
    pub fn earliest(&self, now: Timestamp) -> Timestamp {
        match i64::try_from(self.max_query_lookback.as_nanos()) {
            Ok(0) | Err(_) => Timestamp::MIN,
            Ok(lookback) => now.saturating_sub(lookback),
        }
    }

    /// What the engine allows a query that is asked now.
    #[must_use]
    pub fn engine_limits(&self, now: Timestamp) -> EngineLimits {
        EngineLimits {
            max_series: self.max_query_series,
            partial_series: false,
            max_entries: self.max_entries_limit_per_query,
            timeout: self.query_timeout,
            earliest: self.earliest(now),
            max_query_length: self.max_query_length,
            max_query_range: self.max_query_range,
            max_matchers: self.max_streams_matchers_per_query,
            max_bytes_read: u64::try_from(self.max_query_bytes_read).unwrap_or(u64::MAX),
            memory_bytes_max: self.query_memory_bytes_max,
            threads: self.threads(),
        }
    }

    /// How many threads a query may use.
    #[must_use]
    pub fn threads(&self) -> usize {
        match self.query_threads {
            0 => EngineLimits::default().threads,
            threads => threads,
        }
    }

    /// The limits of a query that both these and `other` hold for: the smaller ones, where 0 is no limit.
    #[must_use]
    pub fn smaller(&self, other: &Self) -> Self {
        fn smaller<T: Copy + Default + Ord>(a: T, b: T) -> T {
            let none = T::default();
            if a == none || (b != none && b < a) { b } else { a }
        }
        Self {
            max_query_series: smaller(self.max_query_series, other.max_query_series),
            max_entries_limit_per_query: smaller(
                self.max_entries_limit_per_query,
                other.max_entries_limit_per_query,
            ),
            max_query_length: smaller(self.max_query_length, other.max_query_length),
            max_query_range: smaller(self.max_query_range, other.max_query_range),
            max_query_lookback: smaller(self.max_query_lookback, other.max_query_lookback),
            max_query_bytes_read: smaller(self.max_query_bytes_read, other.max_query_bytes_read),
            max_streams_matchers_per_query: smaller(
                self.max_streams_matchers_per_query,
                other.max_streams_matchers_per_query,
            ),
            volume_enabled: self.volume_enabled && other.volume_enabled,
            volume_max_series: smaller(self.volume_max_series, other.volume_max_series),
            query_timeout: smaller(self.query_timeout, other.query_timeout),
            max_concurrent_queries: self.max_concurrent_queries,
            max_concurrent_tail_requests: smaller(
                self.max_concurrent_tail_requests,
                other.max_concurrent_tail_requests,
            ),
            tail_max_duration: smaller(self.tail_max_duration, other.tail_max_duration),
            query_memory_bytes_max: self.query_memory_bytes_max.min(other.query_memory_bytes_max),
            query_threads: smaller(self.query_threads, other.query_threads),
        }
    }
}

impl LimitsConfig {
    /// These limits with some of them replaced.
    ///
    /// # Errors
    /// None for limits out of [`CheckedLimits`].
    pub(super) fn with(&self, replaced: &Map<String, Value>) -> Result<Self, serde_json::Error> {
        let mut all = serde_json::to_value(self)?;
        if let Some(all) = all.as_object_mut() {
            all.extend(replaced.clone());
        }
        Self::deserialize(all)
    }
}

impl<'de> Deserialize<'de> for LimitsConfig {
    /// Sorts the keys of the flat section to its structures.
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let mut parts = [Map::new(), Map::new(), Map::new(), Map::new()];
        for (name, value) in CheckedLimits::deserialize(input)?.0 {
            let part = Part::of(&name).unwrap_or(Part::Ingest);
            parts[part as usize].insert(name, value);
        }
        let [ingest, query, retention, ruler] = parts.map(Value::Object);
        Ok(Self {
            ingest: IngestLimits::deserialize(ingest).map_err(D::Error::custom)?,
            query: QueryLimits::deserialize(query).map_err(D::Error::custom)?,
            retention: RetentionLimits::deserialize(retention).map_err(D::Error::custom)?,
            ruler: RulerLimits::deserialize(ruler).map_err(D::Error::custom)?,
        })
    }
}

/// Limits by name, some or all. Each is checked by itself while the input stands at it, so that a message
/// has its line and column.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CheckedLimits(pub(super) Map<String, Value>);

impl<'de> Deserialize<'de> for CheckedLimits {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_map(Section)
    }
}

struct Section;

impl<'de> Visitor<'de> for Section {
    type Value = CheckedLimits;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("limits by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<CheckedLimits, A::Error> {
        let mut limits = Map::new();
        while let Some(key) = pairs.next_key::<Key>()? {
            let value = pairs.next_value_seed(CheckedValue(&key))?;
            if limits.insert(key.name.clone(), value).is_some() {
                return Err(A::Error::custom(format!("duplicate field `{}`", key.name)));
            }
        }
        Ok(CheckedLimits(limits))
    }
}

/// The name of a limit that exists.
struct Key {
    name: String,
    part: Part,
}

/// Which structure a limit is in.
#[derive(Clone, Copy, Debug)]
enum Part {
    Ingest,
    Query,
    Retention,
    Ruler,
}

impl Part {
    /// Where a limit is; `None` where there is none of that name.
    fn of(name: &str) -> Option<Self> {
        if has_key(&QueryLimits::default(), name) {
            Some(Self::Query)
        } else if has_key(&RetentionLimits::default(), name) {
            Some(Self::Retention)
        } else if has_key(&RulerLimits::default(), name) {
            Some(Self::Ruler)
        } else {
            has_key(&IngestLimits::default(), name).then_some(Self::Ingest)
        }
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a limit")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Key, E> {
                let unknown = || E::custom(format!("unknown field `{name}` in limits_config"));
                let part = Part::of(name).ok_or_else(unknown)?;
                Ok(Key { name: name.to_owned(), part })
            }
        }
        input.deserialize_str(Name)
    }
}

fn has_key<T: Serialize>(limits: &T, name: &str) -> bool {
    serde_json::to_value(limits).is_ok_and(|limits| limits.get(name).is_some())
}

/// Reads the value of a key; fails where the key cannot have it.
struct CheckedValue<'a>(&'a Key);

impl<'de> DeserializeSeed<'de> for CheckedValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        let Key { name, part } = self.0;
        let value = Value::deserialize(input)?;
        let alone = Value::Object(Map::from_iter([(name.clone(), value.clone())]));
        let result = match part {
            Part::Ingest => IngestLimits::deserialize(alone).map(drop),
            Part::Query => QueryLimits::deserialize(alone).map(drop),
            Part::Retention => RetentionLimits::deserialize(alone).map(drop),
            Part::Ruler => RulerLimits::deserialize(alone).map(drop),
        };
        result.map_err(|error| D::Error::custom(format!("{name}: {error}")))?;
        Ok(value)
    }
}
