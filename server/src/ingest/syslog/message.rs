//! One message as its parts.

use jiff::tz::TimeZone;
use timberline_store::Timestamp;

use super::super::push::text;
use super::when::{self, When};
use crate::rfc3339;

/// `user.notice`, what a message without a priority is.
const DEFAULT_PRIORITY: usize = 13;

/// The longest name of a program that is looked for before a colon, in bytes.
const TAG_BYTES_MAX: usize = 128;

/// A message. Its texts are empty or missing where it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// 0 to 23.
    pub(crate) facility: usize,
    /// 0 to 7, the worst first.
    pub(crate) severity: usize,
    pub(crate) when: Option<When>,
    pub(crate) host: Option<String>,
    pub(crate) app: Option<String>,
    /// Process and message ids, and structured data as `ID_NAME`.
    pub(crate) data: Vec<(String, String)>,
    pub(crate) text: String,
}

/// Reads a message of any kind. Those of RFC 3164 have no year: it is the one that is nearest to `now`,
/// with clocks in `zone`.
pub(crate) fn parse(bytes: &[u8], zone: &TimeZone, now: Timestamp) -> Message {
    let whole = text(bytes);
    let whole = whole.trim_end_matches(['\n', '\r', '\0']);
    let (priority, rest) = priority(whole).unwrap_or((DEFAULT_PRIORITY, whole));
    let message = match rest.strip_prefix("1 ").and_then(rfc5424) {
        Some(message) => message,
        None => rfc3164(rest, zone, now),
    };
    Message { facility: priority / 8, severity: priority % 8, ..message }
}

/// `<34>`, and what follows.
fn priority(text: &str) -> Option<(usize, &str)> {
    let (digits, rest) = text.strip_prefix('<')?.split_once('>')?;
    let is_number = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number: usize = digits.parse().ok().filter(|_| is_number)?;
    (number < 192).then_some((number, rest))
}

/// `TIME HOST APP PROCID MSGID DATA TEXT`; `None` where the parts are not there.
fn rfc5424(rest: &str) -> Option<Message> {
    let (time, rest) = rest.split_once(' ')?;
    let (host, rest) = rest.split_once(' ')?;
    let (app, rest) = rest.split_once(' ')?;
    let (process, rest) = rest.split_once(' ')?;
    let (id, rest) = rest.split_once(' ').unwrap_or((rest, "-"));
    let named = |text: &str| (text != "-" && !text.is_empty()).then(|| text.to_owned());
    let mut data = Vec::new();
    for (name, value) in [("proc_id", process), ("msg_id", id)] {
        data.extend(named(value).map(|value| (name.to_owned(), value)));
    }
    let when = rfc3339::parse(time).map(When::Exact);
    if when.is_none() {
        data.extend(named(time).map(|time| ("timestamp".to_owned(), time)));
    }
    let rest = structured_data(rest, &mut data)?;
    let text = rest.strip_prefix(' ').unwrap_or(rest);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
    Some(Message { when, host: named(host), app: named(app), data, text, ..Message::default() })
}

/// `-` or `[id name="value" …]…`, and what follows.
fn structured_data<'a>(text: &'a str, out: &mut Vec<(String, String)>) -> Option<&'a str> {
    if let Some(rest) = text.strip_prefix('-') {
        return (rest.is_empty() || rest.starts_with(' ')).then_some(rest);
    }
    let mut rest = text.strip_prefix('[')?;
    loop {
        let id_end = rest.find([' ', ']'])?;
        let (id, mut parameters) = rest.split_at(id_end);
        loop {
            parameters = parameters.trim_start_matches(' ');
            if let Some(behind) = parameters.strip_prefix(']') {
                rest = behind;
                break;
            }
            let (name, behind) = parameters.split_once("=\"")?;
            let (value, behind) = quoted(behind)?;
            out.push((format!("{id}_{name}"), value));
            parameters = behind;
        }
        match rest.strip_prefix('[') {
            Some(next) => rest = next,
            None => return (rest.is_empty() || rest.starts_with(' ')).then_some(rest),
        }
    }
}

/// A value up to its closing quote, and what follows. A backslash is one but before `"`, `\` and `]`.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match text[at + 1..].chars().next()? {
                escaped @ ('"' | '\\' | ']') => {
                    value.push(escaped);
                    chars.next();
                }
                _ => value.push('\\'),
            },
            c => value.push(c),
        }
    }
    None
}

/// `TIME HOST APP[PID]: TEXT`. What is not there is left out; a message without a time is text only.
fn rfc3164(rest: &str, zone: &TimeZone, now: Timestamp) -> Message {
    let Some((when, rest)) = when::read(rest, zone, now) else {
        // Without a time nothing says that the first word is a host.
        return with_tag(None, None, rest);
    };
    let rest = rest.trim_start_matches(' ');
    let (first, behind) = rest.split_once(' ').unwrap_or((rest, ""));
    // Senders on the machine itself leave the host out.
    if first.is_empty() || first.contains(['[', ':']) && !is_address(first) {
        return with_tag(Some(when), None, rest);
    }
    with_tag(Some(when), Some(first.to_owned()), behind)
}

fn is_address(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
}

fn with_tag(when: Option<When>, host: Option<String>, rest: &str) -> Message {
    let (app, process, text) = match tag(rest) {
        Some((app, process, text)) => (Some(app.to_owned()), process, text),
        None => (None, None, rest),
    };
    let data = process.map(|process| ("proc_id".to_owned(), process.to_owned()));
    Message {
        when,
        host,
        app,
        data: data.into_iter().collect(),
        text: text.to_owned(),
        ..Message::default()
    }
}

/// `APP: ` or `APP[PID]: `, and what follows.
fn tag(rest: &str) -> Option<(&str, Option<&str>, &str)> {
    let end = rest.find([':', '[', ' ']).filter(|end| (1..=TAG_BYTES_MAX).contains(end))?;
    let (app, behind) = rest.split_at(end);
    let is_name = app.chars().all(|c| c.is_alphanumeric() || "-_./@+".contains(c));
    if !is_name {
        return None;
    }
    let (process, behind) = match behind.strip_prefix('[') {
        Some(inner) => {
            let (process, behind) = inner.split_once(']')?;
            (Some(process).filter(|process| !process.is_empty()), behind)
        }
        None => (None, behind),
    };
    let text = behind.strip_prefix(':')?;
    // `12:30` and `http://` are no programs.
    if !text.is_empty() && !text.starts_with(' ') {
        return None;
    }
    Some((app, process, text.strip_prefix(' ').unwrap_or(text)))
}
