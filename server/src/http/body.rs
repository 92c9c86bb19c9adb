//! Reading request bodies, never more than they may be and never for ever.

use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::time::timeout;

use crate::error::ApiError;

/// What a body must bring in a second, on the whole and beyond the first pause, in bytes. A client that
/// sends a byte now and then would otherwise hold its memory and its place for days.
const RATE_MIN: u64 = 1024;

/// How long the rest of a body that is refused is read and forgotten. A connection that is closed
/// with bytes unread is reset, and the client may lose the answer that says what is wrong.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// The most that is set aside for a body before it is there.
const FIRST_BYTES_MAX: usize = 4 << 20;

/// The whole body of a client that may pause for so long.
///
/// # Errors
/// [`ApiError::BodyTooLarge`] when it is announced to have more than `limit` bytes, or as soon as it
/// has; [`ApiError::BodyPaused`] and [`ApiError::Body`] when the client stops sending or breaks the
/// protocol.
pub(crate) async fn read_body(
    body: Body,
    limit: usize,
    pause: Duration,
) -> Result<Bytes, ApiError> {
    read_shared_body(body, limit, pause, |_| Ok(())).await
}

/// The same out of memory that many share: `take` is asked for each part, before it is kept.
///
/// # Errors
/// As [`read_body`], and what `take` says.
pub(crate) async fn read_shared_body(
    mut body: Body,
    limit: usize,
    pause: Duration,
    mut take: impl FnMut(usize) -> Result<(), ApiError>,
) -> Result<Bytes, ApiError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        drain(body).await;
        return Err(ApiError::BodyTooLarge { limit });
    }
    let mut read = BytesMut::new();
    let mut progress = Progress::new(pause);
    loop {
        let Some(data) = progress.next(&mut body).await? else { break };
        if data.len() > limit - read.len() {
            drain(body).await;
            return Err(ApiError::BodyTooLarge { limit });
        }
        if let Err(refused) = take(data.len()) {
            drain(body).await;
            return Err(refused);
        }
        if read.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        if read.is_empty() {
            read.reserve(announced.min(FIRST_BYTES_MAX));
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

/// How a body gets on: it may neither pause nor drip.
#[derive(Debug)]
pub(crate) struct Progress {
    begun: Instant,
    pause: Duration,
    bytes: u64,
}

impl Progress {
    /// A body that is only begun, of a client that may pause for so long.
    pub(crate) fn new(pause: Duration) -> Self {
        Self { begun: Instant::now(), pause, bytes: 0 }
    }

    /// The body's next bytes; `None` at its end.
    ///
    /// # Errors
    /// [`ApiError::BodyPaused`] and [`ApiError::Body`].
    pub(crate) async fn next(&mut self, body: &mut Body) -> Result<Option<Bytes>, ApiError> {
        let earned = Duration::from_secs(self.bytes / RATE_MIN);
        let left = (self.pause + earned).saturating_sub(self.begun.elapsed());
        if left.is_zero() {
            return Err(ApiError::BodyPaused);
        }
        let data = next(body, self.pause.min(left)).await?;
        let len = data.as_ref().map_or(0, Bytes::len);
        self.bytes += u64::try_from(len).unwrap_or(u64::MAX);
        Ok(data)
    }
}

/// The body's next bytes; trailers are none.
async fn next(body: &mut Body, pause: Duration) -> Result<Option<Bytes>, ApiError> {
    let frame = timeout(pause, body.frame()).await.map_err(|_| ApiError::BodyPaused)?;
    let frame = frame.transpose().map_err(|error| ApiError::Body(error.to_string()))?;
    Ok(frame.map(|frame| frame.into_data().unwrap_or_default()))
}

/// Reads the rest and forgets it.
async fn drain(mut body: Body) {
    let rest = async { while let Ok(Some(_)) = next(&mut body, DRAIN_MAX).await {} };
    // In vain where the client goes on for longer: it has been given its chance.
    let _ = timeout(DRAIN_MAX, rest).await;
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::Frame;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(60);

    /// A body of these parts that goes on for ever where it does not end.
    struct Parts {
        parts: VecDeque<&'static [u8]>,
        ends: bool,
    }

    impl hyper::body::Body for Parts {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            match self.parts.pop_front() {
                Some(part) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(part))))),
                None if self.ends => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    fn read(parts: &[&'static [u8]], ends: bool, limit: usize) -> Result<Bytes, ApiError> {
        let body = Body::new(Parts { parts: parts.iter().copied().collect(), ends });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let pause = if ends { PAUSE } else { Duration::from_millis(1) };
        let take = |len| if len < 9 { Ok(()) } else { Err(ApiError::Busy) };
        runtime.block_on(read_shared_body(body, limit, pause, take))
    }

    #[test]
    fn bodies_are_read_up_to_their_limit() {
        assert_eq!(read(&[], true, 0).unwrap(), "");
        assert_eq!(read(&[b"ab", b"", b"c"], true, 3).unwrap(), "abc");
        let large = read(&[b"ab", b"cd", b"ef"], true, 3);
        assert!(matches!(large, Err(ApiError::BodyTooLarge { limit: 3 })));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let whole = runtime.block_on(read_body(Body::from("abc"), 3, PAUSE)).unwrap();
        assert_eq!(whole, "abc");
        let announced = runtime.block_on(read_body(Body::from("abcd"), 3, PAUSE));
        assert!(matches!(announced, Err(ApiError::BodyTooLarge { .. })));
    }

    #[test]
    fn bodies_out_of_shared_memory_may_have_to_come_again() {
        assert!(matches!(read(&[b"ab", b"123456789"], true, 100), Err(ApiError::Busy)));
    }

    #[test]
    fn bodies_must_get_on() {
        /// A byte now and then, for ever.
        struct Drip(tokio::time::Interval);

        impl hyper::body::Body for Drip {
            type Data = Bytes;
            type Error = std::convert::Infallible;

            fn poll_frame(
                mut self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
                let byte = Frame::data(Bytes::from_static(b"x"));
                self.0.poll_tick(context).map(|_| Some(Ok(byte)))
            }
        }

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let read = runtime.block_on(async {
            let drip = Body::new(Drip(tokio::time::interval(Duration::from_millis(1))));
            read_shared_body(drip, 1 << 20, Duration::from_millis(30), |_| Ok(())).await
        });
        assert!(matches!(read, Err(ApiError::BodyPaused)));
    }

    #[test]
    fn clients_that_stop_sending_are_not_waited_for() {
        assert!(matches!(read(&[b"ab"], false, 3), Err(ApiError::BodyPaused)));
    }
}
