//! Volumes: how many bytes each stream, or each label, takes.
//!
//! The bytes of a stream are those of its lines, eight for every label of structured metadata on an
//! entry, and the distinct texts of its metadata, each once. That is what Loki's head chunks take up
//! before compression, and what it answers for data that it has not flushed yet.

mod buckets;
mod scan;

use std::collections::{BTreeMap, HashMap, HashSet};

use timberline_query::{QueryError, QueryStats, QueryValue, Sample, Series};
use timberline_store::{
    Chunk, Labels, MatchOp, Matcher, Snapshot, StoreError, TenantId, TimeRange,
};

use self::buckets::Buckets;
use super::params::Bounds;
use super::work::Ticket;
use crate::error::ApiError;

/// What volumes are added up by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Aggregation {
    /// One volume per label name; otherwise one per set of labels.
    pub(super) by_label: bool,
    /// The labels that count; empty means those of the matchers, or all for label names.
    pub(super) targets: Vec<String>,
}

/// A volume request.
#[derive(Clone, Debug)]
pub(super) struct VolumeQuery {
    pub(super) aggregation: Aggregation,
    /// How many of the largest volumes are answered.
    pub(super) limit: usize,
    pub(super) bounds: Bounds,
    /// The length of a bucket, in nanoseconds; one bucket for the whole range where there is none.
    pub(super) step: Option<i64>,
}

/// Computes the answer to a volume request: a vector, or a matrix where there are buckets.
///
/// # Errors
/// More volumes than there may be; damage, cancellation and timeouts.
pub(super) fn compute(
    snapshot: &Snapshot,
    matchers: &[Matcher],
    query: &VolumeQuery,
    ticket: &Ticket,
) -> Result<(QueryValue, QueryStats), ApiError> {
    let selector = with_targets(matchers, &query.aggregation.targets)?;
    let grouping = Grouping::new(matchers, &query.aggregation);
    let Some(bounds) = ticket.within_lookback(query.bounds) else {
        return Ok((QueryValue::Vector(Vec::new()), QueryStats::default()));
    };
    let buckets = Buckets::new(bounds, query.step);
    let (tenants, selector) = ticket.tenants.select(&selector);
    let mut chunks = Vec::new();
    for tenant in tenants {
        chunks.push(sorted_chunks(snapshot, tenant, &selector, buckets.range())?);
    }
    // Streams with the same labels are two where they are two tenants'.
    let streams: Vec<&[Chunk]> =
        chunks.iter().flat_map(|chunks| chunks.chunk_by(|a, b| a.labels() == b.labels())).collect();
    let limits = &ticket.limits.query;
    let threads = limits.threads();
    let (bytes, mut stats) = scan::streams(&streams, &buckets, threads, ticket)?;
    let mut volumes = vec![BTreeMap::new(); buckets.len()];
    for (stream, bytes) in streams.iter().zip(bytes) {
        let Some(first) = stream.first() else { continue };
        for (bucket, bytes) in bytes {
            let Some(volumes) = volumes.get_mut(bucket) else { continue };
            grouping.add(volumes, first.labels(), bytes);
            if volumes.len() > limits.volume_max_series {
                return Err(too_many(limits.volume_max_series).into());
            }
        }
    }
    let largest = volumes.into_iter().map(|volumes| largest(volumes, query.limit)).collect();
    let value = to_value(largest, &buckets, query.step.is_some());
    stats.entries_returned = samples(&value);
    Ok((value, stats))
}

/// The chunks of a tenant's streams, stream by stream.
fn sorted_chunks(
    snapshot: &Snapshot,
    tenant: &TenantId,
    selector: &[Matcher],
    range: TimeRange,
) -> Result<Vec<Chunk>, StoreError> {
    let mut chunks = snapshot.chunks(tenant, selector, range)?;
    chunks.sort_by(|a, b| a.labels().cmp(b.labels()));
    Ok(chunks)
}

fn too_many(limit: usize) -> QueryError {
    QueryError::Refused(format!(
        "the query hit the max number of series limit (limit: {limit} series)"
    ))
}

/// The matchers, and one for each target that they do not name: streams without it do not count.
fn with_targets(matchers: &[Matcher], targets: &[String]) -> Result<Vec<Matcher>, ApiError> {
    let mut all = matchers.to_vec();
    for target in targets {
        if !all.iter().any(|matcher| matcher.name() == target) {
            let matcher = Matcher::new(target, MatchOp::Matches, ".+");
            all.push(matcher.map_err(|error| ApiError::Internal(error.to_string()))?);
        }
    }
    Ok(all)
}

/// Which labels a volume goes to.
struct Grouping {
    by_label: bool,
    /// The labels that count; `None` is all.
    names: Option<HashSet<String>>,
}

impl Grouping {
    fn new(matchers: &[Matcher], aggregation: &Aggregation) -> Self {
        let names = if !aggregation.targets.is_empty() {
            Some(aggregation.targets.iter().cloned().collect())
        } else if aggregation.by_label || matchers.is_empty() {
            None
        } else {
            Some(matchers.iter().map(|matcher| matcher.name().to_owned()).collect())
        };
        Self { by_label: aggregation.by_label, names }
    }

    fn add(&self, volumes: &mut BTreeMap<Labels, u64>, labels: &Labels, bytes: u64) {
        let counts = |name: &str| self.names.as_ref().is_none_or(|names| names.contains(name));
        let kept = labels.iter().filter(|(name, _)| counts(name));
        // Names of a label set are unique, so neither set can be refused.
        if self.by_label {
            for (name, _) in kept {
                if let Ok(key) = Labels::metadata([(name, "")]) {
                    *volumes.entry(key).or_default() += bytes;
                }
            }
        } else if let Ok(key) = Labels::from_pairs(kept) {
            *volumes.entry(key).or_default() += bytes;
        }
    }
}

/// The largest volumes, in falling order; equal ones by their labels.
fn largest(volumes: BTreeMap<Labels, u64>, limit: usize) -> Vec<(Labels, u64)> {
    let mut volumes: Vec<_> = volumes.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
    // The sort is stable and the map was sorted by labels.
    volumes.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    volumes.truncate(limit);
    volumes
}

/// How many there are in an answer.
fn samples(value: &QueryValue) -> u64 {
    let samples = match value {
        QueryValue::Vector(samples) => samples.len(),
        QueryValue::Matrix(series) => series.iter().map(|series| series.points.len()).sum(),
        QueryValue::Scalar { .. } | QueryValue::Streams(_) => 0,
    };
    u64::try_from(samples).unwrap_or(u64::MAX)
}

/// Volumes are far below 2^53, so that nothing is lost.
#[expect(clippy::cast_precision_loss, reason = "volumes are far below 2^53 bytes")]
const fn as_value(bytes: u64) -> f64 {
    bytes as f64
}

fn to_value(volumes: Vec<Vec<(Labels, u64)>>, buckets: &Buckets, is_matrix: bool) -> QueryValue {
    let mut series: Vec<Series> = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for (bucket, volumes) in volumes.into_iter().enumerate() {
        for (labels, bytes) in volumes {
            let place = *places.entry(labels.clone()).or_insert_with(|| {
                series.push(Series { labels, points: Vec::new() });
                series.len() - 1
            });
            if let Some(series) = series.get_mut(place) {
                series.points.push((buckets.stamp(bucket), as_value(bytes)));
            }
        }
    }
    let first = |series: &Series| series.points.first().map_or(0.0, |(_, value)| *value);
    series.sort_by(|a, b| first(b).total_cmp(&first(a)).then_with(|| a.labels.cmp(&b.labels)));
    // As Loki does, also for ranges: without a second point in any series the answer is a vector.
    if is_matrix && series.iter().any(|series| series.points.len() > 1) {
        return QueryValue::Matrix(series);
    }
    let sample = |series: Series| {
        let (timestamp_ms, value) = *series.points.first()?;
        Some(Sample { labels: series.labels, timestamp_ms, value })
    };
    QueryValue::Vector(series.into_iter().filter_map(sample).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn volumes_go_to_the_labels_asked_for() {
        let labels = Labels::from_pairs([("app", "a"), ("env", "x"), ("pod", "1")]).unwrap();
        let app = Matcher::new("app", MatchOp::Equal, "a").unwrap();
        let app = [app];
        let keys = |matchers: &[Matcher], by_label, targets: &[&str]| {
            let targets = targets.iter().map(|target| (*target).to_owned()).collect();
            let mut volumes = BTreeMap::new();
            Grouping::new(matchers, &Aggregation { by_label, targets }).add(
                &mut volumes,
                &labels,
                5,
            );
            volumes.into_keys().map(|labels| labels.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(keys(&app, false, &[]), [r#"{app="a"}"#]);
        assert_eq!(keys(&app, false, &["env"]), [r#"{env="x"}"#]);
        assert_eq!(keys(&[], false, &[]), [r#"{app="a", env="x", pod="1"}"#]);
        assert_eq!(keys(&app, true, &[]), [r#"{app=""}"#, r#"{env=""}"#, r#"{pod=""}"#]);
    }

    #[test]
    fn single_points_are_a_vector() {
        let buckets = Buckets::new(Bounds { start: 0, end: 20 * S }, Some(10 * S));
        let (a, b) = (Labels::metadata([("a", "")]), Labels::metadata([("b", "")]));
        let (a, b) = (a.unwrap(), b.unwrap());
        let volumes = vec![vec![(a.clone(), 1)], vec![(b.clone(), 2)]];
        let QueryValue::Vector(samples) = to_value(volumes, &buckets, true) else {
            panic!("not a vector")
        };
        assert_eq!(samples.first().map(|s| (&s.labels, s.timestamp_ms)), Some((&b, 20_000)));
        let volumes = vec![vec![(a.clone(), 1)], vec![(b, 2), (a, 1)]];
        assert!(matches!(to_value(volumes, &buckets, true), QueryValue::Matrix(_)));
    }
}
