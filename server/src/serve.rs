//! The server's life: open, listen, serve, stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use timberline_store::StoreError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::access::Access;
use crate::config::{Config, FileError, Layers};
use crate::guarded::{GuardedStream, Patience};
use crate::http;
pub use crate::listen::ListenError;
use crate::listen::Listeners;
use crate::peer::{FromPeer, Peer};
use crate::reload::Reloader;
use crate::requests::{Noted, Requests};
use crate::ruler::RulerError;
use crate::signals::Stop;
use crate::state::{AppState, OpenError};
use crate::tls::{Tls, TlsError};

/// How long to wait after a failed accept: the cause (too many open files) does not go away faster.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The largest head of a request, in bytes: its line and headers. Browsers and proxies send less than
/// 16 KiB; a query in a URL may have the rest.
const HEAD_BYTES_MAX: usize = 128 << 10;

/// How long an HTTP/2 connection may be silent before it is asked whether anyone is there. A peer that
/// vanished without a word would hold its connection for ever.
const PING_INTERVAL: Duration = Duration::from_secs(60);

/// How long queries that were cut off may take to notice.
const STOP_PAUSE: Duration = Duration::from_secs(1);

/// Requests that one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 250;

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
    /// The ruler cannot work as configured.
    #[error(transparent)]
    Ruler(RulerError),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The credentials file cannot be used.
    #[error(transparent)]
    Credentials(#[from] FileError),
    /// One of the ports of the section `ingest` cannot be used.
    #[error(transparent)]
    Ingest(#[from] ListenError),
    /// A thread of ours died. A bug.
    #[error("internal error: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

impl From<OpenError> for ServeError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => Self::Store(error),
            OpenError::Ruler(error) => Self::Ruler(error),
        }
    }
}

/// Runs a server until the process is asked to stop, then stops cleanly. Limits are read again from
/// `layers`, where `config` came from, while it runs.
///
/// # Errors
/// [`ServeError`]; nothing is left running.
pub fn run(config: Config, layers: Layers) -> Result<(), ServeError> {
    #[cfg(unix)]
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("timberline")
        .build()
        .map_err(ServeError::Runtime)?;
    let result = runtime.block_on(async {
        let server = Server::open(config).await?.reloading(layers);
        // Before anyone is told that it is ready. While the store opens, a signal ends the process at once.
        let stop = Stop::take();
        server.serve(stop.requested()).await
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
    tls: Option<Arc<Tls>>,
    layers: Option<Layers>,
    listener: TcpListener,
    address: SocketAddr,
    listeners: Listeners,
}

impl Server {
    /// Opens the store, then takes the port: a request that gets through finds everything there.
    ///
    /// # Errors
    /// [`ServeError`], but for [`ServeError::Runtime`].
    pub async fn open(config: Config) -> Result<Self, ServeError> {
        let listen = config.server.listen.clone();
        let opened = tokio::task::spawn_blocking(move || -> Result<_, ServeError> {
            let tls = Tls::new(&config.server.tls)?.map(Arc::new);
            let access = Access::new(&config)?;
            Ok((AppState::open(config, access)?, tls))
        });
        let (state, tls) = opened.await??;
        let bound = async {
            let bound = Self::bind(&listen).await;
            let bound = bound.map_err(|source| ServeError::Listen { listen, source })?;
            Ok((bound, Listeners::bind(&state).await?))
        };
        match bound.await {
            Ok(((listener, address), listeners)) => {
                Ok(Self { state, tls, layers: None, listener, address, listeners })
            }
            Err(error) => {
                close(&state).await?;
                Err(error)
            }
        }
    }

    /// Reads limits again from these layers while it runs: on SIGHUP, and when the file changes.
    #[must_use]
    pub fn reloading(self, layers: Layers) -> Self {
        Self { layers: Some(layers), ..self }
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

    /// Where the ports of the section `ingest` are, in its order: those for syslog, then those for the
    /// forward protocol.
    #[must_use]
    pub fn ingest_addresses(&self) -> Vec<SocketAddr> {
        self.listeners.addresses()
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
        let Self { state, tls, layers, listener, address, listeners } = self;
        let certificates = tls.iter().cloned().chain(listeners.certificates()).collect();
        // Before anyone is told that it is ready, since it takes over a signal.
        let reloading = Reloader::new(Arc::clone(&state), certificates, layers).start();
        let is_tls = tls.is_some();
        tracing::info!(%address, tls = is_tls, data_dir = %state.config.data_dir.display(), version = crate::VERSION, "ready");
        if let Some(ruler) = &state.ruler {
            ruler.start(&state);
        }
        let connections = GracefulShutdown::new();
        let acceptor = Acceptor::new(&state, tls, &connections);
        let listening = listeners.start(&state);
        tokio::select! {
            () = acceptor.accept(&listener) => {}
            () = stop => {}
        }
        reloading.abort();
        drop(listener);
        state.begin_stopping();
        let timeout = state.config.server.shutdown_timeout;
        let ended = async { tokio::join!(connections.shutdown(), listening.stop()) };
        if tokio::time::timeout(timeout, ended).await.is_err() {
            tracing::warn!(?timeout, "requests still in flight were cut off");
        }
        if let Some(ruler) = &state.ruler {
            ruler.stop().await;
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

/// Takes connections and serves them.
struct Acceptor<'s> {
    builder: auto::Builder<TokioExecutor>,
    router: Router,
    tls: Option<Arc<Tls>>,
    patience: Patience,
    places: Arc<Semaphore>,
    connections: &'s GracefulShutdown,
}

impl<'s> Acceptor<'s> {
    fn new(
        state: &Arc<AppState>,
        tls: Option<Arc<Tls>>,
        connections: &'s GracefulShutdown,
    ) -> Self {
        let config = &state.config.server;
        let mut builder = auto::Builder::new(TokioExecutor::new());
        let mut http1 = builder.http1();
        http1.timer(TokioTimer::new()).header_read_timeout(config.idle_timeout);
        http1.max_buf_size(HEAD_BYTES_MAX);
        let mut http2 = builder.http2();
        http2.timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX);
        http2.keep_alive_interval(PING_INTERVAL);
        http2.max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
        Self {
            builder,
            router: http::router(state),
            tls,
            patience: Patience {
                head: config.head_timeout,
                idle: config.idle_timeout,
                write: config.write_timeout,
            },
            places: Arc::new(Semaphore::new(
                config.max_connections.clamp(1, Semaphore::MAX_PERMITS),
            )),
            connections,
        }
    }

    /// Takes connections for ever.
    async fn accept(&self, listener: &TcpListener) {
        loop {
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    tracing::trace!(%peer, "connection");
                    self.spawn(stream, Peer(peer.ip()), place);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn spawn(&self, stream: TcpStream, peer: Peer, place: OwnedSemaphorePermit) {
        // Answers are written whole: waiting to fill a packet would only delay their last part.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let requests = Requests::new();
        let service = FromPeer { service: self.router.clone(), peer };
        let service = Noted { service, requests: Arc::clone(&requests) };
        let (builder, service) = (self.builder.clone(), TowerToHyperService::new(service));
        let (watcher, patience) = (self.connections.watcher(), self.patience);
        let Some(tls) = self.tls.as_ref().map(|tls| tls.acceptor()) else {
            let stream = GuardedStream::new(stream, patience, requests);
            let connection = serve_stream(builder, service, watcher, stream);
            tokio::spawn(hold(place, connection));
            return;
        };
        tokio::spawn(hold(place, async move {
            match tokio::time::timeout(patience.head, tls.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let stream = GuardedStream::new(stream, patience, requests);
                    serve_stream(builder, service, watcher, stream).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, "no TLS with a client"),
                Err(_) => tracing::debug!("a client took too long for TLS"),
            }
        }));
    }
}

/// Keeps a connection's place until it ends.
async fn hold(place: OwnedSemaphorePermit, connection: impl Future<Output = ()>) {
    connection.await;
    drop(place);
}

async fn serve_stream<S>(
    builder: auto::Builder<TokioExecutor>,
    service: TowerToHyperService<Noted<FromPeer<Router>>>,
    watcher: Watcher,
    stream: GuardedStream<S>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let connection = connection.into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended");
    }
}
