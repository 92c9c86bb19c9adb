//! The paths under `/api/prom`.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use common::TestServer;

const PUSH: &str = r#"{"streams":[{"labels":"{app=\"a\", job=\"x\"}","entries":[{"ts":"2026-11-01T12:00:00.5Z","line":"one <1>"},{"ts":"2026-11-01T12:00:01Z","line":"two"}]}]}"#;

fn server() -> TestServer {
    let server = TestServer::start(common::accept_any_time);
    let json = [("Content-Type", "application/json")];
    let pushed = server.request("POST", "/api/prom/push", &json, PUSH.as_bytes());
    assert_eq!((pushed.status, pushed.text().as_str()), (204, ""));
    server
}

fn ranged<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("start", "2026-11-01T11:00:00Z"), ("end", "2026-11-01T13:00:00Z")], more].concat()
}

#[test]
fn lines_come_back_with_their_labels_as_text() {
    let server = server();
    let query = [("query", r#"{app="a"}"#), ("regexp", r"<\d>")];
    let answer = server.get("/api/prom/query", &ranged(&query));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected = concat!(
        r#"{"streams":[{"labels":"{app=\"a\", detected_level=\"unknown\", job=\"x\", service_name=\"a\"}","#,
        r#""entries":[{"ts":"2026-11-01T12:00:00.5Z","line":"one \u003c1\u003e"}]}],"stats":{"#
    );
    assert!(answer.text().starts_with(expected), "{}", answer.text());
    assert_eq!(answer.json()["stats"]["summary"]["totalEntriesReturned"], 1);
    let metric = server.get("/api/prom/query", &ranged(&[("query", r#"rate({app="a"}[1m])"#)]));
    let text = "legacy endpoints only support streams result type";
    assert_eq!((metric.status, metric.text().as_str()), (400, text));
}

#[test]
fn labels_have_no_envelope() {
    let server = server();
    let names = server.get("/api/prom/label", &ranged(&[])).text();
    assert_eq!(names, "{\"values\":[\"app\",\"job\",\"service_name\"]}\n");
    let values = server.get("/api/prom/label/job/values", &ranged(&[])).text();
    assert_eq!(values, "{\"values\":[\"x\"]}\n");
    assert_eq!(server.get("/api/prom/label/none/values", &ranged(&[])).text(), "{}\n");
    let series = server.get("/api/prom/series", &ranged(&[("match[]", r#"{app="a"}"#)])).json();
    assert_eq!(series["data"][0]["job"], "x");
}

#[test]
fn pushes_are_checked() {
    let server = server();
    let json = [("Content-Type", "application/json")];
    let push = |body: &str| {
        let answer = server.request("POST", "/api/prom/push", &json, body.as_bytes());
        (answer.status, answer.text())
    };
    let (status, text) = push(r#"{"streams":[{"labels":"{a","entries":[]}]}"#);
    assert_eq!(status, 400);
    assert!(text.starts_with("couldn't parse labels: 1:"), "{text}");
    assert_eq!(push("{}").0, 422);
    assert_eq!(push("not json").0, 400);
}
