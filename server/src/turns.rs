//! Whose query or push is next: tenants take turns, each in the order of its requests.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use timberline_store::TenantId;
use tokio::sync::oneshot;

/// Permits for requests of a kind, so many at a time.
///
/// While there are more requests than permits, each permit that comes free goes to the tenant whose last
/// turn is longest ago: a tenant with a thousand requests does not hold up another with one.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Requests of one tenant that may wait. 0 is no limit.
    waiting_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    free: usize,
    running: usize,
    waiting: HashMap<TenantId, VecDeque<oneshot::Sender<Permit>>>,
    /// Tenants with waiting requests, the next first.
    turns: VecDeque<TenantId>,
}

/// A request may be worked on; dropped, the next one may.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Inner>);

/// A tenant has as many waiting requests as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Turns {
    /// So many `permits`; of each tenant so many requests may wait, 0 for any number.
    pub(crate) fn new(permits: usize, waiting_max: usize) -> Self {
        let state = Mutex::new(State { free: permits, ..State::default() });
        Self(Arc::new(Inner { waiting_max, state }))
    }

    /// How many requests have a permit, and how many wait.
    pub(crate) fn lengths(&self) -> (usize, usize) {
        let state = self.0.state.lock();
        (state.running, state.waiting.values().map(VecDeque::len).sum())
    }

    /// Waits for the turn of a request of this tenant. Who drops the future gives up the place.
    ///
    /// # Errors
    /// [`TooMany`], at once.
    pub(crate) async fn acquire(&self, tenant: &TenantId) -> Result<Permit, TooMany> {
        let turn = {
            let mut state = self.0.state.lock();
            if state.free > 0 {
                state.free -= 1;
                state.running += 1;
                return Ok(Permit(Arc::clone(&self.0)));
            }
            state.enqueue(tenant, self.0.waiting_max)?
        };
        // The sender goes only with its permit, or with the queue itself.
        turn.await.map_err(|_| TooMany)
    }
}

impl State {
    fn enqueue(
        &mut self,
        tenant: &TenantId,
        waiting_max: usize,
    ) -> Result<oneshot::Receiver<Permit>, TooMany> {
        let waiting = self.waiting.entry(tenant.clone()).or_default();
        let is_new = waiting.is_empty();
        // Those who gave up first stand in front, and leave although nobody is called.
        while waiting.front().is_some_and(oneshot::Sender::is_closed) {
            waiting.pop_front();
        }
        if waiting_max > 0 && waiting.len() >= waiting_max {
            // Those who gave up are still in their places.
            waiting.retain(|turn| !turn.is_closed());
            if waiting.len() >= waiting_max {
                return Err(TooMany);
            }
        }
        let (turn, waits) = oneshot::channel();
        waiting.push_back(turn);
        if is_new {
            self.turns.push_back(tenant.clone());
        }
        Ok(waits)
    }

    /// The next request that still waits.
    fn next(&mut self) -> Option<oneshot::Sender<Permit>> {
        while let Some(tenant) = self.turns.pop_front() {
            let Some(waiting) = self.waiting.get_mut(&tenant) else { continue };
            let turn = std::iter::from_fn(|| waiting.pop_front()).find(|turn| !turn.is_closed());
            if waiting.is_empty() {
                self.waiting.remove(&tenant);
            } else {
                self.turns.push_back(tenant);
            }
            if turn.is_some() {
                return turn;
            }
        }
        None
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let next = {
            let mut state = self.0.state.lock();
            let next = state.next();
            if next.is_none() {
                state.free += 1;
                state.running -= 1;
            }
            next
        };
        // Outside the lock: a request that gave up just now drops the permit right here.
        if let Some(turn) = next {
            drop(turn.send(Permit(Arc::clone(&self.0))));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    type Waiting<'q> = Pin<Box<dyn Future<Output = Result<Permit, TooMany>> + 'q>>;

    fn poll(waiting: &mut Waiting<'_>) -> Poll<Result<Permit, TooMany>> {
        waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    fn wait<'q>(queue: &'q Turns, tenant: &'q TenantId) -> Waiting<'q> {
        let mut waiting: Waiting<'q> = Box::pin(queue.acquire(tenant));
        assert!(poll(&mut waiting).is_pending());
        waiting
    }

    fn take(queue: &Turns, tenant: &TenantId) -> Permit {
        let mut waiting: Waiting<'_> = Box::pin(queue.acquire(tenant));
        match poll(&mut waiting) {
            Poll::Ready(Ok(permit)) => permit,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tenants_take_turns() {
        let (queue, a, b) = (Turns::new(1, 0), tenant("a"), tenant("b"));
        let mut permit = take(&queue, &a);
        let mut waiting = vec![("a1", wait(&queue, &a)), ("a2", wait(&queue, &a))];
        waiting.extend([
            ("a3", wait(&queue, &a)),
            ("b1", wait(&queue, &b)),
            ("b2", wait(&queue, &b)),
        ]);
        assert_eq!(queue.lengths(), (1, 5));
        let mut order = Vec::new();
        for _ in 0..5 {
            drop(permit);
            let found =
                waiting.iter_mut().enumerate().find_map(|(place, (_, waiting))| {
                    match poll(waiting) {
                        Poll::Ready(permit) => Some((place, permit.unwrap())),
                        Poll::Pending => None,
                    }
                });
            let (place, next) = found.expect("somebody is next");
            order.push(waiting.remove(place).0);
            permit = next;
        }
        assert_eq!(order, ["a1", "b1", "a2", "b2", "a3"]);
        drop(permit);
        assert_eq!(queue.lengths(), (0, 0));
        drop(take(&queue, &a));
    }

    #[test]
    fn who_gives_up_takes_no_turn() {
        let (queue, a, b) = (Turns::new(1, 0), tenant("a"), tenant("b"));
        let permit = take(&queue, &a);
        let (gone, mut stays) = (wait(&queue, &a), wait(&queue, &b));
        drop(gone);
        drop(permit);
        let permit = match poll(&mut stays) {
            Poll::Ready(permit) => permit.unwrap(),
            Poll::Pending => panic!("the turn was lost"),
        };
        // One that has its permit and never looks at it gives it back.
        let unseen = wait(&queue, &a);
        drop(permit);
        assert_eq!(queue.lengths().0, 1);
        drop(unseen);
        assert_eq!(queue.lengths(), (0, 0));
        drop(take(&queue, &a));
    }

    #[test]
    fn so_many_of_a_tenant_may_wait() {
        let (queue, a, b) = (Turns::new(1, 2), tenant("a"), tenant("b"));
        let _permit = take(&queue, &a);
        let (_first, second) = (wait(&queue, &a), wait(&queue, &a));
        let mut third: Waiting<'_> = Box::pin(queue.acquire(&a));
        assert!(matches!(poll(&mut third), Poll::Ready(Err(TooMany))));
        let _other = wait(&queue, &b);
        drop(second);
        let _third = wait(&queue, &a);
    }
}
