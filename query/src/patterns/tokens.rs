//! Lines as words and separators.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Tokens of a line that count. What is behind them is one placeholder: kinds of lines are told by
/// their beginnings, and a line may have a hundred thousand words.
const TOKENS_MAX: usize = 256;

/// The longest word, in bytes, that may name a kind of lines: nobody writes a longer one, and it would
/// be kept.
const WORD_BYTES_MAX: usize = 128;

/// A piece of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Token<'a> {
    /// What may name a kind of lines.
    Word(&'a str),
    /// The name of a field, before its `=` or `":`. Lines with other fields are of other kinds.
    Key(&'a str),
    /// One character between words.
    Separator(&'a str),
    /// What differs from line to line: words with digits, long ones, and what looks like a placeholder.
    Variable,
}

impl<'a> Token<'a> {
    /// The text; none of a variable.
    pub(super) const fn text(&self) -> Option<&'a str> {
        match *self {
            Self::Word(text) | Self::Key(text) | Self::Separator(text) => Some(text),
            Self::Variable => None,
        }
    }
}

/// The line as words and separators, in its order.
pub(super) fn tokenise(line: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut start = 0;
    for (at, c) in line.char_indices().filter(|&(at, c)| is_separator(line, at, c)) {
        let end = at + c.len_utf8();
        tokens.extend(match word(&line[start..at]) {
            Some(Token::Word(text)) if ends_key(c, &line[end..]) => Some(Token::Key(text)),
            token => token,
        });
        tokens.push(Token::Separator(&line[at..end]));
        start = end;
        if tokens.len() >= TOKENS_MAX {
            break;
        }
    }
    match &line[start..] {
        "" => {}
        _ if tokens.len() >= TOKENS_MAX => tokens.push(Token::Variable),
        rest => tokens.extend(word(rest)),
    }
    tokens
}

fn word(text: &str) -> Option<Token<'_>> {
    let is_variable = |c: char| c.is_ascii_digit() || matches!(c, '<' | '>');
    match text {
        "" => None,
        text if text.len() > WORD_BYTES_MAX || text.contains(is_variable) => Some(Token::Variable),
        text => Some(Token::Word(text)),
    }
}

/// Whether a word is a field's name, by the separator behind it and what comes then.
fn ends_key(separator: char, behind: &str) -> bool {
    separator == '=' || (separator == '"' && behind.trim_start().starts_with(':'))
}

/// Whether the character at `at` is between words. A colon between digits is part of a time, one next
/// to another of an address.
fn is_separator(line: &str, at: usize, c: char) -> bool {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_digit() || *b == b':');
    match c {
        ':' => {
            let bytes = line.as_bytes();
            let before = at.checked_sub(1).and_then(|before| bytes.get(before));
            !(is_digit(before) && is_digit(bytes.get(at + 1)))
        }
        ',' | ';' | '=' | '(' | ')' | '[' | ']' | '{' | '}' | '"' | '\'' | '`' | '|' => true,
        c => c.is_whitespace(),
    }
}

/// The same for lines whose separators and keys are the same and stand at the same places.
pub(super) fn shape_of(tokens: &[Token<'_>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for token in tokens {
        match token {
            Token::Separator(text) | Token::Key(text) => text.hash(&mut hasher),
            // Neither a separator nor a key is empty.
            Token::Word(_) | Token::Variable => "".hash(&mut hasher),
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> String {
        let tokens = tokenise(line);
        let texts: Vec<_> = tokens.iter().map(|token| token.text().unwrap_or("#")).collect();
        texts.join("_")
    }

    #[test]
    fn lines_are_cut_at_separators() {
        assert_eq!(told("a=1, b"), "a_=_#_,_ _b");
        assert_eq!(told("12:30:01 up: x"), "#_ _up_:_ _x");
        assert_eq!(told("<_> é"), "#_ _é");
        assert_eq!(told("at 1::2 size:3"), "at_ _#_ _size_:_#");
        assert_eq!(told(""), "");
        let long = "a ".repeat(TOKENS_MAX);
        let tokens = tokenise(&long);
        assert_eq!((tokens.len(), tokens.last()), (TOKENS_MAX + 1, Some(&Token::Variable)));
    }

    #[test]
    fn shapes_are_separators_and_keys() {
        let shape = |line| shape_of(&tokenise(line));
        assert_eq!(shape("a b=1"), shape("x b=z"));
        assert_ne!(shape("a b=1"), shape("a c=1"));
        assert_ne!(shape(r#"{"a": "b"}"#), shape(r#"{"b": "b"}"#));
        assert_eq!(shape(r#"{"a": "b"}"#), shape(r#"{"a": "c"}"#));
        assert_ne!(shape("a b=1"), shape("a b:1"));
        assert_ne!(shape("a b"), shape("a b c"));
    }
}
