//! Routes, each with what it needs of a credential.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ::http::header::{ACCEPT, CONTENT_TYPE};
use ::http::{HeaderMap, StatusCode};
use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler as _;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::MethodRouter;
use tonic::Status;

use crate::access::{Need, Right};
use crate::config::Network;
use crate::error::text_response;
use crate::peer::{Peer, client_of};
use crate::state::AppState;

/// What requests that ask need.
pub(super) const READ: Need = Need::Right(Right::Read);
/// What requests that push need.
pub(super) const WRITE: Need = Need::Right(Right::Write);
/// What requests that delete need.
pub(super) const ADMIN: Need = Need::Right(Right::Admin);

/// The media type of Parquet.
const PARQUET: &str = "application/vnd.apache.parquet";

/// A router in which no route is without its need: forgotten ones do not compile.
#[derive(Debug)]
pub(super) struct Routes {
    state: Arc<AppState>,
    router: Router<Arc<AppState>>,
    paths: Vec<&'static str>,
}

impl Routes {
    pub(super) fn new(state: &Arc<AppState>) -> Self {
        Self { state: Arc::clone(state), router: Router::new(), paths: Vec::new() }
    }

    /// Adds a route.
    pub(super) fn add(
        mut self,
        need: Need,
        path: &'static str,
        methods: MethodRouter<Arc<AppState>>,
    ) -> Self {
        let guard = from_fn_with_state((Arc::clone(&self.state), need), authorize);
        let methods = if need == READ { methods.layer(from_fn(refuse_parquet)) } else { methods };
        self.paths.push(path);
        self.router = self.router.route(path, methods.layer(guard));
        self
    }

    /// The paths of all routes.
    #[cfg(test)]
    pub(super) fn paths(&self) -> &[&'static str] {
        &self.paths
    }

    /// The router, which answers other paths too: strangers are not told which there are.
    pub(super) fn into_router(self) -> Router<Arc<AppState>> {
        let guard = from_fn_with_state((self.state, Need::Anyone), authorize);
        self.router.fallback(not_found.layer(guard))
    }
}

async fn authorize(
    State((state, need)): State<(Arc<AppState>, Need)>,
    mut request: Request,
    next: Next,
) -> Response {
    let from = sender_of(&request, &state.config.server.trusted_proxies);
    match state.access.admit(need, request.headers_mut(), from).await {
        Ok(()) => next.run(request).await,
        Err(denied) => {
            state.metrics.count_denied(denied.reason());
            denied.into_response(is_grpc(request.headers()))
        }
    }
}

/// Loki answers questions in Parquet where it is configured to, and refuses to where it is not.
async fn refuse_parquet(request: Request, next: Next) -> Response {
    if request.headers().get(ACCEPT).is_some_and(|accept| accept == PARQUET) {
        let text = "support for Parquet encoded responses is disabled. Ask for application/json";
        return text_response(StatusCode::BAD_REQUEST, text.to_owned());
    }
    next.run(request).await
}

/// Who sent a request. All are given a [`Peer`] before they come here.
fn sender_of(request: &Request, proxies: &[Network]) -> IpAddr {
    let peer = request.extensions().get().copied();
    let peer = peer.unwrap_or(Peer(Ipv4Addr::UNSPECIFIED.into()));
    client_of(peer, request.headers(), proxies)
}

pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// A path that is not ours. gRPC has its own way to say so: to its clients a 404 is a broken server.
pub(super) async fn not_found(headers: HeaderMap) -> Response {
    if is_grpc(&headers) {
        return Status::unimplemented("unknown service").into_http();
    }
    text_response(StatusCode::NOT_FOUND, "404 page not found\n".to_owned())
}
