//! When to stop.

/// Returns when the process is asked to stop: SIGTERM or Ctrl-C.
///
/// Where a signal cannot be listened for, that one never comes; the other still works.
pub(crate) async fn requested() {
    tokio::select! {
        () = interrupt() => tracing::info!("interrupted, stopping"),
        () = terminate() => tracing::info!("terminated, stopping"),
    }
}

async fn interrupt() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::warn!(%error, "cannot listen for Ctrl-C");
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
async fn terminate() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signals) => {
            signals.recv().await;
        }
        Err(error) => {
            tracing::warn!(%error, "cannot listen for SIGTERM");
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
async fn terminate() {
    std::future::pending::<()>().await;
}
