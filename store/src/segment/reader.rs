//! An open segment: what is in it, and where.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::chunk::SegmentChunk;
use super::codec::{Damage, Decoded};
use super::footer::{BlockEntry, Footer, slice};
use super::frame::FrameReader;
use super::index::LabelIndex;
use super::stream_table::{Stream, StreamTable};
use super::{SegmentMeta, VERSION};
use crate::io::{Mapped, Vfs};
use crate::{Labels, Matcher, Metadata, ReadScratch, StoreError, TenantId, TimeRange, Timestamp};

/// Up to so many streams matchers are tried one stream at a time, rather than asking the index.
///
/// Measured with six labels a stream: tried one at a time, a stream costs 0.05 µs a matcher, 0.1 µs
/// with a regular expression. The index answers `=` in 0.7 µs and a regular expression in 0.2 µs a
/// value, but takes 60 µs to open, and 3 KB and some 10 ms to build. With 65 streams that is 3.2 µs
/// against 0.7 µs for `=`, with 100,000 streams 7.8 ms against 0.1 ms.
pub(super) const DIRECT_STREAMS_MAX: usize = 64;

/// Numbers open segments, so that caches tell them apart.
static NEXT_IDENTITY: AtomicU64 = AtomicU64::new(0);

/// An open segment. Opening reads the header, the footer and the block directory; the stream table
/// and the label index are decoded when they are first needed and kept.
pub(crate) struct Segment {
    identity: u64,
    path: PathBuf,
    bytes: Mapped,
    footer: Footer,
    blocks: Vec<BlockEntry>,
    streams: OnceLock<StreamTable>,
    index: OnceLock<LabelIndex>,
}

/// A stream of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamEntry {
    /// Its labels.
    pub(crate) labels: Labels,
    /// Its rows, whatever the range.
    pub(crate) rows: u64,
    /// Bytes of its lines.
    pub(crate) line_bytes: u64,
    /// Bytes of names and values of its rows' metadata.
    pub(crate) metadata_bytes: u64,
    /// Its earliest timestamp.
    pub(crate) first: Timestamp,
    /// Its latest timestamp.
    pub(crate) last: Timestamp,
}

impl Segment {
    /// Opens a sealed segment.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] and [`StoreError::FutureFormat`]; what the file system refuses.
    pub(crate) fn open(vfs: &dyn Vfs, path: &Path) -> Result<Arc<Self>, StoreError> {
        let failed = |source| StoreError::Io { action: "open", path: path.to_owned(), source };
        Self::from_bytes(path, vfs.map(path).map_err(failed)?)
    }

    /// As [`open`](Self::open), of a file whose bytes are at hand.
    pub(super) fn from_bytes(path: &Path, bytes: Mapped) -> Result<Arc<Self>, StoreError> {
        let (footer, blocks) = Footer::read(path, &bytes)?;
        Ok(Arc::new(Self {
            identity: NEXT_IDENTITY.fetch_add(1, Ordering::Relaxed),
            path: path.to_owned(),
            bytes,
            footer,
            blocks,
            streams: OnceLock::new(),
            index: OnceLock::new(),
        }))
    }

    /// How much there is in it.
    pub(crate) const fn meta(&self) -> &SegmentMeta {
        &self.footer.meta
    }

    /// The streams that pass every matcher and have a run that overlaps the range, by labels.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged stream table or label index.
    pub(crate) fn series(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<StreamEntry>, StoreError> {
        let mut entries = Vec::new();
        self.each_selected(tenant, selector, range, |stream| {
            let runs = stream.runs()?;
            if runs.iter().any(|run| range.overlaps(run.first, run.last)) {
                entries.push(StreamEntry::new(&stream)?);
            }
            Ok(())
        })?;
        Ok(entries)
    }

    /// Appends the chunks of the streams that pass every matcher whose time bounds overlap the range:
    /// stream by stream, by ascending time within a stream.
    ///
    /// # Errors
    /// As [`series`](Self::series).
    pub(crate) fn chunks(
        self: &Arc<Self>,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
        out: &mut Vec<SegmentChunk>,
    ) -> Result<(), StoreError> {
        self.each_selected(tenant, selector, range, |stream| {
            let labels = stream.labels()?;
            let runs = stream.runs()?;
            let overlapping = runs.into_iter().filter(|run| range.overlaps(run.first, run.last));
            out.extend(overlapping.map(|run| SegmentChunk {
                segment: Arc::clone(self),
                labels: labels.clone(),
                run,
            }));
            Ok(())
        })
    }

    /// A tenant's streams by labels, each with its chunks by ascending time.
    ///
    /// # Errors
    /// As [`series`](Self::series).
    pub(crate) fn whole_streams(
        self: &Arc<Self>,
        tenant: &TenantId,
    ) -> Result<Vec<(Labels, Vec<SegmentChunk>)>, StoreError> {
        let table = self.streams()?;
        let whole = |ordinal| {
            let stream = table.stream(ordinal)?;
            let (labels, runs) = (stream.labels()?, stream.runs()?);
            let chunk =
                |run| SegmentChunk { segment: Arc::clone(self), labels: labels.clone(), run };
            Ok((labels.clone(), runs.into_iter().map(chunk).collect()))
        };
        let streams: Decoded<Vec<_>> = table.of_tenant(tenant).map(whole).collect();
        streams.map_err(|damage| self.table_damage(damage))
    }

    /// The latest timestamp of a stream; `None` when it is not there.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged stream table.
    pub(crate) fn newest(
        &self,
        tenant: &TenantId,
        labels: &Labels,
    ) -> Result<Option<Timestamp>, StoreError> {
        let found = self.streams()?.find(tenant, labels);
        let found = found.map_err(|damage| self.table_damage(damage))?;
        Ok(found.map(|stream| stream.totals.last))
    }

    /// Whether a stream has a row of exactly this time, line and metadata.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged stream table or block.
    pub(crate) fn contains(
        self: &Arc<Self>,
        tenant: &TenantId,
        labels: &Labels,
        timestamp: Timestamp,
        line: &[u8],
        metadata: &Metadata,
        scratch: &mut ReadScratch,
    ) -> Result<bool, StoreError> {
        let damage = |damage| self.table_damage(damage);
        let Some(stream) = self.streams()?.find(tenant, labels).map_err(damage)? else {
            return Ok(false);
        };
        if timestamp < stream.totals.first || timestamp > stream.totals.last {
            return Ok(false);
        }
        for run in stream.runs().map_err(damage)? {
            if run.first <= timestamp && timestamp <= run.last {
                let (segment, labels) = (Arc::clone(self), Labels::default());
                let chunk = SegmentChunk { segment, labels, run };
                if chunk.contains(timestamp, line, metadata, &mut scratch.segment)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The names of the labels of a tenant's streams, whatever the time.
    ///
    /// # Errors
    /// As [`series`](Self::series).
    pub(crate) fn label_names(&self, tenant: &TenantId) -> Result<BTreeSet<String>, StoreError> {
        let table = self.streams()?;
        if self.asks_index(table, tenant) {
            return self.index()?.names(tenant).map_err(|error| self.index_damage(&error));
        }
        self.collect(table, tenant, |names, name, _| {
            names.insert(name.to_owned());
        })
    }

    /// The values that the label `name` has in a tenant's streams, whatever the time.
    ///
    /// # Errors
    /// As [`series`](Self::series).
    pub(crate) fn label_values(
        &self,
        tenant: &TenantId,
        name: &str,
    ) -> Result<BTreeSet<String>, StoreError> {
        let table = self.streams()?;
        if self.asks_index(table, tenant) {
            return self.index()?.values(tenant, name).map_err(|error| self.index_damage(&error));
        }
        self.collect(table, tenant, |values, other, value| {
            if other == name {
                values.insert(value.to_owned());
            }
        })
    }

    /// The tenants that have a stream here, ascending.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged stream table.
    pub(crate) fn tenants(&self) -> Result<impl Iterator<Item = &TenantId>, StoreError> {
        Ok(self.streams()?.tenants().iter().map(|(tenant, _)| tenant))
    }

    pub(super) const fn identity(&self) -> u64 {
        self.identity
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn block(&self, number: u32) -> Result<&BlockEntry, StoreError> {
        self.blocks.get(number as usize).ok_or_else(|| {
            self.table_damage(Damage(format!("block {number} of {}", self.blocks.len())))
        })
    }

    /// Calls back with the streams that pass and whose time bounds overlap the range, in order.
    fn each_selected<'s>(
        &'s self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
        mut each: impl FnMut(Stream<'s>) -> Decoded<()>,
    ) -> Result<(), StoreError> {
        let meta = self.meta();
        if meta.rows == 0 || !range.overlaps(meta.first, meta.last) {
            return Ok(());
        }
        let table = self.streams()?;
        for ordinal in self.select(table, tenant, selector)? {
            let visit = table.stream(ordinal).and_then(|stream| {
                match range.overlaps(stream.totals.first, stream.totals.last) {
                    true => each(stream),
                    false => Ok(()),
                }
            });
            visit.map_err(|damage| self.table_damage(damage))?;
        }
        Ok(())
    }

    /// The ordinals, ascending, of the tenant's streams that pass every matcher.
    ///
    /// The index narrows the choice down to few streams, by the matchers it answers cheapest; the
    /// matchers it was not needed for are then tried on those.
    pub(super) fn select(
        &self,
        table: &StreamTable,
        tenant: &TenantId,
        selector: &[Matcher],
    ) -> Result<Vec<u32>, StoreError> {
        let all = table.of_tenant(tenant);
        if selector.is_empty() || all.is_empty() {
            return Ok(all.collect());
        }
        if !self.asks_index(table, tenant) {
            return self.retain(table, all.collect(), selector);
        }
        let selected = self.index()?.select(tenant, all, selector);
        let (candidates, rest) = selected.map_err(|error| self.index_damage(&error))?;
        self.retain(table, candidates, &rest)
    }

    /// Whether the tenant has so many streams that the index, where there is one, is worth asking.
    fn asks_index(&self, table: &StreamTable, tenant: &TenantId) -> bool {
        table.of_tenant(tenant).len() > DIRECT_STREAMS_MAX && !self.footer.index.is_empty()
    }

    /// What `each` gathers from the labels of a tenant's streams.
    fn collect(
        &self,
        table: &StreamTable,
        tenant: &TenantId,
        each: impl Fn(&mut BTreeSet<String>, &str, &str),
    ) -> Result<BTreeSet<String>, StoreError> {
        let mut found = BTreeSet::new();
        for ordinal in table.of_tenant(tenant) {
            let stream = table.stream(ordinal).map_err(|damage| self.table_damage(damage))?;
            stream.pairs().for_each(|(name, value)| each(&mut found, name, value));
        }
        Ok(found)
    }

    fn retain<M: Borrow<Matcher>>(
        &self,
        table: &StreamTable,
        mut ordinals: Vec<u32>,
        matchers: &[M],
    ) -> Result<Vec<u32>, StoreError> {
        if matchers.is_empty() {
            return Ok(ordinals);
        }
        let mut damage = None;
        ordinals.retain(|ordinal| match table.stream(*ordinal) {
            Ok(stream) => matchers.iter().all(|matcher| stream.passes(matcher.borrow())),
            Err(found) => {
                damage = Some(found);
                false
            }
        });
        damage.map_or(Ok(ordinals), |damage| Err(self.table_damage(damage)))
    }

    /// The stream table. Two threads that need it first at the same time both decode it; that is
    /// rare, and keeps readers from waiting for each other.
    pub(super) fn streams(&self) -> Result<&StreamTable, StoreError> {
        if let Some(streams) = self.streams.get() {
            return Ok(streams);
        }
        let (footer, mut raw) = (&self.footer, Vec::new());
        let streams = slice(&self.bytes, footer.streams_offset, u64::from(footer.streams.stored))
            .and_then(|stored| FrameReader::default().read(footer.streams, stored, &mut raw))
            .and_then(|()| StreamTable::decode(raw, footer.meta.streams, &self.blocks))
            .map_err(|damage| self.table_damage(damage))?;
        Ok(self.streams.get_or_init(|| streams))
    }

    fn index(&self) -> Result<&LabelIndex, StoreError> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let streams = self.footer.meta.streams;
        let index = LabelIndex::open(&self.bytes, &self.footer.index, streams)
            .map_err(|damage| damage.at(&self.path, "label index", self.index_offset()))?;
        Ok(self.index.get_or_init(|| index))
    }

    /// Checks the label index, where there is one.
    pub(super) fn verify_index(&self) -> Result<(), StoreError> {
        if self.footer.index.is_empty() { Ok(()) } else { self.index().map(drop) }
    }

    fn index_offset(&self) -> u64 {
        self.footer.index.first().map_or(0, |file| file.offset)
    }

    fn index_damage(&self, error: &tantivy::TantivyError) -> StoreError {
        Damage(error.to_string()).at(&self.path, "label index", self.index_offset())
    }

    fn table_damage(&self, damage: Damage) -> StoreError {
        damage.at(&self.path, "stream table", self.footer.streams_offset)
    }
}

impl StreamEntry {
    fn new(stream: &Stream<'_>) -> Decoded<Self> {
        let totals = stream.totals;
        Ok(Self {
            labels: stream.labels()?,
            rows: totals.rows,
            line_bytes: totals.line_bytes,
            metadata_bytes: totals.metadata_bytes,
            first: totals.first,
            last: totals.last,
        })
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("path", &self.path)
            .field("version", &VERSION)
            .field("meta", self.meta())
            .finish_non_exhaustive()
    }
}
