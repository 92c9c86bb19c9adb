//! A tenant's streams, in a table that a reader can keep as it was at the cost of one reference count.

use std::sync::Arc;

use super::run::{HeadRun, RUN_BYTES_MAX};
use crate::{Labels, StoreError, Timestamp};

/// Streams in a block of the table: what is copied when a stream changes under a reader.
const BLOCK_STREAMS: usize = 32;

/// A run that is not smaller is left alone by merges: of what a usual push has for a stream nothing is copied again.
const SMALL_RUN_BYTES: usize = 16 << 10;

/// One stream's part of the head.
#[derive(Clone, Debug)]
pub(crate) struct HeadStream {
    pub(crate) labels: Labels,
    /// By arrival.
    pub(crate) runs: Arc<Vec<Arc<HeadRun>>>,
    /// The newest entry's timestamp, of the head and of what was known to be flushed when the stream
    /// came into the head.
    pub(crate) newest: Timestamp,
}

impl HeadStream {
    /// Adds a run and merges small ones, so that a stream that gets one entry at a time keeps a number
    /// of runs that is logarithmic in its size.
    pub(crate) fn push(&mut self, run: Arc<HeadRun>) -> Result<(), StoreError> {
        self.newest = self.newest.max(run.bounds().1);
        let runs = Arc::make_mut(&mut self.runs);
        runs.push(run);
        while let [.., older, newer] = &runs[..] {
            let (older_bytes, newer_bytes) = (weight(older), weight(newer));
            let merge = newer_bytes < SMALL_RUN_BYTES
                && older_bytes <= 2 * newer_bytes
                && older_bytes + newer_bytes <= RUN_BYTES_MAX;
            if !merge {
                break;
            }
            let merged = HeadRun::merge(older, newer)?;
            runs.truncate(runs.len() - 2);
            runs.push(Arc::new(merged));
        }
        Ok(())
    }
}

/// A run's size for the merge policy. Rows count too: empty lines must not pile up.
fn weight(run: &HeadRun) -> usize {
    run.text_bytes() + size_of_val(run.rows())
}

/// The streams by number, in two levels that are copied only where they are shared.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamTable {
    blocks: Arc<Vec<Arc<Vec<HeadStream>>>>,
    len: usize,
}

impl StreamTable {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, number: u32) -> Option<&HeadStream> {
        let number = number as usize;
        self.blocks.get(number / BLOCK_STREAMS)?.get(number % BLOCK_STREAMS)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut HeadStream> {
        let number = number as usize;
        let block = Arc::make_mut(&mut self.blocks).get_mut(number / BLOCK_STREAMS)?;
        Arc::make_mut(block).get_mut(number % BLOCK_STREAMS)
    }

    pub(crate) fn push(&mut self, stream: HeadStream) {
        let blocks = Arc::make_mut(&mut self.blocks);
        match blocks.last_mut() {
            Some(block) if block.len() < BLOCK_STREAMS => Arc::make_mut(block).push(stream),
            _ => blocks.push(Arc::new(vec![stream])),
        }
        self.len += 1;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &HeadStream> {
        self.blocks.iter().flat_map(|block| block.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Entry;

    fn stream(name: &str) -> HeadStream {
        let labels = Labels::from_pairs([("app", name)]).unwrap();
        HeadStream { labels, runs: Arc::default(), newest: Timestamp::MIN }
    }

    #[test]
    fn single_entries_end_in_few_runs() {
        let mut stream = stream("a");
        for timestamp in 0..10_000 {
            let entry = Entry { timestamp, line: b"some words of a line", metadata: &[] };
            stream.push(HeadRun::build(&[entry]).unwrap().remove(0)).unwrap();
        }
        assert!(stream.runs.len() < 24, "{} runs", stream.runs.len());
        assert_eq!(stream.runs.iter().map(|run| run.rows().len()).sum::<usize>(), 10_000);
        assert_eq!(stream.newest, 9_999);
    }

    #[test]
    fn a_kept_table_does_not_change() {
        let mut table = StreamTable::default();
        (0..100).for_each(|number| table.push(stream(&number.to_string())));
        let kept = table.clone();
        table.get_mut(40).unwrap().newest = 7;
        table.push(stream("new"));
        assert_eq!((kept.len(), kept.iter().count()), (100, 100));
        assert_eq!(kept.get(40).unwrap().newest, Timestamp::MIN);
        assert_eq!(table.get(40).unwrap().newest, 7);
        assert!(kept.get(100).is_none() && table.get(100).is_some());
    }
}
