//! Reading a time by its layout.

use super::layout::{Field, Offset, next_field};
use super::{MONTHS, Time, WEEKDAYS, Zone, civil};

/// Reads `text` as `layout` shows it, in `zone` unless the text names another.
///
/// `None` where the text does not fit, or the date or clock reading does not exist.
pub(in super::super) fn parse(layout: &str, text: &str, zone: Zone) -> Option<Time> {
    let mut reading = Reading::default();
    let (mut layout, mut rest) = (layout, text);
    while let Some((literal, field, tail)) = next_field(layout) {
        rest = skip(rest, literal)?;
        rest = reading.field(field, rest, tail)?;
        layout = tail;
    }
    if !skip(rest, layout)?.is_empty() {
        return None;
    }
    reading.time(zone)
}

/// Passes the text of a layout; a blank there stands for any number.
fn skip<'t>(text: &'t str, literal: &str) -> Option<&'t str> {
    let (mut text, mut literal) = (text, literal);
    while let Some(expected) = literal.chars().next() {
        if expected == ' ' {
            if !text.is_empty() && !text.starts_with(' ') {
                return None;
            }
            literal = literal.trim_start_matches(' ');
            text = text.trim_start_matches(' ');
        } else {
            text = text.strip_prefix(expected)?;
            literal = &literal[expected.len_utf8()..];
        }
    }
    Some(text)
}

/// What has been read so far.
#[derive(Debug, Default)]
struct Reading {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: u32,
    is_pm: Option<bool>,
    is_utc: bool,
    offset: Option<i64>,
    zone_name: String,
}

impl Reading {
    /// Reads one field and returns what is left; `layout` is what follows the field there.
    fn field<'t>(&mut self, field: Field, text: &'t str, layout: &str) -> Option<&'t str> {
        let rest = match field {
            Field::LongMonth => name(text, &MONTHS, false, &mut self.month, 1)?,
            Field::Month => name(text, &MONTHS, true, &mut self.month, 1)?,
            Field::LongWeekday => name(text, &WEEKDAYS, false, &mut None, 0)?,
            Field::Weekday => name(text, &WEEKDAYS, true, &mut None, 0)?,
            Field::NumMonth | Field::ZeroMonth => {
                let (month, rest) = number(text, field == Field::ZeroMonth)?;
                self.month = (1..=12).contains(&month).then_some(month);
                self.month?;
                rest
            }
            Field::Day | Field::UnderDay | Field::ZeroDay => {
                let text = if field == Field::UnderDay { unpad(text, 1) } else { text };
                let (day, rest) = number(text, field == Field::ZeroDay)?;
                self.day = Some(day);
                rest
            }
            Field::UnderYearDay | Field::ZeroYearDay => self.year_day(field, text)?,
            Field::LongYear => {
                self.year = digits(text, 4)?;
                &text[4..]
            }
            Field::Year => {
                let year = digits(text, 2)?;
                self.year = year + if year >= 69 { 1900 } else { 2000 };
                &text[2..]
            }
            Field::UpperPm => self.half_day(text, "AM", "PM")?,
            Field::LowerPm => self.half_day(text, "am", "pm")?,
            Field::Zone => self.zone_name(text)?,
            Field::Offset(offset) => self.offset(text, offset)?,
            Field::Fraction { digits, trims, .. } => self.fraction(text, digits, trims)?,
            _ => self.clock(field, text, layout)?,
        };
        Some(rest)
    }

    /// The day of the year: up to three digits, exactly three without a pad.
    fn year_day<'t>(&mut self, field: Field, text: &'t str) -> Option<&'t str> {
        let text = if field == Field::UnderYearDay { unpad(text, 2) } else { text };
        let digits = text.bytes().take(3).take_while(u8::is_ascii_digit).count();
        if digits == 0 || (field == Field::ZeroYearDay && digits < 3) {
            return None;
        }
        self.year_day = text[..digits].parse().ok();
        Some(&text[digits..])
    }

    fn clock<'t>(&mut self, field: Field, text: &'t str, layout: &str) -> Option<&'t str> {
        let is_fixed = matches!(field, Field::ZeroHour12 | Field::ZeroMinute | Field::ZeroSecond);
        let (value, rest) = number(text, is_fixed)?;
        let (slot, end) = match field {
            Field::Hour => (&mut self.hour, 24),
            Field::Hour12 | Field::ZeroHour12 => (&mut self.hour, 13),
            Field::Minute | Field::ZeroMinute => (&mut self.minute, 60),
            _ => (&mut self.second, 60),
        };
        *slot = (value < end).then_some(value)?;
        if !matches!(field, Field::Second | Field::ZeroSecond) {
            return Some(rest);
        }
        // A fraction after the seconds is welcome even where the layout has none.
        let is_next = matches!(next_field(layout), Some((_, Field::Fraction { .. }, _)));
        if is_next { Some(rest) } else { self.fraction(rest, 0, true) }
    }

    /// Digits after a point or comma: exactly so many, or with `trims` any number, even none.
    fn fraction<'t>(&mut self, text: &'t str, digits: usize, trims: bool) -> Option<&'t str> {
        let fraction = text.strip_prefix(['.', ',']);
        let present = fraction.map_or(0, |f| f.bytes().take_while(u8::is_ascii_digit).count());
        let (Some(fraction), count) = (fraction, if trims { present } else { digits }) else {
            return trims.then_some(text);
        };
        if count == 0 {
            return trims.then_some(text);
        }
        if present < count {
            return None;
        }
        let shown = &fraction[..count.min(9)];
        self.nanos = format!("{shown:0<9}").parse().ok()?;
        Some(&fraction[count..])
    }

    fn half_day<'t>(&mut self, text: &'t str, am: &str, pm: &str) -> Option<&'t str> {
        let rest = text.strip_prefix(pm);
        self.is_pm = Some(rest.is_some());
        rest.or_else(|| text.strip_prefix(am))
    }

    fn offset<'t>(&mut self, text: &'t str, shape: Offset) -> Option<&'t str> {
        if let (true, Some(rest)) = (shape.is_iso, text.strip_prefix('Z')) {
            self.is_utc = true;
            return Some(rest);
        }
        let is_west = text.starts_with('-');
        let mut rest = text.strip_prefix(['+', '-'])?;
        let mut parts = [0; 3];
        let limits = [24, 60, 60];
        let count = 1 + usize::from(shape.has_minutes) + usize::from(shape.has_seconds);
        for (i, (part, limit)) in parts.iter_mut().zip(limits).take(count).enumerate() {
            if i > 0 && shape.has_colons {
                rest = rest.strip_prefix(':')?;
            }
            *part = digits(rest, 2).filter(|value| *value <= limit)?;
            rest = &rest[2..];
        }
        let seconds = (parts[0] * 60 + parts[1]) * 60 + parts[2];
        self.offset = Some(if is_west { -seconds } else { seconds });
        Some(rest)
    }

    fn zone_name<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        if let Some(rest) = text.strip_prefix("UTC") {
            self.is_utc = true;
            return Some(rest);
        }
        let length = zone_name_length(text)?;
        self.zone_name = text[..length].to_owned();
        Some(&text[length..])
    }

    fn time(&self, zone: Zone) -> Option<Time> {
        let hour = match self.is_pm {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let clock = civil::clock(self.day_number()?, hour, self.minute, self.second);
        let at = |unix: i64, zone: Zone| Some(Time { unix, nanos: self.nanos, zone });
        if self.is_utc {
            return at(clock, Zone::Utc);
        }
        let name = self.zone_name.as_str();
        if let Some(offset) = self.offset {
            let unix = clock - offset;
            let known = zone.at(unix);
            let is_local = known.0 == offset && (name.is_empty() || known.1 == name);
            return at(unix, if is_local { zone } else { Zone::Fixed(offset, name.into()) });
        }
        if name.is_empty() {
            return at(clock - zone.at_clock(clock), zone);
        }
        // An abbreviation means something only to the zone it belongs to.
        const HALF_YEAR: i64 = 182 * 86_400;
        let known = [0, HALF_YEAR, -HALF_YEAR].iter().map(|shift| zone.at(clock + shift));
        if let Some((offset, _)) = known.into_iter().find(|(_, known)| known == name) {
            return at(clock - offset, zone);
        }
        let hours = name.strip_prefix("GMT").and_then(|h| h.parse::<i64>().ok()).unwrap_or(0);
        at(clock, Zone::Fixed(hours * 3600, name.into()))
    }

    fn day_number(&self) -> Option<i64> {
        let Some(year_day) = self.year_day else {
            let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
            let exists = (1..=civil::days_in(month, self.year)).contains(&day);
            return exists.then(|| civil::days(self.year, month, day));
        };
        let length = 365 + i64::from(civil::is_leap(self.year));
        if !(1..=length).contains(&year_day) {
            return None;
        }
        let number = civil::days(self.year, 1, 1) + year_day - 1;
        let date = civil::from_clock(civil::clock(number, 0, 0, 0));
        let agrees = self.month.is_none_or(|month| month == date.month)
            && self.day.is_none_or(|day| day == date.day);
        agrees.then_some(number)
    }
}

fn unpad(text: &str, count: usize) -> &str {
    (0..count).fold(text, |text, _| text.strip_prefix(' ').unwrap_or(text))
}

/// Exactly `count` digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    let digits = text.get(..count)?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// One or two digits; both with `is_fixed`.
fn number(text: &str, is_fixed: bool) -> Option<(i64, &str)> {
    if let Some(number) = digits(text, 2) {
        return Some((number, &text[2..]));
    }
    if is_fixed {
        return None;
    }
    Some((digits(text, 1)?, &text[1..]))
}

/// A name in any case, short or whole; its index plus `base` goes to `slot`.
fn name<'t>(
    text: &'t str,
    names: &[&str],
    is_short: bool,
    slot: &mut Option<i64>,
    base: i64,
) -> Option<&'t str> {
    let names = names.iter().map(|name| if is_short { &name[..3] } else { name });
    for (index, name) in (base..).zip(names) {
        if text.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name)) {
            *slot = Some(index);
            return Some(&text[name.len()..]);
        }
    }
    None
}

/// How many bytes at the start look like the abbreviation of a zone.
fn zone_name_length(text: &str) -> Option<usize> {
    if text.starts_with("ChST") || text.starts_with("MeST") {
        return Some(4);
    }
    if let Some(rest) = text.strip_prefix("GMT") {
        return Some(3 + signed_hours_length(rest).unwrap_or(0));
    }
    if text.starts_with(['+', '-']) {
        return signed_hours_length(text);
    }
    let upper = text.bytes().take(6).take_while(u8::is_ascii_uppercase).count();
    match upper {
        3 => Some(3),
        4 if text[3..].starts_with('T') || text.starts_with("WITA") => Some(4),
        5 if text[4..].starts_with('T') => Some(5),
        _ => None,
    }
}

fn signed_hours_length(text: &str) -> Option<usize> {
    let digits = text.strip_prefix(['+', '-'])?;
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    let hours: i64 = digits[..count].parse().ok()?;
    (hours < 24).then_some(count + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(layout: &str, text: &str) -> Option<String> {
        parse(layout, text, Zone::Utc).map(|time| time.print())
    }

    #[test]
    fn times_are_read_by_their_layout() {
        for (layout, text, printed) in [
            ("2006-01-02", "2026-01-05", "2026-01-05 00:00:00 +0000 UTC"),
            ("2006-01-02 15:04:05", "2026-01-05 03:04:05.25", "2026-01-05 03:04:05.25 +0000 UTC"),
            ("Jan _2 2006 3:04PM", "feb  9 2024 12:30AM", "2024-02-09 00:30:00 +0000 UTC"),
            (
                "02/Jan/2006:15:04:05 -0700",
                "29/Feb/2024:23:00:00 +0200",
                "2024-02-29 23:00:00 +0200 +0200",
            ),
            ("2006-01-02T15:04:05Z07:00", "2024-01-01T00:00:00Z", "2024-01-01 00:00:00 +0000 UTC"),
            ("2006-01-02 MST", "2024-01-01 CET", "2024-01-01 00:00:00 +0000 CET"),
            ("06 002", "69 365", "1969-12-31 00:00:00 +0000 UTC"),
            ("15:04", "07:08", "0000-01-01 07:08:00 +0000 UTC"),
        ] {
            assert_eq!(read(layout, text).as_deref(), Some(printed), "{layout} {text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (layout, text) in [
            ("2006-01-02", "2026-1-05"),
            ("2006-01-02", "2026-02-30"),
            ("2006-01-02", "2026-02-03 x"),
            ("15:04", "24:00"),
            ("Jan", "Foo"),
            ("2006-01-02", ""),
            ("05.000", "07.12"),
            ("2006 002", "2023 366"),
        ] {
            assert_eq!(read(layout, text), None, "{layout} {text}");
        }
    }

    #[test]
    fn a_clock_reading_is_taken_in_its_zone() {
        let zone = Zone::load("America/New_York");
        let time = parse("2006-01-02 15:04", "2024-07-01 12:00", zone).unwrap();
        assert_eq!(time.print(), "2024-07-01 12:00:00 -0400 EDT");
        assert_eq!(time.unix(), 1_719_849_600);
    }
}
