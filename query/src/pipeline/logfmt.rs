//! `| logfmt`: `key=value` pairs become labels, or those that expressions name.

use super::labels::LabelBuilder;
use super::names::{NameId, Names, is_sane, sanitise};
use super::text::{has_good_escapes, push_blanking, push_unescaped};
use crate::syntax::LabelExtraction;

/// The error code of a line that is not the logfmt it should be.
const LOGFMT_ERROR: &str = "LogfmtParserErr";

/// What the stage makes labels of.
#[derive(Debug)]
enum Wanted {
    /// Of every pair.
    All {
        /// Of those without a value too.
        keep_empty: bool,
    },
    /// Of these keys.
    Keys(Vec<(NameId, String)>),
}

/// The compiled stage.
#[derive(Debug)]
pub(crate) struct Logfmt {
    strict: bool,
    wanted: Wanted,
}

/// Which member of the line is at fault, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault {
    /// From 0.
    position: usize,
    message: &'static str,
}

/// The bytes between the quotes, or up to the next blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text<'a> {
    Plain(&'a [u8]),
    /// With escapes.
    Escaped(&'a [u8]),
}

impl Logfmt {
    /// `| logfmt` without anything: labels of all pairs that have a value.
    pub(crate) const fn every_pair() -> Self {
        Self { strict: false, wanted: Wanted::All { keep_empty: false } }
    }

    /// As [`every_pair`](Self::every_pair); a line that is not all pairs is an error.
    pub(crate) const fn every_pair_strictly() -> Self {
        Self { strict: true, wanted: Wanted::All { keep_empty: false } }
    }

    /// # Errors
    /// An expression that is no key: `cannot parse expression […]: …`.
    pub(crate) fn compile(
        strict: bool,
        keep_empty: bool,
        extractions: &[LabelExtraction],
        names: &mut Names,
    ) -> Result<Self, String> {
        if extractions.is_empty() {
            return Ok(Self { strict, wanted: Wanted::All { keep_empty } });
        }
        let mut keys = Vec::with_capacity(extractions.len());
        for LabelExtraction { name, expression } in extractions {
            let key = parse_key(expression)
                .map_err(|cause| format!("cannot parse expression [{expression}]: {cause}"))?;
            keys.push((names.intern(name), key));
        }
        Ok(Self { strict, wanted: Wanted::Keys(keys) })
    }

    /// Whether every pair of a line becomes a label, and not only those that expressions name.
    pub(crate) const fn takes_all(&self) -> bool {
        matches!(self.wanted, Wanted::All { .. })
    }

    /// Makes labels of the line's pairs. Faulty ones are left out; in strict mode they end the parsing
    /// with an error, and labels found before stay.
    pub(crate) fn parse(&self, line: &[u8], labels: &mut LabelBuilder<'_>, scratch: &mut String) {
        if let Wanted::Keys(keys) = &self.wanted {
            for &(name, _) in keys {
                if labels.collision_free(name) == name {
                    labels.set(name, "");
                }
            }
        }
        let mut pairs = Pairs { line, at: 0 };
        while let Some(pair) = pairs.next() {
            match pair {
                Err(fault) if self.strict => {
                    let position = fault.position + 1;
                    let details =
                        format!("logfmt syntax error at pos {position} : {}", fault.message);
                    labels.set_parser_error(LOGFMT_ERROR, Some(&details));
                    return;
                }
                Err(_) => pairs.skip_word(),
                Ok((key, value)) => {
                    self.pair(key, value, labels, scratch);
                    if matches!(self.wanted, Wanted::All { .. }) && labels.has_all_required() {
                        return;
                    }
                }
            }
        }
    }

    fn pair(
        &self,
        key: &str,
        value: Text<'_>,
        labels: &mut LabelBuilder<'_>,
        scratch: &mut String,
    ) {
        match &self.wanted {
            Wanted::All { keep_empty } => {
                if value.is_empty() && !keep_empty {
                    return;
                }
                if let Some(target) = labels.target(key) {
                    labels.set_with(target, |out| value.push(out));
                }
            }
            Wanted::Keys(keys) => {
                let key = if is_sane(key) {
                    key
                } else {
                    scratch.clear();
                    sanitise(key, true, scratch);
                    scratch.as_str()
                };
                for (name, _) in keys.iter().filter(|(_, wanted)| wanted == key) {
                    let target = labels.collision_free(*name);
                    labels.set_with(target, |out| value.push_if_text(out));
                }
            }
        }
    }
}

impl Text<'_> {
    const fn is_empty(&self) -> bool {
        match self {
            Self::Plain(text) | Self::Escaped(text) => text.is_empty(),
        }
    }

    fn push(&self, out: &mut String) {
        match self {
            Self::Plain(text) => push_blanking(text, out),
            // The pair was read, so the escapes are good.
            Self::Escaped(raw) => {
                let _ = push_unescaped(raw, true, out);
            }
        }
    }

    /// As [`push`](Self::push); what is no text is nothing.
    fn push_if_text(&self, out: &mut String) {
        let (Self::Plain(raw) | Self::Escaped(raw)) = self;
        let is_text =
            std::str::from_utf8(raw).is_ok_and(|text| !text.contains(char::REPLACEMENT_CHARACTER));
        if is_text {
            self.push(out);
        }
    }
}

/// The pairs of a line.
struct Pairs<'a> {
    line: &'a [u8],
    at: usize,
}

const UNEXPECTED_EQUALS: &str = "unexpected '='";
const UNEXPECTED_QUOTE: &str = "unexpected '\"'";

impl<'a> Pairs<'a> {
    fn next(&mut self) -> Option<Result<(&'a str, Text<'a>), Fault>> {
        while is_blank(*self.line.get(self.at)?) {
            self.at += 1;
        }
        Some(self.pair())
    }

    fn pair(&mut self) -> Result<(&'a str, Text<'a>), Fault> {
        let start = self.at;
        let key = self.run();
        let key = std::str::from_utf8(key).ok();
        let key = key.filter(|key| !key.contains(char::REPLACEMENT_CHARACTER));
        match self.line.get(self.at) {
            Some(b'"') => return Err(self.fault(UNEXPECTED_QUOTE)),
            Some(b'=') if self.at == start => return Err(self.fault(UNEXPECTED_EQUALS)),
            _ => {}
        }
        let key = key.ok_or_else(|| self.fault("invalid key"))?;
        if self.line.get(self.at) != Some(&b'=') {
            return Ok((key, Text::Plain(b"")));
        }
        self.at += 1;
        if self.line.get(self.at) == Some(&b'"') {
            return Ok((key, self.quoted()?));
        }
        let value = self.run();
        match self.line.get(self.at) {
            Some(b'=') => Err(self.fault(UNEXPECTED_EQUALS)),
            Some(b'"') => Err(self.fault(UNEXPECTED_QUOTE)),
            _ => Ok((key, Text::Plain(value))),
        }
    }

    /// The bytes up to a blank, a quote or an equals sign.
    fn run(&mut self) -> &'a [u8] {
        let rest = &self.line[self.at..];
        let ends = |&byte: &u8| is_blank(byte) || byte == b'=' || byte == b'"';
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn quoted(&mut self) -> Result<Text<'a>, Fault> {
        let start = self.at + 1;
        let mut escaped = false;
        let mut end = start;
        loop {
            let Some(found) = memchr::memchr2(b'"', b'\\', self.line.get(end..).unwrap_or(b""))
            else {
                self.at = self.line.len();
                return Err(self.fault("unterminated quoted value"));
            };
            end += found;
            if self.line[end] == b'"' {
                break;
            }
            escaped = true;
            end += 2;
        }
        self.at = end + 1;
        let raw = &self.line[start..end];
        if !escaped {
            return Ok(Text::Plain(raw));
        }
        if !has_good_escapes(raw, true) {
            return Err(self.fault("invalid quoted value"));
        }
        Ok(Text::Escaped(raw))
    }

    const fn fault(&self, message: &'static str) -> Fault {
        Fault { position: self.at, message }
    }

    /// Goes behind the word that is at fault.
    fn skip_word(&mut self) {
        let rest = self.line.get(self.at..).unwrap_or(b"");
        self.at += rest.iter().position(|&byte| is_blank(byte)).unwrap_or(rest.len());
    }
}

const fn is_blank(byte: u8) -> bool {
    byte <= b' '
}

/// A key in an expression: a name, or anything in quotes.
fn parse_key(expression: &str) -> Result<String, String> {
    let mut key = None;
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let found;
        (found, rest) = match first {
            '"' => {
                let inner = &rest[1..];
                inner.split_once('"').unwrap_or((inner, ""))
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let ends = |c: char| !c.is_ascii_alphanumeric() && c != '_';
                rest.split_at(rest.find(ends).unwrap_or(rest.len()))
            }
            other => return Err(format!("unexpected char {other}")),
        };
        if key.is_some() {
            let token = if first == '"' { "STRING" } else { "KEY" };
            return Err(format!("syntax error: unexpected {token}"));
        }
        key = Some(found.to_owned());
        rest = rest.trim_start();
    }
    key.ok_or_else(|| "syntax error: unexpected $end, expecting STRING or KEY".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use timberline_store::Labels;

    use super::*;
    use crate::pipeline::labels::Required;

    fn run(stage: &Logfmt, names: Names, stream: &[(&str, &str)], line: &[u8]) -> String {
        let required = Required::default();
        let stream = Labels::from_pairs(stream.iter().copied()).unwrap();
        let mut builder = LabelBuilder::new(names, &required, &stream);
        builder.begin(&Labels::default());
        stage.parse(line, &mut builder, &mut String::new());
        let mut pairs: Vec<_> =
            builder.labels().map(|(name, value)| (builder.names().text(name), value)).collect();
        pairs.extend(builder.error_details().map(|details| ("error", details)));
        pairs.sort_unstable();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join(" ")
    }

    fn all(strict: bool, keep_empty: bool, line: &str) -> String {
        let mut names = Names::new();
        let stage = Logfmt::compile(strict, keep_empty, &[], &mut names).unwrap();
        run(&stage, names, &[("job", "edge")], line.as_bytes())
            .replace("job=edge ", "")
            .replace("job=edge", "")
            .trim()
            .to_owned()
    }

    #[test]
    fn pairs_become_labels() {
        let mixed = r#"a=1 b="two words" c= d e="esc \" q" f=x=y"#;
        assert_eq!(all(false, false, mixed), r#"a=1 b=two words e=esc " q"#);
        assert_eq!(all(false, true, mixed), r#"a=1 b=two words c= d= e=esc " q"#);
        assert_eq!(
            all(true, true, mixed),
            r#"a=1 b=two words c= d= e=esc " q error=logfmt syntax error at pos 40 : unexpected '='"#
        );
        assert_eq!(all(false, false, "a=1 a=2"), "a=1");
        assert_eq!(all(false, false, "job=inner"), "job_extracted=inner");
        assert_eq!(all(false, false, r#"a="x"b=y"#), "a=x b=y");
        assert_eq!(all(false, false, "key.dot=1 9key=3 ключ=4"), "_9key=3 ____=4 key_dot=1");
        assert_eq!(all(false, false, "a=\"raw\nline\" b='q'"), "a=raw\nline b='q'");
        assert_eq!(all(false, false, r#"a="\'\u00e9\t" b="\q" c=1"#), "a='é\t c=1");
    }

    #[test]
    fn faults() {
        assert_eq!(all(false, true, "\"just a string\""), "a=");
        assert_eq!(all(false, true, "плохо \"x\"=y"), "_____=");
        for (line, position, message) in [
            ("=novalue a=b", 1, "unexpected '='"),
            ("a=\"unterminated", 16, "unterminated quoted value"),
            ("\"x\"=y", 1, "unexpected '\"'"),
            ("a=b\"", 4, "unexpected '\"'"),
        ] {
            let expected = format!("error=logfmt syntax error at pos {position} : {message}");
            assert_eq!(all(true, false, line), expected, "{line}");
            assert!(!all(false, false, line).contains("error"));
        }
    }

    #[test]
    fn expressions_name_keys() {
        let mut names = Names::new();
        let extraction = |name: &str, expression: &str| LabelExtraction {
            name: name.to_owned(),
            expression: expression.to_owned(),
        };
        let extractions = [extraction("x", "a"), extraction("job", "b"), extraction("m", "no")];
        let stage = Logfmt::compile(false, false, &extractions, &mut names).unwrap();
        let line = b"a=1 b=2 a=3 x=9";
        assert_eq!(run(&stage, names, &[("job", "edge")], line), "job=edge job_extracted=2 m= x=3");
        let error = |expression| {
            Logfmt::compile(false, false, &[extraction("x", expression)], &mut Names::new())
                .unwrap_err()
        };
        assert_eq!(error("key.dot"), "cannot parse expression [key.dot]: unexpected char .");
        assert_eq!(
            error("field with spaces"),
            "cannot parse expression [field with spaces]: syntax error: unexpected KEY"
        );
    }

    proptest! {
        #[test]
        fn no_line_panics(line in prop::collection::vec(any::<u8>(), 0..80), strict: bool) {
            let mut names = Names::new();
            let stage = Logfmt::compile(strict, true, &[], &mut names).unwrap();
            run(&stage, names, &[], &line);
        }

        /// What is needed has the same value, whether or not the rest is extracted too.
        #[test]
        fn required_labels_have_the_values_they_have_without_hints(
            line in r#"([abc](=("[xy ]*"|[xy]|))?[ "=]){0,8}"#
        ) {
            let mut names = Names::new();
            let wanted: Vec<NameId> = ["a", "b"].map(|name| names.intern(name)).into();
            let stage = Logfmt::compile(false, false, &[], &mut names).unwrap();
            let (every, some) =
                (Required::default(), Required { names: Some(wanted.clone()), ..Required::default() });
            let values = [&every, &some].map(|required| {
                let mut builder = LabelBuilder::new(names.clone(), required, &Labels::default());
                builder.begin(&Labels::default());
                stage.parse(line.as_bytes(), &mut builder, &mut String::new());
                wanted.iter().map(|&name| builder.get(name).map(str::to_owned)).collect::<Vec<_>>()
            });
            prop_assert_eq!(&values[0], &values[1]);
        }
    }
}
