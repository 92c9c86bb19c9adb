//! Text to tokens.
//!
//! Tokens are read one at a time, only as far as the parser looks: an error of the parser in front of
//! a broken token must win over the broken token.

mod cursor;
mod literal;
mod token;

pub(super) use self::token::{Kind, Token, Value};

use self::cursor::{Cursor, Place};
use super::ast::Span;
use super::error::ParseError;
use crate::golang::{parse_bytes, parse_duration, parse_prometheus_duration};

/// Reads tokens off a query.
#[derive(Debug)]
pub(super) struct Lexer<'q> {
    cursor: Cursor<'q>,
    /// Where the token read last began.
    start: Place,
}

impl<'q> Lexer<'q> {
    pub(super) fn new(query: &'q str) -> Self {
        let mut cursor = Cursor::new(query);
        // A byte order mark counts as a column.
        cursor.eat('\u{feff}');
        Self { cursor, start: Place { at: 0, line: 0, column: 0 } }
    }

    /// The next token; [`Kind::End`] at the end, again and again.
    pub(super) fn next(&mut self) -> Result<Token, ParseError> {
        self.skip_blanks()?;
        self.start = self.cursor.place();
        let Some(c) = self.cursor.peek() else { return Ok(self.end()) };
        let token = match c {
            '"' | '\'' | '`' => self.quoted(c)?,
            '0'..='9' => self.number()?,
            '.' if self.cursor.peek_second().is_some_and(|c| c.is_ascii_digit()) => {
                self.number()?
            }
            '[' => self.range()?,
            '-' => self.minus(),
            c if literal::starts_identifier(c) => self.word(),
            _ => self.operator(),
        };
        if self.cursor.peek() == Some('\0') {
            return Err(self.error("invalid character NUL"));
        }
        Ok(token)
    }

    fn end(&self) -> Token {
        // Nothing was ever read of an empty query, so it has no position.
        if self.cursor.is_untouched() {
            let span = Span::default();
            return Token { kind: Kind::End, value: Value::None, span, line: 0, column: 0 };
        }
        self.token(Kind::End, Value::None)
    }

    /// A token from its start to the cursor.
    fn token(&self, kind: Kind, value: Value) -> Token {
        let Place { at, line, column } = self.start;
        Token { kind, value, span: Span { start: at, end: self.cursor.place().at }, line, column }
    }

    /// As [`token`](Self::token), for tokens found by looking ahead: these lose their line, as in Loki.
    fn token_ahead(&self, kind: Kind, value: Value) -> Token {
        Token { line: 0, ..self.token(kind, value) }
    }

    fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError { line: self.start.line, column: self.start.column, ..ParseError::new(message) }
    }

    /// Skips white space and comments: `# …`, `// …`, `/* … */`.
    fn skip_blanks(&mut self) -> Result<(), ParseError> {
        loop {
            match (self.cursor.peek(), self.cursor.peek_second()) {
                (Some(' ' | '\t' | '\r' | '\n'), _) => self.cursor.advance(),
                (Some('#'), _) | (Some('/'), Some('/')) => {
                    self.start = self.cursor.place();
                    self.cursor.advance_while(|c| c != '\n' && c != '\0');
                }
                (Some('/'), Some('*')) => {
                    self.start = self.cursor.place();
                    if !self.cursor.skip_past("*/") {
                        return Err(self.error("comment not terminated"));
                    }
                }
                (Some('\0'), _) => {
                    return Err(ParseError { line: 0, ..self.error("invalid character NUL") });
                }
                _ => return Ok(()),
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Token, ParseError> {
        let source = self.cursor.take(literal::quoted_len).map_err(|why| self.error(why))?;
        if quote == '\'' {
            // A character is no string: it stands where an identifier would.
            return Ok(self.token(Kind::Identifier, Value::Text(source.to_owned())));
        }
        let text = literal::unquote(source).ok_or_else(|| self.error("invalid syntax"))?;
        Ok(self.token(Kind::String, Value::Text(text)))
    }

    /// A number, or the duration or size that begins with it.
    fn number(&mut self) -> Result<Token, ParseError> {
        let source = self.cursor.take(literal::number_len).map_err(|why| self.error(why))?;
        if let Some(nanos) = self.duration_ahead() {
            return Ok(self.token_ahead(Kind::Duration, Value::Nanos(nanos)));
        }
        if let Some(bytes) = self.ahead(is_size_char, |text| parse_bytes(text).ok()) {
            return Ok(self.token_ahead(Kind::Bytes, Value::Bytes(bytes)));
        }
        Ok(self.token(Kind::Number, Value::Text(source.to_owned())))
    }

    /// A flag, a negative duration, or the operator.
    fn minus(&mut self) -> Token {
        let word = |c: &char| c.is_ascii_alphabetic() || *c == '-';
        let flag = self.cursor.rest();
        let flag_len = flag.chars().take_while(word).count();
        if let Some(flag @ ("--strict" | "--keep-empty")) = flag.get(..flag_len) {
            self.cursor.advance_bytes(flag.len());
            return self.token_ahead(Kind::Flag, Value::Text(flag.to_owned()));
        }
        self.cursor.advance();
        match self.duration_ahead() {
            Some(nanos) => self.token_ahead(Kind::Duration, Value::Nanos(nanos)),
            None => self.token(Kind::Binary(super::ast::BinaryOp::Sub), Value::None),
        }
    }

    fn duration_ahead(&mut self) -> Option<i64> {
        self.ahead(is_duration_char, |text| {
            parse_prometheus_duration(text).or_else(|_| parse_duration(text)).ok()
        })
    }

    /// Extends the token by as many characters as may belong to it. They are taken only when the whole
    /// then makes sense.
    fn ahead<T>(
        &mut self,
        belongs: impl Fn(char) -> bool,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let rest = self.cursor.rest();
        let more = rest.find(|c: char| !belongs(c)).unwrap_or(rest.len());
        if more == 0 {
            return None;
        }
        let whole = self.cursor.since_and_ahead(self.start, more);
        let value = read(whole)?;
        self.cursor.advance_bytes(more);
        Some(value)
    }

    /// `[…]`: whatever is inside must be a duration.
    fn range(&mut self) -> Result<Token, ParseError> {
        let error = |lexer: &Self, why: String| ParseError { line: 0, ..lexer.error(why) };
        self.cursor.advance();
        let rest = self.cursor.rest();
        let Some(len) = rest.find(']') else {
            return Err(error(self, "missing closing ']' in duration".to_owned()));
        };
        let inside = rest.get(..len).unwrap_or_default();
        let nanos = parse_prometheus_duration(inside).map_err(|why| error(self, why))?;
        self.cursor.advance_bytes(len + 1);
        Ok(self.token_ahead(Kind::Range, Value::Nanos(nanos)))
    }

    fn word(&mut self) -> Token {
        let len = literal::identifier_len(self.cursor.rest());
        let word = self.cursor.advance_bytes(len);
        let lower = word.to_ascii_lowercase();
        if let Some(kind) = Kind::reserved(&lower) {
            return self.token(kind, Value::None);
        }
        match Kind::function(&lower).filter(|_| opens_call(self.cursor.rest())) {
            Some(kind) => self.token(kind, Value::None),
            None => self.token(Kind::Identifier, Value::Text(word.to_owned())),
        }
    }

    /// An operator of one or two characters. Any other character stands as an identifier of its own.
    fn operator(&mut self) -> Token {
        let rest = self.cursor.rest();
        if let Some((pair, kind)) = rest.get(..2).and_then(|p| Some((p, Kind::operator(p)?))) {
            self.cursor.advance_bytes(pair.len());
            return self.token_ahead(kind, Value::None);
        }
        self.cursor.advance();
        let text = self.cursor.since(self.start);
        match Kind::operator(text) {
            Some(kind) => self.token(kind, Value::None),
            None => self.token(Kind::Identifier, Value::Text(text.to_owned())),
        }
    }
}

/// Whether arguments follow a function's name: `(`, or a grouping in front of it.
fn opens_call(rest: &str) -> bool {
    let rest = rest.trim_start();
    let behind_word = ["by", "without"].into_iter().find_map(|word| {
        let (start, behind) = rest.split_at_checked(word.len())?;
        start.eq_ignore_ascii_case(word).then_some(behind.trim_start())
    });
    behind_word.unwrap_or(rest).starts_with('(')
}

fn is_duration_char(c: char) -> bool {
    c.is_numeric() || matches!(c, 'n' | 'u' | 'µ' | 'm' | 's' | 'h' | 'd' | 'w' | 'y' | '.')
}

fn is_size_char(c: char) -> bool {
    c.is_numeric() || matches!(c, 'B' | 'i' | 'k' | 'K' | 'M' | 'G' | 'T' | 'P' | '.')
}
