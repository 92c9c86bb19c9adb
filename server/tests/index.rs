//! Index statistics and volumes of ranges that cut chunks, against sums over the entries.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;

use common::TestServer;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

const NANOS: i64 = 1_000_000_000;
/// The entries are in the twenty minutes from here on.
const FIRST: i64 = 1_793_538_030 * NANOS;
/// The length of a bucket.
const STEP: i64 = 60 * NANOS;
const APPS: [&str; 3] = ["a", "b", "c"];

/// An entry: the stream's number, half seconds since [`FIRST`], the length of the line beyond its number,
/// and the values of its metadata.
type Drawn = (usize, i64, usize, Vec<u8>);

#[derive(Debug)]
struct Entry {
    app: &'static str,
    timestamp: i64,
    line: String,
    metadata: BTreeMap<String, String>,
}

/// Entries whose lines differ, since what is equal is stored once.
fn entries(drawn: &[Drawn]) -> Vec<Entry> {
    let entry = |(number, (app, time, length, values)): (usize, &Drawn)| Entry {
        app: APPS[*app],
        timestamp: FIRST + time * NANOS / 2,
        line: format!("{number} {}", "x".repeat(*length)),
        metadata: values.iter().map(|v| (format!("name{}", v % 3), format!("value{v}"))).collect(),
    };
    drawn.iter().enumerate().map(entry).collect()
}

/// A server that has a third of the entries in a segment, a third in another, and the rest in memory.
fn server_with(entries: &[Entry]) -> TestServer {
    let server = TestServer::start(|config| {
        common::accept_any_time(config);
        config.limits_config.ingest.discover_service_name = Vec::new();
        config.limits_config.ingest.discover_log_levels = false;
    });
    for (round, entries) in entries.chunks(entries.len().div_ceil(3).max(1)).enumerate() {
        let stream = |entry: &Entry| {
            let value = json!([entry.timestamp.to_string(), entry.line, entry.metadata]);
            json!({"stream": {"app": entry.app, "job": "x"}, "values": [value]})
        };
        let streams: Vec<Value> = entries.iter().map(stream).collect();
        assert_eq!(server.push(&json!({ "streams": streams }).to_string()).status, 204);
        if round < 2 {
            assert_eq!(server.request("POST", "/flush", &[], b"").status, 204);
        }
    }
    server
}

fn ask(server: &TestServer, path: &str, range: &RangeInclusive<i64>) -> Value {
    let (start, end) = (range.start().to_string(), range.end().to_string());
    let params =
        [("query", "{job=\"x\"}"), ("targetLabels", "app"), ("start", &start), ("end", &end)];
    let answer = server.get(path, &[&params[..], &[("step", "60")]].concat());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// `index/stats`, but for how many chunks there are.
fn stats(entries: &[&Entry]) -> Value {
    let streams: BTreeSet<&str> = entries.iter().map(|entry| entry.app).collect();
    let texts = |entry: &&Entry| -> usize {
        let metadata = entry.metadata.iter().map(|(name, value)| name.len() + value.len());
        entry.line.len() + metadata.sum::<usize>()
    };
    let bytes: usize = entries.iter().map(texts).sum();
    json!({"streams": streams.len(), "entries": entries.len(), "bytes": bytes})
}

/// The volume of entries of one stream: lines, eight bytes for each name of metadata on an entry, and each
/// text of metadata once.
fn volume(entries: &[&Entry]) -> usize {
    let lines: usize =
        entries.iter().map(|entry| entry.line.len() + 8 * entry.metadata.len()).sum();
    let pairs = entries.iter().flat_map(|entry| &entry.metadata);
    let texts: BTreeSet<&str> = pairs.flat_map(|(name, value)| [&**name, &**value]).collect();
    lines + texts.iter().map(|text| text.len()).sum::<usize>()
}

/// What volumes are by app, each with the seconds it is stamped with.
type Volumes = BTreeMap<String, Vec<(f64, usize)>>;

fn volumes(entries: &[&Entry], range: &RangeInclusive<i64>, step: Option<i64>) -> Volumes {
    let (start, end) = (*range.start(), *range.end());
    // What is at the very end belongs to the last bucket that begins before it.
    let last = step.map_or(0, |step| (end - 1) / step);
    let mut buckets: HashMap<(&str, i64), Vec<&Entry>> = HashMap::new();
    for entry in entries {
        let bucket = step.map_or(0, |step| (entry.timestamp / step).min(last));
        buckets.entry((entry.app, bucket)).or_default().push(entry);
    }
    let mut volumes = Volumes::new();
    for ((app, bucket), entries) in buckets {
        let millis = match step {
            Some(step) if bucket < last => (bucket + 1) * step / 1_000_000 - 1,
            _ => end / 1_000_000,
        };
        assert!(millis >= start / 1_000_000);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of these years fit")]
        let seconds = millis as f64 / 1000.0;
        volumes.entry(app.to_owned()).or_default().push((seconds, volume(&entries)));
    }
    volumes.values_mut().for_each(|points| points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    volumes
}

fn answered_volumes(answer: &Value) -> Volumes {
    let series = answer["data"]["result"].as_array().unwrap().iter().map(|series| {
        let one = [series["value"].clone()];
        let points = series["values"].as_array().map_or(&one[..], |values| values);
        let point = |point: &Value| {
            let bytes = point[1].as_str().unwrap().parse().unwrap();
            (point[0].as_f64().unwrap(), bytes)
        };
        let app = series["metric"]["app"].as_str().unwrap().to_owned();
        (app, points.iter().map(point).collect())
    });
    series.collect()
}

proptest! {
    // Each case is a server.
    #![proptest_config(ProptestConfig { cases: 4, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn what_is_counted_is_what_is_in_the_range(
        drawn in vec((0..3_usize, 0..2400_i64, 0..40_usize, vec(0..6_u8, 0..3)), 1..300),
        ranges in vec((-4..2404_i64, 1..2404_i64, -1..2_i64), 20),
    ) {
        let entries = entries(&drawn);
        let server = server_with(&entries);
        for (from, length, shift) in ranges {
            // At, just before and just behind the times that entries have.
            let start = FIRST + from * NANOS / 2 + shift;
            let range = start..=start + length * NANOS / 2;
            let within: Vec<&Entry> =
                entries.iter().filter(|entry| range.contains(&entry.timestamp)).collect();
            let mut answer = ask(&server, "/loki/api/v1/index/stats", &range);
            let chunks = answer.as_object_mut().unwrap().remove("chunks").unwrap().as_u64();
            prop_assert_eq!(chunks == Some(0), within.is_empty());
            prop_assert_eq!(answer, stats(&within), "{:?}", &range);
            let answer = ask(&server, "/loki/api/v1/index/volume", &range);
            prop_assert_eq!(answered_volumes(&answer), volumes(&within, &range, None));
            let answer = ask(&server, "/loki/api/v1/index/volume_range", &range);
            prop_assert_eq!(answered_volumes(&answer), volumes(&within, &range, Some(STEP)));
        }
    }
}
