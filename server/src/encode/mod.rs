//! Answers in Loki's JSON, to the byte: key order, escapes and number formats included.
//!
//! Grafana reads answers as a stream and in order, so the order of keys is part of the protocol:
//! `resultType` and `encodingFlags` come before `result`, `stats` after it. Everything is written
//! straight into one buffer; a log answer is mostly lines, and they are copied once.

mod answer;
mod deletes;
mod detected;
mod json;
mod legacy;
mod listing;
mod patterns;
mod stats;
mod tail;
#[cfg(test)]
mod tests;

pub use answer::{Encoding, answer};
pub use deletes::{DeleteEntry, deletes};
pub use detected::{DetectedField, detected_fields, detected_labels, detected_values};
pub(crate) use legacy::label_text;
pub use legacy::{legacy_streams, legacy_texts};
pub use listing::{build_info, formatted_query, index_stats, invalid_query, series, texts};
pub use patterns::patterns;
pub use tail::{TailDialect, tail_frame};
