//! Stands in for the ingest module until it is merged.
#![expect(missing_docs, clippy::unused_async, reason = "stands in for the real module")]

use ::http::{HeaderMap, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use timberline_store::{Store, TenantId};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestLimits {
    pub max_label_names_per_series: usize,
}

impl Default for IngestLimits {
    fn default() -> Self {
        Self { max_label_names_per_series: 15 }
    }
}

#[derive(Debug)]
pub struct Ingester {}

impl Ingester {
    #[must_use]
    pub fn new(_: Store, _: IngestLimits, _: &prometheus::Registry) -> Self {
        Self {}
    }

    pub async fn push_http(
        &self,
        _: &TenantId,
        _: &HeaderMap,
        _: Bytes,
    ) -> Response<axum::body::Body> {
        let mut response = Response::new(axum::body::Body::empty());
        *response.status_mut() = ::http::StatusCode::NOT_IMPLEMENTED;
        response
    }
}
