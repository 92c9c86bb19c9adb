//! The series of a range aggregation while they grow.

use std::collections::HashMap;

use timberline_store::{Labels, Timestamp};

use crate::QueryError;
use crate::engine::Context;
use crate::plan::{Measure, RangePlan};

use super::super::fold::{Fold, FoldFunction, Folds};
use super::super::grid::{Grid, Span, Windows};
use super::super::series::{POINT_BYTES, SERIES_BYTES, StepSeries, intern};
use super::super::tally::{StepCount, Tally};
use super::super::window::{NumberSample, WindowFunction, slide};

/// So many numbers of a series are counted in the budget at once.
const NUMBERS_PER_CHARGE: usize = 8;

/// Series by labels, with what their values are made of.
#[derive(Debug)]
pub(super) struct Table {
    windows: Windows,
    index: HashMap<Labels, u32>,
    samples: Samples,
}

/// What the values of each series are made of, by the series' number.
#[derive(Debug)]
enum Samples {
    Tallies(Vec<Tally>),
    Folds(FoldFunction, Vec<Folds>),
    Numbers(WindowFunction, Vec<Vec<NumberSample>>),
}

/// Where an entry stands among those of its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// When.
    pub(super) timestamp: Timestamp,
    /// The rank of its chunk.
    pub(super) chunk: u32,
    /// The row in the chunk.
    pub(super) row: usize,
}

impl Place {
    /// The chunk's rank and the row in one number.
    fn order(self) -> u64 {
        u64::from(self.chunk) << 32 | u64::try_from(self.row).unwrap_or(u64::MAX)
    }
}

impl Table {
    /// No series yet.
    pub(super) fn new(measure: Measure, windows: Windows) -> Self {
        let samples = match measure {
            Measure::Folds(function) => Samples::Folds(function, Vec::new()),
            Measure::Numbers(function) => Samples::Numbers(function, Vec::new()),
            Measure::Lines { .. } | Measure::Bytes { .. } | Measure::Absence => {
                Samples::Tallies(Vec::new())
            }
        };
        Self { windows, index: HashMap::new(), samples }
    }

    /// The number of the series with these labels.
    ///
    /// # Errors
    /// The budget's.
    pub(super) fn series(
        &mut self,
        labels: Labels,
        context: &Context<'_>,
    ) -> Result<u32, QueryError> {
        let (series, is_new) = intern(&mut self.index, labels);
        if is_new {
            context.budget.charge(SERIES_BYTES)?;
            match &mut self.samples {
                Samples::Tallies(tallies) => tallies.push(Tally::default()),
                Samples::Folds(_, folds) => folds.push(Folds::default()),
                Samples::Numbers(_, numbers) => numbers.push(Vec::new()),
            }
        }
        Ok(series)
    }

    /// Counts lines and their bytes for the windows of `span`.
    ///
    /// # Errors
    /// The budget's.
    pub(super) fn count(
        &mut self,
        series: u32,
        span: Span,
        lines: u64,
        bytes: u64,
        context: &Context<'_>,
    ) -> Result<(), QueryError> {
        let steps = self.windows.grid.count();
        match &mut self.samples {
            Samples::Tallies(tallies) => {
                tallies[series as usize].add(span, lines, bytes, steps, &context.budget)
            }
            // Only numbers are measured here.
            Samples::Folds(..) | Samples::Numbers(..) => Ok(()),
        }
    }

    /// Adds a number for the windows of `span`; or counts its entry, where that is what is measured.
    ///
    /// # Errors
    /// The budget's.
    pub(super) fn number(
        &mut self,
        series: u32,
        span: Span,
        value: f64,
        place: Place,
        context: &Context<'_>,
    ) -> Result<(), QueryError> {
        match &mut self.samples {
            Samples::Tallies(_) => self.count(series, span, 1, 0, context),
            Samples::Folds(function, folds) => {
                let fold = Fold::new(value, (place.timestamp, place.order()));
                folds[series as usize].add(span, place.chunk, fold, *function, &context.budget)
            }
            Samples::Numbers(_, numbers) => {
                let numbers = &mut numbers[series as usize];
                // The budget is of all threads, and counting takes as long as keeping a number.
                if numbers.len() % NUMBERS_PER_CHARGE == 0 {
                    context.budget.charge(size_of::<NumberSample>() * NUMBERS_PER_CHARGE)?;
                }
                let (timestamp, order) = (place.timestamp, place.order());
                numbers.push(NumberSample { timestamp, order, value });
                Ok(())
            }
        }
    }

    /// Adds what another thread has.
    ///
    /// # Errors
    /// The budget's.
    pub(super) fn merge(&mut self, other: Self, context: &Context<'_>) -> Result<(), QueryError> {
        let steps = self.windows.grid.count();
        let mut ids = Vec::new();
        for labels in by_number(other.index) {
            ids.push(self.series(labels, context)? as usize);
        }
        match (&mut self.samples, other.samples) {
            (Samples::Tallies(own), Samples::Tallies(tallies)) => {
                for (id, tally) in ids.into_iter().zip(tallies) {
                    own[id].merge(tally, steps, &context.budget)?;
                }
            }
            (Samples::Folds(_, own), Samples::Folds(_, folds)) => {
                ids.into_iter().zip(folds).for_each(|(id, folds)| own[id].extend(folds));
            }
            (Samples::Numbers(_, own), Samples::Numbers(_, numbers)) => {
                ids.into_iter().zip(numbers).for_each(|(id, numbers)| own[id].extend(numbers));
            }
            // All tables of one plan are of one kind.
            _ => {}
        }
        Ok(())
    }

    /// The values at every step, by labels.
    ///
    /// # Errors
    /// Timeout, cancellation and the budget's.
    pub(super) fn into_series(
        self,
        plan: &RangePlan<'_>,
        context: &Context<'_>,
    ) -> Result<Vec<StepSeries>, QueryError> {
        let (windows, labels) = (self.windows, by_number(self.index));
        let points: Vec<Points> = match self.samples {
            Samples::Tallies(tallies) if matches!(plan.measure, Measure::Absence) => {
                return Ok(absence(plan, tallies, windows.grid));
            }
            Samples::Tallies(tallies) => {
                let counted = |tally: Tally| Ok(counted(tally, plan.measure, &windows));
                tallies.into_iter().map(counted).collect::<Result<_, QueryError>>()?
            }
            Samples::Folds(function, folds) => {
                let folded = |folds: Folds| {
                    context.check()?;
                    Ok(folds.into_points(function, &windows))
                };
                folds.into_iter().map(folded).collect::<Result<_, QueryError>>()?
            }
            Samples::Numbers(function, numbers) => {
                let slid = |numbers| slide(numbers, &windows, function, context);
                numbers.into_iter().map(slid).collect::<Result<_, QueryError>>()?
            }
        };
        let series = labels.into_iter().zip(points);
        let series = series.map(|(labels, points)| StepSeries { labels, points });
        let mut series: Vec<StepSeries> =
            series.filter(|series| !series.points.is_empty()).collect();
        series
            .iter()
            .try_for_each(|series| context.budget.charge(series.points.len() * POINT_BYTES))?;
        series.sort_unstable_by(|left, right| left.labels.cmp(&right.labels));
        Ok(series)
    }
}

/// Step and value, by ascending step.
type Points = Vec<(u32, f64)>;

/// The labels in the order of their numbers.
fn by_number(index: HashMap<Labels, u32>) -> Vec<Labels> {
    let mut labels: Vec<(u32, Labels)> =
        index.into_iter().map(|(labels, series)| (series, labels)).collect();
    labels.sort_unstable_by_key(|(series, _)| *series);
    labels.into_iter().map(|(_, labels)| labels).collect()
}

fn counted(tally: Tally, measure: Measure, windows: &Windows) -> Points {
    let seconds = windows.range_seconds();
    // Counts of lines and bytes stay below 2^53, so that they are exact as floats.
    let value = |count: &StepCount| match measure {
        Measure::Bytes { per_second: true } => count.bytes as f64 / seconds,
        Measure::Bytes { per_second: false } => count.bytes as f64,
        Measure::Lines { per_second: true } => count.lines as f64 / seconds,
        _ => count.lines as f64,
    };
    tally.into_counts().iter().map(|count| (count.step, value(count))).collect()
}

/// One series, at the steps where nothing was counted.
fn absence(plan: &RangePlan<'_>, tallies: Vec<Tally>, grid: Grid) -> Vec<StepSeries> {
    let mut is_present = vec![false; grid.count() as usize];
    for count in tallies.into_iter().flat_map(Tally::into_counts) {
        if let Some(is_present) = is_present.get_mut(count.step as usize) {
            *is_present = true;
        }
    }
    let absent = (0..).zip(is_present).filter(|(_, is_present)| !is_present);
    let points: Points = absent.map(|(step, _)| (step, 1.0)).collect();
    if points.is_empty() {
        return Vec::new();
    }
    vec![StepSeries { labels: plan.absent_labels.clone(), points }]
}
