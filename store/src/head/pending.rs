//! A batch on its way into the head: entries by stream and time, without those that are there already.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::batch::{BadBatch, Entry, Item, Items, items};
use crate::{Labels, StoreError, WriteBatch, codec};

/// With more entries of one timestamp than this, equal ones are looked for by hash.
const EQUAL_TIMESTAMPS_MAX: usize = 8;

/// There is room at once for so many streams of a batch.
const STREAMS_ABOUT: usize = 24;

/// A stream with entries in one batch.
#[derive(Debug)]
pub(crate) struct PendingStream<'a> {
    /// The labels as the batch has them.
    pub(crate) label_bytes: &'a [u8],
    /// Its part of the entries.
    entries: Range<usize>,
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
    /// Those of all streams, in one piece: a batch has few for each of many.
    entries: Vec<Entry<'a>>,
    /// Entries that were left out because they are there already.
    pub(crate) duplicates: u64,
}

/// What a batch has for a stream before it goes on to another.
struct Piece {
    stream: usize,
    entries: Range<usize>,
}

impl<'a> Pending<'a> {
    /// Sorts out a batch.
    pub(crate) fn of(batch: &'a WriteBatch) -> Result<Self, BadBatch> {
        Self::sort_out(batch.items(), batch.len())
    }

    /// Sorts out a batch in the form of the log.
    pub(crate) fn new(batch: &'a [u8]) -> Result<Self, BadBatch> {
        Self::sort_out(items(batch), 0)
    }

    fn sort_out(items: Items<'a>, entries_about: usize) -> Result<Self, BadBatch> {
        let mut streams = Vec::with_capacity(STREAMS_ABOUT);
        let mut pieces = Vec::with_capacity(STREAMS_ABOUT);
        let mut entries = Vec::with_capacity(entries_about);
        let mut places: HashMap<&[u8], usize, foldhash::fast::RandomState> =
            HashMap::with_capacity_and_hasher(
                STREAMS_ABOUT,
                foldhash::fast::RandomState::default(),
            );
        for item in items {
            match item? {
                Item::Stream(label_bytes) => {
                    let stream = *places.entry(label_bytes).or_insert(streams.len());
                    if stream == streams.len() {
                        streams.push(PendingStream { label_bytes, entries: 0..0 });
                    }
                    pieces.push(Piece { stream, entries: entries.len()..entries.len() });
                }
                Item::Entry(entry) => {
                    entries.push(entry);
                    pieces.last_mut().ok_or(BadBatch)?.entries.end = entries.len();
                }
            }
        }
        let mut pending = Self { streams, entries, duplicates: 0 };
        pending.gather(pieces);
        for stream in 0..pending.streams.len() {
            pending.sort(stream);
        }
        Ok(pending)
    }

    /// Tells each stream where its entries are, which are moved together where they are not.
    fn gather(&mut self, pieces: Vec<Piece>) {
        if pieces.len() == self.streams.len() {
            for piece in pieces {
                self.streams[piece.stream].entries = piece.entries;
            }
            return;
        }
        for piece in &pieces {
            self.streams[piece.stream].entries.end += piece.entries.len();
        }
        let mut next = 0;
        for stream in &mut self.streams {
            let start = next;
            next += stream.entries.len();
            stream.entries = start..start;
        }
        let nothing = Entry { timestamp: 0, line: &[], metadata: &[] };
        let gathered = vec![nothing; self.entries.len()];
        let scattered = std::mem::replace(&mut self.entries, gathered);
        for piece in pieces {
            let end = &mut self.streams[piece.stream].entries.end;
            let start = *end;
            *end += piece.entries.len();
            self.entries[start..*end].copy_from_slice(&scattered[piece.entries]);
        }
    }

    /// Brings a stream's entries into the order of time and leaves out repeated ones.
    fn sort(&mut self, stream: usize) {
        let range = self.streams[stream].entries.clone();
        let entries = &mut self.entries[range.clone()];
        if !entries.is_sorted_by_key(|entry| entry.timestamp) {
            entries.sort_by_key(|entry| entry.timestamp);
        }
        let kept = keep_first(entries);
        self.shorten(stream, range.start + kept);
    }

    /// The entries of a stream by ascending time; equal timestamps in the order of the batch, and no two alike.
    pub(crate) fn entries_of(&self, stream: usize) -> &[Entry<'a>] {
        &self.entries[self.streams[stream].entries.clone()]
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> u64 {
        self.streams.iter().map(|stream| stream.entries.len() as u64).sum()
    }

    /// Leaves out the entries of a stream that `is_known` knows.
    pub(crate) fn drop_known(
        &mut self,
        stream: usize,
        mut is_known: impl FnMut(&Entry<'_>) -> bool,
    ) {
        let range = self.streams[stream].entries.clone();
        let mut end = range.start;
        for place in range {
            let entry = self.entries[place];
            if !is_known(&entry) {
                self.entries[end] = entry;
                end += 1;
            }
        }
        self.shorten(stream, end);
    }

    fn shorten(&mut self, stream: usize, end: usize) {
        let entries = &mut self.streams[stream].entries;
        self.duplicates += (entries.end - end) as u64;
        entries.end = end;
    }
}

/// Moves the first of entries that are alike to the front; gives how many these are. They come by ascending time, and
/// so they stay.
fn keep_first(entries: &mut [Entry<'_>]) -> usize {
    if entries.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp) {
        return entries.len();
    }
    let (mut kept, mut next) = (0, 0);
    let mut seen: HashSet<(&[u8], &[u8])> = HashSet::new();
    while let Some(first) = entries.get(next).copied() {
        let same_time =
            entries[next..].iter().take_while(|entry| entry.timestamp == first.timestamp);
        let (start, group) = (kept, next..next + same_time.count());
        seen.clear();
        for place in group.clone() {
            let entry = entries[place];
            let is_new = if group.len() <= EQUAL_TIMESTAMPS_MAX {
                !entries[start..kept].contains(&entry)
            } else {
                seen.insert((entry.line, entry.metadata))
            };
            if is_new {
                entries[kept] = entry;
                kept += 1;
            }
        }
        next = group.end;
    }
    kept
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
        assert_eq!((pending.streams.len(), pending.len(), pending.duplicates), (2, 4, 1));
        let lines: Vec<_> =
            pending.entries_of(0).iter().map(|entry| (entry.timestamp, entry.line)).collect();
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
