//! Values as text, as OpenTelemetry's collector writes them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::proto::opentelemetry::proto::common::v1::any_value::Value;
use super::super::proto::opentelemetry::proto::common::v1::{AnyValue, KeyValue};

/// A value as text: strings as they are, bytes in base64, lists and maps as JSON, nothing as `""`.
pub(super) fn text(value: Option<&AnyValue>) -> Cow<'_, str> {
    let Some(value) = value.and_then(|value| value.value.as_ref()) else { return "".into() };
    match value {
        Value::StringValue(text) => text.as_str().into(),
        Value::BoolValue(value) => if *value { "true" } else { "false" }.into(),
        Value::IntValue(number) => number.to_string().into(),
        Value::DoubleValue(number) => number_text(*number).into(),
        Value::BytesValue(bytes) => STANDARD.encode(bytes).into(),
        Value::ArrayValue(_) | Value::KvlistValue(_) => {
            let mut out = String::new();
            write_json(&mut out, Some(value));
            out.into()
        }
    }
}

/// As JSON has it by JavaScript's rules: an exponent for very small and very large numbers only.
fn number_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = number.abs();
    if number != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        return if size >= 1e21 { text.replacen('e', "e+", 1) } else { text };
    }
    number.to_string()
}

fn write_json(out: &mut String, value: Option<&Value>) {
    match value {
        None => out.push_str("null"),
        Some(Value::StringValue(text)) => write_string(out, text),
        Some(Value::BytesValue(bytes)) => write_string(out, &STANDARD.encode(bytes)),
        Some(Value::BoolValue(value)) => out.push_str(if *value { "true" } else { "false" }),
        // Writing to a String cannot fail.
        Some(Value::IntValue(number)) => drop(write!(out, "{number}")),
        // JSON has no word for them.
        Some(Value::DoubleValue(number)) if !number.is_finite() => out.push_str("null"),
        Some(Value::DoubleValue(number)) => out.push_str(&number_text(*number)),
        Some(Value::ArrayValue(list)) => {
            out.push('[');
            for (index, value) in list.values.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write_json(out, value.value.as_ref());
            }
            out.push(']');
        }
        Some(Value::KvlistValue(list)) => write_map(out, &list.values),
    }
}

/// By name; of a name that is there twice, the later value.
fn write_map(out: &mut String, pairs: &[KeyValue]) {
    let pairs: BTreeMap<&str, Option<&Value>> = pairs
        .iter()
        .map(|pair| (&*pair.key, pair.value.as_ref().and_then(|value| value.value.as_ref())))
        .collect();
    out.push('{');
    for (index, (name, value)) in pairs.into_iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        write_string(out, name);
        out.push(':');
        write_json(out, value);
    }
    out.push('}');
}

/// With the escapes that Go's encoder makes.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::super::super::proto::opentelemetry::proto::common::v1::{ArrayValue, KeyValueList};
    use super::*;

    fn any(value: Value) -> AnyValue {
        AnyValue { value: Some(value) }
    }

    fn string(text: &str) -> AnyValue {
        any(Value::StringValue(text.to_owned()))
    }

    #[test]
    fn values_have_a_text() {
        let list = |values| any(Value::ArrayValue(ArrayValue { values }));
        let pair = |key: &str, value| KeyValue { key: key.to_owned(), value: Some(value) };
        let map = Value::KvlistValue(KeyValueList {
            values: vec![
                pair("z", list(vec![string("<\u{1}\"é"), any(Value::DoubleValue(1.0))])),
                pair("a", any(Value::BytesValue(vec![1, 2]))),
                KeyValue { key: "n".to_owned(), value: None },
                pair("z", list(vec![any(Value::BoolValue(true)), any(Value::IntValue(-7))])),
            ],
        });
        for (value, expected) in [
            (string("as it is\n"), "as it is\n"),
            (any(Value::BoolValue(false)), "false"),
            (any(Value::IntValue(i64::MIN)), "-9223372036854775808"),
            (any(Value::DoubleValue(0.1)), "0.1"),
            (any(Value::DoubleValue(2.0)), "2"),
            (any(Value::DoubleValue(1e21)), "1e+21"),
            (any(Value::DoubleValue(-2.5e-7)), "-2.5e-7"),
            (any(Value::DoubleValue(f64::NEG_INFINITY)), "-Inf"),
            (any(Value::BytesValue(b"hi".to_vec())), "aGk="),
            (any(map), r#"{"a":"AQI=","n":null,"z":[true,-7]}"#),
            (list(vec![string("<\u{1}\"é")]), "[\"\\u003c\\u0001\\\"é\"]"),
            (AnyValue { value: None }, ""),
        ] {
            assert_eq!(text(Some(&value)), expected);
        }
        assert_eq!(text(None), "");
    }
}
