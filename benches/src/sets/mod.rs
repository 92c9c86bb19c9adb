//! What sets of real logs take on disk, against plain compressors, and whether every line comes back.

mod plain;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use timberline_store::{
    Columns, Durability, Labels, LinePredicate, ReadScratch, Store, TenantId, TimeRange, WriteBatch,
};

use self::plain::{Plain, Sizes};
pub(crate) use self::table::table;
use crate::clock::process_cpu_seconds;
use crate::corpus::{index_at, timestamp};
use crate::data::{self, DataSet};
use crate::disk;

/// Lines in one append.
const LINES_PER_APPEND: usize = 1000;
/// Bytes that the log may have when everything is in segments: the heads of its files.
const WAL_BYTES_MAX: u64 = 4096;

/// Which sets, against what.
#[derive(Clone, Debug)]
pub(crate) struct SetsOptions {
    pub(crate) data: PathBuf,
    /// Names of sets; all of the directory when empty.
    pub(crate) only: Vec<String>,
    /// Where sizes under plain compressors are kept between runs.
    pub(crate) sizes: Option<PathBuf>,
    /// Whether to leave out the compressors that take minutes, unless their sizes were kept.
    pub(crate) is_quick: bool,
}

/// What was measured of a set.
#[derive(Clone, Debug)]
pub(crate) struct SetMeasured {
    pub(crate) name: String,
    pub(crate) raw_bytes: u64,
    pub(crate) stored: Stored,
    pub(crate) plain: Plain,
}

/// What the store did with a set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    /// Bytes of segments and manifest of the closed store, indexes included.
    pub(crate) disk_bytes: u64,
    /// Seconds of CPU from the first append to the last flush: log, head and segments.
    pub(crate) encode_cpu: f64,
    /// Seconds of CPU of compaction behind it.
    pub(crate) compact_cpu: f64,
    /// Seconds of CPU of reading every line back from the store, opened anew.
    pub(crate) decode_cpu: f64,
}

/// Measures the sets one after the other, then the plain compressors.
///
/// # Errors
/// A line that does not come back as it was.
pub(crate) fn measure(options: &SetsOptions) -> Result<Vec<SetMeasured>> {
    let mut sets = data::sets(&options.data)?;
    if let Some(unknown) =
        options.only.iter().find(|name| !sets.iter().any(|set| set.name == **name))
    {
        anyhow::bail!("there is no set {unknown} in {}", options.data.display());
    }
    sets.retain(|set| options.only.is_empty() || options.only.contains(&set.name));
    let mut stored = Vec::new();
    for set in &sets {
        eprintln!("{}", set.name);
        let text = set.read()?;
        stored.push(through_the_store(set, &text).with_context(|| set.name.clone())?);
    }
    let plain = Sizes::open(options.sizes.as_deref())?.of(&sets, options.is_quick)?;
    let measured = sets.into_iter().zip(stored).zip(plain);
    let measured = measured.map(|((set, stored), (raw_bytes, plain))| SetMeasured {
        name: set.name,
        raw_bytes,
        stored,
        plain,
    });
    Ok(measured.collect())
}

/// Pushes a set into a fresh store, as one stream, and reads it back.
fn through_the_store(set: &DataSet, text: &[u8]) -> Result<Stored> {
    let directory = tempfile::tempdir().context("a directory for the data")?;
    let tenant = TenantId::new("sets")?;
    let lines: Vec<&[u8]> = data::lines(text).collect();
    let store = Store::builder().durability(Durability::None).open(directory.path())?;
    let begun = process_cpu_seconds();
    append(&store, &tenant, &set.name, &lines)?;
    store.flush()?;
    let flushed = process_cpu_seconds();
    store.compact()?;
    let compacted = process_cpu_seconds();
    store.close()?;
    let disk_bytes = disk_bytes(directory.path())?;

    let store = Store::open(directory.path())?;
    let opened = process_cpu_seconds();
    read_back(&store, &tenant, &lines)?;
    let decode_cpu = process_cpu_seconds() - opened;
    store.close()?;
    let (encode_cpu, compact_cpu) = (flushed - begun, compacted - flushed);
    Ok(Stored { disk_bytes, encode_cpu, compact_cpu, decode_cpu })
}

fn append(store: &Store, tenant: &TenantId, name: &str, lines: &[&[u8]]) -> Result<()> {
    let labels = Labels::from_pairs([("set", name)])?;
    let mut batch = WriteBatch::new();
    for (appends, lines) in lines.chunks(LINES_PER_APPEND).enumerate() {
        batch.clear();
        batch.stream(&labels);
        for (line, index) in lines.iter().zip(appends * LINES_PER_APPEND..) {
            batch.push(timestamp(index as u64) as i64, line, &[])?;
        }
        store.append(tenant, &batch)?;
    }
    Ok(())
}

/// Holds every line of the store against what was pushed.
fn read_back(store: &Store, tenant: &TenantId, lines: &[&[u8]]) -> Result<()> {
    let snapshot = store.snapshot();
    let (mut seen, mut scratch) = (vec![false; lines.len()], ReadScratch::new());
    for chunk in snapshot.chunks(tenant, &[], TimeRange::ALL)? {
        let all = &LinePredicate::Always;
        let batch = chunk.read(TimeRange::ALL, all, Columns::ALL, &mut scratch)?;
        for row in batch.rows() {
            let index = index_at(row.timestamp as u64) as usize;
            let is_alike = lines.get(index).is_some_and(|line| *line == batch.line(row))
                && timestamp(index as u64) as i64 == row.timestamp;
            ensure!(is_alike, "line {index} at {} came back changed", row.timestamp);
            ensure!(!std::mem::replace(&mut seen[index], true), "line {index} came back twice");
        }
    }
    let warnings = snapshot.warnings();
    ensure!(warnings.is_empty(), "{}", warnings.join("; "));
    let missing = seen.iter().position(|seen| !seen);
    ensure!(missing.is_none(), "line {} did not come back", missing.unwrap_or_default());
    Ok(())
}

/// Bytes of a closed store, but for its lock and the log, which has nothing in it.
fn disk_bytes(directory: &Path) -> Result<u64> {
    let (mut bytes, mut wal_bytes) = (0, 0);
    for (path, len) in disk::files(directory)? {
        if path.starts_with(directory.join("wal")) {
            wal_bytes += len;
        } else if path != directory.join("LOCK") {
            bytes += len;
        }
    }
    ensure!(wal_bytes <= WAL_BYTES_MAX, "{wal_bytes} bytes are left in the log");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> DataSet {
        DataSet::of(Path::new("nowhere"), "some.log")
    }

    #[test]
    fn a_set_goes_through_the_store_and_comes_back() {
        let lines: Vec<String> = (0..2500).map(|n| format!("line {n}\r")).collect();
        let text = format!("{}\n\n\nthe last ends without", lines.join("\n"));
        let stored = through_the_store(&set(), text.as_bytes()).unwrap();
        assert!(stored.disk_bytes > 0 && stored.disk_bytes < text.len() as u64);
        assert!(stored.encode_cpu > 0.0 && stored.decode_cpu > 0.0);
    }

    #[test]
    fn lines_that_are_not_what_was_pushed_are_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let tenant = TenantId::new("sets").unwrap();
        let store = Store::open(directory.path()).unwrap();
        append(&store, &tenant, "some.log", &[b"one", b"two"]).unwrap();
        let problem = |lines: &[&[u8]]| read_back(&store, &tenant, lines).unwrap_err().to_string();
        read_back(&store, &tenant, &[b"one", b"two"]).unwrap();
        assert!(problem(&[b"one", b"twp"]).starts_with("line 1 at "));
        assert!(problem(&[b"one"]).starts_with("line 1 at "));
        assert_eq!(problem(&[b"one", b"two", b"three"]), "line 2 did not come back");
    }
}
