//! What changes while the server runs: limits and credentials, by a signal and by their files.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::process::Running;
use tempfile::TempDir;
use timberline::access::hash_secret;

/// Pushes a line of 20 bytes and returns the status.
fn push(server: &Running, headers: &[(&str, &str)]) -> u16 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let line = "x".repeat(20);
    let body =
        format!(r#"{{"streams":[{{"stream":{{"job":"r"}},"values":[["{now}","{line}"]]}}]}}"#);
    let mut all = vec![("Content-Type", "application/json")];
    all.extend(headers);
    common::request(server.address, "POST", "/loki/api/v1/push", &all, body.as_bytes()).status
}

/// Asks until the answer is this one; the server looks at its files now and then.
fn until(expected: u16, ask: impl Fn() -> u16) {
    let is_so = (0..600).any(|_| {
        let is_so = ask() == expected;
        if !is_so {
            std::thread::sleep(Duration::from_millis(100));
        }
        is_so
    });
    assert!(is_so, "never {expected}");
}

fn start(directory: &TempDir, file: &Path) -> Running {
    let variable = [("TIMBERLINE_CONFIG", file.to_str().unwrap())];
    Running::start_with(&directory.path().join("data"), &variable)
}

#[test]
fn limits_change_with_their_file() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("timberline.yaml");
    let write = |limits: &str| std::fs::write(&file, limits).unwrap();
    write("auth_enabled: true\nlimits_config: {max_line_size: 10B}\n");
    let server = start(&directory, &file);
    let push = |tenant: &str| push(&server, &[("X-Scope-OrgID", tenant)]);
    let reloaded = || {
        let metrics = common::request(server.address, "GET", "/metrics", &[], b"").text();
        let name = "loki_runtime_config_last_reload_successful ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        line.parse::<u16>().unwrap()
    };
    assert_eq!((push("a"), reloaded()), (400, 1));
    write(
        "auth_enabled: true\nlimits_config: {max_line_size: 10B}\noverrides: {a: {max_line_size: 20}}\n",
    );
    server.signal("-HUP");
    until(204, || push("a"));
    assert_eq!(push("b"), 400);
    // A file that is no configuration changes nothing, and is told.
    write("auth_enabled: true\nlimits_config: {max_line_size: much}\n");
    until(0, reloaded);
    assert_eq!((push("a"), push("b")), (204, 400));
    // Without a signal.
    write("auth_enabled: true\n");
    until(204, || push("b"));
    assert_eq!(reloaded(), 1);
    let config = common::request(server.address, "GET", "/config", &[], b"").text();
    assert!(config.contains("max_line_size: \"256KiB\""), "{config}");
}

#[test]
fn credentials_change_with_their_file() {
    let directory = TempDir::new().unwrap();
    let credentials = directory.path().join("credentials.yaml");
    let write = |secret: &str| {
        let hash = hash_secret(secret.as_bytes()).unwrap();
        let text = format!("credentials: [{{name: n, hash: '{hash}', rights: [write]}}]\n");
        std::fs::write(&credentials, text).unwrap();
    };
    write("first");
    let file = directory.path().join("timberline.yaml");
    let path = credentials.to_str().unwrap();
    std::fs::write(&file, format!("server: {{credentials_file: {path:?}}}\n")).unwrap();
    let server = start(&directory, &file);
    let push = |secret: &str| push(&server, &[("Authorization", &format!("Bearer n.{secret}"))]);
    assert_eq!((push("first"), push("second")), (204, 401));
    write("second");
    until(204, || push("second"));
    assert_eq!(push("first"), 401);
}

#[test]
fn a_signal_needs_no_change_that_is_seen() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("timberline.yaml");
    std::fs::write(&file, "limits_config: {max_line_size: 10B}\n").unwrap();
    let server = start(&directory, &file);
    assert_eq!(push(&server, &[]), 400);
    common::write_unseen(&file, "limits_config: {max_line_size: 20B}\n");
    server.signal("-HUP");
    until(204, || push(&server, &[]));
}

#[test]
fn retention_changes_with_its_file() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("timberline.yaml");
    let write = |period: &str| {
        std::fs::write(&file, format!("limits_config: {{retention_period: {period}}}\n")).unwrap();
    };
    write("24h");
    let server = start(&directory, &file);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let (old, new) = (now - 7_200_000_000_000, now);
    let values = format!(r#"["{old}","old"],["{new}","new"]"#);
    let body = format!(r#"{{"streams":[{{"stream":{{"job":"r"}},"values":[{values}]}}]}}"#);
    let headers = [("Content-Type", "application/json")];
    let path = "/loki/api/v1/push";
    let pushed = common::request(server.address, "POST", path, &headers, body.as_bytes());
    assert_eq!(pushed.status, 204);
    let lines = || {
        let (start, end) = (i64::try_from(old).unwrap() - 1, i64::try_from(new).unwrap() + 1);
        u16::try_from(common::lines(server.address, r#"{job="r"}"#, start, end).len()).unwrap()
    };
    assert_eq!(lines(), 2);
    write("1h");
    server.signal("-HUP");
    until(1, lines);
}
