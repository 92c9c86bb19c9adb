//! Rules and alerts as Prometheus's API shows them.

use serde::{Serialize, Serializer};
use timberline_store::Timestamp;

use super::alert::Alert;
use super::evaluate::CompiledRule;
use super::group::{Group, RuleState};
use super::rules::LabelMap;
use crate::ingest::rfc3339_nano;

/// Go's zero time: what was never evaluated.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// What of the rules is shown; empty lists let everything through.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// Alerting rules alone, or recording rules alone.
    pub(crate) is_alerting: Option<bool>,
    pub(crate) files: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) rules: Vec<String>,
    /// Whether alerts are left out.
    pub(crate) without_alerts: bool,
}

/// A group.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GroupView {
    name: String,
    file: String,
    rules: Vec<RuleView>,
    #[serde(serialize_with = "seconds")]
    interval: f64,
    limit: usize,
    last_evaluation: String,
    #[serde(serialize_with = "seconds")]
    evaluation_time: f64,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum RuleView {
    Alerting(AlertingView),
    Recording(RecordingView),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertingView {
    state: &'static str,
    name: String,
    query: String,
    #[serde(serialize_with = "seconds")]
    duration: f64,
    #[serde(serialize_with = "seconds")]
    keep_firing_for: f64,
    labels: LabelMap,
    annotations: LabelMap,
    alerts: Vec<AlertView>,
    #[serde(flatten)]
    last: LastView,
}

#[derive(Debug, Serialize)]
struct RecordingView {
    name: String,
    query: String,
    labels: LabelMap,
    #[serde(flatten)]
    last: LastView,
}

/// Of which kind a rule is, and how the last evaluation went.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LastView {
    health: &'static str,
    last_error: String,
    r#type: &'static str,
    last_evaluation: String,
    #[serde(serialize_with = "seconds")]
    evaluation_time: f64,
}

/// Whole seconds without a fraction, as Go prints them.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn seconds<S: Serializer>(seconds: &f64, out: S) -> Result<S::Ok, S::Error> {
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    if seconds.fract() == 0.0 && seconds.abs() < WHOLE_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "checked right here")]
        return out.serialize_i64(*seconds as i64);
    }
    out.serialize_f64(*seconds)
}

/// An alert.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlertView {
    labels: LabelMap,
    annotations: LabelMap,
    state: &'static str,
    active_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_since: Option<String>,
    value: String,
}

impl GroupView {
    /// The group, if the filter leaves anything of it.
    pub(super) fn new(group: &Group, filter: &Filter) -> Option<Self> {
        let lets =
            |names: &[String], name: &str| names.is_empty() || names.iter().any(|n| n == name);
        if !lets(&filter.files, &group.key.namespace) || !lets(&filter.groups, &group.key.name) {
            return None;
        }
        let state = group.state();
        let rules = group.rules.iter().zip(&state.rules).filter(|(compiled, _)| {
            let is_wanted =
                filter.is_alerting.is_none_or(|wanted| wanted == compiled.rule.is_alerting());
            is_wanted && lets(&filter.rules, compiled.rule.name())
        });
        let rules: Vec<RuleView> =
            rules.map(|(compiled, state)| RuleView::new(compiled, state, filter)).collect();
        (!rules.is_empty()).then(|| Self {
            name: group.key.name.clone(),
            file: group.key.namespace.clone(),
            rules,
            interval: group.interval.as_secs_f64(),
            limit: group.said.limit,
            evaluation_time: state.took.as_secs_f64(),
            last_evaluation: time(state.evaluated_at),
        })
    }
}

impl RuleView {
    fn new(compiled: &CompiledRule, state: &RuleState, filter: &Filter) -> Self {
        let rule = &compiled.rule;
        let kind = if rule.is_alerting() { "alerting" } else { "recording" };
        let last = LastView::new(kind, state);
        if !rule.is_alerting() {
            return Self::Recording(RecordingView {
                name: rule.record.clone(),
                query: rule.expr.clone(),
                labels: compiled.labels.clone(),
                last,
            });
        }
        let alerts = if filter.without_alerts { Vec::new() } else { alerts(state).collect() };
        Self::Alerting(AlertingView {
            state: state.alerts.state().name(),
            name: rule.alert.clone(),
            query: rule.expr.clone(),
            duration: rule.hold.seconds(),
            keep_firing_for: rule.keep_firing_for.seconds(),
            labels: compiled.labels.clone(),
            annotations: rule.annotations.clone(),
            alerts,
            last,
        })
    }
}

impl LastView {
    fn new(kind: &'static str, state: &RuleState) -> Self {
        let (health, last_error) = match &state.outcome {
            None => ("unknown", String::new()),
            Some(Ok(())) => ("ok", String::new()),
            Some(Err(error)) => ("err", error.clone()),
        };
        Self {
            health,
            last_error,
            r#type: kind,
            evaluation_time: state.took.as_secs_f64(),
            last_evaluation: time(state.evaluated_at),
        }
    }
}

/// The alerts of a rule.
fn alerts(state: &RuleState) -> impl Iterator<Item = AlertView> {
    state.alerts.active().map(|(labels, alert)| AlertView::new(labels, alert))
}

/// The alerts of a group.
pub(super) fn alerts_of(group: &Group) -> Vec<AlertView> {
    group.state().rules.iter().flat_map(alerts).collect()
}

impl AlertView {
    fn new(labels: &LabelMap, alert: &Alert) -> Self {
        Self {
            labels: labels.clone(),
            annotations: alert.annotations.clone(),
            state: alert.state.name(),
            active_at: rfc3339_nano(alert.active_at),
            keep_firing_since: alert.keep_firing_since.map(rfc3339_nano),
            value: scientific(alert.value),
        }
    }
}

fn time(time: Option<Timestamp>) -> String {
    time.map_or_else(|| NEVER.to_owned(), rfc3339_nano)
}

/// `1e+00`, as Go prints numbers with `e`.
pub(super) fn scientific(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_gos() {
        for (value, text) in [
            (1.0, "1e+00"),
            (0.0, "0e+00"),
            (-1234.5, "-1.2345e+03"),
            (1.5e-7, "1.5e-07"),
            (1e100, "1e+100"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(scientific(value), text);
        }
    }
}
