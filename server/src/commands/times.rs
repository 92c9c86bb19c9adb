//! Points in time as people write them, and as they want to read them.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use timberline_store::Timestamp;

use super::Failure;
use crate::config::units::parse_duration;
use crate::http::now;
use crate::rfc3339;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// How far back a range goes that does not say.
const SINCE_DEFAULT: Duration = Duration::from_secs(3600);

/// A range of time in flags.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "When")]
pub(super) struct RangeArgs {
    /// How far back from --to, or from now, such as 30m or 7d [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    since: Option<Duration>,
    /// From when on, instead of --since: 2026-01-31T12:00:00Z, 2026-01-31 12:00, 2026-01-31, Unix
    /// seconds, milliseconds or nanoseconds, or 30m for as long ago
    #[arg(long, visible_alias = "start", value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Until when; that point itself is not in it [default: now]
    #[arg(long, visible_alias = "end", value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
}

impl RangeArgs {
    /// Whether anything is said.
    pub(super) const fn is_said(&self) -> bool {
        self.since.is_some() || self.from.is_some() || self.to.is_some()
    }

    /// From and until when, in nanoseconds. Times without a zone are in `zone`.
    pub(super) fn bounds(&self, zone: &Zone) -> Result<(Timestamp, Timestamp), Failure> {
        let now = now();
        let end = self.to.as_deref().map_or(Ok(now), |text| zone.parse(text, now))?;
        let since = self.since.unwrap_or(SINCE_DEFAULT);
        let since = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
        let start = match &self.from {
            Some(text) => zone.parse(text, now)?,
            None => end.min(now).saturating_sub(since),
        };
        if end <= start {
            return Err(Failure::usage("the range ends before it begins (--from, --to)"));
        }
        Ok((start, end))
    }
}

/// In which zone times are shown, and read where they do not say.
#[derive(Clone, Debug)]
pub(super) struct Zone(TimeZone);

impl FromStr for Zone {
    type Err = String;

    /// `Local`, `UTC`, or a name such as `Europe/Vienna`.
    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "Local" | "local" => Ok(Self(TimeZone::system())),
            "UTC" | "utc" => Ok(Self(TimeZone::UTC)),
            name => TimeZone::get(name).map(Self).map_err(|_| {
                "no such time zone: say Local, UTC or a name like Europe/Vienna".into()
            }),
        }
    }
}

impl Zone {
    /// UTC.
    #[cfg(test)]
    pub(super) const UTC: Self = Self(TimeZone::UTC);

    /// Reads a point in time.
    pub(super) fn parse(&self, text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
        let text = text.trim();
        let found = match text {
            "now" => Some(now),
            _ => rfc3339::parse(text)
                .or_else(|| unix(text))
                .or_else(|| self.civil(text))
                .or_else(|| ago(text, now)),
        };
        let wrong = || {
            Failure::usage(format!(
                "'{text}' is not a time: write 2026-01-31T12:00:00Z, '2026-01-31 12:00:00', \
                 2026-01-31, Unix seconds, or 30m for as long ago"
            ))
        };
        found.ok_or_else(wrong)
    }

    /// A date, or a date and a time, without a zone.
    fn civil(&self, text: &str) -> Option<Timestamp> {
        let time: DateTime = text.parse().ok().or_else(|| {
            let date: Date = text.parse().ok()?;
            Some(date.to_datetime(jiff::civil::Time::midnight()))
        })?;
        self.timestamp(time)
    }

    /// When it is this o'clock here. Of an hour that is there twice the first is meant.
    pub(super) fn timestamp(&self, time: DateTime) -> Option<Timestamp> {
        let time = self.0.to_timestamp(time).ok()?;
        Timestamp::try_from(time.as_nanosecond()).ok()
    }

    /// What the clock shows here.
    pub(super) fn clock(&self, timestamp: Timestamp) -> DateTime {
        let time = jiff::Timestamp::from_nanosecond(i128::from(timestamp));
        self.0.to_datetime(time.unwrap_or_default())
    }

    /// As RFC 3339, to the second.
    pub(super) fn seconds(&self, timestamp: Timestamp) -> String {
        let whole = timestamp.div_euclid(NANOS_PER_SECOND) * NANOS_PER_SECOND;
        self.full(whole)
    }

    /// As RFC 3339, with as much of the fraction as there is.
    pub(super) fn full(&self, timestamp: Timestamp) -> String {
        let Ok(time) = jiff::Timestamp::from_nanosecond(i128::from(timestamp)) else {
            return timestamp.to_string();
        };
        let offset = self.0.to_offset(time);
        if offset.is_zero() {
            return format!("{:.*}", digits(timestamp), time);
        }
        time.display_with_offset(offset).to_string()
    }
}

/// How many digits a fraction of a second needs.
fn digits(timestamp: Timestamp) -> usize {
    let mut rest = timestamp.rem_euclid(NANOS_PER_SECOND);
    let mut digits = 9;
    while digits > 0 && rest % 10 == 0 {
        (rest, digits) = (rest / 10, digits - 1);
    }
    digits
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by how many digits there are.
pub(super) fn unix(text: &str) -> Option<Timestamp> {
    if let Some((seconds, fraction)) = text.split_once('.') {
        let whole = unix_digits(seconds)?.checked_mul(NANOS_PER_SECOND)?;
        let is_fraction = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
        let kept = fraction.get(..fraction.len().min(9)).filter(|_| is_fraction)?;
        let nanos: i64 = format!("{kept:0<9}").parse().ok()?;
        return whole.checked_add(nanos);
    }
    let number = unix_digits(text)?;
    let scale = match text.len() {
        0..=11 => NANOS_PER_SECOND,
        12..=14 => 1_000_000,
        15..=17 => 1_000,
        _ => 1,
    };
    number.checked_mul(scale)
}

fn unix_digits(text: &str) -> Option<i64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// `30m`, `-30m`, `30m ago`.
fn ago(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.strip_prefix('-').unwrap_or(text);
    let text = text.strip_suffix("ago").unwrap_or(text).trim();
    let ago = parse_duration(text).ok()?;
    Some(now.saturating_sub(i64::try_from(ago.as_nanos()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = 1_800_000_000 * NANOS_PER_SECOND;

    fn utc(text: &str) -> Option<Timestamp> {
        Zone::UTC.parse(text, NOW).ok()
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let second = |seconds: i64| Some(seconds * NANOS_PER_SECOND);
        for (text, expected) in [
            ("now", Some(NOW)),
            ("2026-01-31T12:00:00Z", second(1_769_860_800)),
            ("2026-01-31T12:00:00+01:00", second(1_769_857_200)),
            ("2026-01-31 12:00:00", second(1_769_860_800)),
            ("2026-01-31 12:00", second(1_769_860_800)),
            ("2026-01-31T12:00:00.5", Some(1_769_860_800_500_000_000)),
            ("2026-01-31", second(1_769_817_600)),
            ("1769860800", second(1_769_860_800)),
            ("1769860800.25", Some(1_769_860_800_250_000_000)),
            ("1769860800000", second(1_769_860_800)),
            ("1769860800000000000", second(1_769_860_800)),
            ("30m", second(1_800_000_000 - 1800)),
            ("-1h30m", second(1_800_000_000 - 5400)),
            ("2d ago", second(1_800_000_000 - 172_800)),
            ("yesterday", None),
            ("", None),
            ("2026-13-01", None),
            ("1769860800.", None),
        ] {
            assert_eq!(utc(text), expected, "{text}");
        }
    }

    #[test]
    fn zones_count_for_what_does_not_name_one() {
        let vienna: Zone = "Europe/Vienna".parse().unwrap();
        assert_eq!(vienna.parse("2026-01-31 13:00", NOW).ok(), utc("2026-01-31 12:00"));
        assert_eq!(vienna.parse("2026-01-31T12:00:00Z", NOW).ok(), utc("2026-01-31 12:00"));
        assert!("Middle/Earth".parse::<Zone>().is_err());
        let at = utc("2026-07-01T12:00:00.12Z").unwrap();
        assert_eq!(vienna.full(at), "2026-07-01T14:00:00.12+02:00");
        assert_eq!(vienna.seconds(at), "2026-07-01T14:00:00+02:00");
        assert_eq!(Zone::UTC.full(at), "2026-07-01T12:00:00.12Z");
        assert_eq!(Zone::UTC.full(-1), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(Zone::UTC.seconds(-1), "1969-12-31T23:59:59Z");
    }
}
