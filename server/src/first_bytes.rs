//! Connections whose first bytes do not come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// What an HTTP/2 connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream that fails when it does not say in time which protocol it speaks.
///
/// The version of HTTP is known from a connection's first bytes, and hyper waits for those without a
/// limit; its own timeouts begin after them. Without this, connections that never send anything would
/// take up their places for ever.
pub(crate) struct FirstBytes<S> {
    stream: S,
    /// Runs until the protocol is known.
    patience: Option<Pin<Box<Sleep>>>,
    /// How many bytes of the preface have come.
    matched: usize,
}

impl<S> FirstBytes<S> {
    /// `stream`, which must tell its protocol `within` this time.
    pub(crate) fn new(stream: S, within: Duration) -> Self {
        Self { stream, patience: Some(Box::pin(tokio::time::sleep(within))), matched: 0 }
    }

    /// Looks at what was read. The first byte that is not the preface's makes it HTTP/1.
    fn see(&mut self, bytes: &[u8]) {
        let same = bytes.iter().zip(&PREFACE[self.matched..]).take_while(|(a, b)| a == b).count();
        self.matched += same;
        if same < bytes.len() || self.matched == PREFACE.len() {
            self.patience = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, out);
        let Some(patience) = &mut self.patience else { return read };
        if read.is_pending() {
            ready!(patience.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.see(&out.filled()[before..]);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstBytes<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn read(stream: &mut FirstBytes<TcpStream>) -> io::Result<Vec<u8>> {
        let mut bytes = [0; 64];
        let mut buffer = ReadBuf::new(&mut bytes);
        poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut buffer)).await?;
        Ok(buffer.filled().to_vec())
    }

    /// Whether a connection that sends `bytes` and then nothing is still waited for.
    fn is_waited_for(bytes: &[u8]) -> bool {
        const WITHIN: Duration = Duration::from_millis(20);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let mut stream = FirstBytes::new(listener.accept().await.unwrap().0, WITHIN);
            if !bytes.is_empty() {
                client.writable().await.unwrap();
                assert_eq!(client.try_write(bytes).unwrap(), bytes.len());
                assert_eq!(read(&mut stream).await.unwrap(), bytes);
            }
            match tokio::time::timeout(5 * WITHIN, read(&mut stream)).await {
                Err(_) => true,
                Ok(ended) => ended.unwrap_err().kind() != io::ErrorKind::TimedOut,
            }
        })
    }

    #[test]
    fn a_connection_must_tell_its_protocol() {
        for bytes in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n"] {
            assert!(!is_waited_for(bytes), "{}", bytes.escape_ascii());
        }
        for bytes in [&b"G"[..], b"PO", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PRI * HTTP/1"] {
            assert!(is_waited_for(bytes), "{}", bytes.escape_ascii());
        }
    }
}
