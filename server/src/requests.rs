//! What a connection over HTTP/2 has open, so that its guard knows what its client is expected to do.
//!
//! Bytes do not tell it, as they do over HTTP/1: requests and answers go side by side, and a client that lets
//! nothing be sent to it looks like one that has nothing to ask.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::http::{Request, Response, Version};
use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::Service;

use crate::guarded::Patience;

/// How much of an answer is handed on at a time. What was handed on is out of sight.
const PART_BYTES_MAX: usize = 64 << 10;

/// The requests of a connection.
#[derive(Debug)]
pub(crate) struct Requests(Mutex<State>);

#[derive(Debug)]
struct State {
    has_asked: bool,
    open: usize,
    /// Since when none is open.
    idle_since: Instant,
    /// Since when the client could take more of an answer, by request.
    untaken: BTreeMap<u64, Instant>,
    last_id: u64,
}

impl Requests {
    /// None so far.
    pub(crate) fn new() -> Arc<Self> {
        let (idle_since, untaken) = (Instant::now(), BTreeMap::new());
        let state = State { has_asked: false, open: 0, idle_since, untaken, last_id: 0 };
        Arc::new(Self(Mutex::new(state)))
    }

    /// Until when the client has to do something; `None` where it is the server's turn.
    pub(crate) fn deadline(&self, patience: &Patience) -> Option<Instant> {
        let state = self.0.lock();
        if state.open == 0 {
            let wait = if state.has_asked { patience.idle } else { patience.head };
            return Some(state.idle_since + wait);
        }
        state.untaken.values().min().map(|since| *since + patience.write)
    }

    fn begin(self: &Arc<Self>) -> Open {
        let mut state = self.0.lock();
        state.has_asked = true;
        state.open += 1;
        state.last_id += 1;
        Open { requests: Arc::clone(self), id: state.last_id }
    }
}

/// A request that is not answered to its end.
struct Open {
    requests: Arc<Requests>,
    id: u64,
}

impl Open {
    /// It is the client's turn to take more.
    fn offered(&self) {
        self.requests.0.lock().untaken.insert(self.id, Instant::now());
    }

    /// It is the server's turn to have more.
    fn awaited(&self) {
        self.requests.0.lock().untaken.remove(&self.id);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.requests.0.lock();
        state.untaken.remove(&self.id);
        state.open -= 1;
        if state.open == 0 {
            state.idle_since = Instant::now();
        }
    }
}

/// A service that takes note of its requests over HTTP/2.
#[derive(Clone, Debug)]
pub(crate) struct Noted<S> {
    pub(crate) service: S,
    pub(crate) requests: Arc<Requests>,
}

type Answer<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S, B> Service<Request<B>> for Noted<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let open = (request.version() == Version::HTTP_2).then(|| self.requests.begin());
        let answer = self.service.call(request);
        let Some(open) = open else { return Box::pin(answer) };
        Box::pin(async move {
            let answer = answer.await?;
            open.offered();
            Ok(answer.map(|body| Body::new(NotedBody { body, rest: Bytes::new(), open })))
        })
    }
}

/// An answer's body, in parts that are only asked for as the client takes them.
struct NotedBody {
    body: Body,
    /// What is left of the part that the body gave.
    rest: Bytes,
    open: Open,
}

impl NotedBody {
    fn next_part(&mut self) -> Bytes {
        let part = self.rest.split_to(self.rest.len().min(PART_BYTES_MAX));
        if !self.rest.is_empty() || part.len() < PART_BYTES_MAX {
            return part;
        }
        // The last part must not hold all those before it.
        Bytes::copy_from_slice(&part)
    }
}

impl HttpBody for NotedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            self.open.awaited();
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)) else {
                return Poll::Ready(None);
            };
            match frame?.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        self.open.offered();
        Poll::Ready(Some(Ok(Frame::data(self.next_part()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt as _;

    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(1),
        idle: Duration::from_secs(10),
        write: Duration::from_secs(100),
    };

    fn body(requests: &Arc<Requests>, text: Bytes) -> NotedBody {
        let open = requests.begin();
        open.offered();
        NotedBody { body: Body::from(text), rest: Bytes::new(), open }
    }

    #[test]
    fn a_client_has_to_ask_then_to_take_and_then_to_ask_again() {
        let requests = Requests::new();
        let left = |requests: &Requests| {
            let deadline = requests.deadline(&PATIENCE);
            deadline.map(|at| at.saturating_duration_since(Instant::now()).as_secs_f64().ceil())
        };
        assert_eq!(left(&requests), Some(1.0));
        let open = requests.begin();
        assert_eq!(left(&requests), None, "the server's turn");
        open.offered();
        assert_eq!(left(&requests), Some(100.0));
        let other = requests.begin();
        drop(open);
        assert_eq!(left(&requests), None);
        drop(other);
        assert_eq!(left(&requests), Some(10.0));
    }

    #[tokio::test]
    async fn answers_come_in_parts_and_the_last_holds_no_other() {
        let requests = Requests::new();
        for len in [0, 1, PART_BYTES_MAX, PART_BYTES_MAX + 1, 3 * PART_BYTES_MAX] {
            let text: Bytes = (0..=255).cycle().take(len).collect::<Vec<u8>>().into();
            let mut body = body(&requests, text.clone());
            assert_eq!(body.size_hint().exact(), Some(len as u64));
            let mut all = Vec::new();
            while let Some(frame) = body.frame().await {
                let part = frame.unwrap().into_data().unwrap();
                assert!(part.len() <= PART_BYTES_MAX);
                all.extend_from_slice(&part);
                assert_eq!(body.size_hint().exact(), Some((len - all.len()) as u64));
            }
            assert!(text == all && body.is_end_stream());
        }
    }
}
