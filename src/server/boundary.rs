//! The steps that all RPCs share: the credential, the permission, the deadline, the status of calls that tonic refuses,
//! and one line in the log.

mod call_metrics;
mod panics;

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::body::Body;
use tonic::service::Routes;
use tower::{Service, ServiceExt};
use tracing::Instrument;

use super::admission::person_rate::PersonRate;
use super::admission::{Admission, admit, find_caller};
use super::answer::{Answers, Keeping, Whole};
use super::call_log::outcome::with_outcome;
use super::call_log::refused::RefusedCallers;
use super::call_log::{self, AnsweredCall, CallLog, Sizes};
use super::deadline::Deadline;
use super::faces::protocol::Protocol;
use super::in_flight::InFlight;
use super::open_services::OpenServices;
use super::room::{Holder, Room};
use super::{request_body, status};
use crate::auth::authenticator::Authenticator;
use crate::auth::caller::Caller;
use crate::auth::client_certificate::Client;
use crate::auth::permission::Required;
use crate::auth::refused_caller::RefusedCaller;
use crate::clock::Clock;
use crate::config::Config;
use crate::telemetry::traces::{self, TraceId};
use call_metrics::CallMetrics;
use panics::catch_panic;

const PATH_PREFIX: &str = "/invitation.v1.";

/// The RPCs that stream until the client or the service ends them. They end themselves when the service drains.
const STREAMING_PATHS: [&str; 1] = ["/invitation.v1.EventService/WatchEvents"];

/// Returns the credential that an RPC requires, by its path; `None` for a path that is no RPC of this service.
pub type RequiredBy = fn(&str) -> Option<Required>;

/// The compression of a request's message, and those that its client takes in the answer.
const ENCODING: &str = "grpc-encoding";
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// The most metadata of a call, in bytes, with what HTTP/2 counts for each beside its name and its value (RFC 9113).
const MAX_METADATA: usize = 16 * 1024;
const HEADER_BYTES: usize = 32;

/// The time that a client has for taking an answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);

/// Returns the number of bytes that an answer of an RPC, by its path, may need room for; 0 for a small one.
pub type AnswerSize = fn(&str) -> usize;

/// The facts about RPCs that the boundary needs, by their paths.
#[derive(Clone, Copy)]
pub struct Rpcs {
    /// The credential that an RPC requires.
    pub required_by: RequiredBy,
    /// The room that its answer may need.
    pub answer_size: AnswerSize,
    /// The paths of all.
    pub paths: fn() -> Vec<&'static str>,
}

/// The limits of every call, and its log.
pub struct CallRules {
    timeout: Duration,
    of_persons: PersonRate,
    log: CallLog,
}

impl CallRules {
    /// Creates the rules of a configuration.
    pub fn new(config: &Config, clock: &Clock) -> Self {
        let of_persons = PersonRate::new(config.limits.calls_per_person, clock);
        Self { timeout: config.grpc.request_timeout, of_persons, log: CallLog::new(config.log.calls) }
    }
}

/// Wraps all services. Clones share everything.
#[derive(Clone)]
pub struct Boundary {
    steps: Arc<Steps>,
    peer: Arc<Peer>,
}

/// The other end of a connection.
#[derive(Default)]
pub(crate) struct Peer {
    /// Its address: that of the client, or of a proxy.
    pub(crate) address: Option<IpAddr>,
    /// The client, if it has shown a certificate that may stand for a caller.
    pub(crate) client: Option<Client>,
    /// The signal that the connection waits for its streams to end.
    pub(crate) closing: CancellationToken,
}

/// The signal for a stream that its connection waits for it to end.
#[derive(Clone)]
pub(crate) struct Closing(pub(crate) CancellationToken);

/// The parts that the steps of a call need.
struct Steps {
    routes: Routes,
    authenticator: Authenticator,
    rpcs: Rpcs,
    rules: CallRules,
    in_flight: InFlight,
    room: Room,
    answers: Answers,
    refused: RefusedCallers,
    open_services: OpenServices,
    open: CancellationToken,
    metrics: CallMetrics,
}

impl Boundary {
    /// Wraps the services; no call may exceed the limits of `rules`. Until `open` is cancelled every call is answered
    /// UNAVAILABLE: the time and the keys of the database are not known before.
    pub fn new(
        routes: Routes,
        authenticator: Authenticator,
        rpcs: Rpcs,
        rules: CallRules,
        in_flight: InFlight,
        open_services: OpenServices,
        open: CancellationToken,
    ) -> Self {
        let (room, answers, refused) = (Room::default(), Answers::default(), RefusedCallers::default());
        let metrics = CallMetrics::new((rpcs.paths)().into_iter());
        let steps = Steps {
            routes: routes.prepare(),
            authenticator,
            rpcs,
            rules,
            in_flight,
            room,
            answers,
            refused,
            open_services,
            open,
            metrics,
        };
        Self { steps: Arc::new(steps), peer: Arc::default() }
    }

    /// Returns the boundary for the calls of a connection.
    pub(crate) fn for_peer(self, peer: Peer) -> Self {
        Self { peer: Arc::new(peer), ..self }
    }

    /// Returns the answers that clients have not taken yet.
    pub(crate) fn answers(&self) -> Answers {
        self.steps.answers.clone()
    }

    /// Answers a call whose headers are those of gRPC already, in its own protocol.
    pub(crate) async fn answer(&self, request: Request<Body>, protocol: Protocol) -> Response<Body> {
        self.steps.answer(request, &self.peer, &protocol).await
    }
}

impl Steps {
    async fn answer<B>(&self, mut request: Request<B>, peer: &Peer, protocol: &Protocol) -> Response<Body>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = request.uri().path().to_owned();
        if let Some(refused) = refuse_headers(request.headers()) {
            return protocol.answer(refused).await;
        }
        if OpenServices::has(&path) {
            return self.pass_on_open(request.map(Body::new), peer, protocol).await;
        }
        let started = Instant::now();
        let token = self.in_flight.enter();
        let required = (self.rpcs.required_by)(&path);
        // The log has no names that callers invent.
        let known = path.strip_prefix(PATH_PREFIX).filter(|_| required.is_some());
        let known = known.and_then(|method| method.split_once('/')).unwrap_or(("unknown", "unknown"));
        let Peer { address, client, closing } = peer;
        let caller = find_caller(&self.authenticator, request.headers(), client.as_ref()).await;
        let traced = traces::Span::of_call(request.headers(), self.metrics.method(&path));
        let trace_id = TraceId::of_caller(request.headers()).or_else(|| traced.trace_id());
        let span = call_log::span(known, caller.as_ref().ok(), trace_id, request.headers());
        let deadline = Deadline::of(request.headers(), self.rules.timeout);
        let streams = STREAMING_PATHS.contains(&path.as_str());
        if streams {
            let admission = Admission::of(self.authenticator.clone(), required, request.headers(), client.clone());
            request.extensions_mut().insert(admission);
            request.extensions_mut().insert(Closing(closing.clone()));
        }
        let has_caller = caller.is_ok();
        let sizes = Sizes::default();
        let refused = |refused: RefusedCaller| {
            self.refused.count(&refused, *address);
            status::not_authenticated(refused.answer())
        };
        let admitted = caller.map_err(refused).and_then(|caller| {
            self.rules.of_persons.count(&caller)?;
            admit(required, caller)
        });
        let answered = match admitted {
            Ok(_) if !self.open.is_cancelled() => status::unavailable().into_http(),
            // The timer is coarse: a fast call would still be answered for a caller who has gone.
            Ok(_) if deadline.has_passed() => status::deadline_exceeded().into_http(),
            Ok(caller) => {
                request.extensions_mut().insert(deadline);
                request.extensions_mut().extend(caller);
                // Dropping the handler is safe: the executor finishes the commands that it has submitted.
                let called = catch_panic(self.call(request, &path, protocol, &sizes));
                let call = traced.around(timeout_at(deadline.0, called).instrument(span.clone())).await;
                call.unwrap_or_else(|_| status::deadline_exceeded().into_http())
            }
            Err(refused) => refused.into_http(),
        };
        let (answered, outcome) = with_outcome(answered);
        let duration = started.elapsed();
        self.metrics.note(&path, &outcome, duration);
        call_metrics::end(&traced, &outcome);
        if has_caller {
            let call = AnsweredCall { outcome: &outcome, duration, peer: *address, sizes: &sizes };
            self.rules.log.answered(&span, &call);
        }
        let answered = protocol.answer(answered).await;
        if streams {
            // The client may never read to the end, so nothing waits for it.
            return answered;
        }
        let until = Instant::now() + ANSWER_PATIENCE;
        answered.map(|body| self.answers.hold(Keeping::body(body, token), until))
    }

    /// Answers a call once there is room for it. Its answer keeps the room that it needs until the client has taken it.
    async fn call<B>(&self, request: Request<B>, path: &str, protocol: &Protocol, sizes: &Sizes) -> Response<Body>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Some(holder) = request.extensions().get::<Caller>().map(Holder::of) else {
            return self.pass_on(request.map(Body::new)).await;
        };
        let place = match self.room.call(&holder) {
            Ok(place) => place,
            Err(refused) => return refused.into_http(),
        };
        if let Some(problem) = protocol.problem() {
            return problem.into_http();
        }
        let (mut parts, body) = request.into_parts();
        let answer_size = (self.rpcs.answer_size)(path);
        if answer_size == 0 && !parts.headers.contains_key(ENCODING) {
            // Small answers are compressed for clients alone that compress as well: it takes longer than sending them.
            parts.headers.remove(ACCEPT_ENCODING);
        }
        let read = request_body::read(Box::pin(body), (&self.room, &holder), answer_size).await;
        let (body, bytes) = match read {
            Ok(read) => read,
            Err(refused) => return refused.into_http(),
        };
        sizes.request.store(body.len(), Ordering::Relaxed);
        let body = match protocol.message(body, request_body::most(&holder)) {
            Ok(body) => body,
            Err(refused) => return refused.into_http(),
        };
        let answered = self.pass_on(Request::from_parts(parts, Body::new(Full::new(body)))).await;
        if STREAMING_PATHS.contains(&path) {
            return answered;
        }
        let (parts, body) = answered.into_parts();
        let whole = match Whole::read(body).await {
            Ok(whole) => whole,
            Err(broken) => return broken.into_http(),
        };
        sizes.response.store(whole.len(), Ordering::Relaxed);
        let bytes = match bytes {
            Some(bytes) => bytes.shrink(protocol.answer_size(whole.len())),
            None => self.room.bytes(&holder, protocol.answer_size(whole.len())).await,
        };
        Response::from_parts(parts, Keeping::body(Body::new(whole), (place, bytes)))
    }

    /// Answers a call of another service than this one's: of health, which needs no credential, or of reflection.
    async fn pass_on_open(&self, request: Request<Body>, peer: &Peer, protocol: &Protocol) -> Response<Body> {
        let path = request.uri().path();
        // Health asks for no credential, so none is looked up for it.
        let looks = self.open_services.looks_at_credential(path);
        let Peer { address, client, closing: _ } = peer;
        let refused = match looks {
            true => find_caller(&self.authenticator, request.headers(), client.as_ref()).await.err(),
            false => None,
        };
        match self.open_services.admit(path, looks && refused.is_none()) {
            Err(answer) => {
                if let Some(refused) = refused.filter(|_| answer.code() == Code::Unauthenticated) {
                    self.refused.count(&refused, *address);
                }
                protocol.answer(answer.into_http()).await
            }
            Ok(None) => self.converse(request, protocol).await,
            Ok(Some(stream)) => {
                let answered = self.converse(request, protocol).await;
                let until = stream.until;
                let kept = answered.map(|body| Keeping::body(body, stream));
                match until {
                    Some(until) => kept.map(|body| self.answers.hold(body, until)),
                    None => kept,
                }
            }
        }
    }

    async fn converse(&self, request: Request<Body>, protocol: &Protocol) -> Response<Body> {
        let answered = match protocol.open(request).await {
            Ok(request) => self.pass_on(request).await,
            Err(refused) => refused.into_http(),
        };
        protocol.answer(answered).await
    }

    async fn pass_on(&self, request: Request<Body>) -> Response<Body> {
        let answered: Result<_, Infallible> = self.routes.clone().oneshot(request).await;
        match answered {
            Ok(answered) => answered,
        }
    }
}

/// Refuses a call that has more metadata than any call needs.
fn refuse_headers(headers: &HeaderMap) -> Option<Response<Body>> {
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + HEADER_BYTES).sum();
    (size > MAX_METADATA).then(|| status::metadata_too_large(MAX_METADATA).into_http())
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
        let Self { steps, peer } = self.clone();
        Box::pin(async move { Ok(steps.answer(request, &peer, &Protocol::Grpc).await) })
    }
}
