//! Adds up the fields of lines: structured metadata, labels that the query parsed, and what a parser
//! finds in the line itself.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use timberline_query::fields::{FieldParser, LineSyntax, ValueKind};
use timberline_query::{QueryError, StreamResult};
use timberline_store::Labels;

use crate::encode::DetectedField;
use crate::http::work::Ticket;

/// Lines between two looks at whether anybody still waits.
const CHECK_LINES: usize = 256;

/// The fields of the lines by name: the first `limit` of them that the lines have.
///
/// Streams are looked at in their order, and so are their lines; the last value decides what kind of
/// field it is. Stream labels are no fields.
///
/// # Errors
/// [`QueryError::Cancelled`] and [`QueryError::Timeout`].
pub(super) fn fields(
    streams: &[StreamResult],
    limit: usize,
    ticket: &Ticket,
) -> Result<Vec<DetectedField>, QueryError> {
    let mut fields = Fields { limit, hashes: RandomState::new(), by_name: BTreeMap::new() };
    let mut parser = FieldParser::new(&Labels::default());
    for stream in streams {
        parser.set_stream(&stream.labels);
        for (index, entry) in stream.entries.iter().enumerate() {
            if index % CHECK_LINES == 0 {
                ticket.check()?;
            }
            for (name, value) in entry.structured_metadata.iter() {
                fields.add(name, value, None, &[]);
            }
            let syntax = parser.parse(&entry.line);
            for (name, value) in entry.parsed.iter() {
                fields.add(name, value, Some(syntax), &[]);
            }
            for field in parser.fields() {
                fields.add(field.name, field.value, Some(syntax), field.json_path);
            }
        }
    }
    Ok(fields.finish())
}

/// Whether a label says what went wrong with a line: it is no field of the line.
pub(super) fn is_error_label(name: &str) -> bool {
    matches!(name, "__error__" | "__error_details__" | "__preserve_error__")
}

/// What is known about a field so far.
struct Known {
    field: DetectedField,
    /// Hashes of the values: a value may be as long as a line, and they are only counted.
    values: HashSet<u64>,
}

struct Fields {
    limit: usize,
    hashes: RandomState,
    by_name: BTreeMap<Box<str>, Known>,
}

impl Fields {
    fn add(&mut self, name: &str, value: &str, syntax: Option<LineSyntax>, path: &[String]) {
        if is_error_label(name) {
            return;
        }
        if !self.by_name.contains_key(name) && self.by_name.len() < self.limit {
            self.by_name.insert(name.into(), Known::new(name));
        }
        let Some(known) = self.by_name.get_mut(name) else { return };
        known.field.kind = ValueKind::of(value);
        known.values.insert(self.hashes.hash_one(value));
        if let Some(syntax) = syntax.filter(|syntax| !known.field.parsers.contains(syntax)) {
            known.field.parsers.push(syntax);
        }
        if known.field.json_path.is_empty() {
            known.field.json_path = path.to_vec();
        }
    }

    fn finish(self) -> Vec<DetectedField> {
        let counted =
            |known: Known| DetectedField { cardinality: known.values.len(), ..known.field };
        self.by_name.into_values().map(counted).collect()
    }
}

impl Known {
    fn new(name: &str) -> Self {
        let field = DetectedField {
            name: name.to_owned(),
            kind: ValueKind::String,
            cardinality: 0,
            parsers: Vec::new(),
            json_path: Vec::new(),
        };
        Self { field, values: HashSet::new() }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use timberline_query::EntryResult;

    use super::*;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    pub(in crate::http::detected) fn stream(
        labels: Pairs<'_>,
        entries: &[(&str, Pairs<'_>, Pairs<'_>)],
    ) -> StreamResult {
        let pairs = |pairs: Pairs<'_>| Labels::metadata(pairs.iter().copied()).unwrap();
        let entry = |(line, metadata, parsed): &(&str, Pairs<'_>, Pairs<'_>)| EntryResult {
            timestamp: 1,
            line: line.as_bytes().into(),
            structured_metadata: pairs(metadata),
            parsed: pairs(parsed),
        };
        StreamResult { labels: pairs(labels), entries: entries.iter().map(entry).collect() }
    }

    /// `name kind cardinality parsers path` of each field.
    fn told(streams: &[StreamResult], limit: usize) -> Vec<String> {
        let fields = fields(streams, limit, &Ticket::unlimited()).unwrap();
        let text = |field: DetectedField| {
            let parsers: Vec<_> = field.parsers.iter().map(|parser| parser.name()).collect();
            let DetectedField { name, kind, cardinality, json_path, .. } = field;
            format!("{name} {} {cardinality} {parsers:?} {}", kind.name(), json_path.join("/"))
        };
        fields.into_iter().map(text).collect()
    }

    #[test]
    fn metadata_has_no_parser_and_lines_have_theirs() {
        let streams = [
            stream(&[("app", "a")], &[("status=200 took=3ms", &[("trace", "x")], &[])]),
            stream(
                &[("app", "b")],
                &[
                    (r#"{"app":"z","status":"ok","http":{"size":"1kB"}}"#, &[("trace", "y")], &[]),
                    (r#"{"status":"ok"}"#, &[("trace", "y")], &[]),
                ],
            ),
        ];
        assert_eq!(
            told(&streams, 100),
            [
                r#"app_extracted string 1 ["json"] app"#,
                r#"http_size bytes 1 ["json"] http/size"#,
                r#"status string 2 ["logfmt", "json"] status"#,
                r#"took duration 1 ["logfmt"] "#,
                r#"trace string 2 [] "#,
            ]
        );
        assert_eq!(told(&streams, 1), [r#"trace string 2 [] "#]);
        assert!(told(&[], 100).is_empty());
    }

    #[test]
    fn labels_of_the_query_are_fields_and_errors_are_not() {
        let parsed: Pairs<'_> = &[("__error__", "JSONParserErr"), ("n", "1")];
        let streams = [stream(&[("app", "a")], &[("plain words", &[], parsed)])];
        assert_eq!(told(&streams, 100), [r#"n int 1 ["logfmt"] "#]);
    }
}
