//! Many streams that write for days: a fleet of pods.

use anyhow::Result;
use timberline_store::Labels;

use crate::corpus::{START_SECONDS, ServicesOptions, service_lines};

const SECONDS_PER_DAY: u64 = 86_400;
const CLUSTERS: u64 = 3;
const NAMESPACES: u64 = 50;
const APPS: u64 = 500;
/// Streams write in an order that has neighbours far apart. Prime, so that it reaches each of them.
const STRIDE: u64 = 1_000_003;
/// What the line in the middle has and no other.
pub(super) const NEEDLE: &str = "5ca1ab1e0ddba11c0ffee5eed";

/// How large the fleet is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fleet {
    pub(crate) streams: u64,
    pub(crate) lines: u64,
    /// The lines are spread evenly over so many days.
    pub(crate) days: u64,
}

/// A line of the fleet.
#[derive(Debug)]
pub(super) struct FleetLine {
    pub(super) stream: u64,
    /// Nanoseconds since the Unix epoch.
    pub(super) timestamp: i64,
    pub(super) text: String,
}

impl Fleet {
    /// A fleet for the same days, smaller by this factor.
    pub(crate) const fn smaller(self, by: u64) -> Self {
        Self { streams: self.streams / by, lines: self.lines / by, days: self.days }
    }

    pub(super) const fn start_seconds(self) -> u64 {
        START_SECONDS - self.days * SECONDS_PER_DAY
    }

    pub(super) const fn end_seconds(self) -> u64 {
        START_SECONDS
    }

    /// The labels of a stream: few clusters and namespaces, some apps, a pod of its own.
    pub(crate) fn labels(self, stream: u64) -> Result<Labels> {
        let app = app(stream);
        Ok(Labels::from_pairs([
            ("cluster", format!("cluster-{}", stream % CLUSTERS)),
            ("namespace", format!("namespace-{:02}", stream % NAMESPACES)),
            ("pod", pod(stream)),
            ("app", app),
        ])?)
    }

    /// The lines by ascending time; each stream writes once before one writes again.
    pub(super) fn lines(self) -> impl Iterator<Item = FleetLine> {
        let start = self.start_seconds() * 1_000_000_000;
        let step = self.days * SECONDS_PER_DAY * 1_000_000_000 / self.lines.max(1);
        let texts = service_lines(ServicesOptions { lines: self.lines, seed: 7 });
        texts.zip(0..).map(move |(line, index)| FleetLine {
            stream: index * STRIDE % self.streams,
            timestamp: (start + step / 2 + index * step) as i64,
            text: match index == self.lines / 2 {
                true => format!("request {NEEDLE} was lost"),
                false => line.text,
            },
        })
    }
}

/// The app that a stream's pod belongs to.
pub(super) fn app(stream: u64) -> String {
    format!("app-{:03}", stream % APPS)
}

pub(super) fn pod(stream: u64) -> String {
    format!("{}-{:08x}", app(stream), stream.wrapping_mul(0x9e37_79b9) & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const FLEET: Fleet = Fleet { streams: 2000, lines: 8000, days: 2 };

    #[test]
    fn every_stream_writes_as_often_and_is_another() {
        let lines: Vec<_> = FLEET.lines().collect();
        let round = |round: usize| lines[round * 2000..][..2000].iter().map(|line| line.stream);
        assert!((0..4).all(|of| round(of).collect::<BTreeSet<_>>().len() == 2000));
        let labels: BTreeSet<_> = (0..2000).map(|stream| FLEET.labels(stream).unwrap()).collect();
        assert_eq!(labels.len(), 2000);
        assert_eq!(FLEET.smaller(10).streams, 200);
    }

    #[test]
    fn lines_are_spread_over_the_days_and_one_has_the_needle() {
        let lines: Vec<_> = FLEET.lines().collect();
        let step = 2 * 86_400_000_000_000 / 8000;
        let after_start = lines[0].timestamp - FLEET.start_seconds() as i64 * 1_000_000_000;
        assert_eq!(after_start, step / 2, "no range of days has an edge on a line");
        assert!(lines.is_sorted_by(|one, two| one.timestamp < two.timestamp));
        let left = FLEET.end_seconds() as i64 * 1_000_000_000 - lines[7999].timestamp;
        assert_eq!(left, step / 2);
        let with = lines.iter().filter(|line| line.text.contains(NEEDLE));
        assert_eq!(with.count(), 1);
    }
}
