//! The log expressions with a range, inside range aggregations.

use std::time::Duration;

use super::{Kind, ParseError, Parser};
use crate::syntax::ast::{LogExpr, Selector, Unwrap};

/// `{…} … [5m] offset 1h`
#[derive(Debug)]
pub(super) struct LogRange {
    pub(super) log: LogExpr,
    pub(super) unwrap: Option<Unwrap>,
    pub(super) range: Duration,
    pub(super) offset_nanos: i64,
}

impl Parser<'_> {
    /// The range comes right behind the selector, or behind everything, or behind parentheses around
    /// everything.
    pub(super) fn log_range(&mut self) -> Result<LogRange, ParseError> {
        if self.peek()? == Kind::OpenParen {
            return self.nested(Self::log_range_in_parens);
        }
        let selector = self.selector()?;
        if self.peek()? == Kind::Range {
            return self.range_behind_selector(selector);
        }
        let (log, unwrap) = self.pipeline(selector)?;
        if self.peek()? != Kind::Range {
            return self.missing_range(unwrap.as_ref(), &[Kind::Range, Kind::Pipe]);
        }
        self.range_behind(log, unwrap)
    }

    fn log_range_in_parens(&mut self) -> Result<LogRange, ParseError> {
        self.only(Kind::OpenParen)?;
        match self.peek()? {
            Kind::OpenParen => {
                let inner = self.nested(Self::log_range_in_parens)?;
                self.only(Kind::CloseParen)?;
                return Ok(inner);
            }
            Kind::OpenBrace => {}
            _ => return self.unexpected(&[Kind::OpenBrace, Kind::OpenParen]),
        }
        let selector = self.selector()?;
        if self.peek()? == Kind::Range {
            let inner = self.range_behind_selector(selector)?;
            self.only(Kind::CloseParen)?;
            return Ok(inner);
        }
        let (log, unwrap) = self.pipeline(selector)?;
        match self.peek()? {
            Kind::Range => {
                let inner = self.range_behind(log, unwrap)?;
                self.only(Kind::CloseParen)?;
                Ok(inner)
            }
            Kind::CloseParen => {
                self.take()?;
                self.range_behind_parens(log, unwrap)
            }
            _ => self.missing_range(unwrap.as_ref(), &[Kind::Range, Kind::CloseParen, Kind::Pipe]),
        }
    }

    fn pipeline(&mut self, selector: Selector) -> Result<(LogExpr, Option<Unwrap>), ParseError> {
        let start = selector.span.start;
        let (stages, unwrap) = self.stages(true)?;
        Ok((LogExpr { selector, stages, span: self.span_from(start) }, unwrap))
    }

    /// `expecting` holds behind `unwrap`; without it far too much is possible to be listed.
    fn missing_range(
        &mut self,
        unwrap: Option<&Unwrap>,
        expecting: &[Kind],
    ) -> Result<LogRange, ParseError> {
        self.unexpected(if unwrap.is_some() { expecting } else { &[] })
    }

    /// `{…}` has been read: `[5m] offset 1h | json | unwrap x`.
    fn range_behind_selector(&mut self, selector: Selector) -> Result<LogRange, ParseError> {
        let (range, offset_nanos) = self.range_and_offset()?;
        let (log, unwrap) = self.pipeline(selector)?;
        Ok(LogRange { log, unwrap, range, offset_nanos })
    }

    /// `{…} | json | unwrap x` has been read: `[5m] offset 1h`.
    fn range_behind(
        &mut self,
        log: LogExpr,
        unwrap: Option<Unwrap>,
    ) -> Result<LogRange, ParseError> {
        let (range, offset_nanos) = self.range_and_offset()?;
        Ok(LogRange { log, unwrap, range, offset_nanos })
    }

    /// `({…} …)` has been read: `[5m] offset 1h`; only behind a bare selector `| unwrap x` may follow.
    fn range_behind_parens(
        &mut self,
        log: LogExpr,
        unwrap: Option<Unwrap>,
    ) -> Result<LogRange, ParseError> {
        let bare = log.stages.is_empty() && unwrap.is_none();
        let mut range = self.range_behind(log, unwrap)?;
        if bare && self.eat(Kind::Pipe)? {
            range.unwrap = Some(self.unwrap()?);
        }
        Ok(range)
    }

    fn range_and_offset(&mut self) -> Result<(Duration, i64), ParseError> {
        let range = self.only(Kind::Range)?.nanos();
        let offset = match self.eat(Kind::Offset)? {
            true => self.only(Kind::Duration)?.nanos(),
            false => 0,
        };
        Ok((Duration::from_nanos(range.unsigned_abs()), offset))
    }
}
