//! `/loki/api/v1/delete`: delete requests, made, listed and taken back.
//!
//! Parameters are those of the URL alone, whatever the method; times have a grammar of their own.

use std::sync::Arc;

use ::http::header::HeaderName;
use ::http::request::Parts;
use ::http::{HeaderValue, StatusCode};
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use timberline_query::DeleteQuery;
use timberline_store::{
    CancelOutcome, DeleteRequest, DeleteStatus, Deletion, StoreError, TenantId, TimeRange,
    Timestamp,
};

use super::params::{NANOS_PER_SECOND, Params, now};
use crate::config::{DeletionMode, units};
use crate::encode::{self, DeleteEntry};
use crate::error::{ApiError, text_response};
use crate::rfc3339;
use crate::state::AppState;
use crate::tenant::Tenant;

/// Carries the number of a request that was made.
pub(super) const ID_HEADER: HeaderName = HeaderName::from_static("x-delete-request-id");

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum DeleteError {
    /// With a text of Loki's, which sends it as a line.
    Refused(StatusCode, String),
    Api(ApiError),
}

impl DeleteError {
    fn bad_request(text: impl Into<String>) -> Self {
        Self::Refused(StatusCode::BAD_REQUEST, text.into())
    }

    fn not_found() -> Self {
        let text = "could not find delete request with given id";
        Self::Refused(StatusCode::NOT_FOUND, text.to_owned())
    }
}

impl From<ApiError> for DeleteError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl IntoResponse for DeleteError {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(status, text) => text_response(status, format!("{text}\n")),
            Self::Api(error) => error.into_response(),
        }
    }
}

/// Who asks about delete requests, and may, with the parameters of the URL.
#[derive(Debug)]
pub(super) struct Asked {
    tenant: TenantId,
    params: Params,
}

impl FromRequestParts<Arc<AppState>> for Asked {
    type Rejection = DeleteError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AppState>,
    ) -> Result<Self, DeleteError> {
        let Tenant(tenant) = Tenant::from_request_parts(parts, state).await?;
        check_allowed(state, &tenant)?;
        Ok(Self { tenant, params: Params::of_url(parts.uri.query()) })
    }
}

/// Whether the tenant may delete at all.
fn check_allowed(state: &AppState, tenant: &TenantId) -> Result<(), DeleteError> {
    if !state.config.compactor.retention_enabled {
        return Err(DeleteError::bad_request("Retention is not enabled"));
    }
    if state.limits.of(tenant).retention.deletion_mode == DeletionMode::Disabled {
        let text = "deletion is not available for this tenant";
        return Err(DeleteError::Refused(StatusCode::FORBIDDEN, text.to_owned()));
    }
    Ok(())
}

/// `POST` and `PUT`: makes a request.
pub(super) async fn create(
    State(state): State<Arc<AppState>>,
    Asked { tenant, params }: Asked,
) -> Result<Response, DeleteError> {
    let request = read_request(&tenant, &params, now(), &state)?;
    let id = on_store(&state, move |state| state.store.delete(request)).await?;
    tracing::info!(%tenant, id, "a delete request was recorded");
    let id = HeaderValue::from_str(&id_text(id));
    let id = id.map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok((StatusCode::NO_CONTENT, [(ID_HEADER, id)]).into_response())
}

/// `GET`: lists the tenant's requests, the oldest first; those that overlap `start` and `end`, if both are
/// given.
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    Asked { tenant, params }: Asked,
) -> Result<Response, DeleteError> {
    let mut deletions = state.store.deletes(&tenant);
    if let Some(range) = list_range(&params)? {
        deletions.retain(|deletion| {
            range.overlaps(deletion.range.start, deletion.range.end.saturating_sub(1))
        });
    }
    let entries: Vec<DeleteEntry<'_>> = deletions.iter().map(entry).collect();
    Ok(super::json(encode::deletes(&entries)))
}

/// `DELETE`: takes a request back.
pub(super) async fn cancel(
    State(state): State<Arc<AppState>>,
    Asked { tenant, params }: Asked,
) -> Result<Response, DeleteError> {
    let force = params.first("force") == "true";
    let id = id_of(params.first("request_id")).ok_or_else(DeleteError::not_found)?;
    let of_tenant = tenant.clone();
    let outcome =
        on_store(&state, move |state| state.store.cancel_delete(&of_tenant, id, force)).await?;
    match outcome {
        CancelOutcome::Cancelled => {
            tracing::info!(%tenant, id, force, "a delete request was taken back");
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        CancelOutcome::NotFound => Err(DeleteError::not_found()),
        CancelOutcome::Processed => Err(DeleteError::bad_request(
            "deletion of request which is in process or already processed is not allowed",
        )),
        CancelOutcome::TooLate => Err(DeleteError::bad_request(format!(
            "Cancellation of partially completed delete request or delete request past the deadline \
             of {} since its creation is not allowed. To force, use the ?force query parameter",
            go_duration(state.config.compactor.delete_request_cancel_period)
        ))),
    }
}

/// Calls the store on a thread that may block.
async fn on_store<T: Send + 'static>(
    state: &Arc<AppState>,
    work: impl FnOnce(&AppState) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ApiError> {
    let state = Arc::clone(state);
    let done = tokio::task::spawn_blocking(move || work(&state)).await;
    Ok(done.map_err(|error| ApiError::Internal(error.to_string()))??)
}

/// What is asked to be deleted.
fn read_request(
    tenant: &TenantId,
    params: &Params,
    now: Timestamp,
    state: &AppState,
) -> Result<DeleteRequest, DeleteError> {
    let query = params.first("query");
    if query.is_empty() {
        return Err(DeleteError::bad_request("query not set"));
    }
    let parsed = DeleteQuery::parse(query)
        .map_err(|_| DeleteError::bad_request("invalid query expression"))?;
    let start = match params.first("start") {
        "" => return Err(DeleteError::bad_request("start time not set")),
        text => time("start", text)?,
    };
    let end = match params.first("end") {
        // Of the present second nothing is left out.
        "" => now,
        text => time("end", text)?,
    };
    if end > now {
        return Err(DeleteError::bad_request("deletes in the future are not allowed"));
    }
    if start >= end {
        return Err(DeleteError::bad_request(
            "start time can't be greater than or equal to end time",
        ));
    }
    check_interval(params.first("max_interval"), state)?;
    let range = TimeRange::new(start, end.saturating_add(1));
    let request = DeleteRequest::new(tenant, parsed.selector, range);
    Ok(match parsed.has_pipeline {
        true => request.passing(query),
        false => request.described_as(query),
    })
}

/// The range that a list is limited to; `None` for all.
fn list_range(params: &Params) -> Result<Option<TimeRange>, DeleteError> {
    match (params.first("start"), params.first("end")) {
        ("", _) | (_, "") => Ok(None),
        (start, end) => {
            let (start, end) = (time("start", start)?, time("end", end)?);
            Ok(Some(TimeRange::new(start, end.saturating_add(1))))
        }
    }
}

/// Checks the interval that Loki cuts requests by. Here they stay whole, so that nothing follows from it.
fn check_interval(text: &str, state: &AppState) -> Result<(), DeleteError> {
    if text.is_empty() {
        return Ok(());
    }
    let is_known = text.bytes().all(|byte| byte.is_ascii_digit() || b"smh".contains(&byte));
    let interval = units::parse_duration(text).ok().filter(|_| is_known && text != "0");
    let Some(interval) = interval else {
        return Err(DeleteError::bad_request(
            "invalid max_interval: valid time units are 's', 'm', 'h'",
        ));
    };
    let most = state.config.compactor.delete_max_interval;
    if interval > most {
        let text = format!("max_interval can't be greater than {}", go_duration(most));
        return Err(DeleteError::bad_request(text));
    }
    Ok(())
}

/// A time as delete requests have it: exactly ten digits of seconds, or RFC 3339.
fn time(name: &str, text: &str) -> Result<Timestamp, DeleteError> {
    let is_seconds = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = is_seconds.then(|| text.parse::<i64>().ok()).flatten();
    let found = match seconds {
        Some(seconds) => seconds.checked_mul(NANOS_PER_SECOND),
        None => rfc3339::parse(text),
    };
    let invalid = || format!("invalid {name} time: require unix seconds or RFC3339 format");
    found.ok_or_else(|| DeleteError::bad_request(invalid()))
}

fn id_text(id: u64) -> String {
    format!("{id:08x}")
}

fn id_of(text: &str) -> Option<u64> {
    let id = u64::from_str_radix(text, 16).ok()?;
    (id_text(id) == text).then_some(id)
}

fn entry(deletion: &Deletion) -> DeleteEntry<'_> {
    DeleteEntry {
        id: id_text(deletion.id),
        // Whole seconds: logcli reads integers.
        start_seconds: deletion.range.start.div_euclid(NANOS_PER_SECOND),
        end_seconds: deletion.range.end.saturating_sub(1).div_euclid(NANOS_PER_SECOND),
        query: &deletion.text,
        status: match deletion.status {
            DeleteStatus::Processed => "processed",
            DeleteStatus::Received | DeleteStatus::Started => "received",
        },
        created_millis: deletion.created.div_euclid(NANOS_PER_SECOND / 1000),
    }
}

/// A duration as Go prints it: `24h0m0s`, `1m30s`, `0s`.
fn go_duration(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_ten_digits_or_rfc_3339() {
        assert_eq!(time("start", "1591616227").unwrap(), 1_591_616_227 * NANOS_PER_SECOND);
        assert_eq!(time("end", "1970-01-01T00:00:01Z").unwrap(), NANOS_PER_SECOND);
        for text in ["159161622", "15916162270", "1591616227.5", "+591616227", "yesterday"] {
            assert!(time("start", text).is_err(), "{text}");
        }
    }

    #[test]
    fn ids_read_back() {
        for id in [1, 0xdead_beef, u64::MAX] {
            assert_eq!(id_of(&id_text(id)), Some(id));
        }
        for text in ["", "1", "0000000g", "+0000001", "DEADBEEF"] {
            assert_eq!(id_of(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_printed_as_go_does() {
        for (seconds, text) in [(86_400, "24h0m0s"), (90, "1m30s"), (0, "0s"), (3600, "1h0m0s")] {
            assert_eq!(go_duration(Duration::from_secs(seconds)), text);
        }
    }
}
