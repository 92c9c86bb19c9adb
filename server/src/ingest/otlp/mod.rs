//! OpenTelemetry's log records: over HTTP in protobuf and JSON, and over gRPC.
//!
//! A request is decoded into the generated types, whose texts a [`Push`] then borrows. Small bodies can
//! stand for much: a record of two bytes is a structure of hundreds, and a resource's attributes are
//! metadata of each of its records. So the parts of a body are counted before they are made, and what
//! they are mapped to is counted while it is; all of it comes out of the share that pushes have of the
//! memory.

mod attributes;
mod config;
mod count;
mod grpc;
pub(crate) mod json;
mod map;
mod value;

use prost::Message as _;
use timberline_store::Timestamp;

pub use self::config::{
    AttributeAction, AttributeRule, NamePattern, OtlpConfig, ResourceAttributes,
};
pub use self::grpc::LogsService;
use super::body::Format;
use super::budget::Share;
use super::limits::IngestLimits;
use super::proto::opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
use super::push::{DecodeError, Push};

/// What a part of a request takes in memory, about: the structure and its texts' heads.
const NODE_BYTES: usize = 200;

/// Reads a request. What it takes up is added to `share`.
pub(crate) fn decode(
    body: &[u8],
    format: Format,
    share: &mut Share<'_>,
) -> Result<ExportLogsServiceRequest, DecodeError> {
    let nodes = match format {
        Format::OtlpJson => count::json_nodes(body),
        _ => count::protobuf_nodes(body)?,
    };
    share.grow(nodes.saturating_mul(NODE_BYTES).saturating_add(body.len()))?;
    match format {
        Format::OtlpJson => json::decode(body),
        _ => ExportLogsServiceRequest::decode(body)
            .map_err(|error| DecodeError::malformed(error.to_string())),
    }
}

/// What a request says, as a push. `now` is the time of records without one.
pub(crate) fn map<'a>(
    request: &'a ExportLogsServiceRequest,
    limits: &IngestLimits,
    now: Timestamp,
    share: &mut Share<'_>,
) -> Result<Push<'a>, DecodeError> {
    map::push(request, limits, now, share)
}
