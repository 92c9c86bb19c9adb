//! Quoting of text, as `strconv.Quote`.

use std::fmt::Write as _;

use super::unicode::is_printable;

/// `text` in double quotes; what is not printable is escaped.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    push_escaped(&mut quoted, text);
    quoted.push('"');
    quoted
}

/// As [`quote`]; bytes that are not UTF-8 become `\x..`.
pub(crate) fn quote_bytes(bytes: &[u8]) -> String {
    let mut quoted = String::with_capacity(bytes.len() + 2);
    quoted.push('"');
    for chunk in bytes.utf8_chunks() {
        push_escaped(&mut quoted, chunk.valid());
        for byte in chunk.invalid() {
            push_hex(&mut quoted, "x", 2, u32::from(*byte));
        }
    }
    quoted.push('"');
    quoted
}

fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            c if is_printable(c) => out.push(c),
            c if c.is_ascii() => push_hex(out, "x", 2, u32::from(c)),
            c if u32::from(c) < 0x1_0000 => push_hex(out, "u", 4, u32::from(c)),
            c => push_hex(out, "U", 8, u32::from(c)),
        }
    }
}

fn push_hex(out: &mut String, kind: &str, width: usize, code: u32) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\\{kind}{code:0width$x}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_as_go_escapes_it() {
        for (text, quoted) in [
            ("", r#""""#),
            ("plain 'text'", r#""plain 'text'""#),
            ("\"\\", r#""\"\\""#),
            ("\x07\x08\x0c\n\r\t\x0b", r#""\a\b\f\n\r\t\v""#),
            ("\0\x1b\x7f", r#""\x00\x1b\x7f""#),
            ("é世🦀\u{fffd}", "\"é世🦀\u{fffd}\""),
            ("\u{a0}\u{200b}\u{e000}\u{10ffff}", r#""\u00a0\u200b\ue000\U0010ffff""#),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_escaped_one_by_one() {
        assert_eq!(quote_bytes(b"a\xff\xc3\"\xc3\xa9"), "\"a\\xff\\xc3\\\"é\"");
    }
}
