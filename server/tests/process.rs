//! The real command in a process of its own: start, signals, exit codes.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use common::process::{Running, serve, timberline};
use tempfile::TempDir;

fn exit(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn signals_stop_the_server_and_nothing_is_lost() {
    let directory = TempDir::new().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let body = format!(
        r#"{{"streams":[{{"stream":{{"job":"process"}},"values":[["{now}","still here"]]}}]}}"#
    );
    let json = [("Content-Type", "application/json")];
    for (round, signal) in ["-TERM", "-INT", "-KILL", "-TERM"].into_iter().enumerate() {
        let server = Running::start(directory.path());
        if round == 0 {
            let target = "/loki/api/v1/push";
            let pushed = common::request(server.address, "POST", target, &json, body.as_bytes());
            assert_eq!(pushed.status, 204, "{}", pushed.text());
        }
        let target =
            common::with_params("/loki/api/v1/query_range", &[("query", "{job=\"process\"}")]);
        let answer = common::request(server.address, "GET", &target, &[], b"");
        assert!(answer.text().contains("still here"), "round {round}: {}", answer.text());
        server.signal(signal);
        let expected = if signal == "-KILL" { None } else { Some(0) };
        assert_eq!(server.exit_code(), expected, "{signal}");
    }
}

#[test]
fn secrets_are_hashed() {
    use std::io::Write as _;

    let hash = |arguments: &[&str], input: &str| {
        let mut command = timberline();
        command.arg("hash").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = hash(&[], "hunter2\n");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("$argon2id$v=19$") && text.ends_with('\n'), "{text}");
    let output = hash(&["--generate"], "");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next().unwrap().strip_prefix("secret: ").unwrap().len(), 43);
    assert!(lines.next().unwrap().starts_with("hash: $argon2id$"));
    assert_eq!(exit(&hash(&[], "\n")).0, Some(2), "an empty secret");
}

#[test]
fn a_directory_has_one_server() {
    let directory = TempDir::new().unwrap();
    let first = Running::start(directory.path());
    let second = serve(directory.path(), "127.0.0.1:0").output().unwrap();
    let (code, message) = exit(&second);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("is in use by another process"), "{message}");
    drop(first);
}

#[test]
fn a_busy_port_is_reported() {
    let directory = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let (code, message) = exit(&serve(directory.path(), &listen).output().unwrap());
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains(&format!("cannot listen on {listen}")), "{message}");
}

#[test]
fn wrong_usage_is_told_apart() {
    let unknown_flag = timberline().args(["serve", "--nosuch"]).output().unwrap();
    assert_eq!(exit(&unknown_flag).0, Some(2));
    let unknown_variable =
        timberline().arg("serve").env("TIMBERLINE_NOSUCH", "1").output().unwrap();
    let (code, message) = exit(&unknown_variable);
    assert_eq!(code, Some(2));
    assert!(message.contains("unknown environment variable TIMBERLINE_NOSUCH"), "{message}");
    let wrong_level = timberline().args(["serve", "--log-level", "a=b=c"]).output().unwrap();
    assert_eq!(exit(&wrong_level).0, Some(2));
}

#[test]
fn the_configuration_is_printed_and_read_back() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("timberline.yaml");
    let print = |command: &mut Command| {
        let output = command.args(["config", "--print"]).output().unwrap();
        assert!(output.status.success(), "{}", exit(&output).1);
        String::from_utf8(output.stdout).unwrap()
    };
    let changed = print(timberline().env("TIMBERLINE_SERVER_LISTEN", "[::1]:4000"));
    assert!(changed.contains("listen: \"[::1]:4000\""), "{changed}");
    std::fs::write(&file, &changed).unwrap();
    assert_eq!(print(timberline().env("TIMBERLINE_CONFIG", &file)), changed);
    std::fs::write(&file, "server:\n  listn: x\n").unwrap();
    let output = timberline().args(["serve", "--config"]).arg(&file).output().unwrap();
    let (code, message) = exit(&output);
    assert_eq!(code, Some(2));
    assert!(message.contains("listn") && message.contains("line 2"), "{message}");
}

#[test]
fn help_has_examples_and_versions_are_told() {
    let text = |arguments: &[&str]| {
        let output = timberline().args(arguments).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    for arguments in [&["--help"][..], &["serve", "--help"]] {
        assert!(text(arguments).contains("  timberline serve --data-dir"), "{arguments:?}");
    }
    assert_eq!(text(&["--version"]), concat!("timberline ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn the_log_level_can_be_changed() {
    let directory = TempDir::new().unwrap();
    let server = Running::start(directory.path());
    let get = || common::request(server.address, "GET", "/log_level", &[], b"").text();
    assert_eq!(get(), r#"{"message":"Current log level is info"}"#);
    let post = |level: &str| {
        let target = common::with_params("/log_level", &[("log_level", level)]);
        let answer = common::request(server.address, "POST", &target, &[], b"");
        (answer.status, answer.text())
    };
    let done = r#"{"status":"success","message":"Log level set to debug"}"#;
    assert_eq!(post("debug"), (200, done.to_owned()));
    assert_eq!(get(), r#"{"message":"Current log level is debug"}"#);
    let refused = r#"{"status":"failed","message":"unrecognized log level \"loud\""}"#;
    assert_eq!(post("loud"), (400, refused.to_owned()));
}

/// glibc keeps eight heaps a core, and more and more of what is free in them, unless it is told.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_server_keeps_little_of_what_is_free_unless_told() {
    let setting = |running: &Running, name: &str| {
        let environment = std::fs::read(format!("/proc/{}/environ", running.id())).unwrap();
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let mut settings = environment.split('\0').filter_map(|it| it.split_once('='));
        settings.find(|(it, _)| *it == name).map(|(_, value)| value.to_owned())
    };
    let directory = tempfile::TempDir::new().unwrap();
    let running = Running::start(directory.path());
    let cores = std::thread::available_parallelism().unwrap();
    assert_eq!(setting(&running, "MALLOC_ARENA_MAX"), Some(cores.to_string()));
    assert_eq!(setting(&running, "MALLOC_TRIM_THRESHOLD_").as_deref(), Some("8388608"));
    assert_eq!(setting(&running, "MALLOC_MMAP_THRESHOLD_").as_deref(), Some("1048576"));
    drop(running);
    let running = Running::start_with(directory.path(), &[("MALLOC_ARENA_MAX", "7")]);
    assert_eq!(setting(&running, "MALLOC_ARENA_MAX").as_deref(), Some("7"));
    assert_eq!(setting(&running, "MALLOC_TRIM_THRESHOLD_"), None);
    drop(running);
    // As it is where glibc has taken the others away: it must not start itself again and again.
    let running = Running::start_with(directory.path(), &[("ALLOCATOR_SET_BY_TIMBERLINE", "1")]);
    assert_eq!(setting(&running, "MALLOC_ARENA_MAX"), None);
}
