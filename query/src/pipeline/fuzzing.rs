//! Entrances for fuzzing the stages.

use std::collections::BTreeMap;

use timberline_store::Labels;

use super::labels::{LabelBuilder, Required};
use super::logfmt::Logfmt;
use super::names::Names;
use super::pattern::Pattern;
use super::template::{Template, TemplateData};
use super::{json, line_filter};
use crate::syntax::{LineFilter, LineFilterOp, LineOperand};

/// What a parser found.
struct Found {
    labels: BTreeMap<String, String>,
    error: Option<String>,
}

/// Runs a parser over an entry whose stream has the label `app`.
fn found(names: Names, required: &Required, run: impl Fn(&mut LabelBuilder<'_>)) -> Found {
    let stream = Labels::from_pairs([("app", "fuzz")]).unwrap_or_default();
    let mut builder = LabelBuilder::new(names, required, &stream);
    builder.begin(&Labels::default());
    run(&mut builder);
    let text = |(name, value): (_, &str)| (builder.names().text(name).to_owned(), value.to_owned());
    let labels = builder.labels().map(text).collect();
    Found { labels, error: builder.error().map(str::to_owned) }
}

/// Runs a parser with and without hints. What it finds of the labels that are needed is the same.
fn check_hints(names: impl Fn() -> Names, run: impl Fn(&mut LabelBuilder<'_>)) {
    let all = found(names(), &Required::default(), &run);
    // Every second label, so that there are some to pass over.
    for parity in 0..2 {
        let mut names = names();
        let needed = all.labels.keys().skip(parity).step_by(2).map(|name| names.intern(name));
        let mut needed: Vec<_> = needed.collect();
        // As the compiler does: a label is met under the name it had before a collision.
        needed.push(names.intern("app"));
        needed.sort_unstable();
        needed.dedup();
        let texts: Vec<_> = needed.iter().map(|&name| names.text(name).to_owned()).collect();
        let required = Required { names: Some(needed), ..Required::default() };
        let some = found(names, &required, &run);
        for name in texts {
            let (expected, got) = (all.labels.get(&name), some.labels.get(&name));
            // A line that is faulty where nobody looks does not end the parsing.
            let is_same = expected == got || (expected.is_none() && all.error.is_some());
            assert!(is_same, "{name:?} is {expected:?}, with hints {got:?}");
        }
    }
}

/// Makes labels of the bytes as a line in JSON, with and without hints.
pub fn json_flatten(line: &[u8]) {
    check_hints(Names::new, |labels| json::parse(line, labels, &mut json::Scratch::default()));
    let run = |labels: &mut LabelBuilder<'_>| {
        json::unpack(line, labels, &mut String::new(), &mut Vec::new());
    };
    found(Names::new(), &Required::default(), run);
}

/// Makes labels of the bytes as a line in logfmt, with each combination of flags, with and without
/// hints.
pub fn logfmt(line: &[u8]) {
    for (strict, keep_empty) in [(false, false), (false, true), (true, false), (true, true)] {
        let Ok(stage) = Logfmt::compile(strict, keep_empty, &[], &mut Names::new()) else { return };
        check_hints(Names::new, |labels| stage.parse(line, labels, &mut String::new()));
    }
}

/// Compiles what is in front of the first line break as a pattern, and matches the rest with it: as a
/// parser and as a line filter.
pub fn pattern(bytes: &[u8]) {
    let (source, line) = halves(bytes);
    let mut names = Names::new();
    if let Ok(stage) = Pattern::compile(&source, &mut names) {
        check_hints(|| names.clone(), |labels| stage.parse(line, labels));
    }
    let filter = |op| LineFilter { op, operands: vec![LineOperand::Text(source.clone())] };
    let matches = line_filter::compile(&filter(LineFilterOp::Pattern));
    let differs = line_filter::compile(&filter(LineFilterOp::NotPattern));
    match (matches, differs) {
        (Ok(matches), Ok(differs)) => {
            assert_ne!(matches.matches(line), differs.matches(line), "{source:?} on {line:?}");
        }
        (Err(_), Err(_)) => {}
        _ => panic!("{source:?} compiles for one operator only"),
    }
}

/// The text in front of the first line break, and the bytes behind it.
fn halves(bytes: &[u8]) -> (String, &[u8]) {
    let mut halves = bytes.splitn(2, |&byte| byte == b'\n');
    let first = String::from_utf8_lossy(halves.next().unwrap_or_default()).into_owned();
    (first, halves.next().unwrap_or_default())
}

/// Compiles the bytes as a template and executes it. With nothing but the labels that it says it may
/// read, it prints the same.
pub fn template(bytes: &[u8]) {
    let source = String::from_utf8_lossy(bytes);
    let Ok(template) = Template::compile("line", &source) else { return };
    let mut labels: BTreeMap<_, _> = LABELS.into_iter().collect();
    let execute = |labels: BTreeMap<_, _>| {
        let mut out = "before ".to_owned();
        let outcome = template.execute(&Entry(labels), &mut out);
        assert!(out.starts_with("before "), "{source:?} gave {out:?}");
        assert!(outcome.is_ok() || out == "before ", "{source:?} failed and left {out:?}");
        (out, outcome)
    };
    let whole = execute(labels.clone());
    // What reads the clock may print something else each time.
    if let Some(read) = template.labels()
        && !source.contains("now")
    {
        labels.retain(|name, _| read.iter().any(|read| read == name));
        assert_eq!(execute(labels), whole, "{source:?} reads more labels than {read:?}");
    }
}

const LABELS: [(&str, &str); 6] = [
    ("app", "fuzz"),
    ("level", "warn"),
    ("status", "503"),
    ("took", "1.5s"),
    ("json", r#"{"a":[1,null,{"b":"c"}]}"#),
    ("text", "  Grüße, \"world\" / 2026-01-02T03:04:05Z \u{1f680}\t"),
];

struct Entry(BTreeMap<&'static str, &'static str>);

impl TemplateData for Entry {
    fn label(&self, name: &str) -> Option<&str> {
        self.0.get(name).copied()
    }

    fn labels(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn line(&self) -> &str {
        "GET /checkout?id=7 HTTP/1.1 503 12ms"
    }

    fn timestamp(&self) -> i64 {
        1_790_000_000_123_456_789
    }
}
