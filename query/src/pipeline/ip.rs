//! `ip("…")`: addresses, prefixes and ranges, and finding addresses in text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What `ip("…")` looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IpPattern {
    /// The first and the last address that match; of one family.
    first: IpAddr,
    last: IpAddr,
}

impl IpPattern {
    /// An address, a prefix (`10.0.0.0/8`; host bits do not count) or a range (`10.0.0.1-10.0.0.9`).
    ///
    /// # Errors
    /// `ip: invalid pattern: "…"`.
    pub(crate) fn parse(pattern: &str) -> Result<Self, String> {
        let parsed = if let Some((first, last)) = pattern.split_once('-') {
            Self::range(first, last)
        } else if let Some((address, bits)) = pattern.split_once('/') {
            Self::prefix(address, bits)
        } else {
            pattern.parse().ok().map(|address| Self { first: address, last: address })
        };
        parsed.ok_or_else(|| format!("ip: invalid pattern: {}", crate::golang::quote(pattern)))
    }

    fn range(first: &str, last: &str) -> Option<Self> {
        let (first, last): (IpAddr, IpAddr) = (first.parse().ok()?, last.parse().ok()?);
        (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self { first, last })
    }

    fn prefix(address: &str, bits: &str) -> Option<Self> {
        let digits_only = bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits: u32 = bits.parse().ok().filter(|_| digits_only)?;
        Some(match address.parse().ok()? {
            IpAddr::V4(address) => {
                let host = u32::MAX.checked_shr(bits).unwrap_or(0);
                let first = u32::from(address) & !host;
                let last = Ipv4Addr::from(first | host);
                Self { first: Ipv4Addr::from(first).into(), last: last.into() }
            }
            IpAddr::V6(address) => {
                let host = u128::MAX.checked_shr(bits).unwrap_or(0);
                let first = u128::from(address) & !host;
                let last = Ipv6Addr::from(first | host);
                Self { first: Ipv6Addr::from(first).into(), last: last.into() }
            }
        })
        .filter(|pattern| bits <= if pattern.first.is_ipv4() { 32 } else { 128 })
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && self.first <= address && address <= self.last
    }

    /// Whether an address that matches stands somewhere in the text.
    ///
    /// What looks like the begin of an address is read as far as its characters go, and has to be an
    /// address as a whole: `1.2.3.4.` is none.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        let mut rest = text;
        while !rest.is_empty() {
            let run = candidate(rest);
            if run == 0 {
                rest = &rest[1..];
                continue;
            }
            let address = std::str::from_utf8(&rest[..run]).ok().and_then(|run| run.parse().ok());
            if address.is_some_and(|address| self.contains(address)) {
                return true;
            }
            rest = &rest[run..];
        }
        false
    }
}

/// How many bytes at the start of `text` could be an address; 0 where it does not look like one.
fn candidate(text: &[u8]) -> usize {
    let near = |count: usize| text.iter().skip(1).take(count);
    let run = |belongs: fn(u8) -> bool| {
        text.iter().position(|&byte| !belongs(byte)).unwrap_or(text.len())
    };
    let first = text.first().copied().unwrap_or_default();
    if first.is_ascii_digit() && near(3).any(|&byte| byte == b'.') {
        return run(|byte| byte.is_ascii_digit() || byte == b'.');
    }
    let hex_digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let begins_group = (1..=4).contains(&hex_digits) && text.get(hex_digits) == Some(&b':');
    let begins_gap = text.starts_with(b"::") && text.get(2).is_some_and(u8::is_ascii_hexdigit);
    if begins_group || begins_gap {
        return run(|byte| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.');
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(pattern: &str, text: &str) -> bool {
        IpPattern::parse(pattern).unwrap().is_in(text.as_bytes())
    }

    #[test]
    fn addresses_are_found_in_text() {
        assert!(finds("8.8.8.8", "from 10.1.2.3 to 8.8.8.8"));
        assert!(finds("192.168.0.0/16", "addr=192.168.4.5:8080"));
        assert!(finds("2001:db8::/32", "v6 2001:db8::1 end"));
        assert!(finds("::1", "[::1]:80"));
        assert!(finds("10.1.2.3", "x10.1.2.3y"));
        assert!(finds("10.1.3.0", "10.1.2.255,10.1.3.0"));
        assert!(finds("192.168.4.10-192.168.4.99", "a 192.168.4.10"));
        assert!(!finds("192.168.4.10-192.168.4.99", "a 192.168.4.100"));
        assert!(!finds("1.2.3.4", "1.2.3.4.5"));
        assert!(!finds("1.2.3.4", "see 1.2.3.4."));
        assert!(!finds("0.0.0.0/0", "256.1.1.1"));
        assert!(!finds("0.0.0.0/0", "::1 only"));
    }

    #[test]
    fn host_bits_do_not_count() {
        assert!(finds("10.1.2.3/8", "10.9.9.9"));
        assert!(finds("1.2.3.4/32", "1.2.3.4"));
        assert!(!finds("1.2.3.4/32", "1.2.3.5"));
        assert!(finds("::/0", "2001:db8::1"));
    }

    #[test]
    fn bad_patterns_are_errors() {
        for pattern in
            ["", "bogus", "1.2.3", "1.2.3.4/33", "1.2.3.4/+8", "2.2.2.2-1.1.1.1", "1.1.1.1-::1"]
        {
            let expected = format!("ip: invalid pattern: \"{pattern}\"");
            assert_eq!(IpPattern::parse(pattern), Err(expected));
        }
    }
}
