//! Which attributes become labels, which metadata, and which are dropped.

use std::fmt;

use regex::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The resource attributes that are labels by default (Loki's list).
const DEFAULT_LABELS: [&str; 18] = [
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "k8s.replicaset.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
];

/// What becomes of OpenTelemetry's attributes, with Loki's names.
///
/// Of several rules the first that names an attribute decides; what none names is metadata.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpConfig {
    /// Attributes of resources.
    pub resource_attributes: ResourceAttributes,
    /// Attributes of scopes. They cannot be labels.
    #[serde(deserialize_with = "without_labels")]
    pub scope_attributes: Vec<AttributeRule>,
    /// Attributes of records.
    pub log_attributes: Vec<AttributeRule>,
    /// Whether a record's severity text is a label instead of metadata.
    pub severity_text_as_label: bool,
}

/// What becomes of a resource's attributes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceAttributes {
    /// Whether the attributes that are labels by default are not.
    pub ignore_defaults: bool,
    /// The rules, behind the defaults.
    pub attributes_config: Vec<AttributeRule>,
}

/// What becomes of some attributes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeRule {
    /// What becomes of them.
    pub action: AttributeAction,
    /// Their names.
    #[serde(default)]
    pub attributes: Vec<String>,
    /// A regular expression that matches their whole names.
    #[serde(default)]
    pub regex: Option<NamePattern>,
}

/// What becomes of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributeAction {
    /// A label of the stream.
    IndexLabel,
    /// Structured metadata of the entry.
    StructuredMetadata,
    /// Nothing.
    Drop,
}

/// A regular expression for whole names.
#[derive(Clone)]
pub struct NamePattern {
    source: String,
    regex: Regex,
}

impl OtlpConfig {
    pub(super) fn of_resource(&self, name: &str) -> AttributeAction {
        let rules = &self.resource_attributes;
        if !rules.ignore_defaults && DEFAULT_LABELS.contains(&name) {
            return AttributeAction::IndexLabel;
        }
        first(&rules.attributes_config, name)
    }

    pub(super) fn of_scope(&self, name: &str) -> AttributeAction {
        first(&self.scope_attributes, name)
    }

    pub(super) fn of_record(&self, name: &str) -> AttributeAction {
        first(&self.log_attributes, name)
    }
}

fn first(rules: &[AttributeRule], name: &str) -> AttributeAction {
    let names = |rule: &&AttributeRule| {
        rule.attributes.iter().any(|attribute| attribute == name)
            || rule.regex.as_ref().is_some_and(|pattern| pattern.regex.is_match(name))
    };
    rules.iter().find(names).map_or(AttributeAction::StructuredMetadata, |rule| rule.action)
}

fn without_labels<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<AttributeRule>, D::Error> {
    let rules = Vec::<AttributeRule>::deserialize(input)?;
    if rules.iter().any(|rule| rule.action == AttributeAction::IndexLabel) {
        let text = "attributes of scopes cannot be labels: index_label is not for scope_attributes";
        return Err(serde::de::Error::custom(text));
    }
    Ok(rules)
}

impl PartialEq for NamePattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

impl Serialize for NamePattern {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.source)
    }
}

impl<'de> Deserialize<'de> for NamePattern {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let source = String::deserialize(input)?;
        let regex = Regex::new(&format!("^(?:{source})$")).map_err(serde::de::Error::custom)?;
        Ok(Self { source, regex })
    }
}

#[cfg(test)]
mod tests {
    use super::AttributeAction::{Drop, IndexLabel, StructuredMetadata};
    use super::*;

    #[test]
    fn the_first_rule_that_names_an_attribute_decides() {
        let config: OtlpConfig = serde_json::from_str(
            r#"{"resource_attributes": {"attributes_config": [
                  {"action": "drop", "attributes": ["service.name", "secret"]},
                  {"action": "index_label", "regex": "team\\..*"}]},
                "scope_attributes": [{"action": "drop", "regex": "x"}],
                "log_attributes": [{"action": "index_label", "attributes": ["level"]},
                                   {"action": "drop", "regex": ".*"}]}"#,
        )
        .unwrap();
        for (name, action) in [
            ("service.name", IndexLabel),
            ("secret", Drop),
            ("team.name", IndexLabel),
            ("my.team.name", StructuredMetadata),
            ("host.name", StructuredMetadata),
        ] {
            assert_eq!(config.of_resource(name), action, "{name}");
        }
        assert_eq!((config.of_scope("x"), config.of_scope("xy")), (Drop, StructuredMetadata));
        assert_eq!((config.of_record("level"), config.of_record("y")), (IndexLabel, Drop));
        let written = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<OtlpConfig>(&written).unwrap(), config);
    }

    #[test]
    fn defaults_may_be_switched_off() {
        let config: OtlpConfig =
            serde_json::from_str(r#"{"resource_attributes": {"ignore_defaults": true}}"#).unwrap();
        assert_eq!(config.of_resource("service.name"), StructuredMetadata);
        assert_eq!(OtlpConfig::default().of_resource("k8s.job.name"), IndexLabel);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for text in [
            r#"{"scope_attributes": [{"action": "index_label", "attributes": ["x"]}]}"#,
            r#"{"log_attributes": [{"action": "keep", "attributes": ["x"]}]}"#,
            r#"{"log_attributes": [{"action": "drop", "regex": "("}]}"#,
            r#"{"log_attributes": [{"action": "drop", "attribute": ["x"]}]}"#,
            r#"{"log": []}"#,
        ] {
            assert!(serde_json::from_str::<OtlpConfig>(text).is_err(), "{text}");
        }
    }
}
