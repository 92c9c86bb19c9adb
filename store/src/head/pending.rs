//! A batch on its way into the head: entries by stream and time, without those that are there already.

use std::collections::{HashMap, HashSet};

use crate::batch::{BadBatch, Entry, Item, items};
use crate::{Labels, StoreError, codec};

/// With more entries of one timestamp than this, equal ones are looked for by hash.
const EQUAL_TIMESTAMPS_MAX: usize = 8;

/// For so many entries of each of so many streams there is room at once: senders wait for some.
const STREAM_ENTRIES: usize = 16;
const ROOMY_STREAMS: usize = 256;

/// A stream's entries of one batch, by ascending time; equal timestamps in the order of the batch, and
/// no two alike.
#[derive(Debug)]
pub(crate) struct PendingStream<'a> {
    /// The labels as the batch has them.
    pub(crate) label_bytes: &'a [u8],
    pub(crate) entries: Vec<Entry<'a>>,
}

impl PendingStream<'_> {
    pub(crate) fn labels(&self) -> Result<Labels, StoreError> {
        codec::labels(self.label_bytes)
    }
}

/// A batch, sorted out.
#[derive(Debug)]
pub(crate) struct Pending<'a> {
    pub(crate) streams: Vec<PendingStream<'a>>,
    /// Entries that were left out because they are there already.
    pub(crate) duplicates: u64,
}

impl<'a> Pending<'a> {
    /// Sorts out a batch in the form of the log.
    pub(crate) fn new(batch: &'a [u8]) -> Result<Self, BadBatch> {
        let mut streams: Vec<PendingStream<'a>> = Vec::new();
        let mut places: HashMap<&[u8], usize, foldhash::fast::RandomState> = HashMap::default();
        let mut place = 0;
        for item in items(batch) {
            match item? {
                Item::Stream(label_bytes) => {
                    place = *places.entry(label_bytes).or_insert(streams.len());
                    if place == streams.len() {
                        let room = if place < ROOMY_STREAMS { STREAM_ENTRIES } else { 0 };
                        let entries = Vec::with_capacity(room);
                        streams.push(PendingStream { label_bytes, entries });
                    }
                }
                Item::Entry(entry) => streams.get_mut(place).ok_or(BadBatch)?.entries.push(entry),
            }
        }
        let mut pending = Self { streams, duplicates: 0 };
        for stream in &mut pending.streams {
            if !stream.entries.is_sorted_by_key(|entry| entry.timestamp) {
                stream.entries.sort_by_key(|entry| entry.timestamp);
            }
            pending.duplicates += drop_repeated(&mut stream.entries);
        }
        Ok(pending)
    }

    pub(crate) fn entries(&self) -> u64 {
        let entries = self.streams.iter().map(|stream| stream.entries.len()).sum::<usize>();
        u64::try_from(entries).unwrap_or(u64::MAX)
    }

    /// Leaves out the entries of a stream that `is_known` knows.
    pub(crate) fn drop_known(
        &mut self,
        stream: usize,
        mut is_known: impl FnMut(&Entry<'_>) -> bool,
    ) {
        let entries = &mut self.streams[stream].entries;
        let before = entries.len();
        entries.retain(|entry| !is_known(entry));
        self.duplicates += u64::try_from(before - entries.len()).unwrap_or(0);
    }
}

/// Keeps the first of entries that are alike. They come by ascending time.
fn drop_repeated(entries: &mut Vec<Entry<'_>>) -> u64 {
    if entries.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp) {
        return 0;
    }
    let before = entries.len();
    let mut kept: Vec<Entry<'_>> = Vec::with_capacity(before);
    let mut seen: HashSet<(&[u8], &[u8])> = HashSet::new();
    for group in entries.chunk_by(|a, b| a.timestamp == b.timestamp) {
        let start = kept.len();
        seen.clear();
        for &entry in group {
            let is_new = if group.len() <= EQUAL_TIMESTAMPS_MAX {
                !kept[start..].contains(&entry)
            } else {
                seen.insert((entry.line, entry.metadata))
            };
            if is_new {
                kept.push(entry);
            }
        }
    }
    let dropped = before - kept.len();
    *entries = kept;
    u64::try_from(dropped).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WriteBatch;

    #[test]
    fn a_stream_begun_twice_is_one_and_repeats_are_dropped() {
        let labels = |value| Labels::from_pairs([("app", value)]).unwrap();
        let mut batch = WriteBatch::new();
        for (app, time, line) in
            [("a", 2, "x"), ("b", 1, "x"), ("a", 1, "y"), ("a", 2, "x"), ("a", 2, "z")]
        {
            batch.stream(&labels(app));
            batch.push(time, line.as_bytes(), &[]).unwrap();
        }
        let pending = Pending::new(batch.as_bytes()).unwrap();
        assert_eq!((pending.streams.len(), pending.entries(), pending.duplicates), (2, 4, 1));
        let lines: Vec<_> =
            pending.streams[0].entries.iter().map(|entry| (entry.timestamp, entry.line)).collect();
        assert_eq!(lines, [(1, &b"y"[..]), (2, b"x"), (2, b"z")]);
    }

    #[test]
    fn repeats_among_many_of_one_timestamp_are_dropped() {
        let mut batch = WriteBatch::new();
        batch.stream(&Labels::default());
        for number in 0..100 {
            batch.push(5, (number % 50).to_string().as_bytes(), &[]).unwrap();
        }
        assert_eq!(Pending::new(batch.as_bytes()).unwrap().duplicates, 50);
    }
}
