//! A data directory that no server is using, asked through the server's own routes, without a port.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::http::Request;
use axum::Router;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use timberline_store::{StoreDirectory, StoreError};
use tower::Service as _;

use super::{Answer, Intent};
use crate::access::Access;
use crate::commands::Failure;
use crate::config::Config;
use crate::http;
use crate::state::AppState;

/// A year and more: nothing that a person asks for takes longer, and `--timeout` ends it before.
const FOREVER: Duration = Duration::from_secs(400 * 86_400);

/// The routes over a store that is open for this command alone.
#[derive(Debug)]
pub(super) struct Local {
    router: Router,
    state: Arc<AppState>,
    intent: Intent,
}

impl Local {
    pub(super) fn open(directory: &Path, intent: Intent) -> Result<Self, Failure> {
        if intent == Intent::Read {
            StoreDirectory::new(directory).check_exists().map_err(Failure::failed)?;
        }
        let config = config(directory);
        let access = Access::new(&config).map_err(Failure::failed)?;
        let state = AppState::open(config, access).map_err(|error| match &error {
            StoreError::Locked { .. } => Failure::failed(format!(
                "{error}; or ask the server that uses it, with --addr in place of --data"
            )),
            _ => Failure::failed(error),
        })?;
        Ok(Self { router: http::router(&state), state, intent })
    }

    pub(super) async fn send(
        &mut self,
        mut request: Request<Bytes>,
        target: &str,
    ) -> Result<Answer, Failure> {
        let uri = target.parse();
        *request.uri_mut() = uri.map_err(|_| Failure::usage(format!("no path: {target}")))?;
        request.headers_mut().remove(::http::header::ACCEPT_ENCODING);
        let request = request.map(axum::body::Body::from);
        let Ok(answer) = self.router.call(request).await;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(Failure::failed)?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    /// Flushes where something was pushed. A directory that was only asked is let go as it was found.
    pub(super) fn close(self) -> Result<(), Failure> {
        match self.intent {
            Intent::Read => Ok(()),
            Intent::Write => self.state.store.close().map_err(Failure::failed),
        }
    }
}

/// A server that holds nobody to limits and changes nothing of its own accord.
fn config(directory: &Path) -> Config {
    let mut config = Config { data_dir: directory.to_owned(), ..Config::default() };
    config.auth_enabled = true;
    config.querier.multi_tenant_queries_enabled = true;
    config.compactor.time_share = 0.0;
    let query = &mut config.limits_config.query;
    query.max_query_series = 0;
    query.max_entries_limit_per_query = 0;
    query.max_query_length = Duration::ZERO;
    query.volume_max_series = usize::MAX;
    query.query_timeout = FOREVER;
    let ingest = &mut config.limits_config.ingest;
    ingest.max_line_size = 0;
    ingest.max_global_streams_per_user = 0;
    ingest.creation_grace_period = FOREVER * 100;
    ingest.max_label_names_per_series = usize::MAX;
    ingest.max_structured_metadata_size = 0;
    ingest.max_structured_metadata_entries_count = 0;
    config
}
