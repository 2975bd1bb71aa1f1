//! Health over plain HTTP: whether the process lives, and whether it is ready.

use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use tonic::body::Body;

use super::service::Readiness;
use crate::pb::health::health_check_response::ServingStatus;

/// The paths.
pub(crate) const LIVE_PATH: &str = "/livez";
pub(crate) const READY_PATH: &str = "/readyz";

const TEXT: &str = "text/plain";

/// Returns the answer to a probe of a process that lives.
pub(crate) fn live() -> Response<Body> {
    with_text(StatusCode::OK, TEXT, ServingStatus::Serving.as_str_name().to_owned())
}

/// Returns the answer to a probe of whether the process is ready. The problem is told if there is one in the readiness.
pub(crate) fn ready(readiness: &Readiness) -> Response<Body> {
    let Err(problem) = readiness else { return live() };
    let word = ServingStatus::NotServing.as_str_name();
    let text = if problem.is_empty() { word.to_owned() } else { format!("{word}: {problem}") };
    with_text(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
}

/// Returns the answer to a request by its method, if it is GET or HEAD.
pub(crate) fn to_read(method: &Method, answer: impl FnOnce() -> Response<Body>) -> Response<Body> {
    match *method {
        Method::GET => answer(),
        // The headers of a GET, with the length that its body would have (RFC 9110, section 9.3.2).
        Method::HEAD => answer().map(|_| Body::empty()),
        _ => not_allowed("GET, HEAD"),
    }
}

/// Refuses the method of a request, and names those that its path has.
pub(crate) fn not_allowed(allowed: &'static str) -> Response<Body> {
    let mut refused = Response::new(Body::empty());
    *refused.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    refused
}

/// Returns an answer of a text.
pub(crate) fn with_text(code: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let length = HeaderValue::from(text.len());
    let mut response = Response::new(Body::new(text));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}
