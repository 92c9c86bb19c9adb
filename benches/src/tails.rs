//! Many live tails of one stream: how much memory they take, and how soon each line is with all of them.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket};

use crate::process::Server;

const QUERY: &str = "%7Bjob%3D%22tails%22%7D";
const LINE: &str = "level=info msg=\"request served\" path=/api/v1/items status=200 took=12ms";

/// How long all lines may take to be with all clients.
const WITHIN: Duration = Duration::from_secs(60);

/// How long they are idle: longer than between two pings of a client, however many there are.
const IDLE: Duration = Duration::from_secs(30);

/// Opens the tails, pushes lines one by one, and waits until every client has every line.
pub(crate) fn measure(server: &Server, clients: usize, lines: usize) -> Result<String> {
    let before = server.memory()?.resident_kb;
    push(server, "first")?;
    let mut tails = Vec::with_capacity(clients);
    for number in 0..clients {
        tails.push(Tail::open(server.addr(), QUERY).with_context(|| format!("tail {number}"))?);
    }
    wait(&mut tails, 1)?;
    let idle_cpu = server.cpu_seconds()?;
    let idle = Instant::now();
    while idle.elapsed() < IDLE {
        tails.iter_mut().try_for_each(Tail::read)?;
        std::thread::sleep(Duration::from_millis(100));
    }
    let idle_cpu = (server.cpu_seconds()? - idle_cpu) / idle.elapsed().as_secs_f64();
    let opened = server.memory()?.resident_kb;
    let mut slowest = Duration::ZERO;
    let mut acknowledged = Duration::ZERO;
    for line in 0..lines {
        let begun = Instant::now();
        push(server, &format!("{line} {LINE}"))?;
        acknowledged = acknowledged.max(begun.elapsed());
        let begun = Instant::now();
        wait(&mut tails, line + 2)?;
        slowest = slowest.max(begun.elapsed());
    }
    let memory = server.memory()?;
    Ok(format!(
        "{clients} tails: {} MB before, {} MB with all open, peak {} MB; idle they take {:.1} % of a core; \
         {lines} lines, each with all of them at most {} ms behind its ack (client included); \
         slowest ack {} ms",
        before / 1000,
        opened / 1000,
        memory.peak_kb / 1000,
        idle_cpu * 100.0,
        slowest.as_millis(),
        acknowledged.as_millis()
    ))
}

fn push(server: &Server, line: &str) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos().to_string();
    let body =
        serde_json::json!({"streams": [{"stream": {"job": "tails"}, "values": [[now, line]]}]});
    let url = format!("http://{}/loki/api/v1/push", server.addr());
    ureq::post(&url).header("Content-Type", "application/json").send(body.to_string())?;
    Ok(())
}

/// Reads until every tail has `lines` lines.
fn wait(tails: &mut [Tail], lines: usize) -> Result<()> {
    let begun = Instant::now();
    loop {
        let mut behind = 0;
        for tail in &mut *tails {
            if tail.lines < lines {
                tail.read()?;
                behind += usize::from(tail.lines < lines);
            }
        }
        if behind == 0 {
            return Ok(());
        }
        if begun.elapsed() > WITHIN {
            bail!("{behind} tails do not have {lines} lines after {WITHIN:?}");
        }
    }
}

/// A live tail, read without waiting.
pub(crate) struct Tail {
    socket: WebSocket<TcpStream>,
    lines: usize,
}

impl Tail {
    /// `query` is encoded for a URL.
    pub(crate) fn open(addr: &str, query: &str) -> Result<Self> {
        let stream = TcpStream::connect(addr)?;
        let url = format!("ws://{addr}/loki/api/v1/tail?query={query}&limit=5000");
        let config = WebSocketConfig::default().read_buffer_size(4096);
        let connected = tungstenite::client::client_with_config(url, stream, Some(config));
        let (socket, _) = connected.map_err(|error| anyhow::anyhow!("{error}"))?;
        socket.get_ref().set_nonblocking(true)?;
        Ok(Self { socket, lines: 0 })
    }

    /// How many lines have come.
    pub(crate) const fn lines(&self) -> usize {
        self.lines
    }

    /// Takes what has come.
    pub(crate) fn read(&mut self) -> Result<()> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => self.lines += text.matches("[\"").count(),
                Ok(Message::Close(frame)) => bail!("a tail was closed: {frame:?}"),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
