//! Delete requests: which entries are to go, and how they are kept in the manifest.
//!
//! A request holds for what was acknowledged before it: its entries are hidden from the moment it is
//! recorded, and leave the disk when a compaction writes their segments anew. An entry that is appended
//! later is not meant by it, even if it is the same once more. What makes the difference is the segment's
//! *level*, the number of the last request that does not concern the segment any more: one that came
//! before it, or that was carried out on it.
//!
//! The store knows no query language. A request whose entries a selector, a range of time and a substring
//! do not tell carries a text, which a [`FilterCompiler`] makes a test of whenever the store is opened.
//! Where that fails, everything that the request may mean stays hidden, and on disk: a text that cannot
//! be understood must neither show what was deleted nor destroy what was not.

mod active;
mod codec;
mod hidden;

use std::fmt;
use std::sync::Arc;

pub(crate) use self::active::ActiveDelete;
pub(crate) use self::codec::{get_body, put_body};
pub(crate) use self::hidden::{Hidden, HiddenHere, Hiding, Mask};
use crate::{Batch, Labels, MatchOp, Matcher, StoreError, TenantId, TimeRange, Timestamp};

/// The most requests that may wait for compaction: each is looked at by every query in its range.
pub(crate) const DELETES_MAX: usize = 10_000;

/// How many requests that were carried out stay in the list.
pub(crate) const PROCESSED_MAX: usize = 1_000;

/// The longest text of a request, and the longest substring.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Entries to be deleted: those of a tenant's selected streams that are in a range of time and pass a
/// filter.
///
/// ```
/// use timberline_store::{DeleteRequest, MatchOp, Matcher, TenantId, TimeRange};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let shop = Matcher::new("app", MatchOp::Equal, "shop")?;
/// let request = DeleteRequest::new(&TenantId::new("acme")?, vec![shop], TimeRange::new(0, 1000));
/// let only_cards = request.containing(b"card=");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DeleteRequest {
    pub(crate) tenant: TenantId,
    pub(crate) selector: Vec<Matcher>,
    pub(crate) range: TimeRange,
    pub(crate) filter: DeleteFilter,
    pub(crate) text: String,
}

impl DeleteRequest {
    /// All entries of the selected streams in the range. An empty selector selects every stream.
    #[must_use]
    pub fn new(tenant: &TenantId, selector: Vec<Matcher>, range: TimeRange) -> Self {
        let (filter, text) = (DeleteFilter::Every, String::new());
        Self { tenant: tenant.clone(), selector, range, filter, text }
    }

    /// Of these only the entries whose line has `needle` somewhere.
    #[must_use]
    pub fn containing(mut self, needle: &[u8]) -> Self {
        self.filter = DeleteFilter::Contains(needle.into());
        self
    }

    /// Of these only the entries that pass what the store's [`FilterCompiler`] makes of `text`.
    #[must_use]
    pub fn passing(mut self, text: &str) -> Self {
        self.filter = DeleteFilter::Compiled;
        self.text = text.to_owned();
        self
    }

    /// Keeps a text with the request, for whoever lists it. It means nothing to the store.
    #[must_use]
    pub fn described_as(mut self, text: &str) -> Self {
        self.text = text.to_owned();
        self
    }
}

/// Which of the selected entries are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeleteFilter {
    Every,
    Contains(Box<[u8]>),
    /// Those that pass what the request's text is compiled to.
    Compiled,
}

/// A request as the manifest has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeleteBody {
    pub(crate) tenant: TenantId,
    pub(crate) range: TimeRange,
    pub(crate) matchers: Vec<(MatchOp, Box<str>, Box<str>)>,
    pub(crate) filter: DeleteFilter,
    pub(crate) text: Box<str>,
    pub(crate) created: Timestamp,
}

/// A request with what became of it so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredDelete {
    pub(crate) id: u64,
    pub(crate) status: DeleteStatus,
    pub(crate) body: Arc<DeleteBody>,
}

/// How far a request has come. Its entries are hidden in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteStatus {
    /// Recorded; everything is still on disk.
    Received,
    /// Some of its entries may have left the disk.
    Started,
    /// All of them have.
    Processed,
}

/// A request that a store has recorded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Deletion {
    /// Its number, counted up by one over all tenants.
    pub id: u64,
    /// Whose entries.
    pub tenant: TenantId,
    /// From when to when.
    pub range: TimeRange,
    /// The text it came with.
    pub text: String,
    /// When it was recorded.
    pub created: Timestamp,
    /// How far it has come.
    pub status: DeleteStatus,
}

impl From<&StoredDelete> for Deletion {
    fn from(stored: &StoredDelete) -> Self {
        let body = &stored.body;
        Self {
            id: stored.id,
            tenant: body.tenant.clone(),
            range: body.range,
            text: body.text.clone().into(),
            created: body.created,
            status: stored.status,
        }
    }
}

/// What came of an attempt to take a request back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It is no more; its entries are seen again, but for those that have left the disk.
    Cancelled,
    /// The tenant has no such request.
    NotFound,
    /// It was carried out.
    Processed,
    /// It was begun, or the time to take it back is over. Force takes it back all the same.
    TooLate,
}

/// A test on entries, as a [`FilterCompiler`] makes it of a request's text.
pub trait EntryFilter: Send + Sync {
    /// Says for each row of a batch of one stream, in order, whether it passes. The rows have all columns.
    fn passes(&self, labels: &Labels, batch: &Batch) -> Vec<bool>;
}

/// Makes tests of the texts that delete requests carry. See [`DeleteRequest::passing`].
pub trait FilterCompiler: Send + Sync {
    /// Compiles a text. A later version must understand what an earlier one understood, or say an error.
    ///
    /// # Errors
    /// Why the text cannot be understood, as a sentence.
    fn compile(&self, text: &str) -> Result<Arc<dyn EntryFilter>, String>;
}

impl fmt::Debug for dyn FilterCompiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FilterCompiler")
    }
}

impl DeleteBody {
    /// A request as it is recorded at `created`.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for an empty range and for texts that are too long.
    pub(crate) fn new(request: DeleteRequest, created: Timestamp) -> Result<Self, StoreError> {
        let invalid = |reason: &str| StoreError::Invalid(reason.to_owned());
        if request.range.is_empty() {
            return Err(invalid("a delete request without a range of time"));
        }
        let needle_bytes = match &request.filter {
            DeleteFilter::Contains(needle) => needle.len(),
            DeleteFilter::Every | DeleteFilter::Compiled => 0,
        };
        let matcher_bytes = |matcher: &Matcher| matcher.name().len() + matcher.value().len();
        let selector_bytes: usize = request.selector.iter().map(matcher_bytes).sum();
        if request.text.len().max(needle_bytes).max(selector_bytes) > TEXT_BYTES_MAX {
            return Err(invalid("a delete request with a text of over 64 KiB"));
        }
        let told =
            |matcher: &Matcher| (matcher.op(), matcher.name().into(), matcher.value().into());
        Ok(Self {
            tenant: request.tenant,
            range: request.range,
            matchers: request.selector.iter().map(told).collect(),
            filter: request.filter,
            text: request.text.into(),
            created,
        })
    }
}
