//! Bodies of lines: a JSON object in each, or any text.

use std::borrow::Cow;

use timberline_store::Timestamp;

use super::fields::{FieldRules, Gathered, flatten};
use super::push::DecodeError;

/// Reads a JSON object from each line. Empty lines are passed over.
///
/// # Errors
/// A line that is no JSON object, or has a time that is none; the error names it.
pub(crate) fn read_json<'a>(
    text: &'a str,
    rules: &FieldRules,
    stamp: impl Fn() -> Timestamp,
    out: &mut Gathered<'a, '_, '_>,
) -> Result<(), DecodeError> {
    let mut fields = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let read = flatten(line, &mut fields)
            .map_err(|error| DecodeError::malformed(format!("not a JSON object: {error}")))
            .and_then(|()| rules.add(&mut fields, || Cow::Borrowed(line), &stamp, out));
        read.map_err(|error| match error {
            DecodeError::Malformed(text) => {
                DecodeError::malformed(format!("line {}: {text}; nothing was stored", index + 1))
            }
            other => other,
        })?;
        fields.clear();
    }
    Ok(())
}

/// Makes each line an entry of the stream with these labels, in the order of the text: `stamps` gives
/// the first of so many times that follow each other. The last line may lack its line feed.
///
/// # Errors
/// Lines that stand for too much.
pub(crate) fn read_plain<'a>(
    text: &'a str,
    labels: &str,
    stamps: impl FnOnce(usize) -> Timestamp,
    out: &mut Gathered<'a, '_, '_>,
) -> Result<(), DecodeError> {
    if text.is_empty() {
        return Ok(());
    }
    let text = text.strip_suffix('\n').unwrap_or(text);
    let count = 1 + memchr::memchr_iter(b'\n', text.as_bytes()).count();
    let mut time = stamps(count);
    for line in text.split('\n') {
        out.add(labels.to_owned(), time, line.into(), Vec::new())?;
        time = time.saturating_add(1);
    }
    Ok(())
}
