//! A WebSocket client for live tails.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::handshake::HandshakeError;
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket};

/// An open tail.
pub struct Tail {
    socket: WebSocket<TcpStream>,
    pings: usize,
}

/// Why a tail gives no more frames.
#[derive(Debug, PartialEq, Eq)]
pub enum TailEnd {
    /// The server said so: code and reason.
    Closed(u16, String),
    /// The connection broke, which browsers report as 1006.
    Broken,
}

impl Tail {
    /// Opens a tail.
    ///
    /// # Errors
    /// Status and text of an answer that is no upgrade.
    pub fn open(
        address: SocketAddr,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, (u16, String)> {
        let mut request = format!("ws://{address}{target}").into_client_request().unwrap();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let config = WebSocketConfig::default();
        match tungstenite::client::client_with_config(request, stream, Some(config)) {
            Ok((socket, _)) => Ok(Self { socket, pings: 0 }),
            Err(HandshakeError::Failure(Error::Http(answer))) => {
                let body = answer.body().clone().unwrap_or_default();
                Err((answer.status().as_u16(), String::from_utf8(body).unwrap()))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The next frame.
    pub fn next(&mut self) -> Result<Value, TailEnd> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Ok(serde_json::from_str(&text).unwrap()),
                Ok(Message::Ping(_)) => self.pings += 1,
                Ok(Message::Close(frame)) => {
                    let frame = frame.unwrap();
                    return Err(TailEnd::Closed(frame.code.into(), frame.reason.to_string()));
                }
                Ok(other) => panic!("{other:?}"),
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("nothing came")
                }
                Err(_) => return Err(TailEnd::Broken),
            }
        }
    }

    /// The next frame's text.
    pub fn next_text(&mut self) -> String {
        loop {
            match self.socket.read().unwrap() {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) => self.pings += 1,
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next `count` lines, whatever frames they come in.
    pub fn lines(&mut self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.len() < count {
            lines.extend(lines_of(&self.next().unwrap()));
        }
        lines
    }

    /// How the tail ends; frames before that are passed over.
    pub fn end(&mut self) -> TailEnd {
        loop {
            if let Err(end) = self.next() {
                return end;
            }
        }
    }

    /// Waits for so many pings.
    pub fn wait_for_pings(&mut self, count: usize) {
        while self.pings < count {
            match self.socket.read().unwrap() {
                Message::Ping(_) => self.pings += 1,
                Message::Text(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Closes as a browser does and waits for the server's answer.
    pub fn close(mut self) {
        self.socket.close(None).unwrap();
        while self.socket.read().is_ok() {}
    }
}

/// The lines of a frame in its order.
pub fn lines_of(frame: &Value) -> Vec<String> {
    let streams = frame["streams"].as_array().unwrap();
    let values = streams.iter().flat_map(|stream| stream["values"].as_array().unwrap());
    values.map(|value| value[1].as_str().unwrap().to_owned()).collect()
}
