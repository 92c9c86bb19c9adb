//! Regular expressions: Go's syntax and error texts, run by the regex crate.
//!
//! The two are close relatives, both descend from RE2. [`translate`] reads an expression by Go's
//! rules, which gives Go's errors, and writes it anew for the regex crate where that means something
//! else: `\d`, `\w`, `\s` and `\b` know only ASCII in Go, `\Q…\E` quotes, `{` that is no repetition is a
//! brace, classes have no set operations, and names of groups may repeat.

mod class;
mod translate;

use regex::bytes::{Regex as BytesRegex, RegexBuilder as BytesRegexBuilder};
use regex::{Regex, RegexBuilder};

use self::translate::{NESTING_MAX, translate};

/// Compiles a regular expression written in Go's syntax, for bytes.
///
/// # Errors
/// Go's words: ``error parsing regexp: missing closing ): `(` ``.
pub(crate) fn compile_regex(source: &str) -> Result<BytesRegex, String> {
    let pattern = translate_regex(source)?;
    let built = BytesRegexBuilder::new(&pattern).nest_limit(NESTING_MAX * 2).build();
    built.map_err(|error| not_compiled(source, &error))
}

/// As [`compile_regex`], for text.
///
/// # Errors
/// As [`compile_regex`].
pub(crate) fn compile_regex_str(source: &str) -> Result<Regex, String> {
    let pattern = translate_regex(source)?;
    let built = RegexBuilder::new(&pattern).nest_limit(NESTING_MAX * 2).build();
    built.map_err(|error| not_compiled(source, &error))
}

/// The same regular expression in the syntax of the regex crate.
///
/// # Errors
/// As [`compile_regex`].
pub(crate) fn translate_regex(source: &str) -> Result<String, String> {
    translate(source).map(|translated| translated.pattern)
}

/// The names of the groups that have one, in order. A name may be there more than once; the compiled
/// expression has it on the first of them.
///
/// # Errors
/// As [`compile_regex`].
pub(crate) fn group_names(source: &str) -> Result<Vec<String>, String> {
    translate(source).map(|translated| translated.names)
}

/// What Go accepts and the regex crate does not is too large for it.
fn not_compiled(source: &str, error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => {
            format!("error parsing regexp: expression too large: `{source}`")
        }
        other => format!("error parsing regexp: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_gos() {
        for (source, error) in [
            ("(", "missing closing ): `(`"),
            ("a(b", "missing closing ): `a(b`"),
            ("a)b", "unexpected ): `a)b`"),
            ("[a", "missing closing ]: `[a`"),
            ("x[]", "missing closing ]: `[]`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            ("[[:nope:]]", "invalid character class range: `[:nope:]`"),
            ("*", "missing argument to repetition operator: `*`"),
            ("a|+?b", "missing argument to repetition operator: `+?`"),
            ("(?:{2})", "missing argument to repetition operator: `{2}`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("a+*?b", "invalid nested repetition operator: `+*?`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("a{3,2}", "invalid repeat count: `{3,2}`"),
            (r"\q", r"invalid escape sequence: `\q`"),
            (r"\1", r"invalid escape sequence: `\1`"),
            (r"\C", r"invalid escape sequence: `\C`"),
            (r"\Z", r"invalid escape sequence: `\Z`"),
            (r"\x{110000}", r"invalid escape sequence: `\x{110000`"),
            (r"\p{Nope}", r"invalid character class range: `\p{Nope}`"),
            ("a\\", "trailing backslash at end of expression: ``"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
            ("(?P<a-b>x)", "invalid named capture: `(?P<a-b>`"),
            ("(?P<a", "invalid named capture: `(?P<a`"),
            ("(?i-)", "invalid or unsupported Perl syntax: `(?i-)`"),
        ] {
            let error = format!("error parsing regexp: {error}");
            assert_eq!(translate_regex(source), Err(error), "{source}");
        }
        let deep = "(".repeat(1_001) + &")".repeat(1_001);
        let error = translate_regex(&deep).unwrap_err();
        assert!(error.starts_with("error parsing regexp: expression nests too deeply: `(("));
    }

    #[test]
    fn matches_are_gos() {
        for (source, text, found) in [
            (r"^\d+$", "٣", None),
            (r"\w+", "éab", Some("ab")),
            (r"[\w]+", "éab", Some("ab")),
            (r"\W", "aé", Some("é")),
            (r"\s", "\u{b}", None),
            (r"\bé", "é", None),
            (r"a\Bb", "ab", Some("ab")),
            (r"\Qa.b\E*", "xa.bb", Some("a.bb")),
            (r"\Qa.b", "a.b", Some("a.b")),
            (r"a{,2}", "a{,2}", Some("a{,2}")),
            (r"a{b", "a{b", Some("a{b")),
            (r"a{2}?", "aaa", Some("aa")),
            (r"x{01}", "x{01}", Some("x{01}")),
            (r"[a&&b]+", "&b", Some("&b")),
            (r"[[a]+", "[a", Some("[a")),
            (r"[]a-]+", "-]a", Some("-]a")),
            (r"[^]]", "]b", Some("b")),
            (r"[\-a\]]+", "]-a", Some("]-a")),
            (r"[[:^alpha:]x]+", "a1x", Some("1x")),
            (r"\p{^Greek}\pL", "αxy", Some("xy")),
            (r"\x41\x{42}\103\n", "ABC\n", Some("ABC\n")),
            (r"(?i:AB)c\z", "abc", Some("abc")),
            (r"(?s).(?-s).", "\na", Some("\na")),
            (r"(?P<a>x)(?P<a>y)(?<1>z)", "xyz", Some("xyz")),
            (r"(?U)a+", "aaa", Some("a")),
            (r"#-~ ", "#-~ ", Some("#-~ ")),
            (r"^*a", "a", Some("a")),
        ] {
            let regex = compile_regex_str(source).unwrap();
            assert_eq!(regex.find(text).map(|found| found.as_str()), found, "{source}");
            let regex = compile_regex(source).unwrap();
            let found_bytes = regex.find(text.as_bytes()).map(|found| found.as_bytes());
            assert_eq!(found_bytes, found.map(str::as_bytes), "{source}");
        }
    }

    #[test]
    fn names_are_listed_with_repetitions() {
        let names = group_names("(?P<a>x)(y)(?P<a>(?<b>z))").unwrap();
        assert_eq!(names, ["a", "a", "b"]);
    }
}
