//! What tantivy is worth beside plain sorted postings: for labels of very many streams, and for the words
//! of lines, by which parts of a store could be passed over.

mod inverted;
mod postings;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, ensure};
use timberline_store::{MatchOp, Matcher};

use self::inverted::{Built, Inverted};
use self::postings::{SortedPostings, Terms};
use crate::corpus::Corpus;
use crate::scale::Fleet;

/// Bytes of lines in a part, as in a group of a segment.
const PART_BYTES: usize = 4 << 20;

/// What is asked for.
enum Wanted {
    Value(&'static str),
    Regex(&'static str),
}

/// Labels: a name for the table, the label, and what is asked for.
const LABEL_QUESTIONS: [(&str, &str, Wanted); 6] = [
    ("`cluster=\"cluster-1\"`, a third", "cluster", Wanted::Value("cluster-1")),
    ("`app=\"app-123\"`, one in 500", "app", Wanted::Value("app-123")),
    ("`app=~\"app-00[1-5]|app-123\"`", "app", Wanted::Regex("app-00[1-5]|app-123")),
    ("`pod=~\"app-00.-.*\"`, a prefix", "pod", Wanted::Regex("app-00.-.*")),
    ("`pod=~\".*-7f.*\"`, no prefix", "pod", Wanted::Regex(".*-7f.*")),
    ("`pod=~\".+\"`, all", "pod", Wanted::Regex(".+")),
];

/// Measures both and tells it as Markdown.
pub(crate) fn measure(fleet: Fleet, corpus: &Corpus, runs: usize) -> Result<String> {
    let mut out = String::new();
    labels(fleet, runs, &mut out)?;
    words(corpus, runs, &mut out)?;
    Ok(out)
}

/// The same documents in both designs.
struct Both {
    plain: SortedPostings,
    plain_seconds: f64,
    built: Built,
    built_seconds: f64,
}

impl Both {
    fn build(documents: &[Vec<Vec<u8>>]) -> Result<Self> {
        let started = Instant::now();
        let plain = SortedPostings::build(&inverted_terms(documents));
        let plain_seconds = started.elapsed().as_secs_f64();
        let started = Instant::now();
        let built = Built::new(documents)?;
        let built_seconds = started.elapsed().as_secs_f64();
        Ok(Self { plain, plain_seconds, built, built_seconds })
    }

    /// The rows of a table that tell how long each took and how large it is; `rest` ends each row.
    fn write_costs(&self, rest: &str, out: &mut String) -> Result<()> {
        let Self { plain, plain_seconds, built, built_seconds } = self;
        writeln!(out, "| made | {plain_seconds:.2} s | {built_seconds:.2} s |{rest}")?;
        let [plain, built] = [plain.bytes(), built.bytes()].map(|bytes| bytes as f64 / 1e6);
        writeln!(out, "| bytes | {plain:.2} MB | {built:.2} MB |{rest}")?;
        Ok(())
    }
}

/// The documents of each term.
fn inverted_terms(documents: &[Vec<Vec<u8>>]) -> Terms {
    let mut terms = Terms::new();
    for (number, of) in (0..).zip(documents) {
        for term in of {
            let documents = terms.entry(term.clone()).or_default();
            if documents.last() != Some(&number) {
                documents.push(number);
            }
        }
    }
    terms
}

fn labels(fleet: Fleet, runs: usize, out: &mut String) -> Result<()> {
    let mut documents = Vec::new();
    for stream in 0..fleet.streams {
        let labels = fleet.labels(stream)?;
        documents.push(labels.iter().map(|(name, value)| term(name, value)).collect::<Vec<_>>());
    }
    let both = Both::build(&documents)?;
    let open_ms = median_ms(runs, || both.built.open().map(|_| 0))?.0;
    let (plain, inverted) = (&both.plain, both.built.open()?);
    writeln!(out, "{} streams of four labels\n", fleet.streams)?;
    writeln!(out, "| | sorted postings | tantivy, terms walked | tantivy, automaton |")?;
    writeln!(out, "|---|---:|---:|---:|")?;
    both.write_costs(" |", out)?;
    writeln!(out, "| opened | nothing to do | {open_ms:.2} ms | |")?;
    let asking = Asking { documents: fleet.streams, runs };
    for (what, name, wanted) in LABEL_QUESTIONS {
        let prefix = term(name, "");
        let answers = match wanted {
            Wanted::Value(value) => {
                let term = term(name, value);
                let found = asking.time(|found| {
                    plain.exact(&term, |document| found.add(document));
                    Ok(())
                })?;
                let other =
                    asking.time(|found| inverted.exact(&term, |document| found.add(document)))?;
                [Some(found), Some(other), None]
            }
            Wanted::Regex(pattern) => {
                let matcher = Matcher::new(name, MatchOp::Matches, pattern)?;
                let is_wanted = |term: &[u8]| {
                    std::str::from_utf8(&term[prefix.len()..])
                        .is_ok_and(|value| matcher.matches(value))
                };
                let [one, other] = asking.walk(plain, &inverted, &prefix, is_wanted)?;
                let pattern = format!("{name}\\x00({pattern})");
                let automaton = asking
                    .time(|found| inverted.automaton(&pattern, |document| found.add(document)))?;
                [Some(one), Some(other), Some(automaton)]
            }
        };
        row(out, what, &answers)?;
    }
    Ok(())
}

fn words(corpus: &Corpus, runs: usize, out: &mut String) -> Result<()> {
    let documents = parts(corpus);
    let both = Both::build(&documents)?;
    let (plain, inverted) = (&both.plain, both.built.open()?);
    let asking = Asking { documents: documents.len() as u64, runs };
    let (lines, bytes) = (corpus.lines(), corpus.raw_bytes() as f64 / 1e6);
    writeln!(out, "\nThe words of {lines} lines, {bytes:.1} MB, in {} parts\n", documents.len())?;
    writeln!(out, "| | sorted postings | tantivy |\n|---|---:|---:|")?;
    both.write_costs("", out)?;
    for (what, word) in [("a word that is there", "Failed"), ("one that is not", "zqxjk")] {
        let one = asking.time(|found| {
            plain.exact(word.as_bytes(), |document| found.add(document));
            Ok(())
        })?;
        let other =
            asking.time(|found| inverted.exact(word.as_bytes(), |document| found.add(document)))?;
        row(out, what, &[Some(one), Some(other)])?;
        let has = |term: &[u8]| term.windows(word.len()).any(|part| part == word.as_bytes());
        let walked = asking.walk(plain, &inverted, b"", has)?;
        row(out, &format!("{what}, as a part of any word"), &walked.map(Some))?;
    }
    Ok(())
}

/// How questions are asked.
#[derive(Clone, Copy)]
struct Asking {
    /// How many documents there are.
    documents: u64,
    runs: usize,
}

impl Asking {
    /// How long it takes to find documents, in milliseconds, and how many they are.
    fn time(self, find: impl Fn(&mut Found) -> Result<()>) -> Result<(f64, u64)> {
        median_ms(self.runs, || {
            let mut found = Found::new(self.documents);
            find(&mut found)?;
            Ok(found.count)
        })
    }

    /// As [`time`](Self::time), of the terms that begin so and are wanted, in both designs.
    fn walk(
        self,
        plain: &SortedPostings,
        inverted: &Inverted,
        prefix: &[u8],
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<[(f64, u64); 2]> {
        let one = self.time(|found| {
            plain.walk(prefix, &is_wanted, |document| found.add(document));
            Ok(())
        })?;
        let walk =
            |found: &mut Found| inverted.walk(prefix, &is_wanted, |document| found.add(document));
        Ok([one, self.time(walk)?])
    }
}

/// The distinct words of parts of streams.
fn parts(corpus: &Corpus) -> Vec<Vec<Vec<u8>>> {
    let mut open = vec![(0, BTreeSet::new()); corpus.streams().len()];
    let mut done = Vec::new();
    for line in corpus.iter() {
        let (bytes, words) = &mut open[line.stream];
        *bytes += line.text.len();
        let all = line.text.as_bytes().split(|byte| !byte.is_ascii_alphanumeric());
        for word in all.filter(|word| !word.is_empty()) {
            if !words.contains(word) {
                words.insert(word.to_vec());
            }
        }
        if *bytes >= PART_BYTES {
            *bytes = 0;
            done.push(std::mem::take(words).into_iter().collect());
        }
    }
    done.extend(open.into_iter().map(|(_, words)| words.into_iter().collect()));
    done
}

/// A label as a term of the index.
fn term(name: &str, value: &str) -> Vec<u8> {
    [name.as_bytes(), &[0], value.as_bytes()].concat()
}

/// Documents that were found, as a set.
struct Found {
    bits: Vec<u64>,
    count: u64,
}

impl Found {
    fn new(documents: u64) -> Self {
        Self { bits: vec![0; documents.div_ceil(64) as usize], count: 0 }
    }

    fn add(&mut self, document: u32) {
        let bits = &mut self.bits[document as usize / 64];
        self.count += u64::from(*bits >> (document % 64) & 1 == 0);
        *bits |= 1 << (document % 64);
    }
}

/// The median time of so many runs, and what they all gave.
fn median_ms(runs: usize, mut run: impl FnMut() -> Result<u64>) -> Result<(f64, u64)> {
    let mut times = Vec::with_capacity(runs);
    let mut last = None;
    for _ in 0..runs.max(1) {
        let started = Instant::now();
        let gave = black_box(run()?);
        times.push(started.elapsed().as_secs_f64() * 1e3);
        ensure!(last.is_none_or(|last| last == gave), "{gave} after {last:?}");
        last = Some(gave);
    }
    times.sort_by(f64::total_cmp);
    Ok((times[times.len() / 2], last.unwrap_or_default()))
}

/// A row of times; all designs must have found as much.
fn row(out: &mut String, what: &str, answers: &[Option<(f64, u64)>]) -> Result<()> {
    let mut found = answers.iter().flatten().map(|(_, found)| found);
    let first = found.next().copied().unwrap_or_default();
    ensure!(found.all(|found| *found == first), "{what}: {answers:?}");
    // In a cell a bar would be the cell's end.
    write!(out, "| {}: {first} |", what.replace('|', "\\|"))?;
    for answer in answers {
        match answer {
            Some((ms, _)) => write!(out, " {ms:.3} ms |")?,
            None => write!(out, " |")?,
        }
    }
    writeln!(out)?;
    Ok(())
}
