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
    members_at(text, 0, &mut Forgetful, |key, value, _, _| each(key, value))
}

/// As [`members`], of an object that stands at `at` in its line; `each` is also told where a value
/// stands. `ends` says where objects end, and is handed on for those within.
pub(super) fn members_at<'a, E: ObjectEnds>(
    text: &'a [u8],
    at: usize,
    ends: &mut E,
    mut each: impl FnMut(&[u8], Value<'a>, usize, &mut E) -> ControlFlow<()>,
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
        rest = skip_blank(rest);
        let value_at = at + (text.len() - rest.len());
        let (value, behind) = value(rest, value_at, ends)?;
        if each(&key, value, value_at, ends).is_break() {
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
        let (value, behind) = value(rest, 0, &mut Forgetful)?;
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

/// Finds where objects end.
pub(super) trait ObjectEnds {
    /// How long the object is that the text begins with; it stands at `at` in its line.
    fn object_end(&mut self, text: &[u8], at: usize) -> Option<usize>;
}

/// Looks for the end each time: for readers that do not look into objects, or into few.
struct Forgetful;

impl ObjectEnds for Forgetful {
    fn object_end(&mut self, text: &[u8], _: usize) -> Option<usize> {
        block_end(text, b'{', b'}')
    }
}

/// Remembers the ends of all objects within an object, so that looking for them takes one pass however
/// deep they nest.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// Where an object begins in the line, and how long it is; ascending.
    objects: Vec<(usize, usize)>,
    /// Those of them that are open, while they are looked for.
    open: Vec<usize>,
}

impl Remembered {
    /// Forgets the line.
    pub(super) fn clear(&mut self) {
        self.objects.clear();
    }

    fn remember(&mut self, text: &[u8], at: usize) -> Option<()> {
        self.clear();
        self.open.clear();
        let mut here = 0;
        loop {
            here += memchr::memchr3(b'"', b'{', b'}', text.get(here..)?)?;
            match text[here] {
                b'"' => here += string_end(text.get(here + 1..)?)? + 2,
                b'{' => {
                    self.open.push(self.objects.len());
                    self.objects.push((at + here, 0));
                    here += 1;
                }
                _ => {
                    let (start, length) = self.objects.get_mut(self.open.pop()?)?;
                    here += 1;
                    *length = at + here - *start;
                    if self.open.is_empty() {
                        return Some(());
                    }
                }
            }
        }
    }
}

impl ObjectEnds for Remembered {
    fn object_end(&mut self, text: &[u8], at: usize) -> Option<usize> {
        let find = |objects: &[(usize, usize)]| {
            let found = objects.binary_search_by_key(&at, |(start, _)| *start).ok()?;
            Some(objects[found].1)
        };
        if let Some(length) = find(&self.objects) {
            return Some(length);
        }
        if self.remember(text, at).is_none() {
            // Not all of them are closed.
            self.clear();
            return None;
        }
        find(&self.objects)
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

/// The value that the text begins with, and what is behind it. Without blanks in front it stands at
/// `at` in its line.
fn value<'a>(
    text: &'a [u8],
    at: usize,
    ends: &mut impl ObjectEnds,
) -> Result<(Value<'a>, &'a [u8]), Malformed> {
    let text = skip_blank(text);
    let first = *text.first().ok_or(Malformed::Json)?;
    match first {
        b'"' => {
            let end = string_end(&text[1..]).ok_or(Malformed::String)? + 1;
            Ok((Value::String(&text[1..end]), &text[end + 1..]))
        }
        b'{' => {
            let end = ends.object_end(text, at).ok_or(Malformed::Object)?;
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

    /// Asked in the order of a line, objects end where they end when each is looked at by itself.
    #[test]
    fn remembered_ends_are_the_ends() {
        let mut seed = 7_u64;
        let mut next = |bound: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from((seed >> 33) % bound).unwrap()
        };
        for _ in 0..2_000 {
            let pieces = ["{", "{", "{", "}", "}", "[", "]", "\"", "\"{\"", "\\", ",", "a"];
            let text: String = (0..next(30)).map(|_| pieces[next(12)]).collect();
            let mut remembered = Remembered::default();
            for (at, _) in text.match_indices('{') {
                let rest = &text.as_bytes()[at..];
                let expected = block_end(rest, b'{', b'}');
                assert_eq!(remembered.object_end(rest, at), expected, "{text} at {at}");
            }
        }
    }
}
