//! Functions on text. They count bytes unless they say otherwise.

use super::Param::{Any, Int, Text};
use super::{Context, Function, Returned, fixed, int, text, utf8, variadic};
use crate::pipeline::template::limits::{OUTPUT_BYTES_MAX, TOO_LARGE};
use crate::pipeline::template::print::{prefix_of_runes, rune_count};
use crate::pipeline::template::value::Value;

pub(super) const ALL: &[Function] = &[
    fixed("__line__", &[], |context, _| Ok(Value::borrowed(context.data.line()))),
    fixed("ToLower", &[Text], lower),
    fixed("ToUpper", &[Text], upper),
    fixed("lower", &[Text], lower),
    fixed("upper", &[Text], upper),
    fixed("title", &[Text], title),
    fixed("Replace", &[Text, Text, Text, Int], |_, args| {
        replace(text(args, 0), text(args, 1), text(args, 2), int(args, 3))
    }),
    fixed("replace", &[Text, Text, Text], |_, args| {
        replace(text(args, 2), text(args, 0), text(args, 1), -1)
    }),
    fixed("Trim", &[Text, Text], |_, args| trim(text(args, 0), text(args, 1), true, true)),
    fixed("TrimLeft", &[Text, Text], |_, args| trim(text(args, 0), text(args, 1), true, false)),
    fixed("TrimRight", &[Text, Text], |_, args| trim(text(args, 0), text(args, 1), false, true)),
    fixed("trimAll", &[Text, Text], |_, args| trim(text(args, 1), text(args, 0), true, true)),
    fixed("TrimPrefix", &[Text, Text], |_, args| trim_prefix(text(args, 0), text(args, 1))),
    fixed("trimPrefix", &[Text, Text], |_, args| trim_prefix(text(args, 1), text(args, 0))),
    fixed("TrimSuffix", &[Text, Text], |_, args| trim_suffix(text(args, 0), text(args, 1))),
    fixed("trimSuffix", &[Text, Text], |_, args| trim_suffix(text(args, 1), text(args, 0))),
    fixed("TrimSpace", &[Text], trim_space),
    fixed("trim", &[Text], trim_space),
    fixed("trunc", &[Int, Text], |_, args| Ok(part(trunc(int(args, 0), text(args, 1))))),
    fixed("substr", &[Int, Int, Text], |_, args| {
        substr(int(args, 0), int(args, 1), text(args, 2)).map(part)
    }),
    fixed("contains", &[Text, Text], |_, args| {
        Ok(Value::Bool(memchr::memmem::find(text(args, 1), text(args, 0)).is_some()))
    }),
    fixed("hasPrefix", &[Text, Text], |_, args| {
        Ok(Value::Bool(text(args, 1).starts_with(text(args, 0))))
    }),
    fixed("hasSuffix", &[Text, Text], |_, args| {
        Ok(Value::Bool(text(args, 1).ends_with(text(args, 0))))
    }),
    fixed("indent", &[Int, Text], |_, args| indent(int(args, 0), text(args, 1), b"")),
    fixed("nindent", &[Int, Text], |_, args| indent(int(args, 0), text(args, 1), b"\n")),
    fixed("repeat", &[Int, Text], |_, args| repeat(text(args, 1), int(args, 0)).map(Value::bytes)),
    fixed("alignLeft", &[Int, Text], |_, args| align(int(args, 0), text(args, 1), false)),
    fixed("alignRight", &[Int, Text], |_, args| align(int(args, 0), text(args, 1), true)),
    fixed("regexReplaceAll", &[Text, Text, Text], |context, args| {
        regex_replace(context, args, true)
    }),
    fixed("regexReplaceAllLiteral", &[Text, Text, Text], |context, args| {
        regex_replace(context, args, false)
    }),
    fixed("count", &[Text, Text], |context, args| {
        let count = context.regexes.compile(text(args, 0))?.find_iter(text(args, 1)).count();
        Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX)))
    }),
    variadic("default", &[Any], Any, default),
];

/// A piece of an argument.
fn part<'a>(bytes: &[u8]) -> Value<'a> {
    Value::bytes(bytes.to_vec())
}

/// The simple mapping of one character to one, as Go's; Rust may give several.
fn simple(c: char, mapped: impl Iterator<Item = char>) -> char {
    let mut mapped = mapped.fuse();
    match (mapped.next(), mapped.next()) {
        (Some(single), None) => single,
        // The only capital whose lower case is a letter with a combining mark.
        (Some(first), _) if c == '\u{130}' => first,
        _ => c,
    }
}

fn lower<'a>(_: &Context<'a>, args: &[Value<'a>]) -> Returned<'a> {
    if text(args, 0).is_ascii() {
        return Ok(Value::bytes(text(args, 0).to_ascii_lowercase()));
    }
    Ok(Value::string(utf8(args, 0).chars().map(|c| simple(c, c.to_lowercase())).collect()))
}

fn upper<'a>(_: &Context<'a>, args: &[Value<'a>]) -> Returned<'a> {
    if text(args, 0).is_ascii() {
        return Ok(Value::bytes(text(args, 0).to_ascii_uppercase()));
    }
    Ok(Value::string(utf8(args, 0).chars().map(|c| simple(c, c.to_uppercase())).collect()))
}

/// Upper case for the first letter of each word.
pub(super) fn title<'a>(_: &Context<'a>, args: &[Value<'a>]) -> Returned<'a> {
    let mut starts_word = true;
    let text = utf8(args, 0);
    let title = text.chars().map(|c| {
        let mapped = if starts_word { simple(c, c.to_uppercase()) } else { c };
        starts_word = is_separator(c);
        mapped
    });
    Ok(Value::string(title.collect()))
}

/// Between words: beyond ASCII only blanks are.
fn is_separator(c: char) -> bool {
    if c.is_ascii() { !(c.is_ascii_alphanumeric() || c == '_') } else { c.is_whitespace() }
}

/// Replaces the first `count` occurrences, all with a negative one. An empty `old` is found around
/// every character.
fn replace<'a>(bytes: &[u8], old: &[u8], new: &[u8], count: i64) -> Returned<'a> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let starts: Vec<usize> = if old.is_empty() {
        rune_starts(bytes).take(count).collect()
    } else {
        memchr::memmem::find_iter(bytes, old).take(count).collect()
    };
    let growth = new.len().saturating_sub(old.len()).saturating_mul(starts.len());
    check_size(bytes.len().saturating_add(growth))?;
    let mut replaced = Vec::with_capacity(bytes.len() + growth);
    let mut at = 0;
    for start in starts {
        replaced.extend_from_slice(&bytes[at..start]);
        replaced.extend_from_slice(new);
        at = start + old.len();
    }
    replaced.extend_from_slice(&bytes[at..]);
    Ok(Value::bytes(replaced))
}

/// Where characters start, and the end.
fn rune_starts(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    let mut is_done = false;
    std::iter::from_fn(move || {
        if is_done {
            return None;
        }
        let start = at;
        is_done = at == bytes.len();
        at += prefix_of_runes(&bytes[at..bytes.len().min(at + 4)], 1);
        Some(start)
    })
}

fn check_size(bytes: usize) -> Result<(), String> {
    if bytes > OUTPUT_BYTES_MAX { Err(TOO_LARGE.to_owned()) } else { Ok(()) }
}

/// Cuts off characters of a set.
fn trim<'a>(bytes: &[u8], set: &[u8], left: bool, right: bool) -> Returned<'a> {
    let set = String::from_utf8_lossy(set);
    let text = String::from_utf8_lossy(bytes);
    let in_set = |c: char| set.contains(c);
    let mut rest = text.as_ref();
    if left {
        rest = rest.trim_start_matches(in_set);
    }
    if right {
        rest = rest.trim_end_matches(in_set);
    }
    Ok(part(rest.as_bytes()))
}

fn trim_prefix<'a>(bytes: &[u8], prefix: &[u8]) -> Returned<'a> {
    Ok(part(bytes.strip_prefix(prefix).unwrap_or(bytes)))
}

fn trim_suffix<'a>(bytes: &[u8], suffix: &[u8]) -> Returned<'a> {
    Ok(part(bytes.strip_suffix(suffix).unwrap_or(bytes)))
}

fn trim_space<'a>(_: &Context<'a>, args: &[Value<'a>]) -> Returned<'a> {
    Ok(match std::str::from_utf8(text(args, 0)) {
        Ok(text) => part(text.trim().as_bytes()),
        Err(_) => part(text(args, 0).trim_ascii()),
    })
}

/// The first `count` bytes, or with a negative count the last.
fn trunc(count: i64, bytes: &[u8]) -> &[u8] {
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX).min(bytes.len());
    if count < 0 { &bytes[bytes.len() - wanted..] } else { &bytes[..wanted] }
}

/// The bytes from `start` to `end`; negative or too large bounds stand for the ends.
fn substr(start: i64, end: i64, bytes: &[u8]) -> Result<&[u8], String> {
    let length = bytes.len();
    let out_of_range =
        |bounds: String| format!("runtime error: slice bounds out of range {bounds}");
    let Ok(from) = usize::try_from(start) else {
        let to = usize::try_from(end).map_err(|_| out_of_range(format!("[:{end}]")))?;
        return bytes
            .get(..to)
            .ok_or_else(|| out_of_range(format!("[:{to}] with length {length}")));
    };
    match usize::try_from(end).ok().filter(|to| *to <= length) {
        None => bytes.get(from..).ok_or_else(|| out_of_range(format!("[{from}:{length}]"))),
        Some(to) => bytes.get(from..to).ok_or_else(|| out_of_range(format!("[{from}:{to}]"))),
    }
}

fn indent<'a>(spaces: i64, bytes: &[u8], head: &[u8]) -> Returned<'a> {
    let pad = repeat(b" ", spaces)?;
    let line_end = [b"\n", pad.as_slice()].concat();
    let lines = memchr::memchr_iter(b'\n', bytes).count() + 1;
    check_size(lines.saturating_mul(pad.len()).saturating_add(bytes.len()))?;
    let mut indented = [head, &pad].concat();
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if i > 0 {
            indented.extend_from_slice(&line_end);
        }
        indented.extend_from_slice(line);
    }
    Ok(Value::bytes(indented))
}

fn repeat(bytes: &[u8], count: i64) -> Result<Vec<u8>, String> {
    let count = usize::try_from(count).map_err(|_| "strings: negative Repeat count".to_owned())?;
    check_size(bytes.len().saturating_mul(count))?;
    Ok(bytes.repeat(count))
}

/// Exactly `count` characters: blanks are added, or characters dropped, on the far side.
fn align<'a>(count: i64, bytes: &[u8], to_right: bool) -> Returned<'a> {
    let length = rune_count(bytes);
    let count = match usize::try_from(count) {
        Ok(count) if count != length => count,
        _ => return Ok(part(bytes)),
    };
    if count < length {
        return Ok(if to_right {
            part(&bytes[prefix_of_runes(bytes, length - count)..])
        } else {
            part(&bytes[..prefix_of_runes(bytes, count)])
        });
    }
    let pad = repeat(b" ", i64::try_from(count - length).unwrap_or(i64::MAX))?;
    let both = if to_right { [&pad, bytes] } else { [bytes, &pad] };
    Ok(Value::bytes(both.concat()))
}

fn regex_replace<'a>(context: &Context<'a>, args: &[Value<'a>], expands: bool) -> Returned<'a> {
    let regex = context.regexes.compile(text(args, 0))?;
    let (bytes, replacement) = (text(args, 1), text(args, 2));
    let references = memchr::memchr_iter(b'$', replacement).count();
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut at = 0;
    for captures in regex.captures_iter(bytes) {
        let Some(found) = captures.get(0) else { continue };
        replaced.extend_from_slice(&bytes[at..found.start()]);
        if expands {
            // Each reference may stand for as much as the whole match.
            let most = references.saturating_mul(found.len());
            check_size(replaced.len().saturating_add(replacement.len()).saturating_add(most))?;
            captures.expand(replacement, &mut replaced);
        } else {
            replaced.extend_from_slice(replacement);
        }
        at = found.end();
        check_size(replaced.len())?;
    }
    replaced.extend_from_slice(&bytes[at..]);
    Ok(Value::bytes(replaced))
}

/// The second argument unless it is empty or missing.
fn default<'a>(context: &Context<'a>, args: &[Value<'a>]) -> Returned<'a> {
    let given = args.get(1).filter(|value| {
        matches!(value, Value::Time(_)) || value.is_true(|| context.data.labels().len())
    });
    Ok(given.or(args.first()).cloned().unwrap_or(Value::Nil))
}
