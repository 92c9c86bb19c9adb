//! A position in the query that knows its line and column.

/// A position in the query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The byte. Queries are far shorter than 4 GiB: the parser refuses longer ones first.
    pub(super) at: u32,
    /// The line, from 1.
    pub(super) line: u32,
    /// The column in characters, from 1.
    pub(super) column: u32,
}

/// Walks through the query.
#[derive(Debug)]
pub(super) struct Cursor<'q> {
    text: &'q str,
    at: usize,
    line: u32,
    column: u32,
}

impl<'q> Cursor<'q> {
    pub(super) const fn new(text: &'q str) -> Self {
        Self { text, at: 0, line: 1, column: 1 }
    }

    /// Whether there is nothing to read and never was.
    pub(super) const fn is_untouched(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) fn place(&self) -> Place {
        Place { at: offset(self.at), line: self.line, column: self.column }
    }

    /// What is still to be read.
    pub(super) fn rest(&self) -> &'q str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn peek_second(&self) -> Option<char> {
        self.rest().chars().nth(1)
    }

    /// Goes past one character.
    pub(super) fn advance(&mut self) {
        match self.peek() {
            Some('\n') => (self.line, self.column) = (self.line + 1, 1),
            Some(_) => self.column += 1,
            None => return,
        }
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    /// Goes past `c` if it is next.
    pub(super) fn eat(&mut self, c: char) {
        if self.peek() == Some(c) {
            self.advance();
        }
    }

    /// Goes past `len` bytes, the text it returns.
    pub(super) fn advance_bytes(&mut self, len: usize) -> &'q str {
        let passed = self.rest().get(..len).unwrap_or_default();
        for _ in passed.chars() {
            self.advance();
        }
        passed
    }

    pub(super) fn advance_while(&mut self, passes: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&passes) {
            self.advance();
        }
    }

    /// Goes past the next `end`, whether there is one.
    pub(super) fn skip_past(&mut self, end: &str) -> bool {
        let Some(found) = self.rest().find(end) else { return false };
        self.advance_bytes(found + end.len());
        true
    }

    /// Goes past the token whose length `measure` finds at the front of the rest.
    pub(super) fn take(
        &mut self,
        measure: impl FnOnce(&str) -> Result<usize, String>,
    ) -> Result<&'q str, String> {
        let len = measure(self.rest())?;
        Ok(self.advance_bytes(len))
    }

    /// The text from `start` to here.
    pub(super) fn since(&self, start: Place) -> &'q str {
        self.since_and_ahead(start, 0)
    }

    /// The text from `start` to `more` bytes behind here.
    pub(super) fn since_and_ahead(&self, start: Place, more: usize) -> &'q str {
        let start = usize::try_from(start.at).unwrap_or(usize::MAX);
        self.text.get(start..self.at + more).unwrap_or_default()
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
