//! Addresses that show wrong secrets over and over.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Wrong secrets that an address has in hand: somebody mistypes, an agent tries again with an old one.
const WRONG_MAX: u32 = 20;

/// One of them is forgotten in so long.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(1);

/// Addresses that are remembered. With more, all are forgotten; what is checked at a time is bounded anyway.
const ADDRESSES_MAX: usize = 10_000;

/// How many wrong secrets came from where.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    wrong: Mutex<HashMap<IpAddr, Wrong>>,
}

#[derive(Clone, Copy, Debug)]
struct Wrong {
    count: u32,
    at: Instant,
}

impl Wrong {
    /// Without those that are forgotten by now.
    fn at(self, now: Instant) -> Self {
        let seconds = now.saturating_duration_since(self.at).as_secs() / FORGOTTEN_AFTER.as_secs();
        let forgotten = u32::try_from(seconds).unwrap_or(u32::MAX);
        if forgotten == 0 {
            return self;
        }
        Self { count: self.count.saturating_sub(forgotten), at: now }
    }
}

impl Backoff {
    /// Whether an address has to wait before another secret of its is checked.
    pub(super) fn has_to_wait(&self, address: IpAddr, now: Instant) -> bool {
        let wrong = self.wrong.lock();
        wrong.get(&network(address)).is_some_and(|wrong| wrong.at(now).count >= WRONG_MAX)
    }

    /// Takes note of a wrong secret.
    pub(super) fn add(&self, address: IpAddr, now: Instant) {
        let mut wrong = self.wrong.lock();
        if wrong.len() >= ADDRESSES_MAX {
            wrong.retain(|_, wrong| wrong.at(now).count > 0);
            if wrong.len() >= ADDRESSES_MAX {
                wrong.clear();
            }
        }
        let none = Wrong { count: 0, at: now };
        let of_address = wrong.entry(network(address)).or_insert(none);
        *of_address = of_address.at(now);
        of_address.count = of_address.count.saturating_add(1);
    }
}

/// What counts as one address: of IPv6 a /64, which a single host may have to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn wrong_secrets_are_forgotten_one_by_one() {
        let (backoff, start) = (Backoff::default(), Instant::now());
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        for _ in 0..WRONG_MAX {
            assert!(!backoff.has_to_wait(one, start));
            backoff.add(one, start);
        }
        assert!(backoff.has_to_wait(one, start));
        assert!(backoff.has_to_wait(address("::ffff:192.0.2.1"), start), "the same");
        assert!(!backoff.has_to_wait(other, start));
        let later = start + FORGOTTEN_AFTER;
        assert!(!backoff.has_to_wait(one, later));
        backoff.add(one, later);
        assert!(backoff.has_to_wait(one, later));
    }

    #[test]
    fn a_host_has_one_network_of_ipv6() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        for last in 0..WRONG_MAX {
            backoff.add(address(&format!("2001:db8::{last:x}")), now);
        }
        assert!(backoff.has_to_wait(address("2001:db8::ffff"), now));
        assert!(!backoff.has_to_wait(address("2001:db8:0:1::1"), now));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        for number in 0..u32::try_from(ADDRESSES_MAX).unwrap() * 2 {
            backoff.add(IpAddr::V4(number.into()), now);
        }
        assert!(backoff.wrong.lock().len() <= ADDRESSES_MAX);
    }
}
