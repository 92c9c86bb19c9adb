//! What was measured, as Markdown for `RESULTS.md`.

use std::fmt::Write as _;

use crate::load::Load;
use crate::measure::Measured;
use crate::questions::Answer;
use crate::reference::{self, Theirs};
use crate::units::Units;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Seconds that are told in U as well.
    Work,
    /// Seconds that have no unit to be told in.
    Seconds,
    /// Milliseconds of a question, told in D as well.
    Question,
    /// Milliseconds that have no unit to be told in.
    Milliseconds,
    /// Bytes on disk, told in those of `zstd -19` as well.
    Disk,
    /// Bytes written to disk.
    Written,
    /// Bytes in memory.
    Memory,
    /// How many.
    Count,
}

/// A figure of a run.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// `None` where the server refused.
    pub(crate) value: Option<f64>,
}

impl Figure {
    /// How long an answer took, in milliseconds.
    pub(crate) fn of(answer: &Answer, kind: Kind) -> Self {
        let value = answer.outcome.as_ref().ok().map(|timing| timing.median_ms);
        Self { name: answer.name, kind, value }
    }
}

/// The units of a run, ours or that of the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct In {
    u: f64,
    d: f64,
    zstd19_bytes: Option<u64>,
}

impl In {
    /// For figures that are told in none.
    pub(crate) const NONE: Self = Self { u: f64::NAN, d: f64::NAN, zstd19_bytes: None };

    /// For figures of the others.
    pub(crate) const THEIRS: Self =
        Self { u: reference::U, d: reference::D, zstd19_bytes: Some(reference::ZSTD19_BYTES) };

    pub(crate) fn of(units: Units) -> Self {
        let Units { u, d, zstd19_bytes, .. } = units;
        Self { u, d, zstd19_bytes }
    }
}

impl Kind {
    /// The value in the unit of its kind; `None` where that has none, or it is not known.
    pub(crate) fn in_units(self, value: f64, units: In) -> Option<f64> {
        match self {
            Self::Work => Some(value / units.u),
            Self::Question => Some(value / 1e3 / units.d),
            Self::Disk => units.zstd19_bytes.map(|zstd19| value / zstd19 as f64),
            Self::Seconds | Self::Milliseconds | Self::Written | Self::Memory | Self::Count => None,
        }
    }

    /// A cell of the table.
    fn cell(self, value: f64, units: In) -> String {
        let In { u, d, zstd19_bytes } = units;
        match (self, zstd19_bytes) {
            (Self::Work, _) => format!("{value:.2} s = {:.1} U", value / u),
            (Self::Seconds, _) => format!("{value:.2} s"),
            (Self::Question, _) => format!("{value:.1} ms = {:.3} D", value / 1e3 / d),
            (Self::Milliseconds, _) => format!("{value:.1} ms"),
            (Self::Disk, Some(zstd19)) => {
                format!("{} = {:.2} of zstd -19", megabytes(value), value / zstd19 as f64)
            }
            (Self::Disk, None) => megabytes(value),
            (Self::Written, _) => megabytes(value),
            (Self::Memory, _) => format!("{:.0} MB", value / 1e6),
            (Self::Count, _) => format!("{value:.0}"),
        }
    }
}

/// One decimal is as much as machines repeat.
pub(crate) fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

/// The figures of a run. All runs have the same, in the same order.
pub(crate) fn figures(m: &Measured) -> Vec<Figure> {
    let Load { seconds, p50_ms, p99_ms, .. } = m.load;
    let ours = [
        ("ingest, server CPU", Kind::Work, m.ingest_cpu),
        ("ingest, wall", Kind::Work, seconds),
        ("push, p50", Kind::Milliseconds, p50_ms),
        ("push, p99", Kind::Milliseconds, p99_ms),
        ("flush and compaction behind it, CPU", Kind::Work, m.settled.cpu_seconds),
        ("flush and compaction behind it, wall", Kind::Seconds, m.settled.seconds),
        ("bytes on disk", Kind::Disk, m.disk_bytes as f64),
        ("written to disk", Kind::Written, m.written_bytes as f64),
        ("memory, resident", Kind::Memory, m.memory.resident_bytes()),
        ("memory, resident at the most", Kind::Memory, m.memory.peak_bytes()),
        ("memory, anonymous", Kind::Memory, m.memory.anonymous_bytes()),
        ("restart after kill -9", Kind::Seconds, m.restart_seconds),
    ];
    let ours = ours.map(|(name, kind, value)| Figure { name, kind, value: Some(value) });
    let answers = m.answers.iter().map(|answer| Figure::of(answer, Kind::Question));
    ours.into_iter().chain(answers).collect()
}

/// What was measured, what the units were, and what there is to say about it.
fn summary(m: &Measured) -> String {
    let Units { u, d, zstd3_bytes, zstd19_bytes } = m.units;
    let zstd19 = zstd19_bytes.map(|bytes| format!(", zstd -19 {}", megabytes(bytes as f64)));
    format!(
        "{} lines, {}, {} streams, {} pushes; U = {u:.2} s, D = {d:.3} s; zstd -3 {}{}; \
         counted {} lines before kill -9 and {} after the restart",
        m.lines,
        megabytes(m.raw_bytes as f64),
        m.streams,
        m.load.pushes,
        megabytes(zstd3_bytes as f64),
        zstd19.unwrap_or_default(),
        m.counted.0,
        m.counted.1,
    )
}

/// The table of one run, with its questions as they were answered at rest and before that; beside the figures of the
/// others where the run was on the same bytes as theirs.
pub(crate) fn table(m: &Measured, with_others: bool) -> String {
    let others: &[&str] = if with_others { &reference::NAMES } else { &[] };
    let mut columns = others.to_vec();
    columns.extend(["Timberline", "as pushed"]);
    let mut out = format!("{}\n\n", summary(m));
    head(&mut out, &columns);
    for Figure { name, kind, value } in figures(m) {
        let theirs = reference::of(name);
        let mut cells: Vec<String> = (0..others.len())
            .map(|other| theirs.map_or_else(String::new, |theirs| their_cell(kind, theirs[other])))
            .collect();
        cells.push(cell(kind, value, In::of(m.units)));
        let fresh = m.fresh_answers.iter().find(|answer| answer.name == name);
        let fresh = fresh.map(|answer| Figure::of(answer, Kind::Question).value);
        cells.push(fresh.map_or_else(String::new, |value| cell(kind, value, In::of(m.units))));
        row(&mut out, name, &cells);
    }
    out
}

/// How figures grow with the corpus: a column for each run, and the last by the first.
pub(crate) fn growth(runs: &[(u64, Measured)]) -> String {
    let mut out = String::new();
    for (times, measured) in runs {
        let _ = writeln!(out, "{times}×: {}\n", summary(measured));
    }
    let columns: Vec<String> = runs.iter().map(|(times, _)| format!("{times}×")).collect();
    let runs: Vec<_> =
        runs.iter().map(|(_, measured)| (figures(measured), In::of(measured.units))).collect();
    out + &growth_table(&columns, &runs)
}

/// A row a figure, a column a run, and the last by the first. All runs have the same figures.
pub(crate) fn growth_table(columns: &[String], runs: &[(Vec<Figure>, In)]) -> String {
    let mut out = String::new();
    let mut names: Vec<&str> = columns.iter().map(String::as_str).collect();
    names.push("last / first");
    head(&mut out, &names);
    let (Some((first, _)), Some((last, _))) = (runs.first(), runs.last()) else { return out };
    for (place, (first, last)) in first.iter().zip(last).enumerate() {
        let cell = |(figures, units): &(Vec<Figure>, In)| {
            cell(first.kind, figures.get(place).and_then(|figure| figure.value), *units)
        };
        let mut cells: Vec<String> = runs.iter().map(cell).collect();
        let grown = first.value.zip(last.value).map(|(first, last)| format!("{:.2}", last / first));
        cells.push(grown.unwrap_or_default());
        row(&mut out, first.name, &cells);
    }
    out
}

fn cell(kind: Kind, value: Option<f64>, units: In) -> String {
    value.map_or_else(|| "refused".to_owned(), |value| kind.cell(value, units))
}

fn their_cell(kind: Kind, theirs: Theirs) -> String {
    match theirs {
        Theirs::Took(value) => kind.cell(value, In::THEIRS),
        Theirs::WholeWords(value) => format!("{} (whole words)", kind.cell(value, In::THEIRS)),
        Theirs::Refused => "refused".to_owned(),
    }
}

/// The head of a table whose first column names the rows and whose others are numbers.
pub(crate) fn head(out: &mut String, columns: &[impl AsRef<str>]) {
    let names: Vec<&str> = columns.iter().map(AsRef::as_ref).collect();
    let _ = writeln!(out, "| | {} |\n|---|{}", names.join(" | "), "---:|".repeat(names.len()));
}

/// A row of such a table. A pipe in a name would end the cell.
pub(crate) fn row(out: &mut String, name: &str, cells: &[impl AsRef<str>]) {
    let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    let _ = writeln!(out, "| {} | {} |", name.replace('|', "\\|"), cells.join(" | "));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Settled;
    use crate::process::Memory;
    use crate::questions::Timing;

    fn measured(scale: f64) -> Measured {
        let timing = Timing { median_ms: 50.0 * scale, min_ms: 40.0, rows: 3 };
        Measured {
            lines: 1000,
            raw_bytes: 2_000_000,
            streams: 24,
            units: Units { u: 0.5, d: 0.1, zstd3_bytes: 400_000, zstd19_bytes: Some(300_000) },
            load: Load { pushes: 1, seconds: 2.0 * scale, p50_ms: 1.0, p99_ms: 9.0 },
            ingest_cpu: 1.0 * scale,
            settled: Settled { seconds: 0.75, cpu_seconds: 0.25 },
            disk_bytes: 330_000,
            written_bytes: 210_000_000,
            answers: vec![
                Answer { name: "absent id", outcome: Ok(timing) },
                Answer { name: "parse and group", outcome: Err("too many series".to_owned()) },
            ],
            memory: Memory { resident_kb: 1000, peak_kb: 2000, anonymous_kb: 500 },
            fresh_answers: vec![Answer { name: "absent id", outcome: Ok(timing) }],
            restart_seconds: 0.01,
            counted: (1000, 1000),
        }
    }

    #[test]
    fn a_table_tells_figures_in_the_units_of_their_run() {
        let table = table(&measured(1.0), false);
        assert!(
            table.starts_with("1000 lines, 2.0 MB, 24 streams, 1 pushes; U = 0.50 s, D = 0.100 s")
        );
        assert!(table.contains("| | Timberline | as pushed |\n|---|---:|---:|\n"), "{table}");
        for row in [
            "| ingest, server CPU | 1.00 s = 2.0 U |  |",
            "| bytes on disk | 0.3 MB = 1.10 of zstd -19 |  |",
            "| memory, anonymous | 1 MB |  |",
            "| absent id | 50.0 ms = 0.500 D | 50.0 ms = 0.500 D |",
            "| parse and group | refused |  |",
        ] {
            assert!(table.contains(row), "{row} in {table}");
        }
    }

    #[test]
    fn the_others_are_told_in_the_units_of_theirs() {
        let table = table(&measured(1.0), true);
        for row in [
            "| | Loki 3.7.6 (no fsync) | VictoriaLogs 1.26 (no WAL) | Timberline | as pushed |\n|---|---:|---:|---:|---:|",
            "| ingest, server CPU | 15.80 s = 19.8 U | 9.40 s = 11.8 U | 1.00 s = 2.0 U |  |",
            "| push, p50 |  |  | 1.0 ms |  |",
            "| bytes on disk | 47.7 MB = 2.19 of zstd -19 | 38.6 MB = 1.77 of zstd -19 |",
            "| absent id | 1058.0 ms = 5.290 D | 2.2 ms = 0.011 D (whole words) | 50.0 ms = 0.500 D | 50.0 ms = 0.500 D |",
            "| parse and group | refused | 118.0 ms = 0.590 D | refused |  |",
        ] {
            assert!(table.contains(row), "{row} in {table}");
        }
    }

    #[test]
    fn every_figure_of_the_others_has_a_row_of_ours() {
        let mut names: Vec<_> = figures(&measured(1.0)).iter().map(|figure| figure.name).collect();
        names.extend(crate::questions::names());
        for (name, _) in reference::FIGURES {
            assert!(names.contains(&name), "{name}");
        }
    }

    #[test]
    fn growth_has_a_column_for_each_run() {
        let growth = growth(&[(1, measured(1.0)), (4, measured(3.0))]);
        assert!(growth.contains("| | 1× | 4× | last / first |\n"), "{growth}");
        assert!(growth.contains("| absent id | 50.0 ms = 0.500 D | 150.0 ms = 1.500 D | 3.00 |"));
        assert!(growth.contains("| parse and group | refused | refused |  |"), "{growth}");
    }
}
