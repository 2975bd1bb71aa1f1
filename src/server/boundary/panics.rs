//! A handler that panics ends its own call, and nothing else.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use http::Response;
use tonic::body::Body;
use uuid::Uuid;

use crate::entropy::Entropy;
use crate::server::status;

/// Answers a call; if its handler panics, with INTERNAL and an id that is also in the log.
pub(super) fn catch_panic(call: impl Future<Output = Response<Body>>) -> impl Future<Output = Response<Body>> {
    AssertUnwindSafe(call).catch_unwind().map(|answered| {
        answered.unwrap_or_else(|_| {
            let error_id = Uuid::from_bytes(Entropy::system().bytes()).simple().to_string();
            log_event!(error, CALL_PANICKED, %error_id, "a handler panicked; answering INTERNAL");
            status::internal(error_id).into_http()
        })
    })
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};
    use tonic_types::StatusExt as _;

    use super::*;

    #[tokio::test(crate = "crate::limit")]
    async fn panic_is_answered_internal_with_an_id() {
        let answered = catch_panic(async { panic!("this is a test") }).await;
        let status = Status::from_header_map(answered.headers()).unwrap();
        assert_eq!(status.code(), Code::Internal);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.metadata["error_id"].len()), ("INTERNAL", 32));
        assert!(!status.message().contains("this is a test"));
    }
}
