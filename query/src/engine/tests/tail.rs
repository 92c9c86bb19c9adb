//! Tails: what comes is evaluated as a query would evaluate it.

use std::sync::Arc;

use timberline_store::{Appended, Labels, Subscription, Timestamp};

use super::support::{Fixture, range};
use crate::{Direction, EngineLimits, QueryValue, RangeQuery, TailEntry};

const MIB: usize = 1 << 20;

const QUERIES: [&str; 6] = [
    r#"{job=~".+"}"#,
    r#"{job="a"} |= "status" != "200""#,
    r#"{job=~".+"} | json | status >= 500 | line_format "{{.path}} {{.trace}}""#,
    r#"{job=~".+"} | json | drop job, trace"#,
    r#"{job=~".+"} | label_format job="x" | job="x""#,
    r#"{job="b"} | regexp "path...(?P<path>\\w+)" | path!="""#,
];

fn fill(fixture: &mut Fixture, from: Timestamp) {
    for number in 0..20 {
        let job = if number % 3 == 0 { "b" } else { "a" };
        let status = [200, 404, 500][(number % 3) as usize];
        let line = format!(r#"{{"status":{status},"path":"p{number}","job":"j"}}"#);
        let trace = (number % 4).to_string();
        let metadata = [("trace", &*trace), ("job", "m")];
        fixture.push(
            &[("job", job)],
            from + number * 7 % 20,
            &line,
            &metadata[..(number % 3) as usize],
        );
    }
}

fn received(mut subscription: Subscription) -> Vec<Arc<Appended>> {
    std::iter::from_fn(|| subscription.try_recv()).collect()
}

/// What an entry is told by, sorted: entries of the same time may come in another order.
fn told(entries: &[TailEntry]) -> Vec<(Timestamp, String, [Labels; 3])> {
    let told = entries.iter().map(|TailEntry { labels, entry, .. }| {
        let line = String::from_utf8_lossy(&entry.line).into_owned();
        let sets = [labels, &entry.structured_metadata, &entry.parsed];
        (entry.timestamp, line, sets.map(Labels::clone))
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

#[test]
fn live_entries_and_history_are_what_a_query_finds() {
    for query in QUERIES {
        let mut fixture = Fixture::new();
        let (tail, subscription) = fixture.engine().tail(&fixture.tenant, query, 1 << 20).unwrap();
        fill(&mut fixture, 100);
        let live = tail.evaluate(&received(subscription), MIB).entries;
        assert!(live.is_sorted_by_key(|entry| entry.entry.timestamp));
        let asked = RangeQuery { categorize_labels: true, ..range(query, 0, 1000) };
        let QueryValue::Streams(streams) = fixture.ask(&asked).unwrap().value else { panic!() };
        let found: Vec<TailEntry> = streams
            .into_iter()
            .flat_map(|stream| {
                let labels = stream.labels;
                let entry = move |entry| TailEntry { labels: labels.clone(), entry, position: 0 };
                stream.entries.into_iter().map(entry)
            })
            .collect();
        assert!(!found.is_empty(), "{query}");
        assert_eq!(told(&live), told(&found), "{query}");
        let history = tail.history(0, 1000, 100, &Arc::default()).unwrap();
        assert_eq!(told(&history.entries), told(&found), "{query}");
        assert_eq!(history.position, live.last().unwrap().position.max(history.position));
    }
}

#[test]
fn all_labels_are_those_of_a_query_that_does_not_tell_them_apart() {
    for query in QUERIES {
        let mut fixture = Fixture::new();
        let (tail, subscription) = fixture.engine().tail(&fixture.tenant, query, 1 << 20).unwrap();
        fill(&mut fixture, 100);
        let live = tail.evaluate(&received(subscription), MIB).entries;
        let mut merged: Vec<_> =
            live.iter().map(|entry| (entry.all_labels(), entry.entry.timestamp)).collect();
        merged.sort();
        let asked = range(query, 0, 1000);
        let QueryValue::Streams(streams) = fixture.ask(&asked).unwrap().value else { panic!() };
        let mut found: Vec<_> = streams
            .iter()
            .flat_map(|stream| {
                stream.entries.iter().map(|entry| (stream.labels.clone(), entry.timestamp))
            })
            .collect();
        found.sort();
        assert_eq!(merged, found, "{query}");
    }
}

#[test]
fn history_is_the_newest_entries_in_the_order_of_time() {
    let mut fixture = Fixture::new();
    fill(&mut fixture, 100);
    let query = r#"{job=~".+"}"#;
    let (tail, _) = fixture.engine().tail(&fixture.tenant, query, 1 << 20).unwrap();
    let history = tail.history(102, 1000, 5, &Arc::default()).unwrap();
    let times: Vec<_> = history.entries.iter().map(|entry| entry.entry.timestamp).collect();
    assert_eq!(times, [115, 116, 117, 118, 119]);
    let backward = RangeQuery { direction: Direction::Backward, ..range(query, 118, 1000) };
    assert_eq!(fixture.lines(&backward).iter().map(|stream| stream.1.len()).sum::<usize>(), 2);
    assert_eq!(tail.history(118, 1000, 5, &Arc::default()).unwrap().entries.len(), 2);
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let fixture = Fixture::new();
    let refused = |engine: crate::Engine, query: &str| {
        engine.tail(&fixture.tenant, query, 0).unwrap_err().to_string()
    };
    assert_eq!(
        refused(fixture.engine(), r#"rate({job="a"}[1m])"#),
        "only log selector is supported"
    );
    let limits = EngineLimits { max_matchers: 1, ..EngineLimits::default() };
    assert_eq!(
        refused(fixture.engine_with(limits), r#"{a="b", c="d"}"#),
        "max streams matchers per query exceeded, matchers-count > limit (2 > 1)"
    );
    assert!(refused(fixture.engine(), "{a=}").starts_with("parse error at line 1"));
    let (tail, _) = fixture.engine().tail(&fixture.tenant, r#"{a="b"}"#, 0).unwrap();
    let year = 365 * 86_400_000_000_000;
    assert!(tail.history(0, year, 10, &Arc::default()).is_err(), "too long ago");
    fixture.store.close().unwrap();
    assert_eq!(refused(fixture.engine(), r#"{a="b"}"#), "store is closed");
}

#[test]
fn a_round_holds_no_more_than_it_may() {
    for query in [
        r#"{job="a"} | line_format "{{ repeat 100000 `x` }}""#,
        r#"{job="a"} | label_format long="{{ repeat 100000 `x` }}{{ __line__ }}""#,
    ] {
        let mut fixture = Fixture::new();
        let (tail, subscription) = fixture.engine().tail(&fixture.tenant, query, MIB).unwrap();
        for number in 0..100 {
            fixture.push(&[("job", "a")], number, &number.to_string(), &[]);
        }
        let round = tail.evaluate(&received(subscription), MIB);
        let bytes: usize = round.entries.iter().map(TailEntry::text_bytes).sum();
        let count = round.entries.len();
        assert!(bytes <= MIB && (3..=10).contains(&count), "{query}: {count} of {bytes} bytes");
        assert_eq!(round.dropped.count, 100 - count as u64);
        let told: Vec<Timestamp> = round.dropped.first.iter().map(|(time, _)| *time).collect();
        assert_eq!(told, (count as i64..100).collect::<Vec<_>>(), "{query}");
        assert_eq!(round.dropped.first[0].1.to_string(), r#"{job="a"}"#);
    }
}

#[test]
fn what_does_not_pass_is_not_dropped() {
    let mut fixture = Fixture::new();
    let query = r#"{job="a"} |= "7" | line_format "{{ repeat 1000000 `x` }}""#;
    let (tail, subscription) = fixture.engine().tail(&fixture.tenant, query, MIB).unwrap();
    for number in 0..100 {
        fixture.push(&[("job", "a")], number, &number.to_string(), &[]);
    }
    let round = tail.evaluate(&received(subscription), MIB);
    assert_eq!((round.entries.len(), round.dropped.count), (1, 18));
}
