//! The form of a request: read in bounded room and time, and parsed.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

/// The most bytes of a form: a reason of 300 characters, each escaped, is the largest part.
const MAX_FORM: usize = 8 * 1024;
/// The time that a client has for sending one.
const PATIENCE: Duration = Duration::from_secs(5);
const FORM: &str = "application/x-www-form-urlencoded";

/// The fields of the forms; empty if they were not sent.
#[derive(Default)]
pub(super) struct Form {
    /// The text that ties the form to the visit.
    pub(super) visit: String,
    pub(super) email: String,
    pub(super) code: String,
    pub(super) reason: String,
}

impl Form {
    /// Reads a form, or returns the status of the refusal.
    pub(super) async fn read(headers: &HeaderMap, body: Incoming) -> Result<Self, StatusCode> {
        let media = headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
        if media.split(';').next().map(str::trim) != Some(FORM) {
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let read = timeout(PATIENCE, Limited::new(body, MAX_FORM).collect()).await;
        let read = read.map_err(|_| StatusCode::REQUEST_TIMEOUT)?;
        let bytes = read.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?.to_bytes();
        Ok(Self::parse(&bytes))
    }

    fn parse(bytes: &[u8]) -> Self {
        let mut form = Self::default();
        for (name, value) in url::form_urlencoded::parse(bytes) {
            let field = match &*name {
                "visit" => &mut form.visit,
                "email" => &mut form.email,
                "code" => &mut form.code,
                "reason" => &mut form.reason,
                _ => continue,
            };
            *field = value.trim().to_owned();
        }
        form
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_and_others_ignored() {
        let form = Form::parse(b"visit=a%2Bb&email=+Ann%40example.org&code=12+34&x=y&reason=no%20time%0A");
        assert_eq!((form.visit.as_str(), form.email.as_str()), ("a+b", "Ann@example.org"));
        assert_eq!((form.code.as_str(), form.reason.as_str()), ("12 34", "no time"));
    }
}
