//! Tests of endpoints: one request that brings no event, posted while the caller waits.

use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::client::{NoAnswer, TOO_LATE, WebhookClient};
use super::request::{NO_SECRET, error, headers};
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::domain::webhook::{Endpoint, TEST_TYPE};
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
        let body = body(account, id, at);
        let headers = headers(&self.ring, account, endpoint, (&id.to_string(), at, &body));
        let answer = match (&self.client, headers) {
            (Some(client), Some(headers)) => {
                let posted = timeout_at(until, client.post(&endpoint.uri, headers, body)).await;
                posted.unwrap_or(Err(TOO_LATE))
            }
            (None, _) => Err(NO_CERTIFICATES),
            (Some(_), None) => Err(NO_SECRET),
        };
        let http_status = answer.as_ref().ok().map(|answer| answer.status);
        Attempt { id, webhook_id: id, http_status, error: error(&answer), duration: begun.elapsed() }
    }
}

/// Returns the body of a test: an event in JSON, of a type that nothing else has.
fn body(account: &AccountId, id: Uuid, at: Timestamp) -> String {
    serde_json::json!({
        "uid": id.to_string(),
        "type": TEST_TYPE,
        "time": at.to_string(),
        "account": account.as_str(),
    })
    .to_string()
}
