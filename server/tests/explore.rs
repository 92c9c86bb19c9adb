//! The endpoints that Grafana's explorers ask what there is: fields, values, patterns, limits.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use common::{TestServer, with_params};

const PUSH: &str = r#"{"streams":[{"stream":{"app":"a"},"values":[["1793538000000000001","user=7 took=3ms",{"trace_id":"x"}],["1793538000000000002","{\"http\":{\"status\":200}}"]]}]}"#;

fn server() -> TestServer {
    let server = TestServer::start(common::accept_any_time);
    assert_eq!(server.push(PUSH).status, 204);
    server
}

fn ranged<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("start", "1793537000"), ("end", "1793539000")], more].concat()
}

#[test]
fn fields_are_detected() {
    let server = server();
    let params = ranged(&[("query", r#"{app="a"}"#)]);
    let fields = server.get("/loki/api/v1/detected_fields", &params);
    let expected = concat!(
        r#"{"fields":[{"label":"detected_level","type":"string","cardinality":1,"parsers":null},"#,
        r#"{"label":"http_status","type":"int","cardinality":1,"parsers":["json"],"jsonPath":["http","status"]},"#,
        r#"{"label":"took","type":"duration","cardinality":1,"parsers":["logfmt"]},"#,
        r#"{"label":"trace_id","type":"string","cardinality":1,"parsers":null},"#,
        r#"{"label":"user","type":"int","cardinality":1,"parsers":["logfmt"]}],"limit":1000}"#,
        "\n"
    );
    assert_eq!((fields.status, fields.text().as_str()), (200, expected));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = with_params("", &params);
    let body = body.trim_start_matches('?').as_bytes();
    let posted = server.request("POST", "/loki/api/v1/detected_fields", &form, body);
    assert_eq!(posted.text(), expected);
    let newest = ranged(&[("query", r#"{app="a"}"#), ("line_limit", "1"), ("field_limit", "3")]);
    let newest = server.get("/loki/api/v1/detected_fields", &newest).json();
    assert_eq!(newest["fields"].as_array().unwrap().len(), 2);
    assert_eq!(newest["limit"], 3);
    let none = server.get("/loki/api/v1/detected_fields", &[("query", r#"{app="none"}"#)]);
    assert_eq!((none.status, none.text().as_str()), (200, "{}\n"));
}

#[test]
fn values_of_a_field() {
    let server = server();
    let params = ranged(&[("query", r#"{app="a"} | logfmt"#)]);
    let values = |name: &str| {
        server.get(&format!("/loki/api/v1/detected_field/{name}/values"), &params).text()
    };
    assert_eq!(values("took"), "{\"values\":[\"3ms\"],\"limit\":1000}\n");
    assert_eq!(values("trace%5Fid"), "{\"values\":[\"x\"],\"limit\":1000}\n");
    assert_eq!(values("none"), "{}\n");
}

#[test]
fn what_is_wrong_with_a_request_for_fields() {
    let server = server();
    for (more, text) in [
        (("line_limit", "0"), "limit must be a positive value"),
        (("limit", "-1"), "limit must be a positive value"),
        (("query", "rate({a=\"b\"}[1m])"), "only log selector is supported"),
        (("end", "1"), "end timestamp must not be before or equal to start time"),
        (
            ("line_limit", "5001"),
            "max entries limit per query exceeded, limit > max_entries_limit_per_query (5001 > 5000)",
        ),
    ] {
        let params = [&[more], ranged(&[("query", r#"{app="a"}"#)]).as_slice()].concat();
        let answer = server.get("/loki/api/v1/detected_fields", &params);
        assert_eq!((answer.status, answer.text().as_str()), (400, text), "{more:?}");
    }
}

#[test]
fn limits_are_told() {
    let server = TestServer::start(|config| {
        config.auth_enabled = true;
        config.limits_config.query.max_query_series = 77;
    });
    let answer = server.get("/loki/api/v1/drilldown-limits", &[]);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let json = answer.json();
    let limits = &json["limits"];
    assert_eq!(limits["max_query_series"], 77);
    assert_eq!(limits["max_query_length"], "30d1h");
    assert_eq!(limits["query_timeout"], "1m");
    assert_eq!(limits["discover_service_name"][0], "service");
    assert_eq!(limits["log_level_fields"][0], "level");
    assert_eq!(json["version"], "3.7.0");
    assert_eq!(server.get("/config/tenant/v1/limits", &[]).status, 401);
    let header = [("X-Scope-OrgID", "a")];
    let yaml = server.request("GET", "/config/tenant/v1/limits", &header, b"").text();
    assert!(yaml.contains("max_query_series: 77\n"), "{yaml}");
    assert_eq!(server.get("/loki/api/v1/index/shards", &[]).status, 404);
}

#[test]
fn patterns_are_mined() {
    let server = TestServer::start(common::accept_any_time);
    let push = r#"{"streams":[{"stream":{"app":"a"},"values":[["1793538001000000000","level=info user alice took 3ms"],["1793538002000000000","level=info user bob took 42ms"],["1793538013000000000","level=info user eve took 1ms"],["1793538013000000000","level=error out of disk"]]}]}"#;
    assert_eq!(server.push(push).status, 204);
    let found =
        server.get("/loki/api/v1/patterns", &ranged(&[("query", r#"{app="a"}"#), ("step", "1")]));
    let expected = concat!(
        r#"{"status":"success","data":[{"pattern":"level=info user \u003c_\u003e took \u003c_\u003e","#,
        r#""level":"info","samples":[[1793538000,2],[1793538010,1]]},"#,
        r#"{"pattern":"level=error out of disk","level":"error","samples":[[1793538010,1]]}]}"#,
        "\n"
    );
    assert_eq!((found.status, found.text().as_str()), (200, expected));
    // The pattern filter takes the pattern.
    let query = r#"{app="a"} |> "level=info user <_> took <_>""#;
    let lines = server.get("/loki/api/v1/query_range", &ranged(&[("query", query)])).json();
    assert_eq!(lines["data"]["stats"]["summary"]["totalEntriesReturned"], 3);
    let none = server.get("/loki/api/v1/patterns", &ranged(&[("query", r#"{app="b"}"#)]));
    assert_eq!(none.text(), "{\"status\":\"success\",\"data\":[]}\n");
    let piped = ranged(&[("query", r#"{app="a"} | json"#)]);
    assert_eq!(server.get("/loki/api/v1/patterns", &piped).status, 400);
}
