use proptest::prelude::*;

use super::message::Message;
use super::*;

/// 2026-11-01T12:00:00Z
const NOW: i64 = 1_793_534_400_000_000_000;
const SECOND: i64 = 1_000_000_000;

fn read(text: &str) -> Message {
    parse(text.as_bytes(), &TimeZone::UTC, NOW)
}

fn data(message: &Message) -> Vec<(&str, &str)> {
    message.data.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn messages_of_rfc_5424_are_read() {
    // The examples of RFC 5424, 6.5.
    let message = read(
        "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed for lonvick on /dev/pts/8",
    );
    assert_eq!((message.facility, message.severity), (4, 2));
    assert_eq!(message.when, Some(When::Exact(1_065_910_455_003_000_000)));
    assert_eq!(message.host.as_deref(), Some("mymachine.example.com"));
    assert_eq!(message.app.as_deref(), Some("su"));
    assert_eq!(data(&message), [("msg_id", "ID47")]);
    assert_eq!(message.text, "'su root' failed for lonvick on /dev/pts/8");
    let message = read(
        r#"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - [exampleSDID@32473 iut="3" eventSource="a\"b\]\\c\d"][examplePriority@32473 class="high"] BOMAn application"#,
    );
    assert_eq!((message.facility, message.severity), (20, 5));
    let expected = [
        ("proc_id", "8710"),
        ("exampleSDID@32473_iut", "3"),
        ("exampleSDID@32473_eventSource", "a\"b]\\c\\d"),
        ("examplePriority@32473_class", "high"),
    ];
    assert_eq!(data(&message), expected);
    assert_eq!(message.text, "BOMAn application");
    let bare = read("<0>1 - - - - - -");
    assert_eq!((bare.when, bare.host, bare.app, bare.text.as_str()), (None, None, None, ""));
    let odd = read("<13>1 2026-11-01T12:00:60Z h a - - - leap");
    assert_eq!((odd.when, data(&odd)), (None, vec![("timestamp", "2026-11-01T12:00:60Z")]));
    assert_eq!(odd.text, "leap");
}

#[test]
fn messages_of_rfc_3164_are_read() {
    let message = read("<34>Oct 11 22:14:15 mymachine su[12]: 'su root' failed\n");
    assert_eq!((message.facility, message.severity), (4, 2));
    assert_eq!(message.when, Some(When::Second(1_791_756_855 * SECOND)));
    assert_eq!(message.host.as_deref(), Some("mymachine"));
    assert_eq!(message.app.as_deref(), Some("su"));
    assert_eq!(
        (data(&message), message.text.as_str()),
        (vec![("proc_id", "12")], "'su root' failed")
    );
    for (text, host, app, line) in [
        ("<13>Nov  1 12:00:00 box cron: x: y", Some("box"), Some("cron"), "x: y"),
        ("<13>Nov  1 12:00:00 su: local", None, Some("su"), "local"),
        ("<13>Nov  1 12:00:00 fe80::1 a/b.c: x", Some("fe80::1"), Some("a/b.c"), "x"),
        ("<13>Nov  1 12:00:00 box no tag here", Some("box"), None, "no tag here"),
        ("<13>2026-11-01T12:00:00.000001+00:00 box app: x", Some("box"), Some("app"), "x"),
        ("<13>Nov  1 2026 12:00:00: %ASA-6-302013: Built", None, None, "%ASA-6-302013: Built"),
        ("<13>just text", None, None, "just text"),
        ("<13>app: text", None, Some("app"), "text"),
        ("no priority at 12:30", None, None, "no priority at 12:30"),
        ("<192>too high", None, None, "<192>too high"),
        ("<13>1 not rfc 5424", None, None, "1 not rfc 5424"),
        ("<13>1 - - - - - [a b=\"c\" open", None, None, "1 - - - - - [a b=\"c\" open"),
        ("", None, None, ""),
    ] {
        let message = read(text);
        let found = (message.host.as_deref(), message.app.as_deref(), message.text.as_str());
        assert_eq!(found, (host, app, line), "{text}");
        if !text.starts_with("<13>") {
            assert_eq!((message.facility, message.severity), (1, 5), "{text}");
        }
    }
}

#[test]
fn the_year_is_the_nearest_and_clocks_have_a_zone() {
    let at = |text: &str, now: i64, zone: &TimeZone| match parse(text.as_bytes(), zone, now).when {
        Some(When::Second(time)) => time / SECOND,
        other => panic!("{text}: {other:?}"),
    };
    let new_year = 1_798_761_600;
    let utc = TimeZone::UTC;
    // A message of the old year that comes in the new one, and one from a clock that is ahead.
    assert_eq!(at("<13>Dec 31 23:59:59 h x", new_year * SECOND, &utc), new_year - 1);
    assert_eq!(at("<13>Jan  1 00:00:01 h x", (new_year - 5) * SECOND, &utc), new_year + 1);
    // A leap day is of a leap year.
    let leap = at("<13>Feb 29 00:00:00 h x", 1_830_000_000 * SECOND, &utc);
    assert_eq!(leap, 1_835_395_200);
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    assert_eq!(
        at("<13>Jul  1 12:00:00 h x", NOW, &berlin),
        at("<13>Jul  1 10:00:00 h x", NOW, &utc)
    );
    assert!(read("<13>Nov 31 12:00:00 h x").when.is_none(), "no such day");
}

#[test]
fn entries_have_the_labels_that_are_asked_for() {
    let mut config = SyslogListener::default();
    let event = |config: &SyslogListener, text: &str| {
        SyslogRules::new(config).event(text.as_bytes(), "10.0.0.9", NOW, |time| time.unwrap_or(NOW))
    };
    let all = event(&config, "<11>1 - - shop 7 - [x@1 a=\"b\"] hi");
    assert_eq!(all.labels, r#"{host="10.0.0.9",app="shop",facility="user",severity="err"}"#);
    let expected = [("proc_id", "7"), ("x_1_a", "b")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!((all.timestamp, all.line.as_str(), all.metadata), (NOW, "hi", expected.to_vec()));
    config.labels = vec![SyslogLabel::App];
    config.static_labels = [("job".to_owned(), "net".to_owned())].into();
    let few = event(&config, "<11>Nov  1 11:00:00 box shop: hi");
    assert_eq!(few.labels, r#"{app="shop",job="net"}"#);
    let names: Vec<_> = few.metadata.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["host", "facility", "severity"]);
    config.labels.clear();
    config.static_labels.clear();
    assert_eq!(event(&config, "x").labels, r#"{job="syslog"}"#);
}

/// The frames of a stream that comes in pieces of `size` bytes.
fn frames(stream: &[u8], size: usize, max: usize) -> Vec<(Vec<u8>, bool)> {
    let mut frames = Frames::new(max);
    let mut found = Vec::new();
    for piece in stream.chunks(size) {
        frames.buffer().extend_from_slice(piece);
        found.extend(std::iter::from_fn(|| frames.next()));
    }
    found.extend(frames.end());
    found.into_iter().map(|frame| (frame.bytes.to_vec(), frame.is_cut)).collect()
}

#[test]
fn framing_is_told_by_message() {
    let stream =
        b"<1>a b\n8 <2>with\n\n<3>c\r\n\n\x0011 <4>0 123456<5>12 x\n12 angry\n999999999 foo\n\
        99999999 <6>many\n17 <7>cut";
    let expected: Vec<(Vec<u8>, bool)> = [
        (&b"<1>a b"[..], false),
        (b"<2>with\n", false),
        (b"<3>c\r", false),
        (b"<4>0 123456", false),
        (b"<5>12 x", false),
        (b"12 angry", false),
        (b"999999999 foo", false),
        (b"99999999 <6>many", false),
        (b"<7>cut", true),
    ]
    .map(|(bytes, is_cut)| (bytes.to_vec(), is_cut))
    .to_vec();
    for size in 1..=stream.len() {
        assert_eq!(frames(stream, size, 100), expected, "pieces of {size}");
    }
}

#[test]
fn long_messages_are_cut_and_the_next_is_whole() {
    let stream = b"10 <1>4567890<2>ok\n<3>4567890\n<4>ok\n16777216 <5>456";
    let expected: Vec<(Vec<u8>, bool)> = [
        (&b"<1>45"[..], true),
        (b"<2>ok", false),
        (b"<3>45", true),
        (b"<4>ok", false),
        (b"<5>45", true),
    ]
    .map(|(bytes, is_cut)| (bytes.to_vec(), is_cut))
    .to_vec();
    for size in 1..=stream.len() {
        assert_eq!(frames(stream, size, 5), expected, "pieces of {size}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_message(bytes in any::<Vec<u8>>()) {
        parse(&bytes, &TimeZone::UTC, NOW);
    }

    #[test]
    fn nearly_good_messages_are_read(text in "<1[0-9]{0,2}>1? ?(-|2026-11-01T12:00:00Z|Nov  1 12:00:00|Feb 29)( [a-z\\[\\]=\"\\\\:-]{0,6}){0,9}") {
        parse(text.as_bytes(), &TimeZone::UTC, NOW);
    }

    /// However a stream is cut into pieces, its messages are the same.
    #[test]
    fn pieces_make_no_difference(stream in "([1-9]{1,2} |<|\n|[a-z ]{0,5}){0,30}", size in 1_usize..20, max in 1_usize..12) {
        prop_assert_eq!(frames(stream.as_bytes(), size, max), frames(stream.as_bytes(), 10_000, max));
    }
}
