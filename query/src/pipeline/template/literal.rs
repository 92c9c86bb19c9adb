//! Literals of the template language: Go's strings, characters and numbers.

use super::ast::Number;
use crate::golang::{parse_float, quote};

/// The literal is not well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InvalidLiteral;

/// The bytes a quoted or raw string stands for; the literal includes its quotes.
pub(super) fn unquote(literal: &str) -> Result<Vec<u8>, InvalidLiteral> {
    let mut chars = literal.chars();
    let (first, last) = (chars.next(), chars.next_back());
    let body = chars.as_str();
    match (first, last) {
        (Some('`'), Some('`')) => Ok(body.replace('\r', "").into_bytes()),
        (Some('"'), Some('"')) => {
            let mut bytes = Vec::with_capacity(body.len());
            let mut rest = body;
            while !rest.is_empty() {
                let (piece, tail) = unescape(rest, '"')?;
                piece.push_to(&mut bytes);
                rest = tail;
            }
            Ok(bytes)
        }
        _ => Err(InvalidLiteral),
    }
}

/// What one character or escape stands for.
enum Piece {
    Char(char),
    Byte(u8),
}

impl Piece {
    fn push_to(&self, bytes: &mut Vec<u8>) {
        match self {
            Piece::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Piece::Byte(byte) => bytes.push(*byte),
        }
    }
}

/// Reads one character of a literal between `quote` signs, and what is left.
fn unescape(text: &str, quote: char) -> Result<(Piece, &str), InvalidLiteral> {
    let mut chars = text.chars();
    match chars.next().ok_or(InvalidLiteral)? {
        c if c == quote || c == '\n' => return Err(InvalidLiteral),
        '\\' => {}
        c => return Ok((Piece::Char(c), chars.as_str())),
    }
    let kind = chars.next().ok_or(InvalidLiteral)?;
    let simple = match kind {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' => '\\',
        c if c == quote => c,
        'x' => return numeric_escape(chars.as_str(), 2, 16, true),
        'u' => return numeric_escape(chars.as_str(), 4, 16, false),
        'U' => return numeric_escape(chars.as_str(), 8, 16, false),
        '0'..='7' => return numeric_escape(&text[1..], 3, 8, true),
        _ => return Err(InvalidLiteral),
    };
    Ok((Piece::Char(simple), chars.as_str()))
}

fn numeric_escape(
    text: &str,
    digits: usize,
    radix: u32,
    is_byte: bool,
) -> Result<(Piece, &str), InvalidLiteral> {
    let (code, rest) = text.split_at_checked(digits).ok_or(InvalidLiteral)?;
    if !code.chars().all(|c| c.is_digit(radix)) {
        return Err(InvalidLiteral);
    }
    let code = u32::from_str_radix(code, radix).map_err(|_| InvalidLiteral)?;
    let piece = if is_byte {
        Piece::Byte(u8::try_from(code).map_err(|_| InvalidLiteral)?)
    } else {
        Piece::Char(char::from_u32(code).ok_or(InvalidLiteral)?)
    };
    Ok((piece, rest))
}

/// A character constant: an integer to the template.
pub(super) fn character(literal: &str) -> Result<Number, String> {
    let body = literal.strip_prefix('\'').unwrap_or_default();
    let (piece, rest) =
        unescape(body, '\'').map_err(|InvalidLiteral| "invalid syntax".to_owned())?;
    if rest != "'" {
        return Err(format!("malformed character constant: {literal}"));
    }
    let code = match piece {
        Piece::Char(c) => u32::from(c),
        Piece::Byte(byte) => u32::from(byte),
    };
    Ok(Number {
        literal: literal.to_owned(),
        int: Some(i64::from(code)),
        float: Some(f64::from(code)),
        is_fraction: false,
    })
}

/// A number in any of Go's notations.
pub(super) fn number(literal: &str) -> Result<Number, String> {
    let is_hex = literal.starts_with("0x") || literal.starts_with("0X");
    let written_as_fraction = literal.contains(['.', 'e', 'E', 'p', 'P']);
    let mut number = Number {
        literal: literal.to_owned(),
        int: parse_int(literal),
        float: None,
        // `e` is a digit of a hexadecimal number, whose exponent is `p`.
        is_fraction: written_as_fraction && (!is_hex || literal.contains(['p', 'P'])),
    };
    if let Some(int) = number.int {
        number.float = Some(int_to_float(int));
        return Ok(number);
    }
    if is_hex_beyond_int(literal) {
        return Ok(number);
    }
    let Ok(float) = parse_float(literal) else {
        return Err(format!("illegal number syntax: {}", quote(literal)));
    };
    if !written_as_fraction {
        return Err(format!("integer overflow: {}", quote(literal)));
    }
    number.float = Some(float);
    number.int = whole(float);
    Ok(number)
}

/// A positive integer above the signed range is legal until it is used.
fn is_hex_beyond_int(literal: &str) -> bool {
    let digits = literal.replace('_', "");
    let (digits, radix) = radix_of(&digits);
    u64::from_str_radix(digits, radix).is_ok()
}

fn radix_of(text: &str) -> (&str, u32) {
    let prefixed =
        |lower: &str, upper: &str| text.strip_prefix(lower).or_else(|| text.strip_prefix(upper));
    if let Some(digits) = prefixed("0x", "0X") {
        (digits, 16)
    } else if let Some(digits) = prefixed("0o", "0O") {
        (digits, 8)
    } else if let Some(digits) = prefixed("0b", "0B") {
        (digits, 2)
    } else if text.len() > 1 && text.starts_with('0') {
        (&text[1..], 8)
    } else {
        (text, 10)
    }
}

/// Reads an integer whose notation tells its base, as `strconv.ParseInt` with base 0: `0x`, `0o`,
/// `0b`, a leading zero for octal, single underscores between digits.
pub(super) fn parse_int(text: &str) -> Option<i64> {
    let (is_negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, radix) = radix_of(unsigned);
    let has_prefix = digits.len() < unsigned.len();
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    let stray =
        digits.contains("__") || digits.ends_with('_') || (digits.starts_with('_') && !has_prefix);
    if stray {
        return None;
    }
    let digits = digits.replace('_', "");
    let magnitude = i128::from(u64::from_str_radix(&digits, radix).ok()?);
    i64::try_from(if is_negative { -magnitude } else { magnitude }).ok()
}

/// The nearest float.
#[expect(clippy::cast_precision_loss, reason = "Go's conversion rounds too")]
pub(super) fn int_to_float(int: i64) -> f64 {
    int as f64
}

/// The integer a float is exactly, if it is one.
fn whole(float: f64) -> Option<i64> {
    let int = truncate(float);
    (int_to_float(int) == float && float.abs() < 9.3e18).then_some(int)
}

/// The float without its fraction; what does not fit becomes the smallest integer, as on amd64.
#[expect(clippy::cast_possible_truncation, reason = "out of range is handled before")]
pub(super) fn truncate(float: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;

    if (-LIMIT..LIMIT).contains(&float) { float as i64 } else { i64::MIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_unquote_as_in_go() {
        assert_eq!(unquote(r#""a\n\x41\101é\xff\"""#), Ok(b"a\nAA\xc3\xa9\xff\"".to_vec()));
        assert_eq!(unquote("`a\\n`"), Ok(b"a\\n".to_vec()));
        for bad in [r#""\q""#, r#""\x4""#, r#""\ud800""#, r#""\400""#, r#""\'""#] {
            assert_eq!(unquote(bad), Err(InvalidLiteral), "{bad}");
        }
    }

    #[test]
    fn integers_take_their_base_from_the_notation() {
        for (text, value) in [
            ("12", Some(12)),
            ("-0x1f", Some(-31)),
            ("010", Some(8)),
            ("0b11", Some(3)),
            ("0o17", Some(15)),
            ("1_000", Some(1000)),
            ("0", Some(0)),
            ("08", None),
            ("1__0", None),
            ("_1", None),
            ("", None),
            ("--1", None),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
        ] {
            assert_eq!(parse_int(text), value, "{text}");
        }
    }

    #[test]
    fn a_number_may_be_an_integer_and_a_float() {
        let both = number("1e3").unwrap();
        assert_eq!((both.int, both.float, both.is_fraction), (Some(1000), Some(1000.0), true));
        let hex = number("0x1E").unwrap();
        assert_eq!((hex.int, hex.is_fraction), (Some(30), false));
        assert_eq!(number("1.5").unwrap().int, None);
        assert_eq!(character("'a'").unwrap().int, Some(97));
        assert!(character("'ab'").is_err());
    }
}
