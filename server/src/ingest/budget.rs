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
    left: AtomicUsize,
    tenants: Mutex<HashMap<TenantId, Tenant>>,
}

/// What all shares of a tenant have, and how many they are.
#[derive(Debug, Default)]
struct Tenant {
    held: Arc<AtomicUsize>,
    shares: usize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { left: AtomicUsize::new(bytes), tenants: Mutex::default() }
    }

    /// A share of nothing, that may grow.
    pub(crate) fn share(&self, tenant: &TenantId) -> Share<'_> {
        let held = {
            let mut tenants = self.tenants.lock();
            let known = tenants.entry(tenant.clone()).or_default();
            known.shares += 1;
            Arc::clone(&known.held)
        };
        Share { budget: self, tenant: tenant.clone(), held, bytes: 0 }
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
}

impl Share<'_> {
    /// Takes `bytes` more; `false`, and nothing taken, where as many are not left, or the tenant would have
    /// more than is then left for others.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        // Nothing but the numbers themselves is shared, so no order has to be kept: two that grow at once
        // may at worst both be refused.
        let take = |left: usize| left.checked_sub(bytes);
        if self.budget.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return false;
        }
        let held = self.held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if held > self.budget.left.load(Ordering::Relaxed) {
            self.give_back(bytes);
            return false;
        }
        self.bytes += bytes;
        true
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
        assert!(first.grow(4) && first.grow(2) && second.grow(4));
        assert!(!second.grow(1));
        drop(first);
        assert!(!second.grow(7) && second.grow(6));
        drop(second);
        assert!(budget.tenants.lock().is_empty());
        assert!(budget.share(&a).grow(10));
        assert!(!budget.share(&a).grow(21));
    }

    #[test]
    fn a_tenant_has_no_more_than_it_leaves_for_others() {
        let (budget, a, b, c) = (Budget::new(120), tenant("a"), tenant("b"), tenant("c"));
        let (mut of_a, mut of_b, mut of_c) = (budget.share(&a), budget.share(&b), budget.share(&c));
        assert!(of_a.grow(60) && !of_a.grow(1) && !budget.share(&a).grow(1));
        assert!(of_b.grow(30) && !of_b.grow(1));
        assert!(of_c.grow(15) && !of_c.grow(1), "and one more");
        // What one gives back others may have, the greediest last.
        drop(of_a);
        assert!(of_c.grow(15) && of_b.grow(0) && !budget.share(&a).grow(31));
        assert!(budget.share(&a).grow(30));
    }
}
