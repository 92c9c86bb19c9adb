//! What is wrong with a query's text.

use std::fmt;

/// What is wrong with a query's text, in Loki's words.
///
/// Displayed as `parse error at line 1, col 9: …`, or `parse error : …` where there is no position
/// (line and column both 0). Some have no prefix at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The message without its prefix.
    pub message: String,
    /// The line, from 1; 0 behind tokens of two characters, as Loki counts.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// Whether it is displayed without a prefix.
    pub is_bare: bool,
}

impl ParseError {
    /// A message without a position.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), line: 0, column: 0, is_bare: false }
    }

    /// A message without a prefix, as some of Loki's are.
    pub(crate) fn bare(message: impl Into<String>) -> Self {
        Self { is_bare: true, ..Self::new(message) }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_bare {
            return f.write_str(&self.message);
        }
        if (self.line, self.column) == (0, 0) {
            return write!(f, "parse error : {}", self.message);
        }
        write!(f, "parse error at line {}, col {}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ParseError {}
