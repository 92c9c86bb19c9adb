//! Tokens to tree, by recursive descent.
//!
//! Loki's parser is a generated LALR automaton, and its error messages show that: `expecting …` lists
//! the tokens that the automaton could shift where it stopped, and only when there are at most four.
//! The functions here stop at the same tokens, and say at each place which list that is; an empty
//! list stands for "too many".
//!
//! Some errors are found while parsing and end it (a regular expression that does not compile);
//! others are faults of a finished expression and only count when all of the query is well-formed.
//! The latter travel with the expression: see [`Checked`].

mod label_filter;
mod log;
mod metric;
mod range;

use super::ast::{Expr, LogExpr, MetricExpr, Selector, Span};
use super::error::ParseError;
use super::lexer::{Kind, Lexer, Token};
use super::validate;

/// Queries must be shorter than this many bytes.
const QUERY_BYTES_MAX: usize = 131_072;

/// How deep expressions may nest: how often the parser may call itself.
///
/// A query of nothing but parentheses must end in an error and not in a stack overflow, also on the
/// 2 MiB that threads get by default and without optimisation.
const NESTING_MAX: u32 = 64;

/// How many levels a tree may have. Long chains of operators make trees much deeper than what nests in
/// the text, and printing, evaluating and dropping recurse along the tree.
const LEVELS_MAX: u32 = 256;

/// A metric expression, and the first of its faults if it has any, from the outside to the inside.
#[derive(Debug)]
struct Checked {
    expr: MetricExpr,
    fault: Option<ParseError>,
    /// How many levels the tree has.
    height: u32,
}

/// What stands on a side of an operator or in parentheses.
#[derive(Debug)]
enum Operand {
    Log(LogExpr),
    Metric(Checked),
}

impl Operand {
    const fn span(&self) -> Span {
        match self {
            Self::Log(log) => log.span,
            Self::Metric(metric) => metric.expr.span,
        }
    }
}

/// Parses a whole query and validates it.
pub(super) fn parse(query: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(query)?;
    let operand = parser.binary(0)?;
    parser.expect(Kind::End, &[])?;
    match operand {
        Operand::Log(log) => match validate::selector(&log.selector) {
            Some(fault) => Err(fault),
            None => Ok(Expr::Log(log)),
        },
        Operand::Metric(metric) => metric.fault.map_or(Ok(Expr::Metric(metric.expr)), Err),
    }
}

/// Parses a query that must be a log query, whatever it selects.
pub(super) fn parse_log(query: &str) -> Result<LogExpr, ParseError> {
    let mut parser = Parser::new(query)?;
    let operand = parser.binary(0)?;
    parser.expect(Kind::End, &[])?;
    match operand {
        Operand::Log(log) => Ok(log),
        Operand::Metric(_) => Err(ParseError::new("only log selector is supported")),
    }
}

/// Parses a query that must be a selector and nothing else.
pub(super) fn parse_selector(query: &str) -> Result<Selector, ParseError> {
    let mut parser = Parser::new(query)?;
    let operand = parser.binary(0)?;
    parser.expect(Kind::End, &[])?;
    match operand {
        Operand::Log(log) if log.stages.is_empty() => Ok(log.selector),
        _ => Err(ParseError::bare("only label matchers are supported")),
    }
}

#[derive(Debug)]
struct Parser<'q> {
    lexer: Lexer<'q>,
    /// The next token, once it has been looked at.
    peeked: Option<Token>,
    /// A token that was taken too early; it comes before `peeked`.
    pushed_back: Option<Token>,
    /// Where the token taken last ends.
    end: u32,
    nesting: u32,
}

impl<'q> Parser<'q> {
    fn new(query: &'q str) -> Result<Self, ParseError> {
        if query.len() >= QUERY_BYTES_MAX {
            let len = query.len();
            let message = format!("input size too long ({len} > {QUERY_BYTES_MAX})");
            return Err(ParseError::new(message));
        }
        Ok(Self { lexer: Lexer::new(query), peeked: None, pushed_back: None, end: 0, nesting: 0 })
    }

    fn peek_token(&mut self) -> Result<&Token, ParseError> {
        if let Some(ref token) = self.pushed_back {
            return Ok(token);
        }
        let token = match self.peeked.take() {
            Some(token) => token,
            None => self.lexer.next()?,
        };
        Ok(self.peeked.insert(token))
    }

    /// Makes `token` the next one again.
    fn push_back(&mut self, token: Token) {
        self.end = token.span.start;
        self.pushed_back = Some(token);
    }

    fn peek(&mut self) -> Result<Kind, ParseError> {
        Ok(self.peek_token()?.kind)
    }

    /// Where the next token begins.
    fn start(&mut self) -> Result<u32, ParseError> {
        Ok(self.peek_token()?.span.start)
    }

    /// From `start` to the end of the token taken last.
    const fn span_from(&self, start: u32) -> Span {
        Span { start, end: self.end }
    }

    fn take(&mut self) -> Result<Token, ParseError> {
        let token = match self.pushed_back.take().or_else(|| self.peeked.take()) {
            Some(token) => token,
            None => self.lexer.next()?,
        };
        self.end = token.span.end;
        Ok(token)
    }

    /// Takes the next token if it is a `kind`.
    fn eat(&mut self, kind: Kind) -> Result<bool, ParseError> {
        let found = self.peek()? == kind;
        if found {
            self.take()?;
        }
        Ok(found)
    }

    /// Takes the next token, which must be a `kind`; `expecting` is what the message lists otherwise.
    fn expect(&mut self, kind: Kind, expecting: &[Kind]) -> Result<Token, ParseError> {
        if self.peek()? == kind { self.take() } else { self.unexpected(expecting) }
    }

    /// As [`expect`](Self::expect), where only `kind` is possible.
    fn only(&mut self, kind: Kind) -> Result<Token, ParseError> {
        self.expect(kind, &[kind])
    }

    /// The text of the next token, which must be a string and can only be one.
    fn string(&mut self) -> Result<String, ParseError> {
        self.only(Kind::String).map(Token::into_text)
    }

    /// The error that the next token is out of place.
    fn unexpected<T>(&mut self, expecting: &[Kind]) -> Result<T, ParseError> {
        let token = self.peek_token()?;
        let mut message = format!("syntax error: unexpected {}", token.kind.name());
        for (at, kind) in expecting.iter().enumerate() {
            message.push_str(if at == 0 { ", expecting " } else { " or " });
            message.push_str(&kind.name());
        }
        Err(ParseError { line: token.line, column: token.column, ..ParseError::new(message) })
    }

    /// Runs `inner` one level deeper.
    fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        self.nesting += 1;
        self.check_depth(self.nesting, NESTING_MAX)?;
        let result = inner(self);
        self.nesting -= 1;
        result
    }

    /// Refuses trees with more levels than [`LEVELS_MAX`].
    fn check_levels(&mut self, levels: u32) -> Result<(), ParseError> {
        self.check_depth(levels, LEVELS_MAX)
    }

    fn check_depth(&mut self, depth: u32, max: u32) -> Result<(), ParseError> {
        if depth <= max {
            return Ok(());
        }
        let token = self.peek_token()?;
        let message = format!("expression nests too deeply (more than {max} levels)");
        Err(ParseError { line: token.line, column: token.column, ..ParseError::new(message) })
    }

    /// `( name, … )` behind `by`, `on` and their kin.
    fn names(&mut self) -> Result<Vec<String>, ParseError> {
        self.only(Kind::OpenParen)?;
        if self.eat(Kind::CloseParen)? {
            return Ok(Vec::new());
        }
        let mut expecting: &[Kind] = &[Kind::Identifier, Kind::CloseParen];
        let mut names = Vec::new();
        loop {
            names.push(self.expect(Kind::Identifier, expecting)?.into_text());
            if self.eat(Kind::CloseParen)? {
                return Ok(names);
            }
            self.expect(Kind::Comma, &[Kind::Comma, Kind::CloseParen])?;
            expecting = &[Kind::Identifier];
        }
    }
}
