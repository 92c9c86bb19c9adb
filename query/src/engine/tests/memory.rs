//! The memory budget: a query that needs more ends, and says what to do.

use timberline_store::{Labels, WriteBatch};

use super::support::{Fixture, SECOND, instant, range};
use crate::{EngineLimits, InstantQuery, QueryError, RangeQuery};

const MIB: usize = 1 << 20;

/// Ten thousand entries of one stream, one each millisecond, each with an `id` of its own.
fn many_entries() -> Fixture {
    let fixture = Fixture::new();
    let mut batch = WriteBatch::new();
    batch.stream(&Labels::from_pairs([("job", "a")]).unwrap());
    for index in 0..10_000_i64 {
        let line = format!("id=request-{index} n={}", index % 9);
        batch.push(index * 1_000_000, line.as_bytes(), &[]).unwrap();
    }
    fixture.store.append(&fixture.tenant, &batch).unwrap();
    fixture
}

fn limits(memory_bytes_max: usize) -> EngineLimits {
    EngineLimits { memory_bytes_max, max_entries: 0, max_series: 0, ..EngineLimits::default() }
}

/// Asserts that the text names the limit and what may help.
fn assert_refused(outcome: Result<(), QueryError>) {
    match outcome {
        Err(QueryError::Refused(text)) => {
            assert!(text.contains(&format!("the {MIB} bytes that one query may hold")), "{text}");
            assert!(text.contains("narrower time range"), "{text}");
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Asserts that a query needs more than 1 MiB and not more than 256 MiB.
fn assert_bounded(fixture: &Fixture, query: &RangeQuery) {
    let ask = |bytes| fixture.engine_with(limits(bytes)).range(&fixture.tenant, query).map(drop);
    ask(256 * MIB).unwrap();
    assert_refused(ask(MIB));
}

fn assert_bounded_at(fixture: &Fixture, query: &InstantQuery) {
    let ask = |bytes| fixture.engine_with(limits(bytes)).instant(&fixture.tenant, query).map(drop);
    ask(256 * MIB).unwrap();
    assert_refused(ask(MIB));
}

#[test]
fn collected_entries_count() {
    let fixture = many_entries();
    let query = RangeQuery { limit: 10_000, ..range(r#"{job="a"}"#, 0, 20 * SECOND) };
    assert_bounded(&fixture, &query);
    // A few of the same entries are no matter.
    let query = RangeQuery { limit: 10, ..query };
    fixture.engine_with(limits(MIB)).range(&fixture.tenant, &query).unwrap();
}

#[test]
fn the_list_of_chunks_counts() {
    let fixture = Fixture::new();
    let mut batch = WriteBatch::new();
    for number in 0..10_000 {
        batch.stream(&Labels::from_pairs([("pod", number.to_string())]).unwrap());
        batch.push(SECOND, b"x", &[]).unwrap();
    }
    fixture.store.append(&fixture.tenant, &batch).unwrap();
    // Of one series, so that nothing else grows.
    let query = instant(r#"sum(count_over_time({pod=~".+"} [1h]))"#, 20 * SECOND);
    let ask = |bytes| fixture.engine_with(limits(bytes)).instant(&fixture.tenant, &query);
    ask(256 * MIB).unwrap();
    let refused = ask(MIB / 2).unwrap_err().to_string();
    assert!(refused.contains("524288 bytes"), "{refused}");
}

#[test]
fn lines_that_templates_make_large_count_before_the_chunk_is_through() {
    let fixture = many_entries();
    // 10,000 lines of 1 MiB each, out of one chunk.
    let query = r#"{job="a"} | line_format "{{ repeat 1048576 `x` }}""#;
    let query = RangeQuery { limit: 10_000, ..range(query, 0, 20 * SECOND) };
    let refused = fixture.engine_with(limits(MIB)).range(&fixture.tenant, &query).map(drop);
    assert_refused(refused);
}

#[test]
fn samples_count() {
    let fixture = many_entries();
    let query = r#"quantile_over_time(0.5, {job="a"} | logfmt | unwrap n [1h]) by ()"#;
    // 24 bytes for each sample and more for nothing else: what fits is known.
    let query = instant(query, 20 * SECOND);
    let ask = |bytes| fixture.engine_with(limits(bytes)).instant(&fixture.tenant, &query);
    ask(MIB).unwrap();
    let refused = ask(MIB / 8).unwrap_err().to_string();
    assert!(refused.contains("131072 bytes"), "{refused}");
}

#[test]
fn series_count() {
    let fixture = many_entries();
    let query = r#"count_over_time({job="a"} | logfmt [1h])"#;
    assert_bounded_at(&fixture, &instant(query, 20 * SECOND));
    // Their points as well.
    let query = r#"sum by (n) (count_over_time({job="a"} | logfmt [1s]))"#;
    let query = RangeQuery { step: 1_000_000, ..range(query, 0, 10 * SECOND) };
    assert_bounded(&fixture, &query);
}

#[test]
fn label_sets_count_even_where_nothing_else_comes_of_them() {
    let fixture = many_entries();
    // Between the two windows, so that no series has these entries.
    let query = r#"count_over_time({job="a"} | logfmt [1ms])"#;
    let query = RangeQuery { step: 3600 * SECOND, ..range(query, -1, 3600 * SECOND) };
    assert_bounded(&fixture, &query);
}
