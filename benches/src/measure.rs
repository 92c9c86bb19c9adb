//! One measurement of a server, from an empty directory to a restart after SIGKILL.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::corpus::Corpus;
use crate::disk;
use crate::load::{self, Load};
use crate::process::{Memory, Server, ServerOptions};
use crate::push;
use crate::questions::{self, Answer};
use crate::units::{self, Units};

/// A server is at rest when its files did not change for so long and it used next to no CPU.
const REST: Duration = Duration::from_secs(3);
/// How often that is looked at.
const REST_POLL: Duration = Duration::from_millis(50);
/// The share of one core that a server at rest may use.
const REST_CPU_SHARE: f64 = 0.02;
/// How long the work behind a load may take.
const REST_WITHIN: Duration = Duration::from_secs(1800);

/// How to measure.
#[derive(Clone, Debug)]
pub(crate) struct MeasureOptions {
    pub(crate) server: ServerOptions,
    /// Connections that push at once.
    pub(crate) connections: usize,
    /// How often each question is asked.
    pub(crate) runs: usize,
    /// Whether to compress with `zstd -19`, which takes minutes, rather than look up what is known.
    pub(crate) with_zstd19: bool,
}

/// Everything one run measured.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) lines: u64,
    pub(crate) raw_bytes: u64,
    pub(crate) streams: usize,
    pub(crate) units: Units,
    pub(crate) load: Load,
    /// The server's CPU seconds during the load.
    pub(crate) ingest_cpu: f64,
    pub(crate) settled: Settled,
    pub(crate) disk_bytes: u64,
    /// What was written to disk for that, the log included.
    pub(crate) written_bytes: u64,
    pub(crate) answers: Vec<Answer>,
    /// The same, asked before, once what was due behind the load was done: the newest lines are in the head.
    pub(crate) fresh_answers: Vec<Answer>,
    /// After all questions.
    pub(crate) memory: Memory,
    pub(crate) restart_seconds: f64,
    /// Lines counted before SIGKILL and after the restart: all of them, or the run ends in an error.
    pub(crate) counted: (u64, u64),
}

/// What the server did until it was at rest: behind the load what was due, the last flush and all compaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settled {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
}

/// Measures a fresh server with the corpus.
pub(crate) fn measure(corpus: &Corpus, options: &MeasureOptions) -> Result<Measured> {
    let before = units::measure(corpus, options.with_zstd19)?;
    let bodies = push::bodies(corpus);
    let directory = tempfile::tempdir().context("a directory for the data")?;
    let server = Server::start(&options.server, directory.path())?;
    let cpu_before = server.cpu_seconds()?;
    let load = load::send(&bodies, server.addr(), options.connections)?;
    let ingest_cpu = server.cpu_seconds()? - cpu_before;
    drop(bodies);
    let behind_load = rest(&server, directory.path())?;
    let fresh_answers = ask_all(corpus, &server, options);
    let settled = behind_load.and(settle(&server, directory.path())?);
    let between = units::measure(corpus, false)?;
    let disk_bytes = disk::bytes(directory.path())?;
    let written_bytes = server.written_bytes()?;
    let counted_before = questions::expect_count(corpus, server.addr())?;
    let answers = ask_all(corpus, &server, options);
    let memory = server.memory()?;
    let behind = units::measure(corpus, false)?;
    // A machine that others share is not the same for long: what work took is told in what the unit took before it and
    // behind it.
    let (u, d) = (f64::midpoint(before.u, between.u), f64::midpoint(between.d, behind.d));
    let units = Units { u, d, ..before };
    server.kill()?;
    let restart = Instant::now();
    let server = Server::start(&options.server, directory.path())?;
    let restart_seconds = restart.elapsed().as_secs_f64();
    let counted_after = questions::expect_count(corpus, server.addr())?;
    server.stop()?;
    Ok(Measured {
        lines: corpus.lines(),
        raw_bytes: corpus.raw_bytes(),
        streams: corpus.streams().len(),
        units,
        load,
        ingest_cpu,
        settled,
        disk_bytes,
        written_bytes,
        answers,
        fresh_answers,
        memory,
        restart_seconds,
        counted: (counted_before, counted_after),
    })
}

impl Settled {
    /// Both, one behind the other.
    fn and(self, next: Self) -> Self {
        let Self { seconds, cpu_seconds } = next;
        Self { seconds: self.seconds + seconds, cpu_seconds: self.cpu_seconds + cpu_seconds }
    }
}

/// Asks every question, and says which are refused.
fn ask_all(corpus: &Corpus, server: &Server, options: &MeasureOptions) -> Vec<Answer> {
    let answers = questions::ask_all(corpus, server.addr(), options.runs);
    for refused in answers.iter().filter(|answer| answer.outcome.is_err()) {
        eprintln!("{refused}");
    }
    answers
}

/// Flushes the server and waits until it has nothing left to do.
pub(crate) fn settle(server: &Server, directory: &Path) -> Result<Settled> {
    let (started, cpu_before) = (Instant::now(), server.cpu_seconds()?);
    server.flush()?;
    let flush = Settled {
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: server.cpu_seconds()? - cpu_before,
    };
    Ok(flush.and(rest(server, directory)?))
}

/// Waits until the server has nothing left to do of itself.
fn rest(server: &Server, directory: &Path) -> Result<Settled> {
    let (started, cpu_before) = (Instant::now(), server.cpu_seconds()?);
    // When something was seen to happen last, and the CPU time up to there.
    let (mut last, mut last_cpu) = (started.elapsed(), cpu_before);
    let mut files = disk::files(directory)?;
    loop {
        std::thread::sleep(REST_POLL);
        let (now, now_cpu, now_files) =
            (started.elapsed(), server.cpu_seconds()?, disk::files(directory)?);
        let idle = now - last;
        let is_busy = now_cpu - last_cpu > REST_CPU_SHARE * idle.as_secs_f64().max(1.0);
        if is_busy || now_files != files {
            (last, last_cpu, files) = (now, now_cpu, now_files);
        } else if idle >= REST {
            let (seconds, cpu_seconds) = (last.as_secs_f64(), last_cpu - cpu_before);
            return Ok(Settled { seconds, cpu_seconds });
        }
        if now > REST_WITHIN {
            bail!("the server was not at rest within {REST_WITHIN:?}");
        }
    }
}
