//! What was measured, as a Markdown table for `RESULTS.md`.

use std::fmt::Write as _;

use crate::load::Load;
use crate::process::Memory;
use crate::questions::Answer;
use crate::units::Units;

/// Everything one run measured.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) lines: u64,
    pub(crate) raw_bytes: u64,
    pub(crate) units: Units,
    pub(crate) load: Load,
    /// The server's CPU seconds during the load.
    pub(crate) ingest_cpu: f64,
    pub(crate) disk_bytes: u64,
    pub(crate) memory: Memory,
    pub(crate) restart_seconds: f64,
    pub(crate) answers: Vec<Answer>,
}

pub(crate) fn markdown(m: &Measured) -> String {
    let mut out = String::new();
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let Units { u, d, zstd3_bytes, zstd19_bytes } = m.units;
    let _ = writeln!(
        out,
        "{} lines, {:.1} MB raw; U = {u:.2} s, D = {d:.3} s; zstd -3 {:.1} MB, zstd -19 {:.1} MB\n",
        m.lines,
        mb(m.raw_bytes),
        mb(zstd3_bytes),
        mb(zstd19_bytes)
    );
    let _ = writeln!(out, "| | measured | in units |\n|---|---:|---:|");
    let mut row = |name: &str, measured: String, ratio: String| {
        let _ = writeln!(out, "| {name} | {measured} | {ratio} |");
    };
    row(
        "ingest, server CPU",
        format!("{:.2} s", m.ingest_cpu),
        format!("{:.1} U", m.ingest_cpu / u),
    );
    row("ingest, wall", format!("{:.2} s", m.load.seconds), format!("{:.1} U", m.load.seconds / u));
    let Load { pushes, p50_ms, p99_ms, .. } = m.load;
    row("push", format!("p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms"), format!("{pushes} pushes"));
    let ratio = m.disk_bytes as f64 / zstd19_bytes as f64;
    row("bytes on disk", format!("{:.1} MB", mb(m.disk_bytes)), format!("{ratio:.2} of zstd -19"));
    let Memory { resident_kb, peak_kb, anonymous_kb } = m.memory;
    row(
        "memory, resident",
        format!("{} MB", resident_kb / 1000),
        format!("peak {} MB", peak_kb / 1000),
    );
    row("memory, anonymous", format!("{} MB", anonymous_kb / 1000), String::new());
    row("restart after kill -9", format!("{:.2} s", m.restart_seconds), String::new());
    for answer in &m.answers {
        let measured = format!("{:.1} ms", answer.median_ms);
        row(answer.name, measured, format!("{:.3} D", answer.median_ms / 1e3 / d));
    }
    out
}
