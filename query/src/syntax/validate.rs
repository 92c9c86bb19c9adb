//! What a query must satisfy beyond its grammar, in Loki's words.

use timberline_store::Matcher;

use super::ast::{
    BinaryOp, Grouping, LabelMatcher, MetricExpr, MetricKind, RangeFunction, Selector,
    VectorFunction,
};
use super::error::ParseError;
use crate::golang::{compile_regex_str, group_names, parse_float, translate_regex};
use timberline_store::MatchOp;

/// What every log selector must do: see [`Selector::selects`].
const EMPTY_COMPATIBLE: &str = "queries require at least one regexp or equality matcher that does \
    not have an empty-compatible value. For instance, app=~\".*\" does not meet this requirement, \
    but app=~\".+\" will";

impl Selector {
    /// Whether some matcher fails on the empty value, as every query's selector must.
    #[must_use]
    pub fn selects(&self) -> bool {
        self.matchers
            .iter()
            .any(|matcher| matcher.compile().is_ok_and(|matcher| !matcher.matches_empty()))
    }
}

impl LabelMatcher {
    /// The matcher in the form that the store tests labels with.
    ///
    /// # Errors
    /// A regular expression that does not compile; those of a parsed query do.
    pub fn compile(&self) -> Result<Matcher, ParseError> {
        let value = match self.op {
            MatchOp::Equal | MatchOp::NotEqual => self.value.clone(),
            MatchOp::Matches | MatchOp::NotMatches => {
                translate_regex(&self.value).map_err(ParseError::new)?
            }
        };
        Matcher::new(&self.name, self.op, &value)
            .map_err(|error| ParseError::new(error.to_string()))
    }
}

/// The regular expression of a matcher compiles.
pub(super) fn matcher(matcher: &LabelMatcher) -> Result<(), ParseError> {
    matcher.compile().map(|_| ())
}

/// The fault of a selector that would select everything.
pub(super) fn selector(selector: &Selector) -> Option<ParseError> {
    (!selector.selects()).then(|| ParseError::new(EMPTY_COMPATIBLE))
}

/// The argument of `| regexp`: named groups only, each name once.
pub(super) fn regexp_stage(regex: &str) -> Result<(), ParseError> {
    let error = |why: String| ParseError::new(format!("invalid regexp parser: {why}"));
    compile_regex_str(regex).map_err(error)?;
    let names = group_names(regex).map_err(error)?;
    for (at, name) in names.iter().enumerate() {
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(error(format!("invalid extracted label name '{name}'")));
        }
        if names.iter().take(at).any(|earlier| earlier == name) {
            return Err(error(format!("duplicate extracted label name '{name}'")));
        }
    }
    if names.is_empty() {
        return Err(error("at least one named capture must be supplied".to_owned()));
    }
    Ok(())
}

/// The argument of `| pattern`: a named capture at least, none twice, no two side by side.
pub(super) fn pattern_stage(pattern: &str) -> Result<(), ParseError> {
    let error = |why: String| ParseError::new(format!("invalid pattern parser: {why}"));
    if pattern.is_empty() {
        let inner = ParseError {
            line: 1,
            column: 1,
            ..ParseError::new("syntax error: unexpected $end, expecting IDENTIFIER or LITERAL")
        };
        return Err(error(inner.to_string()));
    }
    let captures = captures(pattern);
    if captures.iter().all(|(_, name)| *name == "_") {
        return Err(error("at least one capture is required".to_owned()));
    }
    for ((start, first), (next, second)) in captures.iter().zip(captures.iter().skip(1)) {
        if start + first.len() + 2 == *next {
            return Err(error(format!(
                "found consecutive capture '<{first}><{second}>': invalid expression"
            )));
        }
    }
    for (at, (_, name)) in captures.iter().enumerate() {
        if *name != "_" && captures.iter().take(at).any(|(_, earlier)| earlier == name) {
            return Err(error(format!("duplicate capture name ({name}): invalid expression")));
        }
    }
    Ok(())
}

/// The captures of a pattern: where each begins, and its name.
fn captures(pattern: &str) -> Vec<(usize, &str)> {
    let mut captures = Vec::new();
    for (start, _) in pattern.match_indices('<') {
        let rest = pattern.get(start + 1..).unwrap_or_default();
        let is_name_char = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let len = rest.find(|c: char| !is_name_char(c)).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(len);
        let starts_well = name.starts_with(|c: char| !c.is_ascii_digit());
        if starts_well && behind.starts_with('>') {
            captures.push((start, name));
        }
    }
    captures
}

/// A number in a metric expression or a label filter.
pub(super) fn number(text: &str) -> Result<f64, ParseError> {
    parse_float(text)
        .map_err(|why| ParseError::new(format!("unable to parse literal as a float: {why}")))
}

/// The number of `vector(…)`.
pub(super) fn vector_number(text: &str) -> Result<f64, ParseError> {
    parse_float(text)
        .map_err(|why| ParseError::new(format!("unable to parse vectorExpr as a float: {why}")))
}

/// The regular expression of `label_replace`.
pub(super) fn label_replace(regex: &str) -> Result<(), ParseError> {
    translate_regex(&format!("^(?:{regex})$"))
        .map(|_| ())
        .map_err(|why| ParseError::new(format!("invalid regex in label_replace: {why}")))
}

/// The fault of an operation with log expressions for legs. Each leg: whether it is one, and if so
/// whether it has stages.
pub(super) fn operands(
    op: BinaryOp,
    left: Option<bool>,
    right: Option<bool>,
) -> Option<ParseError> {
    let (side, has_stages) = match (left, right) {
        (Some(has_stages), _) => ("left", has_stages),
        (None, Some(has_stages)) => ("right", has_stages),
        (None, None) => return None,
    };
    // The names are those of Loki's types.
    let kind = if has_stages { "*syntax.PipelineExpr" } else { "*syntax.MatchersExpr" };
    let op = op.as_str();
    let message = format!("unexpected type for {side} leg of binary operation ({op}): {kind}");
    Some(ParseError::new(message))
}

/// The fault of a set operation on a literal.
pub(super) fn set_operands(
    op: BinaryOp,
    left: &MetricExpr,
    right: &MetricExpr,
) -> Option<ParseError> {
    if !op.is_set() {
        return None;
    }
    let (side, value) = match (&left.kind, &right.kind) {
        (MetricKind::Literal(value), _) => ("left", value),
        (_, MetricKind::Literal(value)) => ("right", value),
        _ => return None,
    };
    let op = op.as_str();
    let message = format!(
        "unexpected literal for {side} leg of logical/set binary operation ({op}): {value:.6}"
    );
    Some(ParseError::new(message))
}

/// The parameter of a range aggregation, and its fault.
pub(super) fn range_parameter(
    function: RangeFunction,
    parameter: Option<&str>,
) -> (Option<f64>, Option<ParseError>) {
    let name = function.as_str();
    let takes_one = function == RangeFunction::QuantileOverTime;
    let why = match (parameter, takes_one) {
        (None, false) => return (None, None),
        (None, true) => format!("parameter required for operation {name}"),
        (Some(text), false) => format!("parameter {text} not supported for operation {name}"),
        (Some(text), true) => match parse_float(text) {
            Ok(value) => return (Some(value), None),
            Err(why) => format!("invalid parameter for operation {name}: {why}"),
        },
    };
    (None, Some(ParseError::new(why)))
}

/// The fault of a range aggregation that has a grouping or an `unwrap` it must not have, or has no
/// `unwrap` though it needs one.
pub(super) fn range_aggregation(
    function: RangeFunction,
    is_grouped: bool,
    is_unwrapped: bool,
) -> Option<ParseError> {
    use RangeFunction::{
        AbsentOverTime, AvgOverTime, BytesOverTime, BytesRate, CountOverTime, FirstOverTime,
        LastOverTime, MaxOverTime, MinOverTime, QuantileOverTime, Rate, StddevOverTime,
        StdvarOverTime,
    };

    let name = function.as_str();
    let may_group = matches!(
        function,
        AvgOverTime
            | StddevOverTime
            | StdvarOverTime
            | QuantileOverTime
            | MaxOverTime
            | MinOverTime
            | FirstOverTime
            | LastOverTime
    );
    let counts_lines = matches!(function, CountOverTime | BytesOverTime | BytesRate);
    let takes_both = matches!(function, Rate | AbsentOverTime);
    if is_grouped && !may_group {
        return Some(ParseError::new(format!("grouping not allowed for {name} aggregation")));
    }
    match is_unwrapped {
        true if counts_lines => {
            Some(ParseError::new(format!("invalid aggregation {name} with unwrap")))
        }
        false if !counts_lines && !takes_both => {
            Some(ParseError::new(format!("invalid aggregation {name} without unwrap")))
        }
        _ => None,
    }
}

/// The parameter of a vector aggregation, and the fault of parameter and grouping.
pub(super) fn vector_aggregation(
    function: VectorFunction,
    parameter: Option<&str>,
    grouping: Option<&Grouping>,
) -> (Option<u64>, Option<ParseError>) {
    use VectorFunction::{ApproxTopk, Bottomk, Sort, SortDesc, Topk};

    let name = function.as_str();
    let takes_one = matches!(function, Topk | Bottomk | ApproxTopk);
    let number = parameter.and_then(|text| text.parse::<i64>().ok());
    let why = match (parameter, takes_one, number) {
        (None, true, _) => format!("parameter required for operation {name}"),
        (Some(text), false, _) => format!("unsupported parameter for operation {name}({text},"),
        (Some(text), true, None) => format!("invalid parameter {name}({text},"),
        (Some(text), true, Some(..=0)) => {
            format!("invalid parameter (must be greater than 0) {name}({text}")
        }
        _ if function == ApproxTopk && grouping.is_some() => {
            format!("grouping not allowed for {name} aggregation")
        }
        _ if matches!(function, Sort | SortDesc)
            && grouping.is_some_and(|grouping| !grouping.labels.is_empty()) =>
        {
            "sort and sort_desc doesn't allow grouping by ".to_owned()
        }
        _ => return (number.and_then(|number| u64::try_from(number).ok()), None),
    };
    (None, Some(ParseError::new(why)))
}
