//! Fluentd's forward protocol over TCP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use timberline_store::TenantId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{
    ListenError, ListenerMetrics, PortMetrics, RECEIVE_PAUSE, connections, reason, stopped,
    until_stored,
};
use crate::config::ForwardListener;
use crate::ingest::{ForwardEnvelope, ForwardRules, Greeting, Ingester, Scanner};

/// How much is read at a time.
const READ_BYTES: usize = 64 << 10;

/// How long a client may take to show that it knows the key.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest PING, in bytes.
const PING_BYTES_MAX: usize = 64 << 10;

/// How much of a message may be in memory without a place among the large ones.
const SMALL_BYTES: usize = READ_BYTES;

/// How long a client may be silent within a large message, for which others may be waiting.
const LARGE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a client may take none of its acknowledgements.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// A port for the forward protocol.
#[derive(Debug)]
pub(super) struct ForwardPort {
    pub(super) address: SocketAddr,
    config: ForwardListener,
    listener: TcpListener,
    /// Where heartbeats come, at the same port.
    heartbeats: UdpSocket,
    key: Option<Arc<[u8]>>,
    tenant: TenantId,
    metrics: PortMetrics,
}

impl ForwardPort {
    pub(super) async fn bind(
        config: &ForwardListener,
        key: String,
        tenant: TenantId,
        metrics: &ListenerMetrics,
    ) -> Result<Self, ListenError> {
        let shared_key = read_key(config).map_err(|source| ListenError::SharedKey {
            key: key.clone(),
            path: config.shared_key_file.clone(),
            source,
        })?;
        let bound = async {
            let listener = TcpListener::bind(&config.listen).await?;
            let address = listener.local_addr()?;
            Ok((listener, UdpSocket::bind(address).await?, address))
        };
        let listen = config.listen.clone();
        let (listener, heartbeats, address) =
            bound.await.map_err(|source| ListenError::Listen { key, listen, source })?;
        let metrics = metrics.of("fluent_forward", &config.listen);
        Ok(Self {
            address,
            config: config.clone(),
            listener,
            heartbeats,
            key: shared_key,
            tenant,
            metrics,
        })
    }

    pub(super) fn start(
        self,
        ingester: &Ingester,
        stopping: &watch::Receiver<bool>,
        tasks: &mut JoinSet<()>,
    ) {
        let Self { address, config, listener, heartbeats, key, tenant, metrics } = self;
        tracing::info!(%address, %tenant, has_key = key.is_some(), "listening for the forward protocol");
        let receiver = Receiver {
            ingester: ingester.clone(),
            rules: Arc::new(ForwardRules::new(&config)),
            tenant,
            key,
            metrics: metrics.clone(),
            message_bytes_max: config.message_bytes_max,
            large: Arc::new(Semaphore::new(large_messages(&config))),
            idle_timeout: config.idle_timeout,
        };
        let of_connections = stopping.clone();
        let serve =
            move |stream, peer| receiver.clone().serve(stream, peer, of_connections.clone());
        let max = config.max_connections;
        tasks.spawn(connections::accept(listener, max, metrics, stopping.clone(), serve));
        tasks.spawn(answer_heartbeats(heartbeats, stopping.clone()));
    }
}

/// How many large messages there may be at a time: one at the least.
fn large_messages(config: &ForwardListener) -> usize {
    let places = config.buffer_bytes_max / config.message_bytes_max.max(1);
    places.clamp(1, Semaphore::MAX_PERMITS)
}

/// The first line of the file, where there is one.
fn read_key(config: &ForwardListener) -> io::Result<Option<Arc<[u8]>>> {
    if config.shared_key_file.as_os_str().is_empty() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&config.shared_key_file)?;
    match text.lines().next().map(str::trim).filter(|key| !key.is_empty()) {
        Some(key) => Ok(Some(key.as_bytes().into())),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "its first line is empty")),
    }
}

/// A datagram of any kind asks whether anyone is there.
async fn answer_heartbeats(socket: UdpSocket, mut stopping: watch::Receiver<bool>) {
    let mut buffer = [0; 128];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                match received {
                    // An answer that cannot be sent is as good as one that is lost.
                    Ok((_, peer)) => drop(socket.send_to(&[0], peer).await),
                    Err(error) => {
                        tracing::debug!(%error, "cannot receive a heartbeat");
                        tokio::time::sleep(RECEIVE_PAUSE).await;
                    }
                }
            }
            () = stopped(&mut stopping) => return,
        }
    }
}

/// What all senders of a port share.
#[derive(Clone)]
struct Receiver {
    ingester: Ingester,
    rules: Arc<ForwardRules>,
    tenant: TenantId,
    key: Option<Arc<[u8]>>,
    metrics: PortMetrics,
    message_bytes_max: usize,
    /// Places for large messages that are not stored yet.
    large: Arc<Semaphore>,
    idle_timeout: Duration,
}

/// Why a connection is closed: the label of a metric, and words for the log.
struct Closed(&'static str, String);

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Self {
        Self("", error.to_string())
    }
}

impl Receiver {
    async fn serve(
        self,
        mut stream: TcpStream,
        peer: SocketAddr,
        mut stopping: watch::Receiver<bool>,
    ) {
        // Acknowledgements are short, and waited for.
        let _ = stream.set_nodelay(true);
        if let Err(Closed(reason, text)) = self.converse(&mut stream, &mut stopping).await
            && !reason.is_empty()
        {
            self.metrics.refused(reason);
            tracing::warn!(%peer, reason, %text, "connection of the forward protocol closed");
        }
    }

    async fn converse(
        &self,
        stream: &mut TcpStream,
        stopping: &mut watch::Receiver<bool>,
    ) -> Result<(), Closed> {
        let (mut buffer, mut scanner) = (BytesMut::new(), Scanner::default());
        if let Some(key) = &self.key {
            let greeted = self.greet(stream, &mut buffer, &mut scanner, key);
            let greeted = tokio::select! {
                greeted = timeout(HANDSHAKE_TIMEOUT, greeted) => greeted,
                () = stopped(stopping) => return Ok(()),
            };
            greeted.map_err(|_| Closed("handshake", "no PING in time".to_owned()))??;
        }
        let mut place = None;
        loop {
            let (messages, fault) = self.whole_messages(&mut buffer, &mut scanner);
            if !messages.is_empty() {
                self.store(stream, messages, stopping).await?;
            }
            if let Some(closed) = fault {
                return Err(closed);
            }
            if buffer.len() <= SMALL_BYTES {
                if place.take().is_some() {
                    // Else the buffer keeps the room that the message took.
                    buffer = BytesMut::from(&buffer[..]);
                }
            } else if place.is_none() {
                // The semaphore is never closed.
                place = tokio::select! {
                    place = self.large.acquire() => place.ok(),
                    () = stopped(stopping) => return Ok(()),
                };
            }
            let patience = place.as_ref().map_or(self.idle_timeout, |_| LARGE_TIMEOUT);
            buffer.reserve(READ_BYTES);
            let mut part = (&mut buffer).limit(READ_BYTES);
            let read = tokio::select! {
                read = timeout(patience.min(self.idle_timeout), stream.read_buf(&mut part)) => read,
                () = stopped(stopping) => return Ok(()),
            };
            let read = read.map_err(|_| Closed("idle", "silent for too long".to_owned()))??;
            if read == 0 {
                let cut = || Closed("cut_off", "it ends within a message".to_owned());
                return if buffer.is_empty() { Ok(()) } else { Err(cut()) };
            }
        }
    }

    async fn greet(
        &self,
        stream: &mut TcpStream,
        buffer: &mut BytesMut,
        scanner: &mut Scanner,
        key: &[u8],
    ) -> Result<(), Closed> {
        let refused = |text: String| Closed("handshake", text);
        let greeting = Greeting::new().map_err(|error| refused(error.to_string()))?;
        stream.write_all(&greeting.helo()).await?;
        let end = loop {
            match scanner.end(buffer).map_err(|error| refused(error.to_string()))? {
                Some(end) => break end,
                None if buffer.len() > PING_BYTES_MAX => return Err(refused("no PING".to_owned())),
                None if stream.read_buf(buffer).await? == 0 => {
                    return Err(refused("gone before PING".to_owned()));
                }
                None => {}
            }
        };
        let (pong, outcome) = greeting.pong(&buffer.split_to(end), key);
        stream.write_all(&pong).await?;
        outcome.map_err(|error| refused(error.to_string()))
    }

    /// The messages that are there to their ends, and what is wrong with what follows.
    fn whole_messages(
        &self,
        buffer: &mut BytesMut,
        scanner: &mut Scanner,
    ) -> (Bytes, Option<Closed>) {
        let mut end = 0;
        let fault = loop {
            match scanner.end(&buffer[end..]) {
                Ok(Some(len)) if len > self.message_bytes_max => {
                    break Some(self.too_large(len));
                }
                Ok(Some(len)) => end += len,
                Ok(None) => {
                    let rest = buffer.len() - end;
                    break (rest > self.message_bytes_max).then(|| self.too_large(rest));
                }
                Err(error) => break Some(Closed("malformed", error.to_string())),
            }
        };
        (buffer.split_to(end).freeze(), fault)
    }

    fn too_large(&self, len: usize) -> Closed {
        self.metrics.dropped("too_large", 1);
        let max = self.message_bytes_max;
        Closed(
            "too_large",
            format!("a message has {len} bytes or more, message_bytes_max is {max}"),
        )
    }

    /// Stores messages, and acknowledges those that want it.
    async fn store(
        &self,
        stream: &mut TcpStream,
        mut messages: Bytes,
        stopping: &mut watch::Receiver<bool>,
    ) -> Result<(), Closed> {
        while !messages.is_empty() {
            let (stored, acks) = self.store_some(&messages).await?;
            if !acks.is_empty() {
                let written = tokio::select! {
                    // Where it is time to stop, what can be written at once is.
                    biased;
                    written = timeout(WRITE_TIMEOUT, stream.write_all(&acks)) => written,
                    () = stopped(stopping) => return Ok(()),
                };
                written
                    .map_err(|_| Closed("idle", "acknowledgements are not read".to_owned()))??;
            }
            messages = messages.split_off(stored?);
        }
        Ok(())
    }

    /// Stores as many of the messages as there is room for at a time. Gives how many bytes these are, or what
    /// is wrong with the one behind them, and what those before it are acknowledged with.
    async fn store_some(
        &self,
        messages: &Bytes,
    ) -> Result<(Result<usize, Closed>, Vec<u8>), Closed> {
        let stamp = self.ingester.stamps(ForwardRules::stamps_for(messages.len()));
        let push = || {
            let (rules, messages) = (Arc::clone(&self.rules), messages.clone());
            self.ingester.push_forward(&self.tenant, rules, messages, stamp)
        };
        let dropped = |reason: &'static str, text: String| {
            self.metrics.dropped(reason, 1);
            Closed(reason, text)
        };
        let stored = until_stored(push).await;
        let (count, fault) = stored.map_err(|error| dropped(reason(&error), error.text))?;
        let (mut acks, mut rest) = (Vec::new(), &messages[..]);
        for _ in 0..count {
            // They were read before.
            if let Ok(envelope) = ForwardEnvelope::read(&mut rest) {
                acks.extend(envelope.chunk.iter().flat_map(|chunk| chunk.ack()));
            }
        }
        let bytes = messages.len() - rest.len();
        self.metrics.received(count, bytes);
        let outcome = fault.map_or(Ok(bytes), |fault| Err(dropped("malformed", fault)));
        Ok((outcome, acks))
    }
}
