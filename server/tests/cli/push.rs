//! `push`: nothing is lost, nothing is there twice.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::common::process::Running;
use super::{Outcome, Place, command, end, run};

/// The stored lines of a job in the order of time, each with its timestamp.
fn stored(place: Place<'_>, job: &str) -> Vec<(String, String)> {
    let query = format!("{{job=\"{job}\"}}");
    let range = ["--from", "2026-01-01", "--to", "2100-01-01", "-z", "UTC"];
    let arguments = ["query", &query, "-o", "jsonl", "--forward", "--limit", "0", "-q"];
    let text = run(place, &[&arguments[..], &range].concat()).out();
    let of = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (text("timestamp"), text("line"))
    };
    text.lines().map(of).collect()
}

fn texts(place: Place<'_>, job: &str) -> Vec<String> {
    stored(place, job).into_iter().map(|(_, line)| line).collect()
}

#[test]
fn times_are_taken_from_lines_and_order_from_the_file() {
    let directory = TempDir::new().unwrap();
    let server = Running::start(&directory.path().join("data"));
    let file = directory.path().join("app.log");
    let content = "2026-01-31 12:00:00,5 first\n\tat continued\n2026-01-31 12:00:00,5 same time\r\n\n2026-01-31 11:59:59 late\n\tat continued\nno end";
    std::fs::write(&file, content).unwrap();
    let place = Place::Server(server.address);
    let file = file.to_str().unwrap();
    let pushed = run(place, &["push", file, "--labels", "job=x,env=prod", "-z", "UTC"]);
    assert_eq!((pushed.code, pushed.err.as_str()), (Some(0), "pushed 7 lines, 114 B\n"));
    let found = stored(place, "x");
    let found: Vec<_> = found.iter().map(|(time, line)| (time.as_str(), line.as_str())).collect();
    assert_eq!(
        found,
        [
            ("2026-01-31T11:59:59Z", "2026-01-31 11:59:59 late"),
            ("2026-01-31T11:59:59.000000001Z", "\tat continued"),
            ("2026-01-31T11:59:59.000000002Z", "no end"),
            ("2026-01-31T12:00:00.5Z", "2026-01-31 12:00:00,5 first"),
            ("2026-01-31T12:00:00.500000001Z", "\tat continued"),
            ("2026-01-31T12:00:00.500000002Z", "2026-01-31 12:00:00,5 same time"),
            ("2026-01-31T12:00:00.500000003Z", ""),
        ]
    );
    let again = run(place, &["push", file, "--labels", "job=x,env=prod", "-z", "UTC", "-q"]);
    assert_eq!((again.code, again.err.as_str()), (Some(0), ""));
    assert_eq!(stored(place, "x").len(), 7, "the same lines are kept once");
    let series = run(place, &["series", "{job=\"x\"}", "--since", "20000d"]).out();
    let whole = Path::new(file).canonicalize().unwrap();
    assert!(series.contains(&format!("filename=\"{}\"", whole.display())), "{series}");
}

#[test]
fn lines_without_times_stay_in_order_even_if_they_are_alike() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let place = Place::Data(&data);
    let input = "b\na\nb\nb\n";
    let pushed = end(&mut command(place, &["push", "-", "--labels", "job=in"]), input.as_bytes());
    assert_eq!((pushed.code, pushed.err.as_str()), (Some(0), "pushed 4 lines, 4 B\n"));
    assert_eq!(texts(place, "in"), ["b", "a", "b", "b"]);
    let odd = end(&mut command(place, &["push", "-", "-l", "job=odd"]), b"caf\xe9\n");
    assert_eq!(odd.code, Some(0), "{odd:?}");
    assert!(odd.err.starts_with("warning: 1 lines were no UTF-8"), "{odd:?}");
    assert_eq!(texts(place, "odd"), ["caf\u{fffd}"]);
}

#[test]
fn packed_files_are_unpacked() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let content = b"one\ntwo\n";
    let packed = directory.path().join("a.log.zst");
    std::fs::write(&packed, zstd::encode_all(&content[..], 1).unwrap()).unwrap();
    let gzip = directory.path().join("b.log.gz");
    let mut encoder = flate2::write::GzEncoder::new(
        std::fs::File::create(&gzip).unwrap(),
        flate2::Compression::fast(),
    );
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap();
    let place = Place::Data(&data);
    let files = [packed.to_str().unwrap(), gzip.to_str().unwrap()];
    let pushed = run(place, &["push", files[0], files[1], "--labels", "job=p"]);
    assert_eq!(pushed.err, "pushed 4 lines, 12 B\n", "{pushed:?}");
    assert_eq!(texts(place, "p"), ["one", "two", "one", "two"]);
}

/// Passes requests on to a server, until so many pushes went through: then it breaks the connection before
/// anyone hears of the answer, and lets no more through.
fn breaking_proxy(server: SocketAddr, pushes: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let left = Arc::new(AtomicUsize::new(pushes));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let left = Arc::clone(&left);
            std::thread::spawn(move || drop(pass(client.unwrap(), server, &left)));
        }
    });
    address
}

fn pass(mut client: TcpStream, server: SocketAddr, left: &AtomicUsize) -> std::io::Result<()> {
    loop {
        if left.load(Ordering::SeqCst) == 0 {
            return Ok(());
        }
        let request = one_message(&mut client)?;
        let mut upstream = TcpStream::connect(server)?;
        upstream.write_all(&request)?;
        let answer = one_message(&mut upstream)?;
        if left.fetch_sub(1, Ordering::SeqCst) == 1 {
            return Ok(());
        }
        client.write_all(&answer)?;
    }
}

/// A message with its head and its body, which has its length or is not there.
fn one_message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut message = Vec::new();
    while !message.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        message.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&message).to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body)?;
    message.append(&mut body);
    Ok(message)
}

#[test]
fn a_push_that_was_broken_off_goes_on_and_loses_and_doubles_nothing() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let server = Running::start(&data);
    let file = directory.path().join("big.log");
    // Times that lines share, lines that are alike, and lines without a time: 23 thousand in five pushes.
    let line = |n: usize| match n % 7 {
        3 => "\tat the same place".to_owned(),
        6 => format!("line {n} without a time"),
        _ => format!("2026-01-31 12:{:02}:{:02} step {}", n / 6000, n / 100 % 60, n % 2),
    };
    let lines: Vec<String> = (0..23_000).map(line).collect();
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let state = directory.path().join("push.state");
    let proxy = breaking_proxy(server.address, 3);
    let push = |address: SocketAddr| -> Outcome {
        let arguments = [
            "push",
            file.to_str().unwrap(),
            "--labels=job=big",
            "--state",
            state.to_str().unwrap(),
            "--push-retries=0",
            "-z",
            "UTC",
        ];
        let mut command = command(Place::Server(address), &arguments);
        end(&mut command, b"")
    };
    let broken = push(proxy);
    assert_eq!(broken.code, Some(1), "{broken:?}");
    let count = || texts(Place::Server(server.address), "big").len();
    assert_eq!(count(), 15_000, "three pushes arrived, of two of which the command knows");
    // A state is of one place: the server is reached by another address now.
    let text = std::fs::read_to_string(&state).unwrap();
    let renamed = text.replace(&format!("http://{proxy}"), &format!("http://{}", server.address));
    assert_ne!(text, renamed);
    std::fs::write(&state, renamed).unwrap();
    let done = push(server.address);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.err.starts_with("pushed 13,000 lines"), "{done:?}");
    let mut found = texts(Place::Server(server.address), "big");
    let mut expected = lines.clone();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(push(server.address).err, "pushed 0 lines, 0 B\n");
    // What was appended meanwhile is all that goes.
    let mut log = std::fs::OpenOptions::new().append(true).open(&file).unwrap();
    log.write_all(b"one more\n").unwrap();
    assert_eq!(push(server.address).err, "pushed 1 lines, 8 B\n");
    // Another file in its place begins anew.
    std::fs::write(&file, "2026-01-31 13:00:00 rotated\n").unwrap();
    let rotated = push(server.address);
    assert!(rotated.err.contains("another file than before"), "{rotated:?}");
    assert_eq!(count(), 23_002);
}

#[test]
fn a_push_that_is_killed_goes_on_too() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let server = Running::start(&data);
    let file = directory.path().join("big.log");
    let lines: Vec<String> =
        (0..60_000).map(|n| format!("line {} of those without a time", n % 1000)).collect();
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let state = directory.path().join("push.state");
    let arguments = [
        "push",
        file.to_str().unwrap(),
        "--labels=job=k",
        "-q",
        "--state",
        state.to_str().unwrap(),
    ];
    let start = || command(Place::Server(server.address), &arguments).spawn().unwrap();
    let mut child = start();
    // The state is there before the first push.
    while !state.exists() {
        std::thread::yield_now();
    }
    let first = std::fs::read(&state).unwrap();
    while child.try_wait().unwrap().is_none() && std::fs::read(&state).unwrap_or_default() == first
    {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(start().wait().unwrap().success());
    assert_eq!(texts(Place::Server(server.address), "k"), lines);
}

#[test]
fn refused_lines_are_told_and_the_others_kept() {
    let directory = TempDir::new().unwrap();
    let server = Running::start(&directory.path().join("data"));
    let place = Place::Server(server.address);
    let long = "x".repeat(300_000);
    let input = format!("short\n{long}\nalso short\n");
    let pushed = end(&mut command(place, &["push", "-", "-l", "job=r"]), input.as_bytes());
    assert_eq!(pushed.code, Some(3), "{}", pushed.err.len());
    assert!(pushed.err.contains("the server refused lines of 1 pushes"), "{}", pushed.err);
    assert!(pushed.err.contains("max entry size"), "{}", pushed.err);
    assert_eq!(texts(place, "r"), ["short", "also short"]);
}
