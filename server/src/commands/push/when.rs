//! When a line was written, as far as it says so itself.
//!
//! The forms that programs write are tried in turn, the one that was found last first. Only the places
//! are looked at where such a form belongs: the beginning of the line, the fields that are named for it,
//! the brackets of an access log.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;
use timberline_store::Timestamp;

use crate::commands::times::{Zone, unix};

/// Names of fields that hold a time, in JSON and logfmt.
const FIELDS: [&str; 6] = ["time", "ts", "timestamp", "@timestamp", "t", "datetime"];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// How far into a line the brackets of an access log may be.
const BRACKET_BYTES_MAX: usize = 512;

/// A time without a year is of the last year rather than further in the future than this: a day.
const FUTURE_MAX: i64 = 86_400_000_000_000;

/// Where and how lines tell their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `2026-01-31T12:00:00.123Z` and its relatives at the beginning, perhaps in brackets or behind a
    /// priority of syslog.
    Iso,
    /// A field of JSON.
    Json,
    /// A field of logfmt.
    Logfmt,
    /// `[31/Jan/2026:12:00:00 +0000]`
    Access,
    /// `Jan 31 12:00:00`
    Syslog,
    /// `I0131 12:00:00.123456`
    Glog,
    /// Seconds to nanoseconds since 1970.
    Unix,
}

const FORMS: [Form; 7] =
    [Form::Iso, Form::Json, Form::Logfmt, Form::Access, Form::Syslog, Form::Glog, Form::Unix];

/// Finds the times of lines.
#[derive(Debug)]
pub(super) struct Finder {
    zone: Zone,
    now: Timestamp,
    last: Option<Form>,
}

impl Finder {
    /// Times without a zone are in `zone`; those without a year are at `now` or before.
    pub(super) const fn new(zone: Zone, now: Timestamp) -> Self {
        Self { zone, now, last: None }
    }

    /// The time that a line tells.
    pub(super) fn find(&mut self, line: &str) -> Option<Timestamp> {
        let form = self.last.into_iter().chain(FORMS).find_map(|form| {
            let found = self.read(form, line)?;
            Some((form, found))
        });
        let (form, found) = form?;
        self.last = Some(form);
        Some(found)
    }

    fn read(&self, form: Form, line: &str) -> Option<Timestamp> {
        match form {
            Form::Iso => self.iso(line.strip_prefix('[').unwrap_or_else(|| without_priority(line))),
            Form::Json => self.json(line),
            Form::Logfmt => self.logfmt(line),
            Form::Access => self.access(line),
            Form::Syslog => self.syslog(without_priority(line)),
            Form::Glog => self.glog(line),
            Form::Unix => {
                let end =
                    line.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(line.len());
                is_unix(&line[..end]).then(|| unix(&line[..end]))?
            }
        }
    }

    /// `2026-01-31T12:00:00`, with a blank or a slash where others have them, a fraction behind a point or
    /// a comma, and a zone, or none.
    fn iso(&self, text: &str) -> Option<Timestamp> {
        let (year, rest) = digits(text, 4)?;
        let (month, rest) = digits(rest.strip_prefix(['-', '/'])?, 2)?;
        let (day, rest) = digits(rest.strip_prefix(['-', '/'])?, 2)?;
        let (time, rest) = clock(rest.strip_prefix(['T', 't', ' '])?)?;
        let date = Date::new(i16::try_from(year).ok()?, month as i8, day as i8).ok()?;
        self.at(date.to_datetime(time), offset(rest))
    }

    fn json(&self, line: &str) -> Option<Timestamp> {
        if !line.starts_with('{') {
            return None;
        }
        FIELDS.iter().find_map(|name| {
            let quoted = format!("\"{name}\"");
            // The same text may be a value as well.
            let values = line
                .match_indices(&quoted)
                .filter_map(|(at, _)| line[at + quoted.len()..].trim_start().strip_prefix(':'));
            values.map(str::trim_start).find_map(|value| self.value(value))
        })
    }

    fn logfmt(&self, line: &str) -> Option<Timestamp> {
        FIELDS.iter().find_map(|name| {
            let wanted = format!("{name}=");
            let found = line
                .match_indices(&wanted)
                .find(|(at, _)| *at == 0 || line.as_bytes()[at - 1].is_ascii_whitespace())?;
            self.value(&line[found.0 + wanted.len()..])
        })
    }

    /// A field's value, quoted or not: a date, or a number since 1970.
    fn value(&self, text: &str) -> Option<Timestamp> {
        let text = text.strip_prefix('"').unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        if is_unix(&text[..end]) {
            return unix(&text[..end]);
        }
        self.iso(text)
    }

    fn access(&self, line: &str) -> Option<Timestamp> {
        let mut end = line.len().min(BRACKET_BYTES_MAX);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line[..end].match_indices('[').find_map(|(at, _)| {
            let (day, rest) = digits(&line[at + 1..], 2)?;
            let (month, rest) = month(rest.strip_prefix('/')?)?;
            let (year, rest) = digits(rest.strip_prefix('/')?, 4)?;
            let (time, rest) = clock(rest.strip_prefix(':')?)?;
            let date = Date::new(i16::try_from(year).ok()?, month, day as i8).ok()?;
            self.at(date.to_datetime(time), offset(rest))
        })
    }

    fn syslog(&self, text: &str) -> Option<Timestamp> {
        let (month, rest) = month(text)?;
        let rest = rest.strip_prefix(' ')?;
        let (day, rest) = match rest.strip_prefix(' ') {
            Some(rest) => digits(rest, 1)?,
            None => digits(rest, 2).or_else(|| digits(rest, 1))?,
        };
        let (time, rest) = clock(rest.strip_prefix(' ')?)?;
        self.in_some_year(month, day as i8, time, offset(rest))
    }

    fn glog(&self, line: &str) -> Option<Timestamp> {
        let (month, rest) = digits(line.strip_prefix(['I', 'W', 'E', 'F'])?, 2)?;
        let (day, rest) = digits(rest, 2)?;
        let (time, _) = clock(rest.strip_prefix(' ')?)?;
        self.in_some_year(month as i8, day as i8, time, None)
    }

    /// The last time that it was that day of the year.
    fn in_some_year(
        &self,
        month: i8,
        day: i8,
        time: Time,
        offset: Option<Offset>,
    ) -> Option<Timestamp> {
        let year = self.zone.clock(self.now).year();
        // A year further on where the clock of whoever wrote the line is ahead, two back for a leap day.
        let years = [year + 1, year, year - 1, year - 2, year - 3, year - 4];
        years.into_iter().find_map(|year| {
            let date = Date::new(year, month, day).ok()?;
            let found = self.at(date.to_datetime(time), offset)?;
            (found <= self.now.saturating_add(FUTURE_MAX)).then_some(found)
        })
    }

    fn at(&self, time: DateTime, offset: Option<Offset>) -> Option<Timestamp> {
        match offset {
            None => self.zone.timestamp(time),
            Some(offset) => {
                let time = offset.to_timestamp(time).ok()?;
                Timestamp::try_from(time.as_nanosecond()).ok()
            }
        }
    }
}

/// Whether digits, perhaps with a fraction, are a time since 1970: one of the years 2001 to 2286.
fn is_unix(text: &str) -> bool {
    let whole = text.split('.').next().unwrap_or_default();
    matches!(whole.len(), 10 | 13 | 16 | 19) && !whole.starts_with('0')
}

/// What is behind `<34>` and `<34>1 `.
fn without_priority(line: &str) -> &str {
    let rest = || {
        let (digits, rest) = line.strip_prefix('<')?.split_once('>')?;
        let is_priority =
            (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        is_priority.then(|| rest.strip_prefix("1 ").unwrap_or(rest))
    };
    rest().unwrap_or(line)
}

/// Exactly so many digits, and what follows.
fn digits(text: &str, count: usize) -> Option<(u16, &str)> {
    let (number, rest) = text.split_at_checked(count)?;
    number.bytes().all(|b| b.is_ascii_digit()).then(|| Some((number.parse().ok()?, rest)))?
}

/// A month's name.
fn month(text: &str) -> Option<(i8, &str)> {
    let (name, rest) = text.split_at_checked(3)?;
    let index = MONTHS.iter().position(|month| *month == name)?;
    Some((i8::try_from(index + 1).ok()?, rest))
}

/// `12:00:00`, with a fraction or without.
fn clock(text: &str) -> Option<(Time, &str)> {
    let (hour, rest) = digits(text, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = digits(rest.strip_prefix(':')?, 2)?;
    let (nanos, rest) = fraction(rest);
    // A leap second is the last of its minute.
    let time = Time::new(hour as i8, minute as i8, second.min(59) as i8, nanos).ok()?;
    Some((time, rest))
}

/// Nanoseconds, and what follows. A point without a digit behind it is no fraction.
fn fraction(text: &str) -> (i32, &str) {
    let Some(rest) = text.strip_prefix(['.', ',']) else { return (0, text) };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let kept = &rest[..end.min(9)];
    match format!("{kept:0<9}").parse() {
        Ok(nanos) if end > 0 => (nanos, &rest[end..]),
        _ => (0, text),
    }
}

/// `Z`, `+01:00`, `+0100`, ` +0100`, ` UTC`; `None` where no zone is told.
fn offset(text: &str) -> Option<Offset> {
    let text = text.strip_prefix(' ').unwrap_or(text);
    let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    for name in ["Z", "UTC", "GMT"] {
        if text.strip_prefix(name).is_some_and(is_end) {
            return Some(Offset::UTC);
        }
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = digits(rest, 2)?;
    let (minutes, rest) = digits(rest.strip_prefix(':').unwrap_or(rest), 2)?;
    let is_zone = hours < 24 && minutes < 60 && is_end(rest);
    let seconds = sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60);
    is_zone.then(|| Offset::from_seconds(seconds).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Option<String> {
        // The last day of January, 2026, at noon.
        let now = 1_769_860_800_000_000_000;
        Finder::new(Zone::UTC, now).find(line).map(|timestamp| Zone::UTC.full(timestamp))
    }

    #[test]
    fn common_forms_are_found() {
        let noon = "2026-01-31T12:00:00Z";
        for (line, expected) in [
            ("2026-01-31T12:00:00Z started", noon),
            ("2026-01-31 12:00:00,250 INFO x", "2026-01-31T12:00:00.25Z"),
            ("2026-01-31 13:00:00.5 +0100 x", "2026-01-31T12:00:00.5Z"),
            ("2026-01-31T13:00:00+01:00 x", noon),
            ("2026-01-31 12:00:00 -1 is no zone", noon),
            ("[2026-01-31 12:00:00] x", noon),
            ("2026/01/31 12:00:00 [error] 1#1: x", noon),
            ("<34>1 2026-01-31T12:00:00.003Z host su - x", "2026-01-31T12:00:00.003Z"),
            ("<34>Jan 31 12:00:00 host su: x", noon),
            ("Jan  2 03:04:05 host su: x", "2026-01-02T03:04:05Z"),
            ("Dec 31 23:59:59 host su: x", "2025-12-31T23:59:59Z"),
            ("Feb 29 12:00:00 host su: x", "2024-02-29T12:00:00Z"),
            (r#"1.2.3.4 - - [31/Jan/2026:13:00:00 +0100] "GET / HTTP/1.1" 200 1"#, noon),
            ("I0131 12:00:00.123456    1 main.go:1] x", "2026-01-31T12:00:00.123456Z"),
            ("1769860800 x", noon),
            ("1769860800.25 x", "2026-01-31T12:00:00.25Z"),
            ("1769860800000 x", noon),
            (r#"{"level":"info","ts":1769860800.5,"msg":"x"}"#, "2026-01-31T12:00:00.5Z"),
            (r#"{"msg":"time","time" : "2026-01-31T12:00:00Z"}"#, noon),
            (r#"level=info ts=2026-01-31T12:00:00Z msg=x"#, noon),
            (r#"time="2026-01-31T12:00:00Z" level=info"#, noon),
        ] {
            assert_eq!(found(line).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn other_numbers_are_no_times() {
        for line in [
            "",
            "\tat com.example.Main(Main.java:12)",
            "12 monkeys",
            "2026-13-01 12:00:00 x",
            "12:00:00 x",
            "xts=2026-01-31T12:00:00Z",
            "0000000000 x",
            "[x] 2026",
            "May the force be with you",
            "äöü[",
        ] {
            assert_eq!(found(line), None, "{line}");
        }
    }

    #[test]
    fn the_form_that_was_found_last_is_tried_first() {
        let mut finder = Finder::new(Zone::UTC, 1_769_860_800_000_000_000);
        let line = r#"1769860800 x ts=1769860801"#;
        assert_eq!(finder.find("ts=1769860801"), Some(1_769_860_801_000_000_000));
        assert_eq!(finder.find(line), Some(1_769_860_801_000_000_000));
        assert_eq!(finder.find("1769860800 x"), Some(1_769_860_800_000_000_000));
        assert_eq!(finder.find(line), Some(1_769_860_800_000_000_000));
    }
}
