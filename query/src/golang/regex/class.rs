//! Classes of characters: `[…]`, `\d`, `\p{…}`, `[:alpha:]`.

use super::translate::{before, error, escaped_char, push_literal};

/// The classes that may stand in `[:…:]`, with or without `^`.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Translates the `[…]` at the front of `text`; gives what follows.
pub(super) fn translate<'t>(text: &'t str, pattern: &mut String) -> Result<&'t str, String> {
    let mut rest = text.get(1..).unwrap_or_default();
    pattern.push('[');
    if let Some(negated) = rest.strip_prefix('^') {
        pattern.push('^');
        rest = negated;
    }
    // In front a bracket stands for itself.
    let mut first = true;
    loop {
        if let Some(behind) = rest.strip_prefix(']').filter(|_| !first) {
            pattern.push(']');
            return Ok(behind);
        }
        first = false;
        if let Some(behind) = posix(rest, pattern)? {
            rest = behind;
        } else if let Some(behind) = escape(rest, pattern)? {
            rest = behind;
        } else {
            rest = range(rest, text, pattern)?;
        }
    }
}

/// `[:alpha:]` inside a class.
fn posix<'t>(text: &'t str, pattern: &mut String) -> Result<Option<&'t str>, String> {
    let Some((name, rest)) = text.strip_prefix("[:").and_then(|inner| inner.split_once(":]"))
    else {
        return Ok(None);
    };
    let whole = before(text, rest);
    if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return Err(error("invalid character class range", whole));
    }
    pattern.push_str(whole);
    Ok(Some(rest))
}

/// A character, or two with a dash between them. `class` is the whole class and what follows it.
fn range<'t>(text: &'t str, class: &str, pattern: &mut String) -> Result<&'t str, String> {
    let (low, rest) = class_char(text, class)?;
    push_literal(pattern, low);
    let high = rest.strip_prefix('-').filter(|high| !high.is_empty() && !high.starts_with(']'));
    let Some(high) = high else { return Ok(rest) };
    let (high, rest) = class_char(high, class)?;
    if high < low {
        return Err(error("invalid character class range", before(text, rest)));
    }
    pattern.push('-');
    push_literal(pattern, high);
    Ok(rest)
}

fn class_char<'t>(text: &'t str, class: &str) -> Result<(char, &'t str), String> {
    if text.starts_with('\\') {
        return escaped_char(text);
    }
    let mut chars = text.chars();
    let c = chars.next().ok_or_else(|| error("missing closing ]", class))?;
    Ok((c, chars.as_str()))
}

/// Translates the `\d` or `\p{…}` at the front of `text`, if there is one; gives what follows.
pub(super) fn escape<'t>(text: &'t str, pattern: &mut String) -> Result<Option<&'t str>, String> {
    let Some(escape) = text.strip_prefix('\\') else { return Ok(None) };
    let mut chars = escape.chars();
    let class = match chars.next() {
        Some('d') => "[0-9]",
        Some('D') => "[^0-9]",
        Some('s') => r"[\t\n\f\r ]",
        Some('S') => r"[^\t\n\f\r ]",
        Some('w') => "[0-9A-Za-z_]",
        Some('W') => "[^0-9A-Za-z_]",
        Some('p') => return unicode(text, false, pattern).map(Some),
        Some('P') => return unicode(text, true, pattern).map(Some),
        _ => return Ok(None),
    };
    pattern.push_str(class);
    Ok(Some(chars.as_str()))
}

/// `\pL`, `\p{Greek}`, `\p{^Greek}` and their opposites.
fn unicode<'t>(text: &'t str, negated: bool, pattern: &mut String) -> Result<&'t str, String> {
    let invalid = |piece: &str| error("invalid character class range", piece);
    let behind = text.get(2..).unwrap_or_default();
    let (name, rest) = match behind.strip_prefix('{') {
        Some(braced) => braced.split_once('}').ok_or_else(|| invalid(text))?,
        None => behind.split_at(behind.chars().next().map_or(0, char::len_utf8)),
    };
    let (name, negated) = match name.strip_prefix('^') {
        Some(name) => (name, !negated),
        None => (name, negated),
    };
    let class = format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' });
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        || regex_syntax::parse(&class).is_err()
    {
        return Err(invalid(before(text, rest)));
    }
    pattern.push_str(&class);
    Ok(rest)
}
