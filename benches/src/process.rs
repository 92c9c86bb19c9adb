//! The server as a process of its own: start, look at its CPU time and memory, stop, kill.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

/// How long a server may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Clock ticks of `/proc/…/stat` in a second: fixed at 100 on Linux for user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// When a push counts as done.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Durability {
    /// Synced to disk.
    Sync,
    /// Handed to the operating system, synced soon after.
    Interval,
    /// In memory.
    None,
}

/// Kilobytes that the process holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident, now.
    pub(crate) resident_kb: u64,
    /// Resident at the most.
    pub(crate) peak_kb: u64,
    /// Of the resident, what is not backed by a file.
    pub(crate) anonymous_kb: u64,
}

impl Memory {
    pub(crate) const fn resident_bytes(self) -> f64 {
        (self.resident_kb * 1024) as f64
    }

    pub(crate) const fn peak_bytes(self) -> f64 {
        (self.peak_kb * 1024) as f64
    }

    pub(crate) const fn anonymous_bytes(self) -> f64 {
        (self.anonymous_kb * 1024) as f64
    }
}

/// What a process holds at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) memory: Memory,
    /// Open file descriptors.
    pub(crate) files: u64,
    pub(crate) threads: u64,
}

/// How to start a server.
#[derive(Clone, Debug)]
pub(crate) struct ServerOptions {
    /// The binary.
    pub(crate) binary: PathBuf,
    pub(crate) durability: Durability,
}

/// Configuration of every server that is measured: questions have more series than the default allows,
/// and look back further; answers have more lines, and delete requests are carried out soon.
const CONFIG: [(&str, &str); 5] = [
    ("TIMBERLINE_LIMITS_CONFIG_MAX_QUERY_SERIES", "2000"),
    ("TIMBERLINE_LIMITS_CONFIG_MAX_QUERY_LENGTH", "0"),
    ("TIMBERLINE_LIMITS_CONFIG_MAX_CONCURRENT_TAIL_REQUESTS", "0"),
    ("TIMBERLINE_LIMITS_CONFIG_MAX_ENTRIES_LIMIT_PER_QUERY", "0"),
    ("TIMBERLINE_COMPACTOR_DELETE_REQUEST_CANCEL_PERIOD", "1m"),
];

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    addr: String,
}

impl Server {
    /// Starts the binary on a free port and waits until it is ready.
    pub(crate) fn start(options: &ServerOptions, data: &Path) -> Result<Self> {
        let ServerOptions { binary, durability } = options;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let addr = format!("127.0.0.1:{port}");
        let mode = format!("{durability:?}").to_lowercase();
        let child = Command::new(binary)
            .args(["serve", "--listen", &addr, "--data-dir"])
            .arg(data)
            .env("TIMBERLINE_STORE_DURABILITY", mode)
            .envs(CONFIG)
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}: build it first", binary.display()))?;
        let mut server = Self { child, addr };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let url = format!("http://{}/ready", self.addr);
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            if ureq::get(&url).call().is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended at once: {status}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        bail!("the server was not ready within {READY_WITHIN:?}")
    }

    pub(crate) fn addr(&self) -> &str {
        &self.addr
    }

    /// CPU time that the process used so far, user and system.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let stat = fs::read_to_string(self.proc("stat"))?;
        let fields: Vec<&str> =
            stat.rsplit(") ").next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok());
        let (Some(user), Some(system)) = (ticks(11), ticks(12)) else {
            bail!("cannot read the CPU time of process {}", self.child.id());
        };
        Ok((user + system) / TICKS_PER_SECOND)
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        let mut memory = Memory { resident_kb: 0, peak_kb: 0, anonymous_kb: 0 };
        for line in BufReader::new(fs::File::open(self.proc("status"))?).lines() {
            let line = line?;
            let mut words = line.split_whitespace();
            let (name, value) = (words.next().unwrap_or_default(), words.next());
            let kilobytes = value.and_then(|text| text.parse().ok()).unwrap_or(0);
            match name {
                "VmRSS:" => memory.resident_kb = kilobytes,
                "VmHWM:" => memory.peak_kb = kilobytes,
                "RssAnon:" => memory.anonymous_kb = kilobytes,
                _ => {}
            }
        }
        Ok(memory)
    }

    /// Bytes that the process had written to disk so far: pages, as the kernel counts them.
    pub(crate) fn written_bytes(&self) -> Result<u64> {
        let io = fs::read_to_string(self.proc("io"))?;
        let bytes = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        let bytes = bytes.with_context(|| format!("no bytes written in {io:?}"))?;
        Ok(bytes.trim().parse()?)
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        let count = |dir| Ok::<_, anyhow::Error>(fs::read_dir(self.proc(dir))?.count() as u64);
        Ok(Usage { memory: self.memory()?, files: count("fd")?, threads: count("task")? })
    }

    fn proc(&self, file: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(file)
    }

    /// Asks the server to write its head to a segment.
    pub(crate) fn flush(&self) -> Result<()> {
        ureq::post(&format!("http://{}/flush", self.addr)).send_empty()?;
        Ok(())
    }

    /// SIGKILL: nothing is finished or synced.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for a clean end.
    pub(crate) fn stop(mut self) -> Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Server {
    /// A measurement that failed halfway must not leave a server behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
