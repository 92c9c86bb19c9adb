//! Log lines of our own making: six services whose lines have the shapes of real ones (an access log,
//! JSON, logfmt, an authentication log, a Java service with stack traces, a block store), with ids of
//! real entropy. The same seed gives the same bytes on every machine.

use std::fmt::Write as _;

/// One line in this many tells of a failed login for root: the rare phrase.
const RARE: u64 = 400;

/// A service that writes lines.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Its label `job`.
    pub job: &'static str,
    /// Its label `env`.
    pub env: &'static str,
    write: fn(&mut Rng, &mut String),
}

impl Service {
    /// The next line. Some have several lines of text.
    #[must_use]
    pub fn line(&self, rng: &mut Rng) -> String {
        let mut text = String::with_capacity(192);
        (self.write)(rng, &mut text);
        text
    }
}

/// The services, in the order lines are dealt to them.
pub const SERVICES: [Service; 6] = [
    Service { job: "edge", env: "prod", write: access },
    Service { job: "orders", env: "prod", write: json },
    Service { job: "scheduler", env: "staging", write: logfmt },
    Service { job: "sshd", env: "prod", write: sshd },
    Service { job: "billing", env: "test", write: java },
    Service { job: "blocks", env: "dev", write: blocks },
];

/// SplitMix64: a generator whose output is the same everywhere, in five lines.
///
/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator; the same seed gives the same numbers.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

const PATHS: [&str; 8] = [
    "/",
    "/cart",
    "/cart/items",
    "/checkout",
    "/search?q=lamp",
    "/static/app.js",
    "/healthz",
    "/login",
];
const AGENTS: [&str; 4] = [
    "curl/8.7",
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/131.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) Safari/605.1.15",
    "kube-probe/1.31",
];
const LEVELS: [&str; 8] = ["INFO", "INFO", "INFO", "INFO", "INFO", "WARN", "ERROR", "DEBUG"];

fn ip(rng: &mut Rng) -> String {
    format!("10.{}.{}.{}", rng.below(4), rng.below(256), rng.below(256))
}

fn access(rng: &mut Rng, out: &mut String) {
    let (client, bytes, took) = (ip(rng), rng.below(90_000), rng.below(3000));
    let status = rng.pick(&[200, 200, 200, 200, 204, 301, 404, 500, 503]);
    let (method, path, agent) =
        (rng.pick(&["GET", "GET", "POST"]), rng.pick(&PATHS), rng.pick(&AGENTS));
    let second = rng.below(60);
    let _ = write!(
        out,
        "{client} - - [01/Nov/2026:12:{:02}:{second:02} +0000] \"{method} {path} HTTP/1.1\" status: {status} len: {bytes} time: {}.{:03} \"{agent}\"",
        rng.below(60),
        took / 1000,
        took % 1000
    );
}

fn json(rng: &mut Rng, out: &mut String) {
    let message =
        rng.pick(&["order accepted", "order declined", "payment retried", "stock reserved"]);
    let _ = write!(
        out,
        "{{\"level\":\"{}\",\"msg\":\"{message}\",\"order\":{},\"user\":{},\"amount\":{}.{:02},\"trace_id\":\"{:016x}{:016x}\",\"http\":{{\"method\":\"POST\",\"status\":{}}}}}",
        rng.pick(&LEVELS).to_ascii_lowercase(),
        100_000_000 + rng.below(900_000_000),
        rng.below(50_000),
        rng.below(900),
        rng.below(100),
        rng.next(),
        rng.next(),
        rng.pick(&[200, 201, 400, 402, 500])
    );
}

fn logfmt(rng: &mut Rng, out: &mut String) {
    let message =
        rng.pick(&["pod bound", "pod evicted", "node pressure", "cache synced", "retrying watch"]);
    let _ = write!(
        out,
        "level={} ts=2026-11-01T12:{:02}:{:02}.{:03}Z caller=scheduler.go:{} msg=\"{message}\" pod=worker-{:08x} node=n{} took={}ms",
        rng.pick(&LEVELS).to_ascii_lowercase(),
        rng.below(60),
        rng.below(60),
        rng.below(1000),
        rng.pick(&[88, 120, 213, 407]),
        rng.below(1 << 32),
        rng.below(40),
        rng.below(2000)
    );
}

fn sshd(rng: &mut Rng, out: &mut String) {
    let (pid, port, from) = (1000 + rng.below(30_000), 1024 + rng.below(60_000), ip(rng));
    if rng.below(RARE / SERVICES.len() as u64) == 0 {
        let _ = write!(out, "sshd[{pid}]: Failed password for root from {from} port {port} ssh2");
        return;
    }
    let user = rng.pick(&["admin", "deploy", "git", "oracle", "postgres", "test"]);
    let _ = match rng.below(4) {
        0 => write!(
            out,
            "sshd[{pid}]: Failed password for invalid user {user} from {from} port {port} ssh2"
        ),
        1 => write!(
            out,
            "sshd[{pid}]: Accepted publickey for {user} from {from} port {port} ssh2: ED25519 SHA256:{:016x}",
            rng.next()
        ),
        2 => write!(out, "sshd[{pid}]: Connection closed by {from} port {port} [preauth]"),
        _ => write!(
            out,
            "sshd[{pid}]: pam_unix(sshd:session): session opened for user {user} by (uid=0)"
        ),
    };
}

fn java(rng: &mut Rng, out: &mut String) {
    let level = rng.pick(&LEVELS);
    let thread = rng.below(64);
    let _ = write!(
        out,
        "2026-11-01 12:{:02}:{:02},{:03} {level} [pool-3-thread-{thread}] com.example.billing.",
        rng.below(60),
        rng.below(60),
        rng.below(1000)
    );
    if level == "ERROR" {
        let _ = write!(
            out,
            "InvoiceService - failed to close invoice {}\njava.lang.IllegalStateException: invoice is locked\n\tat com.example.billing.InvoiceService.close(InvoiceService.java:{})\n\tat com.example.billing.Worker.run(Worker.java:{})",
            rng.below(1 << 40),
            rng.pick(&[118, 164, 233]),
            rng.pick(&[41, 57])
        );
        return;
    }
    let _ = write!(
        out,
        "InvoiceService - invoice {} has {} positions, total {} cents",
        rng.below(1 << 40),
        rng.below(40),
        rng.below(1_000_000)
    );
}

fn blocks(rng: &mut Rng, out: &mut String) {
    let (id, size) = (rng.next() >> 1, rng.below(67_108_864));
    let (source, target) = (ip(rng), ip(rng));
    let _ = match rng.below(3) {
        0 => write!(
            out,
            "INFO dfs.DataNode$DataXceiver: Receiving block blk_{id} src: /{source}:{} dest: /{target}:50010",
            1024 + rng.below(60_000)
        ),
        1 => write!(
            out,
            "INFO dfs.DataNode$PacketResponder: PacketResponder {} for block blk_{id} terminating",
            rng.below(3)
        ),
        _ => write!(
            out,
            "INFO dfs.FSNamesystem: BLOCK* addStoredBlock: blockMap updated: {target}:50010 is added to blk_{id} size {size}"
        ),
    };
}
