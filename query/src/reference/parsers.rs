//! `logfmt`, `pattern` and `regexp`.

use regex::Regex;

use super::labels::{EntryLabels, sanitised};
use super::text::{blanked, replaced, unescaped};
use crate::golang::compile_regex;
use crate::syntax::LabelExtraction;

/// A pair of a line in logfmt: its key and, unescaped, its value.
type Pair = (String, Vec<u8>, String);

/// Reads the pair that begins at `at`, and goes behind it. On a fault `at` is where it is.
fn pair(line: &[u8], at: &mut usize) -> Result<Pair, &'static str> {
    let is_end = |byte: u8| byte <= b' ' || byte == b'=' || byte == b'"';
    let run = |at: &mut usize| {
        let start = *at;
        while *at < line.len() && !is_end(line[*at]) {
            *at += 1;
        }
        line[start..*at].to_vec()
    };
    let key = run(at);
    match line.get(*at) {
        Some(b'"') => return Err("unexpected '\"'"),
        Some(b'=') if key.is_empty() => return Err("unexpected '='"),
        _ => {}
    }
    let key = String::from_utf8(key).map_err(|_| "invalid key")?;
    if key.contains(char::REPLACEMENT_CHARACTER) {
        return Err("invalid key");
    }
    if line.get(*at) != Some(&b'=') {
        return Ok((key, Vec::new(), String::new()));
    }
    *at += 1;
    if line.get(*at) != Some(&b'"') {
        let value = run(at);
        return match line.get(*at) {
            Some(b'=') => Err("unexpected '='"),
            Some(b'"') => Err("unexpected '\"'"),
            _ => Ok((key, value.clone(), blanked(&value))),
        };
    }
    let start = *at + 1;
    let mut end = start;
    while end < line.len() && line[end] != b'"' {
        end += if line[end] == b'\\' { 2 } else { 1 };
    }
    *at = (end + 1).min(line.len());
    if end >= line.len() {
        return Err("unterminated quoted value");
    }
    let raw = &line[start..end];
    let text = unescaped(raw, true).ok_or("invalid quoted value")?;
    Ok((key, raw.to_vec(), text))
}

/// `| logfmt`, with or without expressions.
pub(super) fn logfmt(
    line: &[u8],
    strict: bool,
    keep_empty: bool,
    extractions: &[LabelExtraction],
    labels: &mut EntryLabels<'_>,
) {
    for LabelExtraction { name, .. } in extractions {
        if labels.free_name(name) == *name {
            labels.set(name, String::new());
        }
    }
    let mut at = 0;
    while at < line.len() {
        if line[at] <= b' ' {
            at += 1;
            continue;
        }
        match pair(line, &mut at) {
            Ok((key, raw, value)) if extractions.is_empty() => {
                let name = sanitised(&key, true);
                if !name.is_empty() && (keep_empty || !raw.is_empty()) {
                    labels.extract(&name, value);
                }
                if labels.is_complete() {
                    return;
                }
            }
            Ok((key, raw, value)) => {
                let is_text = |text: &str| !text.contains(char::REPLACEMENT_CHARACTER);
                let is_text = std::str::from_utf8(&raw).is_ok_and(is_text);
                let value = if is_text { value } else { String::new() };
                for LabelExtraction { name, expression } in extractions {
                    if expression.trim().trim_matches('"') == sanitised(&key, true) {
                        labels.set(&labels.free_name(name), value.clone());
                    }
                }
            }
            Err(fault) if strict => {
                let details = format!("logfmt syntax error at pos {} : {fault}", at + 1);
                return labels.fail_parsing("LogfmtParserErr", Some(&details));
            }
            Err(_) => {
                while at < line.len() && line[at] > b' ' {
                    at += 1;
                }
            }
        }
    }
}

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Literal(Vec<u8>),
    Capture(String),
}

/// The pieces of a pattern.
pub(super) fn pieces(pattern: &str) -> Result<Vec<Piece>, String> {
    let capture = Regex::new("<([A-Za-z_][A-Za-z0-9_]*)>").map_err(|error| error.to_string())?;
    let mut pieces = Vec::new();
    let mut end = 0;
    for found in capture.captures_iter(pattern) {
        let (Some(whole), Some(name)) = (found.get(0), found.get(1)) else { continue };
        let literal = &pattern[end..whole.start()];
        match (literal, pieces.last()) {
            ("", Some(Piece::Capture(_))) => return Err("captures that touch".to_owned()),
            ("", _) => {}
            (literal, _) => pieces.push(Piece::Literal(literal.as_bytes().to_vec())),
        }
        pieces.push(Piece::Capture(name.as_str().to_owned()));
        end = whole.end();
    }
    if end < pattern.len() {
        pieces.push(Piece::Literal(pattern.as_bytes()[end..].to_vec()));
    }
    Ok(pieces)
}

/// Where `needle` first stands in `text`.
pub(super) fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    (0..=text.len().checked_sub(needle.len())?).find(|&at| text[at..].starts_with(needle))
}

/// `| pattern "…"`
pub(super) fn pattern(line: &[u8], pieces: &[Piece], labels: &mut EntryLabels<'_>) {
    let mut rest = line;
    let mut pieces = pieces;
    if line.is_empty() {
        return;
    }
    if let [Piece::Literal(literal), others @ ..] = pieces {
        let Some(behind) = rest.strip_prefix(literal.as_slice()) else { return };
        (rest, pieces) = (behind, others);
    }
    while let [Piece::Capture(name), others @ ..] = pieces {
        let (value, behind) = match others.first() {
            Some(Piece::Literal(literal)) => match find(rest, literal) {
                Some(at) => (&rest[..at], Some(&rest[at + literal.len()..])),
                None => (rest, None),
            },
            _ => (rest, None),
        };
        if name != "_" {
            labels.extract(name, replaced(value));
        }
        let Some(behind) = behind else { return };
        (rest, pieces) = (behind, &others[1..]);
    }
}

/// `| regexp "…"`
pub(super) fn regexp(
    line: &[u8],
    source: &str,
    labels: &mut EntryLabels<'_>,
) -> Result<(), String> {
    let regex = compile_regex(source)?;
    let Some(captures) = regex.captures(line) else { return Ok(()) };
    for name in regex.capture_names().flatten() {
        let value = captures.name(name).map_or(&b""[..], |found| found.as_bytes());
        labels.extract(&sanitised(name, true), replaced(value));
    }
    Ok(())
}
