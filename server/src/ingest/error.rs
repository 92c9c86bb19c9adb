//! Why a push was refused, as the client is told.

use std::time::Duration;

use ::http::{Response, StatusCode};
use axum::body::Body;
use axum::response::IntoResponse;
use timberline_store::StoreError;

use super::body::Format;
use super::push::DecodeError;
use crate::error::{BUSY_RETRY_AFTER, text_response, with_retry_after};

/// Why a push was refused, wholly or in part.
///
/// 400 also says that some entries were refused and the others are stored. Clients send again after
/// 429 and 5xx only, so those are used for what a later attempt can mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
#[non_exhaustive]
pub struct PushError {
    /// The answer's status.
    pub status: StatusCode,
    /// The answer's text, without a newline at its end.
    pub text: String,
    /// When the same push may pass, where that is known: the header `Retry-After` says it.
    pub retry_after: Option<Duration>,
}

impl PushError {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), retry_after: None }
    }

    /// The same with a time to wait for.
    pub(crate) fn retry_after(self, wait: Option<Duration>) -> Self {
        Self { retry_after: wait, ..self }
    }

    /// A body that cannot be read. Too much JSON is 400, too much of anything else 413, as in Loki.
    pub(crate) fn undecodable(error: &DecodeError, format: Format) -> Self {
        let status = match (error, format) {
            (DecodeError::TooLarge(_), Format::Json | Format::LegacyJson) => {
                StatusCode::BAD_REQUEST
            }
            (DecodeError::TooLarge(_), _) => StatusCode::PAYLOAD_TOO_LARGE,
            (DecodeError::Busy, _) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let wait = matches!(error, DecodeError::Busy).then_some(BUSY_RETRY_AFTER);
        Self::new(status, error.to_string()).retry_after(wait)
    }

    /// A push whose turn did not come in time. Nothing of it is stored.
    pub(crate) fn busy() -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, DecodeError::Busy.to_string()).retry_after(Some(BUSY_RETRY_AFTER))
    }

    /// A push that the store did not take. Nothing of it was acknowledged.
    pub(crate) fn store(error: &StoreError) -> Self {
        let (status, what) = match error {
            StoreError::Invalid(_) => (StatusCode::BAD_REQUEST, "push refused"),
            StoreError::Io { .. } => (StatusCode::SERVICE_UNAVAILABLE, "push not stored"),
            StoreError::Closed => (StatusCode::SERVICE_UNAVAILABLE, "server is stopping"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "push not stored"),
        };
        Self::new(status, format!("{what}: {error}"))
    }
}

impl IntoResponse for PushError {
    /// Plain text that ends with a newline.
    fn into_response(self) -> Response<Body> {
        let response = text_response(self.status, format!("{}\n", self.text));
        with_retry_after(response, self.retry_after)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn store_errors_are_never_the_clients_fault() {
        let full = StoreError::Io {
            action: "write",
            path: "wal/1".into(),
            source: io::Error::from(io::ErrorKind::StorageFull),
        };
        for (error, status) in [(full, 503), (StoreError::Closed, 503)] {
            assert_eq!(PushError::store(&error).status.as_u16(), status, "{error}");
        }
    }

    #[test]
    fn bodies_that_cannot_be_read_have_a_status() {
        for (error, format, status) in [
            (DecodeError::malformed("x"), Format::Protobuf, 400),
            (DecodeError::TooLarge(String::new()), Format::Json, 400),
            (DecodeError::TooLarge(String::new()), Format::Protobuf, 413),
            (DecodeError::Busy, Format::Json, 503),
        ] {
            assert_eq!(PushError::undecodable(&error, format).status.as_u16(), status, "{error}");
        }
    }

    #[test]
    fn answers_are_lines_of_text() {
        let response = PushError::new(StatusCode::BAD_REQUEST, "x").into_response();
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert!(!response.headers().contains_key("retry-after"));
        let wait = |millis| {
            let error = PushError::new(StatusCode::TOO_MANY_REQUESTS, "x");
            let error = error.retry_after(Some(Duration::from_millis(millis)));
            error.into_response().headers()["retry-after"].to_str().unwrap().to_owned()
        };
        assert_eq!([0, 1, 1000, 1001].map(wait), ["1", "1", "1", "2"]);
    }
}
