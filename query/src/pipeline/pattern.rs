//! `| pattern "…"` and `|> "…"`: literals and captures, without backtracking.

use std::ops::Range;

use memchr::memmem::Finder;

use super::labels::LabelBuilder;
use super::names::{NameId, Names};
use super::text::push_replacing;

/// A piece of a pattern.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// Text that has to be there.
    Literal(Box<Finder<'static>>),
    /// `<name>`, or `<_>` where there is no name.
    Capture(Option<String>),
}

/// Cuts a pattern into nodes. What is no capture (`<>`, `<1x>`, an open `<`) is literal.
///
/// # Errors
/// Two captures that touch.
pub(crate) fn parse(pattern: &str) -> Result<Vec<Node>, String> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut literal = String::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let Some(name) = leading_capture(rest) else {
            literal.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        if !literal.is_empty() {
            nodes.push(literal_node(&literal));
            literal.clear();
        } else if let Some(Node::Capture(before)) = nodes.last() {
            let before = before.as_deref().unwrap_or("_");
            return Err(format!(
                "found consecutive capture '<{before}><{name}>': invalid expression"
            ));
        }
        nodes.push(Node::Capture((name != "_").then(|| name.to_owned())));
        rest = &rest[name.len() + 2..];
    }
    if !literal.is_empty() {
        nodes.push(literal_node(&literal));
    }
    Ok(nodes)
}

fn literal_node(text: &str) -> Node {
    Node::Literal(Box::new(Finder::new(text.as_bytes()).into_owned()))
}

/// The name in the `<name>` that the text begins with.
fn leading_capture(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('<')?.split_once('>')?;
    let mut bytes = name.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let goes_on = bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (begins && goes_on).then_some(name)
}

/// `| pattern "…"`, compiled.
#[derive(Debug)]
pub(crate) struct Pattern {
    steps: Vec<Step>,
    /// What the line has to begin with.
    prefix: Option<Finder<'static>>,
}

/// A capture and the literal that ends it; the last one may take the rest of the line.
#[derive(Debug)]
struct Step {
    name: Option<NameId>,
    until: Option<Finder<'static>>,
}

/// A part of a line that a capture takes.
#[derive(Debug)]
pub(super) struct Cut<'p> {
    /// The capture's name, if it has one.
    pub(super) name: Option<NameId>,
    pub(super) span: Range<usize>,
    /// The literal that is to follow; `None` where the capture takes the rest.
    pub(super) until: Option<&'p [u8]>,
    /// Whether it does.
    pub(super) is_found: bool,
}

impl Pattern {
    /// # Errors
    /// A pattern without a named capture, with two that touch or with one name twice.
    pub(crate) fn compile(source: &str, names: &mut Names) -> Result<Self, String> {
        let mut pattern = Self { steps: Vec::new(), prefix: None };
        let mut seen = Vec::new();
        for node in parse(source)? {
            match node {
                Node::Literal(literal) => match pattern.steps.last_mut() {
                    Some(step) => step.until = Some(*literal),
                    None => pattern.prefix = Some(*literal),
                },
                Node::Capture(name) => {
                    let name = name.map(|name| names.intern(&name));
                    if let Some(twice) = name.filter(|name| seen.contains(name)) {
                        let twice = names.text(twice);
                        return Err(format!(
                            "duplicate capture name ({twice}): invalid expression"
                        ));
                    }
                    seen.extend(name);
                    pattern.steps.push(Step { name, until: None });
                }
            }
        }
        if seen.is_empty() {
            return Err("at least one capture is required".to_owned());
        }
        Ok(pattern)
    }

    /// Makes labels of the captures.
    pub(crate) fn parse(&self, line: &[u8], labels: &mut LabelBuilder<'_>) {
        for Cut { name, span, .. } in self.cuts(line) {
            if let Some(target) = name.and_then(|name| labels.target_id(name)) {
                labels.set_with(target, |out| {
                    push_replacing(&line[span], char::REPLACEMENT_CHARACTER, out);
                });
            }
        }
    }

    /// What is cut out of a line, in order. The first capture whose end is not found takes the rest of the
    /// line and is the last.
    pub(super) fn cuts(&self, line: &[u8]) -> impl Iterator<Item = Cut<'_>> {
        let mut rest = line.starts_with(self.prefix()).then_some(self.prefix().len());
        rest = rest.filter(|_| !line.is_empty());
        self.steps.iter().map_while(move |Step { name, until }| {
            let start = rest?;
            let literal = until.as_ref().map(Finder::needle);
            let end = until.as_ref().and_then(|literal| literal.find(line.get(start..)?));
            let end = end.map(|end| start + end);
            rest = end.map(|end| end + literal.map_or(0, <[u8]>::len));
            let span = start..end.unwrap_or(line.len());
            Some(Cut { name: *name, span, until: literal, is_found: end.is_some() })
        })
    }

    /// The names of the captures, of those that have one.
    pub(super) fn names(
        &self,
    ) -> impl ExactSizeIterator<Item = Option<NameId>> + DoubleEndedIterator {
        self.steps.iter().map(|step| step.name)
    }

    /// What the line has to begin with.
    pub(super) fn prefix(&self) -> &[u8] {
        self.prefix.as_ref().map_or(&[], Finder::needle)
    }
}

#[cfg(test)]
mod tests {
    use timberline_store::Labels;

    use super::*;
    use crate::pipeline::labels::Required;

    fn run(pattern: &str, line: &str) -> String {
        let mut names = Names::new();
        let stage = Pattern::compile(pattern, &mut names).unwrap();
        let required = Required::default();
        let mut builder = LabelBuilder::new(names, &required, &Labels::default());
        builder.begin(&Labels::default());
        stage.parse(line.as_bytes(), &mut builder);
        let pairs =
            builder.labels().map(|(name, value)| format!("{}={value}", builder.names().text(name)));
        pairs.collect::<Vec<_>>().join(",")
    }

    #[test]
    fn captures() {
        let access = "<method> <path> <status> <took>";
        assert_eq!(run(access, "GET /a/b 200 12ms"), "method=GET,path=/a/b,status=200,took=12ms");
        assert_eq!(run(access, "GET  /d  200"), "method=GET,path=,status=/d,took= 200");
        assert_eq!(run(access, "garbage"), "method=garbage");
        assert_eq!(run(access, ""), "");
        assert_eq!(run("x=<a>;", "x=1;y=2"), "a=1");
        assert_eq!(run("x=<a>;", "y x=1;"), "");
        assert_eq!(run("<_> <b>", "a b c"), "b=b c");
        assert_eq!(run("<html> <a>", "p q"), "html=p,a=q");
        assert_eq!(run("<1x> <a>", "<1x> q"), "a=q");
    }

    #[test]
    fn what_is_no_pattern() {
        let error = |pattern| Pattern::compile(pattern, &mut Names::new()).unwrap_err();
        assert_eq!(error("x <_>"), "at least one capture is required");
        assert_eq!(error("<a><b>"), "found consecutive capture '<a><b>': invalid expression");
        assert_eq!(error("<a> <a>"), "duplicate capture name (a): invalid expression");
    }
}
