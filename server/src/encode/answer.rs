//! The answers of queries.

use std::time::Duration;

use timberline_query::{EntryResult, QueryAnswer, QueryValue, Sample, Series, StreamResult};

use super::json::Json;
use super::stats;

/// The one flag with a meaning.
const CATEGORIZE_LABELS: &str = "categorize-labels";

/// What the client said about the form of the answer.
#[derive(Clone, Debug, Default)]
pub struct Encoding {
    /// The encoding flags, in the order sent. Unknown ones are echoed and mean nothing.
    pub flags: Vec<String>,
}

impl Encoding {
    /// Whether entries say which labels are structured metadata and which are parsed.
    #[must_use]
    pub fn categorizes(&self) -> bool {
        self.flags.iter().any(|flag| flag == CATEGORIZE_LABELS)
    }
}

/// The body of a query's answer. `queued` is how long the query waited for its turn.
#[must_use]
pub fn answer(answer: &QueryAnswer, encoding: &Encoding, queued: Duration) -> Vec<u8> {
    let mut out = Json::with_capacity(capacity(&answer.value));
    match &answer.value {
        QueryValue::Streams(streams) => {
            out.raw(r#"{"status":"success","#);
            if !answer.warnings.is_empty() {
                warnings(&mut out, &answer.warnings);
                out.raw(",");
            }
            out.raw(r#""data":{"resultType":"streams","#);
            encoding_flags(&mut out, encoding);
            out.raw(r#""result":"#);
            list(&mut out, streams, |out, stream| write_stream(out, stream, encoding));
            out.raw(r#","stats":"#);
            stats::write(&mut out, &answer.stats, queued);
            out.raw("}}\n");
        }
        value => {
            out.raw(r#"{"status":"success","data":{"resultType":"#);
            write_metric(&mut out, value);
            out.raw(r#","stats":"#);
            stats::write(&mut out, &answer.stats, queued);
            out.raw("}");
            if !answer.warnings.is_empty() {
                out.raw(",");
                warnings(&mut out, &answer.warnings);
            }
            out.raw("}");
        }
    }
    out.into_bytes()
}

/// Room for the answer: its texts and what surrounds them. Escapes may need more; the buffer then grows.
fn capacity(value: &QueryValue) -> usize {
    const STATS: usize = 4096;
    const ENTRY: usize = 32;
    const LABELS: usize = 256;
    let entries = |entries: &[EntryResult]| -> usize {
        entries.iter().map(|entry| entry.line.len() + ENTRY).sum()
    };
    STATS
        + match value {
            QueryValue::Streams(streams) => {
                streams.iter().map(|stream| entries(&stream.entries) + LABELS).sum()
            }
            QueryValue::Matrix(series) => {
                series.iter().map(|series| series.points.len() * ENTRY + LABELS).sum()
            }
            QueryValue::Vector(samples) => samples.len() * LABELS,
            QueryValue::Scalar { .. } => 0,
        }
}

fn list<T>(out: &mut Json, items: &[T], mut write: impl FnMut(&mut Json, &T)) {
    out.raw("[");
    for (index, item) in items.iter().enumerate() {
        out.comma(index);
        write(out, item);
    }
    out.raw("]");
}

fn warnings(out: &mut Json, warnings: &[String]) {
    out.raw(r#""warnings":"#);
    list(out, warnings, |out, warning| out.text(warning));
}

fn encoding_flags(out: &mut Json, encoding: &Encoding) {
    if !encoding.flags.is_empty() {
        out.raw(r#""encodingFlags":"#);
        list(out, &encoding.flags, |out, flag| out.text(flag));
        out.raw(",");
    }
}

fn write_stream(out: &mut Json, stream: &StreamResult, encoding: &Encoding) {
    let categorizes = encoding.categorizes();
    out.raw(r#"{"stream":"#);
    out.labels(&stream.labels);
    out.raw(r#","values":"#);
    list(out, &stream.entries, |out, entry| write_entry(out, entry, categorizes));
    out.raw("}");
}

/// An element of `values`.
pub(super) fn write_entry(out: &mut Json, entry: &EntryResult, categorizes: bool) {
    out.raw("[");
    out.nanos(entry.timestamp);
    out.raw(",");
    out.bytes(&entry.line);
    if categorizes {
        write_categories(out, entry);
    }
    out.raw("]");
}

/// The third element: always there, empty categories left out.
fn write_categories(out: &mut Json, entry: &EntryResult) {
    let categories =
        [("structuredMetadata", &entry.structured_metadata), ("parsed", &entry.parsed)];
    out.raw(",{");
    let filled = categories.iter().filter(|(_, labels)| !labels.is_empty());
    for (index, (name, labels)) in filled.enumerate() {
        out.comma(index);
        out.text(name);
        out.raw(":");
        out.labels(labels);
    }
    out.raw("}");
}

/// `resultType`'s value and `result`.
fn write_metric(out: &mut Json, value: &QueryValue) {
    match value {
        QueryValue::Streams(_) => {}
        QueryValue::Matrix(series) => {
            out.raw(r#""matrix","result":"#);
            list(out, series, write_series);
        }
        QueryValue::Vector(samples) => {
            out.raw(r#""vector","result":"#);
            list(out, samples, write_sample);
        }
        QueryValue::Scalar { timestamp_ms, value } => {
            out.raw(r#""scalar","result":["#);
            out.number(scalar_time(*timestamp_ms));
            out.raw(",");
            out.value(*value);
            out.raw("]");
        }
    }
}

/// The time of a scalar as Loki 3.7 answers it: it takes milliseconds for seconds, makes nanoseconds of
/// them, which wraps, and shows these as milliseconds. Clients look at the value alone.
const fn scalar_time(millis: i64) -> i64 {
    millis.wrapping_mul(1_000_000_000) / 1_000_000
}

fn write_series(out: &mut Json, series: &Series) {
    out.raw(r#"{"metric":"#);
    out.labels(&series.labels);
    out.raw(r#","values":"#);
    list(out, &series.points, |out, (millis, value)| write_point(out, *millis, *value));
    out.raw("}");
}

fn write_sample(out: &mut Json, sample: &Sample) {
    out.raw(r#"{"metric":"#);
    out.labels(&sample.labels);
    out.raw(r#","value":"#);
    write_point(out, sample.timestamp_ms, sample.value);
    out.raw("}");
}

fn write_point(out: &mut Json, millis: i64, value: f64) {
    out.raw("[");
    out.seconds(millis);
    out.raw(",");
    out.value(value);
    out.raw("]");
}
