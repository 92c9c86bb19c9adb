//! The write-ahead log: what an append must reach before it is acknowledged.
//!
//! The log is a row of files of [records](crate::frame), numbered upwards; only the last is written to.
//! A record is one append: the tenant's name and the batch in the form of
//! [`items`](crate::batch::items). A new file is begun at every flush and every open, so that nothing
//! is ever appended behind a torn tail, and files go as soon as a segment has all that is in them.

#[cfg(all(test, loom))]
mod hand_off;
mod replay;
mod sync;
#[cfg(test)]
mod tests;
mod writer;

use crate::TenantId;
use crate::codec::{self, Reader};
use crate::frame::Format;

pub(crate) use replay::replay;
pub(crate) use writer::Wal;

/// The files of the log.
pub(crate) const FORMAT: Format = Format { magic: *b"TMBRWAL1", version: 1 };

/// The part of a record's payload in front of the batch.
fn put_tenant(out: &mut Vec<u8>, tenant: &TenantId) {
    codec::put_bytes(out, tenant.as_str().as_bytes());
}

/// A record's tenant and its batch; `None` when it is neither.
pub(crate) fn split(payload: &[u8]) -> Option<(TenantId, &[u8])> {
    let mut reader = Reader::new(payload);
    let tenant = TenantId::new(reader.text()?).ok()?;
    Some((tenant, reader.rest()))
}
