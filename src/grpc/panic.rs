//! A panic in a handler is a defect of one call: its caller is told so, and nobody else notices.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use http::Response;
use tonic::body::Body;
use uuid::Uuid;

use super::status;
use crate::entropy::Entropy;

/// Answers a call, with INTERNAL and an id that the log has too if its handler panics.
pub(super) async fn caught(call: impl Future<Output = Response<Body>>) -> Response<Body> {
    let mut call = pin!(call);
    // After a panic the future is dropped and never looked at again, so nothing half-done can be seen.
    let answered = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context))) {
        Ok(Poll::Ready(answered)) => Poll::Ready(Some(answered)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(None),
    });
    answered.await.unwrap_or_else(|| {
        let error_id = Uuid::from_bytes(Entropy::system().bytes()).simple().to_string();
        tracing::error!(%error_id, "a handler panicked");
        status::internal(error_id).into_http()
    })
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};
    use tonic_types::StatusExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_as_a_defect_with_an_id() {
        let answered = caught(async { panic!("this is a test") }).await;
        let status = Status::from_header_map(answered.headers()).unwrap();
        assert_eq!(status.code(), Code::Internal);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.metadata["error_id"].len()), ("INTERNAL", 32));
        assert!(!status.message().contains("this is a test"));
    }
}
