//! A group of rules with what its evaluations have come to so far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use timberline_store::{TenantId, Timestamp};

use super::alert::{Alert, AlertState, Alerts, Patience, Remembered};
use super::evaluate::{CompiledRule, Outcome};
use super::rules::{LabelMap, METRIC_NAME, RuleGroup};

/// What Prometheus marks the end of a series with.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Which group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupKey {
    pub(crate) tenant: TenantId,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl GroupKey {
    /// Namespace and name, as metrics have them.
    pub(super) fn label(&self) -> String {
        format!("{};{}", self.namespace, self.name)
    }
}

/// A sample that a rule gave.
#[derive(Clone, Debug)]
pub(super) struct WrittenSample {
    /// With the metric's name.
    pub(super) labels: LabelMap,
    pub(super) timestamp_ms: i64,
    pub(super) value: f64,
}

impl WrittenSample {
    pub(super) fn is_stale(&self) -> bool {
        self.value.to_bits() == STALE.to_bits()
    }
}

/// A group of rules.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) key: GroupKey,
    pub(crate) said: RuleGroup,
    /// How often it is evaluated.
    pub(crate) interval: Duration,
    pub(super) rules: Vec<Arc<CompiledRule>>,
    state: Mutex<GroupState>,
}

/// What a group's evaluations have come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupState {
    /// Whether another group has taken over: nothing changes here any more.
    is_retired: bool,
    pub(crate) rules: Vec<RuleState>,
    pub(crate) evaluated_at: Option<Timestamp>,
    pub(crate) took: Duration,
}

/// What a rule's evaluations have come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleState {
    /// None before the first evaluation.
    pub(crate) outcome: Option<Result<(), String>>,
    pub(crate) evaluated_at: Option<Timestamp>,
    pub(crate) took: Duration,
    pub(crate) alerts: Alerts,
    /// Alerts that were there before a restart, until the rule is evaluated.
    pub(super) restored: BTreeMap<LabelMap, Remembered>,
    /// The series of the last evaluation.
    returned: BTreeSet<LabelMap>,
}

/// What came of an evaluation.
#[derive(Debug, Default)]
pub(super) struct Finished {
    pub(super) samples: Vec<WrittenSample>,
    /// Alerts that somebody is to be told of.
    pub(super) notifications: Vec<(LabelMap, Alert)>,
    pub(super) error: Option<String>,
}

impl Group {
    pub(super) fn new(key: GroupKey, said: RuleGroup, interval: Duration) -> Self {
        let own = u64::try_from(said.interval.0).unwrap_or(0);
        let interval = if own == 0 { interval } else { Duration::from_nanos(own) };
        let rules = CompiledRule::of_group(&said);
        let state =
            GroupState { rules: vec![RuleState::default(); rules.len()], ..GroupState::default() };
        Self { key, said, interval, rules, state: Mutex::new(state) }
    }

    /// What it has come to.
    pub(crate) fn state(&self) -> GroupState {
        self.state.lock().clone()
    }

    /// Calls `read` with what it has come to, without a copy.
    pub(super) fn with_state<T>(&self, read: impl FnOnce(&mut GroupState) -> T) -> T {
        read(&mut self.state.lock())
    }

    /// Takes over the alerts of the group that this one replaces, rule by rule: those of the same name and
    /// labels. Gives marks of the end for the series of the rules that are no more.
    pub(super) fn take_over(&self, old: &Self, now: Timestamp) -> Vec<WrittenSample> {
        let mut old_state = old.state.lock();
        old_state.is_retired = true;
        let mut left: Vec<Option<RuleState>> = old_state.rules.iter().cloned().map(Some).collect();
        drop(old_state);
        let mut state = self.state.lock();
        for (rule, into) in self.rules.iter().zip(&mut state.rules) {
            let same = old.rules.iter().position(|other| {
                let same_name = other.rule.name() == rule.rule.name();
                same_name && other.labels == rule.labels
            });
            if let Some(from) = same.and_then(|index| left.get_mut(index)?.take()) {
                // They were seen then, which is saved with them.
                into.evaluated_at = from.evaluated_at;
                into.alerts = from.alerts;
                into.restored = from.restored;
                into.returned = from.returned;
            }
        }
        let kept: BTreeSet<&LabelMap> =
            state.rules.iter().flat_map(|rule| &rule.returned).collect();
        let ended = left.into_iter().flatten().flat_map(|rule| rule.returned);
        let ended = ended.filter(|labels| !kept.contains(labels));
        ended.map(|labels| sample(labels, now, STALE)).collect()
    }

    /// Ends the group: an evaluation that is under way changes nothing any more.
    pub(super) fn retire(&self) {
        self.state.lock().is_retired = true;
    }

    /// Ends the group for good. Gives marks of the end for all its series.
    pub(super) fn end(&self, now: Timestamp) -> Vec<WrittenSample> {
        let mut state = self.state.lock();
        state.is_retired = true;
        let ended = state.rules.iter_mut().flat_map(|rule| std::mem::take(&mut rule.returned));
        ended.map(|labels| sample(labels, now, STALE)).collect()
    }

    /// Takes in what the evaluation of a rule gave.
    pub(super) fn finish_rule(
        &self,
        index: usize,
        result: Result<Outcome, String>,
        now: Timestamp,
        took: Duration,
        resend_delay: Duration,
    ) -> Finished {
        let mut state = self.state.lock();
        let Some(compiled) = self.rules.get(index).filter(|_| !state.is_retired) else {
            return Finished::default();
        };
        let Some(rule) = state.rules.get_mut(index) else { return Finished::default() };
        rule.evaluated_at = Some(now);
        rule.took = took;
        let mut finished = Finished::default();
        let result = result.and_then(|outcome| match outcome {
            Outcome::Series(series) => {
                let samples = series.into_iter().map(|(labels, value)| sample(labels, now, value));
                Ok(samples.collect())
            }
            Outcome::Alerts(found) => {
                let patience = Patience {
                    hold: compiled.rule.hold.0,
                    keep_firing_for: compiled.rule.keep_firing_for.0,
                    limit: self.said.limit,
                };
                let restored = std::mem::take(&mut rule.restored);
                rule.alerts.restore(&restored);
                let since = |labels: &LabelMap| restored.get(labels).map(|known| known.active_at);
                rule.alerts.take(&found, now, patience, since)?;
                finished.notifications = rule.alerts.take_due(now, resend_delay, self.interval);
                Ok(alert_samples(&rule.alerts, now))
            }
        });
        match result {
            Ok(samples) => {
                finished.samples = rule.with_ends(samples, now);
                rule.outcome = Some(Ok(()));
            }
            Err(error) => {
                finished.error = Some(error.clone());
                rule.outcome = Some(Err(error));
            }
        }
        finished
    }

    /// Says that all rules were evaluated.
    pub(super) fn finish(&self, now: Timestamp, took: Duration) {
        let mut state = self.state.lock();
        state.evaluated_at = Some(now);
        state.took = took;
    }
}

impl RuleState {
    /// The samples, and marks of the end for series that are not there any more.
    fn with_ends(&mut self, mut samples: Vec<WrittenSample>, now: Timestamp) -> Vec<WrittenSample> {
        let returned: BTreeSet<LabelMap> =
            samples.iter().map(|sample| sample.labels.clone()).collect();
        let ended = self.returned.difference(&returned);
        samples.extend(ended.map(|labels| sample(labels.clone(), now, STALE)));
        self.returned = returned;
        samples
    }
}

fn sample(labels: LabelMap, now: Timestamp, value: f64) -> WrittenSample {
    WrittenSample { labels, timestamp_ms: now.div_euclid(1_000_000), value }
}

/// The series that Prometheus keeps of alerts.
fn alert_samples(alerts: &Alerts, now: Timestamp) -> Vec<WrittenSample> {
    let named = |labels: &LabelMap, name: &str| {
        let mut labels = labels.clone();
        labels.insert(METRIC_NAME.to_owned(), name.to_owned());
        labels
    };
    let both = alerts.active().flat_map(|(labels, alert)| {
        let mut state = named(labels, "ALERTS");
        state.insert("alertstate".to_owned(), alert.state.name().to_owned());
        debug_assert_ne!(alert.state, AlertState::Inactive);
        #[expect(clippy::cast_precision_loss, reason = "seconds are fewer than 2^53")]
        let since = alert.active_at.div_euclid(1_000_000_000) as f64;
        [sample(state, now, 1.0), sample(named(labels, "ALERTS_FOR_STATE"), now, since)]
    });
    both.collect()
}
