//! The steps that all RPCs share: the credential, the permission, the deadline, the status of calls that tonic refuses,
//! and one line in the log.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{Request, Response};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::{Service, ServiceExt};
use tracing::field::Empty;
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::admission::{Admission, admit};
use super::deadline::Deadline;
use super::in_flight::{Counted, InFlight};
use super::status;
use crate::auth::authenticator::Authenticator;
use crate::auth::permission::Required;
use crate::entropy::Entropy;

/// The largest request message, in bytes.
pub const MAX_MESSAGE: usize = 1024 * 1024;

const PATH_PREFIX: &str = "/invitation.v1.";

/// The RPCs that stream until the client or the service ends them. They end themselves when the service drains.
const STREAMING_PATHS: [&str; 1] = ["/invitation.v1.EventService/WatchEvents"];

/// Returns the credential that an RPC requires, by its path; `None` for a path that is no RPC of this service.
pub type RequiredBy = fn(&str) -> Option<Required>;

/// Wraps all services.
#[derive(Clone)]
pub struct Boundary {
    routes: Routes,
    authenticator: Authenticator,
    required_by: RequiredBy,
    limit: Duration,
    in_flight: InFlight,
    open: CancellationToken,
}

impl Boundary {
    /// Wraps the services; no call may take longer than `limit`. Until `open` is cancelled every call is answered
    /// UNAVAILABLE: the time and the keys of the database are not known before.
    pub fn new(
        routes: Routes,
        authenticator: Authenticator,
        required_by: RequiredBy,
        limit: Duration,
        in_flight: InFlight,
        open: CancellationToken,
    ) -> Self {
        Self { routes: routes.prepare(), authenticator, required_by, limit, in_flight, open }
    }

    async fn answer<B>(self, mut request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = request.uri().path().to_owned();
        let Some(method) = path.strip_prefix(PATH_PREFIX) else { return self.pass_on(request).await };
        let started = Instant::now();
        let token = self.in_flight.enter();
        let (service, method) = method.split_once('/').unwrap_or((method, ""));
        let caller = self.authenticator.authenticate(request.headers());
        let account = caller.as_ref().ok().map(|caller| caller.account.as_str());
        let name = caller.as_ref().ok().map(|caller| caller.name.as_str());
        let span =
            tracing::info_span!("rpc", service, method, account, caller = name, invitation = Empty, request_id = Empty);
        let deadline = Deadline::of(request.headers(), self.limit);
        let required = (self.required_by)(&path);
        let streams = STREAMING_PATHS.contains(&path.as_str());
        if streams {
            let admission = Admission::of(self.authenticator.clone(), required, request.headers());
            request.extensions_mut().insert(admission);
        }
        let admitted = caller.map_err(|_| status::unauthenticated()).and_then(|caller| admit(required, caller));
        let answered = match admitted {
            Ok(_) if !self.open.is_cancelled() => status::unavailable().into_http(),
            // The timer is coarse: a fast call would still be answered for a caller who has gone.
            Ok(_) if deadline.has_passed() => status::deadline_exceeded().into_http(),
            Ok(caller) => {
                request.extensions_mut().insert(deadline);
                request.extensions_mut().extend(caller);
                // Dropping the handler is safe: the executor finishes the commands that it has submitted.
                let call = timeout_at(deadline.0, or_defect(self.pass_on(request))).instrument(span.clone()).await;
                call.unwrap_or_else(|_| status::deadline_exceeded().into_http())
            }
            Err(refused) => refused.into_http(),
        };
        let (answered, code, reason) = with_reason(answered);
        log(&span, code, reason.as_deref(), started.elapsed());
        if streams {
            // The client may never read to the end, so nothing waits for it.
            return answered;
        }
        answered.map(|body| Body::new(Counted { body, _token: token }))
    }

    async fn pass_on<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let answered: Result<_, Infallible> = self.routes.clone().oneshot(request.map(Body::new)).await;
        match answered {
            Ok(answered) => answered,
        }
    }
}

/// Answers a call; if its handler panics, with INTERNAL and an id that is also in the log.
async fn or_defect(call: impl Future<Output = Response<Body>>) -> Response<Body> {
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|_| {
        let error_id = Uuid::from_bytes(Entropy::system().bytes()).simple().to_string();
        tracing::error!(%error_id, "a handler panicked; answering INTERNAL");
        status::internal(error_id).into_http()
    })
}

/// Returns the response, its code and the reason of a refusal. If tonic refused by itself, they are those of the contract.
fn with_reason(answered: Response<Body>) -> (Response<Body>, Code, Option<String>) {
    let Some(refused) = Status::from_header_map(answered.headers()) else { return (answered, Code::Ok, None) };
    match status::of_tonic(&refused, MAX_MESSAGE) {
        Some(refused) if refused.code() != Code::Ok => {
            let (code, reason) = (refused.code(), reason(&refused));
            (refused.into_http(), code, reason)
        }
        _ => (answered, refused.code(), reason(&refused)),
    }
}

fn reason(refused: &Status) -> Option<String> {
    refused.get_details_error_info().map(|info| info.reason)
}

fn log(span: &Span, code: Code, reason: Option<&str>, duration: Duration) {
    let duration_ms = duration.as_secs_f64() * 1_000.0;
    let _entered = span.enter();
    match code {
        Code::Internal | Code::Unknown | Code::DataLoss => tracing::error!(?code, reason, duration_ms, "answered"),
        Code::Unavailable | Code::DeadlineExceeded => tracing::warn!(?code, reason, duration_ms, "answered"),
        _ => tracing::info!(?code, reason, duration_ms, "answered"),
    }
}

impl<B> Service<Request<B>> for Boundary
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let boundary = self.clone();
        Box::pin(async move { Ok(boundary.answer(request).await) })
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[tokio::test(crate = "crate::limit")]
    async fn panic_is_answered_internal_with_an_id() {
        let answered = or_defect(async { panic!("this is a test") }).await;
        let status = Status::from_header_map(answered.headers()).unwrap();
        assert_eq!(status.code(), Code::Internal);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.metadata["error_id"].len()), ("INTERNAL", 32));
        assert!(!status.message().contains("this is a test"));
    }
}
