//! `WebhookService`: events by HTTP. A credential that is bound to an organization may call none of its RPCs, whatever
//! the request: an endpoint gets the events of all organizations.

pub(super) mod convert;
pub(super) mod parse;

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::execute::{Api, Call};
use super::parse::page;
use super::resource::parse_event;
use crate::domain::value::id::IdSeed;
use crate::domain::value::text;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::domain::webhook::signature::Secret;
use crate::domain::webhook::{Endpoint, Rotation, SealedSecrets};
use crate::pb;
use crate::pb::webhook_service_server::WebhookService;
use crate::server::status;
use crate::store::{
    AttemptQuery, Cursor, EndpointCreated, EndpointQuery, EndpointRefusal, TestRefusal, WebhookAttempt,
};
use parse::EndpointName;

/// The most events that one call queues again.
const MAX_REDELIVERED: usize = 10_000;

/// The time that is left for an answer when the test of an endpoint is given up.
const ANSWER_TIME: Duration = Duration::from_millis(200);

/// Serves `WebhookService`.
#[derive(Debug)]
pub(crate) struct Webhooks(pub(crate) Arc<Api>);

#[tonic::async_trait]
impl WebhookService for Webhooks {
    async fn create_webhook_endpoint(
        &self,
        request: Request<pb::CreateWebhookEndpointRequest>,
    ) -> Result<Response<pb::WebhookEndpoint>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let given = parse::to_create(&mut violations, &self.0.webhooks.networks, message.webhook_endpoint.as_ref());
        let parse::NewEndpoint { uri, event_types, format, disabled } = violations.finish(given)?;
        let (account, now) = (&call.caller.account, self.0.clock.now());
        let id = IdSeed::new(now, self.0.entropy.bytes()).nth(0);
        let (secret, sealed) = self.new_secret(account, id)?;
        let endpoint = Endpoint {
            id,
            uri,
            event_types,
            format: format.into(),
            disabled_at: disabled.then_some(now),
            disabled_reason: None,
            secrets: SealedSecrets { present: sealed, previous: None },
            failing_since: None,
            revision: 1,
            creator: call.caller.name.clone(),
            created_at: now,
            updated_at: now,
        };
        let once = self.0.write_once(&call, &message);
        let created = self.0.read(self.0.store.create_webhook_endpoint(account, &endpoint, &once)).await?;
        Ok(Response::new(match created.map_err(refused)? {
            EndpointCreated::Created if message.validate_only => {
                pb::WebhookEndpoint { name: String::new(), uid: String::new(), ..convert::dry_run(&endpoint, now) }
            }
            EndpointCreated::Replayed(endpoint) if message.validate_only => convert::dry_run(&endpoint, now),
            EndpointCreated::Created => convert::endpoint(&endpoint, Some(&secret), now),
            EndpointCreated::Replayed(endpoint) => self.with_secret(account, &endpoint, now),
        }))
    }

    async fn get_webhook_endpoint(
        &self,
        request: Request<pb::GetWebhookEndpointRequest>,
    ) -> Result<Response<pb::WebhookEndpoint>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let name = violations.required("name", &message.name, EndpointName::parse);
        let EndpointName(id) = violations.finish(name)?;
        let endpoint = self.find(&call.caller.account, id).await?;
        Ok(Response::new(convert::endpoint(&endpoint, None, self.0.clock.now())))
    }

    async fn list_webhook_endpoints(
        &self,
        request: Request<pb::ListWebhookEndpointsRequest>,
    ) -> Result<Response<pb::ListWebhookEndpointsResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let asked = page::asked(&self.0, &call, &message, "create_time", &mut violations);
        let (size, limit) = (asked.size, asked.limit());
        let query = EndpointQuery { ascending: asked.ascending, limit, after: asked.after };
        let query = violations.finish(Some(query))?;
        let rows = self.0.read_lagging(|reads| reads.list_webhook_endpoints(&call.caller.account, &query)).await?;
        let (context, now) = ((self.0.as_ref(), &call, &message), self.0.clock.now());
        let (cursor_of, show) =
            (|row: &Endpoint| Cursor::of_id(row.id), |row: &_| Ok(convert::endpoint(row, None, now)));
        let (webhook_endpoints, next_page_token) = page::show(context, (&rows, None), size, cursor_of, show)?;
        Ok(Response::new(pb::ListWebhookEndpointsResponse { webhook_endpoints, next_page_token }))
    }

    async fn update_webhook_endpoint(
        &self,
        request: Request<pb::UpdateWebhookEndpointRequest>,
    ) -> Result<Response<pb::WebhookEndpoint>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let parsed = parse::to_update(&mut violations, &self.0.webhooks.networks, &message);
        let (EndpointName(id), etag, change) = violations.finish(parsed)?;
        let (account, now) = (&call.caller.account, self.0.clock.now());
        let once = self.0.write_once(&call, &message);
        let decide = |endpoint: &Endpoint| endpoint.update(&change, etag.as_deref(), now);
        let changed = self.0.store.change_webhook_endpoint(account, id, &once, decide);
        let endpoint = self.0.read(changed).await?.map_err(refused)?;
        Ok(Response::new(match message.validate_only {
            true => convert::dry_run(&endpoint, now),
            false => convert::endpoint(&endpoint, None, now),
        }))
    }

    async fn delete_webhook_endpoint(
        &self,
        request: Request<pb::DeleteWebhookEndpointRequest>,
    ) -> Result<Response<()>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let name = violations.required("name", &message.name, EndpointName::parse);
        let etag = violations.optional("etag", &message.etag, text::opaque_id);
        let EndpointName(id) = violations.finish(name)?;
        let once = self.0.write_once(&call, &message);
        let check = |endpoint: &Endpoint| endpoint.check_etag(etag.as_deref());
        // In chunks, of which there may be many: the call's own deadline is the limit.
        let deleted = self.0.store.delete_webhook_endpoint(&call.caller.account, id, &once, check).await;
        self.0.done(deleted)?.map_err(refused)?;
        Ok(Response::new(()))
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<pb::RotateWebhookSecretRequest>,
    ) -> Result<Response<pb::WebhookEndpoint>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let name = violations.required("name", &message.name, EndpointName::parse);
        let etag = violations.optional("etag", &message.etag, text::opaque_id);
        let EndpointName(id) = violations.finish(name)?;
        let (account, now) = (&call.caller.account, self.0.clock.now());
        let (_, sealed) = self.new_secret(account, id)?;
        let overlap = i64::try_from(self.0.webhooks.rotation_overlap.as_micros()).unwrap_or(i64::MAX);
        let until = Timestamp::from_micros(now.micros().saturating_add(overlap)).min(Timestamp::MAX);
        let once = self.0.write_once(&call, &message);
        let rotation = Rotation { sealed, until };
        let decide = |endpoint: &Endpoint| endpoint.rotate(&rotation, etag.as_deref(), now);
        let rotated = self.0.store.change_webhook_endpoint(account, id, &once, decide);
        let rotated = self.0.read(rotated).await?.map_err(refused)?;
        Ok(Response::new(match message.validate_only {
            true => convert::dry_run(&rotated, now),
            false => self.with_secret(account, &rotated, now),
        }))
    }

    async fn test_webhook_endpoint(
        &self,
        request: Request<pb::TestWebhookEndpointRequest>,
    ) -> Result<Response<pb::WebhookAttempt>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let name = violations.required("name", &message.name, EndpointName::parse);
        let EndpointName(id) = violations.finish(name)?;
        let account = &call.caller.account;
        let endpoint = match self.0.read(self.0.store.begin_webhook_test(account, id)).await? {
            Ok(endpoint) => endpoint,
            Err(TestRefusal::NotFound) => return Err(status::webhook_endpoint_not_found(&message.name)),
            Err(TestRefusal::TooSoon(left)) => return Err(status::rate_limited("webhook_tests", left)),
        };
        let now = self.0.clock.now();
        let test = IdSeed::new(now, self.0.entropy.bytes()).nth(0);
        // The caller is told of an endpoint that does not answer, and that takes a moment.
        let until = call.deadline.0.checked_sub(ANSWER_TIME).unwrap_or(call.deadline.0);
        let attempt = self.0.webhooks.tester.test(account, &endpoint, (test, now), until).await;
        Ok(Response::new(convert::test(attempt, now)))
    }

    async fn get_webhook_attempt(
        &self,
        request: Request<pb::GetWebhookAttemptRequest>,
    ) -> Result<Response<pb::WebhookAttempt>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let name = violations.required("name", &message.name, parse::attempt_name);
        let (endpoint, id) = violations.finish(name)?;
        let found = self
            .0
            .find_lagging(Option::is_some, |reads| reads.get_webhook_attempt(&call.caller.account, endpoint, id))
            .await?;
        let found = found.ok_or_else(|| status::webhook_attempt_not_found(&message.name))?;
        Ok(Response::new(convert::attempt(endpoint, &found)))
    }

    async fn list_webhook_attempts(
        &self,
        request: Request<pb::ListWebhookAttemptsRequest>,
    ) -> Result<Response<pb::ListWebhookAttemptsResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let parent = violations.required("parent", &message.parent, EndpointName::parse);
        let succeeded = parse::attempt_states(&mut violations, &message.states);
        let event = violations.optional("event", &message.event, parse_event);
        let asked = page::asked(&self.0, &call, &message, "attempt_time", &mut violations);
        let EndpointName(endpoint) = violations.finish(parent)?;
        let (size, ascending, limit) = (asked.size, asked.ascending, asked.limit());
        let query = AttemptQuery { endpoint, succeeded, event, ascending, limit, after: asked.after };
        let found = self
            .0
            .find_lagging(Option::is_some, |reads| reads.list_webhook_attempts(&call.caller.account, &query))
            .await?;
        let rows = found.ok_or_else(|| not_found(endpoint))?;
        let (context, show) = ((self.0.as_ref(), &call, &message), |row: &_| Ok(convert::attempt(endpoint, row)));
        let cursor_of = |row: &WebhookAttempt| Cursor::of_id(row.id);
        let (webhook_attempts, next_page_token) = page::show(context, (&rows, None), size, cursor_of, show)?;
        Ok(Response::new(pb::ListWebhookAttemptsResponse { webhook_attempts, next_page_token }))
    }

    async fn redeliver_webhook_events(
        &self,
        request: Request<pb::RedeliverWebhookEventsRequest>,
    ) -> Result<Response<pb::RedeliverWebhookEventsResponse>, Status> {
        let (call, message, mut violations) = Call::of(request)?;
        let (account, now) = (&call.caller.account, self.0.clock.now());
        let parsed = parse::to_redeliver(&mut violations, &message, (now, MAX_REDELIVERED));
        let etag = violations.optional("etag", &message.etag, text::opaque_id);
        let (EndpointName(id), wanted) = violations.finish(parsed)?;
        let once = self.0.write_once(&call, &message);
        let seed = IdSeed::new(now, self.0.entropy.bytes());
        // The call may insert thousands of rows: only its own deadline limits it.
        let check = |endpoint: &Endpoint| endpoint.check_etag(etag.as_deref());
        let queued = self.0.store.redeliver_webhook_events(account, id, &once, &wanted, &seed, check).await;
        let count = self.0.done(queued)?.map_err(refused)?;
        Ok(Response::new(pb::RedeliverWebhookEventsResponse { redelivered_count: super::convert::count(count) }))
    }
}

impl Webhooks {
    async fn find(&self, account: &AccountId, id: Uuid) -> Result<Endpoint, Status> {
        let found = self.0.find_lagging(Option::is_some, |reads| reads.get_webhook_endpoint(account, id)).await?;
        found.ok_or_else(|| not_found(id))
    }

    /// Creates a secret, and its encrypted form.
    fn new_secret(&self, account: &AccountId, endpoint: Uuid) -> Result<(Secret, String), Status> {
        let secret = Secret::new(self.0.entropy.bytes());
        let sealed = secret.seal(&self.0.ring, account, endpoint, self.0.entropy.bytes());
        let sealed = sealed.ok_or_else(|| self.0.defect(&"a webhook secret cannot be sealed"))?;
        Ok((secret, sealed))
    }

    /// Converts an endpoint with its secret, which is empty if its key has left the ring.
    fn with_secret(&self, account: &AccountId, endpoint: &Endpoint, now: Timestamp) -> pb::WebhookEndpoint {
        let secret = Secret::open(&self.0.ring, account, endpoint.id, &endpoint.secrets.present);
        convert::endpoint(endpoint, secret.as_ref(), now)
    }
}

fn not_found(endpoint: Uuid) -> Status {
    status::webhook_endpoint_not_found(&EndpointName(endpoint).format())
}

fn refused(refusal: EndpointRefusal) -> Status {
    match refusal {
        EndpointRefusal::NotFound(id) => not_found(id),
        EndpointRefusal::Stale => status::etag_mismatch("webhook endpoint"),
        EndpointRefusal::Disabled => status::webhook_endpoint_disabled(),
        EndpointRefusal::TooManyEndpoints => {
            status::quota_exceeded("webhook_endpoints", "an account has at most 50 endpoints: delete one first")
        }
        EndpointRefusal::TooManyEvents => {
            let message = "there are more than 10,000 events in that time: ask for less of it";
            status::quota_exceeded("redelivered_events", message)
        }
        EndpointRefusal::RequestIdReused => status::request_id_reused(),
    }
}
