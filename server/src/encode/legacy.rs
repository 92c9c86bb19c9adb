//! Answers of `/api/prom`, which have no envelope.

use std::time::Duration;

use timberline_query::{QueryStats, StreamResult};
use timberline_store::{Labels, Timestamp};

use super::json::Json;
use super::stats;
use crate::ingest::{go_quote, rfc3339_nano};

/// The body of `query`: labels as one text, times in RFC 3339. `queued` is how long the query waited.
#[must_use]
pub fn legacy_streams(streams: &[StreamResult], stats: &QueryStats, queued: Duration) -> Vec<u8> {
    let mut out = Json::default();
    out.raw(r#"{"streams":["#);
    for (index, stream) in streams.iter().enumerate() {
        out.comma(index);
        out.raw(r#"{"labels":"#);
        out.text(&label_text(&stream.labels));
        out.raw(r#","entries":["#);
        for (index, entry) in stream.entries.iter().enumerate() {
            out.comma(index);
            write_entry(&mut out, entry.timestamp, &entry.line);
        }
        out.raw("]}");
    }
    out.raw(r#"],"stats":"#);
    stats::write(&mut out, stats, queued);
    out.raw("}\n");
    out.into_bytes()
}

/// An element of `entries`.
pub(super) fn write_entry(out: &mut Json, timestamp: Timestamp, line: &[u8]) {
    out.raw(r#"{"ts":"#);
    out.text(&rfc3339_nano(timestamp));
    out.raw(r#","line":"#);
    out.bytes(line);
    out.raw("}");
}

/// `{a="b", c="d"}`
pub(crate) fn label_text(labels: &Labels) -> String {
    let pairs: Vec<_> =
        labels.iter().map(|(name, value)| format!("{name}={}", go_quote(value))).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// The body of `label` and `label/{name}/values`; an empty object where there is none.
pub fn legacy_texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<u8> {
    let mut out = Json::default();
    out.raw("{");
    let mut found = false;
    for (index, text) in texts.into_iter().enumerate() {
        out.raw(if index == 0 { r#""values":["# } else { "," });
        out.text(text);
        found = true;
    }
    out.raw(if found { "]}\n" } else { "}\n" });
    out.into_bytes()
}
