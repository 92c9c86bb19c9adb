//! Which rows of a group pass a predicate.
//!
//! Needles are found without making lines ([`template`](super::super::template)). What only a line can
//! tell, regular expressions and tests from outside, is asked of the rows that are left.

use std::ops::Range;
use std::sync::Arc;

use super::super::bitmap::Bitmap;
use super::super::codec::Decoded;
use super::super::template::Hits;
use super::Group;
use super::scratch::{GroupKey, GroupScratch};
use crate::literals::Literals;
use crate::{LineColumn, LinePredicate, LineRegex, Needle, Row};

/// Lines that are made at a time to be tested.
const LINES_AT_ONCE: usize = 1024;

/// As [`passing`], where it is known from another part of the group.
pub(in crate::segment) fn known_passing(
    key: GroupKey,
    predicate: &LinePredicate,
    rows: Range<u32>,
    scratch: &GroupScratch,
) -> Option<Vec<u32>> {
    scratch.passing(key, predicate).map(|hits| numbers(hits, rows))
}

/// Which rows of a group pass a predicate that needles decide. Kept, since other streams may ask.
pub(in crate::segment) fn all_passing(
    group: &Group,
    file: &[u8],
    predicate: &LinePredicate,
    scratch: &mut GroupScratch,
) -> Decoded<Arc<Hits>> {
    if let Some(known) = scratch.passing(group.key(), predicate) {
        return Ok(Arc::clone(known));
    }
    let hits = Filter { group, file, scratch }.passing(predicate, Hits::All)?;
    Ok(scratch.keep_passing(group.key(), predicate, hits))
}

/// The numbers of those of some rows that pass, ascending.
pub(in crate::segment) fn passing(
    group: &Group,
    file: &[u8],
    predicate: &LinePredicate,
    rows: Range<u32>,
    scratch: &mut GroupScratch,
) -> Decoded<Vec<u32>> {
    if predicate.is_by_needles() {
        // As quickly found for all rows.
        return Ok(numbers(&*all_passing(group, file, predicate, scratch)?, rows));
    }
    let count = group.rows();
    let candidates = match rows.len() == count {
        true => Hits::All,
        // Rows are counted in 32 bits.
        false => Hits::Some(Bitmap::with_range(count as u32, rows.clone())),
    };
    let hits = Filter { group, file, scratch }.passing(predicate, candidates)?;
    Ok(numbers(&hits, rows))
}

struct Filter<'a> {
    group: &'a Group,
    file: &'a [u8],
    scratch: &'a mut GroupScratch,
}

impl Filter<'_> {
    fn passing(&mut self, predicate: &LinePredicate, candidates: Hits) -> Decoded<Hits> {
        if candidates == Hits::None {
            return Ok(Hits::None);
        }
        let count = self.group.rows();
        match predicate {
            LinePredicate::Always => Ok(candidates),
            LinePredicate::Never => Ok(Hits::None),
            LinePredicate::Contains(needle) => self.having(needle, candidates),
            LinePredicate::Regex(regex) => self.matching(regex, candidates),
            LinePredicate::Custom(test) => self.tested(candidates, |line| test.test(line)),
            LinePredicate::Not(inner) => {
                let passing = self.passing(inner, candidates.clone())?;
                Ok(candidates.and(passing.not(count)))
            }
            LinePredicate::All(parts) => {
                let (quick, slow): (Vec<_>, Vec<_>) =
                    parts.iter().partition(|part| part.is_by_needles());
                let mut parts = quick.into_iter().chain(slow);
                parts.try_fold(candidates, |candidates, part| self.passing(part, candidates))
            }
            LinePredicate::Any(parts) => {
                let mut found = Hits::None;
                for part in parts {
                    let rest = candidates.clone().and(found.clone().not(count));
                    found = found.or(self.passing(part, rest)?);
                }
                Ok(found)
            }
        }
    }

    fn having(&mut self, needle: &Arc<Needle>, candidates: Hits) -> Decoded<Hits> {
        let (group, file) = (self.group, self.file);
        let hits = self.scratch.hits(needle, |scratch| group.having(needle, file, scratch))?;
        Ok(candidates.and(Hits::clone(&hits)))
    }

    fn having_one(&mut self, needles: &[Arc<Needle>], candidates: &Hits) -> Decoded<Hits> {
        needles.iter().try_fold(Hits::None, |found, needle| {
            Ok(found.or(self.having(needle, candidates.clone())?))
        })
    }

    fn matching(&mut self, regex: &LineRegex, candidates: Hits) -> Decoded<Hits> {
        let candidates = match &regex.literals {
            Literals::Exact(needles) => return self.having_one(needles, &candidates),
            Literals::Required(needles) => self.having_one(needles, &candidates)?,
            Literals::Unknown => candidates,
        };
        self.tested(candidates, |line| regex.regex.is_match(line))
    }

    /// Makes the candidates' lines and tests them.
    fn tested(&mut self, candidates: Hits, test: impl Fn(&[u8]) -> bool) -> Decoded<Hits> {
        let count = self.group.rows();
        let numbers = numbers(&candidates, 0..count as u32);
        let mut found = Bitmap::empty(count);
        let (mut text, mut rows) = (Vec::new(), Vec::new());
        for numbers in numbers.chunks(LINES_AT_ONCE) {
            text.clear();
            rows.clear();
            rows.resize(numbers.len(), Row::default());
            let what = LineColumn::Text;
            self.group.lines(numbers, what, self.file, self.scratch, &mut text, &mut rows)?;
            for (number, row) in numbers.iter().zip(&rows) {
                let start = row.line_start as usize;
                let line = text.get(start..start + row.line_len as usize);
                if test(line.unwrap_or_default()) {
                    found.insert(*number);
                }
            }
        }
        Ok(Hits::from_bitmap(found, count))
    }
}

/// Those of some rows that are hit, ascending.
fn numbers(hits: &Hits, rows: Range<u32>) -> Vec<u32> {
    match hits {
        Hits::None => Vec::new(),
        Hits::All => rows.collect(),
        Hits::Some(bitmap) => bitmap.iter_in(rows).collect(),
    }
}
