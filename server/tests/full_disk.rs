//! A disk that is really full: a small file system in memory, where this process may mount one.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use common::process::Running;
use common::{lines, request};
use serde_json::json;
use tempfile::TempDir;

/// A file system of its own, unmounted when dropped.
struct Small(TempDir);

impl Small {
    /// `None` where mounting is not allowed.
    fn mount() -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(directory.path());
        let status = mount.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success()).then(|| Self(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: the server may still be on its way out.
        drop(Command::new("umount").arg("-l").arg(self.path()).status());
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_nanos().try_into().unwrap()
}

#[test]
fn a_full_disk_is_said_and_left_behind_without_a_restart() {
    let Some(disk) = Small::mount() else {
        // Past the test harness, which keeps what a test prints until it fails.
        let text = "SKIPPED: a full disk, since this process may not mount a file system";
        let _ = writeln!(std::io::stderr(), "{text}");
        return;
    };
    let data = disk.path().join("data");
    let server = Running::start(&data);
    // Taken away later, as somebody makes room.
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 2 << 20]).unwrap();
    let first = now();
    let push = |number: i64| {
        let line = format!("{number} {}", "x".repeat(64 << 10));
        let values = json!([[(first + number).to_string(), line]]);
        let body = json!({"streams": [{"stream": {"app": "full"}, "values": values}]}).to_string();
        let headers = [("Content-Type", "application/json")];
        request(server.address, "POST", "/loki/api/v1/push", &headers, body.as_bytes())
    };
    let mut acknowledged = Vec::new();
    let refused = (0..200).find_map(|number| {
        let answer = push(number);
        if answer.status == 204 {
            acknowledged.push(number);
            return None;
        }
        Some(answer)
    });
    let refused = refused.expect("the disk is full at last");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("No space left on device"), "{}", refused.text());
    let found = || {
        let found = lines(server.address, r#"{app="full"}"#, first, first + 1000);
        found.iter().map(|(time, _)| time - first).collect::<Vec<_>>()
    };
    assert_eq!(found(), acknowledged, "queries go on, and nothing else was kept");
    std::fs::remove_file(&ballast).unwrap();
    let answer = push(500);
    assert_eq!(answer.status, 204, "{}", answer.text());
    acknowledged.push(500);
    assert_eq!(found(), acknowledged);
    server.signal("-KILL");
    drop(server);
    let again = Running::start(&data);
    let kept = lines(again.address, r#"{app="full"}"#, first, first + 1000);
    let kept: Vec<_> = kept.iter().map(|(time, _)| time - first).collect();
    assert_eq!(kept, acknowledged);
}
