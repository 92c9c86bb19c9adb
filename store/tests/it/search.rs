//! Chunks found by searching are those with a matching line, among very many streams.

use regex::bytes::Regex;
use timberline_store::{
    Chunk, Columns, Durability, LinePredicate, MatchOp, Matcher, MemVfs, ReadScratch, Store,
    TenantId, TimeRange, WriteBatch,
};

use crate::util::*;

const STREAMS: i64 = 300;

/// Every stream has a line or some in each of two segments and in the head, and one tenant's are between the
/// rows of two others.
fn store() -> Store {
    let store = open(&MemVfs::new());
    for part in 0..3 {
        for name in ["a", "acme", "z"] {
            let mut batch = WriteBatch::new();
            for stream in 0..STREAMS {
                batch.stream(&labels(&format!("app-{}-{stream}", stream % 7)));
                for row in 0..=(stream + part) % 3 {
                    let time = part * 1000 + row * 300 + stream;
                    let line = match (stream * 7 + row * 3 + part) % 50 {
                        0 => format!("{name} failed with code {stream} of 0x{time:08x}"),
                        kind => format!("{name} took {time} ms, kind {kind}, and went on"),
                    };
                    batch.push(time, line.as_bytes(), &[]).unwrap();
                }
            }
            let name = TenantId::new(name).unwrap();
            store.append_with(&name, &batch, Durability::None).unwrap();
        }
        if part < 2 {
            store.flush().unwrap();
        }
    }
    store
}

fn predicates() -> Vec<LinePredicate> {
    let contains = |needle: &str| LinePredicate::contains(needle.as_bytes());
    let not = |inner| LinePredicate::Not(Box::new(inner));
    let regex = |text| LinePredicate::regex(Regex::new(text).unwrap());
    let custom = LinePredicate::Custom(std::sync::Arc::new(|line: &[u8]| line.ends_with(b"on")));
    vec![
        contains("nowhere to be found"),
        contains("failed"),
        contains("code 17"),
        contains("kind 3"),
        contains("z took"),
        not(contains("went on")),
        regex("failed|kind 41"),
        regex("code [0-9]+7 of"),
        regex("(?i)FAILED"),
        regex("[a-z]{6}"),
        not(regex("code|ki[n]d")),
        LinePredicate::All(vec![contains("failed"), regex("0x0*[1-9]"), not(contains("code 14"))]),
        LinePredicate::Any(vec![contains("code 21"), regex("kind [5-7],")]),
        LinePredicate::Any(vec![contains("code 21"), custom.clone()]),
        custom,
        LinePredicate::Never,
        LinePredicate::Always,
    ]
}

fn lines(chunks: &[Chunk], range: TimeRange, predicate: &LinePredicate) -> Vec<String> {
    let (mut lines, mut scratch) = (Vec::new(), ReadScratch::new());
    for chunk in chunks {
        let read = chunk.read(range, predicate, Columns::ALL, &mut scratch).unwrap();
        let told = |row| {
            let text = String::from_utf8_lossy(read.line(row)).into_owned();
            format!("{} {} {text}", chunk.labels(), row.timestamp)
        };
        lines.extend(read.rows().iter().map(told));
    }
    lines
}

#[test]
fn what_is_found_is_what_is_there() {
    let store = store();
    let some = Matcher::new("app", MatchOp::Matches, "app-[1-6]-.*").unwrap();
    let few = Matcher::new("app", MatchOp::Matches, "app-0-1.*").unwrap();
    let (snapshot, mut scratch, mut found_any) = (store.snapshot(), ReadScratch::new(), 0);
    for selector in [vec![], vec![some], vec![few]] {
        for range in [TimeRange::ALL, TimeRange::new(250, 1200), TimeRange::new(5000, 6000)] {
            for predicate in predicates() {
                let all = snapshot.chunks(&tenant(), &selector, range).unwrap();
                let mut sources = snapshot.chunk_sources(&tenant(), &selector, range).unwrap();
                let mut rows_passed = 0;
                for source in &mut sources {
                    rows_passed += source.search(&predicate, &mut scratch).unwrap().rows;
                    assert!(!source.is_to_be_searched());
                }
                let found: Vec<Chunk> =
                    sources.into_iter().flat_map(|it| it.into_chunks()).collect();
                let expected = lines(&all, range, &predicate);
                assert_eq!(
                    lines(&found, range, &predicate),
                    expected,
                    "{selector:?} {predicate:?}"
                );
                found_any += expected.len();
                assert!(found.len() <= all.len());
                assert!(found.len() == all.len() || rows_passed > 0);
            }
        }
    }
    assert!(found_any > 1000);
}

#[test]
fn a_rare_line_is_found_without_a_look_at_the_others() {
    let store = store();
    store.flush().unwrap();
    let rare = LinePredicate::contains(b"acme failed with code 250 of");
    let mut sources = store.snapshot().chunk_sources(&tenant(), &[], TimeRange::ALL).unwrap();
    assert!(sources.iter().any(|source| source.is_to_be_searched()));
    let mut scratch = ReadScratch::new();
    let searched =
        sources.iter_mut().map(|source| source.search(&rare, &mut scratch).unwrap().rows);
    let passed: u64 = searched.sum();
    let chunks: Vec<Chunk> = sources.into_iter().flat_map(|it| it.into_chunks()).collect();
    let rows: u64 = chunks.iter().map(Chunk::rows).sum();
    let entries = store.stats().segment_entries;
    assert_eq!(passed + rows, entries, "{passed} passed over, {chunks:?}");
    assert!(chunks.len() < 4, "{chunks:?}");
}
