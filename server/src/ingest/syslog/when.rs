//! When a message of RFC 3164 was sent.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use timberline_store::Timestamp;

use crate::rfc3339;

/// A time as a message says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// To a part of a second.
    Exact(Timestamp),
    /// In whole seconds: other messages will have the same.
    Second(Timestamp),
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads `Oct  1 22:14:15`, also with a year behind the day or with a fraction, or RFC 3339; and what
/// follows.
pub(super) fn read<'a>(text: &'a str, zone: &TimeZone, now: Timestamp) -> Option<(When, &'a str)> {
    let end = text.find(' ').unwrap_or(text.len());
    if let Some(time) = rfc3339::parse(&text[..end]) {
        return Some((When::Exact(time), &text[end..]));
    }
    let (month, rest) = text.split_at_checked(3)?;
    let month = i8::try_from(MONTHS.iter().position(|name| *name == month)? + 1).ok()?;
    let (day, rest) = word(rest)?;
    let day: i8 = day.parse().ok()?;
    let (mut clock, mut rest) = word(rest)?;
    let mut year = None;
    if clock.len() == 4 && clock.bytes().all(|byte| byte.is_ascii_digit()) {
        year = clock.parse().ok();
        (clock, rest) = word(rest)?;
    }
    // Cisco's messages have a colon behind the time.
    let (hms, fraction) =
        clock.trim_end_matches(':').split_once('.').unwrap_or((clock.trim_end_matches(':'), ""));
    let mut parts = hms.split(':').map(|part| part.parse::<i8>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || fraction.bytes().any(|byte| !byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: i32 = digits.parse().ok()?;
    let at = |year: i16| {
        let civil = DateTime::new(year, month, day, hour, minute, second, nanos).ok()?;
        Timestamp::try_from(zone.to_timestamp(civil).ok()?.as_nanosecond()).ok()
    };
    let time = match year {
        Some(year) => at(year)?,
        None => nearest(now, at)?,
    };
    Some((if fraction.is_empty() { When::Second(time) } else { When::Exact(time) }, rest))
}

/// The next word, and what follows.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix(' ')?.trim_start_matches(' ');
    let end = text.find(' ').unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Of the years around `now`, that in which the time is nearest to it.
fn nearest(now: Timestamp, at: impl Fn(i16) -> Option<Timestamp>) -> Option<Timestamp> {
    let today = jiff::Timestamp::from_nanosecond(i128::from(now)).ok()?;
    let year = TimeZone::UTC.to_datetime(today).year();
    let times = (year - 1..=year + 1).filter_map(at);
    times.min_by_key(|time| time.abs_diff(now))
}
