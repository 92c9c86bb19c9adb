//! Notifications of alerts, on their way to Alertmanagers.
//!
//! Each Alertmanager has a queue of its own, so that one that is down keeps nothing from the others. In a
//! queue an alert is at most once, as it was last heard of: what was not delivered and is over by now is
//! delivered as over. A batch has alerts of one tenant, whose name goes with it in `X-Scope-OrgID`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, HeaderValue, Uri};
use bytes::Bytes;
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use timberline_store::TenantId;
use tokio::sync::Notify;

use super::alert::Alert;
use super::backoff::Backoff;
use super::client::{ClientError, Poster};
use super::evaluate::Surroundings;
use super::metrics::RulerMetrics;
use super::rules::LabelMap;
use crate::config::RulerConfig;
use crate::ingest::rfc3339_nano;
use crate::tenant::TENANT_HEADER;

/// Alerts in a request.
const BATCH_MAX: usize = 64;

/// How long to wait between two attempts, at first and at the most.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(30)];

/// Tells Alertmanagers of alerts.
#[derive(Debug)]
pub(super) struct Notifier {
    targets: Vec<Arc<Target>>,
}

/// An Alertmanager.
#[derive(Debug)]
struct Target {
    url: Uri,
    poster: Poster,
    queue: Queue,
    metrics: Arc<RulerMetrics>,
}

impl Notifier {
    /// # Errors
    /// Files that cannot be used.
    pub(super) fn new(
        config: &RulerConfig,
        metrics: &Arc<RulerMetrics>,
    ) -> Result<Self, ClientError> {
        let poster = Poster::new(&config.alertmanager_client)?;
        let target = |url: &String| {
            let url = format!("{}/api/v2/alerts", url.trim_end_matches('/'));
            let parsed = url.parse::<Uri>().map_err(|_| ClientError::Header(url.clone()))?;
            Ok(Arc::new(Target {
                url: parsed,
                poster: poster.clone(),
                queue: Queue::new(config.notification_queue_capacity),
                metrics: Arc::clone(metrics),
            }))
        };
        let targets = config.alertmanager_urls.iter().map(target);
        let targets = targets.collect::<Result<Vec<_>, ClientError>>()?;
        metrics.set_alertmanagers(targets.len(), config.notification_queue_capacity);
        Ok(Self { targets })
    }

    /// What sends, until the process ends or the tasks are aborted.
    pub(super) fn start(&self) -> Vec<tokio::task::JoinHandle<()>> {
        self.targets.iter().map(|target| tokio::spawn(Arc::clone(target).send())).collect()
    }

    /// Queues alerts for every Alertmanager.
    pub(super) fn notify(
        &self,
        tenant: &TenantId,
        expr: &str,
        alerts: &[(LabelMap, Alert)],
        surroundings: &Surroundings,
    ) {
        for target in &self.targets {
            let mut dropped = 0;
            for (labels, alert) in alerts {
                let labels = with_external(labels, &surroundings.external_labels);
                let body = body(&labels, alert, expr, surroundings);
                dropped += usize::from(target.queue.push((tenant.clone(), labels), body));
            }
            target.told_of_dropped(dropped);
        }
        self.measure();
    }

    /// Whether everybody has heard everything.
    pub(super) fn is_idle(&self) -> bool {
        self.targets.iter().all(|target| target.queue.is_idle())
    }

    fn measure(&self) {
        for target in &self.targets {
            target.metrics.set_notification_queue(&target.url.to_string(), target.queue.len());
        }
    }
}

/// The labels, and those of the installation that are not among them.
pub(super) fn with_external(labels: &LabelMap, external: &LabelMap) -> LabelMap {
    let mut all = external.clone();
    all.extend(labels.clone());
    all
}

fn body(labels: &LabelMap, alert: &Alert, expr: &str, surroundings: &Surroundings) -> Value {
    json!({
        "labels": labels,
        "annotations": alert.annotations,
        "startsAt": rfc3339_nano(alert.fired_at.unwrap_or(alert.active_at)),
        "endsAt": rfc3339_nano(alert.resolved_at.unwrap_or(alert.valid_until)),
        "generatorURL": link(expr, &surroundings.external_url),
    })
}

/// Where people see what the expression finds: Grafana's page to explore.
fn link(expr: &str, external_url: &str) -> String {
    let left = json!({"queries": [{"refId": "A", "expr": expr}], "range": {"from": "now-1h", "to": "now"}});
    let left = left.to_string();
    format!("{external_url}/explore?left={}", utf8_percent_encode(&left, NON_ALPHANUMERIC))
}

impl Target {
    async fn send(self: Arc<Self>) {
        let mut backoff = Backoff::new(PAUSES[0], PAUSES[1]);
        loop {
            let Some((tenant, batch)) = self.queue.take() else {
                self.queue.filled.notified().await;
                continue;
            };
            let begun = std::time::Instant::now();
            let result = self.poster.post(&self.url, headers(&tenant), bytes(&batch)).await;
            let url = self.url.to_string();
            self.metrics.observe_notification(&url, batch.len(), begun.elapsed(), result.is_ok());
            let Err(refusal) = result else {
                self.queue.done();
                self.metrics.set_notification_queue(&url, self.queue.len());
                backoff.reset();
                continue;
            };
            let (alerts, error) = (batch.len(), &refusal.text);
            if refusal.may_pass() {
                tracing::warn!(url, %tenant, alerts, error, "an Alertmanager does not take alerts");
                self.told_of_dropped(self.queue.give_back(batch));
                tokio::time::sleep(backoff.pause(&refusal)).await;
            } else {
                tracing::error!(url, %tenant, alerts, error, "an Alertmanager refuses alerts");
                self.queue.done();
                self.told_of_dropped(alerts);
            }
        }
    }

    fn told_of_dropped(&self, dropped: usize) {
        if dropped > 0 {
            self.metrics.count_dropped_notifications(&self.url.to_string(), dropped);
        }
    }
}

fn headers(tenant: &TenantId) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(value) = HeaderValue::from_str(tenant.as_str()) {
        headers.insert(TENANT_HEADER, value);
    }
    headers
}

fn bytes(batch: &[(Key, Value)]) -> Bytes {
    let alerts: Vec<String> = batch.iter().map(|(_, body)| body.to_string()).collect();
    format!("[{}]", alerts.join(",")).into()
}

/// A tenant's alert.
type Key = (TenantId, LabelMap);

/// Alerts that wait, each once and the one that came first at the front.
#[derive(Debug)]
struct Queue {
    waiting: Mutex<Waiting>,
    capacity: usize,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<Key>,
    latest: HashMap<Key, Value>,
    is_sending: bool,
}

impl Queue {
    fn new(capacity: usize) -> Self {
        Self { waiting: Mutex::default(), capacity, filled: Notify::new() }
    }

    fn len(&self) -> usize {
        self.waiting.lock().order.len()
    }

    fn is_idle(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.order.is_empty() && !waiting.is_sending
    }

    /// Puts an alert to the end, or in the place where it is already; true when the oldest was dropped.
    fn push(&self, key: Key, body: Value) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.latest.insert(key.clone(), body).is_none() {
            waiting.order.push_back(key);
        }
        let is_full = waiting.order.len() > self.capacity;
        if is_full && let Some(oldest) = waiting.order.pop_front() {
            waiting.latest.remove(&oldest);
        }
        self.filled.notify_one();
        is_full
    }

    /// The alerts at the front that are one tenant's.
    fn take(&self) -> Option<(TenantId, Vec<(Key, Value)>)> {
        let mut waiting = self.waiting.lock();
        let tenant = waiting.order.front()?.0.clone();
        let mut batch = Vec::new();
        while batch.len() < BATCH_MAX
            && waiting.order.front().is_some_and(|(other, _)| *other == tenant)
        {
            let Some(key) = waiting.order.pop_front() else { break };
            let Some(body) = waiting.latest.remove(&key) else { continue };
            batch.push((key, body));
        }
        waiting.is_sending = true;
        Some((tenant, batch))
    }

    /// Puts a batch back to the front, but for what has come anew; says how many found no room.
    fn give_back(&self, batch: Vec<(Key, Value)>) -> usize {
        let mut waiting = self.waiting.lock();
        waiting.is_sending = false;
        let mut dropped = 0;
        for (key, body) in batch.into_iter().rev() {
            if waiting.latest.contains_key(&key) {
                continue;
            }
            if waiting.order.len() >= self.capacity {
                dropped += 1;
                continue;
            }
            waiting.order.push_front(key.clone());
            waiting.latest.insert(key, body);
        }
        dropped
    }

    /// Says that the batch that was taken is dealt with.
    fn done(&self) {
        self.waiting.lock().is_sending = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(tenant: &str, name: &str) -> Key {
        let labels = LabelMap::from([("alertname".to_owned(), name.to_owned())]);
        (TenantId::new(tenant).unwrap(), labels)
    }

    fn names(batch: &Option<(TenantId, Vec<(Key, Value)>)>) -> String {
        let (_, batch) = batch.as_ref().unwrap();
        let names =
            batch.iter().map(|((_, labels), body)| format!("{}{body}", labels["alertname"]));
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn alerts_wait_once_and_by_tenant() {
        let queue = Queue::new(10);
        for (tenant, name, body) in [("a", "x", 1), ("a", "y", 1), ("b", "x", 1), ("a", "x", 2)] {
            assert!(!queue.push(key(tenant, name), body.into()));
        }
        assert_eq!(queue.len(), 3);
        let batch = queue.take();
        assert_eq!(names(&batch), "x2 y1");
        // While it was on its way, one of them came anew.
        queue.push(key("a", "y"), 3.into());
        assert_eq!(queue.give_back(batch.unwrap().1), 0);
        assert_eq!(names(&queue.take()), "x2");
        assert_eq!(names(&queue.take()), "x1");
        assert_eq!(names(&queue.take()), "y3");
        assert!(queue.take().is_none() && !queue.is_idle());
        queue.done();
        assert!(queue.is_idle());
    }

    #[test]
    fn the_oldest_make_room() {
        let queue = Queue::new(2);
        let dropped = ["x", "y", "z"].map(|name| queue.push(key("a", name), 1.into()));
        assert_eq!(dropped, [false, false, true]);
        let batch = queue.take();
        assert_eq!(names(&batch), "y1 z1");
        queue.push(key("a", "v"), 1.into());
        assert_eq!(queue.give_back(batch.unwrap().1), 1);
        assert_eq!(names(&queue.take()), "z1 v1");
    }
}
