//! The label index: which streams have which labels, as a bundled tantivy index.

mod build;
mod directory;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
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

/// Whether this build makes and reads label indexes.
pub(super) const IS_THERE: bool = true;

/// What goes wrong with an index that is there.
pub(super) type IndexError = TantivyError;

/// The one field of the documents.
const FIELD: &str = "label";

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

    /// The one value whose postings are needed, where there is such a one.
    fn single_value(&self) -> Option<&'a str> {
        let is_single = match self.matcher.op() {
            MatchOp::Equal => !self.is_complement,
            MatchOp::NotEqual => self.is_complement,
            MatchOp::Matches | MatchOp::NotMatches => false,
        };
        is_single.then(|| self.matcher.value())
    }

    /// Whether the postings of a value are needed.
    fn needs(&self, value: &str) -> bool {
        self.matcher.matches(value) != self.is_complement
    }
}

impl LabelIndex {
    /// Checks the bundled files and opens the index in them.
    ///
    /// tantivy trusts its files, which is why all of them are checked before it sees them.
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
        let index = Self::open_in(directory).map_err(|error| Damage(error.to_string()))?;
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
    /// Matchers that name a value come first: they are answered by one postings list, and mostly
    /// leave so few streams that no dictionary has to be walked for the others.
    pub(super) fn select<'m>(
        &self,
        tenant: &TenantId,
        all: Range<u32>,
        selector: &'m [Matcher],
    ) -> tantivy::Result<(Vec<u32>, Vec<&'m Matcher>)> {
        let mut plans: Vec<Plan<'m>> = selector.iter().map(Plan::new).collect();
        plans.sort_by_key(|plan| (plan.single_value().is_none(), plan.is_complement));
        let mut selected = Bitmap::with_range(self.streams, all);
        let mut plans = plans.into_iter();
        while selected.count() > DIRECT_STREAMS_MAX {
            let Some(plan) = plans.next() else { break };
            let postings = self.postings(tenant, &plan)?;
            match plan.is_complement {
                true => selected.subtract(&postings),
                false => selected.intersect(&postings),
            }
        }
        Ok((selected.iter().collect(), plans.map(|plan| plan.matcher).collect()))
    }

    fn postings(&self, tenant: &TenantId, plan: &Plan<'_>) -> tantivy::Result<Bitmap> {
        let mut postings = Bitmap::with_range(self.streams, 0..0);
        let mut key = build::prefix(tenant.as_str(), plan.matcher.name());
        if let Some(value) = plan.single_value() {
            key.extend_from_slice(value.as_bytes());
            if let Some(term) = self.labels.terms().get(&key)? {
                self.add(&term, &mut postings)?;
            }
            return Ok(postings);
        }
        self.each_value(&key, |value, term| match plan.needs(value) {
            true => self.add(term, &mut postings),
            false => Ok(()),
        })?;
        Ok(postings)
    }

    /// The values of a tenant's label.
    pub(super) fn values(
        &self,
        tenant: &TenantId,
        name: &str,
    ) -> tantivy::Result<BTreeSet<String>> {
        let mut values = BTreeSet::new();
        self.each_value(&build::prefix(tenant.as_str(), name), |value, _| {
            values.insert(value.to_owned());
            Ok(())
        })?;
        Ok(values)
    }

    /// The names of a tenant's labels; steps over the values of each.
    pub(super) fn names(&self, tenant: &TenantId) -> tantivy::Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        let start = [tenant.as_str().as_bytes(), &[SEPARATOR]].concat();
        let (mut from, behind) = (start.clone(), behind(&start));
        loop {
            let mut terms = self.labels.terms().range().ge(&from).lt(&behind).into_stream()?;
            let Some((key, _)) = terms.next() else { return Ok(names) };
            let pair = key.get(start.len()..).unwrap_or_default();
            let name = pair.split(|byte| *byte == SEPARATOR).next().unwrap_or_default();
            let name = std::str::from_utf8(name)
                .map_err(|error| TantivyError::InternalError(error.to_string()))?;
            names.insert(name.to_owned());
            from = self::behind(&build::prefix(tenant.as_str(), name));
        }
    }

    /// Calls back with the values, ascending, of the terms that begin with `prefix`.
    fn each_value(
        &self,
        prefix: &[u8],
        mut each: impl FnMut(&str, &TermInfo) -> tantivy::Result<()>,
    ) -> tantivy::Result<()> {
        let terms = self.labels.terms().range().ge(prefix).lt(behind(prefix));
        let mut terms = terms.into_stream()?;
        while terms.advance() {
            let value = terms.key().get(prefix.len()..).unwrap_or_default();
            let value = std::str::from_utf8(value)
                .map_err(|error| TantivyError::InternalError(error.to_string()))?;
            each(value, terms.value())?;
        }
        Ok(())
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
