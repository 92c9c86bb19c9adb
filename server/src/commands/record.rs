//! Entries in a file: a JSON object each line, compressed or not.
//!
//! ```text
//! {"timestamp":"1700000000000000000","labels":{"app":"shop"},"line":"order 17 paid","metadata":{"trace":"4f2a"}}
//! ```
//!
//! The timestamp is in nanoseconds. What `logcli --output jsonl` writes is read as well: there it is a
//! date, and metadata is among the labels.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use timberline_store::Timestamp;

use super::answer::{Entry, LabelSet};
use super::{Failure, beside};
use crate::rfc3339;

/// How hard exports are compressed.
const ZSTD_LEVEL: i32 = 3;

#[derive(Serialize)]
struct Written<'a> {
    timestamp: String,
    labels: &'a LabelSet,
    line: &'a str,
    #[serde(skip_serializing_if = "LabelSet::is_empty")]
    metadata: &'a LabelSet,
}

/// An entry of a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    #[serde(deserialize_with = "timestamp")]
    pub(super) timestamp: Timestamp,
    pub(super) labels: LabelSet,
    pub(super) line: String,
    #[serde(default)]
    pub(super) metadata: LabelSet,
}

/// Nanoseconds, or a date.
fn timestamp<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(input)?;
    let found = text.parse().ok().or_else(|| rfc3339::parse(&text));
    found.ok_or_else(|| {
        serde::de::Error::custom(format!("'{text}' is neither nanoseconds nor a date"))
    })
}

/// An entry as a line of a file, with its end.
pub(super) fn encode(entry: &Entry) -> Result<Vec<u8>, Failure> {
    let record = Written {
        timestamp: entry.timestamp.to_string(),
        labels: &entry.labels,
        line: &entry.line,
        metadata: &entry.metadata,
    };
    let mut text = serde_json::to_vec(&record).map_err(Failure::failed)?;
    text.push(b'\n');
    Ok(text)
}

/// Where an export goes. A file has its name only when it is whole.
pub(super) struct RecordWriter {
    out: Box<dyn Finish>,
    /// The file under its temporary name, and the one that it is to have.
    names: Option<(PathBuf, PathBuf)>,
}

/// Something to write to that has an end.
trait Finish: Write {
    fn finish(self: Box<Self>) -> io::Result<()>;
}

impl Finish for BufWriter<File> {
    fn finish(self: Box<Self>) -> io::Result<()> {
        self.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

impl Finish for BufWriter<io::Stdout> {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.flush()
    }
}

impl<W: Finish> Finish for zstd::Encoder<'_, Box<W>> {
    fn finish(self: Box<Self>) -> io::Result<()> {
        zstd::Encoder::finish(*self)?.finish()
    }
}

impl RecordWriter {
    /// Writes to a file, which may not be there yet, or to standard output.
    pub(super) fn create(path: Option<&Path>, is_zstd: bool) -> Result<Self, Failure> {
        let Some(path) = path else {
            let out = packed(Box::new(BufWriter::new(io::stdout())), is_zstd);
            return Ok(Self { out: out.map_err(|error| Failure::output(&error))?, names: None });
        };
        let failed = |error| Failure::file("write", path, &error);
        if path.try_exists().map_err(failed)? {
            return Err(Failure::usage(format!("{} is there already", path.display())));
        }
        let part = beside(path, "part");
        let file = BufWriter::with_capacity(256 << 10, File::create(&part).map_err(failed)?);
        let is_zstd = is_zstd || is_zstd_name(path);
        let out = packed(Box::new(file), is_zstd).map_err(failed)?;
        Ok(Self { out, names: Some((part, path.to_owned())) })
    }

    pub(super) fn write(&mut self, record: &[u8]) -> Result<(), Failure> {
        self.out.write_all(record).map_err(|error| Failure::output(&error))
    }

    /// Ends the file and gives it its name.
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.out.finish().map_err(|error| Failure::output(&error))?;
        let Some((part, path)) = self.names else { return Ok(()) };
        std::fs::rename(part, &path).map_err(|error| Failure::file("write", &path, &error))
    }
}

fn packed<W: Finish + 'static>(out: Box<W>, is_zstd: bool) -> io::Result<Box<dyn Finish>> {
    if !is_zstd {
        return Ok(out);
    }
    let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(Box::new(encoder))
}

fn is_zstd_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "zst")
}

/// The entries of a file, or of standard input where it is `-`, with the number of each line.
pub(super) fn read(
    path: &Path,
    is_zstd: bool,
) -> Result<impl Iterator<Item = Result<Record, Failure>> + use<>, Failure> {
    let failed = |error| Failure::file("read", path, &error);
    let input: Box<dyn io::Read> = match path.as_os_str() == "-" {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(path).map_err(failed)?),
    };
    let input: Box<dyn BufRead> = match is_zstd || is_zstd_name(path) {
        true => Box::new(BufReader::new(zstd::Decoder::new(input).map_err(failed)?)),
        false => Box::new(BufReader::with_capacity(256 << 10, input)),
    };
    let path = path.to_owned();
    let record = move |(number, line): (usize, io::Result<String>)| {
        let line = line.map_err(|error| Failure::file("read", &path, &error))?;
        serde_json::from_str(&line).map_err(|error| {
            let (path, number) = (path.display(), number + 1);
            Failure::failed(format!("{path}: line {number} is no entry: {error}"))
        })
    };
    let is_line = |(_, line): &(usize, io::Result<String>)| !matches!(line, Ok(text) if text.trim().is_empty());
    Ok(input.lines().enumerate().filter(is_line).map(record))
}
