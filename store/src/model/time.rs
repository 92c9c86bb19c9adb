//! Points and ranges in time.

/// Nanoseconds since the Unix epoch. Negative before 1970.
pub type Timestamp = i64;

/// A half-open range of time, `[start, end)`.
///
/// A range whose `end` is not after its `start` is empty.
///
/// ```
/// use timberline_store::TimeRange;
///
/// let second = TimeRange::new(1_700_000_000_000_000_000, 1_700_000_001_000_000_000);
/// assert!(second.contains(second.start) && !second.contains(second.end));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// The first nanosecond in the range.
    pub start: Timestamp,
    /// The first nanosecond behind the range.
    pub end: Timestamp,
}

impl TimeRange {
    /// All of time (but for the very last nanosecond of the type).
    pub const ALL: Self = Self { start: Timestamp::MIN, end: Timestamp::MAX };

    /// `[start, end)`.
    #[must_use]
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// Whether no timestamp is in the range.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// Whether `timestamp` is in the range.
    #[must_use]
    pub const fn contains(&self, timestamp: Timestamp) -> bool {
        self.start <= timestamp && timestamp < self.end
    }

    /// What is in both.
    #[must_use]
    pub fn intersect(&self, other: Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }

    /// Whether a set of entries whose timestamps span `first..=last` may have one in the range.
    #[must_use]
    pub const fn overlaps(&self, first: Timestamp, last: Timestamp) -> bool {
        !self.is_empty() && first < self.end && last >= self.start
    }

    /// Whether every timestamp of `first..=last` is in the range.
    #[must_use]
    pub const fn covers(&self, first: Timestamp, last: Timestamp) -> bool {
        self.start <= first && last < self.end
    }
}
