//! More than there is room for: tenants take turns, pushes go on, and nobody works for clients that left.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::tail::{Tail, TailEnd};
use common::{Response, TestServer, with_params};
use serde_json::json;
use timberline::config::Config;

const SECOND: i64 = 1_793_538_000;
const NANOS: i64 = 1_000_000_000;

fn server(change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(|config| {
        common::accept_any_time(config);
        config.auth_enabled = true;
        config.limits_config.query.max_concurrent_queries = 1;
        config.limits_config.query.query_timeout = Duration::from_secs(3600);
        change(config);
    })
}

/// Pushes so many lines of numbers, a second apart.
fn push(server: &TestServer, tenant: &str, lines: i64) -> Response {
    let value = |index: i64| {
        let time = (SECOND + index) * NANOS;
        json!([time.to_string(), format!("n={} words around it", index * 7919 % 10_007)])
    };
    let values: Vec<_> = (0..lines).map(value).collect();
    let body = json!({"streams": [{"stream": {"app": "x"}, "values": values}]}).to_string();
    let headers = [("Content-Type", "application/json"), ("X-Scope-OrgID", tenant)];
    server.request("POST", "/loki/api/v1/push", &headers, body.as_bytes())
}

/// A query with so many windows, each of which sorts all the numbers.
fn heavy(steps: i64) -> String {
    let query = r#"quantile_over_time(0.5, {app="x"} | logfmt | unwrap n [1d])"#;
    let (start, end) = (SECOND + 30_000, SECOND + 30_000 + steps);
    let (start, end) = (start.to_string(), end.to_string());
    let params = [("query", query), ("start", &start), ("end", &end), ("step", "1")];
    with_params("/loki/api/v1/query_range", &params)
}

/// A query that takes minutes.
const ENDLESS: i64 = 11_000;

/// Asks on a connection of its own, without reading the answer.
fn ask(server: &TestServer, tenant: &str, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head = format!("GET {target} HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: {tenant}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

fn metric(server: &TestServer, name: &str) -> f64 {
    let text = server.get("/metrics", &[]).text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name}: {text}")).parse().unwrap()
}

/// Waits until so many queries run and at least so many wait.
fn until(server: &TestServer, running: f64, waiting: f64) {
    let is_so = (0..6000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        metric(server, "timberline_queries_running") == running
            && metric(server, "timberline_queries_waiting") >= waiting
    });
    assert!(is_so, "never {running} running and {waiting} waiting");
}

#[test]
fn many_heavy_queries_hold_up_neither_pushes_nor_other_tenants() {
    const QUERIES: usize = 64;
    let server = server(|_| {});
    for tenant in ["blocker", "noisy", "quiet"] {
        assert_eq!(push(&server, tenant, 3000).status, 204);
    }
    let blocker = ask(&server, "blocker", &heavy(ENDLESS));
    until(&server, 1.0, 0.0);
    let (answered, target) = (AtomicUsize::new(0), heavy(20));
    let get = |tenant| {
        let answer = server.request("GET", &target, &[("X-Scope-OrgID", tenant)], b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answered.fetch_add(1, Ordering::SeqCst)
    };
    std::thread::scope(|scope| {
        for _ in 0..QUERIES {
            scope.spawn(|| get("noisy"));
        }
        until(&server, 1.0, 64.0);
        let quiet = scope.spawn(|| get("quiet"));
        until(&server, 1.0, 65.0);
        // While the only place is taken and all wait for it.
        assert_eq!(push(&server, "noisy", 1).status, 204);
        assert_eq!(answered.load(Ordering::SeqCst), 0);
        drop(blocker);
        // Its turn is the second; answers may overtake each other on their way.
        let before = quiet.join().unwrap();
        assert!(before < QUERIES / 2, "{before} of the other tenant's queries came before");
    });
    assert_eq!(answered.load(Ordering::SeqCst), QUERIES + 1);
}

#[test]
fn so_many_queries_of_a_tenant_may_wait() {
    let server = server(|config| config.querier.max_outstanding_per_tenant = 1);
    assert_eq!(push(&server, "a", 3000).status, 204);
    let endless = heavy(ENDLESS);
    let _running = ask(&server, "a", &endless);
    until(&server, 1.0, 0.0);
    let _waiting = ask(&server, "a", &endless);
    until(&server, 1.0, 1.0);
    let answer = server.request("GET", &endless, &[("X-Scope-OrgID", "a")], b"");
    let told = (answer.status, answer.text());
    assert_eq!(told, (429, "too many outstanding requests".to_owned()));
    assert_eq!(answer.header("Retry-After"), Some("1"));
    let _other = ask(&server, "b", &endless);
    until(&server, 1.0, 2.0);
}

#[test]
fn a_tenant_leaves_memory_for_pushes_of_others() {
    const MAX: usize = 1000;
    let server = server(|config| {
        let limits = &mut config.limits_config.ingest;
        // The least that there can be: twice a body of the largest size, and unpacked twice.
        limits.push_memory_bytes_max = 0;
        limits.max_recv_msg_size = MAX;
        limits.max_decompressed_size = MAX;
    });
    let half_sent = [(); 8].map(|()| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let head = format!(
            "POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: noisy\r\n\
             Content-Type: application/json\r\nContent-Length: {MAX}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), &[b' '; MAX - 1]].concat()).unwrap();
        stream
    });
    let refused = (0..500).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        let answer = push(&server, "noisy", 1);
        (answer.status != 204).then_some(answer)
    });
    let refused = refused.expect("there is room for everyone");
    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("1")));
    let headers = [("Content-Type", "application/json"), ("X-Scope-OrgID", "noisy")];
    let refused = server.request("POST", "/otlp/v1/logs", &headers, br#"{"resourceLogs":[]}"#);
    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("1")));
    assert_eq!(push(&server, "quiet", 1).status, 204);
    drop(half_sent);
}

#[test]
fn queries_end_when_their_client_goes() {
    let server = server(|_| {});
    assert_eq!(push(&server, "a", 3000).status, 204);
    let endless = heavy(ENDLESS);
    let running = ask(&server, "a", &endless);
    until(&server, 1.0, 0.0);
    let waiting = ask(&server, "a", &endless);
    until(&server, 1.0, 1.0);
    // The first makes room for the second, which goes as well.
    drop(running);
    drop(waiting);
    until(&server, 0.0, 0.0);
    let answer = server.request("GET", &heavy(1), &[("X-Scope-OrgID", "a")], b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn tails_that_wait_for_their_history_are_pinged_and_may_go() {
    let server = server(|config| {
        config.limits_config.query.max_concurrent_tail_requests = 1;
        config.server.shutdown_timeout = Duration::from_millis(100);
    });
    assert_eq!(push(&server, "a", 3000).status, 204);
    let blocker = ask(&server, "a", &heavy(ENDLESS));
    until(&server, 1.0, 0.0);
    let start = SECOND.to_string();
    let params = [("query", r#"{app="x"}"#), ("start", &start), ("limit", "3")];
    let target = with_params("/loki/api/v1/tail", &params);
    let open = || Tail::open(server.address(), &target, &[("X-Scope-OrgID", "a")]).unwrap();
    let mut tail = open();
    until(&server, 1.0, 1.0);
    tail.wait_for_pings(2);
    tail.close();
    // Its place is free again, among the tails as among the queries that wait.
    until(&server, 1.0, 0.0);
    let mut tail = open();
    until(&server, 1.0, 1.0);
    drop(blocker);
    assert_eq!(tail.lines(3).len(), 3);
    tail.close();
    let _blocker = ask(&server, "a", &heavy(ENDLESS));
    until(&server, 1.0, 0.0);
    let mut tail = open();
    until(&server, 1.0, 1.0);
    server.stop().unwrap();
    assert_eq!(tail.end(), TailEnd::Broken);
}
