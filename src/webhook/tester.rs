//! Tests of endpoints: one request that brings no event, posted while the caller waits.

use reqwest::header::HeaderMap;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::client::{NoAnswer, TOO_LATE, WebhookClient};
use super::request::{NO_JSON, NO_SECRET, UNKNOWN_FORMAT, error, headers};
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::domain::webhook::{Endpoint, TEST_TYPE};
use crate::event_json::EncodedEvent;
use crate::event_json::cloud_event::Attributes;
use crate::store::Attempt;

/// The failure where the machine has no certificates to check an endpoint's by.
const NO_CERTIFICATES: NoAnswer = NoAnswer("the service has no certificates to check the endpoint's by");

/// Posts tests, to addresses that may be posted to, as the worker does.
#[derive(Clone, Debug)]
pub struct WebhookTester {
    client: Option<WebhookClient>,
    ring: KeyRing,
}

impl WebhookTester {
    /// Creates a tester; without a client, every test fails.
    pub fn new(client: Option<WebhookClient>, ring: KeyRing) -> Self {
        Self { client, ring }
    }

    /// Posts a test under an id, and returns the attempt once the endpoint has answered or its time is over, which is
    /// `until` at the latest.
    pub async fn test(
        &self,
        account: &AccountId,
        endpoint: &Endpoint,
        (id, at): (Uuid, Timestamp),
        until: Instant,
    ) -> Attempt {
        let begun = Instant::now();
        let answer = match (&self.client, self.request(account, endpoint, (id, at))) {
            (Some(client), Ok((headers, body))) => {
                let posted = timeout_at(until, client.post(&endpoint.uri, headers, body)).await;
                posted.unwrap_or(Err(TOO_LATE))
            }
            (None, _) => Err(NO_CERTIFICATES),
            (Some(_), Err(reason)) => Err(reason),
        };
        let http_status = answer.as_ref().ok().map(|answer| answer.status);
        Attempt { id, webhook_id: id, http_status, error: error(&answer), duration: begun.elapsed() }
    }

    /// Returns the headers and the body of a test, or the failure that there is none.
    fn request(
        &self,
        account: &AccountId,
        endpoint: &Endpoint,
        (id, at): (Uuid, Timestamp),
    ) -> Result<(HeaderMap, String), NoAnswer> {
        let event = event(account, endpoint, id, at)?;
        let headers = headers(&self.ring, account, endpoint, (&id.to_string(), at, &event)).ok_or(NO_SECRET)?;
        Ok((headers, event.body))
    }
}

/// Returns a test in the endpoint's format: an event of a type that nothing else has.
fn event(account: &AccountId, endpoint: &Endpoint, id: Uuid, at: Timestamp) -> Result<EncodedEvent, NoAnswer> {
    let attributes = Attributes { id, event_type: TEST_TYPE, account, time: at, invitation: None, traceparent: None };
    let data = serde_json::json!({
        "uid": id.to_string(),
        "type": TEST_TYPE,
        "time": at.to_string(),
        "account": account.as_str(),
    });
    let format = endpoint.format.known().ok_or(UNKNOWN_FORMAT)?;
    attributes.encode(data.to_string(), format).map_err(|_| NO_JSON)
}
