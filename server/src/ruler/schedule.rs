//! When a group is due, and what is done then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::http::HeaderMap;
use ::http::header::{CONTENT_TYPE, HeaderValue};
use blake2::{Blake2s256, Digest as _};
use serde_json::json;
use timberline_query::Tenants;
use timberline_store::Timestamp;

use super::Ruler;
use super::evaluate::{CompiledRule, Evaluation, Outcome};
use super::group::{Group, GroupKey, WrittenSample};
use super::rules::METRIC_NAME;
use crate::http::{now, work};
use crate::ingest::Dialect;
use crate::state::AppState;

/// The longest sleep: the clock may be set meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// The label that says of a stored sample which rule it is of.
const RECORDED_LABEL: &str = "recorded";

/// Evaluates a group whenever it is due, for ever.
pub(super) async fn follow(ruler: Arc<Ruler>, state: Arc<AppState>, group: Arc<Group>) {
    let slots = Slots::new(&group.key, group.interval);
    let mut due = slots.from(now());
    loop {
        due = sleep_until(due, slots).await;
        evaluate(&ruler, &state, &group, due).await;
        let passed = slots.passed(due, now());
        ruler.metrics.count_iterations(&group.key, passed.saturating_sub(1));
        due = slots.after(due, passed.max(1));
    }
}

/// The times at which a group is due: every interval, at an offset of its own, which is the same after each
/// restart, so that groups neither all come at once nor change their times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slots {
    interval: i64,
    offset: i64,
}

impl Slots {
    fn new(key: &GroupKey, interval: Duration) -> Self {
        let interval = i64::try_from(interval.as_nanos()).unwrap_or(i64::MAX).max(1);
        let mut hash = Blake2s256::new();
        for part in [key.tenant.as_str(), &key.namespace, &key.name] {
            hash.update(part);
            hash.update([0]);
        }
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hash.finalize()[..8]);
        let offset = u64::from_le_bytes(bytes) % interval.unsigned_abs();
        Self { interval, offset: i64::try_from(offset).unwrap_or(0) }
    }

    /// The first slot that is not before `now`.
    fn from(self, now: Timestamp) -> Timestamp {
        let into = now.saturating_sub(self.offset).rem_euclid(self.interval);
        if into == 0 { now } else { now.saturating_add(self.interval - into) }
    }

    /// How many slots there are behind `due` up to `now`.
    fn passed(self, due: Timestamp, now: Timestamp) -> u64 {
        u64::try_from(now.saturating_sub(due) / self.interval).unwrap_or(0)
    }

    /// The slot so many intervals behind `due`.
    fn after(self, due: Timestamp, slots: u64) -> Timestamp {
        let slots = i64::try_from(slots).unwrap_or(i64::MAX);
        due.saturating_add(self.interval.saturating_mul(slots))
    }
}

/// Returns when the slot is there; it is another one where the clock was set back.
async fn sleep_until(mut due: Timestamp, slots: Slots) -> Timestamp {
    loop {
        let now = now();
        let left = due.saturating_sub(now);
        if left > slots.interval {
            due = slots.from(now);
        }
        match u64::try_from(due.saturating_sub(now)) {
            Ok(left) if left > 0 => {
                tokio::time::sleep(Duration::from_nanos(left).min(SLEEP_MAX)).await;
            }
            _ => return due,
        }
    }
}

/// Evaluates the rules of a group, one after the other.
async fn evaluate(ruler: &Ruler, state: &Arc<AppState>, group: &Arc<Group>, time: Timestamp) {
    let begun = Instant::now();
    let mut samples = 0;
    for (index, rule) in group.rules.iter().enumerate() {
        let begun = Instant::now();
        let result = run(ruler, state, group, rule, time).await;
        let took = begun.elapsed();
        let finished = group.finish_rule(index, result, time, took, ruler.config.resend_delay);
        ruler.metrics.observe_rule(&group.key, took, finished.error.is_none());
        if let Some(error) = &finished.error {
            let GroupKey { tenant, namespace, name } = &group.key;
            let rule = rule.rule.name();
            tracing::warn!(%tenant, namespace, group = name, rule, error, "cannot evaluate a rule");
        }
        samples += finished.samples.iter().filter(|sample| !sample.is_stale()).count();
        let (tenant, surroundings) = (&group.key.tenant, &ruler.surroundings);
        ruler.notifier.notify(tenant, &rule.rule.expr, &finished.notifications, surroundings);
        ruler.write(tenant, &finished.samples);
        if ruler.config.store_samples && !rule.rule.is_alerting() {
            store(state, group, &finished.samples, time).await;
        }
    }
    group.finish(time, begun.elapsed());
    ruler.metrics.observe_group(&group.key, time, begun.elapsed(), samples);
    ruler.to_save.notify_one();
}

/// Evaluates a rule as a query of its tenant: when it is its turn, and held to the tenant's limits.
async fn run(
    ruler: &Ruler,
    state: &Arc<AppState>,
    group: &Arc<Group>,
    rule: &Arc<CompiledRule>,
    time: Timestamp,
) -> Result<Outcome, String> {
    let (rule, surroundings) = (Arc::clone(rule), Arc::clone(&ruler.surroundings));
    let (limit, time) = (group.said.limit, time.saturating_sub(group.said.query_offset.0));
    let tenants = Tenants::from(group.key.tenant.clone());
    let work = work::run(state, tenants, move |state, ticket| {
        let engine = state.engine(&ticket.limits);
        let cancel = Arc::clone(&ticket.cancel);
        let evaluation = Evaluation::new(&engine, &ticket.tenants, &surroundings, cancel);
        let outcome = evaluation.rule(&rule, limit, time);
        for stats in evaluation.stats.borrow().iter() {
            state.metrics.observe_query(&ticket.tenants, stats);
        }
        Ok(outcome)
    });
    work.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// Stores samples as log entries: a stream for each series, with the rule's name in the label `recorded`, and
/// lines `value=1.5`.
async fn store(state: &AppState, group: &Group, samples: &[WrittenSample], time: Timestamp) {
    let streams = samples.iter().filter(|sample| !sample.is_stale()).map(|sample| {
        let mut labels = sample.labels.clone();
        if let Some(name) = labels.remove(METRIC_NAME) {
            labels.insert(RECORDED_LABEL.to_owned(), name);
        }
        json!({"stream": labels, "values": [[time.to_string(), format!("value={}", sample.value)]]})
    });
    let streams: Vec<_> = streams.collect();
    if streams.is_empty() {
        return;
    }
    let body = json!({ "streams": streams }).to_string();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let tenant = &group.key.tenant;
    let pushed = state.ingester.push_http(tenant, Dialect::V1, &headers, body.into()).await;
    if let Err(error) = pushed {
        tracing::warn!(%tenant, group = group.key.name, %error, "cannot store the samples of a rule");
    }
}

#[cfg(test)]
mod tests {
    use timberline_store::TenantId;

    use super::*;

    fn key(name: &str) -> GroupKey {
        let (tenant, namespace) = (TenantId::new("t").unwrap(), "n".to_owned());
        GroupKey { tenant, namespace, name: name.to_owned() }
    }

    #[test]
    fn groups_have_times_of_their_own() {
        const MINUTE: Duration = Duration::from_secs(60);
        let slots = Slots::new(&key("a"), MINUTE);
        assert_eq!(slots, Slots::new(&key("a"), MINUTE));
        assert_ne!(slots, Slots::new(&key("b"), MINUTE));
        assert_eq!(slots.offset, 24_870_478_099, "as it was in the first release");
    }

    #[test]
    fn slots_are_an_interval_apart() {
        let slots = Slots { interval: 10, offset: 3 };
        assert_eq!([3, 4, 13, -8].map(|now| slots.from(now)), [3, 13, 13, -7]);
        assert_eq!([13, 22, 23, 49].map(|now| slots.passed(13, now)), [0, 0, 1, 3]);
        // Three slots went by: two are missed, the third is late.
        assert_eq!(slots.after(13, 3), 43);
        assert_eq!(slots.passed(13, 0), 0, "the clock was set back");
    }
}
