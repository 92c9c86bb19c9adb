//! Texts as Go's standard library writes them, since clients know Loki's messages by the letter.

use std::fmt::Write as _;

use timberline_store::{Labels, Timestamp};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// A point in time in UTC, split into calendar fields.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
}

impl Civil {
    fn new(timestamp: Timestamp) -> Self {
        let seconds = timestamp.div_euclid(NANOS_PER_SECOND);
        let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_date(days);
        Self {
            year,
            month,
            day,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            nanos: timestamp.rem_euclid(NANOS_PER_SECOND),
        }
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
///
/// Years are counted from March, so that the leap day is a year's last and months have a regular
/// pattern of lengths: 153 days in five months.
fn civil_date(days: i64) -> (i64, i64, i64) {
    let from_march_0000 = days + 719_468;
    let era = from_march_0000.div_euclid(146_097);
    let of_era = from_march_0000.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// `2026-11-24T02:19:00Z`, as Go's `time.RFC3339` in UTC: whole seconds, cut and not rounded.
pub(crate) fn rfc3339(timestamp: Timestamp) -> String {
    let t = Civil::new(timestamp);
    let (year, month, day) = (t.year, t.month, t.day);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", t.hour, t.minute, t.second)
}

/// `2026-11-24T02:19:00.5Z`, as Go's `time.RFC3339Nano` in UTC: no zeros at the fraction's end.
pub(crate) fn rfc3339_nano(timestamp: Timestamp) -> String {
    let mut text = rfc3339(timestamp);
    let nanos = timestamp.rem_euclid(NANOS_PER_SECOND);
    if nanos != 0 {
        text.pop();
        text.push_str(format!(".{nanos:09}").trim_end_matches('0'));
        text.push('Z');
    }
    text
}

/// `2026-11-24 02:19:00.5 +0000 UTC`, as Go's `Time.String` in UTC: no zeros at the fraction's end.
pub(crate) fn time_string(timestamp: Timestamp) -> String {
    let t = Civil::new(timestamp);
    let (year, month, day) = (t.year, t.month, t.day);
    let mut text =
        format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", t.hour, t.minute, t.second);
    if t.nanos != 0 {
        let fraction = format!("{:09}", t.nanos);
        text.push('.');
        text.push_str(fraction.trim_end_matches('0'));
    }
    text.push_str(" +0000 UTC");
    text
}

/// Appends `text` in double quotes with Go's escapes.
pub(crate) fn quote_into(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        escape_into(out, c, '"');
    }
    out.push('"');
}

/// `text` in double quotes with Go's escapes, as `%q`.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote_into(&mut out, text);
    out
}

/// A character in single quotes with Go's escapes, as `%q` of a rune.
pub(crate) fn quote_char(c: char) -> String {
    let mut out = String::from("'");
    escape_into(&mut out, c, '\'');
    out.push('\'');
    out
}

fn escape_into(out: &mut String, c: char, quote: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        c if c == quote => {
            out.push('\\');
            out.push(c);
        }
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        c if is_printable(c) => out.push(c),
        // Writing to a String cannot fail.
        c if c.is_ascii() => _ = write!(out, "\\x{:02x}", u32::from(c)),
        c if u32::from(c) <= 0xffff => _ = write!(out, "\\u{:04x}", u32::from(c)),
        c => _ = write!(out, "\\U{:08x}", u32::from(c)),
    }
}

/// Go prints letters, marks, numbers, punctuation, symbols and the ASCII space. The format characters
/// that occur in logs are listed; the rest of their class is printed, which no parser minds.
fn is_printable(c: char) -> bool {
    let format = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}');
    c == ' ' || !(c.is_control() || c.is_whitespace() || format)
}

/// `{a="1", b="2"}`, as Prometheus prints a label set.
pub(crate) fn label_string(labels: &Labels) -> String {
    let mut out = String::from("{");
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        out.push_str(name);
        out.push('=');
        quote_into(&mut out, value);
    }
    out.push('}');
    out
}

/// A number of bytes with the largest unit of 1024 that fits and at most two decimals: `3MB`, `1.5kB`.
pub(crate) fn byte_size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)];
    let Some((name, unit)) = UNITS.into_iter().find(|(_, unit)| bytes >= *unit) else {
        return format!("{bytes}B");
    };
    let hundredths = u128::from(bytes) * 100 / u128::from(unit);
    let (whole, part) = (hundredths / 100, hundredths % 100);
    let number = format!("{whole}.{part:02}");
    format!("{}{name}", number.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_793_534_400_999_999_999), "2026-11-01T12:00:00Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
        assert_eq!(rfc3339_nano(-500_000_000), "1969-12-31T23:59:59.5Z");
        assert_eq!(rfc3339_nano(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400_000_000_000), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(i64::MAX), "2262-04-11T23:47:16Z");
        assert_eq!(rfc3339(i64::MIN), "1677-09-21T00:12:43Z");
        assert_eq!(time_string(1_500_000_000), "1970-01-01 00:00:01.5 +0000 UTC");
        assert_eq!(time_string(0), "1970-01-01 00:00:00 +0000 UTC");
    }

    #[test]
    fn texts_are_quoted_as_go_quotes_them() {
        assert_eq!(quote("a\"b\\c\n\u{1}\u{7f}é\u{85}日"), r#""a\"b\\c\n\x01\x7fé\u0085日""#);
        assert_eq!(quote("'"), r#""'""#);
        assert_eq!(quote_char('\''), r"'\''");
        assert_eq!(quote_char('-'), "'-'");
    }

    #[test]
    fn sizes_have_at_most_two_decimals() {
        let texts = [0, 1023, 1024, 1536, 3 << 20, (5 << 30) + (1 << 28)].map(byte_size);
        assert_eq!(texts, ["0B", "1023B", "1kB", "1.5kB", "3MB", "5.25GB"]);
    }
}
