//! Floating-point numbers, as `strconv` reads and prints them.

use super::quote;

/// Reads a number as `strconv.ParseFloat` does: decimal or hexadecimal (`0x1.8p3`), with single
/// underscores between digits, or `Inf`, `Infinity`, `NaN` in any case. No blanks.
///
/// # Errors
/// `strconv.ParseFloat: parsing "abc": invalid syntax`, or `… value out of range`.
pub(crate) fn parse_float(text: &str) -> Result<f64, String> {
    if let Some(value) = read_plain(text) {
        return Ok(value);
    }
    let fail = |why: &str| format!("strconv.ParseFloat: parsing {}: {why}", quote(text));
    let value = read(text).ok_or_else(|| fail("invalid syntax"))?;
    if value.is_infinite() && text.bytes().any(|b| b.is_ascii_digit()) {
        return Err(fail("value out of range"));
    }
    Ok(value)
}

/// The value of digits with at most a point among them, as most numbers are; `None` of any other text. There Go
/// and Rust agree.
fn read_plain(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value: f64 = if is_plain { text.parse().ok()? } else { return None };
    value.is_finite().then_some(value)
}

/// The value; infinite when it is too large.
fn read(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.eq_ignore_ascii_case("nan") {
        // A sign is allowed before infinity only.
        return (unsigned.len() == text.len()).then_some(f64::NAN);
    }
    let digits = without_underscores(unsigned)?;
    let magnitude = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => read_hex(hex)?,
        None => digits.strip_prefix(['+', '-']).is_none().then(|| digits.parse().ok())??,
    };
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

/// The text without its underscores, where each stands between two digits (or behind `0x`).
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let hex = matches!(bytes, [b'0', b'x' | b'X', ..]);
    let is_digit = |b: &u8| b.is_ascii_digit() || (hex && b.is_ascii_hexdigit());
    for (at, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'_') {
        let before = at.checked_sub(1).and_then(|i| bytes.get(i));
        let prefix = hex && at == 2;
        if !(prefix || before.is_some_and(is_digit)) || !bytes.get(at + 1).is_some_and(is_digit) {
            return None;
        }
    }
    Some(text.replace('_', ""))
}

/// `mantissa p exponent`, both needed, rounded half to even.
fn read_hex(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // An exponent beyond i32 decides the result whatever the mantissa is.
    let magnitude: i32 = digits.parse().unwrap_or(1 << 28);
    let mut exponent = if exponent.starts_with('-') { -magnitude } else { magnitude };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (mut bits, mut sticky) = (0u64, false);
    for (at, c) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(c.to_digit(16)?);
        if bits < 1 << 59 {
            bits = bits << 4 | digit;
            exponent = exponent.saturating_sub(if at < whole.len() { 0 } else { 4 });
        } else {
            sticky |= digit != 0;
            exponent = exponent.saturating_add(if at < whole.len() { 4 } else { 0 });
        }
    }
    Some(scale(bits | u64::from(sticky), exponent))
}

/// `bits × 2^exponent`, rounded once.
fn scale(bits: u64, exponent: i32) -> f64 {
    if bits == 0 {
        return 0.0;
    }
    let width = i32::try_from(u64::BITS - bits.leading_zeros()).unwrap_or_default();
    let top = exponent.saturating_add(width);
    if top > 1024 {
        return f64::INFINITY;
    }
    if top < -1074 {
        return 0.0;
    }
    // How many low bits have no place: below 53 significant ones, or below the smallest subnormal.
    let surplus = (width - 53).max(-1074 - exponent).max(0);
    let rounded = round_off(bits, surplus);
    #[expect(clippy::cast_precision_loss, reason = "at most 53 bits are left")]
    let value = rounded as f64;
    // In two steps, since 2^-1074 and 2^1023 are the ends of what a factor can be.
    let power = exponent + surplus;
    let half = power / 2;
    value * 2f64.powi(half) * 2f64.powi(power - half)
}

/// `bits >> count`, half to even.
fn round_off(bits: u64, count: i32) -> u64 {
    let Ok(count @ 1..) = u32::try_from(count) else { return bits };
    let kept = bits.checked_shr(count).unwrap_or(0);
    let lost = bits - kept.checked_shl(count).unwrap_or(0);
    let half = 1u64.checked_shl(count - 1).unwrap_or(u64::MAX);
    let up = lost > half || (lost == half && kept & 1 == 1);
    kept + u64::from(up)
}

/// Prints the shortest decimal that reads back as the same number, never with an exponent:
/// `strconv`'s format `f`. `NaN`, `+Inf`, `-Inf`.
pub(crate) fn format_float(value: f64) -> String {
    not_finite(value).map_or_else(|| value.to_string(), str::to_owned)
}

/// Prints a number as `fmt`'s verb `%v` does: the shortest form, with an exponent of at least two
/// digits from a million on and below a ten-thousandth (`1e+06`, `100000`, `0.0001`, `1e-05`).
pub(crate) fn format_float_v(value: f64) -> String {
    if let Some(name) = not_finite(value) {
        return name.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

fn not_finite(value: f64) -> Option<&'static str> {
    match value {
        v if v.is_nan() => Some("NaN"),
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read() {
        for (text, value) in [
            ("1", 1.0),
            ("+1.", 1.0),
            ("-.5", -0.5),
            ("1e3", 1000.0),
            ("1_000.5", 1000.5),
            ("Inf", f64::INFINITY),
            ("-infinity", f64::NEG_INFINITY),
            ("0x1p3", 8.0),
            ("0x.8p0", 0.5),
            ("-0x1.8P+1", -3.0),
            ("0x1p-1074", 5e-324),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1075", 5e-324),
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("1e-400", 0.0),
        ] {
            assert_eq!(parse_float(text), Ok(value), "{text}");
        }
        assert!(parse_float("nAn").is_ok_and(f64::is_nan));
    }

    #[test]
    fn what_is_no_number_fails_in_go_words() {
        for text in [
            "", "abc", " 1", "1 ", "0x10", "0x", "0xp1", "0x1p", "1e", "_1", "1__0", "+nan", "--1",
            "+-1", "-", ".",
        ] {
            let error = format!("strconv.ParseFloat: parsing {text:?}: invalid syntax");
            assert_eq!(parse_float(text), Err(error));
        }
        for text in ["1e999", "-1e999", "0x1p1024"] {
            let error = format!("strconv.ParseFloat: parsing {text:?}: value out of range");
            assert_eq!(parse_float(text), Err(error));
        }
    }

    #[test]
    fn numbers_are_printed_in_full() {
        for (value, text) in [
            (0.1, "0.1"),
            (1e21, "1000000000000000000000"),
            (1e-7, "0.0000001"),
            (-0.0, "-0"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(format_float(value), text);
        }
    }

    #[test]
    fn numbers_are_printed_with_exponents_where_they_are_long() {
        for (value, text) in [
            (0.0, "0"),
            (100_000.0, "100000"),
            (123_456.5, "123456.5"),
            (1_000_000.0, "1e+06"),
            (-1_234_567.0, "-1.234567e+06"),
            (0.0001, "0.0001"),
            (0.00008, "8e-05"),
            (1e300, "1e+300"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(format_float_v(value), text);
        }
    }
}
