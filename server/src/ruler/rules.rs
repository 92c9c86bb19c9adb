//! Rule files: what they say, what is wrong with them, and how they are written.
//!
//! The shape is that of Prometheus, with LogQL for PromQL. What is not known is refused.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_saphyr::Spanned;
use timberline_query::syntax::{Expr, parse};
use timberline_query::{AlertTemplate, format_prometheus_duration, parse_prometheus_duration};

/// Names and values, by name.
pub(crate) type LabelMap = BTreeMap<String, String>;

/// The label that a metric's name is in.
pub(super) const METRIC_NAME: &str = "__name__";

/// The largest rule file, in bytes.
pub(super) const FILE_BYTES_MAX: u64 = 8 << 20;

/// A duration as Prometheus writes it, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PromDuration(pub(crate) i64);

impl PromDuration {
    const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    #[expect(clippy::cast_precision_loss, reason = "durations are shown")]
    pub(crate) fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl Serialize for PromDuration {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&format_prometheus_duration(self.0))
    }
}

impl<'de> Deserialize<'de> for PromDuration {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        parse_prometheus_duration(&text).map(Self).map_err(D::Error::custom)
    }
}

/// Rules that are evaluated one after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct RuleGroup {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "PromDuration::is_zero")]
    pub(crate) interval: PromDuration,
    #[serde(skip_serializing_if = "PromDuration::is_zero")]
    pub(crate) query_offset: PromDuration,
    /// Alerts or series that each rule may have; 0 is no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) limit: usize,
    pub(crate) rules: Vec<Rule>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: LabelMap,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// An alerting or a recording rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Rule {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) record: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) alert: String,
    pub(crate) expr: String,
    #[serde(rename = "for", skip_serializing_if = "PromDuration::is_zero")]
    pub(crate) hold: PromDuration,
    #[serde(skip_serializing_if = "PromDuration::is_zero")]
    pub(crate) keep_firing_for: PromDuration,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: LabelMap,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: LabelMap,
}

impl Rule {
    /// What the rule's alerts or series are called.
    pub(crate) fn name(&self) -> &str {
        if self.is_alerting() { &self.alert } else { &self.record }
    }

    pub(crate) const fn is_alerting(&self) -> bool {
        !self.alert.is_empty()
    }
}

/// What is wrong with a group or one of its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Line and column, from 1; 0 where they are not known.
    place: (u64, u64),
    group: String,
    /// Number of the rule, from 1, and its name.
    rule: Option<(usize, String)>,
    fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    /// As it stands.
    Text(String),
    /// The expression is none.
    Expression { kind: &'static str, error: String },
}

impl fmt::Display for Problem {
    /// As Loki's API words it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.fault, &self.rule) {
            (Fault::Expression { kind, error }, Some((_, name))) => {
                let group = &self.group;
                write!(
                    f,
                    "could not parse expression for {kind} '{name}' in group '{group}': {error}"
                )
            }
            (Fault::Text(text) | Fault::Expression { error: text, .. }, _) => f.write_str(text),
        }
    }
}

impl Problem {
    /// As `promtool` words it: with place, group and rule.
    pub(crate) fn in_file(&self) -> String {
        let (line, column) = self.place;
        let text = match &self.fault {
            Fault::Text(text) => text.clone(),
            Fault::Expression { error, .. } => format!("could not parse expression: {error}"),
        };
        let mut prefix = if line == 0 { String::new() } else { format!("{line}:{column}: ") };
        if let Some((number, name)) = &self.rule {
            prefix.push_str(&format!("group {:?}, rule {number}, {name:?}: ", self.group));
        }
        prefix + &text
    }
}

/// Reads a rule file.
///
/// # Errors
/// All that is wrong with it; where it is no YAML of that shape, that alone.
pub(crate) fn parse_file(text: &str) -> Result<Vec<RuleGroup>, Vec<Problem>> {
    let file: Option<SaidFile> = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        let text = format!("{error}");
        let text = text.lines().next().unwrap_or_default().to_owned();
        vec![Problem { place, group: String::new(), rule: None, fault: Fault::Text(text) }]
    })?;
    let mut problems = Vec::new();
    let mut names = HashSet::new();
    let mut groups = Vec::new();
    let said = file.and_then(|file| file.groups).unwrap_or_default();
    for (index, said) in said.into_iter().enumerate() {
        let place = place_of(&said.name);
        let (group, places) = said.into_group();
        if !names.insert(group.name.clone()) {
            let text = format!("groupname: \"{}\" is repeated in the same file", group.name);
            problems.push(of_group(&group, place, text));
        }
        problems.extend(problems_of(&group, index, place, &places));
        groups.push(group);
    }
    if problems.is_empty() { Ok(groups) } else { Err(problems) }
}

/// Reads one group, as the API takes it. It is not validated: see [`validate`].
///
/// # Errors
/// What is wrong with the YAML.
pub(crate) fn parse_group(text: &str) -> Result<RuleGroup, String> {
    let said: SaidGroup = serde_saphyr::from_str(text)
        .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())?;
    Ok(said.into_group().0)
}

/// All that is wrong with a group.
pub(crate) fn validate(group: &RuleGroup) -> Vec<Problem> {
    problems_of(group, 0, (0, 0), &[])
}

/// A rule file with these groups.
///
/// # Errors
/// The serializer's own.
pub(super) fn file_text(groups: &[RuleGroup]) -> Result<String, String> {
    #[derive(Serialize)]
    struct File<'g> {
        groups: &'g [RuleGroup],
    }
    to_yaml(&File { groups })
}

/// As YAML.
///
/// # Errors
/// The serializer's own.
pub(crate) fn to_yaml<T: Serialize>(value: &T) -> Result<String, String> {
    serde_saphyr::to_string(value).map_err(|error| error.to_string())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidFile {
    #[serde(default)]
    groups: Option<Vec<SaidGroup>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidGroup {
    #[serde(default)]
    name: Option<Spanned<String>>,
    #[serde(default)]
    interval: PromDuration,
    #[serde(default)]
    query_offset: PromDuration,
    #[serde(default)]
    limit: usize,
    #[serde(default)]
    rules: Option<Vec<SaidRule>>,
    #[serde(default)]
    labels: Option<LabelMap>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidRule {
    #[serde(default)]
    record: Option<Spanned<String>>,
    #[serde(default)]
    alert: Option<Spanned<String>>,
    #[serde(default)]
    expr: Option<Spanned<String>>,
    #[serde(default, rename = "for")]
    hold: PromDuration,
    #[serde(default)]
    keep_firing_for: PromDuration,
    #[serde(default)]
    labels: Option<LabelMap>,
    #[serde(default)]
    annotations: Option<LabelMap>,
}

/// Where a rule's name and its expression stand.
type Places = ((u64, u64), (u64, u64));

fn place_of(text: &Option<Spanned<String>>) -> (u64, u64) {
    text.as_ref().map_or((0, 0), |text| (text.referenced.line(), text.referenced.column()))
}

fn text_of(text: Option<Spanned<String>>) -> String {
    text.map(|text| text.value).unwrap_or_default()
}

impl SaidGroup {
    fn into_group(self) -> (RuleGroup, Vec<Places>) {
        let (rules, places) = self.rules.into_iter().flatten().map(SaidRule::into_rule).unzip();
        let group = RuleGroup {
            name: text_of(self.name),
            interval: self.interval,
            query_offset: self.query_offset,
            limit: self.limit,
            rules,
            labels: self.labels.unwrap_or_default(),
        };
        (group, places)
    }
}

impl SaidRule {
    fn into_rule(self) -> (Rule, Places) {
        let name = if self.record.is_some() { &self.record } else { &self.alert };
        let places = (place_of(name), place_of(&self.expr));
        let rule = Rule {
            record: text_of(self.record),
            alert: text_of(self.alert),
            expr: text_of(self.expr),
            hold: self.hold,
            keep_firing_for: self.keep_firing_for,
            labels: self.labels.unwrap_or_default(),
            annotations: self.annotations.unwrap_or_default(),
        };
        (rule, places)
    }
}

fn of_group(group: &RuleGroup, place: (u64, u64), text: String) -> Problem {
    Problem { place, group: group.name.clone(), rule: None, fault: Fault::Text(text) }
}

fn problems_of(
    group: &RuleGroup,
    index: usize,
    place: (u64, u64),
    places: &[Places],
) -> Vec<Problem> {
    let mut problems = Vec::new();
    if group.name.is_empty() {
        let text = format!("group {index}: Groupname should not be empty");
        problems.push(of_group(group, place, text));
    }
    for text in label_faults(&group.labels) {
        problems.push(of_group(group, place, text));
    }
    for (index, rule) in group.rules.iter().enumerate() {
        let (name, expression) = places.get(index).copied().unwrap_or_default();
        problems.extend(faults_of(rule).into_iter().map(|fault| Problem {
            place: if matches!(fault, Fault::Expression { .. }) { expression } else { name },
            group: group.name.clone(),
            rule: Some((index + 1, rule.name().to_owned())),
            fault,
        }));
    }
    problems
}

fn faults_of(rule: &Rule) -> Vec<Fault> {
    let mut texts = Vec::new();
    match (rule.record.is_empty(), rule.alert.is_empty()) {
        (false, false) => texts.push("only one of 'record' and 'alert' must be set".to_owned()),
        (true, true) => texts.push("one of 'record' or 'alert' must be set".to_owned()),
        _ => {}
    }
    if rule.expr.is_empty() {
        texts.push("field 'expr' must be set in rule".to_owned());
    }
    if !rule.record.is_empty() {
        texts.extend(faults_of_recording(rule));
    }
    texts.extend(label_faults(&rule.labels));
    let annotations = rule.annotations.keys().filter(|name| !is_label_name(name));
    texts.extend(annotations.map(|name| format!("invalid annotation name: {name}")));
    texts.extend(template_faults(rule));
    let expression = expression_fault(rule);
    texts.into_iter().map(Fault::Text).chain(expression).collect()
}

fn faults_of_recording(rule: &Rule) -> Vec<String> {
    let mut texts = Vec::new();
    for (field, is_set) in [
        ("annotations", !rule.annotations.is_empty()),
        ("for", !rule.hold.is_zero()),
        ("keep_firing_for", !rule.keep_firing_for.is_zero()),
    ] {
        if is_set {
            texts.push(format!("invalid field '{field}' in recording rule"));
        }
    }
    if !is_metric_name(&rule.record) {
        texts.push(format!("invalid recording rule name: {}", rule.record));
    }
    texts
}

fn label_faults(labels: &LabelMap) -> impl Iterator<Item = String> {
    let wrong = labels.keys().filter(|name| !is_label_name(name) || *name == METRIC_NAME);
    wrong.map(|name| format!("invalid label name: {name}"))
}

fn template_faults(rule: &Rule) -> Vec<String> {
    if !rule.is_alerting() {
        return Vec::new();
    }
    let labels = rule.labels.iter().map(|pair| ("label", pair));
    let texts = labels.chain(rule.annotations.iter().map(|pair| ("annotation", pair)));
    let fault = |(what, (name, text)): (&str, (&String, &String))| {
        let error = AlertTemplate::compile(&rule.alert, text).err()?;
        Some(format!("{what} {name:?}: error parsing template __alert_{}: {error}", rule.alert))
    };
    texts.filter_map(fault).collect()
}

fn expression_fault(rule: &Rule) -> Option<Fault> {
    if rule.expr.is_empty() {
        return None;
    }
    let error = match parse(&rule.expr) {
        Ok(Expr::Metric(_)) => return None,
        Ok(Expr::Log(_)) => "it is a log query, a rule needs a metric query".to_owned(),
        Err(error) => error.to_string(),
    };
    let kind = if rule.record.is_empty() { "alert" } else { "record" };
    Some(Fault::Expression { kind, error })
}

fn is_name(text: &str, others: &[char]) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || others.contains(&c);
    text.starts_with(is_first) && text.chars().all(|c| is_first(c) || c.is_ascii_digit())
}

/// Whether a label may be called so.
pub(super) fn is_label_name(text: &str) -> bool {
    is_name(text, &['_'])
}

fn is_metric_name(text: &str) -> bool {
    is_name(text, &['_', ':'])
}

/// Takes any bytes for a rule file. What is accepted, written and read again is the same.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(groups) = parse_file(text) {
        let written = file_text(&groups).expect("groups can be written");
        assert_eq!(parse_file(&written).as_ref(), Ok(&groups), "{written}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "groups:\n- name: a\n  interval: 30s\n  limit: 5\n  rules:\n  - alert: X\n    \
                        expr: sum(rate({a=\"b\"}[1m])) > 1\n    for: 1h30m\n    keep_firing_for: 5m\n    \
                        labels: {severity: page, n: 1, t: true}\n    annotations: {s: '{{ $value }}'}\n  \
                        - record: a:b\n    expr: vector(1)\n";

    #[test]
    fn files_are_read_and_written() {
        let groups = parse_file(FILE).unwrap();
        assert_eq!(groups[0].rules[0].hold, PromDuration(5_400_000_000_000));
        assert_eq!(groups[0].rules[0].labels["n"], "1");
        assert_eq!(groups[0].rules[0].labels["t"], "true");
        let written = file_text(&groups).unwrap();
        assert!(written.contains("for: 1h30m"), "{written}");
        assert_eq!(parse_file(&written), Ok(groups));
        assert_eq!(parse_file(""), Ok(Vec::new()));
        assert_eq!(parse_file("groups:"), Ok(Vec::new()));
    }

    #[test]
    fn faults_have_place_group_and_rule() {
        let text = "groups:\n- name: a\n  rules:\n  - alert: X\n    expr: vector(1 > 0\n  \
                    - record: a b\n    expr: vector(2)\n    for: 1m\n- name: a\n  rules: []\n";
        let problems = parse_file(text).unwrap_err();
        let texts: Vec<_> = problems.iter().map(Problem::in_file).collect();
        assert!(
            texts[0].starts_with(
                "5:11: group \"a\", rule 1, \"X\": could not parse expression: parse error"
            ),
            "{texts:?}"
        );
        assert_eq!(
            texts[1],
            "6:13: group \"a\", rule 2, \"a b\": invalid field 'for' in recording rule"
        );
        assert_eq!(
            texts[2],
            "6:13: group \"a\", rule 2, \"a b\": invalid recording rule name: a b"
        );
        assert_eq!(texts[3], "9:9: groupname: \"a\" is repeated in the same file");
        assert_eq!(texts.len(), 4);
    }

    #[test]
    fn groups_are_validated_in_lokis_words() {
        let problems = |text: &str| {
            let problems = validate(&parse_group(text).unwrap());
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        for (text, found) in [
            ("name: g\nrules: [{alert: X, expr: vector(1)}]", ""),
            ("rules: []", "group 0: Groupname should not be empty"),
            ("name: g\nrules: [{expr: vector(1)}]", "one of 'record' or 'alert' must be set"),
            ("name: g\nrules: [{alert: X}]", "field 'expr' must be set in rule"),
            (
                "name: g\nrules: [{alert: X, record: x, expr: vector(1)}]",
                "only one of 'record' and 'alert' must be set",
            ),
            (
                "name: g\nrules: [{alert: X, expr: '{a=\"b\"}'}]",
                "could not parse expression for alert 'X' in group 'g': it is a log query, a rule needs a metric query",
            ),
            (
                "name: g\nrules: [{alert: X, expr: vector(1), labels: {a-b: c, __name__: x}}]",
                "invalid label name: __name__, invalid label name: a-b",
            ),
            (
                "name: g\nrules: [{alert: X, expr: vector(1), labels: {a: '{{ nope }}'}}]",
                "label \"a\": error parsing template __alert_X: template: __alert_X:1: function \"nope\" not defined",
            ),
        ] {
            assert_eq!(problems(text), found, "{text}");
        }
        for text in ["nome: g", "- 1", "name: [", "name: g\ninterval: 5", "name: g\nlimit: -1"] {
            assert!(parse_group(text).is_err(), "{text}");
        }
    }
}
