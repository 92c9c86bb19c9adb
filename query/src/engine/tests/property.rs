//! Random entries and random queries: the engine says what the reference says.

use std::collections::BTreeMap;

use timberline_store::Labels;

use super::support::{Fixture, SECOND, instant, range};
use crate::{Direction, EngineLimits, QueryError, QueryValue, RangeQuery};

/// A small generator of numbers; the seed says all.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

/// Entries of a few streams, in disorder, with equal times, some in segments and some in the head.
fn random_fixture(random: &mut Random) -> Fixture {
    let mut fixture = Fixture::new();
    for _ in 0..40 + random.below(120) {
        let (job, env) = (random.pick(&["a", "b", "c"]), random.pick(&["x", "y", ""]));
        // Times on edges of windows, between them, and often the same.
        let time = i64::try_from(random.below(120) * 1_000_000_000 + random.below(3)).unwrap();
        let line = format!(
            "level={} n={} {}",
            random.pick(&["info", "warn", "error"]),
            random.below(9),
            random.pick(&["", "tail", "x=7"])
        );
        let tier = random.pick(&["gold", "tin"]);
        let metadata: &[(&str, &str)] = match random.below(3) {
            0 => &[("tier", tier)],
            1 => &[("job", "meta"), ("tier", tier)],
            _ => &[],
        };
        fixture.push(&[("job", job), ("env", env)], time, &line, metadata);
        if random.below(30) == 0 {
            fixture.store.flush().unwrap();
        }
    }
    fixture
}

fn selection(random: &mut Random, stages: &[&str]) -> String {
    let selector = random.pick(&[
        r#"{job=~".+"}"#,
        r#"{job="a"}"#,
        r#"{job=~"a|b", env!="x"}"#,
        r#"{env=""}"#,
    ]);
    // A selector needs a matcher that fails on the empty value.
    let selector = if selector == r#"{env=""}"# { r#"{env="", job!=""}"# } else { selector };
    let filter = random.pick(&[
        "",
        "",
        r#"|= "error""#,
        r#"!= "n=1" |= "level""#,
        r#"|~ "n=[0-4]""#,
        r#"|= "warn" or "tail""#,
        r#"|= "nowhere""#,
    ]);
    format!("{selector} {filter} {}", random.pick(stages))
}

/// A range aggregation, as text.
fn range_aggregation(random: &mut Random) -> String {
    let window = random.pick(&["[10s]", "[7s]", "[1m]", "[10s] offset 15s", "[30s] offset -5s"]);
    if random.below(2) == 0 {
        let function = random.pick(&["count_over_time", "rate", "bytes_over_time", "bytes_rate"]);
        let selection = selection(random, &["", "", "| logfmt", "| logfmt | n > 3"]);
        return format!("{function}({selection} {window})");
    }
    let selection =
        selection(random, &["| logfmt | unwrap n", "| logfmt | level != `info` | unwrap n"]);
    let grouping =
        random.pick(&["", " by (level)", " by (job, tier)", " without (tier, level)", " by ()"]);
    match random.below(4) {
        0 => format!("sum_over_time({selection} {window})"),
        1 => format!("rate({selection} {window})"),
        2 => format!("quantile_over_time(0.4, {selection} {window}){grouping}"),
        _ => {
            let function = random.pick(&[
                "avg_over_time",
                "min_over_time",
                "max_over_time",
                "first_over_time",
                "last_over_time",
                "stddev_over_time",
                "stdvar_over_time",
            ]);
            format!("{function}({selection} {window}){grouping}")
        }
    }
}

/// A metric query, as text.
fn metric_query(random: &mut Random, depth: u64) -> String {
    let grouping = random.pick(&["", "by (job)", "by (tier, env)", "without (job)", "without ()"]);
    match random.below(if depth == 0 { 1 } else { 6 }) {
        0 => range_aggregation(random),
        1..=3 => {
            let function =
                random.pick(&["sum", "sum", "avg", "min", "max", "count", "stddev", "stdvar"]);
            format!("{function} {grouping} ({})", metric_query(random, depth - 1))
        }
        _ => {
            let operator = random.pick(&[
                "+", "-", "*", "/", "%", "^", "== bool", ">", "<= bool", "!=", "and", "or",
                "unless",
            ]);
            let left = metric_query(random, depth - 1);
            match random.below(3) {
                0 if !matches!(operator, "and" | "or" | "unless") => {
                    format!("({left}) {operator} 3")
                }
                1 if !matches!(operator, "and" | "or" | "unless") => {
                    format!("2 {operator} ({left})")
                }
                _ => {
                    let matching = random.pick(&[
                        "",
                        "on (job)",
                        "ignoring (tier, level, n)",
                        "on (job, env) group_left (tier)",
                        "on (tier) group_right ()",
                    ]);
                    let right = metric_query(random, depth - 1);
                    format!("({left}) {operator} {matching} ({right})")
                }
            }
        }
    }
}

/// A value that compares: series by labels, values rounded so that the order of sums does not show.
fn comparable(value: Result<QueryValue, QueryError>) -> Result<BTreeMap<String, Vec<String>>, ()> {
    let rounded = |value: f64| {
        if value == 0.0 || value.abs() < 1e-9 { "0".to_owned() } else { format!("{value:.8e}") }
    };
    let mut comparable: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut add = |labels: &Labels, text| {
        comparable.entry(labels.to_string()).or_default().push(text);
    };
    match value.map_err(|_| ())? {
        QueryValue::Streams(streams) => {
            for stream in &streams {
                for entry in &stream.entries {
                    let line = String::from_utf8_lossy(&entry.line);
                    add(&stream.labels, format!("{} {line}", entry.timestamp));
                }
            }
        }
        QueryValue::Matrix(series) => {
            for series in &series {
                for (time, value) in &series.points {
                    add(&series.labels, format!("{time} {}", rounded(*value)));
                }
            }
        }
        QueryValue::Vector(samples) => {
            samples.iter().for_each(|sample| add(&sample.labels, rounded(sample.value)));
        }
        QueryValue::Scalar { value, .. } => add(&Labels::default(), rounded(value)),
    }
    Ok(comparable)
}

/// Holds an answer against the reference's. Says whether there was anything to compare.
fn check(fixture: &Fixture, query: &RangeQuery, seed: u64) -> bool {
    let limits = EngineLimits { max_series: 0, threads: 3, ..EngineLimits::default() };
    let engine = fixture.engine_with(limits);
    let answer = engine.range(&fixture.tenant, query);
    let text = format!("seed {seed}: {query:?} gave {answer:?}");
    let expected = comparable(fixture.reference.range(query));
    assert_eq!(comparable(answer.map(|answer| answer.value)), expected, "{text}");
    let says_something = expected.is_ok_and(|expected| !expected.is_empty());
    if query.query.starts_with('{') {
        return says_something;
    }
    let query = instant(&query.query, query.end);
    let answer = engine.instant(&fixture.tenant, &query);
    let expected = comparable(fixture.reference.instant(&query));
    assert_eq!(comparable(answer.map(|answer| answer.value)), expected, "{text}");
    says_something
}

fn seeds() -> std::ops::Range<u64> {
    match std::env::var("TIMBERLINE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..6,
    }
}

#[test]
fn log_queries_agree_with_the_reference() {
    let (mut asked, mut answered) = (0, 0);
    for seed in seeds() {
        let mut random = Random(seed);
        let fixture = random_fixture(&mut random);
        for _ in 0..40 {
            let text = selection(&mut random, &["", "", "| logfmt", "| logfmt | n > 3"]);
            let start = i64::try_from(random.below(60)).unwrap() * SECOND;
            let length = i64::try_from(random.below(90)).unwrap() * SECOND;
            let forward = random.below(2) == 0;
            let query = RangeQuery {
                limit: usize::try_from(random.below(60) + 1).unwrap(),
                interval: [0, 0, 5 * SECOND, 1][usize::try_from(random.below(4)).unwrap()],
                direction: if forward { Direction::Forward } else { Direction::Backward },
                ..range(&text, start, start + length)
            };
            asked += 1;
            answered += u32::from(check(&fixture, &query, seed));
        }
    }
    // Empty answers agree whatever the engine does.
    assert!(answered * 2 > asked, "only {answered} of {asked} queries had an answer");
}

#[test]
fn metric_queries_agree_with_the_reference() {
    let (mut asked, mut answered) = (0, 0);
    for seed in seeds() {
        let mut random = Random(seed);
        let fixture = random_fixture(&mut random);
        for _ in 0..60 {
            let text = metric_query(&mut random, 2);
            let start = i64::try_from(random.below(60)).unwrap() * SECOND;
            let step = i64::try_from(random.below(20) + 1).unwrap() * SECOND;
            let query = RangeQuery { step, ..range(&text, start, start + 70 * SECOND) };
            asked += 1;
            answered += u32::from(check(&fixture, &query, seed));
        }
    }
    // Empty answers agree whatever the engine does.
    assert!(answered * 2 > asked, "only {answered} of {asked} queries had an answer");
}
