//! Live tails over WebSocket: `/loki/api/v1/tail` and `/api/prom/tail`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderMap;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use timberline_query::syntax;
use timberline_store::TenantId;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::params::{Params, now};
use super::query::encoding_flags;
use crate::encode::{Encoding, TailDialect};
use crate::error::ApiError;
use crate::state::AppState;
use crate::tail::{FeedEnd, Session, TailRequest};
use crate::tenant::Tenant;

/// How often a client is pinged while there are few: what Loki's clients are used to.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// How often it is pinged at least: proxies take a minute of silence for the end.
const PING_INTERVAL_MAX: Duration = Duration::from_secs(30);

/// Pings to all clients together. Each is a write here and there, and thousands of idle tails would have
/// nothing else to do.
const PINGS_PER_SECOND: u32 = 200;

/// The largest message that is taken in: clients have nothing to say but pong and close.
const INBOUND_BYTES_MAX: usize = 4 << 10;

/// The longest reason that a close frame has room for.
const REASON_BYTES_MAX: usize = 123;

/// How long a client that closes is given to hear the answer.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// `/loki/api/v1/tail`
pub(super) async fn tail(
    state: State<Arc<AppState>>,
    tenant: Tenant,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    params: Params,
) -> Result<Response, ApiError> {
    let encoding = Encoding { flags: encoding_flags(&headers) };
    let categorizes = encoding.categorizes();
    let dialect = if categorizes { TailDialect::Categorized } else { TailDialect::Merged };
    begin(state, tenant, upgrade, &params, dialect)
}

/// `/api/prom/tail`
pub(super) async fn legacy(
    state: State<Arc<AppState>>,
    tenant: Tenant,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    params: Params,
) -> Result<Response, ApiError> {
    begin(state, tenant, upgrade, &params, TailDialect::Legacy)
}

/// Checks the request; what is wrong is said in the answer. From the upgrade on it is said in the reason
/// of a close frame.
fn begin(
    State(state): State<Arc<AppState>>,
    Tenant(tenant): Tenant,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    params: &Params,
    dialect: TailDialect,
) -> Result<Response, ApiError> {
    let request = request(params)?;
    let upgrade = upgrade.map_err(|error| {
        ApiError::BadRequest(format!("a tail needs a WebSocket: {}", error.body_text()))
    })?;
    let upgrade = upgrade
        .read_buffer_size(INBOUND_BYTES_MAX)
        // What is written goes out at once.
        .write_buffer_size(0)
        .max_message_size(INBOUND_BYTES_MAX)
        .max_frame_size(INBOUND_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| serve(state, tenant, request, dialect, socket)))
}

fn request(params: &Params) -> Result<TailRequest, ApiError> {
    let query = params.first("query").to_owned();
    syntax::parse(&query)?;
    let limit = params.limit()?;
    let start = params.bounds(now())?.start;
    Ok(TailRequest { query, start, limit, delay: params.delay_for()? })
}

/// How a tail ended.
enum End {
    /// The client went, or the server goes: nothing is said.
    Silent,
    /// The client closed and waits for the answer.
    Closed,
    /// The client is told.
    Told(String),
}

async fn serve(
    state: Arc<AppState>,
    tenant: TenantId,
    request: TailRequest,
    dialect: TailDialect,
    mut socket: WebSocket,
) {
    let end = match join(&state, &tenant, &request) {
        Ok(session) => {
            let lasts = state.limits.of(&tenant).query.tail_max_duration;
            let client = Client {
                state: &state,
                socket: &mut socket,
                stopping: state.tails.stopping(),
                deadline: Instant::now() + lasts,
                ping_at: Instant::now(),
            };
            client.follow(session, dialect).await.err().unwrap_or(End::Silent)
        }
        Err(error) => End::Told(error.to_string()),
    };
    match end {
        End::Silent => {}
        // The answer goes out with the next read.
        End::Closed => drop(timeout(CLOSE_TIMEOUT, socket.recv()).await),
        End::Told(reason) => {
            tracing::debug!(%tenant, reason, "tail ended");
            close(&mut socket, &reason).await;
        }
    }
}

fn join(
    state: &Arc<AppState>,
    tenant: &TenantId,
    request: &TailRequest,
) -> Result<Session, ApiError> {
    let limits = state.limits.of(tenant);
    let clients_max = limits.query.max_concurrent_tail_requests;
    Ok(state.tails.join(&state.engine(&limits), tenant, request, clients_max)?)
}

/// The client's side of a tail.
struct Client<'s> {
    state: &'s Arc<AppState>,
    socket: &'s mut WebSocket,
    stopping: watch::Receiver<bool>,
    deadline: Instant,
    ping_at: Instant,
}

impl Client<'_> {
    /// Sends the history and then what comes, until something ends it.
    async fn follow(mut self, mut session: Session, dialect: TailDialect) -> Result<(), End> {
        let read = self.meanwhile(session.read_history(self.state)).await?;
        read.map_err(|error| End::Told(error.to_string()))?;
        loop {
            let outgoing = self.meanwhile(session.next()).await?;
            let outgoing = outgoing.map_err(|end| match end {
                FeedEnd::Stopped => End::Silent,
                FeedEnd::Failed => End::Told("internal error".to_owned()),
            })?;
            self.send(Message::Text(outgoing.frame(dialect))).await?;
        }
    }

    /// Waits for `work`; pings, and listens for the client's end, in the meantime.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, End> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                end = ended(&mut self.stopping, self.deadline) => return Err(end),
                inbound = self.socket.recv() => match inbound {
                    Some(Ok(Message::Close(_))) => return Err(End::Closed),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Err(End::Silent),
                },
                () = sleep_until(self.ping_at) => {
                    let tails = &self.state.tails;
                    self.ping_at = next_ping(tails.began(), Instant::now(), tails.count_all());
                    self.send(Message::Ping(bytes::Bytes::new())).await?;
                }
                done = &mut work => return Ok(done),
            }
        }
    }

    /// A client that does not read holds this up, and its queue fills.
    async fn send(&mut self, message: Message) -> Result<(), End> {
        tokio::select! {
            end = ended(&mut self.stopping, self.deadline) => Err(end),
            sent = self.socket.send(message) => sent.map_err(|_| End::Silent),
        }
    }
}

/// When a client that was pinged is pinged again: at a whole second since the server began, so that all whose
/// turn it is are woken at once. One by one they would cost several times as much.
fn next_ping(began: Instant, now: Instant, clients: usize) -> Instant {
    let next = now + ping_interval(clients);
    began + Duration::from_secs(next.saturating_duration_since(began).as_secs())
}

/// How long until a client is pinged again while there are so many.
fn ping_interval(clients: usize) -> Duration {
    let clients = u32::try_from(clients).unwrap_or(u32::MAX);
    let fair = (Duration::from_secs(1) / PINGS_PER_SECOND).saturating_mul(clients);
    fair.clamp(PING_INTERVAL, PING_INTERVAL_MAX)
}

/// What ends a tail from this side.
async fn ended(stopping: &mut watch::Receiver<bool>, deadline: Instant) -> End {
    tokio::select! {
        _ = stopping.wait_for(|is_stopping| *is_stopping) => End::Silent,
        () = sleep_until(deadline) => End::Told("reached tail max duration limit".to_owned()),
    }
}

async fn close(socket: &mut WebSocket, reason: &str) {
    let frame = CloseFrame { code: close_code::ERROR, reason: Utf8Bytes::from(cut(reason)) };
    let closing = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            // Until the client has answered or gone, so that the reason is not lost with the connection.
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    drop(timeout(CLOSE_TIMEOUT, closing).await);
}

/// As much of a reason as a close frame has room for.
fn cut(reason: &str) -> &str {
    let end = (0..=REASON_BYTES_MAX.min(reason.len())).rev();
    let end = end.into_iter().find(|&end| reason.is_char_boundary(end));
    &reason[..end.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_clients_are_pinged_less_often() {
        let seconds = |clients| ping_interval(clients).as_secs_f64();
        assert!(seconds(1) == 1.0 && seconds(200) == 1.0);
        assert!(seconds(1000) == 5.0 && seconds(5000) == 25.0);
        assert!(seconds(1_000_000) == 30.0 && seconds(usize::MAX) == 30.0);
    }

    #[test]
    fn clients_are_pinged_together() {
        let began = Instant::now();
        let next = |millis, clients| {
            let now = began + Duration::from_millis(millis);
            (next_ping(began, now, clients) - began).as_secs_f64()
        };
        assert_eq!(next(0, 1), 1.0);
        assert!(next(999, 1) == 1.0 && next(1000, 1) == 2.0 && next(1001, 1) == 2.0);
        assert!(next(7003, 1000) == 12.0 && next(7998, 1000) == 12.0);
    }

    #[test]
    fn reasons_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = format!("x{}", "é".repeat(100));
        assert_eq!(cut(&long).len(), 123);
        assert_eq!(cut(&"é".repeat(100)).len(), 122);
    }
}
