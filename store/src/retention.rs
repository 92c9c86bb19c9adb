//! How long entries are kept.

use std::collections::HashMap;
use std::time::Duration;

use crate::{Labels, Matcher, TenantId, Timestamp};

/// How long the entries of each tenant are kept.
///
/// What is past its time is not returned any more and leaves the disk with a later compaction. By default
/// everything is kept for ever.
///
/// ```
/// use std::time::Duration;
/// use timberline_store::{Matcher, Retention, StreamRetention, TenantId, TenantRetention};
///
/// let days = |days: u64| Some(Duration::from_secs(days * 86_400));
/// let debug = StreamRetention {
///     selector: vec![Matcher::equal("level", "debug")],
///     priority: 1,
///     period: days(2),
/// };
/// let acme = TenantRetention::new(days(365)).streams(vec![debug]);
/// let retention = Retention::new(TenantRetention::new(days(30)))
///     .tenant(TenantId::new("acme").expect("a tenant's name"), acme);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Retention {
    others: TenantRetention,
    tenants: HashMap<TenantId, TenantRetention>,
}

/// How long the entries of one tenant are kept.
#[derive(Clone, Debug, Default)]
pub struct TenantRetention {
    period: Option<Duration>,
    /// By descending priority.
    streams: Vec<StreamRetention>,
}

/// How long the entries of some streams are kept.
#[derive(Clone, Debug)]
pub struct StreamRetention {
    /// Which streams.
    pub selector: Vec<Matcher>,
    /// Of several that select a stream the highest counts, and of equal ones the first.
    pub priority: i64,
    /// How long; `None` for ever.
    pub period: Option<Duration>,
}

impl Retention {
    /// All entries are kept so long.
    ///
    /// ```
    /// use std::time::Duration;
    /// use timberline_store::Retention;
    ///
    /// let month = Retention::keep(Duration::from_secs(30 * 86_400));
    /// ```
    #[must_use]
    pub fn keep(period: Duration) -> Self {
        Self::new(TenantRetention::new(Some(period)))
    }

    /// Every tenant's entries are kept so long.
    #[must_use]
    pub fn new(all: TenantRetention) -> Self {
        Self { others: all, tenants: HashMap::new() }
    }

    /// But those of one tenant so long.
    #[must_use]
    pub fn tenant(mut self, tenant: TenantId, retention: TenantRetention) -> Self {
        self.tenants.insert(tenant, retention);
        self
    }

    /// What holds for a tenant; `None` when it keeps everything for ever.
    pub(crate) fn of(&self, tenant: &TenantId) -> Option<&TenantRetention> {
        let found = self.tenants.get(tenant).unwrap_or(&self.others);
        (found.shortest().is_some()).then_some(found)
    }

    /// The shortest of all periods, of whatever tenant; `None` where all is kept for ever.
    pub(crate) fn shortest(&self) -> Option<Duration> {
        let all = self.tenants.values().chain([&self.others]);
        all.filter_map(TenantRetention::shortest).min()
    }

    /// Whether anything is past its time, of whatever tenant, that is as old as `first`.
    pub(crate) fn may_expire(&self, first: Timestamp, now: Timestamp) -> bool {
        let mut all = self.tenants.values().chain([&self.others]);
        all.any(|retention| retention.may_expire(first, now))
    }
}

impl TenantRetention {
    /// All entries are kept so long; `None` is for ever.
    #[must_use]
    pub const fn new(period: Option<Duration>) -> Self {
        Self { period, streams: Vec::new() }
    }

    /// But those of some streams so long.
    #[must_use]
    pub fn streams(mut self, streams: Vec<StreamRetention>) -> Self {
        self.streams.extend(streams);
        self.streams.sort_by_key(|streams| std::cmp::Reverse(streams.priority));
        self
    }

    fn shortest(&self) -> Option<Duration> {
        let of_streams = self.streams.iter().filter_map(|streams| streams.period);
        of_streams.chain(self.period).min()
    }

    /// Whether an entry that is as old as `first` may be past its time.
    pub(crate) fn may_expire(&self, first: Timestamp, now: Timestamp) -> bool {
        self.shortest().is_some_and(|shortest| first < before(now, shortest))
    }

    /// The time before which the entries of a stream are past theirs.
    pub(crate) fn cutoff(&self, labels: &Labels, now: Timestamp) -> Timestamp {
        let value = |matcher: &Matcher| labels.get(matcher.name()).unwrap_or_default();
        let selects = |streams: &&StreamRetention| {
            streams.selector.iter().all(|matcher| matcher.matches(value(matcher)))
        };
        let found = self.streams.iter().find(selects);
        let period = found.map_or(self.period, |streams| streams.period);
        period.map_or(Timestamp::MIN, |period| before(now, period))
    }
}

fn before(now: Timestamp, period: Duration) -> Timestamp {
    now.saturating_sub(Timestamp::try_from(period.as_nanos()).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MatchOp;

    const DAY: Duration = Duration::from_secs(86_400);
    const DAY_NS: i64 = 86_400_000_000_000;

    fn streams(value: &str, priority: i64, days: Option<u32>) -> StreamRetention {
        let selector = vec![Matcher::new("app", MatchOp::Matches, value).unwrap()];
        StreamRetention { selector, priority, period: days.map(|days| DAY * days) }
    }

    #[test]
    fn the_highest_priority_and_then_the_first_counts() {
        let retention = TenantRetention::new(Some(DAY * 9)).streams(vec![
            streams("a.*", 1, Some(5)),
            streams("ab", 2, Some(3)),
            streams("a.*", 2, None),
        ]);
        let cutoff = |app: &str| {
            retention.cutoff(&Labels::from_pairs([("app", app)]).unwrap(), 100 * DAY_NS)
        };
        assert_eq!(cutoff("ab"), 97 * DAY_NS);
        assert_eq!(cutoff("ac"), Timestamp::MIN);
        assert_eq!(cutoff("x"), 91 * DAY_NS);
        assert!(retention.may_expire(97 * DAY_NS - 1, 100 * DAY_NS));
        assert!(!retention.may_expire(97 * DAY_NS, 100 * DAY_NS));
    }

    #[test]
    fn tenants_have_their_own() {
        let (one, other) = (TenantId::new("one").unwrap(), TenantId::new("other").unwrap());
        let retention = Retention::new(TenantRetention::new(Some(DAY)))
            .tenant(one.clone(), TenantRetention::new(None));
        assert!(retention.of(&one).is_none() && retention.of(&other).is_some());
        assert!(retention.may_expire(0, 2 * DAY_NS) && !retention.may_expire(0, DAY_NS));
        assert!(!Retention::default().may_expire(Timestamp::MIN, Timestamp::MAX));
    }
}
