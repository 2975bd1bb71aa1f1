//! The listener for probes and metrics: health over gRPC and over HTTP/1.1, and what Prometheus reads, in plain text.
//!
//! The probes of an orchestrator speak no TLS and have no credential, so they have a port of their own.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

use super::pause;
use crate::pb::health::health_server::HealthServer;
use crate::server::answer::Keeping;
use crate::server::health::probe::{self, LIVE_PATH, READY_PATH};
use crate::server::health::service::HealthService;
use crate::server::open_services::{OpenServices, Switches};
use crate::server::seats::Seats;
use crate::server::status;
use crate::telemetry::metrics::exporter::{self, Exporter};

const METRICS_PATH: &str = "/metrics";

/// The services: health alone.
const ON: Switches = Switches { health: true, reflection: false, needs_credential: false };

/// The connections that there may be at once, beside those that probes alone may have.
const CONNECTIONS: usize = 16;
/// The calls that one connection may have in flight.
const STREAMS: u32 = 16;
/// The most bytes of the headers of a call.
const MAX_HEADERS: u16 = 8 * 1024;
/// The most bytes of a message, which has the name of a service.
const MAX_MESSAGE: usize = 4 * 1024;
/// The time that a client has for its headers, and for its message.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers probes until stopped; then all connections end at once.
pub(crate) async fn serve(listener: TcpListener, health: HealthService, metrics: Exporter, stop: CancellationToken) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(MAX_HEADERS.into());
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS).max_header_list_size(MAX_HEADERS.into());
    let service = AdminService { health, metrics, limits: OpenServices::new(ON) };
    let mut seats = Seats::new(CONNECTIONS);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let Some(connection) = seats.take() else { continue };
                let calls = TowerToHyperService::new(connection.service(service.clone()));
                let served = builder.serve_connection(TokioIo::new(stream), calls).into_owned();
                tokio::spawn(connection.follow(served, None, CancellationToken::new(), stop.clone()));
            }
            Err(error) => pause(&error).await,
        }
    }
}

/// The answers to probes.
#[derive(Clone)]
struct AdminService {
    health: HealthService,
    metrics: Exporter,
    limits: OpenServices,
}

impl AdminService {
    async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        let content_type = request.headers().get(CONTENT_TYPE);
        if content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")) {
            return self.answer_grpc(request).await;
        }
        self.answer_http(request.method(), request.uri().path())
    }

    /// Answers a call of the health service, which refuses every other path.
    async fn answer_grpc(self, request: Request<Incoming>) -> Response<Body> {
        let stream = match self.limits.admit(request.uri().path(), false) {
            Ok(stream) => stream,
            Err(refused) => return refused.into_http(),
        };
        let mut health = HealthServer::new(self.health).max_decoding_message_size(MAX_MESSAGE);
        // A client may never send the message that its headers announce.
        match timeout(PATIENCE, health.call(request)).await {
            Ok(Ok(answered)) => answered.map(|body| Keeping::body(body, stream)),
            Err(_) => status::deadline_exceeded().into_http(),
        }
    }

    fn answer_http(&self, method: &Method, path: &str) -> Response<Body> {
        match path {
            METRICS_PATH => probe::to_read(method, || {
                probe::with_text(StatusCode::OK, exporter::CONTENT_TYPE, self.metrics.render())
            }),
            READY_PATH => probe::to_read(method, || probe::ready(&self.health.readiness())),
            LIVE_PATH => probe::to_read(method, probe::live),
            _ => {
                let mut unknown = Response::new(Body::empty());
                *unknown.status_mut() = StatusCode::NOT_FOUND;
                unknown
            }
        }
    }
}

impl Service<Request<Incoming>> for AdminService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}
