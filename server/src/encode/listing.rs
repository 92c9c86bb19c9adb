//! The answers that are no query results: lists, index statistics, formatted queries, the build.

use timberline_store::{IndexStats, Labels};

use super::json::Json;

/// The body of the label endpoints. Without any text there is no `data` at all.
pub fn texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<u8> {
    let mut out = Json::default();
    out.raw(r#"{"status":"success""#);
    let mut found = false;
    for (index, text) in texts.into_iter().enumerate() {
        out.raw(if index == 0 { r#","data":["# } else { "," });
        out.text(text);
        found = true;
    }
    out.raw(if found { "]}\n" } else { "}\n" });
    out.into_bytes()
}

/// The body of the series endpoint. `data` is always there.
#[must_use]
pub fn series(series: &[Labels]) -> Vec<u8> {
    let mut out = Json::default();
    out.raw(r#"{"status":"success","data":["#);
    for (index, labels) in series.iter().enumerate() {
        out.comma(index);
        out.labels(labels);
    }
    out.raw("]}\n");
    out.into_bytes()
}

/// The body of `index/stats`, which has no envelope.
#[must_use]
pub fn index_stats(stats: &IndexStats) -> Vec<u8> {
    let IndexStats { streams, chunks, entries, bytes } = stats;
    let body = format!(
        "{{\"streams\":{streams},\"chunks\":{chunks},\"bytes\":{bytes},\"entries\":{entries}}}\n"
    );
    body.into_bytes()
}

/// The body of `format_query` for a query that parses.
#[must_use]
pub fn formatted_query(query: &str) -> Vec<u8> {
    status_and(r#"{"status":"success","data":"#, query)
}

/// The body of `format_query` for a query that does not.
#[must_use]
pub fn invalid_query(error: &str) -> Vec<u8> {
    status_and(r#"{"status":"invalid-query","error":"#, error)
}

fn status_and(head: &str, text: &str) -> Vec<u8> {
    let mut out = Json::default();
    out.raw(head);
    out.text(text);
    out.raw("}\n");
    out.into_bytes()
}

/// The body of `status/buildinfo`, which has no envelope. What Rust has no word for is empty.
#[must_use]
pub fn build_info(version: &str) -> Vec<u8> {
    let mut out = Json::default();
    out.raw(r#"{"version":"#);
    out.text(version);
    out.raw(r#","revision":"","branch":"","buildUser":"","buildDate":"","goVersion":""}"#);
    out.into_bytes()
}
