//! Which of a tenant's streams in the head a selector means.

use std::collections::{BTreeMap, HashMap};

use super::table::StreamTable;
use crate::{Labels, MatchOp, Matcher};

/// Finds streams by their labels. Only grows: a reader that kept an older [`StreamTable`] leaves out
/// the numbers behind its end.
#[derive(Debug, Default)]
pub(crate) struct TenantIndex {
    /// By the labels' bytes in a batch, so that a known stream's labels are never built.
    numbers: HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>,
    /// Label name, then value, to the streams that have it, ascending.
    postings: BTreeMap<Box<str>, BTreeMap<Box<str>, Vec<u32>>>,
    /// How many streams are in the postings. They get there when somebody asks: with very many streams
    /// an append would spend most of its time on them.
    posted: usize,
}

impl TenantIndex {
    pub(crate) fn number(&self, label_bytes: &[u8]) -> Option<u32> {
        self.numbers.get(label_bytes).copied()
    }

    /// Adds a stream; `number` is above all before it.
    pub(crate) fn insert(&mut self, label_bytes: &[u8], number: u32) {
        self.numbers.insert(label_bytes.into(), number);
    }

    /// Whether [`select`](Self::select) can be asked about all streams of a table.
    pub(crate) const fn covers(&self, table: &StreamTable) -> bool {
        self.posted >= table.len()
    }

    /// Takes in the streams of a table that are new.
    pub(crate) fn catch_up(&mut self, table: &StreamTable) {
        for number in self.posted..table.len() {
            // A table has fewer than 2^32 streams.
            let number = number as u32;
            if let Some(stream) = table.get(number) {
                self.post(&stream.labels, number);
            }
        }
        self.posted = self.posted.max(table.len());
    }

    fn post(&mut self, labels: &Labels, number: u32) {
        for (name, value) in labels.iter() {
            if !self.postings.contains_key(name) {
                self.postings.insert(name.into(), BTreeMap::new());
            }
            let Some(values) = self.postings.get_mut(name) else { continue };
            match values.get_mut(value) {
                Some(streams) => streams.push(number),
                None => drop(values.insert(value.into(), vec![number])),
            }
        }
    }

    /// The streams of the table that pass every matcher, ascending.
    pub(crate) fn select(&self, selector: &[Matcher], table: &StreamTable) -> Vec<u32> {
        let mut candidates: Option<Vec<u32>> = None;
        for matcher in selector.iter().filter(|matcher| !matcher.matches_empty()) {
            let streams = self.streams(matcher);
            candidates = Some(match candidates {
                None => streams,
                Some(mut before) => {
                    before.retain(|number| streams.binary_search(number).is_ok());
                    before
                }
            });
        }
        let mut candidates = candidates.unwrap_or_else(|| (0u32..).take(table.len()).collect());
        candidates.retain(|&number| {
            let Some(stream) = table.get(number) else { return false };
            let mut rest = selector.iter().filter(|matcher| matcher.matches_empty());
            rest.all(|matcher| {
                matcher.matches(stream.labels.get(matcher.name()).unwrap_or_default())
            })
        });
        candidates
    }

    /// The streams that have the label with a value that passes, ascending.
    fn streams(&self, matcher: &Matcher) -> Vec<u32> {
        let Some(values) = self.postings.get(matcher.name()) else { return Vec::new() };
        if matcher.op() == MatchOp::Equal {
            return values.get(matcher.value()).cloned().unwrap_or_default();
        }
        let passing = values.iter().filter(|(value, _)| matcher.matches(value));
        // A stream has one value of a label, so no number comes twice.
        let mut streams: Vec<u32> = passing.flat_map(|(_, streams)| streams).copied().collect();
        streams.sort_unstable();
        streams
    }
}
