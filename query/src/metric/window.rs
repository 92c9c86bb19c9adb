//! The functions over the numbers in a window.

use timberline_store::Timestamp;

use crate::QueryError;
use crate::budget::Budget;
use crate::engine::Context;
use crate::syntax::RangeFunction;

use super::grid::Windows;
use super::series::POINT_BYTES;

/// One unwrapped number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumberSample {
    /// When.
    pub(crate) timestamp: Timestamp,
    /// Its place among samples of the same time: by stream, chunk and row.
    pub(crate) order: u64,
    /// The number.
    pub(crate) value: f64,
}

/// A function over the numbers in a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowFunction {
    /// Which.
    pub(crate) function: RangeFunction,
    /// The `φ` of `quantile_over_time`.
    pub(crate) parameter: f64,
}

/// The function's value at every step whose window has a sample.
///
/// # Errors
/// Timeout, cancellation and the budget's.
pub(crate) fn slide(
    mut samples: Vec<NumberSample>,
    windows: &Windows,
    function: WindowFunction,
    context: &Context<'_>,
) -> Result<Vec<(u32, f64)>, QueryError> {
    samples.sort_unstable_by_key(|sample| (sample.timestamp, sample.order));
    let mut points = Vec::new();
    let (mut from, mut to, mut looked_at) = (0, 0, 0_usize);
    let mut scratch = Vec::new();
    for step in 0..windows.grid.count() {
        let (after, until) = windows.bounds(step);
        while samples.get(to).is_some_and(|sample| sample.timestamp <= until) {
            to += 1;
        }
        while from < to && samples[from].timestamp <= after {
            from += 1;
        }
        if from < to {
            looked_at += to - from;
            points.push((step, function.apply(&samples[from..to], windows, &mut scratch)));
        }
        if looked_at > 1 << 20 {
            looked_at = 0;
            context.check()?;
        }
    }
    charge_points(&points, &context.budget)?;
    Ok(points)
}

fn charge_points(points: &[(u32, f64)], budget: &Budget) -> Result<(), QueryError> {
    budget.charge(points.len() * POINT_BYTES)
}

impl WindowFunction {
    /// The function's value over samples in the order of time, at least one.
    fn apply(self, samples: &[NumberSample], windows: &Windows, scratch: &mut Vec<f64>) -> f64 {
        let values = samples.iter().map(|sample| sample.value);
        match self.function {
            RangeFunction::SumOverTime => values.sum(),
            RangeFunction::Rate => values.sum::<f64>() / windows.range_seconds(),
            RangeFunction::AvgOverTime => average(values),
            RangeFunction::MinOverTime => extreme(values, |value, best| value < best),
            RangeFunction::MaxOverTime => extreme(values, |value, best| value > best),
            RangeFunction::StdvarOverTime => variance(values),
            RangeFunction::StddevOverTime => variance(values).sqrt(),
            RangeFunction::QuantileOverTime => {
                scratch.clear();
                scratch.extend(values);
                quantile(self.parameter, scratch)
            }
            RangeFunction::FirstOverTime => samples.first().map_or(f64::NAN, |sample| sample.value),
            RangeFunction::LastOverTime => samples.last().map_or(f64::NAN, |sample| sample.value),
            RangeFunction::RateCounter => rate_counter(samples, windows.range_seconds()),
            // The planner gives these to tallies; on numbers they could only mean their count.
            RangeFunction::CountOverTime
            | RangeFunction::BytesOverTime
            | RangeFunction::BytesRate
            | RangeFunction::AbsentOverTime => count(samples.len()),
        }
    }
}

/// A count as a number. Counts stay far below 2^53.
fn count(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// The running mean. An infinite mean absorbs finite values and infinities of its sign.
///
/// # Source
/// Loki, `avg_over_time`.
fn average(values: impl Iterator<Item = f64>) -> f64 {
    let (mut mean, mut seen) = (0.0_f64, 0.0_f64);
    for value in values {
        seen += 1.0;
        if mean.is_infinite() {
            let same_sign = value.is_infinite() && (mean > 0.0) == (value > 0.0);
            if same_sign || value.is_finite() {
                continue;
            }
        }
        mean += value / seen - mean / seen;
    }
    mean
}

/// The least or the greatest number; NaN only where there is no number.
fn extreme(values: impl Iterator<Item = f64>, beats: impl Fn(f64, f64) -> bool) -> f64 {
    values.fold(
        f64::NAN,
        |best, value| {
            if best.is_nan() || beats(value, best) { value } else { best }
        },
    )
}

/// The population variance, by Welford's method.
pub(super) fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut seen, mut mean, mut squares) = (0.0_f64, 0.0_f64, 0.0_f64);
    for value in values {
        seen += 1.0;
        let delta = value - mean;
        mean += delta / seen;
        squares += delta * (value - mean);
    }
    squares / seen
}

/// The `phi`-quantile, linear between ranks; NaN counts as the least.
fn quantile(phi: f64, values: &mut [f64]) -> f64 {
    if phi < 0.0 {
        return f64::NEG_INFINITY;
    }
    if phi > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|left, right| {
        right.is_nan().cmp(&left.is_nan()).then_with(|| left.total_cmp(right))
    });
    let last = count(values.len()) - 1.0;
    let rank = phi * last;
    let low = rank.floor().max(0.0);
    let high = (low + 1.0).min(last);
    let weight = rank - low;
    value_at(values, low) * (1.0 - weight) + value_at(values, high) * weight
}

/// The value at a rank, which is a whole number from 0 up.
fn value_at(values: &[f64], rank: f64) -> f64 {
    values.get(rank as usize).copied().unwrap_or(f64::NAN)
}

/// How fast a counter grew, in units a second.
///
/// # Source
/// Loki 3.7, which extrapolates as Prometheus does but with the samples' distance in microseconds and
/// the range in seconds, so that the extrapolation all but vanishes. Recorded answers show it.
fn rate_counter(samples: &[NumberSample], range_seconds: f64) -> f64 {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return 0.0 };
    if samples.len() < 2 {
        return 0.0;
    }
    let resets = samples.windows(2).filter(|pair| pair[1].value < pair[0].value);
    let increase = resets.fold(last.value - first.value, |increase, pair| increase + pair[0].value);
    let sampled = (last.timestamp - first.timestamp) as f64 / 1000.0;
    let average_distance = sampled / count(samples.len() - 1);
    let mut to_start = range_seconds;
    if increase > 0.0 && first.value >= 0.0 {
        to_start = to_start.min(sampled * (first.value / increase));
    }
    let threshold = average_distance * 1.1;
    let half = average_distance / 2.0;
    let start = if to_start < threshold { to_start } else { half };
    // The end side is always reached: its distance is zero.
    let end = if 0.0 < threshold { 0.0 } else { half };
    increase * ((sampled + start + end) / sampled) / range_seconds
}

#[cfg(test)]
mod tests {
    use super::super::grid::Grid;
    use super::*;

    fn samples(values: &[f64]) -> Vec<NumberSample> {
        (0_i32..)
            .zip(values)
            .map(|(index, &value)| NumberSample {
                timestamp: i64::from(index) * 15_000_000_000,
                order: 0,
                value,
            })
            .collect()
    }

    fn apply(function: RangeFunction, parameter: f64, values: &[f64]) -> f64 {
        let windows = Windows { grid: Grid::instant(0), range: 60_000_000_000, offset: 0 };
        let function = WindowFunction { function, parameter };
        function.apply(&samples(values), &windows, &mut Vec::new())
    }

    #[test]
    fn averages_survive_infinities() {
        let avg = |values: &[f64]| apply(RangeFunction::AvgOverTime, 0.0, values);
        assert_eq!(avg(&[1.0, 2.0, 6.0]), 3.0);
        assert_eq!(avg(&[1.0, f64::INFINITY, 2.0, f64::INFINITY]), f64::INFINITY);
        assert!(avg(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }

    #[test]
    fn extremes_pass_over_nan() {
        let nan = f64::NAN;
        assert_eq!(apply(RangeFunction::MinOverTime, 0.0, &[nan, 2.0, nan, 1.0]), 1.0);
        assert_eq!(apply(RangeFunction::MaxOverTime, 0.0, &[nan, 2.0, nan, 1.0]), 2.0);
        assert!(apply(RangeFunction::MaxOverTime, 0.0, &[nan, nan]).is_nan());
    }

    #[test]
    fn quantiles_lie_between_ranks() {
        let quantile = |phi, values: &[f64]| apply(RangeFunction::QuantileOverTime, phi, values);
        assert_eq!(quantile(0.5, &[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(quantile(1.0, &[4.0, 1.0]), 4.0);
        assert_eq!(quantile(2.0, &[4.0]), f64::INFINITY);
        assert!(quantile(0.0, &[4.0, f64::NAN]).is_nan());
    }

    #[test]
    fn deviation_is_that_of_the_population() {
        assert_eq!(apply(RangeFunction::StdvarOverTime, 0.0, &[1.0, 3.0]), 1.0);
        assert_eq!(apply(RangeFunction::StddevOverTime, 0.0, &[5.0]), 0.0);
    }

    #[test]
    fn counters_grow_through_resets() {
        let rate = |values: &[f64]| apply(RangeFunction::RateCounter, 0.0, values);
        assert_eq!(rate(&[0.0, 5.0, 9.0]), 0.15);
        assert!((rate(&[1.0, 1.0, 7.0]) - 0.100_000_2).abs() < 1e-12);
        assert!((rate(&[2.0, 4.0, 4.0, 10.0]) - 0.133_333_511_111_111_1).abs() < 1e-12);
        assert!((rate(&[9.0, 2.0, 3.0]) - 0.050_000_1).abs() < 1e-12);
        assert_eq!(rate(&[9.0]), 0.0);
    }
}
