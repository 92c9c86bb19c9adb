//! Identifiers, numbers and strings, by the rules of Go's text scanner.

use crate::golang::unicode::{is_digit, is_letter};

pub(super) fn starts_identifier(c: char) -> bool {
    c == '_' || is_letter(c)
}

/// The length of the identifier at the front.
pub(super) fn identifier_len(text: &str) -> usize {
    text.find(|c: char| !starts_identifier(c) && !is_digit(c)).unwrap_or(text.len())
}

/// The length of the number at the front: decimal, hexadecimal, octal or binary, with fraction,
/// exponent and underscores.
///
/// # Errors
/// What the scanner says of numbers that are none.
pub(super) fn number_len(text: &str) -> Result<usize, String> {
    let mut number = Number::new(text);
    if !text.starts_with('.') {
        number.prefix();
        number.digits();
    }
    number.fraction()?;
    if !number.has_digits {
        return Err(format!("{} has no digits", number.name()));
    }
    number.exponent()?;
    if let Some(digit) = number.invalid.filter(|_| !number.is_float) {
        return Err(format!("invalid digit '{digit}' in {}", number.name()));
    }
    if !separators_are_valid(text.get(..number.at).unwrap_or_default()) {
        return Err("'_' must separate successive digits".to_owned());
    }
    Ok(number.at)
}

/// A number being read.
struct Number<'t> {
    bytes: &'t [u8],
    at: usize,
    base: u8,
    /// Whether the base was given by a letter.
    prefixed: bool,
    has_digits: bool,
    is_float: bool,
    /// A digit that is too high for the base.
    invalid: Option<char>,
}

impl<'t> Number<'t> {
    const fn new(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        Self {
            bytes,
            at: 0,
            base: 10,
            prefixed: false,
            has_digits: false,
            is_float: false,
            invalid: None,
        }
    }

    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn prefix(&mut self) {
        let base = match self.bytes {
            [b'0', b'x' | b'X', ..] => 16,
            [b'0', b'o' | b'O', ..] => 8,
            // `0B` alone is a size.
            [b'0', b'b' | b'B', b'0' | b'1', ..] => 2,
            [b'0', ..] => {
                self.base = 8;
                return;
            }
            _ => return,
        };
        (self.base, self.prefixed, self.at) = (base, true, 2);
    }

    fn digits(&mut self) {
        loop {
            let digit = self.peek();
            match digit {
                b'_' => {}
                b'0'..=b'9' => {
                    self.has_digits = true;
                    if digit - b'0' >= self.base {
                        self.invalid.get_or_insert(char::from(digit));
                    }
                }
                b'a'..=b'f' | b'A'..=b'F' if self.base == 16 => self.has_digits = true,
                _ => return,
            }
            self.at += 1;
        }
    }

    fn fraction(&mut self) -> Result<(), String> {
        if self.peek() != b'.' {
            return Ok(());
        }
        if self.prefixed && self.base != 16 {
            return Err(format!("invalid radix point in {}", self.name()));
        }
        self.is_float = true;
        self.at += 1;
        self.digits();
        Ok(())
    }

    fn exponent(&mut self) -> Result<(), String> {
        let hexadecimal = self.prefixed && self.base == 16;
        let letter = self.peek();
        let is_exponent = match letter {
            b'e' | b'E' if !hexadecimal => true,
            // Behind a decimal number it is the unit of a size.
            b'p' | b'P' => hexadecimal,
            _ => false,
        };
        if !is_exponent {
            let incomplete = hexadecimal && self.is_float;
            let why = "hexadecimal mantissa requires a 'p' exponent";
            return if incomplete { Err(why.to_owned()) } else { Ok(()) };
        }
        if self.prefixed && !hexadecimal {
            return Err(format!("'{}' exponent requires decimal mantissa", char::from(letter)));
        }
        self.is_float = true;
        self.at += 1;
        if matches!(self.peek(), b'+' | b'-') {
            self.at += 1;
        }
        let start = self.at;
        while self.peek().is_ascii_digit() || self.peek() == b'_' {
            self.at += 1;
        }
        let digits = self.bytes.get(start..self.at).unwrap_or_default();
        if !digits.iter().any(u8::is_ascii_digit) {
            return Err("exponent has no digits".to_owned());
        }
        Ok(())
    }

    const fn name(&self) -> &'static str {
        match (self.base, self.prefixed) {
            (16, _) => "hexadecimal literal",
            (8, _) => "octal literal",
            (2, _) => "binary literal",
            _ => "decimal literal",
        }
    }
}

/// Whether every underscore stands between digits, or between a prefix and a digit.
fn separators_are_valid(number: &str) -> bool {
    let bytes = number.as_bytes();
    let prefix = matches!(bytes, [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', ..]);
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    bytes.iter().enumerate().filter(|(_, byte)| **byte == b'_').all(|(at, _)| {
        let behind_digit = at.checked_sub(1).is_some_and(is_digit) || (prefix && at == 2);
        behind_digit && is_digit(at + 1)
    })
}

/// The length of the quoted text at the front, its quotes included.
///
/// # Errors
/// What the scanner says of text that does not end, escapes it does not know, and characters that are
/// not one.
pub(super) fn quoted_len(text: &str) -> Result<usize, String> {
    let unterminated = || "literal not terminated".to_owned();
    let mut chars = text.char_indices();
    let Some((_, quote)) = chars.next() else { return Err(unterminated()) };
    let mut count = 0u32;
    while let Some((at, c)) = chars.next() {
        match c {
            '\0' => return Err("invalid character NUL".to_owned()),
            c if c == quote => {
                if quote == '\'' && count != 1 {
                    return Err("invalid char literal".to_owned());
                }
                return Ok(at + 1);
            }
            '\n' if quote != '`' => break,
            '\\' if quote != '`' => {
                let rest = text.get(at + 1..).unwrap_or_default();
                let len = escape_len(rest, quote).ok_or("invalid char escape")?;
                // What follows is ASCII, so that characters are bytes.
                let _ = chars.nth(len - 1);
            }
            _ => {}
        }
        count = count.saturating_add(1);
    }
    Err(unterminated())
}

/// The length of the escape behind a backslash.
fn escape_len(text: &str, quote: char) -> Option<usize> {
    let digits = |from: usize, count: usize, base: u32| {
        let digits = text.get(from..from + count)?;
        digits.chars().all(|c| c.is_digit(base)).then_some(from + count)
    };
    match text.chars().next()? {
        'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => Some(1),
        '0'..='7' => digits(0, 3, 8),
        'x' => digits(1, 2, 16),
        'u' => digits(1, 4, 16),
        'U' => digits(1, 8, 16),
        c => (c == quote).then_some(1),
    }
}

/// The text that a string token stands for. Bytes that are not UTF-8 become U+FFFD.
pub(super) fn unquote(source: &str) -> Option<String> {
    let inner = source.get(1..source.len().checked_sub(1)?)?;
    if source.starts_with('`') || !inner.contains('\\') {
        return Some(inner.to_owned());
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at_checked(at)?;
        bytes.extend_from_slice(before.as_bytes());
        let escape = escape.get(1..)?;
        let len = escape_len(escape, '"')?;
        push_escape(&mut bytes, escape.get(..len)?)?;
        rest = escape.get(len..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into()))
}

/// Appends what the escape, without its backslash, stands for.
fn push_escape(bytes: &mut Vec<u8>, escape: &str) -> Option<()> {
    let first = escape.chars().next()?;
    let digits = escape.get(1..)?;
    match first {
        'a' => bytes.push(0x07),
        'b' => bytes.push(0x08),
        'f' => bytes.push(0x0c),
        'n' => bytes.push(b'\n'),
        'r' => bytes.push(b'\r'),
        't' => bytes.push(b'\t'),
        'v' => bytes.push(0x0b),
        '0'..='7' => bytes.push(u8::from_str_radix(escape, 8).ok()?),
        'x' => bytes.push(u8::from_str_radix(digits, 16).ok()?),
        'u' | 'U' => {
            let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_gos_scanner_ends_them() {
        for (text, expected) in [
            ("12m", Ok(2)),
            (".5e-3 ", Ok(5)),
            ("09.5", Ok(4)),
            ("1_000", Ok(5)),
            ("0x1p3", Ok(5)),
            ("0x1e5", Ok(5)),
            // sizes follow
            ("2PB", Ok(1)),
            ("0B", Ok(1)),
            ("1e", Err("exponent has no digits")),
            ("08", Err("invalid digit '8' in octal literal")),
            ("0b12", Err("invalid digit '2' in binary literal")),
            ("0x", Err("hexadecimal literal has no digits")),
            ("0x.8", Err("hexadecimal mantissa requires a 'p' exponent")),
            ("0o1.5", Err("invalid radix point in octal literal")),
            ("0b1e5", Err("'e' exponent requires decimal mantissa")),
            ("1__0", Err("'_' must separate successive digits")),
        ] {
            assert_eq!(number_len(text), expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn strings_are_unquoted() {
        for (source, text) in [
            (r#""\101\x41\u00e9\U0001f980\a\"\\""#, Some("AAé🦀\x07\"\\")),
            ("`a\\n\r`", Some("a\\n\r")),
            (r#""\xff""#, Some("\u{fffd}")),
            (r#""\400""#, None),
            (r#""\ud800""#, None),
        ] {
            assert_eq!(quoted_len(source), Ok(source.len()), "{source}");
            assert_eq!(unquote(source).as_deref(), text, "{source}");
        }
    }

    #[test]
    fn broken_strings_are_refused() {
        for (source, error) in [
            ("\"a", "literal not terminated"),
            ("\"a\nb\"", "literal not terminated"),
            (r#""\'""#, "invalid char escape"),
            (r#""\8""#, "invalid char escape"),
            (r#""\x4""#, "invalid char escape"),
            (r#""\u00e""#, "invalid char escape"),
            ("'ab'", "invalid char literal"),
            ("''", "invalid char literal"),
            ("\"\0\"", "invalid character NUL"),
        ] {
            assert_eq!(quoted_len(source), Err(error.to_owned()), "{source}");
        }
    }
}
