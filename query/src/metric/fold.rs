//! Functions whose window can be put together from parts.
//!
//! Between two neighbouring edges of windows lies a *cell*: entries of one cell are always in the same
//! windows. So the numbers of a cell are folded into one part as they are read, and a window is folded
//! from its cells. What is held depends on how many cells and chunks there are, not on how many
//! numbers, and a step costs its cells and not its entries.
//!
//! Parts are made for each chunk and put together by the chunks' rank, so that sums are added in the
//! same order whichever thread read what.

use timberline_store::Timestamp;

use crate::QueryError;
use crate::budget::Budget;

use super::grid::{Span, Windows};

/// A function over the numbers in a window that can be put together from parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FoldFunction {
    Sum,
    /// The sum for each second of the range.
    Rate,
    /// The mean.
    Average,
    /// The least number.
    Min,
    /// The greatest number.
    Max,
    /// The population variance.
    Variance,
    /// Its root.
    Deviation,
    /// The first number in time.
    First,
    /// The last number in time.
    Last,
}

/// Some numbers, folded: at least one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fold {
    count: f64,
    /// The sum, the mean or the number chosen, by the function.
    value: f64,
    /// The sum of squared distances from the mean, for the variance.
    squares: f64,
    /// When the chosen number is from, and its place among numbers of that time.
    place: (Timestamp, u64),
}

impl Fold {
    /// One number.
    pub(crate) const fn new(value: f64, place: (Timestamp, u64)) -> Self {
        // An infinity has no distance from itself, nor has NaN.
        let squares = if value.is_finite() { 0.0 } else { f64::NAN };
        Self { count: 1.0, value, squares, place }
    }

    /// Takes in more numbers.
    fn merge(&mut self, other: &Self, function: FoldFunction) {
        let takes_other = match function {
            FoldFunction::Sum | FoldFunction::Rate | FoldFunction::Average => {
                self.value += other.value;
                false
            }
            FoldFunction::Variance | FoldFunction::Deviation => {
                self.merge_variance(other);
                false
            }
            FoldFunction::Min => self.value.is_nan() || other.value < self.value,
            FoldFunction::Max => self.value.is_nan() || other.value > self.value,
            FoldFunction::First => other.place < self.place,
            FoldFunction::Last => other.place > self.place,
        };
        if takes_other {
            (self.value, self.place) = (other.value, other.place);
        }
        self.count += other.count;
    }

    /// # Source
    /// Chan, Golub, LeVeque: "Updating formulae and a pairwise algorithm for computing sample
    /// variances", 1979. For one number it is Welford's step.
    fn merge_variance(&mut self, other: &Self) {
        let count = self.count + other.count;
        let delta = other.value - self.value;
        self.value += delta * (other.count / count);
        self.squares += other.squares + delta * delta * (self.count * other.count / count);
    }

    fn result(&self, function: FoldFunction, range_seconds: f64) -> f64 {
        match function {
            FoldFunction::Rate => self.value / range_seconds,
            FoldFunction::Average => self.value / self.count,
            FoldFunction::Variance => self.squares / self.count,
            FoldFunction::Deviation => (self.squares / self.count).sqrt(),
            FoldFunction::Sum
            | FoldFunction::Min
            | FoldFunction::Max
            | FoldFunction::First
            | FoldFunction::Last => self.value,
        }
    }
}

/// The numbers that one chunk has in one cell.
#[derive(Clone, Copy, Debug)]
struct Part {
    first: u32,
    end: u32,
    chunk: u32,
    fold: Fold,
}

/// The numbers of one series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Folds {
    parts: Vec<Part>,
}

impl Folds {
    /// Adds a number of the chunk with rank `chunk`; its numbers come by ascending time.
    ///
    /// # Errors
    /// The budget's.
    pub(crate) fn add(
        &mut self,
        span: Span,
        chunk: u32,
        fold: Fold,
        function: FoldFunction,
        budget: &Budget,
    ) -> Result<(), QueryError> {
        if let Some(last) = self.parts.last_mut()
            && (last.first, last.end, last.chunk) == (span.first, span.end, chunk)
        {
            last.fold.merge(&fold, function);
            return Ok(());
        }
        budget.charge(size_of::<Part>())?;
        self.parts.push(Part { first: span.first, end: span.end, chunk, fold });
        Ok(())
    }

    /// Adds what another thread has of the series.
    pub(crate) fn extend(&mut self, other: Self) {
        self.parts.extend(other.parts);
    }

    /// The function's value at every step whose window has a number.
    pub(crate) fn into_points(self, function: FoldFunction, windows: &Windows) -> Vec<(u32, f64)> {
        let cells = self.into_cells(function);
        let seconds = windows.range_seconds();
        let mut points = Vec::new();
        let (mut from, mut to) = (0, 0);
        for step in 0..windows.grid.count() {
            while cells.get(to).is_some_and(|cell| cell.first <= step) {
                to += 1;
            }
            while from < to && cells[from].end <= step {
                from += 1;
            }
            if let Some((first, others)) = cells[from..to].split_first() {
                let mut fold = first.fold;
                others.iter().for_each(|cell| fold.merge(&cell.fold, function));
                points.push((step, fold.result(function, seconds)));
            }
        }
        points
    }

    /// One part for each cell, by time: later cells begin and end no earlier.
    fn into_cells(mut self, function: FoldFunction) -> Vec<Part> {
        self.parts.sort_by_key(|part| (part.first, part.end, part.chunk));
        let mut cells: Vec<Part> = Vec::new();
        for part in self.parts {
            match cells.last_mut() {
                Some(last) if (last.first, last.end) == (part.first, part.end) => {
                    last.fold.merge(&part.fold, function);
                }
                _ => cells.push(part),
            }
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::super::grid::Grid;
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// The function over windows of a minute, every half minute, of numbers given by second.
    fn run(function: FoldFunction, numbers: &[(i64, f64)]) -> Vec<(u32, f64)> {
        let grid = Grid::new(60 * SECOND, 150 * SECOND, 30 * SECOND);
        let windows = Windows { grid, range: 60 * SECOND, offset: 0 };
        let budget = Budget::new(usize::MAX);
        let mut halves = [Folds::default(), Folds::default()];
        for (index, &(second, value)) in numbers.iter().enumerate() {
            let time = second * SECOND;
            let chunk = u32::try_from(index % 2).unwrap();
            let fold = Fold::new(value, (time, index as u64));
            let span = windows.span(time);
            halves[index % 2].add(span, chunk, fold, function, &budget).unwrap();
        }
        let [mut all, other] = halves;
        all.extend(other);
        all.into_points(function, &windows)
    }

    #[test]
    fn windows_are_put_together_from_cells() {
        let numbers = [(10, 1.0), (31, 2.0), (59, 4.0), (61, 8.0), (90, 16.0), (200, 32.0)];
        let sums = run(FoldFunction::Sum, &numbers);
        assert_eq!(sums, [(0, 7.0), (1, 30.0), (2, 24.0)]);
        let averages = run(FoldFunction::Average, &numbers);
        assert_eq!(averages[1], (1, 7.5));
        let rates = run(FoldFunction::Rate, &numbers);
        assert_eq!(rates[1], (1, 0.5));
        assert_eq!(run(FoldFunction::First, &numbers), [(0, 1.0), (1, 2.0), (2, 8.0)]);
        assert_eq!(run(FoldFunction::Last, &numbers), [(0, 4.0), (1, 16.0), (2, 16.0)]);
    }

    #[test]
    fn averages_survive_infinities() {
        let infinity = f64::INFINITY;
        let absorbed =
            run(FoldFunction::Average, &[(1, 1.0), (2, infinity), (3, 2.0), (4, infinity)]);
        assert_eq!(absorbed, [(0, infinity)]);
        let undone = run(FoldFunction::Average, &[(1, infinity), (2, -infinity)]);
        assert!(undone[0].1.is_nan());
    }

    #[test]
    fn extremes_pass_over_nan() {
        let nan = f64::NAN;
        let numbers = [(1, nan), (2, 2.0), (3, nan), (4, 1.0)];
        assert_eq!(run(FoldFunction::Min, &numbers), [(0, 1.0)]);
        assert_eq!(run(FoldFunction::Max, &numbers), [(0, 2.0)]);
        assert!(run(FoldFunction::Max, &[(1, nan), (2, nan)])[0].1.is_nan());
    }

    #[test]
    fn deviation_is_that_of_the_population() {
        assert_eq!(run(FoldFunction::Variance, &[(1, 1.0), (2, 3.0)]), [(0, 1.0)]);
        assert_eq!(run(FoldFunction::Deviation, &[(1, 5.0)]), [(0, 0.0)]);
        assert!(run(FoldFunction::Variance, &[(1, f64::INFINITY)])[0].1.is_nan());
        assert!(run(FoldFunction::Deviation, &[(1, 1.0), (2, f64::NAN)])[0].1.is_nan());
        let spread = run(FoldFunction::Variance, &[(10, 1e9), (20, 1e9 + 1.0), (40, 1e9 + 2.0)]);
        assert!((spread[0].1 - 2.0 / 3.0).abs() < 1e-9, "{spread:?}");
    }
}
