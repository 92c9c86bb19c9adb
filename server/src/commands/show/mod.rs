//! How results look.

mod chart;
mod entries;
mod samples;
mod table;

pub(super) use self::entries::{EntryLook, EntryPrinter};
pub(super) use self::samples::print as print_samples;
pub(super) use self::table::{Table, bytes, thousands};

use clap::ValueEnum;

/// In which form a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Time, labels and line; of numbers a chart on a terminal, else JSON.
    Default,
    /// The lines as they are, or the numbers.
    Raw,
    /// A JSON object for each line or number.
    Jsonl,
    /// Columns for people.
    Table,
    /// Comma-separated values, with a header.
    Csv,
    /// Numbers over time as a picture.
    Chart,
}

/// A field of a CSV record (RFC 4180).
fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// A CSV record, with its end.
fn csv_record<T: AsRef<str>>(fields: impl IntoIterator<Item = T>) -> String {
    let fields: Vec<String> = fields.into_iter().map(|field| csv_field(field.as_ref())).collect();
    fields.join(",") + "\r\n"
}
