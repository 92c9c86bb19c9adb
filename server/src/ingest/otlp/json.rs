//! Requests in OTLP's JSON: names in camel case, 64-bit numbers as texts, ids in hexadecimal.
//!
//! The generated types are read by serde; here is what their fields need beyond that. Unknown keys are
//! passed over and `null` is the same as nothing, as the format asks for.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Unexpected, Visitor};

use super::super::proto::opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
use super::super::proto::opentelemetry::proto::common::v1::AnyValue;
use super::super::proto::opentelemetry::proto::common::v1::any_value::Value;
use super::super::push::DecodeError;

/// Reads a request.
pub(super) fn decode(body: &[u8]) -> Result<ExportLogsServiceRequest, DecodeError> {
    serde_json::from_slice(body).map_err(|error| DecodeError::malformed(error.to_string()))
}

/// Anything, or `null` for nothing.
pub(crate) fn nullable<'de, D, T>(input: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

/// A whole number, which may be written as text.
pub(crate) fn integer<'de, D, T>(input: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + FromStr + TryFrom<u64> + TryFrom<i64>,
{
    input.deserialize_any(Integer(PhantomData))
}

struct Integer<T>(PhantomData<T>);

impl<T> Visitor<'_> for Integer<T>
where
    T: Default + FromStr + TryFrom<u64> + TryFrom<i64>,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, which may be written as text")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        T::try_from(number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }
}

/// A severity, by its number or its name.
pub(crate) fn severity<'de, D: Deserializer<'de>>(input: D) -> Result<i32, D::Error> {
    struct Severity;
    impl Visitor<'_> for Severity {
        type Value = i32;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a severity's number or name, such as SEVERITY_NUMBER_INFO")
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<i32, E> {
            i32::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<i32, E> {
            i32::try_from(number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<i32, E> {
            let number = text.parse().ok().or_else(|| severity_of_name(text));
            number.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
        }

        fn visit_unit<E: Error>(self) -> Result<i32, E> {
            Ok(0)
        }
    }
    input.deserialize_any(Severity)
}

/// `SEVERITY_NUMBER_INFO2` is 10.
fn severity_of_name(name: &str) -> Option<i32> {
    const NAMES: [(&str, i32); 6] =
        [("TRACE", 1), ("DEBUG", 5), ("INFO", 9), ("WARN", 13), ("ERROR", 17), ("FATAL", 21)];
    let name = name.strip_prefix("SEVERITY_NUMBER_")?;
    if name == "UNSPECIFIED" {
        return Some(0);
    }
    NAMES.iter().find_map(|(word, first)| match name.strip_prefix(word)? {
        "" => Some(*first),
        "2" => Some(first + 1),
        "3" => Some(first + 2),
        "4" => Some(first + 3),
        _ => None,
    })
}

/// Bytes in hexadecimal digits of any case.
pub(crate) fn hex<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<u8>, D::Error> {
    let text: String = nullable(input)?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
    bytes.ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &"hexadecimal digits"))
}

impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = AnyValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with one value, such as stringValue")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnyValue, A::Error> {
                let mut value = None;
                while let Some(key) = map.next_key::<String>()? {
                    if let Some(found) = read_value(&key, &mut map)? {
                        value = Some(found);
                    }
                }
                Ok(AnyValue { value })
            }

            fn visit_unit<E: Error>(self) -> Result<AnyValue, E> {
                Ok(AnyValue { value: None })
            }
        }
        input.deserialize_any(Any)
    }
}

/// The value of a key; `None` of one that is unknown or `null`.
fn read_value<'de, A: MapAccess<'de>>(key: &str, map: &mut A) -> Result<Option<Value>, A::Error> {
    Ok(match key {
        "stringValue" => map.next_value::<Option<_>>()?.map(Value::StringValue),
        "boolValue" => map.next_value::<Option<_>>()?.map(Value::BoolValue),
        "intValue" => map.next_value::<Option<IntegerText>>()?.map(|int| Value::IntValue(int.0)),
        "doubleValue" => {
            map.next_value::<Option<DoubleText>>()?.map(|double| Value::DoubleValue(double.0))
        }
        "arrayValue" => map.next_value::<Option<_>>()?.map(Value::ArrayValue),
        "kvlistValue" => map.next_value::<Option<_>>()?.map(Value::KvlistValue),
        "bytesValue" => map.next_value::<Option<Base64>>()?.map(|bytes| Value::BytesValue(bytes.0)),
        _ => {
            map.next_value::<IgnoredAny>()?;
            None
        }
    })
}

struct IntegerText(i64);

impl<'de> Deserialize<'de> for IntegerText {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        integer(input).map(Self)
    }
}

struct DoubleText(f64);

impl<'de> Deserialize<'de> for DoubleText {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Double;
        impl Visitor<'_> for Double {
            type Value = f64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or NaN, Infinity or -Infinity as text")
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
                Ok(number)
            }

            #[expect(clippy::cast_precision_loss, reason = "what a double has for the number")]
            fn visit_u64<E: Error>(self, number: u64) -> Result<f64, E> {
                Ok(number as f64)
            }

            #[expect(clippy::cast_precision_loss, reason = "what a double has for the number")]
            fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
                Ok(number as f64)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
                // Rust reads the three words, too.
                text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        input.deserialize_any(Double).map(Self)
    }
}

struct Base64(Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        STANDARD.decode(&text).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_record(
        fields: &str,
    ) -> Result<super::super::super::proto::opentelemetry::proto::logs::v1::LogRecord, DecodeError>
    {
        let body = format!(
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{{fields}}}],"unknown":[1]}}]}}]}}"#
        );
        let mut request = decode(body.as_bytes())?;
        Ok(request.resource_logs.remove(0).scope_logs.remove(0).log_records.remove(0))
    }

    #[test]
    fn numbers_may_be_texts_and_ids_are_hexadecimal() {
        let record = log_record(
            r#""timeUnixNano":"1793534400000000001","observedTimeUnixNano":1793534400000000002,
               "severityNumber":"SEVERITY_NUMBER_WARN2","traceId":"5B8EFFF798038103D269B633813FC60C",
               "spanId":"","flags":1,"droppedAttributesCount":null,"attributes":null,"body":null"#,
        )
        .unwrap();
        assert_eq!(record.time_unix_nano, 1_793_534_400_000_000_001);
        assert_eq!(record.observed_time_unix_nano, 1_793_534_400_000_000_002);
        assert_eq!(record.severity_number, 14);
        assert_eq!(
            (record.trace_id.len(), record.trace_id[1], record.span_id.len()),
            (16, 0x8e, 0)
        );
        assert_eq!((record.flags, record.body), (1, None));
    }

    #[test]
    fn values_of_all_kinds_are_read() {
        for (json, text) in [
            (r#"{"stringValue":"x"}"#, "x"),
            (r#"{"boolValue":true}"#, "true"),
            (r#"{"intValue":"-7"}"#, "-7"),
            (r#"{"intValue":7}"#, "7"),
            (r#"{"doubleValue":1}"#, "1"),
            (r#"{"doubleValue":"NaN"}"#, "NaN"),
            (r#"{"bytesValue":"aGk="}"#, "aGk="),
            (r#"{"arrayValue":{"values":[{"intValue":1},{}]}}"#, "[1,null]"),
            (
                r#"{"kvlistValue":{"values":[{"key":"a","value":{"boolValue":false}}]}}"#,
                r#"{"a":false}"#,
            ),
            (r#"{"stringValue":null,"other":{}}"#, ""),
        ] {
            let record = log_record(&format!(r#""body":{json}"#)).unwrap();
            assert_eq!(super::super::value::text(record.body.as_ref()), text, "{json}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for fields in [
            r#""timeUnixNano":1.5"#,
            r#""timeUnixNano":"x""#,
            r#""timeUnixNano":-1"#,
            r#""traceId":"5B8EFFF798038103D269B633813FC60""#,
            r#""traceId":"zz""#,
            r#""severityNumber":"LOUD""#,
            r#""body":"text""#,
            r#""body":{"bytesValue":"?"}"#,
            r#""flags":4294967296"#,
        ] {
            let refused = log_record(fields);
            assert!(matches!(refused, Err(DecodeError::Malformed(_))), "{fields}");
        }
        let deep = format!("{}{}", r#"{"arrayValue":{"values":["#.repeat(500), "]}}".repeat(500));
        assert!(log_record(&format!(r#""body":{deep}"#)).is_err());
    }
}
