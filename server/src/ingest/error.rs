//! Why a push was refused, as the client is told.

use ::http::{Response, StatusCode};
use axum::body::Body;
use axum::response::IntoResponse;
use timberline_store::StoreError;

use super::body::Format;
use super::push::DecodeError;
use crate::error::text_response;

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
}

impl PushError {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    /// A body that cannot be read. Too much JSON is 400, too much of anything else 413, as in Loki.
    pub(crate) fn undecodable(error: &DecodeError, format: Format) -> Self {
        let status = match (error, format) {
            (DecodeError::TooLarge(_), Format::Protobuf | Format::Otlp | Format::OtlpJson) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            (DecodeError::Busy, _) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }

    /// A push that the store did not take. Nothing of it was acknowledged.
    pub(crate) fn store(error: &StoreError) -> Self {
        let (status, what) = match error {
            StoreError::Invalid(_) => (StatusCode::BAD_REQUEST, "push refused"),
            StoreError::Io { .. } | StoreError::Poisoned => {
                (StatusCode::SERVICE_UNAVAILABLE, "push not stored")
            }
            StoreError::Closed => (StatusCode::SERVICE_UNAVAILABLE, "server is stopping"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "push not stored"),
        };
        Self::new(status, format!("{what}: {error}"))
    }
}

impl IntoResponse for PushError {
    /// Plain text that ends with a newline.
    fn into_response(self) -> Response<Body> {
        text_response(self.status, format!("{}\n", self.text))
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
        for (error, status) in [(full, 503), (StoreError::Poisoned, 503), (StoreError::Closed, 503)]
        {
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
    }
}
