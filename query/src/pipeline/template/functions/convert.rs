//! Conversions of any value to a number; what is no number is zero.

use crate::golang::parse_float;
use crate::pipeline::template::literal::{int_to_float, parse_int, truncate};
use crate::pipeline::template::value::Value;

/// The value as an integer. Text may be in any of Go's notations; a decimal fraction is cut.
pub(super) fn to_int(value: &Value<'_>) -> i64 {
    match value {
        Value::Bool(flag) => i64::from(*flag),
        Value::Byte(byte) => i64::from(*byte),
        Value::Float(float) => truncate(*float),
        Value::Text(text) => {
            let text = String::from_utf8_lossy(text.as_bytes());
            without_fraction(&text).and_then(parse_int).unwrap_or(0)
        }
        other => other.as_int().unwrap_or(0),
    }
}

/// `12` of `12.9`; `0` where no digits are before the point.
fn without_fraction(text: &str) -> Option<&str> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = whole.strip_prefix(['+', '-']).unwrap_or(whole);
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(digits) || !all_digits(fraction) {
        // Not a plain decimal: perhaps another notation.
        return Some(text);
    }
    Some(if digits.is_empty() { "0" } else { whole })
}

/// The value as a float.
pub(super) fn to_float(value: &Value<'_>) -> f64 {
    match value {
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::Byte(byte) => f64::from(*byte),
        Value::Float(float) => *float,
        Value::Text(text) => {
            let text = String::from_utf8_lossy(text.as_bytes());
            parse_float(&text).unwrap_or(0.0)
        }
        other => other.as_int().map_or(0.0, int_to_float),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_an_integer_where_it_can() {
        for (text, int) in [
            ("12", 12),
            ("2.9", 2),
            ("-2.9", -2),
            (".5", 0),
            ("-", 0),
            ("", 0),
            ("0x1f", 31),
            ("010", 8),
            ("010.5", 8),
            ("08", 0),
            ("1e3", 0),
            ("junk", 0),
        ] {
            assert_eq!(to_int(&Value::borrowed(text)), int, "{text}");
        }
        assert_eq!(to_int(&Value::Float(-2.9)), -2);
        assert_eq!(to_int(&Value::Nil), 0);
        assert_eq!(to_int(&Value::Bool(true)), 1);
    }

    #[test]
    fn text_becomes_a_float_where_it_can() {
        assert_eq!(to_float(&Value::borrowed("1.5e2")), 150.0);
        assert_eq!(to_float(&Value::borrowed("junk")), 0.0);
        assert_eq!(to_float(&Value::Int(3)), 3.0);
    }
}
