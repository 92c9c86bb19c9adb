//! journald's export format: fields a line each, an empty line behind an entry.
//!
//! ```text
//! NAME=text LF                                 where the text has no line feed and is UTF-8
//! NAME LF  length u64 little-endian  data LF   otherwise
//! ```

use timberline_store::Timestamp;

use super::error::PushError;
use super::fields::{FieldRules, Gathered};
use super::push::{DecodeError, Pair, text};

/// When an entry was written, in microseconds since 1970.
const TIME: &str = "__REALTIME_TIMESTAMP";

/// The field that is made of `PRIORITY`.
const LEVEL: &str = "level";

/// The longest name of a field, in bytes; journald's own is 64.
const NAME_BYTES_MAX: usize = 1024;

/// The words of `PRIORITY`, 0 to 7.
const PRIORITIES: [&str; 8] =
    ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"];

/// Which field is what.
#[derive(Clone, Debug)]
pub(crate) struct JournalRules {
    /// Fields that become labels, with the label's name.
    labels: Vec<(String, String)>,
    rules: FieldRules,
}

impl JournalRules {
    /// These fields become labels, in small letters and without underscores in front.
    pub(crate) fn new(labels: &[String]) -> Self {
        let name = |field: &String| field.trim_start_matches('_').to_ascii_lowercase();
        let labels: Vec<_> = labels.iter().map(|field| (field.clone(), name(field))).collect();
        let rules = FieldRules {
            message: vec!["MESSAGE".to_owned()],
            labels: labels.iter().map(|(_, label)| label.clone()).collect(),
            job: "journald",
            ..FieldRules::default()
        };
        Self { labels, rules }
    }

    /// Adds all entries of `bytes`, up to the first that is wrong, and gives what is wrong with it. The last
    /// may lack its empty line.
    ///
    /// # Errors
    /// Entries that stand for too much.
    pub(crate) fn read<'a>(
        &self,
        bytes: &'a [u8],
        stamp: impl Fn() -> Timestamp,
        out: &mut Gathered<'a, '_, '_>,
    ) -> Result<Option<DecodeError>, DecodeError> {
        let mut rest = bytes;
        loop {
            let (fields, len) = match next_entry(rest, true) {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok((!rest.is_empty()).then(cut_off)),
                Err(fault) => return Ok(Some(fault)),
            };
            rest = &rest[len..];
            if !fields.is_empty() {
                self.add(fields, &stamp, out)?;
            }
        }
    }

    fn add<'a>(
        &self,
        fields: Vec<(&'a [u8], &'a [u8])>,
        stamp: impl Fn() -> Timestamp,
        out: &mut Gathered<'a, '_, '_>,
    ) -> Result<(), DecodeError> {
        let (mut time, mut level) = (None, None);
        let mut pairs: Vec<Pair<'a>> = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let (name, value) = (text(name), text(value));
            match &*name {
                TIME => {
                    time =
                        value.parse::<Timestamp>().ok().and_then(|micros| micros.checked_mul(1000))
                }
                // Cursors and such say where the entry was, not what it is.
                _ if name.starts_with("__") => continue,
                "PRIORITY" => level = priority(&value),
                _ => {}
            }
            if name != TIME {
                let label = self.labels.iter().find(|(field, _)| *field == name);
                pairs.push((label.map_or(name, |(_, label)| label.clone().into()), value));
            }
        }
        if let Some(level) = level {
            pairs.push((LEVEL.into(), level.into()));
        }
        let whole = whole_line(&pairs);
        let time = || time.unwrap_or_else(&stamp);
        self.rules.add(&mut pairs, || whole.into(), time, out)
    }
}

fn priority(text: &str) -> Option<&'static str> {
    PRIORITIES.get(text.parse::<usize>().ok()?).copied()
}

/// The line of an entry without a message.
fn whole_line(pairs: &[Pair<'_>]) -> String {
    if pairs.iter().any(|(name, value)| name == "MESSAGE" && !value.is_empty()) {
        return String::new();
    }
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(" ")
}

/// How many of the bytes are whole entries, and what is wrong with what follows: bytes that can be no
/// entry, or an end within one. At the end of all, the last entry may lack its empty line.
pub(crate) fn entries_end(bytes: &[u8], is_end: bool) -> (usize, Option<PushError>) {
    let mut end = 0;
    let fault = loop {
        match next_entry(&bytes[end..], is_end) {
            Ok(Some((_, len))) => end += len,
            Ok(None) => break (is_end && end < bytes.len()).then(cut_off),
            Err(fault) => break Some(fault),
        }
    };
    (end, fault.map(|fault| PushError::undecodable(&fault, super::body::Format::Text)))
}

fn cut_off() -> DecodeError {
    wrong("the export ends within an entry")
}

fn wrong(what: impl std::fmt::Display) -> DecodeError {
    DecodeError::malformed(format!("{what}: the entries before it are stored"))
}

/// Names and values of an entry, and its length with its empty line.
type Entry<'a> = (Vec<(&'a [u8], &'a [u8])>, usize);

/// The first entry; `None` where it is not there to its end.
fn next_entry(bytes: &[u8], is_end: bool) -> Result<Option<Entry<'_>>, DecodeError> {
    let (mut fields, mut at) = (Vec::new(), 0);
    loop {
        let rest = &bytes[at..];
        if rest.is_empty() {
            // Where all is over a field's end is the entry's, too.
            return Ok((is_end && !fields.is_empty()).then_some((fields, at)));
        }
        let Some(end) = memchr::memchr(b'\n', rest) else { return Ok(None) };
        let line = &rest[..end];
        if line.is_empty() {
            return Ok(Some((fields, at + 1)));
        }
        let equals = memchr::memchr(b'=', line);
        let name = &line[..equals.unwrap_or(end)];
        // What would follow a name that is none may be taken for a length of any size.
        if !is_name(name) {
            let name = String::from_utf8_lossy(&name[..name.len().min(64)]);
            return Err(wrong(format!("no entry of a journal: {name:?} is no field's name")));
        }
        let (value, len) = match equals {
            Some(equals) => (&line[equals + 1..], end + 1),
            None => match binary(rest, end + 1)? {
                Some(value) => value,
                None => return Ok(None),
            },
        };
        fields.push((name, value));
        at += len;
    }
}

/// The data behind a name, and where the field ends; `None` where it is not all there.
fn binary(field: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, DecodeError> {
    let Some((len, rest)) = field[at..].split_first_chunk::<8>() else { return Ok(None) };
    let len = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(usize::MAX);
    match rest.get(len) {
        None => Ok(None),
        Some(b'\n') => Ok(Some((&rest[..len], at + 8 + len + 1))),
        Some(_) => Err(wrong("no entry of a journal: a field is longer than it says")),
    }
}

fn is_name(name: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.iter().all(is_part)
}

#[cfg(test)]
mod tests {
    use timberline_store::TenantId;

    use super::super::budget::Budget;
    use super::super::limits::IngestLimits;
    use super::*;

    const ENTRY: &[u8] =
        b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1793534400000001\n_HOSTNAME=box\n_PID=7\nPRIORITY=3\n\
        MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\nSYSLOG_IDENTIFIER=cron\n\n";

    fn rules() -> JournalRules {
        JournalRules::new(&["_HOSTNAME".to_owned(), "SYSLOG_IDENTIFIER".to_owned()])
    }

    /// Streams, times and lines.
    fn entries(bytes: &[u8]) -> Result<Vec<(String, i64, String)>, DecodeError> {
        let (budget, limits) = (Budget::new(1 << 20), IngestLimits::default());
        let mut share = budget.share(&TenantId::default());
        let mut gathered = Gathered::new(&limits, &mut share);
        rules().read(bytes, || 7, &mut gathered)?.map_or(Ok(()), Err)?;
        let (push, _) = gathered.finish();
        let of = |stream: &super::super::push::Stream<'_>| {
            let labels = stream.labels.to_string();
            let entries = &push.entries[stream.entries.clone()];
            let each =
                entries.iter().map(move |e| (labels.clone(), e.timestamp, e.line.to_string()));
            each.collect::<Vec<_>>()
        };
        Ok(push.streams.iter().flat_map(of).collect())
    }

    #[test]
    fn entries_are_read() {
        let stream = r#"{hostname="box",syslog_identifier="cron"}"#.to_owned();
        let entry = (stream, 1_793_534_400_000_001_000, "two\nlines".to_owned());
        assert_eq!(entries(ENTRY).unwrap(), std::slice::from_ref(&entry));
        let twice = [ENTRY, b"\n", &ENTRY[..ENTRY.len() - 1]].concat();
        assert_eq!(entries(&twice).unwrap(), [entry.clone(), entry]);
        let bare = entries(b"A=1\nB=2\n").unwrap();
        assert_eq!(bare, [(r#"{job="journald"}"#.to_owned(), 7, "A=1 B=2".to_owned())]);
        assert_eq!(entries(b"").unwrap(), []);
    }

    #[test]
    fn every_prefix_has_whole_entries_or_none() {
        let bytes = ENTRY.repeat(2);
        for cut in 0..bytes.len() {
            let whole = if cut < ENTRY.len() { 0 } else { ENTRY.len() };
            assert_eq!(entries_end(&bytes[..cut], false), (whole, None), "{cut}");
        }
        assert!(entries_end(&ENTRY[..100], true).1.is_some(), "it ends within a field");
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for bytes in [
            &b"=x\n\n"[..],
            b"a b=x\n\n",
            b"A\n\x01\0\0\0\0\0\0\0xx\n\n",
            b"A\n\xff\xff\xff\xff\xff\xff\xff\xffx\n\n",
            b"A\n\x01",
            b"A=1",
        ] {
            assert!(entries(bytes).is_err(), "{bytes:?}");
        }
    }
}
