//! Which lines of a text pass a predicate.
//!
//! A substring is searched through the whole text at once and its hits are mapped to lines, which
//! beats a search per line by the cost of starting one: many lines are shorter than that is worth.

use std::ops::Range;

use crate::{LinePredicate, Needle, Row};

/// Lines that lie in one text, one behind the other and in that order; there may be gaps.
pub(crate) trait Lines {
    /// How many lines there are.
    fn count(&self) -> usize;
    /// Where a line is in the text.
    fn span(&self, line: usize) -> Range<usize>;
}

impl Lines for [Row] {
    fn count(&self) -> usize {
        self.len()
    }

    fn span(&self, line: usize) -> Range<usize> {
        let row = &self[line];
        let start = row.line_start as usize;
        start..start + row.line_len as usize
    }
}

/// One in so many lines must be a candidate for a search through the whole text to be worth it.
const DENSE: usize = 8;

/// The indexes, ascending, of the lines that pass.
pub(crate) fn select<L: Lines + ?Sized>(
    text: &[u8],
    lines: &L,
    predicate: &LinePredicate,
) -> Vec<u32> {
    let mut passing: Vec<u32> = (0..).take(lines.count()).collect();
    Scan { text, lines }.retain(predicate, &mut passing);
    passing
}

struct Scan<'a, L: ?Sized> {
    text: &'a [u8],
    lines: &'a L,
}

impl<L: Lines + ?Sized> Scan<'_, L> {
    /// Keeps those of the candidates, which ascend, that pass.
    fn retain(&self, predicate: &LinePredicate, candidates: &mut Vec<u32>) {
        match predicate {
            LinePredicate::Always => {}
            LinePredicate::Never => candidates.clear(),
            LinePredicate::Contains(needle) => self.retain_containing(needle, candidates),
            LinePredicate::Regex(_) | LinePredicate::Custom(_) => {
                candidates.retain(|&line| predicate.matches(self.line(line)));
            }
            LinePredicate::Not(inner) => {
                let mut passing = candidates.clone();
                self.retain(inner, &mut passing);
                subtract(candidates, &passing);
            }
            LinePredicate::All(parts) => {
                for part in parts {
                    self.retain(part, candidates);
                }
            }
            LinePredicate::Any(parts) => {
                let mut failing = candidates.clone();
                for part in parts {
                    let mut passing = failing.clone();
                    self.retain(part, &mut passing);
                    subtract(&mut failing, &passing);
                }
                subtract(candidates, &failing);
            }
        }
    }

    fn line(&self, line: u32) -> &[u8] {
        self.text.get(self.lines.span(line as usize)).unwrap_or_default()
    }

    fn retain_containing(&self, needle: &Needle, candidates: &mut Vec<u32>) {
        if candidates.len() < self.lines.count() / DENSE {
            candidates.retain(|&line| needle.find(self.line(line)).is_some());
            return;
        }
        let (Some(&first), Some(&last)) = (candidates.first(), candidates.last()) else { return };
        let range = first as usize..last as usize + 1;
        let is_all_of_it = candidates.len() == range.len();
        let hits = self.containing(needle, range);
        if hits.is_empty() || is_all_of_it {
            *candidates = hits;
        } else {
            intersect(candidates, &hits);
        }
    }

    /// The lines in a range that have the needle, ascending, by one search through their text.
    fn containing(&self, needle: &Needle, range: Range<usize>) -> Vec<u32> {
        let needle_len = needle.bytes().len();
        let mut hits = Vec::new();
        let mut line = range.start;
        let mut at = self.lines.span(line).start;
        let end = self.lines.span(range.end - 1).end;
        let Some(text) = self.text.get(..end) else { return hits };
        while let Some(found) = text.get(at..).and_then(|rest| needle.find(rest)) {
            let hit = at + found;
            line = self.line_at(hit, line, range.end);
            let span = self.lines.span(line);
            if span.start <= hit && hit + needle_len <= span.end {
                hits.extend(u32::try_from(line));
                at = span.end.max(hit + 1);
            } else {
                // Across two lines: no hit, but one may begin at its second byte.
                at = hit + 1;
            }
        }
        hits
    }

    /// The line that the byte `at` is in, looked for from a line that is not behind it. With a byte
    /// between two lines: the one before.
    fn line_at(&self, at: usize, from: usize, end: usize) -> usize {
        // Doubling steps: hits are often close together, and when not, lines are not walked one by one.
        let (mut low, mut step) = (from, 1);
        while low + step < end && self.lines.span(low + step).start <= at {
            low += step;
            step *= 2;
        }
        let (mut low, mut high) = (low, (low + step).min(end));
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.lines.span(middle).start <= at {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Takes from `list` what is in `other`. Both ascend; `other` is a part of `list`.
fn subtract(list: &mut Vec<u32>, other: &[u32]) {
    let mut other = other.iter().peekable();
    list.retain(|item| other.next_if_eq(&item).is_none());
}

/// Keeps in `list` what is in `other` too. Both ascend.
fn intersect(list: &mut Vec<u32>, other: &[u32]) {
    let mut other = other.iter().peekable();
    list.retain(|item| {
        while other.next_if(|&next| next < item).is_some() {}
        other.next_if_eq(&item).is_some()
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn rows(lines: &[Vec<u8>]) -> (Vec<u8>, Vec<Row>) {
        let (mut text, mut rows) = (Vec::new(), Vec::new());
        for line in lines {
            let line_start = u32::try_from(text.len()).unwrap();
            let line_len = u32::try_from(line.len()).unwrap();
            rows.push(Row { line_len, line_start, ..Row::default() });
            text.extend_from_slice(line);
        }
        (text, rows)
    }

    fn passing(lines: &[Vec<u8>], predicate: &LinePredicate) -> Vec<u32> {
        let (text, rows) = rows(lines);
        select(&text, rows.as_slice(), predicate)
    }

    #[test]
    fn hits_do_not_reach_across_lines() {
        let lines = [b"xab".to_vec(), b"c".to_vec(), vec![], b"abc".to_vec(), b"cab".to_vec()];
        assert_eq!(passing(&lines, &LinePredicate::contains(b"abc")), [3]);
        assert_eq!(passing(&lines, &LinePredicate::contains(b"bc")), [3]);
        assert_eq!(passing(&lines, &LinePredicate::contains(b"ab")), [0, 3, 4]);
    }

    fn any_predicate() -> impl Strategy<Value = LinePredicate> {
        let needle = prop::collection::vec(prop::sample::select(b"ab".to_vec()), 0..4);
        let leaf = prop_oneof![
            4 => needle.prop_map(|needle| LinePredicate::contains(&needle)),
            1 => Just(LinePredicate::Always),
            1 => Just(LinePredicate::Never),
            1 => Just(LinePredicate::regex(regex::bytes::Regex::new("^a+b").unwrap())),
            1 => Just(LinePredicate::Custom(Arc::new(|line: &[u8]| line.len() == 2))),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|inner| LinePredicate::Not(Box::new(inner))),
                prop::collection::vec(inner.clone(), 0..3).prop_map(LinePredicate::All),
                prop::collection::vec(inner, 0..3).prop_map(LinePredicate::Any),
            ]
        })
    }

    proptest! {
        /// The lines that pass are those a test of each line by itself lets through.
        #[test]
        fn selection_agrees_with_a_test_per_line(
            lines in prop::collection::vec(
                prop::collection::vec(prop::sample::select(b"ab".to_vec()), 0..6),
                0..40,
            ),
            predicate in any_predicate(),
        ) {
            let expected: Vec<u32> = (0u32..)
                .zip(&lines)
                .filter(|(_, line)| predicate.matches(line))
                .map(|(index, _)| index)
                .collect();
            prop_assert_eq!(passing(&lines, &predicate), expected);
        }
    }
}
