//! Whole numbers, and what is said about those that are none: Go's words, which clients compare.

use std::fmt::Write as _;
use std::num::IntErrorKind;

use super::ParamError;

/// Reads a decimal number with an optional sign. `function` names the function that the message blames.
pub(super) fn parse_int(function: &str, text: &str) -> Result<i64, ParamError> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        let reason = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        ParamError(format!("strconv.{function}: parsing {}: {reason}", quote(text)))
    })
}

/// The text in double quotes, with Go's escapes.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            // Writing to a String cannot fail.
            c if c.is_ascii_control() => drop(write!(quoted, "\\x{:02x}", u32::from(c))),
            c if is_hidden(c) => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a character outside ASCII cannot be seen: controls and the spaces that are not `' '`.
fn is_hidden(c: char) -> bool {
    !c.is_ascii() && (c.is_control() || c.is_whitespace())
}
