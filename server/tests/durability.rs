//! What was acknowledged is there after the process ended, however it ended: once, and in whole pushes.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::process::Running;
use tempfile::TempDir;

const CLIENTS: usize = 4;
const LINES_PER_PUSH: usize = 5;

/// How often a server is killed, unless `TIMBERLINE_KILLS` says otherwise.
const KILLS: usize = 10;

/// A head so small that flushes and compactions are always under way.
const BUSY: [(&str, &str); 2] =
    [("TIMBERLINE_STORE_HEAD_BYTES_MAX", "16KiB"), ("TIMBERLINE_COMPACTOR_TIME_SHARE", "1")];

/// A connection that is kept.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Pushes and reads the answer to its end. An error: it is not known what became of the push.
    fn push(&mut self, body: &str) -> io::Result<u16> {
        let head = format!(
            "POST /loki/api/v1/push HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
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
        self.0.read_exact(&mut vec![0; content_len])?;
        status.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// What clients sent, and what they know of it.
#[derive(Default)]
struct Ledger {
    /// The first line of each push that was acknowledged.
    acknowledged: HashSet<String>,
    /// The first line of each push that had another answer, or none.
    unknown: HashSet<String>,
}

impl Ledger {
    fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.unknown.extend(other.unknown);
    }

    /// Whether the server has each acknowledged push exactly once, each other one at most once, and
    /// none in part.
    fn check(&self, server: &Running, start: i64) {
        let mut counts: HashMap<String, Vec<usize>> = HashMap::new();
        for client in 0..CLIENTS {
            let query = format!("{{client=\"{client}\"}}");
            for (_, line) in common::lines(server.address, &query, start, now()) {
                let (push, index) = line.rsplit_once('/').unwrap();
                let index: usize = index.parse().unwrap();
                counts.entry(push.to_owned()).or_insert_with(|| vec![0; LINES_PER_PUSH])[index] +=
                    1;
            }
        }
        let once = vec![1; LINES_PER_PUSH];
        for push in &self.acknowledged {
            assert_eq!(counts.remove(push).as_ref(), Some(&once), "{push} was acknowledged");
        }
        for (push, count) in counts {
            assert_eq!(count, once, "{push} was not acknowledged");
            assert!(self.unknown.contains(&push), "{push} was never sent");
        }
    }
}

/// Nanoseconds since the epoch.
fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// Pushes one after the other until the server is gone.
fn load(address: SocketAddr, round: usize, client: usize) -> JoinHandle<Ledger> {
    std::thread::spawn(move || {
        let mut ledger = Ledger::default();
        let Ok(mut connection) = Connection::open(address) else { return ledger };
        for number in 0.. {
            let push = format!("round {round} client {client} push {number}");
            let begin = now();
            let values: Vec<_> = (0..LINES_PER_PUSH)
                .map(|index| format!(r#"["{}","{push}/{index}"]"#, begin + index as i64))
                .collect();
            let body = format!(
                r#"{{"streams":[{{"stream":{{"client":"{client}"}},"values":[{}]}}]}}"#,
                values.join(",")
            );
            match connection.push(&body) {
                Ok(204) => _ = ledger.acknowledged.insert(push),
                Ok(_) => _ = ledger.unknown.insert(push),
                Err(_) => {
                    ledger.unknown.insert(push);
                    return ledger;
                }
            }
        }
        ledger
    })
}

/// Asks one query after the other until the server is gone. Whatever it answers must be an answer.
fn query(address: SocketAddr, start: i64) -> JoinHandle<usize> {
    std::thread::spawn(move || {
        let query = r#"sum by (client) (count_over_time({client=~".+"} |= "push" [1h]))"#;
        let (start, end) = (start.to_string(), now().to_string());
        let params = [("query", query), ("start", &start), ("end", &end), ("step", "60")];
        let target = common::with_params("/loki/api/v1/query_range", &params);
        let request = format!("GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        for answered in 0.. {
            let ask = || -> io::Result<String> {
                let mut stream = TcpStream::connect(address)?;
                stream.write_all(request.as_bytes())?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer)?;
                Ok(answer)
            };
            match ask() {
                Ok(answer) if answer.ends_with('}') || answer.ends_with("\n") => {
                    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                    assert!(!answer.contains("damage"), "{answer}");
                }
                _ => return answered,
            }
        }
        0
    })
}

/// Ends a server with `signal` while all clients push to it and one asks.
fn round(server: Running, round: usize, signal: &str, ledger: &mut Ledger) -> Option<i32> {
    let clients =
        std::array::from_fn::<_, CLIENTS, _>(|client| load(server.address, round, client));
    let queries = query(server.address, now() - 3_600_000_000_000);
    // Any moment will do, so that it need not be the same in every run.
    let millis = 150 + u64::try_from(now().rem_euclid(400)).unwrap();
    std::thread::sleep(Duration::from_millis(millis));
    server.signal(signal);
    let code = server.exit_code();
    let before = ledger.acknowledged.len();
    clients.into_iter().for_each(|client| ledger.add(client.join().unwrap()));
    queries.join().unwrap();
    assert!(ledger.acknowledged.len() > before, "the server took something");
    code
}

#[test]
fn acknowledged_pushes_outlive_being_killed_under_load() {
    let directory = TempDir::new().unwrap();
    let (start, mut ledger) = (now(), Ledger::default());
    let kills = std::env::var("TIMBERLINE_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    for number in 0..kills {
        let server = Running::start_with(directory.path(), &BUSY);
        ledger.check(&server, start);
        assert_eq!(round(server, number, "-KILL", &mut ledger), None);
    }
    let server = Running::start_with(directory.path(), &BUSY);
    ledger.check(&server, start);
    let metrics = common::request(server.address, "GET", "/metrics", &[], b"").text();
    assert!(metrics.contains("timberline_damaged_segments 0"), "{metrics}");
    println!("{kills} kills, {} pushes acknowledged", ledger.acknowledged.len());
}

#[test]
fn acknowledged_pushes_outlive_a_stop_under_load() {
    let directory = TempDir::new().unwrap();
    let (start, mut ledger) = (now(), Ledger::default());
    for number in 0..2 {
        let server = Running::start(directory.path());
        assert_eq!(round(server, number, "-TERM", &mut ledger), Some(0));
        let server = Running::start(directory.path());
        ledger.check(&server, start);
    }
}
