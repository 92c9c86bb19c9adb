//! Detected labels, fields and values. None of them has an envelope.

use std::collections::BTreeSet;

use timberline_query::fields::{LineSyntax, ValueKind};

use super::json::Json;

/// A field that lines turned out to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectedField {
    /// The label that a parser makes of it.
    pub name: String,
    /// What its values look like.
    pub kind: ValueKind,
    /// How many values it has.
    pub cardinality: usize,
    /// The parsers that find it, as they were needed; none for structured metadata.
    pub parsers: Vec<LineSyntax>,
    /// In JSON, the keys that lead to it; empty where it was in none.
    pub json_path: Vec<String>,
}

/// The body of `detected_labels`: names with how many values they have.
#[must_use]
pub fn detected_labels(labels: &[(&str, usize)]) -> Vec<u8> {
    let mut out = Json::default();
    out.raw(r#"{"detectedLabels":["#);
    for (index, (name, cardinality)) in labels.iter().enumerate() {
        out.comma(index);
        out.raw(r#"{"label":"#);
        out.text(name);
        out.raw(r#","cardinality":"#);
        out.number(cardinality);
        out.raw("}");
    }
    out.raw("]}\n");
    out.into_bytes()
}

/// The body of `detected_fields`; an empty object where there is none.
#[must_use]
pub fn detected_fields(fields: &[DetectedField], limit: usize) -> Vec<u8> {
    let mut out = Json::default();
    if fields.is_empty() {
        out.raw("{}\n");
        return out.into_bytes();
    }
    out.raw(r#"{"fields":["#);
    for (index, field) in fields.iter().enumerate() {
        out.comma(index);
        write_field(&mut out, field);
    }
    write_limit(&mut out, limit);
    out.into_bytes()
}

fn write_field(out: &mut Json, field: &DetectedField) {
    out.raw(r#"{"label":"#);
    out.text(&field.name);
    out.raw(r#","type":"#);
    out.text(field.kind.name());
    out.raw(r#","cardinality":"#);
    out.number(field.cardinality);
    out.raw(r#","parsers":"#);
    if field.parsers.is_empty() {
        // Clients tell structured metadata by this; an empty list would be something else.
        out.raw("null");
    } else {
        write_texts(out, field.parsers.iter().map(|parser| parser.name()));
    }
    if !field.json_path.is_empty() {
        out.raw(r#","jsonPath":"#);
        write_texts(out, field.json_path.iter().map(String::as_str));
    }
    out.raw("}");
}

/// The body of `detected_field/{name}/values`; an empty object where there is none.
#[must_use]
pub fn detected_values(values: &BTreeSet<String>, limit: usize) -> Vec<u8> {
    let mut out = Json::default();
    if values.is_empty() {
        out.raw("{}\n");
        return out.into_bytes();
    }
    out.raw(r#"{"values":["#);
    for (index, value) in values.iter().enumerate() {
        out.comma(index);
        out.text(value);
    }
    write_limit(&mut out, limit);
    out.into_bytes()
}

fn write_texts<'a>(out: &mut Json, texts: impl Iterator<Item = &'a str>) {
    out.raw("[");
    for (index, text) in texts.enumerate() {
        out.comma(index);
        out.text(text);
    }
    out.raw("]");
}

/// Ends the list and the body.
fn write_limit(out: &mut Json, limit: usize) {
    out.raw(r#"],"limit":"#);
    out.number(limit);
    out.raw("}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_say_how_they_are_found() {
        let field = |name: &str, parsers: &[LineSyntax], path: &[&str]| DetectedField {
            name: name.to_owned(),
            kind: ValueKind::Int,
            cardinality: 2,
            parsers: parsers.to_vec(),
            json_path: path.iter().map(|&key| key.to_owned()).collect(),
        };
        let fields = [
            field("trace_id", &[], &[]),
            field("user_id", &[LineSyntax::Json, LineSyntax::Logfmt], &["user", "id"]),
        ];
        let expected = concat!(
            r#"{"fields":[{"label":"trace_id","type":"int","cardinality":2,"parsers":null},"#,
            r#"{"label":"user_id","type":"int","cardinality":2,"parsers":["json","logfmt"],"#,
            r#""jsonPath":["user","id"]}],"limit":7}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(detected_fields(&fields, 7)).unwrap(), expected);
        assert_eq!(detected_fields(&[], 7), b"{}\n");
        assert_eq!(detected_values(&BTreeSet::new(), 7), b"{}\n");
        let values = BTreeSet::from(["b".to_owned(), "a".to_owned()]);
        assert_eq!(detected_values(&values, 7), b"{\"values\":[\"a\",\"b\"],\"limit\":7}\n");
    }
}
