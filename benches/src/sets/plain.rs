//! Sizes under plain compressors.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::data::DataSet;

/// Raw bytes of a block that is compressed by itself, so that it can be read by itself.
const BLOCK_BYTES: usize = 256 << 10;
/// The window of `--long=27`.
const LONG_WINDOW_LOG: u32 = 27;

/// Bytes of a set under plain compressors. `None` where it was not tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plain {
    /// `zstd -3`, in blocks of 256 KiB.
    pub(crate) zstd3_blocks: Option<u64>,
    /// `zstd -19`, as a whole.
    pub(crate) zstd19: Option<u64>,
    /// `zstd -19 --long=27`, as a whole.
    pub(crate) zstd19_long: Option<u64>,
    /// `xz -9`, as a whole.
    pub(crate) xz9: Option<u64>,
}

/// Sizes by the CRC-32C of the raw bytes, kept in a file if there is one: the compressors take minutes
/// and always give the same.
#[derive(Debug)]
pub(crate) struct Sizes {
    path: Option<PathBuf>,
    known: Mutex<BTreeMap<u32, Plain>>,
}

impl Sizes {
    /// What the file has, nothing if it is not there.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let mut known = BTreeMap::new();
        if let Some(path) = path {
            let problem = || format!("cannot read the sizes in {}", path.display());
            let text = match fs::read_to_string(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => "{}".to_owned(),
                text => text.with_context(problem)?,
            };
            let sizes: BTreeMap<String, Value> =
                serde_json::from_str(&text).with_context(problem)?;
            for (checksum, sizes) in sizes {
                known.insert(checksum.parse().with_context(problem)?, Plain::from_json(&sizes));
            }
        }
        Ok(Self { path: path.map(Path::to_owned), known: Mutex::new(known) })
    }

    /// The raw bytes and the sizes of each set, on all cores. What is new is kept at once.
    pub(crate) fn of(&self, sets: &[DataSet], is_quick: bool) -> Result<Vec<(u64, Plain)>> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (next, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        let work = || -> Result<()> {
            while let Some((place, set)) = at(sets, next.fetch_add(1, Ordering::Relaxed)) {
                let sizes = self.of_set(set, is_quick)?;
                found.lock().map_err(|_| panicked())?.insert(place, sizes);
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let outcome =
                |worker: ScopedJoinHandle<'_, _>| worker.join().unwrap_or(Err(panicked()));
            workers.into_iter().try_for_each(outcome)
        })?;
        Ok(found.into_inner().map_err(|_| panicked())?.into_values().collect())
    }

    fn of_set(&self, set: &DataSet, is_quick: bool) -> Result<(u64, Plain)> {
        let raw = set.read()?;
        let checksum = crc32c::crc32c(&raw);
        let before = self.known.lock().map_err(|_| panicked())?.get(&checksum).copied();
        let mut plain = before.unwrap_or_default();
        plain.fill_in(&raw, is_quick)?;
        if before != Some(plain) {
            let mut known = self.known.lock().map_err(|_| panicked())?;
            known.insert(checksum, plain);
            self.keep(&known)?;
        }
        Ok((raw.len() as u64, plain))
    }

    fn keep(&self, known: &BTreeMap<u32, Plain>) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let entry = |(checksum, plain): (&u32, &Plain)| (checksum.to_string(), plain.to_json());
        let sizes: BTreeMap<String, Value> = known.iter().map(entry).collect();
        fs::write(path, serde_json::to_string_pretty(&sizes)?)
            .with_context(|| format!("cannot keep the sizes in {}", path.display()))
    }
}

fn at(sets: &[DataSet], place: usize) -> Option<(usize, &DataSet)> {
    Some((place, sets.get(place)?))
}

fn panicked() -> anyhow::Error {
    anyhow!("a compressor panicked")
}

impl Plain {
    /// Compresses with what was not tried yet. Quick is without those that take the whole set at once.
    fn fill_in(&mut self, raw: &[u8], is_quick: bool) -> Result<()> {
        if self.zstd3_blocks.is_none() {
            let block = |block| Ok(zstd::bulk::compress(block, 3)?.len() as u64);
            self.zstd3_blocks = Some(raw.chunks(BLOCK_BYTES).map(block).sum::<Result<u64>>()?);
        }
        if is_quick {
            return Ok(());
        }
        if self.zstd19.is_none() {
            self.zstd19 = Some(zstd19(raw, None)?);
        }
        if self.zstd19_long.is_none() {
            self.zstd19_long = Some(zstd19(raw, Some(LONG_WINDOW_LOG))?);
        }
        if self.xz9.is_none() {
            self.xz9 = xz9(raw)?;
        }
        Ok(())
    }

    fn to_json(self) -> Value {
        let Self { zstd3_blocks, zstd19, zstd19_long, xz9 } = self;
        json!({
            "zstd3_blocks": zstd3_blocks, "zstd19": zstd19, "zstd19_long": zstd19_long, "xz9": xz9
        })
    }

    fn from_json(sizes: &Value) -> Self {
        let of = |name: &str| sizes[name].as_u64();
        Self {
            zstd3_blocks: of("zstd3_blocks"),
            zstd19: of("zstd19"),
            zstd19_long: of("zstd19_long"),
            xz9: of("xz9"),
        }
    }
}

fn zstd19(raw: &[u8], long_window_log: Option<u32>) -> Result<u64> {
    let mut encoder = zstd::Encoder::new(Counter::default(), 19)?;
    encoder.set_pledged_src_size(Some(raw.len() as u64))?;
    if let Some(window_log) = long_window_log {
        encoder.long_distance_matching(true)?;
        encoder.window_log(window_log)?;
    }
    encoder.write_all(raw)?;
    Ok(encoder.finish()?.0)
}

/// By the program. `None` where there is none.
fn xz9(raw: &[u8]) -> Result<Option<u64>> {
    let spawned = Command::new("xz")
        .args(["-9", "--threads=1", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        child => child.context("cannot run xz")?,
    };
    let (mut stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let mut counter = Counter::default();
    std::thread::scope(|scope| -> Result<()> {
        let writer =
            scope.spawn(move || stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(raw)));
        std::io::copy(&mut stdout.context("xz has no output")?, &mut counter)?;
        writer.join().unwrap_or(Ok(())).context("xz takes no input")
    })?;
    if !child.wait()?.success() {
        bail!("xz failed");
    }
    Ok(Some(counter.0))
}

/// Counts what is written to it.
#[derive(Debug, Default)]
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_compressors_and_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let raw = b"some line that repeats itself\n".repeat(20_000);
        let set = DataSet::of(directory.path(), "a.log");
        fs::write(&set.path, zstd::bulk::compress(&raw, 1).unwrap()).unwrap();
        let path = directory.path().join("sizes.json");

        let sizes = Sizes::open(Some(&path)).unwrap();
        let quick = sizes.of(&[DataSet::of(directory.path(), "a.log")], true).unwrap();
        let (raw_bytes, plain) = quick[0];
        assert_eq!(raw_bytes, raw.len() as u64);
        let blocks = raw.chunks(BLOCK_BYTES).map(|block| zstd::bulk::compress(block, 3).unwrap());
        assert_eq!(plain.zstd3_blocks, Some(blocks.map(|block| block.len() as u64).sum()));
        assert_eq!((plain.zstd19, plain.xz9), (None, None));

        let (_, full) = sizes.of(std::slice::from_ref(&set), false).unwrap()[0];
        assert_eq!(full.zstd3_blocks, plain.zstd3_blocks);
        assert!(full.zstd19 < full.zstd3_blocks && full.zstd19_long.is_some());
        let kept = Sizes::open(Some(&path)).unwrap().known.into_inner().unwrap();
        assert_eq!(kept[&crc32c::crc32c(&raw)], full);
    }
}
