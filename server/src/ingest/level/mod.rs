//! Which level an entry is of: `detected_level`.
//!
//! The first source that says something decides: the stream's labels, the entry's metadata, its OTLP
//! severity number, its line. A line is read as JSON or logfmt when it looks like it; when that yields
//! no level that is known, the first word that is a level's name decides ([`words`]).
//!
//! This runs on every line that comes in, so nothing here allocates or lower-cases a line, and lines
//! that name their level early are read no further.

mod fields;
mod words;

use std::borrow::Cow;

use timberline_store::Labels;

/// The metadata that the level is kept in.
pub(crate) const LEVEL_NAME: &str = "detected_level";

/// The level of an entry that does not say one.
const UNKNOWN: &str = "unknown";

/// Names that a level is kept under, by preference.
pub(crate) const FIELD_NAMES: [&str; 14] = [
    "level",
    "LEVEL",
    "Level",
    "log.level",
    "severity",
    "SEVERITY",
    "Severity",
    "SeverityText",
    "lvl",
    "LVL",
    "Lvl",
    "severity_text",
    "Severity_Text",
    "SEVERITY_TEXT",
];

/// The level's usual name, where the value is a known way to write a level. Case does not matter.
fn known(value: &[u8]) -> Option<&'static str> {
    const SPELLINGS: [(&str, &str); 14] = [
        ("info", "info"),
        ("error", "error"),
        ("warn", "warn"),
        ("debug", "debug"),
        ("warning", "warn"),
        ("trace", "trace"),
        ("critical", "critical"),
        ("fatal", "fatal"),
        ("err", "error"),
        ("inf", "info"),
        ("information", "info"),
        ("wrn", "warn"),
        ("dbg", "debug"),
        ("trc", "trace"),
    ];
    let (_, level) =
        SPELLINGS.iter().find(|(spelling, _)| value.eq_ignore_ascii_case(spelling.as_bytes()))?;
    Some(level)
}

/// A level that a label or metadata names: its usual name, or the value as it is.
pub(crate) fn normalize(value: &str) -> &str {
    known(value.as_bytes()).unwrap_or(value)
}

/// The level that a stream's labels say, for all its entries.
pub(crate) fn of_labels(labels: &Labels) -> Option<Box<str>> {
    let value = FIELD_NAMES.iter().find_map(|name| labels.get(name))?;
    Some(normalize(value).into())
}

/// The level of an entry whose stream's labels say none. `metadata` has its final names.
pub(crate) fn of_entry<'a>(line: &str, metadata: &[(&'a str, &'a str)]) -> &'a str {
    if metadata.is_empty() {
        return of_line(line);
    }
    let preference =
        |name: &str| FIELD_NAMES.iter().position(|field| *field == name).unwrap_or(usize::MAX);
    match metadata.iter().min_by_key(|(name, _)| preference(name)) {
        Some((name, value)) if FIELD_NAMES.contains(name) => return normalize(value),
        _ => {}
    }
    match metadata.iter().find(|(name, value)| *name == "severity_number" && !value.is_empty()) {
        Some((_, number)) => of_severity_number(number),
        None => of_line(line),
    }
}

/// The level of an OTLP severity number: four numbers a level, 1 to 24.
fn of_severity_number(number: &str) -> &'static str {
    match number.parse::<i64>() {
        Err(_) => "info",
        // Loki asks for the upper ends alone.
        Ok(0) => UNKNOWN,
        Ok(..=4) => "trace",
        Ok(5..=8) => "debug",
        Ok(9..=12) => "info",
        Ok(13..=16) => "warn",
        Ok(17..=20) => "error",
        Ok(21..=24) => "fatal",
        Ok(25..) => UNKNOWN,
    }
}

/// The level that a line says itself.
pub(crate) fn of_line(line: &str) -> &'static str {
    let bytes = line.as_bytes();
    let value: Option<Cow<'_, [u8]>> = if looks_like_json(line) {
        fields::json(bytes).map(Cow::Borrowed)
    } else if memchr::memchr(b'=', bytes).is_some() {
        fields::logfmt(bytes)
    } else {
        None
    };
    value.and_then(|value| known(&value)).or_else(|| words::first(bytes)).unwrap_or(UNKNOWN)
}

fn looks_like_json(line: &str) -> bool {
    // Bytes: a character is compared as text, which takes far longer.
    line.trim_start().as_bytes().first() == Some(&b'{')
        && line.trim_end().as_bytes().last() == Some(&b'}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_their_level() {
        for (line, level) in [
            ("level=error x", "error"),
            ("{\"level\":\"WARN\"}", "warn"),
            ("INFO something", "info"),
            ("[debug] thing", "debug"),
            ("a fatal mistake", "fatal"),
            ("trace=1 lvl=trace", "trace"),
            ("E1101 klog style", "unknown"),
            ("severity=critical", "critical"),
            ("{\"severity\":\"Information\"}", "info"),
            ("WARNING: careful", "warn"),
            ("panic: runtime error", "error"),
            ("ERROR and INFO both", "error"),
            ("LVL=dbg", "debug"),
            ("level=notice an error", "error"),
            ("level=notice", "unknown"),
            ("{\"msg\":\"an error\",\"level\":\"notice\"}", "error"),
            ("{\"a\":{\"level\":\"warn\"},\"level\":\"info\"}", "warn"),
            ("{\"a\":{\"b\":{\"level\":\"wrn\"}}}", "unknown"),
            ("  {\"Level\":\"info\"}\n", "info"),
            ("{\"lEVEL\":\"inf\"}", "unknown"),
            ("lEVEL=fatal", "fatal"),
            ("", "unknown"),
        ] {
            assert_eq!(of_line(line), level, "{line}");
        }
    }

    #[test]
    fn metadata_beats_the_line() {
        assert_eq!(of_entry("level=info", &[("severity", "ERR"), ("x", "y")]), "error");
        assert_eq!(of_entry("level=info", &[("lvl", "warn"), ("level", "notice")]), "notice");
        assert_eq!(of_entry("level=info", &[("x", "error")]), "info");
    }

    #[test]
    fn severity_numbers_are_levels() {
        for (number, level) in [
            ("0", "unknown"),
            ("1", "trace"),
            ("8", "debug"),
            ("9", "info"),
            ("16", "warn"),
            ("17", "error"),
            ("24", "fatal"),
            ("25", "unknown"),
            ("many", "info"),
            ("", "warn"),
        ] {
            assert_eq!(of_entry("warn", &[("severity_number", number)]), level, "{number}");
        }
    }

    #[test]
    fn labels_keep_values_that_are_no_level() {
        let labels = |value| Labels::from_pairs([("lvl", "info"), ("level", value)]).unwrap();
        assert_eq!(of_labels(&labels("Notice")).as_deref(), Some("Notice"));
        assert_eq!(of_labels(&labels("WRN")).as_deref(), Some("warn"));
        assert_eq!(of_labels(&Labels::from_pairs([("LeVeL", "info")]).unwrap()), None);
    }
}
