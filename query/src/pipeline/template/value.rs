//! The values templates work on, with Go's idea of their types.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::time::Time;

/// Text that is borrowed from the template or the entry, or shared after a computation.
///
/// Bytes, not `str`: functions such as `trunc` may cut through a character.
#[derive(Debug, Clone)]
pub(super) enum Text<'a> {
    Borrowed(&'a [u8]),
    Shared(Rc<Vec<u8>>),
}

impl Text<'_> {
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Text::Borrowed(bytes) => bytes,
            Text::Shared(bytes) => bytes,
        }
    }
}

/// A value. Variants are told apart as Go types are: `add` returns an `int64`, which `trunc`, that
/// wants an `int`, refuses.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    /// No value at all; prints as `<no value>`.
    Nil,
    /// A nil inside a JSON value. A field of it is an error, where one of [`Value::Nil`] is not.
    NilInterface,
    Bool(bool),
    Int(i64),
    Int64(i64),
    Byte(u8),
    Float(f64),
    Text(Text<'a>),
    Time(Time),
    /// Nanoseconds.
    Duration(i64),
    Month(i64),
    Weekday(i64),
    List(Rc<Vec<Value<'a>>>),
    Map(Rc<BTreeMap<Vec<u8>, Value<'a>>>),
    /// A map of texts: what it has not is the empty text.
    Strings(Rc<BTreeMap<Vec<u8>, Value<'a>>>),
    /// A structure: what it has not is an error.
    Record(Rc<Record<'a>>),
    /// The labels of the entry: the dot a template starts with.
    Labels,
}

/// A structure of Go's: its type, and its fields in order.
#[derive(Debug, Clone)]
pub(super) struct Record<'a> {
    pub(super) type_name: &'static str,
    pub(super) fields: Vec<(&'static str, Value<'a>)>,
}

impl<'a> Record<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

impl<'a> Value<'a> {
    pub(super) fn borrowed(text: &'a str) -> Value<'a> {
        Value::Text(Text::Borrowed(text.as_bytes()))
    }

    pub(super) fn bytes(bytes: Vec<u8>) -> Value<'a> {
        Value::Text(Text::Shared(Rc::new(bytes)))
    }

    pub(super) fn string(text: String) -> Value<'a> {
        Value::bytes(text.into_bytes())
    }

    pub(super) fn is_nil(&self) -> bool {
        matches!(self, Value::Nil | Value::NilInterface)
    }

    /// The type as Go's `%T` prints it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "<nil>",
            Value::NilInterface => "interface {}",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Int64(_) => "int64",
            Value::Byte(_) => "uint8",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::Time(_) => "time.Time",
            Value::Duration(_) => "time.Duration",
            Value::Month(_) => "time.Month",
            Value::Weekday(_) => "time.Weekday",
            Value::List(_) => "[]interface {}",
            Value::Map(_) => "map[string]interface {}",
            Value::Labels | Value::Strings(_) => "map[string]string",
            Value::Record(record) => record.type_name,
        }
    }

    /// The value of any signed integer type.
    pub(super) fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(n)
            | Value::Int64(n)
            | Value::Duration(n)
            | Value::Month(n)
            | Value::Weekday(n) => Some(*n),
            _ => None,
        }
    }

    pub(super) fn as_text(&self) -> Option<&[u8]> {
        match self {
            Value::Text(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// Whether `if` takes the value for true. `labels` is how many labels the entry has.
    pub(super) fn is_true(&self, labels: impl FnOnce() -> usize) -> bool {
        match self {
            Value::Nil | Value::NilInterface => false,
            Value::Bool(value) => *value,
            Value::Int(n)
            | Value::Int64(n)
            | Value::Duration(n)
            | Value::Month(n)
            | Value::Weekday(n) => *n != 0,
            Value::Byte(byte) => *byte != 0,
            Value::Float(float) => *float != 0.0,
            Value::Text(text) => !text.as_bytes().is_empty(),
            Value::Time(_) | Value::Record(_) => true,
            Value::List(list) => !list.is_empty(),
            Value::Map(map) | Value::Strings(map) => !map.is_empty(),
            Value::Labels => labels() > 0,
        }
    }
}

impl From<serde_json::Value> for Value<'_> {
    /// As Go decodes JSON without a target type: every number is a float.
    fn from(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Value::NilInterface,
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(number) => Value::Float(number.as_f64().unwrap_or_default()),
            serde_json::Value::String(text) => Value::string(text),
            serde_json::Value::Array(items) => {
                Value::List(Rc::new(items.into_iter().map(Value::from).collect()))
            }
            serde_json::Value::Object(fields) => {
                let fields = fields.into_iter();
                let map = fields.map(|(key, value)| (key.into_bytes(), Value::from(value)));
                Value::Map(Rc::new(map.collect()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_empty_are_false() {
        for value in [
            Value::Nil,
            Value::Bool(false),
            Value::Int(0),
            Value::Float(0.0),
            Value::borrowed(""),
            Value::List(Rc::default()),
            Value::Labels,
        ] {
            assert!(!value.is_true(|| 0), "{value:?}");
        }
        for value in [Value::Int64(-1), Value::borrowed(" "), Value::Labels] {
            assert!(value.is_true(|| 1), "{value:?}");
        }
    }
}
