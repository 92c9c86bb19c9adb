//! OpenTelemetry's records over gRPC: `opentelemetry.proto.collector.logs.v1.LogsService`.
//!
//! Messages are handed on as bytes: they are decoded where those of HTTP are, under the same bounds.

use std::pin::Pin;

use ::http::{Request, Response, StatusCode};
use axum::body::Body;
use bytes::{Buf as _, BufMut as _, Bytes};
use tonic::Status;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};

use super::super::Ingester;
use super::super::error::PushError;
use super::super::grpc::MESSAGE_BYTES_MAX;
use crate::tenant::tenant_of;

/// The gRPC service.
#[derive(Clone, Debug)]
pub struct LogsService {
    ingester: Ingester,
    auth_enabled: bool,
}

impl LogsService {
    /// The path of the service's one method.
    pub const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

    /// The service over the write path; tenants as with [`PushService`](crate::ingest::PushService).
    #[must_use]
    pub fn new(ingester: Ingester, auth_enabled: bool) -> Self {
        Self { ingester, auth_enabled }
    }

    /// Answers a call of [`EXPORT`](Self::EXPORT); messages of at most 4 MiB, perhaps with gzip.
    pub async fn export(self, request: Request<Body>) -> Response<tonic::body::Body> {
        let mut grpc = Grpc::new(Raw)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .accept_compressed(CompressionEncoding::Gzip);
        grpc.unary(self, request).await
    }

    async fn take(self, request: tonic::Request<Bytes>) -> Result<tonic::Response<Bytes>, Status> {
        let (metadata, _, message) = request.into_parts();
        let tenant = tenant_of(self.auth_enabled, &metadata.into_headers())
            .map_err(|error| Status::unknown(error.to_string()))?;
        self.ingester.push_otlp_message(&tenant, message).await.map_err(status)?;
        // That of a response without anything partial about it.
        Ok(tonic::Response::new(Bytes::new()))
    }
}

impl UnaryService<Bytes> for LogsService {
    type Response = Bytes;
    type Future =
        Pin<Box<dyn Future<Output = Result<tonic::Response<Bytes>, Status>> + Send + 'static>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        Box::pin(self.clone().take(request))
    }
}

/// Exporters send again after *unavailable*, not after *resource exhausted*.
fn status(error: PushError) -> Status {
    match error.status {
        StatusCode::TOO_MANY_REQUESTS => Status::unavailable(error.text),
        _ => error.into(),
    }
}

/// Messages as their bytes.
#[derive(Clone, Copy, Debug)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
