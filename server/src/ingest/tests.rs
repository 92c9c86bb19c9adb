use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use timberline_store::StoreError;

use super::super::spares::Spare;
use super::super::write::Sink;
use super::*;
use crate::config::LimitsConfig;

const NOW: i64 = 1_793_534_400_000_000_000;
const SECOND: i64 = 1_000_000_000;

type Stored = (Labels, i64, String, Vec<(String, String)>);

/// A store in memory that can be made to fail.
#[derive(Clone, Default)]
struct Memory {
    entries: Arc<Mutex<Vec<Stored>>>,
    closed: bool,
}

#[derive(Default)]
struct MemoryBatch {
    stream: Labels,
    entries: Vec<Stored>,
}

impl Spare for MemoryBatch {
    fn capacity(&self) -> usize {
        self.entries.capacity()
    }
}

impl Sink for MemoryBatch {
    fn clear(&mut self) {
        self.entries.clear();
    }

    fn stream(&mut self, labels: &Labels) {
        self.stream = labels.clone();
    }

    fn push(
        &mut self,
        timestamp: Timestamp,
        line: &[u8],
        metadata: &[(&str, &str)],
    ) -> Result<(), InvalidLabels> {
        let metadata = Labels::metadata(metadata.iter().copied())?;
        let metadata = metadata.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let line = String::from_utf8(line.to_vec()).unwrap();
        self.entries.push((self.stream.clone(), timestamp, line, metadata.collect()));
        Ok(())
    }
}

impl Backend for Memory {
    type Batch = MemoryBatch;

    fn append(&self, _: &TenantId, batch: &MemoryBatch) -> Result<(), StoreError> {
        if self.closed {
            return Err(StoreError::Closed);
        }
        self.entries.lock().extend(batch.entries.iter().cloned());
        Ok(())
    }

    fn active_streams(&self, _: &TenantId) -> usize {
        let entries = self.entries.lock();
        let streams: std::collections::HashSet<_> = entries.iter().map(|entry| &entry.0).collect();
        streams.len()
    }

    fn newest_entry(&self, _: &TenantId, labels: &Labels) -> Option<Timestamp> {
        let entries = self.entries.lock();
        entries.iter().filter(|entry| entry.0 == *labels).map(|entry| entry.1).max()
    }
}

/// A write path over memory, at a fixed time.
struct Rig {
    core: Core<Memory>,
    memory: Memory,
    registry: Registry,
}

impl Rig {
    fn new(limits: IngestLimits) -> Self {
        Self::over(Memory::default(), limits)
    }

    fn over(memory: Memory, limits: IngestLimits) -> Self {
        let registry = Registry::new();
        let limits = LimitsConfig { ingest: limits, ..LimitsConfig::default() };
        let limits = Arc::new(LiveLimits::new(limits.into()));
        let core = Core::new(memory.clone(), limits, &registry, Clock::from_fn(|| NOW));
        Self { core, memory, registry }
    }

    fn push_body(&self, body: &str) -> Result<(), PushError> {
        let tenant = TenantId::new("t").unwrap();
        self.core.push(&tenant, Envelope::plain(Format::Json), body.as_bytes())
    }

    /// Pushes `values`, a JSON list, to the stream `{a="b"}`.
    fn push(&self, values: &str) -> Result<(), PushError> {
        self.push_body(&format!(r#"{{"streams":[{{"stream":{{"a":"b"}},"values":{values}}}]}}"#))
    }

    /// Pushes and returns status and text of the refusal.
    fn refused(&self, values: &str) -> (u16, String) {
        let error = self.push(values).unwrap_err();
        (error.status.as_u16(), error.text)
    }

    fn lines(&self) -> Vec<String> {
        self.memory.entries.lock().iter().map(|entry| entry.2.clone()).collect()
    }

    /// The last entry's metadata as `a=b,c=d`.
    fn metadata(&self) -> String {
        let entries = self.memory.entries.lock();
        let pairs = entries.last().unwrap().3.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join(",")
    }

    /// The counters as `name{label values} value`, without zeros.
    fn counters(&self) -> BTreeMap<String, f64> {
        let families = self.registry.gather();
        let metrics = families.iter().flat_map(|family| {
            family.get_metric().iter().map(|metric| {
                let labels: Vec<&str> =
                    metric.get_label().iter().map(|label| label.value()).collect();
                (
                    format!("{}{{{}}}", family.name(), labels.join(",")),
                    metric.get_counter().get_value(),
                )
            })
        });
        metrics.collect()
    }
}

/// Limits that leave label sets as they are, so that messages are short.
fn limits() -> IngestLimits {
    IngestLimits { discover_service_name: Vec::new(), ..IngestLimits::default() }
}

fn entry(timestamp: i64, line: &str) -> String {
    format!("[\"{timestamp}\",\"{line}\"]")
}

#[test]
fn entries_are_stored_with_service_and_level() {
    let rig = Rig::new(IngestLimits::default());
    rig.push(r#"[["1","level=warn x"],["2","y",{"b.c":"1","a":"2"}]]"#).unwrap();
    let entries = rig.memory.entries.lock();
    assert_eq!(entries[0].0.to_string(), r#"{a="b", service_name="unknown_service"}"#);
    assert_eq!(entries[0].3, [("detected_level".to_owned(), "warn".to_owned())]);
    let names: Vec<&str> = entries[1].3.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "b_c", "detected_level"]);
}

#[test]
fn levels_come_from_the_first_source() {
    let rig = Rig::new(limits());
    for (metadata, expected) in [
        (r#"{"level":"ERR"}"#, "detected_level=error,level=ERR"),
        (r#"{"detected_level":"Warning","level":"x"}"#, "detected_level=warn,level=x"),
        (r#"{"severity_number":"9"}"#, "detected_level=info,severity_number=9"),
        (r#"{"a.b":"1","a-b":"2"}"#, "a_b=2,detected_level=debug"),
        (r#"{"level":""}"#, "level="),
        ("{}", "detected_level=debug"),
    ] {
        rig.push(&format!(r#"[["1","debug",{metadata}]]"#)).unwrap();
        assert_eq!(rig.metadata(), expected, "{metadata}");
    }
    rig.push_body(r#"{"streams":[{"stream":{"level":"Info"},"values":[["1","error"]]}]}"#).unwrap();
    assert_eq!(rig.metadata(), "detected_level=info");
    let plain = Rig::new(IngestLimits { discover_log_levels: false, ..limits() });
    plain.push(r#"[["1","debug"]]"#).unwrap();
    assert_eq!(plain.metadata(), "");
}

#[test]
fn a_push_without_streams_is_refused_and_one_without_entries_is_not() {
    let rig = Rig::new(limits());
    let error = rig.push_body(r#"{"streams":[]}"#).unwrap_err();
    assert_eq!(error.status.as_u16(), 422);
    assert_eq!(error.text, "error at least one valid stream is required for ingestion");
    assert_eq!(rig.push("[]"), Ok(()));
    assert_eq!(rig.push_body(r#"{"streams":[{"stream":{},"values":[]}]}"#), Ok(()));
}

#[test]
fn labels_that_do_not_parse_fail_the_push() {
    let rig = Rig::new(limits());
    let body = r#"{"streams":[{"stream":{"a":"b"},"values":[["1","x"]]},{"stream":{"a.b":"c"}}]}"#;
    let error = rig.push_body(body).unwrap_err();
    assert_eq!(error.status.as_u16(), 400);
    let text = "couldn't parse labels: 1:3: parse error: unexpected character inside braces: '.'";
    assert_eq!(error.text, text);
    assert!(rig.lines().is_empty());
    assert!(rig.push_body(r#"{"streams":[{"stream":{},"values":[["1","x"]]}]}"#).is_err());
}

#[test]
fn entries_that_break_a_rule_are_left_out() {
    let rig = Rig::new(IngestLimits {
        reject_old_samples: true,
        max_line_size: 10,
        max_structured_metadata_size: 8,
        max_structured_metadata_entries_count: 2,
        ..limits()
    });
    let (old, new) = (NOW - 8 * 86_400 * SECOND, NOW + 601 * SECOND);
    let see = |name: &str| {
        format!(
            "Please see `limits_config.{name}` or contact your Loki administrator to increase it"
        )
    };
    for (bad, text) in [
        (
            entry(old, "longer than ten"),
            "entry for stream '{a=\"b\"}' has timestamp too old: 2026-10-24T12:00:00Z, oldest \
             acceptable timestamp is: 2026-10-25T12:00:00Z"
                .to_owned(),
        ),
        (
            entry(new, "x"),
            "entry for stream '{a=\"b\"}' has timestamp too new: 2026-11-01T12:10:01Z".to_owned(),
        ),
        (
            entry(NOW, "longer than"),
            "max entry size '10' bytes exceeded for stream '{a=\"b\"}' while adding an entry with \
             length '11' bytes"
                .to_owned(),
        ),
        (
            format!(r#"["{NOW}","x",{{"a":"12345678"}}]"#),
            format!(
                "stream '{{a=\"b\"}}' has structured metadata too large: '9' bytes, limit: '8' \
                 bytes. {}",
                see("max_structured_metadata_size")
            ),
        ),
        (
            format!(r#"["{NOW}","x",{{"a":"","b":"","c":""}}]"#),
            format!(
                "stream '{{a=\"b\"}}' has too many structured metadata labels: '3', limit: '2'. {}",
                see("max_structured_metadata_entries_count")
            ),
        ),
    ] {
        let good = entry(NOW, "good");
        assert_eq!(rig.refused(&format!("[{bad},{good}]")), (400, text));
        assert_eq!(rig.lines(), ["good"]);
        rig.memory.entries.lock().clear();
    }
}

#[test]
fn refusals_are_grouped_and_counted() {
    let rig = Rig::new(IngestLimits { max_line_size: 3, ..limits() });
    let (status, text) = rig.refused(r#"[["1","long"],["2","long"],["3","ok"],["4","longer"]]"#);
    let like = "max entry size '3' bytes exceeded for stream '{a=\"b\"}' while adding an entry with length";
    assert_eq!(status, 400);
    assert_eq!(text, format!("2 errors like: {like} '4' bytes; 1 errors like: {like} '6' bytes"));
    let counters = rig.counters();
    for (name, value) in [
        ("loki_distributor_lines_received_total{t}", 4.0),
        ("loki_distributor_bytes_received_total{t}", 16.0),
        ("loki_discarded_samples_total{line_too_long,t}", 3.0),
        ("loki_discarded_bytes_total{line_too_long,t}", 14.0),
    ] {
        assert_eq!(counters.get(name), Some(&value), "{counters:?}");
    }
}

#[test]
fn long_lines_can_be_cut() {
    let rig = Rig::new(IngestLimits { max_line_size: 4, max_line_size_truncate: true, ..limits() });
    rig.push(r#"[["1","abcdé"],["2","abcé"],["3","\u00e9\u00e9\u00e9"]]"#).unwrap();
    assert_eq!(rig.lines(), ["abcd", "abc", "éé"]);
}

#[test]
fn metadata_can_be_disallowed() {
    let rig = Rig::new(IngestLimits { allow_structured_metadata: false, ..limits() });
    let (_, text) = rig.refused(r#"[["1","x",{"a":"b"}]]"#);
    assert!(text.starts_with("stream '{a=\"b\"}' includes structured metadata, but this feature"));
    assert_eq!(rig.push(r#"[["1","x",{}]]"#), Ok(()));
}

#[test]
fn metadata_without_a_usable_name_fails_the_push() {
    let rig = Rig::new(limits());
    let (status, text) = rig.refused(r#"[["1","ok"],["1","x",{"--":"b"}]]"#);
    assert_eq!(status, 500);
    assert_eq!(text, r#"normalization for label name "--" resulted in invalid name "_""#);
    assert!(rig.lines().is_empty());
}

#[test]
fn a_tenant_has_a_rate() {
    let limits = IngestLimits {
        ingestion_rate_mb: 0.5 / 1024.0,
        ingestion_burst_size_mb: 1.0 / 1024.0,
        ..limits()
    };
    let rig = Rig::new(limits);
    let line = "x".repeat(600);
    rig.push(&format!("[{}]", entry(1, &line))).unwrap();
    let text = "ingestion rate limit exceeded for user t (limit: 512 bytes/sec) while attempting to \
                ingest '1' lines totaling '600' bytes, reduce log volume or contact your Loki \
                administrator to see if the limit can be increased";
    assert_eq!(rig.refused(&format!("[{}]", entry(2, &line))), (429, text.to_owned()));
    assert_eq!(rig.lines().len(), 1);
    assert_eq!(rig.counters()["loki_discarded_bytes_total{rate_limited,t}"], 600.0);
}

#[test]
fn a_stream_has_a_rate() {
    let rig = Rig::new(IngestLimits {
        per_stream_rate_limit: 1024,
        per_stream_rate_limit_burst: 1536,
        ..limits()
    });
    let line = "x".repeat(2048);
    let text = "entry with timestamp 1970-01-01 00:00:01.5 +0000 UTC ignored, reason: 'Per stream \
                rate limit exceeded (limit: 1kB/sec) while attempting to ingest for stream \
                '{a=\"b\"}' totaling 2kB, consider splitting a stream via additional labels or \
                contact your Loki administrator to see if the limit can be increased',\nuser 't', \
                total ignored: 1 out of 1 for stream: {a=\"b\"}";
    assert_eq!(rig.refused(&format!("[{}]", entry(1_500_000_000, &line))), (429, text.to_owned()));
    assert!(rig.lines().is_empty());
    rig.push(&format!("[{}]", entry(1, "short"))).unwrap();
}

#[test]
fn streams_are_counted() {
    let rig = Rig::new(IngestLimits { max_global_streams_per_user: 2, ..limits() });
    let body = |names: &[&str]| {
        let stream =
            |name: &&str| format!(r#"{{"stream":{{"a":"{name}"}},"values":[["1","{name}"]]}}"#);
        let streams: Vec<String> = names.iter().map(stream).collect();
        format!("{{\"streams\":[{}]}}", streams.join(","))
    };
    let error = rig.push_body(&body(&["x", "y", "x", "z"])).unwrap_err();
    assert_eq!(error.status.as_u16(), 429);
    let text = "maximum active stream limit exceeded when trying to create stream {a=\"z\"}, reduce \
                the number of active streams (reduce labels or reduce label values), or contact \
                your Loki administrator to see if the limit can be increased, user: 't'";
    assert_eq!(error.text, text);
    assert_eq!(rig.lines(), ["x", "y", "x"]);
    assert_eq!(rig.push_body(&body(&["x", "y"])), Ok(()), "active streams always pass");
}

#[test]
fn entries_may_be_required_to_keep_up() {
    let lag = Duration::from_secs(3600);
    let rig = Rig::new(IngestLimits { max_entry_lag: lag, ..limits() });
    let (new, old) = (7200 * SECOND, 3599 * SECOND);
    rig.push(&format!("[{}]", entry(new, "new"))).unwrap();
    let values = format!("[{},{}]", entry(old, "late"), entry(old + SECOND, "just"));
    let text = "entry with timestamp 1970-01-01 00:59:59 +0000 UTC ignored, reason: 'entry too far \
                behind, entry timestamp is: 1970-01-01T00:59:59Z, oldest acceptable timestamp is: \
                1970-01-01T01:00:00Z',\nuser 't', total ignored: 1 out of 2 for stream: {a=\"b\"}";
    assert_eq!(rig.refused(&values), (400, text.to_owned()));
    assert_eq!(rig.lines(), ["new", "just"]);
    let any_order = Rig::new(limits());
    any_order.push(&format!("[{},{}]", entry(new, "new"), entry(1, "old"))).unwrap();
}

/// A write path that refuses old entries of `{app="late"}` for good, and long ones of any stream for now.
fn behind_and_too_fast() -> (Rig, String) {
    let rig = Rig::new(IngestLimits {
        max_entry_lag: Duration::from_secs(3600),
        per_stream_rate_limit: 100,
        per_stream_rate_limit_burst: 100,
        ..limits()
    });
    let new = format!(r#"["{NOW}","new"]"#);
    rig.push_body(&format!(r#"{{"streams":[{{"stream":{{"app":"late"}},"values":[{new}]}}]}}"#))
        .unwrap();
    (rig, "x".repeat(101))
}

#[test]
fn events_that_may_pass_later_are_named() {
    let (rig, long) = behind_and_too_fast();
    let event = |app: &str, line: &str| Event {
        labels: format!("{{app=\"{app}\"}}"),
        timestamp: SECOND,
        line: line.to_owned(),
        metadata: Vec::new(),
    };
    let events =
        [event("fast", &long), event("late", "old"), event("calm", "y"), event("fast", "z")];
    let refusals = rig.core.push_events(&TenantId::new("t").unwrap(), &events).unwrap();
    let found: Vec<_> = refusals.iter().map(|it| (it.places.clone(), it.error.status)).collect();
    assert_eq!(found, [(vec![0, 3], StatusCode::TOO_MANY_REQUESTS)]);
    assert_eq!(rig.lines(), ["new", "y"]);
}

#[test]
fn a_refusal_for_good_does_not_hide_one_for_now() {
    let (rig, long) = behind_and_too_fast();
    let tenant = TenantId::new("t").unwrap();
    let journal = format!(
        "__REALTIME_TIMESTAMP=1\nAPP=late\nMESSAGE=old\n\n\
         __REALTIME_TIMESTAMP=1\nAPP=fast\nMESSAGE={long}\n\n"
    );
    let rules = JournalRules::new(&["APP".to_owned()]);
    let error = rig.core.push_journal(&tenant, None, journal.as_bytes(), &rules).unwrap_err();
    assert_eq!(error.status, StatusCode::TOO_MANY_REQUESTS, "{error}");
    let stream = |app: &str, line: &str| {
        format!(r#"{{"stream":{{"app":"{app}"}},"values":[["1","{line}"]]}}"#)
    };
    let body = format!(r#"{{"streams":[{},{}]}}"#, stream("late", "old"), stream("fast", &long));
    let error = rig.push_body(&body).unwrap_err();
    assert_eq!(error.status, StatusCode::TOO_MANY_REQUESTS, "{error}");
    assert_eq!(rig.lines(), ["new"]);
}

#[test]
fn items_of_a_bulk_request_each_have_their_own_refusal() {
    let (rig, long) = behind_and_too_fast();
    let item = |app: &str, line: &str| {
        format!(
            "{{\"create\":{{}}}}\n{{\"@timestamp\":\"1970-01-01T00:00:01Z\",\"app\":\"{app}\",\"message\":\"{line}\"}}\n"
        )
    };
    let body = [item("fast", &long), item("late", "old"), item("calm", "y")].concat();
    let names = |name: &str| vec![name.to_owned()];
    let rules = super::super::fields::FieldRules {
        time: names("@timestamp"),
        message: names("message"),
        labels: names("app"),
        ..super::super::fields::FieldRules::default()
    };
    let bulk = Bulk { rules, index: String::new() };
    let tenant = TenantId::new("t").unwrap();
    let answer =
        rig.core.push_bulk(&tenant, Envelope::plain(Format::Text), body.as_bytes(), &bulk).unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    let items = answer["items"].as_array().unwrap();
    let statuses: Vec<_> = items.iter().map(|item| item["create"]["status"].clone()).collect();
    assert_eq!(statuses, [429, 400, 201], "{answer}");
    assert_eq!(rig.lines(), ["new", "y"]);
}

#[test]
fn journal_entries_before_a_wrong_one_are_stored() {
    let rules = JournalRules::new(&["APP".to_owned()]);
    for wrong in ["not a field\n\n", "MESSAGE\n\u{9}"] {
        let rig = Rig::new(limits());
        let journal = format!("__REALTIME_TIMESTAMP=1\nMESSAGE=good\n\n{wrong}");
        let tenant = TenantId::new("t").unwrap();
        let error = rig.core.push_journal(&tenant, None, journal.as_bytes(), &rules).unwrap_err();
        assert_eq!(error.status, StatusCode::BAD_REQUEST);
        assert!(error.text.ends_with("the entries before it are stored"), "{error}");
        assert_eq!(rig.lines(), ["good"]);
    }
}

#[test]
fn what_the_store_does_not_take_is_not_acknowledged() {
    let rig = Rig::over(Memory { closed: true, ..Memory::default() }, limits());
    let (status, text) = rig.refused(r#"[["1","x"]]"#);
    assert_eq!((status, text.as_str()), (503, "server is stopping: store is closed"));
}

#[test]
fn sizes_have_the_status_of_their_format() {
    let rig = Rig::new(IngestLimits { max_recv_msg_size: 4, ..limits() });
    let tenant = TenantId::new("t").unwrap();
    for (format, status) in [(Format::Json, 400), (Format::Protobuf, 413)] {
        let error = rig.core.push(&tenant, Envelope::plain(format), b"12345").unwrap_err();
        assert_eq!(error.status.as_u16(), status);
        assert_eq!(error.text, "request body too large: 5 bytes, limit: 4 bytes");
    }
    assert_eq!(rig.counters()["loki_discarded_bytes_total{request_body_too_large,t}"], 10.0);
}

#[test]
fn both_formats_store_the_same() {
    use prost::Message as _;

    use super::super::proto::logproto::{
        EntryAdapter, LabelPairAdapter, PushRequest, StreamAdapter,
    };

    let (json, protobuf) = (Rig::new(limits()), Rig::new(limits()));
    json.push(r#"[["1500000000","x",{"k":"v"}]]"#).unwrap();
    let entry = EntryAdapter {
        timestamp: Some(prost_types::Timestamp { seconds: 1, nanos: 500_000_000 }),
        line: "x".to_owned(),
        structured_metadata: vec![LabelPairAdapter { name: "k".into(), value: "v".into() }],
    };
    let stream = StreamAdapter { labels: r#"{a="b"}"#.to_owned(), entries: vec![entry] };
    let request = PushRequest { streams: vec![stream] };
    let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap();
    let tenant = TenantId::new("t").unwrap();
    protobuf.core.push(&tenant, Envelope::plain(Format::Protobuf), &body).unwrap();
    assert_eq!(*json.memory.entries.lock(), *protobuf.memory.entries.lock());
}

#[test]
fn fuzzers_find_their_way_in() {
    super::super::fuzzing::push_json(br#"{"streams":[{"stream":{},"values":[["1","x"]]}]}"#);
    super::super::fuzzing::push_protobuf(b"\x0a\x02\x0a\x00");
}
