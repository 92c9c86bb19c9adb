//! The examples of docs/logql.md are true.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::path::Path;

use common::TestServer;
use serde_json::{Value, json};

const SECOND: i64 = 1_793_538_000;
const NANOS: i64 = 1_000_000_000;

/// The contents of fenced blocks of this kind.
fn blocks(text: &str, kind: &str) -> Vec<String> {
    let opening = format!("```{kind}\n");
    let parts = text.split(opening.as_str()).skip(1);
    parts.map(|part| part.split("\n```").next().unwrap().to_owned()).collect()
}

/// What a query answers, a line each.
fn answer(server: &TestServer, query: &str, last: i64) -> String {
    let is_log = query.starts_with('{');
    let (start, end) = ((SECOND * NANOS).to_string(), (last + 1).to_string());
    let mut params = vec![("query", query)];
    let path = if is_log {
        params.extend([("start", start.as_str()), ("end", &end), ("direction", "forward")]);
        "/loki/api/v1/query_range"
    } else {
        params.push(("time", &end));
        "/loki/api/v1/query"
    };
    let answer = server.get(path, &params);
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let result = answer.json()["data"]["result"].clone();
    let mut told: Vec<(i64, String)> = Vec::new();
    for series in result.as_array().unwrap() {
        if is_log {
            let values = series["values"].as_array().unwrap().iter();
            told.extend(values.map(|value| {
                let text = |index: usize| value[index].as_str().unwrap().to_owned();
                (text(0).parse().unwrap(), text(1))
            }));
        } else {
            let labels: Vec<String> = series["metric"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let value = series["value"][1].as_str().unwrap();
            told.push((0, format!("{{{}}} {value}", labels.join(", "))));
        }
    }
    // By time; series by their labels.
    told.sort();
    told.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_example_answers_what_it_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/logql.md");
    let text = std::fs::read_to_string(path).unwrap();
    let server = TestServer::start(common::accept_any_time);
    let lines = blocks(&text, "lines").remove(0);
    let times = (0..).map(|number| (SECOND + number) * NANOS);
    let values: Vec<Value> = times
        .clone()
        .zip(lines.lines())
        .map(|(time, line)| json!([time.to_string(), line]))
        .collect();
    let last = times.take(values.len()).last().unwrap();
    let body = json!({"streams": [{"stream": {"app": "shop"}, "values": values}]});
    assert_eq!(server.push(&body.to_string()).status, 204);
    let examples = blocks(&text, "logql");
    assert!(examples.len() >= 10);
    let mut wrong = String::new();
    for example in examples {
        let (query, expected) = example.split_once("\n=>\n").unwrap();
        let found = answer(&server, query, last);
        if found != expected {
            wrong.push_str(&format!("{query}\nexpected:\n{expected}\nanswered:\n{found}\n\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
