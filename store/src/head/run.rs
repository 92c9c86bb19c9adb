//! A run: some entries of one stream, sorted, and not changed while readers share it.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::{Arc, LazyLock, OnceLock};

use foldhash::{HashMap, HashMapExt};

use crate::batch::Entry;
use crate::chunk::{Selected, Selection};
use crate::{
    Batch, Columns, LineColumn, LinePredicate, Metadata, Row, StoreError, TimeRange, Timestamp,
    codec, scan,
};

/// The most text in a run, but for one that is a single longer line.
pub(crate) const RUN_BYTES_MAX: usize = 256 << 10;

/// A run that is not smaller does not grow: of what a usual push has for a stream nothing is copied again.
pub(super) const SMALL_RUN_BYTES: usize = 16 << 10;

/// A run of more distinct sets of metadata does not grow: each new entry's is compared with all of them.
const GROWING_SETS_MAX: usize = 16;

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
    text: Arc<Vec<u8>>,
    /// The distinct sets; the first is the empty one.
    metadata: Arc<Vec<Metadata>>,
    metadata_bytes: u64,
    /// Hashes of the entries, made when first asked for.
    hashes: OnceLock<HashSet<u64>>,
}

/// The sets of a run without metadata: most have none, and small ones are many.
static NO_METADATA: LazyLock<Arc<Vec<Metadata>>> =
    LazyLock::new(|| Arc::new(vec![Metadata::default()]));

/// Puts a run together from entries that come in order.
#[derive(Debug)]
struct Builder {
    rows: Vec<Row>,
    text: Vec<u8>,
    /// The distinct sets behind the empty one.
    metadata: Vec<Metadata>,
    metadata_bytes: u64,
    /// How many bytes each set has, that of none in front.
    set_bytes: Vec<u64>,
    sets: HashMap<Metadata, u32>,
}

impl Builder {
    fn new(rows: usize, text_bytes: usize) -> Self {
        Self {
            rows: Vec::with_capacity(rows),
            text: Vec::with_capacity(text_bytes),
            metadata: Vec::new(),
            metadata_bytes: 0,
            set_bytes: vec![0],
            sets: HashMap::new(),
        }
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
        self.metadata_bytes += self.set_bytes[metadata as usize];
        self.rows.push(row);
        Ok(())
    }

    /// Adds all of a run, whose sets have these numbers here.
    fn extend(&mut self, run: &HeadRun, sets: &[u32]) -> Result<(), StoreError> {
        let start = to_u32(self.text.len())?;
        to_u32(self.text.len() + run.text.len())?;
        self.text.extend_from_slice(&run.text);
        self.metadata_bytes += run.metadata_bytes;
        self.rows.extend(run.rows.iter().map(|row| Row {
            line_start: row.line_start + start,
            metadata: sets[row.metadata as usize],
            ..*row
        }));
        Ok(())
    }

    /// The set's number here.
    fn set(&mut self, metadata: &Metadata) -> Result<u32, StoreError> {
        if metadata.is_empty() {
            return Ok(0);
        }
        if let Some(&number) = self.sets.get(metadata) {
            return Ok(number);
        }
        self.metadata.push(metadata.clone());
        self.set_bytes.push(metadata.text_bytes() as u64);
        let number = to_u32(self.metadata.len())?;
        self.sets.insert(metadata.clone(), number);
        Ok(number)
    }

    fn finish(mut self) -> HeadRun {
        let metadata = match self.metadata.is_empty() {
            true => Arc::clone(&NO_METADATA),
            false => {
                self.metadata.insert(0, Metadata::default());
                Arc::new(self.metadata)
            }
        };
        HeadRun {
            rows: self.rows,
            text: Arc::new(self.text),
            metadata,
            metadata_bytes: self.metadata_bytes,
            hashes: OnceLock::new(),
        }
    }
}

/// Makes room for more, and for a quarter of what is there then: little is held in vain, and what comes one by one is
/// copied a few times.
fn make_room<T>(values: &mut Vec<T>, more: usize) {
    if values.capacity() - values.len() < more {
        values.reserve_exact(more + (values.len() + more) / 4);
    }
}

fn to_u32(value: usize) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|_| StoreError::Invalid(format!("{value} bytes in one run")))
}

impl HeadRun {
    /// Runs of entries that come by ascending time; none where there are no entries.
    pub(crate) fn build(mut entries: &[Entry<'_>]) -> Result<Vec<Arc<Self>>, StoreError> {
        let mut runs = Vec::new();
        while !entries.is_empty() {
            let (mut count, mut bytes) = (0, 0);
            for entry in entries {
                if count > 0 && bytes + entry.line.len() > RUN_BYTES_MAX {
                    break;
                }
                bytes += entry.line.len();
                count += 1;
            }
            let (now, later) = entries.split_at(count);
            runs.push(Arc::new(Self::build_one(now, bytes)?));
            entries = later;
        }
        Ok(runs)
    }

    fn build_one(entries: &[Entry<'_>], text_bytes: usize) -> Result<Self, StoreError> {
        let mut builder = Builder::new(entries.len(), text_bytes);
        // Entries of one sender often share their set, and neighbours most of all: the bytes tell without
        // building it again.
        let mut sets: HashMap<&[u8], u32> = HashMap::new();
        let mut last: (&[u8], u32) = (&[], 0);
        for entry in entries {
            if entry.metadata != last.0 {
                let set = match sets.get(entry.metadata) {
                    _ if entry.metadata.is_empty() => 0,
                    Some(&set) => set,
                    None => {
                        let set = builder.set(&codec::metadata(entry.metadata)?)?;
                        sets.insert(entry.metadata, set);
                        set
                    }
                };
                last = (entry.metadata, set);
            }
            builder.push(entry.timestamp, entry.line, last.1)?;
        }
        Ok(builder.finish())
    }

    /// Adds entries that come by ascending time, if the run is small and has none that are newer, and nobody reads
    /// it. Returns by how many bytes of lines and metadata it grew.
    pub(super) fn grow(&mut self, entries: &[Entry<'_>]) -> Result<Option<u64>, StoreError> {
        let Some(first) = entries.first() else { return Ok(Some(0)) };
        let is_behind = first.timestamp >= self.bounds().1;
        if self.weight() >= SMALL_RUN_BYTES || !is_behind {
            return Ok(None);
        }
        let line_bytes: usize = entries.iter().map(|entry| entry.line.len()).sum();
        let has_room = self.text.len() + line_bytes <= RUN_BYTES_MAX;
        if !has_room || Arc::get_mut(&mut self.text).is_none() {
            return Ok(None);
        }
        let sets_before = self.metadata.len();
        let Some(sets) = self.sets_of(entries)? else {
            if self.metadata.len() > sets_before {
                Arc::make_mut(&mut self.metadata).truncate(sets_before);
            }
            return Ok(None);
        };
        let Some(text) = Arc::get_mut(&mut self.text) else { return Ok(None) };
        make_room(text, line_bytes);
        make_room(&mut self.rows, entries.len());
        let mut metadata_bytes = 0;
        for (entry, metadata) in entries.iter().zip(sets) {
            // A run is far below 4 GiB.
            let (line_start, line_len) = (text.len() as u32, entry.line.len() as u32);
            let timestamp = entry.timestamp;
            self.rows.push(Row { timestamp, line_len, line_start, metadata, projection: None });
            text.extend_from_slice(entry.line);
            metadata_bytes += self.metadata[metadata as usize].text_bytes() as u64;
        }
        self.metadata_bytes += metadata_bytes;
        if let Some(hashes) = self.hashes.get_mut() {
            hashes.extend(entries.iter().map(|entry| hash(entry.timestamp, entry.line)));
        }
        Ok(Some(line_bytes as u64 + metadata_bytes))
    }

    /// The number of each entry's set, which is added where it is new; `None` where they are too many.
    fn sets_of(&mut self, entries: &[Entry<'_>]) -> Result<Option<Vec<u32>>, StoreError> {
        let mut sets = Vec::with_capacity(entries.len());
        let mut last: (&[u8], u32) = (&[], 0);
        for entry in entries {
            if entry.metadata != last.0 {
                let Some(set) = self.set(entry.metadata)? else { return Ok(None) };
                last = (entry.metadata, set);
            }
            sets.push(last.1);
        }
        Ok(Some(sets))
    }

    fn set(&mut self, metadata: &[u8]) -> Result<Option<u32>, StoreError> {
        let set = codec::metadata(metadata)?;
        let number = match self.metadata.iter().position(|known| *known == set) {
            Some(number) => number,
            None if self.metadata.len() > GROWING_SETS_MAX => return Ok(None),
            None => {
                Arc::make_mut(&mut self.metadata).push(set);
                self.metadata.len() - 1
            }
        };
        to_u32(number).map(Some)
    }

    /// Its size in memory, about. Rows count too: empty lines must not pile up.
    pub(super) fn weight(&self) -> usize {
        self.text_bytes() + size_of_val(self.rows())
    }

    /// One run of both. Of equal timestamps those of `older` come first.
    pub(crate) fn merge(older: &Self, newer: &Self) -> Result<Self, StoreError> {
        let mut builder =
            Builder::new(older.rows.len() + newer.rows.len(), older.text.len() + newer.text.len());
        let mut sets: [Vec<u32>; 2] = [Vec::new(), Vec::new()];
        for (sets, run) in sets.iter_mut().zip([older, newer]) {
            for metadata in run.metadata.iter() {
                sets.push(builder.set(metadata)?);
            }
        }
        if older.bounds().1 <= newer.bounds().0 {
            builder.extend(older, &sets[0])?;
            builder.extend(newer, &sets[1])?;
            return Ok(builder.finish());
        }
        let mut newer_rows = newer.rows.iter().peekable();
        for row in &older.rows {
            while let Some(first) = newer_rows.next_if(|next| next.timestamp < row.timestamp) {
                builder.push(
                    first.timestamp,
                    newer.line(first),
                    sets[1][first.metadata as usize],
                )?;
            }
            builder.push(row.timestamp, older.line(row), sets[0][row.metadata as usize])?;
        }
        for row in newer_rows {
            builder.push(row.timestamp, newer.line(row), sets[1][row.metadata as usize])?;
        }
        Ok(builder.finish())
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

    pub(crate) fn bounds(&self) -> (Timestamp, Timestamp) {
        let first = self.rows.first().map_or(0, |row| row.timestamp);
        (first, self.rows.last().map_or(0, |row| row.timestamp))
    }

    /// Which rows are in the range.
    pub(crate) fn rows_in(&self, range: TimeRange) -> Range<usize> {
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
        let metadata = self.metadata(row);
        match codec::read_pairs(entry.metadata) {
            Some(pairs) => metadata.iter().eq(pairs),
            None => false,
        }
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
        HeadRun::build(&entries).unwrap().remove(0)
    }

    fn lines(run: &HeadRun) -> Vec<&str> {
        run.rows().iter().map(|row| std::str::from_utf8(run.line(row)).unwrap()).collect()
    }

    #[test]
    fn merging_keeps_time_and_arrival() {
        let merged =
            HeadRun::merge(&run(&[(1, "a"), (3, "b"), (3, "c")]), &run(&[(0, "d"), (3, "e")]));
        assert_eq!(lines(&merged.unwrap()), ["d", "a", "b", "c", "e"]);
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
    fn equal_entries_are_found_among_many_of_one_timestamp() {
        let texts: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let entries: Vec<_> = texts.iter().map(|text| entry(7, text)).collect();
        let run = HeadRun::build(&entries).unwrap().remove(0);
        assert!(entries.iter().all(|entry| run.contains(entry)));
        assert!(!run.contains(&entry(7, "100")) && !run.contains(&entry(8, "1")));
    }

    #[test]
    fn large_runs_are_cut_and_a_huge_line_has_its_own() {
        let huge = "x".repeat(RUN_BYTES_MAX + 1);
        let runs = HeadRun::build(&[entry(1, "a"), entry(2, &huge), entry(3, "b")]).unwrap();
        assert_eq!(runs.iter().map(|run| run.rows().len()).collect::<Vec<_>>(), [1, 1, 1]);
    }
}
