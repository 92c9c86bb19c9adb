//! Patterns of stored lines, by the templates that segments keep them in.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU32;

use timberline_store::{
    Batch, Chunk, Columns, LinePredicate, LineTemplate, Metadata, Projection, ProjectionScratch,
    Projector, ReadScratch, Row, SlotValues, StoreError, TimeRange,
};

use super::canonical::{NUMBER, push_canonical};
use super::{Pattern, PatternId, PatternMiner};

/// Lines that are known again, and templates with their text. With more, all are forgotten and found anew.
const KNOWN_MAX: usize = 100_000;

/// Fewer lines are read whole: to look at all templates of their group would take longer.
const PROJECTED_MIN: usize = 64;

/// Mines patterns from chunks.
///
/// Of lines that a segment has as templates, only those values are read that may have words; the miner
/// looks at a line when there was none before with the same words. The patterns are those that mining the
/// lines one by one gives.
#[derive(Debug)]
pub struct PatternReader {
    miner: PatternMiner,
    level_name: &'static str,
    no_level: &'static str,
    scratch: ReadScratch,
    templates: ProjectionScratch<Templates>,
    known: HashMap<u64, PatternId>,
    hasher: RandomState,
    /// A line that is put together.
    line: Vec<u8>,
}

impl PatternReader {
    /// Counts lines by steps of `step` nanoseconds, and by the value that `level_name` has in their
    /// structured metadata, or `no_level`.
    #[must_use]
    pub fn new(step: i64, level_name: &'static str, no_level: &'static str) -> Self {
        Self {
            miner: PatternMiner::new(step),
            level_name,
            no_level,
            scratch: ReadScratch::new(),
            templates: ProjectionScratch::new(Templates::default()),
            known: HashMap::new(),
            hasher: RandomState::new(),
            line: Vec::new(),
        }
    }

    /// Takes in the lines of a chunk that are in the range. Which lines come first decides what becomes of
    /// patterns, so chunks are best read in an order of their own.
    ///
    /// # Errors
    /// As [`Chunk::read`].
    pub fn read(&mut self, chunk: &Chunk, range: TimeRange) -> Result<(), StoreError> {
        if self.known.len() > KNOWN_MAX || self.templates.projector().pieces.len() > KNOWN_MAX {
            self.templates = ProjectionScratch::new(Templates::default());
            self.known.clear();
        }
        let scratch = &mut self.scratch;
        let found = chunk.select(range, &LinePredicate::Always, scratch)?;
        let all = 0..found.len();
        let batch = if found.len() < PROJECTED_MIN {
            chunk.fetch(&found, all, Columns::ALL, scratch)?
        } else {
            chunk.fetch_projected(&found, all, &mut self.templates, scratch)?
        };
        let levels: Vec<&str> =
            batch.metadata_sets().iter().map(|set| self.level_of(set)).collect();
        for row in batch.rows() {
            let level = levels.get(row.metadata as usize).copied().unwrap_or(self.no_level);
            let pattern = self.pattern(&batch, row, level);
            self.miner.count(pattern, row.timestamp);
        }
        Ok(())
    }

    /// The patterns, as [`PatternMiner::finish`] gives them.
    #[must_use]
    pub fn finish(self) -> Vec<Pattern> {
        self.miner.finish()
    }

    fn level_of<'m>(&self, metadata: &'m Metadata) -> &'m str {
        let level = metadata.iter().find(|(name, _)| *name == self.level_name);
        level.map_or(self.no_level, |(_, level)| level)
    }

    /// The pattern of a row's line.
    fn pattern(&mut self, batch: &Batch, row: &Row, level: &str) -> PatternId {
        self.line.clear();
        match row.projection {
            None => push_canonical(batch.line(row), &mut self.line),
            Some(number) => {
                self.templates.projector().push_line(number, batch.values(row), &mut self.line);
            }
        }
        let (miner, line) = (&mut self.miner, &self.line);
        let key = self.hasher.hash_one((level, line));
        *self.known.entry(key).or_insert_with(|| miner.find(level, line))
    }
}

/// The templates that were met: their text around the values that are read.
#[derive(Debug, Default)]
struct Templates {
    numbers: HashMap<Vec<Box<[u8]>>, NonZeroU32>,
    /// By number, counted from 1: the text before each value, and behind the last one.
    pieces: Vec<Vec<Box<[u8]>>>,
}

impl Templates {
    /// A line of the template with these values.
    fn push_line<'v>(
        &self,
        number: NonZeroU32,
        values: impl Iterator<Item = &'v [u8]>,
        out: &mut Vec<u8>,
    ) {
        let index = number.get() as usize - 1;
        let mut pieces = self.pieces.get(index).into_iter().flatten();
        out.extend(pieces.next().into_iter().flat_map(|piece| piece.iter()));
        for (value, piece) in values.zip(pieces) {
            push_canonical(value, out);
            out.extend_from_slice(piece);
        }
    }

    fn number_of(&mut self, pieces: Vec<Box<[u8]>>) -> Option<NonZeroU32> {
        if let Some(number) = self.numbers.get(&pieces) {
            return Some(*number);
        }
        let number = u32::try_from(self.pieces.len() + 1).ok().and_then(NonZeroU32::new)?;
        self.pieces.push(pieces.clone());
        self.numbers.insert(pieces, number);
        Some(number)
    }
}

impl Projector for Templates {
    fn project(&mut self, template: &LineTemplate<'_>) -> Option<Projection> {
        let (mut slots, mut pieces) = (Vec::new(), Vec::new());
        let mut piece = Vec::new();
        for (slot, number) in (0..template.slots()).zip(0_u32..) {
            piece.extend_from_slice(template.text(slot));
            if are_digits(&template.values(slot)) {
                piece.push(NUMBER);
            } else {
                slots.push(number);
                pieces.push(canonical(&piece));
                piece.clear();
            }
        }
        piece.extend_from_slice(template.text(template.slots()));
        pieces.push(canonical(&piece));
        // Where there is no text, the lines are the values.
        if pieces.iter().all(|piece| piece.is_empty()) {
            return None;
        }
        let number = self.number_of(pieces)?;
        Some(Projection { number, slots })
    }
}

fn canonical(text: &[u8]) -> Box<[u8]> {
    let mut out = Vec::with_capacity(text.len());
    push_canonical(text, &mut out);
    out.into()
}

/// Whether the values are nothing but digits, and never nothing.
fn are_digits(values: &SlotValues) -> bool {
    /// A bit for each of `0` to `9`.
    const DIGITS: u128 = 0x3ff << b'0';
    values.len_min > 0 && !values.beyond_ascii && values.ascii & !DIGITS == 0
}

#[cfg(test)]
mod tests {
    use timberline_store::{Durability, Labels, Store, TenantId, WriteBatch};

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// Lines of several kinds: ids, words, numbers next to colons, fields, blanks beyond ASCII, and lines
    /// of which there are few.
    fn lines() -> Vec<String> {
        let words = ["cache", "cart", "disk", "é", "v2"];
        let line = |n: u64| {
            let word = words[n as usize % words.len()];
            let id = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            match n % 7 {
                0 => format!("level=info msg=\"{word} emptied\" id={id:016x} took={}ms", n % 90),
                1 => format!("12:30:{:02} user {word} from 10.0.0.{n}", n % 60),
                2 => format!("{{\"at\":{n},\"what\":\"{word}\u{a0}gone\",\"ok\":{}}}", n % 2 == 0),
                3 => format!("{word}:{n}:{word} done"),
                4 => format!("<{n}> GET /items/{word}/{n} -{}", "x".repeat(n as usize % 5)),
                5 => format!("panic at {word} {}", "y ".repeat(n as usize % 11)),
                _ => format!("{word}{n}{word} retry in {n}s: {word}"),
            }
        };
        (0..2000).map(line).collect()
    }

    fn read(store: &Store, tenant: &TenantId) -> (Vec<Pattern>, usize) {
        let mut reader = PatternReader::new(10 * SECOND, "level", "unknown");
        for chunk in store.snapshot().chunks(tenant, &[], TimeRange::ALL).unwrap() {
            reader.read(&chunk, TimeRange::ALL).unwrap();
        }
        let templates = reader.templates.projector().pieces.len();
        (reader.finish(), templates)
    }

    #[test]
    fn templates_give_the_patterns_of_their_lines() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::builder().durability(Durability::None).open(directory.path()).unwrap();
        let tenant = TenantId::new("tests").unwrap();
        let mut batch = WriteBatch::new();
        batch.stream(&Labels::from_pairs([("app", "a")]).unwrap());
        let mut miner = PatternMiner::new(10 * SECOND);
        for (number, line) in (0..).zip(lines()) {
            let time = number * SECOND / 20;
            let level = ["info", "warn"][usize::from(number % 13 == 0)];
            let metadata = [("level", level)];
            let metadata = if number % 3 == 0 { &metadata[..] } else { &[] };
            batch.push(time, line.as_bytes(), metadata).unwrap();
            let level = metadata.first().map_or("unknown", |(_, level)| level);
            miner.add(time, level, line.as_bytes());
        }
        let mined = miner.finish();
        store.append(&tenant, &batch).unwrap();
        assert_eq!(read(&store, &tenant), (mined.clone(), 0), "in memory");
        store.flush().unwrap();
        let (patterns, templates) = read(&store, &tenant);
        assert_eq!(patterns, mined);
        assert!(templates > 4, "{templates} templates were read as such");
    }
}
