//! One signed request, whatever it brings: its headers, and what its answer means.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::client::{Answer, NoAnswer};
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::domain::webhook::Endpoint;
use crate::domain::webhook::signature::{Secret, seconds, sign};
use crate::event_json::EncodedEvent;
use crate::telemetry::traces::{Span, TRACEPARENT};

/// The failure of an endpoint none of whose secrets can be decrypted.
pub(super) const NO_SECRET: NoAnswer = NoAnswer("the secret cannot be decrypted: rotate it");

/// The failure of an event that has no JSON, which is a defect of this program.
pub(super) const NO_JSON: NoAnswer = NoAnswer("the event cannot be converted");

/// The failure of an endpoint that a newer release lets have another format.
pub(super) const UNKNOWN_FORMAT: NoAnswer = NoAnswer("the format of the endpoint is that of a newer release");

/// Returns the headers of a request with an event; `None` if no secret of the endpoint can be decrypted.
pub(super) fn headers(
    ring: &KeyRing,
    account: &AccountId,
    endpoint: &Endpoint,
    (id, at, event): (&str, Timestamp, &EncodedEvent),
) -> Option<HeaderMap> {
    let sealed = endpoint.secrets.signing(at).into_iter();
    let secrets: Vec<_> = sealed.filter_map(|sealed| Secret::open(ring, account, endpoint.id, sealed)).collect();
    if secrets.is_empty() {
        return None;
    }
    let at_seconds = seconds(at);
    let headers = [
        (CONTENT_TYPE, event.content_type.to_owned()),
        (HeaderName::from_static("webhook-id"), id.to_owned()),
        (HeaderName::from_static("webhook-timestamp"), at_seconds.to_string()),
        (HeaderName::from_static("webhook-signature"), sign(&secrets, id, at_seconds, event.body.as_bytes())),
    ];
    let attributes = event.headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.clone()));
    let headers =
        headers.into_iter().chain(attributes).map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?)));
    headers.collect()
}

/// Adds the span in which a request is sent, if it is recorded, so that the endpoint's own spans follow from it.
pub(super) fn with_traceparent(mut headers: HeaderMap, span: &Span) -> HeaderMap {
    if let Some(traceparent) = span.traceparent().and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(TRACEPARENT, traceparent);
    }
    headers
}

/// Returns the reason why an answer is no success.
pub(super) fn error(answer: &Result<Answer, NoAnswer>) -> Option<String> {
    match answer {
        Ok(Answer { status: 200..=299, .. }) => None,
        Ok(Answer { status: status @ 300..=399, .. }) => Some(format!("answered {status}; redirects are not followed")),
        Ok(Answer { status, .. }) => Some(format!("answered {status}")),
        Err(NoAnswer(words)) => Some((*words).to_owned()),
    }
}
