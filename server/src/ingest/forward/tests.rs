use proptest::prelude::*;
use rmpv::Value;
use timberline_store::TenantId;

use super::super::budget::Budget;
use super::handshake::HandshakeError;
use super::*;

/// 2026-11-01T12:00:00Z
const SECOND: i64 = 1_793_534_400;
const STAMP: i64 = SECOND * NANOS_PER_SECOND + 5;

fn bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, value).unwrap();
    out
}

fn map(pairs: &[(&str, Value)]) -> Value {
    Value::Map(pairs.iter().map(|(name, value)| (Value::from(*name), value.clone())).collect())
}

fn event_time(nanos: u32) -> Value {
    let seconds = u32::try_from(SECOND).unwrap();
    Value::Ext(0, [seconds.to_be_bytes(), nanos.to_be_bytes()].concat())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// An entry: stream, time, line and metadata.
type Seen = (String, i64, String, Vec<(String, String)>);

/// What messages make, how many of them are good, and what is wrong with the next.
fn read(messages: &[u8]) -> (Vec<Seen>, usize, Option<String>) {
    read_at(messages, STAMP)
}

fn read_at(messages: &[u8], stamp: i64) -> (Vec<Seen>, usize, Option<String>) {
    let (budget, limits) = (Budget::new(1 << 24), IngestLimits::default());
    let (mut opening, mut share) =
        (budget.share(&TenantId::default()), budget.share(&TenantId::default()));
    let config = ForwardListener { labels: vec!["app".to_owned()], ..ForwardListener::default() };
    let rules = ForwardRules::new(&config);
    let opened = ForwardRules::open(messages, &limits, &mut opening);
    let mut gathered = Gathered::new(&limits, &mut share);
    let (count, fault) = rules.add_all(&opened, stamp, &mut gathered).unwrap();
    let (push, _) = gathered.finish();
    let mut seen = Vec::new();
    for stream in &push.streams {
        for entry in &push.entries[stream.entries.clone()] {
            let pairs = push.pairs[entry.pairs.clone()].iter();
            let pairs = pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect();
            seen.push((stream.labels.to_string(), entry.timestamp, entry.line.to_string(), pairs));
        }
    }
    (seen, count, fault)
}

fn lines(messages: &[u8]) -> Vec<String> {
    read(messages).0.into_iter().map(|(_, _, line, _)| line).collect()
}

#[test]
fn every_mode_is_read() {
    let record =
        |line: &str| map(&[("message", line.into()), ("app", "a".into()), ("n", 7.into())]);
    let event = |line: &str| Value::Array(vec![event_time(3), record(line)]);
    let packed = [bytes(&event("c")), bytes(&event("d"))].concat();
    let option = map(&[("compressed", "gzip".into()), ("size", 2.into())]);
    let messages = [
        Value::Array(vec!["t".into(), event_time(3), record("a")]),
        Value::Nil,
        Value::Array(vec!["t".into(), Value::Array(vec![event("b")]), Value::Nil]),
        Value::Array(vec!["t".into(), Value::Binary(packed.clone())]),
        Value::Array(vec!["t".into(), Value::Binary(gzip(&packed)), option]),
    ];
    let all: Vec<u8> = messages.iter().flat_map(bytes).collect();
    let (seen, count, fault) = read(&all);
    assert_eq!((count, fault), (5, None));
    let found: Vec<&str> = seen.iter().map(|(_, _, line, _)| line.as_str()).collect();
    assert_eq!(found, ["a", "b", "c", "d", "c", "d"]);
    let metadata = vec![("n".to_owned(), "7".to_owned())];
    let first = (r#"{tag="t",app="a"}"#.to_owned(), STAMP - 2, "a".to_owned(), metadata);
    assert_eq!(seen[0], first);
}

#[test]
fn records_of_all_kinds_have_a_text() {
    let record = map(&[
        ("log", Value::Binary(b"line\xff".to_vec())),
        (
            "k",
            map(&[
                ("pod", "p".into()),
                ("list", Value::Array(vec![1.into(), Value::Nil, "x\"".into()])),
            ]),
        ),
        ("nil", Value::Nil),
        ("f", Value::F64(1.5)),
        ("f32", Value::F32(0.5)),
        ("neg", (-129).into()),
        ("yes", true.into()),
        ("ext", Value::Ext(5, vec![1, 255])),
    ]);
    let message = Value::Array(vec!["t".into(), SECOND.into(), record]);
    let (seen, _, _) = read(&bytes(&message));
    assert_eq!(seen[0].2, "line\u{fffd}");
    let metadata: Vec<(&str, &str)> =
        seen[0].3.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let expected = [
        ("k_pod", "p"),
        ("k_list", "[1,null,\"x\\\"\"]"),
        ("f", "1.5"),
        ("f32", "0.5"),
        ("neg", "-129"),
        ("yes", "true"),
        ("ext", "\"ext 5: 01 ff\""),
    ];
    assert_eq!(metadata, expected);
    let bare =
        Value::Array(vec!["t".into(), SECOND.into(), map(&[("a", 1.into()), ("b", "c".into())])]);
    assert_eq!(lines(&bytes(&bare)), ["{\"a\":1,\"b\":\"c\"}"]);
    // Fluent Bit's metadata stands in a list with the time.
    let time = Value::Array(vec![event_time(1), map(&[("m", "d".into())])]);
    let event = Value::Array(vec![time.clone(), map(&[("log", "x".into())])]);
    for message in [
        Value::Array(vec!["t".into(), Value::Array(vec![event])]),
        Value::Array(vec!["t".into(), time, map(&[("log", "x".into())])]),
    ] {
        let (seen, _, fault) = read(&bytes(&message));
        assert_eq!(fault, None);
        assert_eq!((seen[0].1, &seen[0].3[0].1), (STAMP - 4, &"d".to_owned()));
    }
}

#[test]
fn whole_seconds_become_times_of_their_own() {
    let event = || Value::Array(vec![SECOND.into(), map(&[("log", "same".into())])]);
    let message = |option: Value| {
        Value::Array(vec!["t".into(), Value::Array(vec![event(), event()]), option])
    };
    let times =
        |messages: &[u8]| -> Vec<i64> { read(messages).0.iter().map(|seen| seen.1).collect() };
    let plain = times(&[bytes(&message(Value::Nil)), bytes(&message(Value::Nil))].concat());
    // Eight seconds by 64, and five nanoseconds by 64.
    assert_eq!(plain, [1, 2, 3, 4].map(|nanos| STAMP - 5 + 125_000_000 + nanos));
    let chunk = |id: &str| bytes(&message(map(&[("chunk", id.into())])));
    let again = times(&[chunk("a"), chunk("a"), chunk("b")].concat());
    assert_eq!(again[..2], again[2..4], "what is sent again is the same");
    assert!(again[..2] != again[4..], "what is not is not");
    let all = plain.iter().chain(&again);
    assert!(all.into_iter().all(|time| time / NANOS_PER_SECOND == SECOND));
}

#[test]
fn events_of_a_second_are_in_the_order_in_which_they_come() {
    let event = |second: i64| Value::Array(vec!["t".into(), second.into(), map(&[])]);
    let times: Vec<i64> = [-2_000_000_000, -1, 0, 1, 999_999_999, 1_000_000_000, 40_000_000_000]
        .into_iter()
        .flat_map(|late| read_at(&bytes(&event(SECOND)), SECOND * NANOS_PER_SECOND + late).0)
        .map(|(_, time, ..)| time)
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(times.iter().all(|time| time / NANOS_PER_SECOND == SECOND), "{times:?}");
}

#[test]
fn messages_before_a_wrong_one_are_good_and_of_it_nothing() {
    let good =
        bytes(&Value::Array(vec!["t".into(), SECOND.into(), map(&[("log", "good".into())])]));
    let listed = |events: Vec<Value>| bytes(&Value::Array(vec!["t".into(), Value::Array(events)]));
    let event = Value::Array(vec![SECOND.into(), map(&[("log", "half".into())])]);
    for (wrong, text) in [
        (
            listed(vec![event.clone(), Value::Array(vec!["noon".into(), map(&[])])]),
            "time is no time",
        ),
        (
            listed(vec![event.clone(), Value::Array(vec![SECOND.into()])]),
            "an event is no list of 2",
        ),
        (listed(vec![event, Value::Array(vec![SECOND.into(), 7.into()])]), "a record is no map"),
        (bytes(&Value::Array(vec![1.into(), SECOND.into(), map(&[])])), "a tag is no text"),
        (bytes(&Value::Array(vec!["t".into(), SECOND.into()])), "an event has no record"),
        (bytes(&Value::Array(vec!["t".into()])), "a message is no list of 2 to 4"),
        (bytes(&map(&[])), "a message is no list of 2 to 4"),
        (bytes(&Value::Array(vec!["t".into(), Value::Binary(b"\xc1".to_vec())])), "no MessagePack"),
        (bytes(&Value::Array(vec!["t".into(), Value::Binary(b"\x92\x01".to_vec())])), "cut off"),
        (
            bytes(&Value::Array(vec![
                "t".into(),
                Value::Binary(vec![1]),
                map(&[("compressed", "gzip".into())]),
            ])),
            "cannot decompress the body",
        ),
        (
            bytes(&Value::Array(vec![
                "t".into(),
                Value::Binary(vec![]),
                map(&[("compressed", "zstd".into())]),
            ])),
            "compressed is neither gzip nor text",
        ),
    ] {
        let (seen, count, fault) = read(&[good.clone(), wrong, good.clone()].concat());
        let fault = fault.unwrap();
        assert!(fault.contains(text), "{fault}, not {text}");
        assert_eq!((seen.len(), count, seen[0].2.as_str()), (1, 1, "good"), "{text}");
    }
    let mut deep = vec![0x93, 0xa1, b't', 0x01, 0x81, 0xa1, b'k'];
    deep.extend([0x91; 100_000]);
    deep.push(0xc0);
    assert!(read(&deep).2.unwrap().contains("within each other"));
}

#[test]
fn ends_are_found_however_bytes_come() {
    let message = bytes(&Value::Array(vec![
        "tag".into(),
        Value::Array(vec![Value::Array(vec![
            event_time(9),
            map(&[("k", Value::Binary(vec![7; 300]))]),
        ])]),
        map(&[("chunk", "id".into())]),
    ]));
    let twice = message.repeat(2);
    let mut scanner = Scanner::default();
    for cut in 0..message.len() {
        assert_eq!(scanner.end(&twice[..cut]), Ok(None), "{cut}");
    }
    assert_eq!(scanner.end(&twice), Ok(Some(message.len())));
    assert_eq!(scanner.end(&twice[message.len()..]), Ok(Some(message.len())));
    assert!(scanner.end(b"\x91\xc1").is_err());
    let mut rest = &message[..];
    let envelope = Envelope::read(&mut rest).unwrap();
    assert_eq!(envelope.chunk.unwrap().ack(), b"\x81\xa3ack\xa2id");
    assert!(rest.is_empty());
}

#[test]
fn both_sides_show_that_they_know_the_key() {
    let greeting = Greeting::new().unwrap();
    let helo = rmpv::decode::read_value(&mut &greeting.helo()[..]).unwrap();
    assert_eq!(helo[0].as_str(), Some("HELO"));
    let nonce = helo[1]["nonce"].as_slice().unwrap().to_vec();
    let digest = |salt: &str, host: &str, key: &str| {
        let all = [salt.as_bytes(), host.as_bytes(), &nonce, key.as_bytes()].concat();
        let digest = ring::digest::digest(&ring::digest::SHA512, &all);
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let ping = |key: &str| {
        let parts = ["PING", "client", "salt", &digest("salt", "client", key), "", ""];
        bytes(&Value::Array(parts.into_iter().map(Value::from).collect()))
    };
    let (pong, outcome) = greeting.pong(&ping("secret"), b"secret");
    let pong = rmpv::decode::read_value(&mut &pong[..]).unwrap();
    assert_eq!((outcome, pong[0].as_str(), pong[1].as_bool()), (Ok(()), Some("PONG"), Some(true)));
    let name = pong[3].as_str().unwrap();
    assert_eq!(pong[4].as_str(), Some(digest("salt", name, "secret").as_str()));
    let (pong, outcome) = greeting.pong(&ping("guess"), b"secret");
    let pong = rmpv::decode::read_value(&mut &pong[..]).unwrap();
    assert_eq!(outcome, Err(HandshakeError::Mismatch));
    assert_eq!((pong[1].as_bool(), pong[2].as_str()), (Some(false), Some("shared_key mismatch")));
    let (pong, outcome) =
        greeting.pong(&bytes(&Value::Array(vec!["t".into(), 1.into(), map(&[])])), b"secret");
    assert_eq!((pong.len(), outcome), (0, Err(HandshakeError::NoPing)));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        any::<u16>().prop_map(Value::from),
        any::<f32>().prop_map(Value::F32),
        any::<f64>().prop_map(Value::F64),
        "\\PC{0,40}".prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(Value::Binary),
        (any::<i8>(), proptest::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(kind, data)| Value::Ext(kind, data)),
    ];
    leaf.prop_recursive(3, 60, 20, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..20).prop_map(Value::Array),
            proptest::collection::vec((inner.clone(), inner), 0..20).prop_map(Value::Map),
        ]
    })
}

proptest! {
    /// Whatever another encoder writes ends where it ends, and its texts and numbers are read back.
    #[test]
    fn values_of_another_encoder_are_read(value in any_value()) {
        let written = bytes(&value);
        prop_assert_eq!(Scanner::default().end(&written), Ok(Some(written.len())));
        prop_assert_eq!(Scanner::default().end(&written[..written.len() - 1]), Ok(None));
        record::to_json(&written).unwrap();
        if let Some(number) = value.as_i64() {
            prop_assert_eq!(record::to_json(&written).unwrap(), number.to_string());
        }
        if let Some(text) = value.as_str() {
            let read: String = serde_json::from_str(&record::to_json(&written).unwrap()).unwrap();
            prop_assert_eq!(read, text);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(messages in any::<Vec<u8>>()) {
        read(&messages);
    }
}
