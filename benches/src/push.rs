//! The corpus as push requests: protobuf and snappy, a thousand lines each, as promtail sends them.

use std::collections::BTreeMap;

use prost::Message;

use crate::corpus::{Corpus, SERVICES};

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
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// The corpus' push bodies, in the order of time.
pub(crate) fn bodies(corpus: &Corpus) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    let mut streams = BTreeMap::new();
    let mut waiting = 0;
    for line in corpus.iter() {
        let entry = Entry {
            timestamp: Some(Timestamp {
                seconds: (line.timestamp / 1_000_000_000) as i64,
                nanos: (line.timestamp % 1_000_000_000) as i32,
            }),
            line: line.text,
        };
        streams.entry((line.service, line.stream)).or_insert_with(Vec::new).push(entry);
        waiting += 1;
        if waiting == LINES_PER_PUSH {
            bodies.push(encode(std::mem::take(&mut streams)));
            waiting = 0;
        }
    }
    if waiting > 0 {
        bodies.push(encode(streams));
    }
    bodies
}

fn encode(streams: BTreeMap<(usize, u64), Vec<Entry>>) -> Vec<u8> {
    let streams = streams.into_iter().map(|((service, stream), entries)| {
        let service = SERVICES[service];
        let labels =
            format!("{{env=\"{}\", job=\"{}\", shard=\"{stream}\"}}", service.env, service.job);
        Stream { labels, entries }
    });
    let request = PushRequest { streams: streams.collect() };
    // Only a body over 4 GiB could fail here; ours have a thousand lines.
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap_or_default()
}
