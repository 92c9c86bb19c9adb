//! The life of an alert: pending, firing, inactive.
//!
//! Follows Prometheus: an alert is pending until it has been there for as long as its rule says, fires
//! for as long as the rule's expression finds it and `keep_firing_for` beyond, and is remembered for a
//! while when it is over, so that an Alertmanager hears of its end more than once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use timberline_store::Timestamp;

use super::rules::LabelMap;

/// How long what is over is told of.
const RESOLVED_RETENTION: i64 = 15 * 60 * 1_000_000_000;

/// What an alerting rule found at one time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) labels: LabelMap,
    pub(super) annotations: LabelMap,
    pub(super) value: f64,
}

/// Where an alert is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AlertState {
    /// Over.
    Inactive,
    /// There, but not for long enough.
    Pending,
    /// Somebody is to be told.
    Firing,
}

impl AlertState {
    /// As Prometheus calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// An alert that is there, or was until a while ago. Its labels are its key in [`Alerts`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alert {
    pub(crate) state: AlertState,
    pub(crate) annotations: LabelMap,
    pub(crate) value: f64,
    /// Since when it is there.
    pub(crate) active_at: Timestamp,
    pub(super) fired_at: Option<Timestamp>,
    pub(super) resolved_at: Option<Timestamp>,
    /// Since when it fires only because it is kept.
    pub(crate) keep_firing_since: Option<Timestamp>,
    last_sent_at: Option<Timestamp>,
    pub(super) valid_until: Timestamp,
}

impl Alert {
    fn new(found: &Found, active_at: Timestamp) -> Self {
        Self {
            state: AlertState::Pending,
            annotations: found.annotations.clone(),
            value: found.value,
            active_at,
            fired_at: None,
            resolved_at: None,
            keep_firing_since: None,
            last_sent_at: None,
            valid_until: active_at,
        }
    }

    pub(crate) const fn is_active(&self) -> bool {
        !matches!(self.state, AlertState::Inactive)
    }

    fn needs_sending(&self, now: Timestamp, resend_delay: i64) -> bool {
        if self.state == AlertState::Pending {
            return false;
        }
        let Some(sent) = self.last_sent_at else { return true };
        self.resolved_at.is_some_and(|resolved| resolved > sent)
            || sent.saturating_add(resend_delay) < now
    }
}

/// What is known of an alert from before a restart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Remembered {
    /// Since when it is there.
    pub(super) active_at: Timestamp,
    /// How it fired, if it did and its rule keeps alerts firing.
    pub(super) fired: Option<Fired>,
}

/// How an alert fired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Fired {
    /// Since when, in nanoseconds since the Unix epoch.
    at: Timestamp,
    /// Since when it fires only because it is kept.
    kept_since: Option<Timestamp>,
    annotations: LabelMap,
    /// None where it is no number.
    value: Option<f64>,
}

impl Fired {
    /// None of one that does not fire.
    pub(super) fn of(alert: &Alert) -> Option<Self> {
        let at = alert.fired_at.filter(|_| alert.state == AlertState::Firing)?;
        Some(Self {
            at,
            kept_since: alert.keep_firing_since,
            annotations: alert.annotations.clone(),
            // JSON has no others.
            value: Some(alert.value).filter(|value| value.is_finite()),
        })
    }

    /// The same after a time that does not count.
    pub(super) fn after(mut self, down: i64) -> Self {
        self.kept_since = self.kept_since.map(|since| since.saturating_add(down));
        self
    }
}

/// How long what is found is looked at before it is told of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// The rule's `for`, in nanoseconds.
    pub(super) hold: i64,
    /// The rule's `keep_firing_for`, in nanoseconds.
    pub(super) keep_firing_for: i64,
    /// Alerts that the rule may have; 0 is no limit.
    pub(super) limit: usize,
}

/// The alerts of one rule, by labels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alerts(BTreeMap<LabelMap, Alert>);

impl Alerts {
    /// Those that are there, by labels.
    pub(crate) fn active(&self) -> impl Iterator<Item = (&LabelMap, &Alert)> {
        self.0.iter().filter(|(_, alert)| alert.is_active())
    }

    /// The furthest that one of them is.
    pub(crate) fn state(&self) -> AlertState {
        self.0.values().map(|alert| alert.state).max().unwrap_or(AlertState::Inactive)
    }

    /// Takes in what fired before a restart, so that it goes on to fire, and its end is told.
    pub(super) fn restore(&mut self, remembered: &BTreeMap<LabelMap, Remembered>) {
        for (labels, known) in remembered {
            let Some(fired) = &known.fired else { continue };
            self.0.entry(labels.clone()).or_insert_with(|| Alert {
                state: AlertState::Firing,
                annotations: fired.annotations.clone(),
                value: fired.value.unwrap_or(f64::NAN),
                active_at: known.active_at,
                fired_at: Some(fired.at),
                resolved_at: None,
                keep_firing_since: fired.kept_since,
                last_sent_at: None,
                valid_until: known.active_at,
            });
        }
    }

    /// Takes in what was found at `now`; `since` says of alerts that are new since when they are there.
    ///
    /// # Errors
    /// More alerts than there may be: then there are none any more.
    pub(super) fn take(
        &mut self,
        found: &[Found],
        now: Timestamp,
        patience: Patience,
        since: impl Fn(&LabelMap) -> Option<Timestamp>,
    ) -> Result<(), String> {
        for alert in found {
            match self.0.get_mut(&alert.labels).filter(|known| known.is_active()) {
                Some(known) => {
                    known.value = alert.value;
                    known.annotations.clone_from(&alert.annotations);
                    known.keep_firing_since = None;
                }
                None => {
                    let active_at = since(&alert.labels).unwrap_or(now);
                    self.0.insert(alert.labels.clone(), Alert::new(alert, active_at));
                }
            }
        }
        let labels: std::collections::BTreeSet<&LabelMap> =
            found.iter().map(|alert| &alert.labels).collect();
        self.0.retain(|key, alert| labels.contains(key) || end(alert, now, patience));
        let active = self.0.values().filter(|alert| alert.is_active()).count();
        if patience.limit > 0 && active > patience.limit {
            self.0.clear();
            return Err(format!("exceeded limit of {} with {active} alerts", patience.limit));
        }
        for alert in self.0.values_mut() {
            let is_due = now.saturating_sub(alert.active_at) >= patience.hold;
            if alert.state == AlertState::Pending && is_due {
                alert.state = AlertState::Firing;
                alert.fired_at = Some(now);
            }
        }
        Ok(())
    }

    /// Those that an Alertmanager is to be told of now.
    pub(super) fn take_due(
        &mut self,
        now: Timestamp,
        resend_delay: Duration,
        interval: Duration,
    ) -> Vec<(LabelMap, Alert)> {
        let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        let resend_delay = nanos(resend_delay);
        // A few notifications may get lost before an Alertmanager thinks that all is well.
        let valid = resend_delay.max(nanos(interval)).saturating_mul(4);
        let due = self.0.iter_mut().filter(|(_, alert)| alert.needs_sending(now, resend_delay));
        let due = due.map(|(labels, alert)| {
            alert.last_sent_at = Some(now);
            alert.valid_until = now.saturating_add(valid);
            (labels.clone(), alert.clone())
        });
        due.collect()
    }
}

/// What becomes of an alert that was not found; false when it is to be forgotten.
fn end(alert: &mut Alert, now: Timestamp, patience: Patience) -> bool {
    if alert.state == AlertState::Pending {
        return false;
    }
    if let Some(resolved) = alert.resolved_at {
        return now.saturating_sub(resolved) <= RESOLVED_RETENTION;
    }
    let since = *alert.keep_firing_since.get_or_insert(now);
    if now.saturating_sub(since) < patience.keep_firing_for {
        return true;
    }
    alert.keep_firing_since = None;
    alert.state = AlertState::Inactive;
    alert.resolved_at = Some(now);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000_000;
    const PATIENCE: Patience = Patience { hold: 2 * MINUTE, keep_firing_for: 0, limit: 0 };

    fn found(app: &str) -> Found {
        let labels = LabelMap::from([("app".to_owned(), app.to_owned())]);
        Found { labels, annotations: LabelMap::new(), value: 1.0 }
    }

    struct Life {
        alerts: Alerts,
        patience: Patience,
        minute: i64,
    }

    impl Life {
        fn new(patience: Patience) -> Self {
            Self { alerts: Alerts::default(), patience, minute: 0 }
        }

        /// State after a minute's evaluation, and how many notifications came of it.
        fn minute(&mut self, found: &[Found]) -> (AlertState, usize) {
            let now = self.minute * MINUTE;
            self.minute += 1;
            self.alerts.take(found, now, self.patience, |_| None).unwrap();
            let minute = Duration::from_secs(60);
            (self.alerts.state(), self.alerts.take_due(now, minute, minute).len())
        }
    }

    #[test]
    fn alerts_wait_fire_and_end() {
        use AlertState::{Firing, Inactive, Pending};
        let mut life = Life::new(PATIENCE);
        let there = [found("a")];
        assert_eq!(life.minute(&there), (Pending, 0));
        assert_eq!(life.minute(&there), (Pending, 0));
        assert_eq!(life.minute(&there), (Firing, 1));
        // Told again when more than the delay has passed.
        assert_eq!(life.minute(&there), (Firing, 0));
        assert_eq!(life.minute(&there), (Firing, 1));
        assert_eq!(life.minute(&[]), (Inactive, 1));
        let resent: usize = (0..15).map(|_| life.minute(&[]).1).sum();
        assert_eq!(resent, 7, "every second minute of fifteen");
        assert_eq!(life.alerts.0.len(), 1);
        life.minute(&[]);
        assert_eq!(life.alerts.0.len(), 0);
    }

    #[test]
    fn what_goes_before_its_time_is_forgotten() {
        let mut life = Life::new(PATIENCE);
        life.minute(&[found("a")]);
        life.minute(&[]);
        assert!(life.alerts.0.is_empty());
        life.minute(&[found("a")]);
        assert_eq!(life.minute(&[found("a")]).0, AlertState::Pending, "it began anew");
    }

    #[test]
    fn alerts_may_be_kept_firing() {
        use AlertState::{Firing, Inactive};
        let mut life = Life::new(Patience { hold: 0, keep_firing_for: 2 * MINUTE, ..PATIENCE });
        assert_eq!(life.minute(&[found("a")]).0, Firing);
        assert_eq!(life.minute(&[]).0, Firing);
        assert_eq!(life.minute(&[found("a")]).0, Firing, "it is back: the time begins anew");
        assert_eq!(life.minute(&[]).0, Firing);
        assert_eq!(life.minute(&[]).0, Firing);
        assert_eq!(life.minute(&[]).0, Inactive);
    }

    #[test]
    fn too_many_alerts_are_none() {
        let mut alerts = Alerts::default();
        let patience = Patience { limit: 1, ..PATIENCE };
        let error = alerts.take(&[found("a"), found("b")], 0, patience, |_| None);
        assert_eq!(error, Err("exceeded limit of 1 with 2 alerts".to_owned()));
        assert_eq!(alerts.active().count(), 0);
    }

    #[test]
    fn what_is_known_from_before_keeps_its_age() {
        let mut alerts = Alerts::default();
        let now = 10 * MINUTE;
        alerts.take(&[found("a")], now, PATIENCE, |_| Some(now - 2 * MINUTE)).unwrap();
        assert_eq!(alerts.state(), AlertState::Firing);
    }
}
