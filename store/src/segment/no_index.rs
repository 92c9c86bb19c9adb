//! What stands in for the label index in a build without the feature `label-index`: there is none, and
//! matchers are tried on the stream table, as in segments of few streams.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::Range;

use super::codec::{Damage, Decoded};
use super::footer::IndexFile;
use super::stream_table::StreamRecord;
use crate::io::Mapped;
use crate::{Matcher, TenantId};

/// Whether this build makes and reads label indexes.
pub(super) const IS_THERE: bool = false;

/// There is none.
pub(super) enum LabelIndex {}

impl LabelIndex {
    pub(super) fn open(_file: &Mapped, _files: &[IndexFile], _streams: u64) -> Decoded<Self> {
        Err(Damage::new("this build has no label index"))
    }

    pub(super) fn select<'m>(
        &self,
        _tenant: &TenantId,
        _all: Range<u32>,
        _selector: &'m [Matcher],
    ) -> Decoded<(Vec<u32>, Vec<&'m Matcher>)> {
        match *self {}
    }

    pub(super) fn values(&self, _tenant: &TenantId, _name: &str) -> Decoded<BTreeSet<String>> {
        match *self {}
    }

    pub(super) fn names(&self, _tenant: &TenantId) -> Decoded<BTreeSet<String>> {
        match *self {}
    }
}

/// No files.
pub(super) fn build(_streams: &[StreamRecord]) -> Result<Vec<(String, Vec<u8>)>, Infallible> {
    Ok(Vec::new())
}
