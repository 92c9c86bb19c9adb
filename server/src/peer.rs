//! Where a connection comes from, told to each of its requests.

use std::net::IpAddr;
use std::task::{Context, Poll};

use ::http::Request;
use tower::Service;

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
