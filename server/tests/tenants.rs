//! Tenants: nobody sees another's entries, several may be read together, each has its limits.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use common::{Response, TestServer, with_params};
use serde_json::{Value, json};
use timberline::config::Config;

const SECOND: i64 = 1_793_538_000;

/// Every endpoint that reads, with parameters that find what [`push`] pushed.
const READS: [(&str, &[(&str, &str)]); 17] = [
    ("/loki/api/v1/query_range", &[("query", "{app=~\".+\"}")]),
    ("/loki/api/v1/query", &[("query", "count_over_time({app=~\".+\"}[1h])")]),
    ("/loki/api/v1/labels", &[]),
    ("/loki/api/v1/label", &[]),
    ("/loki/api/v1/label/app/values", &[]),
    ("/loki/api/v1/series", &[]),
    ("/loki/api/v1/index/stats", &[("query", "{app=~\".+\"}")]),
    ("/loki/api/v1/index/volume", &[("query", "{}")]),
    ("/loki/api/v1/index/volume_range", &[("query", "{}")]),
    ("/loki/api/v1/patterns", &[("query", "{app=~\".+\"}")]),
    ("/loki/api/v1/detected_labels", &[]),
    ("/loki/api/v1/detected_fields", &[("query", "{app=~\".+\"}")]),
    ("/loki/api/v1/detected_field/owner/values", &[("query", "{app=~\".+\"}")]),
    ("/api/prom/query", &[("query", "{app=~\".+\"}")]),
    ("/api/prom/label", &[]),
    ("/api/prom/label/app/values", &[]),
    ("/api/prom/series", &[]),
];

fn server(change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(|config| {
        common::accept_any_time(config);
        config.auth_enabled = true;
        change(config);
    })
}

fn several(config: &mut Config) {
    config.querier.multi_tenant_queries_enabled = true;
}

/// Pushes a line that says whose it is to `{app="of-TENANT", shared="x", of_TENANT="1"}`.
fn push(server: &TestServer, tenant: &str) -> Response {
    let stream = json!({"app": format!("of-{tenant}"), "shared": "x", format!("of_{tenant}"): "1"});
    let line = format!("owner=secret-{tenant} words words words");
    let values = json!([[format!("{SECOND}000000000"), line]]);
    let body = json!({"streams": [{"stream": stream, "values": values}]}).to_string();
    let headers = [("Content-Type", "application/json"), ("X-Scope-OrgID", tenant)];
    server.request("POST", "/loki/api/v1/push", &headers, body.as_bytes())
}

fn get(server: &TestServer, tenant: &str, path: &str, params: &[(&str, &str)]) -> Response {
    let (start, end) = ((SECOND - 60).to_string(), (SECOND + 60).to_string());
    let mut params = params.to_vec();
    params.extend([("start", start.as_str()), ("end", &end), ("time", &end)]);
    server.request("GET", &with_params(path, &params), &[("X-Scope-OrgID", tenant)], b"")
}

fn json_of(server: &TestServer, tenant: &str, path: &str, params: &[(&str, &str)]) -> Value {
    let answer = get(server, tenant, path, params);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

#[test]
fn tenants_see_their_own_entries_and_no_others() {
    let server = server(several);
    for tenant in ["a", "b"] {
        assert_eq!(push(&server, tenant).status, 204);
    }
    for flushed in [false, true] {
        for (path, params) in READS {
            let alone = get(&server, "a", path, params);
            assert_eq!(alone.status, 200, "{path}: {}", alone.text());
            let text = alone.text();
            for foreign in ["of-b", "of_b", "secret-b"] {
                assert!(!text.contains(foreign), "{path}, flushed {flushed}: {text}");
            }
            let stranger = get(&server, "c", path, params).text();
            for foreign in ["of-a", "of_a", "secret-a", "of-b", "of_b", "secret-b"] {
                assert!(!stranger.contains(foreign), "{path}, flushed {flushed}: {stranger}");
            }
        }
        let entries = |tenant| {
            json_of(&server, tenant, "/loki/api/v1/index/stats", &[("query", "{shared=\"x\"}")])
                ["entries"]
                .clone()
        };
        assert_eq!(["a", "b", "c", "a|b"].map(entries), [1, 1, 0, 2]);
        assert_eq!(server.request("POST", "/flush", &[], b"").status, 204);
    }
}

#[test]
fn requests_must_name_one_tenant_in_one_way() {
    let server = server(|_| {});
    let push = |headers: &[(&str, &str)]| {
        let mut all = vec![("Content-Type", "application/json")];
        all.extend(headers);
        server.request("POST", "/loki/api/v1/push", &all, br#"{"streams":[]}"#)
    };
    let read =
        |headers: &[(&str, &str)]| server.request("GET", "/loki/api/v1/labels", headers, b"");
    let long = "x".repeat(151);
    for (headers, status, text) in [
        (&[][..], 401, "no org id\n"),
        (&[("X-Scope-OrgID", "")], 401, "no org id\n"),
        (&[("X-Scope-OrgID", "a|b")], 400, "multiple org IDs present\n"),
        (&[("X-Scope-OrgID", "a"), ("X-Scope-OrgID", "b")], 400, "multiple org IDs present\n"),
        (
            &[("X-Scope-OrgID", "a/../b")],
            400,
            "tenant ID 'a/../b' contains unsupported character '/'\n",
        ),
        (&[("X-Scope-OrgID", "..")], 400, "tenant ID is '.' or '..'\n"),
        (&[("X-Scope-OrgID", &long)], 400, "tenant ID is too long: max 150 characters\n"),
    ] {
        for answer in [push(headers), read(headers)] {
            assert_eq!((answer.status, answer.text().as_str()), (status, text), "{headers:?}");
        }
    }
    assert_eq!(push(&[("X-Scope-OrgID", "a|a:x")]).status, 422, "one tenant, and no streams");
    let open = ["/ready", "/metrics", "/services", "/log_level", "/loki/api/v1/status/buildinfo"];
    for path in open {
        assert_eq!(server.get(path, &[]).status, 200, "{path}");
    }
    let answer = get(&server, "a|b", "/loki/api/v1/drilldown-limits", &[]);
    assert_eq!(answer.status, 400);
    for (path, params) in READS {
        let answer = server.request("GET", &with_params(path, params), &[], b"");
        assert_eq!((answer.status, answer.text().as_str()), (401, "no org id\n"), "{path}");
        let answer = get(&server, "a|b", path, params);
        let text = "multiple org IDs present\n";
        assert_eq!((answer.status, answer.text().as_str()), (400, text), "{path}");
    }
}

#[test]
fn several_tenants_are_read_together() {
    let server = server(several);
    for tenant in ["a", "b", "c"] {
        assert_eq!(push(&server, tenant).status, 204);
    }
    let both = |path: &str, params: &[(&str, &str)]| json_of(&server, "b|a", path, params);
    let streams = |query: &str| -> Vec<String> {
        let answer = both("/loki/api/v1/query_range", &[("query", query)]);
        let streams = answer["data"]["result"].as_array().unwrap().clone();
        let name = |stream: &Value| {
            format!("{} {}", stream["stream"]["__tenant_id__"], stream["stream"]["app"])
        };
        streams.iter().map(name).collect()
    };
    let (a, b) = (r#""a" "of-a""#, r#""b" "of-b""#);
    assert_eq!(streams(r#"{shared="x"}"#), [a, b]);
    assert_eq!(streams(r#"{shared="x", __tenant_id__="a"}"#), [a]);
    assert_eq!(streams(r#"{__tenant_id__!="a", shared="x"}"#), [b]);
    assert_eq!(streams(r#"{__tenant_id__=~"a|c"}"#), [a], "c was not asked for");
    assert_eq!(streams(r#"{shared="x", __tenant_id__="c"}"#), [""; 0]);
    assert_eq!(streams(r#"{shared="x"} | __tenant_id__="b""#), [b]);

    let vector =
        |query: &str| both("/loki/api/v1/query", &[("query", query)])["data"]["result"].clone();
    let at = SECOND + 60;
    assert_eq!(
        vector(r#"sum(count_over_time({shared="x"}[1h]))"#),
        json!([{"metric": {}, "value": [at, "2"]}])
    );
    assert_eq!(
        vector(r#"sum by (__tenant_id__) (count_over_time({shared="x"}[1h]))"#),
        json!([
            {"metric": {"__tenant_id__": "a"}, "value": [at, "1"]},
            {"metric": {"__tenant_id__": "b"}, "value": [at, "1"]},
        ])
    );
    let labels = json!(["__tenant_id__", "app", "of_a", "of_b", "service_name", "shared"]);
    assert_eq!(both("/loki/api/v1/labels", &[])["data"], labels);
    let values =
        |name: &str| both(&format!("/loki/api/v1/label/{name}/values"), &[])["data"].clone();
    assert_eq!(values("app"), json!(["of-a", "of-b"]));
    assert_eq!(values("__tenant_id__"), json!(["a", "b"]));
    let alone = json_of(&server, "a", "/loki/api/v1/label/__tenant_id__/values", &[]);
    assert_eq!(alone["data"], json!(["a"]));
    let series = both("/loki/api/v1/series", &[("match[]", "{app=\"of-b\"}")]);
    assert_eq!(series["data"][0]["__tenant_id__"], "b");
    assert_eq!(series["data"].as_array().unwrap().len(), 1);
    let volume = both("/loki/api/v1/index/volume", &[("query", "{shared=\"x\"}")]);
    assert_eq!(volume["data"]["result"].as_array().unwrap().len(), 1, "{volume}");
    assert_eq!(volume["data"]["result"][0]["metric"], json!({"shared": "x"}));
    let stats = both("/loki/api/v1/index/stats", &[("query", "{shared=\"x\"}")]);
    assert_eq!((&stats["streams"], &stats["entries"]), (&json!(2), &json!(2)));
    let patterns = both("/loki/api/v1/patterns", &[("query", "{shared=\"x\"}")]);
    let samples = patterns["data"].as_array().unwrap().iter();
    let count: i64 = samples.map(|pattern| pattern["samples"][0][1].as_i64().unwrap()).sum();
    assert_eq!(count, 2, "{patterns}");
    let labels = both("/loki/api/v1/detected_labels", &[]).to_string();
    assert!(labels.contains("shared") && !labels.contains("__tenant_id__"), "{labels}");
    let values = both("/loki/api/v1/detected_field/owner/values", &[("query", "{shared=\"x\"}")]);
    assert_eq!(values["values"], json!(["secret-a", "secret-b"]));
    assert_eq!(push(&server, "a|b").text(), "multiple org IDs present\n");
}

#[test]
fn tenants_have_their_own_limits() {
    let overrides = json!({
        "small": {"max_entries_limit_per_query": 5, "max_line_size": 10},
        "slow": {"ingestion_rate_mb": 0.000_01, "ingestion_burst_size_mb": 0.000_05},
    });
    let server = server(|config| {
        several(config);
        config.overrides = serde_json::from_value(overrides).unwrap();
    });
    assert_eq!(push(&server, "other").status, 204);
    let refused = push(&server, "small");
    assert!(refused.text().starts_with("max entry size '10' bytes exceeded"), "{}", refused.text());
    assert_eq!(push(&server, "slow").status, 204);
    let refused = push(&server, "slow");
    assert_eq!(refused.status, 429, "{}", refused.text());
    let wait: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!(wait >= 1);
    let query = [("query", "{app=\"x\"}"), ("limit", "6")];
    for (tenants, status) in [("other", 200), ("small", 400), ("other|small", 400)] {
        let answer = get(&server, tenants, "/loki/api/v1/query_range", &query);
        assert_eq!(answer.status, status, "{tenants}: {}", answer.text());
    }
    let limits = json_of(&server, "small", "/loki/api/v1/drilldown-limits", &[]);
    assert_eq!(limits["limits"]["max_entries_limit_per_query"], 5);
    let limits = get(&server, "small", "/config/tenant/v1/limits", &[]).text();
    assert!(limits.contains("max_line_size: \"10B\"\n"), "{limits}");
}
