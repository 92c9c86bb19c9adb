//! Functions that need all the numbers of a window, in the order of time.

use timberline_store::Timestamp;

use crate::QueryError;
use crate::engine::Context;

use super::grid::Windows;

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

/// A function over the numbers in a window that needs all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum WindowFunction {
    /// `quantile_over_time` of this `φ`.
    Quantile(f64),
    /// `rate_counter`
    RateCounter,
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
    // They come chunk by chunk, each in order: a stable sort merges such runs.
    samples.sort_by_key(|sample| (sample.timestamp, sample.order));
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
    Ok(points)
}

impl WindowFunction {
    /// The function's value over samples in the order of time, at least one.
    fn apply(self, samples: &[NumberSample], windows: &Windows, scratch: &mut Vec<f64>) -> f64 {
        match self {
            Self::Quantile(phi) => {
                scratch.clear();
                scratch.extend(samples.iter().map(|sample| sample.value));
                quantile(phi, scratch)
            }
            Self::RateCounter => rate_counter(samples, windows.range_seconds()),
        }
    }
}

/// A count as a number. Counts stay far below 2^53.
fn count(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// The `phi`-quantile, linear between ranks; NaN counts as the least.
fn quantile(phi: f64, values: &mut [f64]) -> f64 {
    if phi < 0.0 {
        return f64::NEG_INFINITY;
    }
    if phi > 1.0 {
        return f64::INFINITY;
    }
    let least_first = |left: &f64, right: &f64| {
        right.is_nan().cmp(&left.is_nan()).then_with(|| left.total_cmp(right))
    };
    let rank = phi * (count(values.len()) - 1.0);
    let low = rank.floor().max(0.0);
    let weight = rank - low;
    // Of all ranks two are wanted, which are next to each other.
    let (_, &mut at_low, above) = values.select_nth_unstable_by(low as usize, least_first);
    let at_high = above.iter().copied().min_by(least_first).unwrap_or(at_low);
    at_low * (1.0 - weight) + at_high * weight
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

    fn apply(function: WindowFunction, values: &[f64]) -> f64 {
        let windows = Windows { grid: Grid::instant(0), range: 60_000_000_000, offset: 0 };
        function.apply(&samples(values), &windows, &mut Vec::new())
    }

    #[test]
    fn quantiles_lie_between_ranks() {
        let quantile = |phi, values: &[f64]| apply(WindowFunction::Quantile(phi), values);
        assert_eq!(quantile(0.5, &[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(quantile(1.0, &[4.0, 1.0]), 4.0);
        assert_eq!(quantile(2.0, &[4.0]), f64::INFINITY);
        assert!(quantile(0.0, &[4.0, f64::NAN]).is_nan());
    }

    #[test]
    fn counters_grow_through_resets() {
        let rate = |values: &[f64]| apply(WindowFunction::RateCounter, values);
        assert_eq!(rate(&[0.0, 5.0, 9.0]), 0.15);
        assert!((rate(&[1.0, 1.0, 7.0]) - 0.100_000_2).abs() < 1e-12);
        assert!((rate(&[2.0, 4.0, 4.0, 10.0]) - 0.133_333_511_111_111_1).abs() < 1e-12);
        assert!((rate(&[9.0, 2.0, 3.0]) - 0.050_000_1).abs() < 1e-12);
        assert_eq!(rate(&[9.0]), 0.0);
    }
}
