//! Syslog over UDP, TCP and TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use timberline_store::TenantId;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::queue::{Queue, queue};
use super::{ListenError, ListenerMetrics, PortMetrics, RECEIVE_PAUSE, connections, stopped};
use crate::config::{SyslogListener, SyslogProtocol};
use crate::ingest::{Frames, Ingester, SyslogRules};
use crate::tls::Tls;

/// The largest datagram that there is.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// How much is read at a time.
const READ_BYTES: usize = 16 << 10;

/// How long a client may take for TLS.
const TLS_TIMEOUT: Duration = Duration::from_secs(30);

/// A port for syslog.
#[derive(Debug)]
pub(super) struct SyslogPort {
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Arc<Tls>>,
    config: SyslogListener,
    socket: Socket,
    tenant: TenantId,
    metrics: PortMetrics,
}

#[derive(Debug)]
enum Socket {
    Datagrams(UdpSocket),
    Streams(TcpListener),
}

/// What all senders of a port share.
#[derive(Clone)]
struct Receiver {
    ingester: Ingester,
    rules: Arc<SyslogRules>,
    queue: Queue,
    metrics: PortMetrics,
    message_bytes_max: usize,
    idle_timeout: Duration,
}

impl SyslogPort {
    pub(super) async fn bind(
        config: &SyslogListener,
        key: String,
        tenant: TenantId,
        metrics: &ListenerMetrics,
    ) -> Result<Self, ListenError> {
        let files = config.tls.clone();
        let tls = match config.protocol {
            SyslogProtocol::Tls => {
                let tls = Tls::new(&files)
                    .map_err(|source| ListenError::Tls { key: key.clone(), source })?;
                Some(Arc::new(tls.ok_or_else(|| ListenError::NoTls { key: key.clone() })?))
            }
            _ => None,
        };
        let bound = async {
            Ok(match config.protocol {
                SyslogProtocol::Udp => {
                    let socket = UdpSocket::bind(&config.listen).await?;
                    (socket.local_addr()?, Socket::Datagrams(socket))
                }
                SyslogProtocol::Tcp | SyslogProtocol::Tls => {
                    let listener = TcpListener::bind(&config.listen).await?;
                    (listener.local_addr()?, Socket::Streams(listener))
                }
            })
        };
        let listen = config.listen.clone();
        let (address, socket) =
            bound.await.map_err(|source| ListenError::Listen { key, listen, source })?;
        let metrics = metrics.of(&format!("syslog_{}", config.protocol.as_str()), &config.listen);
        Ok(Self { address, tls, config: config.clone(), socket, tenant, metrics })
    }

    pub(super) fn start(
        self,
        ingester: &Ingester,
        stopping: &watch::Receiver<bool>,
        tasks: &mut JoinSet<()>,
    ) {
        let Self { address, tls, config, socket, tenant, metrics } = self;
        let protocol = config.protocol.as_str();
        tracing::info!(%address, protocol, %tenant, "listening for syslog");
        let (queue, drain) = queue(config.queue_bytes_max, ingester, tenant, metrics.clone());
        tasks.spawn(drain.run());
        let receiver = Receiver {
            ingester: ingester.clone(),
            rules: Arc::new(SyslogRules::new(&config)),
            queue,
            metrics: metrics.clone(),
            message_bytes_max: config.message_bytes_max,
            idle_timeout: config.idle_timeout,
        };
        let stopping = stopping.clone();
        match socket {
            Socket::Datagrams(socket) => {
                tasks.spawn(async move { receiver.receive(&socket, stopping).await });
            }
            Socket::Streams(listener) => {
                let of_connections = stopping.clone();
                let serve = move |stream, peer| {
                    serve(receiver.clone(), stream, peer, tls.clone(), of_connections.clone())
                };
                let max = config.max_connections;
                tasks.spawn(connections::accept(listener, max, metrics, stopping, serve));
            }
        }
    }
}

async fn serve(
    receiver: Receiver,
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Tls>>,
    mut stopping: watch::Receiver<bool>,
) {
    let Some(tls) = tls else { return receiver.read(stream, peer, stopping).await };
    let accepted = tokio::select! {
        accepted = timeout(TLS_TIMEOUT, tls.acceptor().accept(stream)) => accepted,
        () = stopped(&mut stopping) => return,
    };
    match accepted {
        Ok(Ok(stream)) => receiver.read(stream, peer, stopping).await,
        Ok(Err(error)) => {
            receiver.metrics.refused("tls");
            tracing::debug!(%peer, %error, "no TLS with a sender of syslog");
        }
        Err(_) => receiver.metrics.refused("tls"),
    }
}

impl Receiver {
    /// Datagrams: there is nobody to make wait, so what there is no room for is dropped and counted.
    async fn receive(self, socket: &UdpSocket, mut stopping: watch::Receiver<bool>) {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            let received = tokio::select! {
                received = socket.recv_from(&mut buffer) => received,
                () = stopped(&mut stopping) => return,
            };
            match received {
                Ok((len, peer)) => self.take_datagram(&buffer[..len], peer),
                Err(error) => {
                    tracing::debug!(%error, "cannot receive a datagram");
                    tokio::time::sleep(RECEIVE_PAUSE).await;
                }
            }
        }
    }

    fn take_datagram(&self, datagram: &[u8], peer: SocketAddr) {
        self.metrics.received(1, datagram.len());
        if datagram.is_empty() {
            return;
        }
        let kept = datagram.len().min(self.message_bytes_max);
        if kept < datagram.len() {
            self.metrics.cut();
        }
        let sender = peer.ip().to_canonical().to_string();
        let event = self.ingester.syslog_event(&self.rules, &datagram[..kept], &sender);
        if !self.queue.offer(event) {
            self.metrics.dropped("queue_full", 1);
        }
    }

    /// A stream: it is read no further while there is no room.
    async fn read(
        self,
        mut stream: impl AsyncRead + Unpin,
        peer: SocketAddr,
        mut stopping: watch::Receiver<bool>,
    ) {
        let sender = peer.ip().to_canonical().to_string();
        let mut frames = Frames::new(self.message_bytes_max);
        loop {
            frames.buffer().reserve(READ_BYTES);
            let read = tokio::select! {
                read = timeout(self.idle_timeout, stream.read_buf(frames.buffer())) => read,
                () = stopped(&mut stopping) => break,
            };
            match read {
                Ok(Ok(0)) => break,
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "a sender of syslog is gone");
                    break;
                }
                Err(_) => {
                    self.metrics.refused("idle");
                    break;
                }
            }
            while let Some(frame) = frames.next() {
                self.take_frame(&frame.bytes, frame.is_cut, &sender).await;
            }
        }
        // What has no end is all that will come of it.
        if let Some(frame) = frames.end() {
            self.take_frame(&frame.bytes, frame.is_cut, &sender).await;
        }
    }

    async fn take_frame(&self, bytes: &[u8], is_cut: bool, sender: &str) {
        self.metrics.received(1, bytes.len());
        if is_cut {
            self.metrics.cut();
        }
        let event = self.ingester.syslog_event(&self.rules, bytes, sender);
        self.queue.add(event).await;
    }
}
