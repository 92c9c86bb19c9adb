//! How a store behaves with very many streams over a month, and how that grows.
//!
//! The fleet is pushed straight into a store, without the cost of a protocol; questions go to a server
//! that is started on what that left, as people ask them.

mod fleet;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use timberline_store::{Durability, Labels, Store, TenantId, WriteBatch};

pub(crate) use self::fleet::Fleet;
use self::fleet::{NEEDLE, app, pod};
use crate::client;
use crate::clock::process_cpu_seconds;
use crate::disk;
use crate::process::{Memory, Server, ServerOptions};
use crate::questions::{Answer, Timing, count_rows, counted};
use crate::report::{self, Figure, In, Kind};

/// Lines in one append.
const LINES_PER_APPEND: usize = 1000;
/// Whose lines they are: the tenant of a server without authentication.
const TENANT: &str = "fake";

/// What was measured of a fleet.
#[derive(Debug)]
pub(crate) struct Scaled {
    fleet: Fleet,
    ingest: Ingest,
    disk_bytes: u64,
    /// From the start of the process until it is ready.
    open_seconds: f64,
    opened: Memory,
    answers: Vec<Answer>,
    /// After all questions.
    asked: Memory,
}

/// What pushing a fleet took.
#[derive(Clone, Copy, Debug)]
struct Ingest {
    raw_bytes: u64,
    /// From the first append to the last flush.
    seconds: f64,
    cpu_seconds: f64,
    compact_seconds: f64,
    /// Streams in the head before the last flush.
    active_streams: usize,
    segments: u64,
}

/// Measures a fleet in an empty directory.
pub(crate) fn measure(fleet: Fleet, server: &ServerOptions, runs: usize) -> Result<Scaled> {
    let directory = tempfile::tempdir().context("a directory for the data")?;
    let ingest = ingest(fleet, directory.path())?;
    let disk_bytes = disk::bytes(directory.path())?;
    let started = Instant::now();
    let server = Server::start(server, directory.path())?;
    let open_seconds = started.elapsed().as_secs_f64();
    let opened = server.memory()?;
    let answers = ask_all(fleet, server.addr(), runs);
    expect_count(fleet, server.addr())?;
    let asked = server.memory()?;
    server.stop()?;
    Ok(Scaled { fleet, ingest, disk_bytes, open_seconds, opened, answers, asked })
}

fn ingest(fleet: Fleet, directory: &Path) -> Result<Ingest> {
    let store = Store::builder().durability(Durability::None).open(directory)?;
    let tenant = TenantId::new(TENANT)?;
    let labels: Vec<Labels> =
        (0..fleet.streams).map(|stream| fleet.labels(stream)).collect::<Result<_>>()?;
    let (started, cpu_before) = (Instant::now(), process_cpu_seconds());
    let (mut batch, mut raw_bytes) = (WriteBatch::new(), 0);
    for line in fleet.lines() {
        batch.stream(&labels[line.stream as usize]);
        batch.push(line.timestamp, line.text.as_bytes(), &[])?;
        raw_bytes += line.text.len() as u64 + 1;
        if batch.len() == LINES_PER_APPEND {
            store.append(&tenant, &batch)?;
            batch.clear();
        }
    }
    store.append(&tenant, &batch)?;
    let active_streams = store.active_streams(&tenant);
    store.flush()?;
    let (seconds, cpu_seconds) =
        (started.elapsed().as_secs_f64(), process_cpu_seconds() - cpu_before);
    let compaction = Instant::now();
    store.compact()?;
    let compact_seconds = compaction.elapsed().as_secs_f64();
    let segments = store.stats().segments;
    store.close()?;
    Ok(Ingest { raw_bytes, seconds, cpu_seconds, compact_seconds, active_streams, segments })
}

/// A question: its name, the endpoint, and what is asked.
type Question = (&'static str, String, Vec<(&'static str, String)>);

fn questions(fleet: Fleet) -> Vec<Question> {
    let some = fleet.streams / 3;
    let of = |name, path: &str, params: &[(&'static str, &str)]| {
        let params = params.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        (name, path.to_owned(), params)
    };
    let one_app = format!(r#"{{app="{}"}}"#, app(some));
    let one_pod = format!(r#"{{pod="{}"}}"#, pod(some));
    let by_regex = r#"{pod=~"app-00.-.*"}"#;
    let count = format!("sum(count_over_time({by_regex}[{}d]))", fleet.days);
    let end = fleet.end_seconds().to_string();
    let needle = format!(r#"{{cluster=~".+"}} |= "{NEEDLE}""#);
    vec![
        of("label names", "labels", &[]),
        of("label values, 500 apps", "label/app/values", &[]),
        of("label values, a pod for each stream", "label/pod/values", &[]),
        of("label values, pods of an app", "label/pod/values", &[("query", &one_app)]),
        of("series of an app", "series", &[("match[]", &one_app)]),
        of("series by regex, 1 in 50", "series", &[("match[]", by_regex)]),
        of("count by regex, 1 in 50", "query", &[("query", &count), ("time", &end)]),
        of("one needle in all", "query_range", &[("query", &needle), ("limit", "100")]),
        of("last 100 lines of a stream", "query_range", &[("query", &one_pod), ("limit", "100")]),
    ]
}

fn ask_all(fleet: Fleet, addr: &str, runs: usize) -> Vec<Answer> {
    let (start, end) = (fleet.start_seconds().to_string(), fleet.end_seconds().to_string());
    let ask = |(name, path, params): Question| {
        let mut all = vec![("start", &*start), ("end", &*end)];
        all.extend(params.iter().map(|(name, value)| (*name, &**value)));
        let timing = Timing::of(runs, || client::get(addr, &path, &all), rows);
        Answer { name, outcome: timing.map_err(|error| format!("{error:#}")) }
    };
    questions(fleet).into_iter().map(ask).collect()
}

/// Entries, samples, or texts and label sets of an answer.
fn rows(answer: &Value) -> Option<usize> {
    answer["data"].as_array().map(Vec::len).or_else(|| count_rows(answer))
}

/// Insists on every line.
fn expect_count(fleet: Fleet, addr: &str) -> Result<()> {
    let counted = counted(
        addr,
        &format!(r#"sum(count_over_time({{cluster=~".+"}}[{}d]))"#, fleet.days),
        fleet.end_seconds(),
    )?;
    ensure!(counted == fleet.lines, "{counted} lines of {}", fleet.lines);
    Ok(())
}

/// How figures grow: a column for each fleet, and the last by the first.
pub(crate) fn table(fleets: &[Scaled]) -> String {
    let columns: Vec<String> = fleets
        .iter()
        .map(|Scaled { fleet: Fleet { streams, lines, days }, .. }| {
            format!("{streams} streams, {lines} lines, {days} days")
        })
        .collect();
    let runs: Vec<_> = fleets.iter().map(|scaled| (figures(scaled), In::NONE)).collect();
    let mut out = report::growth_table(&columns, &runs);
    for answer in fleets.iter().flat_map(|scaled| &scaled.answers) {
        if let Err(problem) = &answer.outcome {
            out.push_str(&format!("\n{}: {problem}\n", answer.name));
        }
    }
    out
}

/// The figures of a fleet. All fleets have the same, in the same order.
pub(crate) fn figures(scaled: &Scaled) -> Vec<Figure> {
    let ingest = &scaled.ingest;
    let ours = [
        ("streams in the head", Kind::Count, ingest.active_streams as f64),
        ("ingest, lines a second", Kind::Count, scaled.fleet.lines as f64 / ingest.seconds),
        ("ingest, MB a second", Kind::Count, ingest.raw_bytes as f64 / 1e6 / ingest.seconds),
        ("ingest, CPU", Kind::Seconds, ingest.cpu_seconds),
        ("compaction behind it", Kind::Seconds, ingest.compact_seconds),
        ("raw bytes", Kind::Disk, ingest.raw_bytes as f64),
        ("bytes on disk", Kind::Disk, scaled.disk_bytes as f64),
        ("segments", Kind::Count, ingest.segments as f64),
        ("start until ready", Kind::Milliseconds, scaled.open_seconds * 1e3),
        ("memory after it, resident", Kind::Memory, scaled.opened.resident_bytes()),
        ("memory after it, anonymous", Kind::Memory, scaled.opened.anonymous_bytes()),
    ];
    let asked = [
        ("memory after all questions, resident", scaled.asked.resident_bytes()),
        ("memory after all questions, anonymous", scaled.asked.anonymous_bytes()),
    ];
    let ours = ours.map(|(name, kind, value)| Figure { name, kind, value: Some(value) });
    let asked = asked.map(|(name, value)| Figure { name, kind: Kind::Memory, value: Some(value) });
    let answers = scaled.answers.iter().map(|answer| Figure::of(answer, Kind::Milliseconds));
    ours.into_iter().chain(answers).chain(asked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_fleet_is_in_the_store_whole() {
        let fleet = Fleet { streams: 300, lines: 2500, days: 3 };
        let directory = tempfile::tempdir().unwrap();
        let ingest = ingest(fleet, directory.path()).unwrap();
        let raw_bytes: usize = fleet.lines().map(|line| line.text.len() + 1).sum();
        assert_eq!((ingest.raw_bytes, ingest.active_streams), (raw_bytes as u64, 300));
        let store = Store::open(directory.path()).unwrap();
        assert_eq!(store.stats().segment_entries, 2500);
    }

    #[test]
    fn rows_of_all_kinds_of_answers_are_counted() {
        let count = |text| rows(&serde_json::from_str(text).unwrap());
        assert_eq!(count(r#"{"data":["a","b"]}"#), Some(2));
        assert_eq!(count(r#"{"data":{"result":[{"values":[["1","x"]]}]}}"#), Some(1));
        assert_eq!(count(r#"{"data":{"result":[{"value":[1,"7"]}]}}"#), Some(1));
        assert_eq!(count("{}"), None);
    }
}
