//! `logproto.Querier`.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use timberline_query::{Direction, QueryError, QueryValue, RangeQuery};
use timberline_store::{Labels, TenantId, Timestamp};
use tonic::codegen::tokio_stream::{self, Stream};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::convert::{nanos, parts, status};
use super::tail;
use crate::encode::label_text;
use crate::error::ApiError;
use crate::http::labels::{matchers, optional_selector, selector};
use crate::http::params::{Bounds, NANOS_PER_MILLI, NANOS_PER_SECOND, now};
use crate::http::volume::{self, Aggregation, VolumeQuery};
use crate::http::work::{self, Ticket};
use crate::ingest::proto::logproto::querier_server::Querier;
use crate::ingest::proto::logproto::series_identifier::LabelsEntry;
use crate::ingest::proto::logproto::{
    self, IndexStatsRequest, IndexStatsResponse, LabelRequest, LabelResponse, QueryRequest,
    QueryResponse, SampleQueryRequest, SampleQueryResponse, SeriesIdentifier, SeriesRequest,
    SeriesResponse, TailRequest, TailResponse, TailersCountRequest, TailersCountResponse,
    VolumeRequest, VolumeResponse,
};
use crate::state::AppState;
use crate::tenant::tenant_of;

/// How far back a request looks that does not say.
const SINCE_DEFAULT: i64 = 3600 * NANOS_PER_SECOND;

/// Entries of a query, and volumes, where a request does not say.
const LIMIT_DEFAULT: usize = 100;

/// Samples in a message.
const SAMPLES_MAX: usize = 50_000;

/// Answers that come one after the other.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The gRPC service.
#[derive(Clone, Debug)]
pub(super) struct QuerierService {
    state: Arc<AppState>,
}

impl QuerierService {
    pub(super) fn new(state: Arc<AppState>) -> Self {
        Self { state }
    }

    fn tenant(&self, metadata: MetadataMap) -> Result<TenantId, Status> {
        tenant_of(self.state.config.auth_enabled, &metadata.into_headers())
            .map_err(|error| Status::unknown(error.to_string()))
    }

    /// Does the work of a request where those of HTTP are done.
    async fn work<M, T, F>(&self, request: Request<M>, work: F) -> Result<T, Status>
    where
        M: Send + 'static,
        T: Send + 'static,
        F: FnOnce(&AppState, &Ticket, &TenantId, M) -> Result<T, ApiError> + Send + 'static,
    {
        let (metadata, _, message) = request.into_parts();
        let tenant = self.tenant(metadata)?;
        let done = work::run(&self.state, (&tenant).into(), move |state, ticket| {
            work(state, ticket, &tenant, message)
        });
        done.await.map_err(|error| status(&error))
    }
}

#[tonic::async_trait]
impl Querier for QuerierService {
    type QueryStream = Answers<QueryResponse>;
    type QuerySampleStream = Answers<SampleQueryResponse>;
    type TailStream = Answers<TailResponse>;

    async fn query(
        &self,
        request: Request<QueryRequest>,
    ) -> Result<Response<Self::QueryStream>, Status> {
        self.work(request, query).await.map(in_turn)
    }

    async fn query_sample(
        &self,
        request: Request<SampleQueryRequest>,
    ) -> Result<Response<Self::QuerySampleStream>, Status> {
        self.work(request, query_sample).await.map(in_turn)
    }

    async fn label(
        &self,
        request: Request<LabelRequest>,
    ) -> Result<Response<LabelResponse>, Status> {
        self.work(request, label).await.map(Response::new)
    }

    async fn tail(
        &self,
        request: Request<TailRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        let (metadata, _, message) = request.into_parts();
        let tenant = self.tenant(metadata)?;
        tail::follow(&self.state, &tenant, message).await.map(Response::new)
    }

    async fn series(
        &self,
        request: Request<SeriesRequest>,
    ) -> Result<Response<SeriesResponse>, Status> {
        self.work(request, series).await.map(Response::new)
    }

    async fn tailers_count(
        &self,
        request: Request<TailersCountRequest>,
    ) -> Result<Response<TailersCountResponse>, Status> {
        let (metadata, _, _) = request.into_parts();
        let count = self.state.tails.count(&self.tenant(metadata)?);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Response::new(TailersCountResponse { count }))
    }

    async fn get_stats(
        &self,
        request: Request<IndexStatsRequest>,
    ) -> Result<Response<IndexStatsResponse>, Status> {
        self.work(request, get_stats).await.map(Response::new)
    }

    async fn get_volume(
        &self,
        request: Request<VolumeRequest>,
    ) -> Result<Response<VolumeResponse>, Status> {
        self.work(request, get_volume).await.map(Response::new)
    }
}

fn in_turn<T: Send + 'static>(answers: Vec<T>) -> Response<Answers<T>> {
    Response::new(Box::pin(tokio_stream::iter(answers.into_iter().map(Ok))))
}

fn query(
    state: &AppState,
    ticket: &Ticket,
    tenant: &TenantId,
    request: QueryRequest,
) -> Result<Vec<QueryResponse>, ApiError> {
    let (start, end) = bounds(request.start, request.end);
    let direction = match request.direction() {
        logproto::Direction::Forward => Direction::Forward,
        logproto::Direction::Backward => Direction::Backward,
    };
    let query = RangeQuery {
        query: request.selector,
        start,
        end,
        step: NANOS_PER_SECOND,
        interval: 0,
        limit: limit(request.limit),
        direction,
        categorize_labels: false,
        cancel: Arc::clone(&ticket.cancel),
    };
    if let timberline_query::syntax::Expr::Metric(_) =
        timberline_query::syntax::parse(&query.query)?
    {
        return Err(QueryError::Refused("only log selector is supported".to_owned()).into());
    }
    let answer = state.engine(&ticket.limits).range(tenant, &query)?;
    state.metrics.observe_query(&ticket.tenants, &answer.stats);
    let QueryValue::Streams(streams) = answer.value else { return Ok(Vec::new()) };
    let mut answers: Vec<_> = parts(&streams)
        .into_iter()
        .map(|streams| QueryResponse { streams, warnings: Vec::new() })
        .collect();
    if !answer.warnings.is_empty() {
        answers.push(QueryResponse { streams: Vec::new(), warnings: answer.warnings });
    }
    Ok(answers)
}

fn query_sample(
    state: &AppState,
    ticket: &Ticket,
    tenant: &TenantId,
    request: SampleQueryRequest,
) -> Result<Vec<SampleQueryResponse>, ApiError> {
    let (start, end) = bounds(request.start, request.end);
    let engine = state.engine(&ticket.limits);
    let found = engine.samples(tenant, &request.selector, start, end, &ticket.cancel)?;
    let mut answers = Vec::new();
    for series in found {
        for samples in series.samples.chunks(SAMPLES_MAX) {
            let samples = samples.iter().map(|sample| logproto::Sample {
                timestamp: sample.timestamp,
                value: sample.value,
                hash: sample.hash,
            });
            let series = logproto::Series {
                labels: label_text(&series.labels),
                samples: samples.collect(),
                stream_hash: 0,
            };
            answers.push(SampleQueryResponse { series: vec![series], warnings: Vec::new() });
        }
    }
    Ok(answers)
}

fn label(
    state: &AppState,
    ticket: &Ticket,
    tenant: &TenantId,
    request: LabelRequest,
) -> Result<LabelResponse, ApiError> {
    let (start, end) = bounds(request.start, request.end);
    let range = ticket.range(Bounds { start, end });
    let selector = optional_selector(&request.query)?;
    let snapshot = ticket.snapshot(state);
    let found: BTreeSet<String> = if request.values {
        snapshot.label_values(tenant, &request.name, &selector, range)?
    } else {
        snapshot.label_names(tenant, &selector, range)?
    };
    Ok(LabelResponse { values: found.into_iter().collect() })
}

fn series(
    state: &AppState,
    ticket: &Ticket,
    tenant: &TenantId,
    request: SeriesRequest,
) -> Result<SeriesResponse, ApiError> {
    let (start, end) = bounds(request.start, request.end);
    let range = ticket.range(Bounds { start, end });
    let mut selectors = Vec::new();
    for group in &request.groups {
        selectors.push(matchers(&timberline_query::syntax::parse_selector(group)?)?);
    }
    if selectors.is_empty() {
        selectors.push(Vec::new());
    }
    let snapshot = ticket.snapshot(state);
    let mut found: BTreeSet<Labels> = BTreeSet::new();
    for selector in &selectors {
        found.extend(snapshot.series(tenant, selector, range)?);
    }
    let identifier = |labels: Labels| {
        let entry = |(name, value): (&str, &str)| LabelsEntry {
            key: name.to_owned(),
            value: value.to_owned(),
        };
        SeriesIdentifier { labels: labels.iter().map(entry).collect() }
    };
    Ok(SeriesResponse { series: found.into_iter().map(identifier).collect() })
}

fn get_stats(
    state: &AppState,
    ticket: &Ticket,
    tenant: &TenantId,
    request: IndexStatsRequest,
) -> Result<IndexStatsResponse, ApiError> {
    let selector = selector(&request.matchers)?;
    let range = ticket.range(millis(request.from, request.through));
    let stats = ticket.snapshot(state).stats(tenant, &selector, range)?;
    Ok(IndexStatsResponse {
        streams: stats.streams,
        chunks: stats.chunks,
        bytes: stats.bytes,
        entries: stats.entries,
    })
}

fn get_volume(
    state: &AppState,
    ticket: &Ticket,
    _: &TenantId,
    request: VolumeRequest,
) -> Result<VolumeResponse, ApiError> {
    if !ticket.limits.query.volume_enabled {
        return Err(ApiError::NotFound);
    }
    let matchers = matchers(&timberline_query::syntax::parse_selector(&request.matchers)?)?;
    let by_label = match request.aggregate_by.as_str() {
        "" | "series" => false,
        "labels" => true,
        _ => return Err(ApiError::BadRequest("invalid aggregation option".to_owned())),
    };
    let query = VolumeQuery {
        aggregation: Aggregation { by_label, targets: request.target_labels },
        limit: limit(u32::try_from(request.limit).unwrap_or_default()),
        bounds: millis(request.from, request.through),
        step: None,
    };
    let (value, stats) = volume::compute(&ticket.snapshot(state), &matchers, &query, ticket)?;
    state.metrics.observe_query(&ticket.tenants, &stats);
    let QueryValue::Vector(samples) = value else { return Ok(VolumeResponse::default()) };
    let volumes = samples.into_iter().map(|sample| {
        let name = match sample.labels.iter().next() {
            Some((name, _)) if by_label => name.to_owned(),
            _ => label_text(&sample.labels),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bytes, counted as a whole number"
        )]
        let volume = sample.value as u64;
        logproto::Volume { name, volume }
    });
    Ok(VolumeResponse { volumes: volumes.collect(), limit: request.limit })
}

/// A range; the last hour where a request does not say.
fn bounds(
    start: Option<prost_types::Timestamp>,
    end: Option<prost_types::Timestamp>,
) -> (Timestamp, Timestamp) {
    let end = nanos(end, now());
    (nanos(start, end.saturating_sub(SINCE_DEFAULT)), end)
}

fn millis(from: i64, through: i64) -> Bounds {
    let start = from.saturating_mul(NANOS_PER_MILLI);
    Bounds { start, end: through.saturating_mul(NANOS_PER_MILLI).max(start) }
}

fn limit(limit: u32) -> usize {
    match usize::try_from(limit) {
        Ok(0) => LIMIT_DEFAULT,
        limit => limit.unwrap_or(usize::MAX),
    }
}
