//! Reads a stream's labels from their text: `{a="b", c="d"}`.
//!
//! The grammar is that of a Prometheus metric with equality alone; the error texts are Prometheus's,
//! with line and column of the token that did not fit.

use std::borrow::Cow;

use super::go_text::{quote, quote_char, quote_into};

/// A name and its value.
pub(crate) type Pair<'a> = (&'a str, Cow<'a, str>);

/// Why a text is no label set: `1:5: parse error: …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: parse error: {message}")]
pub(crate) struct LabelTextError {
    line: usize,
    column: usize,
    message: String,
}

/// The pairs in the order of the text: names may repeat, values may be empty. A metric name before
/// the braces is the label `__name__`.
pub(crate) fn parse(text: &str) -> Result<Vec<Pair<'_>>, LabelTextError> {
    let mut parser = Parser { text, at: 0 };
    let mut pairs = Vec::new();
    let mut token = parser.outer_token()?;
    if let Kind::Identifier(name) = token.kind {
        pairs.push(("__name__", Cow::Borrowed(name)));
        token = parser.outer_token()?;
    }
    if token.kind == Kind::Open {
        parser.braces(&mut pairs)?;
        token = parser.outer_token()?;
    }
    match token.kind {
        Kind::End => Ok(pairs),
        _ => Err(parser.unexpected(&token, "", "")),
    }
}

#[derive(Debug, PartialEq)]
enum Kind<'a> {
    Open,
    Close,
    Comma,
    Equal,
    /// `!=`, `=~` or `!~`.
    Operator(&'static str),
    Identifier(&'a str),
    /// The text with its quotes, and what it stands for.
    Text(&'a str, Cow<'a, str>),
    End,
}

struct Token<'a> {
    kind: Kind<'a>,
    start: usize,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

const INSIDE: &str = "label set";

impl<'a> Parser<'a> {
    /// Reads from behind the opening brace to behind the closing one.
    fn braces(&mut self, pairs: &mut Vec<Pair<'a>>) -> Result<(), LabelTextError> {
        let mut token = self.inner_token()?;
        loop {
            match token.kind {
                Kind::Close => return Ok(()),
                Kind::Identifier(name) => pairs.push((name, self.value()?)),
                _ => return Err(self.unexpected(&token, INSIDE, "identifier or \"}\"")),
            }
            token = self.inner_token()?;
            match token.kind {
                Kind::Close => return Ok(()),
                Kind::Comma => token = self.inner_token()?,
                _ => return Err(self.unexpected(&token, INSIDE, "\",\" or \"}\"")),
            }
        }
    }

    fn value(&mut self) -> Result<Cow<'a, str>, LabelTextError> {
        let equal = self.inner_token()?;
        if equal.kind != Kind::Equal {
            return Err(self.unexpected(&equal, INSIDE, "\"=\""));
        }
        let value = self.inner_token()?;
        match value.kind {
            Kind::Text(_, text) => Ok(text),
            _ => Err(self.unexpected(&value, INSIDE, "string")),
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn token(&mut self, kind: Kind<'a>, len: usize) -> Token<'a> {
        let start = self.at;
        self.at += len;
        Token { kind, start }
    }

    /// The next token outside of braces.
    fn outer_token(&mut self) -> Result<Token<'a>, LabelTextError> {
        self.skip_space();
        let rest = self.rest();
        let name = |c: char| c == ':' || c == '_' || c.is_ascii_alphanumeric();
        match rest.chars().next() {
            None => Ok(self.token(Kind::End, 0)),
            Some('{') => Ok(self.token(Kind::Open, 1)),
            Some(',') => Ok(self.token(Kind::Comma, 1)),
            Some('}') => Err(self.error(self.at, "unexpected right brace '}'".to_owned())),
            Some('"' | '\'' | '`') => self.string(),
            Some(c) if name(c) && !c.is_ascii_digit() => {
                let len = rest.find(|c| !name(c)).unwrap_or(rest.len());
                Ok(self.token(Kind::Identifier(&rest[..len]), len))
            }
            Some(c) => Err(self.error(self.at, format!("unexpected character: {}", quote_char(c)))),
        }
    }

    /// The next token between braces.
    fn inner_token(&mut self) -> Result<Token<'a>, LabelTextError> {
        self.skip_space();
        let rest = self.rest();
        let name = |c: char| c == '_' || c.is_ascii_alphanumeric();
        let mut chars = rest.chars();
        let (first, second) = (chars.next(), chars.next());
        let fault = match first {
            None => "unexpected end of input inside braces".to_owned(),
            Some('}') => return Ok(self.token(Kind::Close, 1)),
            Some(',') => return Ok(self.token(Kind::Comma, 1)),
            Some('=') if second == Some('~') => return Ok(self.token(Kind::Operator("=~"), 2)),
            Some('=') => return Ok(self.token(Kind::Equal, 1)),
            Some('!') if second == Some('~') => return Ok(self.token(Kind::Operator("!~"), 2)),
            Some('!') if second == Some('=') => return Ok(self.token(Kind::Operator("!="), 2)),
            Some('!') => {
                let next = second.map_or_else(|| "'�'".to_owned(), quote_char);
                format!("unexpected character after '!' inside braces: {next}")
            }
            Some('"' | '\'' | '`') => return self.string(),
            Some('{') => "unexpected left brace '{'".to_owned(),
            Some(c) if name(c) && !c.is_ascii_digit() => {
                let len = rest.find(|c| !name(c)).unwrap_or(rest.len());
                return Ok(self.token(Kind::Identifier(&rest[..len]), len));
            }
            Some(c) => format!("unexpected character inside braces: {}", quote_char(c)),
        };
        Err(self.error(self.at, fault))
    }

    /// The string whose opening quote comes next.
    fn string(&mut self) -> Result<Token<'a>, LabelTextError> {
        let rest = self.rest();
        let (quote, body) = rest.split_at(1);
        if quote == "`" {
            let Some(len) = body.find('`') else {
                return Err(self.error(self.at, "unterminated raw string".to_owned()));
            };
            return Ok(self.token(Kind::Text(&rest[..len + 2], body[..len].into()), len + 2));
        }
        let quote = if quote == "'" { '\'' } else { '"' };
        match unescape(body, quote) {
            Ok((len, value)) => Ok(self.token(Kind::Text(&rest[..len + 2], value), len + 2)),
            Err(fault) => Err(self.error(self.at, fault)),
        }
    }

    fn unexpected(&self, token: &Token<'_>, context: &str, expected: &str) -> LabelTextError {
        let mut message = match &token.kind {
            Kind::End => "unexpected end of input".to_owned(),
            Kind::Open => "unexpected \"{\"".to_owned(),
            Kind::Close => "unexpected \"}\"".to_owned(),
            Kind::Comma => "unexpected \",\"".to_owned(),
            Kind::Equal => "unexpected \"=\"".to_owned(),
            Kind::Operator(operator) => format!("unexpected <op:{operator}>"),
            Kind::Identifier(name) => format!("unexpected identifier {}", quote(name)),
            Kind::Text(text, _) => format!("unexpected string {}", shortened(text)),
        };
        for (joint, part) in [(" in ", context), (", expected ", expected)] {
            if !part.is_empty() {
                message.push_str(joint);
                message.push_str(part);
            }
        }
        self.error(token.start, message)
    }

    fn error(&self, at: usize, message: String) -> LabelTextError {
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        LabelTextError { line, column: at - line_start + 1, message }
    }
}

/// A string as messages show it: its first ten characters.
fn shortened(text: &str) -> String {
    if text.len() <= 10 {
        return quote(text);
    }
    format!("{}...", quote(&text.chars().take(10).collect::<String>()))
}

/// What a quoted text stands for, and how many bytes there are before its closing quote. `body`
/// begins behind the opening quote.
fn unescape(body: &str, quote: char) -> Result<(usize, Cow<'_, str>), String> {
    const OPEN: &str = "unterminated quoted string";
    let stops = [quote, '\\', '\n'];
    let mut at = body.find(stops).ok_or(OPEN)?;
    if body[at..].starts_with(quote) {
        return Ok((at, Cow::Borrowed(&body[..at])));
    }
    // Escapes may give bytes that are not UTF-8.
    let mut value = body.as_bytes()[..at].to_vec();
    loop {
        let rest = &body[at..];
        if rest.starts_with(quote) {
            return Ok((at, Cow::Owned(String::from_utf8_lossy(&value).into_owned())));
        }
        let escape = rest.strip_prefix('\\').ok_or(OPEN)?;
        at += 1 + unescape_one(escape, quote, &mut value)?;
        let plain = body[at..].find(stops).ok_or(OPEN)?;
        value.extend_from_slice(&body.as_bytes()[at..at + plain]);
        at += plain;
    }
}

/// Reads what follows a backslash, appends what it stands for and says how long it is.
fn unescape_one(escape: &str, quote: char, value: &mut Vec<u8>) -> Result<usize, String> {
    let kind = escape.chars().next().ok_or("escape sequence not terminated")?;
    let simple = match kind {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        '\'' | '"' if kind == quote => escape.as_bytes()[0],
        _ => return unescape_number(escape, kind, value),
    };
    value.push(simple);
    Ok(1)
}

fn unescape_number(escape: &str, kind: char, value: &mut Vec<u8>) -> Result<usize, String> {
    let (skip, digits, radix, max) = match kind {
        '0'..='7' => (0, 3, 8_u32, 255),
        'x' => (1, 2, 16, 255),
        'u' => (1, 4, 16, 0x10_ffff),
        'U' => (1, 8, 16, 0x10_ffff),
        _ => return Err(format!("unknown escape sequence {}", code_point(kind))),
    };
    let mut number = 0_u64;
    // The zero stands for the end of the text; it is no digit.
    for c in escape[skip..].chars().chain(['\0']).take(digits) {
        let illegal = || match c {
            '\0' => "escape sequence not terminated".to_owned(),
            c => format!("illegal character {} in escape sequence", code_point(c)),
        };
        number = number * u64::from(radix) + u64::from(c.to_digit(radix).ok_or_else(illegal)?);
    }
    let number = u32::try_from(number).ok().filter(|number| *number <= max);
    let invalid = || "escape sequence is an invalid Unicode code point".to_owned();
    match (kind, number.ok_or_else(invalid)?) {
        ('u' | 'U', code) => {
            let c = char::from_u32(code).ok_or_else(invalid)?;
            value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        (_, byte) => value.push(u8::try_from(byte).map_err(|_| invalid())?),
    }
    Ok(skip + digits)
}

/// `U+0041 'A'`.
fn code_point(c: char) -> String {
    let number = format!("U+{:04X}", u32::from(c));
    if c.is_control() { number } else { format!("{number} '{c}'") }
}

/// Labels as a push has them, `{a="b",c="d"}`. Of a name that is there twice, the later value.
pub(crate) fn label_text(labels: &[super::push::Pair<'_>]) -> String {
    let mut text = String::from("{");
    for (index, (name, value)) in labels.iter().enumerate() {
        if labels[index + 1..].iter().any(|(later, _)| later == name) {
            continue;
        }
        text.push_str(if text.len() == 1 { "" } else { "," });
        text.push_str(name);
        text.push('=');
        quote_into(&mut text, value);
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let pairs = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.into_owned())).collect()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn label_sets_are_read() {
        for (text, expected) in [
            ("{}", &[][..]),
            ("", &[]),
            ("{a=\"b\"}", &[("a", "b")]),
            (" { a = \"b\" , _c1='d',\n} ", &[("a", "b"), ("_c1", "d")]),
            ("m{a=`b\\n`}", &[("__name__", "m"), ("a", "b\\n")]),
            (r#"{a="\"\\\n\x41\101\u00e9\U0001F600'"}"#, &[("a", "\"\\\nAAé😀'")]),
            (r#"{a='it\'s "x"'}"#, &[("a", "it's \"x\"")]),
            (r#"{a="\xff"}"#, &[("a", "\u{fffd}")]),
            ("{a=\"\", a=\"é\"}", &[("a", ""), ("a", "é")]),
        ] {
            assert_eq!(pairs(text), owned(expected), "{text}");
        }
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, error) in [
            ("{app}", r#"1:5: parse error: unexpected "}" in label set, expected "=""#),
            ("{a=\"b\"", "1:7: parse error: unexpected end of input inside braces"),
            ("{a.b=\"c\"}", "1:3: parse error: unexpected character inside braces: '.'"),
            ("{a-b=\"c\"}", "1:3: parse error: unexpected character inside braces: '-'"),
            (
                "{a=b}",
                r#"1:4: parse error: unexpected identifier "b" in label set, expected string"#,
            ),
            ("{a!=\"b\"}", r#"1:3: parse error: unexpected <op:!=> in label set, expected "=""#),
            (
                "{a=\"b\" c=\"d\"}",
                r#"1:8: parse error: unexpected identifier "c" in label set, expected "," or "}""#,
            ),
            ("{,}", r#"1:2: parse error: unexpected "," in label set, expected identifier or "}""#),
            (
                "{\"a long name\"=\"b\"}",
                r#"1:2: parse error: unexpected string "\"a long na"... in label set, expected identifier or "}""#,
            ),
            ("{a=\"b}", "1:4: parse error: unterminated quoted string"),
            ("{a=\"b\n\"}", "1:4: parse error: unterminated quoted string"),
            ("{a=`b}", "1:4: parse error: unterminated raw string"),
            ("{a=\"\\q\"}", "1:4: parse error: unknown escape sequence U+0071 'q'"),
            ("{a=\"b\"}}", "1:8: parse error: unexpected right brace '}'"),
            ("{a=\"b\"} x", r#"1:9: parse error: unexpected identifier "x""#),
            ("{a=\"b\",\n  c}", r#"2:4: parse error: unexpected "}" in label set, expected "=""#),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), error, "{text}");
        }
    }

    proptest! {
        /// What is quoted as Go quotes it is read back.
        #[test]
        fn quoted_values_are_read_back(value in any::<String>()) {
            let text = format!("{{a={}}}", quote(&value));
            prop_assert_eq!(pairs(&text), vec![("a".to_owned(), value)]);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[{}a=\"'`\\\\xuU07é,!~\n ]{0,20}") {
            let _ = parse(&text);
        }
    }
}
