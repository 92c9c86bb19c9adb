//! A process that has all the files open that it may: what it cannot do it says, and goes on once there are files
//! again, without a restart.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use common::kept::Connection;
use common::lines;
use common::process::Running;
use serde_json::json;
use tempfile::TempDir;

/// A few more than the server has open when it is idle.
const FILES: u32 = 64;

/// A head so small that flushes, which need files, are always under way.
const BUSY: [(&str, &str); 1] = [("TIMBERLINE_STORE_HEAD_BYTES_MAX", "16KiB")];

const PATIENCE: Duration = Duration::from_secs(60);

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_nanos().try_into().unwrap()
}

fn open_files(server: &Running) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count()
}

/// Pushes lines one by one and remembers which were taken.
struct Pusher {
    connection: Connection,
    first: i64,
    next: i64,
    acknowledged: Vec<i64>,
}

impl Pusher {
    fn new(address: SocketAddr) -> Self {
        let connection = Connection::open(address).unwrap();
        Self { connection, first: now(), next: 0, acknowledged: Vec::new() }
    }

    /// Whether a push was taken; one that was not says why.
    fn push(&mut self) -> bool {
        let number = self.next;
        self.next += 1;
        let line = format!("{number} {}", "x".repeat(1000));
        let values = json!([[(self.first + number).to_string(), line]]);
        let body = json!({"streams": [{"stream": {"app": "files"}, "values": values}]}).to_string();
        let (status, text) =
            self.connection.post("/loki/api/v1/push", "application/json", &body).unwrap();
        if status == 204 {
            self.acknowledged.push(number);
            return true;
        }
        let text = String::from_utf8_lossy(&text);
        assert_eq!(status, 503, "{text}");
        assert!(text.contains("Too many open files") || text.contains("memory"), "{text}");
        false
    }

    /// What the server has is what it took.
    fn check(&self, server: &Running) {
        let found = lines(server.address, r#"{app="files"}"#, self.first, self.first + self.next);
        let found: Vec<i64> = found.iter().map(|(time, _)| time - self.first).collect();
        assert_eq!(found, self.acknowledged);
    }
}

#[test]
fn a_process_out_of_files_loses_nothing_and_goes_on_when_there_are_some() {
    let directory = TempDir::new().unwrap();
    let server = Running::start_with_files(directory.path(), FILES, &BUSY);
    let mut pusher = Pusher::new(server.address);
    (0..40).for_each(|_| assert!(pusher.push()));

    // The system takes connections on the server's behalf that it has no files for.
    let idle: Vec<TcpStream> =
        (0..2 * FILES).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    let started = Instant::now();
    while open_files(&server) < FILES as usize {
        assert!(started.elapsed() < PATIENCE, "{} files", open_files(&server));
        std::thread::sleep(Duration::from_millis(5));
    }
    // Far more than fits into the head, so that flushes and new files of the log were asked for.
    let taken = (0..200).filter(|_| pusher.push()).count();
    println!("{taken} of 200 pushes were taken without a file to open");

    drop(idle);
    while !pusher.push() {
        assert!(started.elapsed() < PATIENCE, "pushes are still refused");
        std::thread::sleep(Duration::from_millis(50));
    }
    pusher.check(&server);
    let metrics = common::request(server.address, "GET", "/metrics", &[], b"").text();
    assert!(metrics.contains("timberline_damaged_segments 0"), "{metrics}");
    server.signal("-KILL");
    drop(server);
    pusher.check(&Running::start(directory.path()));
}
