//! What a push may be refused for, as clients see it: status, text, and what is stored of it.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use common::{Response, TestServer};
use timberline::config::Config;
use timberline::ingest::IngestLimits;

const NANOS: i64 = 1_000_000_000;
const SECOND: i64 = 1_793_538_000;
/// The labels of [`one`] as messages show them.
const NAME: &str = r#"{app="a", service_name="a"}"#;

fn server(change: impl FnOnce(&mut IngestLimits)) -> TestServer {
    TestServer::start(|config: &mut Config| {
        common::accept_any_time(config);
        change(&mut config.limits_config.ingest);
    })
}

/// A push of one stream.
fn push(server: &TestServer, labels: &str, values: &str) -> Response {
    server.push(&format!(r#"{{"streams":[{{"stream":{labels},"values":[{values}]}}]}}"#))
}

/// A push into `{app="a"}`.
fn one(server: &TestServer, values: &str) -> Response {
    push(server, r#"{"app":"a"}"#, values)
}

fn value(second: i64, line: &str) -> String {
    format!(r#"["{}","{line}"]"#, second * NANOS)
}

/// The lines that are stored, whatever their stream and time.
fn stored(server: &TestServer) -> Vec<String> {
    let near = |second: i64| {
        let end = (second + 86_400) * NANOS;
        common::lines(server.address(), "{service_name=~\".+\"}", second * NANOS, end)
    };
    [near(0), near(SECOND - 7200)].concat().into_iter().map(|(_, line)| line).collect()
}

#[track_caller]
fn assert_refused(answer: &Response, status: u16, text: &str) {
    assert_eq!((answer.status, answer.text()), (status, format!("{text}\n")));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn requests_without_streams_or_entries() {
    let server = server(|_| {});
    let none = "error at least one valid stream is required for ingestion";
    for body in [r#"{"streams":[]}"#, "{}"] {
        assert_refused(&server.push(body), 422, none);
    }
    assert_eq!(one(&server, "").status, 204, "streams without entries are passed over");
    for body in ["", "[", r#"{"streams":[{"stream":{"app":"a"},"values":[[1,"x"]]}]}"#] {
        assert_eq!(server.push(body).status, 400, "{body}");
    }
    let untyped = server.request("POST", "/loki/api/v1/push", &[], b"");
    assert_refused(&untyped, 400, "mime: no media type");
}

#[test]
fn labels_that_break_a_rule() {
    let server = server(|limits| {
        limits.discover_service_name.clear();
        limits.max_label_names_per_series = 2;
        limits.max_label_name_length = 4;
        limits.max_label_value_length = 5;
    });
    for (labels, text) in [
        ("{}", "error at least one label pair is required per stream"),
        (
            r#"{"c":"3","a":"1","b":"2"}"#,
            r#"entry for stream '{a="1", b="2", c="3"}' has 3 label names; limit 2"#,
        ),
        (r#"{"fives":"1"}"#, r#"stream '{fives="1"}' has label name too long: 'fives'"#),
        (r#"{"a":"123456"}"#, r#"stream '{a="123456"}' has label value too long: '123456'"#),
    ] {
        assert_refused(&push(&server, labels, &value(SECOND, "x")), 400, text);
    }
    let answer = push(&server, r#"{"a.b":"c"}"#, &value(SECOND, "x"));
    assert_eq!(answer.status, 400);
    assert!(answer.text().starts_with("couldn't parse labels: 1:3: parse error: "));
    assert_eq!(stored(&server), [""; 0]);
}

#[test]
fn entries_that_break_a_rule() {
    let server = server(|limits| {
        limits.reject_old_samples = true;
        limits.creation_grace_period = std::time::Duration::from_secs(600);
        limits.max_line_size = 10;
        limits.max_structured_metadata_size = 8;
        limits.max_structured_metadata_entries_count = 2;
    });
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    let with = |metadata| format!(r#"["{}","x",{metadata}]"#, now * NANOS);
    for (value, begin, end) in [
        (
            value(1, "x"),
            "entry for stream 'NAME' has timestamp too old: 1970-01-01T00:00:01Z, oldest \
             acceptable timestamp is: ",
            "Z",
        ),
        (
            value(4_102_444_800, "x"),
            "entry for stream 'NAME' has timestamp too new: 2100-01-01T00:00:00Z",
            "",
        ),
        (
            value(now, "12345678901"),
            "max entry size '10' bytes exceeded for stream 'NAME' while adding an entry with \
             length '11' bytes",
            "",
        ),
        (
            with(r#"{"abcd":"12345"}"#),
            "stream 'NAME' has structured metadata too large: '9' bytes, limit: '8' bytes. Please \
             see ",
            "increase it",
        ),
        (
            with(r#"{"a":"1","b":"2","c":"3"}"#),
            "stream 'NAME' has too many structured metadata labels: '3', limit: '2'. Please see ",
            "increase it",
        ),
    ] {
        let answer = one(&server, &value);
        let text = answer.text();
        assert_eq!(answer.status, 400, "{text}");
        assert!(text.starts_with(&begin.replace("NAME", NAME)), "{text}");
        assert!(text.ends_with(&format!("{end}\n")), "{text}");
    }
    let strict = self::server(|limits| limits.allow_structured_metadata = false);
    let answer = one(&strict, &format!(r#"["{}","x",{{"a":"1"}}]"#, SECOND * NANOS));
    let begin = "stream 'NAME' includes structured metadata, but this feature is disallowed. ";
    assert_eq!(answer.status, 400);
    assert!(answer.text().starts_with(&begin.replace("NAME", NAME)), "{}", answer.text());
    assert_eq!((stored(&server), stored(&strict)), (vec![], vec![]));
}

#[test]
fn the_good_part_of_a_push_is_stored() {
    let server = server(|limits| limits.max_line_size = 10);
    let long = value(SECOND, "12345678901");
    let values = [&long, &value(SECOND + 1, "good"), &long, &long].map(String::as_str).join(",");
    let text = format!(
        "3 errors like: max entry size '10' bytes exceeded for stream '{NAME}' while adding an \
         entry with length '11' bytes"
    );
    assert_refused(&one(&server, &values), 400, &text);
    assert_eq!(stored(&server), ["good"]);
}

#[test]
fn entries_too_far_behind_their_stream() {
    let server = server(|limits| limits.max_entry_lag = std::time::Duration::from_secs(3600));
    let (old, in_time) = (value(SECOND - 3601, "old"), value(SECOND - 3600, "in time"));
    assert_eq!(one(&server, &value(SECOND, "new")).status, 204);
    let text = format!(
        "entry with timestamp 2026-11-01 11:59:59 +0000 UTC ignored, reason: 'entry too far behind, \
         entry timestamp is: 2026-11-01T11:59:59Z, oldest acceptable timestamp is: \
         2026-11-01T12:00:00Z',\nuser 'fake', total ignored: 1 out of 2 for stream: {NAME}"
    );
    assert_refused(&one(&server, &format!("{old},{in_time}")), 400, &text);
    assert_eq!(stored(&server), ["in time", "new"]);
}

#[test]
fn tenants_and_streams_that_grow_too_fast() {
    let limited = server(|limits| {
        limits.ingestion_rate_mb = 0.0001;
        limits.ingestion_burst_size_mb = 0.0001;
    });
    let (long, short) = (value(SECOND, &"x".repeat(200)), value(SECOND, "short"));
    let text = "ingestion rate limit exceeded for user fake (limit: 104 bytes/sec) while attempting \
                to ingest '2' lines totaling '205' bytes, reduce log volume or contact your Loki \
                administrator to see if the limit can be increased";
    assert_refused(&one(&limited, &format!("{long},{short}")), 429, text);
    assert_eq!(stored(&limited), [""; 0], "nothing of it is stored");
    assert_eq!(one(&limited, &short).status, 204);

    let limited = server(|limits| {
        limits.per_stream_rate_limit = 100;
        limits.per_stream_rate_limit_burst = 100;
    });
    let text = format!(
        "entry with timestamp 2026-11-01 13:00:00 +0000 UTC ignored, reason: 'Per stream rate limit \
         exceeded (limit: 100B/sec) while attempting to ingest for stream '{NAME}' totaling 200B, \
         consider splitting a stream via additional labels or contact your Loki administrator to \
         see if the limit can be increased',\nuser 'fake', total ignored: 1 out of 1 for stream: \
         {NAME}"
    );
    assert_refused(&one(&limited, &long), 429, &text);
    assert_eq!(stored(&limited), [""; 0]);
}

#[test]
fn streams_that_would_be_too_many() {
    let server = server(|limits| limits.max_global_streams_per_user = 1);
    assert_eq!(one(&server, &value(SECOND, "first")).status, 204);
    let answer = push(&server, r#"{"app":"b"}"#, &value(SECOND, "second"));
    let text = "maximum active stream limit exceeded when trying to create stream {app=\"b\", \
                service_name=\"b\"}, reduce the number of active streams (reduce labels or reduce \
                label values), or contact your Loki administrator to see if the limit can be \
                increased, user: 'fake'";
    assert_refused(&answer, 429, text);
    assert_eq!(one(&server, &value(SECOND + 1, "third")).status, 204, "the first goes on");
    assert_eq!(stored(&server), ["first", "third"]);
}
