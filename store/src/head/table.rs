//! A tenant's streams, in a table that a reader can keep as it was at the cost of one reference count.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::run::{HeadRun, RUN_BYTES_MAX, SMALL_RUN_BYTES};
use crate::batch::Entry;
use crate::{Labels, StoreError, Timestamp};

/// Streams in a block of the table: what is copied when a stream changes under a reader.
const BLOCK_STREAMS: usize = 32;

/// The runs that a stream ends with are put together, so that a reader has few to look at, once they are so many
const GATHERED_RUNS: usize = 16;

/// or weigh so much,
const GATHERED_BYTES: usize = 128 << 10;

/// as far as each is smaller than this. What comes of them is mostly not, so that a line is copied once for it.
const PIECE_BYTES: usize = 32 << 10;

const _: () = assert!(GATHERED_BYTES + PIECE_BYTES <= RUN_BYTES_MAX);

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
    /// The runs that have entries at these times.
    pub(crate) fn runs_at(
        &self,
        times: &RangeInclusive<Timestamp>,
    ) -> impl Iterator<Item = &HeadRun> {
        self.runs.iter().map(|run| &**run).filter(|run| run.has_any_at(times))
    }

    /// Adds entries that come by ascending time: to the newest run, if it may grow. Returns how many bytes of lines
    /// and metadata these are.
    pub(super) fn append(&mut self, entries: &[Entry<'_>]) -> Result<u64, StoreError> {
        let newest = Arc::get_mut(&mut self.runs).and_then(|runs| runs.last_mut());
        if let Some(run) = newest.and_then(Arc::get_mut)
            && let Some(bytes) = run.grow(entries)?
        {
            self.newest = self.newest.max(run.bounds().1);
            return Ok(bytes);
        }
        let before = self.runs.last().map(Arc::clone);
        let mut bytes = 0;
        for run in HeadRun::build(entries, before.as_deref()) {
            let run = run?;
            bytes += run.bytes_of(0..run.rows().len());
            self.push(run)?;
        }
        Ok(bytes)
    }

    /// Adds a run and merges small ones, so that a stream that gets one entry at a time has but a few that are small.
    pub(crate) fn push(&mut self, run: Arc<HeadRun>) -> Result<(), StoreError> {
        self.newest = self.newest.max(run.bounds().1);
        let runs = Arc::make_mut(&mut self.runs);
        // The last one may have grown since it was compared with the one before.
        merge_small(runs)?;
        runs.push(run);
        merge_small(runs)?;
        gather(runs)
    }
}

/// Merges the last runs as long as each is small and not far smaller than the one before.
fn merge_small(runs: &mut Vec<Arc<HeadRun>>) -> Result<(), StoreError> {
    while let [.., older, newer] = &runs[..] {
        let (older_bytes, newer_bytes) = (older.weight(), newer.weight());
        let merge = newer_bytes < SMALL_RUN_BYTES
            && older_bytes <= 2 * newer_bytes
            && older_bytes + newer_bytes <= RUN_BYTES_MAX;
        if !merge {
            break;
        }
        merge_last(runs, 2)?;
    }
    Ok(())
}

/// Merges the last runs once they are many, or together large.
fn gather(runs: &mut Vec<Arc<HeadRun>>) -> Result<(), StoreError> {
    let (mut count, mut bytes) = (0, 0);
    for run in runs.iter().rev() {
        let weight = run.weight();
        if weight >= PIECE_BYTES {
            break;
        }
        (count, bytes) = (count + 1, bytes + weight);
        if count > 1 && (count == GATHERED_RUNS || bytes >= GATHERED_BYTES) {
            return merge_last(runs, count);
        }
    }
    Ok(())
}

/// Puts one run in the place of the last few.
fn merge_last(runs: &mut Vec<Arc<HeadRun>>, count: usize) -> Result<(), StoreError> {
    let first = runs.len() - count;
    let merged = HeadRun::merge(&runs[first..])?;
    runs.truncate(first);
    runs.push(Arc::new(merged));
    Ok(())
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
    use proptest::prelude::*;

    use super::*;

    fn stream(name: &str) -> HeadStream {
        let labels = Labels::from_pairs([("app", name)]).unwrap();
        HeadStream { labels, runs: Arc::default(), newest: Timestamp::MIN }
    }

    #[test]
    fn single_entries_end_in_few_runs() {
        let mut stream = stream("a");
        for timestamp in 0..10_000 {
            let entry = Entry { timestamp, line: b"some words of a line", metadata: &[] };
            stream.push(HeadRun::build(&[entry], None).next().unwrap().unwrap()).unwrap();
        }
        assert!(stream.runs.len() < 100, "{} runs", stream.runs.len());
        assert_eq!(stream.runs.iter().map(|run| run.rows().len()).sum::<usize>(), 10_000);
        assert_eq!(stream.newest, 9_999);
    }

    #[test]
    fn what_is_appended_one_by_one_is_what_was_appended() {
        // None late and none looked at; late ones, views, and both, now and then and often.
        for (late, view) in [(9999, 9999), (4, 9999), (9999, 5), (4, 5), (97, 70)] {
            check_appended(late, view);
        }
    }

    /// Appends entries one by one: every `late`th is late, and behind every `view`th somebody looks.
    fn check_appended(late: usize, view: usize) {
        let mut metadata = Vec::new();
        crate::codec::put_pairs(&mut metadata, [("level", "info")].into_iter());
        let entry = |n: usize| {
            let timestamp = if n % late == late - 1 { n - 3 } else { n };
            let line = format!("line {n} {}", "x".repeat(n % 40));
            (timestamp as Timestamp, line.into_bytes(), n.is_multiple_of(5))
        };
        let mut entries: Vec<_> = (0..3000).map(entry).collect();
        let (mut stream, mut bytes, mut readers) = (stream("a"), 0, Vec::new());
        for (n, (timestamp, line, has_level)) in entries.iter().enumerate() {
            let metadata: &[u8] = if *has_level { &metadata } else { &[] };
            bytes += stream.append(&[Entry { timestamp: *timestamp, line, metadata }]).unwrap();
            if n % view == view - 1 {
                let held = stream.clone();
                let seen = rows_of(&held);
                readers.push((held, seen));
            }
        }
        let with_level = entries.iter().filter(|entry| entry.2).count();
        let line_bytes: usize = entries.iter().map(|entry| entry.1.len()).sum();
        assert_eq!(bytes, (line_bytes + 9 * with_level) as u64);
        let mut found = rows_of(&stream);
        found.sort();
        entries.sort();
        assert_eq!(found, entries);
        let runs = &stream.runs;
        assert!(runs.len() < 40, "{} runs, late {late}, view {view}", runs.len());
        assert!(runs.iter().all(|run| run.rows().is_sorted_by_key(|row| row.timestamp)));
        assert!(
            readers.iter().all(|(held, seen)| rows_of(held) == *seen),
            "a reader's rows changed"
        );
    }

    fn rows_of(stream: &HeadStream) -> Vec<(Timestamp, Vec<u8>, bool)> {
        check_bounds(stream);
        let rows = stream.runs.iter().flat_map(|run| run.rows().iter().map(move |row| (run, row)));
        let row = |(run, row): (&Arc<HeadRun>, &crate::Row)| {
            (row.timestamp, run.line(row).to_vec(), !run.metadata(row).is_empty())
        };
        rows.map(row).collect()
    }

    #[test]
    fn pushes_of_any_size_end_in_few_runs() {
        for (count, line_len) in [(1, 200), (5, 300), (20, 200), (40, 100), (100, 200)] {
            let (mut stream, line) = (stream("a"), vec![b'x'; line_len]);
            let pushes = 5_000_000 / (count as usize * (line_len + size_of::<crate::Row>()));
            for push in 0..pushes as i64 {
                let entry = |n| Entry { timestamp: count * push + n, line: &line, metadata: &[] };
                stream.append(&(0..count).map(entry).collect::<Vec<_>>()).unwrap();
            }
            let rows: Vec<_> = stream.runs.iter().map(|run| run.rows().len()).collect();
            assert_eq!(rows.iter().sum::<usize>(), count as usize * pushes);
            assert!(rows.len() < 100, "{} runs of pushes of {count}", rows.len());
            assert!(stream.runs.iter().all(|run| run.weight() < GATHERED_BYTES + PIECE_BYTES));
        }
    }

    #[test]
    fn late_pushes_of_many_sets_are_gathered() {
        let (mut stream, mut expected) = (stream("a"), Vec::new());
        for push in 0..2 * GATHERED_RUNS as i64 {
            // Every third is late, and each has forty sets, half of which the one before had.
            let start = if push % 3 == 2 { 30 * push - 50 } else { 30 * push };
            let texts = |n: i64| {
                let mut metadata = Vec::new();
                let value = (20 * push + n).to_string();
                crate::codec::put_pairs(&mut metadata, [("trace", &*value)].into_iter());
                (format!("{push} {n} {}", "x".repeat(100)).into_bytes(), metadata)
            };
            let texts: Vec<_> = (0..40).map(texts).collect();
            let entries = texts.iter().zip(start..);
            let entries =
                entries.map(|((line, metadata), timestamp)| Entry { timestamp, line, metadata });
            stream.append(&entries.collect::<Vec<_>>()).unwrap();
            expected
                .extend(texts.into_iter().zip(start..).map(|((line, set), at)| (at, line, set)));
        }
        expected.sort_by_key(|(timestamp, ..)| *timestamp);
        assert!(stream.runs.len() < 4, "{} runs", stream.runs.len());
        assert_eq!(with_sets(&stream), expected);
    }

    /// Pushes of one stream: how far on the first entry is from the last push's, or back, how many there are,
    /// how long their lines are, and how many sets of metadata they share.
    fn any_pushes() -> impl Strategy<Value = Vec<(i64, usize, usize, usize)>> {
        let ahead = prop_oneof![9 => 20_i64..40, 1 => -100_i64..20];
        let sets = prop_oneof![4 => 1_usize..4, 1 => 1_usize..60];
        prop::collection::vec((ahead, 1_usize..80, 0_usize..300, sets), 1..80)
    }

    proptest! {
        /// Entries of a time stay in the order in which they came, whatever is merged, and a reader's do not
        /// change.
        #[test]
        fn what_is_pushed_is_there_in_order(pushes in any_pushes(), reader in 0_usize..80) {
            let (mut stream, mut expected, mut start) = (stream("a"), Vec::new(), 1000);
            let mut held = None;
            for (number, (ahead, count, line_len, sets)) in pushes.into_iter().enumerate() {
                start += ahead;
                let texts = |n: usize| {
                    let mut metadata = Vec::new();
                    let value = format!("{}", n % sets);
                    crate::codec::put_pairs(&mut metadata, [("trace", &*value)].into_iter());
                    (format!("{number} {n} {}", "x".repeat(line_len)).into_bytes(), metadata)
                };
                let texts: Vec<_> = (0..count).map(texts).collect();
                // Two of each time.
                let entries = texts.iter().zip(0_i64..).map(|((line, metadata), n)| {
                    Entry { timestamp: start + n / 2, line, metadata }
                });
                stream.append(&entries.collect::<Vec<_>>()).unwrap();
                let pushed = texts.into_iter().zip(0_i64..);
                expected.extend(pushed.map(|((line, set), n)| (start + n / 2, line, set)));
                if number == reader {
                    held = Some((stream.clone(), with_sets(&stream)));
                }
            }
            expected.sort_by_key(|(timestamp, ..)| *timestamp);
            prop_assert_eq!(with_sets(&stream), expected);
            prop_assert!(held.is_none_or(|(held, seen)| with_sets(&held) == seen));
        }
    }

    /// All entries by time, those of one time by run and row, with the bytes of their metadata.
    fn with_sets(stream: &HeadStream) -> Vec<(Timestamp, Vec<u8>, Vec<u8>)> {
        check_bounds(stream);
        let rows = stream.runs.iter().flat_map(|run| run.rows().iter().map(move |row| (run, row)));
        let row = |(run, row): (&Arc<HeadRun>, &crate::Row)| {
            let mut set = Vec::new();
            crate::codec::put_pairs(&mut set, run.metadata(row).iter());
            (row.timestamp, run.line(row).to_vec(), set)
        };
        let mut rows: Vec<_> = rows.map(row).collect();
        rows.sort_by_key(|(timestamp, ..)| *timestamp);
        rows
    }

    fn check_bounds(stream: &HeadStream) {
        for run in stream.runs.iter() {
            let time = |row: Option<&crate::Row>| row.unwrap().timestamp;
            assert_eq!(run.bounds(), (time(run.rows().first()), time(run.rows().last())));
        }
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
