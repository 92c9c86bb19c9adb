//! Groups of rules: set over HTTP and in files, shown, and refused.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::common::fake::wait_for;
use super::common::{TestServer, request};
use super::{ACCEPTED, GROUPS, first_rule, server_with, set, set_well};

#[test]
fn groups_are_set_shown_and_deleted() {
    let server = server_with(&[], |_| {});
    let call = |method: &str, path: &str, body: &str| {
        let answer = server.request(method, path, &[], body.as_bytes());
        (answer.status, answer.text())
    };
    let found = |status: u16, text: &str| (status, text.to_owned());
    for base in [GROUPS, "/api/prom/rules"] {
        let none = found(404, "no rule groups found\n");
        assert_eq!(call("GET", base, ""), none);
        assert_eq!(call("GET", &format!("{base}/ns"), ""), none);
        assert_eq!(call("GET", &format!("{base}/ns/g"), ""), found(404, "group does not exist\n"));
        assert_eq!(
            call("DELETE", &format!("{base}/ns/g"), ""),
            found(404, "group does not exist\n")
        );
        let no_namespace = found(404, "group namespace does not exist\n");
        assert_eq!(call("DELETE", &format!("{base}/ns"), ""), no_namespace);

        let group = "name: g\ninterval: 1d\nlimit: 3\nrules:\n- record: a:b\n  expr: vector(1)\n  labels:\n    a: b\n";
        let other = "name: h\nrules:\n- alert: X\n  expr: vector(0) > 1\n  for: 90s\n  annotations: {s: '{{ $value }}'}\n";
        assert_eq!(call("POST", &format!("{base}/n%20s"), group), found(202, ACCEPTED));
        assert_eq!(call("POST", &format!("{base}/n%20s"), other), found(202, ACCEPTED));
        assert_eq!(call("POST", &format!("{base}/other"), other), found(202, ACCEPTED));

        let answer = server.get(&format!("{base}/n%20s/g"), &[]);
        assert_eq!(answer.header("content-type"), Some("application/yaml"));
        assert_eq!((answer.status, answer.text().as_str()), (200, group));
        let (status, text) = call("GET", &format!("{base}/n%20s"), "");
        assert_eq!(status, 200);
        assert!(text.starts_with("n s:\n") && text.contains("for: 1m30s"), "{text}");
        assert!(!text.contains("other:"), "{text}");
        let (_, text) = call("GET", base, "");
        assert!(text.contains("n s:\n") && text.contains("other:\n"), "{text}");
        let (_, text) = call("GET", &format!("{base}?labels=a:b"), "");
        assert!(text.contains("a:b") && !text.contains("alert"), "{text}");
        assert_eq!(call("GET", &format!("{base}?labels=a:c"), "").0, 404);

        assert_eq!(call("DELETE", &format!("{base}/n%20s/g"), ""), found(202, ACCEPTED));
        assert_eq!(call("GET", &format!("{base}/n%20s/g"), "").0, 404);
        assert_eq!(call("DELETE", &format!("{base}/n%20s/h"), ""), found(202, ACCEPTED));
        assert_eq!(call("GET", &format!("{base}/n%20s"), ""), none);
        assert_eq!(call("DELETE", &format!("{base}/other"), ""), found(202, ACCEPTED));
        assert_eq!(call("GET", base, ""), none);
    }
}

#[test]
fn bad_groups_are_refused() {
    let server = server_with(&[], |_| {});
    for (body, text) in [
        (
            "name: g\nrules: [{alert: X, expr: 'sum(rate({a=\"b\"}[1m]))) > 1'}]",
            "could not parse expression for alert 'X' in group 'g': parse error at line 1, col 23",
        ),
        ("name: g\nrules: [{record: a b, expr: vector(1)}]", "invalid recording rule name: a b\n"),
        (
            "name: ''\nrules: [{alert: X}]",
            "group 0: Groupname should not be empty, field 'expr' must be set in rule\n",
        ),
        (
            "name: g\nrules: [{alert: X, expr: vector(1), fro: 5m}]",
            "unable to decoded rule group: ",
        ),
        ("- what", "unable to decoded rule group: "),
        ("name: g\nrules: [{alert: X, expr: '{a=\"b\"}'}]", "could not parse expression for alert"),
    ] {
        let answer = set(&server, "ns", body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text().starts_with(text), "{body}: {}", answer.text());
    }
    for namespace in ["..", "%2e%2e", "a%2F..%2Fb", "%2Fetc"] {
        let answer = set(&server, namespace, "name: g\nrules: []");
        assert!(matches!(answer.status, 400 | 404), "{namespace}: {}", answer.status);
    }
    for name in ["a/..", "a//b", "/"] {
        let answer = set(&server, "ns", &format!("name: {name}\nrules: []"));
        let text = format!("'{name}' cannot be the name of a namespace or group\n");
        assert_eq!((answer.status, answer.text()), (400, text));
    }
    assert_eq!(server.get(GROUPS, &[]).status, 404, "nothing was stored");
    let answer = server.get("/prometheus/api/v1/rules", &[("type", "both")]);
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["errorType"], "bad_data");
}

#[test]
fn tenants_have_so_many_rules() {
    let server = server_with(&[], |config| {
        config.limits_config.ruler.ruler_max_rules_per_rule_group = 1;
        config.limits_config.ruler.ruler_max_rule_groups_per_tenant = 1;
    });
    let rule = "{record: a, expr: vector(1)}";
    let answer = set(&server, "n", &format!("name: g\nrules: [{rule}, {rule}]"));
    let text = "per-user rules per rule group limit (limit: 1 actual: 2) exceeded\n";
    assert_eq!((answer.status, answer.text().as_str()), (400, text));
    set_well(&server, "n", &format!("name: g\nrules: [{rule}]"));
    set_well(&server, "n", "name: g\nrules: []");
    let answer = set(&server, "m", "name: g\nrules: []");
    let text = "per-user rule groups limit (limit: 1 actual: 2) exceeded\n";
    assert_eq!((answer.status, answer.text().as_str()), (400, text));
}

#[test]
fn files_are_followed_and_bad_ones_change_nothing() {
    let directory = TempDir::new().unwrap();
    let rules = directory.path().to_owned();
    let server = server_with(&[], |config| config.ruler.rule_path.clone_from(&rules));
    let path = rules.join("mine.yaml");
    let file = |name: &str, expr: &str| {
        let text = format!("groups: [{{name: g, rules: [{{record: {name}, expr: {expr}}}]}}]");
        std::fs::write(&path, text).unwrap();
    };
    let name = || first_rule(&server).map(|rule| rule["name"].as_str().unwrap().to_owned());
    let is_well = |value: &str| {
        let line = format!("loki_ruler_config_last_reload_successful{{user=\"fake\"}} {value}\n");
        server.get("/metrics", &[]).text().contains(&line).then_some(())
    };
    file("a", "vector(1)");
    wait_for("the file", || name().filter(|name| name == "a"));
    file("b", "vector(");
    wait_for("the complaint", || is_well("0"));
    assert_eq!(name().as_deref(), Some("a"));
    let answer = set(&server, "mine", "name: h\nrules: []");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("mine.yaml") && answer.text().contains("rule 1, \"b\""));
    file("c", "vector(2)");
    wait_for("the mended file", || name().filter(|name| name == "c"));
    wait_for("peace", || is_well("1"));
    std::fs::remove_file(&path).unwrap();
    wait_for("nothing", || name().is_none().then_some(()));
}

#[test]
fn rules_are_shown_as_prometheus_does() {
    let server = server_with(&[], |_| {});
    let empty = server.get("/prometheus/api/v1/rules", &[]).text();
    assert_eq!(empty, r#"{"status":"success","data":{"groups":[]},"errorType":"","error":""}"#);
    let empty = server.get("/prometheus/api/v1/alerts", &[]).text();
    assert_eq!(empty, r#"{"status":"success","data":{"alerts":[]},"errorType":"","error":""}"#);
    set_well(
        &server,
        "b",
        "name: g\ninterval: 200ms\nlimit: 9\nrules: [{alert: X, expr: vector(1), for: 1m30s, keep_firing_for: 5m, \
         labels: {l: '1'}, annotations: {a: '2'}}, {record: r, expr: vector(2)}]",
    );
    set_well(&server, "a", "name: z\ninterval: 1d\nrules: [{record: s, expr: vector(3)}]");
    let groups = |params: &[(&str, &str)]| {
        let answer = server.get("/prometheus/api/v1/rules", params).json();
        answer["data"]["groups"].as_array().unwrap().clone()
    };
    let all = wait_for("an evaluation", || {
        Some(groups(&[])).filter(|groups| {
            groups.len() == 2 && groups[1]["lastEvaluation"] != "0001-01-01T00:00:00Z"
        })
    });
    assert_eq!(all[0]["rules"][0]["health"], "unknown");
    // Keys in Prometheus's order, and whole numbers as Go prints them.
    let text = server.get("/prometheus/api/v1/rules", &[("file", "a")]).text();
    let never = "\"lastEvaluation\":\"0001-01-01T00:00:00Z\",\"evaluationTime\":0";
    let expected = format!(
        "{{\"groups\":[{{\"name\":\"z\",\"file\":\"a\",\"rules\":[{{\"name\":\"s\",\"query\":\"vector(3)\",\"labels\":{{}},\
         \"health\":\"unknown\",\"lastError\":\"\",\"type\":\"recording\",{never}}}],\"interval\":86400,\"limit\":0,{never}}}]}}"
    );
    assert!(text.contains(&expected), "{text}");
    let mut group = all[1].clone();
    let take = |value: &mut Value, names: &[&str]| {
        for name in names {
            let taken = value.as_object_mut().unwrap().remove(*name);
            assert!(taken.is_some(), "{name}");
        }
    };
    let of_time = ["evaluationTime", "lastEvaluation"];
    take(&mut group, &of_time);
    take(&mut group["rules"][0], &of_time);
    take(&mut group["rules"][1], &of_time);
    take(&mut group["rules"][0]["alerts"][0], &["activeAt"]);
    let labels = json!({"alertname": "X", "l": "1"});
    let expected = json!({
        "name": "g", "file": "b", "interval": 0.2, "limit": 9,
        "rules": [{
            "state": "pending", "name": "X", "query": "vector(1)", "duration": 90, "keepFiringFor": 300,
            "labels": {"l": "1"}, "annotations": {"a": "2"},
            "alerts": [{"labels": labels, "annotations": {"a": "2"}, "state": "pending", "value": "1e+00"}],
            "health": "ok", "lastError": "", "type": "alerting",
        }, {
            "name": "r", "query": "vector(2)", "labels": {}, "health": "ok", "lastError": "", "type": "recording",
        }],
    });
    assert_eq!(group, expected);
    let names = |params: &[(&str, &str)]| -> String {
        let groups = groups(params);
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        rules.map(|rule| rule["name"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    for (params, found) in [
        (&[][..], "s X r"),
        (&[("type", "alert")], "X"),
        (&[("type", "record")], "s r"),
        (&[("file[]", "a")], "s"),
        (&[("rule_group[]", "g"), ("rule_name[]", "r"), ("rule_name[]", "s")], "r"),
        (&[("rule_name", "s")], "s"),
        (&[("file", "c")], ""),
    ] {
        assert_eq!(names(params), found, "{params:?}");
    }
}

#[test]
fn without_a_ruler_there_are_no_rules() {
    let server = TestServer::start(|_| {});
    for (method, path) in [
        ("GET", GROUPS),
        ("GET", "/api/prom/rules"),
        ("POST", "/loki/api/v1/rules/ns"),
        ("DELETE", "/loki/api/v1/rules/ns/g"),
        ("GET", "/prometheus/api/v1/rules"),
        ("GET", "/prometheus/api/v1/alerts"),
    ] {
        let answer = server.request(method, path, &[], b"");
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (404, "404 page not found\n"),
            "{path}"
        );
    }
}

#[test]
fn rules_need_rights() {
    let directory = TempDir::new().unwrap();
    let credentials = directory.path().join("credentials.yaml");
    let hash = timberline::access::hash_secret(b"s").unwrap();
    let text = format!(
        "credentials:\n- {{name: reader, hash: '{hash}', rights: [read]}}\n\
         - {{name: boss, hash: '{hash}', rights: [admin]}}\n"
    );
    std::fs::write(&credentials, text).unwrap();
    let server = server_with(&[], |config| config.server.credentials_file = credentials);
    let call = |method: &str, path: &str, name: &str| {
        let bearer = format!("Bearer {name}.s");
        let headers = [("Authorization", bearer.as_str())];
        request(server.address(), method, path, &headers, b"name: g\nrules: []").status
    };
    let namespace = format!("{GROUPS}/n");
    assert_eq!(call("POST", &namespace, "reader"), 403);
    assert_eq!(call("POST", &namespace, "boss"), 202);
    assert_eq!(call("GET", &namespace, "reader"), 200);
    assert_eq!(call("GET", "/prometheus/api/v1/rules", "reader"), 200);
    assert_eq!(call("DELETE", &namespace, "reader"), 403);
    assert_eq!(call("DELETE", &namespace, "boss"), 202);
}
