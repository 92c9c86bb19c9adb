//! Bytes of a line as text.

/// Appends bytes as text. What is no UTF-8, and U+FFFD itself, becomes `replacement`.
pub(crate) fn push_replacing(bytes: &[u8], replacement: char, out: &mut String) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && text.is_ascii()
    {
        return out.push_str(text);
    }
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        if replacement != char::REPLACEMENT_CHARACTER && valid.contains(char::REPLACEMENT_CHARACTER)
        {
            out.extend(valid.chars().map(|c| match c {
                char::REPLACEMENT_CHARACTER => replacement,
                other => other,
            }));
        } else {
            out.push_str(valid);
        }
        out.extend(chunk.invalid().iter().map(|_| replacement));
    }
}

/// Appends bytes as text, with a blank for what is no UTF-8, as json, logfmt and unpack do.
pub(crate) fn push_blanking(bytes: &[u8], out: &mut String) {
    push_replacing(bytes, ' ', out);
}

/// Appends what the escapes of a string in JSON stand for. `also_single` knows `\'` too.
///
/// `None` where an escape is none, or half of a surrogate pair; `out` then has a part of the text.
pub(crate) fn push_unescaped(raw: &[u8], also_single: bool, out: &mut String) -> Option<()> {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        push_blanking(&rest[..at], out);
        let (decoded, used) = escape(&rest[at + 1..], also_single)?;
        out.push(if decoded == char::REPLACEMENT_CHARACTER { ' ' } else { decoded });
        rest = &rest[at + 1 + used..];
    }
    push_blanking(rest, out);
    Some(())
}

/// Whether [`push_unescaped`] would know every escape.
pub(crate) fn has_good_escapes(raw: &[u8], also_single: bool) -> bool {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let Some((_, used)) = escape(&rest[at + 1..], also_single) else { return false };
        rest = &rest[at + 1 + used..];
    }
    true
}

/// The character that stands behind a backslash, and how many bytes it takes.
fn escape(text: &[u8], also_single: bool) -> Option<(char, usize)> {
    let (&first, behind) = text.split_first()?;
    let plain = match first {
        b'"' | b'\\' | b'/' => char::from(first),
        b'\'' if also_single => '\'',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return code_point(behind).map(|(decoded, used)| (decoded, used + 1)),
        _ => return None,
    };
    Some((plain, 1))
}

/// The character that the digits behind a `\u` stand for, and how many bytes it takes.
fn code_point(text: &[u8]) -> Option<(char, usize)> {
    let unit = |text: &[u8]| {
        let digits = std::str::from_utf8(text.get(..4)?).ok()?;
        let only_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u16::from_str_radix(digits, 16).ok().filter(|_| only_digits)
    };
    let first = unit(text)?;
    if let Some(single) = char::from_u32(u32::from(first)) {
        return Some((single, 4));
    }
    let second = unit(text.get(4..)?.strip_prefix(b"\\u")?)?;
    let pair = char::decode_utf16([first, second]).next()?.ok()?;
    Some((pair, 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unescaped(raw: &str) -> Option<String> {
        let mut out = String::new();
        push_unescaped(raw.as_bytes(), false, &mut out).map(|()| out)
    }

    #[test]
    fn escapes() {
        assert_eq!(unescaped(r#"a\u00e9\n\t\"\/\\"#).as_deref(), Some("aé\n\t\"/\\"));
        assert_eq!(unescaped(r"\ud83d\ude80!").as_deref(), Some("🚀!"));
        for bad in [r"\q", r"\u12", r"\ud83d", r"\ud83dx", r"\ude80", r"\'", "\\", r"\u+123"] {
            assert_eq!(unescaped(bad), None, "{bad}");
            assert!(!has_good_escapes(bad.as_bytes(), false), "{bad}");
        }
    }

    #[test]
    fn what_is_no_text_becomes_blank() {
        let mut out = String::new();
        push_blanking(b"a\xff\xfeb\xef\xbf\xbdc", &mut out);
        assert_eq!(out, "a  b c");
    }
}
