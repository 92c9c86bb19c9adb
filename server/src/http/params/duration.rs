//! Durations in requests: Prometheus's notation, and plain seconds.

use super::strconv::quote;
use super::{NANOS_PER_MILLI, NANOS_PER_SECOND, ParamError};

/// The units, in the order in which they must come, in nanoseconds.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 24 * 3600 * NANOS_PER_SECOND),
    ("w", 7 * 24 * 3600 * NANOS_PER_SECOND),
    ("d", 24 * 3600 * NANOS_PER_SECOND),
    ("h", 3600 * NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", NANOS_PER_MILLI),
];

/// Reads `1h30m`, in nanoseconds: whole numbers, each unit once, larger before smaller. `0` needs none.
pub(super) fn parse(text: &str) -> Result<i64, ParamError> {
    match text {
        "" => return Err(ParamError("empty duration string".to_owned())),
        "0" => return Ok(0),
        _ => {}
    }
    let invalid = || ParamError(format!("not a valid duration string: {}", quote(text)));
    let out_of_range = || ParamError("duration out of range".to_owned());
    let mut rest = text;
    let mut total = 0_i64;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        // Taking the search on from where it stopped keeps units in order and each of them once.
        let (_, nanos) = units.find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        if number.is_empty() {
            return Err(invalid());
        }
        let part = number.parse().ok().and_then(|number: i64| number.checked_mul(*nanos));
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(out_of_range)?;
        rest = tail;
    }
    Ok(total)
}

/// Reads `300`, `0.5` or `1e2` as seconds, anything else as a duration; in nanoseconds.
pub(super) fn parse_seconds_or_duration(text: &str) -> Result<i64, ParamError> {
    let invalid = || format!("cannot parse {} to a valid duration", quote(text));
    if let Ok(seconds) = text.parse::<f64>() {
        let nanos = seconds * 1e9;
        // 2^63 is a double; the largest number of nanoseconds is the double below it.
        if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&nanos) {
            return Err(ParamError(format!("{}. It overflows int64", invalid())));
        }
        #[expect(clippy::cast_possible_truncation, reason = "in range; the fraction is dropped")]
        return Ok(nanos as i64);
    }
    parse(text).map_err(|_| ParamError(invalid()))
}
