//! Random appends, flushes, reopenings and crashes against a sorted `Vec`.

use proptest::prelude::*;
use timberline_store::{
    Entry, Labels, LinePredicate, Matcher, MemVfs, Store, TimeRange, WriteBatch,
};

use crate::util::*;

const APPS: [&str; 3] = ["a", "b", "c"];

/// One entry to append: stream, timestamp, line, trace.
type Drawn = (usize, i64, String, Option<u8>);

#[derive(Clone, Debug)]
enum Op {
    Append(Vec<Drawn>),
    Flush,
    Compact,
    Reopen,
    Close,
    Crash { torn_bytes: usize },
}

fn any_entry() -> impl Strategy<Value = Drawn> {
    // Few timestamps and lines, so that equal ones and late ones are common.
    (0..APPS.len(), -5i64..15, "[ab]{0,2}", prop::option::of(0u8..2))
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => prop::collection::vec(any_entry(), 0..12).prop_map(Op::Append),
        2 => Just(Op::Flush),
        2 => Just(Op::Compact),
        1 => Just(Op::Reopen),
        1 => Just(Op::Close),
        1 => (0usize..40).prop_map(|torn_bytes| Op::Crash { torn_bytes }),
    ]
}

fn metadata(trace: Option<u8>) -> Labels {
    Labels::metadata(trace.map(|trace| ("trace", trace.to_string()))).unwrap()
}

/// The streams' entries by arrival, none twice.
#[derive(Debug, Default)]
struct Model([Vec<Told>; APPS.len()]);

impl Model {
    /// Returns how many entries are new.
    fn append(&mut self, entries: &[Drawn]) -> u64 {
        let mut appended = 0;
        // A batch's entries arrive by time within their stream.
        let mut entries = entries.to_vec();
        entries.sort_by_key(|entry| entry.1);
        for (stream, timestamp, line, trace) in entries {
            let entry = (timestamp, line, metadata(trace));
            if !self.0[stream].contains(&entry) {
                self.0[stream].push(entry);
                appended += 1;
            }
        }
        appended
    }

    fn read(&self, stream: usize, range: TimeRange) -> Vec<Told> {
        let in_range = self.0[stream].iter().filter(|entry| range.contains(entry.0));
        let mut entries: Vec<_> = in_range.cloned().collect();
        entries.sort_by_key(|entry| entry.0);
        entries
    }
}

fn append_drawn(store: &Store, entries: &[Drawn]) -> u64 {
    let mut batch = WriteBatch::new();
    for (stream, timestamp, line, trace) in entries {
        batch.stream(&labels(APPS[*stream]));
        let trace = trace.map(|trace| trace.to_string());
        let pairs: Vec<_> = trace.iter().map(|trace| ("trace", trace.as_str())).collect();
        batch.push(*timestamp, line.as_bytes(), &pairs).unwrap();
    }
    store.append(&tenant(), &batch).unwrap().appended
}

fn check(store: &Store, model: &Model) -> Result<(), TestCaseError> {
    for range in [TimeRange::ALL, TimeRange::new(0, 7), TimeRange::new(3, 3)] {
        let mut entries = 0;
        let mut streams = Vec::new();
        for (stream, app) in APPS.iter().enumerate() {
            let expected = model.read(stream, range);
            prop_assert_eq!(&read_range(store, app, range), &expected);
            entries += expected.len() as u64;
            streams.extend((!expected.is_empty()).then(|| labels(app)));
        }
        let snapshot = store.snapshot();
        prop_assert_eq!(snapshot.stats(&tenant(), &[], range).unwrap().entries, entries);
        prop_assert_eq!(snapshot.series(&tenant(), &[], range).unwrap(), streams);
        check_entries(store, model, range)?;
    }
    Ok(())
}

/// Entries one by one: by time, each stream's as they arrived, and the newest first the other way round.
fn check_entries(store: &Store, model: &Model, range: TimeRange) -> Result<(), TestCaseError> {
    let all = |is_newest_first: bool| -> Vec<Entry> {
        let entries = store.entries(&tenant(), &[], range).unwrap();
        let entries = if is_newest_first { entries.newest_first() } else { entries };
        entries.map(Result::unwrap).collect()
    };
    let (entries, mut reversed) = (all(false), all(true));
    reversed.reverse();
    prop_assert_eq!(&entries, &reversed);
    prop_assert!(entries.is_sorted_by_key(|entry| entry.timestamp));
    // Lent and given in turn.
    let (mut mixed, mut lent) = (Vec::new(), store.entries(&tenant(), &[], range).unwrap());
    while let Some(entry) = lent.next_ref() {
        mixed.push(entry.unwrap().to_entry());
        mixed.extend(lent.next().map(Result::unwrap));
    }
    prop_assert_eq!(&entries, &mixed);
    for (stream, app) in APPS.iter().enumerate() {
        let of_stream = entries.iter().filter(|entry| entry.labels == labels(app));
        let told =
            |entry: &Entry| (entry.timestamp, entry.text().into_owned(), entry.metadata.clone());
        prop_assert_eq!(of_stream.map(told).collect::<Vec<_>>(), model.read(stream, range));
    }
    let with_b = store.entries(&tenant(), &[Matcher::equal("app", "a")], range).unwrap();
    let with_b = with_b.matching(LinePredicate::contains(b"b")).count();
    let expected = model.read(0, range).into_iter().filter(|(_, line, _)| line.contains('b'));
    prop_assert_eq!(with_b, expected.count());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    /// Whatever happens in between, reads see exactly what was acknowledged, in order.
    #[test]
    fn store_agrees_with_sorted_vec(ops in prop::collection::vec(any_op(), 1..30)) {
        let (mut vfs, mut model) = (MemVfs::new(), Model::default());
        let mut store = open(&vfs);
        for op in ops {
            match op {
                Op::Append(entries) => {
                    let appended = append_drawn(&store, &entries);
                    prop_assert_eq!(appended, model.append(&entries));
                }
                Op::Flush => store.flush().unwrap(),
                Op::Compact => {
                    // Until there are enough to be merged.
                    for number in 0..8 {
                        let entries = [(0, 5, format!("b{number}"), None)];
                        prop_assert_eq!(append_drawn(&store, &entries), model.append(&entries));
                        store.flush().unwrap();
                    }
                    store.compact().unwrap();
                }
                Op::Reopen => {
                    drop(store);
                    store = open(&vfs);
                }
                Op::Close => {
                    store.close().unwrap();
                    store = open(&vfs);
                }
                Op::Crash { torn_bytes } => {
                    vfs = vfs.crash_torn(torn_bytes);
                    store = open(&vfs);
                }
            }
            check(&store, &model)?;
        }
    }
}
