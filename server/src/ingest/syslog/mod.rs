//! Syslog: RFC 5424, RFC 3164 and what is sent under their names.
//!
//! Nothing is refused: what is not understood of a message stays in its line.

mod frames;
mod message;
mod when;

pub(crate) use self::frames::{Frame, Frames};

use self::message::parse;
use self::when::When;

use std::borrow::Cow;

use jiff::tz::TimeZone;
use timberline_store::Timestamp;

use super::event::Event;
use super::fields::{FieldRules, normalize};
use crate::config::{SyslogLabel, SyslogListener};

const FACILITIES: [&str; 24] = [
    "kern",
    "user",
    "mail",
    "daemon",
    "auth",
    "syslog",
    "lpr",
    "news",
    "uucp",
    "cron",
    "authpriv",
    "ftp",
    "ntp",
    "security",
    "console",
    "solaris-cron",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
];

const SEVERITIES: [&str; 8] =
    ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// How messages become entries.
#[derive(Clone, Debug)]
pub(crate) struct SyslogRules {
    labels: Vec<SyslogLabel>,
    rules: FieldRules,
    zone: TimeZone,
}

impl SyslogRules {
    pub(crate) fn new(config: &SyslogListener) -> Self {
        let fixed = config.static_labels.clone().into_iter().collect();
        let rules = FieldRules { fixed, job: "syslog", ..FieldRules::default() };
        Self { labels: config.labels.clone(), rules, zone: config.zone() }
    }

    /// The entry of a message. `sender` is the host of one that names none; `stamp` gives its time where
    /// it has none, and makes a time of whole seconds one of its own.
    pub(crate) fn event(
        &self,
        bytes: &[u8],
        sender: &str,
        now: Timestamp,
        stamp: impl FnOnce(Option<Timestamp>) -> Timestamp,
    ) -> Event {
        let message = parse(bytes, &self.zone, now);
        let timestamp = match message.when {
            Some(When::Exact(time)) => time,
            Some(When::Second(time)) => stamp(Some(time)),
            None => stamp(None),
        };
        let host = message.host.unwrap_or_else(|| sender.to_owned());
        let parts = [
            (SyslogLabel::Host, "host", host),
            (SyslogLabel::App, "app", message.app.unwrap_or_default()),
            (SyslogLabel::Facility, "facility", FACILITIES[message.facility].to_owned()),
            (SyslogLabel::Severity, "severity", SEVERITIES[message.severity].to_owned()),
        ];
        let (mut labels, mut metadata) = (Vec::new(), Vec::new());
        for (part, name, value) in parts {
            if value.is_empty() {
                continue;
            }
            match self.labels.contains(&part) {
                true => labels.push((Cow::Borrowed(name), Cow::Owned(value))),
                false => metadata.push((name.to_owned(), value)),
            }
        }
        metadata.extend(message.data.into_iter().map(|(name, value)| {
            let mut name = Cow::Owned(name);
            normalize(&mut name);
            (name.into_owned(), value)
        }));
        Event { labels: self.rules.stream(labels), timestamp, line: message.text, metadata }
    }
}

#[cfg(test)]
mod tests;
