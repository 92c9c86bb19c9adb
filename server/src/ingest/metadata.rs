//! Structured metadata in the form it is kept in.

use std::borrow::Cow;

/// A name that nothing is left of, with what it was reduced to. The text goes to the client.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("normalization for label name {name:?} resulted in invalid name {reduced:?}")]
pub(crate) struct InvalidName {
    name: String,
    reduced: String,
}

/// A name of letters, digits and underscores: every run of other characters becomes one underscore, a
/// leading digit gets `key_` before it. Names like `__x__` keep the underscores around them.
///
/// # Errors
/// A name without letters and digits.
pub(crate) fn normalize_name(name: &mut Cow<'_, str>) -> Result<(), InvalidName> {
    if is_normal(name) {
        return Ok(());
    }
    let inner = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    let inner =
        inner.filter(|inner| !inner.is_empty() && !inner.starts_with('_') && !inner.ends_with('_'));
    let mut out = String::with_capacity(name.len() + 4);
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        out.push_str("key_");
    }
    if inner.is_some() {
        out.push('_');
    }
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c);
        } else if !out.ends_with('_') || (out == "_" && inner.is_some()) {
            out.push('_');
        }
    }
    if inner.is_some() {
        out.push('_');
    }
    if out.bytes().all(|byte| byte == b'_') {
        return Err(InvalidName { name: name.to_string(), reduced: out });
    }
    *name = Cow::Owned(out);
    Ok(())
}

/// Most names are normal already; they are not copied.
fn is_normal(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut previous = b'_';
    for &byte in bytes {
        let fits = byte.is_ascii_alphanumeric() || (byte == b'_' && previous != b'_');
        if !fits {
            return false;
        }
        previous = byte;
    }
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
}

/// Takes out what stands for bytes that were not UTF-8.
pub(crate) fn normalize_value(value: &mut Cow<'_, str>) {
    const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;
    if !value.is_ascii() && value.contains(REPLACEMENT) {
        *value = Cow::Owned(value.replace(REPLACEMENT, ""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalized() {
        for (name, normal) in [
            ("trace_id", "trace_id"),
            ("a.b", "a_b"),
            ("a-b", "a_b"),
            ("a__b", "a_b"),
            ("a. -b", "a_b"),
            ("9x", "key_9x"),
            ("_a", "_a"),
            ("__a", "_a"),
            ("a_", "a_"),
            ("a..", "a_"),
            ("__a__", "__a__"),
            ("__a.b__", "__a_b__"),
            ("___a__", "_a_"),
            ("é", "_"),
            ("né", "n_"),
            ("", ""),
            ("__", "_"),
            ("._.", "_"),
        ] {
            let mut out = Cow::Borrowed(name);
            match normalize_name(&mut out) {
                Ok(()) => assert_eq!(out, normal, "{name}"),
                Err(error) => assert_eq!(error.reduced, normal, "{name}"),
            }
        }
        let error = normalize_name(&mut Cow::Borrowed("-")).unwrap_err().to_string();
        assert_eq!(error, r#"normalization for label name "-" resulted in invalid name "_""#);
    }

    #[test]
    fn values_lose_what_was_not_utf8() {
        let mut value = Cow::Borrowed("a\u{fffd}é");
        normalize_value(&mut value);
        assert_eq!(value, "aé");
    }
}
