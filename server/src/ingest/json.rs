//! Pushes in JSON.
//!
//! Texts without escapes are borrowed from the body. What a key must hold is checked while reading, so
//! that a body is gone over once; only its first document is read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use timberline_store::Timestamp;

use super::go_text::quote_into;
use super::push::{DecodeError, Push, text};

/// What Loki says of a scalar of the wrong type.
const NOT_A_STRING: &str = "Value is string, but can't find closing '\"' symbol";
/// What Loki says of metadata that is no flat object.
const NOT_AN_OBJECT: &str = "Value looks like object, but can't find closing '}' symbol";

/// Reads `{"streams":[{"stream":{…},"values":[["<ns>","<line>",{…}]]}]}`.
pub(crate) fn decode(body: &[u8]) -> Result<Push<'_>, DecodeError> {
    let mut push = Push::default();
    let mut document = serde_json::Deserializer::from_slice(body);
    document.deserialize_map(Root(&mut push)).map_err(|error| {
        DecodeError::malformed(format!(
            "loghttp.PushRequest.Streams: []loghttp.LogProtoStream: {error}"
        ))
    })?;
    Ok(push)
}

/// A string that is borrowed where it can be. Bytes that are not UTF-8 and halves of surrogate pairs
/// become U+FFFD, as Go has it.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Text<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_bytes(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string: ")?;
        f.write_str(NOT_A_STRING)
    }

    fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Text<'de>, E> {
        Ok(Text(text(bytes)))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text(bytes).into_owned())))
    }
}

/// The document.
struct Root<'p, 'a>(&'p mut Push<'a>);

impl<'de> Visitor<'de> for Root<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with streams")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match &*key.0 {
                "streams" => map.next_value_seed(List(&mut *self.0, StreamOf))?,
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
}

/// Something that reads one element of a list into a push.
trait Element: Copy {
    const WHAT: &'static str;

    fn read<'de, D: serde::Deserializer<'de>>(
        self,
        push: &mut Push<'de>,
        input: D,
    ) -> Result<(), D::Error>;
}

/// A list of elements, of which any may be `null`, as may the list.
struct List<'p, 'a, E>(&'p mut Push<'a>, E);

impl<'de, E: Element> DeserializeSeed<'de> for List<'_, 'de, E> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de, E: Element> Visitor<'de> for List<'_, 'de, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {}", E::WHAT)
    }

    fn visit_unit<F: Error>(self) -> Result<(), F> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(One(&mut *self.0, self.1))?.is_some() {}
        Ok(())
    }
}

struct One<'p, 'a, E>(&'p mut Push<'a>, E);

impl<'de, E: Element> DeserializeSeed<'de> for One<'_, 'de, E> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        self.1.read(self.0, input)
    }
}

#[derive(Clone, Copy)]
struct StreamOf;

impl Element for StreamOf {
    const WHAT: &'static str = "streams";

    fn read<'de, D: serde::Deserializer<'de>>(
        self,
        push: &mut Push<'de>,
        input: D,
    ) -> Result<(), D::Error> {
        input.deserialize_any(StreamVisitor(push))
    }
}

struct StreamVisitor<'p, 'a>(&'p mut Push<'a>);

impl<'de> Visitor<'de> for StreamVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with stream and values")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let start = self.0.entries.len();
        let mut labels = "{}".to_owned();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match &*key.0 {
                "stream" => labels = map.next_value_seed(LabelsOf)?,
                "values" => map.next_value_seed(List(&mut *self.0, EntryOf))?,
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        self.0.add_stream(Cow::Owned(labels), start);
        Ok(())
    }
}

/// A stream's labels, written as the label text that protobuf bodies have.
struct LabelsOf;

impl<'de> DeserializeSeed<'de> for LabelsOf {
    type Value = String;

    fn deserialize<D: serde::Deserializer<'de>>(self, input: D) -> Result<String, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LabelsOf {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of labels")
    }

    fn visit_unit<E: Error>(self) -> Result<String, E> {
        Ok("{}".to_owned())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let mut labels = BTreeMap::new();
        while let Some(name) = map.next_key::<Text<'de>>()? {
            labels.insert(name.0, label_value(map.next_value()?));
        }
        let mut out = String::from("{");
        for (name, value) in &labels {
            if out.len() > 1 {
                out.push_str(", ");
            }
            out.push_str(name);
            out.push('=');
            quote_into(&mut out, value);
        }
        out.push('}');
        Ok(out)
    }
}

/// A label's value: a string, or the JSON text of anything else.
fn label_value(value: &RawValue) -> Cow<'_, str> {
    match serde_json::from_str::<Text<'_>>(value.get()) {
        Ok(Text(text)) => text,
        Err(_) => Cow::Borrowed(value.get()),
    }
}

#[derive(Clone, Copy)]
struct EntryOf;

impl Element for EntryOf {
    const WHAT: &'static str = "entries";

    fn read<'de, D: serde::Deserializer<'de>>(
        self,
        push: &mut Push<'de>,
        input: D,
    ) -> Result<(), D::Error> {
        input.deserialize_any(EntryVisitor(push))
    }
}

struct EntryVisitor<'p, 'a>(&'p mut Push<'a>);

impl<'de> Visitor<'de> for EntryVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of time, line and metadata")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let short = || A::Error::custom(NOT_A_STRING);
        let time: Text<'de> = list.next_element()?.ok_or_else(short)?;
        let timestamp: Timestamp = time
            .0
            .parse()
            .map_err(|_| A::Error::custom(format!("timestamp '{}' is no integer", time.0)))?;
        let line: Text<'de> = list.next_element()?.ok_or_else(short)?;
        let pairs_start = self.0.pairs.len();
        list.next_element_seed(MetadataOf(&mut *self.0))?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        self.0.add_entry(timestamp, line.0, pairs_start);
        Ok(())
    }
}

/// An entry's metadata: a flat object of strings.
struct MetadataOf<'p, 'a>(&'p mut Push<'a>);

impl<'de> DeserializeSeed<'de> for MetadataOf<'_, 'de> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MetadataOf<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings: ")?;
        f.write_str(NOT_AN_OBJECT)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((Text(name), Text(value))) = map.next_entry()? {
            self.0.pairs.push((name, value));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &str) -> Push<'_> {
        decode(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    #[test]
    fn streams_and_entries_are_read() {
        let push = read(
            r#"{"x":[1],"streams":[null,{"values":[null,["5","l1"],["-6","l\u00e92",{"k":"v","l":""}],
            ["7","l3",{},"more",[1]]],"stream":{"b":"x\"y","a":"1","c":2},"z":0},{"stream":{},"values":null}]}rest"#,
        );
        let labels: Vec<&str> = push.streams.iter().map(|stream| &*stream.labels).collect();
        assert_eq!(labels, [r#"{a="1", b="x\"y", c="2"}"#, "{}"]);
        assert_eq!(push.streams[0].entries, 0..3);
        assert_eq!(push.streams[1].entries, 3..3);
        let lines: Vec<(i64, &str)> =
            push.entries.iter().map(|entry| (entry.timestamp, &*entry.line)).collect();
        assert_eq!(lines, [(5, "l1"), (-6, "lé2"), (7, "l3")]);
        assert_eq!(push.pairs, [("k".into(), "v".into()), ("l".into(), "".into())]);
        assert_eq!(push.entries[1].pairs, 0..2);
    }

    #[test]
    fn empty_documents_have_no_streams() {
        for body in ["{}", r#"{"streams":[]}"#, r#"{"streams":null}"#] {
            assert!(read(body).streams.is_empty(), "{body}");
        }
    }

    #[test]
    fn shapes_are_checked() {
        for (entry, phrase) in [
            (r#"[5,"x"]"#, NOT_A_STRING),
            (r#"["5",6]"#, NOT_A_STRING),
            (r#"["5"]"#, NOT_A_STRING),
            (r#"["x","y"]"#, "'x' is no integer"),
            (r#"["5","x",{"a":1}]"#, NOT_A_STRING),
            (r#"["5","x",{"a":null}]"#, NOT_A_STRING),
            (r#"["5","x",{"a":{"b":"c"}}]"#, NOT_A_STRING),
            (r#"["5","x",7]"#, NOT_AN_OBJECT),
            (r#"["5","x",null]"#, NOT_AN_OBJECT),
            (r#"["5","x",["a"]]"#, NOT_AN_OBJECT),
        ] {
            let body = format!(r#"{{"streams":[{{"stream":{{}},"values":[{entry}]}}]}}"#);
            let text = decode(body.as_bytes()).unwrap_err().to_string();
            assert!(text.contains(phrase), "{entry}: {text}");
            assert!(text.starts_with("loghttp.PushRequest.Streams"), "{text}");
        }
        for body in ["", "[]", "{", "5", r#"{"streams":5}"#, r#"{"streams":[{"stream":5}]}"#] {
            assert!(decode(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn texts_that_are_not_utf8_are_made_so() {
        let body = b"{\"streams\":[{\"values\":[[\"1\",\"a\xff\\ud800b\"]]}]}";
        let line = &decode(body).unwrap().entries[0].line;
        assert!(line.starts_with("a\u{fffd}") && line.ends_with('b'), "{line}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(
            body in "(\\{\"streams\":\\[\\{\"(stream|values)\":)?[\\[\\]{}\",:a1u\\\\ ]{0,30}"
        ) {
            let _ = decode(body.as_bytes());
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(&body);
        }
    }
}
