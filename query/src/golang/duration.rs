//! Durations: Go's (`1h30m0.5s`) and Prometheus' (`1d12h`). Both in nanoseconds.

use std::fmt::Write as _;

use super::quote;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000 * MICROSECOND;
const SECOND: u64 = 1_000 * MILLISECOND;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The magnitude of the smallest duration, one more than that of the largest.
const MAGNITUDE_MAX: u64 = 1 << 63;

/// Prometheus' units. They must come in this order, each at most once.
const PROMETHEUS_UNITS: [(&str, u64); 7] = [
    ("y", 365 * DAY),
    ("w", 7 * DAY),
    ("d", DAY),
    ("h", HOUR),
    ("m", MINUTE),
    ("s", SECOND),
    ("ms", MILLISECOND),
];

/// Reads a duration as `time.ParseDuration` does: a sign, then decimal numbers with the units
/// ns, us, µs, ms, s, m and h in any order. `0` needs no unit.
///
/// # Errors
/// Go's words, for instance `time: missing unit in duration "90"`.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote_plain(text));
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if unsigned == "0" {
        return Ok(0);
    }
    if unsigned.is_empty() {
        return Err(invalid());
    }
    let mut total = 0u64;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let (part, behind) = parse_part(rest, text)?;
        total = total.checked_add(part).filter(|sum| *sum <= MAGNITUDE_MAX).ok_or_else(invalid)?;
        rest = behind;
    }
    if negative {
        return Ok(0i64.wrapping_sub_unsigned(total));
    }
    i64::try_from(total).map_err(|_| invalid())
}

/// Reads a number and its unit off the front of `rest`: nanoseconds, and what follows.
fn parse_part<'a>(rest: &'a str, whole: &str) -> Result<(u64, &'a str), String> {
    let invalid = || format!("time: invalid duration {}", quote_plain(whole));
    let (digits, rest) = split_digits(rest);
    let integer = digits.bytes().try_fold(0u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0')).filter(|v| *v <= MAGNITUDE_MAX)
    });
    let integer = integer.ok_or_else(invalid)?;
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), split_digits);
    if digits.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let unit_end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(unit_end);
    if name.is_empty() {
        return Err(format!("time: missing unit in duration {}", quote_plain(whole)));
    }
    let unit = go_unit(name).ok_or_else(|| {
        format!("time: unknown unit {} in duration {}", quote_plain(name), quote_plain(whole))
    })?;
    let nanos = integer.checked_mul(unit).and_then(|n| n.checked_add(part_of(fraction, unit)));
    nanos.filter(|n| *n <= MAGNITUDE_MAX).map(|n| (n, rest)).ok_or_else(invalid)
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// `0.fraction` of the unit, whole nanoseconds. Digits beyond an `i64` do not count.
fn part_of(fraction: &str, unit: u64) -> u64 {
    let (mut value, mut scale) = (0u64, 1.0f64);
    for digit in fraction.bytes() {
        let next = value.checked_mul(10).and_then(|v| v.checked_add(u64::from(digit - b'0')));
        let Some(next) = next.filter(|v| *v < MAGNITUDE_MAX) else { break };
        value = next;
        scale *= 10.0;
    }
    // In floating point, as Go computes it, so that the last nanosecond is the same.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the product is at least 0 and at most an hour of nanoseconds"
    )]
    let nanos = (value as f64 * (unit as f64 / scale)) as u64;
    nanos
}

fn go_unit(name: &str) -> Option<u64> {
    Some(match name {
        "ns" => 1,
        // Both the micro sign and the Greek letter mu.
        "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    })
}

/// Package time's own quoting: every byte that is not printable ASCII becomes `\x..`.
fn quote_plain(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='\x7f' => quoted.push(c),
            c => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    // Writing to a String cannot fail.
                    let _ = write!(quoted, "\\x{byte:02x}");
                }
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Prints a duration as `time.Duration.String` does: `1h30m0s`, `1.5s`, `100µs`, `0s`.
pub(crate) fn format_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let magnitude = nanos.unsigned_abs();
    if magnitude < SECOND {
        let (unit, name) = match magnitude {
            0 => return "0s".to_owned(),
            n if n < MICROSECOND => (1, "ns"),
            n if n < MILLISECOND => (MICROSECOND, "µs"),
            _ => (MILLISECOND, "ms"),
        };
        return format!("{sign}{}{name}", with_fraction(magnitude, unit));
    }
    let seconds = with_fraction(magnitude % MINUTE, SECOND);
    let (hours, minutes) = (magnitude / HOUR, magnitude % HOUR / MINUTE);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `nanos / unit` with the decimals it needs. `unit` is a power of ten.
fn with_fraction(nanos: u64, unit: u64) -> String {
    let (whole, part) = (nanos / unit, nanos % unit);
    if part == 0 {
        return whole.to_string();
    }
    let width = usize::try_from(unit.ilog10()).unwrap_or_default();
    format!("{whole}.{}", format!("{part:0width$}").trim_end_matches('0'))
}

/// Reads a duration as Prometheus does: whole numbers with the units y, w, d, h, m, s and ms, the
/// larger before the smaller. `0` needs no unit. Never negative.
///
/// # Errors
/// Prometheus' words, for instance `not a valid duration string: "5"`.
pub fn parse_prometheus_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("not a valid duration string: {}", quote(text));
    match text {
        "" => return Err("empty duration string".to_owned()),
        "0" => return Ok(0),
        _ => {}
    }
    let out_of_range = || "duration out of range".to_owned();
    let mut total = 0i64;
    let mut units = PROMETHEUS_UNITS.iter();
    let mut rest = text;
    while !rest.is_empty() {
        let (digits, behind) = split_digits(rest);
        let count: u64 = digits.parse().map_err(|_| invalid())?;
        let unit_end = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (name, behind) = behind.split_at(unit_end);
        if name.is_empty() {
            return Err(invalid());
        }
        if !PROMETHEUS_UNITS.iter().any(|(unit, _)| *unit == name) {
            return Err(format!("unknown unit {} in duration {}", quote(name), quote(text)));
        }
        // Searching on from the last unit found makes order and repetition come right by itself.
        let (_, unit) = units.find(|(unit, _)| *unit == name).ok_or_else(invalid)?;
        let nanos = count.checked_mul(*unit).and_then(|n| i64::try_from(n).ok());
        total = nanos.and_then(|n| total.checked_add(n)).ok_or_else(out_of_range)?;
        rest = behind;
    }
    Ok(total)
}

/// Prints a duration as Prometheus does: `1d12h`, `1h30m`, `5ms`; weeks and years only where they
/// divide it. What is below a millisecond is left out.
pub fn format_prometheus_duration(nanos: i64) -> String {
    let mut rest = nanos.unsigned_abs() / MILLISECOND * MILLISECOND;
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::from(if nanos < 0 { "-" } else { "" });
    for (name, unit) in PROMETHEUS_UNITS {
        let exact_only = matches!(name, "y" | "w");
        if rest < unit || (exact_only && !rest.is_multiple_of(unit)) {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{}{name}", rest / unit);
        rest %= unit;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read() {
        for (text, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("5m", 300_000_000_000),
            ("1h15m30.918s", 4_530_918_000_000),
            ("1.5h", 5_400_000_000_000),
            ("-1.5ms", -1_500_000),
            ("100us", 100_000),
            ("100µs", 100_000),
            ("1m1h", 3_660_000_000_000),
            (".5s", 500_000_000),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("0.9223372036854775807h", 3_320_413_933_267),
        ] {
            assert_eq!(parse_duration(text), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn go_durations_fail_in_go_words() {
        for (text, error) in [
            ("", r#"time: invalid duration """#),
            ("x", r#"time: invalid duration "x""#),
            ("-", r#"time: invalid duration "-""#),
            (".s", r#"time: invalid duration ".s""#),
            ("90", r#"time: missing unit in duration "90""#),
            ("1d", r#"time: unknown unit "d" in duration "1d""#),
            ("1é", r#"time: unknown unit "\xc3\xa9" in duration "1\xc3\xa9""#),
            ("9223372036854775808ns", r#"time: invalid duration "9223372036854775808ns""#),
            ("99999999999h", r#"time: invalid duration "99999999999h""#),
        ] {
            assert_eq!(parse_duration(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn go_durations_are_printed() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (2_000_000, "2ms"),
            (1_000_000_000, "1s"),
            (90_000_000_000, "1m30s"),
            (5_400_000_000_000, "1h30m0s"),
            (-3_600_000_000_001, "-1h0m0.000000001s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(format_duration(nanos), text);
        }
    }

    #[test]
    fn prometheus_durations_are_read() {
        let day = 86_400_000_000_000;
        for (text, nanos) in [
            ("0", 0),
            ("1w2d", 9 * day),
            ("1y", 365 * day),
            ("1d12h", day * 3 / 2),
            ("5ms", 5_000_000),
        ] {
            assert_eq!(parse_prometheus_duration(text), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn prometheus_durations_fail_in_prometheus_words() {
        for (text, error) in [
            ("", "empty duration string"),
            ("5", r#"not a valid duration string: "5""#),
            ("5minutes", r#"unknown unit "minutes" in duration "5minutes""#),
            ("1h:5m", r#"unknown unit "h:" in duration "1h:5m""#),
            ("1m1d", r#"not a valid duration string: "1m1d""#),
            ("1m1m", r#"not a valid duration string: "1m1m""#),
            (" 5m", r#"not a valid duration string: " 5m""#),
            ("-5m", r#"not a valid duration string: "-5m""#),
            ("1000y", "duration out of range"),
        ] {
            assert_eq!(parse_prometheus_duration(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn prometheus_durations_are_printed() {
        let day = 86_400_000_000_000;
        for (nanos, text) in [
            (0, "0s"),
            (999, "0s"),
            (5_400_000_000_000, "1h30m"),
            (day, "1d"),
            (14 * day, "2w"),
            (8 * day, "8d"),
            (365 * day, "1y"),
            (-300_001_000_000, "-5m1ms"),
        ] {
            assert_eq!(format_prometheus_duration(nanos), text);
        }
    }
}
