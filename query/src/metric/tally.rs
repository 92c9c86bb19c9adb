//! Counts of lines and bytes for each step, whatever the windows overlap.

use crate::QueryError;
use crate::budget::Budget;

use super::grid::Span;

/// Counts for each step of one series.
///
/// An entry counts for a run of steps, so adding one entry to a table of differences costs two
/// additions however long the range is and however short the step; the values are the running sums.
/// A series with few entries keeps the runs themselves, since there may be many such series and many
/// steps. Everything is integers: the sums do not depend on the order in which threads add.
#[derive(Clone, Debug)]
pub(crate) enum Tally {
    /// Few runs, neighbours with the same steps put together.
    Runs(Vec<Run>),
    /// For each step and the one behind the last: by how much the counts change there.
    Differences(Vec<Change>),
}

/// Lines and bytes that count for the steps `first..end`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    first: u32,
    end: u32,
    lines: u64,
    bytes: u64,
}

/// By how much the counts change.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Change {
    lines: i64,
    bytes: i64,
}

/// The counts of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepCount {
    pub(crate) step: u32,
    /// Lines in its window; not zero.
    pub(crate) lines: u64,
    /// Bytes of those lines.
    pub(crate) bytes: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self::Runs(Vec::new())
    }
}

impl Tally {
    /// Counts `lines` with `bytes` for the steps of `span`, out of `steps` in all.
    ///
    /// # Errors
    /// The budget's.
    pub(crate) fn add(
        &mut self,
        span: Span,
        lines: u64,
        bytes: u64,
        steps: u32,
        budget: &Budget,
    ) -> Result<(), QueryError> {
        if span.is_empty() || lines == 0 {
            return Ok(());
        }
        self.add_run(Run { first: span.first, end: span.end, lines, bytes }, steps, budget)
    }

    /// Adds what another thread counted.
    ///
    /// # Errors
    /// The budget's.
    pub(crate) fn merge(
        &mut self,
        other: Self,
        steps: u32,
        budget: &Budget,
    ) -> Result<(), QueryError> {
        match other {
            Self::Runs(runs) => {
                for run in runs {
                    self.add_run(run, steps, budget)?;
                }
            }
            Self::Differences(changes) => {
                let own = self.differences(steps, budget)?;
                for (own, change) in own.iter_mut().zip(changes) {
                    own.lines += change.lines;
                    own.bytes += change.bytes;
                }
            }
        }
        Ok(())
    }

    fn add_run(&mut self, run: Run, steps: u32, budget: &Budget) -> Result<(), QueryError> {
        if let Self::Runs(runs) = self {
            if let Some(last) = runs.last_mut()
                && (last.first, last.end) == (run.first, run.end)
            {
                last.lines += run.lines;
                last.bytes += run.bytes;
                return Ok(());
            }
            if runs.len() < steps.div_ceil(2) as usize + 2 {
                budget.charge(size_of::<Run>())?;
                runs.push(run);
                return Ok(());
            }
        }
        change(self.differences(steps, budget)?, run);
        Ok(())
    }

    /// The table of differences, made if there is none yet.
    fn differences(&mut self, steps: u32, budget: &Budget) -> Result<&mut Vec<Change>, QueryError> {
        if let Self::Runs(runs) = self {
            let size = steps as usize + 1;
            budget.charge(size * size_of::<Change>())?;
            budget.release(runs.len() * size_of::<Run>());
            let mut changes = vec![Change::default(); size];
            runs.drain(..).for_each(|run| change(&mut changes, run));
            *self = Self::Differences(changes);
        }
        match self {
            Self::Differences(changes) => Ok(changes),
            Self::Runs(_) => Err(QueryError::Refused("a tally without its table".to_owned())),
        }
    }

    /// The counts of the steps that have any, by ascending step.
    pub(crate) fn into_counts(self) -> Vec<StepCount> {
        match self {
            Self::Runs(runs) => running(runs_to_changes(runs)),
            Self::Differences(changes) => running((0..).zip(changes).collect()),
        }
    }
}

fn change(changes: &mut [Change], run: Run) {
    // Counts of lines and bytes in one store stay far below 2^63.
    let lines = i64::try_from(run.lines).unwrap_or(i64::MAX);
    let bytes = i64::try_from(run.bytes).unwrap_or(i64::MAX);
    if let Some(first) = changes.get_mut(run.first as usize) {
        first.lines += lines;
        first.bytes += bytes;
    }
    if let Some(end) = changes.get_mut(run.end as usize) {
        end.lines -= lines;
        end.bytes -= bytes;
    }
}

/// The steps at which the counts of a few runs change, ascending; a step may be there twice.
fn runs_to_changes(runs: Vec<Run>) -> Vec<(u32, Change)> {
    let mut changes = Vec::with_capacity(runs.len() * 2);
    for run in runs {
        let lines = i64::try_from(run.lines).unwrap_or(i64::MAX);
        let bytes = i64::try_from(run.bytes).unwrap_or(i64::MAX);
        changes.push((run.first, Change { lines, bytes }));
        changes.push((run.end, Change { lines: -lines, bytes: -bytes }));
    }
    changes.sort_unstable_by_key(|(step, _)| *step);
    changes
}

/// Sums changes up, and fills in the steps between them.
fn running(changes: Vec<(u32, Change)>) -> Vec<StepCount> {
    let mut counts = Vec::new();
    let mut now = Change::default();
    let mut changes = changes.into_iter().peekable();
    while let Some((step, change)) = changes.next() {
        now.lines += change.lines;
        now.bytes += change.bytes;
        let Some(&(next, _)) = changes.peek() else { break };
        let lines = u64::try_from(now.lines).unwrap_or(0);
        let bytes = u64::try_from(now.bytes).unwrap_or(0);
        if lines > 0 {
            counts.extend((step..next).map(|step| StepCount { step, lines, bytes }));
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(first: u32, end: u32) -> Span {
        Span { first, end, until: 0 }
    }

    fn counts(tally: Tally) -> Vec<(u32, u64, u64)> {
        tally.into_counts().iter().map(|count| (count.step, count.lines, count.bytes)).collect()
    }

    #[test]
    fn overlapping_runs_add_up_and_gaps_stay_empty() {
        let budget = Budget::new(usize::MAX);
        let mut tally = Tally::default();
        tally.add(span(0, 3), 1, 10, 10, &budget).unwrap();
        tally.add(span(2, 4), 2, 0, 10, &budget).unwrap();
        tally.add(span(6, 7), 1, 5, 10, &budget).unwrap();
        tally.add(span(5, 5), 9, 9, 10, &budget).unwrap();
        assert!(matches!(tally, Tally::Runs(_)));
        let expected = [(0, 1, 10), (1, 1, 10), (2, 3, 10), (3, 2, 0), (6, 1, 5)];
        assert_eq!(counts(tally), expected);
    }

    #[test]
    fn many_runs_become_differences_with_the_same_counts() {
        let budget = Budget::new(usize::MAX);
        let (mut left, mut right, mut slow) = (Tally::default(), Tally::default(), [0_u64; 8]);
        for index in 0..40_u32 {
            let (first, end) = (index % 7, index % 7 + 1 + index % 2);
            let half = if index < 35 { &mut left } else { &mut right };
            half.add(span(first, end), 1, 2, 8, &budget).unwrap();
            (first..end).for_each(|step| slow[step as usize] += 1);
        }
        assert!(matches!((&left, &right), (Tally::Differences(_), Tally::Runs(_))));
        right.merge(left, 8, &budget).unwrap();
        let expected: Vec<(u32, u64, u64)> =
            (0..8).zip(slow).map(|(step, lines)| (step, lines, 2 * lines)).collect();
        assert_eq!(counts(right), expected);
    }
}
