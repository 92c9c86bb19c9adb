//! Evaluates queries over a store.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use timberline_store::{Store, TenantId, Timestamp};

use crate::{QueryAnswer, QueryError};

/// What a query may use. The defaults are Loki's.
#[derive(Clone, Debug)]
pub struct EngineLimits {
    /// Series in an answer (500). 0 is no limit.
    pub max_series: usize,
    /// Entries that a log query may ask for (5000). 0 is no limit.
    pub max_entries: usize,
    /// How long a query may take (1 minute).
    pub timeout: Duration,
    /// The longest time from start to end (721 hours). Zero is no limit.
    pub max_query_length: Duration,
    /// The longest `[range]`. Zero (the default) is no limit.
    pub max_query_range: Duration,
    /// Matchers in a selector (1000). 0 is no limit.
    pub max_matchers: usize,
    /// Bytes that one query may hold (256 MiB).
    pub memory_bytes_max: usize,
    /// Threads that one query may use (the machine's cores).
    pub threads: usize,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            max_series: 500,
            max_entries: 5000,
            timeout: Duration::from_secs(60),
            max_query_length: Duration::from_secs(721 * 3600),
            max_query_range: Duration::ZERO,
            max_matchers: 1000,
            memory_bytes_max: 256 << 20,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// Which entries a limit keeps, and how they are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
}

/// A query over a range of time.
#[derive(Clone, Debug)]
pub struct RangeQuery {
    /// The query's text.
    pub query: String,
    /// From when, in nanoseconds: included.
    pub start: Timestamp,
    /// Until when: excluded by log queries; the last step of metric queries may be at it.
    pub end: Timestamp,
    /// Between two steps of a metric query, in nanoseconds; a whole number of milliseconds.
    pub step: i64,
    /// Between two entries of a log query, in nanoseconds; 0 takes every entry.
    pub interval: i64,
    /// How many entries a log query returns.
    pub limit: usize,
    /// Which entries, and their order.
    pub direction: Direction,
    /// Whether entries say which labels are structured metadata and which are parsed.
    pub categorize_labels: bool,
    /// Set to make the query stop with [`QueryError::Cancelled`].
    pub cancel: Arc<AtomicBool>,
}

/// A query at one point in time.
#[derive(Clone, Debug)]
pub struct InstantQuery {
    /// The query's text.
    pub query: String,
    /// When.
    pub time: Timestamp,
    /// Set to make the query stop with [`QueryError::Cancelled`].
    pub cancel: Arc<AtomicBool>,
}

/// Evaluates queries over a store. Blocks the calling thread; uses a few more.
#[derive(Clone, Debug)]
pub struct Engine {}

impl Engine {
    /// An engine with the default limits.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self::with_limits(store, EngineLimits::default())
    }

    /// An engine with its limits.
    #[must_use]
    pub fn with_limits(store: Store, limits: EngineLimits) -> Self {
        let _ = (store, limits);
        unimplemented!()
    }

    /// Evaluates a query over a range of time.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn range(&self, tenant: &TenantId, query: &RangeQuery) -> Result<QueryAnswer, QueryError> {
        let _ = (tenant, query);
        unimplemented!()
    }

    /// Evaluates a query at one point in time.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn instant(
        &self,
        tenant: &TenantId,
        query: &InstantQuery,
    ) -> Result<QueryAnswer, QueryError> {
        let _ = (tenant, query);
        unimplemented!()
    }
}
