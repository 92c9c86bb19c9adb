//! A consistent view of the store: which streams there are, and their entries in chunks.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::chunk::Source;
use crate::deletes::{Hidden, HiddenHere, Hiding};
use crate::head::{HeadStream, HeadView};
use crate::search::{ChunkSource, CrowdedSegment};
use crate::segment::{Segment, StreamEntry};
use crate::view::{LiveSegment, View};
use crate::{
    Batch, Chunk, Columns, Entries, Labels, LineColumn, LinePredicate, Matcher, ReadScratch,
    StoreError, TenantId, TimeRange, Timestamp,
};

/// A view of everything acknowledged before it was taken, unchanged by what comes after.
///
/// Holds the head's runs and the segments it sees alive; drop it soon.
///
/// ```
/// use timberline_store::{Store, TenantId, TimeRange};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use timberline_store::{Labels, WriteBatch};
/// # let directory = tempfile::tempdir()?;
/// # let (store, tenant) = (Store::open(directory.path())?, TenantId::default());
/// # let mut batch = WriteBatch::new();
/// # batch.stream(&Labels::from_pairs([("app", "shop")])?);
/// # batch.push(1_700_000_000_000_000_000, b"order 17 paid", &[])?;
/// # store.append(&tenant, &batch)?;
/// let snapshot = store.snapshot();
/// let apps = snapshot.label_values(&tenant, "app", &[], TimeRange::ALL)?;
/// assert!(apps.contains("shop"));
/// assert_eq!(snapshot.stats(&tenant, &[], TimeRange::ALL)?.entries, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The oldest first: arrival goes from the segments over these to the last.
    heads: Vec<HeadView>,
    segments: Arc<Vec<LiveSegment>>,
    hidden: Hidden,
    warnings: Arc<Vec<String>>,
    damaged_reads: Arc<AtomicU64>,
    /// Segments found damaged while this view was read, by id.
    damaged: Arc<Mutex<BTreeMap<u64, String>>>,
    /// Damage that cost no answer.
    spared: Arc<Mutex<BTreeSet<String>>>,
    stop: Stop,
}

/// Says that reading is to end; `None` never.
#[derive(Clone, Default)]
struct Stop(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stop").field(&self.0.is_some()).finish()
    }
}

/// How much there is of what a selector names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// Streams with an entry in the range.
    pub streams: u64,
    /// Chunks with an entry in the range.
    pub chunks: u64,
    /// Entries in the range, exact.
    pub entries: u64,
    /// Bytes of lines and metadata of those entries.
    pub bytes: u64,
}

impl Snapshot {
    /// The same view, whose calls end with [`StoreError::Stopped`] where `stop` says so. It is asked again and
    /// again while one looks for streams and chunks, from any thread; chunks that were found do not ask.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use timberline_store::{Store, StoreError, TenantId, TimeRange};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let (store, tenant) = (Store::open(directory.path())?, TenantId::default());
    /// let gone = Arc::new(AtomicBool::new(false));
    /// let is_gone = Arc::clone(&gone);
    /// let snapshot = store.snapshot().stopped_when(move || is_gone.load(Ordering::Relaxed));
    /// assert!(snapshot.series(&tenant, &[], TimeRange::ALL)?.is_empty());
    /// gone.store(true, Ordering::Relaxed);
    /// let stopped = snapshot.series(&tenant, &[], TimeRange::ALL);
    /// assert!(matches!(stopped, Err(StoreError::Stopped)));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn stopped_when(mut self, stop: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.stop = Stop(Some(Arc::new(stop)));
        self
    }

    fn go_on(&self) -> Result<(), StoreError> {
        let is_to_stop = self.stop.0.as_ref().is_some_and(|stop| stop());
        if is_to_stop { Err(StoreError::Stopped) } else { Ok(()) }
    }

    /// The label sets of the streams that pass every matcher and have an entry in the range, sorted.
    ///
    /// # Errors
    /// Damage and refusals of the file system.
    pub fn series(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<Labels>, StoreError> {
        let mut labels: BTreeSet<Labels> = BTreeSet::new();
        for live in self.overlapping(range) {
            self.add_series(live, tenant, selector, range, &mut labels)?;
        }
        self.go_on()?;
        labels.extend(self.head_series(tenant, selector, range));
        Ok(labels.into_iter().collect())
    }

    /// The names of the labels of those streams.
    ///
    /// # Errors
    /// As [`series`](Self::series).
    pub fn label_names(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
    ) -> Result<BTreeSet<String>, StoreError> {
        let (mut names, series) =
            self.texts_and_series(tenant, selector, range, |segment| segment.label_names(tenant))?;
        // Sets first, texts after: streams share their names.
        let of_series = series.iter().flat_map(Labels::iter).map(|(name, _)| name);
        names.extend(of_series.collect::<BTreeSet<_>>().into_iter().map(str::to_owned));
        Ok(names)
    }

    /// The values that the label `name` has in those streams.
    ///
    /// # Errors
    /// As [`series`](Self::series).
    pub fn label_values(
        &self,
        tenant: &TenantId,
        name: &str,
        selector: &[Matcher],
        range: TimeRange,
    ) -> Result<BTreeSet<String>, StoreError> {
        let (mut values, series) = self.texts_and_series(tenant, selector, range, |segment| {
            segment.label_values(tenant, name)
        })?;
        let of_series = series.iter().filter_map(|labels| labels.get(name));
        values.extend(of_series.collect::<BTreeSet<_>>().into_iter().map(str::to_owned));
        Ok(values)
    }

    /// How much there is in the range.
    ///
    /// # Errors
    /// As [`series`](Self::series).
    pub fn stats(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
    ) -> Result<IndexStats, StoreError> {
        let mut tally = Tally::default();
        for (live, entries) in self.segment_streams(tenant, selector, range)? {
            self.tally_segment(&mut tally, live, tenant, selector, range, entries)?;
        }
        self.go_on()?;
        for (stream, range) in self.head_streams(tenant, selector, range) {
            for run in stream.runs.iter() {
                let rows = run.rows_in(range);
                let entries = u64::try_from(rows.len()).unwrap_or(u64::MAX);
                tally.add(&stream.labels, entries, run.bytes_of(rows));
            }
        }
        Ok(tally.into_stats())
    }

    /// The chunks that may have entries in the range, of the streams that pass every matcher.
    ///
    /// Chunks of one stream may overlap in time. Entries of one stream with the same timestamp arrived
    /// in the order of their chunks here, and within a chunk in the order of its rows. No entry is in
    /// two chunks, and no two entries of a stream are alike in timestamp, line and metadata.
    ///
    /// # Errors
    /// As [`series`](Self::series). A damaged segment does not fail the call: it is left out, reported
    /// in [`warnings`](Self::warnings).
    pub fn chunks(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<Chunk>, StoreError> {
        let mut chunks = Vec::new();
        for live in self.segments.iter() {
            chunks.extend(self.segment_chunks(live, tenant, selector, range)?);
        }
        chunks.extend(self.head_chunks(tenant, selector, range));
        Ok(chunks)
    }

    /// The same chunks in the same order, in parts: where a segment has very many, they are found only by
    /// [searching](ChunkSource::search) a part of it for lines, which spares a look at those without.
    ///
    /// # Errors
    /// As [`chunks`](Self::chunks).
    pub fn chunk_sources(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<ChunkSource>, StoreError> {
        let mut sources = Vec::new();
        for live in self.overlapping(range) {
            match self.or_damaged(live, live.segment.crowd(tenant, selector))? {
                Some(crowd) => {
                    let (snapshot, live, tenant) = (self.clone(), live.clone(), tenant.clone());
                    let segment = CrowdedSegment { snapshot, live, tenant, crowd, range };
                    sources.extend(ChunkSource::of_groups(segment));
                }
                None => {
                    let chunks = self.segment_chunks(live, tenant, selector, range)?;
                    sources.push(ChunkSource::known(chunks));
                }
            }
        }
        sources.push(ChunkSource::known(self.head_chunks(tenant, selector, range)));
        Ok(sources)
    }

    /// The entries of the streams that pass every matcher, in the range, by time. An empty selector
    /// selects every stream.
    ///
    /// # Errors
    /// As [`chunks`](Self::chunks); damage that is found later comes as an item.
    pub fn entries(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
    ) -> Result<Entries, StoreError> {
        Ok(Entries::new(self.chunks(tenant, selector, range)?, range))
    }

    /// What is missing from this view or damaged in it, in sentences for people: segments set aside, parts that
    /// could not be read, label indexes and filters that could not be asked.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.segments.iter().for_each(|live| self.note_spared_damage(live));
        let (damaged, spared) = (self.damaged.lock(), self.spared.lock());
        self.warnings.iter().chain(damaged.values()).chain(&*spared).cloned().collect()
    }

    /// The view at the time of day `now`.
    pub(crate) fn of(view: &View, now: Timestamp) -> Self {
        let (deletes, retention) = (Arc::clone(&view.deletes), Arc::clone(&view.retention));
        let frozen = view.frozen.as_ref().map(|frozen| frozen.head.view());
        Self {
            heads: frozen.into_iter().chain([view.head.view()]).collect(),
            segments: Arc::clone(&view.segments),
            hidden: Hidden { deletes, retention, now },
            warnings: Arc::clone(&view.warnings),
            damaged_reads: Arc::clone(&view.damaged_reads),
            damaged: Arc::default(),
            spared: Arc::default(),
            stop: Stop::default(),
        }
    }

    /// The head's streams that pass, each with that part of the range that is not past its retention.
    fn head_streams(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
    ) -> Vec<(&HeadStream, TimeRange)> {
        let retention = self.hidden.retention.of(tenant);
        let kept = |stream: &HeadStream| match retention {
            Some(retention) => {
                let cutoff = retention.cutoff(&stream.labels, self.hidden.now);
                TimeRange::new(range.start.max(cutoff), range.end)
            }
            None => range,
        };
        let streams = self.heads.iter().flat_map(|head| head.select(tenant, selector));
        streams.map(|stream| (stream, kept(stream))).collect()
    }

    /// What is hidden of a tenant's entries in a segment.
    pub(crate) fn hidden_in(&self, live: &LiveSegment, tenant: &TenantId) -> HiddenHere<'_> {
        let meta = live.segment.meta();
        self.hidden.here(tenant, live.level, meta.first, meta.last)
    }

    /// The labels of the head's streams that pass and have an entry in the range. Some may come twice.
    fn head_series(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
    ) -> impl Iterator<Item = Labels> {
        let streams = self.head_streams(tenant, selector, range).into_iter();
        let in_range = streams.filter(move |(stream, range)| {
            stream.runs.iter().any(|run| !run.rows_in(*range).is_empty())
        });
        in_range.map(|(stream, _)| stream.labels.clone())
    }

    /// Adds the labels of a segment's streams that pass and have an entry in the range.
    fn add_series(
        &self,
        live: &LiveSegment,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
        labels: &mut BTreeSet<Labels>,
    ) -> Result<(), StoreError> {
        self.go_on()?;
        let mut unsure: HashSet<Labels> = HashSet::new();
        let here = self.hidden_in(live, tenant);
        for entry in self.or_damaged(live, live.segment.series(tenant, selector, range))? {
            let has_bound_in = range.contains(entry.first) || range.contains(entry.last);
            match here.of(&entry.labels, entry.first, entry.last) {
                // With a bound in the range there is an entry in it; else it may have a hole there.
                Hiding::Nothing if has_bound_in => drop(labels.insert(entry.labels)),
                Hiding::Nothing | Hiding::Some(_) => drop(unsure.insert(entry.labels)),
                Hiding::Everything => {}
            }
        }
        unsure.retain(|stream| !labels.contains(stream));
        if !unsure.is_empty() {
            labels.extend(self.with_rows(live, tenant, selector, range, &unsure)?);
        }
        Ok(())
    }

    /// What `of_segment` says of the segments that are in the range as a whole, for which no stream need
    /// be looked at when all of them are meant, and the series of the rest.
    fn texts_and_series(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
        of_segment: impl Fn(&Segment) -> Result<BTreeSet<String>, StoreError>,
    ) -> Result<(BTreeSet<String>, BTreeSet<Labels>), StoreError> {
        let (mut texts, mut series) = (BTreeSet::new(), BTreeSet::new());
        for live in self.overlapping(range) {
            let meta = live.segment.meta();
            self.go_on()?;
            let is_whole =
                range.covers(meta.first, meta.last) && self.hidden_in(live, tenant).is_nothing();
            if selector.is_empty() && is_whole {
                // Appending merges, where extending looks for the place of each.
                texts.append(&mut self.or_damaged(live, of_segment(&live.segment))?);
            } else {
                self.add_series(live, tenant, selector, range, &mut series)?;
            }
        }
        self.go_on()?;
        series.extend(self.head_series(tenant, selector, range));
        Ok((texts, series))
    }

    /// The streams of each segment whose bounds meet the range.
    fn segment_streams(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<(&LiveSegment, Vec<StreamEntry>)>, StoreError> {
        let mut found = Vec::new();
        for live in self.overlapping(range) {
            self.go_on()?;
            let streams = live.segment.series(tenant, selector, range);
            found.push((live, self.or_damaged(live, streams)?));
        }
        Ok(found)
    }

    fn segment_chunks(
        &self,
        live: &LiveSegment,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<Chunk>, StoreError> {
        self.go_on()?;
        let meta = live.segment.meta();
        let mut chunks = Vec::new();
        if range.overlaps(meta.first, meta.last) {
            let outcome = live.segment.chunks(tenant, selector, range, &mut chunks);
            self.or_damaged(live, outcome)?;
        }
        let here = self.hidden_in(live, tenant);
        let seen = |chunk| self.seen(Source::Segment(chunk), &here);
        Ok(chunks.into_iter().filter_map(seen).collect())
    }

    fn head_chunks(&self, tenant: &TenantId, selector: &[Matcher], range: TimeRange) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let here = self.hidden.here(tenant, u64::MAX, Timestamp::MIN, Timestamp::MAX);
        for (stream, range) in self.head_streams(tenant, selector, range) {
            for run in stream.runs.iter().filter(|run| !run.rows_in(range).is_empty()) {
                let (labels, run) = (stream.labels.clone(), Arc::clone(run));
                chunks.extend(self.seen(Source::Head { labels, run }, &here));
            }
        }
        chunks
    }

    /// A chunk with what is hidden of it; `None` when all is.
    pub(crate) fn seen(&self, source: Source, here: &HiddenHere<'_>) -> Option<Chunk> {
        let (first, last) = source.time_bounds();
        let mask = match here.of(source.labels(), first, last) {
            Hiding::Nothing => None,
            Hiding::Some(mask) => Some(mask),
            Hiding::Everything => return None,
        };
        let damaged_reads = Arc::clone(&self.damaged_reads);
        Some(Chunk::new(source, mask, damaged_reads))
    }

    fn overlapping(&self, range: TimeRange) -> impl Iterator<Item = &LiveSegment> {
        self.segments
            .iter()
            .filter(move |live| range.overlaps(live.segment.meta().first, live.segment.meta().last))
    }

    /// Takes damage for nothing found, and takes note of it.
    pub(crate) fn or_damaged<T: Default>(
        &self,
        live: &LiveSegment,
        outcome: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match outcome {
            Err(error @ StoreError::Corrupt { .. }) => {
                self.damaged.lock().insert(live.id, error.to_string());
                self.damaged_reads.fetch_add(1, Ordering::Relaxed);
                Ok(T::default())
            }
            other => {
                self.note_spared_damage(live);
                other
            }
        }
    }

    /// Takes note of damage that costs no answer, once a view: of label indexes and filters that could not be
    /// asked.
    fn note_spared_damage(&self, live: &LiveSegment) {
        for told in live.segment.spared_damage() {
            if self.spared.lock().insert(told) {
                self.damaged_reads.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Which of the streams have an entry in the range in that segment, by reading timestamps.
    fn with_rows(
        &self,
        live: &LiveSegment,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
        streams: &HashSet<Labels>,
    ) -> Result<HashSet<Labels>, StoreError> {
        let (mut found, mut scratch) = (HashSet::new(), ReadScratch::new());
        for chunk in self.segment_chunks(live, tenant, selector, range)? {
            let labels = chunk.labels();
            if !streams.contains(labels) || found.contains(labels) {
                continue;
            }
            self.go_on()?;
            let read = chunk.read(range, &LinePredicate::Always, Columns::TIMESTAMPS, &mut scratch);
            if !self.or_damaged(live, read)?.rows().is_empty() {
                found.insert(labels.clone());
            }
        }
        Ok(found)
    }

    /// Counts a segment: from its tables for streams that are in the range as a whole, else by reading.
    fn tally_segment(
        &self,
        tally: &mut Tally,
        live: &LiveSegment,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
        streams: Vec<StreamEntry>,
    ) -> Result<(), StoreError> {
        let mut whole: HashSet<Labels> = HashSet::new();
        let here = self.hidden_in(live, tenant);
        let is_whole = |stream: &StreamEntry| {
            let hiding = here.of(&stream.labels, stream.first, stream.last);
            range.covers(stream.first, stream.last) && matches!(hiding, Hiding::Nothing)
        };
        for stream in streams.into_iter().filter(is_whole) {
            let bytes = stream.line_bytes + stream.metadata_bytes;
            tally.add_stream(&stream.labels, stream.rows, bytes);
            whole.insert(stream.labels);
        }
        let columns = Columns { line: LineColumn::Length, metadata: true };
        let mut scratch = ReadScratch::new();
        for chunk in self.segment_chunks(live, tenant, selector, range)? {
            if whole.contains(chunk.labels()) {
                tally.stats.chunks += 1;
                continue;
            }
            self.go_on()?;
            let read = chunk.read(range, &LinePredicate::Always, columns, &mut scratch);
            let batch = self.or_damaged(live, read)?;
            let entries = u64::try_from(batch.rows().len()).unwrap_or(u64::MAX);
            tally.add(chunk.labels(), entries, batch_bytes(&batch));
        }
        Ok(())
    }
}

/// Bytes of the lines and the metadata of a batch.
fn batch_bytes(batch: &Batch) -> u64 {
    let lines: u64 = batch.rows().iter().map(|row| u64::from(row.line_len)).sum();
    lines + batch.metadata_bytes()
}

/// Counts for [`Snapshot::stats`].
#[derive(Debug, Default)]
struct Tally {
    stats: IndexStats,
    streams: HashSet<Labels>,
}

impl Tally {
    /// A chunk's part in the range.
    fn add(&mut self, labels: &Labels, entries: u64, bytes: u64) {
        if entries > 0 {
            self.stats.chunks += 1;
            self.add_stream(labels, entries, bytes);
        }
    }

    /// Entries whose chunks are counted elsewhere.
    fn add_stream(&mut self, labels: &Labels, entries: u64, bytes: u64) {
        if !self.streams.contains(labels) {
            self.streams.insert(labels.clone());
        }
        self.stats.entries += entries;
        self.stats.bytes += bytes;
    }

    fn into_stats(self) -> IndexStats {
        IndexStats { streams: u64::try_from(self.streams.len()).unwrap_or(u64::MAX), ..self.stats }
    }
}
