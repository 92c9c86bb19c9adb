//! Connections whose client does not get on: too slow with a request's head, or with taking the answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::requests::Requests;

/// What an HTTP/2 connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How often it is looked at the least whether an answer waits for its client.
const LOOK_MIN: Duration = Duration::from_millis(10);

/// How long a client is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For a connection's first bytes, and for the whole head of a request from its first byte on.
    pub(crate) head: Duration,
    /// For the next request; over HTTP/1 hyper sees to that.
    pub(crate) idle: Duration,
    /// For any part of an answer to be taken.
    pub(crate) write: Duration,
}

/// Where a connection stands, by the bytes that went over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is known but so many bytes of the HTTP/2 preface.
    Preface(usize),
    /// In the head of a request, which ends with an empty line; whether in a line that is empty so far.
    Head { empty: bool },
    /// Behind a head: in a body, or waiting for the answer.
    Body,
    /// Behind an answer.
    Idle,
    /// HTTP/2, of which [`Requests`] know more.
    Http2,
    /// Another protocol, which has its own ways to notice.
    Other,
}

impl Phase {
    /// What it is after these bytes were read.
    fn read(self, bytes: &[u8]) -> Self {
        let mut phase = self;
        for byte in bytes {
            // Bodies are long, and change nothing.
            if matches!(phase, Self::Body | Self::Http2 | Self::Other) {
                break;
            }
            phase = phase.read_byte(*byte);
        }
        phase
    }

    fn read_byte(self, byte: u8) -> Self {
        match self {
            Self::Preface(matched) if PREFACE.get(matched) == Some(&byte) => {
                if matched + 1 == PREFACE.len() { Self::Http2 } else { Self::Preface(matched + 1) }
            }
            // The first byte that is not the preface's makes it HTTP/1.
            Self::Preface(_) | Self::Idle => Self::Head { empty: false }.read_byte(byte),
            Self::Head { empty } => match byte {
                b'\n' if empty => Self::Body,
                b'\n' => Self::Head { empty: true },
                b'\r' => self,
                _ => Self::Head { empty: false },
            },
            Self::Body | Self::Http2 | Self::Other => self,
        }
    }

    /// What it is after these bytes were written.
    fn written(self, bytes: &[u8]) -> Self {
        let status = bytes.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
        match (self, status) {
            (Self::Http2, _) => Self::Http2,
            (Self::Other, _) | (_, Some(b"101")) => Self::Other,
            // The client goes on with its body.
            (phase, Some(b"100")) => phase,
            _ => Self::Idle,
        }
    }

    /// Whether the client is expected to send soon.
    const fn is_urgent(self) -> bool {
        matches!(self, Self::Preface(_) | Self::Head { .. })
    }
}

/// A stream that fails when its client does not get on.
///
/// The version of HTTP is known from a connection's first bytes, and hyper waits for those without a
/// limit; its timeout for heads is one for idle connections too, which are right to be silent; and it
/// waits without a limit for answers to be taken. Without this, a few clients that send a byte now and
/// then, or read none, would take up all connections and the memory of their answers.
pub(crate) struct GuardedStream<S> {
    stream: S,
    patience: Patience,
    phase: Phase,
    requests: Arc<Requests>,
    /// Runs while the client should be sending; over HTTP/2 also while it should be taking.
    reads: Option<Pin<Box<Sleep>>>,
    /// Runs while the client should be reading.
    writes: Option<Pin<Box<Sleep>>>,
}

impl<S> GuardedStream<S> {
    /// A connection that has just been made.
    pub(crate) fn new(stream: S, patience: Patience, requests: Arc<Requests>) -> Self {
        let reads = Some(Box::pin(tokio::time::sleep(patience.head)));
        Self { stream, patience, phase: Phase::Preface(0), requests, reads, writes: None }
    }

    fn see(&mut self, bytes: &[u8]) {
        self.phase = self.phase.read(bytes);
        if !self.phase.is_urgent() {
            self.reads = None;
        } else if self.reads.is_none() {
            self.reads = Some(Box::pin(tokio::time::sleep(self.patience.head)));
        }
    }

    /// Whether the client has been waited for too long.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.phase != Phase::Http2 {
            let Some(sleep) = &mut self.reads else { return Poll::Pending };
            return sleep.as_mut().poll(context);
        }
        loop {
            let (now, deadline) = (Instant::now(), self.requests.deadline(&self.patience));
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(());
            }
            // Nothing wakes this when an answer begins to wait for the client.
            let look = now + (self.patience.write.min(self.patience.idle) / 2).max(LOOK_MIN);
            let next = deadline.map_or(look, |deadline| deadline.min(look));
            let sleep = self.reads.get_or_insert_with(|| Box::pin(sleep_until(next)));
            if sleep.deadline() > next {
                sleep.as_mut().reset(next);
            }
            ready!(sleep.as_mut().poll(context));
            self.reads = None;
        }
    }

    /// Passes on what came of a write or flush, unless it has been pending for too long.
    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.writes = None;
            return outcome;
        }
        let patience = self.patience.write;
        let sleep = self.writes.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match sleep.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, out);
        if read.is_ready() {
            self.see(&out.filled()[before..]);
            return read;
        }
        self.poll_late(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if written.is_ready() {
            self.phase = self.phase.written(bytes);
        }
        self.judge(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(context, shut)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        if written.is_ready() {
            let first = bytes.iter().find(|part| !part.is_empty());
            self.phase = self.phase.written(first.map_or(&[], |part| part));
        }
        self.judge(context, written)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::runtime::Builder;

    use super::*;

    const SHORT: Patience = Patience {
        head: Duration::from_millis(100),
        idle: Duration::from_millis(100),
        write: Duration::from_millis(100),
    };

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    fn is_timeout<T>(result: io::Result<T>) -> bool {
        result.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
    }

    /// A connection whose client has sent `bytes`, all of them read, and the client.
    async fn after(bytes: &[u8]) -> (GuardedStream<DuplexStream>, DuplexStream) {
        let (mut client, server) = duplex(64);
        let mut server = GuardedStream::new(server, SHORT, Requests::new());
        client.write_all(bytes).await.unwrap();
        let mut read = vec![0; bytes.len()];
        server.read_exact(&mut read).await.unwrap();
        (server, client)
    }

    /// Whether a client that goes silent is still waited for.
    async fn is_waited_for(server: &mut GuardedStream<DuplexStream>) -> bool {
        match tokio::time::timeout(5 * SHORT.head, server.read_u8()).await {
            Err(_) => true,
            Ok(ended) => !is_timeout(ended),
        }
    }

    #[test]
    fn heads_must_come_to_their_end() {
        block_on(async {
            for (bytes, waited_for) in [
                (&b""[..], false),
                (b"P", false),
                (b"PRI * HTTP/2.0\r\n", false),
                (b"GET / HTTP/1.1\r\nHost: x\r\n", false),
                (b"GET / HTTP/1.1\r\n\r", false),
                (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", true),
                (b"POST / HTTP/1.1\nHost: x\n\nbody", true),
                (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand no request", false),
            ] {
                let (mut server, _client) = after(bytes).await;
                let is = is_waited_for(&mut server).await;
                assert_eq!(is, waited_for, "{}", bytes.escape_ascii());
            }
        });
    }

    #[test]
    fn silence_behind_an_answer_is_right_and_in_the_next_head_is_not() {
        block_on(async {
            for (answer, next, waited_for) in [
                (&b"HTTP/1.1 204 No Content\r\n\r\n"[..], &b""[..], true),
                (b"HTTP/1.1 204 No Content\r\n\r\n", b"G", false),
                (b"HTTP/1.1 100 Continue\r\n\r\n", b"some of the body", true),
                (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"a frame", true),
            ] {
                let (mut server, mut client) = after(b"GET / HTTP/1.1\r\n\r\n").await;
                server.write_all(answer).await.unwrap();
                client.write_all(next).await.unwrap();
                server.read_exact(&mut vec![0; next.len()]).await.unwrap();
                let is = is_waited_for(&mut server).await;
                assert_eq!(is, waited_for, "{} {}", answer.escape_ascii(), next.escape_ascii());
            }
        });
    }

    #[test]
    fn answers_must_be_taken() {
        block_on(async {
            let (mut server, mut client) = after(b"GET / HTTP/1.1\r\n\r\n").await;
            assert!(is_timeout(server.write_all(&[0; 1000]).await), "nobody reads");
            let (mut server, _) = (after(b"GET / HTTP/1.1\r\n\r\n").await.0, &mut client);
            assert!(server.write_all(&[0; 1000]).await.is_err(), "nobody is there");
            let (mut server, mut client) = after(b"GET / HTTP/1.1\r\n\r\n").await;
            let reader = async {
                let mut read = vec![0; 1000];
                client.read_exact(&mut read).await.unwrap();
            };
            let (written, ()) = tokio::join!(server.write_all(&[0; 1000]), reader);
            written.unwrap();
        });
    }
}
