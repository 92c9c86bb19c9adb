//! What kinds of lines there are: templates mined from the lines themselves.
//!
//! A [`PatternMiner`] is fed lines and keeps templates in which what differs from line to line is the
//! placeholder `<_>`, in the language of the pattern filter `|>`. It follows Drain ("An Online Log
//! Parsing Approach with Fixed Depth Tree"): a line is cut into words and separators; lines whose
//! separators and field names agree are compared word by word; a line joins the most similar template,
//! and the words in which they differ become placeholders. Words with a digit never name a kind of
//! line, so they are placeholders from the start.
//!
//! Memory is bounded: a miner keeps [`TEMPLATES_MAX`] templates. Lines of further kinds are counted
//! under the placeholder alone, so that the counts of all patterns are always those of all lines.

mod tokens;

use std::collections::{BTreeMap, HashMap};

use timberline_store::Timestamp;

use self::tokens::{Token, shape_of, tokenise};

/// Templates that a miner keeps: as many as explorers show.
pub const TEMPLATES_MAX: usize = 500;

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
    /// The words; a placeholder is `None`. Separators are kept too.
    tokens: Vec<Option<Box<str>>>,
    counts: BTreeMap<Timestamp, u64>,
}

/// Mines patterns from lines.
#[derive(Debug)]
pub struct PatternMiner {
    step: i64,
    templates: HashMap<Kind, Vec<Template>>,
    templates_count: usize,
    /// Lines that found no room, by level.
    others: HashMap<Box<str>, BTreeMap<Timestamp, u64>>,
}

impl PatternMiner {
    /// A miner that counts lines by steps of `step` nanoseconds since the epoch; at least one.
    #[must_use]
    pub fn new(step: i64) -> Self {
        Self {
            step: step.max(1),
            templates: HashMap::new(),
            templates_count: 0,
            others: HashMap::new(),
        }
    }

    /// Takes in a line. Takes time in the length of its beginning, and in how many templates look alike.
    pub fn add(&mut self, timestamp: Timestamp, level: &str, line: &[u8]) {
        let begin = timestamp.div_euclid(self.step).saturating_mul(self.step);
        let line = String::from_utf8_lossy(line);
        let tokens = tokenise(&line);
        let kind = Kind { level: level.into(), shape: shape_of(&tokens) };
        let alike = self.templates.get_mut(&kind).map(Vec::as_mut_slice).unwrap_or_default();
        let counts = if let Some(template) = most_similar(alike, &tokens) {
            template.widen(&tokens);
            &mut template.counts
        } else if self.templates_count < TEMPLATES_MAX {
            self.templates_count += 1;
            let templates = self.templates.entry(kind).or_default();
            templates.push(Template::new(&tokens));
            // One was pushed just now.
            let Some(template) = templates.last_mut() else { return };
            &mut template.counts
        } else {
            self.others.entry(kind.level).or_default()
        };
        *counts.entry(begin).or_default() += 1;
    }

    /// The patterns, those with most lines first; equal ones by their text and level.
    #[must_use]
    pub fn finish(self) -> Vec<Pattern> {
        // Templates may have become the same text while they were widened.
        let mut merged: BTreeMap<(String, Box<str>), BTreeMap<Timestamp, u64>> = BTreeMap::new();
        let others = self
            .others
            .into_iter()
            .map(|(level, counts)| ((PLACEHOLDER.to_owned(), level), counts));
        let mined = self.templates.into_iter().flat_map(|(kind, templates)| {
            let named =
                move |template: Template| ((template.text(), kind.level.clone()), template.counts);
            templates.into_iter().map(named)
        });
        for (key, counts) in mined.chain(others) {
            let all = merged.entry(key).or_default();
            for (begin, count) in counts {
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

/// The template that agrees with the line in most words, if these are enough to be of one kind.
fn most_similar<'t>(alike: &'t mut [Template], tokens: &[Token<'_>]) -> Option<&'t mut Template> {
    let words = tokens.iter().filter(|token| matches!(token, Token::Word(_))).count();
    let agreeing = alike.iter_mut().map(|template| (template.agreeing_words(tokens), template));
    let (agreeing, template) = agreeing.max_by_key(|(agreeing, _)| *agreeing)?;
    // Without any word, the separators and field names say it all.
    (words == 0 || agreeing * 100 > words * SIMILARITY_PERCENT).then_some(template)
}

impl Template {
    fn new(tokens: &[Token<'_>]) -> Self {
        let tokens = tokens.iter().map(|token| token.text().map(Box::from)).collect();
        Self { tokens, counts: BTreeMap::new() }
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
