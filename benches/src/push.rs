//! A corpus as push requests: protobuf and snappy, a thousand lines each, as promtail sends them.

use prost::Message;

use crate::corpus::{Corpus, Line};

/// Lines in one push.
const LINES_PER_PUSH: usize = 1000;

#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, Message)]
struct Stream {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Timestamp>,
    #[prost(string, tag = "2")]
    line: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    /// There even when it is 0, as other clients write it.
    #[prost(int32, optional, tag = "2")]
    nanos: Option<i32>,
}

/// The corpus' push bodies, in the order of time.
pub(crate) fn bodies(corpus: &Corpus) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    let mut lines = corpus.iter().peekable();
    while lines.peek().is_some() {
        bodies.push(body(corpus.streams(), lines.by_ref().take(LINES_PER_PUSH)));
    }
    bodies
}

/// One push body of lines of these streams.
pub(crate) fn body(streams: &[String], lines: impl Iterator<Item = Line>) -> Vec<u8> {
    let mut push = Push::new(streams);
    for line in lines {
        let timestamp = Timestamp {
            seconds: (line.timestamp / 1_000_000_000) as i64,
            nanos: Some((line.timestamp % 1_000_000_000) as i32),
        };
        push.add(line.stream, Entry { timestamp: Some(timestamp), line: line.text });
    }
    push.encode()
}

/// A push in the making. Its streams are in the order of their first lines.
struct Push<'a> {
    labels: &'a [String],
    /// Where a stream is in the request.
    places: Vec<Option<usize>>,
    request: PushRequest,
}

impl<'a> Push<'a> {
    fn new(labels: &'a [String]) -> Self {
        Self { labels, places: vec![None; labels.len()], request: PushRequest::default() }
    }

    fn add(&mut self, stream: usize, entry: Entry) {
        let streams = &mut self.request.streams;
        let place = *self.places[stream].get_or_insert_with(|| {
            streams.push(Stream { labels: self.labels[stream].clone(), entries: Vec::new() });
            streams.len() - 1
        });
        streams[place].entries.push(entry);
    }

    fn encode(&self) -> Vec<u8> {
        // Only a body over 4 GiB could fail here; ours have a thousand lines.
        snap::raw::Encoder::new().compress_vec(&self.request.encode_to_vec()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::{ServicesOptions, services};

    #[test]
    fn bodies_hold_every_line_once_and_in_order() {
        let corpus = services(ServicesOptions { lines: 2500, seed: 1 });
        let bodies = bodies(&corpus);
        assert_eq!(bodies.len(), 3);
        let mut pushed = Vec::new();
        for body in bodies {
            let bytes = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
            for stream in PushRequest::decode(&bytes[..]).unwrap().streams {
                for Entry { timestamp, line } in stream.entries {
                    let Timestamp { seconds, nanos } = timestamp.unwrap();
                    let timestamp = seconds as u64 * 1_000_000_000 + nanos.unwrap() as u64;
                    pushed.push((timestamp, stream.labels.clone(), line));
                }
            }
        }
        pushed.sort();
        let labels = |stream: usize| corpus.streams()[stream].clone();
        let lines: Vec<_> =
            corpus.iter().map(|line| (line.timestamp, labels(line.stream), line.text)).collect();
        assert_eq!(pushed, lines);
    }
}
