//! The answers of the pages, with the headers that all of them have.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use tonic::body::Body;

/// A page loads its own style, and the message that it frames.
const OF_PAGES: &str = "default-src 'none'; style-src 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// A mail shows what it brings with it, and nothing in it runs or is fetched; its links open elsewhere.
const OF_MAIL: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; base-uri 'none'; \
    form-action 'none'; sandbox allow-popups allow-popups-to-escape-sandbox";
const HTML: &str = "text/html; charset=utf-8";

/// An answer that is being made.
pub(super) struct Answer(Response<Body>);

impl Answer {
    fn new(status: StatusCode, media: &'static str, policy: &'static str, body: String) -> Self {
        let mut response = Response::new(Body::new(Full::new(Bytes::from(body))));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        for (name, value) in [
            (CONTENT_TYPE, media),
            (CONTENT_SECURITY_POLICY, policy),
            (CACHE_CONTROL, "no-store"),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Self(response)
    }

    pub(super) fn page(html: String) -> Self {
        Self::new(StatusCode::OK, HTML, OF_PAGES, html)
    }

    pub(super) fn mail(html: String) -> Self {
        // The links of a message open beside the frame that shows it.
        Self::new(StatusCode::OK, HTML, OF_MAIL, html.replacen("<head>", "<head><base target=\"_blank\">", 1))
    }

    pub(super) fn style(css: &str) -> Self {
        Self::new(StatusCode::OK, "text/css; charset=utf-8", OF_PAGES, css.to_owned())
    }

    pub(super) fn text(status: StatusCode, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", OF_PAGES, format!("{text}\n"))
    }

    pub(super) fn see_other(path: &'static str) -> Self {
        let mut answer = Self::text(StatusCode::SEE_OTHER, path);
        answer.0.headers_mut().insert(LOCATION, HeaderValue::from_static(path));
        answer
    }

    pub(super) fn into_response(self) -> Response<Body> {
        self.0
    }
}
