//! Calls from pages of other origins (<https://fetch.spec.whatwg.org/#http-cors-protocol>). A browser asks before it sends one, without a
//! credential, and shows its page an answer only if the answer says that the origin may see it.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tonic::body::Body;

use crate::config::CorsOrigins;

/// The headers in which the three protocols tell how a call ended. All others that an answer has are shown anyway.
const EXPOSED: &str = "grpc-status, grpc-message, grpc-status-details-bin";
/// The time for which a browser need not ask again, in seconds. Browsers cap it themselves.
const MAX_AGE: &str = "7200";

/// The origins whose pages may call.
#[derive(Debug)]
pub(super) struct Cors(CorsOrigins);

impl Cors {
    pub(super) fn new(origins: CorsOrigins) -> Self {
        Self(origins)
    }

    /// Returns the origin of a request as its answer is to name it; `None` if it may not call from there, or is called by no page.
    pub(super) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        match &self.0 {
            CorsOrigins::Any => Some(HeaderValue::from_static("*")),
            CorsOrigins::These(origins) => origins.iter().any(|known| origin == known.as_str()).then(|| origin.clone()),
        }
    }

    /// Has an answer say that a page of the origin may see it.
    pub(super) fn show(&self, answer: &mut Response<Body>, origin: Option<HeaderValue>) {
        let headers = answer.headers_mut();
        if matches!(&self.0, CorsOrigins::These(origins) if !origins.is_empty()) {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }
}

/// Returns whether a request is the question of a browser whether a page may call.
pub(super) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Answers such a question of an origin that may call. It may send any header: a page could not send more than other clients.
pub(super) fn preflight(headers: &HeaderMap) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let allowed = answer.headers_mut();
    allowed.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    allowed.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    if let Some(asked) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        allowed.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    answer
}
