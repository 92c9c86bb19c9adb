//! Corpora to measure on: what is pushed, and what is asked of it.
//!
//! A corpus is kept as a way to make its lines and is made anew each time it is walked, so that a large
//! one needs no memory.

mod expand;
mod mix;
mod services;

use std::fmt;
use std::io::{self, BufWriter, Write};

pub(crate) use self::mix::mix;
pub(crate) use self::services::{ServicesOptions, service_lines, service_streams, services};

/// When a corpus begins, in seconds since the Unix epoch.
pub(crate) const START_SECONDS: u64 = 1_793_534_400;
/// How many lines share a second.
pub(crate) const LINES_PER_SECOND: u64 = 300;
/// How many streams each source of lines has. They take turns.
const STREAMS_PER_SOURCE: u64 = 4;

/// When the line of this number was written, in nanoseconds since the Unix epoch.
pub(crate) const fn timestamp(index: u64) -> u64 {
    START_SECONDS * 1_000_000_000 + index * 1_000_000_000 / LINES_PER_SECOND
}

/// The number of the line that was written then: the inverse of [`timestamp`].
pub(crate) const fn index_at(timestamp: u64) -> u64 {
    let since_start = timestamp.saturating_sub(START_SECONDS * 1_000_000_000);
    (since_start * LINES_PER_SECOND).div_ceil(1_000_000_000)
}

/// The stream that a source's line of this number goes to.
const fn stream(source: usize, index: u64) -> usize {
    source * STREAMS_PER_SOURCE as usize + (index % STREAMS_PER_SOURCE) as usize
}

/// The labels of the sources' streams, by jobs and environments, in the order of [`stream`].
fn labels<'a>(sources: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let label = |job, env, shard| format!("{{job=\"{job}\", env=\"{env}\", shard=\"{shard}\"}}");
    sources
        .flat_map(|(job, env)| (0..STREAMS_PER_SOURCE).map(move |shard| label(job, env, shard)))
        .collect()
}

/// One line.
#[derive(Debug)]
pub(crate) struct Line {
    /// Index into [`Corpus::streams`].
    pub(crate) stream: usize,
    /// Nanoseconds since the Unix epoch.
    pub(crate) timestamp: u64,
    pub(crate) text: String,
}

/// Lines by ascending time.
pub(crate) type Lines = Box<dyn Iterator<Item = Line>>;

/// What the questions are about.
#[derive(Clone, Debug)]
pub(crate) struct Subjects {
    /// The job whose lines have `status: … len: … time: …`.
    pub(crate) parsed_job: &'static str,
    /// The job whose last lines are wanted.
    pub(crate) tailed_job: &'static str,
    /// The environment that has the lines with `blk_`.
    pub(crate) filtered_env: &'static str,
    /// An id that is in the corpus.
    pub(crate) present_id: String,
}

/// A corpus.
pub(crate) struct Corpus {
    streams: Vec<String>,
    subjects: Subjects,
    walk: Box<dyn Fn() -> Lines>,
    facts: Facts,
}

/// What a walk over all lines tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Facts {
    lines: u64,
    raw_bytes: u64,
    checksum: u32,
}

impl Corpus {
    /// `streams` are label sets as LogQL writes them; `walk` gives the same lines each time.
    fn new(streams: Vec<String>, subjects: Subjects, walk: impl Fn() -> Lines + 'static) -> Self {
        let mut facts = Facts::default();
        for line in walk() {
            facts.lines += 1;
            facts.raw_bytes += line.text.len() as u64 + 1;
            facts.checksum = crc32c::crc32c_append(facts.checksum, line.text.as_bytes());
            facts.checksum = crc32c::crc32c_append(facts.checksum, b"\n");
        }
        Self { streams, subjects, walk: Box::new(walk), facts }
    }

    pub(crate) const fn lines(&self) -> u64 {
        self.facts.lines
    }

    /// Bytes of all lines, a newline each included.
    pub(crate) const fn raw_bytes(&self) -> u64 {
        self.facts.raw_bytes
    }

    /// CRC-32C of those bytes.
    pub(crate) const fn checksum(&self) -> u32 {
        self.facts.checksum
    }

    /// The streams' labels, as LogQL writes them.
    pub(crate) fn streams(&self) -> &[String] {
        &self.streams
    }

    pub(crate) const fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// The first second behind the corpus.
    pub(crate) const fn end_seconds(&self) -> u64 {
        START_SECONDS + self.facts.lines.div_ceil(LINES_PER_SECOND)
    }

    /// The lines by ascending time.
    pub(crate) fn iter(&self) -> Lines {
        (self.walk)()
    }

    /// The raw bytes as they would lie in files: the lines of one source behind those of the other, a
    /// newline behind each.
    pub(crate) fn files(&self) -> Vec<u8> {
        let mut files = vec![Vec::new(); self.streams.len() / STREAMS_PER_SOURCE as usize];
        for line in self.iter() {
            let file = &mut files[line.stream / STREAMS_PER_SOURCE as usize];
            file.extend_from_slice(line.text.as_bytes());
            file.push(b'\n');
        }
        files.concat()
    }

    /// Writes the raw lines by ascending time, a newline behind each.
    pub(crate) fn write_lines(&self, out: impl Write) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 20, out);
        for line in self.iter() {
            out.write_all(line.text.as_bytes())?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }
}

impl fmt::Debug for Corpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { streams, subjects, facts, walk: _ } = self;
        f.debug_struct("Corpus")
            .field("streams", &streams.len())
            .field("subjects", subjects)
            .field("facts", facts)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_tell_the_line() {
        for index in (0..2000).chain(19_000_000..19_001_000) {
            assert_eq!(index_at(timestamp(index)), index);
        }
        assert!(timestamp(300) - timestamp(0) == 1_000_000_000);
    }

    #[test]
    fn files_have_the_lines_of_one_source_behind_those_of_the_other() {
        let corpus = services(ServicesOptions { lines: 60, seed: 1 });
        let of = |source: usize| corpus.iter().filter(move |line| line.stream / 4 == source);
        let texts: String = (0..6).flat_map(of).map(|line| line.text + "\n").collect();
        assert_eq!(corpus.files(), texts.as_bytes());
        assert_eq!(corpus.files().len() as u64, corpus.raw_bytes());
    }
}
