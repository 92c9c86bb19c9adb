//! Recording delete requests, and taking them back.
//!
//! A request is a record in the manifest. What it means is what was acknowledged before: all of that is in
//! segments by then, since whatever of it may be in the head is flushed first, and from there on the
//! numbers of requests and the levels of segments tell before from after.

use std::sync::Arc;

use super::Core;
use crate::deletes::{ActiveDelete, DELETES_MAX, DeleteBody, StoredDelete};
use crate::manifest::Edit;
use crate::{
    CancelOutcome, DeleteRequest, DeleteStatus, Deletion, StoreError, TenantId, Timestamp,
};

impl Core {
    /// See [`Store::delete`](crate::Store::delete).
    pub(crate) fn delete(&self, request: DeleteRequest) -> Result<u64, StoreError> {
        let body = Arc::new(DeleteBody::new(request, self.options.clock.unix_time())?);
        let compiler = self.options.filter_compiler.as_deref();
        // Before anything is recorded: what cannot be understood now would hide too much later.
        let delete = ActiveDelete::new(0, &body, compiler)?;
        // No flush in between: its segment would say that the request does not concern it.
        let sealing = self.sealing.lock();
        if sealing.is_over {
            return Err(StoreError::Closed);
        }
        if self.view().deletes.len() >= DELETES_MAX {
            return Err(StoreError::Invalid(format!(
                "{DELETES_MAX} delete requests are waiting to be carried out; no more can be taken"
            )));
        }
        // What comes behind this is not meant.
        let position = self.subscribers.position();
        if self.may_be_in_head(&delete) {
            self.guard(|| self.flush_all())?;
        }
        let mut manifest = self.manifest.lock();
        let id = manifest.live().next_delete;
        manifest.commit(&[Edit::Delete { id, body }])?;
        // Still under the lock, so that nobody takes it back in between.
        let active = Arc::new(delete.numbered(id));
        let is_final = self.options.delete_cancel_period.is_zero();
        self.publish(|view| Arc::make_mut(&mut view.deletes).push(Arc::clone(&active)));
        drop((manifest, sealing));
        self.subscribers.hide(&active, position);
        if is_final {
            self.control.lock().may_compact = true;
            self.compaction.notify_all();
        }
        Ok(id)
    }

    /// Whether a selected stream has an entry in the range that is not in a segment.
    fn may_be_in_head(&self, delete: &ActiveDelete) -> bool {
        let view = self.view();
        if view.frozen.is_some() {
            return true;
        }
        let head = view.head.view();
        let streams = head.select(&delete.body.tenant, delete.selector());
        streams
            .iter()
            .any(|stream| stream.runs.iter().any(|run| !run.rows_in(delete.body.range).is_empty()))
    }

    /// See [`Store::deletes`](crate::Store::deletes).
    pub(crate) fn deletes(&self, tenant: &TenantId) -> Vec<Deletion> {
        let manifest = self.manifest.lock();
        let deletes = manifest.live().deletes.iter();
        deletes.filter(|delete| delete.body.tenant == *tenant).map(Deletion::from).collect()
    }

    /// See [`Store::cancel_delete`](crate::Store::cancel_delete).
    pub(crate) fn cancel_delete(
        &self,
        tenant: &TenantId,
        id: u64,
        force: bool,
    ) -> Result<CancelOutcome, StoreError> {
        let mut manifest = self.manifest.lock();
        let is_it = |delete: &&StoredDelete| delete.id == id && delete.body.tenant == *tenant;
        let Some(delete) = manifest.live().deletes.iter().find(is_it) else {
            return Ok(CancelOutcome::NotFound);
        };
        match delete.status {
            DeleteStatus::Processed => return Ok(CancelOutcome::Processed),
            DeleteStatus::Started if !force => return Ok(CancelOutcome::TooLate),
            DeleteStatus::Received
                if !force && self.is_final(delete.body.created, self.believed_time()) =>
            {
                return Ok(CancelOutcome::TooLate);
            }
            DeleteStatus::Started | DeleteStatus::Received => {}
        }
        manifest.commit(&[Edit::DeleteState { id, status: None }])?;
        self.publish(|view| Arc::make_mut(&mut view.deletes).retain(|delete| delete.id != id));
        Ok(CancelOutcome::Cancelled)
    }

    /// Whether a request that was recorded then can no longer be taken back at `now`.
    pub(super) fn is_final(&self, created: Timestamp, now: Timestamp) -> bool {
        let period_ns = self.options.delete_cancel_period.as_nanos();
        let age_ns = now.saturating_sub(created);
        period_ns == 0 || u128::try_from(age_ns).is_ok_and(|age_ns| age_ns >= period_ns)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::engine::{Haste, Options, Pace, open};
    use crate::paths::Paths;
    use crate::{
        Durability, Labels, ManualClock, MatchOp, Matcher, MemVfs, Retention, TimeRange, WriteBatch,
    };

    const HOUR: Duration = Duration::from_secs(3600);
    const START: Timestamp = 1_700_000_000_000_000_000;
    const DAY_NS: i64 = 86_400_000_000_000;

    fn request(tenant: &TenantId) -> DeleteRequest {
        let selector = vec![Matcher::new("app", MatchOp::Equal, "a").unwrap()];
        DeleteRequest::new(tenant, selector, TimeRange::ALL)
    }

    #[test]
    fn a_clock_that_leaps_ahead_makes_no_request_final() {
        let clock = Arc::new(ManualClock::new());
        clock.set_unix_time(START);
        let options = Options {
            head_bytes_max: 1 << 20,
            head_age_max: HOUR,
            durability: Durability::Sync,
            vfs: Arc::new(MemVfs::new()),
            clock: clock.clone(),
            retention: Retention::default(),
            filter_compiler: None,
            delete_cancel_period: 24 * HOUR,
            pace: Pace { time_share: 1.0, bytes_per_second: 0 },
        };
        let core = open(options, Paths::new(Path::new("/db"))).unwrap();
        let tenant = TenantId::new("t").unwrap();
        let mut batch = WriteBatch::new();
        batch.stream(&Labels::from_pairs([("app", "a")]).unwrap());
        batch.push(START, b"x", &[]).unwrap();
        core.append(&tenant, &batch, core.durability()).unwrap();
        let ids = [request(&tenant), request(&tenant)].map(|request| core.delete(request).unwrap());

        core.compact(Haste::Paced).unwrap();
        clock.set_unix_time(START + 1000 * DAY_NS);
        core.compact(Haste::Paced).unwrap();
        let state = |place: usize| core.deletes(&tenant)[place].status;
        assert_eq!((state(0), core.stats().segment_entries), (DeleteStatus::Received, 1));
        let cancelled = core.cancel_delete(&tenant, ids[1], false).unwrap();
        assert_eq!(cancelled, CancelOutcome::Cancelled);

        // A day that the other clock has seen as well.
        clock.set_unix_time(START + DAY_NS);
        clock.advance(24 * HOUR);
        let cancelled = core.cancel_delete(&tenant, ids[0], false).unwrap();
        assert_eq!(cancelled, CancelOutcome::TooLate);
        core.compact(Haste::Paced).unwrap();
        assert_eq!((state(0), core.stats().segment_entries), (DeleteStatus::Processed, 0));
    }
}
