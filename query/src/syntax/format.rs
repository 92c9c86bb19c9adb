//! Formatting over several lines, as Loki's `format_query`.
//!
//! Two things differ from Loki, which loses them: operations keep the parentheses they need when they
//! are split, and the operands behind `or` stay in split chains of line filters.

use super::ast::{
    BinaryOp, BinaryOperation, Expr, Grouping, LabelReplace, LogExpr, MetricExpr, MetricKind,
    RangeAggregation, Stage, StageKind, Unwrap, VectorAggregation,
};
use super::display::{Joined, operator_text, range_text};
use crate::golang::{format_duration, format_float_v, format_prometheus_duration, quote};

/// What is longer is split.
const LINE_BYTES_MAX: usize = 100;

/// Prints the expression, split where it is long.
pub(super) fn format(expr: &Expr) -> String {
    match expr {
        Expr::Log(log) => format_log(log, 0),
        Expr::Metric(metric) => format_metric(metric, 0),
    }
}

/// `text` on a line of this level.
fn line(level: usize, text: &str) -> String {
    format!("{}{text}", "  ".repeat(level))
}

fn is_short(text: &str) -> bool {
    text.len() <= LINE_BYTES_MAX
}

fn format_log(log: &LogExpr, level: usize) -> String {
    let whole = log.to_string();
    if is_short(&whole) || log.stages.is_empty() {
        return line(level, &whole);
    }
    let mut lines = vec![line(level, &log.selector.to_string())];
    // Adjacent line filters are one stage here.
    let chained = |a: &Stage, b: &Stage| is_line_filter(a) && is_line_filter(b);
    for chain in log.stages.chunk_by(chained) {
        let text = Joined(chain, " ").to_string();
        if is_short(&text) || chain.len() == 1 {
            let is_decolorize = matches!(chain, [Stage { kind: StageKind::Decolorize, .. }]);
            // Loki does not indent this one stage.
            lines.push(line(if is_decolorize { 0 } else { level + 1 }, &text));
        } else {
            lines.extend(chain.iter().map(|filter| line(level + 1, &filter.to_string())));
        }
    }
    lines.join("\n")
}

const fn is_line_filter(stage: &Stage) -> bool {
    matches!(stage.kind, StageKind::LineFilter(_))
}

fn format_metric(metric: &MetricExpr, level: usize) -> String {
    let whole = metric.to_string();
    if is_short(&whole) {
        return line(level, &whole);
    }
    match &metric.kind {
        MetricKind::Range(range) => split_range(range, level),
        MetricKind::Vector(vector) => split_vector(vector, level),
        MetricKind::Binary(binary) => split_binary(binary, level),
        MetricKind::LabelReplace(replace) => split_label_replace(replace, level),
        MetricKind::Literal(_) | MetricKind::VectorLiteral(_) => line(level, &whole),
    }
}

fn split_range(range: &RangeAggregation, level: usize) -> String {
    let mut lines = vec![line(level, &format!("{}(", range.function.as_str()))];
    if let Some(parameter) = range.parameter {
        lines.push(line(level + 1, &format!("{},", format_float_v(parameter))));
    }
    let mut inner = format_log(&range.log, level + 1);
    if let Some(unwrap) = &range.unwrap {
        inner.push_str(&split_unwrap(unwrap, level + 2));
    }
    inner.push_str(&format!(" [{}]", range_text(range)));
    if range.offset_nanos != 0 {
        inner.push_str(&format!(" offset {}", offset_text(range.offset_nanos)));
    }
    lines.push(inner);
    lines.push(line(level, &format!("){}", grouping_text(range.grouping.as_ref()))));
    lines.join("\n")
}

/// Units of days and more are Prometheus' and only for what is positive and whole milliseconds.
fn offset_text(nanos: i64) -> String {
    match nanos {
        1.. if nanos % 1_000_000 == 0 => format_prometheus_duration(nanos),
        _ => format_duration(nanos),
    }
}

/// The stage and each of its filters on a line of its own, all behind a line break.
fn split_unwrap(unwrap: &Unwrap, level: usize) -> String {
    let bare = Unwrap { filters: Vec::new(), ..unwrap.clone() };
    let filters = unwrap.filters.iter().map(|filter| format!("| {filter}"));
    std::iter::once(bare.to_string())
        .chain(filters)
        .map(|text| format!("\n{}", line(level, &text)))
        .collect()
}

fn grouping_text(grouping: Option<&Grouping>) -> String {
    let Some(Grouping { without, labels }) = grouping else { return String::new() };
    let word = if *without { "without" } else { "by" };
    format!(" {word} ({})", Joined(labels, ", "))
}

fn split_vector(vector: &VectorAggregation, level: usize) -> String {
    let name = vector.function.as_str();
    let mut lines =
        vec![line(level, &format!("{name}{}(", grouping_text(vector.grouping.as_ref())))];
    if let Some(parameter) = vector.parameter {
        lines.push(line(level + 1, &format!("{parameter},")));
    }
    lines.push(format_metric(&vector.inner, level + 1));
    lines.push(line(level, ")"));
    lines.join("\n")
}

fn split_label_replace(replace: &LabelReplace, level: usize) -> String {
    let mut arguments = vec![format_metric(&replace.inner, level + 1)];
    arguments.extend(replace.arguments().map(|argument| line(level + 1, &quote(argument))));
    let (open, close) = (line(level, "label_replace("), line(level, ")"));
    format!("{open}\n{}\n{close}", arguments.join(",\n"))
}

fn split_binary(binary: &BinaryOperation, level: usize) -> String {
    let left = format_side(binary.op, &binary.left, true, level + 1);
    let right = format_side(binary.op, &binary.right, false, level + 1);
    let operator = line(level, &operator_text(binary, &right, ", "));
    format!("{left}\n{operator}\n{right}")
}

/// A side of a split operation. An operation that is split itself has no parentheses; where its
/// operator would lose its operands without them, it gets them here.
fn format_side(op: BinaryOp, side: &MetricExpr, is_left: bool, level: usize) -> String {
    let MetricKind::Binary(inner) = &side.kind else { return format_metric(side, level) };
    let associates = is_left != (op == BinaryOp::Pow);
    let binds = inner.op.precedence() > op.precedence()
        || (inner.op.precedence() == op.precedence() && associates);
    if binds || is_short(&side.to_string()) {
        return format_metric(side, level);
    }
    let inside = format_metric(side, level + 1);
    format!("{}\n{inside}\n{}", line(level, "("), line(level, ")"))
}
