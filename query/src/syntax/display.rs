//! The canonical text of every node, on one line.
//!
//! It is the text of error messages (`stage '…'`) and of short nodes in formatted queries. Reading it
//! back gives the same tree, with the exceptions that Loki's form of some values forces: sizes are
//! rounded to what humans read, `vector(…)` to six decimals, and a folded `NaN` is no literal.

use std::fmt::{self, Display, Formatter, Write as _};

use timberline_store::MatchOp;

use super::ast::{
    BinaryOperation, Comparison, Expr, GroupModifier, Grouping, LabelExtraction, LabelFilter,
    LabelFormat, LabelFormatValue, LabelMatcher, LabelReplace, LineFilter, LineOperand, LogExpr,
    MetricExpr, MetricKind, NameOrMatcher, RangeAggregation, Selector, Stage, StageKind, Unwrap,
    VectorAggregation, VectorMatching,
};
use super::simplify::simplifies;
use crate::golang::{
    format_bytes, format_duration, format_float, format_float_v, format_prometheus_duration, quote,
};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(log) => log.fmt(f),
            Self::Metric(metric) => metric.fmt(f),
        }
    }
}

impl Display for LogExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.selector.fmt(f)?;
        self.stages.iter().try_for_each(|stage| write!(f, " {stage}"))
    }
}

impl Display for Selector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", Joined(&self.matchers, ", "))
    }
}

impl Display for LabelMatcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.name, self.op.as_str(), quote(&self.value))
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl Display for StageKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineFilter(filter) => filter.fmt(f),
            Self::Json(extractions) => write_list(f, "| json", extractions),
            Self::Logfmt { strict, keep_empty, extractions } => {
                let strict = if *strict { " --strict" } else { "" };
                let keep_empty = if *keep_empty { " --keep-empty" } else { "" };
                write_list(f, &format!("| logfmt{strict}{keep_empty}"), extractions)
            }
            Self::Regexp(regex) => write!(f, "| regexp {}", quote(regex)),
            Self::Pattern(pattern) => write!(f, "| pattern {}", quote(pattern)),
            Self::Unpack => f.write_str("| unpack"),
            Self::LabelFilter(filter) => write!(f, "| {filter}"),
            Self::LineFormat(template) => write!(f, "| line_format {}", quote(template)),
            Self::LabelFormat(items) => write_list(f, "| label_format", items),
            Self::Decolorize => f.write_str("| decolorize"),
            Self::Drop(items) => write_list(f, "| drop", items),
            Self::Keep(items) => write_list(f, "| keep", items),
        }
    }
}

impl Display for LineFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.op.as_str(), Joined(&self.operands, " or "))
    }
}

impl Display for LineOperand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&quote(text)),
            Self::Ip(pattern) => write!(f, "ip({})", quote(pattern)),
        }
    }
}

impl Display for LabelExtraction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, quote(&self.expression))
    }
}

impl Display for LabelFormat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.value {
            LabelFormatValue::Rename(source) => write!(f, "{}={source}", self.name),
            LabelFormatValue::Template(template) => write!(f, "{}={}", self.name, quote(template)),
        }
    }
}

impl Display for NameOrMatcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Matcher(matcher) => matcher.fmt(f),
        }
    }
}

impl Display for LabelFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matcher(matcher) => write_filter_matcher(f, matcher),
            Self::Ip { name, negated, pattern } => {
                write!(f, "{name}{}ip({})", if *negated { "!=" } else { "=" }, quote(pattern))
            }
            Self::Number { name, op, value } => {
                write!(f, "{name}{op}{}", decimal(*value))
            }
            Self::Duration { name, op, nanos } => {
                write!(f, "{name}{op}{}", format_duration(*nanos))
            }
            Self::Bytes { name, op, bytes } => write!(f, "{name}{op}{}", format_bytes(*bytes)),
            Self::And(left, right) => write!(f, "( {left} , {right} )"),
            Self::Or(left, right) => write!(f, "( {left} or {right} )"),
        }
    }
}

/// In a label filter a regular expression that Loki runs as one is printed raw.
fn write_filter_matcher(f: &mut Formatter<'_>, matcher: &LabelMatcher) -> fmt::Result {
    let is_regex = matches!(matcher.op, MatchOp::Matches | MatchOp::NotMatches);
    let value = &matcher.value;
    if is_regex && !value.contains(['`', '\0']) && !simplifies(value) {
        return write!(f, "{}{}`{value}`", matcher.name, matcher.op.as_str());
    }
    matcher.fmt(f)
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Display for MetricExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            MetricKind::Range(range) => range.fmt(f),
            MetricKind::Vector(vector) => vector.fmt(f),
            MetricKind::Binary(binary) => binary.fmt(f),
            MetricKind::Literal(value) => f.write_str(&literal(*value)),
            MetricKind::VectorLiteral(value) => write!(f, "vector({value:.6})"),
            MetricKind::LabelReplace(replace) => replace.fmt(f),
        }
    }
}

impl Display for RangeAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.function.as_str())?;
        if let Some(parameter) = self.parameter {
            write!(f, "{},", format_float(parameter))?;
        }
        self.log.fmt(f)?;
        if let Some(unwrap) = &self.unwrap {
            write!(f, " {unwrap}")?;
        }
        write!(f, "[{}]", range_text(self))?;
        if self.offset_nanos != 0 {
            write!(f, " offset {}", format_duration(self.offset_nanos))?;
        }
        f.write_char(')')?;
        self.grouping.as_ref().map_or(Ok(()), |grouping| write!(f, " {grouping}"))
    }
}

/// The range as it stands in the brackets.
pub(super) fn range_text(range: &RangeAggregation) -> String {
    format_prometheus_duration(i64::try_from(range.range.as_nanos()).unwrap_or(i64::MAX))
}

impl Display for Unwrap {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.conversion.as_str() {
            Some(conversion) => write!(f, "| unwrap {conversion}({})", self.label)?,
            None => write!(f, "| unwrap {}", self.label)?,
        }
        self.filters.iter().try_for_each(|filter| write!(f, " | {filter}"))
    }
}

impl Display for Grouping {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let word = if self.without { "without" } else { "by" };
        write!(f, "{word} ({})", Joined(&self.labels, ","))
    }
}

impl Display for VectorAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.function.as_str())?;
        if let Some(grouping) = &self.grouping {
            write!(f, " {grouping}")?;
        }
        f.write_char('(')?;
        if let Some(parameter) = self.parameter {
            write!(f, "{parameter},")?;
        }
        write!(f, "{})", self.inner)
    }
}

impl Display for BinaryOperation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let right = self.right.to_string();
        write!(f, "({} {} {right})", self.left, operator_text(self, &right, ","))
    }
}

/// The operator with its modifiers; `separator` goes between labels. `right` is the text that follows.
pub(super) fn operator_text(binary: &BinaryOperation, right: &str, separator: &str) -> String {
    let mut text = binary.op.as_str().to_owned();
    if binary.return_bool {
        text.push_str(" bool");
    }
    if let Some(VectorMatching { on, labels, group }) = &binary.matching {
        let word = if *on { "on" } else { "ignoring" };
        // Writing to a String cannot fail. The blank is there even when no group follows, as in Loki.
        let _ = write!(text, " {word} ({}) ", Joined(labels, separator));
        if let Some(group) = group {
            text.push_str(&group_text(group, right, separator));
        }
    }
    text
}

fn group_text(group: &GroupModifier, right: &str, separator: &str) -> String {
    let word = if group.left { "group_left" } else { "group_right" };
    // In front of a parenthesis the empty list is needed: that would be read as the labels.
    if group.include.is_empty() && !right.trim_start().starts_with('(') {
        return word.to_owned();
    }
    format!("{word} ({})", Joined(&group.include, separator))
}

impl Display for LabelReplace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "label_replace({}", self.inner)?;
        for argument in self.arguments() {
            write!(f, ",{}", quote(argument))?;
        }
        f.write_char(')')
    }
}

impl LabelReplace {
    /// The arguments behind the first, in order.
    pub(super) fn arguments(&self) -> [&str; 4] {
        [&self.destination, &self.replacement, &self.source, &self.regex]
    }
}

/// A literal, with an exponent where it is long.
pub(super) fn literal(value: f64) -> String {
    negative_zero(value).unwrap_or_else(|| format_float_v(value))
}

fn decimal(value: f64) -> String {
    negative_zero(value).unwrap_or_else(|| format_float(value))
}

/// `-0` would be read as a duration.
fn negative_zero(value: f64) -> Option<String> {
    (value == 0.0 && value.is_sign_negative()).then(|| "-0.0".to_owned())
}

fn write_list<T: Display>(f: &mut Formatter<'_>, word: &str, items: &[T]) -> fmt::Result {
    f.write_str(word)?;
    if items.is_empty() {
        return Ok(());
    }
    write!(f, " {}", Joined(items, ","))
}

/// Items with a separator between them.
pub(super) struct Joined<'a, T>(pub(super) &'a [T], pub(super) &'a str);

impl<T: Display> Display for Joined<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, item) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(self.1)?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}
