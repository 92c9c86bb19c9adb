//! The label index: which streams have which labels, as a bundled tantivy index.
//!
//! tantivy trusts its files. So it sees none whose checksum is not right; and what it makes of a file that is
//! nonsense behind a right checksum, which only whoever wrote it can have got wrong, is contained here: an error
//! or a panic of tantivy's is damage.

mod build;
mod directory;
mod fuzz;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use tantivy::postings::TermInfo;
use tantivy::schema::IndexRecordOption;
use tantivy::{Index, InvertedIndexReader, SegmentReader, TantivyError};

use self::directory::BundleDirectory;
use super::bitmap::Bitmap;
use super::codec::{Damage, Decoded};
use super::footer::{IndexFile, slice};
use super::reader::DIRECT_STREAMS_MAX;
use crate::io::Mapped;
use crate::{MatchOp, Matcher, TenantId};

pub(super) use self::build::build;
pub(crate) use self::fuzz::open_label_index_bytes;

/// Whether this build makes and reads label indexes.
pub(super) const IS_THERE: bool = true;

/// The one field of the documents.
const FIELD: &str = "label";

/// A value's step in the dictionary takes about as long as trying so many streams; a label whose values
/// are more than this part of the streams is not worth walking.
const STREAMS_PER_VALUE: u32 = 16;

/// Stands between tenant, name and value in a term.
const SEPARATOR: u8 = 0;

/// An open label index.
pub(super) struct LabelIndex {
    labels: Arc<InvertedIndexReader>,
    streams: u32,
}

/// What a matcher means to the index: streams with one of some values, or all but those.
struct Plan<'a> {
    matcher: &'a Matcher,
    /// Whether the streams that the postings name are the ones that do not pass. So it is for a
    /// matcher that accepts the empty value, since streams without the label have no posting.
    is_complement: bool,
}

impl<'a> Plan<'a> {
    fn new(matcher: &'a Matcher) -> Self {
        Self { matcher, is_complement: matcher.matches_empty() }
    }

    /// Whether the values whose postings are needed are those that the matcher compares with, not all
    /// others.
    const fn needs_its_own(&self) -> bool {
        let passes_its_own = matches!(self.matcher.op(), MatchOp::Equal | MatchOp::Matches);
        passes_its_own != self.is_complement
    }

    /// The values whose postings are needed, where they are a few.
    fn values(&self) -> Option<&'a [Box<str>]> {
        self.matcher.texts().filter(|_| self.needs_its_own())
    }

    /// What all values begin with whose postings are needed.
    fn prefix(&self) -> &'a str {
        if self.needs_its_own() { self.matcher.prefix() } else { "" }
    }

    /// Whether the postings of a value are needed.
    fn needs(&self, value: &str) -> bool {
        self.matcher.matches(value) != self.is_complement
    }
}

impl LabelIndex {
    /// Checks the bundled files and opens the index in them.
    pub(super) fn open(file: &Mapped, files: &[IndexFile], streams: u64) -> Decoded<Self> {
        for entry in files {
            let crc = crc32c::crc32c(slice(file, entry.offset, entry.length)?);
            if crc != entry.crc {
                let IndexFile { name, crc: expected, .. } = entry;
                let detail = format!("{name}: checksum {crc:#010x}, expected {expected:#010x}");
                return Err(Damage(detail));
            }
        }
        let directory = BundleDirectory::new(file, files);
        let index = contained(|| Self::open_in(directory))?;
        match u64::from(index.streams) == streams {
            true => Ok(index),
            false => Err(Damage(format!("{} documents for {streams} streams", index.streams))),
        }
    }

    fn open_in(directory: BundleDirectory) -> tantivy::Result<Self> {
        let index = Index::open(directory)?;
        let field = index.schema().get_field(FIELD)?;
        let segments = index.searchable_segments()?;
        let [segment] = &segments[..] else {
            return Err(TantivyError::InternalError("not one index segment".to_owned()));
        };
        let reader = SegmentReader::open(segment)?;
        Ok(Self { labels: reader.inverted_index(field)?, streams: reader.max_doc() })
    }

    /// The streams of a tenant, whose ordinals are `all`, that pass the matchers, and the matchers
    /// that are still to be tried on them, because few streams are left.
    ///
    /// Matchers that name values come first: they are answered by a postings list for each, and mostly
    /// leave so few streams that no dictionary has to be walked for the others.
    pub(super) fn select<'m>(
        &self,
        tenant: &TenantId,
        all: Range<u32>,
        selector: &'m [Matcher],
    ) -> Decoded<(Vec<u32>, Vec<&'m Matcher>)> {
        contained(|| self.try_select(tenant, all, selector))
    }

    fn try_select<'m>(
        &self,
        tenant: &TenantId,
        all: Range<u32>,
        selector: &'m [Matcher],
    ) -> tantivy::Result<(Vec<u32>, Vec<&'m Matcher>)> {
        let mut plans: Vec<Plan<'m>> = selector.iter().map(Plan::new).collect();
        plans.sort_by_key(|plan| (plan.values().is_none(), plan.is_complement));
        let mut selected = Bitmap::with_range(self.streams, all);
        let (mut plans, mut rest) = (plans.into_iter(), Vec::new());
        while selected.count() > DIRECT_STREAMS_MAX {
            let Some(plan) = plans.next() else { break };
            match self.postings(tenant, &plan)? {
                Some(postings) if plan.is_complement => selected.subtract(&postings),
                Some(postings) => selected.intersect(&postings),
                None => rest.push(plan.matcher),
            }
        }
        rest.extend(plans.map(|plan| plan.matcher));
        Ok((selected.iter().collect(), rest))
    }

    /// The streams with one of the values that a plan needs; `None` where the label has so many that streams
    /// are tried sooner.
    fn postings(&self, tenant: &TenantId, plan: &Plan<'_>) -> tantivy::Result<Option<Bitmap>> {
        let mut postings = Bitmap::with_range(self.streams, 0..0);
        let key = build::prefix(tenant.as_str(), plan.matcher.name());
        if let Some(values) = plan.values() {
            for value in values {
                let key = [&key, value.as_bytes()].concat();
                if let Some(term) = self.labels.terms().get(&key)? {
                    self.add(&term, &mut postings)?;
                }
            }
            return Ok(Some(postings));
        }
        let mut values_left = self.streams / STREAMS_PER_VALUE;
        let is_whole = self.each_value(&key, plan.prefix(), |value, term| {
            if plan.needs(value) {
                self.add(term, &mut postings)?;
            }
            values_left = values_left.saturating_sub(1);
            Ok(values_left > 0)
        })?;
        Ok(is_whole.then_some(postings))
    }

    /// The values of a tenant's label.
    pub(super) fn values(&self, tenant: &TenantId, name: &str) -> Decoded<BTreeSet<String>> {
        // They come in order: a set is built of all faster than value by value.
        let mut values = Vec::new();
        contained(|| {
            self.each_value(&build::prefix(tenant.as_str(), name), "", |value, _| {
                values.push(value.to_owned());
                Ok(true)
            })
        })?;
        Ok(values.into_iter().collect())
    }

    /// The names of a tenant's labels; steps over the values of each.
    pub(super) fn names(&self, tenant: &TenantId) -> Decoded<BTreeSet<String>> {
        contained(|| self.try_names(tenant))
    }

    fn try_names(&self, tenant: &TenantId) -> tantivy::Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        let start = [tenant.as_str().as_bytes(), &[SEPARATOR]].concat();
        let (mut from, behind) = (start.clone(), behind(&start));
        loop {
            let mut terms = self.labels.terms().range().ge(&from).lt(&behind).into_stream()?;
            let Some((key, _)) = terms.next() else { return Ok(names) };
            let pair = key.strip_prefix(&start[..]).unwrap_or_default();
            let name = pair.split(|byte| *byte == SEPARATOR).next().unwrap_or_default();
            let name = std::str::from_utf8(name).map_err(nonsense)?;
            names.insert(name.to_owned());
            let next = self::behind(&build::prefix(tenant.as_str(), name));
            if next <= from {
                return Err(nonsense("terms do not ascend"));
            }
            from = next;
        }
    }

    /// Calls back with the values, ascending, of the terms that begin with `key`; only with those that
    /// begin with `prefix`. Goes on as long as that gives true; says whether it came to the end.
    fn each_value(
        &self,
        key: &[u8],
        prefix: &str,
        mut each: impl FnMut(&str, &TermInfo) -> tantivy::Result<bool>,
    ) -> tantivy::Result<bool> {
        let first = [key, prefix.as_bytes()].concat();
        let mut terms = self.labels.terms().range().ge(&first).lt(behind(key)).into_stream()?;
        let mut streams_left = self.streams;
        while terms.advance() && terms.key().starts_with(&first) {
            // Each value has a stream of its own at least.
            streams_left =
                streams_left.checked_sub(1).ok_or_else(|| nonsense("more values than streams"))?;
            let value = terms.key().get(key.len()..).unwrap_or_default();
            let value = std::str::from_utf8(value).map_err(nonsense)?;
            if !each(value, terms.value())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn add(&self, term: &TermInfo, postings: &mut Bitmap) -> tantivy::Result<()> {
        let mut block =
            self.labels.read_block_postings_from_terminfo(term, IndexRecordOption::Basic)?;
        while !block.docs().is_empty() {
            block.docs().iter().for_each(|stream| postings.insert(*stream));
            block.advance();
        }
        Ok(())
    }
}

/// Does something with an index that may be nonsense.
fn contained<T>(act: impl FnOnce() -> tantivy::Result<T>) -> Decoded<T> {
    // Whatever a panic leaves half done belongs to an index that is not asked again.
    match panic::catch_unwind(AssertUnwindSafe(act)) {
        Ok(outcome) => outcome.map_err(|error| Damage(error.to_string())),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(Damage(format!("tantivy panicked: {}", said.unwrap_or("without a word"))))
        }
    }
}

fn nonsense(what: impl fmt::Display) -> TantivyError {
    TantivyError::InternalError(what.to_string())
}

/// The first term behind all that begin with `prefix`, which ends with a separator.
fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut behind = prefix.to_vec();
    if let Some(last) = behind.last_mut() {
        *last = SEPARATOR + 1;
    }
    behind
}

impl fmt::Debug for LabelIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabelIndex").field("streams", &self.streams).finish_non_exhaustive()
    }
}
