//! Answers on their way to clients. A client that does not take its answer holds no memory for longer than a while: the answer is
//! given up, and its stream ends.
//!
//! The library asks a body for its next part only while the client's window has room, so an answer that nobody takes is never
//! asked, and cannot give itself up.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use super::status;

/// The largest part of an answer that is handed to a connection, which keeps it until it is written.
const PART: usize = 16 * 1024;

/// The interval at which overdue answers are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The answers that clients have not taken yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    next: u64,
    answers: HashMap<u64, (Instant, Inner)>,
}

/// The body; `None` once it was given up.
type Inner = Arc<Mutex<Option<Body>>>;

impl Answers {
    /// Returns a body that is given up, with everything that is in it, if it is not taken by a moment.
    pub(crate) fn hold(&self, body: Body, until: Instant) -> Body {
        let inner: Inner = Arc::new(Mutex::new(Some(body)));
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.next += 1;
        let number = held.next;
        held.answers.insert(number, (until, Arc::clone(&inner)));
        drop(held);
        Body::new(Taken { inner, number, of: Arc::downgrade(&self.0) })
    }

    /// Gives up overdue answers for ever.
    pub(crate) async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP_INTERVAL).await;
            let dropped = self.give_up(Instant::now());
            if dropped > 0 {
                log_event!(warn, RESPONSES_DROPPED, dropped, "answers were not taken in time; their streams end");
            }
        }
    }

    fn give_up(&self, now: Instant) -> usize {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let overdue: Vec<_> = held.answers.extract_if(|_, (until, _)| *until <= now).collect();
        drop(held);
        let given_up = |(_, (_, inner)): &(u64, (Instant, Inner))| {
            inner.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
        };
        overdue.iter().filter(|overdue| given_up(overdue)).count()
    }
}

/// The side of a held body that the connection has.
struct Taken {
    inner: Inner,
    number: u64,
    of: Weak<Mutex<Held>>,
}

impl http_body::Body for Taken {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.inner.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(Some(Err(status::unavailable()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.as_ref().is_some_and(http_body::Body::is_end_stream)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(held) = self.of.upgrade() {
            held.lock().unwrap_or_else(PoisonError::into_inner).answers.remove(&self.number);
        }
    }
}

/// A body, and what is kept until it has been taken or is given up.
pub(crate) struct Keeping<T> {
    body: Body,
    _kept: T,
}

impl<T: Send + Unpin + 'static> Keeping<T> {
    /// Returns a body that keeps something.
    pub(crate) fn body(body: Body, kept: T) -> Body {
        Body::new(Self { body, _kept: kept })
    }
}

impl<T: Send + Unpin> http_body::Body for Keeping<T> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

/// An answer that is complete.
pub(crate) struct Whole {
    data: Bytes,
    trailers: Option<http::HeaderMap>,
}

impl Whole {
    /// Returns the body of an answer without trailers.
    pub(crate) fn body(data: Bytes) -> Body {
        Body::new(Self { data, trailers: None })
    }

    /// Reads the whole body of an answer.
    pub(crate) async fn read(body: Body) -> Result<Self, Status> {
        let collected = body.collect().await?;
        let trailers = collected.trailers().cloned();
        Ok(Self { data: collected.to_bytes(), trailers })
    }

    /// Returns the size of its data, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }
}

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if !self.data.is_empty() {
            let part = self.data.len().min(PART);
            return Poll::Ready(Some(Ok(Frame::data(self.data.split_to(part)))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(size: usize, place: Arc<()>) -> Body {
        let trailers = Some(http::HeaderMap::new());
        Keeping::body(Body::new(Whole { data: Bytes::from(vec![7; size]), trailers }), place)
    }

    #[tokio::test(crate = "crate::limit")]
    async fn answer_is_handed_over_in_small_parts() {
        let mut body = whole(40_000, Arc::default());
        let mut parts = Vec::new();
        while let Some(frame) = body.frame().await {
            parts.push(frame.unwrap().into_data().map_or(0, |data| data.len()));
        }
        assert_eq!(parts, [PART, PART, 40_000 - 2 * PART, 0]);
    }

    #[tokio::test(start_paused = true, crate = "crate::limit")]
    async fn answer_that_nobody_takes_is_given_up() {
        let (answers, place) = (Answers::default(), Arc::new(()));
        let until = Instant::now() + Duration::from_secs(20);
        let mut slow = answers.hold(whole(40_000, Arc::clone(&place)), until);
        let quick = answers.hold(whole(40_000, Arc::clone(&place)), until);
        assert_eq!(quick.collect().await.unwrap().to_bytes().len(), 40_000);
        slow.frame().await.unwrap().unwrap();
        assert_eq!((answers.give_up(until - Duration::from_millis(1)), Arc::strong_count(&place)), (0, 2));
        assert_eq!((answers.give_up(until), Arc::strong_count(&place)), (1, 1), "its memory is given back at once");
        assert!(slow.frame().await.unwrap().is_err(), "and its stream ends");
        drop(slow);
        assert!(answers.0.lock().unwrap().answers.is_empty());
    }
}
