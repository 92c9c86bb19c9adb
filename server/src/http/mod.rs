//! The HTTP endpoints.

use std::sync::Arc;

use axum::Router;

use crate::state::AppState;

/// Every route of the server, HTTP and gRPC.
pub fn router(state: &Arc<AppState>) -> Router {
    Router::new().with_state(Arc::clone(state))
}
