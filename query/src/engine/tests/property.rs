//! Random entries and random queries: the engine says what the reference says.
//!
//! `TIMBERLINE_RANDOM_QUERIES` says how many queries of each kind are asked (250; a fifth where there are many
//! entries), `TIMBERLINE_SEED` which seed the first fixture has. A failure prints its seed and the query.

use super::random::{
    Random, fixture, fixture_of_templates, fixture_with_errors, log_query, metric_query,
};
use super::support::{Fixture, SECOND, instant, range};
use crate::engine::Probing;
use crate::label_text::label_text;
use crate::{Direction, EngineLimits, QueryError, QueryValue, RangeQuery};

/// Queries for each fixture.
const QUERIES_PER_FIXTURE: u64 = 25;

/// Differences that a failure prints.
const DIFFERENCES_SHOWN: usize = 5;

/// A value as lines that compare, numbers rounded so that the order of sums does not show.
fn comparable(value: Result<QueryValue, QueryError>) -> Result<Vec<String>, String> {
    let rounded = |value: f64| {
        if value == 0.0 || value.abs() < 1e-9 { "0".to_owned() } else { format!("{value:.8e}") }
    };
    Ok(match value.map_err(|error| error.to_string())? {
        QueryValue::Streams(streams) => {
            let entries = streams.iter().flat_map(|stream| {
                let labels = label_text(&stream.labels);
                stream.entries.iter().map(move |entry| {
                    let line = String::from_utf8_lossy(&entry.line);
                    let metadata = label_text(&entry.structured_metadata);
                    let parsed = label_text(&entry.parsed);
                    format!("{labels} {} {line} {metadata} {parsed}", entry.timestamp)
                })
            });
            entries.collect()
        }
        QueryValue::Matrix(series) => {
            let points = series.iter().flat_map(|series| {
                let labels = label_text(&series.labels);
                // Series that `label_replace` makes equal have two points at a step.
                let points = series.points.iter();
                let mut points: Vec<_> =
                    points.map(|(time, value)| (*time, rounded(*value))).collect();
                points.sort();
                points.into_iter().map(move |(time, value)| format!("{labels} {time} {value}"))
            });
            points.collect()
        }
        QueryValue::Vector(samples) => {
            let samples = samples.iter();
            samples
                .map(|sample| format!("{} {}", label_text(&sample.labels), rounded(sample.value)))
                .collect()
        }
        QueryValue::Scalar { value, .. } => vec![rounded(value)],
    })
}

/// Where two answers differ; `None` where they do not.
fn difference(
    engine: Result<Vec<String>, String>,
    reference: Result<Vec<String>, String>,
) -> Option<String> {
    let (found, expected) = match (engine, reference) {
        (Ok(found), Ok(expected)) => (found, expected),
        (Err(_), Err(_)) => return None,
        (engine, reference) => return Some(format!("{engine:?}\ninstead of {reference:?}")),
    };
    if found == expected {
        return None;
    }
    let only = |these: &[String], others: &[String]| -> Vec<String> {
        these.iter().filter(|line| !others.contains(line)).take(3).cloned().collect()
    };
    let (more, less) = (only(&found, &expected), only(&expected, &found));
    Some(format!("{} lines for {}, {more:#?}\ninstead of {less:#?}", found.len(), expected.len()))
}

/// Holds an answer against the reference's, whether rows are looked at in part or not. Says whether there was
/// anything to compare.
fn check(fixture: &Fixture, query: &RangeQuery) -> Result<bool, String> {
    let limits = EngineLimits { max_series: 0, threads: 3, ..EngineLimits::default() };
    let engine = fixture.engine_with(limits);
    let expected = comparable(fixture.reference.range(query));
    let says_something = expected.as_ref().is_ok_and(|expected| !expected.is_empty());
    for probing in [Probing::Never, Probing::Always] {
        let engine = engine.clone().with_probing(probing);
        let answer = engine.range(&fixture.tenant, query).map(|answer| answer.value);
        if let Some(difference) = difference(comparable(answer), expected.clone()) {
            return Err(format!("{query:?}, {probing:?}: {difference}"));
        }
    }
    if query.query.starts_with('{') {
        return Ok(says_something);
    }
    let query = instant(&query.query, query.end);
    let answer = engine.instant(&fixture.tenant, &query).map(|answer| answer.value);
    let (mut found, mut expected) =
        (comparable(answer), comparable(fixture.reference.instant(&query)));
    if !query.query.starts_with("sort") {
        // Samples with the same labels are in any order.
        found.iter_mut().chain(&mut expected).for_each(|lines| lines.sort());
    }
    match difference(found, expected) {
        Some(difference) => Err(format!("{query:?}: {difference}")),
        None => Ok(says_something),
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Asks random queries, as many as there should be, or a part of them.
fn ask(part: u64, fixture: fn(&mut Random) -> Fixture, query: impl Fn(&mut Random) -> RangeQuery) {
    let count = number("TIMBERLINE_RANDOM_QUERIES").unwrap_or(250).div_ceil(part);
    let first = number("TIMBERLINE_SEED").unwrap_or(0);
    let mut answered = 0;
    let mut differences = Vec::new();
    for seed in first..first + count.div_ceil(QUERIES_PER_FIXTURE) {
        let mut random = Random(seed);
        let fixture = fixture(&mut random);
        for _ in 0..QUERIES_PER_FIXTURE {
            match check(&fixture, &query(&mut random)) {
                Ok(says_something) => answered += u64::from(says_something),
                Err(difference) => differences.push(format!("seed {seed}: {difference}")),
            }
        }
    }
    let shown = differences.len().min(DIFFERENCES_SHOWN);
    let text = differences[..shown].join("\n\n");
    assert!(differences.is_empty(), "{} of {count} answers differ\n{text}", differences.len());
    // Empty answers and errors agree easily.
    assert!(answered * 3 > count, "only {answered} of {count} queries had an answer");
}

fn log_range(random: &mut Random) -> RangeQuery {
    let text = log_query(random);
    let start = random.seconds(60);
    let length = random.seconds(90);
    let forward = random.below(2) == 0;
    RangeQuery {
        limit: usize::try_from(random.below(60) + 1).unwrap(),
        interval: [0, 0, 5 * SECOND, 1][usize::try_from(random.below(4)).unwrap()],
        direction: if forward { Direction::Forward } else { Direction::Backward },
        categorize_labels: random.below(3) == 0,
        ..range(&text, start, start + length)
    }
}

fn metric_range(random: &mut Random) -> RangeQuery {
    let text = metric_query(random, 2);
    let start = random.seconds(60);
    let step = random.seconds(20) + SECOND;
    RangeQuery { step, ..range(&text, start, start + 70 * SECOND) }
}

#[test]
fn log_queries_agree_with_the_reference() {
    ask(1, fixture_with_errors, log_range);
}

#[test]
fn metric_queries_agree_with_the_reference() {
    ask(1, fixture, metric_range);
}

#[test]
fn log_queries_over_templates_agree_with_the_reference() {
    ask(5, fixture_of_templates, log_range);
}

#[test]
fn metric_queries_over_templates_agree_with_the_reference() {
    ask(5, fixture_of_templates, metric_range);
}
