//! Entries on their way in ([`WriteBatch`]) and out ([`Batch`]).

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::codec::{self, Reader};
use crate::projection;
use crate::{InvalidLabels, Labels, Metadata, Timestamp};

/// Entries of one tenant to be appended together: all of them become durable and visible, or none.
///
/// ```
/// use timberline_store::{Labels, WriteBatch};
///
/// # fn main() -> Result<(), timberline_store::InvalidLabels> {
/// let mut batch = WriteBatch::new();
/// batch.stream(&Labels::from_pairs([("app", "shop")])?);
/// batch.push(1_700_000_000_000_000_000, b"order 17 paid", &[("trace", "4f2a")])?;
/// batch.push(1_700_000_000_000_000_001, b"order 18 refused", &[])?;
/// batch.stream(&Labels::from_pairs([("app", "cart")])?);
/// batch.push(1_700_000_000_000_000_002, b"cart 4 emptied", &[])?;
/// assert_eq!(batch.len(), 3);
/// # Ok(())
/// # }
/// ```
///
/// The batch is kept in the form of its write-ahead-log record, so that appending copies each line only
/// twice more: to the log's queue and to the head.
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    /// Items as [`items`] reads them.
    bytes: Vec<u8>,
    entries: usize,
    has_stream: bool,
    /// The last entry's, which the next one's is told from; 0 before the first.
    timestamp: Timestamp,
}

/// Begins a stream: behind it the length of the labels and the labels.
const STREAM: u8 = 1;
/// An entry without metadata: behind it the timestamp's difference to that of the entry before (zigzag,
/// wrapping, 0 before the first), the line's length and the line.
const ENTRY: u8 = 2;
/// An entry as above, then the length of its metadata and the metadata.
const ENTRY_WITH_METADATA: u8 = 3;

impl WriteBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a stream: entries pushed from now on belong to it. A stream may be begun more than once.
    pub fn stream(&mut self, labels: &Labels) {
        self.has_stream = true;
        self.bytes.push(STREAM);
        self.sized(|bytes| codec::put_pairs(bytes, labels.iter()));
    }

    /// Adds an entry to the stream begun last. `metadata` in any order.
    ///
    /// # Errors
    /// A metadata name that is there twice; the entry is then not added.
    ///
    /// # Panics
    /// When no stream was begun.
    pub fn push(
        &mut self,
        timestamp: Timestamp,
        line: &[u8],
        metadata: &[(&str, &str)],
    ) -> Result<(), InvalidLabels> {
        assert!(self.has_stream, "an entry before the first stream");
        if metadata.is_empty() {
            self.entry(ENTRY, timestamp, line);
            return Ok(());
        }
        if metadata.windows(2).all(|pair| pair[0].0 < pair[1].0) {
            self.entry_with(timestamp, line, metadata);
            return Ok(());
        }
        let mut sorted = metadata.to_vec();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(InvalidLabels::Duplicate(twice[0].0.to_owned()));
        }
        self.entry_with(timestamp, line, &sorted);
        Ok(())
    }

    /// Adds an entry with metadata in order.
    fn entry_with(&mut self, timestamp: Timestamp, line: &[u8], metadata: &[(&str, &str)]) {
        self.entry(ENTRY_WITH_METADATA, timestamp, line);
        self.sized(|bytes| codec::put_pairs(bytes, metadata.iter().copied()));
    }

    fn entry(&mut self, tag: u8, timestamp: Timestamp, line: &[u8]) {
        self.bytes.push(tag);
        let difference = timestamp.wrapping_sub(self.timestamp);
        codec::put_varint(&mut self.bytes, codec::zigzag(difference));
        codec::put_bytes(&mut self.bytes, line);
        self.timestamp = timestamp;
        self.entries += 1;
    }

    /// Appends what `put` appends, behind its length.
    fn sized(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        // The length is known last but stands first. Most take a byte.
        let place = self.bytes.len();
        self.bytes.push(0);
        put(&mut self.bytes);
        match u8::try_from(self.bytes.len() - place - 1) {
            Ok(len @ 0..0x80) => self.bytes[place] = len,
            _ => {
                let put = self.bytes.split_off(place);
                codec::put_bytes(&mut self.bytes, &put[1..]);
            }
        }
    }

    /// Makes room for so many bytes of lines, labels and metadata, so that the batch does not grow step by step.
    pub fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the entries, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        (self.entries, self.has_stream, self.timestamp) = (0, false, 0);
    }

    /// How many bytes of lines, labels and metadata there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The items in the form of the log.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The items. Their labels and metadata are not looked at: this batch has made them itself.
    pub(crate) fn items(&self) -> Items<'_> {
        Items { is_checked: true, ..items(&self.bytes) }
    }
}

/// One part of a batch in the form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// Entries from here on belong to the stream with these labels, for [`codec::labels`].
    Stream(&'a [u8]),
    /// An entry of the stream begun last.
    Entry(Entry<'a>),
}

/// An entry as the log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) timestamp: Timestamp,
    pub(crate) line: &'a [u8],
    /// For [`codec::metadata`]. The same set always has the same bytes; no metadata has none.
    pub(crate) metadata: &'a [u8],
}

/// The items of a batch in the form of the log. Ends with an `Err` at the first byte that is no item.
pub(crate) fn items(bytes: &[u8]) -> Items<'_> {
    let reader = Reader::new(bytes);
    Items { reader, timestamp: 0, has_stream: false, metadata: &[], is_checked: false }
}

/// See [`items`].
#[derive(Debug)]
pub(crate) struct Items<'a> {
    reader: Reader<'a>,
    timestamp: Timestamp,
    has_stream: bool,
    /// The last that was seen to be right: most entries have that of the one before.
    metadata: &'a [u8],
    /// All labels and metadata are known to be right.
    is_checked: bool,
}

/// Bytes that are no batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadBatch;

impl<'a> Items<'a> {
    fn item(&mut self) -> Option<Item<'a>> {
        match self.reader.u8()? {
            STREAM => {
                let labels = self.reader.bytes()?;
                self.check(labels)?;
                self.has_stream = true;
                Some(Item::Stream(labels))
            }
            tag @ (ENTRY | ENTRY_WITH_METADATA) if self.has_stream => {
                let difference = codec::unzigzag(self.reader.varint()?);
                self.timestamp = self.timestamp.wrapping_add(difference);
                let line = self.reader.bytes()?;
                let mut metadata: &[u8] = &[];
                if tag == ENTRY_WITH_METADATA {
                    metadata = self.reader.bytes()?;
                    if metadata != self.metadata {
                        self.check(metadata)?;
                        self.metadata = metadata;
                    }
                }
                Some(Item::Entry(Entry { timestamp: self.timestamp, line, metadata }))
            }
            _ => None,
        }
    }

    /// `None` for bytes that are no pairs.
    fn check(&self, pairs: &[u8]) -> Option<()> {
        (self.is_checked || codec::pairs(pairs).all(|pair| pair.is_some())).then_some(())
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, BadBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let item = self.item().ok_or(BadBatch);
        if item.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(item)
    }
}

/// What of a line is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineColumn {
    /// Nothing: only how many rows there are and when.
    None,
    /// Its length in bytes.
    Length,
    /// Its bytes.
    Text,
}

/// Which columns a read fills in. Timestamps always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// What of the line.
    pub line: LineColumn,
    /// Whether structured metadata is wanted.
    pub metadata: bool,
}

impl Columns {
    /// Timestamps alone.
    pub const TIMESTAMPS: Self = Self { line: LineColumn::None, metadata: false };
    /// All there is.
    pub const ALL: Self = Self { line: LineColumn::Text, metadata: true };
}

/// One entry in a [`Batch`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Row {
    /// When.
    pub timestamp: Timestamp,
    /// The line's length in bytes; 0 where the line was not asked for.
    pub line_len: u32,
    pub(crate) line_start: u32,
    /// Which of [`Batch::metadata_sets`] the entry has; 0 where metadata was not asked for.
    pub metadata: u32,
    /// The number of the [`Projection`](crate::Projection) by which values were read instead of the line,
    /// which [`Batch::values`] then gives; `None` where the line is whole.
    pub projection: Option<NonZeroU32>,
}

/// Rows of one chunk that passed, by ascending time; equal timestamps in the order of arrival.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(crate) rows: Vec<Row>,
    pub(crate) text: Arc<Vec<u8>>,
    pub(crate) metadata: Arc<Vec<Metadata>>,
    /// Rows that were looked at, before the predicate.
    pub(crate) rows_scanned: u64,
    /// Bytes of lines that were looked at, before the predicate.
    pub(crate) bytes_scanned: u64,
}

impl Batch {
    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The bytes of a row's line; empty where [`LineColumn::Text`] was not asked for. Of a row with a
    /// projection, bytes that are the same for the same values.
    #[must_use]
    pub fn line(&self, row: &Row) -> &[u8] {
        let start = row.line_start as usize;
        self.text.get(start..start + row.line_len as usize).unwrap_or_default()
    }

    /// The values of a row with a projection, in the order of its slots.
    pub fn values(&self, row: &Row) -> impl Iterator<Item = &[u8]> {
        projection::values(self.line(row))
    }

    /// The distinct metadata sets that rows refer to. Set 0 is there even when no row has it.
    #[must_use]
    pub fn metadata_sets(&self) -> &[Metadata] {
        &self.metadata
    }

    /// A row's metadata; empty where metadata was not asked for.
    #[must_use]
    pub fn metadata(&self, row: &Row) -> Metadata {
        self.metadata.get(row.metadata as usize).cloned().unwrap_or_default()
    }

    /// Bytes of the names and values of all rows' metadata; 0 where metadata was not asked for.
    #[must_use]
    pub fn metadata_bytes(&self) -> u64 {
        let (sets, rows) = (self.metadata_sets(), self.rows());
        let bytes = |set: &Metadata| set.text_bytes() as u64;
        if sets.iter().all(Metadata::is_empty) {
            return 0;
        }
        // A batch knows the sets of its whole group, which may be far more than its rows.
        if sets.len() > rows.len() {
            return rows.iter().filter_map(|row| sets.get(row.metadata as usize)).map(bytes).sum();
        }
        let bytes: Vec<u64> = sets.iter().map(bytes).collect();
        rows.iter().filter_map(|row| bytes.get(row.metadata as usize)).sum()
    }

    /// Rows that were looked at, before the predicate.
    #[must_use]
    pub const fn rows_scanned(&self) -> u64 {
        self.rows_scanned
    }

    /// Bytes of lines that were looked at, before the predicate.
    #[must_use]
    pub const fn bytes_scanned(&self) -> u64 {
        self.bytes_scanned
    }
}

/// Decoded blocks and buffers that one reading thread keeps from chunk to chunk, so that chunks that
/// share a block decode it once.
#[derive(Debug, Default)]
pub struct ReadScratch {
    /// What segments keep between reads.
    pub(crate) segment: crate::segment::SegmentScratch,
}

impl ReadScratch {
    /// Empty buffers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of segments that were read with it since this was last asked, compressed as they are: those of
    /// columns, each as often as it was decompressed. Entries in memory have none.
    pub const fn take_stored_bytes(&mut self) -> u64 {
        self.segment.take_stored_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(name: &str, value: &str) -> Labels {
        Labels::from_pairs([(name, value)]).unwrap()
    }

    #[test]
    fn a_batch_reads_back_as_pushed() {
        let mut batch = WriteBatch::new();
        batch.stream(&labels("app", "x"));
        batch.push(i64::MAX, b"first", &[]).unwrap();
        batch.push(i64::MIN, b"", &[("b", "2"), ("a", "")]).unwrap();
        let read: Vec<_> = items(batch.as_bytes()).map(Result::unwrap).collect();
        let [Item::Stream(stream), Item::Entry(first), Item::Entry(second)] = read[..] else {
            panic!("{read:?}");
        };
        assert_eq!(codec::labels(stream).unwrap(), labels("app", "x"));
        assert_eq!(first, Entry { timestamp: i64::MAX, line: b"first", metadata: b"" });
        assert_eq!((second.timestamp, second.line), (i64::MIN, &b""[..]));
        let metadata = Labels::metadata([("a", ""), ("b", "2")]).unwrap();
        assert_eq!(codec::metadata(second.metadata).unwrap(), metadata);
    }

    #[test]
    fn sets_of_any_length_read_back() {
        for len in (0..300).chain([16_383, 16_384, 20_000]) {
            let (mut batch, set) = (WriteBatch::new(), labels("a", &"x".repeat(len)));
            batch.stream(&set);
            batch.push(1, b"line", &[]).unwrap();
            let read: Vec<_> = items(batch.as_bytes()).map(Result::unwrap).collect();
            let [Item::Stream(stream), Item::Entry(entry)] = read[..] else { panic!("{read:?}") };
            assert_eq!((codec::labels(stream).unwrap(), entry.line), (set, &b"line"[..]));
        }
    }

    #[test]
    fn a_metadata_name_twice_leaves_the_batch_as_it_was() {
        let mut batch = WriteBatch::new();
        batch.stream(&labels("app", "x"));
        let before = batch.as_bytes().to_vec();
        assert!(batch.push(1, b"x", &[("a", "1"), ("a", "2")]).is_err());
        assert_eq!((batch.as_bytes(), batch.len()), (&before[..], 0));
    }

    #[test]
    fn a_cleared_batch_begins_anew() {
        let mut batch = WriteBatch::new();
        batch.stream(&labels("app", "x"));
        batch.push(5, b"x", &[]).unwrap();
        let first = batch.as_bytes().to_vec();
        batch.clear();
        assert!(batch.is_empty());
        batch.stream(&labels("app", "x"));
        batch.push(5, b"x", &[]).unwrap();
        assert_eq!(batch.as_bytes(), first);
    }

    #[test]
    fn cut_batches_end_in_an_error_or_at_an_item() {
        let mut batch = WriteBatch::new();
        batch.stream(&labels("app", "x"));
        batch.push(1 << 40, b"some line", &[("trace", "7")]).unwrap();
        for cut in 1..batch.as_bytes().len() {
            let read: Vec<_> = items(&batch.as_bytes()[..cut]).collect();
            assert!(read.len() <= 2 && (read.last().unwrap().is_err() || read.len() == 1));
        }
        assert_eq!(items(&[ENTRY, 0, 0]).next(), Some(Err(BadBatch)), "no stream");
    }
}
