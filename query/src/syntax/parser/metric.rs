//! Metric expressions: aggregations, operators, literals and functions.

use super::{Checked, Kind, Operand, ParseError, Parser};
use crate::syntax::ast::{
    BinaryOp, BinaryOperation, GroupModifier, Grouping, LabelReplace, MetricExpr, MetricKind,
    RangeAggregation, RangeFunction, VectorAggregation, VectorFunction, VectorMatching,
};
use crate::syntax::validate;

/// What stands between an operator and its right side.
#[derive(Debug)]
struct Modifier {
    return_bool: bool,
    matching: Option<VectorMatching>,
}

impl Parser<'_> {
    /// An expression whose operators bind at least as tightly as `min`.
    pub(super) fn binary(&mut self, min: u8) -> Result<Operand, ParseError> {
        let mut left = self.operand()?;
        loop {
            let Kind::Binary(op) = self.peek()? else { return Ok(left) };
            if op.precedence() < min {
                return Ok(left);
            }
            self.take()?;
            let modifier = self.modifier()?;
            // Only the power associates to the right.
            let right_min = op.precedence() + u8::from(op != BinaryOp::Pow);
            let right = self.nested(|parser| parser.binary(right_min))?;
            left = self.operation(op, modifier, left, right)?;
        }
    }

    fn operation(
        &mut self,
        op: BinaryOp,
        modifier: Modifier,
        left: Operand,
        right: Operand,
    ) -> Result<Operand, ParseError> {
        let start = left.span().start;
        let own_fault = validate::operands(op, log_leg(&left), log_leg(&right));
        let (left, right) = (into_checked(left), into_checked(right));
        let span = self.span_from(start);
        let fault = own_fault
            .or_else(|| validate::set_operands(op, &left.expr, &right.expr))
            .or(left.fault)
            .or(right.fault);
        if let (MetricKind::Literal(a), MetricKind::Literal(b)) =
            (&left.expr.kind, &right.expr.kind)
        {
            let kind = MetricKind::Literal(fold(op, *a, *b));
            let expr = MetricExpr { kind, span };
            return Ok(Operand::Metric(Checked { expr, fault, height: 1 }));
        }
        let height = left.height.max(right.height) + 1;
        self.check_levels(height)?;
        let kind = MetricKind::Binary(BinaryOperation {
            op,
            return_bool: modifier.return_bool,
            matching: modifier.matching,
            left: Box::new(left.expr),
            right: Box::new(right.expr),
        });
        Ok(Operand::Metric(Checked { expr: MetricExpr { kind, span }, fault, height }))
    }

    /// `bool on (…) group_left (…)`, each as far as it is there.
    fn modifier(&mut self) -> Result<Modifier, ParseError> {
        let return_bool = self.eat(Kind::Bool)?;
        let on = match self.peek()? {
            Kind::On => true,
            Kind::Ignoring => false,
            _ => return Ok(Modifier { return_bool, matching: None }),
        };
        self.take()?;
        let labels = self.names()?;
        let left = match self.peek()? {
            Kind::GroupLeft => Some(true),
            Kind::GroupRight => Some(false),
            _ => None,
        };
        let group = match left {
            Some(left) => {
                self.take()?;
                // A parenthesis here is always that of the labels, never that of the right side.
                let open = self.peek()? == Kind::OpenParen;
                let include = if open { self.names()? } else { Vec::new() };
                Some(GroupModifier { left, include })
            }
            None => None,
        };
        Ok(Modifier { return_bool, matching: Some(VectorMatching { on, labels, group }) })
    }

    fn operand(&mut self) -> Result<Operand, ParseError> {
        let start = self.start()?;
        let (kind, fault, height) = match self.peek()? {
            Kind::OpenBrace => return self.log_expr().map(Operand::Log),
            Kind::OpenParen => return self.nested(Self::parenthesised),
            Kind::Number | Kind::Binary(BinaryOp::Add | BinaryOp::Sub) => self.literal()?,
            Kind::RangeFunction(function) => self.range_aggregation(function)?,
            Kind::VectorFunction(function) => {
                self.nested(|parser| parser.vector_aggregation(function))?
            }
            Kind::Vector => self.vector_literal()?,
            Kind::LabelReplace => self.nested(Self::label_replace)?,
            Kind::Variants => {
                let message = "multi variant queries are disabled for this instance";
                return Err(ParseError::new(message));
            }
            _ => return self.unexpected(&[]),
        };
        self.check_levels(height)?;
        let expr = MetricExpr { kind, span: self.span_from(start) };
        Ok(Operand::Metric(Checked { expr, fault, height }))
    }

    fn parenthesised(&mut self) -> Result<Operand, ParseError> {
        let start = self.start()?;
        self.only(Kind::OpenParen)?;
        let mut inner = self.binary(0)?;
        self.expect(Kind::CloseParen, &[])?;
        let span = self.span_from(start);
        match &mut inner {
            Operand::Log(log) => log.span = span,
            Operand::Metric(metric) => metric.expr.span = span,
        }
        Ok(inner)
    }

    /// An expression that must be a metric; a log expression makes the token behind it unexpected.
    fn metric(&mut self) -> Result<Checked, ParseError> {
        match self.binary(0)? {
            Operand::Metric(metric) => Ok(metric),
            Operand::Log(_) => self.unexpected(&[]),
        }
    }

    fn literal(&mut self) -> Result<Parts, ParseError> {
        let (value, fault) = or_fault(validate::number(&self.signed_number()?));
        Ok((MetricKind::Literal(value), fault, 1))
    }

    fn vector_literal(&mut self) -> Result<Parts, ParseError> {
        self.only(Kind::Vector)?;
        self.only(Kind::OpenParen)?;
        let number = self.only(Kind::Number)?.into_text();
        self.only(Kind::CloseParen)?;
        let (value, fault) = or_fault(validate::vector_number(&number));
        Ok((MetricKind::VectorLiteral(value), fault, 1))
    }

    fn label_replace(&mut self) -> Result<Parts, ParseError> {
        self.only(Kind::LabelReplace)?;
        self.only(Kind::OpenParen)?;
        let inner = self.metric()?;
        let mut arguments: [String; 4] = Default::default();
        for (at, argument) in arguments.iter_mut().enumerate() {
            // Behind the metric expression operators were possible too, and messages list none.
            self.expect(Kind::Comma, if at == 0 { &[] } else { &[Kind::Comma] })?;
            *argument = self.string()?;
        }
        self.only(Kind::CloseParen)?;
        let [destination, replacement, source, regex] = arguments;
        let fault = validate::label_replace(&regex).err().or(inner.fault);
        let kind = MetricKind::LabelReplace(LabelReplace {
            inner: Box::new(inner.expr),
            destination,
            replacement,
            source,
            regex,
        });
        Ok((kind, fault, inner.height + 1))
    }

    fn range_aggregation(&mut self, function: RangeFunction) -> Result<Parts, ParseError> {
        self.take()?;
        self.only(Kind::OpenParen)?;
        let parameter = match self.peek()? {
            Kind::Number => {
                let number = self.take()?.into_text();
                self.only(Kind::Comma)?;
                Some(number)
            }
            Kind::OpenBrace | Kind::OpenParen => None,
            _ => return self.unexpected(&[Kind::Number, Kind::OpenBrace, Kind::OpenParen]),
        };
        if !matches!(self.peek()?, Kind::OpenBrace | Kind::OpenParen) {
            return self.unexpected(&[Kind::OpenBrace, Kind::OpenParen]);
        }
        let range = self.log_range()?;
        self.only(Kind::CloseParen)?;
        let grouping = self.grouping()?;
        let (parameter, fault) = validate::range_parameter(function, parameter.as_deref());
        let fault = fault
            .or_else(|| {
                validate::range_aggregation(function, grouping.is_some(), range.unwrap.is_some())
            })
            .or_else(|| validate::selector(&range.log.selector));
        let kind = MetricKind::Range(RangeAggregation {
            function,
            parameter,
            log: range.log,
            unwrap: range.unwrap,
            range: range.range,
            offset_nanos: range.offset_nanos,
            grouping,
        });
        Ok((kind, fault, 1))
    }

    fn vector_aggregation(&mut self, function: VectorFunction) -> Result<Parts, ParseError> {
        self.take()?;
        let before = self.grouping()?;
        self.only(Kind::OpenParen)?;
        let (parameter, inner) = self.parameter_and_metric()?;
        self.expect(Kind::CloseParen, &[])?;
        let grouping = match before {
            Some(grouping) => Some(grouping),
            None => self.grouping()?,
        };
        let (parameter, own_fault) =
            validate::vector_aggregation(function, parameter.as_deref(), grouping.as_ref());
        let kind = MetricKind::Vector(VectorAggregation {
            function,
            parameter,
            // `by ()` is the one group that there is without it.
            grouping: grouping.filter(|grouping| grouping.without || !grouping.labels.is_empty()),
            inner: Box::new(inner.expr),
        });
        Ok((kind, own_fault.or(inner.fault), inner.height + 1))
    }

    /// `5, metric` or `metric`. What begins with a number may be either.
    fn parameter_and_metric(&mut self) -> Result<(Option<String>, Checked), ParseError> {
        if self.peek()? != Kind::Number {
            return Ok((None, self.metric()?));
        }
        let number = self.take()?;
        if self.eat(Kind::Comma)? {
            return Ok((Some(number.into_text()), self.metric()?));
        }
        // It was the beginning of the metric: put it back in front of what has been looked at.
        self.push_back(number);
        Ok((None, self.metric()?))
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, ParseError> {
        let without = match self.peek()? {
            Kind::By => false,
            Kind::Without => true,
            _ => return Ok(None),
        };
        self.take()?;
        Ok(Some(Grouping { without, labels: self.names()? }))
    }
}

/// A metric expression before it has its span: what it is, its fault, its levels.
type Parts = (MetricKind, Option<ParseError>, u32);

fn or_fault(value: Result<f64, ParseError>) -> (f64, Option<ParseError>) {
    match value {
        Ok(value) => (value, None),
        Err(fault) => (0.0, Some(fault)),
    }
}

/// Whether the leg is a log expression, and if so whether it has stages.
fn log_leg(operand: &Operand) -> Option<bool> {
    match operand {
        Operand::Log(log) => Some(!log.stages.is_empty()),
        Operand::Metric(_) => None,
    }
}

/// The leg; of a log expression only a stand-in, since that is a fault already.
fn into_checked(operand: Operand) -> Checked {
    match operand {
        Operand::Metric(metric) => metric,
        Operand::Log(log) => {
            let expr = MetricExpr { kind: MetricKind::VectorLiteral(0.0), span: log.span };
            Checked { expr, fault: None, height: 1 }
        }
    }
}

/// The value of an operation on two literals.
fn fold(op: BinaryOp, a: f64, b: f64) -> f64 {
    let truth = |holds: bool| if holds { 1.0 } else { 0.0 };
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div | BinaryOp::Mod if b == 0.0 => f64::NAN,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Equal => truth(a == b),
        BinaryOp::NotEqual => truth(a != b),
        BinaryOp::Less => truth(a < b),
        BinaryOp::LessOrEqual => truth(a <= b),
        BinaryOp::Greater => truth(a > b),
        BinaryOp::GreaterOrEqual => truth(a >= b),
        // Sets of literals are a fault; the value is never used.
        BinaryOp::Or | BinaryOp::And | BinaryOp::Unless => f64::NAN,
    }
}
