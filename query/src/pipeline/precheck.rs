//! Finding out early that a label filter drops an entry.
//!
//! In `| json | status >= 500` most lines have their fields made into labels only to be dropped for one
//! of them. Where all labels are needed in the end, the pipeline therefore first makes no more than
//! those that the filters behind its first parser look at; only an entry that passes begins anew. A
//! parser that is told which labels to make stops no later than one that makes all, and finds the
//! same values; filters that look at nothing but values say the same of them.

use super::add_plain_names;
use super::labels::Required;
use super::names::Names;
use super::step::Step;

/// The first stages of a pipeline, up to the last of the filters behind the first parser.
#[derive(Debug)]
pub(super) struct Precheck {
    required: Required,
    /// How many stages: the parser and its filters.
    count: usize,
}

impl Precheck {
    /// `None` where the stages do not begin with a parser and filters of labels.
    pub(super) fn new(steps: &[Step], names: &mut Names) -> Option<Self> {
        let (first, behind) = steps.split_first()?;
        let is_parser = match first {
            Step::Json => true,
            Step::Logfmt(logfmt) => logfmt.takes_all(),
            _ => false,
        };
        let mut needed = Vec::new();
        let mut count = 1;
        for step in behind {
            match step {
                Step::LabelFilter(filter) if filter.is_blind_to_errors() => {
                    filter.for_each_name(&mut |name| needed.push(name));
                    count += 1;
                }
                _ => break,
            }
        }
        if !is_parser || needed.is_empty() {
            return None;
        }
        add_plain_names(names, &mut needed);
        let names = Some(needed);
        Some(Self {
            required: Required { names, looks_everywhere: true, ..Required::default() },
            count,
        })
    }

    /// What the parser has to make.
    pub(super) const fn required(&self) -> &Required {
        &self.required
    }

    /// The parser and the filters, out of all stages.
    pub(super) fn steps<'s>(&self, steps: &'s [Step]) -> &'s [Step] {
        steps.get(..self.count).unwrap_or(steps)
    }
}

/// Entries that are looked at before the record says anything.
const TRIALS: u32 = 256;

/// How often looking beforehand was of use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    tried: u32,
    dropped: u32,
}

impl Record {
    /// Whether looking beforehand saves more than it costs: an entry that passes is parsed twice.
    pub(super) const fn is_worthwhile(self) -> bool {
        self.tried < TRIALS || self.dropped > self.tried / 2
    }

    /// Counts an entry. Older ones count for less and less.
    pub(super) fn note(&mut self, passes: bool) {
        if self.tried == 2 * TRIALS {
            self.tried /= 2;
            self.dropped /= 2;
        }
        self.tried += 1;
        self.dropped += u32::from(!passes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_tells_when_to_stop() {
        let mut record = Record::default();
        for _ in 0..10_000 {
            assert!(record.is_worthwhile());
            record.note(false);
        }
        for passed in 0.. {
            if !record.is_worthwhile() {
                assert!((TRIALS / 2..TRIALS * 2).contains(&passed), "{passed}");
                return;
            }
            record.note(true);
        }
    }
}
