//! Answers of the query endpoints, decoded.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use timberline_store::Timestamp;

use super::Failure;
use super::client::Answer;

/// Names and values, sorted by name.
pub(super) type LabelSet = BTreeMap<String, String>;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) timestamp: Timestamp,
    pub(super) labels: Arc<LabelSet>,
    pub(super) line: String,
    /// Only where labels were asked for by category.
    pub(super) metadata: LabelSet,
}

/// One series of numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) labels: LabelSet,
    pub(super) points: Vec<Point>,
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) timestamp: Timestamp,
    pub(super) value: f64,
    /// As the server wrote it.
    pub(super) text: String,
}

/// What a query gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Lines, stream by stream.
    Entries(Vec<Entry>),
    /// Numbers over time.
    Matrix(Vec<Series>),
    /// Numbers at one time; of a scalar one, without labels.
    Vector(Vec<Series>),
}

/// An answer with what the server tells about it.
#[derive(Debug)]
pub(super) struct QueryAnswer {
    pub(super) value: Value,
    /// The result as it came, for those who want JSON.
    pub(super) result: Box<RawValue>,
    pub(super) stats: serde_json::Value,
    /// What is missing, in sentences.
    pub(super) warnings: Vec<String>,
}

impl QueryAnswer {
    pub(super) fn decode(answer: &Answer) -> Result<Self, Failure> {
        let Envelope { data, warnings } = decode(answer)?;
        let result = data.result.get();
        let value = match &*data.result_type {
            "streams" => Value::Entries(entries(parse(result)?)),
            "matrix" => Value::Matrix(
                parse::<Vec<WireSeries>>(result)?.into_iter().map(Into::into).collect(),
            ),
            "vector" => Value::Vector(
                parse::<Vec<WireSample>>(result)?.into_iter().map(Into::into).collect(),
            ),
            "scalar" => {
                let points = vec![parse::<Point>(result)?];
                Value::Vector(vec![Series { labels: LabelSet::new(), points }])
            }
            other => return Err(strange(&format!("a result of type {other}"))),
        };
        Ok(Self { value, result: data.result, stats: data.stats, warnings })
    }
}

/// Reads a JSON answer.
pub(super) fn decode<T: for<'de> Deserialize<'de>>(answer: &Answer) -> Result<T, Failure> {
    serde_json::from_slice(&answer.body).map_err(|error| strange(&error.to_string()))
}

/// Reads a frame of a live tail: its entries, and how many lines were left out.
pub(super) fn decode_frame(text: &str) -> Result<(Vec<Entry>, usize), Failure> {
    let frame: Frame = parse(text)?;
    Ok((entries(frame.streams), frame.dropped_entries.unwrap_or_default().len()))
}

fn parse<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| strange(&error.to_string()))
}

fn strange(what: &str) -> Failure {
    Failure::failed(format!("the answer is not what a Loki server says ({what}); is --addr right?"))
}

#[derive(Deserialize)]
struct Envelope {
    data: Data,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    result: Box<RawValue>,
    #[serde(default)]
    stats: serde_json::Value,
}

#[derive(Deserialize)]
struct Frame {
    #[serde(default)]
    streams: Vec<WireStream>,
    #[serde(default)]
    dropped_entries: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Deserialize)]
struct WireStream {
    stream: LabelSet,
    values: Vec<WireEntry>,
}

#[derive(Deserialize)]
struct WireSeries {
    metric: LabelSet,
    values: Vec<Point>,
}

#[derive(Deserialize)]
struct WireSample {
    metric: LabelSet,
    value: Point,
}

impl From<WireSeries> for Series {
    fn from(series: WireSeries) -> Self {
        Self { labels: series.metric, points: series.values }
    }
}

impl From<WireSample> for Series {
    fn from(sample: WireSample) -> Self {
        Self { labels: sample.metric, points: vec![sample.value] }
    }
}

fn entries(streams: Vec<WireStream>) -> Vec<Entry> {
    let of_stream = |stream: WireStream| {
        let labels = Arc::new(stream.stream);
        stream.values.into_iter().map(move |WireEntry { timestamp, line, metadata }| Entry {
            timestamp,
            labels: Arc::clone(&labels),
            line,
            metadata,
        })
    };
    streams.into_iter().flat_map(of_stream).collect()
}

struct WireEntry {
    timestamp: Timestamp,
    line: String,
    metadata: LabelSet,
}

#[derive(Default, Deserialize)]
struct Categories {
    #[serde(default, rename = "structuredMetadata")]
    metadata: LabelSet,
}

/// `["NANOS", "LINE"]` or `["NANOS", "LINE", {…}]`.
impl<'de> Deserialize<'de> for WireEntry {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = WireEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time and a line")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<WireEntry, A::Error> {
                let missing = || A::Error::custom("an entry without a time or a line");
                let time: String = elements.next_element()?.ok_or_else(missing)?;
                let timestamp = time.parse().map_err(A::Error::custom)?;
                let line = elements.next_element()?.ok_or_else(missing)?;
                let Categories { metadata } = elements.next_element()?.unwrap_or_default();
                Ok(WireEntry { timestamp, line, metadata })
            }
        }
        input.deserialize_seq(Elements)
    }
}

/// `[SECONDS, "VALUE"]`
impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let (seconds, text) = <(f64, String)>::deserialize(input)?;
        let value = match &*text {
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            text => text.parse().map_err(D::Error::custom)?,
        };
        // Milliseconds are all that is told.
        let timestamp = (seconds * 1e3).round() as Timestamp * 1_000_000;
        Ok(Self { timestamp, value, text })
    }
}

/// Labels as LogQL writes them: `{a="1", b="2"}`.
pub(super) fn label_text(labels: &LabelSet) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={}", crate::ingest::go_quote(value)))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Result<QueryAnswer, Failure> {
        let (status, headers) = (::http::StatusCode::OK, ::http::HeaderMap::new());
        QueryAnswer::decode(&Answer { status, headers, body: text.to_owned().into() })
    }

    #[test]
    fn entries_have_two_or_three_elements() {
        let answer = decoded(
            r#"{"status":"success","warnings":["w"],"data":{"resultType":"streams","encodingFlags":["categorize-labels"],
            "result":[{"stream":{"a":"1"},"values":[["5","x\n"],["6","y",{"structuredMetadata":{"k":""},"parsed":{"p":"q"}}]]}],"stats":{"summary":{}}}}"#,
        )
        .unwrap();
        let Value::Entries(entries) = answer.value else { panic!("entries") };
        assert_eq!((entries[0].timestamp, &*entries[0].line), (5, "x\n"));
        assert_eq!(entries[1].metadata["k"], "");
        assert_eq!(
            (label_text(&entries[1].labels), answer.warnings),
            (r#"{a="1"}"#.into(), vec!["w".to_owned()])
        );
    }

    #[test]
    fn numbers_are_read_as_prometheus_writes_them() {
        let answer = decoded(
            r#"{"data":{"resultType":"matrix","result":[{"metric":{},"values":[[1.5,"2"],[2,"+Inf"],[3,"NaN"]]}]}}"#,
        );
        let Value::Matrix(series) = answer.unwrap().value else { panic!("a matrix") };
        let points = &series[0].points;
        assert_eq!((points[0].timestamp, points[0].value), (1_500_000_000, 2.0));
        assert!(points[1].value.is_infinite() && points[2].value.is_nan());
        let scalar = decoded(r#"{"data":{"resultType":"scalar","result":[1,"2"]}}"#).unwrap().value;
        assert!(matches!(scalar, Value::Vector(series) if series[0].points[0].text == "2"));
    }

    #[test]
    fn what_is_no_answer_is_said() {
        for text in ["<html>", "{}", r#"{"data":{"resultType":"x","result":[]}}"#] {
            assert!(matches!(decoded(text), Err(Failure::Failed(_))), "{text}");
        }
    }
}
