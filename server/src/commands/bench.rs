//! `bench`: how fast a server takes lines, and how fast it answers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;

use super::answer::QueryAnswer;
use super::client::{Client, Intent};
use super::out::{Ink, note};
use super::sending::Batch;
use super::show::{Table, bytes as size_text, thousands};
use super::{Failure, Target};
use crate::config::units::parse_duration;
use crate::generate::{Rng, SERVICES};
use crate::http::now;

/// What the lines are marked with, so that they can be told from others, and be deleted.
const MARK: &str = "timberline-bench";

/// `timberline bench`
#[derive(Args, Debug)]
pub(crate) struct Bench {
    /// How long lines are pushed
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// Lines in a second, over all connections; 0 is as many as the server takes
    #[arg(long, value_name = "LINES", default_value_t = 0)]
    rate: u64,
    /// Connections that push at once
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    connections: u32,
    /// Lines in a push
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Streams that the lines go to
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    streams: u32,
    /// How often each question is asked afterwards; 0 asks none
    #[arg(long, value_name = "N", default_value_t = 10)]
    queries: u32,
    /// What the lines are made from: the same seed gives the same lines
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    #[command(flatten)]
    target: Target,
}

/// The questions, by what they show.
const QUESTIONS: [(&str, &str); 5] = [
    ("newest lines", r#"{mark="timberline-bench"}"#),
    ("a rare phrase", r#"{mark="timberline-bench"} |= "Failed password for root""#),
    ("a needle not there", r#"{mark="timberline-bench"} |= "4f2a9c0d17b3e586""#),
    ("lines per second", r#"sum by (job) (rate({mark="timberline-bench"}[1m]))"#),
    (
        "parsed fields",
        r#"sum by (level) (count_over_time({mark="timberline-bench", job="scheduler"} | logfmt [1m]))"#,
    ),
];

/// What a connection did.
#[derive(Debug, Default)]
struct Pushed {
    lines: u64,
    bytes: u64,
    latencies: Vec<Duration>,
}

impl Bench {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if self.target.data.is_some() {
            return Err(Failure::usage("a bench loads a server: --addr, not --data"));
        }
        note(&format!(
            "pushing to {} for {:?}, as {{mark=\"{MARK}\"}}",
            self.target.addr(),
            self.duration
        ));
        let begun = (Instant::now(), now());
        let pushed = self.push_all()?;
        let seconds = begun.0.elapsed().as_secs_f64();
        let mut text = pushed_text(&pushed, seconds);
        if self.queries > 0 {
            text.push('\n');
            text.push_str(&self.ask(begun.1)?);
        }
        use std::io::Write as _;
        std::io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::output(&error))
    }

    /// Pushes over all connections until the time is over, or one of them fails.
    fn push_all(&self) -> Result<Pushed, Failure> {
        let (is_over, given) = (AtomicBool::new(false), AtomicU64::new(0));
        let begun = Instant::now();
        let connection = |number: u32| {
            let outcome = self.push_one(number, begun, &given, &is_over);
            if outcome.is_err() {
                is_over.store(true, Ordering::Relaxed);
            }
            outcome
        };
        let connection = &connection;
        std::thread::scope(|scope| {
            let numbers = 0..self.connections;
            let threads: Vec<_> =
                numbers.map(|number| scope.spawn(move || connection(number))).collect();
            let mut all = Pushed::default();
            for thread in threads {
                let one =
                    thread.join().map_err(|_| Failure::failed("a connection's thread died"))??;
                all.lines += one.lines;
                all.bytes += one.bytes;
                all.latencies.extend(one.latencies);
            }
            Ok(all)
        })
    }

    fn push_one(
        &self,
        number: u32,
        begun: Instant,
        given: &AtomicU64,
        is_over: &AtomicBool,
    ) -> Result<Pushed, Failure> {
        let mut client = Client::open(&self.target, Intent::Write)?;
        let mut rng = Rng::new(self.seed.wrapping_add(u64::from(number) << 32));
        let (mut pushed, mut batch, mut line) = (Pushed::default(), Batch::default(), 0_u64);
        while begun.elapsed() < self.duration && !is_over.load(Ordering::Relaxed) {
            self.wait_for_turn(begun, given);
            for _ in 0..self.batch {
                let service = &SERVICES[(line % SERVICES.len() as u64) as usize];
                let shard = line / SERVICES.len() as u64 % self.shards();
                let (job, env) = (service.job, service.env);
                let labels = format!(
                    "{{env=\"{env}\", job=\"{job}\", mark=\"{MARK}\", shard=\"{number}-{shard}\"}}"
                );
                batch.add(&labels, now(), service.line(&mut rng), []);
                line += 1;
            }
            pushed.lines += batch.lines as u64;
            pushed.bytes += batch.bytes as u64;
            let body = batch.take_body()?;
            let sent = Instant::now();
            let answer = client.post("/loki/api/v1/push", "application/x-protobuf", body)?;
            if !answer.status.is_success() {
                return Err(answer.refusal());
            }
            pushed.latencies.push(sent.elapsed());
        }
        Ok(pushed)
    }

    /// Streams of one service that one connection has.
    fn shards(&self) -> u64 {
        let streams = u64::from(self.streams / self.connections) / SERVICES.len() as u64;
        streams.max(1)
    }

    /// Waits until the rate lets the next push go.
    fn wait_for_turn(&self, begun: Instant, given: &AtomicU64) {
        if self.rate == 0 {
            return;
        }
        let before = given.fetch_add(u64::from(self.batch), Ordering::Relaxed);
        let due = Duration::from_secs_f64(before as f64 / self.rate as f64).min(self.duration);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }

    fn ask(&self, start: i64) -> Result<String, Failure> {
        let mut client = Client::open(&self.target, Intent::Read)?;
        let (start, end) = (start.to_string(), now().saturating_add(1).to_string());
        let header = ["QUESTION", "P50 ms", "P99 ms", "RESULTS"];
        let mut table = Table::new(header).right(1..4);
        for (title, query) in QUESTIONS {
            let params = [
                ("query", query),
                ("start", &start),
                ("end", &end),
                ("limit", "100"),
                ("step", "1s"),
            ];
            let (mut latencies, mut results) = (Vec::new(), 0);
            for _ in 0..self.queries {
                let sent = Instant::now();
                let answer = client.get("/loki/api/v1/query_range", &params)?;
                latencies.push(sent.elapsed());
                results = count(&QueryAnswer::decode(&answer)?);
            }
            latencies.sort();
            let at = |share| format!("{:.1}", at(&latencies, share).as_secs_f64() * 1e3);
            table.row([title.to_owned(), at(0.5), at(0.99), results.to_string()]);
        }
        Ok(table.text(Ink(false)))
    }
}

fn count(answer: &QueryAnswer) -> usize {
    use super::answer::Value;
    match &answer.value {
        Value::Entries(entries) => entries.len(),
        Value::Matrix(series) | Value::Vector(series) => series.len(),
    }
}

fn pushed_text(pushed: &Pushed, seconds: f64) -> String {
    let mut latencies = pushed.latencies.clone();
    latencies.sort();
    let ms = |share| format!("{:.1}", at(&latencies, share).as_secs_f64() * 1e3);
    let rate = |count: u64| (count as f64 / seconds.max(0.001)) as u64;
    let mut table = Table::new([
        "LINES", "BYTES", "LINES/s", "BYTES/s", "PUSHES", "P50 ms", "P99 ms", "MAX ms",
    ])
    .right(0..8);
    table.row([
        thousands(pushed.lines),
        size_text(pushed.bytes),
        thousands(rate(pushed.lines)),
        size_text(rate(pushed.bytes)),
        latencies.len().to_string(),
        ms(0.5),
        ms(0.99),
        ms(1.0),
    ]);
    table.text(Ink(false))
}

/// What such a share of them is not above; of sorted times.
fn at(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}
