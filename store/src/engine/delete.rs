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
        let is_final = self.is_final(active.body.created);
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
            DeleteStatus::Received if !force && self.is_final(delete.body.created) => {
                return Ok(CancelOutcome::TooLate);
            }
            DeleteStatus::Started | DeleteStatus::Received => {}
        }
        manifest.commit(&[Edit::DeleteState { id, status: None }])?;
        self.publish(|view| Arc::make_mut(&mut view.deletes).retain(|delete| delete.id != id));
        Ok(CancelOutcome::Cancelled)
    }

    /// Whether a request that was recorded then can no longer be taken back.
    pub(super) fn is_final(&self, created: Timestamp) -> bool {
        let age_ns = self.options.clock.unix_time().saturating_sub(created);
        let period_ns = self.options.delete_cancel_period.as_nanos();
        u128::try_from(age_ns).is_ok_and(|age_ns| age_ns >= period_ns)
    }
}
