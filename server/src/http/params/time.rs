//! Points in time in requests: seconds, nanoseconds and RFC 3339.

use timberline_store::Timestamp;

use super::strconv::parse_int;
use super::{NANOS_PER_MILLI, NANOS_PER_SECOND, ParamError};
use crate::rfc3339;

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
        Err(error) => rfc3339::parse(text).ok_or(error),
    }
}

fn from_seconds(seconds: f64) -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
    let (whole, millis) = (seconds.trunc() as i64, (seconds.fract() * 1000.0).round() as i64);
    whole.saturating_mul(NANOS_PER_SECOND).saturating_add(millis * NANOS_PER_MILLI)
}
