//! A server under mixed load for a long time: what it holds must not grow, and at the end it must have every
//! line that it acknowledged and was not asked to delete.
//!
//! Two clients push lines that are known beforehand, each at its time, and send what was not acknowledged
//! again. Beside them lines are asked for, followed live, deleted and flushed. In the first half the server is
//! killed or stopped every few minutes; in the second it is left alone, so that growth would show.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use ureq::Agent;

use crate::corpus::{Line, ServicesOptions, service_lines, service_streams};
use crate::process::{Server, ServerOptions, Usage};
use crate::tails::Tail;
use crate::{client, disk, load, push};

const CLIENTS: u64 = 2;
const LINES_PER_PUSH: u64 = 500;
const TAILS: usize = 16;

const SECOND: u64 = 1_000_000_000;
const SAMPLE_EVERY: Duration = Duration::from_secs(10);
const FLUSH_EVERY: Duration = Duration::from_secs(30);
const DELETE_EVERY: Duration = Duration::from_secs(60);
const RESTART_EVERY: Duration = Duration::from_secs(180);
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How many seconds of lines are read back at a time.
const READ_SECONDS: u64 = 5;

/// What is asked all the time, of the last minutes.
const QUESTIONS: [&str; 5] = [
    r#"sum by (job) (count_over_time({client=~".+"}[1m]))"#,
    r#"sum by (job) (count_over_time({client=~".+"} |~ "(?i)exception|error" [1m]))"#,
    r#"{client=~".+"} |= "4bf92f3577b34da6a3ce929d0e0e4736""#,
    r#"{job="blocks"} |= "blk_" != "PacketResponder""#,
    r#"sum by (status) (count_over_time({job="edge"} | pattern "<_> status: <status> len: <_>" [1m]))"#,
];

/// What is followed live, `{job="edge"}`, encoded for a URL.
const FOLLOWED: &str = "%7Bjob%3D%22edge%22%7D";

/// The lines that are deleted, as a selector with a filter; [`is_deleted`] is the same in Rust.
const DELETED: &str = r#"{job="edge", shard="1"} |= "9""#;

fn is_deleted(streams: &[String], line: &Line) -> bool {
    let stream = &streams[line.stream];
    stream.contains(r#"job="edge""#) && stream.contains(r#"shard="1""#) && line.text.contains('9')
}

/// How to soak.
#[derive(Debug)]
pub(crate) struct SoakOptions {
    pub(crate) server: ServerOptions,
    pub(crate) duration: Duration,
    /// Lines a second, of all clients together.
    pub(crate) rate: u64,
}

/// What the threads share.
#[derive(Debug)]
struct Soak {
    /// When the first lines are of, in nanoseconds since the Unix epoch. Not a whole second, and no line is
    /// of one as long as the time between two lines is even: a delete request ends between two lines.
    start: u64,
    /// Nanoseconds between two lines of a client.
    interval: u64,
    /// Where the server is; `None` while it is restarted.
    addr: Mutex<Option<String>>,
    is_over: AtomicBool,
    /// Lines of each client.
    acknowledged: [AtomicU64; CLIENTS as usize],
    answers: AtomicU64,
    tailed: AtomicU64,
    failures: Mutex<Vec<String>>,
}

/// Runs a server on an empty directory and returns the figures.
///
/// # Errors
/// Any request that a running server refuses, and any line that is missing, wrong or there twice.
pub(crate) fn run(options: &SoakOptions) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let soak = &Soak::new(options.rate);
    thread::scope(|scope| {
        let work: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || soak.push(client))).collect();
        scope.spawn(|| soak.ask());
        scope.spawn(|| soak.follow());
        let kept = soak.keep(options, directory.path());
        soak.is_over.store(true, Ordering::SeqCst);
        // The last pushes need the server.
        let (server, deleted_until, table) = kept?;
        for worker in work {
            drop(worker.join());
        }
        soak.set_addr(None);
        server.kill()?;
        let server = Server::start(&options.server, directory.path())?;
        let checked = soak.check(server.addr(), deleted_until)?;
        server.stop()?;
        let failures = std::mem::take(&mut *lock(&soak.failures));
        ensure!(failures.is_empty(), "{} failures: {failures:#?}", failures.len());
        Ok(format!("{table}\n{checked}"))
    })
}

impl Soak {
    fn new(rate: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            start: now.as_secs() * SECOND + 1,
            interval: CLIENTS * SECOND / rate.max(1),
            addr: Mutex::default(),
            is_over: AtomicBool::default(),
            acknowledged: Default::default(),
            answers: AtomicU64::default(),
            tailed: AtomicU64::default(),
            failures: Mutex::default(),
        }
    }

    /// The lines of a client, without end.
    fn lines(&self, client: u64) -> impl Iterator<Item = Line> {
        let (start, interval) = (self.start, self.interval);
        let lines = service_lines(ServicesOptions { lines: u64::MAX, seed: client });
        (0..).zip(lines).map(move |(number, line)| {
            let text = format!("{} n={number}", line.text);
            Line { timestamp: start + number * interval, text, ..line }
        })
    }

    /// Pushes lines when their time has come, each push until it is acknowledged.
    fn push(&self, client: u64) {
        let streams: Vec<String> = service_streams()
            .iter()
            .map(|labels| labels.replacen('{', &format!("{{client=\"{client}\", "), 1))
            .collect();
        let (agent, mut lines) = (Agent::new_with_defaults(), self.lines(client).peekable());
        while !self.is_over() {
            let body = push::body(&streams, lines.by_ref().take(LINES_PER_PUSH as usize));
            let due = lines.peek().map_or(0, |next| next.timestamp);
            thread::sleep(Duration::from_nanos(due.saturating_sub(now())));
            while !self.try_at_server(|addr| load::push(&agent, addr, &body)) {
                if self.is_over() {
                    return;
                }
                thread::sleep(Duration::from_millis(20));
            }
            self.acknowledged[client as usize].fetch_add(LINES_PER_PUSH, Ordering::SeqCst);
        }
    }

    /// Asks one question after the other.
    fn ask(&self) {
        for question in QUESTIONS.iter().cycle() {
            if self.is_over() {
                return;
            }
            let start = (now() - 600 * SECOND).to_string();
            let params = [("query", *question), ("start", &start), ("step", "15")];
            if self.try_at_server(|addr| client::get(addr, "query_range", &params).map(drop)) {
                self.answers.fetch_add(1, Ordering::Relaxed);
            }
            thread::sleep(ASK_EVERY);
        }
    }

    /// Follows a job's streams with live tails, and opens them again when the server was restarted.
    fn follow(&self) {
        let (mut tails, mut lines) = (Vec::<Tail>::new(), 0);
        let mut opened_at = String::new();
        while !self.is_over() {
            let is_well = self.try_at_server(|addr| {
                // A restart may be over before anybody looks at a tail.
                if opened_at != addr {
                    lines += tails.drain(..).map(|tail| tail.lines()).sum::<usize>();
                    addr.clone_into(&mut opened_at);
                }
                while tails.len() < TAILS {
                    tails.push(Tail::open(addr, FOLLOWED)?);
                }
                tails.iter_mut().try_for_each(Tail::read)
            });
            if !is_well {
                lines += tails.drain(..).map(|tail| tail.lines()).sum::<usize>();
            }
            thread::sleep(Duration::from_millis(100));
        }
        lines += tails.iter().map(Tail::lines).sum::<usize>();
        self.tailed.store(lines as u64, Ordering::Relaxed);
    }

    /// Does something at the server and returns whether it was done. A failure counts unless the server
    /// was restarted meanwhile.
    fn try_at_server(&self, act: impl FnOnce(&str) -> Result<()>) -> bool {
        let Some(addr) = lock(&self.addr).clone() else { return false };
        let Err(error) = act(&addr) else { return true };
        if lock(&self.addr).as_ref() == Some(&addr) {
            lock(&self.failures).push(format!("{error:#}"));
        }
        false
    }

    /// Keeps a server running, looks at it, flushes it, deletes lines and restarts it. Returns it with the end
    /// of the last delete request and a table of what was seen.
    fn keep(&self, options: &SoakOptions, data: &std::path::Path) -> Result<(Server, u64, String)> {
        let mut server = Server::start(&options.server, data)?;
        self.set_addr(Some(server.addr().to_owned()));
        let begun = Instant::now();
        let (mut tick, mut deleted_until) = (0, self.start);
        let (mut lives, mut life) = (Vec::new(), Life::default());
        while begun.elapsed() < options.duration {
            thread::sleep(SAMPLE_EVERY);
            tick += 1;
            life.add(server.usage()?, disk::bytes(data)?);
            let is_time = |every: Duration| tick % (every.as_secs() / SAMPLE_EVERY.as_secs()) == 0;
            if is_time(DELETE_EVERY) {
                deleted_until = self.delete(server.addr(), deleted_until)?;
            }
            if is_time(FLUSH_EVERY) {
                server.flush()?;
            }
            if is_time(RESTART_EVERY) && begun.elapsed() < options.duration / 2 {
                self.set_addr(None);
                lives.push(std::mem::take(&mut life));
                match lives.len() % 2 {
                    1 => server.kill()?,
                    _ => server.stop()?,
                }
                server = Server::start(&options.server, data)?;
                self.set_addr(Some(server.addr().to_owned()));
            }
        }
        lives.push(life);
        Ok((server, deleted_until, table(&lives)))
    }

    /// Deletes some of the lines from `start` up to where all are acknowledged, and returns where that is.
    fn delete(&self, addr: &str, start: u64) -> Result<u64> {
        let lines = self.acknowledged.iter().map(|lines| lines.load(Ordering::SeqCst)).min();
        let end = (self.start + lines.unwrap_or(0) * self.interval) / SECOND;
        let (first, last) = ((start / SECOND).to_string(), end.to_string());
        let params = [("query", DELETED), ("start", &first), ("end", &last)];
        ureq::post(format!("http://{addr}/loki/api/v1/delete")).query_pairs(params).send_empty()?;
        Ok(end * SECOND)
    }

    /// Reads every line back and compares.
    fn check(&self, addr: &str, deleted_until: u64) -> Result<String> {
        let streams = service_streams();
        let (mut there, mut deleted) = (0, 0);
        for client in 0..CLIENTS {
            let lines = self.acknowledged[client as usize].load(Ordering::SeqCst);
            let mut expected = self.lines(client).take(lines as usize).peekable();
            while let Some(first) = expected.peek() {
                let (start, end) = (first.timestamp, first.timestamp + READ_SECONDS * SECOND);
                let found = read(addr, client, start, end)?;
                let mut wanted = Vec::new();
                while let Some(line) = expected.next_if(|line| line.timestamp < end) {
                    if line.timestamp < deleted_until && is_deleted(&streams, &line) {
                        deleted += 1;
                    } else {
                        wanted.push((line.timestamp, line.text));
                    }
                }
                if let Some(place) = (0..wanted.len().max(found.len()))
                    .find(|&place| wanted.get(place) != found.get(place))
                {
                    let (wanted, found) = (wanted.get(place), found.get(place));
                    bail!("client {client}: expected {wanted:?}, found {found:?}");
                }
                there += wanted.len();
            }
        }
        let [answers, tailed] = [&self.answers, &self.tailed].map(|n| n.load(Ordering::Relaxed));
        Ok(format!(
            "{there} lines acknowledged and read back one by one, {deleted} deleted and not there; \
             {answers} queries answered, {tailed} lines followed live."
        ))
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn set_addr(&self, addr: Option<String>) {
        *lock(&self.addr) = addr;
    }
}

/// The lines of a client by time, from `start` to before `end`.
fn read(addr: &str, client: u64, start: u64, end: u64) -> Result<Vec<(u64, String)>> {
    let query = format!("{{client=\"{client}\"}}");
    let (start, end) = (start.to_string(), end.to_string());
    let params = [
        ("query", &query[..]),
        ("start", &start),
        ("end", &end),
        ("direction", "forward"),
        ("limit", "1000000"),
    ];
    let answer: Value = serde_json::from_str(&client::get(addr, "query_range", &params)?)?;
    let mut lines = Vec::new();
    for stream in answer["data"]["result"].as_array().into_iter().flatten() {
        for value in stream["values"].as_array().into_iter().flatten() {
            let (time, line) = (value[0].as_str(), value[1].as_str());
            lines.push((time.unwrap_or_default().parse()?, line.unwrap_or_default().to_owned()));
        }
    }
    lines.sort_unstable();
    Ok(lines)
}

/// What a server used from one start to its end, by the time of the sample.
#[derive(Debug, Default)]
struct Life(Vec<(Usage, u64)>);

impl Life {
    fn add(&mut self, usage: Usage, disk_bytes: u64) {
        let Usage { memory, files, threads } = usage;
        eprintln!(
            "resident {} kB, anonymous {} kB, {files} files, {threads} threads, {disk_bytes} bytes on disk",
            memory.resident_kb, memory.anonymous_kb
        );
        self.0.push((usage, disk_bytes));
    }
}

/// A row for each stretch of a life.
fn table(lives: &[Life]) -> String {
    let mut out = "| minute | anonymous | resident | files | threads | on disk |\n\
                   |---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    let per_row = (RESTART_EVERY.as_secs() / SAMPLE_EVERY.as_secs()) as usize;
    let mut samples = 0;
    for (number, life) in lives.iter().enumerate() {
        for part in life.0.chunks(per_row) {
            let range = |of: fn(&Usage) -> u64| {
                let values = || part.iter().map(|(usage, _)| of(usage));
                format!("{}–{}", values().min().unwrap_or(0), values().max().unwrap_or(0))
            };
            samples += part.len();
            let minute = samples as u64 * SAMPLE_EVERY.as_secs() / 60;
            let (anonymous, resident) =
                (range(|u| u.memory.anonymous_kb / 1000), range(|u| u.memory.resident_kb / 1000));
            let (files, threads) = (range(|u| u.files), range(|u| u.threads));
            let disk = part.last().map_or(0, |(_, bytes)| bytes / 1_000_000);
            let _ = writeln!(
                out,
                "| {minute} (start {}) | {anonymous} MB | {resident} MB | {files} | {threads} | {disk} MB |",
                number + 1
            );
        }
    }
    out
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
