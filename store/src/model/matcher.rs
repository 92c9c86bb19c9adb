//! One test on one stream label.

use std::collections::BTreeSet;
use std::fmt;

use regex::Regex;
use regex_syntax::hir::literal::Extractor;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`: the whole value matches the regular expression; a dot matches a newline too.
    Matches,
    /// `!~`
    NotMatches,
}

impl MatchOp {
    /// The operator as LogQL writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Matches => "=~",
            Self::NotMatches => "!~",
        }
    }
}

/// One test on one stream label. A label that is not there has the value `""`.
///
/// ```
/// use timberline_store::{MatchOp, Matcher};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let shop = Matcher::equal("app", "shop");
/// let anywhere_else = Matcher::new("env", MatchOp::NotMatches, "prod|staging")?;
/// assert!(shop.matches("shop") && !shop.matches("shopping"));
/// assert!(anywhere_else.matches("dev") && anywhere_else.matches_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Matcher {
    name: Box<str>,
    op: MatchOp,
    value: Box<str>,
    test: Test,
}

/// What a value is held against, apart from whether it is to pass or not.
#[derive(Clone)]
enum Test {
    /// The matcher's value.
    Value,
    /// A regular expression that matches all but the empty text.
    NotEmpty,
    /// One that matches a few texts, ascending.
    OneOf(Box<[Box<str>]>),
    /// Any other, and what all texts that it matches begin with.
    Regex {
        regex: Regex,
        #[cfg_attr(
            not(feature = "label-index"),
            allow(dead_code, reason = "the label index asks")
        )]
        prefix: Box<str>,
    },
}

impl Test {
    fn of_regex(pattern: &str) -> Result<Self, regex::Error> {
        if pattern == ".+" {
            return Ok(Self::NotEmpty);
        }
        let whole = format!("(?s:{pattern})");
        let mut prefix = Box::default();
        if let Ok(hir) = regex_syntax::parse(&whole) {
            let literals = Extractor::new().extract(&hir);
            let begins = literals.longest_common_prefix().unwrap_or_default();
            prefix = std::str::from_utf8(begins).unwrap_or_default().into();
            // What an assertion asks for is not a part of the literals.
            if literals.is_exact() && hir.properties().look_set().is_empty() {
                let texts = literals.literals().unwrap_or_default().iter();
                let texts = texts.map(|text| std::str::from_utf8(text.as_bytes()));
                if let Ok(texts) = texts.collect::<Result<BTreeSet<_>, _>>() {
                    return Ok(Self::OneOf(texts.into_iter().map(Box::from).collect()));
                }
            }
        }
        Ok(Self::Regex { regex: Regex::new(&format!("^{whole}$"))?, prefix })
    }
}

impl Matcher {
    /// A test of `name` against `value`.
    ///
    /// # Errors
    /// A regular expression that does not compile, for [`MatchOp::Matches`] and
    /// [`MatchOp::NotMatches`].
    ///
    /// # Source
    /// Anchoring and dot-all: Loki's selectors, `^(?s:RE)$`.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Self, regex::Error> {
        let test = match op {
            MatchOp::Equal | MatchOp::NotEqual => Test::Value,
            MatchOp::Matches | MatchOp::NotMatches => Test::of_regex(value)?,
        };
        Ok(Self { name: name.into(), op, value: value.into(), test })
    }

    /// `name="value"`
    #[must_use]
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), test: Test::Value }
    }

    /// `name!="value"`
    #[must_use]
    pub fn not_equal(name: &str, value: &str) -> Self {
        Self { op: MatchOp::NotEqual, ..Self::equal(name, value) }
    }

    /// The same test of another label.
    #[must_use]
    pub fn renamed(&self, name: &str) -> Self {
        Self { name: name.into(), ..self.clone() }
    }

    /// The label's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The operator.
    #[must_use]
    pub const fn op(&self) -> MatchOp {
        self.op
    }

    /// The text compared with, or the regular expression's source.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a label with this value (`""` when it is not there) passes.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let is_match = match &self.test {
            Test::Value => *self.value == *value,
            Test::NotEmpty => !value.is_empty(),
            Test::OneOf(texts) => texts.binary_search_by(|text| (**text).cmp(value)).is_ok(),
            Test::Regex { regex, .. } => regex.is_match(value),
        };
        is_match == matches!(self.op, MatchOp::Equal | MatchOp::Matches)
    }

    /// The texts that it compares with, where they are a few.
    #[cfg_attr(not(feature = "label-index"), allow(dead_code, reason = "the label index asks"))]
    pub(crate) fn texts(&self) -> Option<&[Box<str>]> {
        match &self.test {
            Test::Value => Some(std::slice::from_ref(&self.value)),
            Test::OneOf(texts) => Some(texts),
            Test::NotEmpty | Test::Regex { .. } => None,
        }
    }

    /// What all texts begin with that it compares with.
    #[cfg_attr(not(feature = "label-index"), allow(dead_code, reason = "the label index asks"))]
    pub(crate) fn prefix(&self) -> &str {
        match &self.test {
            Test::Regex { prefix, .. } => prefix,
            Test::Value | Test::NotEmpty | Test::OneOf(_) => "",
        }
    }

    /// Whether a stream without the label passes.
    #[must_use]
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op.as_str(), self.value)
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regexes_are_anchored_and_dots_match_newlines() {
        let matcher = Matcher::new("a", MatchOp::Matches, "x|y.").unwrap();
        assert!(matcher.matches("x") && matcher.matches("y\n") && !matcher.matches("xx"));
    }

    #[test]
    fn a_few_texts_or_a_prefix_are_told_from_an_expression() {
        let of = |pattern: &str| {
            let matcher = Matcher::new("a", MatchOp::Matches, pattern).unwrap();
            let texts = matcher.texts().map(|texts| texts.join(" "));
            (texts, matcher.prefix().to_owned())
        };
        let few = |texts: &str| (Some(texts.to_owned()), String::new());
        let begins = |prefix: &str| (None, prefix.to_owned());
        assert_eq!(of("b|a|c"), few("a b c"));
        assert_eq!(of("api-[12]|web"), few("api-1 api-2 web"));
        assert_eq!(of("x?"), few(" x"));
        assert_eq!(of("api-.*"), begins("api-"));
        assert_eq!(of("(?:api-1.|api-2.+)"), begins("api-"));
        for pattern in [".+", ".*", ".*x", "(?i)api.*", "(?i)a", "é|[^a]"] {
            assert_eq!(of(pattern).1, "", "{pattern}");
        }
        assert_eq!(of(r"a\b"), (None, "a".to_owned()), "an assertion is not a text");
    }

    #[test]
    fn shortcuts_match_what_the_expression_matches() {
        let patterns = [
            "b|a|c",
            "api-[12]|web",
            "x?",
            "api-.*",
            "(?i)a|b",
            ".+",
            ".*",
            "",
            "a|",
            r"a\b",
            "^a$",
            "(a|b)(c|d)",
        ];
        let values = [
            "", "a", "A", "b", "c", "x", "xx", "ac", "bd", "api-", "api-1", "api-12", "web", "\n",
            "a\n",
        ];
        for pattern in patterns {
            let regex = Regex::new(&format!("^(?s:{pattern})$")).unwrap();
            let [is, is_not] = [MatchOp::Matches, MatchOp::NotMatches]
                .map(|op| Matcher::new("a", op, pattern).unwrap());
            for value in values {
                assert_eq!(is.matches(value), regex.is_match(value), "{pattern} {value:?}");
                assert_eq!(is_not.matches(value), !regex.is_match(value), "{pattern} {value:?}");
            }
        }
        assert!(Matcher::new("a", MatchOp::Matches, "a(").is_err());
    }

    #[test]
    fn a_missing_label_is_the_empty_value() {
        assert!(Matcher::new("a", MatchOp::NotEqual, "x").unwrap().matches_empty());
        assert!(!Matcher::new("a", MatchOp::Matches, ".+").unwrap().matches_empty());
    }
}
