//! Times and records of events.

use std::borrow::Cow;
use std::fmt::Write as _;

use timberline_store::Timestamp;

use super::super::push::{Pair, text};
use super::msgpack::{Invalid, Reader, Token};

/// Values within values, beyond which there is no sense in it.
const DEPTH_MAX: usize = 64;

/// Maps within maps, beyond which they stay as they are.
const FLAT_DEPTH_MAX: usize = 16;

/// The longest name that maps are still taken apart below: names are repeated for each of their fields.
const NAME_BYTES_MAX: usize = 256;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// When an event was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// To the nanosecond.
    Exact(Timestamp),
    /// Seconds since 1970: other events will have the same.
    Second(i64),
}

/// Reads a time: seconds, or `EventTime`. Fluent Bit puts it into a list, with metadata behind it, whose
/// fields are added to the event's.
pub(super) fn time<'a>(
    input: &mut Reader<'a>,
    fields: &mut Vec<Pair<'a>>,
) -> Result<Option<Time>, Invalid> {
    if let Token::Array(count) = input.peek()? {
        input
            .array_of(2, "a time with metadata")
            .map_err(|_| Invalid::new(format!("a time of {count} parts")))?;
        let time = bare_time(input)?;
        flatten(input, fields)?;
        return Ok(time);
    }
    bare_time(input)
}

fn bare_time(input: &mut Reader<'_>) -> Result<Option<Time>, Invalid> {
    let wrong = || Invalid::new("an event's time is no time");
    Ok(match input.token()? {
        Token::Nil | Token::Uint(0) => None,
        Token::Uint(seconds) => Some(Time::Second(i64::try_from(seconds).map_err(|_| wrong())?)),
        Token::Int(seconds) => Some(Time::Second(seconds)),
        #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
        Token::Float(seconds) if seconds.is_finite() => Some(Time::Exact((seconds * 1e9) as i64)),
        Token::Ext(0, data) => {
            let (seconds, nanos) = data.split_at_checked(4).ok_or_else(wrong)?;
            let number =
                |bytes: &[u8]| bytes.try_into().map(u32::from_be_bytes).map_err(|_| wrong());
            let (seconds, nanos) = (number(seconds)?, number(nanos)?);
            Some(Time::Exact(i64::from(seconds) * NANOS_PER_SECOND + i64::from(nanos)))
        }
        _ => return Err(wrong()),
    })
}

/// Reads a record, and adds its fields: `{"a":{"b":1}}` is `a.b`. Lists become JSON; nil is no field.
pub(super) fn flatten<'a>(input: &mut Reader<'a>, out: &mut Vec<Pair<'a>>) -> Result<(), Invalid> {
    match input.token()? {
        Token::Map(count) => flatten_below("", count, 0, input, out),
        _ => Err(Invalid::new("a record is no map")),
    }
}

fn flatten_below<'a>(
    prefix: &str,
    count: u32,
    depth: usize,
    input: &mut Reader<'a>,
    out: &mut Vec<Pair<'a>>,
) -> Result<(), Invalid> {
    for _ in 0..count {
        let key = key(input)?;
        let name = match prefix {
            "" => key,
            prefix => Cow::Owned(format!("{prefix}.{key}")),
        };
        let is_deep = depth >= FLAT_DEPTH_MAX || name.len() > NAME_BYTES_MAX;
        let value = match input.peek()? {
            Token::Nil => {
                input.token()?;
                continue;
            }
            Token::Map(count) if !is_deep => {
                input.token()?;
                flatten_below(&name, count, depth + 1, input, out)?;
                continue;
            }
            Token::Str(bytes) | Token::Bin(bytes) => {
                input.token()?;
                text(bytes)
            }
            _ => {
                let mut json = String::new();
                write_json(input, 0, &mut json)?;
                Cow::Owned(json)
            }
        };
        out.push((name, value));
    }
    Ok(())
}

fn key<'a>(input: &mut Reader<'a>) -> Result<Cow<'a, str>, Invalid> {
    match input.peek()? {
        Token::Str(bytes) | Token::Bin(bytes) => {
            input.token()?;
            Ok(text(bytes))
        }
        _ => {
            let mut json = String::new();
            write_json(input, 0, &mut json)?;
            Ok(Cow::Owned(json))
        }
    }
}

/// A value as JSON.
pub(super) fn to_json(value: &[u8]) -> Result<String, Invalid> {
    let mut out = String::new();
    write_json(&mut Reader::new(value), 0, &mut out)?;
    Ok(out)
}

fn write_json(input: &mut Reader<'_>, depth: usize, out: &mut String) -> Result<(), Invalid> {
    if depth > DEPTH_MAX {
        return Err(Invalid::new(format!("more than {DEPTH_MAX} values within each other")));
    }
    // Writing to a String cannot fail.
    match input.token()? {
        Token::Nil => out.push_str("null"),
        Token::Bool(value) => _ = write!(out, "{value}"),
        Token::Int(number) => _ = write!(out, "{number}"),
        Token::Uint(number) => _ = write!(out, "{number}"),
        Token::Float(number) if number.is_finite() => _ = write!(out, "{number}"),
        Token::Float(number) => _ = write!(out, "\"{number}\""),
        Token::Str(bytes) | Token::Bin(bytes) => quote(&text(bytes), out),
        Token::Ext(kind, bytes) => {
            let _ = write!(out, "\"ext {kind}:");
            bytes.iter().for_each(|byte| _ = write!(out, " {byte:02x}"));
            out.push('"');
        }
        Token::Array(count) => {
            out.push('[');
            for index in 0..count {
                out.push_str(if index > 0 { "," } else { "" });
                write_json(input, depth + 1, out)?;
            }
            out.push(']');
        }
        Token::Map(count) => {
            out.push('{');
            for index in 0..count {
                out.push_str(if index > 0 { "," } else { "" });
                let name = match input.peek()? {
                    Token::Str(bytes) | Token::Bin(bytes) => {
                        input.token()?;
                        text(bytes)
                    }
                    _ => {
                        let mut name = String::new();
                        write_json(input, depth + 1, &mut name)?;
                        Cow::Owned(name)
                    }
                };
                quote(&name, out);
                out.push(':');
                write_json(input, depth + 1, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}
