//! A run: some entries of one stream, sorted, and not changed while readers share it.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::{Range, RangeInclusive};
use std::sync::{Arc, OnceLock};

use super::sets::{GROWING_SETS_MAX, NO_METADATA, Sets, United, is_set};
use crate::batch::Entry;
use crate::chunk::{Selected, Selection};
use crate::{
    Batch, Columns, LineColumn, LinePredicate, Metadata, Row, StoreError, TimeRange, Timestamp,
    codec, scan,
};

/// The most text in a run, but for one that is a single longer line.
pub(crate) const RUN_BYTES_MAX: usize = 256 << 10;

/// A run that is not smaller is not merged with the one before, nor put behind it: what a usual push has for a stream is
/// copied once more, when many are gathered.
pub(super) const SMALL_RUN_BYTES: usize = 4 << 10;

/// A run that is not smaller does not grow.
const GROWING_RUN_BYTES: usize = 16 << 10;

/// With more entries of one timestamp than this, an equal one is looked for by hash.
const EQUAL_TIMESTAMPS_MAX: usize = 16;

/// Some entries of one stream by ascending time; equal timestamps in the order of arrival.
///
/// The lines lie in `text` in the order of the rows, without gaps, so that a read hands the buffer on
/// as it is. Costs 24 bytes a row beside the text, and up to a quarter more where it has grown.
#[derive(Debug)]
pub(crate) struct HeadRun {
    /// Never empty.
    rows: Vec<Row>,
    /// The first row's timestamp and the last one's, so that a reader who finds nothing here need not touch the rows.
    bounds: (Timestamp, Timestamp),
    text: Arc<Vec<u8>>,
    /// The distinct sets; the first is the empty one.
    metadata: Arc<Vec<Metadata>>,
    metadata_bytes: u64,
    /// Hashes of the entries, made when first asked for.
    hashes: OnceLock<HashSet<u64>>,
}

/// Rows and their text, put together from entries that come in order.
#[derive(Debug)]
struct Builder {
    rows: Vec<Row>,
    text: Vec<u8>,
}

impl Builder {
    fn new(rows: usize, text_bytes: usize) -> Self {
        Self { rows: Vec::with_capacity(rows), text: Vec::with_capacity(text_bytes) }
    }

    fn push(&mut self, timestamp: Timestamp, line: &[u8], metadata: u32) -> Result<(), StoreError> {
        let row = Row {
            timestamp,
            line_len: to_u32(line.len())?,
            line_start: to_u32(self.text.len())?,
            metadata,
            projection: None,
        };
        self.text.extend_from_slice(line);
        self.rows.push(row);
        Ok(())
    }

    /// Adds all of a run, whose sets have these numbers here.
    fn extend(&mut self, run: &HeadRun, numbers: &[u32]) -> Result<(), StoreError> {
        let start = to_u32(self.text.len())?;
        to_u32(self.text.len() + run.text.len())?;
        self.text.extend_from_slice(&run.text);
        self.rows.extend(run.rows.iter().map(|row| Row {
            line_start: row.line_start + start,
            metadata: numbers[row.metadata as usize],
            ..*row
        }));
        Ok(())
    }

    fn finish(self, metadata: Arc<Vec<Metadata>>, metadata_bytes: u64) -> HeadRun {
        let (rows, text, hashes) = (self.rows, Arc::new(self.text), OnceLock::new());
        let time = |row: Option<&Row>| row.map_or(0, |row| row.timestamp);
        let bounds = (time(rows.first()), time(rows.last()));
        HeadRun { rows, bounds, text, metadata, metadata_bytes, hashes }
    }
}

/// Makes room for more, and for a quarter of what is there then: little is held in vain, and what comes one by one is
/// copied a few times.
fn make_room<T>(values: &mut Vec<T>, more: usize) {
    if values.capacity() - values.len() < more {
        values.reserve_exact(more + (values.len() + more) / 4);
    }
}

pub(super) fn to_u32(value: usize) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|_| StoreError::Invalid(format!("{value} bytes in one run")))
}

impl HeadRun {
    /// Runs of entries that come by ascending time; none where there are no entries. They may share the sets of the run
    /// before.
    pub(crate) fn build<'a>(
        entries: &'a [Entry<'a>],
        before: Option<&'a Self>,
    ) -> impl Iterator<Item = Result<Arc<Self>, StoreError>> {
        let mut rest = entries;
        std::iter::from_fn(move || {
            let (mut count, mut bytes) = (0, 0);
            for entry in rest {
                if count > 0 && bytes + entry.line.len() > RUN_BYTES_MAX {
                    break;
                }
                bytes += entry.line.len();
                count += 1;
            }
            let (now, later) = rest.split_at(count);
            rest = later;
            (count > 0).then(|| Self::build_one(now, bytes, before).map(Arc::new))
        })
    }

    fn build_one<'a>(
        entries: &'a [Entry<'a>],
        text_bytes: usize,
        before: Option<&Self>,
    ) -> Result<Self, StoreError> {
        let mut builder = Builder::new(entries.len(), text_bytes);
        let mut sets = Sets::new(before.map(|run| &run.metadata));
        for entry in entries {
            let set = sets.number(entry.metadata)?;
            builder.push(entry.timestamp, entry.line, set)?;
        }
        Ok(builder.finish(sets.distinct, sets.total_bytes))
    }

    /// Whether it has an entry at one of these times.
    pub(super) fn has_any_at(&self, times: &RangeInclusive<Timestamp>) -> bool {
        let (first, last) = self.bounds();
        if last < *times.start() || *times.end() < first {
            return false;
        }
        let next = self.rows.partition_point(|row| row.timestamp < *times.start());
        self.rows.get(next).is_some_and(|row| row.timestamp <= *times.end())
    }

    /// Adds entries that come by ascending time, if the run is small and has none that are newer, and nobody reads
    /// it. Returns by how many bytes of lines and metadata it grew.
    pub(super) fn grow(&mut self, entries: &[Entry<'_>]) -> Result<Option<u64>, StoreError> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Ok(Some(0));
        };
        let is_behind = first.timestamp >= self.bounds().1;
        if self.weight() >= GROWING_RUN_BYTES || !is_behind {
            return Ok(None);
        }
        let line_bytes: usize = entries.iter().map(|entry| entry.line.len()).sum();
        if line_bytes + entries.len() * size_of::<Row>() >= SMALL_RUN_BYTES {
            return Ok(None);
        }
        let has_room = self.text.len() + line_bytes <= RUN_BYTES_MAX;
        if !has_room || Arc::get_mut(&mut self.text).is_none() {
            return Ok(None);
        }
        let (rows_before, sets_before) = (self.rows.len(), self.metadata.len());
        let grown = self.grow_rows(entries);
        let Ok(Some(metadata_bytes)) = grown else {
            self.rows.truncate(rows_before);
            if self.metadata.len() > sets_before {
                Arc::make_mut(&mut self.metadata).truncate(sets_before);
            }
            return grown;
        };
        let Some(text) = Arc::get_mut(&mut self.text) else { return Ok(None) };
        make_room(text, line_bytes);
        entries.iter().for_each(|entry| text.extend_from_slice(entry.line));
        self.bounds.1 = last.timestamp;
        self.metadata_bytes += metadata_bytes;
        if let Some(hashes) = self.hashes.get_mut() {
            hashes.extend(entries.iter().map(|entry| hash(entry.timestamp, entry.line)));
        }
        Ok(Some(line_bytes as u64 + metadata_bytes))
    }

    /// Adds rows for entries whose lines come behind the text as it is, and their sets where these are new. Gives how
    /// many bytes the sets have, each as often as it is there; `None` where there are too many.
    fn grow_rows(&mut self, entries: &[Entry<'_>]) -> Result<Option<u64>, StoreError> {
        make_room(&mut self.rows, entries.len());
        let (mut line_start, mut bytes) = (self.text.len(), 0);
        let mut last: (&[u8], u32, u64) = (&[], 0, 0);
        for entry in entries {
            if entry.metadata != last.0 {
                let Some(set) = self.set(entry.metadata)? else { return Ok(None) };
                last = (entry.metadata, set, self.metadata[set as usize].text_bytes() as u64);
            }
            let (_, metadata, set_bytes) = last;
            self.rows.push(Row {
                timestamp: entry.timestamp,
                line_len: to_u32(entry.line.len())?,
                line_start: to_u32(line_start)?,
                metadata,
                projection: None,
            });
            line_start += entry.line.len();
            bytes += set_bytes;
        }
        Ok(Some(bytes))
    }

    fn set(&mut self, metadata: &[u8]) -> Result<Option<u32>, StoreError> {
        let number = match self.metadata.iter().position(|known| is_set(known, metadata)) {
            Some(number) => number,
            None if self.metadata.len() > GROWING_SETS_MAX => return Ok(None),
            None => {
                Arc::make_mut(&mut self.metadata).push(codec::metadata(metadata)?);
                self.metadata.len() - 1
            }
        };
        to_u32(number).map(Some)
    }

    /// Its size in memory, about. Rows count too: empty lines must not pile up.
    pub(super) fn weight(&self) -> usize {
        self.text_bytes() + size_of_val(self.rows())
    }

    /// One run of several, the oldest first. Of equal timestamps those of older ones come first.
    pub(super) fn merge(runs: &[Arc<Self>]) -> Result<Self, StoreError> {
        let rows = runs.iter().map(|run| run.rows.len()).sum();
        let mut builder = Builder::new(rows, runs.iter().map(|run| run.text.len()).sum());
        let mut united = United::new(runs.first().map_or(&*NO_METADATA, |run| &run.metadata));
        let numbers: Result<Vec<_>, _> = runs.iter().map(|run| united.add(&run.metadata)).collect();
        let numbers = numbers?;
        if runs.is_sorted_by(|older, newer| older.bounds().1 <= newer.bounds().0) {
            for (run, numbers) in runs.iter().zip(&numbers) {
                builder.extend(run, numbers)?;
            }
        } else {
            let sourced = runs.iter().zip(&numbers);
            let rows = sourced
                .flat_map(|(run, numbers)| run.rows.iter().map(move |row| (run, numbers, row)));
            let mut rows: Vec<_> = rows.collect();
            // Stable, and quick on what is sorted runs.
            rows.sort_by_key(|(.., row)| row.timestamp);
            for (run, numbers, row) in rows {
                builder.push(row.timestamp, run.line(row), numbers[row.metadata as usize])?;
            }
        }
        let metadata_bytes = runs.iter().map(|run| run.metadata_bytes).sum();
        Ok(builder.finish(united.sets, metadata_bytes))
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn line(&self, row: &Row) -> &[u8] {
        let start = row.line_start as usize;
        &self.text[start..start + row.line_len as usize]
    }

    pub(crate) fn metadata(&self, row: &Row) -> &Metadata {
        &self.metadata[row.metadata as usize]
    }

    pub(crate) const fn bounds(&self) -> (Timestamp, Timestamp) {
        self.bounds
    }

    /// Which rows are in the range.
    pub(crate) fn rows_in(&self, range: TimeRange) -> Range<usize> {
        if range.covers(self.bounds.0, self.bounds.1) {
            return 0..self.rows.len();
        }
        let start = self.rows.partition_point(|row| row.timestamp < range.start);
        let end = self.rows.partition_point(|row| row.timestamp < range.end);
        start..end.max(start)
    }

    /// Bytes of the lines and the metadata of some rows.
    pub(crate) fn bytes_of(&self, rows: Range<usize>) -> u64 {
        let line_bytes = self.text_of(&rows).len();
        let metadata_total = if rows.len() == self.rows.len() {
            self.metadata_bytes
        } else if self.metadata.len() == 1 {
            0
        } else {
            self.rows[rows].iter().map(|row| self.metadata(row).text_bytes() as u64).sum()
        };
        u64::try_from(line_bytes).unwrap_or(u64::MAX) + metadata_total
    }

    fn text_of(&self, rows: &Range<usize>) -> Range<usize> {
        if rows.len() == self.rows.len() {
            return 0..self.text.len();
        }
        let start_of = |index| {
            self.rows.get(index).map_or(self.text.len(), |row: &Row| row.line_start as usize)
        };
        start_of(rows.start)..start_of(rows.end)
    }

    /// Whether an entry like this one is in the run.
    pub(crate) fn contains(&self, entry: &Entry<'_>) -> bool {
        let (first, last) = self.bounds();
        if entry.timestamp < first || entry.timestamp > last {
            return false;
        }
        let start = self.rows.partition_point(|row| row.timestamp < entry.timestamp);
        let rows = &self.rows[start..];
        let alike = &rows[..rows.partition_point(|row| row.timestamp == entry.timestamp)];
        if alike.len() > EQUAL_TIMESTAMPS_MAX {
            let hash = hash(entry.timestamp, entry.line);
            if !self.hashes.get_or_init(|| self.hash_rows()).contains(&hash) {
                return false;
            }
        }
        alike.iter().any(|row| self.line(row) == entry.line && self.has_metadata(row, entry))
    }

    fn has_metadata(&self, row: &Row, entry: &Entry<'_>) -> bool {
        is_set(self.metadata(row), entry.metadata)
    }

    fn hash_rows(&self) -> HashSet<u64> {
        self.rows.iter().map(|row| hash(row.timestamp, self.line(row))).collect()
    }

    /// All rows with everything; texts and metadata are shared.
    pub(crate) fn to_batch(&self) -> Batch {
        let (text, metadata) = (Arc::clone(&self.text), Arc::clone(&self.metadata));
        Batch { rows: self.rows.clone(), text, metadata, rows_scanned: 0, bytes_scanned: 0 }
    }

    /// Finds the rows in `range` whose line passes. See [`Chunk::select`](crate::Chunk::select).
    pub(crate) fn select(&self, range: TimeRange, predicate: &LinePredicate) -> Selection {
        let span = self.rows_in(range);
        // A run is at most 256 KiB of text or one line, so that its rows are few.
        let place = |row: usize| u32::try_from(row).unwrap_or(u32::MAX);
        let rows = if predicate.is_always() {
            Selected::Range(place(span.start)..place(span.end))
        } else {
            let mut passing = scan::select(&self.text, &self.rows[span.clone()], predicate);
            passing.iter_mut().for_each(|row| *row += place(span.start));
            Selected::These(passing)
        };
        Selection {
            rows,
            rows_scanned: u64::try_from(span.len()).unwrap_or(u64::MAX),
            bytes_scanned: u64::try_from(self.text_of(&span).len()).unwrap_or(u64::MAX),
        }
    }

    /// Reads a part of a selection. See [`Chunk::fetch`](crate::Chunk::fetch).
    pub(crate) fn fetch(
        &self,
        selection: &Selection,
        part: Range<usize>,
        columns: Columns,
    ) -> Batch {
        let rows = selection.rows.numbers(part);
        let rows = rows.iter().filter_map(|row| self.rows.get(*row as usize));
        let text = match columns.line {
            LineColumn::Text => Arc::clone(&self.text),
            LineColumn::None | LineColumn::Length => Arc::default(),
        };
        let metadata =
            if columns.metadata { Arc::clone(&self.metadata) } else { Arc::clone(&NO_METADATA) };
        let rows = rows.map(|row| project(row, columns)).collect();
        Batch { rows, text, metadata, rows_scanned: 0, bytes_scanned: 0 }
    }

    /// Reads the rows in `range` whose line passes. See [`Chunk::read`](crate::Chunk::read).
    #[cfg(test)]
    pub(crate) fn read(
        &self,
        range: TimeRange,
        predicate: &LinePredicate,
        columns: Columns,
    ) -> Batch {
        let selection = self.select(range, predicate);
        let batch = self.fetch(&selection, 0..selection.len(), columns);
        let Selection { rows_scanned, bytes_scanned, .. } = selection;
        Batch { rows_scanned, bytes_scanned, ..batch }
    }
}

/// The row with what was not asked for left out.
fn project(row: &Row, columns: Columns) -> Row {
    let (line_start, line_len) = match columns.line {
        LineColumn::None => (0, 0),
        LineColumn::Length => (0, row.line_len),
        LineColumn::Text => (row.line_start, row.line_len),
    };
    let metadata = if columns.metadata { row.metadata } else { 0 };
    Row { line_len, line_start, metadata, ..*row }
}

fn hash(timestamp: Timestamp, line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (timestamp, line).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(timestamp: Timestamp, line: &str) -> Entry<'_> {
        Entry { timestamp, line: line.as_bytes(), metadata: &[] }
    }

    fn run(entries: &[(Timestamp, &str)]) -> Arc<HeadRun> {
        let entries: Vec<_> = entries.iter().map(|&(time, line)| entry(time, line)).collect();
        HeadRun::build(&entries, None).next().unwrap().unwrap()
    }

    fn lines(run: &HeadRun) -> Vec<&str> {
        run.rows().iter().map(|row| std::str::from_utf8(run.line(row)).unwrap()).collect()
    }

    #[test]
    fn merging_keeps_time_and_arrival() {
        let runs = [
            run(&[(1, "a"), (3, "b"), (3, "c")]),
            run(&[(0, "d"), (3, "e"), (9, "f")]),
            run(&[(3, "g"), (4, "h")]),
        ];
        let merged = HeadRun::merge(&runs).unwrap();
        assert_eq!(lines(&merged), ["d", "a", "b", "c", "e", "g", "h", "f"]);
        let in_order = [run(&[(1, "a")]), run(&[(1, "b"), (2, "c")]), run(&[(2, "d")])];
        assert_eq!(lines(&HeadRun::merge(&in_order).unwrap()), ["a", "b", "c", "d"]);
    }

    #[test]
    fn merged_runs_have_each_set_once_and_share_it() {
        for count in [2, GROWING_SETS_MAX, 3 * GROWING_SETS_MAX] {
            // The second has one half of the sets of the first, and as many others.
            let sets = |numbers: Range<usize>| -> Vec<Vec<u8>> {
                let values = numbers.map(|number| "v".repeat(number));
                let bytes = |value: String| {
                    let mut bytes = Vec::new();
                    codec::put_pairs(&mut bytes, [("trace", &*value)].into_iter());
                    bytes
                };
                values.map(bytes).collect()
            };
            let (first, second) = (sets(0..count), sets(count / 2..count / 2 + count));
            let build = |sets: &[Vec<u8>], before| {
                let entry = |metadata| Entry { timestamp: 7, line: b"x", metadata };
                let entries: Vec<_> = sets.iter().map(|set| entry(&set[..])).collect();
                HeadRun::build(&entries, before).next().unwrap().unwrap()
            };
            let older = build(&first, None);
            let newer = build(&second, Some(&older));
            let merged = HeadRun::merge(&[older, newer]).unwrap();
            assert_eq!(merged.metadata.len(), 1 + count + count / 2);
            let expected = first.iter().chain(&second).map(|set| codec::metadata(set).unwrap());
            assert!(merged.rows().iter().map(|row| merged.metadata(row).clone()).eq(expected));
            let bytes = |sets: &[Vec<u8>]| sets.iter().map(|set| set.len() as u64 - 2).sum::<u64>();
            assert_eq!(merged.metadata_bytes, bytes(&first) + bytes(&second), "two lengths each");
        }
    }

    #[test]
    fn reads_respect_range_predicate_and_columns() {
        let run = run(&[(1, "alpha"), (2, "beta"), (3, "gamma"), (4, "alpha")]);
        let read =
            |columns| run.read(TimeRange::new(2, 5), &LinePredicate::contains(b"alp"), columns);
        let batch = read(Columns::ALL);
        assert_eq!((batch.rows_scanned(), batch.bytes_scanned()), (3, 14));
        let [row] = batch.rows() else { panic!("{batch:?}") };
        assert_eq!((row.timestamp, batch.line(row)), (4, &b"alpha"[..]));
        let batch = read(Columns { line: LineColumn::Length, metadata: false });
        assert_eq!((batch.rows()[0].line_len, batch.line(&batch.rows()[0])), (5, &b""[..]));
        assert_eq!(batch.metadata_sets().len(), 1);
    }

    #[test]
    fn rows_and_bytes_of_a_range() {
        let run = run(&[(1, "a"), (3, "bc"), (3, "def"), (7, "ghij")]);
        for (start, end) in (0..9).flat_map(|start| (start..9).map(move |end| (start, end))) {
            let rows = run.rows_in(TimeRange::new(start, end));
            let is_in = |row: &&Row| (start..end).contains(&row.timestamp);
            let expected: Vec<_> = run.rows().iter().filter(is_in).collect();
            assert_eq!(format!("{:?}", &run.rows()[rows.clone()]), format!("{expected:?}"));
            let bytes: u64 = expected.iter().map(|row| u64::from(row.line_len)).sum();
            assert_eq!(run.bytes_of(rows), bytes, "{start}..{end}");
        }
    }

    #[test]
    fn equal_entries_are_found_among_many_of_one_timestamp() {
        let texts: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let entries: Vec<_> = texts.iter().map(|text| entry(7, text)).collect();
        let run = HeadRun::build(&entries, None).next().unwrap().unwrap();
        assert!(entries.iter().all(|entry| run.contains(entry)));
        assert!(!run.contains(&entry(7, "100")) && !run.contains(&entry(8, "1")));
    }

    #[test]
    fn large_runs_are_cut_and_a_huge_line_has_its_own() {
        let huge = "x".repeat(RUN_BYTES_MAX + 1);
        let entries = [entry(1, "a"), entry(2, &huge), entry(3, "b")];
        let runs = HeadRun::build(&entries, None).map(|run| run.unwrap().rows().len());
        assert_eq!(runs.collect::<Vec<_>>(), [1, 1, 1]);
    }
}
