//! An open segment: what is in it, and where.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::chunk::SegmentChunk;
use super::codec::{Damage, Decoded};
use super::footer::{Footer, slice};
use super::frame::{Frame, FrameReader};
use super::group::{Group, GroupEntry, GroupScratch, OpenGroups};
use super::index::{self, LabelIndex};
use super::minutes::{Minute, MinuteTable};
use super::stream_table::{Stream, StreamTable};
use super::template::Lazy;
use super::v1::BlockEntry;
use super::{SegmentMeta, table_cache};
use crate::io::{Mapped, Vfs};
use crate::{
    Labels, LinePredicate, Matcher, Metadata, Needle, ReadScratch, StoreError, TenantId, TimeRange,
    Timestamp,
};

/// Up to so many streams matchers are tried one stream at a time, rather than asking the index.
///
/// Measured with six labels a stream: tried one at a time, a stream costs 0.05 µs a matcher, 0.1 µs
/// with a regular expression. The index answers `=` in 0.7 µs and a regular expression in 0.2 µs a
/// value, but takes 60 µs to open, and 3 KB and some 10 ms to build. With 65 streams that is 3.2 µs
/// against 0.7 µs for `=`, with 100,000 streams 7.8 ms against 0.1 ms.
pub(super) const DIRECT_STREAMS_MAX: usize = 64;

/// What errors call the label index.
const LABEL_INDEX: &str = "label index";

/// Numbers open segments, so that caches tell them apart.
static NEXT_IDENTITY: AtomicU64 = AtomicU64::new(0);

/// An open segment. Opening reads the header, the footer and the block directory; the rest is decoded
/// when it is first needed, and kept: stream tables as long as others do not need the room.
pub(crate) struct Segment {
    identity: u64,
    path: PathBuf,
    bytes: Mapped,
    version: u32,
    footer: Footer,
    parts: Parts,
    /// Per group, set once its filter's checksum was seen to be right.
    filters_checked: Box<[OnceLock<()>]>,
    open_groups: OpenGroups,
    minutes: Lazy<MinuteTable>,
    index: OnceLock<LabelIndex>,
    /// What is wrong with the index, once something was found to be. It is not asked any more then.
    index_damage: OnceLock<Damage>,
    /// The first filter that is damaged, by the group's number.
    filter_damage: OnceLock<(u32, Damage)>,
}

/// Where the rows of a segment are.
#[derive(Debug)]
pub(super) enum Parts {
    /// In version 1.
    Blocks(Vec<BlockEntry>),
    Groups(Vec<GroupEntry>),
}

impl Parts {
    /// How many rows each has.
    fn rows(&self) -> Vec<u32> {
        match self {
            Self::Blocks(blocks) => blocks.iter().map(|block| block.rows).collect(),
            Self::Groups(groups) => groups.iter().map(|group| group.rows).collect(),
        }
    }
}

/// A stream's labels, and its chunks by ascending time.
type WholeStream = (Labels, Vec<SegmentChunk>);

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
        let (version, footer, parts) = Footer::read(path, &bytes)?;
        let filters_checked = match &parts {
            Parts::Blocks(_) => Box::default(),
            Parts::Groups(groups) => groups.iter().map(|_| OnceLock::new()).collect(),
        };
        Ok(Arc::new(Self {
            identity: NEXT_IDENTITY.fetch_add(1, Ordering::Relaxed),
            path: path.to_owned(),
            bytes,
            version,
            footer,
            parts,
            filters_checked,
            open_groups: OpenGroups::default(),
            minutes: Lazy::default(),
            index: OnceLock::new(),
            index_damage: OnceLock::new(),
            filter_damage: OnceLock::new(),
        }))
    }

    /// How much there is in it.
    pub(crate) const fn meta(&self) -> &SegmentMeta {
        &self.footer.meta
    }

    /// The streams that pass every matcher and have a run that overlaps the range, by labels.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged stream table.
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
            let overlapping =
                stream.numbered_runs()?.filter(|(_, run)| range.overlaps(run.first, run.last));
            out.extend(overlapping.map(|(number, run)| SegmentChunk {
                segment: Arc::clone(self),
                labels: labels.clone(),
                run,
                number,
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
    ) -> Result<impl Iterator<Item = Result<WholeStream, StoreError>>, StoreError> {
        let table = self.streams()?;
        let ordinals = table.of_tenant(tenant);
        let whole = move |ordinal| {
            let stream = table.stream(ordinal)?;
            let (labels, runs) = (stream.labels()?, stream.numbered_runs()?);
            let chunk = |(number, run)| {
                let (segment, labels) = (Arc::clone(self), labels.clone());
                SegmentChunk { segment, labels, run, number }
            };
            Ok((labels.clone(), runs.map(chunk).collect()))
        };
        let streams = ordinals.map(whole);
        Ok(streams.map(|stream| stream.map_err(|damage| self.table_damage(damage))))
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
        let table = self.streams()?;
        let found = table.find(tenant, labels);
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
        let table = self.streams()?;
        let Some(stream) = table.find(tenant, labels).map_err(damage)? else {
            return Ok(false);
        };
        if timestamp < stream.totals.first || timestamp > stream.totals.last {
            return Ok(false);
        }
        for (number, run) in stream.numbered_runs().map_err(damage)? {
            if run.first <= timestamp && timestamp <= run.last {
                let (segment, labels) = (Arc::clone(self), Labels::default());
                let chunk = SegmentChunk { segment, labels, run, number };
                if chunk.contains(timestamp, line, metadata, scratch)? {
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
        if let Some(names) = self.ask_index(|index| index.names(tenant)) {
            return Ok(names);
        }
        self.collect(tenant, |names, name, _| {
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
        if let Some(values) = self.ask_index(|index| index.values(tenant, name)) {
            return Ok(values);
        }
        self.collect(tenant, |values, other, value| {
            if other == name {
                values.insert(value.to_owned());
            }
        })
    }

    /// The tenants that have a stream here, ascending.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged stream table.
    pub(crate) fn tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        Ok(self.streams()?.tenants().iter().map(|(tenant, _)| tenant.clone()).collect())
    }

    pub(super) const fn identity(&self) -> u64 {
        self.identity
    }

    pub(super) const fn footer(&self) -> &Footer {
        &self.footer
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) const fn parts(&self) -> &Parts {
        &self.parts
    }

    /// A block, in version 1.
    pub(super) fn block(&self, number: u32) -> Result<&BlockEntry, StoreError> {
        let block = match &self.parts {
            Parts::Blocks(blocks) => blocks.get(number as usize),
            Parts::Groups(_) => None,
        };
        block.ok_or_else(|| self.table_damage(Damage(format!("there is no block {number}"))))
    }

    /// Whether a group's lines may pass, told without opening it. A damaged filter rules nothing out, which costs
    /// time but no answer.
    pub(super) fn may_pass(&self, number: u32, predicate: &LinePredicate) -> bool {
        let Parts::Groups(groups) = &self.parts else { return true };
        let Some(entry) = groups.get(number as usize) else { return true };
        let may_have = |needle: &Needle| entry.words.may_have(needle, || self.filter(number));
        predicate.may_hold(&may_have).unwrap_or_else(|damage| {
            self.filter_damage.get_or_init(|| (number, damage));
            true
        })
    }

    /// A group's filter.
    pub(super) fn filter(&self, number: u32) -> Decoded<&[u8]> {
        let Parts::Groups(groups) = &self.parts else { return Ok(&[]) };
        let place = number as usize;
        let (Some(entry), Some(checked)) = (groups.get(place), self.filters_checked.get(place))
        else {
            return Ok(&[]);
        };
        let filter = entry.filter(&self.bytes)?;
        if checked.get().is_none() {
            entry.words.check(filter)?;
            checked.get_or_init(|| ());
        }
        Ok(filter)
    }

    /// A group, opened if no thread has it open.
    pub(super) fn group(
        &self,
        number: u32,
        scratch: &mut GroupScratch,
    ) -> Result<Arc<Group>, StoreError> {
        let entry = match &self.parts {
            Parts::Blocks(_) => None,
            Parts::Groups(groups) => groups.get(number as usize),
        };
        let entry = entry
            .ok_or_else(|| self.table_damage(Damage(format!("there is no group {number}"))))?;
        let key = (self.identity, number);
        scratch.group(key, &self.open_groups, |scratch| {
            let group = Group::open(key, entry, &self.bytes, scratch);
            group.map_err(|damage| self.group_damage(number, damage))
        })
    }

    /// The error for a damaged group or block.
    pub(super) fn group_damage(&self, number: u32, damage: Damage) -> StoreError {
        let (what, offset) = match &self.parts {
            Parts::Blocks(blocks) => ("block", blocks.get(number as usize).map(|it| it.offset)),
            Parts::Groups(groups) => ("group", groups.get(number as usize).map(|it| it.offset)),
        };
        damage.at(&self.path, what, offset.unwrap_or_default())
    }

    /// How much there is in each minute of a run; nothing where that is not kept.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged table.
    pub(super) fn minutes_of(&self, run: u32) -> Result<&[Minute], StoreError> {
        let Some((offset, frame)) = self.footer.minutes else { return Ok(&[]) };
        let damaged = |damage: Damage| damage.at(&self.path, "minute table", offset);
        let table = self.minutes.get_or_try(|| {
            let runs = self.streams()?.all_runs().map_err(|damage| self.table_damage(damage))?;
            let bytes = self.frame(offset, frame).map_err(damaged)?;
            MinuteTable::decode(&bytes, runs.into_iter(), self.version).map_err(damaged)
        })?;
        Ok(table.of_run(run as usize))
    }

    fn frame(&self, offset: u64, frame: Frame) -> Decoded<Vec<u8>> {
        let stored = slice(&self.bytes, offset, u64::from(frame.stored))?;
        let (mut reader, mut raw) = (FrameReader::default(), Vec::new());
        match self.parts {
            Parts::Blocks(_) => reader.read(frame, stored, &mut raw)?,
            Parts::Groups(_) => reader.read_or_copy(frame, stored, &mut raw)?,
        }
        Ok(raw)
    }

    /// Calls back with the streams that pass and whose time bounds overlap the range, in order.
    fn each_selected(
        &self,
        tenant: &TenantId,
        selector: &[Matcher],
        range: TimeRange,
        mut each: impl FnMut(Stream<'_>) -> Decoded<()>,
    ) -> Result<(), StoreError> {
        let meta = self.meta();
        if meta.rows == 0 || !range.overlaps(meta.first, meta.last) {
            return Ok(());
        }
        let table = self.streams()?;
        for ordinal in self.select(&table, tenant, selector)? {
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
        // With few streams the index is not worth asking.
        let selected = match all.len() > DIRECT_STREAMS_MAX {
            true => self.ask_index(|index| index.select(tenant, all.clone(), selector)),
            false => None,
        };
        match selected {
            Some((candidates, rest)) => self.retain(table, candidates, &rest),
            None => self.retain(table, all.collect(), selector),
        }
    }

    /// Asks the index. `None` where there is none, and where it is damaged, which costs time but no answer: the
    /// stream table has all that it has.
    fn ask_index<'i, T>(&'i self, ask: impl FnOnce(&'i LabelIndex) -> Decoded<T>) -> Option<T> {
        if !self.has_index() || self.index_damage.get().is_some() {
            return None;
        }
        match self.index().and_then(ask) {
            Ok(answer) => Some(answer),
            Err(damage) => {
                self.index_damage.get_or_init(|| damage);
                None
            }
        }
    }

    /// Damage that was found and cost no answer, in sentences.
    pub(crate) fn spared_damage(&self) -> Vec<String> {
        let index = self.index_damage().map(|error| {
            format!("{error}; its streams were looked at one by one, nothing is missing")
        });
        let filter = self.filter_damage.get().map(|(number, damage)| {
            let error = self.group_damage(*number, Damage(damage.0.clone()));
            format!("{error}; its lines were searched without the filter, nothing is missing")
        });
        index.into_iter().chain(filter).collect()
    }

    /// What was found to be wrong with the label index.
    pub(super) fn index_damage(&self) -> Option<StoreError> {
        let damage = self.index_damage.get()?;
        Some(Damage(damage.0.clone()).at(&self.path, LABEL_INDEX, self.index_offset()))
    }

    /// What `each` gathers from the labels of a tenant's streams.
    fn collect(
        &self,
        tenant: &TenantId,
        each: impl Fn(&mut BTreeSet<String>, &str, &str),
    ) -> Result<BTreeSet<String>, StoreError> {
        let (table, mut found) = (self.streams()?, BTreeSet::new());
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

    /// The stream table.
    pub(super) fn streams(&self) -> Result<Arc<StreamTable>, StoreError> {
        let footer = &self.footer;
        let decode = || {
            let raw = self.frame(footer.streams_offset, footer.streams)?;
            StreamTable::decode(raw, &footer.meta, self.version, &self.parts.rows())
        };
        table_cache::table(self.identity, decode).map_err(|damage| self.table_damage(damage))
    }

    fn index(&self) -> Decoded<&LabelIndex> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let streams = self.footer.meta.streams;
        let index = LabelIndex::open(&self.bytes, &self.footer.index, streams)?;
        Ok(self.index.get_or_init(|| index))
    }

    /// Checks the label index, where there is one.
    pub(super) fn verify_index(&self) -> Result<(), StoreError> {
        if !self.has_index() {
            return Ok(());
        }
        let damaged = |damage: Damage| damage.at(&self.path, LABEL_INDEX, self.index_offset());
        self.index().map(drop).map_err(damaged)
    }

    /// Whether there is an index that this build can read.
    const fn has_index(&self) -> bool {
        index::IS_THERE && !self.footer.index.is_empty()
    }

    fn index_offset(&self) -> u64 {
        self.footer.index.first().map_or(0, |file| file.offset)
    }

    pub(super) fn table_damage(&self, damage: Damage) -> StoreError {
        damage.at(&self.path, "stream table", self.footer.streams_offset)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        table_cache::forget(self.identity);
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
            .field("version", &self.version)
            .field("meta", self.meta())
            .finish_non_exhaustive()
    }
}
