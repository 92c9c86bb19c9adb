//! What every request handler shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::Registry;
use timberline_query::Engine;
use timberline_store::{Store, StoreError};

use crate::access::Access;
use crate::config::{Config, LimitsConfig, LiveLimits, TenantLimits};
use crate::http::now;
use crate::ingest::Ingester;
use crate::metrics::Metrics;
use crate::ruler::{Ruler, RulerError};
use crate::tail::Tails;
use crate::turns::Turns;

/// What every request handler shares: one per server, behind an [`Arc`].
#[derive(Debug)]
pub struct AppState {
    /// The store. Its calls block: use them on blocking threads.
    pub store: Store,
    /// The write path.
    pub ingester: Ingester,
    /// The configuration that the server was started with. Limits are in `limits`, since they may change.
    pub config: Arc<Config>,
    /// What each tenant is held to, now.
    pub limits: Arc<LiveLimits>,
    /// Where every metric is registered; `/metrics` prints it.
    pub registry: Registry,
    /// The server's own metrics.
    pub metrics: Metrics,
    /// Who may do what.
    pub access: Access,
    /// Whose query is next.
    pub(crate) queries: Turns,
    /// The live tails.
    pub(crate) tails: Arc<Tails>,
    /// What evaluates rules, where it is enabled.
    pub(crate) ruler: Option<Arc<Ruler>>,
    stopping: AtomicBool,
}

/// Why a data directory cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ruler cannot work as configured.
    #[error(transparent)]
    Ruler(#[from] RulerError),
}

impl AppState {
    /// Opens the store in the configured data directory and puts everything together.
    ///
    /// Blocks: replays the write-ahead log and maps the segments.
    ///
    /// # Errors
    /// As [`timberline_store::StoreBuilder::open`]: [`StoreError::Locked`] when another process has
    /// the directory. [`RulerError`] where the ruler is enabled and cannot be.
    pub fn open(config: Config, access: Access) -> Result<Arc<Self>, OpenError> {
        let store = config.store_builder().open(&config.data_dir)?;
        let registry = Registry::new();
        let ruler = match Ruler::open(&config, &registry) {
            Ok(ruler) => ruler,
            Err(error) => {
                store.close()?;
                return Err(error.into());
            }
        };
        let limits = TenantLimits::new(config.limits_config.clone(), config.overrides.clone());
        let limits = Arc::new(LiveLimits::new(limits));
        let ingester = Ingester::new(store.clone(), Arc::clone(&limits), &registry);
        let waiting_max = config.querier.max_outstanding_per_tenant;
        let queries = Turns::new(config.concurrent_queries(), waiting_max);
        let metrics = Metrics::new(&registry, &store, &queries, ingester.turns());
        let tails = Arc::new(Tails::new(&registry));
        Ok(Arc::new(Self {
            store,
            ingester,
            config: Arc::new(config),
            limits,
            registry,
            metrics,
            access,
            queries,
            tails,
            ruler,
            stopping: AtomicBool::new(false),
        }))
    }

    /// The query engine over the store, for queries that are held to these limits. Its calls block.
    #[must_use]
    pub fn engine(&self, limits: &LimitsConfig) -> Engine {
        Engine::with_limits(self.store.clone(), limits.query.engine_limits(now()))
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
