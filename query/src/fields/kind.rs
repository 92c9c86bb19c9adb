//! What a field's values look like.

use crate::golang::{format_bytes, parse_bytes, parse_duration, parse_float};

/// What a value looks like: the first of these that it can be read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// A whole number of 64 bits.
    Int,
    /// Any other number.
    Float,
    /// A truth value: `true`, `T`, `FALSE`, ….
    Boolean,
    /// A duration with its unit, as `| unwrap duration(…)` reads it.
    Duration,
    /// A size with its unit, as `| unwrap bytes(…)` reads it.
    Bytes,
    /// Anything else.
    String,
}

impl ValueKind {
    /// What a value looks like.
    #[must_use]
    pub fn of(value: &str) -> Self {
        if value.parse::<i64>().is_ok() {
            Self::Int
        } else if parse_float(value).is_ok() {
            Self::Float
        } else if is_boolean(value) {
            Self::Boolean
        } else if parse_duration(value).is_ok() {
            Self::Duration
        } else if parse_bytes(value).is_ok() {
            Self::Bytes
        } else {
            Self::String
        }
    }

    /// The kind's name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Duration => "duration",
            Self::Bytes => "bytes",
            Self::String => "string",
        }
    }
}

/// The truth values of Go's `strconv.ParseBool` that are no numbers.
fn is_boolean(value: &str) -> bool {
    matches!(value, "t" | "T" | "true" | "TRUE" | "True" | "f" | "F" | "false" | "FALSE" | "False")
}

/// A size as a query can hold it: `10 KB` is `10kB`. `None` for what is not [`ValueKind::Bytes`].
#[must_use]
pub fn compact_bytes(value: &str) -> Option<String> {
    if ValueKind::of(value) != ValueKind::Bytes {
        return None;
    }
    parse_bytes(value).ok().map(format_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_kind_that_fits() {
        for (value, kind) in [
            ("42", ValueKind::Int),
            ("-7", ValueKind::Int),
            ("9223372036854775808", ValueKind::Float),
            ("1.5", ValueKind::Float),
            ("1e3", ValueKind::Float),
            ("NaN", ValueKind::Float),
            ("true", ValueKind::Boolean),
            ("F", ValueKind::Boolean),
            ("1", ValueKind::Int),
            ("1.5s", ValueKind::Duration),
            ("-2h3m", ValueKind::Duration),
            ("12m", ValueKind::Duration),
            ("10KB", ValueKind::Bytes),
            ("10 KiB", ValueKind::Bytes),
            ("10,", ValueKind::Bytes),
            ("", ValueKind::String),
            ("4ec387658a82eac0", ValueKind::String),
            ("yes", ValueKind::String),
        ] {
            assert_eq!(ValueKind::of(value), kind, "{value:?}");
        }
    }

    #[test]
    fn sizes_are_made_compact() {
        for (value, compact) in [
            ("10 KB", Some("10kB")),
            ("1.5MiB", Some("1.6MB")),
            ("7 B", Some("7B")),
            ("200", None),
            ("5m", None),
            ("big", None),
        ] {
            assert_eq!(compact_bytes(value).as_deref(), compact, "{value:?}");
        }
    }
}
