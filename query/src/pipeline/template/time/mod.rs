//! Instants in a zone, with the layouts, parsing and printing of Go's `time` package.
//!
//! The local zone is UTC, whatever the machine says: the same query gives the same lines on every
//! server, and Loki's own images run in UTC.

mod civil;
mod layout;
mod parse;

use std::rc::Rc;

use jiff::tz::TimeZone;

use crate::golang::quote;

pub(super) use self::civil::{MONTHS, WEEKDAYS};
pub(super) use self::parse::parse;

/// Seconds from the start of year 1, where Go's zero time lies, to the Unix epoch.
const ZERO_SECONDS: i64 = -62_135_596_800;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Where a time is shown.
#[derive(Debug, Clone)]
pub(super) enum Zone {
    Utc,
    /// Seconds east of UTC and the abbreviation, which may be empty.
    Fixed(i64, Rc<str>),
    Named(TimeZone),
}

impl Zone {
    /// The zone of that name in the database, `UTC` where there is none.
    pub(super) fn load(name: &str) -> Zone {
        match name {
            "" | "UTC" | "Local" => Zone::Utc,
            _ => TimeZone::get(name).map_or(Zone::Utc, Zone::Named),
        }
    }

    /// Seconds east of UTC and the abbreviation in force at a time.
    fn at(&self, unix: i64) -> (i64, String) {
        match self {
            Zone::Utc => (0, "UTC".to_owned()),
            Zone::Fixed(offset, name) => (*offset, name.to_string()),
            Zone::Named(zone) => {
                // Beyond the years jiff knows, the rules of its last year go on.
                let limits = (jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
                let unix = unix.clamp(limits.0, limits.1);
                let timestamp = jiff::Timestamp::from_second(unix).unwrap_or_default();
                let info = zone.to_offset_info(timestamp);
                (i64::from(info.offset().seconds()), info.abbreviation().to_owned())
            }
        }
    }

    /// Seconds east of UTC for a clock reading, given as if it were UTC.
    fn at_clock(&self, clock: i64) -> i64 {
        let (guess, _) = self.at(clock);
        self.at(clock.saturating_sub(guess)).0
    }
}

/// An instant and the zone it is shown in.
#[derive(Debug, Clone)]
pub(super) struct Time {
    /// Seconds since the Unix epoch, rounded down.
    unix: i64,
    /// Below a second.
    nanos: u32,
    zone: Zone,
}

/// A date and clock reading as a calendar shows them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Civil {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: i64,
    pub(super) day: i64,
    /// From 1.
    pub(super) year_day: i64,
    /// Sunday is 0.
    pub(super) weekday: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
}

impl Time {
    pub(super) fn from_unix(seconds: i64, nanos: i64) -> Time {
        let unix = seconds.saturating_add(nanos.div_euclid(NANOS_PER_SECOND));
        let nanos = u32::try_from(nanos.rem_euclid(NANOS_PER_SECOND)).unwrap_or_default();
        Time { unix, nanos, zone: Zone::Utc }
    }

    pub(super) fn from_unix_nanos(nanos: i64) -> Time {
        Time::from_unix(0, nanos)
    }

    /// Midnight of 1 January of year 1, UTC: what a failed parse gives.
    pub(super) fn zero() -> Time {
        Time::from_unix(ZERO_SECONDS, 0)
    }

    pub(super) fn is_zero(&self) -> bool {
        self.unix == ZERO_SECONDS && self.nanos == 0
    }

    pub(super) fn in_zone(mut self, zone: Zone) -> Time {
        self.zone = zone;
        self
    }

    pub(super) fn unix(&self) -> i64 {
        self.unix
    }

    pub(super) fn nanosecond(&self) -> i64 {
        i64::from(self.nanos)
    }

    /// The instant in units of which a second has `per_second`; wraps as Go's does.
    pub(super) fn unix_in(&self, per_second: i64) -> i64 {
        let below = i64::from(self.nanos) / (NANOS_PER_SECOND / per_second);
        self.unix.wrapping_mul(per_second).wrapping_add(below)
    }

    /// The instant `nanos` nanoseconds later.
    pub(super) fn plus(&self, nanos: i64) -> Time {
        let total = i64::from(self.nanos) + nanos % NANOS_PER_SECOND;
        Time::from_unix(self.unix.saturating_add(nanos / NANOS_PER_SECOND), total)
            .in_zone(self.zone.clone())
    }

    /// Nanoseconds from `earlier` to here, at most what fits.
    pub(super) fn since(&self, earlier: &Time) -> i64 {
        let seconds = i128::from(self.unix) - i128::from(earlier.unix);
        let nanos = seconds * i128::from(NANOS_PER_SECOND) + i128::from(self.nanos)
            - i128::from(earlier.nanos);
        i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
    }

    /// Order in time.
    pub(super) fn order(&self, other: &Time) -> std::cmp::Ordering {
        (self.unix, self.nanos).cmp(&(other.unix, other.nanos))
    }

    pub(super) fn civil(&self) -> Civil {
        let (offset, _) = self.zone.at(self.unix);
        civil::from_clock(self.unix.saturating_add(offset))
    }

    /// The time as `layout`, written for Go's reference time, asks for.
    pub(super) fn format(&self, layout: &str) -> String {
        layout::format(self, layout)
    }

    /// `2006-01-02 15:04:05.999999999 -0700 MST`, as Go prints a time.
    pub(super) fn print(&self) -> String {
        self.format("2006-01-02 15:04:05.999999999 -0700 MST")
    }

    /// As Go source: `time.Date(2009, time.February, 5, 5, 0, 57, 12345600, time.UTC)`.
    pub(super) fn go_syntax(&self) -> String {
        let civil = self.civil();
        let clock = format!(
            "{}, {}, {}, {}, {}",
            civil.day, civil.hour, civil.minute, civil.second, self.nanos
        );
        let zone = match &self.zone {
            Zone::Utc => "time.UTC".to_owned(),
            zone => format!("time.Location({})", quote(&zone.at(self.unix).1)),
        };
        format!("time.Date({}, time.{}, {clock}, {zone})", civil.year, self.format("January"))
    }

    /// The same clock reading so many years, months and days on; too large a day runs over.
    pub(super) fn plus_date(&self, years: i64, months: i64, days: i64) -> Time {
        let now = self.civil();
        let bound = |n: i64| n.clamp(-1_000_000, 1_000_000);
        let month = now.month - 1 + bound(months);
        let year = now.year.saturating_add(bound(years)).saturating_add(month.div_euclid(12));
        let first = civil::days(year, month.rem_euclid(12) + 1, 1);
        let day = first.saturating_add(now.day - 1).saturating_add(bound(days));
        let clock = civil::clock(day, now.hour, now.minute, now.second);
        Time {
            unix: clock.saturating_sub(self.zone.at_clock(clock)),
            nanos: self.nanos,
            zone: self.zone.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_in_go() {
        assert_eq!(Time::zero().print(), "0001-01-01 00:00:00 +0000 UTC");
        let time = Time::from_unix_nanos(1_793_534_612_176_085_172);
        assert_eq!(time.print(), "2026-11-01 12:03:32.176085172 +0000 UTC");
        assert_eq!(time.unix_in(1_000), 1_793_534_612_176);
        assert_eq!(Time::from_unix_nanos(-1).print(), "1969-12-31 23:59:59.999999999 +0000 UTC");
    }

    #[test]
    fn a_named_zone_shifts_the_clock_and_gives_its_abbreviation() {
        let summer = Time::from_unix(1_750_000_000, 0).in_zone(Zone::load("Europe/Berlin"));
        assert_eq!(summer.print(), "2025-06-15 17:06:40 +0200 CEST");
        let unknown = Time::from_unix(0, 0).in_zone(Zone::load("No/Where"));
        assert_eq!(unknown.print(), "1970-01-01 00:00:00 +0000 UTC");
    }

    #[test]
    fn dates_run_over() {
        let time = Time::from_unix(1_769_817_600, 0);
        assert_eq!(time.print(), "2026-01-31 00:00:00 +0000 UTC");
        assert_eq!(time.plus_date(0, 1, 0).format("2006-01-02"), "2026-03-03");
        assert_eq!(time.plus_date(-1, -1, 1).format("2006-01-02"), "2025-01-01");
    }

    #[test]
    fn extreme_times_do_not_panic() {
        for unix in [i64::MIN, i64::MAX] {
            let time = Time::from_unix(unix, 0).in_zone(Zone::load("Europe/Berlin"));
            assert!(!time.print().is_empty());
            assert!(time.plus(unix).since(&Time::zero()) != 0);
            assert!(!time.plus_date(unix, unix, unix).print().is_empty());
        }
    }
}
