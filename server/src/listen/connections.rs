//! Connections of one port: so many at a time, each ending when the server does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::{PortMetrics, stopped};

/// How long to wait after a failed accept: the cause (too many open files) does not go away faster.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Takes connections until it is time to stop, and returns when all have ended. One that is one too many
/// is closed: a sender tries again, where it would otherwise wait for an answer that never comes.
pub(super) async fn accept<F>(
    listener: TcpListener,
    connections_max: usize,
    metrics: PortMetrics,
    mut stopping: watch::Receiver<bool>,
    serve: impl Fn(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(connections_max.clamp(1, Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = stopped(&mut stopping) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    metrics.refused("too_many");
                    tracing::warn!(%peer, connections_max, "too many connections");
                    continue;
                };
                let (connection, open) = (serve(stream, peer), Open::new(&metrics));
                connections.spawn(async move {
                    connection.await;
                    drop((place, open));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Counts an open connection until it is dropped.
struct Open(PortMetrics);

impl Open {
    fn new(metrics: &PortMetrics) -> Self {
        if let Some(connections) = &metrics.connections {
            connections.inc();
        }
        Self(metrics.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(connections) = &self.0.connections {
            connections.dec();
        }
    }
}
