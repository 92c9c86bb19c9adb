//! Times as shippers write them: RFC 3339 and its relatives, and numbers since 1970.

use timberline_store::Timestamp;

use crate::rfc3339;

/// Up to which number each unit is meant, and its nanoseconds. Seconds reach to the year 5138,
/// milliseconds back to 1973.
const UNITS: [(i64, i64); 3] = [
    (100_000_000_000, 1_000_000_000),
    (100_000_000_000_000, 1_000_000),
    (100_000_000_000_000_000, 1_000),
];

/// Reads a time: RFC 3339, also with a blank in place of the `T`, without a zone (then UTC) and with a
/// zone without its colon; or seconds, milliseconds, microseconds or nanoseconds since 1970, told apart
/// by their size, with up to nine digits of fraction.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.contains(['-', ':']) && text.len() > 1 && !text.starts_with('-') {
        return rfc3339::parse(&strict(text)?);
    }
    number(text)
}

/// The same time as RFC 3339 has it.
fn strict(text: &str) -> Option<String> {
    const DATE: usize = 10;
    let (date, rest) = text.split_at_checked(DATE)?;
    let time = match rest.as_bytes() {
        [] => return Some(format!("{date}T00:00:00Z")),
        [b'T' | b't' | b' ', ..] => &rest[1..],
        _ => return None,
    };
    let zone_at = time.find(['Z', 'z', '+', '-']);
    let (clock, zone) = time.split_at(zone_at.unwrap_or(time.len()));
    // Some write a comma before the fraction.
    let clock = clock.trim_end().replacen(',', ".", 1);
    let zone = match zone.as_bytes() {
        [] | [b'Z' | b'z'] => "Z".to_owned(),
        [_, rest @ ..] if rest.len() == 4 && zone.is_ascii() => {
            format!("{}:{}", &zone[..3], &zone[3..])
        }
        [_, rest @ ..] if rest.len() == 2 && zone.is_ascii() => format!("{zone}:00"),
        _ => zone.to_owned(),
    };
    Some(format!("{date}T{clock}{zone}"))
}

fn number(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.contains(|c: char| !c.is_ascii_digit()) {
        return float(text);
    }
    let Ok(whole) = whole.parse::<i64>() else { return float(text) };
    let unit = UNITS.iter().find(|(below, _)| whole.unsigned_abs() < below.unsigned_abs());
    let nanos = unit.map_or(1, |(_, nanos)| *nanos);
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    // Nine digits fit, and a product with at most 10^9 fits 128 bits.
    let part = i128::from(digits.parse::<i64>().ok()?) * i128::from(nanos) / 1_000_000_000;
    let part = if text.starts_with('-') { -part } else { part };
    let time = i128::from(whole) * i128::from(nanos) + part;
    Timestamp::try_from(time).ok()
}

/// `1.793e9`, as some write large numbers.
fn float(text: &str) -> Option<Timestamp> {
    if !text.contains(['e', 'E']) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    if number.abs() >= 9e18 || number.fract() != 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "what does not fit is refused before")]
    let whole = number as i64;
    self::number(&whole.to_string())
}
