//! Answers.

use timberline_store::{Labels, Metadata, Timestamp};

/// An answer with what it took.
#[derive(Clone, Debug)]
pub struct QueryAnswer {
    /// The answer.
    pub value: QueryValue,
    /// What it took.
    pub stats: QueryStats,
    /// What is missing, in sentences for people: damaged chunks.
    pub warnings: Vec<String>,
}

/// The four kinds of answer.
#[derive(Clone, Debug)]
pub enum QueryValue {
    /// Of a log query: sorted by the labels' text.
    Streams(Vec<StreamResult>),
    /// Of a metric query over a range: sorted by labels.
    Matrix(Vec<Series>),
    /// Of a metric query at an instant: sorted by labels, unless the query sorts.
    Vector(Vec<Sample>),
    /// Of a literal at an instant.
    Scalar {
        /// When, in milliseconds.
        timestamp_ms: i64,
        /// The number.
        value: f64,
    },
}

/// Entries that have one final label set.
///
/// `labels` is everything: stream labels, structured metadata and parsed labels. Encoders that
/// categorise (`X-Loki-Response-Encoding-Flags: categorize-labels`) use the entries' own parts.
#[derive(Clone, Debug)]
pub struct StreamResult {
    /// Stream labels, structured metadata and parsed labels; where the request asked for categories,
    /// stream labels alone.
    pub labels: Labels,
    /// In the direction asked for.
    pub entries: Vec<EntryResult>,
}

/// One entry of an answer.
#[derive(Clone, Debug)]
pub struct EntryResult {
    /// When.
    pub timestamp: Timestamp,
    /// The line, after the pipeline. May not be UTF-8 if the stored line was not.
    pub line: Box<[u8]>,
    /// Structured metadata that survived the pipeline; only filled where categories were asked for.
    pub structured_metadata: Metadata,
    /// Labels that stages set; only filled where categories were asked for.
    pub parsed: Metadata,
}

/// One series of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Milliseconds and value, by ascending time.
    pub points: Vec<(i64, f64)>,
}

/// One sample of a vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its labels.
    pub labels: Labels,
    /// When, in milliseconds.
    pub timestamp_ms: i64,
    /// The number.
    pub value: f64,
}

/// What a query took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QueryStats {
    /// Bytes of lines looked at.
    pub bytes_processed: u64,
    /// Lines looked at.
    pub lines_processed: u64,
    /// Lines that passed the line filters and label filters.
    pub lines_matched: u64,
    /// Bytes of segments read, compressed as they are: those of columns, each as often as it was decompressed.
    pub compressed_bytes: u64,
    /// Bytes of structured metadata read: names and values, of lines that passed the line filters.
    pub metadata_bytes: u64,
    /// Chunks read, in the head and in segments.
    pub chunks_read: u64,
    /// Of the chunks read, those with a line that passed the line filters.
    pub chunks_matched: u64,
    /// Of the bytes looked at, those of lines that are in memory, not in segments.
    pub bytes_in_memory: u64,
    /// Of the lines looked at, those that are in memory.
    pub lines_in_memory: u64,
    /// Of the lines that passed, those that are in memory.
    pub lines_matched_in_memory: u64,
    /// Of the bytes of structured metadata, those in memory.
    pub metadata_bytes_in_memory: u64,
    /// Of the chunks read, those that are in memory.
    pub chunks_in_memory: u64,
    /// Pieces in which lines were fetched from memory.
    pub batches_in_memory: u64,
    /// Streams that the selectors matched; where very many are, those that may have a line that passes.
    pub streams_matched: u64,
    /// Entries or samples returned.
    pub entries_returned: u64,
    /// Seconds it took.
    pub exec_seconds: f64,
}
