//! `check`, `repair`, `backup` and `restore`, as the command does them.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use common::process::{Running, timberline};
use tempfile::TempDir;

fn push(server: &Running, line: &str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let body =
        format!(r#"{{"streams":[{{"stream":{{"job":"m"}},"values":[["{now}","{line}"]]}}]}}"#);
    let json = [("Content-Type", "application/json")];
    let target = "/loki/api/v1/push";
    let pushed = common::request(server.address, "POST", target, &json, body.as_bytes());
    assert_eq!(pushed.status, 204, "{}", pushed.text());
}

fn lines(directory: &Path) -> Vec<String> {
    let server = Running::start(directory);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let now = i64::try_from(now).unwrap();
    let found = common::lines(server.address, r#"{job="m"}"#, now - 3_600_000_000_000, now + 1);
    found.into_iter().map(|(_, line)| line).collect()
}

/// The exit code and what was printed.
fn run(command: &str, directories: &[&Path]) -> (i32, String) {
    let output = timberline().arg(command).args(directories).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn first_segment(directory: &Path) -> PathBuf {
    let files = std::fs::read_dir(directory.join("segments")).unwrap();
    files.map(|entry| entry.unwrap().path()).min().unwrap()
}

#[test]
fn a_running_server_is_backed_up_and_the_backup_restored() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let server = Running::start(&data);
    push(&server, "before");
    let backup = |name: &str| {
        let target = common::with_params("/timberline/api/v1/backup", &[("name", name)]);
        common::request(server.address, "POST", &target, &[], b"")
    };
    let made = backup("monday");
    assert_eq!(made.status, 200, "{}", made.text());
    let made = PathBuf::from(made.json()["directory"].as_str().unwrap());
    push(&server, "behind");
    assert_eq!(backup("monday").status, 400, "it is not empty");
    for name in ["", "../x", "a/b", ".x"] {
        assert_eq!(backup(name).status, 400, "{name}");
    }
    for command in ["check", "repair"] {
        let (code, text) = run(command, &[&data]);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("is in use by another process"), "{text}");
    }
    server.signal("-KILL");
    server.exit_code();

    let restored = directory.path().join("restored");
    let (code, text) = run("restore", &[&made, &restored]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("1 segments with 1 entries"), "{text}");
    assert_eq!(run("restore", &[&made, &restored]).0, 1, "it is not empty");
    assert_eq!(lines(&restored), ["before"]);
    assert_eq!(run("check", &[&data]).0, 0);
    let closed = directory.path().join("closed");
    assert_eq!(run("backup", &[&data, &closed]), (0, String::new()));
    assert_eq!(lines(&closed), ["before", "behind"]);
}

#[test]
fn damage_is_found_repaired_and_said() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let server = Running::start(&data);
    push(&server, "lost");
    common::request(server.address, "POST", "/flush", &[], b"");
    push(&server, "kept");
    server.signal("-TERM");
    assert_eq!(server.exit_code(), Some(0));
    let (code, text) = run("check", &[&data]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("2 segments with 2 entries"), "{text}");

    let segment = first_segment(&data);
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[14] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let (code, text) = run("check", &[&data]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("damage: ") && text.contains("0000000001.seg"), "{text}");
    let (code, text) = run("repair", &[&data]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("1 of 1 entries of a segment are lost"), "{text}");
    let (code, text) = run("check", &[&data]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("it was set aside"), "{text}");
    assert_eq!(run("repair", &[&data]).0, 0, "there is nothing left to repair");
    assert_eq!(lines(&data), ["kept"]);
}

#[test]
fn what_is_no_data_directory_is_refused() {
    let directory = TempDir::new().unwrap();
    let other = directory.path().join("other");
    for (command, directories) in [
        ("check", vec![directory.path()]),
        ("repair", vec![directory.path()]),
        ("backup", vec![directory.path(), &other]),
        ("restore", vec![directory.path(), &other]),
    ] {
        let (code, text) = run(command, &directories);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("there is no store in"), "{text}");
    }
    assert_eq!(run("check", &[]).0, 2);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn a_damaged_block_is_told_in_answers_and_counted() {
    let directory = TempDir::new().unwrap();
    let server = Running::start(directory.path());
    push(&server, "flipped");
    server.signal("-TERM");
    assert_eq!(server.exit_code(), Some(0));
    let path = first_segment(directory.path());
    let mut bytes = std::fs::read(&path).unwrap();
    // Behind the header of 12 bytes the first group begins.
    bytes[14] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    let server = Running::start(directory.path());
    let get = |target: &str| common::request(server.address, "GET", target, &[], b"");
    let counted = || {
        let metrics = get("/metrics").text();
        let name = "timberline_damaged_reads_total ";
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        value.parse::<f64>().unwrap()
    };
    assert_eq!(counted(), 0.0);
    push(&server, "whole");
    let query = [("query", r#"{job="m"}"#), ("since", "1h")];
    let answer = get(&common::with_params("/loki/api/v1/query_range", &query));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let warnings = answer["warnings"].as_array().expect("warnings");
    assert!(warnings[0].as_str().unwrap().contains("damaged"), "{warnings:?}");
    let lines: Vec<_> = answer["data"]["result"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|stream| stream["values"].as_array().unwrap())
        .map(|value| value[1].as_str().unwrap())
        .collect();
    assert_eq!(lines, ["whole"]);
    assert!(counted() > 0.0);
}
