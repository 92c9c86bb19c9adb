//! Reading request bodies, never more than they may be.

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::error::ApiError;

/// The whole body.
///
/// # Errors
/// [`ApiError::BodyTooLarge`] as soon as it passes `limit` bytes; [`ApiError::Body`] when the client
/// stops sending or breaks the protocol.
pub(crate) async fn read_body(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::BodyTooLarge { limit }),
        Err(error) => Err(ApiError::Body(error.to_string())),
    }
}
