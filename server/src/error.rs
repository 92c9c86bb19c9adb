//! What goes wrong while answering a request, and the one map to status codes and bodies.

use std::time::Duration;

use ::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use ::http::{Response, StatusCode};
use axum::body::Body;
use axum::response::IntoResponse;
use timberline_query::QueryError;
use timberline_query::syntax::ParseError;
use timberline_store::StoreError;

use crate::ingest::Lack;
use crate::tenant::TenantError;

/// When to come again while others take up what there is.
pub(crate) const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request has no answer. The texts are Loki's where Loki has one; clients compare them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// No usable tenant.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// The request asks for something that can never work as it is.
    #[error("{0}")]
    BadRequest(String),
    /// What is asked for is switched off.
    #[error("not found")]
    NotFound,
    /// The body is larger than it may be.
    #[error("request body too large: limit is {limit} bytes")]
    BodyTooLarge {
        /// The limit that was passed.
        limit: usize,
    },
    /// The client stopped in the middle of its body.
    #[error("the request body did not come to its end in time")]
    BodyPaused,
    /// Other requests take up the memory that there is for all.
    #[error("too much is being pushed at once: send it again later")]
    Busy,
    /// As many queries of the tenant wait for their turn as may.
    #[error("too many outstanding requests")]
    TooManyOutstanding,
    /// The request's body could not be read to its end.
    #[error("cannot read the request body: {0}")]
    Body(String),
    /// The query has no answer.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task of ours died. A bug.
    #[error("internal error: {0}")]
    Internal(String),
}

impl ApiError {
    /// The status code that says whose fault it is.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Tenant(TenantError::Missing) => StatusCode::UNAUTHORIZED,
            Self::Tenant(_) | Self::BadRequest(_) | Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyPaused => StatusCode::REQUEST_TIMEOUT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooManyOutstanding => StatusCode::TOO_MANY_REQUESTS,
            Self::Query(error) => query_status(error),
            Self::Store(error) => store_status(error),
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// When the same request may be answered, where that is known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy | Self::TooManyOutstanding => Some(BUSY_RETRY_AFTER),
            _ => None,
        }
    }

    /// The error as a plain-text answer whose body ends with a newline, as the write path and the
    /// tenant check send it.
    #[must_use]
    pub fn into_line_response(self) -> Response<Body> {
        let response = text_response(self.status(), format!("{self}\n"));
        with_retry_after(response, self.retry_after())
    }
}

impl From<Lack> for ApiError {
    fn from(lack: Lack) -> Self {
        match lack {
            Lack::ForNow => Self::Busy,
            Lack::ForEver(limit) => Self::BodyTooLarge { limit },
        }
    }
}

impl From<ParseError> for ApiError {
    fn from(error: ParseError) -> Self {
        Self::Query(QueryError::Parse(error))
    }
}

/// A client that went away has its own code, known from nginx, so that it is not counted as a failure.
fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

fn query_status(error: &QueryError) -> StatusCode {
    match error {
        QueryError::Parse(_) | QueryError::Refused(_) => StatusCode::BAD_REQUEST,
        QueryError::Timeout => StatusCode::GATEWAY_TIMEOUT,
        QueryError::Cancelled => client_closed_request(),
        QueryError::Store(error) => store_status(error),
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn store_status(error: &StoreError) -> StatusCode {
    match error {
        StoreError::Invalid(_) => StatusCode::BAD_REQUEST,
        StoreError::Closed | StoreError::Io { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for ApiError {
    /// Plain text without a newline at its end, as the read endpoints send it; tenant errors have one.
    fn into_response(self) -> Response<Body> {
        if matches!(self, Self::Tenant(_)) {
            return self.into_line_response();
        }
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(%status, error = %self, "request failed");
        }
        with_retry_after(text_response(status, self.to_string()), self.retry_after())
    }
}

/// A plain-text answer that browsers must not guess another type for.
pub(crate) fn text_response(status: StatusCode, body: String) -> Response<Body> {
    const HEADERS: [(HeaderName, HeaderValue); 2] = [
        (CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, HEADERS, body).into_response()
}

/// An answer that says when to ask again, in whole seconds: a client that comes too early is sent away again.
pub(crate) fn with_retry_after(
    mut response: Response<Body>,
    wait: Option<Duration>,
) -> Response<Body> {
    if let Some(wait) = wait {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        response.headers_mut().insert(RETRY_AFTER, seconds.max(1).into());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_too_soon_is_told_when_to_come_again() {
        for error in [ApiError::Busy, ApiError::TooManyOutstanding] {
            assert_eq!(error.into_response().headers()["retry-after"], "1");
        }
        assert_eq!(ApiError::Busy.into_line_response().headers()["retry-after"], "1");
        assert!(!ApiError::BodyPaused.into_response().headers().contains_key("retry-after"));
    }

    #[test]
    fn each_fault_has_its_status() {
        let full = StoreError::Io {
            action: "write",
            path: "wal/1".into(),
            source: std::io::ErrorKind::StorageFull.into(),
        };
        let cases = [
            (ApiError::Tenant(TenantError::Missing), 401),
            (ApiError::Tenant(TenantError::Several), 400),
            (ApiError::BadRequest(String::new()), 400),
            (ApiError::BodyPaused, 408),
            (ApiError::Busy, 503),
            (ApiError::TooManyOutstanding, 429),
            (ApiError::Query(QueryError::Timeout), 504),
            (ApiError::Query(QueryError::Cancelled), 499),
            (ApiError::Query(QueryError::Store(StoreError::Closed)), 503),
            (ApiError::Store(full), 503),
            (ApiError::from(ParseError::new("x")), 400),
        ];
        for (error, status) in cases {
            assert_eq!(error.status().as_u16(), status, "{error:?}");
        }
    }
}
