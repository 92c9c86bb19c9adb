//! What kinds of lines there are: templates mined from the lines themselves.
//!
//! A [`PatternMiner`] is fed lines and keeps templates in which what differs from line to line is the
//! placeholder `<_>`, in the language of the pattern filter `|>`. It follows Drain ("An Online Log
//! Parsing Approach with Fixed Depth Tree"): a line is cut into words and separators; lines whose
//! separators and field names agree are compared word by word; a line joins the most similar template,
//! and the words in which they differ become placeholders. Words with a digit never name a kind of
//! line, so they are placeholders from the start.
//!
//! A [`PatternReader`] feeds it from chunks: where a segment has lines as templates it is these, with the
//! values that may have words, that are looked at, each once.
//!
//! Memory is bounded: a miner keeps [`TEMPLATES_MAX`] templates. Lines of further kinds are counted
//! under the placeholder alone, so that the counts of all patterns are always those of all lines.

mod canonical;
mod reader;
mod tokens;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};

use timberline_store::Timestamp;

pub use self::reader::PatternReader;
use self::tokens::{Token, shape_of, tokenise};

/// Templates that a miner keeps: as many as explorers show.
pub const TEMPLATES_MAX: usize = 500;

/// Lines that a miner knows again. With more, all are forgotten and compared anew.
const KNOWN_MAX: usize = 100_000;

/// What stands for anything in a pattern.
const PLACEHOLDER: &str = "<_>";

/// Two lines are of a kind when more than this part of their words agrees, in hundredths. With just half
/// of them, lines of fields would be of a kind by their level and a flag, whatever they say.
const SIMILARITY_PERCENT: usize = 50;

/// A kind of lines, with how many there were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The template, as the pattern filter takes it.
    pub pattern: String,
    /// The level of its lines.
    pub level: String,
    /// The beginning of each step that has such lines, in nanoseconds, and their number; by time.
    pub samples: Vec<(Timestamp, u64)>,
}

impl Pattern {
    fn lines(&self) -> u64 {
        self.samples.iter().map(|(_, count)| count).sum()
    }
}

/// Lines of different levels are of different kinds, as are lines whose separators or fields differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    level: Box<str>,
    shape: u64,
}

#[derive(Debug)]
struct Template {
    level: Box<str>,
    /// The words; a placeholder is `None`. Separators are kept too.
    tokens: Vec<Option<Box<str>>>,
    counts: BTreeMap<Timestamp, u64>,
}

/// A pattern that a miner has found. It may still be widened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatternId(usize);

/// Mines patterns from lines.
///
/// ```
/// use timberline_query::patterns::PatternMiner;
///
/// let mut miner = PatternMiner::new(60_000_000_000);
/// for order in 0..100 {
///     miner.add(0, "info", format!("order {order} paid").as_bytes());
/// }
/// let patterns = miner.finish();
/// assert_eq!((&*patterns[0].pattern, &*patterns[0].samples), ("order <_> paid", &[(0, 100)][..]));
/// ```
#[derive(Debug)]
pub struct PatternMiner {
    step: i64,
    templates: Vec<Template>,
    kinds: HashMap<Kind, Vec<PatternId>>,
    /// The template that lines with these words joined, by the hash of words and level: a line that comes
    /// again is where it was.
    known: HashMap<u64, PatternId>,
    hasher: RandomState,
    /// For lines that found no room, by level.
    others: HashMap<Box<str>, PatternId>,
}

impl PatternMiner {
    /// A miner that counts lines by steps of `step` nanoseconds since the epoch; at least one.
    #[must_use]
    pub fn new(step: i64) -> Self {
        Self {
            step: step.max(1),
            templates: Vec::new(),
            kinds: HashMap::new(),
            known: HashMap::new(),
            hasher: RandomState::new(),
            others: HashMap::new(),
        }
    }

    /// Takes in a line: [`find`](Self::find) and [`count`](Self::count).
    pub fn add(&mut self, timestamp: Timestamp, level: &str, line: &[u8]) {
        let pattern = self.find(level, line);
        self.count(pattern, timestamp);
    }

    /// The pattern of a line, widened to take it. Takes time in the length of the line's beginning, and in
    /// how many templates look alike.
    pub fn find(&mut self, level: &str, line: &[u8]) -> PatternId {
        let line = String::from_utf8_lossy(line);
        let tokens = tokenise(&line);
        let key = self.hasher.hash_one((level, &tokens));
        if let Some(pattern) = self.known.get(&key) {
            return *pattern;
        }
        let pattern = self.join(level, &tokens);
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(key, pattern);
        pattern
    }

    /// Counts a line of a pattern.
    pub fn count(&mut self, PatternId(index): PatternId, timestamp: Timestamp) {
        let begin = timestamp.div_euclid(self.step).saturating_mul(self.step);
        if let Some(template) = self.templates.get_mut(index) {
            *template.counts.entry(begin).or_default() += 1;
        }
    }

    /// The most similar template, widened; else a new one, or that of all lines without room.
    fn join(&mut self, level: &str, tokens: &[Token<'_>]) -> PatternId {
        let kind = Kind { level: level.into(), shape: shape_of(tokens) };
        let alike = self.kinds.get(&kind).map(Vec::as_slice).unwrap_or_default();
        if let Some(pattern) = most_similar(&self.templates, alike, tokens) {
            self.templates[pattern.0].widen(tokens);
            return pattern;
        }
        if self.templates.len() - self.others.len() < TEMPLATES_MAX {
            let pattern = self.push(Template::new(level, tokens));
            self.kinds.entry(kind).or_default().push(pattern);
            return pattern;
        }
        if let Some(pattern) = self.others.get(level) {
            return *pattern;
        }
        let pattern = self.push(Template::new(level, &[Token::Variable]));
        self.others.insert(level.into(), pattern);
        pattern
    }

    fn push(&mut self, template: Template) -> PatternId {
        self.templates.push(template);
        PatternId(self.templates.len() - 1)
    }

    /// The patterns, those with most lines first; equal ones by their text and level.
    #[must_use]
    pub fn finish(self) -> Vec<Pattern> {
        // Templates may have become the same text while they were widened.
        let mut merged: BTreeMap<(String, Box<str>), BTreeMap<Timestamp, u64>> = BTreeMap::new();
        for template in self.templates {
            let all = merged.entry((template.text(), template.level)).or_default();
            for (begin, count) in template.counts {
                *all.entry(begin).or_default() += count;
            }
        }
        let pattern = |((pattern, level), counts): (_, BTreeMap<_, _>)| Pattern {
            pattern,
            level: String::from(level),
            samples: counts.into_iter().collect(),
        };
        let mut patterns: Vec<_> = merged.into_iter().map(pattern).collect();
        // The sort is stable, and the map was sorted by text and level.
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.lines()));
        patterns
    }
}

/// The template of those that agrees with the line in most words, if these are enough to be of one kind.
fn most_similar(
    templates: &[Template],
    alike: &[PatternId],
    tokens: &[Token<'_>],
) -> Option<PatternId> {
    let words = tokens.iter().filter(|token| matches!(token, Token::Word(_))).count();
    let agreeing = alike.iter().map(|id| (templates[id.0].agreeing_words(tokens), *id));
    let (agreeing, pattern) = agreeing.max_by_key(|(agreeing, _)| *agreeing)?;
    // Without any word, the separators and field names say it all.
    (words == 0 || agreeing * 100 > words * SIMILARITY_PERCENT).then_some(pattern)
}

impl Template {
    fn new(level: &str, tokens: &[Token<'_>]) -> Self {
        let tokens = tokens.iter().map(|token| token.text().map(Box::from)).collect();
        Self { level: level.into(), tokens, counts: BTreeMap::new() }
    }

    /// How many of the line's words the template has in their place. Its shape is the line's.
    fn agreeing_words(&self, tokens: &[Token<'_>]) -> usize {
        let agrees = |(own, token): &(&Option<Box<str>>, &Token<'_>)| matches!((own, token), (Some(own), Token::Word(word)) if **own == **word);
        self.tokens.iter().zip(tokens).filter(agrees).count()
    }

    /// Makes placeholders of the words in which the line differs.
    fn widen(&mut self, tokens: &[Token<'_>]) {
        for (own, token) in self.tokens.iter_mut().zip(tokens) {
            if own.as_deref() != token.text() {
                *own = None;
            }
        }
    }

    /// The pattern. Placeholders that meet are one: the pattern language has no two in a row.
    fn text(&self) -> String {
        let mut text = String::new();
        for token in &self.tokens {
            match token {
                Some(token) => text.push_str(token),
                None if text.ends_with(PLACEHOLDER) => {}
                None => text.push_str(PLACEHOLDER),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: i64 = 1_000_000_000;

    fn mined(lines: &[&str]) -> Vec<(String, u64)> {
        let mut miner = PatternMiner::new(10 * S);
        for line in lines {
            miner.add(0, "info", line.as_bytes());
        }
        miner.finish().into_iter().map(|found| (found.pattern.clone(), found.lines())).collect()
    }

    fn matches(pattern: &str, line: &str) -> bool {
        let mut parts = pattern.split(PLACEHOLDER);
        let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else {
            return false;
        };
        let mut ends_open = false;
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            ends_open = part.is_empty();
            rest = &rest[at + part.len()..];
        }
        ends_open || rest.is_empty() || line.ends_with(pattern.rsplit(PLACEHOLDER).next().unwrap())
    }

    #[test]
    fn what_differs_is_a_placeholder() {
        let lines = [
            "user alice logged in from 10.0.0.1",
            "user bob logged in from 10.0.0.22",
            "level=info msg=\"cache miss\" key=a1 took=3ms",
            "level=info msg=\"cache miss\" key=zz took=12ms",
            "level=info msg=\"cart emptied\" key=b2 took=1ms",
            "shutting down",
        ];
        assert_eq!(
            mined(&lines),
            [
                ("level=info msg=\"cache miss\" key=<_> took=<_>".to_owned(), 2),
                ("user <_> logged in from <_>".to_owned(), 2),
                ("level=info msg=\"cart emptied\" key=<_> took=<_>".to_owned(), 1),
                ("shutting down".to_owned(), 1),
            ]
        );
    }

    #[test]
    fn levels_and_steps_are_told_apart() {
        let mut miner = PatternMiner::new(10 * S);
        for (second, level) in [(1, "info"), (9, "info"), (10, "info"), (-1, "info"), (12, "error")]
        {
            miner.add(second * S, level, b"disk full");
        }
        let patterns = miner.finish();
        assert_eq!(patterns.len(), 2);
        assert_eq!(patterns[0].level, "info");
        assert_eq!(patterns[0].samples, [(-10 * S, 1), (0, 2), (10 * S, 1)]);
        assert_eq!((&*patterns[1].level, &*patterns[1].samples), ("error", &[(10 * S, 1)][..]));
    }

    #[test]
    fn kinds_without_room_are_still_counted() {
        let mut miner = PatternMiner::new(S);
        let lines = TEMPLATES_MAX + 50;
        for index in 0..lines {
            // Letters alone, for a number would be a placeholder.
            let word: String = index.to_string().bytes().map(|b| char::from(b + 49)).collect();
            miner.add(0, "info", format!("{word} {word}").as_bytes());
        }
        let patterns = miner.finish();
        assert_eq!(patterns.len(), TEMPLATES_MAX + 1);
        assert_eq!((&*patterns[0].pattern, patterns[0].lines()), (PLACEHOLDER, 50));
        assert_eq!(patterns.iter().map(Pattern::lines).sum::<u64>(), lines as u64);
    }

    proptest! {
        #[test]
        fn every_line_is_counted_and_no_line_panics(
            lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..20)
        ) {
            let mut miner = PatternMiner::new(S);
            for line in &lines {
                miner.add(5, "info", line);
            }
            let counted: u64 = miner.finish().iter().map(Pattern::lines).sum();
            prop_assert_eq!(counted, lines.len() as u64);
        }

        #[test]
        fn patterns_match_their_lines(lines in prop::collection::vec("([ab]{1,2}|[0-9]|[ =:])(([ab]{1,2}|[0-9])[ =:,]){0,4}", 1..8)) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let patterns = mined(&lines);
            for line in lines {
                let matched = patterns.iter().any(|(pattern, _)| matches(pattern, line));
                prop_assert!(matched, "{line:?}: {patterns:?}");
            }
        }
    }
}
