//! Reads JSON in place: members and values as slices of the line.
//!
//! It looks no further than it must, and is as forgiving as Loki's parser: what is between the
//! quotes, brackets and commas is taken as it is.

use std::borrow::Cow;
use std::ops::ControlFlow;

use crate::pipeline::text::push_unescaped;

/// What is wrong with a text that should be JSON. The texts are those Loki's users see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("Value looks like object, but can't find closing '}}' symbol")]
    Object,
    #[error("Value is array, but can't find closing ']' symbol")]
    Array,
    #[error("Value is string, but can't find closing '\"' symbol")]
    String,
    #[error("Unknown value type")]
    UnknownType,
    #[error("Encountered an invalid escape sequence in a string")]
    Escape,
    #[error("Malformed JSON error")]
    Json,
}

/// A value, as it stands in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// What is between the quotes, escapes and all.
    String(&'a [u8]),
    /// From `{` to `}`.
    Object(&'a [u8]),
    /// From `[` to `]`.
    Array(&'a [u8]),
    /// A number, or what begins like one.
    Number(&'a [u8]),
    /// `true` or `false`.
    Bool(&'a [u8]),
    Null,
}

/// Calls `each` with the members of the object that the text begins with, in their order.
///
/// Stops where `each` breaks. What is behind the object is not looked at.
pub(super) fn members<'a>(
    text: &'a [u8],
    mut each: impl FnMut(&[u8], Value<'a>) -> ControlFlow<()>,
) -> Result<(), Malformed> {
    let mut rest = skip_blank(text);
    rest = rest.strip_prefix(b"{").ok_or(Malformed::Object)?;
    rest = skip_blank(rest);
    match rest.first() {
        None => return Err(Malformed::Json),
        Some(b'}') => return Ok(()),
        Some(_) => {}
    }
    loop {
        rest = rest.strip_prefix(b"\"").ok_or(Malformed::Object)?;
        let key_end = string_end(rest).ok_or(Malformed::Json)?;
        let key = unescaped_key(&rest[..key_end])?;
        rest = skip_blank(&rest[key_end + 1..]).strip_prefix(b":").ok_or(Malformed::Json)?;
        let (value, behind) = value(rest)?;
        if each(&key, value).is_break() {
            return Ok(());
        }
        rest = skip_blank(behind);
        match rest.first() {
            None => return Err(Malformed::Array),
            Some(b'}') => return Ok(()),
            Some(b',') => rest = skip_blank(&rest[1..]),
            Some(_) => return Err(Malformed::Object),
        }
        if rest.is_empty() {
            return Err(Malformed::Array);
        }
    }
}

/// Calls `each` with the values of the array that the text begins with, in their order.
pub(super) fn elements<'a>(
    text: &'a [u8],
    mut each: impl FnMut(Value<'a>) -> ControlFlow<()>,
) -> Result<(), Malformed> {
    let mut rest = skip_blank(text).strip_prefix(b"[").ok_or(Malformed::Array)?;
    if skip_blank(rest).first() == Some(&b']') {
        return Ok(());
    }
    loop {
        let (value, behind) = value(rest)?;
        if each(value).is_break() {
            return Ok(());
        }
        rest = skip_blank(behind);
        match rest.first() {
            Some(b']') => return Ok(()),
            Some(b',') => rest = &rest[1..],
            _ => return Err(Malformed::Array),
        }
    }
}

fn unescaped_key(raw: &[u8]) -> Result<Cow<'_, [u8]>, Malformed> {
    if memchr::memchr(b'\\', raw).is_none() {
        return Ok(Cow::Borrowed(raw));
    }
    let mut key = String::new();
    push_unescaped(raw, false, &mut key).ok_or(Malformed::Escape)?;
    Ok(Cow::Owned(key.into_bytes()))
}

/// The value that the text begins with, and what is behind it.
fn value(text: &[u8]) -> Result<(Value<'_>, &[u8]), Malformed> {
    let text = skip_blank(text);
    let first = *text.first().ok_or(Malformed::Json)?;
    match first {
        b'"' => {
            let end = string_end(&text[1..]).ok_or(Malformed::String)? + 1;
            Ok((Value::String(&text[1..end]), &text[end + 1..]))
        }
        b'{' => {
            let end = block_end(text, b'{', b'}').ok_or(Malformed::Object)?;
            Ok((Value::Object(&text[..end]), &text[end..]))
        }
        b'[' => {
            let end = block_end(text, b'[', b']').ok_or(Malformed::Array)?;
            Ok((Value::Array(&text[..end]), &text[end..]))
        }
        _ => {
            let ends =
                |&byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',' | b'}' | b']');
            let end = text.iter().position(ends).unwrap_or(text.len());
            let token = &text[..end];
            let value = match token {
                b"true" | b"false" => Value::Bool(token),
                b"null" => Value::Null,
                [b'0'..=b'9' | b'-', ..] => Value::Number(token),
                _ => return Err(Malformed::UnknownType),
            };
            Ok((value, &text[end..]))
        }
    }
}

fn skip_blank(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    &text[start..]
}

/// Where the quote is that ends the string that the text is inside of.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Where the block ends that the text begins with; brackets in strings do not count.
fn block_end(text: &[u8], open: u8, close: u8) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        at += memchr::memchr3(b'"', open, close, text.get(at..)?)?;
        let byte = text[at];
        at += 1;
        if byte == b'"' {
            at += string_end(text.get(at..)?)? + 1;
        } else if byte == open {
            depth += 1;
        } else {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> (Vec<String>, Result<(), Malformed>) {
        let mut found = Vec::new();
        let result = members(text.as_bytes(), |key, value| {
            found.push(format!("{}:{value:?}", String::from_utf8_lossy(key)));
            ControlFlow::Continue(())
        });
        (found, result)
    }

    #[test]
    fn where_objects_break() {
        for (text, count, result) in [
            ("{}", 0, Ok(())),
            (r#" {"a":1} trailing"#, 1, Ok(())),
            ("", 0, Err(Malformed::Object)),
            ("[1]", 0, Err(Malformed::Object)),
            ("{n}", 0, Err(Malformed::Object)),
            ("{", 0, Err(Malformed::Json)),
            (r#"{"a"#, 0, Err(Malformed::Json)),
            (r#"{"a" 1}"#, 0, Err(Malformed::Json)),
            (r#"{"a":"#, 0, Err(Malformed::Json)),
            (r#"{"a":1"#, 1, Err(Malformed::Array)),
            (r#"{"a":1,"#, 1, Err(Malformed::Array)),
            (r#"{"a":1 "b":2}"#, 1, Err(Malformed::Object)),
            (r#"{"a":1,"b":"x"#, 1, Err(Malformed::String)),
            (r#"{"a":{"b":1}"#, 1, Err(Malformed::Array)),
            (r#"{"a":{"b":1"#, 0, Err(Malformed::Object)),
            (r#"{"a":[1"#, 0, Err(Malformed::Array)),
            (r#"{"a":nope}"#, 0, Err(Malformed::UnknownType)),
            (r#"{"\q":1}"#, 0, Err(Malformed::Escape)),
            (r#"{"a":1e5x,"b":null,"c":true}"#, 3, Ok(())),
        ] {
            let (found, got) = list(text);
            assert_eq!((found.len(), got), (count, result), "{text}: {found:?}");
        }
    }
}
