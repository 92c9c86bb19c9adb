//! Metric queries.

use std::sync::Arc;

use super::support::{Fixture, SECOND, range};
use crate::{EngineLimits, QueryValue, RangeQuery};

/// Ten lines, one every ten seconds from 10 s on, of two jobs in turn.
fn ten_lines() -> Fixture {
    let mut fixture = Fixture::new();
    for index in 1..=10_i64 {
        let (job, tier) = if index % 2 == 0 { ("even", "gold") } else { ("odd", "tin") };
        let line = format!("n={index} level=info");
        fixture.push(&[("job", job)], index * 10 * SECOND, &line, &[("tier", tier)]);
        if index == 5 {
            fixture.store.flush().unwrap();
        }
    }
    fixture
}

fn every_half_minute(query: &str) -> RangeQuery {
    RangeQuery { step: 30 * SECOND, ..range(query, 30 * SECOND, 120 * SECOND) }
}

fn named(series: &str) -> String {
    series.to_owned()
}

#[test]
fn windows_are_open_to_the_left_and_closed_to_the_right() {
    let fixture = ten_lines();
    let counted = fixture.matrix(&every_half_minute(r#"sum(count_over_time({job=~".+"}[30s]))"#));
    assert_eq!(
        counted,
        [(named("{}"), vec![(30_000, 3.0), (60_000, 3.0), (90_000, 3.0), (120_000, 1.0)])]
    );
    let moved =
        fixture.matrix(&every_half_minute(r#"sum(count_over_time({job=~".+"}[30s] offset 30s))"#));
    assert_eq!(moved[0].1, [(60_000, 3.0), (90_000, 3.0), (120_000, 3.0)]);
}

#[test]
fn metadata_is_part_of_ungrouped_series() {
    let fixture = ten_lines();
    let rates = fixture.vector(r#"rate({job=~".+"}[100s])"#, 100 * SECOND);
    assert_eq!(
        rates,
        [
            (named(r#"{job="even", tier="gold"}"#), 0.05),
            (named(r#"{job="odd", tier="tin"}"#), 0.05)
        ]
    );
    let grouped = fixture.vector(r#"sum by (tier) (rate({job=~".+"}[100s]))"#, 100 * SECOND);
    assert_eq!(grouped, [(named(r#"{tier="gold"}"#), 0.05), (named(r#"{tier="tin"}"#), 0.05)]);
    let without = fixture.vector(r#"sum without (tier) (rate({job="odd"}[100s]))"#, 100 * SECOND);
    assert_eq!(without, [(named(r#"{job="odd"}"#), 0.05)]);
}

#[test]
fn bytes_are_counted_with_and_without_filters() {
    let fixture = ten_lines();
    let at = |query| fixture.vector(query, 100 * SECOND)[0].1;
    assert_eq!(at(r#"sum(bytes_over_time({job=~".+"}[100s]))"#), 141.0);
    assert_eq!(at(r#"sum(bytes_over_time({job=~".+"} |= "n=10" [100s]))"#), 15.0);
    assert_eq!(at(r#"sum(count_over_time({job=~".+"} |= "n=1" [100s]))"#), 2.0);
}

#[test]
fn absence_is_told_where_nothing_is() {
    let fixture = ten_lines();
    let query = every_half_minute(r#"absent_over_time({job="odd"} |= "n=1 " [30s])"#);
    let absent = fixture.matrix(&query);
    assert_eq!(
        absent,
        [(named(r#"{job="odd"}"#), vec![(60_000, 1.0), (90_000, 1.0), (120_000, 1.0)])]
    );
    let nowhere = fixture.vector(r#"absent_over_time({job="none"}[1m])"#, 0);
    assert_eq!(nowhere, [(named(r#"{job="none"}"#), 1.0)]);
}

#[test]
fn literals_are_scalars_at_an_instant_and_series_over_a_range() {
    let fixture = Fixture::new();
    assert!(matches!(
        fixture.ask_at("1 + 1", 1500 * 1_000_000).unwrap(),
        QueryValue::Scalar { timestamp_ms: 1500, value: 2.0 }
    ));
    let series = fixture.matrix(&RangeQuery { end: 50 * SECOND, ..every_half_minute("2") });
    assert_eq!(series, [(named("{}"), vec![(30_000, 2.0)])]);
    assert_eq!(fixture.vector("vector(3) * 2", 0), [(named("{}"), 6.0)]);
    let filled = fixture.vector(r#"sum(count_over_time({a="b"}[1m])) or vector(0)"#, 0);
    assert_eq!(filled, [(named("{}"), 0.0)]);
}

#[test]
fn instants_are_sorted_by_labels_unless_the_query_sorts() {
    let fixture = ten_lines();
    let query = r#"sum by (job) (count_over_time({job=~".+"} != "n=10" [100s]))"#;
    let sorted = fixture.vector(&format!("sort_desc({query})"), 100 * SECOND);
    assert_eq!(sorted[0], (named(r#"{job="odd"}"#), 5.0));
    let top = fixture.vector(&format!("topk(2, {query})"), 100 * SECOND);
    assert_eq!(top[0], (named(r#"{job="even"}"#), 4.0));
}

#[test]
fn series_are_limited_in_the_answer_alone() {
    let fixture = ten_lines();
    let limits = EngineLimits { max_series: 1, ..EngineLimits::default() };
    let engine = fixture.engine_with(limits);
    let two = every_half_minute(r#"count_over_time({job=~".+"}[1m])"#);
    let refused = engine.range(&fixture.tenant, &two).unwrap_err().to_string();
    assert!(refused.starts_with("maximum number of series (1) reached"), "{refused}");
    let one = every_half_minute(r#"topk(1, sum(count_over_time({job=~".+"}[1m])))"#);
    engine.range(&fixture.tenant, &one).unwrap();
}

#[test]
fn a_step_must_be_there_and_not_too_small() {
    let fixture = Fixture::new();
    let none = RangeQuery { step: 0, ..every_half_minute("1") };
    assert!(fixture.ask(&none).unwrap_err().to_string().starts_with("zero or negative"));
    let small = RangeQuery { step: 1_000_000, ..every_half_minute("1") };
    assert!(fixture.ask(&small).unwrap_err().to_string().starts_with("exceeded maximum"));
}

#[test]
fn chunks_between_two_edges_are_counted_unread() {
    let fixture = ten_lines();
    let query = r#"sum by (job) (count_over_time({job=~".+"}[1h]))"#;
    let QueryValue::Vector(samples) = fixture.ask_at(query, 200 * SECOND).unwrap() else {
        panic!("a vector is expected")
    };
    assert_eq!(samples.iter().map(|sample| sample.value).sum::<f64>(), 10.0);
}

#[test]
fn filtered_entries_are_counted_whatever_divides_their_minutes() {
    // 40 in a minute, of which one ends it.
    let times: Vec<i64> = (0..400).map(|n| n * 3 * SECOND / 2).collect();
    let mut fixture = Fixture::new();
    for (n, time) in (0..).zip(&times) {
        fixture.push(&[("job", "a")], *time, &format!("n={n} kind={}", n % 3), &[]);
    }
    fixture.store.flush().unwrap();
    for (step, window, start) in
        [(60, 60, 60), (60, 120, 60), (30, 60, 30), (60, 60, 90), (7, 90, 14), (600, 600, 600)]
    {
        let query = format!(r#"sum(count_over_time({{job="a"}} |= "kind=1" [{window}s]))"#);
        let asked =
            RangeQuery { step: step * SECOND, ..range(&query, start * SECOND, 700 * SECOND) };
        let counted = fixture.matrix(&asked).remove(0).1;
        let expected = (start..=700).step_by(step as usize).filter_map(|end| {
            let is_in = |time: i64| time > (end - window) * SECOND && time <= end * SECOND;
            let wanted = (0..).zip(&times).filter(|(n, time)| n % 3 == 1 && is_in(**time));
            let count = wanted.count() as f64;
            (count > 0.0).then_some((end * 1000, count))
        });
        assert_eq!(counted, expected.collect::<Vec<_>>(), "{step} {window} {start}");
    }
}

#[test]
fn a_faulty_entry_fails_the_query_unless_nobody_looks_at_its_labels() {
    let mut fixture = Fixture::new();
    fixture.push(&[("job", "a")], SECOND, "no json", &[]);
    let failed = fixture.ask_at(r#"rate({job="a"} | json [1m])"#, 10 * SECOND).unwrap_err();
    assert_eq!(
        failed.to_string(),
        "pipeline error: 'JSONParserErr' for series: '{__error__=\"JSONParserErr\", \
         __error_details__=\"Value looks like object, but can't find closing '}' symbol\", \
         job=\"a\"}'.\n\
         Use a label filter to intentionally skip this error. (e.g | __error__!=\"JSONParserErr\").\n\
         To skip all potential errors you can match empty errors.(e.g __error__=\"\")\n\
         The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__=\"\" )\n"
    );
    let counted = fixture.vector(r#"sum(count_over_time({job="a"} | json [1m]))"#, 10 * SECOND);
    assert_eq!(counted, [(named("{}"), 1.0)]);
    // The faulty entry is in no window.
    assert!(fixture.vector(r#"rate({job="a"} | json [1m])"#, 100 * SECOND).is_empty());
}

#[test]
fn unwrapped_labels_leave_the_series() {
    let fixture = ten_lines();
    let query = r#"sum_over_time({job="even"} | logfmt | unwrap n [100s])"#;
    let labels = r#"{job="even", level="info", tier="gold"}"#;
    assert_eq!(fixture.vector(query, 100 * SECOND), [(named(labels), 30.0)]);
    let query = r#"max_over_time({job=~".+"} | logfmt | unwrap n [100s]) by (level)"#;
    assert_eq!(fixture.vector(query, 100 * SECOND), [(named(r#"{level="info"}"#), 10.0)]);
}

#[test]
fn bytes_are_those_of_a_line_that_is_made_of_a_label() {
    let mut fixture = Fixture::new();
    fixture.push(&[("job", "a")], SECOND, "a long line", &[("short", "xyz")]);
    let ask = |query: &str| fixture.vector(query, 2 * SECOND);
    let of = |value| vec![("{}".to_owned(), value)];
    let query = r#"sum(bytes_over_time({job="a"} | line_format "{{.short}}" [1m]))"#;
    assert_eq!(ask(query), of(3.0));
    let query = r#"sum(bytes_over_time({job="a"} | line_format "{{.missing}}" [1m]))"#;
    assert_eq!(ask(query), of(0.0));
    assert_eq!(ask(r#"sum(bytes_over_time({job="a"} | short="xyz" [1m]))"#), of(11.0));
}

#[test]
fn a_sum_by_the_unwrapped_label_keeps_it() {
    let mut fixture = Fixture::new();
    fixture.push(&[("job", "a")], SECOND, "n=3", &[]);
    fixture.push(&[("job", "a")], SECOND, "n=4", &[]);
    let query = r#"sum by (n) (sum_over_time({job="a"} | logfmt | unwrap n [1m]))"#;
    let expected = [(r#"{n="3"}"#.to_owned(), 3.0), (r#"{n="4"}"#.to_owned(), 4.0)];
    assert_eq!(fixture.vector(query, 2 * SECOND), expected);
    // Only sums that the parsers know of: here it is gone before.
    let query = r#"max by (n) (sum_over_time({job="a"} | logfmt | unwrap n [1m]))"#;
    assert_eq!(fixture.vector(query, 2 * SECOND), [("{}".to_owned(), 7.0)]);
}

#[test]
fn a_label_made_of_the_line_sees_it_without_colours() {
    let mut fixture = Fixture::new();
    fixture.push(&[("job", "a")], SECOND, "\u{1b}[31mred\u{1b}[0m", &[]);
    let query = r#"sum by (x) (count_over_time({job="a"} | decolorize
        | label_format x="{{ __line__ }}" [1m]))"#;
    assert_eq!(fixture.vector(query, 2 * SECOND), [(r#"{x="red"}"#.to_owned(), 1.0)]);
}

#[test]
fn samples_are_what_entries_stand_for() {
    let mut fixture = Fixture::new();
    for (time, line) in [(10, "took=3 a"), (20, "took=4 bb"), (30, "nothing"), (40, "took=5 c")] {
        fixture.push(&[("job", "a")], time, line, &[("trace", "7")]);
    }
    fixture.push(&[("job", "b")], 15, "took=9", &[]);
    let samples = |query: &str| {
        let engine = fixture.engine();
        let found = engine.samples(&fixture.tenant, query, 10, 40, &Arc::default());
        found.map(|series| {
            let told = series.into_iter().map(|series| {
                let samples = series.samples.iter().map(|sample| (sample.timestamp, sample.value));
                (series.labels.to_string(), samples.collect::<Vec<_>>())
            });
            told.collect::<Vec<_>>()
        })
    };
    let (a, b) = (r#"{job="a"}"#.to_owned(), r#"{job="b"}"#.to_owned());
    assert_eq!(
        samples(r#"sum by (job) (count_over_time({job=~".+"}[5m]))"#).unwrap(),
        [(a.clone(), vec![(10, 1.0), (20, 1.0), (30, 1.0)]), (b, vec![(15, 1.0)])]
    );
    assert_eq!(
        samples(r#"sum by (job) (bytes_rate({job="a"} |= "took" [5m]))"#).unwrap(),
        [(a, vec![(10, 8.0), (20, 9.0)])]
    );
    let all = r#"{job="a", trace="7"}"#.to_owned();
    assert_eq!(
        samples(r#"max_over_time({job="a"} | logfmt | keep took, job, trace | took > 3 | unwrap took [1s])"#)
            .unwrap(),
        [(all, vec![(20, 4.0)])]
    );
    for query in [r#"{job="a"}"#, "vector(1)", r#"rate({job="a"}[1m]) / rate({job="a"}[1m])"#] {
        let refused = samples(query).unwrap_err().to_string();
        assert_eq!(refused, "samples are those of one range aggregation", "{query}");
    }
}
