//! Several requests on one connection.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A connection that is kept.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// What is sent next.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.0.get_mut()
    }

    /// What comes next.
    pub fn reader(&mut self) -> &mut BufReader<TcpStream> {
        &mut self.0
    }

    /// Posts a body of that type and reads the answer to its end: its status and its body.
    pub fn post(
        &mut self,
        target: &str,
        content_type: &str,
        body: &str,
    ) -> io::Result<(u16, Vec<u8>)> {
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: test\r\nContent-Type: {content_type}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.0.get_mut().write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        let (mut status, mut content_len) = (None, 0);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            } else if let Some(length) = line.strip_prefix("content-length: ") {
                content_len = length.parse().unwrap();
            } else if status.is_none() {
                status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
            }
        }
        let mut body = vec![0; content_len];
        self.0.read_exact(&mut body)?;
        status.map(|status| (status, body)).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}
