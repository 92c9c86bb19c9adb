//! The syntax tree of LogQL. Every node knows where in the query it came from.

use std::time::Duration;

use timberline_store::MatchOp;

/// A piece of the query's text: byte offsets, `start..end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte behind the last.
    pub end: u32,
}

/// A whole query.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// Asks for lines.
    Log(LogExpr),
    /// Asks for numbers.
    Metric(MetricExpr),
}

/// `{…}` and the stages behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct LogExpr {
    /// The stream selector.
    pub selector: Selector,
    /// The pipeline, in the order written.
    pub stages: Vec<Stage>,
    /// Where it stands.
    pub span: Span,
}

/// `{a="b", c=~"d"}`
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// The matchers, in the order written; may be empty.
    pub matchers: Vec<LabelMatcher>,
    /// Where it stands.
    pub span: Span,
}

/// `name op "value"`: in a selector, a label filter, `drop` or `keep`.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelMatcher {
    /// The label.
    pub name: String,
    /// How it is compared.
    pub op: MatchOp,
    /// With what, unquoted.
    pub value: String,
    /// Where it stands.
    pub span: Span,
}

/// One stage of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// What it does.
    pub kind: StageKind,
    /// Where it stands, with its `|`.
    pub span: Span,
}

/// What a stage does.
#[derive(Clone, Debug, PartialEq)]
pub enum StageKind {
    /// `|= "x" or "y"` and its kin.
    LineFilter(LineFilter),
    /// `| json`, with or without expressions.
    Json(Vec<LabelExtraction>),
    /// `| logfmt`, with or without flags and expressions.
    Logfmt {
        /// `--strict`
        strict: bool,
        /// `--keep-empty`
        keep_empty: bool,
        /// `x="key"`; empty means all.
        extractions: Vec<LabelExtraction>,
    },
    /// `| regexp "…"`
    Regexp(String),
    /// `| pattern "…"`
    Pattern(String),
    /// `| unpack`
    Unpack,
    /// `| status >= 500 and …`
    LabelFilter(LabelFilter),
    /// `| line_format "…"`
    LineFormat(String),
    /// `| label_format a=b, c="…"`
    LabelFormat(Vec<LabelFormat>),
    /// `| decolorize`
    Decolorize,
    /// `| drop a, b="x"`
    Drop(Vec<NameOrMatcher>),
    /// `| keep a, b="x"`
    Keep(Vec<NameOrMatcher>),
}

/// `x="expression"` behind `json` or `logfmt`; a bare `x` means `x="x"`.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelExtraction {
    /// The label to set.
    pub name: String,
    /// From where.
    pub expression: String,
}

/// The operator of a line filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFilterOp {
    /// `|=`
    Contains,
    /// `!=`
    NotContains,
    /// `|~`
    Matches,
    /// `!~`
    NotMatches,
    /// `|>`
    Pattern,
    /// `!>`
    NotPattern,
}

/// `op operand or operand …`: one operator for all operands.
#[derive(Clone, Debug, PartialEq)]
pub struct LineFilter {
    /// The operator.
    pub op: LineFilterOp,
    /// At least one.
    pub operands: Vec<LineOperand>,
}

/// What a line is tested for.
#[derive(Clone, Debug, PartialEq)]
pub enum LineOperand {
    /// A text, regular expression or pattern, by the operator.
    Text(String),
    /// `ip("…")`
    Ip(String),
}

/// A condition on labels.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelFilter {
    /// `a = "x"` and its kin.
    Matcher(LabelMatcher),
    /// `a = ip("…")`
    Ip {
        /// The label.
        name: String,
        /// Whether it is `!=`.
        negated: bool,
        /// The address, range or prefix.
        pattern: String,
    },
    /// `a > 5`
    Number {
        /// The label.
        name: String,
        /// The comparison.
        op: Comparison,
        /// With what.
        value: f64,
    },
    /// `a > 5m`
    Duration {
        /// The label.
        name: String,
        /// The comparison.
        op: Comparison,
        /// With how many nanoseconds; may be negative.
        nanos: i64,
    },
    /// `a > 5KB`
    Bytes {
        /// The label.
        name: String,
        /// The comparison.
        op: Comparison,
        /// With how many bytes.
        bytes: u64,
    },
    /// Both hold. Also written `,` and by putting filters side by side.
    And(Box<LabelFilter>, Box<LabelFilter>),
    /// At least one holds.
    Or(Box<LabelFilter>, Box<LabelFilter>),
}

/// A comparison of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`, in label filters also `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
}

/// One item of `label_format`.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelFormat {
    /// The label to set.
    pub name: String,
    /// From what.
    pub value: LabelFormatValue,
}

/// The right side of a `label_format` item.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelFormatValue {
    /// `dst=src`
    Rename(String),
    /// `dst="{{…}}"`
    Template(String),
}

/// An item of `drop` and `keep`.
#[derive(Clone, Debug, PartialEq)]
pub enum NameOrMatcher {
    /// The label, whatever its value.
    Name(String),
    /// The label, where its value passes.
    Matcher(LabelMatcher),
}

/// A query for numbers, with where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricExpr {
    /// What is computed.
    pub kind: MetricKind,
    /// Where it stands.
    pub span: Span,
}

/// What a metric query computes.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricKind {
    /// `rate({…}[5m])` and its kin.
    Range(RangeAggregation),
    /// `sum by (x) (…)` and its kin.
    Vector(VectorAggregation),
    /// `a + b` and its kin.
    Binary(BinaryOperation),
    /// `1`, or an expression of literals, folded.
    Literal(f64),
    /// `vector(1)`
    VectorLiteral(f64),
    /// `label_replace(…)`
    LabelReplace(LabelReplace),
}

/// The functions over a range of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are LogQL's")]
pub enum RangeFunction {
    CountOverTime,
    Rate,
    RateCounter,
    BytesOverTime,
    BytesRate,
    AvgOverTime,
    SumOverTime,
    MinOverTime,
    MaxOverTime,
    StdvarOverTime,
    StddevOverTime,
    QuantileOverTime,
    FirstOverTime,
    LastOverTime,
    AbsentOverTime,
}

/// `function(parameter, {…}[range] offset …) by (…)`
#[derive(Clone, Debug, PartialEq)]
pub struct RangeAggregation {
    /// The function.
    pub function: RangeFunction,
    /// The first argument of `quantile_over_time`.
    pub parameter: Option<f64>,
    /// The entries.
    pub log: LogExpr,
    /// `| unwrap …`
    pub unwrap: Option<Unwrap>,
    /// The window's length. May be zero.
    pub range: Duration,
    /// How far back the window is moved, in nanoseconds; negative moves it forward.
    pub offset_nanos: i64,
    /// `by` or `without`.
    pub grouping: Option<Grouping>,
}

/// `| unwrap conversion(label) | filter …`
#[derive(Clone, Debug, PartialEq)]
pub struct Unwrap {
    /// The label that has the number.
    pub label: String,
    /// How its text becomes a number.
    pub conversion: UnwrapConversion,
    /// The label filters behind it.
    pub filters: Vec<LabelFilter>,
}

/// How a label's text becomes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnwrapConversion {
    /// A plain number.
    Number,
    /// `bytes(x)`
    Bytes,
    /// `duration(x)`: seconds
    Duration,
    /// `duration_seconds(x)`: the same
    DurationSeconds,
}

/// `by (a, b)` or `without (a, b)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// `without`.
    pub without: bool,
    /// The labels; may be empty.
    pub labels: Vec<String>,
}

/// The functions over a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are LogQL's")]
pub enum VectorFunction {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    Sort,
    SortDesc,
    ApproxTopk,
}

/// `function by (…) (parameter, inner)`
#[derive(Clone, Debug, PartialEq)]
pub struct VectorAggregation {
    /// The function.
    pub function: VectorFunction,
    /// The `k` of `topk` and its kin.
    pub parameter: Option<u64>,
    /// `by` or `without`.
    pub grouping: Option<Grouping>,
    /// What is aggregated.
    pub inner: Box<MetricExpr>,
}

/// The binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the operators'")]
pub enum BinaryOp {
    Or,
    And,
    Unless,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
}

/// `left op right`
#[derive(Clone, Debug, PartialEq)]
pub struct BinaryOperation {
    /// The operator.
    pub op: BinaryOp,
    /// `bool`
    pub return_bool: bool,
    /// `on (…)` or `ignoring (…)` and what follows.
    pub matching: Option<VectorMatching>,
    /// The left side.
    pub left: Box<MetricExpr>,
    /// The right side.
    pub right: Box<MetricExpr>,
}

/// How the samples of two vectors find each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorMatching {
    /// `on`; otherwise `ignoring`.
    pub on: bool,
    /// The labels; may be empty.
    pub labels: Vec<String>,
    /// `group_left` or `group_right`.
    pub group: Option<GroupModifier>,
}

/// `group_left (…)` or `group_right (…)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupModifier {
    /// `group_left`: many on the left. Otherwise many on the right.
    pub left: bool,
    /// The labels taken from the "one" side; may be empty.
    pub include: Vec<String>,
}

/// `label_replace(inner, "dst", "replacement", "src", "regex")`
#[derive(Clone, Debug, PartialEq)]
pub struct LabelReplace {
    /// Whose labels are changed.
    pub inner: Box<MetricExpr>,
    /// The label to set.
    pub destination: String,
    /// To what; `$1` and `${name}` are expanded.
    pub replacement: String,
    /// The label that is looked at.
    pub source: String,
    /// The regular expression, as written; it compiles.
    pub regex: String,
}
