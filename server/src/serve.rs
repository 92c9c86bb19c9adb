//! The server's life: open, listen, serve, stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use timberline_store::StoreError;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;
use crate::first_bytes::FirstBytes;
use crate::state::AppState;
use crate::{http, shutdown};

/// How long to wait after a failed accept: the cause (too many open files) does not go away faster.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that may be open. More wait in the operating system's queue until one ends.
const CONNECTIONS_MAX: usize = 10_000;

/// How long a connection may take to send its first bytes or the next request's head. Longer than clients keep idle
/// connections (90 s in Go), or a push may meet a connection that is just being closed.
const HEADER_TIMEOUT: Duration = Duration::from_secs(120);

/// How long an HTTP/2 connection may be silent before it is asked whether anyone is there. A peer that
/// vanished without a word would hold its connection for ever.
const PING_INTERVAL: Duration = Duration::from_secs(60);

/// How long queries that were cut off may take to notice.
const STOP_PAUSE: Duration = Duration::from_secs(1);

/// Requests that one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 1000;

/// Why the server cannot run, or did not stop cleanly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The runtime's threads cannot be started.
    #[error("cannot start threads: {0}")]
    Runtime(io::Error),
    /// The port is taken, or the address is not one.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// What was to be listened on.
        listen: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The store cannot be opened or closed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread of ours died. A bug.
    #[error("internal error: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// Runs a server until the process is asked to stop, then stops cleanly.
///
/// # Errors
/// [`ServeError`]; nothing is left running.
pub fn run(config: Config) -> Result<(), ServeError> {
    #[cfg(unix)]
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("timberline")
        .build()
        .map_err(ServeError::Runtime)?;
    let result = runtime.block_on(async {
        let server = Server::open(config).await?;
        server.serve(shutdown::requested()).await
    });
    // Queries that were cut off notice it when their connections go; nobody waits for their threads.
    runtime.shutdown_timeout(STOP_PAUSE);
    result
}

/// Lets the process have as many files open as it may at the most: each connection is one, and what a
/// shell gives at first is often 1,024.
#[cfg(unix)]
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

/// A server that has its store and its port, and is ready to serve.
#[derive(Debug)]
pub struct Server {
    state: Arc<AppState>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Opens the store, then takes the port: a request that gets through finds everything there.
    ///
    /// # Errors
    /// [`ServeError::Listen`] and [`ServeError::Store`].
    pub async fn open(config: Config) -> Result<Self, ServeError> {
        let listen = config.server.listen.clone();
        let state = tokio::task::spawn_blocking(move || AppState::open(config)).await??;
        match Self::bind(&listen).await {
            Ok((listener, address)) => Ok(Self { state, listener, address }),
            Err(source) => {
                close(&state).await?;
                Err(ServeError::Listen { listen, source })
            }
        }
    }

    async fn bind(listen: &str) -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    /// Where the server listens: the real port where port 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the request handlers share.
    #[must_use]
    pub const fn state(&self) -> &Arc<AppState> {
        &self.state
    }

    /// Serves until `stop` completes; then takes no more connections, waits for the requests in flight
    /// (no longer than `server.shutdown_timeout`), flushes, syncs and closes the store.
    ///
    /// # Errors
    /// [`ServeError::Store`] when the store could not be closed.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let Self { state, listener, address } = self;
        tracing::info!(%address, data_dir = %state.config.data_dir.display(), version = crate::VERSION, "ready");
        let connections = GracefulShutdown::new();
        let router = http::router(&state);
        tokio::select! {
            () = accept(&listener, &router, &connections) => {}
            () = stop => {}
        }
        drop(listener);
        state.begin_stopping();
        let timeout = state.config.server.shutdown_timeout;
        if tokio::time::timeout(timeout, connections.shutdown()).await.is_err() {
            tracing::warn!(?timeout, "requests still in flight were cut off");
        }
        close(&state).await?;
        tracing::info!("stopped");
        Ok(())
    }
}

async fn close(state: &Arc<AppState>) -> Result<(), ServeError> {
    let store = state.store.clone();
    Ok(tokio::task::spawn_blocking(move || store.close()).await??)
}

/// Takes connections for ever.
async fn accept(listener: &TcpListener, router: &Router, connections: &GracefulShutdown) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX);
    http2.keep_alive_interval(PING_INTERVAL);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                tracing::trace!(%peer, "connection");
                spawn(&builder, stream, router, connections, place);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn spawn(
    builder: &auto::Builder<TokioExecutor>,
    stream: TcpStream,
    router: &Router,
    connections: &GracefulShutdown,
    place: OwnedSemaphorePermit,
) {
    // Answers are written whole: waiting to fill a packet would only delay their last part.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let stream = FirstBytes::new(stream, HEADER_TIMEOUT);
    let service = TowerToHyperService::new(router.clone());
    let connection =
        builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        let _place = place;
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection ended");
        }
    });
}
