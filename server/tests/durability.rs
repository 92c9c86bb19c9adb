//! What was acknowledged is there after the process ended, however it ended: once, in order, and in whole pushes.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::collections::{HashMap, HashSet};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::kept::Connection;
use common::process::Running;
use rmpv::Value as MsgPack;
use serde_json::{Value, json};
use tempfile::TempDir;

const CLIENTS: usize = 4;
const LINES_PER_PUSH: usize = 5;

/// How long a server on a busy machine may take for its first push.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a server is killed, unless `TIMBERLINE_KILLS` says otherwise.
const KILLS: usize = 10;

/// A head so small that flushes and compactions are always under way.
const BUSY: [(&str, &str); 2] =
    [("TIMBERLINE_STORE_HEAD_BYTES_MAX", "16KiB"), ("TIMBERLINE_COMPACTOR_TIME_SHARE", "1")];

const JSON: &str = "application/json";
const JOURNAL_EXPORT: &str = "application/vnd.fdo.journal";

/// A way in, and what an acknowledgement is there.
#[derive(Clone, Copy, Debug)]
enum Door {
    /// A push: 204.
    Push,
    /// A bulk request: each document is created.
    Bulk,
    /// JSON lines: 204.
    JsonLines,
    /// A journal upload: 202.
    Journal,
    /// The forward protocol at this address: the chunk's acknowledgement.
    Forward(SocketAddr),
}

/// Lines that are sent together: the time of the first and their texts, a microsecond apart, which every way in
/// can tell.
struct Batch {
    client: usize,
    /// What all lines begin with.
    name: String,
    begin: i64,
}

impl Batch {
    fn lines(&self) -> impl Iterator<Item = (i64, String)> + '_ {
        (0..LINES_PER_PUSH)
            .map(|index| (self.begin + 1000 * index as i64, format!("{}/{index}", self.name)))
    }

    fn push_body(&self) -> String {
        let values: Vec<_> =
            self.lines().map(|(time, line)| json!([time.to_string(), line])).collect();
        let stream = json!({"client": self.client.to_string()});
        json!({"streams": [{"stream": stream, "values": values}]}).to_string()
    }

    fn bulk_body(&self) -> String {
        let document = |(time, line): (i64, String)| {
            let client = self.client.to_string();
            let source = json!({"@timestamp": time.to_string(), "message": line, "client": client});
            format!("{}\n{source}\n", json!({"create": {}}))
        };
        self.lines().map(document).collect()
    }

    fn json_lines_body(&self) -> String {
        let object = |(time, line): (i64, String)| {
            let client = self.client.to_string();
            format!("{}\n", json!({"_time": time.to_string(), "_msg": line, "client": client}))
        };
        self.lines().map(object).collect()
    }

    fn journal_body(&self) -> String {
        let entry = |(time, line)| {
            let client = self.client;
            format!("__REALTIME_TIMESTAMP={}\nMESSAGE={line}\nCLIENT={client}\n\n", time / 1000)
        };
        self.lines().map(entry).collect()
    }

    /// A message in forward mode.
    fn forward_body(&self) -> Vec<u8> {
        let event = |(time, line): (i64, String)| {
            let seconds = u32::try_from(time / 1_000_000_000).unwrap();
            let nanos = u32::try_from(time % 1_000_000_000).unwrap();
            let time = MsgPack::Ext(0, [seconds.to_be_bytes(), nanos.to_be_bytes()].concat());
            let client = self.client.to_string();
            let record = [("log", line.into()), ("client", client.into())];
            let record = record.map(|(name, value): (&str, MsgPack)| (name.into(), value));
            MsgPack::Array(vec![time, MsgPack::Map(record.into())])
        };
        let events = MsgPack::Array(self.lines().map(event).collect());
        let option = MsgPack::Map(vec![("chunk".into(), self.name.as_str().into())]);
        let mut body = Vec::new();
        let message = MsgPack::Array(vec!["t".into(), events, option]);
        rmpv::encode::write_value(&mut body, &message).unwrap();
        body
    }
}

/// A connection that is kept, and how batches go over it.
struct Client(Connection);

impl Client {
    /// Sends a batch. Whether it was acknowledged; an error: it is not known what became of it.
    fn send(&mut self, door: Door, batch: &Batch) -> io::Result<bool> {
        match door {
            Door::Push => {
                let (status, _) = self.0.post("/loki/api/v1/push", JSON, &batch.push_body())?;
                Ok(status == 204)
            }
            Door::JsonLines => {
                let target = "/insert/jsonline?_stream_fields=client";
                Ok(self.0.post(target, JSON, &batch.json_lines_body())?.0 == 204)
            }
            Door::Journal => {
                Ok(self.0.post("/upload", JOURNAL_EXPORT, &batch.journal_body())?.0 == 202)
            }
            Door::Bulk => {
                let target = "/_bulk?_stream_fields=client";
                let (status, body) = self.0.post(target, JSON, &batch.bulk_body())?;
                let answer: Value = serde_json::from_slice(&body)?;
                let is_created = |item: &Value| item["create"]["status"] == 201;
                let items = answer["items"].as_array().cloned().unwrap_or_default();
                let all = items.len() == LINES_PER_PUSH && items.iter().all(is_created);
                assert!(all || status != 200, "{answer}");
                Ok(all)
            }
            Door::Forward(_) => {
                self.0.stream().write_all(&batch.forward_body())?;
                let answer = rmpv::decode::read_value(self.0.reader()).map_err(io::Error::other)?;
                Ok(answer == MsgPack::Map(vec![("ack".into(), batch.name.as_str().into())]))
            }
        }
    }
}

/// What clients sent, and what they know of it.
#[derive(Default)]
struct Ledger {
    /// The name of each push that was acknowledged.
    acknowledged: HashSet<String>,
    /// The name of each push that had another answer, or none.
    unknown: HashSet<String>,
    /// How many pushes were seen in answers of a server under load.
    seen: usize,
}

impl Ledger {
    fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.unknown.extend(other.unknown);
    }

    /// Whether the server has each acknowledged push exactly once, each other one at most once, none in part,
    /// and each stream in order.
    fn check(&self, server: &Running, start: i64) {
        self.check_without(server, start, None);
    }

    /// The same where all of one client's were deleted.
    fn check_without(&self, server: &Running, start: i64, deleted: Option<usize>) {
        let mut counts: HashMap<String, Vec<usize>> = HashMap::new();
        for client in 0..CLIENTS {
            let mut last = None;
            let query = format!("{{client=\"{client}\"}}");
            let found = common::lines(server.address, &query, start, now());
            assert!(found.is_empty() || deleted != Some(client), "{} are back", found.len());
            for (_, line) in found {
                let (push, index) = line.rsplit_once('/').unwrap();
                let index: usize = index.parse().unwrap();
                counts.entry(push.to_owned()).or_insert_with(|| vec![0; LINES_PER_PUSH])[index] +=
                    1;
                // A client's times grow with what it sends.
                let place = Some((numbers(push), index));
                assert!(last < place, "{last:?} before {place:?}");
                last = place;
            }
        }
        let once = vec![1; LINES_PER_PUSH];
        let is_there = |push: &&String| deleted.is_none_or(|client| numbers(push)[1] != client);
        for push in self.acknowledged.iter().filter(is_there) {
            assert_eq!(counts.remove(push).as_ref(), Some(&once), "{push} was acknowledged");
        }
        for (push, count) in counts {
            assert_eq!(count, once, "{push} was not acknowledged");
            assert!(self.unknown.contains(&push), "{push} was never sent");
        }
    }
}

/// Round, client and number of a push.
fn numbers(push: &str) -> Vec<usize> {
    push.split(' ').filter_map(|word| word.parse().ok()).collect()
}

/// Nanoseconds since the epoch.
fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// Sends one batch after the other until the server is gone. `taken` counts those that were acknowledged.
fn load(
    address: SocketAddr,
    door: Door,
    round: usize,
    client: usize,
    taken: Arc<AtomicUsize>,
) -> JoinHandle<Ledger> {
    std::thread::spawn(move || {
        let mut ledger = Ledger::default();
        let address = match door {
            Door::Forward(address) => address,
            Door::Push | Door::Bulk | Door::JsonLines | Door::Journal => address,
        };
        let Ok(connection) = Connection::open(address) else { return ledger };
        let mut client_connection = Client(connection);
        for number in 0.. {
            let name = format!("round {round} client {client} push {number}");
            let batch = Batch { client, name, begin: now() };
            match client_connection.send(door, &batch) {
                Ok(true) => {
                    ledger.acknowledged.insert(batch.name);
                    taken.fetch_add(1, Ordering::Relaxed);
                }
                Ok(false) => _ = ledger.unknown.insert(batch.name),
                Err(_) => {
                    ledger.unknown.insert(batch.name);
                    return ledger;
                }
            }
        }
        ledger
    })
}

/// Asks one query after the other until the server is gone. Whatever it answers must be an answer. Gives the
/// pushes that answers had lines of.
fn query(address: SocketAddr, start: i64) -> JoinHandle<HashSet<String>> {
    const COUNT: &str = r#"sum by (client) (count_over_time({client=~".+"} |= "push" [1h]))"#;
    let ask = move |query: &str| -> io::Result<String> {
        let (start, end) = (start.to_string(), now().to_string());
        let params =
            [("query", query), ("start", &start), ("end", &end), ("step", "60"), ("limit", "500")];
        let target = common::with_params("/loki/api/v1/query_range", &params);
        let request = format!("GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        match answer.ends_with('}') || answer.ends_with('\n') {
            true => Ok(answer),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    };
    std::thread::spawn(move || {
        let mut seen = HashSet::new();
        loop {
            for query in [COUNT, r#"{client=~".+"}"#] {
                let Ok(answer) = ask(query) else { return seen };
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                assert!(!answer.contains("damage"), "{answer}");
                // Lines are in texts of their own, and have no quotes.
                let texts = answer.split('"').filter(|text| text.starts_with("round "));
                seen.extend(texts.filter_map(|line| Some(line.rsplit_once('/')?.0.to_owned())));
            }
        }
    })
}

/// What has become of the server's segments meanwhile: flushes and merges.
fn work_done(server: &Running) -> [f64; 2] {
    let metrics = common::request(server.address, "GET", "/metrics", &[], b"").text();
    ["timberline_flushes_total ", "timberline_merges_total "].map(|name| {
        let value = metrics.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap().parse().unwrap()
    })
}

/// Ends a server with `signal` while all clients send to it and one asks. Gives its exit code and the work
/// that was done until then.
fn round(
    server: Running,
    door: Door,
    round: usize,
    signal: &str,
    ledger: &mut Ledger,
) -> (Option<i32>, [f64; 2]) {
    let taken = Arc::new(AtomicUsize::new(0));
    let clients = std::array::from_fn::<_, CLIENTS, _>(|client| {
        load(server.address, door, round, client, Arc::clone(&taken))
    });
    let queries = query(server.address, now() - 3_600_000_000_000);
    let started = Instant::now();
    while taken.load(Ordering::Relaxed) == 0 {
        assert!(started.elapsed() < PATIENCE, "the server takes nothing");
        std::thread::sleep(Duration::from_millis(1));
    }
    // Any moment will do, so that it need not be the same in every run.
    let millis = 150 + u64::try_from(now().rem_euclid(400)).unwrap();
    std::thread::sleep(Duration::from_millis(millis));
    let done = work_done(&server);
    server.signal(signal);
    let code = server.exit_code();
    clients.into_iter().for_each(|client| ledger.add(client.join().unwrap()));
    let seen = queries.join().unwrap();
    ledger.seen += seen.len();
    for push in seen {
        let is_known = ledger.acknowledged.contains(&push) || ledger.unknown.contains(&push);
        assert!(is_known, "{push} was never sent");
    }
    (code, done)
}

fn kills(unless_told: usize) -> usize {
    std::env::var("TIMBERLINE_KILLS").map_or(unless_told, |kills| kills.parse().unwrap())
}

#[test]
fn acknowledged_pushes_outlive_being_killed_under_load() {
    let directory = TempDir::new().unwrap();
    let (start, mut ledger) = (now(), Ledger::default());
    let kills = kills(KILLS);
    let (mut flushes, mut merges) = (0.0, 0.0);
    for number in 0..kills {
        let server = Running::start_with(directory.path(), &BUSY);
        ledger.check(&server, start);
        let (code, done) = round(server, Door::Push, number, "-KILL", &mut ledger);
        assert_eq!(code, None);
        (flushes, merges) = (flushes + done[0], merges + done[1]);
    }
    assert!(flushes > 0.0 && merges > 0.0, "{flushes} flushes, {merges} merges");
    assert!(ledger.seen > 0, "queries found nothing under load");

    // What is deleted stays so.
    let server = Running::start_with(directory.path(), &BUSY);
    ledger.check(&server, start);
    let metrics = common::request(server.address, "GET", "/metrics", &[], b"").text();
    assert!(metrics.contains("timberline_damaged_segments 0"), "{metrics}");
    let params = [("query", r#"{client="0"}"#), ("start", "1000000000")];
    let target = common::with_params("/loki/api/v1/delete", &params);
    let deleted = common::request(server.address, "POST", &target, &[], b"");
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    server.signal("-KILL");
    drop(server);
    let server = Running::start_with(directory.path(), &BUSY);
    ledger.check_without(&server, start, Some(0));
    println!("{kills} kills, {} pushes acknowledged", ledger.acknowledged.len());
}

/// The configuration that opens the other doors, and the address of the forward protocol.
fn other_doors(directory: &Path) -> (String, SocketAddr) {
    // Free now, and most likely still when the server takes it.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let path = directory.join("config.yaml");
    let config = json!({"ingest": {
        "elasticsearch": {"enabled": true},
        "jsonline": {"enabled": true},
        "journald": {"enabled": true, "labels": ["CLIENT"]},
        "fluent_forward": [{"listen": address.to_string(), "labels": ["client"]}],
    }});
    // JSON is YAML.
    std::fs::write(&path, config.to_string()).unwrap();
    (path.to_str().unwrap().to_owned(), address)
}

#[test]
fn what_other_protocols_acknowledge_outlives_being_killed_under_load() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let (start, mut ledger) = (now(), Ledger::default());
    let (config, forward) = other_doors(directory.path());
    let variables = [BUSY[0], BUSY[1], ("TIMBERLINE_CONFIG", config.as_str())];
    let doors = [Door::Bulk, Door::Forward(forward), Door::JsonLines, Door::Journal];
    for (number, door) in doors.into_iter().cycle().take(kills(8)).enumerate() {
        let server = Running::start_with(&data, &variables);
        ledger.check(&server, start);
        assert_eq!(round(server, door, number, "-KILL", &mut ledger).0, None);
    }
    ledger.check(&Running::start_with(&data, &variables), start);
}

#[test]
fn acknowledged_pushes_outlive_a_stop_under_load() {
    let directory = TempDir::new().unwrap();
    let (start, mut ledger) = (now(), Ledger::default());
    for number in 0..2 {
        let server = Running::start(directory.path());
        assert_eq!(round(server, Door::Push, number, "-TERM", &mut ledger).0, Some(0));
        let server = Running::start(directory.path());
        ledger.check(&server, start);
    }
}
