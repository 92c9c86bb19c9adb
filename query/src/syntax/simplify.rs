//! Which regular expressions of label filters Loki replaces by comparisons of text.
//!
//! It matters for printing only: the replaced ones are printed in double quotes, the others raw.

use regex_syntax::hir::{Dot, Hir, HirKind};

use crate::golang::translate_regex;

/// Whether the expression is a text, texts to choose from, a text with anything around it, or anything.
pub(super) fn simplifies(regex: &str) -> bool {
    let translated = translate_regex(regex).unwrap_or_default();
    regex_syntax::parse(&translated).is_ok_and(|hir| is_simple(&hir))
}

fn is_simple(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) => true,
        HirKind::Repetition(_) => is_anything(hir) || is_something(hir),
        HirKind::Capture(capture) => is_simple(&capture.sub),
        HirKind::Alternation(parts) => parts.iter().all(is_simple),
        HirKind::Concat(parts) => is_simple_sequence(parts),
        HirKind::Class(_) | HirKind::Look(_) => false,
    }
}

/// A text with `.*` around it, or a text and then texts to choose from.
fn is_simple_sequence(parts: &[Hir]) -> bool {
    let is_literal = |hir: &Hir| matches!(hir.kind(), HirKind::Literal(_));
    match parts {
        [literal, choice] if is_literal(literal) && is_choice(choice) => true,
        [_, _] | [_, _, _] => {
            parts.iter().filter(|part| is_literal(part)).count() == 1
                && parts.iter().all(|part| is_literal(part) || is_anything(part))
        }
        _ => false,
    }
}

fn is_choice(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Capture(capture) => is_choice(&capture.sub),
        HirKind::Alternation(parts) => parts.iter().all(is_simple),
        _ => false,
    }
}

/// `.*`
fn is_anything(hir: &Hir) -> bool {
    is_repeated_dot(hir, 0)
}

/// `.+`
fn is_something(hir: &Hir) -> bool {
    is_repeated_dot(hir, 1)
}

fn is_repeated_dot(hir: &Hir, min: u32) -> bool {
    let HirKind::Repetition(repetition) = hir.kind() else { return false };
    let dots = [Hir::dot(Dot::AnyCharExceptLF), Hir::dot(Dot::AnyChar)];
    repetition.min == min && repetition.max.is_none() && dots.contains(&repetition.sub)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_with_anything_around_them_are_simple() {
        for regex in ["", "x", "foo|bar", "warn|warning", ".*x", "x.*", ".*x.*", ".*", ".+", "(x)"]
        {
            assert!(simplifies(regex), "{regex}");
        }
        for regex in ["[ab]", r"\d+", "x+", "^x", "x.y", ".*x.*y.*", "x.+"] {
            assert!(!simplifies(regex), "{regex}");
        }
    }
}
