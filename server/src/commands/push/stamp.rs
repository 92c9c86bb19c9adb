//! The timestamps that the lines of a file are stored under.
//!
//! A store keeps a line once that comes twice with the same timestamp. So lines of a file that tell the
//! same time get timestamps a nanosecond apart, in the file's order, and a line that tells none comes a
//! nanosecond behind the one before. The same file, read from the same place with the same state, gives
//! the same timestamps, so that lines which are sent again are recognised.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use timberline_store::Timestamp;

/// How many times are remembered, so that a line which tells one of them once more comes behind the
/// others that told it. Lines that are further out of order than that tell different times as good as
/// always.
const READINGS_MAX: usize = 64;

/// Gives lines their timestamps.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Stamper {
    /// The timestamp of the first line where lines tell none.
    start: Timestamp,
    last: Option<Timestamp>,
    /// Times that lines told, the latest told last, and the first timestamp behind those that they got.
    readings: VecDeque<(Timestamp, Timestamp)>,
}

impl Stamper {
    pub(super) const fn new(start: Timestamp) -> Self {
        Self { start, last: None, readings: VecDeque::new() }
    }

    /// The timestamp of the next line, which tells this time or none.
    pub(super) fn stamp(&mut self, reading: Option<Timestamp>) -> Timestamp {
        let stamp = match reading {
            Some(reading) => self.told(reading),
            None => self.untold(),
        };
        self.last = Some(stamp);
        stamp
    }

    fn told(&mut self, reading: Timestamp) -> Timestamp {
        let known = self.readings.iter().rposition(|(known, _)| *known == reading);
        let next = known.and_then(|place| self.readings.remove(place)).map_or(reading, |it| it.1);
        if self.readings.len() >= READINGS_MAX {
            self.readings.pop_front();
        }
        self.readings.push_back((reading, next.saturating_add(1)));
        next
    }

    fn untold(&mut self) -> Timestamp {
        // Of the readings the last belongs to the line before, if that told one.
        let Some((_, next)) = self.readings.back_mut() else {
            return self.last.map_or(self.start, |last| last.saturating_add(1));
        };
        let stamp = *next;
        *next = next.saturating_add(1);
        stamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_time_are_a_nanosecond_apart_and_in_order() {
        let mut stamper = Stamper::new(1000);
        let stamps: Vec<i64> = [Some(100), None, Some(100), Some(50), None, Some(100), Some(50)]
            .map(|reading| stamper.stamp(reading))
            .into();
        assert_eq!(stamps, [100, 101, 102, 50, 51, 103, 52]);
    }

    #[test]
    fn lines_that_tell_no_time_keep_the_files_order() {
        let mut stamper = Stamper::new(1000);
        assert_eq!([None; 3].map(|reading| stamper.stamp(reading)), [1000, 1001, 1002]);
        assert_eq!(stamper.stamp(Some(7)), 7);
        assert_eq!(stamper.stamp(None), 8);
    }

    #[test]
    fn a_stamper_goes_on_where_it_was_saved() {
        let readings = |n: i64| (n % 5 != 0).then_some(1_000_000 * (n % 90));
        let mut whole = Stamper::new(5);
        let expected: Vec<i64> = (0..1000).map(|n| whole.stamp(readings(n))).collect();
        let mut first = Stamper::new(5);
        let mut stamps: Vec<i64> = (0..500).map(|n| first.stamp(readings(n))).collect();
        let saved = serde_json::to_string(&first).unwrap();
        let mut second: Stamper = serde_json::from_str(&saved).unwrap();
        stamps.extend((500..1000).map(|n| second.stamp(readings(n))));
        assert_eq!(stamps, expected);
    }
}
