//! Points in time in requests: seconds, nanoseconds and RFC 3339.

use timberline_store::Timestamp;

use super::strconv::parse_int;
use super::{NANOS_PER_MILLI, NANOS_PER_SECOND, ParamError};

/// The most characters, sign included, that a whole number of seconds may have. Longer is nanoseconds.
const SECONDS_CHARS_MAX: usize = 10;

/// Reads a point in time, in nanoseconds; `default` where the text is empty.
///
/// In this order: a number with a point is seconds, rounded to milliseconds; a whole number is seconds
/// or, beyond ten characters, nanoseconds; otherwise RFC 3339. Times outside the type are its edges.
pub(super) fn parse(text: &str, default: Timestamp) -> Result<Timestamp, ParamError> {
    if text.is_empty() {
        return Ok(default);
    }
    if text.contains('.')
        && let Ok(seconds) = text.parse::<f64>()
    {
        return Ok(from_seconds(seconds));
    }
    match parse_int("ParseInt", text) {
        Ok(number) if text.len() <= SECONDS_CHARS_MAX => {
            Ok(number.saturating_mul(NANOS_PER_SECOND))
        }
        Ok(number) => Ok(number),
        Err(error) => parse_rfc3339(text).ok_or(error),
    }
}

fn from_seconds(seconds: f64) -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
    let (whole, millis) = (seconds.trunc() as i64, (seconds.fract() * 1000.0).round() as i64);
    whole.saturating_mul(NANOS_PER_SECOND).saturating_add(millis * NANOS_PER_MILLI)
}

/// `2026-01-02T03:04:05.678Z`, `2026-01-02T03:04:05+02:00`; nanoseconds at most, further digits are dropped.
fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let (year, rest) = number(text, 4)?;
    let (month, rest) = number(rest.strip_prefix('-')?, 2)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 2)?;
    let (hour, rest) = number(rest.strip_prefix('T')?, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (nanos, rest) = fraction(rest)?;
    let offset = zone(rest)?;
    let in_range = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !in_range {
        return None;
    }
    let seconds =
        days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some(seconds.saturating_mul(NANOS_PER_SECOND).saturating_add(nanos))
}

/// Exactly `digits` digits, and what follows.
fn number(text: &str, digits: usize) -> Option<(i64, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    if !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((number.parse().ok()?, rest))
}

fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(end);
    let kept = digits.get(..digits.len().min(9)).filter(|kept| !kept.is_empty())?;
    Some((format!("{kept:0<9}").parse().ok()?, rest))
}

/// Seconds east of Greenwich.
fn zone(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = number(rest, 2)?;
    let (minutes, rest) = number(rest.strip_prefix(':')?, 2)?;
    (rest.is_empty() && hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

const fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01, negative before it. Years count from March, so that the leap day is their last.
const fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}
