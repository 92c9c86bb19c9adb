//! The server's own metrics, and what `/metrics` prints.

use std::collections::HashMap;
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use timberline_store::{Store, StoreStats};

/// Upper bounds of the request histogram's buckets, in seconds: from a label lookup to a long query.
const BUCKETS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The server's own metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Option<HistogramVec>,
}

impl Metrics {
    /// Registers the server's metrics and a collector that reads the store's figures when asked.
    ///
    /// A metric that cannot be registered (another has its name) is left out and reported: a server
    /// without a metric is better than none.
    #[must_use]
    pub fn new(registry: &Registry, store: &Store) -> Self {
        let options = HistogramOpts::new(
            "loki_request_duration_seconds",
            "Seconds that requests took, from the request's head to the answer's head.",
        );
        let options = options.buckets(BUCKETS.to_vec());
        let requests = HistogramVec::new(options, &["method", "route", "status_code"]);
        register_build_info(registry);
        match StoreCollector::new(store.clone()) {
            Ok(collector) => register(registry, collector),
            Err(error) => tracing::error!(%error, "metric left out"),
        }
        let requests = requests.inspect(|requests| register(registry, requests.clone()));
        Self { requests: requests.ok() }
    }

    /// Counts a request that was answered.
    pub fn observe_request(&self, method: &str, route: &str, status: u16, took: Duration) {
        if let Some(requests) = &self.requests {
            let labels = [method, route, &status.to_string()];
            requests.with_label_values(&labels).observe(took.as_secs_f64());
        }
    }
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

fn register(registry: &Registry, collector: impl Collector + 'static) {
    if let Err(error) = registry.register(Box::new(collector)) {
        tracing::error!(%error, "metric left out");
    }
}

/// Registers a metric. One that cannot be made is left out and reported.
pub(crate) fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<C>,
) -> Option<C> {
    match metric {
        Ok(metric) => {
            register(registry, metric.clone());
            Some(metric)
        }
        Err(error) => {
            tracing::error!(%error, "metric left out");
            None
        }
    }
}

fn register_build_info(registry: &Registry) {
    let options = Opts::new("loki_build_info", "Always 1; the labels say which build this is.");
    match IntGaugeVec::new(options, &["version", "revision", "branch", "goversion"]) {
        Ok(info) => {
            info.with_label_values(&[crate::VERSION, "", "", ""]).set(1);
            register(registry, info);
        }
        Err(error) => tracing::error!(%error, "metric left out"),
    }
}

/// Reads the store's figures whenever metrics are gathered.
struct StoreCollector {
    store: Store,
    descriptions: Vec<Desc>,
}

/// A figure of the store: its metric's name, what it is, where it is found.
type Figure = (&'static str, &'static str, fn(&StoreStats) -> u64);

const GAUGES: [Figure; 8] = [
    ("timberline_head_streams", "Streams in the head, over all tenants.", |s| s.head_streams),
    ("timberline_head_entries", "Entries in the head.", |s| s.head_entries),
    ("timberline_head_bytes", "Bytes of lines and metadata in the head.", |s| s.head_bytes),
    ("timberline_segments", "Live segment files.", |s| s.segments),
    ("timberline_segment_bytes", "Bytes of live segment files.", |s| s.segment_bytes),
    ("timberline_segment_entries", "Entries in live segments.", |s| s.segment_entries),
    ("timberline_wal_bytes", "Bytes of write-ahead-log files.", |s| s.wal_bytes),
    ("timberline_damaged_segments", "Segments set aside for damage.", |s| s.damaged_segments),
];

const COUNTERS: [Figure; 4] = [
    ("timberline_wal_syncs_total", "Syncs of the write-ahead log.", |s| s.wal_syncs),
    ("timberline_appends_total", "Batches appended.", |s| s.appends),
    ("timberline_flushes_total", "Flushes of the head to a segment.", |s| s.flushes),
    ("timberline_replayed_entries_total", "Entries that the log gave back at the start.", |s| {
        s.replayed_entries
    }),
];

impl StoreCollector {
    fn new(store: Store) -> prometheus::Result<Self> {
        let describe = |(name, help, _): &Figure| {
            Desc::new((*name).to_owned(), (*help).to_owned(), Vec::new(), HashMap::new())
        };
        let descriptions =
            GAUGES.iter().chain(&COUNTERS).map(describe).collect::<Result<_, _>>()?;
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
        gauges.chain(counters).collect()
    }
}
