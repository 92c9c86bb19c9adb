//! Where a connection comes from, told to each of its requests, and who is behind a proxy.

use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use ::http::{HeaderMap, Request};
use tower::Service;

use crate::config::Network;

/// In which each proxy adds the address at the other end of its connection, behind those before it.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address at the other end of a request's connection: the client's, or that of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// A service whose requests have a [`Peer`] among their extensions.
#[derive(Clone, Debug)]
pub(crate) struct FromPeer<S> {
    pub(crate) service: S,
    pub(crate) peer: Peer,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for FromPeer<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.peer);
        self.service.call(request)
    }
}

/// The client of a request: the peer; where that is one of the proxies, the last address before it that is
/// not. What stands further to the front is what the client itself says, and is not looked at.
pub(crate) fn client_of(Peer(peer): Peer, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    let is_proxy = |address| proxies.iter().any(|proxy| proxy.contains(address));
    let mut client = peer;
    if !is_proxy(client) {
        return client;
    }
    let values = headers.get_all(FORWARDED_FOR).iter();
    let texts = values.map(|value| value.to_str().unwrap_or_default());
    let mut named: Vec<&str> = texts.flat_map(|text| text.split(',')).collect();
    while is_proxy(client)
        && let Some(address) = named.pop().and_then(address_of)
    {
        client = address;
    }
    client
}

/// The address in an item of the header. Some proxies add the port, and brackets as in URLs.
fn address_of(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXIES: [&str; 2] = ["10.0.0.0/8", "::1"];

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let proxies = PROXIES.map(|proxy| proxy.parse().unwrap());
        client_of(Peer(peer.parse().unwrap()), &headers, &proxies).to_string()
    }

    #[test]
    fn a_proxy_is_believed() {
        assert_eq!(client("10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(client("::ffff:10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(client("::1", &["2001:db8::1, 10.0.0.2,10.0.0.3"]), "2001:db8::1");
        assert_eq!(
            client("::1", &["192.0.2.1", "10.0.0.2"]),
            "192.0.2.1",
            "two headers are one list"
        );
        for item in ["192.0.2.1:4711", "[::ffff:192.0.2.1]:4711", " [192.0.2.1] "] {
            assert!(client("10.0.0.1", &[item]).ends_with("192.0.2.1"), "{item}");
        }
    }

    #[test]
    fn a_client_is_not() {
        assert_eq!(client("192.0.2.1", &["192.0.2.9"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["10.0.0.9, 192.0.2.1, 10.0.0.2"]), "192.0.2.1");
    }

    #[test]
    fn without_an_address_it_is_the_proxy() {
        for forwarded in [&[][..], &[""], &["unknown"], &["192.0.2.1,"]] {
            assert_eq!(client("10.0.0.1", forwarded), "10.0.0.1", "{forwarded:?}");
        }
        assert_eq!(client("10.0.0.1", &["192.0.2.1, unknown, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(
            client("10.0.0.1", &["10.0.0.3, 10.0.0.2"]),
            "10.0.0.3",
            "a proxy asks for itself"
        );
    }
}
