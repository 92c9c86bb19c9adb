//! Random queries: printing and reading back changes nothing, and no text makes the parser panic.

use std::time::Duration;

use timberline_store::MatchOp;

use super::ast::*;
use super::{format, parse};

/// A small generator of random numbers (splitmix64), so that a seed is all that a failure needs.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        let at = self.below(items.len() as u64) as usize;
        items[at].clone()
    }

    fn some<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flip().then(|| make(self))
    }

    fn many<T>(&mut self, from: u64, make: impl Fn(&mut Self) -> T) -> Vec<T> {
        let count = from + self.below(3);
        (0..count).map(|_| make(self)).collect()
    }
}

const NAMES: [&str; 10] =
    ["a", "_b", "app", "rate", "bytes", "ip", "sum", "é1", "__error__", "a_long_name_of_a_label"];

fn name(dice: &mut Dice) -> String {
    dice.pick(&NAMES).to_owned()
}

fn text(dice: &mut Dice) -> String {
    const PIECES: [&str; 14] = [
        "x",
        " ",
        "\"",
        "\\",
        "`",
        "\n",
        "\t",
        "\0",
        "é",
        "🦀",
        "\u{fffd}",
        "{{.a}}",
        "#",
        "some longer text",
    ];
    dice.many(0, |dice| dice.pick(&PIECES)).concat()
}

fn regex(dice: &mut Dice) -> String {
    const REGEXES: [&str; 8] =
        ["x.*", "a|b", "warn|warning", r"\d+", "[`]", "(?i)x+", ".+", r"\Q(\E|y"];
    dice.pick(&REGEXES).to_owned()
}

fn matcher(dice: &mut Dice) -> LabelMatcher {
    let op = dice.pick(&[MatchOp::Equal, MatchOp::NotEqual, MatchOp::Matches, MatchOp::NotMatches]);
    let is_regex = matches!(op, MatchOp::Matches | MatchOp::NotMatches);
    let value = if is_regex { regex(dice) } else { text(dice) };
    LabelMatcher { name: name(dice), op, value, span: Span::default() }
}

fn selector(dice: &mut Dice) -> Selector {
    let mut matchers = dice.many(0, matcher);
    let (name, op, value) = (name(dice), MatchOp::NotEqual, String::new());
    matchers.push(LabelMatcher { name, op, value, span: Span::default() });
    Selector { matchers, span: Span::default() }
}

fn comparison(dice: &mut Dice) -> Comparison {
    dice.pick(&[
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
    ])
}

fn number(dice: &mut Dice) -> f64 {
    dice.pick(&[0.0, -0.0, 1.0, -2.5, 1e21, 1e-7, 0.1, 123_456_789.0, f64::MAX, f64::MIN_POSITIVE])
}

fn label_filter(dice: &mut Dice, depth: u32) -> LabelFilter {
    let op = comparison(dice);
    let kinds = if depth == 0 { 5 } else { 7 };
    match dice.below(kinds) {
        0 => LabelFilter::Matcher(matcher(dice)),
        1 => LabelFilter::Ip { name: name(dice), negated: dice.flip(), pattern: text(dice) },
        2 => LabelFilter::Number { name: name(dice), op, value: number(dice) },
        3 => {
            let nanos = dice.pick(&[0, 1, -1, 90_000_000_000, i64::MAX, i64::MIN, -1_500]);
            LabelFilter::Duration { name: name(dice), op, nanos }
        }
        // Only sizes that are printed exactly.
        4 => {
            let bytes = dice.pick(&[0, 5, 999, 1_500, 250_000, 5_000_000, 2_000_000_000_000_000]);
            LabelFilter::Bytes { name: name(dice), op, bytes }
        }
        kind => {
            let left = Box::new(label_filter(dice, depth - 1));
            let right = Box::new(label_filter(dice, depth - 1));
            if kind == 5 { LabelFilter::And(left, right) } else { LabelFilter::Or(left, right) }
        }
    }
}

fn line_filter(dice: &mut Dice) -> LineFilter {
    let op = dice.pick(&[
        LineFilterOp::Contains,
        LineFilterOp::NotContains,
        LineFilterOp::Matches,
        LineFilterOp::NotMatches,
        LineFilterOp::Pattern,
        LineFilterOp::NotPattern,
    ]);
    let operands = dice.many(1, |dice| match dice.below(4) {
        0 => LineOperand::Ip(text(dice)),
        _ => LineOperand::Text(text(dice)),
    });
    LineFilter { op, operands }
}

fn extraction(dice: &mut Dice) -> LabelExtraction {
    LabelExtraction { name: name(dice), expression: text(dice) }
}

fn label_format(dice: &mut Dice) -> LabelFormat {
    let value = match dice.flip() {
        true => LabelFormatValue::Rename(name(dice)),
        false => LabelFormatValue::Template(text(dice)),
    };
    LabelFormat { name: name(dice), value }
}

fn name_or_matcher(dice: &mut Dice) -> NameOrMatcher {
    match dice.flip() {
        true => NameOrMatcher::Name(name(dice)),
        false => NameOrMatcher::Matcher(matcher(dice)),
    }
}

fn stage(dice: &mut Dice) -> Stage {
    let kind = match dice.below(14) {
        0..=2 => StageKind::LineFilter(line_filter(dice)),
        3 => StageKind::Json(dice.many(0, extraction)),
        4 => StageKind::Logfmt {
            strict: dice.flip(),
            keep_empty: dice.flip(),
            extractions: dice.many(0, extraction),
        },
        5 => StageKind::Regexp(dice.pick(&["(?P<a>x)", "(?<b>`)y\\d"]).to_owned()),
        6 => StageKind::Pattern(dice.pick(&["<a> <_>", "\"<b>\"<c>"]).to_owned()),
        7 => StageKind::Unpack,
        8 => StageKind::LineFormat(text(dice)),
        9 => StageKind::LabelFormat(dice.many(1, label_format)),
        10 => StageKind::Decolorize,
        11 => StageKind::Drop(dice.many(1, name_or_matcher)),
        12 => StageKind::Keep(dice.many(1, name_or_matcher)),
        _ => StageKind::LabelFilter(label_filter(dice, 2)),
    };
    Stage { kind, span: Span::default() }
}

fn log(dice: &mut Dice) -> LogExpr {
    let mut stages = dice.many(0, stage);
    // No query is read as `drop a` and then `!= "x"`: that is a matcher of `drop`.
    stages.dedup_by(|next, stage| {
        matches!(stage.kind, StageKind::Drop(_) | StageKind::Keep(_)) && is_negated(next)
    });
    LogExpr { selector: selector(dice), stages, span: Span::default() }
}

fn is_negated(stage: &Stage) -> bool {
    let StageKind::LineFilter(filter) = &stage.kind else { return false };
    matches!(filter.op, LineFilterOp::NotContains | LineFilterOp::NotMatches)
}

fn names(dice: &mut Dice) -> Vec<String> {
    dice.many(0, name)
}

fn unwrap(dice: &mut Dice) -> Unwrap {
    let conversion = dice.pick(&[
        UnwrapConversion::Number,
        UnwrapConversion::Bytes,
        UnwrapConversion::Duration,
        UnwrapConversion::DurationSeconds,
    ]);
    Unwrap { label: name(dice), conversion, filters: dice.many(0, |dice| label_filter(dice, 1)) }
}

fn range(dice: &mut Dice) -> RangeAggregation {
    use RangeFunction::{
        AbsentOverTime, BytesOverTime, BytesRate, CountOverTime, QuantileOverTime, Rate,
        RateCounter, SumOverTime,
    };

    let function = dice.pick(&RangeFunction::ALL);
    let unwrap = match function {
        CountOverTime | BytesOverTime | BytesRate => None,
        Rate | AbsentOverTime => dice.some(unwrap),
        _ => Some(unwrap(dice)),
    };
    let may_group =
        unwrap.is_some() && !matches!(function, Rate | AbsentOverTime | RateCounter | SumOverTime);
    let grouping = dice.some(|dice| Grouping { without: dice.flip(), labels: names(dice) });
    let parameter = dice.pick(&[0.0, 0.99, 1e-9, 2e7]);
    let hour = 3_600_000_000_000;
    RangeAggregation {
        function,
        parameter: (function == QuantileOverTime).then_some(parameter),
        log: log(dice),
        unwrap,
        range: Duration::from_millis(dice.pick(&[0, 5, 300_000, 5_400_000, 691_200_000])),
        offset_nanos: dice.pick(&[0, 0, 1, hour, -hour, 36 * hour, -240 * hour]),
        grouping: grouping.filter(|_| may_group),
    }
}

fn vector(dice: &mut Dice, depth: u32) -> VectorAggregation {
    use VectorFunction::{ApproxTopk, Bottomk, Sort, SortDesc, Topk};

    let function = dice.pick(&VectorFunction::ALL);
    let takes_parameter = matches!(function, Topk | Bottomk | ApproxTopk);
    let may_group = !matches!(function, ApproxTopk | Sort | SortDesc);
    let grouping = dice.some(|dice| Grouping { without: dice.flip(), labels: names(dice) });
    VectorAggregation {
        function,
        parameter: takes_parameter.then(|| 1 + dice.below(9)),
        // An empty `by` is none.
        grouping: grouping.filter(|g| may_group && (g.without || !g.labels.is_empty())),
        inner: Box::new(metric(dice, depth)),
    }
}

fn binary(dice: &mut Dice, depth: u32) -> BinaryOperation {
    const OPS: [BinaryOp; 15] = [
        BinaryOp::Or,
        BinaryOp::And,
        BinaryOp::Unless,
        BinaryOp::Equal,
        BinaryOp::NotEqual,
        BinaryOp::Less,
        BinaryOp::LessOrEqual,
        BinaryOp::Greater,
        BinaryOp::GreaterOrEqual,
        BinaryOp::Add,
        BinaryOp::Sub,
        BinaryOp::Mul,
        BinaryOp::Div,
        BinaryOp::Mod,
        BinaryOp::Pow,
    ];
    let op = dice.pick(&OPS);
    let is_literal = |side: &MetricExpr| matches!(side.kind, MetricKind::Literal(_));
    let (mut left, mut right) = (metric(dice, depth), metric(dice, depth));
    // Two literals would be folded, and sets of them are refused.
    while is_literal(&left) && (is_literal(&right) || op.is_set()) {
        left = metric(dice, depth);
    }
    while is_literal(&right) && op.is_set() {
        right = metric(dice, depth);
    }
    let group = |dice: &mut Dice| GroupModifier { left: dice.flip(), include: names(dice) };
    let matching = |dice: &mut Dice| VectorMatching {
        on: dice.flip(),
        labels: names(dice),
        group: dice.some(group),
    };
    BinaryOperation {
        op,
        return_bool: dice.flip(),
        matching: dice.some(matching),
        left: Box::new(left),
        right: Box::new(right),
    }
}

fn metric(dice: &mut Dice, depth: u32) -> MetricExpr {
    let kind = match dice.below(if depth == 0 { 4 } else { 9 }) {
        0 => MetricKind::Literal(number(dice)),
        1 => MetricKind::VectorLiteral(dice.pick(&[0.0, 1.5, 1e9])),
        2 | 3 => MetricKind::Range(range(dice)),
        4 | 5 => MetricKind::Vector(vector(dice, depth - 1)),
        6 => MetricKind::LabelReplace(LabelReplace {
            inner: Box::new(metric(dice, depth - 1)),
            destination: name(dice),
            replacement: text(dice),
            source: name(dice),
            regex: regex(dice),
        }),
        _ => MetricKind::Binary(binary(dice, depth - 1)),
    };
    MetricExpr { kind, span: Span::default() }
}

fn expr(dice: &mut Dice) -> Expr {
    match dice.below(4) {
        0 => Expr::Log(log(dice)),
        _ => Expr::Metric(metric(dice, 3)),
    }
}

/// The tree as text, without the spans.
fn shape(expr: &Expr) -> String {
    let debug = format!("{expr:?}");
    let mut pieces = debug.split("Span {");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |shape, piece| shape + piece.split_once('}').map_or("", |(_, rest)| rest))
}

#[test]
fn printing_and_parsing_change_nothing() {
    for seed in 0..2_000 {
        let expr = expr(&mut Dice(seed));
        for printed in [expr.to_string(), format(&expr)] {
            let parsed = parse(&printed).unwrap_or_else(|error| {
                panic!("seed {seed}: {error}\n{printed}");
            });
            assert_eq!(shape(&parsed), shape(&expr), "seed {seed}\n{printed}");
        }
    }
}

#[test]
fn no_text_makes_the_parser_panic() {
    for seed in 0..2_000 {
        let mut dice = Dice(seed);
        let mut query: Vec<char> = expr(&mut dice).to_string().chars().collect();
        for _ in 0..=dice.below(4) {
            damage(&mut dice, &mut query);
        }
        let query: String = query.into_iter().collect();
        if let Ok(expr) = parse(&query) {
            let _ = (expr.to_string(), format(&expr));
        }
    }
}

/// Takes a piece away, or puts one in.
fn damage(dice: &mut Dice, query: &mut Vec<char>) {
    const PIECES: [&str; 22] = [
        "", "(", ")", "{", "[", "]", "\"", "`", "'", "\\", "--strict", "-1", "5mb", "0x", "1e",
        "_", "é", "\0", "/*", " by ", "|", "!",
    ];
    let len = query.len() as u64;
    let start = dice.below(len + 1);
    let end = (start + dice.below(6)).min(len);
    let piece: Vec<char> = dice.pick(&PIECES).chars().collect();
    query.splice(start as usize..end as usize, piece);
}
