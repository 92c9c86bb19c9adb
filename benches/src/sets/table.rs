//! The sets' sizes as Markdown for `RESULTS.md`.

use std::fmt::Write as _;

use super::SetMeasured;
use super::plain::Plain;
use crate::report::{head, megabytes, row};

/// How many of the worst sets are named.
const WORST: usize = 5;

/// MB a second that only who has nothing to do reaches.
const SPEED_OF_NOTHING: f64 = 5000.0;

/// A compressor's name and where its size is.
type Column = (&'static str, fn(&Plain) -> Option<u64>);

const PLAIN: [Column; 4] = [
    ("zstd -3, 256 KiB", |plain| plain.zstd3_blocks),
    ("zstd -19", |plain| plain.zstd19),
    ("zstd -19 --long=27", |plain| plain.zstd19_long),
    ("xz -9", |plain| plain.xz9),
];

/// A row a set: how many raw bytes become one on disk, and how fast.
pub(crate) fn table(sets: &[SetMeasured]) -> String {
    let mut out = String::new();
    let mut columns = vec!["raw", "on disk", "raw : disk"];
    columns.extend(PLAIN.map(|(name, _)| name));
    columns.extend(["encode", "compact", "decode"]);
    head(&mut out, &columns);
    for set in sets {
        let sizes = PLAIN.map(|(_, size)| size(&set.plain));
        let speed = |seconds| speed(set.raw_bytes, seconds);
        let mut cells = vec![
            megabytes(set.raw_bytes as f64),
            format!("{} kB", set.stored.disk_bytes.div_ceil(1000)),
            ratio(set.raw_bytes, Some(set.stored.disk_bytes)),
        ];
        cells.extend(sizes.map(|size| ratio(set.raw_bytes, size)));
        let stored = &set.stored;
        cells.extend([stored.encode_cpu, stored.compact_cpu, stored.decode_cpu].map(speed));
        row(&mut out, &set.name, &cells);
    }
    last_rows(&mut out, sets);
    let _ = writeln!(out, "\nSpeeds are MB of raw bytes in a second of CPU.");
    for (name, size) in PLAIN {
        let untried = sets.iter().filter(|set| size(&set.plain).is_none()).count();
        if untried > 0 {
            let _ = writeln!(out, "{name} was not tried on {untried} of {} sets.", sets.len());
        }
    }
    for (name, size) in &PLAIN[..2] {
        if sets.iter().all(|set| size(&set.plain).is_some()) {
            let _ = writeln!(out, "{}", worst(sets, name, *size));
        }
    }
    out
}

/// The geometric mean of the ratios, and all sets together.
fn last_rows(out: &mut String, sets: &[SetMeasured]) {
    let raw: u64 = sets.iter().map(|set| set.raw_bytes).sum();
    let total =
        |size: &dyn Fn(&SetMeasured) -> Option<u64>| sets.iter().map(size).sum::<Option<u64>>();
    let mean = |size: &dyn Fn(&SetMeasured) -> Option<u64>| {
        let ratios: Option<Vec<f64>> =
            sets.iter().map(|set| Some(set.raw_bytes as f64 / size(set)? as f64)).collect();
        ratios.map_or_else(|| "–".to_owned(), |ratios| format!("{:.2}", geometric_mean(&ratios)))
    };
    let disk = |set: &SetMeasured| Some(set.stored.disk_bytes);
    let mut means = vec![String::new(), String::new(), mean(&disk)];
    let mut totals = vec![
        megabytes(raw as f64),
        megabytes(total(&disk).unwrap_or_default() as f64),
        ratio(raw, total(&disk)),
    ];
    for (_, size) in PLAIN {
        let size = |set: &SetMeasured| size(&set.plain);
        means.push(mean(&size));
        totals.push(ratio(raw, total(&size)));
    }
    let seconds = |of: fn(&SetMeasured) -> f64| speed(raw, sets.iter().map(of).sum());
    means.extend([const { String::new() }; 3]);
    totals.push(seconds(|set| set.stored.encode_cpu));
    totals.push(seconds(|set| set.stored.compact_cpu));
    totals.push(seconds(|set| set.stored.decode_cpu));
    row(out, "**geometric mean**", &means);
    row(out, "**all together**", &totals);
}

fn geometric_mean(ratios: &[f64]) -> f64 {
    (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp()
}

/// Names the sets that take more than under a compressor, the worst first.
fn worst(sets: &[SetMeasured], name: &str, size: fn(&Plain) -> Option<u64>) -> String {
    let mut larger: Vec<(f64, &str)> = sets
        .iter()
        .filter_map(|set| {
            Some((set.stored.disk_bytes as f64 / size(&set.plain)? as f64, &*set.name))
        })
        .filter(|(times, _)| *times > 1.0)
        .collect();
    larger.sort_by(|one, two| two.0.total_cmp(&one.0));
    if larger.is_empty() {
        return format!("No set is larger than under {name}.");
    }
    let named: Vec<String> =
        larger.iter().take(WORST).map(|(times, set)| format!("{set} ({times:.2} of it)")).collect();
    format!("{} of {} larger than under {name}: {}.", larger.len(), sets.len(), named.join(", "))
}

/// Raw bytes for each byte stored.
fn ratio(raw_bytes: u64, bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "–".to_owned(), |bytes| format!("{:.2}", raw_bytes as f64 / bytes as f64))
}

/// A compaction that had nothing to do has no speed.
fn speed(raw_bytes: u64, seconds: f64) -> String {
    let speed = raw_bytes as f64 / 1e6 / seconds;
    if speed > SPEED_OF_NOTHING { "–".to_owned() } else { format!("{speed:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sets::Stored;

    fn set(name: &str, disk_bytes: u64, xz9: Option<u64>) -> SetMeasured {
        let stored = Stored { disk_bytes, encode_cpu: 0.01, compact_cpu: 0.0, decode_cpu: 0.002 };
        let (zstd3_blocks, zstd19, zstd19_long) = (Some(100_000), Some(50_000), Some(40_000));
        let plain = Plain { zstd3_blocks, zstd19, zstd19_long, xz9 };
        SetMeasured { name: name.to_owned(), raw_bytes: 1_000_000, stored, plain }
    }

    #[test]
    fn a_row_tells_ratios_and_speeds_and_the_worst_are_named() {
        let table = table(&[set("a.log", 50_000, Some(60_000)), set("b.log", 125_000, None)]);
        for line in [
            "| a.log | 1.0 MB | 50 kB | 20.00 | 10.00 | 20.00 | 25.00 | 16.67 | 100 | – | 500 |",
            "| b.log | 1.0 MB | 125 kB | 8.00 | 10.00 | 20.00 | 25.00 | – | 100 | – | 500 |",
            "| **geometric mean** |  |  | 12.65 | 10.00 | 20.00 | 25.00 | – |  |  |  |",
            "| **all together** | 2.0 MB | 0.2 MB | 11.43 | 10.00 | 20.00 | 25.00 | – | 100 | – | 500 |",
            "xz -9 was not tried on 1 of 2 sets.",
            "1 of 2 larger than under zstd -3, 256 KiB: b.log (1.25 of it).",
            "1 of 2 larger than under zstd -19: b.log (2.50 of it).",
        ] {
            assert!(table.lines().any(|of| of == line), "{line}\nin\n{table}");
        }
    }

    #[test]
    fn sets_that_are_smaller_are_not_named() {
        let table = table(&[set("a.log", 50_000, Some(60_000))]);
        assert!(table.contains("No set is larger than under zstd -3, 256 KiB.\n"), "{table}");
        assert!(!table.contains("not tried"), "{table}");
    }
}
