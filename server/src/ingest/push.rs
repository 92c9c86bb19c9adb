//! A decoded push, in the one form that all wire formats end in.
//!
//! Lines and metadata borrow from the body wherever it has them as they are, so that decoding copies
//! no text. Entries and pairs of all streams share two vectors: a push of a thousand lines costs a
//! handful of allocations.

use std::borrow::Cow;
use std::ops::Range;

use timberline_store::Timestamp;

use super::budget::{Lack, Share};
use super::limits::IngestLimits;

/// Streams with their entries, in the order of the body.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Push<'a> {
    pub(crate) streams: Vec<Stream<'a>>,
    pub(crate) entries: Vec<Entry<'a>>,
    /// Metadata of all entries.
    pub(crate) pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// One stream of a push.
#[derive(Debug, PartialEq)]
pub(crate) struct Stream<'a> {
    /// The labels as text.
    pub(crate) labels: Cow<'a, str>,
    /// Its part of [`Push::entries`].
    pub(crate) entries: Range<usize>,
}

/// One entry of a push.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry<'a> {
    pub(crate) timestamp: Timestamp,
    pub(crate) line: Cow<'a, str>,
    /// Its part of [`Push::pairs`].
    pub(crate) pairs: Range<usize>,
}

/// Why a body is no push. The text goes to the client.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// The body does not follow its format.
    #[error("{0}")]
    Malformed(String),
    /// The body or a part of it is larger than it may be.
    #[error("{0}")]
    TooLarge(String),
    /// Other pushes take up the memory that there is for all.
    #[error("too much is being pushed at once: send it again later")]
    Busy,
}

impl From<Lack> for DecodeError {
    fn from(lack: Lack) -> Self {
        match lack {
            Lack::ForNow => Self::Busy,
            Lack::ForEver(max) => Self::TooLarge(format!(
                "request body too large: with all that it stands for it takes up more than {max} bytes, which is \
                 as much as push_memory_bytes_max lets a tenant have"
            )),
        }
    }
}

impl DecodeError {
    pub(crate) fn malformed(text: impl Into<String>) -> Self {
        Self::Malformed(text.into())
    }
}

impl<'a> Push<'a> {
    /// Bytes of an entry that count against limits: its line and its metadata.
    pub(crate) fn entry_bytes(&self, entry: &Entry<'_>) -> usize {
        entry.line.len() + self.pair_bytes(&entry.pairs)
    }

    /// Bytes of names and values.
    pub(crate) fn pair_bytes(&self, range: &Range<usize>) -> usize {
        self.pairs[range.clone()].iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Adds an entry whose metadata are the pairs added since `pairs_start`.
    pub(crate) fn add_entry(
        &mut self,
        timestamp: Timestamp,
        line: Cow<'a, str>,
        pairs_start: usize,
    ) {
        let pairs = pairs_start..self.pairs.len();
        self.entries.push(Entry { timestamp, line, pairs });
    }

    /// Adds a stream whose entries are those added since `entries_start`.
    pub(crate) fn add_stream(&mut self, labels: Cow<'a, str>, entries_start: usize) {
        self.streams.push(Stream { labels, entries: entries_start..self.entries.len() });
    }
}

/// A name and a text.
pub(crate) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// What the entries of one push take up beside its body, against what they may.
#[derive(Debug)]
pub(crate) struct Charge<'s, 'b> {
    share: &'s mut Share<'b>,
    bytes: usize,
    max: usize,
}

impl<'s, 'b> Charge<'s, 'b> {
    pub(crate) fn new(limits: &IngestLimits, share: &'s mut Share<'b>) -> Self {
        Self { share, bytes: 0, max: limits.max_decompressed_size.saturating_mul(2) }
    }

    /// Counts an entry with these pairs.
    #[expect(clippy::ptr_arg, reason = "whose the bytes are is what is asked")]
    pub(crate) fn entry(
        &mut self,
        line: &Cow<'_, str>,
        pairs: &[Pair<'_>],
    ) -> Result<(), DecodeError> {
        let texts: usize =
            pairs.iter().map(|(name, value)| owned_bytes(name) + owned_bytes(value)).sum();
        self.bytes(texts + owned_bytes(line) + size_of_val(pairs) + size_of::<Entry<'_>>())
    }

    /// Counts bytes.
    pub(crate) fn bytes(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.bytes += bytes;
        if self.bytes > self.max {
            return Err(DecodeError::TooLarge(format!(
                "request body too large: its records stand for more than {} bytes",
                self.max
            )));
        }
        Ok(self.share.grow(bytes)?)
    }
}

/// Bytes that a text has of its own, not of the request.
#[expect(clippy::ptr_arg, reason = "whose the bytes are is what is asked")]
fn owned_bytes(text: &Cow<'_, str>) -> usize {
    match text {
        Cow::Borrowed(_) => 0,
        Cow::Owned(text) => text.capacity(),
    }
}

/// Text of bytes; what is not UTF-8 becomes U+FFFD.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    // Nearly all text is UTF-8, and to check that is several times as fast as to look for what is not.
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}
