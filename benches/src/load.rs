//! Pushes bodies over a few connections and times them.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Result, bail};
use ureq::Agent;

/// What a load took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) pushes: usize,
    pub(crate) seconds: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pushes, seconds, p50_ms, p99_ms } = self;
        write!(f, "{pushes} pushes in {seconds:.2} s, p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms")
    }
}

/// Sends every body once; each connection takes the next that waits.
pub(crate) fn send(bodies: &[Vec<u8>], addr: &str, connections: usize) -> Result<Load> {
    let (next, failed) = (AtomicUsize::new(0), AtomicU64::new(0));
    let started = Instant::now();
    let mut latencies: Vec<f64> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..connections)
            .map(|_| scope.spawn(|| worker(bodies, addr, &next, &failed)))
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    if failed.load(Ordering::Relaxed) > 0 || latencies.len() != bodies.len() {
        bail!("{} of {} pushes were refused", bodies.len() - latencies.len(), bodies.len());
    }
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    Ok(Load { pushes: bodies.len(), seconds, p50_ms: at(0.5), p99_ms: at(0.99) })
}

/// Milliseconds of each push this connection made.
fn worker(bodies: &[Vec<u8>], addr: &str, next: &AtomicUsize, failed: &AtomicU64) -> Vec<f64> {
    let agent = Agent::new_with_defaults();
    let mut latencies = Vec::new();
    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
        let started = Instant::now();
        if let Err(error) = push(&agent, addr, body) {
            eprintln!("push refused: {error}");
            failed.fetch_add(1, Ordering::Relaxed);
            break;
        }
        latencies.push(started.elapsed().as_secs_f64() * 1e3);
    }
    latencies
}

/// Sends one body and waits for its acknowledgement.
pub(crate) fn push(agent: &Agent, addr: &str, body: &[u8]) -> Result<()> {
    let url = format!("http://{addr}/loki/api/v1/push");
    agent.post(&url).header("Content-Type", "application/x-protobuf").send(body)?;
    Ok(())
}
