//! Taking entries off the disk that nobody is to see any more.
//!
//! A segment of which nothing is left goes with its file. One of which something is left is written anew
//! without the rest: for a delete request once that can no longer be taken back, for retention once a
//! tenth of it is past its time, or has been for a day.

use std::path::Path;
use std::sync::Arc;

use super::choose::DAY_NS;
use crate::deletes::{ActiveDelete, Hidden, Hiding};
use crate::retention::Retention;
use crate::segment::{MERGE_LEVEL, Segment, SegmentChunk, SegmentMeta, SegmentWriter};
use crate::view::LiveSegment;
use crate::{Columns, LinePredicate, ReadScratch, StoreError, TenantId, TimeRange, Timestamp, Vfs};

/// One part in so many of a segment's lines must be past its time for the segment to be written anew.
const EXPIRED_PART: u64 = 10;

/// But what has been past its time for so long goes, however little it is.
const EXPIRED_AGE_NS: i64 = DAY_NS;

/// What a segment is to lose.
#[derive(Debug)]
pub(super) struct Loss {
    /// The delete requests to be carried out, and the retention.
    pub(super) hidden: Hidden,
    /// What the segment's level is then.
    pub(super) level: u64,
    /// Retention alone is reason enough.
    pub(super) is_overdue: bool,
}

/// What of a segment is past its retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expiry {
    /// Whether the segment is to be written anew, or to go.
    pub(super) is_due: bool,
    /// When to look at it again, if nothing else happens.
    pub(super) look_again: Timestamp,
}

/// Finds what of a segment is past its retention.
///
/// # Errors
/// Damage.
pub(super) fn expiry(
    segment: &Segment,
    retention: &Retention,
    now: Timestamp,
) -> Result<Expiry, StoreError> {
    let mut expiry = Expiry { is_due: false, look_again: Timestamp::MAX };
    let (mut bytes_expired, mut bytes, mut is_old) = (0_u64, 0_u64, false);
    for tenant in &segment.tenants()? {
        let of_tenant = retention.of(tenant);
        for stream in segment.series(tenant, &[], TimeRange::ALL)? {
            // Rows count too: lines may be empty.
            bytes += stream.line_bytes + stream.rows;
            let Some(of_tenant) = of_tenant else { continue };
            let cutoff = of_tenant.cutoff(&stream.labels, now);
            if cutoff == Timestamp::MIN {
                continue;
            }
            let mut next = stream.last.saturating_add(now.saturating_sub(cutoff));
            if stream.last < cutoff {
                bytes_expired += stream.line_bytes + stream.rows;
                is_old |= stream.last < cutoff.saturating_sub(EXPIRED_AGE_NS);
                next = next.saturating_add(EXPIRED_AGE_NS);
            }
            expiry.look_again = expiry.look_again.min(next.saturating_add(1));
        }
    }
    expiry.is_due = is_old || bytes_expired > 0 && bytes_expired >= bytes / EXPIRED_PART;
    Ok(expiry)
}

/// Which of the delete requests are to be carried out on a segment now: in the order of their numbers up to
/// the first that cannot be, since the level tells only up to where they were.
///
/// # Errors
/// Damage.
pub(super) fn due_deletes(
    live: &LiveSegment,
    deletes: &[Arc<ActiveDelete>],
    is_final: impl Fn(&ActiveDelete) -> bool,
) -> Result<Vec<Arc<ActiveDelete>>, StoreError> {
    let mut due = Vec::new();
    for delete in deletes {
        if !touches(delete, live)? {
            continue;
        }
        if !is_final(delete) || !delete.is_understood() {
            break;
        }
        due.push(Arc::clone(delete));
    }
    Ok(due)
}

/// Whether a request may mean entries of a segment.
///
/// # Errors
/// Damage.
pub(super) fn touches(delete: &ActiveDelete, live: &LiveSegment) -> Result<bool, StoreError> {
    let (meta, body) = (live.segment.meta(), &delete.body);
    if !delete.concerns(&body.tenant, live.level, meta.first, meta.last) {
        return Ok(false);
    }
    Ok(!live.segment.series(&body.tenant, delete.selector(), body.range)?.is_empty())
}

/// Whether any of the requests takes an entry of the segment.
///
/// # Errors
/// Damage.
pub(super) fn takes_any(
    live: &LiveSegment,
    deletes: &[Arc<ActiveDelete>],
) -> Result<bool, StoreError> {
    let mut scratch = ReadScratch::new();
    for delete in deletes {
        let (mut chunks, body) = (Vec::new(), &delete.body);
        live.segment.chunks(&body.tenant, delete.selector(), body.range, &mut chunks)?;
        for chunk in chunks {
            let (line, metadata) = (delete.line_column(), delete.reads_metadata());
            let columns = Columns { line, metadata };
            let batch = chunk.read(body.range, &LinePredicate::Always, columns, &mut scratch)?;
            let mut marks = vec![false; batch.rows().len()];
            delete.mark(chunk.labels(), &batch, &mut marks);
            if marks.contains(&true) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Writes what is left of a segment to a new one.
///
/// # Errors
/// Damage, and what the file system refuses.
pub(super) fn write_rest(
    vfs: &dyn Vfs,
    path: &Path,
    live: &LiveSegment,
    hidden: &Hidden,
) -> Result<SegmentMeta, StoreError> {
    let mut writer = SegmentWriter::create(vfs, path, MERGE_LEVEL)?;
    let mut scratch = ReadScratch::new();
    for tenant in &live.segment.tenants()? {
        for stream in live.segment.whole_streams(tenant)? {
            let (labels, chunks) = stream?;
            writer.stream(tenant, &labels);
            for chunk in chunks {
                write_chunk(&mut writer, live, tenant, &chunk, hidden, &mut scratch)?;
            }
        }
    }
    writer.finish()
}

fn write_chunk(
    writer: &mut SegmentWriter,
    live: &LiveSegment,
    tenant: &TenantId,
    chunk: &SegmentChunk,
    hidden: &Hidden,
    scratch: &mut ReadScratch,
) -> Result<(), StoreError> {
    let (first, last) = chunk.time_bounds();
    let hiding = hidden.here(tenant, live.level, first, last).of(chunk.labels(), first, last);
    if matches!(hiding, Hiding::Everything) {
        return Ok(());
    }
    for rows in chunk.batches() {
        let mut batch = chunk.read_rows(rows, scratch)?;
        if let Hiding::Some(mask) = &hiding {
            mask.retain(chunk.labels(), &mut batch);
        }
        for row in batch.rows() {
            writer.row(row.timestamp, batch.line(row), &batch.metadata(row))?;
        }
    }
    Ok(())
}
