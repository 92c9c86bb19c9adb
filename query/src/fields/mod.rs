//! The fields of single lines, for those who want to know what queries could ask for.
//!
//! A [`FieldParser`] reads lines with the parsers of `| json` and `| logfmt`, so that what it finds has
//! the names and values that a query would see; [`ValueKind`] says what a value looks like.

mod kind;

use timberline_store::{Labels, Metadata};

pub use self::kind::{ValueKind, compact_bytes};
use crate::pipeline::{JsonPaths, JsonScratch, LabelBuilder, Logfmt, Names, Required, parse_json};

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineSyntax {
    /// A JSON object.
    Json,
    /// `key=value` pairs, or anything else: every line has zero or more pairs.
    Logfmt,
}

impl LineSyntax {
    /// The parser's name in queries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Logfmt => "logfmt",
        }
    }
}

/// A field of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The label that a parser makes of it; `name_extracted` where the stream has the name.
    pub name: &'a str,
    /// Its value as a label's.
    pub value: &'a str,
    /// In JSON, the keys that lead to the value, from the outermost object on; otherwise empty.
    pub json_path: &'a [String],
}

/// Every label is wanted.
static ALL_LABELS: Required =
    Required { names: None, preserve_error: false, looks_everywhere: true };

/// Reads lines of one stream after the other. Keeps its buffers.
///
/// ```
/// use timberline_query::fields::{FieldParser, LineSyntax};
/// use timberline_store::Labels;
///
/// let mut parser = FieldParser::new(&Labels::default());
/// assert_eq!(parser.parse(br#"{"http":{"status":503}}"#), LineSyntax::Json);
/// let field = parser.fields().next().expect("a field");
/// assert_eq!((field.name, field.value), ("http_status", "503"));
/// assert_eq!(field.json_path, ["http", "status"]);
/// ```
#[derive(Debug)]
pub struct FieldParser {
    labels: LabelBuilder<'static>,
    logfmt: Logfmt,
    paths: JsonPaths,
    json: JsonScratch,
    scratch: String,
}

impl FieldParser {
    /// A parser for lines of the stream with these labels.
    #[must_use]
    pub fn new(stream: &Labels) -> Self {
        Self {
            labels: LabelBuilder::new(Names::new(), &ALL_LABELS, stream),
            logfmt: Logfmt::every_pair(),
            paths: JsonPaths::default(),
            json: JsonScratch::default(),
            scratch: String::new(),
        }
    }

    /// Makes the coming lines be those of another stream.
    pub fn set_stream(&mut self, stream: &Labels) {
        self.labels.set_stream(stream);
    }

    /// Reads a line as a JSON object or, where it is none, as logfmt.
    ///
    /// [`fields`](Self::fields) are the line's until the next call. No line is an error: of what is
    /// neither, the words that look like pairs are found.
    pub fn parse(&mut self, line: &[u8]) -> LineSyntax {
        if self.labels.has_too_many_names() {
            self.labels.forget_names();
        }
        self.paths.clear();
        self.labels.begin(&Metadata::default());
        parse_json(line, &mut self.labels, &mut self.json, &mut self.paths);
        if self.labels.error().is_none() {
            return LineSyntax::Json;
        }
        self.paths.clear();
        self.labels.begin(&Metadata::default());
        self.logfmt.parse(line, &mut self.labels, &mut self.scratch);
        LineSyntax::Logfmt
    }

    /// The fields of the line read last, in its order. Each name is there once.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.labels.added_labels().enumerate().map(|(index, (name, _, value))| Field {
            name: self.labels.names().text(name),
            value,
            json_path: self.paths.of(index, name),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(parser: &mut FieldParser, line: &[u8]) -> (LineSyntax, Vec<String>) {
        let syntax = parser.parse(line);
        let text = |field: Field<'_>| {
            let path = field.json_path.join("/");
            format!("{}={} {path}", field.name, field.value).trim_end().to_owned()
        };
        (syntax, parser.fields().map(text).collect())
    }

    #[test]
    fn json_fields_have_their_paths() {
        let stream = Labels::from_pairs([("app", "pay")]).unwrap();
        let mut parser = FieldParser::new(&stream);
        let line = br#"{"app":"x","http":{"status":200,"headers":{"X-Id":"a"},"l":[1]},"z":null,"http_status":1}"#;
        let (syntax, fields) = read(&mut parser, line);
        assert_eq!(syntax, LineSyntax::Json);
        assert_eq!(
            fields,
            [
                "app_extracted=x app",
                "http_status=200 http/status",
                "http_headers_X_Id=a http/headers/X-Id"
            ]
        );
        parser.set_stream(&Labels::default());
        assert_eq!(read(&mut parser, br#"{"app":"x"}"#).1, ["app=x app"]);
    }

    #[test]
    fn what_is_no_json_is_logfmt() {
        let mut parser = FieldParser::new(&Labels::default());
        let expected = |fields: &[&str]| {
            (LineSyntax::Logfmt, fields.iter().map(|&field| field.to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(read(&mut parser, b"a=1 b=\"two words\" c="), expected(&["a=1", "b=two words"]));
        assert_eq!(read(&mut parser, b"GET /search?q=shoes"), expected(&["_search_q=shoes"]));
        assert_eq!(read(&mut parser, b""), expected(&[]));
        assert_eq!(read(&mut parser, br#"{"a":"cut off"#), expected(&[]));
        assert_eq!(read(&mut parser, b"{}"), (LineSyntax::Json, Vec::new()));
    }

    proptest! {
        #[test]
        fn no_line_panics(lines in prop::collection::vec(any::<Vec<u8>>(), 0..4)) {
            let mut parser = FieldParser::new(&Labels::default());
            for line in lines {
                read(&mut parser, &line);
            }
        }
    }
}
