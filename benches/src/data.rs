//! Directories of real logs: one zstd file per set, `NAME.zst`.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The largest window, as a power of two, that the files may need.
const WINDOW_LOG_MAX: u32 = 27;

/// A set of lines.
#[derive(Debug)]
pub(crate) struct DataSet {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// The sets of a directory, by name.
pub(crate) fn sets(directory: &Path) -> Result<Vec<DataSet>> {
    let entries = fs::read_dir(directory)
        .with_context(|| format!("cannot list the data in {}", directory.display()))?;
    let mut sets = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(name) = file.strip_suffix(".zst") {
            sets.push(DataSet { name: name.to_owned(), path });
        }
    }
    ensure!(!sets.is_empty(), "no NAME.zst in {}", directory.display());
    sets.sort_by(|one, two| one.name.cmp(&two.name));
    Ok(sets)
}

impl DataSet {
    /// The set of this name in the directory.
    pub(crate) fn of(directory: &Path, name: &str) -> Self {
        Self { name: name.to_owned(), path: directory.join(format!("{name}.zst")) }
    }

    /// The set's bytes.
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        let problem = || format!("cannot read {}", self.path.display());
        let file = File::open(&self.path).with_context(problem)?;
        let mut decoder = zstd::Decoder::with_buffer(BufReader::new(file)).with_context(problem)?;
        decoder.window_log_max(WINDOW_LOG_MAX)?;
        let mut bytes = Vec::new();
        decoder.read_to_end(&mut bytes).with_context(problem)?;
        Ok(bytes)
    }
}

/// The lines of a text. A newline ends a line; a carriage return before it is part of the line.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_newlines() {
        let of = |text: &'static [u8]| lines(text).collect::<Vec<_>>();
        assert_eq!(of(b"a\r\n\nb"), [&b"a\r"[..], b"", b"b"]);
        assert_eq!(of(b"a\n"), [b"a"]);
        assert!(of(b"").is_empty());
    }

    #[test]
    fn sets_come_by_name_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [("b.log", &b"two"[..]), ("a.json", b"one")] {
            let packed = zstd::bulk::compress(text, 3).unwrap();
            fs::write(directory.path().join(format!("{name}.zst")), packed).unwrap();
        }
        fs::write(directory.path().join("README.md"), "").unwrap();
        let sets = sets(directory.path()).unwrap();
        let names: Vec<_> = sets.iter().map(|set| &set.name[..]).collect();
        assert_eq!(names, ["a.json", "b.log"]);
        assert_eq!(sets[1].read().unwrap(), b"two");
        assert!(DataSet::of(directory.path(), "c.log").read().is_err());
    }
}
