//! Segments against a sorted list of rows: what is written is what is read, and damage is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::io::{MemVfs, Vfs};
use crate::{
    Columns, Labels, LineColumn, LinePredicate, MatchOp, Matcher, Metadata, ReadScratch,
    StoreError, TenantId, TimeRange,
};

/// A row as tests keep it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TestRow {
    timestamp: Timestamp,
    line: Vec<u8>,
    metadata: Metadata,
}

/// What a segment is made from: streams in order, each with its rows in order.
type Model = BTreeMap<(TenantId, Labels), Vec<TestRow>>;

const PATH: &str = "segments/test.seg";

fn row(timestamp: Timestamp, line: impl AsRef<[u8]>) -> TestRow {
    TestRow { timestamp, line: line.as_ref().to_vec(), metadata: Metadata::default() }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

fn write(model: &Model) -> (MemVfs, SegmentMeta) {
    let vfs = MemVfs::new();
    vfs.create_dir_all(Path::new("segments")).unwrap();
    let mut writer = SegmentWriter::create(&vfs, Path::new(PATH), 1).unwrap();
    for ((tenant, labels), rows) in model {
        writer.stream(tenant, labels);
        for row in rows {
            writer.row(row.timestamp, &row.line, &row.metadata).unwrap();
        }
    }
    (vfs.clone(), writer.finish().unwrap())
}

fn open(model: &Model) -> Arc<Segment> {
    let (vfs, meta) = write(model);
    let segment = Segment::open(&vfs, Path::new(PATH)).unwrap();
    assert_eq!(*segment.meta(), meta);
    assert_eq!(meta.rows, model.values().map(|rows| rows.len() as u64).sum::<u64>());
    segment
}

/// Reads all that a selector, a range and a predicate name, chunk by chunk.
fn read(
    segment: &Arc<Segment>,
    tenant: &TenantId,
    selector: &[Matcher],
    range: TimeRange,
    predicate: &LinePredicate,
) -> Result<BTreeMap<Labels, Vec<TestRow>>, StoreError> {
    let (mut chunks, mut scratch) = (Vec::new(), ReadScratch::new());
    segment.chunks(tenant, selector, range, &mut chunks)?;
    let mut found: BTreeMap<Labels, Vec<TestRow>> = BTreeMap::new();
    for chunk in chunks {
        let batch = chunk.read(range, predicate, Columns::ALL, &mut scratch)?;
        let rows = batch.rows().iter().map(|row| TestRow {
            timestamp: row.timestamp,
            line: batch.line(row).to_vec(),
            metadata: batch.metadata(row),
        });
        found.entry(chunk.labels().clone()).or_default().extend(rows);
    }
    found.retain(|_, rows| !rows.is_empty());
    Ok(found)
}

/// What [`read`] should give.
fn expected(
    model: &Model,
    tenant: &TenantId,
    selector: &[Matcher],
    range: TimeRange,
    predicate: &LinePredicate,
) -> BTreeMap<Labels, Vec<TestRow>> {
    let passes = |labels: &Labels| {
        selector.iter().all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or("")))
    };
    let streams = model.iter().filter(|((of, labels), _)| of == tenant && passes(labels));
    let mut found: BTreeMap<Labels, Vec<TestRow>> = BTreeMap::new();
    for ((_, labels), rows) in streams {
        let rows =
            rows.iter().filter(|row| range.contains(row.timestamp) && predicate.matches(&row.line));
        found.insert(labels.clone(), rows.cloned().collect());
    }
    found.retain(|_, rows| !rows.is_empty());
    found
}

fn check_all(segment: &Arc<Segment>, model: &Model) {
    let tenants: BTreeSet<&TenantId> = model.keys().map(|(tenant, _)| tenant).collect();
    for tenant in tenants {
        let found = read(segment, tenant, &[], TimeRange::ALL, &LinePredicate::Always).unwrap();
        let wanted = expected(model, tenant, &[], TimeRange::ALL, &LinePredicate::Always);
        assert!(found == wanted, "rows of {tenant} differ");
    }
}

#[test]
fn an_empty_segment_has_nothing() {
    let segment = open(&Model::new());
    assert_eq!(segment.meta().rows, 0);
    let found = read(&segment, &tenant("t"), &[], TimeRange::ALL, &LinePredicate::Always).unwrap();
    assert!(found.is_empty());
}

#[test]
fn lines_of_every_size_come_back() {
    let long = vec![b'x'; 1 << 20];
    let rows =
        vec![row(-5, ""), row(-5, ""), row(0, &long), row(0, "short"), row(i64::MAX - 1, "")];
    let model = Model::from([((tenant("t"), labels(&[("a", "1")])), rows)]);
    check_all(&open(&model), &model);
}

#[test]
fn a_stream_of_many_blocks_comes_back_in_order() {
    let line = |number: i64| format!("line {number} {}", "y".repeat(90));
    let many = (0..9_000).map(|number| row(number / 3, line(number))).collect();
    let empty = (0..70_000).map(|_| row(1, "")).collect();
    let model = Model::from([
        ((tenant("t"), labels(&[("a", "1")])), many),
        ((tenant("t"), labels(&[("a", "2")])), empty),
    ]);
    let segment = open(&model);
    check_all(&segment, &model);
    let mut chunks: Vec<SegmentChunk> = Vec::new();
    segment.chunks(&tenant("t"), &[], TimeRange::new(1000, 1001), &mut chunks).unwrap();
    assert_eq!(chunks.len(), 1, "one block has that time");
}

/// Streams with all combinations of some labels, some of them missing.
fn many_streams(count: usize) -> Model {
    let mut model = Model::new();
    for number in 0..count {
        let app = format!("app-{}", number % 7);
        let pod = format!("pod-{number}");
        let mut pairs = vec![("pod", &*pod)];
        if number % 5 != 0 {
            pairs.push(("app", &app));
        }
        let of = tenant(if number % 3 == 0 { "one" } else { "two" });
        let time = i64::try_from(number).unwrap();
        model.insert(
            (of, labels(&pairs)),
            vec![row(time, &pod), row(time, "b"), row(time + 9, &app)],
        );
    }
    model
}

#[test]
fn five_thousand_streams_share_blocks() {
    let model = many_streams(5_000);
    let segment = open(&model);
    assert_eq!(segment.meta().streams, 5_000);
    check_all(&segment, &model);
}

#[test]
fn series_tell_totals_and_keep_to_the_range() {
    let model = many_streams(200);
    let segment = open(&model);
    let range = TimeRange::new(50, 60);
    let series: Vec<StreamEntry> = segment.series(&tenant("one"), &[], range).unwrap();
    let wanted = expected(&model, &tenant("one"), &[], range, &LinePredicate::Always);
    // A stream whose run spans the range may have no row in it, but none with a row is missing.
    assert!(wanted.keys().all(|labels| series.iter().any(|entry| entry.labels == *labels)));
    assert!(series.iter().all(|entry| range.overlaps(entry.first, entry.last)));
    assert!(series.windows(2).all(|pair| pair[0].labels < pair[1].labels));
    assert!(series.iter().all(|entry| (entry.rows, entry.metadata_bytes) == (3, 0)));
}

#[test]
fn newest_and_contains_know_single_rows() {
    let mut model = many_streams(300);
    let stream = (tenant("two"), labels(&[("z", "z")]));
    let set = Metadata::metadata([("trace", "1"), ("empty", "")]).unwrap();
    let twin = TestRow { metadata: set.clone(), ..row(7, "same") };
    model.insert(stream.clone(), vec![row(7, "same"), row(7, "other"), twin, row(9, "x")]);
    let segment = open(&model);
    let (tenant, labels) = stream;
    let mut scratch = ReadScratch::new();
    let mut has = |time, line: &str, set: &Metadata| {
        segment.contains(&tenant, &labels, time, line.as_bytes(), set, &mut scratch).unwrap()
    };
    let none = Metadata::default();
    assert!(has(7, "same", &none) && has(7, "same", &set) && has(9, "x", &none));
    assert!(!has(7, "x", &none) && !has(8, "same", &none) && !has(7, "other", &set));
    assert!(!has(6, "same", &none) && !has(10, "x", &none));
    assert_eq!(segment.newest(&tenant, &labels).unwrap(), Some(9));
    assert_eq!(segment.newest(&tenant, &Labels::default()).unwrap(), None);
    for ((tenant, labels), rows) in &model {
        let newest = segment.newest(tenant, labels).unwrap();
        assert_eq!(newest, rows.last().map(|row| row.timestamp));
    }
}

#[test]
fn columns_that_were_not_asked_for_stay_empty() {
    let model = many_streams(3);
    let segment = open(&model);
    let mut chunks = Vec::new();
    segment.chunks(&tenant("two"), &[], TimeRange::ALL, &mut chunks).unwrap();
    let mut scratch = ReadScratch::new();
    let mut batch = |line| {
        let columns = Columns { line, metadata: false };
        chunks[0].read(TimeRange::ALL, &LinePredicate::Always, columns, &mut scratch).unwrap()
    };
    let length = batch(LineColumn::Length);
    assert_eq!((length.rows()[0].line_len, length.line(&length.rows()[0])), (5, &b""[..]));
    assert_eq!(length.bytes_scanned(), chunks[0].line_bytes());
    let none = batch(LineColumn::None);
    assert_eq!((none.rows().len() as u64, none.rows()[0].line_len), (chunks[0].rows(), 0));
    assert_eq!(none.metadata_sets(), [Metadata::default()]);
}

#[test]
fn rows_and_streams_out_of_order_are_refused() {
    let vfs = MemVfs::new();
    vfs.create_dir_all(Path::new("segments")).unwrap();
    let mut writer = SegmentWriter::create(&vfs, Path::new(PATH), 1).unwrap();
    let none = Metadata::default();
    writer.stream(&tenant("t"), &labels(&[("b", "1")]));
    writer.row(5, b"", &none).unwrap();
    assert!(matches!(writer.row(4, b"", &none), Err(StoreError::Invalid(_))));
    writer.stream(&tenant("t"), &labels(&[("a", "1")]));
    assert!(matches!(writer.row(5, b"", &none), Err(StoreError::Invalid(_))));
}

#[test]
fn names_and_values_are_those_of_the_tenants_streams() {
    for count in [9, 400] {
        let model = many_streams(count);
        let segment = open(&model);
        for of in [tenant("one"), tenant("two"), tenant("tw")] {
            let streams = || model.keys().filter(|(tenant, _)| *tenant == of);
            let pairs = || streams().flat_map(|(_, labels)| labels.iter());
            let names: BTreeSet<String> = pairs().map(|(name, _)| name.to_owned()).collect();
            assert_eq!(segment.label_names(&of).unwrap(), names);
            for name in ["app", "pod", "ap"] {
                let of_name = pairs().filter(|(other, _)| *other == name);
                let values: BTreeSet<String> = of_name.map(|(_, value)| value.to_owned()).collect();
                assert_eq!(segment.label_values(&of, name).unwrap(), values);
            }
        }
    }
}

#[test]
fn labels_that_do_not_fit_the_index_are_found_all_the_same() {
    let mut model = many_streams(200);
    model.insert((tenant("two"), labels(&[("a\0b", "c")])), vec![row(1, "nul")]);
    let long = "v".repeat(70_000);
    model.insert((tenant("two"), labels(&[("long", &long)])), vec![row(1, "long")]);
    let segment = open(&model);
    for matcher in [
        Matcher::new("a\0b", MatchOp::Equal, "c").unwrap(),
        Matcher::new("long", MatchOp::Equal, &long).unwrap(),
        Matcher::new("a", MatchOp::Equal, "b\0c").unwrap(),
    ] {
        let selector = [matcher];
        let all = (TimeRange::ALL, LinePredicate::Always);
        let found = read(&segment, &tenant("two"), &selector, all.0, &all.1).unwrap();
        assert_eq!(found, expected(&model, &tenant("two"), &selector, all.0, &all.1));
    }
}

/// A small segment with everything in it: metadata, two tenants, one of them with more streams than
/// are tried without the index.
fn small_model() -> Model {
    let mut model = many_streams(105);
    let set = Metadata::metadata([("trace_id", "4f"), ("level", "warn")]).unwrap();
    let with_set = TestRow { metadata: set, ..row(77, "with metadata") };
    model.insert((tenant("two"), labels(&[("zone", "eu")])), vec![with_set, row(78, "without")]);
    model
}

/// Opens damaged bytes and reads everything; rows that do come back must be the right ones.
fn check_damaged(bytes: Vec<u8>, model: &Model, what: &str) {
    let check = || -> Result<(), StoreError> {
        let segment = Segment::from_bytes(Path::new(PATH), crate::io::Mapped::from(bytes))?;
        let matcher = Matcher::new("app", MatchOp::Matches, "app-[12]").unwrap();
        for selector in [&[][..], &[matcher]] {
            for of in [tenant("one"), tenant("two")] {
                let all = (TimeRange::ALL, LinePredicate::Always);
                let found = read(&segment, &of, selector, all.0, &all.1)?;
                assert!(
                    found == expected(model, &of, selector, all.0, &all.1),
                    "{what}: wrong rows"
                );
            }
        }
        Ok(())
    };
    match check() {
        Ok(()) | Err(StoreError::Corrupt { .. } | StoreError::FutureFormat { .. }) => {}
        Err(error) => panic!("{what}: {error}"),
    }
}

#[test]
#[cfg(feature = "label-index")]
fn a_damaged_label_index_is_told_and_costs_no_answer() {
    let model = many_streams(200);
    let bytes = write(&model).0.read(Path::new(PATH)).unwrap();
    let of = tenant("one");
    let selector = [Matcher::new("app", MatchOp::Matches, "app-[12]").unwrap()];
    let ask = |bytes: Vec<u8>| {
        let segment = Segment::from_bytes(Path::new(PATH), crate::io::Mapped::from(bytes)).unwrap();
        let names = segment.label_names(&of).unwrap();
        let values = segment.label_values(&of, "app").unwrap();
        let series = segment.series(&of, &selector, TimeRange::ALL).unwrap();
        (segment, (names, values, series))
    };
    let (whole, answers) = ask(bytes.clone());
    assert!(whole.index_damage().is_none() && !answers.2.is_empty());
    let files = &whole.footer().index;
    assert!(files.len() > 3, "{files:?}");
    for file in files {
        let mut damaged = bytes.clone();
        damaged[usize::try_from(file.offset + file.length / 2).unwrap()] ^= 1;
        let (segment, found) = ask(damaged);
        assert_eq!(found, answers, "{}", file.name);
        let told = segment.index_damage().unwrap().to_string();
        assert!(told.contains("label index") && told.contains(&file.name), "{told}");
        assert!(segment.verify().is_err(), "{}", file.name);
    }
}

#[test]
fn every_flipped_byte_is_seen_or_harmless() {
    let model = small_model();
    let bytes = write(&model).0.read(Path::new(PATH)).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x41;
        check_damaged(damaged, &model, &format!("byte {at} of {} flipped", bytes.len()));
    }
}

#[test]
fn every_flipped_byte_of_older_versions_is_seen_or_harmless() {
    let model = small_model();
    for version in 1..VERSION {
        let path = samples().join(format!("segment-v{version}.seg"));
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            check_damaged(damaged, &model, &format!("version {version}: byte {at} flipped"));
        }
    }
}

#[test]
fn what_is_behind_checksums_that_are_right_is_not_trusted_either() {
    let read = |bytes: &[u8], what: &str| {
        // Printed where it fails.
        println!("{what}");
        open_segment_bytes(bytes);
    };
    for version in 1..=VERSION {
        let bytes = std::fs::read(samples().join(format!("segment-v{version}.seg"))).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            // Small numbers become large ones, and the other way round.
            damaged[at] ^= [0x01, 0x80, 0xff][at % 3];
            read(&damaged, &format!("version {version}, byte {at}"));
        }
    }
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/segment_open");
    for seed in std::fs::read_dir(seeds).unwrap() {
        let path = seed.unwrap().path();
        read(&std::fs::read(&path).unwrap(), &path.display().to_string());
    }
}

#[test]
fn every_truncation_is_seen() {
    let model = small_model();
    let bytes = write(&model).0.read(Path::new(PATH)).unwrap();
    for len in 0..bytes.len() {
        let cut = crate::io::Mapped::from(bytes[..len].to_vec());
        let opened = Segment::from_bytes(Path::new(PATH), cut);
        assert!(matches!(opened, Err(StoreError::Corrupt { .. })), "cut to {len} bytes");
    }
}

#[test]
fn a_newer_version_is_told_apart_from_damage() {
    let mut bytes = write(&small_model()).0.read(Path::new(PATH)).unwrap();
    let newer = VERSION + 1;
    bytes[8] = newer as u8;
    let open = |bytes: &[u8]| {
        open_segment_bytes(bytes);
        Segment::from_bytes(Path::new(PATH), crate::io::Mapped::from(bytes.to_vec()))
    };
    // The footer says another one: the header is damaged.
    assert!(matches!(open(&bytes), Err(StoreError::Corrupt { what: "header", .. })));
    let tail = bytes.len() - 16;
    let length = u32::from_le_bytes(bytes[tail + 4..tail + 8].try_into().unwrap());
    let footer = tail - length as usize;
    bytes[footer] = newer as u8;
    let crc = crc32c::crc32c(&bytes[footer..tail]);
    bytes[tail..tail + 4].copy_from_slice(&crc.to_le_bytes());
    let opened = open(&bytes);
    let Err(StoreError::FutureFormat { found, supported, .. }) = opened else {
        panic!("{opened:?}");
    };
    assert_eq!((found, supported), (newer, VERSION));
}

/// Where there is a segment of each version.
fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// The sample of the current version is written by `UPDATE_SAMPLES=1`; those before it are what is left
/// of writers that are gone.
#[test]
fn every_version_stays_readable() {
    let samples = samples();
    if std::env::var_os("UPDATE_SAMPLES").is_some() {
        let bytes = write(&small_model()).0.read(Path::new(PATH)).unwrap();
        let seeds = samples.join("../../../fuzz/corpus/segment_open");
        std::fs::write(samples.join(format!("segment-v{VERSION}.seg")), &bytes).unwrap();
        std::fs::write(seeds.join(format!("sample-v{VERSION}")), bytes).unwrap();
    }
    for version in 1..=VERSION {
        let path = samples.join(format!("segment-v{version}.seg"));
        let segment = Segment::open(&crate::io::OsVfs, &path).unwrap();
        let shown = format!("{segment:?}");
        assert!(shown.contains(&format!("version: {version}, ")), "{shown}");
        check_all(&segment, &small_model());
        let selector = [Matcher::new("app", MatchOp::Equal, "app-3").unwrap()];
        let all = (TimeRange::ALL, LinePredicate::Always);
        let found = read(&segment, &tenant("two"), &selector, all.0, &all.1).unwrap();
        assert_eq!(found, expected(&small_model(), &tenant("two"), &selector, all.0, &all.1));
    }
}

fn any_metadata() -> impl Strategy<Value = Metadata> {
    let pairs = prop::collection::btree_map("[a-c]{1,2}", "[x-z]{0,2}", 0..3);
    pairs.prop_map(|pairs| Metadata::metadata(pairs).unwrap())
}

fn any_rows() -> impl Strategy<Value = Vec<TestRow>> {
    let time = prop_oneof![-20_i64..20, any::<i64>()];
    let line = prop_oneof![
        "[ab]{0,6}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..40),
        Just(vec![b'a'; 100_000]),
    ];
    let row = (time, line, any_metadata()).prop_map(|(timestamp, line, metadata)| TestRow {
        timestamp,
        line,
        metadata,
    });
    prop::collection::vec(row, 1..30).prop_map(|mut rows| {
        rows.sort_by_key(|row| row.timestamp);
        rows
    })
}

fn any_labels() -> impl Strategy<Value = Labels> {
    let pairs = prop::collection::btree_map("[ab]", "[a-c]{1,2}", 0..3);
    pairs.prop_map(|pairs| Labels::from_pairs(pairs).unwrap())
}

fn any_model() -> impl Strategy<Value = Model> {
    let stream = ("[tu]".prop_map(|name| tenant(&name)), any_labels());
    prop::collection::btree_map(stream, any_rows(), 0..8)
}

fn any_matcher() -> impl Strategy<Value = Matcher> {
    let op = prop_oneof![
        Just(MatchOp::Equal),
        Just(MatchOp::NotEqual),
        Just(MatchOp::Matches),
        Just(MatchOp::NotMatches),
    ];
    let name = prop_oneof![Just("app"), Just("pod"), Just("absent"), Just("a"), Just("b")];
    let value = prop_oneof![
        Just(""),
        Just(".*"),
        Just(".+"),
        Just("app-1"),
        Just("app-[23]|"),
        Just("pod-.*1"),
        Just("pod-1.*"),
        Just("app-1|app-4"),
        Just("|pod-1"),
        Just("pod-(1.|2)|pod-3.+"),
        Just("a.?"),
        Just("pod-17"),
        Just("b"),
    ];
    (name, op, value).prop_map(|(name, op, value)| Matcher::new(name, op, value).unwrap())
}

fn any_predicate() -> impl Strategy<Value = LinePredicate> {
    let contains = |needle: &str| LinePredicate::contains(needle.as_bytes());
    prop_oneof![
        Just(LinePredicate::Always),
        "[ab]{0,3}".prop_map(move |needle| contains(&needle)),
        "[ab]{1,2}".prop_map(move |needle| LinePredicate::Not(Box::new(contains(&needle)))),
        Just(LinePredicate::All(vec![contains("a"), contains("b")])),
        Just(LinePredicate::Never),
    ]
}

fn any_range() -> impl Strategy<Value = TimeRange> {
    let edge = || prop_oneof![-20_i64..20, any::<i64>()];
    prop_oneof![
        Just(TimeRange::ALL),
        (edge(), edge()).prop_map(|(start, end)| TimeRange::new(start, end)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    /// Whatever is written, a read gives exactly the rows that the selector, the range and the
    /// predicate name, in order.
    #[test]
    fn segments_agree_with_sorted_rows(
        model in any_model(),
        selector in prop::collection::vec(any_matcher(), 0..3),
        range in any_range(),
        predicate in any_predicate(),
    ) {
        let segment = open(&model);
        for of in [tenant("t"), tenant("u")] {
            let found = read(&segment, &of, &selector, range, &predicate).unwrap();
            prop_assert_eq!(found, expected(&model, &of, &selector, range, &predicate));
        }
    }

    /// Arbitrary bytes, with or without the marks of a segment, are opened without a panic.
    #[test]
    fn arbitrary_bytes_do_not_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        open_segment_bytes(&bytes);
        bytes.splice(0..0, footer::header());
        bytes.extend_from_slice(b"TMBRSEG1");
        open_segment_bytes(&bytes);
    }
}

/// Whatever the matchers, the label index selects the streams that pass.
#[test]
fn the_index_agrees_with_the_labels() {
    let model = many_streams(700);
    let segment = open(&model);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) };
    proptest!(config, |(selector in prop::collection::vec(any_matcher(), 1..4))| {
        for of in [tenant("one"), tenant("two"), tenant("three")] {
            let series = segment.series(&of, &selector, TimeRange::ALL).unwrap();
            let found: Vec<Labels> = series.into_iter().map(|entry| entry.labels).collect();
            let all = (TimeRange::ALL, LinePredicate::Always);
            let wanted = expected(&model, &of, &selector, all.0, &all.1);
            prop_assert_eq!(found, wanted.into_keys().collect::<Vec<_>>());
        }
    });
}
