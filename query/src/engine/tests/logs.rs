//! Log queries.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::support::{Fixture, SECOND, instant, range};
use crate::{Direction, EngineLimits, QueryError, QueryValue, RangeQuery};

fn backward(query: RangeQuery) -> RangeQuery {
    RangeQuery { direction: Direction::Backward, ..query }
}

/// Two streams with equal times, written in disorder.
fn two_streams() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.push(&[("job", "b")], 10, "b1", &[]);
    fixture.push(&[("job", "a")], 10, "a1", &[]);
    fixture.push(&[("job", "a")], 30, "a4", &[]);
    fixture.push(&[("job", "a")], 10, "a2", &[]);
    fixture.store.flush().unwrap();
    fixture.push(&[("job", "a")], 10, "a3", &[]);
    fixture.push(&[("job", "b")], 20, "b2", &[]);
    fixture
}

#[test]
fn the_limit_takes_the_first_in_time_over_all_streams() {
    let fixture = two_streams();
    let all = r#"{job=~".+"}"#;
    let first = fixture.lines(&RangeQuery { limit: 4, ..range(all, 0, 100) });
    assert_eq!(first[0].1, ["10 a1", "10 a2", "10 a3"]);
    assert_eq!(first[1].1, ["10 b1"]);
    let last = fixture.lines(&backward(RangeQuery { limit: 3, ..range(all, 0, 100) }));
    assert_eq!(last[0].1, ["30 a4", "10 a3"]);
    assert_eq!(last[1].1, ["20 b2"]);
}

#[test]
fn the_start_is_in_and_the_end_is_not() {
    let fixture = two_streams();
    let found = fixture.lines(&range(r#"{job="a"}"#, 10, 30));
    assert_eq!(
        found,
        [(
            r#"{job="a"}"#.to_owned(),
            vec!["10 a1", "10 a2", "10 a3"].into_iter().map(str::to_owned).collect()
        )]
    );
    assert!(fixture.lines(&range(r#"{job="a"}"#, 30, 30)).is_empty());
}

#[test]
fn metadata_splits_streams_unless_labels_are_categorised() {
    let mut fixture = Fixture::new();
    fixture.push(&[("job", "a")], 1, "x", &[("trace", "1")]);
    fixture.push(&[("job", "a")], 2, "y", &[("trace", "2"), ("job", "z")]);
    let split = fixture.lines(&range(r#"{job="a"}"#, 0, 10));
    assert_eq!(split[0].0, r#"{job="a", job_extracted="z", trace="2"}"#);
    assert_eq!(split[1].0, r#"{job="a", trace="1"}"#);
    let query = RangeQuery { categorize_labels: true, ..range(r#"{job="a"}"#, 0, 10) };
    let QueryValue::Streams(streams) = fixture.ask(&query).unwrap().value else {
        panic!("streams are expected")
    };
    assert_eq!(streams.len(), 1);
    assert_eq!(streams[0].labels.to_string(), r#"{job="a"}"#);
    assert_eq!(streams[0].entries[0].structured_metadata.to_string(), r#"{trace="1"}"#);
}

#[test]
fn an_interval_thins_out_over_all_streams() {
    let mut fixture = Fixture::new();
    for second in 0..40 {
        let job = if second % 2 == 0 { "a" } else { "b" };
        fixture.push(&[("job", job)], second * SECOND, &second.to_string(), &[]);
        if second == 20 {
            fixture.store.flush().unwrap();
        }
    }
    let query =
        RangeQuery { interval: 15 * SECOND, limit: 2, ..range(r#"{job=~".+"}"#, 0, 100 * SECOND) };
    let texts = |query: &RangeQuery| -> Vec<String> {
        let mut lines: Vec<String> =
            fixture.lines(query).into_iter().flat_map(|(_, lines)| lines).collect();
        lines.sort();
        lines
    };
    assert_eq!(texts(&query), ["0 0", "15000000000 15"]);
    let query = RangeQuery { limit: 5, ..backward(query) };
    assert_eq!(texts(&query), ["24000000000 24", "39000000000 39", "9000000000 9"]);
}

#[test]
fn the_newest_lines_take_few_chunks() {
    let mut fixture = Fixture::new();
    for second in 0..50 {
        fixture.push(&[("job", "a")], second * SECOND, "line", &[]);
        if second % 2 == 1 {
            fixture.store.flush().unwrap();
        }
    }
    let query = backward(RangeQuery { limit: 3, ..range(r#"{job="a"}"#, 0, 100 * SECOND) });
    let limits = EngineLimits { threads: 1, ..EngineLimits::default() };
    let answer = fixture.engine_with(limits).range(&fixture.tenant, &query).unwrap();
    assert_eq!(answer.stats.entries_returned, 3);
    assert!(answer.stats.chunks_read <= 4, "{:?}", answer.stats);
}

#[test]
fn limits_cancellation_and_timeouts_end_a_query() {
    let fixture = two_streams();
    let query = range(r#"{job="a"}"#, 0, 100);
    let tenant = &fixture.tenant;
    let timeout = EngineLimits { timeout: Duration::ZERO, ..EngineLimits::default() };
    let ended = fixture.engine_with(timeout).range(tenant, &query).unwrap_err();
    assert!(matches!(ended, QueryError::Timeout));
    let memory = EngineLimits { memory_bytes_max: 100, ..EngineLimits::default() };
    let ended = fixture.engine_with(memory).range(tenant, &query).unwrap_err();
    assert!(ended.to_string().contains("more memory than the 100 bytes"), "{ended}");
    let many = fixture.ask(&RangeQuery { limit: 6000, ..query.clone() }).unwrap_err();
    assert!(many.to_string().starts_with("max entries limit per query exceeded"));
    query.cancel.store(true, Ordering::Relaxed);
    assert!(matches!(fixture.ask(&query), Err(QueryError::Cancelled)));
}

#[test]
fn compressed_bytes_are_those_of_segments() {
    let mut fixture = Fixture::new();
    fixture.push(&[("job", "a")], 10, "a line", &[]);
    fixture.push(&[("job", "a")], 20, "another", &[]);
    let read = |fixture: &Fixture| fixture.ask(&range(r#"{job="a"}"#, 0, 100)).unwrap().stats;
    let in_memory = read(&fixture);
    assert_eq!((in_memory.lines_processed, in_memory.compressed_bytes), (2, 0));
    fixture.store.flush().unwrap();
    let (flushed, all) = (read(&fixture), fixture.store.stats().flush_bytes);
    assert_eq!(flushed.lines_processed, 2);
    assert!((1..=all).contains(&flushed.compressed_bytes), "{flushed:?}, {all}");
}

#[test]
fn an_instant_has_no_lines() {
    let fixture = Fixture::new();
    let refused = fixture.engine().instant(&fixture.tenant, &instant(r#"{a="b"}"#, 0));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "log queries are not supported as an instant query type, please change your query to a \
         range query type"
    );
}

/// Overwrites the middle of every segment, where blocks are.
fn damage_segments(directory: &std::path::Path) -> usize {
    let mut damaged = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damaged += damage_segments(&path);
        } else if path.extension().is_some_and(|extension| extension == "seg") {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[60..90].iter_mut().for_each(|byte| *byte ^= 0x55);
            std::fs::write(&path, bytes).unwrap();
            damaged += 1;
        }
    }
    damaged
}

#[test]
fn a_damaged_chunk_is_left_out_with_a_warning() {
    let mut fixture = Fixture::new();
    for index in 0..200 {
        fixture.push(&[("job", "a")], index, &format!("line {}", index * 7919), &[]);
    }
    fixture.store.flush().unwrap();
    fixture.push(&[("job", "a")], 1000, "in the head", &[]);
    assert!(damage_segments(fixture.directory.path()) > 0);
    let answer = fixture.ask(&range(r#"{job="a"}"#, 0, 2000)).unwrap();
    assert_eq!((answer.stats.entries_returned, answer.warnings.len()), (1, 1), "{answer:?}");
}
