//! Evaluates queries over a store.
//!
//! A query is parsed, checked against the limits, planned and evaluated over one snapshot, so that all
//! of its selectors see the same entries. Two kinds of evaluation share how chunks are read
//! ([`context`], [`parallel`]): log queries ([`logs`]) look for the first entries in time and stop
//! early; metric queries ([`crate::metric`]) read everything in their windows once.

mod bytes;
mod context;
pub(crate) mod limits;
mod logs;
mod parallel;
mod probe;
mod samples;
mod tail;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use timberline_store::{Labels, Store, TimeRange, Timestamp};

use crate::metric::{Grid, StepSeries, Value, evaluate};
use crate::plan::MetricPlan;
use crate::syntax::{Expr, MetricExpr, parse};
use crate::{QueryAnswer, QueryError, QueryValue, Sample, Series, Tenants};

pub(crate) use self::context::{ChunkUnit, Context, ROWS_PER_CHECK, ROWS_PER_FETCH};
pub(crate) use self::parallel::{for_each, groups};
pub(crate) use self::probe::{Fetched, LineReader, Probing};
pub use self::samples::{EntrySample, SampleSeries};
pub use self::tail::{TailEntry, TailHistory, TailQuery, TailRound};

/// Points of a metric query's series that does not say its step.
const POINTS: i64 = 250;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// What a query may use. The defaults are Loki's.
///
/// ```
/// use std::time::Duration;
/// use timberline_query::EngineLimits;
///
/// let limits = EngineLimits {
///     timeout: Duration::from_secs(5),
///     memory_bytes_max: 32 << 20,
///     ..EngineLimits::default()
/// };
/// ```
#[derive(Clone, Debug)]
pub struct EngineLimits {
    /// Series in an answer (500). 0 is no limit.
    pub max_series: usize,
    /// Whether of too many series the first are answered, with a warning, instead of an error (no).
    pub partial_series: bool,
    /// Entries that a log query may ask for (5000). 0 is no limit.
    pub max_entries: usize,
    /// How long a query may take (1 minute).
    pub timeout: Duration,
    /// What queries may look back to, in nanoseconds (as far as there is): they begin here at the earliest, and
    /// find nothing where they end before. Windows reach back beyond it.
    pub earliest: Timestamp,
    /// The longest time from start to end (721 hours). Zero is no limit.
    pub max_query_length: Duration,
    /// The longest `[range]`. Zero (the default) is no limit.
    pub max_query_range: Duration,
    /// Matchers in a selector (1000). 0 is no limit.
    pub max_matchers: usize,
    /// Bytes that the entries of a query's selectors may have in its range, filters or not. 0 (the default)
    /// is no limit.
    pub max_bytes_read: u64,
    /// Bytes that one query may hold (256 MiB).
    pub memory_bytes_max: usize,
    /// Threads that one query may use (the machine's cores).
    pub threads: usize,
}

/// How many threads can run at once. Asking the system takes longer than many a query.
static CORES: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            max_series: 500,
            partial_series: false,
            max_entries: 5000,
            timeout: Duration::from_secs(60),
            earliest: Timestamp::MIN,
            max_query_length: Duration::from_secs(721 * 3600),
            max_query_range: Duration::ZERO,
            max_matchers: 1000,
            max_bytes_read: 0,
            memory_bytes_max: 256 << 20,
            threads: *CORES,
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
///
/// ```
/// use timberline_query::{Direction, RangeQuery};
/// use timberline_store::TimeRange;
///
/// let hour = TimeRange::new(1_700_000_000_000_000_000, 1_700_003_600_000_000_000);
/// let mut query = RangeQuery::new(r#"{app="shop"} |= "paid""#, hour);
/// (query.limit, query.direction) = (20, Direction::Forward);
/// ```
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
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::Ordering;
/// use timberline_query::{Engine, InstantQuery, QueryError};
/// use timberline_store::{MemVfs, Store, TenantId};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = Store::builder().vfs(Arc::new(MemVfs::new())).open("/logs")?;
/// let query = InstantQuery::new(r#"sum(rate({app="shop"}[5m]))"#, 1_700_000_000_000_000_000);
/// // Any thread may end it, whether it has begun or not.
/// query.cancel.store(true, Ordering::Relaxed);
/// let outcome = Engine::new(store).instant(&TenantId::default(), &query);
/// assert!(matches!(outcome, Err(QueryError::Cancelled)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct InstantQuery {
    /// The query's text.
    pub query: String,
    /// When.
    pub time: Timestamp,
    /// Set to make the query stop with [`QueryError::Cancelled`].
    pub cancel: Arc<AtomicBool>,
}

impl RangeQuery {
    /// Up to 100 entries, the newest first; of a metric query about 250 points, a second apart at least.
    /// Everything else is a field to be set: `RangeQuery { limit: 10, ..RangeQuery::new(query, range) }`.
    #[must_use]
    pub fn new(query: impl Into<String>, range: TimeRange) -> Self {
        let seconds = range.end.saturating_sub(range.start) / POINTS / NANOS_PER_SECOND;
        Self {
            query: query.into(),
            start: range.start,
            end: range.end,
            step: seconds.max(1) * NANOS_PER_SECOND,
            interval: 0,
            limit: 100,
            direction: Direction::Backward,
            categorize_labels: false,
            cancel: Arc::default(),
        }
    }
}

impl InstantQuery {
    /// The query at that time.
    #[must_use]
    pub fn new(query: impl Into<String>, time: Timestamp) -> Self {
        Self { query: query.into(), time, cancel: Arc::default() }
    }
}

/// Evaluates queries over a store. Blocks the calling thread; uses a few more.
///
/// Cheap to clone. Each query reads a snapshot taken when it begins.
///
/// ```
/// use timberline_query::{Engine, EngineLimits, QueryError, RangeQuery};
/// use timberline_store::{MemVfs, Store, TenantId, TimeRange};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = Store::builder().vfs(std::sync::Arc::new(MemVfs::new())).open("/logs")?;
/// let limits = EngineLimits { max_series: 100, ..EngineLimits::default() };
/// let engine = Engine::with_limits(store, limits);
/// let hour = TimeRange::new(1_700_000_000_000_000_000, 1_700_003_600_000_000_000);
/// let wrong = engine.range(&TenantId::default(), &RangeQuery::new(r#"{app="shop"} |= shop"#, hour));
/// assert!(matches!(wrong, Err(QueryError::Parse(_))));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Engine {
    store: Store,
    limits: EngineLimits,
    probing: Probing,
}

impl Engine {
    /// An engine over a store, or a reference to one, with the default limits.
    #[must_use]
    pub fn new(store: impl Into<Store>) -> Self {
        Self::with_limits(store.into(), EngineLimits::default())
    }

    /// An engine with its limits.
    #[must_use]
    pub const fn with_limits(store: Store, limits: EngineLimits) -> Self {
        Self { store, limits, probing: Probing::WhereWorthwhile }
    }

    /// The same engine, with [`EngineLimits::partial_series`] as given.
    #[must_use]
    pub fn with_partial_series(mut self, partial: bool) -> Self {
        self.limits.partial_series = partial;
        self
    }

    /// The same engine, which looks at rows in part as it is told.
    #[cfg(test)]
    pub(crate) const fn with_probing(mut self, probing: Probing) -> Self {
        self.probing = probing;
        self
    }

    /// The limits that queries are held to.
    #[must_use]
    pub const fn limits(&self) -> &EngineLimits {
        &self.limits
    }

    /// Evaluates a query over a range of time.
    ///
    /// A log query gives [`QueryValue::Streams`], a metric query [`QueryValue::Matrix`] with points at
    /// `start`, `start + step`, … up to `end`.
    ///
    /// # Errors
    /// [`QueryError::Parse`] and [`QueryError::Refused`] are the caller's to mend, the others are not.
    pub fn range(
        &self,
        tenants: impl Into<Tenants>,
        query: &RangeQuery,
    ) -> Result<QueryAnswer, QueryError> {
        let expr = parse(&query.query)?;
        let earliest = self.limits.earliest;
        let context = self.context(tenants.into(), &query.cancel);
        if query.end < earliest && query.start <= query.end {
            let nothing = match expr {
                Expr::Log(_) => QueryValue::Streams(Vec::new()),
                Expr::Metric(_) => QueryValue::Matrix(Vec::new()),
            };
            return Ok(answer(nothing, context));
        }
        let query = &RangeQuery { start: query.start.max(earliest), ..query.clone() };
        limits::check_length(query.start, query.end, &self.limits)?;
        bytes::check(&expr, (query.start, query.end), &context)?;
        match expr {
            Expr::Log(expr) => {
                limits::check_entries(query.limit, &self.limits)?;
                let value = logs::evaluate(&expr, query, &context)?;
                Ok(answer(value, context))
            }
            Expr::Metric(expr) => {
                limits::check_steps(query)?;
                let grid = Grid::new(query.start, query.end, query.step);
                let series = self.metric(&expr, grid, &context)?.0.into_series(grid);
                let matrix = bounded(matrix(series, grid), &context)?;
                Ok(answer(QueryValue::Matrix(matrix), context))
            }
        }
    }

    /// Evaluates a query at one point in time: [`QueryValue::Vector`], or [`QueryValue::Scalar`] for a
    /// number.
    ///
    /// # Errors
    /// As [`range`](Self::range); a log query is refused.
    pub fn instant(
        &self,
        tenants: impl Into<Tenants>,
        query: &InstantQuery,
    ) -> Result<QueryAnswer, QueryError> {
        let expr = parse(&query.query)?;
        let Expr::Metric(metric) = &expr else {
            return Err(QueryError::Refused(
                "log queries are not supported as an instant query type, please change your query \
                 to a range query type"
                    .to_owned(),
            ));
        };
        let context = self.context(tenants.into(), &query.cancel);
        if query.time < self.limits.earliest {
            return Ok(answer(QueryValue::Vector(Vec::new()), context));
        }
        bytes::check(&expr, (query.time, query.time), &context)?;
        let grid = Grid::instant(query.time);
        let value = match self.metric(metric, grid, &context)? {
            (Value::Scalar(value), _) => QueryValue::Scalar { timestamp_ms: grid.millis(0), value },
            (Value::Vector(series), sorts) => {
                QueryValue::Vector(bounded(vector(series, grid, sorts), &context)?)
            }
        };
        Ok(answer(value, context))
    }

    fn context<'a>(&'a self, tenants: Tenants, cancel: &'a AtomicBool) -> Context<'a> {
        let mut context = Context::new(tenants, self.store.snapshot(), &self.limits, cancel);
        context.probing = self.probing;
        context
    }

    /// The query's value, and whether it says how an instant's series are ordered.
    fn metric(
        &self,
        expr: &MetricExpr,
        grid: Grid,
        context: &Context<'_>,
    ) -> Result<(Value, bool), QueryError> {
        let plan = MetricPlan::new(expr, &self.limits)?;
        Ok((evaluate(&plan, grid, context)?, plan.sorts()))
    }
}

fn answer(value: QueryValue, context: Context<'_>) -> QueryAnswer {
    let returned = match &value {
        QueryValue::Streams(streams) => streams.iter().map(|stream| stream.entries.len()).sum(),
        QueryValue::Matrix(series) => series.iter().map(|series| series.points.len()).sum(),
        QueryValue::Vector(samples) => samples.len(),
        QueryValue::Scalar { .. } => 1,
    };
    let (stats, warnings) = context.finish(returned);
    QueryAnswer { value, stats, warnings }
}

/// As many series as an answer may have.
fn bounded<T>(mut series: Vec<T>, context: &Context<'_>) -> Result<Vec<T>, QueryError> {
    let max = context.limits.max_series;
    if context.limits.partial_series && max > 0 && series.len() > max {
        series.truncate(max);
        context.warn(format!(
            "maximum number of series ({max}) reached for a single query; returning partial results"
        ));
    }
    limits::check_series(series.len(), context.limits)?;
    Ok(series)
}

/// Series by labels. Those with the same labels become one, as their points come.
fn matrix(series: Vec<StepSeries>, grid: Grid) -> Vec<Series> {
    let mut by_labels: BTreeMap<Labels, Vec<(u32, f64)>> = BTreeMap::new();
    for StepSeries { labels, points } in series {
        by_labels.entry(labels).or_default().extend(points);
    }
    let series = by_labels.into_iter().map(|(labels, mut points)| {
        points.sort_by_key(|(step, _)| *step);
        let points = points.into_iter().map(|(step, value)| (grid.millis(step), value)).collect();
        Series { labels, points }
    });
    series.collect()
}

fn vector(series: Vec<StepSeries>, grid: Grid, sorts: bool) -> Vec<Sample> {
    let timestamp_ms = grid.millis(0);
    let samples = series.into_iter().filter_map(|StepSeries { labels, points }| {
        let (_, value) = *points.first()?;
        Some(Sample { labels, timestamp_ms, value })
    });
    let mut samples: Vec<Sample> = samples.collect();
    if !sorts {
        samples.sort_by(|left, right| left.labels.cmp(&right.labels));
    }
    samples
}

#[cfg(test)]
mod tests;
