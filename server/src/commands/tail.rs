//! `tail`: lines as they come.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use ::http::HeaderMap;
use clap::Args;
use timberline_query::syntax::{Expr, parse};
use tokio_rustls::rustls::{ClientConnection, StreamOwned};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{HandshakeError, Message, WebSocket};

use super::answer::decode_frame;
use super::client::{Endpoint, connector, headers};
use super::out::{Look, Out};
use super::show::{EntryLook, EntryPrinter, Format};
use super::{Failure, Target};
use crate::config::units::parse_duration;
use crate::http::now;

/// A server that pings every second and says nothing for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// `timberline tail`
#[derive(Args, Debug)]
pub(crate) struct Tail {
    /// The log query, in LogQL
    #[arg(value_name = "LOGQL")]
    query: String,
    /// How far back it begins
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    since: Duration,
    /// How many lines of the past at most
    #[arg(long, value_name = "N", default_value_t = 30)]
    limit: usize,
    /// Seconds that lines are held back, so that late ones come in order; 5 at most
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    delay_for: u32,
    /// Ends after so many lines
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// In which form
    #[arg(short, long, value_name = "FORMAT", default_value = "default")]
    output: Format,
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    labels: EntryLook,
    #[command(flatten)]
    target: Target,
}

/// A connection, with TLS or without.
#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl io::Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Tail {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if let Ok(Expr::Metric(_)) = parse(&self.query) {
            return Err(Failure::usage("tail prints lines: this query makes numbers of them"));
        }
        if self.target.data.is_some() {
            return Err(Failure::usage(
                "nothing comes into a data directory that no server uses: tail needs a server (--addr)",
            ));
        }
        let mut socket = self.connect()?;
        let mut printer = EntryPrinter::new(self.output, &self.look, &self.labels);
        let mut out = self.look.open_plain();
        let mut left = self.lines.unwrap_or(usize::MAX);
        while left > 0 {
            let Some(text) = next_frame(&mut socket)? else { return out.close() };
            left -= self.print(&text, left, &mut printer, &mut out)?;
        }
        // The server notices by itself that nobody listens; saying so is a courtesy.
        let _ = socket.close(None);
        out.close()
    }

    fn print(
        &self,
        frame: &str,
        left: usize,
        printer: &mut EntryPrinter<'_>,
        out: &mut Out,
    ) -> Result<usize, Failure> {
        let (mut entries, dropped) = decode_frame(frame)?;
        entries.sort_by_key(|entry| entry.timestamp);
        entries.truncate(left);
        printer.print(&entries, false, out)?;
        out.flush()?;
        if dropped > 0 {
            let warning = format!("warning: {dropped} lines came too fast and were left out");
            self.look.note(&warning, out)?;
        }
        Ok(entries.len())
    }

    fn connect(&self) -> Result<WebSocket<Stream>, Failure> {
        let endpoint = Endpoint::new(self.target.addr())?;
        let since = i64::try_from(self.since.as_nanos()).unwrap_or(i64::MAX);
        let (start, limit) = (now().saturating_sub(since).to_string(), self.limit.to_string());
        let delay = self.delay_for.to_string();
        let params = [
            ("query", self.query.as_str()),
            ("start", &start),
            ("limit", &limit),
            ("delay_for", &delay),
        ];
        let params = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        let scheme = if endpoint.is_tls { "wss" } else { "ws" };
        let url = endpoint.url(scheme, &format!("/loki/api/v1/tail?{params}"));
        let mut request = url.into_client_request().map_err(Failure::usage)?;
        request.headers_mut().extend::<HeaderMap>(headers(&self.target)?);
        let stream = stream(&endpoint, &self.target)?;
        match tungstenite::client::client(request, stream) {
            Ok((socket, _)) => Ok(socket),
            Err(HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                let (status, body) = (answer.status(), answer.body().clone().unwrap_or_default());
                let text = String::from_utf8_lossy(&body).trim_end().to_owned();
                Err(match status.as_u16() {
                    400 => Failure::Usage(text),
                    _ => Failure::Failed(format!("the server answers {status}: {text}")),
                })
            }
            Err(error) => Err(Failure::failed(format!("cannot begin the tail: {error}"))),
        }
    }
}

fn stream(endpoint: &Endpoint, target: &Target) -> Result<Stream, Failure> {
    let Endpoint { host, port, .. } = endpoint;
    let failed =
        |error: io::Error| Failure::failed(format!("cannot connect to {host}:{port}: {error}"));
    let stream = TcpStream::connect((host.as_str(), *port)).map_err(failed)?;
    stream.set_read_timeout(Some(SILENCE_MAX)).map_err(failed)?;
    let Some((config, name)) = connector(endpoint, target)? else {
        return Ok(Stream::Plain(stream));
    };
    let connection = ClientConnection::new(config, name).map_err(Failure::failed)?;
    Ok(Stream::Tls(Box::new(StreamOwned::new(connection, stream))))
}

/// The next frame's text; `None` when the server has ended the tail in order.
fn next_frame(socket: &mut WebSocket<Stream>) -> Result<Option<String>, Failure> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => return Ok(Some(text.to_string())),
            Ok(Message::Close(Some(frame))) if !frame.reason.is_empty() => {
                return Err(Failure::Failed(format!(
                    "the server ended the tail: {}",
                    frame.reason
                )));
            }
            Ok(Message::Close(_)) => return Ok(None),
            Ok(_) => {}
            Err(tungstenite::Error::Io(error))
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                return Err(Failure::failed("the server is silent; the connection is lost"));
            }
            Err(error) => return Err(Failure::failed(format!("the tail broke off: {error}"))),
        }
    }
}
