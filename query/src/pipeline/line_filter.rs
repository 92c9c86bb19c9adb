//! `|= "…"` and its kin: what a line must have, as a predicate that the store can decide.
//!
//! Where the regular expression is plain text in disguise (`.*error.*`, `GET|POST`) the predicate
//! looks for the text, which the store can answer without decoding lines.

use std::sync::Arc;

use memchr::memmem::Finder;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Dot, Hir, HirKind};
use timberline_store::LinePredicate;

use super::ip::IpPattern;
use super::pattern::{self, Node};
use crate::golang::{compile_regex, translate_regex};
use crate::syntax::{LineFilter, LineFilterOp, LineOperand};

/// Alternatives of a regular expression that are looked for one by one. More are left to the regex,
/// which looks for all at once.
const ALTERNATIVES_MAX: usize = 4;

/// An operand, compiled.
enum Operand {
    /// Holds for every line by the look of it: `""`, `.*`.
    Trivial,
    /// A test.
    Test(LinePredicate),
}

/// The condition that a line filter is.
///
/// # Errors
/// An operand that does not compile; `ip()` with an operator that does not know it.
pub(crate) fn compile(filter: &LineFilter) -> Result<LinePredicate, String> {
    use LineFilterOp::{Matches, NotMatches, NotPattern, Pattern};
    let mut operands = Vec::with_capacity(filter.operands.len());
    for operand in &filter.operands {
        operands.push(match (operand, filter.op) {
            (LineOperand::Ip(_), Matches | NotMatches | Pattern | NotPattern) => {
                return Err("ip: invalid operation".to_owned());
            }
            // Loki takes an ip() that has alternatives for the plain text of its argument.
            (LineOperand::Ip(text), _) if filter.operands.len() > 1 => text_operand(text),
            (LineOperand::Ip(pattern), _) => ip_operand(pattern)?,
            (LineOperand::Text(text), Matches | NotMatches) => regex_operand(text)?,
            (LineOperand::Text(text), Pattern | NotPattern) => pattern_operand(text)?,
            (LineOperand::Text(text), _) => text_operand(text),
        });
    }
    Ok(match filter.op {
        LineFilterOp::Contains | Matches | Pattern => any(operands),
        LineFilterOp::NotContains | NotMatches | NotPattern => none(operands),
    })
}

/// Some operand holds; those that always do are no alternatives.
fn any(operands: Vec<Operand>) -> LinePredicate {
    let mut tests: Vec<LinePredicate> = operands.into_iter().filter_map(Operand::test).collect();
    match tests.len() {
        0 => LinePredicate::Always,
        1 => tests.remove(0),
        _ => LinePredicate::Any(tests),
    }
}

/// No operand holds.
fn none(operands: Vec<Operand>) -> LinePredicate {
    let mut tests = Vec::with_capacity(operands.len());
    for operand in operands {
        match operand.test() {
            None => return LinePredicate::Never,
            Some(test) => tests.push(negate(test)),
        }
    }
    all(tests)
}

fn negate(predicate: LinePredicate) -> LinePredicate {
    match predicate {
        LinePredicate::Always => LinePredicate::Never,
        LinePredicate::Never => LinePredicate::Always,
        other => LinePredicate::Not(Box::new(other)),
    }
}

/// All conditions, the cheap ones first; nested ones are flattened.
pub(crate) fn all(predicates: Vec<LinePredicate>) -> LinePredicate {
    let mut flat = Vec::with_capacity(predicates.len());
    for predicate in predicates {
        match predicate {
            LinePredicate::Always => {}
            LinePredicate::Never => return LinePredicate::Never,
            LinePredicate::All(parts) => flat.extend(parts),
            other => flat.push(other),
        }
    }
    flat.sort_by_key(cost);
    match flat.len() {
        0 => LinePredicate::Always,
        1 => flat.remove(0),
        _ => LinePredicate::All(flat),
    }
}

fn cost(predicate: &LinePredicate) -> u8 {
    match predicate {
        LinePredicate::Always | LinePredicate::Never | LinePredicate::Contains(_) => 0,
        LinePredicate::Not(inner) => cost(inner),
        LinePredicate::All(parts) | LinePredicate::Any(parts) => {
            parts.iter().map(cost).max().unwrap_or(0)
        }
        LinePredicate::Regex(_) => 1,
        _ => 2,
    }
}

impl Operand {
    fn test(self) -> Option<LinePredicate> {
        match self {
            Self::Trivial => None,
            Self::Test(predicate) => Some(predicate),
        }
    }
}

fn text_operand(text: &str) -> Operand {
    if text.is_empty() {
        return Operand::Trivial;
    }
    Operand::Test(LinePredicate::contains(text.as_bytes()))
}

fn ip_operand(pattern: &str) -> Result<Operand, String> {
    let pattern = IpPattern::parse(pattern)?;
    Ok(Operand::Test(custom(move |line| pattern.is_in(line))))
}

fn custom(test: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> LinePredicate {
    LinePredicate::Custom(Arc::new(test))
}

fn regex_operand(source: &str) -> Result<Operand, String> {
    let regex = compile_regex(source)?;
    let translated = translate_regex(source)?;
    let hir = ParserBuilder::new().utf8(false).build().parse(&translated).ok();
    let simplified = hir.as_ref().and_then(simplify);
    Ok(simplified.unwrap_or(Operand::Test(LinePredicate::regex(regex))))
}

/// The same condition without a regular expression, where there is one.
fn simplify(hir: &Hir) -> Option<Operand> {
    let parts = core(hir);
    match parts.as_slice() {
        // The end is not there when all was `.*`.
        [] => Some(Operand::Trivial),
        [part] => match part.kind() {
            HirKind::Literal(literal) => Some(Operand::Test(LinePredicate::contains(&literal.0))),
            HirKind::Alternation(parts) if parts.len() <= ALTERNATIVES_MAX => {
                let literals: Option<Vec<_>> = parts.iter().map(literal).collect();
                literals.map(|literals| Operand::Test(LinePredicate::Any(literals)))
            }
            HirKind::Repetition(repetition)
                if repetition.min == 1 && repetition.max.is_none() && is_dot(&repetition.sub) =>
            {
                Some(Operand::Test(custom(|line| !line.is_empty())))
            }
            _ => None,
        },
        _ => None,
    }
}

fn literal(hir: &Hir) -> Option<LinePredicate> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(LinePredicate::contains(&literal.0)),
        HirKind::Capture(capture) => literal(&capture.sub),
        _ => None,
    }
}

/// The parts of an expression without its groups and the `.*` at its ends, which a search that may
/// begin and end anywhere does not need.
fn core(hir: &Hir) -> Vec<&Hir> {
    let mut parts = match hir.kind() {
        HirKind::Empty => Vec::new(),
        HirKind::Capture(capture) => return core(&capture.sub),
        HirKind::Concat(parts) => parts.iter().collect(),
        _ => vec![hir],
    };
    while parts.last().is_some_and(|part| is_dot_star(part)) {
        parts.pop();
    }
    let leading = parts.iter().take_while(|part| is_dot_star(part)).count();
    parts.drain(..leading);
    match parts.as_slice() {
        [part] if matches!(part.kind(), HirKind::Capture(_)) => core(part),
        _ => parts,
    }
}

fn is_dot_star(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Capture(capture) => is_dot_star(&capture.sub),
        HirKind::Repetition(repetition) => {
            repetition.min == 0 && repetition.max.is_none() && is_dot(&repetition.sub)
        }
        _ => false,
    }
}

/// Whether it is `.`, with or without `(?s)`.
fn is_dot(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Capture(capture) => is_dot(&capture.sub),
        _ => [Hir::dot(Dot::AnyCharExceptLF), Hir::dot(Dot::AnyChar)].contains(hir),
    }
}

fn pattern_operand(source: &str) -> Result<Operand, String> {
    let nodes = pattern::parse(source)?;
    let named = nodes.iter().find_map(|node| match node {
        Node::Capture(name) => name.as_deref(),
        Node::Literal(_) => None,
    });
    if let Some(name) = named {
        return Err(format!("named captures are not allowed: found '<{name}>'"));
    }
    // The store can look for a literal without decoding lines; the longest rules out the most.
    let longest = nodes.iter().filter_map(literal_of).max_by_key(|finder| finder.needle().len());
    let hint = longest.map_or(LinePredicate::Always, |f| LinePredicate::contains(f.needle()));
    Ok(Operand::Test(all(vec![hint, custom(move |line| matches_whole(&nodes, line))])))
}

fn literal_of(node: &Node) -> Option<&Finder<'static>> {
    match node {
        Node::Literal(finder) => Some(finder),
        Node::Capture(_) => None,
    }
}

/// Whether the nodes cover the line: each literal is taken where it is first found, and no capture
/// is empty. A first literal may stand anywhere, as in Loki.
fn matches_whole(nodes: &[Node], line: &[u8]) -> bool {
    if nodes.is_empty() || line.is_empty() {
        return nodes.is_empty() && line.is_empty();
    }
    let mut rest = line;
    for (index, node) in nodes.iter().enumerate() {
        let Node::Literal(finder) = node else { continue };
        match finder.find(rest) {
            None => return false,
            Some(0) if index > 0 => return false,
            Some(at) => rest = &rest[at + finder.needle().len()..],
        }
    }
    let ends_with_capture = matches!(nodes.last(), Some(Node::Capture(_)));
    ends_with_capture != rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(op: LineFilterOp, operands: &[&str]) -> Result<LinePredicate, String> {
        let operands = operands.iter().map(|operand| match operand.strip_prefix("ip:") {
            Some(ip) => LineOperand::Ip(ip.to_owned()),
            None => LineOperand::Text((*operand).to_owned()),
        });
        compile(&LineFilter { op, operands: operands.collect() })
    }

    fn keeps(op: LineFilterOp, operands: &[&str], line: &str) -> bool {
        compiled(op, operands).unwrap().matches(line.as_bytes())
    }

    use LineFilterOp::*;

    #[test]
    fn the_empty_text() {
        assert!(keeps(Contains, &[""], "x") && keeps(Contains, &[""], ""));
        assert!(!keeps(NotContains, &[""], "x") && !keeps(NotContains, &[""], ""));
        for always in ["", ".*", "(.*)", "(?s).*"] {
            assert!(keeps(Matches, &[always], "") && !keeps(NotMatches, &[always], "x"));
        }
        assert!(keeps(Matches, &[".+"], "\n") && !keeps(Matches, &[".+"], ""));
    }

    #[test]
    fn alternatives() {
        assert!(!keeps(Contains, &["x", ""], "y"), "what always holds is no alternative");
        assert!(keeps(Contains, &["x", "y"], "y"));
        assert!(!keeps(NotContains, &["a", "b"], "b") && keeps(NotContains, &["a", "b"], "c"));
        assert!(keeps(Matches, &["a.*", "b.$"], "xbx"));
        assert!(!keeps(Contains, &["x", "ip:10.0.0.0/8"], "10.1.1.1"), "plain text in a chain");
        assert!(keeps(Contains, &["x", "ip:10.0.0.0/8"], "net 10.0.0.0/8"));
    }

    #[test]
    fn regexes_are_neither_anchored_nor_multiline() {
        let text = "multi\nline\n\tat java.lang";
        assert!(!keeps(Matches, &["multi.line"], text));
        assert!(keeps(Matches, &["(?s)multi.line"], text));
        assert!(keeps(Matches, &["(?m)^line"], text));
        assert!(!keeps(Matches, &["^line"], text));
        assert!(keeps(Matches, &["(?i)éî"], "ÀÉÎ UPPER"));
        assert!(!keeps(Matches, &["(?i)istanbul"], "İstanbul ſ \u{212a}"));
        assert!(!keeps(Matches, &["k$"], "İstanbul ſ \u{212a}"));
        assert!(keeps(Matches, &["(?i)k$"], "İstanbul ſ \u{212a}"));
    }

    #[test]
    fn plain_text_in_disguise_is_found_without_a_regex() {
        for source in ["error", ".*error.*", "(error)", ".*(error).*", "(?:error).*"] {
            let predicate = compiled(Matches, &[source]).unwrap();
            assert!(matches!(predicate, LinePredicate::Contains(_)), "{source}: {predicate:?}");
        }
        let predicate = compiled(Matches, &["GET|POST"]).unwrap();
        assert!(matches!(predicate, LinePredicate::Any(_)), "{predicate:?}");
        for source in ["(?i)error", "^error", "err.*failed", "a*", "error$"] {
            let predicate = compiled(Matches, &[source]).unwrap();
            assert!(matches!(predicate, LinePredicate::Regex(_)), "{source}: {predicate:?}");
        }
    }

    #[test]
    fn patterns_cover_the_line() {
        let matches = |pattern: &str, line: &str| keeps(Pattern, &[pattern], line);
        assert!(matches("<_> bar <_>", "foo bar baz"));
        assert!(!matches("<_> bar", "foo bar baz"));
        assert!(!matches("<_>b", "a b a b"));
        assert!(matches("foo <_>", "xx foo y"));
        assert!(!matches("<_>GET<_>", "GET x"));
        assert!(matches("", "") && !matches("", "x") && !matches("<_>", "") && matches("<_>", "x"));
        assert!(keeps(NotPattern, &["<_> bar"], "foo bar baz"));
        assert!(keeps(NotPattern, &["<_>"], ""));
    }

    #[test]
    fn what_does_not_compile() {
        let error = |op, operand| compiled(op, &[operand]).unwrap_err();
        assert_eq!(error(Pattern, "<x>"), "named captures are not allowed: found '<x>'");
        assert_eq!(
            error(Pattern, "<_><_>"),
            "found consecutive capture '<_><_>': invalid expression"
        );
        assert_eq!(error(Matches, "ip:1.1.1.1"), "ip: invalid operation");
        assert_eq!(error(Contains, "ip:bogus"), "ip: invalid pattern: \"bogus\"");
    }
}
