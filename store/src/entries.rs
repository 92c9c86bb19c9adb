//! The entries of a view one by one, by time, whatever stream and chunk they are in.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::{
    Batch, Chunk, Columns, Labels, LinePredicate, Metadata, ReadScratch, Selection, StoreError,
    TimeRange, Timestamp,
};

/// How many rows of a chunk are read at once.
const ROWS_PER_FETCH: usize = 1024;

/// One line with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// When.
    pub timestamp: Timestamp,
    /// The labels of its stream.
    pub labels: Labels,
    /// The line's bytes, as they were appended.
    pub line: Vec<u8>,
    /// Its structured metadata.
    pub metadata: Metadata,
}

impl Entry {
    /// The line as text; what is no UTF-8 is replaced by U+FFFD.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.line)
    }
}

/// An [`Entry`] that is lent: until the next is asked for, or as long as the [`Entries`] are not touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryRef<'a> {
    /// When.
    pub timestamp: Timestamp,
    /// The labels of its stream.
    pub labels: &'a Labels,
    /// The line's bytes, as they were appended.
    pub line: &'a [u8],
    /// Its structured metadata.
    pub metadata: &'a Metadata,
}

impl<'a> EntryRef<'a> {
    /// The line as text; what is no UTF-8 is replaced by U+FFFD.
    #[must_use]
    pub fn text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.line)
    }

    /// The entry for keeps: the line is copied.
    #[must_use]
    pub fn to_entry(&self) -> Entry {
        Entry {
            timestamp: self.timestamp,
            labels: self.labels.clone(),
            line: self.line.to_vec(),
            metadata: self.metadata.clone(),
        }
    }
}

/// Entries by time: an iterator that [`Snapshot::entries`](crate::Snapshot::entries) gives.
///
/// The oldest come first, or the newest after [`newest_first`](Self::newest_first). Entries of one stream
/// with one timestamp come in the order of their arrival, or the reverse. Reads a chunk when its time has
/// come, and holds about a thousand entries of each chunk that overlaps the moment; stop early and the
/// rest is never read.
///
/// A chunk that is damaged gives an error, and the iteration goes on with the others.
///
/// As an iterator it gives entries for keeps, each with a copy of its line; [`next_ref`](Self::next_ref) lends
/// them without.
///
/// ```
/// use timberline_store::{Labels, LinePredicate, Matcher, Store, TenantId, TimeRange, WriteBatch};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let store = Store::open(directory.path())?;
/// let tenant = TenantId::default();
/// let mut batch = WriteBatch::new();
/// batch.stream(&Labels::from_pairs([("app", "shop")])?);
/// for (second, line) in [(1, "order 17 paid"), (2, "order 18 refused"), (3, "order 19 paid")] {
///     batch.push(second * 1_000_000_000, line.as_bytes(), &[])?;
/// }
/// store.append(&tenant, &batch)?;
///
/// let shop = [Matcher::equal("app", "shop")];
/// let paid = store.entries(&tenant, &shop, TimeRange::ALL)?
///     .matching(LinePredicate::contains(b"paid"))
///     .newest_first();
/// let lines: Result<Vec<String>, _> = paid.map(|entry| Ok(entry?.text().into_owned())).collect();
/// # let lines: Result<Vec<String>, timberline_store::StoreError> = lines;
/// assert_eq!(lines?, ["order 19 paid", "order 17 paid"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Entries {
    range: TimeRange,
    predicate: LinePredicate,
    is_newest_first: bool,
    /// Not opened yet; with what is next at the end, once the iteration has begun.
    waiting: Vec<(Chunk, usize)>,
    has_begun: bool,
    open: Vec<Option<OpenChunk>>,
    /// The next entry of each open chunk, the first of all at the top.
    next: BinaryHeap<Next>,
    /// The chunk of the entry that was given last, which is to go on before the next is.
    given: Option<usize>,
    /// What entries have that have none.
    no_metadata: Metadata,
    scratch: ReadScratch,
}

/// The order of entries, greatest first: time, then the place of the chunk, either reversed; and which
/// open chunk it is.
type Next = (Timestamp, isize, usize);

/// A chunk that has come to its turn.
#[derive(Debug)]
struct OpenChunk {
    chunk: Chunk,
    order: usize,
    selection: Selection,
    /// Rows of the selection that were not fetched yet.
    left: std::ops::Range<usize>,
    batch: Batch,
    /// Rows of the batch that were not given yet.
    rows: std::ops::Range<usize>,
}

impl Entries {
    pub(crate) fn new(chunks: Vec<Chunk>, range: TimeRange) -> Self {
        let waiting = chunks.into_iter().enumerate().map(|(order, chunk)| (chunk, order));
        Self {
            range,
            predicate: LinePredicate::Always,
            is_newest_first: false,
            waiting: waiting.collect(),
            has_begun: false,
            open: Vec::new(),
            next: BinaryHeap::new(),
            given: None,
            no_metadata: Metadata::default(),
            scratch: ReadScratch::new(),
        }
    }

    /// Only the entries whose line passes. To be said before the first entry is taken.
    #[must_use]
    pub fn matching(mut self, predicate: LinePredicate) -> Self {
        self.predicate = predicate;
        self
    }

    /// The newest first. To be said before the first entry is taken.
    #[must_use]
    pub fn newest_first(mut self) -> Self {
        self.is_newest_first = true;
        self
    }

    /// The next entry, lent instead of copied. [`Iterator::next`] goes on behind it, and the other way round.
    ///
    /// # Errors
    /// Damage: the entries of that chunk are missing, those of others follow.
    ///
    /// ```
    /// use timberline_store::{Labels, Store, TenantId, TimeRange, WriteBatch};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// let store = Store::open(directory.path())?;
    /// let tenant = TenantId::default();
    /// let mut batch = WriteBatch::new();
    /// batch.stream(&Labels::from_pairs([("app", "shop")])?);
    /// batch.push(1_700_000_000_000_000_000, b"order 17 paid", &[])?;
    /// batch.push(1_700_000_001_000_000_000, b"order 18 refused", &[])?;
    /// store.append(&tenant, &batch)?;
    ///
    /// let (mut entries, mut bytes) = (store.entries(&tenant, &[], TimeRange::ALL)?, 0);
    /// while let Some(entry) = entries.next_ref() {
    ///     let entry = entry?;
    ///     assert_eq!(entry.labels.get("app"), Some("shop"));
    ///     bytes += entry.line.len();
    /// }
    /// assert_eq!(bytes, 29);
    /// # Ok(())
    /// # }
    /// ```
    pub fn next_ref(&mut self) -> Option<Result<EntryRef<'_>, StoreError>> {
        self.begin();
        // What is damaged behind the last entry is told behind it.
        let mut outcome = self.given.take().map_or(Ok(()), |number| self.advance(number));
        while outcome.is_ok() && self.is_due() {
            outcome = self.open_next();
        }
        if let Err(error) = outcome {
            return Some(Err(error));
        }
        let (.., number) = self.next.pop()?;
        self.given = Some(number);
        let open = self.open[number].as_mut()?;
        let row = open.take(self.is_newest_first);
        let row = &open.batch.rows()[row];
        let metadata = open.batch.metadata_sets().get(row.metadata as usize);
        Some(Ok(EntryRef {
            timestamp: row.timestamp,
            labels: open.chunk.labels(),
            line: open.batch.line(row),
            metadata: metadata.unwrap_or(&self.no_metadata),
        }))
    }

    /// Sorts the chunks so that the one whose turn comes first is the last.
    fn begin(&mut self) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        if self.is_newest_first {
            self.waiting.sort_by_key(|(chunk, order)| (chunk.time_bounds().1, *order));
        } else {
            self.waiting.sort_by_key(|(chunk, order)| Reverse((chunk.time_bounds().0, *order)));
        }
    }

    /// Where an entry stands in the order.
    fn key(&self, timestamp: Timestamp, order: usize) -> (Timestamp, isize) {
        // `!` turns an order round, and has no number that it cannot turn.
        let order = order as isize;
        if self.is_newest_first { (timestamp, order) } else { (!timestamp, !order) }
    }

    /// Whether a chunk that waits may have an entry before all of those that are open.
    fn is_due(&self) -> bool {
        let Some((chunk, order)) = self.waiting.last() else { return false };
        let (first, last) = chunk.time_bounds();
        let earliest = if self.is_newest_first { last } else { first };
        let due = self.key(earliest, *order);
        self.next.peek().is_none_or(|(timestamp, order, _)| due >= (*timestamp, *order))
    }

    fn open_next(&mut self) -> Result<(), StoreError> {
        let Some((chunk, order)) = self.waiting.pop() else { return Ok(()) };
        let selection = chunk.select(self.range, &self.predicate, &mut self.scratch)?;
        let left = 0..selection.len();
        let batch = Batch::default();
        self.open.push(Some(OpenChunk { chunk, order, selection, left, batch, rows: 0..0 }));
        self.advance(self.open.len() - 1)
    }

    /// Puts the next entry of an open chunk into the order; closes the chunk at its end.
    fn advance(&mut self, number: usize) -> Result<(), StoreError> {
        let Some(mut open) = self.open[number].take() else { return Ok(()) };
        if open.rows.is_empty() && !open.fetch(self.is_newest_first, &mut self.scratch)? {
            return Ok(());
        }
        let row = &open.batch.rows()[open.at(self.is_newest_first)];
        let (timestamp, order) = self.key(row.timestamp, open.order);
        self.next.push((timestamp, order, number));
        self.open[number] = Some(open);
        Ok(())
    }
}

impl OpenChunk {
    /// The row of the batch that is next.
    const fn at(&self, is_newest_first: bool) -> usize {
        if is_newest_first { self.rows.end - 1 } else { self.rows.start }
    }

    /// Reads on; whether there was something.
    fn fetch(
        &mut self,
        is_newest_first: bool,
        scratch: &mut ReadScratch,
    ) -> Result<bool, StoreError> {
        let count = self.left.len().min(ROWS_PER_FETCH);
        let part = if is_newest_first {
            self.left.end -= count;
            self.left.end..self.left.end + count
        } else {
            self.left.start += count;
            self.left.start - count..self.left.start
        };
        if part.is_empty() {
            return Ok(false);
        }
        self.batch = self.chunk.fetch(&self.selection, part, Columns::ALL, scratch)?;
        self.rows = 0..self.batch.rows().len();
        Ok(!self.rows.is_empty())
    }

    /// Takes the next row off.
    const fn take(&mut self, is_newest_first: bool) -> usize {
        let row = self.at(is_newest_first);
        if is_newest_first {
            self.rows.end -= 1;
        } else {
            self.rows.start += 1;
        }
        row
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_ref().map(|entry| entry.map(|entry| entry.to_entry()))
    }
}
