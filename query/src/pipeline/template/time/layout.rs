//! Layouts: a text that shows the reference time `Mon Jan 2 15:04:05 MST 2006`, cut into the
//! fields it names.

use std::fmt::Write as _;

use super::{MONTHS, Time, WEEKDAYS};

/// A field of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperPm,
    LowerPm,
    Zone,
    Offset(Offset),
    /// Digits below the second, all of them shown (`.000`) or trailing zeros dropped (`.999`).
    Fraction {
        digits: usize,
        trims: bool,
        separator: char,
    },
}

/// How an offset from UTC is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset {
    /// Whether UTC is `Z`.
    pub(super) is_iso: bool,
    pub(super) has_colons: bool,
    pub(super) has_minutes: bool,
    pub(super) has_seconds: bool,
}

const OFFSETS: [(&str, Offset); 5] = [
    ("070000", offset(false, true, true)),
    ("07:00:00", offset(true, true, true)),
    ("0700", offset(false, true, false)),
    ("07:00", offset(true, true, false)),
    ("07", offset(false, false, false)),
];

const fn offset(has_colons: bool, has_minutes: bool, has_seconds: bool) -> Offset {
    Offset { is_iso: false, has_colons, has_minutes, has_seconds }
}

/// Cuts a layout at its first field: the text before, the field, and what is left.
pub(super) fn next_field(layout: &str) -> Option<(&str, Field, &str)> {
    layout.char_indices().find_map(|(at, c)| {
        // Nothing but these starts a field; skip the comparisons for other text.
        if !matches!(c, 'J' | 'M' | 'P' | 'p' | 'Z' | '_' | '-' | '.' | ',' | '0'..='5') {
            return None;
        }
        let (field, skipped, length) = field_at(&layout[at..])?;
        let start = at + skipped;
        Some((&layout[..start], field, &layout[start + length..]))
    })
}

/// Fields that are one fixed text. The longer of two that share a start comes first.
const PLAIN: [(&str, Field); 21] = [
    ("January", Field::LongMonth),
    ("Monday", Field::LongWeekday),
    ("MST", Field::Zone),
    ("002", Field::ZeroYearDay),
    ("01", Field::ZeroMonth),
    ("02", Field::ZeroDay),
    ("03", Field::ZeroHour12),
    ("04", Field::ZeroMinute),
    ("05", Field::ZeroSecond),
    ("06", Field::Year),
    ("15", Field::Hour),
    ("1", Field::NumMonth),
    ("2006", Field::LongYear),
    ("2", Field::Day),
    ("__2", Field::UnderYearDay),
    ("_2", Field::UnderDay),
    ("3", Field::Hour12),
    ("4", Field::Minute),
    ("5", Field::Second),
    ("PM", Field::UpperPm),
    ("pm", Field::LowerPm),
];

/// The field a text starts with: bytes before it, and its length.
fn field_at(text: &str) -> Option<(Field, usize, usize)> {
    if text.starts_with("_2006") {
        return Some((Field::LongYear, 1, 4));
    }
    for (name, field) in [("Jan", Field::Month), ("Mon", Field::Weekday)] {
        let is_word = text
            .strip_prefix(name)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_lowercase()));
        if is_word {
            return Some((field, 0, name.len()));
        }
    }
    if let Some(field) = offset_at(text).or_else(|| fraction_at(text)) {
        return Some((field.0, 0, field.1));
    }
    PLAIN
        .iter()
        .find(|(name, _)| text.starts_with(name))
        .map(|(name, field)| (*field, 0, name.len()))
}

fn offset_at(text: &str) -> Option<(Field, usize)> {
    let is_iso = text.starts_with('Z');
    let digits = text.strip_prefix(['-', 'Z'])?;
    let (name, offset) = OFFSETS.iter().find(|(name, _)| digits.starts_with(name))?;
    Some((Field::Offset(Offset { is_iso, ..*offset }), name.len() + 1))
}

fn fraction_at(text: &str) -> Option<(Field, usize)> {
    let separator = text.chars().next().filter(|c| matches!(c, '.' | ','))?;
    let rest = &text[1..];
    let digit = rest.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let digits = rest.bytes().take_while(|b| char::from(*b) == digit).count();
    let ends = !rest[digits..].starts_with(|c: char| c.is_ascii_digit());
    ends.then_some((Field::Fraction { digits, trims: digit == '9', separator }, digits + 1))
}

pub(super) fn format(time: &Time, layout: &str) -> String {
    let mut out = String::with_capacity(layout.len() + 10);
    let mut rest = layout;
    while let Some((text, field, tail)) = next_field(rest) {
        out.push_str(text);
        // Writing to a String cannot fail.
        let _ = write_field(&mut out, time, field);
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn write_field(out: &mut String, time: &Time, field: Field) -> std::fmt::Result {
    let civil = time.civil();
    let month = name_of(&MONTHS, civil.month - 1);
    let weekday = name_of(&WEEKDAYS, civil.weekday);
    let hour12 = if civil.hour % 12 == 0 { 12 } else { civil.hour % 12 };
    match field {
        Field::LongMonth => out.write_str(month),
        Field::Month => out.write_str(&month[..3]),
        Field::NumMonth => write!(out, "{}", civil.month),
        Field::ZeroMonth => write!(out, "{:02}", civil.month),
        Field::LongWeekday => out.write_str(weekday),
        Field::Weekday => out.write_str(&weekday[..3]),
        Field::Day => write!(out, "{}", civil.day),
        Field::UnderDay => write!(out, "{:2}", civil.day),
        Field::ZeroDay => write!(out, "{:02}", civil.day),
        Field::UnderYearDay => write!(out, "{:3}", civil.year_day),
        Field::ZeroYearDay => write!(out, "{:03}", civil.year_day),
        Field::Hour => write!(out, "{:02}", civil.hour),
        Field::Hour12 => write!(out, "{hour12}"),
        Field::ZeroHour12 => write!(out, "{hour12:02}"),
        Field::Minute => write!(out, "{}", civil.minute),
        Field::ZeroMinute => write!(out, "{:02}", civil.minute),
        Field::Second => write!(out, "{}", civil.second),
        Field::ZeroSecond => write!(out, "{:02}", civil.second),
        Field::LongYear if civil.year < 0 => write!(out, "-{:04}", civil.year.unsigned_abs()),
        Field::LongYear => write!(out, "{:04}", civil.year),
        Field::Year => write!(out, "{:02}", civil.year.max(0) % 100),
        Field::UpperPm => out.write_str(if civil.hour >= 12 { "PM" } else { "AM" }),
        Field::LowerPm => out.write_str(if civil.hour >= 12 { "pm" } else { "am" }),
        Field::Zone => write_zone(out, time),
        Field::Offset(offset) => write_offset(out, time.zone.at(time.unix).0, offset),
        Field::Fraction { digits, trims, separator } => {
            write_fraction(out, time.nanos, digits, trims, separator);
            Ok(())
        }
    }
}

fn name_of(names: &[&'static str], index: i64) -> &'static str {
    usize::try_from(index).ok().and_then(|i| names.get(i)).copied().unwrap_or("???")
}

fn write_zone(out: &mut String, time: &Time) -> std::fmt::Result {
    let (seconds, name) = time.zone.at(time.unix);
    if !name.is_empty() {
        return out.write_str(&name);
    }
    write_offset(out, seconds, offset(false, true, false))
}

fn write_offset(out: &mut String, seconds: i64, offset: Offset) -> std::fmt::Result {
    if offset.is_iso && seconds == 0 {
        return out.write_char('Z');
    }
    let colon = if offset.has_colons { ":" } else { "" };
    // Minutes round towards zero, so less than one west of UTC has no sign to show.
    let sign = if seconds / 60 < 0 { '-' } else { '+' };
    let seconds = seconds.abs();
    write!(out, "{sign}{:02}", seconds / 3600)?;
    if offset.has_minutes {
        write!(out, "{colon}{:02}", seconds / 60 % 60)?;
    }
    if offset.has_seconds {
        write!(out, "{colon}{:02}", seconds % 60)?;
    }
    Ok(())
}

fn write_fraction(out: &mut String, nanos: u32, digits: usize, trims: bool, separator: char) {
    let all = format!("{nanos:09}");
    let mut shown = all.get(..digits.min(9)).unwrap_or_default();
    if trims {
        shown = shown.trim_end_matches('0');
        if shown.is_empty() {
            return;
        }
    }
    out.push(separator);
    out.push_str(shown);
    if !trims {
        out.extend(std::iter::repeat_n('0', digits.saturating_sub(9)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_show_the_fields_they_name() {
        let time = Time::from_unix_nanos(1_136_239_445_012_300_000);
        for (layout, shown) in [
            ("Mon Jan _2 15:04:05 MST 2006", "Mon Jan  2 22:04:05 UTC 2006"),
            ("Monday, 02-Jan-06 3:04PM", "Monday, 02-Jan-06 10:04PM"),
            ("January 2, 2006 03:04:05 pm", "January 2, 2006 10:04:05 pm"),
            ("2006-01-02T15:04:05.000Z07:00", "2006-01-02T22:04:05.012Z"),
            ("05.999 05,999999 05.00000", "05.012 05,0123 05.01230"),
            ("-0700 -07:00 -07 Z0700", "+0000 +00:00 +00 Z"),
            ("002 __2 _2006", "002   2 _2006"),
            ("Januarys Janus Monk", "Januarys Janus Monk"),
            ("plain", "plain"),
            ("1/2/06 4 5", "1/2/06 4 5"),
        ] {
            assert_eq!(time.format(layout), shown, "{layout}");
        }
    }

    #[test]
    fn offsets_follow_the_zone() {
        let time = Time::from_unix(0, 0).in_zone(super::super::Zone::Fixed(-12_600, "".into()));
        assert_eq!(time.format("-07:00 Z07:00:00 MST"), "-03:30 -03:30:00 -0330");
    }
}
