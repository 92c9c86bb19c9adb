//! Durations and sizes as people write them: `10m`, `1h30m`, `64MiB`.

use std::time::Duration;

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize as _, Deserializer};

/// The units of durations, in nanoseconds, largest first. Days, weeks and years are Prometheus's.
const DURATION_UNITS: [(&str, u64); 9] = [
    ("y", 365 * 86_400_000_000_000),
    ("w", 7 * 86_400_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// The units of sizes. As in Loki's configuration, `KB` and `KiB` are both 1024 bytes.
const SIZE_UNITS: [(&str, u64); 10] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("KB", 1 << 10),
    ("MiB", 1 << 20),
    ("MB", 1 << 20),
    ("GiB", 1 << 30),
    ("GB", 1 << 30),
    ("TiB", 1 << 40),
    ("TB", 1 << 40),
    ("", 1),
];

/// Why a text is no duration or size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// The text is no duration.
    #[error("'{0}' is not a duration: write a number and a unit, such as 500ms, 10m or 1h30m")]
    Duration(String),
    /// The text is no size.
    #[error("'{0}' is not a size: write a number of bytes or a number and a unit, such as 64MiB")]
    Size(String),
}

/// Reads `1h30m`: whole numbers with a unit each. `0` needs no unit.
///
/// # Errors
/// [`UnitError::Duration`], also for what does not fit 64 bits of nanoseconds.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    parse_duration_nanos(text)
        .map(Duration::from_nanos)
        .ok_or_else(|| UnitError::Duration(text.to_owned()))
}

fn parse_duration_nanos(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, tail) = split_digits(rest)?;
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let (_, nanos) = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.checked_mul(*nanos)?)?;
        rest = tail;
    }
    Some(total)
}

fn split_digits(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

/// Writes a duration with the largest units that lose nothing, days at most: `1h30m`, `0s`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, nanos) in DURATION_UNITS.iter().skip_while(|(unit, _)| *unit != "h") {
        let count = rest / u128::from(*nanos);
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
            rest %= u128::from(*nanos);
        }
    }
    text
}

/// Reads `64MiB`, `256KB` or `1024`; the unit's case does not matter.
///
/// # Errors
/// [`UnitError::Size`], also for what does not fit 64 bits.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let size = || {
        let (number, unit) = split_digits(text)?;
        let unit = unit.trim();
        let (_, bytes) = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
        number.checked_mul(*bytes)
    };
    size().ok_or_else(|| UnitError::Size(text.to_owned()))
}

/// Writes a size with the largest unit that divides it.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let fits = |shift: &u32| bytes != 0 && bytes.trailing_zeros() >= *shift;
    match units.iter().find(|(_, shift)| fits(shift)) {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

/// `#[serde(deserialize_with = "…")]` for amounts: a number that is finite and not below 0.
///
/// # Errors
/// Anything else.
pub fn not_negative<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(input)?;
    if number.is_finite() && number >= 0.0 {
        return Ok(number);
    }
    Err(D::Error::invalid_value(Unexpected::Float(number), &"a number that is not negative"))
}

/// `#[serde(deserialize_with = "…")]` for origins: `*`, or scheme and host as browsers send them.
///
/// # Errors
/// Anything else.
pub fn origins<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    let origins = Vec::<String>::deserialize(input)?;
    let is_origin = |text: &str| {
        let host = text.split_once("://").map_or("", |(_, host)| host);
        let is_host = !host.is_empty() && !host.contains(['/', '?', '#']);
        text == "*" || (is_host && text.bytes().all(|byte| byte.is_ascii_graphic()))
    };
    match origins.iter().find(|origin| !is_origin(origin)) {
        Some(origin) => Err(D::Error::invalid_value(
            Unexpected::Str(origin),
            &"an origin such as https://example.org, without a path",
        )),
        None => Ok(origins),
    }
}

/// `#[serde(deserialize_with = "…")]` for what stands before paths: a slash in front, none behind.
///
/// # Errors
/// What is no path.
pub fn path_prefix<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    let text = String::deserialize(input)?;
    let prefix = text.trim_end_matches('/');
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    let is_path = prefix.starts_with('/') && !prefix.contains("//") && prefix.bytes().all(is_part);
    if prefix.is_empty() || is_path {
        return Ok(prefix.to_owned());
    }
    Err(D::Error::invalid_value(Unexpected::Str(&text), &"a path such as /logs, without a host"))
}

/// `#[serde(with = "…")]` for [`Duration`]s written as `10m`.
pub mod duration {
    use std::fmt;
    use std::time::Duration;

    use serde::de::{Error, Unexpected, Visitor};
    use serde::{Deserializer, Serializer};

    /// Writes the duration as text.
    ///
    /// # Errors
    /// The serializer's own.
    pub fn serialize<S: Serializer>(duration: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&super::format_duration(*duration))
    }

    /// Reads a text with units, or the number 0.
    ///
    /// # Errors
    /// Anything else.
    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with a unit, such as 500ms, 10m or 1h30m")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
                super::parse_duration(text).map_err(E::custom)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Duration, E> {
                match number {
                    0 => Ok(Duration::ZERO),
                    _ => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
                }
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Duration, E> {
                match number {
                    0 => Ok(Duration::ZERO),
                    _ => Err(E::invalid_value(Unexpected::Signed(number), &self)),
                }
            }
        }
        input.deserialize_any(Text)
    }
}

/// `#[serde(with = "…")]` for numbers of bytes written as `64MiB`.
pub mod size {
    use std::fmt;

    use serde::de::{Error, Unexpected, Visitor};
    use serde::{Deserializer, Serializer};

    /// Writes the size as text.
    ///
    /// # Errors
    /// The serializer's own, and a number that does not fit 64 bits.
    pub fn serialize<S: Serializer>(bytes: &usize, out: S) -> Result<S::Ok, S::Error> {
        let bytes = u64::try_from(*bytes).map_err(serde::ser::Error::custom)?;
        out.serialize_str(&super::format_size(bytes))
    }

    /// Reads a text with a unit, or a number of bytes.
    ///
    /// # Errors
    /// Anything else, and what does not fit the address space.
    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<usize, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = u64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, or a size such as 64MiB")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
                super::parse_size(text).map_err(E::custom)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
                Ok(number)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
                u64::try_from(number)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
            }
        }
        let bytes = input.deserialize_any(Text)?;
        usize::try_from(bytes).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, nanos, written) in [
            ("10m", 600_000_000_000, "10m"),
            ("1h30m", 5_400_000_000_000, "1h30m"),
            ("90s", 90_000_000_000, "1m30s"),
            ("500ms", 500_000_000, "500ms"),
            ("30d1h", 721 * 3_600_000_000_000, "721h"),
            ("0", 0, "0s"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_nanos(nanos), "{text}");
            assert_eq!(format_duration(duration), written);
        }
        for text in ["", "10", "m", "1.5h", "10 m", "-1s", "99999999999y"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, written) in [
            ("64MiB", 64 << 20, "64MiB"),
            ("256KB", 256 << 10, "256KiB"),
            ("1 gib", 1 << 30, "1GiB"),
            ("1500", 1500, "1500B"),
            ("0", 0, "0B"),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
            assert_eq!(format_size(bytes), written);
        }
        for text in ["", "MiB", "1.5MiB", "5 bananas", "99999999999TiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
