//! What a live tail sends.

use timberline_query::TailEntry;
use timberline_store::{Labels, Timestamp};

use super::json::Json;
use super::legacy::label_text;
use crate::ingest::rfc3339_nano;

/// In which words a tail speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailDialect {
    /// `/loki/api/v1/tail`: values of two elements, all labels together.
    Merged,
    /// The same for a client that asked for categories: values of three elements.
    Categorized,
    /// `/api/prom/tail`.
    Legacy,
}

/// One frame: entries in their order, and those that the client was too slow for.
///
/// Entries that stand next to each other and have the same labels are one stream object.
#[must_use]
pub fn tail_frame(
    entries: &[TailEntry],
    dropped: &[(Timestamp, Labels)],
    dialect: TailDialect,
) -> String {
    let mut out = Json::default();
    out.raw(r#"{"streams":["#);
    let labelled: Vec<(Labels, &TailEntry)> =
        entries.iter().map(|entry| (labels_for(entry, dialect), entry)).collect();
    for (index, stream) in labelled.chunk_by(|left, right| left.0 == right.0).enumerate() {
        out.comma(index);
        match dialect {
            TailDialect::Legacy => write_legacy_stream(&mut out, stream),
            _ => write_stream(&mut out, stream, dialect == TailDialect::Categorized),
        }
    }
    out.raw("]");
    match dialect {
        TailDialect::Legacy => write_legacy_dropped(&mut out, dropped),
        _ if !dropped.is_empty() => write_dropped(&mut out, dropped),
        _ => {}
    }
    if dialect == TailDialect::Categorized {
        out.raw(r#","encodingFlags":["categorize-labels"]"#);
    }
    out.raw("}");
    out.into_text()
}

fn labels_for(entry: &TailEntry, dialect: TailDialect) -> Labels {
    match dialect {
        TailDialect::Categorized => entry.labels.clone(),
        TailDialect::Merged | TailDialect::Legacy => entry.all_labels(),
    }
}

fn write_stream(out: &mut Json, stream: &[(Labels, &TailEntry)], categorizes: bool) {
    let Some((labels, _)) = stream.first() else { return };
    out.raw(r#"{"stream":"#);
    out.labels(labels);
    out.raw(r#","values":["#);
    for (index, (_, entry)) in stream.iter().enumerate() {
        out.comma(index);
        super::answer::write_entry(out, &entry.entry, categorizes);
    }
    out.raw("]}");
}

fn write_legacy_stream(out: &mut Json, stream: &[(Labels, &TailEntry)]) {
    let Some((labels, _)) = stream.first() else { return };
    out.raw(r#"{"labels":"#);
    out.text(&label_text(labels));
    out.raw(r#","entries":["#);
    for (index, (_, entry)) in stream.iter().enumerate() {
        out.comma(index);
        super::legacy::write_entry(out, entry.entry.timestamp, &entry.entry.line);
    }
    out.raw("]}");
}

fn write_dropped(out: &mut Json, dropped: &[(Timestamp, Labels)]) {
    out.raw(r#","dropped_entries":["#);
    for (index, (timestamp, labels)) in dropped.iter().enumerate() {
        out.comma(index);
        out.raw(r#"{"timestamp":"#);
        out.nanos(*timestamp);
        out.raw(r#","labels":"#);
        out.labels(labels);
        out.raw("}");
    }
    out.raw("]");
}

fn write_legacy_dropped(out: &mut Json, dropped: &[(Timestamp, Labels)]) {
    out.raw(r#","dropped_entries":"#);
    if dropped.is_empty() {
        return out.raw("null");
    }
    for (index, (timestamp, labels)) in dropped.iter().enumerate() {
        out.raw(if index == 0 { "[" } else { "," });
        out.raw(r#"{"timestamp":"#);
        out.text(&rfc3339_nano(*timestamp));
        out.raw(r#","labels":"#);
        out.text(&label_text(labels));
        out.raw("}");
    }
    out.raw("]");
}

#[cfg(test)]
mod tests {
    use timberline_query::EntryResult;

    use super::*;

    fn entry(timestamp: Timestamp, line: &str, trace: &str, status: &str) -> TailEntry {
        let pair = |name, value: &str| Labels::from_pairs([(name, value.to_owned())]).unwrap();
        TailEntry {
            labels: pair("app", "shop"),
            entry: EntryResult {
                timestamp,
                line: line.as_bytes().into(),
                structured_metadata: pair("trace", trace),
                parsed: pair("status", status),
            },
            position: 1,
        }
    }

    #[test]
    fn each_dialect_has_its_shape() {
        let entries = [entry(1, "a", "7", ""), entry(2, "b<", "7", ""), entry(3, "c", "", "500")];
        assert_eq!(
            tail_frame(&entries, &[], TailDialect::Merged),
            concat!(
                r#"{"streams":[{"stream":{"app":"shop","trace":"7"},"values":[["1","a"],["2","b\u003c"]]},"#,
                r#"{"stream":{"app":"shop","status":"500"},"values":[["3","c"]]}]}"#
            )
        );
        assert_eq!(
            tail_frame(&entries, &[], TailDialect::Categorized),
            concat!(
                r#"{"streams":[{"stream":{"app":"shop"},"values":[["1","a",{"structuredMetadata":{"trace":"7"}}],"#,
                r#"["2","b\u003c",{"structuredMetadata":{"trace":"7"}}],["3","c",{"parsed":{"status":"500"}}]]}],"#,
                r#""encodingFlags":["categorize-labels"]}"#
            )
        );
        assert_eq!(
            tail_frame(&entries[..1], &[], TailDialect::Legacy),
            r#"{"streams":[{"labels":"{app=\"shop\", trace=\"7\"}","entries":[{"ts":"1970-01-01T00:00:00.000000001Z","line":"a"}]}],"dropped_entries":null}"#
        );
    }

    #[test]
    fn what_was_dropped_is_told() {
        let dropped = [(5, Labels::from_pairs([("app", "shop")]).unwrap())];
        assert_eq!(
            tail_frame(&[], &dropped, TailDialect::Merged),
            r#"{"streams":[],"dropped_entries":[{"timestamp":"5","labels":{"app":"shop"}}]}"#
        );
        assert_eq!(
            tail_frame(&[], &dropped, TailDialect::Legacy),
            r#"{"streams":[],"dropped_entries":[{"timestamp":"1970-01-01T00:00:00.000000005Z","labels":"{app=\"shop\"}"}]}"#
        );
    }
}
