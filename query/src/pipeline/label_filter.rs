//! `| status >= 500 and level="error"`: conditions on labels.
//!
//! What a number, duration or size is compared with decides how the label's text is read. A text
//! that cannot be read keeps the line and sets an error; a label that is not there drops it.

use std::cmp::Ordering;

use regex::Regex;
use timberline_store::MatchOp;

use super::ip::IpPattern;
use super::labels::LabelBuilder;
use super::names::{NameId, Names};
use crate::golang::{compile_regex_str, parse_bytes, parse_duration, parse_float};
use crate::syntax::{Comparison, LabelFilter as Ast, LabelMatcher};

/// The error code of a label whose text is no number, duration or size.
const LABEL_FILTER_ERROR: &str = "LabelFilterErr";

/// A condition, compiled.
#[derive(Debug)]
pub(crate) enum LabelFilter {
    Text { name: NameId, test: TextTest, negated: bool },
    Ip { name: NameId, pattern: IpPattern, negated: bool },
    Number { name: NameId, op: Comparison, value: f64 },
    Duration { name: NameId, op: Comparison, nanos: i64 },
    Bytes { name: NameId, op: Comparison, bytes: u64 },
    And(Box<LabelFilter>, Box<LabelFilter>),
    Or(Box<LabelFilter>, Box<LabelFilter>),
}

/// What a label's text is tested for.
#[derive(Debug)]
pub(crate) enum TextTest {
    /// Nothing.
    Any,
    /// That there is some.
    NotEmpty,
    /// That it is this.
    Equal(Box<str>),
    /// That it matches as a whole.
    Regex(Regex),
}

impl LabelFilter {
    /// # Errors
    /// A regular expression or an address that does not compile.
    pub(crate) fn compile(filter: &Ast, names: &mut Names) -> Result<Self, String> {
        Ok(match filter {
            Ast::Matcher(matcher) => Self::Text {
                name: names.intern(&matcher.name),
                test: TextTest::compile(matcher)?,
                negated: matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotMatches),
            },
            Ast::Ip { name, negated, pattern } => Self::Ip {
                name: names.intern(name),
                pattern: IpPattern::parse(pattern)?,
                negated: *negated,
            },
            Ast::Number { name, op, value } => {
                Self::Number { name: names.intern(name), op: *op, value: *value }
            }
            Ast::Duration { name, op, nanos } => {
                Self::Duration { name: names.intern(name), op: *op, nanos: *nanos }
            }
            Ast::Bytes { name, op, bytes } => {
                Self::Bytes { name: names.intern(name), op: *op, bytes: *bytes }
            }
            Ast::And(left, right) => Self::And(
                Box::new(Self::compile(left, names)?),
                Box::new(Self::compile(right, names)?),
            ),
            Ast::Or(left, right) => Self::Or(
                Box::new(Self::compile(left, names)?),
                Box::new(Self::compile(right, names)?),
            ),
        })
    }

    /// Whether the entry stays. May set its error.
    pub(crate) fn passes(&self, labels: &mut LabelBuilder<'_>) -> bool {
        match self {
            Self::Text { name, test, negated } => test.holds(text_of(labels, *name)) != *negated,
            Self::Ip { name, pattern, negated } => {
                labels.error().is_some()
                    || labels
                        .get(*name)
                        .is_some_and(|text| pattern.is_in(text.as_bytes()) != *negated)
            }
            Self::Number { name, op, value } => {
                numeric(labels, *name, parse_float, |found| op.holds(found.partial_cmp(value)))
            }
            Self::Duration { name, op, nanos } => {
                numeric(labels, *name, parse_duration, |found| op.holds(Some(found.cmp(nanos))))
            }
            Self::Bytes { name, op, bytes } => {
                numeric(labels, *name, parse_bytes, |found| op.holds(Some(found.cmp(bytes))))
            }
            // Both sides run: the second may set an error, too.
            Self::And(left, right) => left.passes(labels) & right.passes(labels),
            Self::Or(left, right) => left.passes(labels) || right.passes(labels),
        }
    }

    /// Whether the outcome depends on the values of the labels alone, and not on the entry's error.
    pub(crate) fn is_blind_to_errors(&self) -> bool {
        match self {
            Self::Text { name, .. } => {
                ![NameId::ERROR, NameId::ERROR_DETAILS, NameId::PRESERVE_ERROR].contains(name)
            }
            Self::Ip { .. } => false,
            Self::Number { .. } | Self::Duration { .. } | Self::Bytes { .. } => true,
            Self::And(left, right) | Self::Or(left, right) => {
                left.is_blind_to_errors() && right.is_blind_to_errors()
            }
        }
    }

    /// Calls `each` with the labels that the condition looks at.
    pub(crate) fn for_each_name(&self, each: &mut impl FnMut(NameId)) {
        match self {
            Self::Text { name, .. }
            | Self::Ip { name, .. }
            | Self::Number { name, .. }
            | Self::Duration { name, .. }
            | Self::Bytes { name, .. } => each(*name),
            Self::And(left, right) | Self::Or(left, right) => {
                left.for_each_name(each);
                right.for_each_name(each);
            }
        }
    }
}

/// The label's text, empty where it is not there. `__error__` is the code; its details have no text
/// here.
fn text_of<'a>(labels: &'a LabelBuilder<'_>, name: NameId) -> &'a str {
    let text = if name == NameId::ERROR { labels.error() } else { labels.get(name) };
    text.unwrap_or_default()
}

fn numeric<T>(
    labels: &mut LabelBuilder<'_>,
    name: NameId,
    parse: impl FnOnce(&str) -> Result<T, String>,
    holds: impl FnOnce(T) -> bool,
) -> bool {
    let Some(text) = labels.get(name) else { return false };
    match parse(text) {
        Ok(value) => holds(value),
        Err(details) => {
            if labels.error().is_none() {
                labels.set_error(LABEL_FILTER_ERROR, &details);
            }
            true
        }
    }
}

impl Comparison {
    /// Whether it holds for values that compare so; `None` where one is not a number.
    fn holds(self, ordering: Option<Ordering>) -> bool {
        match self {
            Self::Equal => ordering == Some(Ordering::Equal),
            Self::NotEqual => ordering != Some(Ordering::Equal),
            Self::Greater => ordering == Some(Ordering::Greater),
            Self::GreaterOrEqual => ordering.is_some_and(Ordering::is_ge),
            Self::Less => ordering == Some(Ordering::Less),
            Self::LessOrEqual => ordering.is_some_and(Ordering::is_le),
        }
    }
}

impl TextTest {
    fn compile(matcher: &LabelMatcher) -> Result<Self, String> {
        let value = matcher.value.as_str();
        Ok(match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => Self::Equal(value.into()),
            MatchOp::Matches | MatchOp::NotMatches => match value {
                ".*" => Self::Any,
                ".+" => Self::NotEmpty,
                _ => Self::Regex(compile_regex_str(&format!("^(?:{value})$"))?),
            },
        })
    }

    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::NotEmpty => !text.is_empty(),
            Self::Equal(expected) => **expected == *text,
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}
