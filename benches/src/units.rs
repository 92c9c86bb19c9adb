//! The units that figures are told in: what the machine can do at this moment.

use std::fs;
use std::time::Instant;

use anyhow::Result;

use crate::corpus::Corpus;

/// Seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Units {
    /// CPU time of `zstd -3` over the corpus' raw bytes, on one thread.
    pub(crate) u: f64,
    /// Wall time of decompressing that.
    pub(crate) d: f64,
    /// Bytes of the corpus under `zstd -3`.
    pub(crate) zstd3_bytes: u64,
    /// Bytes of the corpus under `zstd -19`.
    pub(crate) zstd19_bytes: u64,
}

pub(crate) fn measure(corpus: &Corpus) -> Result<Units> {
    let mut raw = Vec::with_capacity(corpus.raw_bytes() as usize);
    corpus.write_lines(&mut raw)?;
    let before = own_cpu_seconds()?;
    let packed = zstd::bulk::compress(&raw, 3)?;
    let u = own_cpu_seconds()? - before;
    let started = Instant::now();
    let unpacked = zstd::bulk::decompress(&packed, raw.len())?;
    let d = started.elapsed().as_secs_f64();
    assert_eq!(unpacked.len(), raw.len(), "zstd gives back what it was given");
    let zstd19_bytes = zstd::bulk::compress(&raw, 19)?.len() as u64;
    Ok(Units { u, d, zstd3_bytes: packed.len() as u64, zstd19_bytes })
}

/// CPU time of this thread so far: nanoseconds on a core, from the scheduler.
fn own_cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos: f64 = stat.split_whitespace().next().unwrap_or("0").parse()?;
    Ok(nanos / 1e9)
}
