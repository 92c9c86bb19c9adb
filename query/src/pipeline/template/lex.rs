//! From source text to tokens.

use crate::golang::quote;

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const COMMENT_START: &str = "/*";
const COMMENT_END: &str = "*/";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    Bool,
    /// A printable ASCII character without a meaning of its own, such as a comma.
    Char,
    CharConstant,
    Assign,
    Declare,
    Eof,
    /// `.name`.
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Block,
    Break,
    Continue,
    Dot,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

impl Kind {
    fn of_word(word: &str) -> Option<Kind> {
        Some(match word {
            "block" => Kind::Block,
            "break" => Kind::Break,
            "continue" => Kind::Continue,
            "define" => Kind::Define,
            "else" => Kind::Else,
            "end" => Kind::End,
            "if" => Kind::If,
            "nil" => Kind::Nil,
            "range" => Kind::Range,
            "template" => Kind::Template,
            "with" => Kind::With,
            "true" | "false" => Kind::Bool,
            _ => return None,
        })
    }

    fn is_keyword(self) -> bool {
        use Kind::{
            Block, Break, Continue, Define, Dot, Else, End, If, Nil, Range, Template, With,
        };

        matches!(
            self,
            Block
                | Break
                | Continue
                | Dot
                | Define
                | Else
                | End
                | If
                | Nil
                | Range
                | Template
                | With
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
}

/// A token. Of an error `text` is the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) offset: usize,
    pub(super) line: usize,
    pub(super) text: String,
}

impl Token {
    /// The token as error messages show it.
    pub(super) fn describe(&self) -> String {
        match self.kind {
            Kind::Eof => "EOF".to_owned(),
            Kind::Error => self.text.clone(),
            kind if kind.is_keyword() => format!("<{}>", self.text),
            _ if self.text.len() > 10 => {
                let head: String = self.text.chars().take(10).collect();
                format!("{}...", quote(&head))
            }
            _ => quote(&self.text),
        }
    }
}

/// Reads tokens one at a time; after [`Kind::Error`] or [`Kind::Eof`] only `Eof` follows.
#[derive(Debug)]
pub(super) struct Lexer<'s> {
    source: &'s str,
    /// Where the current token starts, and the line there.
    start: usize,
    start_line: usize,
    at: usize,
    line: usize,
    inside_action: bool,
    parens: usize,
}

type Step = Result<Option<(Kind, Span)>, String>;

impl<'s> Lexer<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Lexer { source, start: 0, start_line: 1, at: 0, line: 1, inside_action: false, parens: 0 }
    }

    pub(super) fn next(&mut self) -> Token {
        loop {
            let step = if self.inside_action { self.action() } else { self.text() };
            match step {
                Ok(None) => {}
                Ok(Some((kind, span))) => {
                    let line = self.start_line;
                    self.ignore();
                    let text = self.source.get(span.start..span.end).unwrap_or_default();
                    return Token { kind, offset: span.start, line, text: text.to_owned() };
                }
                Err(message) => {
                    let token = Token {
                        kind: Kind::Error,
                        offset: self.start,
                        line: self.start_line,
                        text: message,
                    };
                    self.source = "";
                    (self.start, self.at, self.inside_action) = (0, 0, false);
                    return token;
                }
            }
        }
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.advance(c.len_utf8());
        Some(c)
    }

    /// Moves on, counting lines.
    fn advance(&mut self, bytes: usize) {
        let passed = self.source.get(self.at..self.at + bytes).unwrap_or_default();
        self.line += passed.bytes().filter(|b| *b == b'\n').count();
        self.at += bytes;
    }

    fn ignore(&mut self) {
        self.start = self.at;
        self.start_line = self.line;
    }

    fn span(&self) -> Span {
        Span { start: self.start, end: self.at }
    }

    fn emit(&self, kind: Kind) -> Step {
        Ok(Some((kind, self.span())))
    }

    /// Text up to the next action; without any, the action's opening.
    fn text(&mut self) -> Step {
        let rest = self.rest();
        let Some(length) = rest.find(LEFT) else {
            self.advance(rest.len());
            let kind = if self.at > self.start { Kind::Text } else { Kind::Eof };
            return self.emit(kind);
        };
        if length == 0 {
            return self.left_delimiter();
        }
        let text = &rest[..length];
        let trims = has_left_trim_marker(&rest[length + LEFT.len()..]);
        let kept = if trims { text.trim_end_matches(is_space).len() } else { length };
        let span = Span { start: self.start, end: self.start + kept };
        self.advance(length);
        if kept == 0 {
            self.ignore();
            return Ok(None);
        }
        Ok(Some((Kind::Text, span)))
    }

    fn left_delimiter(&mut self) -> Step {
        self.advance(LEFT.len());
        let span = self.span();
        let marker = if has_left_trim_marker(self.rest()) { 2 } else { 0 };
        if self.rest()[marker..].starts_with(COMMENT_START) {
            self.advance(marker);
            self.ignore();
            return self.comment();
        }
        self.advance(marker);
        self.inside_action = true;
        self.parens = 0;
        Ok(Some((Kind::LeftDelim, span)))
    }

    fn comment(&mut self) -> Step {
        self.advance(COMMENT_START.len());
        let Some(length) = self.rest().find(COMMENT_END) else {
            return Err("unclosed comment".to_owned());
        };
        self.advance(length + COMMENT_END.len());
        let Some(trims) = self.right_delimiter_here() else {
            return Err("comment ends before closing delimiter".to_owned());
        };
        self.pass_right_delimiter(trims);
        self.ignore();
        Ok(None)
    }

    /// Whether an action's end is next, and if so whether it trims.
    fn right_delimiter_here(&self) -> Option<bool> {
        let rest = self.rest();
        if has_right_trim_marker(rest) && rest[2..].starts_with(RIGHT) {
            Some(true)
        } else {
            rest.starts_with(RIGHT).then_some(false)
        }
    }

    fn pass_right_delimiter(&mut self, trims: bool) -> Span {
        if trims {
            self.advance(2);
        }
        let start = self.at;
        self.advance(RIGHT.len());
        let span = Span { start, end: self.at };
        if trims {
            let rest = self.rest();
            self.advance(rest.len() - rest.trim_start_matches(is_space).len());
        }
        span
    }

    fn action(&mut self) -> Step {
        if let Some(trims) = self.right_delimiter_here() {
            if self.parens > 0 {
                return Err("unclosed left paren".to_owned());
            }
            self.inside_action = false;
            let span = self.pass_right_delimiter(trims);
            return Ok(Some((Kind::RightDelim, span)));
        }
        let Some(c) = self.bump() else {
            return Err("unclosed action".to_owned());
        };
        match c {
            c if is_space(c) => self.space(),
            '=' => self.emit(Kind::Assign),
            ':' if self.bump() == Some('=') => self.emit(Kind::Declare),
            ':' => Err("expected :=".to_owned()),
            '|' => self.emit(Kind::Pipe),
            '"' => self.quoted('"', Kind::String, "unterminated quoted string"),
            '\'' => self.quoted('\'', Kind::CharConstant, "unterminated character constant"),
            '`' => self.raw_string(),
            '$' => self.name(Kind::Variable),
            '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => self.name(Kind::Field),
            '.' | '+' | '-' | '0'..='9' => self.number(),
            c if is_alphanumeric(c) => self.identifier(),
            '(' => {
                self.parens += 1;
                self.emit(Kind::LeftParen)
            }
            ')' if self.parens == 0 => Err("unexpected right paren".to_owned()),
            ')' => {
                self.parens -= 1;
                self.emit(Kind::RightParen)
            }
            ' '..='~' => self.emit(Kind::Char),
            c => Err(format!("unrecognized character in action: {}", code_point(c))),
        }
    }

    /// A run of blanks, but not the blank of a trimming end.
    fn space(&mut self) -> Step {
        while self.peek().is_some_and(is_space) && self.right_delimiter_here() != Some(true) {
            self.bump();
        }
        self.emit(Kind::Space)
    }

    fn quoted(&mut self, end: char, kind: Kind, unterminated: &str) -> Step {
        loop {
            let c = match self.bump() {
                Some('\\') => match self.bump() {
                    Some('\n') | None => None,
                    Some(_) => continue,
                },
                other => other,
            };
            match c {
                None | Some('\n') => return Err(unterminated.to_owned()),
                Some(c) if c == end => return self.emit(kind),
                Some(_) => {}
            }
        }
    }

    fn raw_string(&mut self) -> Step {
        loop {
            match self.bump() {
                None => return Err("unterminated raw quoted string".to_owned()),
                Some('`') => return self.emit(Kind::RawString),
                Some(_) => {}
            }
        }
    }

    /// A field or variable whose first character has been read.
    fn name(&mut self, kind: Kind) -> Step {
        if kind == Kind::Field && self.at_terminator() {
            return self.emit(Kind::Dot);
        }
        self.word()?;
        self.emit(kind)
    }

    fn identifier(&mut self) -> Step {
        self.word()?;
        let word = &self.source[self.start..self.at];
        self.emit(Kind::of_word(word).unwrap_or(Kind::Identifier))
    }

    fn word(&mut self) -> Result<(), String> {
        while self.peek().is_some_and(is_alphanumeric) {
            self.bump();
        }
        match self.peek() {
            Some(c) if !self.at_terminator() => Err(format!("bad character {}", code_point(c))),
            _ => Ok(()),
        }
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(c) => is_space(c) || self.rest().starts_with(RIGHT),
        }
    }

    /// A number whose first character has been read; the parser judges its value.
    fn number(&mut self) -> Step {
        self.at = self.start;
        if self.scan_number() {
            return self.emit(Kind::Number);
        }
        self.bump();
        let text = &self.source[self.start..self.at];
        Err(format!("bad number syntax: {}", quote(text)))
    }

    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        let exponent = match digits.len() {
            11 => "eE",
            23 => "pP",
            _ => "",
        };
        if self.accept(exponent) {
            self.accept("+-");
            self.accept_run("0123456789_");
        }
        !self.peek().is_some_and(is_alphanumeric)
    }

    fn accept(&mut self, set: &str) -> bool {
        let found = self.peek().is_some_and(|c| set.contains(c));
        if found {
            self.bump();
        }
        found
    }

    fn accept_run(&mut self, set: &str) {
        while self.accept(set) {}
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphabetic() || c.is_numeric()
}

fn has_left_trim_marker(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next() == Some('-') && chars.next().is_some_and(is_space)
}

fn has_right_trim_marker(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(is_space) && chars.next() == Some('-')
}

/// `U+0021 '!'`.
fn code_point(c: char) -> String {
    let code = format!("U+{:04X}", u32::from(c));
    if c.is_control() { code } else { format!("{code} '{c}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Vec<(Kind, String)> {
        let mut lexer = Lexer::new(source);
        let mut tokens = Vec::new();
        loop {
            let token = lexer.next();
            let done = matches!(token.kind, Kind::Eof | Kind::Error);
            tokens.push((token.kind, token.text));
            if done {
                return tokens;
            }
        }
    }

    #[test]
    fn markers_trim_blanks_around_actions() {
        let texts: Vec<String> = kinds("a \n{{- .x -}}\n b{{/* c */ -}} d")
            .into_iter()
            .filter(|(kind, _)| *kind == Kind::Text)
            .map(|(_, text)| text)
            .collect();
        assert_eq!(texts, ["a", "b", "d"]);
    }

    #[test]
    fn fields_numbers_and_dots_are_told_apart() {
        let tokens = kinds("{{.a .5 . $x.b -1e3 0x1F}}");
        let found: Vec<Kind> =
            tokens.iter().map(|(kind, _)| *kind).filter(|k| *k != Kind::Space).collect();
        use Kind::{Dot, Eof, Field, LeftDelim, Number, RightDelim, Variable};
        assert_eq!(
            found,
            [LeftDelim, Field, Number, Dot, Variable, Field, Number, Number, RightDelim, Eof]
        );
    }

    #[test]
    fn lexical_errors_read_as_in_go() {
        for (source, message) in [
            ("{{ .x ", "unclosed action"),
            ("{{/* x }}", "unclosed comment"),
            ("{{/* x */ y}}", "comment ends before closing delimiter"),
            ("{{ (.x }}", "unclosed left paren"),
            ("{{ .x) }}", "unexpected right paren"),
            ("{{ \"a }}", "unterminated quoted string"),
            ("{{ `a }}", "unterminated raw quoted string"),
            ("{{ 'a }}", "unterminated character constant"),
            ("{{ a! }}", "bad character U+0021 '!'"),
            ("{{ 3k }}", "bad number syntax: \"3k\""),
            ("{{ $x : 1 }}", "expected :="),
            ("{{ \x01 }}", "unrecognized character in action: U+0001"),
        ] {
            let last = kinds(source).pop().unwrap();
            assert_eq!(last, (Kind::Error, message.to_owned()), "{source}");
        }
    }
}
