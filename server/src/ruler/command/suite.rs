//! Test files: what they say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use timberline_query::syntax::parse_selector;
use timberline_store::MatchOp;

use crate::ruler::rules::{LabelMap, PromDuration};

/// Entries that the streams of a test may have.
const ENTRIES_MAX: usize = 1_000_000;

/// A test file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Suite {
    #[serde(default)]
    pub(super) rule_files: Vec<PathBuf>,
    #[serde(default = "minute")]
    pub(super) evaluation_interval: PromDuration,
    #[serde(default)]
    pub(super) group_eval_order: Vec<String>,
    #[serde(default)]
    pub(super) tests: Vec<Test>,
}

/// A test: lines, and what is to come of them. The time begins at the Unix epoch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Test {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) input_streams: Vec<InputStream>,
    #[serde(default)]
    pub(super) external_labels: LabelMap,
    #[serde(default)]
    pub(super) external_url: String,
    #[serde(default)]
    pub(super) alert_rule_test: Vec<AlertTest>,
    #[serde(default)]
    pub(super) logql_expr_test: Vec<ExprTest>,
    #[serde(default)]
    pub(super) recording_rule_test: Vec<RecordTest>,
}

impl Test {
    /// How many entries its streams have.
    pub(super) fn entries(&self) -> usize {
        let entries = self.input_streams.iter().flat_map(|stream| &stream.entries);
        entries.map(|entry| entry.count.unwrap_or(1)).fold(0, usize::saturating_add)
    }

    /// The last time at which something is expected of rules.
    pub(super) fn last_time(&self) -> Option<i64> {
        let alerts = self.alert_rule_test.iter().map(|test| test.eval_time.0);
        alerts.chain(self.recording_rule_test.iter().map(|test| test.eval_time.0)).max()
    }
}

/// A stream with its entries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputStream {
    #[serde(deserialize_with = "labels")]
    pub(super) labels: LabelMap,
    #[serde(default)]
    pub(super) entries: Vec<InputEntry>,
}

/// An entry, or several of the same line at a distance from each other.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputEntry {
    pub(super) at: PromDuration,
    #[serde(default)]
    every: PromDuration,
    #[serde(default)]
    count: Option<usize>,
    pub(super) line: String,
    #[serde(default)]
    pub(super) structured_metadata: LabelMap,
}

impl InputEntry {
    /// When the entries are, in nanoseconds.
    pub(super) fn times(&self) -> impl Iterator<Item = i64> {
        let (at, every) = (self.at.0, self.every.0);
        let indices = 0..i64::try_from(self.count.unwrap_or(1)).unwrap_or(i64::MAX);
        indices.map(move |index| at.saturating_add(every.saturating_mul(index)))
    }
}

/// Which alerts of a name fire at a time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertTest {
    pub(super) eval_time: PromDuration,
    pub(super) alertname: String,
    #[serde(default)]
    pub(super) exp_alerts: Vec<ExpectedAlert>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedAlert {
    #[serde(default)]
    pub(super) exp_labels: LabelMap,
    #[serde(default)]
    pub(super) exp_annotations: LabelMap,
}

/// What a query finds at a time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExprTest {
    pub(super) expr: String,
    pub(super) eval_time: PromDuration,
    #[serde(default)]
    pub(super) exp_samples: Vec<ExpectedSample>,
}

/// What a recording rule gives at a time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordTest {
    pub(super) record: String,
    pub(super) eval_time: PromDuration,
    #[serde(default)]
    pub(super) exp_samples: Vec<ExpectedSample>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedSample {
    #[serde(default, deserialize_with = "labels")]
    pub(super) labels: LabelMap,
    pub(super) value: f64,
}

const fn minute() -> PromDuration {
    PromDuration(60_000_000_000)
}

/// A map, or a text `{a="b"}`.
fn labels<'de, D: Deserializer<'de>>(input: D) -> Result<LabelMap, D::Error> {
    use serde::de::Error as _;
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "labels: {a: b}, or a text '{a=\"b\"}'")]
    enum Labels {
        Text(String),
        Map(BTreeMap<String, String>),
    }
    match Labels::deserialize(input)? {
        Labels::Map(labels) => Ok(labels),
        Labels::Text(text) => {
            let selector = parse_selector(&text).map_err(D::Error::custom)?;
            let labels = selector.matchers.iter().map(|matcher| match matcher.op {
                MatchOp::Equal => Ok((matcher.name.clone(), matcher.value.clone())),
                _ => Err(D::Error::custom(format!("{text}: a label has one value, after ="))),
            });
            labels.collect()
        }
    }
}

impl Suite {
    /// Reads a test file. Paths of rule files are from its directory on.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let mut suite = Self::parse(&text)?;
        let directory = path.parent().unwrap_or_else(|| Path::new("."));
        for file in &mut suite.rule_files {
            *file = directory.join(&file);
        }
        Ok(suite)
    }

    /// Reads the text of a test file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let suite: Self = serde_saphyr::from_str(text)
            .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())?;
        if suite.evaluation_interval.0 == 0 {
            return Err("evaluation_interval must be longer than 0s".to_owned());
        }
        if suite.tests.iter().any(|test| test.entries() > ENTRIES_MAX) {
            return Err(format!("a test has more than {ENTRIES_MAX} entries"));
        }
        Ok(suite)
    }
}
