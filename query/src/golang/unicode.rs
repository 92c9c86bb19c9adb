//! Unicode's categories as package `unicode` has them.

use std::cmp::Ordering;
use std::sync::LazyLock;

use regex_syntax::hir::{Class, Hir, HirKind};

/// Letters: category L.
pub(crate) fn is_letter(c: char) -> bool {
    static RANGES: LazyLock<Vec<(char, char)>> = LazyLock::new(|| ranges(r"[\pL]"));

    if c.is_ascii() { c.is_ascii_alphabetic() } else { contains(&RANGES, c) }
}

/// Decimal digits: category Nd.
pub(crate) fn is_digit(c: char) -> bool {
    static RANGES: LazyLock<Vec<(char, char)>> = LazyLock::new(|| ranges(r"[\p{Nd}]"));

    if c.is_ascii() { c.is_ascii_digit() } else { contains(&RANGES, c) }
}

/// Letters, marks, numbers, punctuation, symbols and the ASCII space.
pub(crate) fn is_printable(c: char) -> bool {
    static RANGES: LazyLock<Vec<(char, char)>> = LazyLock::new(|| ranges(r"[\pL\pM\pN\pP\pS]"));

    if c.is_ascii() { matches!(c, ' '..='~') } else { contains(&RANGES, c) }
}

fn contains(ranges: &[(char, char)], c: char) -> bool {
    let position = |&(first, last): &(char, char)| match () {
        () if last < c => Ordering::Less,
        () if first > c => Ordering::Greater,
        () => Ordering::Equal,
    };
    ranges.binary_search_by(position).is_ok()
}

/// The tables of the regex crate know Unicode's categories; there is no need for others.
fn ranges(class: &str) -> Vec<(char, char)> {
    let parsed = regex_syntax::parse(class);
    match parsed.as_ref().map(Hir::kind) {
        Ok(HirKind::Class(Class::Unicode(class))) => {
            class.iter().map(|range| (range.start(), range.end())).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_those_of_unicode() {
        assert!(is_letter('é') && is_letter('世') && !is_letter('_') && !is_letter('Ⅷ'));
        assert!(is_digit('٣') && !is_digit('²') && !is_digit('x'));
        assert!(is_printable('🦀') && is_printable(' ') && !is_printable('\u{a0}'));
    }
}
