//! The server's own metrics, and what `/metrics` prints.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parking_lot::RwLock;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, MetricFamily};
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, PullingGauge, Registry, TextEncoder,
};
use timberline_query::{QueryStats, Tenants};
use timberline_store::{Durations, Store, StoreStats, TenantId};

use crate::turns::Turns;

/// Upper bounds of the request histogram's buckets, in seconds: from a label lookup to a long query.
const BUCKETS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// How many tenants have series of their own. Where nobody shows credentials, anybody can name any tenant.
const TENANTS_MAX: usize = 2000;

/// The tenants without series of their own, all together.
const OTHER_TENANTS: &str = "other tenants";

/// The server's own metrics. One that cannot be registered (another has its name) is left out and
/// reported: a server without a metric is better than none.
#[derive(Debug)]
pub struct Metrics {
    requests: Option<HistogramVec>,
    inflight: Option<IntGaugeVec>,
    panics: Option<IntCounter>,
    denied: Option<IntCounterVec>,
    reloaded: Option<IntGauge>,
    queued: Option<Histogram>,
    query_bytes: Option<IntCounterVec>,
    query_lines: Option<IntCounterVec>,
    tenants: TenantNames,
}

impl Metrics {
    /// Registers the server's metrics, and collectors that read the store's figures and the queues' when
    /// asked.
    #[must_use]
    pub(crate) fn new(registry: &Registry, store: &Store, queries: &Turns, pushes: &Turns) -> Self {
        register_build_info(registry);
        register_turns(registry, "queries", queries);
        register_turns(registry, "pushes", pushes);
        registered(registry, StoreCollector::new(store.clone()));
        let counter = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let reloaded = registered(
            registry,
            IntGauge::new(
                "loki_runtime_config_last_reload_successful",
                "Whether limits, credentials and certificates could be read when they were last read.",
            ),
        );
        if let Some(reloaded) = &reloaded {
            reloaded.set(1);
        }
        let inflight = Opts::new("loki_inflight_requests", "Requests that are being answered.");
        Self {
            requests: registered(registry, request_histogram()),
            inflight: registered(registry, IntGaugeVec::new(inflight, &["method", "route"])),
            panics: registered(
                registry,
                IntCounter::new("loki_panic_total", "Requests that ended with a panic."),
            ),
            denied: counter(
                "timberline_denied_requests_total",
                "Requests that were not let through.",
                &["reason"],
            ),
            reloaded,
            queued: registered(registry, queue_histogram()),
            query_bytes: counter(
                "timberline_query_bytes_processed_total",
                "Bytes of lines that queries looked at.",
                &["tenant"],
            ),
            query_lines: counter(
                "timberline_query_lines_processed_total",
                "Lines that queries looked at.",
                &["tenant"],
            ),
            tenants: TenantNames::default(),
        }
    }

    /// Says how reading the configuration again went.
    pub(crate) fn set_reloaded(&self, all_well: bool) {
        if let Some(reloaded) = &self.reloaded {
            reloaded.set(i64::from(all_well));
        }
    }

    /// Counts a request that begins, until what is returned is dropped.
    pub(crate) fn begin_request(&self, method: &str, route: &str) -> Option<InFlight> {
        let gauge = self.inflight.as_ref()?.with_label_values(&[method, route]);
        gauge.inc();
        Some(InFlight(gauge))
    }

    /// Counts a request that was answered, or became a WebSocket.
    pub(crate) fn observe_request(
        &self,
        method: &str,
        route: &str,
        status: &str,
        is_upgrade: bool,
        took: Duration,
    ) {
        if let Some(requests) = &self.requests {
            let labels = [method, route, status, &is_upgrade.to_string()];
            requests.with_label_values(&labels).observe(took.as_secs_f64());
        }
    }

    /// Counts a request that ended with a panic.
    pub(crate) fn count_panic(&self) {
        if let Some(panics) = &self.panics {
            panics.inc();
        }
    }

    /// Counts a request that was not let through.
    pub(crate) fn count_denied(&self, reason: &str) {
        if let Some(denied) = &self.denied {
            denied.with_label_values(&[reason]).inc();
        }
    }

    /// Counts a query that had its turn.
    pub(crate) fn observe_turn(&self, queued: Duration) {
        if let Some(histogram) = &self.queued {
            histogram.observe(queued.as_secs_f64());
        }
    }

    /// Counts what a query took. What several tenants have been read for is the first one's.
    pub(crate) fn observe_query(&self, tenants: &Tenants, stats: &QueryStats) {
        let counters = [
            (&self.query_bytes, stats.bytes_processed),
            (&self.query_lines, stats.lines_processed),
        ];
        self.tenants.with(tenants.first(), |tenant| {
            for (counter, number) in counters {
                if let Some(counter) = counter {
                    counter.with_label_values(&[tenant]).inc_by(number);
                }
            }
        });
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The tenants that have series of their own: the first that come.
#[derive(Debug, Default)]
pub(crate) struct TenantNames(RwLock<HashSet<TenantId>>);

impl TenantNames {
    /// Calls `count` with the tenant as a label's value.
    pub(crate) fn with(&self, tenant: &TenantId, count: impl FnOnce(&str)) {
        let is_known = self.0.read().contains(tenant);
        let has_series = is_known || {
            let mut known = self.0.write();
            (known.len() < TENANTS_MAX).then(|| known.insert(tenant.clone())).is_some()
        };
        count(if has_series { tenant.as_str() } else { OTHER_TENANTS });
    }
}

fn request_histogram() -> prometheus::Result<HistogramVec> {
    let options = HistogramOpts::new(
        "loki_request_duration_seconds",
        "Seconds that requests took, from the request's head to the answer's head.",
    );
    let labels = ["method", "route", "status_code", "ws"];
    HistogramVec::new(options.buckets(BUCKETS.to_vec()), &labels)
}

fn queue_histogram() -> prometheus::Result<Histogram> {
    let options = HistogramOpts::new(
        "timberline_query_queue_duration_seconds",
        "Seconds that queries waited for their turn.",
    );
    Histogram::with_opts(options.buckets(BUCKETS.to_vec()))
}

/// Registers how many requests of a kind run and wait.
fn register_turns(registry: &Registry, kind: &str, turns: &Turns) {
    let gauge = |what: &str, help: &str, read: fn((usize, usize)) -> usize| {
        let turns = turns.clone();
        #[expect(clippy::cast_precision_loss, reason = "there are never as many requests")]
        let value = Box::new(move || read(turns.lengths()) as f64);
        let (name, help) =
            (format!("timberline_{kind}_{what}"), format!("The {kind} that {help}."));
        registered(registry, PullingGauge::new(name, help, value));
    };
    gauge("running", "run", |(running, _)| running);
    gauge("waiting", "wait for a turn", |(_, waiting)| waiting);
}

/// Everything in the registry in Prometheus's text format.
///
/// # Errors
/// A metric family without metrics, which is a bug of a collector.
pub fn to_text(registry: &Registry) -> Result<Vec<u8>, prometheus::Error> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(text)
}

/// Registers a metric that was made; reports one that was not.
pub(crate) fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: prometheus::Result<C>,
) -> Option<C> {
    let registered = collector
        .and_then(|collector| registry.register(Box::new(collector.clone())).map(|()| collector));
    registered.inspect_err(|error| tracing::error!(%error, "metric left out")).ok()
}

fn register_build_info(registry: &Registry) {
    let options = Opts::new("loki_build_info", "Always 1; the labels say which build this is.");
    let info = IntGaugeVec::new(options, &["version", "revision", "branch", "goversion"]);
    if let Some(info) = registered(registry, info) {
        info.with_label_values(&[crate::VERSION, "", "", ""]).set(1);
    }
}

/// Reads the store's figures whenever metrics are gathered.
#[derive(Clone)]
struct StoreCollector {
    store: Store,
    descriptions: Vec<Desc>,
}

/// A figure of the store: its metric's name, what it is, where it is found.
type Figure = (&'static str, &'static str, fn(&StoreStats) -> u64);

const GAUGES: [Figure; 11] = [
    ("loki_ingester_memory_streams", "Streams in the head, over all tenants.", |s| s.head_streams),
    ("timberline_head_streams", "Streams in the head, over all tenants.", |s| s.head_streams),
    ("timberline_head_entries", "Entries in the head.", |s| s.head_entries),
    ("timberline_head_bytes", "Bytes of lines and metadata in the head.", |s| s.head_bytes),
    ("timberline_segments", "Live segment files.", |s| s.segments),
    ("timberline_segment_bytes", "Bytes of live segment files.", |s| s.segment_bytes),
    ("timberline_segment_entries", "Entries in live segments.", |s| s.segment_entries),
    ("timberline_wal_bytes", "Bytes of write-ahead-log files.", |s| s.wal_bytes),
    ("timberline_damaged_segments", "Segments set aside for damage.", |s| s.damaged_segments),
    (
        "timberline_torn_log_bytes",
        "Bytes at the log's end that were no record at the start.",
        |s| s.torn_log_bytes,
    ),
    ("timberline_deletes_pending", "Delete requests that are not off the disk yet.", |s| {
        s.deletes_pending
    }),
];

const COUNTERS: [Figure; 11] = [
    ("timberline_wal_syncs_total", "Syncs of the write-ahead log.", |s| s.wal_syncs),
    ("timberline_appends_total", "Batches appended.", |s| s.appends),
    ("timberline_flushes_total", "Flushes of the head to a segment.", |s| s.flushes),
    ("timberline_merges_total", "Merges of small segments.", |s| s.merges),
    ("timberline_rewrites_total", "Segments written anew without some entries.", |s| s.rewrites),
    ("timberline_removed_segments_total", "Segments that went with all entries.", |s| {
        s.removed_segments
    }),
    ("timberline_flush_bytes_total", "Bytes of segments that flushes wrote.", |s| s.flush_bytes),
    ("timberline_merge_bytes_total", "Bytes of segments that merges wrote.", |s| s.merge_bytes),
    ("timberline_rewrite_bytes_total", "Bytes of segments written anew.", |s| s.rewrite_bytes),
    ("timberline_damaged_reads_total", "Parts of segments left out for damage.", |s| {
        s.damaged_reads
    }),
    ("timberline_replayed_entries_total", "Entries that the log gave back at the start.", |s| {
        s.replayed_entries
    }),
];

/// How long something of the store takes: its metric's name, what it is, where it is found.
type Timing = (&'static str, &'static str, fn(&StoreStats) -> &Durations);

const TIMINGS: [Timing; 3] = [
    (
        "timberline_wal_sync_duration_seconds",
        "Seconds that syncs of the write-ahead log took.",
        |s| &s.wal_sync_durations,
    ),
    (
        "timberline_flush_duration_seconds",
        "Seconds that it took to write the head to a segment.",
        |s| &s.flush_durations,
    ),
    (
        "timberline_merge_duration_seconds",
        "Seconds that merges, and rewrites of single segments, took with their pauses.",
        |s| &s.merge_durations,
    ),
];

/// A histogram as it is printed.
fn histogram(name: &str, help: &str, durations: &Durations) -> MetricFamily {
    let buckets = durations.up_to().map(|(upper, count)| {
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(upper.as_secs_f64());
        bucket.set_cumulative_count(count);
        bucket
    });
    let mut histogram = proto::Histogram::default();
    histogram.set_sample_count(durations.count());
    histogram.set_sample_sum(durations.sum().as_secs_f64());
    histogram.set_bucket(buckets.collect());
    let mut metric = proto::Metric::default();
    metric.set_histogram(histogram);
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(proto::MetricType::HISTOGRAM);
    family.set_metric(vec![metric]);
    family
}

impl StoreCollector {
    fn new(store: Store) -> prometheus::Result<Self> {
        let figures = GAUGES.iter().chain(&COUNTERS).map(|(name, help, _)| (*name, *help));
        let timings = TIMINGS.iter().map(|(name, help, _)| (*name, *help));
        let describe = |(name, help): (&str, &str)| {
            Desc::new(name.to_owned(), help.to_owned(), Vec::new(), HashMap::new())
        };
        let descriptions = figures.chain(timings).map(describe).collect::<Result<_, _>>()?;
        Ok(Self { store, descriptions })
    }
}

impl Collector for StoreCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let stats = self.store.stats();
        let gauges = GAUGES.iter().filter_map(|(name, help, read)| {
            let gauge = IntGauge::new(*name, *help).ok()?;
            gauge.set(i64::try_from(read(&stats)).unwrap_or(i64::MAX));
            gauge.collect().pop()
        });
        let counters = COUNTERS.iter().filter_map(|(name, help, read)| {
            let counter = IntCounter::new(*name, *help).ok()?;
            counter.inc_by(read(&stats));
            counter.collect().pop()
        });
        let timings = TIMINGS.iter().map(|(name, help, read)| histogram(name, help, read(&stats)));
        gauges.chain(counters).chain(timings).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_tenants_have_series() {
        let names = TenantNames::default();
        let label = |tenant: &str| {
            let mut label = String::new();
            names.with(&TenantId::new(tenant).unwrap(), |text| label = text.to_owned());
            label
        };
        for index in 0..TENANTS_MAX {
            assert_eq!(label(&index.to_string()), index.to_string());
        }
        assert_eq!(label("one-too-many"), OTHER_TENANTS);
        assert_eq!(label("7"), "7");
        assert!(TenantId::new(OTHER_TENANTS).is_err(), "it is nobody's name");
    }
}
