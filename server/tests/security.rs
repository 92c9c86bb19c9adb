//! Who is let in, and what those who mean harm can do: nothing, and the server goes on.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::tail::Tail;
use common::{Response, TestServer, grpc};
use serde_json::{Value, json};
use tempfile::TempDir;
use timberline::access::hash_secret;
use timberline::config::Config;
use tonic::Code;

const SECOND: i64 = 1_793_538_000;
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Credentials of every kind, for two tenants; the secret is `s3cret` for all.
fn credentials(directory: &TempDir) -> std::path::PathBuf {
    let hash = hash_secret(b"s3cret").unwrap();
    let mut text = String::from("credentials:\n");
    for (name, rights, tenants) in [
        ("read-a", "read", "a"),
        ("write-a", "write", "a"),
        ("admin-a", "admin", "a"),
        ("read-b", "read", "b"),
        ("write-b", "write", "b"),
        ("root", "read, write, admin", "'*'"),
    ] {
        text.push_str(&format!(
            "- {{name: {name}, hash: '{hash}', rights: [{rights}], tenants: [{tenants}]}}\n"
        ));
    }
    let path = directory.path().join("credentials.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

/// A server that asks for credentials.
fn guarded(directory: &TempDir, change: impl FnOnce(&mut Config)) -> TestServer {
    let file = credentials(directory);
    TestServer::start(|config| {
        common::accept_any_time(config);
        config.auth_enabled = true;
        config.querier.multi_tenant_queries_enabled = true;
        config.server.credentials_file = file;
        change(config);
    })
}

fn bearer(name: &str) -> String {
    format!("Bearer {name}.s3cret")
}

fn ask(
    server: &TestServer,
    name: &str,
    (method, target): (&str, &str),
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let authorization = bearer(name);
    let mut all = vec![("Authorization", authorization.as_str())];
    all.extend(headers);
    server.request(method, target, &all, body)
}

fn push_body(line: &str) -> Vec<u8> {
    let values = json!([[format!("{SECOND}000000000"), line]]);
    json!({"streams": [{"stream": {"app": "x"}, "values": values}]}).to_string().into_bytes()
}

fn window(query: &str) -> String {
    let (start, end) = ((SECOND - 60).to_string(), (SECOND + 60).to_string());
    let params = [("query", query), ("start", &start), ("end", &end), ("time", &end)];
    form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish()
}

/// Every method and path there is, as the server describes itself, and what has no description.
fn operations(server: &TestServer) -> Vec<(String, String)> {
    let description = ask(server, "root", ("GET", "/openapi.json"), &[], b"").json();
    let mut all = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let path = path.replace("{name}", "app");
        for method in methods.as_object().unwrap().keys() {
            all.push((method.to_uppercase(), path.clone()));
        }
    }
    all.push(("POST".to_owned(), "/logproto.Pusher/Push".to_owned()));
    all.push(("GET".to_owned(), "/no/such/path".to_owned()));
    all.push(("PATCH".to_owned(), "/loki/api/v1/labels".to_owned()));
    assert!(all.len() > 40);
    all
}

#[test]
fn nothing_is_answered_without_credentials() {
    let directory = TempDir::new().unwrap();
    let server = guarded(&directory, |_| {});
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let wrong = [bearer("root") + "x", basic("root:wrong"), basic("nobody:s3cret"), "x".to_owned()];
    for (method, path) in operations(&server) {
        let tenant = ("X-Scope-OrgID", "a");
        let answer = server.request(&method, &path, &[tenant, JSON], b"{}");
        if path == "/ready" {
            assert_eq!(answer.status, 200);
            continue;
        }
        let text = if method == "HEAD" { "" } else { "no credentials\n" };
        assert_eq!((answer.status, &*answer.text()), (401, text), "{method} {path}");
        let realm = "Basic realm=\"timberline\", charset=\"UTF-8\"";
        assert_eq!(answer.header("WWW-Authenticate"), Some(realm));
    }
    let grpc = [("Content-Type", "application/grpc")];
    let answer = server.request("POST", "/logproto.Pusher/Push", &grpc, b"");
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("16")));
    assert_eq!(answer.header("grpc-message"), Some("no%20credentials"));
    for shown in wrong {
        let headers = [("Authorization", shown.as_str()), ("X-Scope-OrgID", "a")];
        let answer = server.request("GET", "/loki/api/v1/labels", &headers, b"");
        let told = (answer.status, answer.text());
        assert_eq!(told, (401, "wrong credentials\n".to_owned()), "{shown}");
    }
    let right = basic("read-a:s3cret");
    let answer = server.request("GET", "/loki/api/v1/labels", &[("Authorization", &right)], b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn rights_are_what_they_say() {
    let directory = TempDir::new().unwrap();
    let server = guarded(&directory, |_| {});
    let push = ("POST", "/loki/api/v1/push");
    for (name, operation, status) in [
        ("read-a", ("GET", "/loki/api/v1/labels"), 200),
        ("read-a", push, 403),
        ("read-a", ("POST", "/flush"), 403),
        ("read-a", ("GET", "/metrics"), 403),
        ("read-a", ("GET", "/config"), 403),
        ("read-a", ("GET", "/loki/api/v1/status/buildinfo"), 200),
        ("write-a", push, 204),
        ("write-a", ("GET", "/loki/api/v1/labels"), 403),
        ("write-a", ("POST", "/log_level"), 403),
        ("admin-a", ("GET", "/loki/api/v1/labels"), 403),
        ("admin-a", ("POST", "/flush"), 403),
        ("admin-a", ("GET", "/metrics"), 403),
        ("root", ("GET", "/metrics"), 200),
        ("root", ("POST", "/flush"), 204),
        ("root", ("GET", "/config"), 200),
        ("root", ("GET", "/loki/api/v1/labels"), 401),
    ] {
        let answer = ask(&server, name, operation, &[JSON], &push_body("line"));
        assert_eq!(answer.status, status, "{name} {operation:?}: {}", answer.text());
    }
}

/// Methods of gRPC, and whether they ask or push.
const GRPC: [(&str, &str); 10] = [
    ("read", "/logproto.Querier/Query"),
    ("read", "/logproto.Querier/QuerySample"),
    ("read", "/logproto.Querier/Label"),
    ("read", "/logproto.Querier/Series"),
    ("read", "/logproto.Querier/Tail"),
    ("read", "/logproto.Querier/TailersCount"),
    ("read", "/logproto.Querier/GetStats"),
    ("read", "/logproto.Querier/GetVolume"),
    ("write", "/logproto.Pusher/Push"),
    ("write", "/opentelemetry.proto.collector.logs.v1.LogsService/Export"),
];

#[test]
fn grpc_methods_are_refused_by_credential_and_right() {
    let directory = TempDir::new().unwrap();
    let server = guarded(&directory, |_| {});
    let told = |method, shown: Option<&str>| match grpc::call_as(&server, method, shown) {
        Ok(()) => (Code::Ok, String::new()),
        Err(status) => (status.code(), status.message().to_owned()),
    };
    for (right, method) in GRPC {
        let refused = |code, text: &str| (code, text.to_owned());
        assert_eq!(told(method, None), refused(Code::Unauthenticated, "no credentials"));
        let wrong = "Bearer root.wrong";
        assert_eq!(told(method, Some(wrong)), refused(Code::Unauthenticated, "wrong credentials"));
        let (other, may) = if right == "read" { ("write", "read") } else { ("read", "write") };
        let text = format!("credential '{other}-a' lacks the right to {may}");
        let shown = bearer(&format!("{other}-a"));
        assert_eq!(told(method, Some(&shown)), refused(Code::PermissionDenied, &text), "{method}");
        let shown = bearer("admin-a");
        assert_eq!(told(method, Some(&shown)).0, Code::PermissionDenied, "{method}");
        // Whoever may gets as far as the empty message, which says nothing that could be done.
        let (code, text) = told(method, Some(&bearer(&format!("{right}-a"))));
        let is_refused = matches!(code, Code::Unauthenticated | Code::PermissionDenied);
        assert!(!is_refused, "{method}: {code:?} {text}");
    }
}

#[test]
fn live_tails_are_refused_by_credential_and_right() {
    let directory = TempDir::new().unwrap();
    let server = guarded(&directory, |_| {});
    for path in ["/loki/api/v1/tail", "/api/prom/tail"] {
        let target = format!("{path}?{}", window("{app=\"x\"}"));
        let open = |shown: Option<String>| {
            let shown: Vec<_> = shown.iter().map(|one| ("Authorization", one.as_str())).collect();
            Tail::open(server.address(), &target, &shown).map(drop)
        };
        assert_eq!(open(None).unwrap_err().0, 401);
        assert_eq!(open(Some("Bearer root.wrong".to_owned())).unwrap_err().0, 401);
        assert_eq!(open(Some(bearer("write-a"))).unwrap_err().0, 403);
        assert_eq!(open(Some(bearer("admin-a"))).unwrap_err().0, 403);
        assert!(open(Some(bearer("read-a"))).is_ok(), "{path}");
    }
}

#[test]
fn what_changes_something_is_refused_by_credential_and_right() {
    let directory = TempDir::new().unwrap();
    let server = guarded(&directory, |_| {});
    let delete = format!("/loki/api/v1/delete?{}", window("{app=\"x\"}"));
    let operations = [
        ("POST", "/otlp/v1/logs", "write-a"),
        ("POST", "/loki/api/v1/push", "write-a"),
        ("POST", &*delete, "admin-a"),
        ("PUT", &delete, "admin-a"),
        ("GET", "/loki/api/v1/delete", "admin-a"),
        ("DELETE", "/loki/api/v1/delete?request_id=00000001", "admin-a"),
        ("POST", "/flush", "root"),
        ("GET", "/flush", "root"),
        ("POST", "/log_level?log_level=info", "root"),
        ("POST", "/timberline/api/v1/backup?name=x", "root"),
    ];
    for (method, target, may) in operations {
        let plain = server.request(method, target, &[JSON], b"{}");
        assert_eq!(plain.status, 401, "{method} {target}");
        let wrong = [JSON, ("Authorization", "Bearer root.wrong")];
        assert_eq!(server.request(method, target, &wrong, b"{}").status, 401);
        for name in ["read-a", "write-a", "admin-a"].into_iter().filter(|name| *name != may) {
            let answer = ask(&server, name, (method, target), &[JSON], b"{}");
            let text = answer.text();
            assert_eq!(answer.status, 403, "{name} {method} {target}: {text}");
            assert!(text.contains(" lacks the right to "), "{text}");
        }
        let tenant = ("X-Scope-OrgID", "a");
        let answer = ask(&server, may, (method, target), &[JSON, tenant], b"{}");
        assert!(!matches!(answer.status, 401 | 403), "{may} {method} {target}: {}", answer.text());
    }
}

#[test]
fn a_flood_of_wrong_secrets_does_not_shut_out_whoever_is_known() {
    let directory = TempDir::new().unwrap();
    let server = guarded(&directory, |_| {});
    let labels = ("GET", "/loki/api/v1/labels");
    assert_eq!(ask(&server, "read-a", labels, &[], b"").status, 200);
    let (wrong, made_to_wait) = flood(&server, |_| "192.0.2.1".to_owned());
    assert!(wrong >= 20 && made_to_wait > 0, "{wrong} and {made_to_wait}");
    assert_eq!(ask(&server, "read-a", labels, &[], b"").status, 200);
}

/// Shows 240 wrong secrets, four at a time, each with its `X-Forwarded-For`. How many were told that they
/// are wrong, and how many to wait.
fn flood(server: &TestServer, forwarded: impl Fn(usize) -> String + Sync) -> (usize, usize) {
    let show = |number| {
        let forwarded = forwarded(number);
        let headers =
            [("Authorization", "Bearer read-a.wrong"), ("X-Forwarded-For", forwarded.as_str())];
        server.request("GET", "/loki/api/v1/labels", &headers, b"").status
    };
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let sender = |sender: usize| {
            scope.spawn(move || (0..60_usize).map(|n| show(sender * 60 + n)).collect::<Vec<_>>())
        };
        let senders: Vec<_> = (0..4).map(sender).collect();
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    });
    let count = |status| statuses.iter().filter(|one| **one == status).count();
    assert_eq!(count(401) + count(429), statuses.len());
    (count(401), count(429))
}

#[test]
fn wrong_secrets_count_by_who_is_behind_a_trusted_proxy() {
    let directory = TempDir::new().unwrap();
    let server = guarded(&directory, |config| {
        config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    });
    let (wrong, made_to_wait) = flood(&server, |_| "198.51.100.7, 192.0.2.1".to_owned());
    assert!(wrong >= 20 && made_to_wait > 0, "{wrong} and {made_to_wait}");
    let labels = ("GET", "/loki/api/v1/labels");
    let other = [("X-Forwarded-For", "192.0.2.1, 192.0.2.2")];
    assert_eq!(ask(&server, "read-a", labels, &other, b"").status, 200, "not known before");
    assert_eq!(flood(&server, |number| format!("198.51.100.{number}")), (240, 0));
}

#[test]
fn nobody_else_is_believed_about_who_is_behind() {
    let directory = TempDir::new().unwrap();
    let server = guarded(&directory, |config| {
        config.server.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
    });
    let (_, made_to_wait) = flood(&server, |number| format!("198.51.100.{number}"));
    assert!(made_to_wait > 0);
}

#[test]
fn a_tenant_is_its_credentials_whatever_the_headers_say() {
    let directory = TempDir::new().unwrap();
    let server = guarded(&directory, |_| {});
    for tenant in ["a", "b"] {
        let line = format!("secret-{tenant}");
        let name = format!("write-{tenant}");
        let push = ("POST", "/loki/api/v1/push");
        assert_eq!(ask(&server, &name, push, &[JSON], &push_body(&line)).status, 204);
    }
    let tricks: [&[(&str, &str)]; 9] = [
        &[("X-Scope-OrgID", "b")],
        &[("X-Scope-OrgID", "a|b")],
        &[("X-Scope-OrgID", "b:a")],
        &[("X-Scope-OrgID", "a:x|b:y")],
        &[("X-Scope-OrgID", "a"), ("X-Scope-OrgID", "b")],
        &[("X-Scope-OrgID", "b"), ("X-Scope-OrgID", "a")],
        &[("X-Scope-OrgID", ""), ("X-Scope-OrgID", "b")],
        &[("x-scope-orgid", "B"), ("X-SCOPE-ORGID", "b")],
        &[("X-Scope-OrgID", "a/../b")],
    ];
    let query = window("{app=\"x\"}");
    for (method, path) in operations(&server) {
        let target = format!("{path}?{query}");
        for headers in tricks {
            let answer = ask(&server, "read-a", (&method, &target), headers, b"");
            let text = answer.text();
            assert!(!text.contains("secret-b"), "{method} {path} {headers:?}: {text}");
            if path.contains("query_range") || path.contains("/index/") {
                assert!(matches!(answer.status, 400 | 403), "{path} {headers:?}: {text}");
            }
        }
        let text = ask(&server, "read-a", (&method, &target), &[], b"").text();
        assert!(!text.contains("secret-b"), "{method} {path}: {text}");
    }
    // By what the query says, neither.
    let own = |query: &str, path: &str| {
        let target = format!("{path}?{}", window(query));
        ask(&server, "read-a", ("GET", &target), &[], b"").json()
    };
    let range = "/loki/api/v1/query_range";
    for query in [r#"{app="x", __tenant_id__="b"}"#, r#"{__tenant_id__=~".+"}"#] {
        assert_eq!(own(query, range)["data"]["result"], json!([]), "{query}");
    }
    let all = own(r#"{app=~".+"}"#, range);
    assert_eq!(all["data"]["result"].as_array().unwrap().len(), 1, "{all}");
    assert_eq!(own(r#"{app="x"}"#, "/loki/api/v1/index/stats")["entries"], 1);
    let label = "/loki/api/v1/label/__tenant_id__/values";
    assert_eq!(own("", label)["data"], json!(["a"]));
    // Nor may it write there.
    let push = ("POST", "/loki/api/v1/push");
    let foreign = ask(&server, "write-a", push, &[JSON, ("X-Scope-OrgID", "b")], &push_body("x"));
    let text = "credential 'write-a' is not for tenant 'b'\n";
    assert_eq!((foreign.status, foreign.text().as_str()), (403, text));
}

/// The ways to write, each with what it takes; all of them switched on.
fn writes() -> [(&'static str, (&'static str, &'static str), Vec<u8>); 8] {
    let bulk = b"{\"create\":{}}\n{\"message\":\"x\",\"@timestamp\":\"2026-11-01T13:00:00Z\"}\n";
    let journal = b"__REALTIME_TIMESTAMP=1793538000000000\nMESSAGE=x\n\n";
    let otlp = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
        {"timeUnixNano": format!("{SECOND}000000000"), "body": {"stringValue": "x"}}]}]}]});
    let legacy = br#"{"streams":[{"labels":"{a=\"b\"}","entries":[{"ts":"2026-11-01T13:00:00Z","line":"x"}]}]}"#;
    let text = ("Content-Type", "text/plain");
    [
        ("/loki/api/v1/push", JSON, push_body("x")),
        ("/api/prom/push", JSON, legacy.to_vec()),
        ("/otlp/v1/logs", JSON, otlp.to_string().into_bytes()),
        ("/insert/jsonline", text, b"{\"_msg\":\"x\"}\n".to_vec()),
        ("/insert/raw?app=x", text, b"x\n".to_vec()),
        ("/_bulk", ("Content-Type", "application/x-ndjson"), bulk.to_vec()),
        ("/insert/elasticsearch/_bulk", JSON, bulk.to_vec()),
        ("/upload", ("Content-Type", "application/vnd.fdo.journal"), journal.to_vec()),
    ]
}

fn every_way_in(config: &mut Config) {
    config.ingest.jsonline.enabled = true;
    config.ingest.elasticsearch.enabled = true;
    config.ingest.journald.enabled = true;
}

#[test]
fn nobody_writes_to_a_foreign_tenant_by_any_way() {
    let directory = TempDir::new().unwrap();
    let server = guarded(&directory, every_way_in);
    for (path, content_type, body) in writes() {
        let plain = server.request("POST", path, &[content_type], &body);
        assert_eq!(plain.status, 401, "{path}");
        for tenant in ["b", "a|b", "b:a"] {
            let headers = [content_type, ("X-Scope-OrgID", tenant)];
            let answer = ask(&server, "write-a", ("POST", path), &headers, &body);
            assert!(matches!(answer.status, 400 | 403), "{path} {tenant}: {}", answer.text());
        }
        let answer = ask(&server, "write-a", ("POST", path), &[content_type], &body);
        assert!((200..300).contains(&answer.status), "{path}: {}", answer.text());
    }
    for (right, method) in GRPC {
        let shown = bearer(&format!("{right}-a"));
        for tenant in ["b", "a|b"] {
            let metadata = [("authorization", shown.as_str()), ("x-scope-orgid", tenant)];
            let status = grpc::call_with::<(), ()>(&server, method, &metadata, ()).unwrap_err();
            let told = (status.code(), status.message());
            assert!(
                matches!(told.0, Code::PermissionDenied | Code::InvalidArgument | Code::Unknown),
                "{method} {tenant}: {told:?}"
            );
            assert!(told.1.contains("tenant") || told.1.contains("org ID"), "{method}: {told:?}");
        }
    }
    let target = format!("/loki/api/v1/index/stats?{}", window(r#"{service_name=~".+"}"#));
    let found = ask(&server, "read-b", ("GET", &target), &[], b"").json();
    assert_eq!(found["entries"], 0, "nothing of it came to the other tenant");
}

#[test]
fn grpc_reads_are_the_credentials_tenants() {
    use timberline::ingest::proto::logproto::{IndexStatsRequest, IndexStatsResponse};
    let directory = TempDir::new().unwrap();
    let server = guarded(&directory, |_| {});
    let push = ("POST", "/loki/api/v1/push");
    for (tenant, count) in [("a", 1), ("b", 2)] {
        for number in 0..count {
            let body = push_body(&number.to_string());
            assert_eq!(ask(&server, &format!("write-{tenant}"), push, &[JSON], &body).status, 204);
        }
    }
    let entries = |name: &str| {
        let (from, through) = ((SECOND - 60) * 1000, (SECOND + 60) * 1000);
        let request = IndexStatsRequest { from, through, matchers: "{app=\"x\"}".to_owned() };
        let metadata = [("authorization", bearer(name))];
        let metadata = metadata.each_ref().map(|(name, value)| (*name, value.as_str()));
        let method = "/logproto.Querier/GetStats";
        let stats = grpc::call_with::<_, IndexStatsResponse>(&server, method, &metadata, request);
        stats.unwrap().unwrap().entries
    };
    assert_eq!((entries("read-a"), entries("read-b")), (1, 2));
}

#[test]
fn live_tails_are_the_credentials_tenants() {
    let directory = TempDir::new().unwrap();
    let server = guarded(&directory, |_| {});
    let target = format!("/loki/api/v1/tail?{}", window("{app=\"x\"}"));
    let shown = bearer("read-a");
    for (tenant, status) in [("b", 403), ("a|b", 403), ("b:a", 403)] {
        let headers = [("Authorization", shown.as_str()), ("X-Scope-OrgID", tenant)];
        let refused = Tail::open(server.address(), &target, &headers).map(drop).unwrap_err();
        assert_eq!(refused.0, status, "{tenant}: {}", refused.1);
    }
}

#[test]
fn a_tenants_deletions_are_its_own() {
    let directory = TempDir::new().unwrap();
    let server = guarded(&directory, |_| {});
    let push = ("POST", "/loki/api/v1/push");
    for tenant in ["a", "b"] {
        let name = format!("write-{tenant}");
        assert_eq!(ask(&server, &name, push, &[JSON], &push_body("line")).status, 204);
    }
    let delete = format!("/loki/api/v1/delete?{}", window("{app=\"x\"}"));
    let of_b = ("X-Scope-OrgID", "b");
    for (method, target) in [
        ("POST", delete.as_str()),
        ("PUT", &delete),
        ("GET", "/loki/api/v1/delete"),
        ("DELETE", "/loki/api/v1/delete?request_id=1"),
    ] {
        let answer = ask(&server, "admin-a", (method, target), &[of_b], b"");
        assert_eq!(answer.status, 403, "{method} {target}: {}", answer.text());
    }
    // What b's own administrator makes, a's neither sees nor takes back by its id.
    let made = ask(&server, "root", ("POST", &delete), &[of_b], b"");
    assert_eq!(made.status, 204, "{}", made.text());
    let id = made.header("X-Delete-Request-ID").unwrap().to_owned();
    let listed = |name: &str, headers: &[(&str, &str)]| {
        ask(&server, name, ("GET", "/loki/api/v1/delete"), headers, b"").json()
    };
    assert_eq!(listed("admin-a", &[]), json!([]));
    let cancel = format!("/loki/api/v1/delete?request_id={id}&force=true");
    let answer = ask(&server, "admin-a", ("DELETE", &cancel), &[], b"");
    let told = (answer.status, answer.text());
    assert_eq!(told, (404, "could not find delete request with given id\n".to_owned()));
    assert_eq!(listed("root", &[of_b]).as_array().unwrap().len(), 1);
    let entries = |name: &str| {
        let target = format!("/loki/api/v1/index/stats?{}", window("{app=\"x\"}"));
        ask(&server, name, ("GET", &target), &[], b"").json()["entries"].clone()
    };
    assert_eq!((entries("read-a"), entries("read-b")), (json!(1), json!(0)));
}

#[test]
fn rules_and_reflection_ask_for_credentials_and_health_does_not() {
    let directory = TempDir::new().unwrap();
    let server = guarded(&directory, |config| config.ruler.enabled = true);
    for (method, path) in [
        ("GET", "/loki/api/v1/rules"),
        ("POST", "/loki/api/v1/rules/ns"),
        ("GET", "/api/prom/rules"),
        ("DELETE", "/api/prom/rules/ns"),
        ("DELETE", "/loki/api/v1/rules/ns/group"),
        ("GET", "/prometheus/api/v1/rules"),
        ("GET", "/prometheus/api/v1/alerts"),
    ] {
        let plain = server.request(method, path, &[("X-Scope-OrgID", "a")], b"");
        assert_eq!(plain.status, 401, "{method} {path}");
        let foreign = ask(&server, "read-a", (method, path), &[("X-Scope-OrgID", "b")], b"");
        assert_eq!(foreign.status, 403, "{method} {path}: {}", foreign.text());
    }
    for version in ["v1", "v1alpha"] {
        let method = match version {
            "v1" => "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            _ => "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        };
        let refused = grpc::call_as(&server, method, None).unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{version}");
        assert!(grpc::call_as(&server, method, Some(&bearer("read-a"))).is_ok());
    }
    let healthy = grpc::call_with::<(), ()>(&server, "/grpc.health.v1.Health/Check", &[], ());
    assert!(healthy.unwrap().is_some());
}

#[test]
fn browsers_are_told_who_may_read_and_nobody_keeps_answers() {
    let plain = TestServer::start(|_| {});
    let origin = ("Origin", "https://example.org");
    let answer = plain.request("GET", "/loki/api/v1/labels", &[origin], b"");
    assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    assert_eq!(answer.header("ETag"), None);
    let preflight = [origin, ("Access-Control-Request-Method", "GET")];
    assert_eq!(plain.request("OPTIONS", "/loki/api/v1/labels", &preflight, b"").status, 405);
    let open = TestServer::start(|config| {
        config.server.cors_allowed_origins = vec!["https://example.org".to_owned()];
    });
    let answer = open.request("GET", "/loki/api/v1/labels", &[origin], b"");
    let allowed =
        |answer: &Response| answer.header("Access-Control-Allow-Origin").map(str::to_owned);
    assert_eq!(allowed(&answer), Some("https://example.org".to_owned()));
    let answer = open.request("OPTIONS", "/loki/api/v1/labels", &preflight, b"");
    assert_eq!((answer.status, allowed(&answer).is_some()), (200, true));
    for (header, names) in [
        ("Access-Control-Allow-Methods", &["GET", "POST", "PUT", "DELETE"][..]),
        (
            "Access-Control-Allow-Headers",
            &[
                "authorization",
                "content-type",
                "cache-control",
                "x-scope-orgid",
                "x-query-tags",
                "x-loki-response-encoding-flags",
            ],
        ),
    ] {
        let told = answer.header(header).unwrap().to_owned();
        let told: Vec<_> = told.split(',').map(str::trim).collect();
        assert!(names.iter().all(|name| told.contains(name)), "{header}: {told:?}");
    }
    let answer = open.request("GET", "/loki/api/v1/labels", &[origin], b"");
    assert_eq!(answer.header("Access-Control-Expose-Headers"), Some("x-delete-request-id"));
    let other = [("Origin", "https://example.com")];
    assert_eq!(allowed(&open.request("GET", "/loki/api/v1/labels", &other, b"")), None);
}

#[test]
fn answers_are_compressed_for_those_who_take_it() {
    let server = TestServer::start(common::accept_any_time);
    let long = "the same words over and over ".repeat(100);
    assert_eq!(server.request("POST", "/loki/api/v1/push", &[JSON], &push_body(&long)).status, 204);
    let target = format!("/loki/api/v1/query_range?{}", window("{app=\"x\"}"));
    let plain = server.request("GET", &target, &[], b"");
    assert_eq!(plain.header("Content-Encoding"), None);
    let packed = server.request("GET", &target, &[("Accept-Encoding", "gzip")], b"");
    assert_eq!(packed.header("Content-Encoding"), Some("gzip"));
    assert!(packed.header("Vary").unwrap().eq_ignore_ascii_case("accept-encoding"));
    assert!(packed.body.len() * 2 < plain.body.len());
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut text).unwrap();
    let result =
        |text: &str| serde_json::from_str::<Value>(text).unwrap()["data"]["result"].clone();
    assert_eq!(result(&text), result(&plain.text()));
}

#[test]
fn a_connection_serves_request_after_request() {
    let server = TestServer::start(|_| {});
    let mut stream = TcpStream::connect(server.address()).unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ready\n") {
            let mut part = [0; 512];
            let read = stream.read(&mut part).unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&part[..read]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
}
