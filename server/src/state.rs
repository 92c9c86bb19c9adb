//! What every request handler shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::Registry;
use timberline_query::Engine;
use timberline_store::{Store, StoreError};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::ingest::Ingester;
use crate::metrics::Metrics;
use crate::tail::Tails;

/// What every request handler shares: one per server, behind an [`Arc`].
#[derive(Debug)]
pub struct AppState {
    /// The store. Its calls block: use them on blocking threads.
    pub store: Store,
    /// The query engine over the store. Its calls block too.
    pub engine: Engine,
    /// The write path.
    pub ingester: Ingester,
    /// The effective configuration.
    pub config: Arc<Config>,
    /// Where every metric is registered; `/metrics` prints it.
    pub registry: Registry,
    /// The server's own metrics.
    pub metrics: Metrics,
    /// A permit for each query that may run at the same time.
    pub query_permits: Arc<Semaphore>,
    /// The live tails.
    pub(crate) tails: Arc<Tails>,
    stopping: AtomicBool,
}

impl AppState {
    /// Opens the store in the configured data directory and puts everything together.
    ///
    /// Blocks: replays the write-ahead log and maps the segments.
    ///
    /// # Errors
    /// As [`timberline_store::StoreBuilder::open`]: [`StoreError::Locked`] when another process has
    /// the directory.
    pub fn open(config: Config) -> Result<Arc<Self>, StoreError> {
        let store = config.store_builder().open(&config.data_dir)?;
        let registry = Registry::new();
        let metrics = Metrics::new(&registry, &store);
        let engine = Engine::with_limits(store.clone(), config.engine_limits());
        let ingester = Ingester::new(store.clone(), config.limits_config.ingest.clone(), &registry);
        let query_permits = Arc::new(Semaphore::new(config.concurrent_queries()));
        let tails = Arc::new(Tails::new(engine.clone(), &registry));
        Ok(Arc::new(Self {
            store,
            engine,
            ingester,
            config: Arc::new(config),
            registry,
            metrics,
            query_permits,
            tails,
            stopping: AtomicBool::new(false),
        }))
    }

    /// Makes `/ready` answer 503 from now on, and ends live tails.
    pub fn begin_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
        self.tails.stop();
    }

    /// Whether the server is on its way out.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}
