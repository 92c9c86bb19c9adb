//! The expressions of `| json x="a.b[0]"`: paths into a document.

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// An object's member.
    Key(String),
    /// An array's element.
    Index(usize),
}

/// A token of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Dot,
    Open,
    Close,
    String(String),
    Field(String),
    Index(usize),
}

impl Token {
    /// The token's name in messages.
    const fn name(&self) -> &'static str {
        match self {
            Self::Dot => "DOT",
            Self::Open => "LSB",
            Self::Close => "RSB",
            Self::String(_) => "STRING",
            Self::Field(_) => "FIELD",
            Self::Index(_) => "INDEX",
        }
    }
}

/// Reads a path: `a.b["c d"][0]`.
///
/// # Errors
/// What Loki says behind `cannot parse expression […]: `.
pub(super) fn parse(expression: &str) -> Result<Vec<Part>, String> {
    let mut lexer = Lexer { rest: expression };
    let mut parts = Vec::new();
    match lexer.next()? {
        Some(Token::Field(name)) => parts.push(Part::Key(name)),
        Some(Token::Open) => parts.push(access(&mut lexer)?),
        other => return Err(unexpected(other.as_ref(), ", expecting LSB or FIELD")),
    }
    loop {
        match lexer.next()? {
            None => return Ok(parts),
            Some(Token::Open) => parts.push(access(&mut lexer)?),
            Some(Token::Dot) => match lexer.next()? {
                Some(Token::Field(name)) => parts.push(Part::Key(name)),
                other => return Err(unexpected(other.as_ref(), ", expecting FIELD")),
            },
            other => return Err(unexpected(other.as_ref(), "")),
        }
    }
}

/// What is between brackets, and the closing one.
fn access(lexer: &mut Lexer<'_>) -> Result<Part, String> {
    let part = match lexer.next()? {
        Some(Token::String(key)) => Part::Key(key),
        Some(Token::Index(index)) => Part::Index(index),
        other => return Err(unexpected(other.as_ref(), ", expecting STRING or INDEX")),
    };
    match lexer.next()? {
        Some(Token::Close) => Ok(part),
        other => Err(unexpected(other.as_ref(), ", expecting RSB")),
    }
}

fn unexpected(token: Option<&Token>, expecting: &str) -> String {
    format!("syntax error: unexpected {}{expecting}", token.map_or("$end", Token::name))
}

struct Lexer<'a> {
    rest: &'a str,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<Option<Token>, String> {
        self.rest = self.rest.trim_start();
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let token = match first {
            '.' => self.single(Token::Dot),
            '[' => self.single(Token::Open),
            ']' => self.single(Token::Close),
            '"' => self.string(),
            'a'..='z' | 'A'..='Z' | '_' => {
                Token::Field(self.take(|c| c.is_ascii_alphanumeric() || c == '_').to_owned())
            }
            '0'..='9' => self.index()?,
            other => return Err(format!("unexpected char {other}")),
        };
        Ok(Some(token))
    }

    fn single(&mut self, token: Token) -> Token {
        self.rest = &self.rest[1..];
        token
    }

    /// A string ends at a quote, or before a bracket that closes its brackets.
    fn string(&mut self) -> Token {
        self.rest = &self.rest[1..];
        let text = self.take(|c| c != '"' && c != ']').to_owned();
        self.rest = self.rest.strip_prefix('"').unwrap_or(self.rest);
        Token::String(text)
    }

    fn index(&mut self) -> Result<Token, String> {
        let digits = self.take(|c| c.is_ascii_digit()).to_owned();
        match self.rest.chars().next() {
            Some('.') => return Err("cannot use float as array index".to_owned()),
            Some(c) if c != ']' && !c.is_whitespace() => {
                return Err(format!("non-integer value: {c}"));
            }
            _ => {}
        }
        // An index that large is in no line: any number past the end means the same.
        Ok(Token::Index(digits.parse().unwrap_or(usize::MAX)))
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let key = |name: &str| Part::Key(name.to_owned());
        for (expression, parts) in [
            ("field", vec![key("field")]),
            ("a.b", vec![key("a"), key("b")]),
            (r#"a["key with space"]"#, vec![key("a"), key("key with space")]),
            (r#"["a"].b"#, vec![key("a"), key("b")]),
            (" a [ 0 ] . b ", vec![key("a"), Part::Index(0), key("b")]),
            ("[0]", vec![Part::Index(0)]),
        ] {
            assert_eq!(parse(expression), Ok(parts), "{expression}");
        }
    }

    #[test]
    fn what_is_no_path() {
        for (expression, message) in [
            ("field with space", "syntax error: unexpected FIELD"),
            (r#""pod"]"#, "syntax error: unexpected STRING, expecting LSB or FIELD"),
            (r#"["pod""#, "syntax error: unexpected $end, expecting RSB"),
            (r#"["pod""x"]"#, "syntax error: unexpected STRING, expecting RSB"),
            ("pod..uuid", "syntax error: unexpected DOT, expecting FIELD"),
            ("", "syntax error: unexpected $end, expecting LSB or FIELD"),
            ("a-b", "unexpected char -"),
            ("a[1.5]", "cannot use float as array index"),
            ("a[1x]", "non-integer value: x"),
        ] {
            assert_eq!(parse(expression), Err(message.to_owned()), "{expression}");
        }
    }
}
