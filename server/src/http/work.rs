//! Work that blocks: on threads of its own, a few at a time, stopped when nobody waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use timberline_query::{QueryError, Tenants};
use timberline_store::{Snapshot, StoreError, TimeRange, Timestamp};

use super::params::{Bounds, now};
use crate::config::LimitsConfig;
use crate::error::ApiError;
use crate::state::AppState;

/// What a piece of work knows about its request.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    /// Set when nobody waits for the answer any more.
    pub(crate) cancel: Arc<AtomicBool>,
    /// How long the work waited for its turn.
    pub(crate) queued: Duration,
    /// Whose entries are asked for.
    pub(crate) tenants: Tenants,
    /// What they are held to.
    pub(crate) limits: Arc<LimitsConfig>,
    /// What may be looked back to.
    earliest: Timestamp,
    deadline: Option<Instant>,
}

impl Ticket {
    /// Of work that nothing stops.
    #[cfg(test)]
    pub(crate) fn unlimited() -> Self {
        Self {
            cancel: Arc::default(),
            queued: Duration::ZERO,
            tenants: timberline_store::TenantId::new("t").expect("a valid id").into(),
            limits: Arc::default(),
            earliest: Timestamp::MIN,
            deadline: None,
        }
    }

    /// Stops work that is not the engine's own: asked between one chunk and the next.
    ///
    /// # Errors
    /// [`QueryError::Cancelled`] and [`QueryError::Timeout`].
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(QueryError::Cancelled);
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(QueryError::Timeout);
        }
        Ok(())
    }
}

impl Ticket {
    /// A view of the store, whose calls end when the work is to.
    pub(crate) fn snapshot(&self, state: &AppState) -> Snapshot {
        let ticket = self.clone();
        state.store.snapshot().stopped_when(move || ticket.check().is_err())
    }

    /// What of a request's range may be looked at; `None` where nothing may.
    pub(crate) fn within_lookback(&self, bounds: Bounds) -> Option<Bounds> {
        let start = bounds.start.max(self.earliest);
        (bounds.end >= self.earliest).then_some(Bounds { start, ..bounds })
    }

    /// The same as a range for the index, where entries at `end` are in it.
    pub(crate) fn range(&self, bounds: Bounds) -> TimeRange {
        match self.within_lookback(bounds) {
            Some(bounds) => TimeRange::new(bounds.start, bounds.end.saturating_add(1)),
            None => TimeRange::new(0, 0),
        }
    }

    /// Why work was stopped, where it says only that it was.
    fn reason(&self, error: ApiError) -> ApiError {
        match error {
            ApiError::Store(StoreError::Stopped)
            | ApiError::Query(QueryError::Store(StoreError::Stopped)) => {
                self.check().map_or_else(ApiError::from, |()| error)
            }
            _ => error,
        }
    }
}

/// Sets the flag when it is dropped: with the handler's future, when the connection ends.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does `work` on a blocking thread as soon as it is the tenants' turn.
///
/// The permit goes with the work, not with the request: a query whose client went away still counts
/// until it has noticed.
///
/// # Errors
/// Those of `work`; [`ApiError::TooManyOutstanding`]; [`ApiError::Internal`] when it panics.
pub(crate) async fn run<T, F>(
    state: &Arc<AppState>,
    tenants: Tenants,
    work: F,
) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce(&AppState, &Ticket) -> Result<T, ApiError> + Send + 'static,
{
    let begun = Instant::now();
    let cancel = Arc::new(AtomicBool::new(false));
    let _guard = CancelOnDrop(Arc::clone(&cancel));
    // Whoever may name several tenants has no more turns for naming them in many ways.
    let permit = state.queries.acquire(tenants.first()).await;
    let permit = permit.map_err(|_| ApiError::TooManyOutstanding)?;
    let limits = state.limits.current().of_all(&tenants);
    let deadline = Instant::now().checked_add(limits.query.query_timeout);
    state.metrics.observe_turn(begun.elapsed());
    let earliest = limits.query.earliest(now());
    let ticket = Ticket { cancel, queued: begun.elapsed(), tenants, limits, earliest, deadline };
    let state = Arc::clone(state);
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work(&state, &ticket).map_err(|error| ticket.reason(error))
    })
    .await
    .map_err(|error| ApiError::Internal(error.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_the_guard_cancels() {
        let cancel = Arc::new(AtomicBool::new(false));
        let ticket = Ticket { cancel: Arc::clone(&cancel), ..Ticket::unlimited() };
        assert!(ticket.check().is_ok());
        drop(CancelOnDrop(cancel));
        assert!(matches!(ticket.check(), Err(QueryError::Cancelled)));
    }

    #[test]
    fn reads_look_back_so_far() {
        let ticket = Ticket { earliest: 10, ..Ticket::unlimited() };
        let within = |start, end| ticket.within_lookback(Bounds { start, end });
        assert_eq!(within(5, 20), Some(Bounds { start: 10, end: 20 }));
        assert_eq!(within(15, 20), Some(Bounds { start: 15, end: 20 }));
        assert_eq!(within(5, 10), Some(Bounds { start: 10, end: 10 }));
        assert_eq!(within(5, 9), None);
        assert!(ticket.range(Bounds { start: 5, end: 9 }).is_empty());
        assert_eq!(ticket.range(Bounds { start: 5, end: 20 }), TimeRange::new(10, 21));
    }

    #[test]
    fn work_stops_at_its_deadline() {
        let deadline = Some(Instant::now());
        let ticket = Ticket { deadline, ..Ticket::unlimited() };
        assert!(matches!(ticket.check(), Err(QueryError::Timeout)));
    }
}
