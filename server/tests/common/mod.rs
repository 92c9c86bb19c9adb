//! A server inside the test's process, and a client that speaks just enough HTTP/1.1.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod fake;
pub mod grpc;
pub mod kept;
#[cfg(unix)]
pub mod process;
pub mod tail;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;
use timberline::config::Config;
use timberline::serve::{ServeError, Server};
use tokio::sync::oneshot;

/// A server on a port of its own with an empty store; stopped and removed when dropped.
pub struct TestServer {
    address: SocketAddr,
    ingest_addresses: Vec<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
    _directory: TempDir,
}

impl TestServer {
    /// Starts a server with the default configuration, changed by `configure`.
    pub fn start(configure: impl FnOnce(&mut Config)) -> Self {
        let directory = TempDir::new().unwrap();
        let mut config = Config { data_dir: directory.path().join("data"), ..Config::default() };
        config.server.listen = "127.0.0.1:0".to_owned();
        configure(&mut config);
        let (stop, stopped) = oneshot::channel();
        let (started, start) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Server::open(config).await?;
                started.send((server.address(), server.ingest_addresses())).unwrap();
                server.serve(async { drop(stopped.await) }).await
            })
        });
        let started = start.recv_timeout(Duration::from_secs(30)).expect("the server started");
        let (address, ingest_addresses) = started;
        Self {
            address,
            ingest_addresses,
            stop: Some(stop),
            thread: Some(thread),
            _directory: directory,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The ports of the section `ingest`: those for syslog first.
    pub fn ingest_address(&self, index: usize) -> SocketAddr {
        self.ingest_addresses[index]
    }

    /// The lines that a query finds around now, once there are `count` or two minutes have passed.
    pub fn recent_lines(&self, query: &str, count: usize) -> Vec<String> {
        const NANOS: i64 = 1_000_000_000;
        let begun = std::time::Instant::now();
        loop {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            let now = i64::try_from(now.as_nanos()).unwrap();
            let found = lines(self.address, query, now - 3600 * NANOS, now + 3600 * NANOS);
            if found.len() >= count || begun.elapsed() > Duration::from_secs(120) {
                return found.into_iter().map(|(_, line)| line).collect();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The value of a metric with these labels, as they are printed.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.get("/metrics", &[]).text();
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    pub fn get(&self, path: &str, params: &[(&str, &str)]) -> Response {
        self.request("GET", &with_params(path, params), &[], b"")
    }

    pub fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        request(self.address, method, target, headers, body)
    }

    pub fn push(&self, body: &str) -> Response {
        let headers = [("Content-Type", "application/json")];
        self.request("POST", "/loki/api/v1/push", &headers, body.as_bytes())
    }

    /// Stops the server and says how it ended.
    pub fn stop(mut self) -> Result<(), ServeError> {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A test that fails already must not fail twice.
            drop(thread.join());
        }
    }
}

pub fn with_params(path: &str, params: &[(&str, &str)]) -> String {
    if params.is_empty() {
        return path.to_owned();
    }
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    format!("{path}?{query}")
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// The lines that a query finds between `start` and `end`, page by page, oldest first.
pub fn lines(address: SocketAddr, query: &str, start: i64, end: i64) -> Vec<(i64, String)> {
    const PAGE: usize = 5000;
    let mut found: Vec<(i64, String)> = Vec::new();
    loop {
        let from = found.last().map_or(start, |(timestamp, _)| timestamp + 1).to_string();
        let (to, limit) = (end.to_string(), PAGE.to_string());
        let mut params = vec![("query", query), ("direction", "forward"), ("limit", &limit)];
        params.extend([("start", from.as_str()), ("end", &to)]);
        let target = with_params("/loki/api/v1/query_range", &params);
        let answer = request(address, "GET", &target, &[], b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let before = found.len();
        for stream in answer.json()["data"]["result"].as_array().unwrap() {
            for value in stream["values"].as_array().unwrap() {
                let (timestamp, line) = (value[0].as_str().unwrap(), value[1].as_str().unwrap());
                found.push((timestamp.parse().unwrap(), line.to_owned()));
            }
        }
        found[before..].sort();
        if found.len() < before + PAGE {
            return found;
        }
    }
}

/// Sends one request on a connection of its own.
pub fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    parse(&answer)
}

fn parse(answer: &[u8]) -> Response {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_owned(), value.trim().to_owned())
    });
    let mut response =
        Response { status, headers: headers.collect(), body: answer[end + 4..].to_vec() };
    if response.header("transfer-encoding") == Some("chunked") {
        response.body = unchunk(&response.body);
    }
    response
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").expect("a chunk's head");
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        let start = end + 2;
        body.extend_from_slice(&rest[start..start + size]);
        if size == 0 {
            return body;
        }
        rest = &rest[start + size + 2..];
    }
}

/// Takes entries of any time: the tests' lines have fixed times, today has not.
pub fn accept_any_time(config: &mut Config) {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
    config.limits_config.ingest.reject_old_samples = false;
    config.limits_config.ingest.creation_grace_period = CENTURY;
}

/// Writes a file that looks as it did before: of the same length, changed at the same time.
pub fn write_unseen(file: &std::path::Path, text: &str) {
    let before = std::fs::metadata(file).unwrap();
    assert_eq!(before.len(), text.len() as u64);
    std::fs::write(file, text).unwrap();
    let changed = std::fs::File::options().write(true).open(file).unwrap();
    changed.set_modified(before.modified().unwrap()).unwrap();
}
