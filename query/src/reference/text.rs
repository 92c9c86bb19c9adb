//! Bytes as text.

/// Bytes as text, with a blank for each that is none.
pub(super) fn blanked(bytes: &[u8]) -> String {
    replaced(bytes).replace(char::REPLACEMENT_CHARACTER, " ")
}

/// Bytes as text, with a replacement character for each that is none.
pub(super) fn replaced(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// What a string of JSON stands for, without its quotes; `None` where an escape is none. Also knows
/// `\'` where told.
pub(super) fn unescaped(raw: &[u8], also_single: bool) -> Option<String> {
    // As a string that serde reads: no raw control characters, no escapes that JSON does not have.
    let mut quoted = String::from("\"");
    let raw = blanked(raw);
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                '\'' if also_single => quoted.push('\''),
                other => quoted.extend(['\\', other]),
            },
            '"' => quoted.push_str("\\\""),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    let text: String = serde_json::from_str(&quoted).ok()?;
    Some(text.replace(char::REPLACEMENT_CHARACTER, " "))
}
