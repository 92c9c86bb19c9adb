//! Between the wire's types and the server's.

use ::http::StatusCode;
use prost_types::Timestamp as WireTime;
use timberline_query::{EntryResult, StreamResult};
use timberline_store::{Labels, Timestamp};
use tonic::{Code, Status};

use crate::encode::label_text;
use crate::error::ApiError;
use crate::http::params::NANOS_PER_SECOND;
use crate::ingest::proto::logproto::{EntryAdapter, StreamAdapter};

/// Bytes of lines in a message, but for one that is a single longer line: clients take 4 MiB.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A point in time; `default` where none is given. Times outside the type are its edges.
pub(super) fn nanos(time: Option<WireTime>, default: Timestamp) -> Timestamp {
    time.map_or(default, |time| {
        time.seconds.saturating_mul(NANOS_PER_SECOND).saturating_add(time.nanos.into())
    })
}

/// The same for the wire.
pub(super) fn wire_time(timestamp: Timestamp) -> WireTime {
    let nanos = timestamp.rem_euclid(NANOS_PER_SECOND);
    WireTime {
        seconds: timestamp.div_euclid(NANOS_PER_SECOND),
        // Less than a thousand million.
        nanos: i32::try_from(nanos).unwrap_or_default(),
    }
}

/// Streams in parts that a message has room for.
pub(super) fn parts(streams: &[StreamResult]) -> Vec<Vec<StreamAdapter>> {
    let mut parts = Vec::new();
    let (mut part, mut bytes) = (Vec::new(), 0);
    for stream in streams {
        let mut entries = Vec::new();
        for entry in &stream.entries {
            if bytes + entry.line.len() > MESSAGE_BYTES_MAX && bytes > 0 {
                if !entries.is_empty() {
                    part.push(adapter(&stream.labels, std::mem::take(&mut entries)));
                }
                parts.push(std::mem::take(&mut part));
                bytes = 0;
            }
            bytes += entry.line.len() + size_of::<EntryAdapter>();
            entries.push(wire_entry(entry));
        }
        if !entries.is_empty() {
            part.push(adapter(&stream.labels, entries));
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

pub(super) fn adapter(labels: &Labels, entries: Vec<EntryAdapter>) -> StreamAdapter {
    StreamAdapter { labels: label_text(labels), entries }
}

/// An entry without its labels. What is not UTF-8 becomes U+FFFD.
pub(super) fn wire_entry(entry: &EntryResult) -> EntryAdapter {
    EntryAdapter {
        timestamp: Some(wire_time(entry.timestamp)),
        line: String::from_utf8_lossy(&entry.line).into_owned(),
        structured_metadata: Vec::new(),
    }
}

/// What is wrong, with the code that says whose fault it is.
pub(super) fn status(error: &ApiError) -> Status {
    let code = match error.status() {
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => Code::DeadlineExceeded,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        status if status.as_u16() == 499 => Code::Cancelled,
        status if status.is_server_error() => Code::Internal,
        _ => Code::InvalidArgument,
    };
    Status::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_both_ways() {
        for time in [0, 1, -1, 1_793_534_400_000_000_001, i64::MIN, i64::MAX] {
            let wire = wire_time(time);
            assert!((0..1_000_000_000).contains(&wire.nanos));
            let back = nanos(Some(wire), 7);
            assert!(back == time || time == i64::MIN, "{time}");
        }
        assert_eq!(nanos(None, 7), 7);
    }

    #[test]
    fn parts_have_room_in_a_message() {
        let labels = |value: &str| Labels::from_pairs([("a", value.to_owned())]).unwrap();
        let entry = |len: usize| EntryResult {
            timestamp: 1,
            line: vec![b'x'; len].into(),
            structured_metadata: Labels::default(),
            parsed: Labels::default(),
        };
        let half = MESSAGE_BYTES_MAX / 2;
        let streams = [
            StreamResult { labels: labels("1"), entries: vec![entry(half), entry(half), entry(1)] },
            StreamResult { labels: labels("2"), entries: vec![entry(half - 1000), entry(9)] },
        ];
        let parts = parts(&streams);
        let counts: Vec<Vec<usize>> = parts
            .iter()
            .map(|part| part.iter().map(|stream| stream.entries.len()).collect())
            .collect();
        assert_eq!(counts, [vec![1], vec![2, 2]]);
    }
}
