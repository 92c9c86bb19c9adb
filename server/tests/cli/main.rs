//! The commands that people type: the real binary against a real server, and against a data directory.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

#[path = "../common/mod.rs"]
mod common;

mod ask;
mod push;
mod refuse;
mod transfer;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use common::process::{Running, timberline};
use tempfile::TempDir;

/// Noon of 31 January 2026, in nanoseconds.
pub(crate) const NOON: i64 = 1_769_860_800_000_000_000;
pub(crate) const SECOND: i64 = 1_000_000_000;

/// Around [`NOON`], in the zone that tests are in.
pub(crate) const RANGE: [&str; 6] =
    ["-z", "UTC", "--from", "2026-01-31T11:00:00Z", "--to", "2026-01-31T13:00:00Z"];

/// What a command did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Where a command finds the logs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    Server(SocketAddr),
    Data(&'a Path),
}

/// The command without the variables of whoever runs the tests.
pub(crate) fn command(place: Place<'_>, arguments: &[&str]) -> Command {
    let mut command = timberline();
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("LOKI_") || name == "PAGER" || name == "NO_COLOR" {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    match place {
        Place::Server(address) => command.args(["--addr", &format!("http://{address}")]),
        Place::Data(directory) => command.arg("--data").arg(directory),
    };
    command
}

/// Runs a command to its end.
pub(crate) fn run(place: Place<'_>, arguments: &[&str]) -> Outcome {
    end(&mut command(place, arguments), b"")
}

/// Runs a command with this input.
pub(crate) fn end(command: &mut Command, input: &[u8]) -> Outcome {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Outcome {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Outcome {
    /// Its output; it ended well.
    pub(crate) fn out(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }
}

/// Three lines of two streams, the second with metadata, on the server and then in its directory.
pub(crate) fn with_three_lines(test: impl Fn(Place<'_>)) {
    let directory = TempDir::new().unwrap();
    let server = Running::start(directory.path());
    let at = |offset: i64| NOON + offset;
    let body = format!(
        r#"{{"streams":[
          {{"stream":{{"app":"shop","env":"prod"}},"values":[
            ["{}","level=info msg=one"],["{}","level=error msg=\"two, at last\"",{{"trace":"a1"}}]]}},
          {{"stream":{{"app":"cart","env":"prod"}},"values":[["{}","three  "]]}}]}}"#,
        at(0),
        at(2 * SECOND),
        at(SECOND + 500_000_000)
    );
    let json = [("Content-Type", "application/json")];
    let pushed =
        common::request(server.address, "POST", "/loki/api/v1/push", &json, body.as_bytes());
    assert_eq!(pushed.status, 204, "{}", pushed.text());
    test(Place::Server(server.address));
    server.signal("-TERM");
    server.exit_code();
    test(Place::Data(directory.path()));
}
