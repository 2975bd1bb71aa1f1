//! The answers to requests, with the headers that all of them have.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, REFERRER_POLICY,
    REFRESH, RETRY_AFTER, SET_COOKIE, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use tonic::body::Body;

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The headers of every answer. A form needs a policy that lets the browser say where it was sent from; nothing that a page leads to
/// learns its address.
const ALWAYS: [(HeaderName, HeaderValue); 8] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (ROBOTS, HeaderValue::from_static("noindex, nofollow")),
    (OPENER, HeaderValue::from_static("same-origin")),
    (RESOURCE, HeaderValue::from_static("same-origin")),
    (VARY, HeaderValue::from_static("Accept-Language, Cookie, User-Agent")),
];
/// The policy of what a page may load: nothing but its own style, and pictures within the page.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");

/// An answer that is being made.
pub(super) struct Answer(Response<Body>);

impl Answer {
    fn new(status: StatusCode, media: &'static str, body: String) -> Self {
        let length = body.len();
        let mut response = Response::new(Body::new(Full::new(Bytes::from(body))));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.extend(ALWAYS.map(|(name, value)| (Some(name), value)));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(NOTHING));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        Self(response)
    }

    /// A page, whose style has a hash.
    pub(super) fn page(status: StatusCode, html: String, style_hash: &str) -> Self {
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style_hash}'; img-src data:; form-action 'self'; frame-ancestors 'none'; \
             base-uri 'none'"
        );
        Self::new(status, "text/html; charset=utf-8", html).with(CONTENT_SECURITY_POLICY, &policy)
    }

    /// A plain text.
    pub(super) fn text(status: StatusCode, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text.to_owned())
    }

    /// Leads on to an address, which the browser gets with GET.
    pub(super) fn see_other(location: &str) -> Self {
        Self::text(StatusCode::SEE_OTHER, "").with(LOCATION, location).without_referrer()
    }

    /// Has the browser tell no address at all, because its own has a token in it.
    pub(super) fn without_referrer(mut self) -> Self {
        self.0.headers_mut().insert(REFERRER_POLICY, NO_REFERRER);
        self
    }

    pub(super) fn with_cookie(self, cookie: Option<&str>) -> Self {
        match cookie {
            Some(cookie) => self.with(SET_COOKIE, cookie),
            None => self,
        }
    }

    /// Leads on from a page that is shown.
    pub(super) fn leading_to(self, next: &str) -> Self {
        if next.is_empty() { self } else { self.with(REFRESH, &format!("0;url={next}")) }
    }

    pub(super) fn retry_after(self, seconds: u64) -> Self {
        self.with(RETRY_AFTER, &seconds.to_string())
    }

    pub(super) fn allowing(self, methods: &'static str) -> Self {
        self.with(ALLOW, methods)
    }

    /// The headers alone (RFC 9110, section 9.3.2).
    pub(super) fn without_body(self) -> Self {
        Self(self.0.map(|_| Body::empty()))
    }

    pub(super) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(super) fn into_response(self) -> Response<Body> {
        self.0
    }

    /// Sets a header. Every value is made here, of ASCII; one that is none is left out rather than sent in part.
    fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers_mut().insert(name, value);
        }
        self
    }
}
