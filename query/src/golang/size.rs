//! Sizes in bytes with units, as package humanize reads and prints them.

use super::{format_float, parse_float};

/// Reads a size: a number with optional thousands commas, blanks, and a unit in any case. `kB` is
/// 1000 bytes, `KiB` 1024; the `b` may be left out, no unit means bytes. Fractions are cut.
///
/// # Errors
/// `unhandled size name: xb`, `too large: …`, or a failure of [`parse_float`].
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let is_number = |c: char| c.is_numeric() || matches!(c, '.' | ',');
    let (number, unit) = text.split_at(text.find(|c: char| !is_number(c)).unwrap_or(text.len()));
    let value = parse_float(&number.replace(',', ""))?;
    let unit = unit.trim().to_lowercase();
    let scale = unit_bytes(&unit).ok_or_else(|| format!("unhandled size name: {unit}"))?;
    let bytes = value * scale;
    // 2^64, which is what the largest u64 is as a float.
    if bytes >= 18_446_744_073_709_551_616.0 {
        return Err(format!("too large: {text}"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above; the number has no sign"
    )]
    Ok(bytes as u64)
}

/// How many bytes the lower-case unit stands for.
fn unit_bytes(unit: &str) -> Option<f64> {
    let stem = unit.strip_suffix('b').unwrap_or(unit);
    let (prefix, base) = match stem.strip_suffix('i') {
        Some("") => return None,
        Some(prefix) => (prefix, 1024.0f64),
        None => (stem, 1000.0f64),
    };
    let power = match prefix {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        "e" => 6,
        _ => return None,
    };
    Some(base.powi(power))
}

/// Prints a size in powers of 1000 with at most one decimal: `5B`, `1.0kB`, `250kB`, `5.0MB`.
pub(crate) fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let (number, unit) = scaled(bytes, 1000, UNITS);
    number + unit
}

/// Prints a size in powers of 1024 with at most one decimal: `5 B`, `1.0 KiB`, `250 KiB`, `5.0 MiB`.
#[must_use]
pub fn format_binary_bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (number, unit) = scaled(bytes, 1024, UNITS);
    format!("{number} {unit}")
}

/// A size as a number of the largest unit that it has one of.
fn scaled(bytes: u64, base: u16, units: [&'static str; 7]) -> (String, &'static str) {
    if bytes < 10 {
        return (bytes.to_string(), units[0]);
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is printed")]
    let value = bytes as f64;
    let power = usize::try_from(bytes.ilog(base.into())).unwrap_or_default();
    #[expect(clippy::cast_possible_wrap, clippy::cast_possible_truncation, reason = "at most 6")]
    let scaled = (value / f64::from(base).powi(power as i32) * 10.0 + 0.5).floor() / 10.0;
    let unit = units.get(power).copied().unwrap_or_default();
    if scaled < 10.0 {
        return (format!("{scaled:.1}"), unit);
    }
    // Half to even, as Go rounds; Rust does the same.
    (format_float(scaled.round_ties_even()), unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("1024", 1024),
            ("2,048", 2048),
            ("3 kB", 3000),
            ("1.5KiB", 1536),
            ("1.5B", 1),
            ("5m", 5_000_000),
            ("2Gi", 2 << 30),
            ("1eib", 1 << 60),
            ("0b", 0),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn sizes_fail_in_the_words_of_humanize() {
        for (text, error) in [
            ("1xb", "unhandled size name: xb"),
            ("1 I", "unhandled size name: i"),
            ("", r#"strconv.ParseFloat: parsing "": invalid syntax"#),
            ("abc", r#"strconv.ParseFloat: parsing "": invalid syntax"#),
            ("-5B", r#"strconv.ParseFloat: parsing "": invalid syntax"#),
            ("1.2.3B", r#"strconv.ParseFloat: parsing "1.2.3": invalid syntax"#),
            ("17EiB", "too large: 17EiB"),
        ] {
            assert_eq!(parse_bytes(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn sizes_are_printed_in_powers_of_1024() {
        for (bytes, text) in [
            (0, "0 B"),
            (9, "9 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (49 << 20, "49 MiB"),
            (1 << 20, "1.0 MiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(format_binary_bytes(bytes), text);
        }
    }

    #[test]
    fn sizes_are_printed() {
        for (bytes, text) in [
            (0, "0B"),
            (9, "9B"),
            (10, "10B"),
            (999, "999B"),
            (1000, "1.0kB"),
            (1536, "1.5kB"),
            (250_000, "250kB"),
            (5_000_000, "5.0MB"),
            (u64::MAX, "18EB"),
        ] {
            assert_eq!(format_bytes(bytes), text);
        }
    }
}
