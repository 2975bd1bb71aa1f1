//! The protocols that the port speaks beside gRPC: Connect, gRPC-Web, and probes over HTTP. A call of them becomes one of gRPC on its way
//! to the boundary, so there is one set of credentials, deadlines, limits, lines of the log and metrics for all.

mod connect;
mod cors;
mod envelope;
pub(crate) mod host;
mod json;
pub(crate) mod protocol;
mod schema;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method as HttpMethod, Request, Response, StatusCode, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, Service, ServiceExt as _};

use super::answer::Answers;
use super::boundary::{Boundary, Peer};
use super::health::probe;
use super::health::service::HealthService;
use crate::config::CorsOrigins;
use crate::openapi::OPENAPI;
use connect::{Codec, ConnectCall};
use cors::Cors;
use protocol::Protocol;
use schema::Method;

const TEXT: &str = "text/plain";
/// The path of the document of the calls in JSON.
const DOCUMENT_PATH: &str = "/openapi.json";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

/// The content types of calls of one message, and of streams.
const UNARY_TYPES: &str =
    "application/grpc, application/grpc-web, application/grpc-web-text, application/json, application/proto";
const STREAM_TYPES: &str = "application/grpc, application/grpc-web, application/grpc-web-text, application/connect+json, application/connect+proto";

/// The boundary behind every protocol. Clones share everything.
#[derive(Clone)]
pub(crate) struct Faces {
    boundary: Boundary,
    rules: Arc<Rules>,
}

struct Rules {
    cors: Cors,
    /// The health that probes ask for; `None` if it is answered elsewhere.
    health: Option<HealthService>,
    /// Whether everybody who reaches the port may call.
    is_open: bool,
    /// Whether the port tells what it has: the document of the calls in JSON.
    is_described: bool,
}

/// The rights of everybody who reaches the port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Openness {
    /// Whether no caller needs a credential.
    pub(crate) is_open: bool,
    /// Whether the document of the calls is served, which names no more than reflection does.
    pub(crate) is_described: bool,
}

/// The form of a request, by its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Grpc,
    GrpcWeb,
    /// Connect, and whether it is written as a stream.
    Connect(Codec, bool),
    Other,
}

impl Form {
    fn of(headers: &HeaderMap) -> Self {
        let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media.as_str() {
            "application/grpc" | "application/grpc+proto" => Self::Grpc,
            "application/grpc-web"
            | "application/grpc-web+proto"
            | "application/grpc-web-text"
            | "application/grpc-web-text+proto" => Self::GrpcWeb,
            "application/json" => Self::Connect(Codec::Json, false),
            "application/proto" => Self::Connect(Codec::Proto, false),
            "application/connect+json" => Self::Connect(Codec::Json, true),
            "application/connect+proto" => Self::Connect(Codec::Proto, true),
            _ => Self::Other,
        }
    }
}

/// Returns whether a request is one of gRPC as its clients write it, which is what most requests are.
fn is_grpc<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_2
        && matches!(
            request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes),
            Some(b"application/grpc" | b"application/grpc+proto")
        )
}

/// Refuses a request before anybody looks at it, in a form that its protocol has.
pub(crate) fn refuse<B>(request: &Request<B>, status: Status) -> Response<Body> {
    if Form::of(request.headers()) == Form::Grpc {
        return status.into_http();
    }
    probe::with_text(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{}\n", status.message()))
}

impl Faces {
    /// Wraps the boundary.
    pub(crate) fn new(
        boundary: Boundary,
        origins: CorsOrigins,
        health: Option<HealthService>,
        Openness { is_open, is_described }: Openness,
    ) -> Self {
        Self { boundary, rules: Arc::new(Rules { cors: Cors::new(origins), health, is_open, is_described }) }
    }

    /// Returns the service for the calls of a connection.
    pub(crate) fn for_peer(self, peer: Peer) -> Self {
        Self { boundary: self.boundary.for_peer(peer), ..self }
    }

    /// Returns the answers that clients have not taken yet.
    pub(crate) fn answers(&self) -> Answers {
        self.boundary.answers()
    }

    async fn answer(mut self, request: Request<Incoming>) -> Response<Body> {
        let rules = Arc::clone(&self.rules);
        let origin = rules.cors.allowed(request.headers());
        let mut answer = if origin.is_some() && cors::is_preflight(&request) {
            cors::preflight(request.headers())
        } else {
            self.speak(request).await
        };
        rules.cors.show(&mut answer, origin);
        answer
    }

    async fn speak(&mut self, request: Request<Incoming>) -> Response<Body> {
        if self.rules.is_open && !host::is_local(&request) {
            let text = "without authentication this port is called by localhost or an IP address alone\n";
            return probe::with_text(StatusCode::MISDIRECTED_REQUEST, TEXT, text.to_owned());
        }
        if let Some(answer) = self.probe(&request) {
            return answer;
        }
        if self.rules.is_described && request.uri().path() == DOCUMENT_PATH {
            return probe::to_read(request.method(), document);
        }
        let method = schema::method(request.uri().path());
        match *request.method() {
            HttpMethod::POST => self.post(method, request).await,
            _ => match method {
                None => not_found(),
                Some(method) if !method.reads || method.streams => probe::not_allowed("POST"),
                Some(method) if *request.method() == HttpMethod::GET => self.get(method, request).await,
                Some(_) => probe::not_allowed("GET, POST"),
            },
        }
    }

    /// Answers a probe. Strangers are told whether the service is ready, and not what it lacks.
    fn probe(&self, request: &Request<Incoming>) -> Option<Response<Body>> {
        let health = self.rules.health.as_ref()?;
        match request.uri().path() {
            probe::LIVE_PATH => Some(probe::to_read(request.method(), probe::live)),
            probe::READY_PATH => {
                let readiness = health.readiness().map_err(|_| String::new());
                Some(probe::to_read(request.method(), || probe::ready(&readiness)))
            }
            _ => None,
        }
    }

    async fn post(&mut self, method: Option<&'static Method>, request: Request<Incoming>) -> Response<Body> {
        let is_http_1 = request.version() < Version::HTTP_2;
        match Form::of(request.headers()) {
            // Its status is among the trailers, which clients of HTTP/1.1 do not read.
            Form::Grpc if is_http_1 => needs_http_2(),
            Form::Grpc => done(self.boundary.call(request).await),
            Form::GrpcWeb => done(GrpcWebLayer::new().layer(self.boundary.clone()).oneshot(request).await),
            Form::Connect(_, streams) if method.is_some_and(|method| method.streams != streams) => unsupported(method),
            Form::Connect(..) if is_http_1 && method.is_some_and(|method| method.is_dialogue) => needs_http_2(),
            Form::Connect(codec, streams) => {
                let (call, request) = ConnectCall::of_post(method, (codec, streams), request.map(Body::new));
                self.boundary.answer(request, Protocol::Connect(Box::new(call))).await
            }
            Form::Other => unsupported(method),
        }
    }

    async fn get(&self, method: &'static Method, request: Request<Incoming>) -> Response<Body> {
        match ConnectCall::of_get(method, request.map(Body::new)) {
            Some((call, request)) => self.boundary.answer(request, Protocol::Connect(Box::new(call))).await,
            None => unsupported(Some(method)),
        }
    }
}

fn done<T>(answered: Result<T, Infallible>) -> T {
    match answered {
        Ok(answered) => answered,
    }
}

/// Returns the document of the calls in JSON. It is made once, of the compiled protos.
fn document() -> Response<Body> {
    let text = Bytes::from_static(OPENAPI.as_bytes());
    let length = HeaderValue::from(text.len());
    let mut response = Response::new(Body::new(Full::new(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

fn not_found() -> Response<Body> {
    let text = "there is no such path: methods are called with POST at /package.Service/Method\n";
    probe::with_text(StatusCode::NOT_FOUND, TEXT, text.to_owned())
}

fn needs_http_2() -> Response<Body> {
    let text = "this protocol needs HTTP/2: call by Connect or gRPC-Web, or with a client that speaks HTTP/2\n";
    probe::with_text(StatusCode::HTTP_VERSION_NOT_SUPPORTED, TEXT, text.to_owned())
}

/// Refuses the content type of a request, and names those that its path has.
fn unsupported(method: Option<&Method>) -> Response<Body> {
    let types = if method.is_some_and(|method| method.streams) { STREAM_TYPES } else { UNARY_TYPES };
    let text = format!("the content types of this path are {types}\n");
    let mut refused = probe::with_text(StatusCode::UNSUPPORTED_MEDIA_TYPE, TEXT, text);
    refused.headers_mut().insert(ACCEPT_POST, HeaderValue::from_static(types));
    refused
}

impl Service<Request<Incoming>> for Faces {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        if is_grpc(&request) {
            return self.boundary.call(request);
        }
        let faces = self.clone();
        Box::pin(async move { Ok(faces.answer(request).await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(content_type: &'static str) -> HeaderMap {
        [(CONTENT_TYPE, HeaderValue::from_static(content_type))].into_iter().collect()
    }

    #[test]
    fn form_is_what_the_content_type_says() {
        for (content_type, form) in [
            ("application/grpc", Form::Grpc),
            ("application/grpc; charset=utf-8", Form::Grpc),
            ("application/grpc-web+proto", Form::GrpcWeb),
            ("application/grpc-web-text", Form::GrpcWeb),
            ("application/json", Form::Connect(Codec::Json, false)),
            ("Application/JSON;charset=UTF-8", Form::Connect(Codec::Json, false)),
            ("application/proto", Form::Connect(Codec::Proto, false)),
            ("application/connect+json", Form::Connect(Codec::Json, true)),
            ("application/connect+proto", Form::Connect(Codec::Proto, true)),
            ("application/grpc+json", Form::Other),
            ("application/x-www-form-urlencoded", Form::Other),
            ("text/plain", Form::Other),
            ("", Form::Other),
        ] {
            assert_eq!(Form::of(&with(content_type)), form, "{content_type}");
        }
        assert_eq!(Form::of(&HeaderMap::new()), Form::Other);
    }
}
