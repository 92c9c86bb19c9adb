//! Pushes in the JSON of `/api/prom/push`: labels as text, times in RFC 3339.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::push::{DecodeError, Push};
use crate::rfc3339;

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    streams: Option<Vec<Stream<'a>>>,
}

#[derive(Deserialize)]
struct Stream<'a> {
    #[serde(borrow, default)]
    labels: Cow<'a, str>,
    #[serde(borrow, default)]
    entries: Option<Vec<Entry<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow)]
    ts: Cow<'a, str>,
    #[serde(borrow, default)]
    line: Cow<'a, str>,
    #[serde(default)]
    structured_metadata: Option<BTreeMap<String, String>>,
}

/// Reads `{"streams":[{"labels":"{…}","entries":[{"ts":"…","line":"…","structuredMetadata":{…}}]}]}`.
pub(crate) fn decode(body: &[u8]) -> Result<Push<'_>, DecodeError> {
    let document: Document<'_> =
        serde_json::from_slice(body).map_err(|error| DecodeError::malformed(error.to_string()))?;
    let mut push = Push::default();
    for Stream { labels, entries } in document.streams.into_iter().flatten() {
        let entries_start = push.entries.len();
        for Entry { ts, line, structured_metadata } in entries.into_iter().flatten() {
            let timestamp = rfc3339::parse(&ts).ok_or_else(|| {
                DecodeError::malformed(format!("timestamp {ts:?} is not in RFC 3339"))
            })?;
            let pairs_start = push.pairs.len();
            let metadata = structured_metadata.into_iter().flatten();
            push.pairs.extend(metadata.map(|(name, value)| (name.into(), value.into())));
            push.add_entry(timestamp, line, pairs_start);
        }
        push.add_stream(labels, entries_start);
    }
    Ok(push)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_entries_are_read() {
        let body = r#"{"x":1,"streams":[{"labels":"{a=\"b\"}","entries":[{"ts":"1970-01-01T00:00:01.5Z","line":"l1"},
            {"ts":"1970-01-01T00:00:00Z","line":"l\n2","structuredMetadata":{"k":"v"}}]},{"labels":"{}","entries":null}]}"#;
        let push = decode(body.as_bytes()).unwrap();
        let labels: Vec<&str> = push.streams.iter().map(|stream| &*stream.labels).collect();
        assert_eq!(labels, [r#"{a="b"}"#, "{}"]);
        let lines: Vec<(i64, &str)> =
            push.entries.iter().map(|entry| (entry.timestamp, &*entry.line)).collect();
        assert_eq!(lines, [(1_500_000_000, "l1"), (0, "l\n2")]);
        assert_eq!(push.entries[1].pairs, 0..1);
        assert_eq!(push.streams[1].entries, 2..2);
        assert!(decode(b"{}").unwrap().streams.is_empty());
    }

    #[test]
    fn what_is_no_push_is_refused() {
        for body in [
            "",
            r#"{"streams":[{"labels":1}]}"#,
            r#"{"streams":[{"labels":"{}","entries":[{"line":"no time"}]}]}"#,
            r#"{"streams":[{"labels":"{}","entries":[{"ts":"yesterday","line":"x"}]}]}"#,
        ] {
            assert!(decode(body.as_bytes()).is_err(), "{body}");
        }
    }
}
