//! Counts the calls that are being answered, so that a shutdown knows when all are answered.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Frame, SizeHint};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::body::Body;

/// The calls of this service that are under way. Health and reflection streams do not count: they never end by themselves.
#[derive(Clone, Debug, Default)]
pub struct InFlight(TaskTracker);

impl InFlight {
    /// Counts a call until its answer is written or given up.
    pub(crate) fn enter(&self) -> TaskTrackerToken {
        self.0.token()
    }

    /// Waits until no call is under way. It is called once no new calls are accepted.
    pub async fn finished(&self) {
        self.0.close();
        self.0.wait().await;
    }

    /// Returns whether no call is under way.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A response's body that counts as under way until it is dropped.
pub(crate) struct Counted {
    pub(crate) body: Body,
    pub(crate) _token: TaskTrackerToken,
}

impl http_body::Body for Counted {
    type Data = <Body as http_body::Body>::Data;
    type Error = <Body as http_body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
