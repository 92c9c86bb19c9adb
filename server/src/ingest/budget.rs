//! Memory that many share: so many bytes for all of them together, with room left for whoever comes next.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use timberline_store::TenantId;

/// So many bytes, for everyone together.
///
/// A tenant has no more of it than it leaves for others: half when it is alone, a third when there is another
/// that wants as much. However much one sends, there is always room for the next.
#[derive(Debug)]
pub(crate) struct Budget {
    /// What a tenant may have when it is alone.
    tenant_max: usize,
    left: AtomicUsize,
    tenants: Mutex<HashMap<TenantId, Tenant>>,
}

/// What all shares of a tenant have, and how many they are.
#[derive(Debug, Default)]
struct Tenant {
    held: Arc<AtomicUsize>,
    shares: usize,
}

/// Why a share does not grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lack {
    /// Others have what is asked for.
    #[error("others have it at present")]
    ForNow,
    /// It is more than this, which is as much as a tenant may ever have, in bytes.
    #[error("it is more than {0} bytes")]
    ForEver(usize),
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { tenant_max: bytes / 2, left: AtomicUsize::new(bytes), tenants: Mutex::default() }
    }

    /// A share of nothing, that may grow.
    pub(crate) fn share(&self, tenant: &TenantId) -> Share<'_> {
        let held = {
            let mut tenants = self.tenants.lock();
            let known = tenants.entry(tenant.clone()).or_default();
            known.shares += 1;
            Arc::clone(&known.held)
        };
        Share { budget: self, tenant: tenant.clone(), held, bytes: 0, beside: 0 }
    }
}

/// What one has of a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share<'b> {
    budget: &'b Budget,
    tenant: TenantId,
    /// What all shares of the tenant have.
    held: Arc<AtomicUsize>,
    bytes: usize,
    /// What the same request has in other shares.
    beside: usize,
}

impl Share<'_> {
    /// How much it has.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Says what else is held as long as this: what does not fit beside it never will.
    pub(crate) const fn beside(&mut self, bytes: usize) {
        self.beside = bytes;
    }

    /// Takes `bytes` more.
    ///
    /// # Errors
    /// [`Lack`], and nothing is taken: as many are not left, or the tenant would have more than is then left
    /// for others.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Lack> {
        let all = self.beside.saturating_add(self.bytes).saturating_add(bytes);
        if all > self.budget.tenant_max {
            return Err(Lack::ForEver(self.budget.tenant_max));
        }
        // Nothing but the numbers themselves is shared, so no order has to be kept: two that grow at once
        // may at worst both be refused.
        let take = |left: usize| left.checked_sub(bytes);
        if self.budget.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return Err(Lack::ForNow);
        }
        let held = self.held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if held > self.budget.left.load(Ordering::Relaxed) {
            self.give_back(bytes);
            return Err(Lack::ForNow);
        }
        self.bytes += bytes;
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.give_back(self.bytes);
        let mut tenants = self.budget.tenants.lock();
        if let Some(known) = tenants.get_mut(&self.tenant) {
            known.shares -= 1;
            if known.shares == 0 {
                tenants.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    #[test]
    fn shares_grow_within_the_budget_and_are_given_back() {
        let (budget, a) = (Budget::new(20), tenant("a"));
        let (mut first, mut second) = (budget.share(&a), budget.share(&a));
        assert_eq!([first.grow(4), first.grow(2), second.grow(4)], [Ok(()); 3]);
        assert_eq!(second.grow(1), Err(Lack::ForNow));
        drop(first);
        assert_eq!([second.grow(7), second.grow(6)], [Err(Lack::ForEver(10)), Ok(())]);
        drop(second);
        assert!(budget.tenants.lock().is_empty());
        assert_eq!(budget.share(&a).grow(10), Ok(()));
    }

    #[test]
    fn what_can_never_fit_is_told_from_what_does_not_fit_now() {
        let (budget, a, b) = (Budget::new(20), tenant("a"), tenant("b"));
        let (mut of_a, mut of_b) = (budget.share(&a), budget.share(&b));
        assert_eq!(of_a.grow(11), Err(Lack::ForEver(10)));
        assert_eq!(of_b.grow(8), Ok(()));
        assert_eq!(of_a.grow(7), Err(Lack::ForNow), "it is the other's");
        // What the same request has elsewhere counts, too.
        of_a.beside(5);
        assert_eq!(of_a.grow(6), Err(Lack::ForEver(10)));
        assert_eq!((of_a.grow(5), of_a.bytes()), (Ok(()), 5));
    }

    #[test]
    fn a_tenant_has_no_more_than_it_leaves_for_others() {
        let (budget, a, b, c) = (Budget::new(120), tenant("a"), tenant("b"), tenant("c"));
        let (mut of_a, mut of_b, mut of_c) = (budget.share(&a), budget.share(&b), budget.share(&c));
        let busy = Err(Lack::ForNow);
        assert_eq!((of_a.grow(60), budget.share(&a).grow(1)), (Ok(()), busy));
        assert_eq!((of_b.grow(30), of_b.grow(1)), (Ok(()), busy));
        assert_eq!((of_c.grow(15), of_c.grow(1)), (Ok(()), busy), "and one more");
        // What one gives back others may have, the greediest last.
        drop(of_a);
        assert_eq!([of_c.grow(15), of_b.grow(0)], [Ok(()); 2]);
        assert_eq!((budget.share(&a).grow(31), budget.share(&a).grow(30)), (busy, Ok(())));
    }
}
