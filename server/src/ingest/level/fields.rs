//! The value of the first level field of a JSON or logfmt line.
//!
//! Both readers take lines as they come: they stop at what they cannot read and keep what they found
//! until then.

use std::borrow::Cow;

use memchr::memchr2;

use super::FIELD_NAMES;

/// How deep JSON objects are searched: the line's own and those directly in it.
const JSON_DEPTH_MAX: usize = 2;

/// The first string in the order of the text that has a level's name, in JSON's escaped form.
pub(super) fn json(line: &[u8]) -> Option<&[u8]> {
    object(&mut Json { rest: line }, 1).unwrap_or_else(|found| found)
}

/// What ends a search: a value was found, or (`None`) the text is not JSON.
type Stop<'a> = Option<&'a [u8]>;

struct Json<'a> {
    rest: &'a [u8],
}

fn object<'a>(json: &mut Json<'a>, depth: usize) -> Result<Stop<'a>, Stop<'a>> {
    json.expect(b'{')?;
    if json.peek() == Some(b'}') {
        json.skip(1);
        return Ok(None);
    }
    loop {
        let key = json.string()?;
        json.expect(b':')?;
        match json.peek().ok_or(None)? {
            b'"' => {
                let value = json.string()?;
                if is_level_key(key) {
                    return Err(Some(value));
                }
            }
            b'{' if depth < JSON_DEPTH_MAX => {
                object(json, depth + 1)?;
            }
            b'{' | b'[' => json.skip_nested()?,
            _ => json.skip_scalar()?,
        }
        match json.peek().ok_or(None)? {
            b',' => json.skip(1),
            b'}' => {
                json.skip(1);
                return Ok(None);
            }
            _ => return Err(None),
        }
    }
}

fn is_level_key(key: &[u8]) -> bool {
    matches!(key.first(), Some(b'l' | b'L' | b's' | b'S'))
        && FIELD_NAMES.iter().any(|name| name.as_bytes() == key)
}

impl<'a> Json<'a> {
    fn peek(&mut self) -> Option<u8> {
        let start = self.rest.iter().position(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r'))?;
        self.rest = &self.rest[start..];
        self.rest.first().copied()
    }

    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    fn expect(&mut self, byte: u8) -> Result<(), Stop<'a>> {
        if self.peek() != Some(byte) {
            return Err(None);
        }
        self.skip(1);
        Ok(())
    }

    /// What is between the quotes of the string that comes next.
    fn string(&mut self) -> Result<&'a [u8], Stop<'a>> {
        self.expect(b'"')?;
        let text = self.rest;
        let mut at = 0;
        loop {
            at += memchr2(b'"', b'\\', &text[at..]).ok_or(None)?;
            if text[at] == b'"' {
                self.rest = &text[at + 1..];
                return Ok(&text[..at]);
            }
            at = text.len().min(at + 2);
        }
    }

    /// Passes over an object or array by counting brackets outside of strings.
    fn skip_nested(&mut self) -> Result<(), Stop<'a>> {
        let mut depth = 0_usize;
        loop {
            let at = self.rest.iter().position(|b| matches!(b, b'{' | b'}' | b'[' | b']' | b'"'));
            self.rest = &self.rest[at.ok_or(None)?..];
            match self.rest[0] {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                _ => depth = depth.saturating_sub(1),
            }
            self.skip(1);
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Passes over a number, `true`, `false` or `null`.
    fn skip_scalar(&mut self) -> Result<(), Stop<'a>> {
        let end = self.rest.iter().position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\n'));
        let scalar = &self.rest[..end.ok_or(None)?];
        let word = matches!(scalar, b"true" | b"false" | b"null");
        if !word && !scalar.first().is_some_and(|b| b.is_ascii_digit() || *b == b'-') {
            return Err(None);
        }
        self.skip(scalar.len());
        Ok(())
    }
}

/// The value of the first logfmt key that is a level's name in any case; `None` also where the line
/// ceases to be logfmt before it.
pub(super) fn logfmt(line: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut rest = line;
    loop {
        let start = rest.iter().position(|&b| b > b' ')?;
        rest = &rest[start..];
        let end = rest.iter().position(|&b| b <= b' ' || b == b'=' || b == b'"');
        let (key, tail) = rest.split_at(end.unwrap_or(rest.len()));
        let wanted = is_logfmt_level_key(key);
        match tail.first() {
            Some(b'=') if !key.is_empty() => {
                let (value, tail) = logfmt_value(&tail[1..])?;
                if wanted {
                    return value.read();
                }
                rest = tail;
            }
            // A quote in a key, or a value without a key.
            Some(b'=' | b'"') => return None,
            // A key without a value; of a level, that says nothing.
            _ if wanted => return None,
            _ => rest = tail,
        }
    }
}

fn is_logfmt_level_key(key: &[u8]) -> bool {
    matches!(key.first(), Some(b'l' | b'L' | b's' | b'S'))
        && FIELD_NAMES.iter().any(|name| key.eq_ignore_ascii_case(name.as_bytes()))
}

/// A logfmt value as it stands in the line.
enum Value<'a> {
    Bare(&'a [u8]),
    /// What is between the quotes, and whether it has escapes.
    Quoted(&'a [u8], bool),
}

impl<'a> Value<'a> {
    fn read(self) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Bare(value) | Self::Quoted(value, false) => Some(Cow::Borrowed(value)),
            // No level has an escape in its name, so the exact text does not matter.
            Self::Quoted(_, true) => None,
        }
    }
}

/// The value that begins here and what follows it; `None` where it is malformed.
fn logfmt_value(rest: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        let end = rest.iter().position(|&b| b <= b' ' || b == b'=' || b == b'"');
        let (value, tail) = rest.split_at(end.unwrap_or(rest.len()));
        let malformed = matches!(tail.first(), Some(b'=' | b'"'));
        return (!malformed).then_some((Value::Bare(value), tail));
    };
    let mut at = 0;
    let mut escapes = false;
    loop {
        at += memchr2(b'"', b'\\', quoted.get(at..)?)?;
        if quoted[at] == b'"' {
            return Some((Value::Quoted(&quoted[..at], escapes), &quoted[at + 1..]));
        }
        escapes = true;
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_as_far_as_it_is_json() {
        for (line, value) in [
            (r#"{"a":1,"b":[{"level":"x"}],"level":"warn"}"#, Some("warn")),
            (r#"{"a":"x\"y","level":"warn"}"#, Some("warn")),
            (r#"{"level":1,"lvl":"info"}"#, Some("info")),
            (r#"{"level":"info",broken}"#, Some("info")),
            (r#"{broken,"level":"info"}"#, None),
            (r#"{"a":nope,"level":"info"}"#, None),
            (r#"{"a":"open}"#, None),
            (r#"{"a":"\"#, None),
            (r#"{"a":[[["}"]]],"Lvl":""}"#, Some("")),
            ("{}", None),
            ("{", None),
            ("", None),
        ] {
            assert_eq!(json(line.as_bytes()), value.map(str::as_bytes), "{line}");
        }
    }

    #[test]
    fn logfmt_is_read_as_far_as_it_is_logfmt() {
        for (line, value) in [
            ("a=1 level=warn b=2", Some("warn")),
            ("a=\"x level=info\" level=warn", Some("warn")),
            ("a=\"\\\" level=info\" LEVEL=\"warn\"", Some("warn")),
            ("bare words level=warn", Some("warn")),
            ("\"quoted\" level=warn", None),
            ("a=b=c level=warn", None),
            ("=x level=warn", None),
            ("a=\"open level=warn", None),
            ("a=\"open\\", None),
            ("level level=warn", None),
            ("a= level=warn", Some("warn")),
            ("level=", Some("")),
            ("a=b", None),
        ] {
            assert_eq!(logfmt(line.as_bytes()).as_deref(), value.map(str::as_bytes), "{line}");
        }
    }
}
