//! What can be said of a regular expression's matches without running it.
//!
//! Literals are taken from the expression's syntax tree, wherever in it they stand: `took \d+ms` has
//! `took `. Case-insensitive letters are kept as such; those that also match a letter beyond ASCII (`s`
//! and `ſ`, `k` and the Kelvin sign) make a choice of literals.

use std::sync::Arc;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::Needle;

/// More literals than these are worth less than they cost.
const LITERALS_MAX: usize = 32;

/// Classes of more characters are no choice of literals.
const CLASS_MAX: usize = 4;

/// Shorter literals are in most lines.
const REQUIRED_LEN_MIN: usize = 2;

/// What is known of where an expression matches.
#[derive(Clone, Debug)]
pub(crate) enum Literals {
    /// Where one of these is found, and nowhere else.
    Exact(Vec<Arc<Needle>>),
    /// Only where one of these is found.
    Required(Vec<Arc<Needle>>),
    /// Nothing.
    Unknown,
}

/// The literals of an expression.
pub(crate) fn literals(pattern: &str) -> Literals {
    let parsed = ParserBuilder::new().utf8(false).build().parse(pattern);
    let known = parsed.map_or(Known::Nothing, |hir| Known::of(&hir));
    let (texts, is_exact) = match known {
        Known::Language(texts) => (texts, true),
        Known::Within(texts) => (texts, false),
        Known::Nothing => return Literals::Unknown,
    };
    if texts.is_empty() || texts.iter().any(|text| text.0.is_empty()) {
        return Literals::Unknown;
    }
    if !is_exact && texts.iter().any(|text| text.0.len() < REQUIRED_LEN_MIN) {
        return Literals::Unknown;
    }
    let is_exact = is_exact && texts.iter().all(Text::is_of_one_kind);
    let needles: Option<Vec<_>> = texts.iter().map(|text| text.needle().map(Arc::new)).collect();
    match (needles, is_exact) {
        (Some(needles), true) => Literals::Exact(needles),
        (Some(needles), false) => Literals::Required(needles),
        (None, _) => Literals::Unknown,
    }
}

/// A byte, and whether it stands for the letter in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Letter {
    byte: u8,
    either_case: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Text(Vec<Letter>);

impl Text {
    fn of(bytes: &[u8]) -> Self {
        Self(bytes.iter().map(|&byte| Letter { byte, either_case: false }).collect())
    }

    fn ignores_case(&self) -> bool {
        self.0.iter().any(|letter| letter.either_case)
    }

    /// Whether all letters keep their case, or none.
    fn is_of_one_kind(&self) -> bool {
        let ignores_case = self.ignores_case();
        self.0
            .iter()
            .all(|letter| !letter.byte.is_ascii_alphabetic() || letter.either_case == ignores_case)
    }

    fn needle(&self) -> Option<Needle> {
        let bytes: Vec<u8> = self.0.iter().map(|letter| letter.byte).collect();
        if self.ignores_case() { Needle::in_either_case(&bytes) } else { Some(Needle::new(&bytes)) }
    }
}

/// What is known of the texts that a part of an expression matches.
#[derive(Debug)]
enum Known {
    /// They are these.
    Language(Vec<Text>),
    /// Each has one of these within.
    Within(Vec<Text>),
    Nothing,
}

impl Known {
    fn of(hir: &Hir) -> Self {
        match hir.kind() {
            HirKind::Empty => Self::Language(vec![Text::default()]),
            HirKind::Literal(literal) => Self::Language(vec![Text::of(&literal.0)]),
            HirKind::Class(class) => Self::of_class(class),
            HirKind::Look(_) => Self::Nothing,
            HirKind::Repetition(repetition) => match (repetition.min, repetition.max) {
                (0, _) => Self::Nothing,
                (1, Some(1)) => Self::of(&repetition.sub),
                _ => Self::of(&repetition.sub).within(),
            },
            HirKind::Capture(capture) => Self::of(&capture.sub),
            HirKind::Concat(parts) => Self::of_sequence(parts),
            HirKind::Alternation(parts) => Self::of_choice(parts),
        }
    }

    fn within(self) -> Self {
        match self {
            Self::Language(texts) => Self::Within(texts),
            other => other,
        }
    }

    fn of_class(class: &Class) -> Self {
        let mut chars = Vec::new();
        match class {
            Class::Unicode(class) => {
                for range in class.iter() {
                    chars.extend((range.start()..=range.end()).take(LITERALS_MAX).map(u32::from));
                }
            }
            Class::Bytes(class) => {
                for range in class.iter().filter(|range| range.end() < 0x80) {
                    chars.extend((range.start()..=range.end()).map(u32::from));
                }
                if class.iter().any(|range| range.end() >= 0x80) {
                    return Self::Nothing;
                }
            }
        }
        let chars: Vec<char> = chars.into_iter().filter_map(char::from_u32).collect();
        if chars.is_empty() || chars.len() > CLASS_MAX {
            return Self::Nothing;
        }
        let text = |char: &char| Text::of(char.encode_utf8(&mut [0; 4]).as_bytes());
        match chars.as_slice() {
            [upper, lower, others @ ..]
                if upper.is_ascii_uppercase() && *lower == upper.to_ascii_lowercase() =>
            {
                let byte = *lower as u8;
                let letter = Text(vec![Letter { byte, either_case: true }]);
                Self::Language([letter].into_iter().chain(others.iter().map(text)).collect())
            }
            chars => Self::Language(chars.iter().map(text).collect()),
        }
    }

    fn of_choice(parts: &[Hir]) -> Self {
        let (mut all, mut is_language) = (Vec::new(), true);
        for part in parts {
            match Self::of(part) {
                Self::Language(texts) => all.extend(texts),
                Self::Within(texts) => {
                    is_language = false;
                    all.extend(texts);
                }
                Self::Nothing => return Self::Nothing,
            }
        }
        if all.len() > LITERALS_MAX {
            return Self::Nothing;
        }
        if is_language { Self::Language(all) } else { Self::Within(all) }
    }

    /// Parts one behind the other: literals that touch are put together, and the best are kept.
    fn of_sequence(parts: &[Hir]) -> Self {
        let mut best: Option<Vec<Text>> = None;
        let mut touching = vec![Text::default()];
        let mut is_language = true;
        for part in parts {
            match Self::of(part) {
                Self::Language(texts) if touching.len() * texts.len() <= LITERALS_MAX => {
                    touching = product(&touching, &texts);
                }
                known => {
                    is_language = false;
                    keep_better(&mut best, std::mem::replace(&mut touching, vec![Text::default()]));
                    if let Self::Language(texts) | Self::Within(texts) = known {
                        keep_better(&mut best, texts);
                    }
                }
            }
        }
        if is_language {
            return Self::Language(touching);
        }
        keep_better(&mut best, touching);
        best.map_or(Self::Nothing, Self::Within)
    }
}

fn product(heads: &[Text], tails: &[Text]) -> Vec<Text> {
    let join = |head: &Text, tail: &Text| Text([&head.0[..], &tail.0[..]].concat());
    heads.iter().flat_map(|head| tails.iter().map(move |tail| join(head, tail))).collect()
}

/// Longer literals are rarer; what counts is the shortest of a choice.
fn keep_better(best: &mut Option<Vec<Text>>, texts: Vec<Text>) {
    let len = |texts: &[Text]| texts.iter().map(|text| text.0.len()).min().unwrap_or_default();
    if len(&texts) > best.as_deref().map_or(0, len) {
        *best = Some(texts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pattern: &str) -> String {
        format!("{:?}", literals(pattern))
    }

    #[test]
    fn literals_that_say_all() {
        assert_eq!(shown("error"), r#"Exact(["error"])"#);
        assert_eq!(shown("(?i)exception|error"), r#"Exact([(?i)"exception", (?i)"error"])"#);
        assert_eq!(shown("GET|PU(T|SH)"), r#"Exact(["GET", "PUT", "PUSH"])"#);
    }

    #[test]
    fn literals_that_are_needed() {
        assert_eq!(shown(r"took \d+ms"), r#"Required(["took "])"#);
        assert_eq!(shown(r"\berror\b"), r#"Required(["error"])"#);
        assert_eq!(shown(r"status=5\d\d"), r#"Required(["status=5"])"#);
        assert_eq!(shown("(abc)+x"), r#"Required(["abc"])"#);
        assert_eq!(shown("(?i)E(?-i)rror"), r#"Required([(?i)"error"])"#);
    }

    #[test]
    fn letters_with_a_twin_beyond_ascii_are_a_choice() {
        assert_eq!(shown("(?i)list"), r#"Exact([(?i)"list", (?i)"liſt"])"#);
        assert_eq!(shown("(?i)É"), r#"Exact(["É", "é"])"#);
        assert_eq!(shown("(?i-u)ask"), r#"Exact([(?i)"ask"])"#);
    }

    #[test]
    fn nothing_is_known_of_what_may_be_anything() {
        for pattern in ["", "a*", ".*", "x?", "[a-z]+", "a|.", "^$", "(?i)s|x"] {
            assert_eq!(shown(pattern), "Unknown", "{pattern}");
        }
    }
}
