//! Entries that come in any order of streams, put together by stream.

use std::borrow::Cow;
use std::collections::HashMap;

use timberline_store::Timestamp;

use super::super::budget::Share;
use super::super::limits::IngestLimits;
use super::super::push::{Charge, DecodeError, Pair, Push, Stream};

/// Entries with the stream of each.
#[derive(Debug)]
pub(crate) struct Gathered<'a, 's, 'b> {
    push: Push<'a>,
    /// The stream of each entry, by its place in `labels`.
    of: Vec<usize>,
    places: HashMap<String, usize>,
    labels: Vec<String>,
    charge: Charge<'s, 'b>,
}

impl<'a, 's, 'b> Gathered<'a, 's, 'b> {
    /// Nothing yet. What entries take up is taken out of `share`.
    pub(crate) fn new(limits: &IngestLimits, share: &'s mut Share<'b>) -> Self {
        Self {
            push: Push::default(),
            of: Vec::new(),
            places: HashMap::new(),
            labels: Vec::new(),
            charge: Charge::new(limits, share),
        }
    }

    /// Adds an entry of the stream with these labels, which are `{a="b"}`.
    ///
    /// # Errors
    /// All of them together take up more than they may.
    pub(crate) fn add(
        &mut self,
        labels: String,
        timestamp: Timestamp,
        line: Cow<'a, str>,
        metadata: Vec<Pair<'a>>,
    ) -> Result<(), DecodeError> {
        self.charge.entry(&line, &metadata)?;
        let stream = match self.places.get(&labels) {
            Some(&place) => place,
            None => {
                self.charge.bytes(2 * labels.len())?;
                self.places.insert(labels.clone(), self.labels.len());
                self.labels.push(labels);
                self.labels.len() - 1
            }
        };
        let pairs_start = self.push.pairs.len();
        self.push.pairs.extend(metadata);
        self.push.add_entry(timestamp, line, pairs_start);
        self.of.push(stream);
        Ok(())
    }

    /// Where it is now, to come back to.
    pub(crate) fn mark(&self) -> (usize, usize) {
        (self.push.entries.len(), self.push.pairs.len())
    }

    /// Forgets what was added since.
    pub(crate) fn back_to(&mut self, (entries, pairs): (usize, usize)) {
        self.push.entries.truncate(entries);
        self.push.pairs.truncate(pairs);
        self.of.truncate(entries);
    }

    /// Counts bytes that belong to no entry.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.charge.bytes(bytes)
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.of.len()
    }

    /// The entries as a push, and for each of its entries which of those that were added it is. Entries
    /// of a stream keep their order.
    pub(crate) fn finish(mut self) -> (Push<'a>, Vec<usize>) {
        let mut order: Vec<usize> = (0..self.of.len()).collect();
        order.sort_by_key(|&index| self.of[index]);
        let mut entries: Vec<_> =
            std::mem::take(&mut self.push.entries).into_iter().map(Some).collect();
        self.push.entries = order.iter().filter_map(|&index| entries[index].take()).collect();
        let mut start = 0;
        for (stream, labels) in self.labels.into_iter().enumerate() {
            let of_stream = order[start..].iter().take_while(|&&index| self.of[index] == stream);
            let end = start + of_stream.count();
            // One whose entries were all forgotten is none.
            if end > start {
                self.push.streams.push(Stream { labels: labels.into(), entries: start..end });
            }
            start = end;
        }
        (self.push, order)
    }
}
