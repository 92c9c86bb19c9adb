//! The values of one field.

use std::collections::BTreeSet;

use timberline_query::fields::{FieldParser, compact_bytes};
use timberline_query::{QueryError, StreamResult};
use timberline_store::Labels;

use super::collect::is_error_label;
use crate::http::work::Ticket;

/// The values that a field has in the lines, the first `limit` of them, in order.
///
/// Sizes of parsed fields are written as a query takes them; structured metadata is as it is.
///
/// # Errors
/// [`QueryError::Cancelled`] and [`QueryError::Timeout`].
pub(super) fn of_field(
    streams: &[StreamResult],
    name: &str,
    limit: usize,
    ticket: &Ticket,
) -> Result<BTreeSet<String>, QueryError> {
    let mut values = BTreeSet::new();
    if is_error_label(name) {
        return Ok(values);
    }
    let mut parser = FieldParser::new(&Labels::default());
    let as_query = |value: &str| compact_bytes(value).unwrap_or_else(|| value.to_owned());
    for stream in streams {
        ticket.check()?;
        parser.set_stream(&stream.labels);
        for entry in &stream.entries {
            parser.parse(&entry.line);
            let of = |(found, value)| (found == name).then_some(value);
            let metadata = entry.structured_metadata.iter().filter_map(of).map(str::to_owned);
            let parsed = entry.parsed.iter().filter_map(of);
            let fields = parser.fields().filter_map(|field| of((field.name, field.value)));
            for value in metadata.chain(parsed.chain(fields).map(as_query)) {
                values.insert(value);
                if values.len() >= limit {
                    return Ok(values);
                }
            }
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::super::collect::tests::stream;
    use super::*;

    #[test]
    fn values_come_from_metadata_labels_and_lines() {
        let streams = [stream(
            &[("app", "a")],
            &[
                ("size=10KB level=warn", &[("size", "10 KB")], &[]),
                (r#"{"size":"3 MiB","app":"inner"}"#, &[], &[("level", "info")]),
                ("size=200", &[], &[("__error__", "x")]),
            ],
        )];
        let values = |name, limit| {
            let values = of_field(&streams, name, limit, &Ticket::unlimited()).unwrap();
            values.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(values("size", 10), ["10 KB", "10kB", "200", "3.1MB"]);
        assert_eq!(values("level", 10), ["info", "warn"]);
        assert_eq!(values("level", 1), ["warn"]);
        assert_eq!(values("app_extracted", 10), ["inner"]);
        assert!(values("app", 10).is_empty());
        assert!(values("__error__", 10).is_empty());
    }
}
