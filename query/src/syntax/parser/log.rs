//! Selectors and the stages behind them.

use super::{Kind, ParseError, Parser};
use crate::syntax::ast::{
    BinaryOp, LabelExtraction, LabelFormat, LabelFormatValue, LabelMatcher, LineFilter,
    LineFilterOp, LineOperand, LogExpr, NameOrMatcher, Selector, Stage, StageKind, Unwrap,
    UnwrapConversion,
};
use crate::syntax::lexer::{Token, Value};
use crate::syntax::validate;
use timberline_store::MatchOp;

/// What matchers compare with, in the order messages list them.
const MATCH_OPS: [Kind; 4] =
    [Kind::Equal, Kind::Matches, Kind::NotMatches, Kind::Binary(BinaryOp::NotEqual)];

/// The operator of a matcher that `kind` is.
pub(super) const fn match_op(kind: Kind) -> Option<MatchOp> {
    Some(match kind {
        Kind::Equal => MatchOp::Equal,
        Kind::Binary(BinaryOp::NotEqual) => MatchOp::NotEqual,
        Kind::Matches => MatchOp::Matches,
        Kind::NotMatches => MatchOp::NotMatches,
        _ => return None,
    })
}

const fn line_filter_op(kind: Kind) -> Option<LineFilterOp> {
    Some(match kind {
        Kind::PipeContains => LineFilterOp::Contains,
        Kind::Binary(BinaryOp::NotEqual) => LineFilterOp::NotContains,
        Kind::PipeMatches => LineFilterOp::Matches,
        Kind::NotMatches => LineFilterOp::NotMatches,
        Kind::PipePattern => LineFilterOp::Pattern,
        Kind::NotPattern => LineFilterOp::NotPattern,
        _ => return None,
    })
}

impl Parser<'_> {
    /// `{…}` and the stages behind it.
    pub(super) fn log_expr(&mut self) -> Result<LogExpr, ParseError> {
        let selector = self.selector()?;
        let start = selector.span.start;
        let (stages, _) = self.stages(false)?;
        Ok(LogExpr { selector, stages, span: self.span_from(start) })
    }

    /// `{a="b", …}`
    pub(super) fn selector(&mut self) -> Result<Selector, ParseError> {
        let start = self.start()?;
        self.expect(Kind::OpenBrace, &[])?;
        let mut matchers = Vec::new();
        if self.eat(Kind::CloseBrace)? {
            return Ok(Selector { matchers, span: self.span_from(start) });
        }
        let mut expecting: &[Kind] = &[Kind::Identifier, Kind::CloseBrace];
        loop {
            let name = self.expect(Kind::Identifier, expecting)?;
            let kind = self.peek()?;
            let Some(op) = match_op(kind) else { return self.unexpected(&MATCH_OPS) };
            self.take()?;
            matchers.push(self.matcher(name, op)?);
            if self.eat(Kind::CloseBrace)? {
                return Ok(Selector { matchers, span: self.span_from(start) });
            }
            self.expect(Kind::Comma, &[Kind::CloseBrace, Kind::Comma])?;
            expecting = &[Kind::Identifier];
        }
    }

    /// The value of a matcher, behind its operator.
    pub(super) fn matcher(&mut self, name: Token, op: MatchOp) -> Result<LabelMatcher, ParseError> {
        let start = name.span.start;
        let value = self.string()?;
        let span = self.span_from(start);
        let matcher = LabelMatcher { name: name.into_text(), op, value, span };
        validate::matcher(&matcher)?;
        Ok(matcher)
    }

    /// Stages as far as they go; `unwrap` only where it may come, and then as the last.
    pub(super) fn stages(
        &mut self,
        may_unwrap: bool,
    ) -> Result<(Vec<Stage>, Option<Unwrap>), ParseError> {
        let mut stages = Vec::new();
        loop {
            let start = self.start()?;
            let kind = self.peek()?;
            let kind = if let Some(op) = line_filter_op(kind) {
                self.take()?;
                StageKind::LineFilter(self.line_filter(op)?)
            } else if kind == Kind::Pipe {
                self.take()?;
                if may_unwrap && self.peek()? == Kind::Unwrap {
                    return Ok((stages, Some(self.unwrap()?)));
                }
                self.pipe_stage()?
            } else {
                return Ok((stages, None));
            };
            stages.push(Stage { kind, span: self.span_from(start) });
        }
    }

    /// The operands of a line filter, behind its operator.
    fn line_filter(&mut self, op: LineFilterOp) -> Result<LineFilter, ParseError> {
        let mut operands = Vec::new();
        loop {
            operands.push(match self.peek()? {
                Kind::String => LineOperand::Text(self.take()?.into_text()),
                Kind::Ip => LineOperand::Ip(self.ip()?),
                _ => return self.unexpected(&[Kind::String, Kind::Ip]),
            });
            if !self.eat(Kind::Binary(BinaryOp::Or))? {
                return Ok(LineFilter { op, operands });
            }
        }
    }

    /// `ip("…")`
    pub(super) fn ip(&mut self) -> Result<String, ParseError> {
        self.only(Kind::Ip)?;
        self.only(Kind::OpenParen)?;
        let pattern = self.string()?;
        self.only(Kind::CloseParen)?;
        Ok(pattern)
    }

    /// A stage, behind its `|`.
    fn pipe_stage(&mut self) -> Result<StageKind, ParseError> {
        let kind = self.peek()?;
        match kind {
            Kind::Identifier | Kind::OpenParen => {
                return Ok(StageKind::LabelFilter(self.label_filter()?));
            }
            Kind::Json
            | Kind::Logfmt
            | Kind::Regexp
            | Kind::Pattern
            | Kind::Unpack
            | Kind::LineFormat
            | Kind::LabelFormat
            | Kind::Decolorize
            | Kind::Drop
            | Kind::Keep => self.take()?,
            _ => return self.unexpected(&[]),
        };
        Ok(match kind {
            Kind::Json => StageKind::Json(self.extractions()?),
            Kind::Logfmt => self.logfmt()?,
            Kind::Regexp => {
                let regex = self.string()?;
                validate::regexp_stage(&regex)?;
                StageKind::Regexp(regex)
            }
            Kind::Pattern => {
                let pattern = self.string()?;
                validate::pattern_stage(&pattern)?;
                StageKind::Pattern(pattern)
            }
            Kind::Unpack => StageKind::Unpack,
            Kind::LineFormat => StageKind::LineFormat(self.string()?),
            Kind::LabelFormat => StageKind::LabelFormat(self.list(Self::label_format)?),
            Kind::Drop => StageKind::Drop(self.list(Self::name_or_matcher)?),
            Kind::Keep => StageKind::Keep(self.list(Self::name_or_matcher)?),
            Kind::Decolorize => StageKind::Decolorize,
            _ => return self.unexpected(&[]),
        })
    }

    /// One or more items with commas between them.
    fn list<T>(
        &mut self,
        item: impl Fn(&mut Self) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        let mut items = vec![item(self)?];
        while self.eat(Kind::Comma)? {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn logfmt(&mut self) -> Result<StageKind, ParseError> {
        let (mut strict, mut keep_empty) = (false, false);
        while self.peek()? == Kind::Flag {
            let flag = self.take()?.value;
            let is_strict = matches!(flag, Value::Text(text) if text == "--strict");
            strict |= is_strict;
            keep_empty |= !is_strict;
        }
        Ok(StageKind::Logfmt { strict, keep_empty, extractions: self.extractions()? })
    }

    /// `x="key", y`, if there are any.
    fn extractions(&mut self) -> Result<Vec<LabelExtraction>, ParseError> {
        if self.peek()? != Kind::Identifier {
            return Ok(Vec::new());
        }
        self.list(|parser| {
            let name = parser.only(Kind::Identifier)?.into_text();
            let expression = match parser.eat(Kind::Equal)? {
                true => parser.string()?,
                false => name.clone(),
            };
            Ok(LabelExtraction { name, expression })
        })
    }

    fn label_format(&mut self) -> Result<LabelFormat, ParseError> {
        let name = self.only(Kind::Identifier)?.into_text();
        self.only(Kind::Equal)?;
        let value = match self.peek()? {
            Kind::Identifier => LabelFormatValue::Rename(self.take()?.into_text()),
            Kind::String => LabelFormatValue::Template(self.take()?.into_text()),
            _ => return self.unexpected(&[Kind::Identifier, Kind::String]),
        };
        Ok(LabelFormat { name, value })
    }

    fn name_or_matcher(&mut self) -> Result<NameOrMatcher, ParseError> {
        let name = self.only(Kind::Identifier)?;
        let Some(op) = match_op(self.peek()?) else {
            return Ok(NameOrMatcher::Name(name.into_text()));
        };
        self.take()?;
        Ok(NameOrMatcher::Matcher(self.matcher(name, op)?))
    }

    /// `unwrap …` and the label filters behind it; its `|` has been taken.
    pub(super) fn unwrap(&mut self) -> Result<Unwrap, ParseError> {
        const EXPECTING: [Kind; 4] = [
            Kind::Identifier,
            Kind::Conversion(UnwrapConversion::Bytes),
            Kind::Conversion(UnwrapConversion::Duration),
            Kind::Conversion(UnwrapConversion::DurationSeconds),
        ];

        self.only(Kind::Unwrap)?;
        let (conversion, label) = match self.peek()? {
            Kind::Identifier => (UnwrapConversion::Number, self.take()?),
            Kind::Conversion(conversion) => {
                self.take()?;
                self.only(Kind::OpenParen)?;
                let label = self.only(Kind::Identifier)?;
                self.only(Kind::CloseParen)?;
                (conversion, label)
            }
            _ => return self.unexpected(&EXPECTING),
        };
        let mut filters = Vec::new();
        while self.eat(Kind::Pipe)? {
            filters.push(self.label_filter()?);
        }
        Ok(Unwrap { label: label.into_text(), conversion, filters })
    }
}
