//! `/upload`: what `systemd-journal-upload` sends, entry by entry as it comes.
//!
//! A first upload is all that a machine has ever logged, in one body. So it is stored in parts, and only
//! the answer waits for the end: an uploader that gets none begins again where it last got one, and what
//! is stored already is not stored twice.

use std::sync::Arc;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, StatusCode};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::BytesMut;
use timberline_store::TenantId;

use super::body::Progress;
use super::insert::disabled;
use super::push::read_push;
use crate::error::{ApiError, text_response};
use crate::ingest::{JournalRules, PushError, journal_end};
use crate::state::AppState;
use crate::tenant::Tenant;

/// How much is stored at a time, in bytes of the export format.
const PART_BYTES: usize = 4 << 20;

/// The type of the export format.
const EXPORT: &str = "application/vnd.fdo.journal";

/// `POST /upload`
pub(super) async fn upload(
    State(state): State<Arc<AppState>>,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let config = &state.config.ingest.journald;
    if !config.enabled {
        return disabled("journald's uploads", "ingest.journald.enabled");
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.unwrap_or_default().split(';').next().map(str::trim) != Some(EXPORT) {
        let text = format!("Content-Type must be {EXPORT}, as systemd-journal-upload sends it\n");
        return text_response(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
    }
    let rules = Arc::new(JournalRules::new(&config.labels));
    let stored = if headers.contains_key(::http::header::CONTENT_ENCODING) {
        store_whole(&state, &tenant, &headers, body, rules).await
    } else {
        store_parts(&state, &tenant, body, rules).await
    };
    match stored {
        Ok(()) => text_response(StatusCode::ACCEPTED, "OK.\n".to_owned()),
        Err(response) => *response,
    }
}

/// Why there is no good answer; boxed, since it is rare and large.
type Refusal = Box<Response>;

fn of_api(error: ApiError) -> Refusal {
    Box::new(error.into_line_response())
}

fn of_push(error: PushError) -> Refusal {
    use axum::response::IntoResponse as _;
    Box::new(error.into_response())
}

/// A compressed body is unpacked as a whole.
async fn store_whole(
    state: &AppState,
    tenant: &TenantId,
    headers: &HeaderMap,
    body: Body,
    rules: Arc<JournalRules>,
) -> Result<(), Refusal> {
    let mut share = state.ingester.share(tenant);
    let body = read_push(state, tenant, body, &mut share).await.map_err(of_api)?;
    state.ingester.push_journal(tenant, rules, Some(headers), body).await.map_err(of_push)
}

async fn store_parts(
    state: &AppState,
    tenant: &TenantId,
    mut body: Body,
    rules: Arc<JournalRules>,
) -> Result<(), Refusal> {
    let entry_max = state.limits.of(tenant).ingest.max_recv_msg_size;
    let mut share = state.ingester.share(tenant);
    let mut progress = Progress::new(state.config.server.body_timeout);
    let (mut pending, mut held, mut look_at) = (BytesMut::new(), 0, PART_BYTES);
    loop {
        let part = progress.next(&mut body).await.map_err(of_api)?;
        let is_end = part.is_none();
        pending.extend_from_slice(&part.unwrap_or_default());
        if pending.len() > held {
            share.grow(pending.len() - held).map_err(|lack| of_api(lack.into()))?;
            held = pending.len();
        }
        if pending.len() < look_at && !is_end {
            continue;
        }
        let (end, fault) = journal_end(&pending, is_end);
        let rest = pending.len() - end;
        if rest > entry_max && fault.is_none() {
            return Err(of_api(ApiError::BodyTooLarge { limit: entry_max }));
        }
        // A large entry is not looked through again with every few bytes of it that come.
        look_at = PART_BYTES.max(2 * rest);
        let whole = pending.split_to(end).freeze();
        let pushed = state.ingester.push_journal(tenant, Arc::clone(&rules), None, whole);
        pushed.await.map_err(of_push)?;
        if let Some(fault) = fault {
            return Err(of_push(fault));
        }
        if is_end {
            return Ok(());
        }
    }
}
