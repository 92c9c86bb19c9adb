use timberline_store::TenantId;

use super::super::budget::Budget;
use super::super::limits::IngestLimits;
use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn rules() -> FieldRules {
    FieldRules {
        time: names(&["ts"]),
        message: names(&["msg", "log"]),
        labels: names(&["host.name", "app"]),
        ignored: names(&["secret", "tmp.*"]),
        extra: vec![("app".to_owned(), "shop".to_owned()), ("zone".to_owned(), "a".to_owned())],
        fixed: Vec::new(),
        job: "test",
    }
}

/// Stream, time, line and metadata of the entry that an object makes.
type Seen = (String, i64, String, Vec<(String, String)>);

fn entry(rules: &FieldRules, object: &str) -> Result<Seen, DecodeError> {
    let (budget, limits) = (Budget::new(1 << 20), IngestLimits::default());
    let mut share = budget.share(&TenantId::default());
    let mut gathered = Gathered::new(&limits, &mut share);
    let mut fields = Vec::new();
    flatten(object, &mut fields).map_err(|error| DecodeError::malformed(error.to_string()))?;
    rules.add(&mut fields, || object.into(), || 7, &mut gathered)?;
    let (push, _) = gathered.finish();
    let pairs = push.pairs.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let entry = &push.entries[0];
    Ok((
        push.streams[0].labels.to_string(),
        entry.timestamp,
        entry.line.to_string(),
        pairs.collect(),
    ))
}

#[test]
fn fields_go_where_the_rules_say() {
    let object = r#"{"ts":1793534400,"log":"line","host":{"name":"h","ip":"::1"},"app":"mine","secret":"x",
        "tmp":{"a":1},"n":1.50,"list":[1, "a"],"null":null,"empty":"","\u540d":"v"}"#;
    let (stream, time, line, metadata) = entry(&rules(), object).unwrap();
    assert_eq!(stream, r#"{app="shop",host_name="h"}"#);
    assert_eq!((time, line.as_str()), (1_793_534_400_000_000_000, "line"));
    let metadata: Vec<_> =
        metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut sorted = metadata.clone();
    sorted.sort_unstable();
    let expected = [
        ("field_e5908d", "v"),
        ("host_ip", "::1"),
        ("list", r#"[1, "a"]"#),
        ("n", "1.50"),
        ("zone", "a"),
    ];
    assert_eq!(sorted, expected);
}

#[test]
fn a_record_without_a_message_is_its_own_line() {
    let object = r#"{"a":{"b":1},"app":"x"}"#;
    let (stream, time, line, metadata) =
        entry(&FieldRules { extra: Vec::new(), ..rules() }, object).unwrap();
    assert_eq!((stream.as_str(), time, line.as_str()), (r#"{app="x"}"#, 7, object));
    assert_eq!(metadata, []);
    let bare = FieldRules { job: "test", ..FieldRules::default() };
    assert_eq!(entry(&bare, "{}").unwrap().0, r#"{job="test"}"#);
    let wrong = entry(&rules(), r#"{"ts":"noon","msg":"x"}"#).unwrap_err();
    assert_eq!(wrong.to_string(), "ts is no time that is understood: \"noon\"");
}

#[test]
fn deep_objects_stay_as_they_are() {
    let deep = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let mut fields = Vec::new();
    let text = deep(100_000);
    flatten(&text, &mut fields).unwrap();
    assert_eq!(fields.len(), 1);
    assert_eq!(fields[0].0.matches('a').count(), 17);
    assert!(fields[0].1.starts_with(r#"{"a":"#));
    let long = format!(r#"{{"{}":{{"a":{{"b":1}}}}}}"#, "x".repeat(300));
    let mut fields = Vec::new();
    flatten(&long, &mut fields).unwrap();
    assert_eq!(fields[0].1, r#"{"a":{"b":1}}"#);
    for wrong in ["", "[]", "1", "{", "{\"a\"}", "{} {}", "{\"a\":{\"b\":\"\\q\"}}"] {
        assert!(flatten(wrong, &mut Vec::new()).is_err(), "{wrong}");
    }
}

#[test]
fn times_are_read_by_their_size() {
    let second = 1_793_534_400_000_000_000;
    for (text, nanos) in [
        ("1793534400", Some(second)),
        ("1793534400.25", Some(second + 250_000_000)),
        ("1793534400123", Some(second + 123_000_000)),
        ("1793534400123456", Some(second + 123_456_000)),
        ("1793534400123456789", Some(second + 123_456_789)),
        ("1.7935344e9", Some(second)),
        ("-1.5", Some(-1_500_000_000)),
        ("2026-11-01T12:00:00Z", Some(second)),
        ("2026-11-01T14:00:00.5+02:00", Some(second + 500_000_000)),
        ("2026-11-01 14:00:00,5+0200", Some(second + 500_000_000)),
        ("2026-11-01 12:00:00", Some(second)),
        ("2026-11-01", Some(second - 12 * 3_600_000_000_000)),
        ("99999999999999999999", None),
        ("1e400", None),
        ("noon", None),
        ("", None),
        ("-", None),
        ("2026-11-01X", None),
        ("12:00", None),
    ] {
        assert_eq!(parse_time(text), nanos, "{text}");
    }
}

#[test]
fn stamps_never_repeat() {
    let stamps = Stamps::default();
    assert_eq!(
        [stamps.take(5, 3), stamps.take(5, 1), stamps.take(6, 1), stamps.take(90, 2)],
        [5, 8, 9, 90]
    );
    let within = [stamps.within(7_000_000_000, 0), stamps.within(7_000_000_000, 0)];
    assert!(within[0] < within[1] && within[1] < 8_000_000_000, "{within:?}");
}

#[test]
fn stamps_follow_a_clock_that_is_set_back() {
    const SECOND: i64 = 1_000_000_000;
    let stamps = Stamps::default();
    assert_eq!(stamps.take(1_000_000 * SECOND, 2), 1_000_000 * SECOND);
    assert_eq!(
        stamps.take(999_999 * SECOND, 1),
        1_000_000 * SECOND + 2,
        "not a clock that was set"
    );
    assert_eq!(stamps.take(10 * SECOND, 2), 10 * SECOND);
    assert_eq!(stamps.take(10 * SECOND, 1), 10 * SECOND + 2);
}

#[test]
fn streams_are_put_together_in_their_order() {
    let (budget, limits) = (Budget::new(1 << 20), IngestLimits::default());
    let mut share = budget.share(&TenantId::default());
    let mut gathered = Gathered::new(&limits, &mut share);
    for (index, labels) in ["a", "b", "a", "c", "b"].into_iter().enumerate() {
        let time = i64::try_from(index).unwrap();
        gathered.add(labels.to_owned(), time, "".into(), Vec::new()).unwrap();
    }
    let (push, order) = gathered.finish();
    assert_eq!(order, [0, 2, 1, 4, 3]);
    let streams: Vec<_> = push.streams.iter().map(|s| (&*s.labels, s.entries.clone())).collect();
    assert_eq!(streams, [("a", 0..2), ("b", 2..4), ("c", 4..5)]);
    assert!(push.entries.iter().map(|entry| entry.timestamp).eq([0, 2, 1, 4, 3]));
    let poor = Budget::new(10);
    let mut share = poor.share(&TenantId::default());
    let refused = Gathered::new(&limits, &mut share).add("x".to_owned(), 0, "".into(), Vec::new());
    assert!(matches!(refused, Err(DecodeError::TooLarge(_))), "{refused:?}");
}
