//! One test on one stream label.

use std::fmt;

use regex::Regex;

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
    /// Compiled from `value`, for the two regex operators.
    regex: Option<Regex>,
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
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Matches | MatchOp::NotMatches => Some(Regex::new(&format!("^(?s:{value})$"))?),
        };
        Ok(Self { name: name.into(), op, value: value.into(), regex })
    }

    /// `name="value"`
    #[must_use]
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
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
        let is_match = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => *self.value == *value,
        };
        is_match == matches!(self.op, MatchOp::Equal | MatchOp::Matches)
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
    fn a_missing_label_is_the_empty_value() {
        assert!(Matcher::new("a", MatchOp::NotEqual, "x").unwrap().matches_empty());
        assert!(!Matcher::new("a", MatchOp::Matches, ".+").unwrap().matches_empty());
    }
}
