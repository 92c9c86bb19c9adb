//! What is appended from now on, for whoever listens.
//!
//! An append that is durable and in the head is handed to the subscriptions of its tenant, stream by
//! stream, before it returns. The runs that the head has made of it are shared, not copied. Which
//! subscriptions a stream goes to is worked out once per stream and remembered, so thousands of them
//! cost an append one look-up per stream; without any, it looks at one flag.
//!
//! The head takes in an append and the queues get it under one lock, in which a view can be taken, too
//! ([`Store::snapshot_with_position`](crate::Store::snapshot_with_position)): an entry is in the view or
//! comes through the queue, never both, never neither.
//!
//! What no view would show does not come: what is past its retention when it is appended, and what a delete
//! request takes while it waits in a queue.

mod queue;
mod subscription;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard, RwLock};

use self::queue::Queue;
pub use self::subscription::{Appended, DroppedEntries, Subscription};
use crate::deletes::ActiveDelete;
use crate::head::NewRun;
use crate::{Labels, Matcher, StoreError, TenantId, Timestamp};

/// Streams whose subscribers are remembered per tenant. Past it all are worked out anew.
const ROUTES_MAX: usize = 65_536;

/// The queues that a stream's entries go to.
type Route = Arc<[Arc<Queue>]>;

/// All subscriptions of a store.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    /// Whether there are any. Changed with the registry locked; set only while no append is on its way.
    are_there: AtomicBool,
    registry: Mutex<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    tenants: HashMap<TenantId, TenantSubscribers>,
    /// Counts the appends that were handed on.
    position: u64,
    last_id: u64,
    is_closed: bool,
}

#[derive(Debug, Default)]
struct TenantSubscribers {
    by_id: HashMap<u64, Subscriber>,
    routes: HashMap<Labels, Route>,
}

/// What a subscription is to an append.
#[derive(Debug)]
pub(crate) struct Subscriber {
    matchers: Vec<Matcher>,
    queue: Arc<Queue>,
}

impl Subscriber {
    /// With room for so many bytes.
    pub(crate) fn new(matchers: &[Matcher], bytes_max: usize) -> Self {
        Self { matchers: matchers.to_vec(), queue: Arc::new(Queue::new(bytes_max)) }
    }
}

impl Subscribers {
    /// Whether appends have to be handed on. Asked behind the append gate.
    pub(crate) fn are_there(&self) -> bool {
        self.are_there.load(Ordering::SeqCst)
    }

    /// Adds a subscription. Appends hold `gate` shared from the look at the flag to the end.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub(crate) fn add(
        self: &Arc<Self>,
        tenant: &TenantId,
        subscriber: Subscriber,
        gate: &RwLock<()>,
    ) -> Result<Subscription, StoreError> {
        let queue = Arc::clone(&subscriber.queue);
        let registry = self.registry.lock();
        let id = if registry.tenants.is_empty() {
            drop(registry);
            // An append that saw no subscriber and is not in the head yet would be missed.
            let _alone = gate.write();
            self.insert(self.registry.lock(), tenant, subscriber)?
        } else {
            self.insert(registry, tenant, subscriber)?
        };
        Ok(Subscription::new(Arc::clone(self), tenant.clone(), id, queue))
    }

    fn insert(
        &self,
        mut registry: MutexGuard<'_, Registry>,
        tenant: &TenantId,
        subscriber: Subscriber,
    ) -> Result<u64, StoreError> {
        if registry.is_closed {
            return Err(StoreError::Closed);
        }
        registry.last_id += 1;
        let id = registry.last_id;
        let subscribers = registry.tenants.entry(tenant.clone()).or_default();
        subscribers.by_id.insert(id, subscriber);
        subscribers.routes.clear();
        self.are_there.store(true, Ordering::SeqCst);
        Ok(id)
    }

    /// Takes a subscription away.
    fn remove(&self, tenant: &TenantId, id: u64) {
        let mut registry = self.registry.lock();
        let Some(subscribers) = registry.tenants.get_mut(tenant) else { return };
        subscribers.by_id.remove(&id);
        subscribers.routes.clear();
        if subscribers.by_id.is_empty() {
            registry.tenants.remove(tenant);
        }
        if registry.tenants.is_empty() {
            self.are_there.store(false, Ordering::SeqCst);
        }
    }

    /// Lets `apply` take an append into the head, and hands on the runs that it adds to what it is given, but
    /// for entries of a stream before its `cutoff`.
    ///
    /// # Errors
    /// Those of `apply`; nothing is then handed on.
    pub(crate) fn publish(
        &self,
        tenant: &TenantId,
        cutoff: impl Fn(&Labels) -> Timestamp,
        apply: impl FnOnce(Option<&mut Vec<NewRun>>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut registry = self.registry.lock();
        let position = registry.position + 1;
        let Some(subscribers) = registry.tenants.get_mut(tenant) else { return apply(None) };
        let mut runs = Vec::new();
        apply(Some(&mut runs))?;
        let mut reached: Vec<Route> = Vec::new();
        for NewRun { labels, run } in runs {
            let route = subscribers.route(&labels);
            if route.is_empty() {
                continue;
            }
            let start = cutoff(&labels);
            let appended = Appended::new(labels, &run, position).from(start);
            if appended.is_empty() {
                continue;
            }
            let appended = Arc::new(appended);
            route.iter().for_each(|queue| queue.push(&appended));
            reached.push(route);
        }
        registry.position = position;
        drop(registry);
        // Outside the lock: whoever wakes up may want it.
        reached.iter().flat_map(|route| route.iter()).for_each(|queue| queue.wake());
        Ok(())
    }

    /// Calls `take` while nothing is handed on, with the position of what was handed on last.
    pub(crate) fn at_position<T>(&self, take: impl FnOnce() -> T) -> (T, u64) {
        let registry = self.registry.lock();
        (take(), registry.position)
    }

    /// The position of what was handed on last.
    pub(crate) fn position(&self) -> u64 {
        self.registry.lock().position
    }

    /// Takes out of the queues what a request takes of what was handed on up to a position.
    pub(crate) fn hide(&self, delete: &ActiveDelete, position: u64) {
        let registry = self.registry.lock();
        let Some(tenant) = registry.tenants.get(&delete.body.tenant) else { return };
        let queues: Vec<_> = tenant.by_id.values().map(|one| Arc::clone(&one.queue)).collect();
        drop(registry);
        queues.iter().for_each(|queue| queue.hide(delete, position));
    }

    /// Ends all subscriptions once they have given what is in their queues.
    pub(crate) fn close(&self) {
        let mut registry = self.registry.lock();
        registry.is_closed = true;
        let tenants = registry.tenants.values();
        tenants.flat_map(|tenant| tenant.by_id.values()).for_each(|one| one.queue.close());
    }
}

impl TenantSubscribers {
    /// The queues that a stream goes to.
    fn route(&mut self, labels: &Labels) -> Route {
        if let Some(route) = self.routes.get(labels) {
            return Arc::clone(route);
        }
        if self.routes.len() >= ROUTES_MAX {
            self.routes.clear();
        }
        let selects = |subscriber: &&Subscriber| {
            let value = |matcher: &Matcher| labels.get(matcher.name()).unwrap_or_default();
            subscriber.matchers.iter().all(|matcher| matcher.matches(value(matcher)))
        };
        let found = self.by_id.values().filter(selects);
        let route: Route = found.map(|subscriber| Arc::clone(&subscriber.queue)).collect();
        self.routes.insert(labels.clone(), Arc::clone(&route));
        route
    }
}
