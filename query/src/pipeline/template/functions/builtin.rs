//! The functions of the template language itself.

use std::cmp::Ordering;
use std::rc::Rc;

use super::Param::{Any, Reflect};
use super::{Context, Function, Returned, fixed, text, variadic};
use crate::golang::quote;
use crate::pipeline::template::print::{sprint, sprintf, sprintln};
use crate::pipeline::template::value::{Text, Value};

pub(super) const ALL: &[Function] = &[
    // Evaluated by the caller, which stops at the argument that decides.
    variadic("and", &[Reflect], Reflect, |_, args| Ok(last(args))),
    variadic("or", &[Reflect], Reflect, |_, args| Ok(last(args))),
    fixed("not", &[Reflect], |context, args| Ok(Value::Bool(!is_true(context, args)))),
    variadic("eq", &[Reflect], Reflect, |context, args| eq(context, args).map(Value::Bool)),
    fixed("ne", &[Reflect, Reflect], |context, args| {
        eq(context, args).map(|equal| Value::Bool(!equal))
    }),
    fixed("lt", &[Reflect, Reflect], |_, args| compare(args, Ordering::is_lt)),
    fixed("le", &[Reflect, Reflect], |_, args| compare(args, Ordering::is_le)),
    fixed("gt", &[Reflect, Reflect], |_, args| compare(args, Ordering::is_gt)),
    fixed("ge", &[Reflect, Reflect], |_, args| compare(args, Ordering::is_ge)),
    fixed("len", &[Reflect], len),
    variadic("index", &[Reflect], Reflect, index),
    variadic("slice", &[Reflect], Reflect, slice),
    variadic("print", &[], Any, |context, args| Ok(Value::bytes(sprint(args, context.data)))),
    variadic("println", &[], Any, |context, args| Ok(Value::bytes(sprintln(args, context.data)))),
    variadic("printf", &[super::Param::Text], Any, |context, args| {
        sprintf(text(args, 0), args.get(1..).unwrap_or_default(), context.data).map(Value::bytes)
    }),
    variadic("html", &[], Any, |context, args| Ok(Value::bytes(html(&joined(context, args))))),
    variadic("js", &[], Any, |context, args| Ok(Value::bytes(js(&joined(context, args))))),
    variadic("urlquery", &[], Any, |context, args| {
        Ok(Value::string(super::encoding::query_escape(&joined(context, args))))
    }),
    variadic("call", &[Reflect], Reflect, |_, args| match args.first() {
        Some(callee) if !callee.is_nil() => {
            Err(format!("non-function of type {}", callee.type_name()))
        }
        _ => Err("call of nil".to_owned()),
    }),
];

fn last<'a>(args: &[Value<'a>]) -> Value<'a> {
    args.last().cloned().unwrap_or(Value::Nil)
}

fn is_true(context: &Context<'_>, args: &[Value<'_>]) -> bool {
    args.first().is_some_and(|arg| arg.is_true(|| context.data.labels().len()))
}

/// The first operand equals any of the others.
fn eq(context: &Context<'_>, args: &[Value<'_>]) -> Result<bool, String> {
    let Some((first, others)) = args.split_first().filter(|(_, others)| !others.is_empty()) else {
        return Err("missing argument for comparison".to_owned());
    };
    for other in others {
        if equals(context, first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn incompatible(a: &Value<'_>, b: &Value<'_>) -> String {
    format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name())
}

fn equals(context: &Context<'_>, a: &Value<'_>, b: &Value<'_>) -> Result<bool, String> {
    if a.is_nil() || b.is_nil() {
        return Ok(a.is_nil() && b.is_nil());
    }
    if let Some(order) = order(a, b) {
        return Ok(order == Some(Ordering::Equal));
    }
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Time(a), Value::Time(b)) => Ok(a.order(b).is_eq()),
        _ if has_basic_kind(a) || has_basic_kind(b) => Err(incompatible(a, b)),
        _ => Err(not_comparable(context, a, b)),
    }
}

/// Lists and maps have no equality; the message shows them.
fn not_comparable(context: &Context<'_>, a: &Value<'_>, b: &Value<'_>) -> String {
    let is_same_kind = matches!(
        (a, b),
        (Value::List(_), Value::List(_))
            | (
                Value::Map(_) | Value::Strings(_) | Value::Labels,
                Value::Map(_) | Value::Strings(_) | Value::Labels
            )
    );
    let (a_type, b_type) = (Value::borrowed(a.type_name()), Value::borrowed(b.type_name()));
    let message = if is_same_kind {
        sprintf(b"non-comparable type %s: %v", &[b.clone(), b_type], context.data)
    } else {
        let args = [a.clone(), a_type, b_type, b.clone()];
        sprintf(b"non-comparable types %s: %v, %s: %v", &args, context.data)
    };
    message.map_or_else(|error| error, |text| String::from_utf8_lossy(&text).into_owned())
}

fn has_basic_kind(value: &Value<'_>) -> bool {
    use Value::{Labels, List, Map, Record, Strings, Time};
    !matches!(value, Time(_) | List(_) | Map(_) | Strings(_) | Record(_) | Labels)
        && !value.is_nil()
}

/// The order of two values of one ordered kind, `Some(None)` with a NaN.
fn order(a: &Value<'_>, b: &Value<'_>) -> Option<Option<Ordering>> {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => Some(a.partial_cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(Some(a.as_bytes().cmp(b.as_bytes()))),
        _ => Some(Some(integer(a)?.cmp(&integer(b)?))),
    }
}

/// Integers compare whatever their size and sign.
fn integer(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Byte(byte) => Some(i64::from(*byte)),
        other => other.as_int(),
    }
}

fn compare<'a>(args: &[Value<'a>], holds: fn(Ordering) -> bool) -> Returned<'a> {
    let (Some(a), Some(b)) = (args.first(), args.get(1)) else {
        return Err("missing argument for comparison".to_owned());
    };
    match order(a, b) {
        Some(Some(order)) => Ok(Value::Bool(holds(order))),
        // Go derives `gt` and `ge` by negation, so they hold for a NaN.
        Some(None) => Ok(Value::Bool(holds(Ordering::Greater))),
        None if !has_basic_kind(a) || !has_basic_kind(b) || is_bool(a) && is_bool(b) => {
            Err("invalid type for comparison".to_owned())
        }
        None => Err(incompatible(a, b)),
    }
}

fn is_bool(value: &Value<'_>) -> bool {
    matches!(value, Value::Bool(_))
}

fn len<'a>(context: &Context<'a>, args: &[Value<'a>]) -> Returned<'a> {
    let item = args.first().unwrap_or(&Value::Nil);
    let length = match item {
        Value::Text(text) => text.as_bytes().len(),
        Value::List(list) => list.len(),
        Value::Map(map) | Value::Strings(map) => map.len(),
        Value::Labels => context.data.labels().len(),
        Value::NilInterface => return Err("len of nil pointer".to_owned()),
        Value::Nil => {
            return Err("reflect: call of reflect.Value.Type on zero Value".to_owned());
        }
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index<'a>(context: &Context<'a>, args: &[Value<'a>]) -> Returned<'a> {
    let Some((item, indices)) = args.split_first().filter(|(item, _)| !item.is_nil()) else {
        return Err("index of untyped nil".to_owned());
    };
    let mut item = item.clone();
    for index in indices {
        item = index_once(context, &item, index)?;
    }
    Ok(item)
}

fn index_once<'a>(context: &Context<'a>, item: &Value<'a>, index: &Value<'a>) -> Returned<'a> {
    match item {
        Value::Text(text) => {
            let bytes = text.as_bytes();
            let at = position(index, bytes.len())?;
            let byte = bytes.get(at).ok_or("reflect: string index out of range")?;
            Ok(Value::Byte(*byte))
        }
        Value::List(list) => {
            let at = position(index, list.len())?;
            list.get(at).cloned().ok_or_else(|| "reflect: slice index out of range".to_owned())
        }
        Value::Map(map) => Ok(map.get(map_key(index)?).cloned().unwrap_or(Value::NilInterface)),
        Value::Strings(map) => Ok(map.get(map_key(index)?).cloned().unwrap_or(Value::borrowed(""))),
        Value::Labels => {
            let name = String::from_utf8_lossy(map_key(index)?);
            Ok(Value::borrowed(context.data.label(&name).unwrap_or_default()))
        }
        Value::Nil | Value::NilInterface => Err("index of nil pointer".to_owned()),
        other => Err(format!("can't index item of type {}", other.type_name())),
    }
}

fn map_key<'v>(index: &'v Value<'_>) -> Result<&'v [u8], String> {
    if index.is_nil() {
        return Err("value is nil; should be of type string".to_owned());
    }
    index.as_text().ok_or_else(|| format!("value has type {}; should be string", index.type_name()))
}

/// An index from 0 to `length`, which the caller still has to reject where it must be below.
fn position(index: &Value<'_>, length: usize) -> Result<usize, String> {
    if index.is_nil() {
        return Err("cannot index slice/array with nil".to_owned());
    }
    let Some(at) = integer(index) else {
        return Err(format!("cannot index slice/array with type {}", index.type_name()));
    };
    let in_range = usize::try_from(at).ok().filter(|at| *at <= length);
    in_range.ok_or_else(|| format!("index out of range: {at}"))
}

fn slice<'a>(_: &Context<'a>, args: &[Value<'a>]) -> Returned<'a> {
    let Some((item, indices)) = args.split_first().filter(|(item, _)| !item.is_nil()) else {
        return Err("slice of untyped nil".to_owned());
    };
    if indices.len() > 3 {
        return Err(format!("too many slice indexes: {}", indices.len()));
    }
    let length = match item {
        Value::Text(_) if indices.len() == 3 => {
            return Err("cannot 3-index slice a string".to_owned());
        }
        Value::Text(text) => text.as_bytes().len(),
        Value::List(list) => list.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(indices) {
        *bound = position(index, length)?;
    }
    let [start, end, capacity] = bounds;
    for (low, high) in [(start, end), (end, capacity)] {
        if low > high {
            return Err(format!("invalid slice index: {low} > {high}"));
        }
    }
    Ok(match item {
        Value::Text(Text::Borrowed(bytes)) => Value::Text(Text::Borrowed(&bytes[start..end])),
        Value::Text(text) => Value::bytes(text.as_bytes()[start..end].to_vec()),
        Value::List(list) => Value::List(Rc::new(list[start..end].to_vec())),
        _ => Value::Nil,
    })
}

/// The operands as one text.
fn joined(context: &Context<'_>, args: &[Value<'_>]) -> Vec<u8> {
    match args {
        [Value::Text(text)] => text.as_bytes().to_vec(),
        [arg] if arg.is_nil() => b"<no value>".to_vec(),
        _ => sprint(args, context.data),
    }
}

fn html(bytes: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            0 => escaped.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => escaped.extend_from_slice(b"&#34;"),
            b'\'' => escaped.extend_from_slice(b"&#39;"),
            b'&' => escaped.extend_from_slice(b"&amp;"),
            b'<' => escaped.extend_from_slice(b"&lt;"),
            b'>' => escaped.extend_from_slice(b"&gt;"),
            byte => escaped.push(*byte),
        }
    }
    escaped
}

fn js(bytes: &[u8]) -> Vec<u8> {
    let mut escaped = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\'' => escaped.push_str("\\'"),
            '"' => escaped.push_str("\\\""),
            '<' | '>' | '&' | '=' | '\0'..='\x1f' => {
                escaped.push_str(&format!("\\u{:04X}", u32::from(c)));
            }
            c if c.is_ascii() || is_printable(c) => escaped.push(c),
            c => escaped.push_str(&format!("\\u{:04X}", u32::from(c))),
        }
    }
    escaped.into_bytes()
}

fn is_printable(c: char) -> bool {
    quote(c.encode_utf8(&mut [0; 4])).trim_matches('"').chars().eq([c])
}
