//! A server that takes what is posted to it, remembers it, and answers as it is told.

use std::collections::VecDeque;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A request that came.
#[derive(Clone, Debug)]
pub struct Posted {
    pub path: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Posted {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }
}

/// A server on a port of its own. Its threads end with the process.
pub struct Fake {
    pub address: SocketAddr,
    posted: Arc<Mutex<Vec<Posted>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Fake {
    /// Answers the first requests with these statuses, all others with 200.
    pub fn start(answers: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Self {
            address: listener.local_addr().unwrap(),
            posted: Arc::default(),
            answers: Arc::new(Mutex::new(answers.iter().copied().collect())),
        };
        let (posted, answers) = (Arc::clone(&fake.posted), Arc::clone(&fake.answers));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (posted, answers) = (Arc::clone(&posted), Arc::clone(&answers));
                std::thread::spawn(move || serve(stream.unwrap(), &posted, &answers));
            }
        });
        fake
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has come so far.
    pub fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap().clone()
    }
}

fn serve(
    stream: TcpStream,
    posted: &Mutex<Vec<Posted>>,
    answers: &Mutex<VecDeque<u16>>,
) -> Option<()> {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let request = read(&mut reader)?;
        posted.lock().unwrap().push(request);
        let status = answers.lock().unwrap().pop_front().unwrap_or(200);
        write!(writer, "HTTP/1.1 {status} Told\r\nContent-Length: 5\r\n\r\ntold\n").ok()?;
    }
}

/// A request; none when the connection ends.
fn read(reader: &mut impl std::io::BufRead) -> Option<Posted> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let path = lines.first()?.split(' ').nth(1)?.to_owned();
    let headers = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let mut posted = Posted { path, headers: headers.collect(), body: Vec::new() };
    let length = posted.header("content-length")?.parse().ok()?;
    posted.body.resize(length, 0);
    reader.read_exact(&mut posted.body).ok()?;
    Some(posted)
}

/// Waits until something is there.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
