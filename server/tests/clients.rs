//! What Grafana, logcli, promtail and loki-canary send, request by request, and what their decoders need of
//! the answers. Live tails are in `tail.rs`, OpenTelemetry's exporters in `otlp.rs`.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::time::{SystemTime, UNIX_EPOCH};

use common::tail::Tail;
use common::{Response, TestServer};
use serde_json::{Value, json};

const HEALTH: &str =
    "/loki/api/v1/query?direction=backward&query=vector(1)%2Bvector(1)&time=4000000000";
const CATEGORIZE: (&str, &str) = ("X-Loki-Response-Encoding-Flags", "categorize-labels");

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_nanos().try_into().unwrap()
}

fn start() -> TestServer {
    TestServer::start(common::accept_any_time)
}

fn push(server: &TestServer, stream: &Value, values: &Value) {
    let body = json!({"streams": [{"stream": stream, "values": values}]}).to_string();
    assert_eq!(server.push(&body).status, 204);
}

fn get(server: &TestServer, target: &str, headers: &[(&str, &str)]) -> Response {
    let answer = server.request("GET", target, headers, b"");
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json; charset=UTF-8"), "{target}");
    answer
}

/// The keys of a JSON object in the order of the text: decoders that stream depend on it.
fn assert_in_order(text: &str, keys: &[&str]) {
    let mut rest = text;
    for key in keys {
        let quoted = format!("\"{key}\":");
        let at = rest.find(&quoted).unwrap_or_else(|| panic!("{key} missing or too early: {text}"));
        rest = &rest[at + quoted.len()..];
    }
}

/// Every number in `stats` but the times in seconds is whole: Go's clients read them into integers.
fn assert_whole(value: &Value, path: &str) {
    const SECONDS: [&str; 5] =
        ["execTime", "queueTime", "querierExecTime", "chunkRefsLookupTime", "bloomFilterTime"];
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| assert_whole(value, &format!("{path}/{name}")));
        }
        Value::Number(number) => {
            let is_seconds = SECONDS.iter().any(|name| path.ends_with(name));
            assert!(is_seconds || number.is_u64(), "{path}: {number}");
        }
        _ => {}
    }
}

#[test]
fn grafana_saves_and_tests_a_data_source() {
    let answer = get(&start(), HEALTH, &[("X-Grafana-Org-Id", "1"), CATEGORIZE]);
    let body = answer.json();
    assert_eq!(body["data"]["resultType"], "vector");
    let expected = json!([{"metric": {}, "value": [4_000_000_000_i64, "2"]}]);
    assert_eq!(body["data"]["result"], expected);
    assert_in_order(&answer.text(), &["status", "data", "resultType", "result", "stats"]);
}

#[test]
fn grafana_explores_lines_and_their_volume() {
    let server = start();
    let time = now() - 60_000_000_000;
    let stream = json!({"app": "shop", "env": "prod"});
    push(
        &server,
        &stream,
        &json!([
            [time.to_string(), r#"{"level":"error","user":{"id":7}}"#, {"trace_id": "a1"}],
            [(time + 1).to_string(), "plain <b>"],
        ]),
    );
    let (from, to) = (time - 3_600_000_000_000, time + 60_000_000_000);
    let target = format!(
        "/loki/api/v1/query_range?direction=backward&end={to}&limit=1000&query=%7Bapp%3D%22shop%22%7D%20%7C%20json&start={from}&step=15000ms"
    );
    let answer = get(&server, &target, &[CATEGORIZE, ("Accept-Encoding", "identity")]);
    let keys = ["status", "data", "resultType", "encodingFlags", "result", "stats"];
    assert_in_order(&answer.text(), &keys);
    assert!(answer.text().contains(r"plain \u003cb\u003e"));
    let body = answer.json();
    assert_eq!(body["data"]["encodingFlags"], json!(["categorize-labels"]));
    for result in body["data"]["result"].as_array().unwrap() {
        let keys: Vec<_> = result.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["stream", "values"]);
        for value in result["values"].as_array().unwrap() {
            assert_eq!(value.as_array().unwrap().len(), 3);
            assert!(value[0].as_str().unwrap().len() == 19 && value[2].is_object());
        }
    }
    assert_whole(&body["data"]["stats"], "");
    let summary = &body["data"]["stats"]["summary"];
    assert_eq!(
        (&summary["totalLinesProcessed"], &summary["totalEntriesReturned"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(body["data"]["stats"]["ingester"]["totalReached"], 1);
    let passed =
        |stats: &Value, place: &str| stats[place]["store"]["chunk"]["postFilterLines"].as_u64();
    assert_eq!(passed(&body["data"]["stats"], "ingester"), Some(2));
    assert_eq!(passed(&body["data"]["stats"], "querier"), Some(0));

    // Once flushed, the same lines come from the store.
    assert_eq!(server.request("POST", "/flush", &[], b"").status, 204);
    let stats = get(&server, &target, &[CATEGORIZE]).json()["data"]["stats"].clone();
    assert_eq!(stats["ingester"]["totalReached"], 0);
    assert_eq!(stats["querier"]["store"]["chunk"]["decompressedLines"], 2);
    assert_eq!((passed(&stats, "ingester"), passed(&stats, "querier")), (Some(0), Some(2)));

    let target = format!(
        "/loki/api/v1/query_range?direction=backward&end={to}&query=sum%20by%20(level%2C%20detected_level)%20(count_over_time(%7Bapp%3D%22shop%22%7D%20%7C%20drop%20__error__%5B15s%5D))&start={from}&step=15000ms"
    );
    let body = get(&server, &target, &[CATEGORIZE, ("X-Query-Tags", "Source=logvolhist")]).json();
    assert_eq!(body["data"]["resultType"], "matrix");
    assert_eq!(body["data"].get("encodingFlags"), None, "metric answers have none");
    let levels: Vec<_> = body["data"]["result"]
        .as_array()
        .unwrap()
        .iter()
        .map(|series| series["metric"]["detected_level"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(levels, ["error", "unknown"]);
    let point = &body["data"]["result"][0]["values"][0];
    assert!(point[0].is_number() && point[1] == "1", "{point}");

    let target =
        format!("/loki/api/v1/index/stats?query=%7Bapp%3D%22shop%22%7D&start={from}&end={to}");
    let stats = get(&server, &target, &[]).json();
    assert!(["streams", "chunks", "bytes", "entries"].iter().all(|name| stats[name].is_u64()));
    assert_eq!(stats["entries"], 2);
}

#[test]
fn grafana_shows_the_context_of_a_row() {
    let server = start();
    let time = now() - 60_000_000_000;
    let values: Vec<_> =
        (0..5).map(|n| json!([(time + n).to_string(), format!("line {n}")])).collect();
    push(&server, &json!({"app": "shop"}), &json!(values));
    let row = time + 2;
    let (from, to) = (row - 7_200_000_000_000, row + 7_200_000_000_000);
    let query = "query=%7Bapp%3D%22shop%22%7D&limit=10&step=1000ms";
    let lines = |part: &str| {
        let answer =
            get(&server, &format!("/loki/api/v1/query_range?{query}&{part}"), &[CATEGORIZE]);
        let result = answer.json()["data"]["result"].clone();
        let values = result[0]["values"].as_array().unwrap().clone();
        values.iter().map(|value| value[1].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // The row is in the later part and not in the earlier one.
    assert_eq!(lines(&format!("direction=backward&start={from}&end={row}")), ["line 1", "line 0"]);
    assert_eq!(
        lines(&format!("direction=forward&start={row}&end={to}")),
        ["line 2", "line 3", "line 4"]
    );
}

#[test]
fn grafana_goes_live() {
    let server = start();
    // The browser's: only the query, no header for categories.
    let target = "/loki/api/v1/tail?query=%7Bapp%3D%22shop%22%7D%20%7C%20logfmt";
    let headers = [("Origin", "http://localhost:3000"), ("User-Agent", "Mozilla/5.0")];
    let mut tail = Tail::open(server.address(), target, &headers).unwrap();
    push(&server, &json!({"app": "shop"}), &json!([[now().to_string(), "level=warn took=5ms"]]));
    let frame = tail.next().unwrap();
    assert_eq!(frame["streams"][0]["values"][0].as_array().unwrap().len(), 2);
    let stream = &frame["streams"][0]["stream"];
    assert_eq!((&stream["took"], &stream["detected_level"]), (&json!("5ms"), &json!("warn")));
    assert!(frame.get("encodingFlags").is_none() && frame.get("dropped_entries").is_none());
}

#[test]
fn logcli_queries_pages_and_tails() {
    let server = start();
    let time = now() - 60_000_000_000;
    let values: Vec<_> =
        (0..5).map(|n| json!([(time + n).to_string(), format!("line {n}")])).collect();
    push(&server, &json!({"app": "shop"}), &json!(values));
    let agent = ("User-Agent", "loki-logcli/3.7.6");
    let page = |start: i64, end: i64| {
        let target = format!(
            "/loki/api/v1/query_range?direction=BACKWARD&end={end}&interval=0&limit=2&query=%7Bapp%3D%22shop%22%7D&start={start}"
        );
        let body = get(&server, &target, &[agent, CATEGORIZE]).json();
        assert_whole(&body["data"]["stats"], "");
        let values = body["data"]["result"][0]["values"].as_array().cloned().unwrap_or_default();
        let told = values.iter().map(|value| {
            let time: i64 = value[0].as_str().unwrap().parse().unwrap();
            (time, value[1].as_str().unwrap().to_owned())
        });
        told.collect::<Vec<_>>()
    };
    // Batches go on at the last time, which backward is not there again.
    let (mut end, mut lines) = (time + 100, Vec::new());
    while let Some((last, _)) = page(time, end).last().cloned() {
        lines.extend(page(time, end).into_iter().map(|(_, line)| line));
        end = last;
    }
    assert_eq!(lines, ["line 4", "line 3", "line 2", "line 1", "line 0"]);

    let series = get(&server, "/loki/api/v1/series?match=%7Bapp%3D%22shop%22%7D", &[agent]).json();
    assert_eq!(series["data"], json!([{"app": "shop", "service_name": "shop"}]));

    let target = format!(
        "/loki/api/v1/tail?delay_for=0&limit=30&query=%7Bapp%3D%22shop%22%7D&start={}",
        time + 3
    );
    let mut tail = Tail::open(server.address(), &target, &[agent, CATEGORIZE]).unwrap();
    let frame = tail.next().unwrap();
    assert_eq!(frame["encodingFlags"], json!(["categorize-labels"]));
    assert_eq!(common::tail::lines_of(&frame), ["line 3", "line 4"]);
    assert!(frame["streams"][0]["values"][0][2].is_object());
}

/// What loki-canary pushes where it is told to: a stream with its hash and one entry.
fn canary_push(server: &TestServer, time: i64, line: &str) {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Push {
        #[prost(message, repeated, tag = "1")]
        streams: Vec<Stream>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Stream {
        #[prost(string, tag = "1")]
        labels: String,
        #[prost(message, repeated, tag = "2")]
        entries: Vec<timberline::ingest::proto::logproto::EntryAdapter>,
        #[prost(uint64, tag = "3")]
        hash: u64,
    }
    let timestamp = Some(prost_types::Timestamp {
        seconds: time / 1_000_000_000,
        nanos: i32::try_from(time % 1_000_000_000).unwrap(),
    });
    let entry = timberline::ingest::proto::logproto::EntryAdapter {
        timestamp,
        line: line.to_owned(),
        structured_metadata: Vec::new(),
    };
    let labels = r#"{name="loki-canary", stream="stdout"}"#.to_owned();
    let stream = Stream { labels, entries: vec![entry], hash: 0xdead_beef_dead_beef };
    let push = prost::Message::encode_to_vec(&Push { streams: vec![stream] });
    let body = snap::raw::Encoder::new().compress_vec(&push).unwrap();
    let headers = [("Content-Type", "application/x-protobuf"), ("User-Agent", "canary-push/3.7.0")];
    let answer = server.request("POST", "/loki/api/v1/push", &headers, &body);
    assert_eq!((answer.status, answer.text().as_str()), (204, ""));
}

#[test]
fn the_canary_finds_its_lines() {
    let server = start();
    let target = "/loki/api/v1/tail?query=%7Bstream%3D%22stdout%22%2Cname%3D%22loki-canary%22%7D";
    let mut tail = Tail::open(server.address(), target, &[]).unwrap();
    tail.wait_for_pings(1);
    let stream = json!({"stream": "stdout", "name": "loki-canary"});
    let mut sent = Vec::new();
    for number in 0..5 {
        // Some of them late; some the canary pushes itself.
        let time = now() - if number % 2 == 0 { 0 } else { 30_000_000_000 };
        let line = format!("{time} {}", "p".repeat(80));
        match number {
            0..3 => push(&server, &stream, &json!([[time.to_string(), line]])),
            _ => canary_push(&server, time, &line),
        }
        sent.push(line);
    }
    // Those that come close together are sent by their times.
    let mut received = tail.lines(sent.len());
    received.sort();
    sent.sort();
    assert_eq!(received, sent);
    let time = now();
    let target = format!(
        "/loki/api/v1/query_range?direction=BACKWARD&start={}&end={}&limit=1000&query=%7Bstream%3D%22stdout%22%2Cname%3D%22loki-canary%22%7D",
        time - 3_600_000_000_000,
        time + 1_000_000_000
    );
    let found = get(&server, &target, &[("Cache-Control", "no-cache")]).json();
    assert_eq!(found["data"]["result"].as_array().unwrap().len(), 1);
    assert_eq!(found["data"]["result"][0]["values"].as_array().unwrap().len(), sent.len());
    let target = format!(
        "/loki/api/v1/query?query=count_over_time(%7Bstream%3D%22stdout%22%2Cname%3D%22loki-canary%22%7D%5B24h%5D)&time={time}&limit=1000"
    );
    let counted = get(&server, &target, &[("Cache-Control", "no-cache")]).json();
    let result = counted["data"]["result"].as_array().unwrap();
    assert_eq!((result.len(), &result[0]["value"][1]), (1, &json!("5")), "exactly one series");
}

#[test]
fn encoding_flags_are_read_to_the_letter() {
    let server = start();
    let time = now();
    push(&server, &json!({"app": "shop"}), &json!([[time.to_string(), "x"]]));
    let target = "/loki/api/v1/query_range?query=%7Bapp%3D%22shop%22%7D";
    for (flags, echoed, elements) in [
        ("categorize-labels", json!(["categorize-labels"]), 3),
        ("other,categorize-labels", json!(["other", "categorize-labels"]), 3),
        ("other, categorize-labels", json!(["other", " categorize-labels"]), 2),
        ("other", json!(["other"]), 2),
    ] {
        let body = get(&server, target, &[("X-Loki-Response-Encoding-Flags", flags)]).json();
        assert_eq!(body["data"]["encodingFlags"], echoed, "{flags}");
        let value = &body["data"]["result"][0]["values"][0];
        assert_eq!(value.as_array().unwrap().len(), elements, "{flags}");
    }
}

/// What the crate tracing-loki 0.2.7 sends: protobuf as one block of snappy, which it names in the header
/// too, a stream per level, and each event as a JSON object.
#[test]
fn tracing_loki_pushes() {
    use prost::Message as _;
    use timberline::ingest::proto::logproto::{EntryAdapter, PushRequest, StreamAdapter};
    let server = start();
    let time = now();
    let timestamp = Some(prost_types::Timestamp {
        seconds: time / 1_000_000_000,
        nanos: i32::try_from(time % 1_000_000_000).unwrap(),
    });
    let line = r#"{"_file":"src/main.rs","_line":7,"_spans":[],"_target":"shop","message":"paid"}"#;
    let entry = EntryAdapter { timestamp, line: line.to_owned(), structured_metadata: Vec::new() };
    let labels = r#"{host="mine",level="info"}"#.to_owned();
    let push = PushRequest { streams: vec![StreamAdapter { labels, entries: vec![entry] }] };
    let body = snap::raw::Encoder::new().compress_vec(&push.encode_to_vec()).unwrap();
    let headers = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", "snappy")];
    let answer = server.request("POST", "/loki/api/v1/push", &headers, &body);
    assert_eq!((answer.status, answer.text().as_str()), (204, ""));
    let query = r#"{host="mine", level="info"} | json | message="paid""#;
    let found = common::lines(server.address(), query, time - 1, time + 1);
    assert_eq!(found, [(time, line.to_owned())]);
}

/// What promtail and Alloy send, and how they decide what to do: they send again after 429 and 5xx, drop what
/// is refused otherwise, and log the first line of what is wrong.
#[test]
fn promtail_pushes() {
    use prost::Message as _;
    use timberline::ingest::proto::logproto::{EntryAdapter, PushRequest, StreamAdapter};
    let server = TestServer::start(|config| {
        common::accept_any_time(config);
        config.auth_enabled = true;
        config.limits_config.ingest.max_line_size = 1000;
    });
    let time = now();
    let timestamp = Some(prost_types::Timestamp {
        seconds: time / 1_000_000_000,
        nanos: i32::try_from(time % 1_000_000_000).unwrap(),
    });
    let push = |lines: &[&str]| {
        let entries = lines.iter().map(|line| EntryAdapter {
            timestamp,
            line: (*line).to_owned(),
            structured_metadata: Vec::new(),
        });
        let labels = r#"{filename="/var/log/syslog", job="varlogs"}"#.to_owned();
        let push =
            PushRequest { streams: vec![StreamAdapter { labels, entries: entries.collect() }] };
        let body = snap::raw::Encoder::new().compress_vec(&push.encode_to_vec()).unwrap();
        let headers = [
            ("User-Agent", "promtail/3.5.3"),
            ("Content-Type", "application/x-protobuf"),
            ("X-Scope-OrgID", "team"),
        ];
        server.request("POST", "/loki/api/v1/push", &headers, &body)
    };
    let answer = push(&["Nov  1 13:00:00 box cron[7]: done"]);
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    let long = "x".repeat(1001);
    let answer = push(&["kept", &long]);
    assert_eq!(answer.status, 400, "not sent again");
    assert_eq!(
        answer.text().lines().next().unwrap(),
        "max entry size '1000' bytes exceeded for stream '{filename=\"/var/log/syslog\", job=\"varlogs\", service_name=\"varlogs\"}' while adding an entry with length '1001' bytes"
    );
    let target = "/loki/api/v1/query_range?query=%7Bjob%3D%22varlogs%22%7D";
    let found = get(&server, target, &[("X-Scope-OrgID", "team")]).json();
    assert_eq!(found["data"]["result"][0]["values"].as_array().unwrap().len(), 2);
}

#[test]
fn clients_are_told_to_send_again_later() {
    let server = TestServer::start(|config| {
        common::accept_any_time(config);
        config.limits_config.ingest.max_global_streams_per_user = 1;
    });
    push(&server, &json!({"job": "one"}), &json!([[now().to_string(), "x"]]));
    let body =
        json!({"streams": [{"stream": {"job": "two"}, "values": [[now().to_string(), "x"]]}]});
    let answer = server.push(&body.to_string());
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.header("Retry-After").is_some());
}

/// The rest of what Grafana's data source asks: panels, the label browser, annotations, alerts, and a range
/// that it cuts into days.
#[test]
fn grafana_asks_for_labels_instants_and_days() {
    let server = start();
    let (day, time) = (86_400_000_000_000, now() - 60_000_000_000);
    let values: Vec<_> = (0..3)
        .map(|n| json!([(time - n * day).to_string(), format!("level=info day={n} took={n}ms")]))
        .collect();
    push(&server, &json!({"app": "shop", "env": "prod"}), &json!(values));
    let (start, end) = (time - 4 * day, time + 1_000_000_000);
    let window = format!("start={start}&end={end}");
    let selector = "%7Bapp%3D%22shop%22%7D";
    let data = |target: &str| get(&server, target, &[]).json()["data"].clone();
    let labels = data(&format!("/loki/api/v1/labels?{window}&query={selector}"));
    assert_eq!(labels, json!(["app", "env", "service_name"]));
    let values = data(&format!("/loki/api/v1/label/env/values?{window}&query={selector}"));
    assert_eq!(values, json!(["prod"]));
    let shards = get(&server, &format!("/loki/api/v1/label/__stream_shard__/values?{window}"), &[]);
    let none = shards.json().get("data").cloned().unwrap_or_else(|| json!([]));
    assert_eq!(none, json!([]), "no splitting by shards");
    let series = data(&format!("/loki/api/v1/series?match[]={selector}&{window}"));
    assert_eq!(series, json!([{"app": "shop", "env": "prod", "service_name": "shop"}]));

    let instant = format!(
        "/loki/api/v1/query?direction=backward&limit=1000&query=sum(count_over_time({selector}%5B30d%5D))&time={end}"
    );
    for headers in [&[CATEGORIZE][..], &[("FromAlert", "true"), CATEGORIZE]] {
        let body = get(&server, &instant, headers).json();
        assert_eq!(body["data"]["resultType"], "vector");
        let sample = &body["data"]["result"][0];
        assert_eq!((&sample["metric"], &sample["value"][1]), (&json!({}), &json!("3")));
    }
    let logs = format!("/loki/api/v1/query?query={selector}&time={end}");
    let refused = server.request("GET", &logs, &[("FromAlert", "true")], b"");
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.text(),
        "log queries are not supported as an instant query type, please change your query to a range query type"
    );

    // Days, the newest first, that share their bounds: each line comes once.
    let mut lines = Vec::new();
    let mut until = end;
    while until > start {
        let from = (until - day).max(start);
        let target = format!(
            "/loki/api/v1/query_range?direction=backward&end={until}&limit=1000&query={selector}&start={from}&step=60000ms"
        );
        let body = get(&server, &target, &[CATEGORIZE]).json();
        for stream in body["data"]["result"].as_array().unwrap() {
            for value in stream["values"].as_array().unwrap() {
                lines.push(value[1].as_str().unwrap().to_owned());
            }
        }
        until = from;
    }
    let expected: Vec<_> = (0..3).map(|n| format!("level=info day={n} took={n}ms")).collect();
    assert_eq!(lines, expected);
}

/// What logcli's other commands ask.
#[test]
fn logcli_lists_measures_and_deletes() {
    let server = start();
    let time = now() - 60_000_000_000;
    let values: Vec<_> =
        (0..4).map(|n| json!([(time + n).to_string(), format!("level=info n={n}")])).collect();
    push(&server, &json!({"app": "shop"}), &json!(values));
    let agent = ("User-Agent", "loki-logcli/3.7.6");
    let (start, end) = (time - 3_600_000_000_000, time + 1_000_000_000);
    let window = format!("start={start}&end={end}");
    let selector = "%7Bapp%3D%22shop%22%7D";
    let ask = |target: &str| get(&server, target, &[agent]).json();

    let target = format!(
        "/loki/api/v1/query?direction=BACKWARD&limit=30&query=sum(rate({selector}%5B1h%5D))&time={end}"
    );
    let body = ask(&target);
    assert_eq!(body["data"]["resultType"], "vector");
    assert_whole(&body["data"]["stats"], "");
    assert_eq!(
        ask(&format!("/loki/api/v1/labels?{window}"))["data"],
        json!(["app", "service_name"])
    );
    let values = ask(&format!("/loki/api/v1/label/app/values?{window}"));
    assert_eq!(values["data"], json!(["shop"]));
    let stats = ask(&format!("/loki/api/v1/index/stats?{window}&query={selector}"));
    assert_eq!((&stats["streams"], &stats["entries"]), (&json!(1), &json!(4)));
    let more = format!("{window}&query={selector}&limit=30&aggregateBy=series&targetLabels=app");
    let volume = ask(&format!("/loki/api/v1/index/volume?{more}"));
    assert_eq!(volume["data"]["result"][0]["metric"], json!({"app": "shop"}));
    let volume = ask(&format!("/loki/api/v1/index/volume_range?{more}&step=3600"));
    let kind = volume["data"]["resultType"].as_str().unwrap();
    assert!(matches!(kind, "matrix" | "vector"), "{kind}");
    let fields = ask(&format!(
        "/loki/api/v1/detected_fields?{window}&query={selector}&line_limit=1000&limit=100&step=1"
    ));
    assert!(fields["fields"].as_array().unwrap().iter().any(|field| field["label"] == "n"));
    let values = ask(&format!(
        "/loki/api/v1/detected_field/n/values?{window}&query={selector}&line_limit=1000&limit=100"
    ));
    assert_eq!(values["values"].as_array().unwrap().len(), 4);

    let (from, until) = (start / 1_000_000_000, time / 1_000_000_000 + 1);
    let delete = format!("/loki/api/v1/delete?query={selector}&start={from}&end={until}");
    let made = server.request("POST", &delete, &[agent], b"");
    assert_eq!(made.status, 204, "{}", made.text());
    let id = made.header("X-Delete-Request-ID").unwrap().to_owned();
    let answer = server.request("GET", "/loki/api/v1/delete", &[agent], b"");
    let listed = answer.json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["request_id"]), (1, &json!(id)));
    assert!(listed[0]["start_time"].is_u64() && listed[0]["end_time"].is_u64(), "{listed}");
    let gone = ask(&format!("/loki/api/v1/index/stats?{window}&query={selector}"));
    assert_eq!(gone["entries"], 0);
}
