//! JSON, read byte by byte: `json`, `json` with expressions, `unpack`.

use super::labels::{EntryLabels, sanitised};
use super::text::{blanked, unescaped};
use crate::syntax::LabelExtraction;

const OBJECT: &str = "Value looks like object, but can't find closing '}' symbol";
const ARRAY: &str = "Value is array, but can't find closing ']' symbol";
const STRING: &str = "Value is string, but can't find closing '\"' symbol";
const UNKNOWN: &str = "Unknown value type";
const ESCAPE: &str = "Encountered an invalid escape sequence in a string";
const MALFORMED: &str = "Malformed JSON error";

/// The code of all errors here.
const CODE: &str = "JSONParserErr";

/// A value's kind, and its text: of a string what is between the quotes.
#[derive(Clone, Copy, PartialEq)]
enum Value<'a> {
    String(&'a [u8]),
    Object(&'a [u8]),
    Array(&'a [u8]),
    Plain(&'a [u8]),
    Null,
}

/// The members of an object in their order, and what is wrong with it.
type Members<'a> = (Vec<(String, Value<'a>)>, Result<(), &'static str>);

fn trimmed(text: &[u8]) -> &[u8] {
    match text {
        [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] => trimmed(rest),
        _ => text,
    }
}

/// Where the string ends that begins behind the quote.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// Where the brackets close that the text begins with.
fn block_end(text: &[u8], open: u8, close: u8) -> Option<usize> {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match text[at] {
            b'"' => at += 1 + string_end(&text[at + 1..])?,
            byte if byte == open => depth += 1,
            byte if byte == close => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn value(text: &[u8]) -> Result<(Value<'_>, &[u8]), &'static str> {
    let text = trimmed(text);
    match text.first() {
        None => Err(MALFORMED),
        Some(b'"') => {
            let end = string_end(&text[1..]).ok_or(STRING)?;
            Ok((Value::String(&text[1..=end]), &text[end + 2..]))
        }
        Some(b'{') => {
            let end = block_end(text, b'{', b'}').ok_or(OBJECT)?;
            Ok((Value::Object(&text[..end]), &text[end..]))
        }
        Some(b'[') => {
            let end = block_end(text, b'[', b']').ok_or(ARRAY)?;
            Ok((Value::Array(&text[..end]), &text[end..]))
        }
        Some(first) => {
            let end = text.iter().position(|byte| b" \n\r\t,}]".contains(byte));
            let (plain, rest) = text.split_at(end.unwrap_or(text.len()));
            match plain {
                b"null" => Ok((Value::Null, rest)),
                b"true" | b"false" => Ok((Value::Plain(plain), rest)),
                _ if first.is_ascii_digit() || *first == b'-' => Ok((Value::Plain(plain), rest)),
                _ => Err(UNKNOWN),
            }
        }
    }
}

fn members(text: &[u8]) -> Members<'_> {
    let mut found = Vec::new();
    let result = add_members(text, &mut found);
    (found, result)
}

fn add_members<'a>(
    text: &'a [u8],
    found: &mut Vec<(String, Value<'a>)>,
) -> Result<(), &'static str> {
    let mut rest = trimmed(trimmed(text).strip_prefix(b"{").ok_or(OBJECT)?);
    match rest.first() {
        None => return Err(MALFORMED),
        Some(b'}') => return Ok(()),
        _ => {}
    }
    loop {
        rest = rest.strip_prefix(b"\"").ok_or(OBJECT)?;
        let end = string_end(rest).ok_or(MALFORMED)?;
        let key = &rest[..end];
        let key = match key.contains(&b'\\') {
            true => unescaped(key, false).ok_or(ESCAPE)?,
            false => String::from_utf8_lossy(key).into_owned(),
        };
        rest = trimmed(&rest[end + 1..]).strip_prefix(b":").ok_or(MALFORMED)?;
        let member;
        (member, rest) = value(rest)?;
        found.push((key, member));
        rest = trimmed(rest);
        match rest.first() {
            Some(b'}') => return Ok(()),
            Some(b',') => rest = trimmed(&rest[1..]),
            Some(_) => return Err(OBJECT),
            None => return Err(ARRAY),
        }
        if rest.is_empty() {
            return Err(ARRAY);
        }
    }
}

fn text_of(value: Value<'_>) -> String {
    match value {
        Value::String(raw) => unescaped(raw, false).unwrap_or_default(),
        Value::Object(raw) | Value::Array(raw) | Value::Plain(raw) => blanked(raw),
        Value::Null => String::new(),
    }
}

/// `| json`
pub(super) fn flatten(line: &[u8], labels: &mut EntryLabels<'_>) {
    if let Err(details) = flatten_object(line, "", labels, 0) {
        labels.fail_parsing(CODE, Some(details));
    }
}

fn flatten_object(
    text: &[u8],
    prefix: &str,
    labels: &mut EntryLabels<'_>,
    depth: usize,
) -> Result<(), &'static str> {
    let (members, result) = members(text);
    for (key, value) in members {
        let part = sanitised(&key, prefix.is_empty());
        let name = match (prefix, part.as_str()) {
            (prefix, "") => prefix.to_owned(),
            ("", part) => part.to_owned(),
            (prefix, part) => format!("{prefix}_{part}"),
        };
        match value {
            Value::Null | Value::Array(_) => continue,
            Value::Object(text) if depth < 128 && labels.needs_prefix(&name) => {
                flatten_object(text, &name, labels, depth + 1)?;
            }
            Value::Object(_) => {}
            Value::String(_) | Value::Plain(_) if name.is_empty() => {}
            Value::String(_) | Value::Plain(_) => labels.extract(&name, text_of(value)),
        }
        if labels.is_complete() {
            return Ok(());
        }
    }
    result
}

/// `| unpack`; the new line, if there is one.
pub(super) fn unpack(line: &[u8], labels: &mut EntryLabels<'_>) -> Option<Vec<u8>> {
    if line.is_empty() {
        return None;
    }
    if line[0] != b'{' {
        labels.fail_parsing(CODE, Some("expecting json object(6), but it is not"));
        return None;
    }
    let (members, result) = members(line);
    if let Err(details) = result {
        labels.fail_parsing(CODE, Some(details));
        return None;
    }
    let strings = members.into_iter().filter(|(_, value)| matches!(value, Value::String(_)));
    let (entries, others): (Vec<_>, Vec<_>) = strings.partition(|(key, _)| key == "_entry");
    let (_, entry) = entries.last()?;
    for (key, value) in others {
        let name = sanitised(&key, true);
        if !name.is_empty() {
            labels.extract(&name, text_of(value));
        }
    }
    Some(text_of(*entry).into_bytes())
}

/// A step of a path.
enum Part {
    Key(String),
    Index(usize),
}

/// `a.b["c d"][0]`. Paths that are none never come here: the stage does not compile.
fn path(expression: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = expression.trim();
    while !rest.is_empty() {
        let (inside, behind) = if let Some(open) = rest.strip_prefix('[') {
            let (inside, behind) = open.split_once(']').unwrap_or((open, ""));
            (inside.trim(), behind)
        } else {
            let field = rest.strip_prefix('.').unwrap_or(rest).trim_start();
            field.split_at(field.find(['.', '[', ' ']).unwrap_or(field.len()))
        };
        parts.push(match inside.parse() {
            Ok(index) => Part::Index(index),
            Err(_) => Part::Key(inside.trim_matches('"').to_owned()),
        });
        rest = behind.trim_start();
    }
    parts
}

/// The first value that the path leads to.
fn find<'a>(found: Value<'a>, path: &[Part]) -> Option<Value<'a>> {
    let Some((part, path)) = path.split_first() else { return Some(found) };
    match (found, part) {
        (Value::Object(text), Part::Key(wanted)) => {
            let same = members(text).0.into_iter().filter(|(key, _)| key == wanted);
            same.filter_map(|(_, value)| find(value, path)).next()
        }
        (Value::Array(text), Part::Index(index)) => {
            let mut rest = trimmed(&text[1..]);
            for position in 0.. {
                let (element, behind) = value(rest).ok()?;
                if position == *index {
                    return find(element, path);
                }
                rest = trimmed(behind).strip_prefix(b",")?;
            }
            None
        }
        _ => None,
    }
}

/// `| json x="…"`
pub(super) fn expressions(
    line: &[u8],
    extractions: &[LabelExtraction],
    labels: &mut EntryLabels<'_>,
) {
    let whole = match line.first() {
        None => return,
        Some(b'{') => Value::Object(line),
        Some(b'[') => Value::Array(line),
        Some(b'"') => Value::Null,
        Some(_) => return labels.fail_parsing(CODE, None),
    };
    let mut is_missing = false;
    for LabelExtraction { name, expression } in extractions {
        let Some(value) = find(whole, &path(expression)) else {
            is_missing = true;
            continue;
        };
        let text = match value {
            Value::Array(raw) => unescaped(raw, false).unwrap_or_default(),
            other => text_of(other),
        };
        let target = labels.free_name(name);
        labels.set(&target, text);
    }
    // Where one is missing, every name gets a label: also that of a label that was renamed.
    for LabelExtraction { name, .. } in extractions.iter().filter(|_| is_missing) {
        if labels.get(name).is_none() {
            labels.set(name, String::new());
        }
    }
}
