//! `| json`: all members become labels, or those that expressions name.

mod expression;
mod path;
mod paths;
mod scan;

use std::ops::ControlFlow;

use self::scan::{Malformed, Remembered, Value};
use super::labels::LabelBuilder;
use super::names::sanitise;
use super::text::{push_blanking, push_unescaped};

pub(crate) use self::expression::JsonExpressions;
pub(crate) use self::paths::{JsonPaths, Listener};

/// The error code of a line that is not the JSON it should be.
pub(crate) const JSON_ERROR: &str = "JSONParserErr";

/// Buffers for [`parse`].
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    prefix: String,
    ends: Remembered,
}

/// Makes labels of an object's members; those of nested objects are joined by `_`.
///
/// Arrays and nulls make none. Labels found before a line turns out to be malformed stay.
pub(crate) fn parse(line: &[u8], labels: &mut LabelBuilder<'_>, scratch: &mut Scratch) {
    parse_listening(line, labels, scratch, &mut ());
}

/// As [`parse`], telling `listener` where the labels come from.
pub(crate) fn parse_listening(
    line: &[u8],
    labels: &mut LabelBuilder<'_>,
    scratch: &mut Scratch,
    listener: &mut impl Listener,
) {
    let Scratch { prefix, ends } = scratch;
    prefix.clear();
    ends.clear();
    let mut parser = Parser { labels, prefix, listener, failure: None };
    let result = parser.object(line, 0, ends, 0);
    let failure = parser.failure.or(result.err());
    if let Some(malformed) = failure {
        labels.set_parser_error(JSON_ERROR, Some(&malformed.to_string()));
    }
}

/// Objects within objects deeper than this are not looked into: nobody writes such logs, and the
/// parser must not run out of stack on one that somebody made.
const DEPTH_MAX: usize = 128;

struct Parser<'a, 'p, L> {
    labels: &'a mut LabelBuilder<'p>,
    /// The name that the members' names are joined to; empty at the top.
    prefix: &'a mut String,
    listener: &'a mut L,
    /// What is wrong with a nested object.
    failure: Option<Malformed>,
}

impl<L: Listener> Parser<'_, '_, L> {
    /// The object that stands at `at` in the line, within `depth` others.
    fn object(
        &mut self,
        text: &[u8],
        at: usize,
        ends: &mut Remembered,
        depth: usize,
    ) -> Result<(), Malformed> {
        scan::members_at(text, at, ends, |key, value, at, ends| match value {
            Value::Null | Value::Array(_) => ControlFlow::Continue(()),
            Value::Object(text) => {
                let outer = self.prefix.len();
                self.join(key);
                self.listener.enter(key);
                if depth < DEPTH_MAX
                    && self.labels.needs_prefix(self.prefix)
                    && let Err(malformed) = self.object(text, at, ends, depth + 1)
                {
                    self.failure = Some(malformed);
                }
                self.listener.leave();
                self.prefix.truncate(outer);
                self.go_on()
            }
            Value::String(_) | Value::Number(_) | Value::Bool(_) => {
                self.leaf(key, value);
                self.go_on()
            }
        })
    }

    fn go_on(&self) -> ControlFlow<()> {
        if self.failure.is_some() || self.labels.has_all_required() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn leaf(&mut self, key: &[u8], value: Value<'_>) {
        let target = if self.prefix.is_empty() {
            match std::str::from_utf8(key) {
                Ok(key) => self.labels.target(key),
                Err(_) => self.labels.target(&String::from_utf8_lossy(key)),
            }
        } else {
            let outer = self.prefix.len();
            self.join(key);
            let target = self.labels.target_verbatim(self.prefix);
            self.prefix.truncate(outer);
            target
        };
        let Some(target) = target else { return };
        self.listener.label(key, target);
        self.labels.set_with(target, |out| push_value(value, out));
    }

    /// Appends a key to the prefix. A blank one is left out.
    fn join(&mut self, key: &[u8]) {
        let key = String::from_utf8_lossy(key);
        if key.trim().is_empty() {
            return;
        }
        let is_first = self.prefix.is_empty();
        if !is_first {
            self.prefix.push('_');
        }
        sanitise(&key, is_first, self.prefix);
    }
}

/// Appends a value's text; that of a string with an escape that is none is empty.
fn push_value(value: Value<'_>, out: &mut String) {
    match value {
        Value::String(raw) => push_string(raw, out),
        Value::Number(raw) | Value::Bool(raw) | Value::Object(raw) | Value::Array(raw) => {
            push_blanking(raw, out);
        }
        Value::Null => {}
    }
}

fn push_string(raw: &[u8], out: &mut String) {
    let start = out.len();
    if push_unescaped(raw, false, out).is_none() {
        out.truncate(start);
    }
}

/// Makes the line what the object's `_entry` has, and labels of its other strings: `| unpack`.
///
/// Appends the new line to `out` and returns whether there is one. An object without `_entry` was
/// not packed and is left alone.
pub(crate) fn unpack(
    line: &[u8],
    labels: &mut LabelBuilder<'_>,
    scratch: &mut String,
    out: &mut Vec<u8>,
) -> bool {
    const ENTRY: &[u8] = b"_entry";
    if line.is_empty() {
        return false;
    }
    if line[0] != b'{' {
        labels.set_parser_error(JSON_ERROR, Some("expecting json object(6), but it is not"));
        return false;
    }
    let mut entry = None;
    let scanned = scan::members(line, |key, value| {
        if let (ENTRY, Value::String(raw)) = (key, value) {
            entry = Some(raw);
        }
        ControlFlow::Continue(())
    });
    if let Err(malformed) = scanned {
        labels.set_parser_error(JSON_ERROR, Some(&malformed.to_string()));
        return false;
    }
    let Some(entry) = entry else { return false };
    // The object was read to its end just now, so it is well-formed.
    let _ = scan::members(line, |key, value| {
        if let (true, Value::String(raw)) = (key != ENTRY, value)
            && let Some(target) = labels.target(&String::from_utf8_lossy(key))
        {
            labels.set_with(target, |out| push_string(raw, out));
        }
        ControlFlow::Continue(())
    });
    scratch.clear();
    push_string(entry, scratch);
    out.extend_from_slice(scratch.as_bytes());
    true
}

#[cfg(test)]
mod tests;
