//! The points in time at which a metric query has values, and which windows an entry is in.
//!
//! A window of step `t` is `(t - offset - range, t - offset]`. For an entry at `e` the steps whose
//! window has it are therefore those with `e + offset <= t < e + offset + range`: one run of steps,
//! found by two divisions. Entries arrive by ascending time, and the run only changes where an entry
//! passes the edge of some window, so a reader divides once for each edge and not for each entry.

use timberline_store::{TimeRange, Timestamp};

const NANOS_PER_MILLI: i64 = 1_000_000;

/// The steps of a query: `start`, `start + step`, … up to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    start: Timestamp,
    step: i64,
    count: u32,
}

impl Grid {
    /// One point in time.
    pub(crate) const fn instant(time: Timestamp) -> Self {
        Self { start: time, step: 1, count: 1 }
    }

    /// The steps from `start` to `end`, both included. `step` is positive; the caller has made sure
    /// that there are not too many.
    pub(crate) fn new(start: Timestamp, end: Timestamp, step: i64) -> Self {
        let step = step.max(1);
        let last = (end.saturating_sub(start)).max(0) / step;
        Self { start, step, count: u32::try_from(last).unwrap_or(u32::MAX - 1) + 1 }
    }

    /// How many steps there are; at least one.
    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    /// When a step is, in nanoseconds.
    pub(crate) fn time(&self, step: u32) -> Timestamp {
        self.edge(i64::from(step))
    }

    /// When a step is, in milliseconds.
    pub(crate) fn millis(&self, step: u32) -> i64 {
        self.time(step).div_euclid(NANOS_PER_MILLI)
    }

    fn edge(&self, step: i64) -> Timestamp {
        self.start.saturating_add(self.step.saturating_mul(step))
    }

    /// The first step that is not before `time`; may be negative or behind the last.
    fn step_from(&self, time: Timestamp) -> i64 {
        let since = time.saturating_sub(self.start);
        since.div_euclid(self.step) + i64::from(since.rem_euclid(self.step) != 0)
    }
}

/// The windows of a range aggregation: one for each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    /// The steps.
    pub(crate) grid: Grid,
    /// How long a window is, in nanoseconds. May be zero: then no entry is in it.
    pub(crate) range: i64,
    /// How far back the windows are moved, in nanoseconds.
    pub(crate) offset: i64,
}

/// The steps `first..end` whose windows have the entries up to the time `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The first step.
    pub(crate) first: u32,
    /// The step behind the last.
    pub(crate) end: u32,
    /// The latest time for which this is so, counted from the time asked for.
    pub(crate) until: Timestamp,
}

impl Span {
    /// No steps, for no time: what a reader begins with.
    pub(crate) const NONE: Self = Self { first: 0, end: 0, until: Timestamp::MIN };

    /// Whether no window has the entries.
    pub(crate) const fn is_empty(&self) -> bool {
        self.first >= self.end
    }
}

impl Windows {
    /// All that some window may have.
    pub(crate) fn data_range(&self) -> TimeRange {
        let first = self.grid.start.saturating_sub(self.offset).saturating_sub(self.range);
        let last = self.grid.time(self.grid.count - 1).saturating_sub(self.offset);
        TimeRange::new(first.saturating_add(1), last.saturating_add(1))
    }

    /// The windows that have an entry at `time`.
    pub(crate) fn span(&self, time: Timestamp) -> Span {
        let time = time.saturating_add(self.offset);
        let (first, first_until) = self.clamped(time);
        let (end, end_until) = self.clamped(time.saturating_add(self.range));
        let until = first_until.min(end_until.saturating_sub(self.range));
        Span { first, end, until: until.saturating_sub(self.offset) }
    }

    /// The first step that is not before `time`, within the grid, and until which time it is that.
    fn clamped(&self, time: Timestamp) -> (u32, Timestamp) {
        let step = self.grid.step_from(time).max(0);
        match u32::try_from(step) {
            Ok(step) if step < self.grid.count => (step, self.grid.time(step)),
            _ => (self.grid.count, Timestamp::MAX),
        }
    }

    /// The window of a step: from (not included) and to (included).
    pub(crate) fn bounds(&self, step: u32) -> (Timestamp, Timestamp) {
        let to = self.grid.time(step).saturating_sub(self.offset);
        (to.saturating_sub(self.range), to)
    }

    /// The range in seconds.
    pub(crate) fn range_seconds(&self) -> f64 {
        self.range as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_reach_the_end_and_no_further() {
        assert_eq!(Grid::new(10, 30, 10).count(), 3);
        assert_eq!(Grid::new(10, 29, 10).count(), 2);
        assert_eq!(Grid::new(10, 10, 10).count(), 1);
        assert_eq!(Grid::new(0, 3_000_000, 1_500_000).millis(1), 1);
        assert_eq!(Grid::instant(-1).millis(0), -1);
    }

    /// Spans say the same as looking at every window, and `until` is the last time that they do.
    #[test]
    fn spans_agree_with_the_windows_bounds() {
        for (step, range, offset) in
            [(10, 10, 0), (10, 25, 0), (10, 3, 0), (7, 20, 5), (10, 25, -12), (10, 0, 0)]
        {
            let windows = Windows { grid: Grid::new(100, 155, step), range, offset };
            let slow = |time: Timestamp| -> Vec<u32> {
                (0..windows.grid.count())
                    .filter(|&step| {
                        let (from, to) = windows.bounds(step);
                        from < time && time <= to
                    })
                    .collect()
            };
            for time in 40..220 {
                let span = windows.span(time);
                let steps: Vec<u32> = (span.first..span.end).collect();
                assert_eq!(steps, slow(time), "{windows:?} at {time}");
                assert!(span.until >= time);
                for later in time..span.until.min(220) + 1 {
                    assert_eq!(steps, slow(later), "{windows:?} at {time}, later {later}");
                }
                assert!(slow(time).is_empty() || windows.data_range().contains(time));
            }
        }
    }

    #[test]
    fn an_instant_has_one_span_for_its_whole_window() {
        let windows = Windows { grid: Grid::instant(1000), range: 300, offset: 0 };
        assert_eq!(windows.span(701), Span { first: 0, end: 1, until: 1000 });
        assert!(windows.span(700).is_empty());
        assert!(windows.span(1001).is_empty());
    }
}
