//! The ruler's metrics, under the names that dashboards for Loki look for.

use std::time::Duration;

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts,
    Registry,
};
use timberline_store::{TenantId, Timestamp};

use super::group::{Group, GroupKey};
use crate::metrics::registered;

/// Upper bounds of the buckets of evaluations, in seconds.
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];

/// The ruler's metrics. One that cannot be registered is left out, as elsewhere.
#[derive(Debug)]
pub(super) struct RulerMetrics {
    evaluations: Option<IntCounterVec>,
    failures: Option<IntCounterVec>,
    evaluation_seconds: Option<Histogram>,
    iterations: Option<IntCounterVec>,
    missed: Option<IntCounterVec>,
    interval: Option<GaugeVec>,
    rules: Option<GaugeVec>,
    last_seconds: Option<GaugeVec>,
    last_timestamp: Option<GaugeVec>,
    last_samples: Option<GaugeVec>,
    loaded: Option<GaugeVec>,
    notifications: Option<IntCounterVec>,
    notification_errors: Option<IntCounterVec>,
    notifications_dropped: Option<IntCounterVec>,
    notification_seconds: Option<HistogramVec>,
    notification_queue: Option<GaugeVec>,
    notification_capacity: Option<IntGauge>,
    alertmanagers: Option<Gauge>,
    samples: [(&'static str, Option<IntCounterVec>); 4],
    pending: Option<GaugeVec>,
    saved: Option<IntGauge>,
}

const OF_GROUP: &[&str] = &["user", "rule_group"];
const OF_RECEIVER: &[&str] = &["url"];
const OF_ALERTMANAGER: &[&str] = &["alertmanager"];

impl RulerMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, GaugeVec::new(Opts::new(name, help), labels))
        };
        let rule = |name: &str, help: &str| {
            gauge(&format!("loki_prometheus_rule_group_{name}"), help, OF_GROUP)
        };
        let samples = |name: &'static str, help: &str| {
            let name = format!("loki_ruler_wal_prometheus_remote_storage_{name}");
            counter(&name, help, OF_RECEIVER)
        };
        let notifications = |name: &str, help: &str| {
            counter(&format!("loki_prometheus_notifications_{name}_total"), help, OF_ALERTMANAGER)
        };
        Self {
            evaluations: counter(
                "loki_prometheus_rule_evaluations_total",
                "Rules that were evaluated.",
                OF_GROUP,
            ),
            failures: counter(
                "loki_prometheus_rule_evaluation_failures_total",
                "Rules that could not be evaluated.",
                OF_GROUP,
            ),
            evaluation_seconds: registered(
                registry,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "loki_prometheus_rule_evaluation_duration_seconds",
                        "Seconds that rules took.",
                    )
                    .buckets(BUCKETS.to_vec()),
                ),
            ),
            iterations: counter(
                "loki_prometheus_rule_group_iterations_total",
                "Times that groups were due, missed ones too.",
                OF_GROUP,
            ),
            missed: counter(
                "loki_prometheus_rule_group_iterations_missed_total",
                "Times that groups were due and still at the time before.",
                OF_GROUP,
            ),
            interval: rule("interval_seconds", "How often a group is evaluated."),
            rules: rule("rules", "Rules of a group."),
            last_seconds: rule("last_duration_seconds", "Seconds that a group took."),
            last_timestamp: rule(
                "last_evaluation_timestamp_seconds",
                "When a group was evaluated, since the Unix epoch.",
            ),
            last_samples: rule("last_evaluation_samples", "Samples that a group gave."),
            loaded: gauge(
                "loki_ruler_config_last_reload_successful",
                "Whether all rule files of a tenant could be used when they were last read.",
                &["user"],
            ),
            notifications: notifications("sent", "Alerts that were sent."),
            notification_errors: notifications("errors", "Alerts that could not be sent."),
            notifications_dropped: notifications("dropped", "Alerts that are never sent."),
            notification_seconds: registered(
                registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        "loki_prometheus_notifications_latency_seconds",
                        "Seconds that sending alerts took.",
                    )
                    .buckets(BUCKETS.to_vec()),
                    OF_ALERTMANAGER,
                ),
            ),
            notification_queue: gauge(
                "loki_prometheus_notifications_queue_length",
                "Alerts that wait.",
                OF_ALERTMANAGER,
            ),
            notification_capacity: registered(
                registry,
                IntGauge::new(
                    "loki_prometheus_notifications_queue_capacity",
                    "Alerts that may wait for an Alertmanager.",
                ),
            ),
            alertmanagers: registered(
                registry,
                Gauge::new(
                    "loki_prometheus_notifications_alertmanagers_discovered",
                    "Alertmanagers that are told of alerts.",
                ),
            ),
            samples: [
                ("sent", samples("samples_total", "Samples that were written.")),
                ("failed", samples("samples_failed_total", "Samples that were refused.")),
                ("dropped", samples("samples_dropped_total", "Samples that found no room.")),
                ("retried", samples("samples_retried_total", "Samples that were sent again.")),
            ],
            pending: gauge(
                "loki_ruler_wal_prometheus_remote_storage_samples_pending",
                "Samples that wait for a receiver.",
                OF_RECEIVER,
            ),
            saved: registered(
                registry,
                IntGauge::new(
                    "timberline_ruler_alerts_saved",
                    "Whether it is on disk since when alerts are there.",
                ),
            ),
        }
    }

    /// Makes a group's series, so that they are there before anything happens.
    pub(super) fn add_group(&self, group: &Group) {
        let label = group.key.label();
        let labels = [group.key.tenant.as_str(), &label];
        for counter in [&self.evaluations, &self.failures, &self.iterations, &self.missed] {
            count(counter, &labels, 0);
        }
        set(&self.interval, &labels, group.interval.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "there are never as many rules")]
        set(&self.rules, &labels, group.rules.len() as f64);
    }

    /// Removes the series of a group that is not there any more.
    pub(super) fn remove_group(&self, key: &GroupKey) {
        let label = key.label();
        let labels = [key.tenant.as_str(), &label];
        for counter in [&self.evaluations, &self.failures, &self.iterations, &self.missed] {
            // Where there is none, all is well.
            let _ = counter.as_ref().map(|counter| counter.remove_label_values(&labels));
        }
        let gauges = [
            &self.interval,
            &self.rules,
            &self.last_seconds,
            &self.last_timestamp,
            &self.last_samples,
        ];
        for gauge in gauges {
            let _ = gauge.as_ref().map(|gauge| gauge.remove_label_values(&labels));
        }
    }

    pub(super) fn observe_rule(&self, key: &GroupKey, took: Duration, is_ok: bool) {
        let label = key.label();
        let labels = [key.tenant.as_str(), &label];
        count(&self.evaluations, &labels, 1);
        if !is_ok {
            count(&self.failures, &labels, 1);
        }
        if let Some(seconds) = &self.evaluation_seconds {
            seconds.observe(took.as_secs_f64());
        }
    }

    /// Counts that a group was due, and how often it was while it was still busy.
    pub(super) fn count_iterations(&self, key: &GroupKey, missed: u64) {
        let label = key.label();
        let labels = [key.tenant.as_str(), &label];
        count(&self.iterations, &labels, 1 + missed);
        count(&self.missed, &labels, missed);
    }

    pub(super) fn observe_group(
        &self,
        key: &GroupKey,
        now: Timestamp,
        took: Duration,
        samples: usize,
    ) {
        let label = key.label();
        let labels = [key.tenant.as_str(), &label];
        set(&self.last_seconds, &labels, took.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a time in seconds; a count")]
        let (seconds, samples) = (now as f64 / 1e9, samples as f64);
        set(&self.last_timestamp, &labels, seconds);
        set(&self.last_samples, &labels, samples);
    }

    pub(super) fn set_loaded(&self, tenant: &TenantId, all_well: bool) {
        set(&self.loaded, &[tenant.as_str()], f64::from(u8::from(all_well)));
    }

    pub(super) fn set_alertmanagers(&self, number: usize, capacity: usize) {
        if let (Some(gauge), Ok(number)) = (&self.alertmanagers, u32::try_from(number)) {
            gauge.set(f64::from(number));
        }
        if let (Some(gauge), Ok(capacity)) = (&self.notification_capacity, i64::try_from(capacity))
        {
            gauge.set(capacity);
        }
    }

    pub(super) fn observe_notification(
        &self,
        alertmanager: &str,
        alerts: usize,
        took: Duration,
        is_ok: bool,
    ) {
        let alerts = u64::try_from(alerts).unwrap_or(u64::MAX);
        let counter = if is_ok { &self.notifications } else { &self.notification_errors };
        count(counter, &[alertmanager], alerts);
        if let Some(seconds) = &self.notification_seconds {
            seconds.with_label_values(&[alertmanager]).observe(took.as_secs_f64());
        }
    }

    pub(super) fn count_dropped_notifications(&self, alertmanager: &str, alerts: usize) {
        let alerts = u64::try_from(alerts).unwrap_or(u64::MAX);
        count(&self.notifications_dropped, &[alertmanager], alerts);
    }

    pub(super) fn set_notification_queue(&self, alertmanager: &str, length: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        set(&self.notification_queue, &[alertmanager], length as f64);
    }

    /// Counts samples by what became of them: sent, failed, dropped or retried.
    pub(super) fn count_samples(&self, url: &str, what: &str, samples: usize) {
        let counter = self.samples.iter().find(|(name, _)| *name == what);
        let samples = u64::try_from(samples).unwrap_or(u64::MAX);
        if let Some((_, counter)) = counter {
            count(counter, &[url], samples);
        }
    }

    pub(super) fn set_pending_samples(&self, url: &str, samples: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        set(&self.pending, &[url], samples as f64);
    }

    pub(super) fn set_saved(&self, is_saved: bool) {
        if let Some(gauge) = &self.saved {
            gauge.set(i64::from(is_saved));
        }
    }
}

fn count(counter: &Option<IntCounterVec>, labels: &[&str], number: u64) {
    if let Some(counter) = counter {
        counter.with_label_values(labels).inc_by(number);
    }
}

fn set(gauge: &Option<GaugeVec>, labels: &[&str], value: f64) {
    if let Some(gauge) = gauge {
        gauge.with_label_values(labels).set(value);
    }
}
