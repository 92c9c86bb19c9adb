//! Label filters.
//!
//! `and` binds tighter than `or`. A comma, or nothing at all, between two filters means `and` too, but
//! has no precedence in Loki's grammar, whose automaton then always goes on: both take everything to
//! their right, whatever stands on their left. `a or b, c or d` is `a or (b and (c or d))`.

use super::log::match_op;
use super::{Kind, ParseError, Parser};
use crate::syntax::ast::{BinaryOp, Comparison, LabelFilter};
use crate::syntax::lexer::{Token, Value};
use crate::syntax::validate;

/// What a filter can begin with.
const START: [Kind; 2] = [Kind::Identifier, Kind::OpenParen];

/// A filter and the levels of its tree.
type Sized = (LabelFilter, u32);

/// How tightly `or` binds; `and` one more.
const OR: u8 = 1;
const AND: u8 = 2;

impl Parser<'_> {
    /// A filter as far as it goes.
    pub(super) fn label_filter(&mut self) -> Result<LabelFilter, ParseError> {
        self.filter_binding(0).map(|(filter, _)| filter)
    }

    /// A filter whose `and`s and `or`s bind at least as tightly as `min`.
    fn filter_binding(&mut self, min: u8) -> Result<Sized, ParseError> {
        let mut left = self.filter_operand()?;
        loop {
            let (precedence, right_min) = match self.peek()? {
                Kind::Binary(BinaryOp::And) => (AND, AND + 1),
                Kind::Binary(BinaryOp::Or) => (OR, OR + 1),
                Kind::Comma | Kind::Identifier | Kind::OpenParen => (u8::MAX, 0),
                _ => return Ok(left),
            };
            if precedence < min {
                return Ok(left);
            }
            if !START.contains(&self.peek()?) {
                self.take()?;
            }
            let right = self.nested(|parser| parser.filter_binding(right_min))?;
            let height = left.1.max(right.1) + 1;
            self.check_levels(height)?;
            let (a, b) = (Box::new(left.0), Box::new(right.0));
            let is_or = precedence == OR;
            left = (if is_or { LabelFilter::Or(a, b) } else { LabelFilter::And(a, b) }, height);
        }
    }

    fn filter_operand(&mut self) -> Result<Sized, ParseError> {
        match self.peek()? {
            Kind::OpenParen => {
                self.take()?;
                let inner = self.nested(|parser| parser.filter_binding(0))?;
                self.expect(Kind::CloseParen, &[])?;
                Ok(inner)
            }
            Kind::Identifier => {
                let name = self.take()?;
                Ok((self.filter_on(name)?, 1))
            }
            _ => self.unexpected(&START),
        }
    }

    /// The operator behind a label's name, and what the label is compared with.
    fn filter_on(&mut self, name: Token) -> Result<LabelFilter, ParseError> {
        let kind = self.peek()?;
        let op = match kind {
            Kind::Matches | Kind::NotMatches => None,
            Kind::Equal | Kind::Binary(BinaryOp::Equal) => Some(Comparison::Equal),
            Kind::Binary(BinaryOp::NotEqual) => Some(Comparison::NotEqual),
            Kind::Binary(BinaryOp::Less) => Some(Comparison::Less),
            Kind::Binary(BinaryOp::LessOrEqual) => Some(Comparison::LessOrEqual),
            Kind::Binary(BinaryOp::Greater) => Some(Comparison::Greater),
            Kind::Binary(BinaryOp::GreaterOrEqual) => Some(Comparison::GreaterOrEqual),
            _ => return self.unexpected(&[]),
        };
        self.take()?;
        match (match_op(kind), op) {
            (Some(match_op), None) => Ok(LabelFilter::Matcher(self.matcher(name, match_op)?)),
            (Some(match_op), Some(op)) => match self.peek()? {
                Kind::String => Ok(LabelFilter::Matcher(self.matcher(name, match_op)?)),
                Kind::Ip => {
                    let negated = op == Comparison::NotEqual;
                    let name = name.into_text();
                    Ok(LabelFilter::Ip { name, negated, pattern: self.ip()? })
                }
                _ => self.filter_quantity(name, op),
            },
            (None, Some(op)) => self.filter_quantity(name, op),
            (None, None) => self.unexpected(&[]),
        }
    }

    /// The number, duration or size that a label is compared with.
    fn filter_quantity(&mut self, name: Token, op: Comparison) -> Result<LabelFilter, ParseError> {
        let name = name.into_text();
        match self.peek()? {
            Kind::Duration | Kind::Bytes => {}
            Kind::Number | Kind::Binary(BinaryOp::Add | BinaryOp::Sub) => {
                let value = validate::number(&self.signed_number()?)?;
                return Ok(LabelFilter::Number { name, op, value });
            }
            _ => return self.unexpected(&[]),
        }
        Ok(match self.take()?.value {
            Value::Bytes(bytes) => LabelFilter::Bytes { name, op, bytes },
            Value::Nanos(nanos) => LabelFilter::Duration { name, op, nanos },
            Value::None | Value::Text(_) => LabelFilter::Duration { name, op, nanos: 0 },
        })
    }

    /// A number with an optional sign, as text.
    pub(super) fn signed_number(&mut self) -> Result<String, ParseError> {
        let sign = match self.peek()? {
            Kind::Binary(BinaryOp::Sub) => "-",
            Kind::Binary(BinaryOp::Add) => "+",
            _ => return self.only(Kind::Number).map(Token::into_text),
        };
        self.take()?;
        let number = self.only(Kind::Number)?.into_text();
        Ok(if sign == "-" { format!("-{number}") } else { number })
    }
}
