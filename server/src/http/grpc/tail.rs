//! Live tails over gRPC.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use timberline_store::{Labels, TenantId, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tonic::Status;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;

use super::convert::{adapter, nanos, status, wire_entry, wire_time};
use super::querier::Answers;
use crate::encode::label_text;
use crate::error::ApiError;
use crate::http::params::{NANOS_PER_SECOND, now};
use crate::ingest::proto::logproto::{DroppedStream, TailRequest, TailResponse};
use crate::state::AppState;
use crate::tail::{FeedEnd, Outgoing, Session, TailRequest as Asked};

/// How far back the history goes that a request does not give a start for.
const SINCE_DEFAULT: i64 = 3600 * NANOS_PER_SECOND;

/// The longest delay, in seconds.
const DELAY_SECONDS_MAX: u32 = 5;

/// Begins a tail. What is wrong is said at once.
pub(super) async fn follow(
    state: &Arc<AppState>,
    tenant: &TenantId,
    request: TailRequest,
) -> Result<Answers<TailResponse>, Status> {
    if request.delay_for > DELAY_SECONDS_MAX {
        let text = format!("delay_for can't be greater than {DELAY_SECONDS_MAX}");
        return Err(Status::invalid_argument(text));
    }
    let asked = Asked {
        query: request.query,
        start: nanos(request.start, now().saturating_sub(SINCE_DEFAULT)),
        limit: if request.limit == 0 { 100 } else { request.limit as usize },
        delay: Duration::from_secs(request.delay_for.into()),
    };
    let limits = state.limits.of(tenant);
    let clients_max = limits.query.max_concurrent_tail_requests;
    let session = state.tails.join(&state.engine(&limits), tenant, &asked, clients_max);
    let mut session = session.map_err(|error| status(&ApiError::from(error)))?;
    session.read_history(state).await.map_err(|error| status(&error))?;
    let (sender, receiver) = mpsc::channel(1);
    let lasts = limits.query.tail_max_duration;
    tokio::spawn(send(state.tails.stopping(), session, lasts, sender));
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

/// Sends what comes until the client goes, the server stops or the time is over.
async fn send(
    mut stopping: watch::Receiver<bool>,
    mut session: Session,
    lasts: Duration,
    sender: mpsc::Sender<Result<TailResponse, Status>>,
) {
    let deadline = Instant::now() + lasts;
    let end = async {
        tokio::select! {
            () = sender.closed() => None,
            _ = stopping.wait_for(|is_stopping| *is_stopping) => {
                Some(Status::unavailable("server is stopping"))
            }
            () = sleep_until(deadline) => {
                Some(Status::out_of_range("reached tail max duration limit"))
            }
        }
    };
    let follow = async {
        loop {
            let outgoing = match session.next().await {
                Ok(outgoing) => outgoing,
                Err(FeedEnd::Stopped) => return Some(Status::unavailable("server is stopping")),
                Err(FeedEnd::Failed) => return Some(Status::internal("internal error")),
            };
            for answer in answers(&outgoing) {
                if sender.send(Ok(answer)).await.is_err() {
                    return None;
                }
            }
        }
    };
    let ended = tokio::select! {
        ended = end => ended,
        ended = follow => ended,
    };
    if let Some(status) = ended {
        // In vain where the client has gone or does not read.
        let _ = sender.try_send(Err(status));
    }
}

/// One answer for each run of entries that share their labels; the first tells what was dropped.
fn answers(outgoing: &Outgoing) -> Vec<TailResponse> {
    let labelled: Vec<_> =
        outgoing.message.entries().iter().map(|entry| (entry.all_labels(), &entry.entry)).collect();
    let mut answers: Vec<TailResponse> = labelled
        .chunk_by(|left, right| left.0 == right.0)
        .filter_map(|stream| {
            let (labels, _) = stream.first()?;
            let entries = stream.iter().map(|(_, entry)| wire_entry(entry)).collect();
            Some(TailResponse {
                stream: Some(adapter(labels, entries)),
                dropped_streams: Vec::new(),
            })
        })
        .collect();
    if !outgoing.dropped.is_empty() {
        if answers.is_empty() {
            answers.push(TailResponse::default());
        }
        if let Some(first) = answers.first_mut() {
            first.dropped_streams = dropped_streams(&outgoing.dropped);
        }
    }
    answers
}

fn dropped_streams(dropped: &[(Timestamp, Labels)]) -> Vec<DroppedStream> {
    let mut spans: BTreeMap<&Labels, (Timestamp, Timestamp)> = BTreeMap::new();
    for (timestamp, labels) in dropped {
        let span = spans.entry(labels).or_insert((*timestamp, *timestamp));
        *span = (span.0.min(*timestamp), span.1.max(*timestamp));
    }
    let stream = |(labels, (from, to)): (&Labels, (Timestamp, Timestamp))| DroppedStream {
        from: Some(wire_time(from)),
        to: Some(wire_time(to)),
        labels: label_text(labels),
    };
    spans.into_iter().map(stream).collect()
}
