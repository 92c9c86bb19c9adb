//! The walk through an expression: operators, groups, escapes.

use std::fmt::Write as _;

use super::class;

/// How deep groups may nest.
pub(super) const NESTING_MAX: u32 = 1_000;

/// The highest count in `{…}`.
const REPEAT_MAX: u32 = 1_000;

/// An expression in the syntax of the regex crate.
#[derive(Debug)]
pub(super) struct Translated {
    pub(super) pattern: String,
    /// The names of the groups, repeated ones too.
    pub(super) names: Vec<String>,
}

/// Go's message: what is wrong, and which piece of the expression.
pub(super) fn error(why: &str, piece: &str) -> String {
    format!("error parsing regexp: {why}: `{piece}`")
}

/// What of `from` is in front of `rest`, its tail.
pub(super) fn before<'s>(from: &'s str, rest: &str) -> &'s str {
    from.get(..from.len() - rest.len()).unwrap_or_default()
}

/// Translates an expression.
pub(super) fn translate(source: &str) -> Result<Translated, String> {
    let mut walk = Walk::new(source);
    while let Some(c) = walk.rest.chars().next() {
        walk.step(c)?;
    }
    if walk.depth > 0 {
        return Err(error("missing closing )", source));
    }
    Ok(walk.translated)
}

struct Walk<'s> {
    source: &'s str,
    rest: &'s str,
    translated: Translated,
    /// How many groups are open.
    depth: u32,
    /// Whether there is something in front that can be repeated.
    has_operand: bool,
    /// The repetition just read, with all that follows it.
    last_repeat: Option<&'s str>,
}

impl<'s> Walk<'s> {
    const fn new(source: &'s str) -> Self {
        let translated = Translated { pattern: String::new(), names: Vec::new() };
        Self { source, rest: source, translated, depth: 0, has_operand: false, last_repeat: None }
    }

    fn step(&mut self, c: char) -> Result<(), String> {
        let last_repeat = self.last_repeat.take();
        match c {
            '(' if self.rest.starts_with("(?") => self.flags_or_group(),
            '(' => {
                self.pass(1);
                self.open("(")
            }
            ')' => self.close(),
            '|' => {
                self.pass(1);
                self.translated.pattern.push('|');
                self.has_operand = false;
                Ok(())
            }
            '*' | '+' | '?' => self.repeat(1, last_repeat),
            '{' => match repeat_len(self.rest) {
                Some(len) => self.repeat(len, last_repeat),
                None => self.literal('{', 1),
            },
            '[' => {
                let rest = class::translate(self.rest, &mut self.translated.pattern)?;
                self.operand(rest);
                Ok(())
            }
            '\\' => self.escape(),
            '^' | '$' | '.' => {
                self.translated.pattern.push(c);
                self.operand(self.rest.get(1..).unwrap_or_default());
                Ok(())
            }
            c => self.literal(c, c.len_utf8()),
        }
    }

    fn pass(&mut self, len: usize) -> &'s str {
        let (passed, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        self.rest = rest;
        passed
    }

    /// Something that can be repeated has been written; `rest` follows.
    fn operand(&mut self, rest: &'s str) {
        self.rest = rest;
        self.has_operand = true;
    }

    fn literal(&mut self, c: char, len: usize) -> Result<(), String> {
        push_literal(&mut self.translated.pattern, c);
        self.pass(len);
        self.has_operand = true;
        Ok(())
    }

    fn open(&mut self, text: &str) -> Result<(), String> {
        self.translated.pattern.push_str(text);
        self.depth += 1;
        self.has_operand = false;
        if self.depth > NESTING_MAX {
            return Err(error("expression nests too deeply", self.source));
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(error("unexpected )", self.source));
        };
        self.depth = depth;
        self.translated.pattern.push(')');
        self.operand(self.rest.get(1..).unwrap_or_default());
        Ok(())
    }

    /// A repetition whose operator has `len` bytes, a `?` behind it aside.
    fn repeat(&mut self, len: usize, last_repeat: Option<&'s str>) -> Result<(), String> {
        let start = self.rest;
        let operator = self.pass(len);
        let counts = operator.trim_matches(['{', '}']).split(',');
        let mut counts = counts.filter(|_| operator.starts_with('{')).filter(|n| !n.is_empty());
        let count = |text: Option<&str>| text.map(|n| n.parse().unwrap_or(u32::MAX));
        let (min, max) = (count(counts.next()), count(counts.next()));
        let too_many = min.max(max).is_some_and(|count| count > REPEAT_MAX);
        if too_many || max.is_some_and(|max| Some(max) < min) {
            return Err(error("invalid repeat count", operator));
        }
        if self.rest.starts_with('?') {
            self.pass(1);
        }
        if let Some(last) = last_repeat {
            return Err(error("invalid nested repetition operator", before(last, self.rest)));
        }
        let whole = before(start, self.rest);
        if !self.has_operand {
            return Err(error("missing argument to repetition operator", whole));
        }
        self.translated.pattern.push_str(whole);
        self.last_repeat = Some(start);
        Ok(())
    }

    /// `(?…`: a named group, a group with flags, or flags from here on.
    fn flags_or_group(&mut self) -> Result<(), String> {
        let start = self.rest;
        let named = start.strip_prefix("(?P<").or_else(|| start.strip_prefix("(?<"));
        if let Some(name) = named {
            return self.named_group(name);
        }
        let (mut negated, mut has_flag) = (false, false);
        self.pass(2);
        while let Some(c) = self.rest.chars().next() {
            self.pass(c.len_utf8());
            match c {
                'i' | 'm' | 's' | 'U' => has_flag = true,
                '-' if !negated => (negated, has_flag) = (true, false),
                ':' | ')' if !negated || has_flag => {
                    let text = before(start, self.rest);
                    if c == ':' {
                        return self.open(text);
                    }
                    // `(?)` sets nothing, and the regex crate does not know it.
                    if text != "(?)" {
                        self.translated.pattern.push_str(text);
                    }
                    return Ok(());
                }
                _ => break,
            }
        }
        Err(error("invalid or unsupported Perl syntax", before(start, self.rest)))
    }

    /// A named group; `name` follows its `<`.
    fn named_group(&mut self, name: &'s str) -> Result<(), String> {
        let start = self.rest;
        let Some((name, rest)) = name.split_once('>') else {
            return Err(error("invalid named capture", start));
        };
        let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
        if name.is_empty() || !name.chars().all(is_word) {
            return Err(error("invalid named capture", before(start, rest)));
        }
        self.rest = rest;
        let repeated = self.translated.names.iter().any(|earlier| earlier == name);
        self.translated.names.push(name.to_owned());
        // The regex crate wants each name once, and no digit in front.
        if repeated || name.starts_with(|c: char| c.is_ascii_digit()) {
            return self.open("(");
        }
        self.open(&format!("(?P<{name}>"))
    }

    fn escape(&mut self) -> Result<(), String> {
        let kind = self.rest.chars().nth(1);
        let text = match kind {
            Some('A') => r"\A",
            Some('z') => r"\z",
            Some('b') => r"(?-u:\b)",
            Some('B') => r"(?-u:\B)",
            Some('C') => return Err(error("invalid escape sequence", r"\C")),
            Some('Q') => {
                self.quoted();
                return Ok(());
            }
            _ => return self.class_or_char(),
        };
        self.translated.pattern.push_str(text);
        self.operand(self.rest.get(2..).unwrap_or_default());
        Ok(())
    }

    /// `\Q…\E`, or to the end.
    fn quoted(&mut self) {
        let quoted = self.rest.get(2..).unwrap_or_default();
        let (text, rest) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
        for c in text.chars() {
            push_literal(&mut self.translated.pattern, c);
        }
        self.has_operand |= !text.is_empty();
        self.rest = rest;
    }

    fn class_or_char(&mut self) -> Result<(), String> {
        let pattern = &mut self.translated.pattern;
        if let Some(rest) = class::escape(self.rest, pattern)? {
            self.operand(rest);
            return Ok(());
        }
        let (c, rest) = escaped_char(self.rest)?;
        push_literal(pattern, c);
        self.operand(rest);
        Ok(())
    }
}

/// Appends a character that stands for itself, inside classes and outside.
pub(super) fn push_literal(pattern: &mut String, c: char) {
    match c {
        c if regex_syntax::is_meta_character(c) => pattern.extend(['\\', c]),
        c if c.is_control() => {
            // Writing to a String cannot fail.
            let _ = write!(pattern, "\\x{{{:x}}}", u32::from(c));
        }
        c => pattern.push(c),
    }
}

/// The length of the `{2}`, `{2,}` or `{2,3}` at the front.
fn repeat_len(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('{')?;
    let (inner, _) = inner.split_once('}')?;
    let (min, max) = inner.split_once(',').unwrap_or((inner, ""));
    let is_count = |text: &str| {
        let leading_zero = text.len() > 1 && text.starts_with('0');
        !text.is_empty() && !leading_zero && text.bytes().all(|b| b.is_ascii_digit())
    };
    (is_count(min) && (max.is_empty() || is_count(max))).then_some(inner.len() + 2)
}

/// Reads an escaped character: what it is, and what follows.
pub(super) fn escaped_char(text: &str) -> Result<(char, &str), String> {
    let mut chars = text.chars();
    chars.next();
    let Some(c) = chars.next() else {
        return Err(error("trailing backslash at end of expression", ""));
    };
    let rest = chars.as_str();
    let invalid = |rest: &str| error("invalid escape sequence", before(text, rest));
    let is_octal = |b: &u8| matches!(b, b'0'..=b'7');
    let c = match c {
        'a' => '\x07',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'x' => return hex_char(rest).map_err(invalid),
        '0'..='7' => {
            // A single digit but 0 would be a reference to a group.
            let len = rest.bytes().take(2).take_while(is_octal).count();
            if c != '0' && len == 0 {
                return Err(invalid(rest));
            }
            let (more, rest) = rest.split_at(len);
            let code = u32::from_str_radix(&format!("{c}{more}"), 8).ok();
            let c = code.and_then(char::from_u32).ok_or_else(|| invalid(rest))?;
            return Ok((c, rest));
        }
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
        _ => return Err(invalid(rest)),
    };
    Ok((c, rest))
}

/// Reads `7f` or `{1f600}`, behind `\x`. Fails with what is left where it stopped.
fn hex_char(text: &str) -> Result<(char, &str), &str> {
    let mut code = 0u32;
    let mut chars = text.chars();
    if !text.starts_with('{') {
        for _ in 0..2 {
            let digit = chars.next().and_then(|c| c.to_digit(16)).ok_or(chars.as_str())?;
            code = code * 16 + digit;
        }
        return char::from_u32(code).map(|c| (c, chars.as_str())).ok_or("");
    }
    chars.next();
    let mut has_digit = false;
    for c in chars.by_ref() {
        match c.to_digit(16) {
            Some(digit) => code = code * 16 + digit,
            None if c == '}' && has_digit => break,
            None => return Err(chars.as_str()),
        }
        has_digit = true;
        if code > u32::from(char::MAX) {
            return Err(chars.as_str());
        }
    }
    char::from_u32(code).filter(|_| has_digit).map(|c| (c, chars.as_str())).ok_or("")
}
