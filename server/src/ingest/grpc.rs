//! Pushes over gRPC: `logproto.Pusher`, with the same checks as over HTTP.

use ::http::StatusCode;
use timberline_store::TenantId;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Request, Response, Status};

use super::Ingester;
use super::error::PushError;
use super::proto::logproto::pusher_server::{Pusher, PusherServer};
use super::proto::logproto::{PushRequest, PushResponse};
use crate::tenant::tenant_of;

/// The largest message that is taken in, in bytes: Loki's default.
pub(super) const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// The gRPC service.
#[derive(Clone, Debug)]
pub struct PushService {
    ingester: Ingester,
    auth_enabled: bool,
}

impl PushService {
    /// The service over the write path. The tenant comes from the metadata `x-scope-orgid` where
    /// `auth_enabled`, else it is the one that every request without authentication has.
    #[must_use]
    pub fn new(ingester: Ingester, auth_enabled: bool) -> Self {
        Self { ingester, auth_enabled }
    }

    /// The service for a router: messages of at most 4 MiB.
    #[must_use]
    pub fn into_server(self) -> PusherServer<Self> {
        PusherServer::new(self)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .accept_compressed(CompressionEncoding::Gzip)
    }
}

#[tonic::async_trait]
impl Pusher for PushService {
    async fn push(&self, request: Request<PushRequest>) -> Result<Response<PushResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let tenant: TenantId = tenant_of(self.auth_enabled, &metadata.into_headers())
            .map_err(|error| Status::unknown(error.to_string()))?;
        self.ingester.push_request(&tenant, request).await.map_err(Status::from)?;
        Ok(Response::new(PushResponse {}))
    }
}

impl From<PushError> for Status {
    fn from(error: PushError) -> Self {
        let code = match error.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYLOAD_TOO_LARGE => {
                Code::ResourceExhausted
            }
            StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
            status if status.is_server_error() => Code::Internal,
            _ => Code::InvalidArgument,
        };
        Self::new(code, error.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_a_code() {
        for (status, code) in [
            (StatusCode::BAD_REQUEST, Code::InvalidArgument),
            (StatusCode::UNPROCESSABLE_ENTITY, Code::InvalidArgument),
            (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted),
            (StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted),
            (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
            (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal),
        ] {
            let error = Status::from(PushError::new(status, "x"));
            assert_eq!((error.code(), error.message()), (code, "x"));
        }
    }
}
