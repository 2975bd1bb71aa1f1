//! Steps of webhooks: endpoints, a message for each event that one wants, claims and what came of them.

use std::time::Duration;

use invitation_service::domain::invitation::event::{EventFormat, EventType};
use invitation_service::domain::value::id::{IdSeed, InvitationId};
use invitation_service::domain::value::text::AccountId;
use invitation_service::domain::value::time::Timestamp;
use invitation_service::domain::value::word::Word;
use invitation_service::domain::webhook::{Endpoint, SealedSecrets};
use invitation_service::store::{Attempt, AttemptOutcome, ClaimedMessage, WebhookAttemptResult, WriteOnce};
use sea_orm::{ConnectionTrait, Statement};
use uuid::Uuid;

use super::commands::accounts;
use super::faults::Fault;
use super::model::Model;
use super::turns::without_fault;
use super::world::World;

const LEASE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(20);
/// More endpoints would only make histories slower.
const MOST: usize = 3;

/// An endpoint, and the position behind which it gets events.
#[derive(Clone, Debug)]
pub(super) struct Posted {
    pub(super) account: AccountId,
    pub(super) id: Uuid,
    pub(super) since: i64,
    pub(super) failing_since: Option<Timestamp>,
    types: Vec<EventType>,
    /// Whether the last attempt of a settle failed, and when.
    next: Option<(bool, Timestamp)>,
}

/// Names a message: the endpoint, and the event.
pub(super) type PostKey = (Uuid, InvitationId, i64);

/// A message to an endpoint.
#[derive(Clone, Debug)]
pub(super) struct TemplateMailer {
    pub(super) account: AccountId,
    pub(super) state: &'static str,
    pub(super) due_at: Option<Timestamp>,
    pub(super) lease: Option<Uuid>,
    pub(super) attempts: u32,
    pub(super) first_tried_at: Option<Timestamp>,
}

impl World {
    /// One of the steps of webhooks.
    pub(super) async fn webhooks(&mut self, fault: Option<&Fault>) {
        match self.random.below(10) {
            0..2 if self.model.endpoints.len() < MOST => self.make_endpoint(fault).await,
            0..4 => self.dispatch(fault).await,
            4..7 => self.claim_posts(fault).await,
            _ => self.settle_posts(fault).await,
        }
    }

    async fn make_endpoint(&mut self, fault: Option<&Fault>) {
        let (account, now) = (self.random.pick(&accounts()), self.clock.now());
        let types = if self.random.chance(50) { Vec::new() } else { vec![EventType::Created, EventType::Accepted] };
        let endpoint = Endpoint {
            id: IdSeed::new(now, self.random.bytes()).nth(0),
            uri: "https://example.org/hook".to_owned(),
            event_types: types.iter().map(|chosen| Word::Known((*chosen).into())).collect(),
            format: EventFormat::default().into(),
            disabled_at: None,
            disabled_reason: None,
            secrets: SealedSecrets { present: "sealed".to_owned(), previous: None },
            failing_since: None,
            revision: 1,
            creator: "caller".to_owned(),
            created_at: now,
            updated_at: now,
        };
        self.told.note(format!("endpoint {} of {account:?} for {types:?}", endpoint.id));
        let (store, id) = (self.store(), endpoint.id);
        let new = endpoint;
        let result = self.under(fault, store.create_webhook_endpoint(&account, &new, &WriteOnce::default())).await;
        let mut after = self.model.clone();
        after.endpoints.push(Posted { account, id, since: after.position, failing_since: None, types, next: None });
        match without_fault(result, fault) {
            Some(made) => {
                assert!(made.is_ok(), "the account has room for an endpoint: {made:?}");
                self.model = after;
            }
            None => self.one_of(vec![after, self.model.clone()]).await,
        }
    }

    /// Every event becomes one message to each endpoint that wants it.
    async fn dispatch(&mut self, fault: Option<&Fault>) {
        self.told.note("dispatch");
        let seed = IdSeed::new(self.clock.now(), self.random.bytes());
        let store = self.store();
        let result = self.under(fault, store.dispatch_webhooks(&seed)).await;
        let mut after = self.model.clone();
        after.dispatch(self.clock.now());
        match without_fault(result, fault) {
            Some(_) if fault.is_none() => self.model = after,
            Some(_) | None => self.one_of(vec![after, self.model.clone()]).await,
        }
    }

    /// Messages are claimed only when they are due, and at most four of an endpoint at once.
    async fn claim_posts(&mut self, fault: Option<&Fault>) {
        let (lease, limit) = (Uuid::from_bytes(self.random.bytes()), 1 + self.random.below(6));
        self.told.note(format!("claim {limit} posts"));
        let store = self.store();
        let behind = (String::new(), Uuid::nil());
        let claim = store.claim_webhook_messages(lease, LEASE, u32::try_from(limit).unwrap(), &behind);
        let result = self.under(fault, claim).await;
        let claimed = match without_fault(result, fault) {
            Some(claimed) => {
                assert!(claimed.len() <= limit, "{} of {limit}", claimed.len());
                claimed
            }
            None => self.held_posts(lease).await,
        };
        self.claimed_posts(lease, claimed);
        if fault.is_some() {
            self.compare().await;
        }
    }

    /// The messages that are claimed under a lease, by the database's own word.
    async fn held_posts(&self, lease: Uuid) -> Vec<ClaimedMessage> {
        let backend = self.control.get_database_backend();
        let sql = "SELECT account_id, id, endpoint_id, invitation_id, sequence FROM webhook_message WHERE lease = $1";
        let statement = Statement::from_sql_and_values(backend, sql, [lease.into()]);
        let rows = self.control.query_all_raw(statement).await.unwrap();
        let claimed = |row: &sea_orm::QueryResult| ClaimedMessage {
            account: AccountId::parse(&row.try_get::<String>("", "account_id").unwrap()).unwrap(),
            id: row.try_get("", "id").unwrap(),
            endpoint: row.try_get("", "endpoint_id").unwrap(),
            invitation: InvitationId(row.try_get("", "invitation_id").unwrap()),
            sequence: row.try_get("", "sequence").unwrap(),
            attempts: 0,
            first_tried_at: None,
            lease,
        };
        rows.iter().map(claimed).collect()
    }

    fn claimed_posts(&mut self, lease: Uuid, claimed: Vec<ClaimedMessage>) {
        let now = self.clock.now();
        for message in claimed {
            let key = (message.endpoint, message.invitation, message.sequence);
            let post = self.model.posts.get_mut(&key).unwrap();
            assert!(post.due_at.is_some_and(|due_at| due_at <= now), "{key:?} is claimed though it is not due");
            post.state = "sending";
            post.lease = Some(lease);
            post.attempts += 1;
            post.due_at = Some(now.later(LEASE));
            post.first_tried_at.get_or_insert(now);
            self.claimed_posts.push(message);
            let held = self.model.posts.iter().filter(|((endpoint, ..), post)| {
                *endpoint == key.0 && post.lease.is_some() && post.due_at.is_some_and(|due_at| due_at > now)
            });
            assert!(held.count() <= 4, "more than four messages of {} are posted at once", key.0);
        }
    }

    /// Some messages come back in one transaction, each only if its lease still holds.
    async fn settle_posts(&mut self, fault: Option<&Fault>) {
        let (mut settled, now) = (Vec::<WebhookAttemptResult>::new(), self.clock.now());
        for _ in 0..1 + self.random.below(3) {
            let Some(message) = self.random.pick_late(&self.claimed_posts) else { return };
            if settled.iter().any(|other| other.message.id == message.id) {
                continue;
            }
            let outcome =
                self.random.pick(&[AttemptOutcome::Arrived, AttemptOutcome::Retry(RETRY), AttemptOutcome::GivenUp]);
            let id = IdSeed::new(now, self.random.bytes()).nth(0);
            let attempt =
                Attempt { id, webhook_id: id, http_status: Some(200), error: None, duration: Duration::from_millis(5) };
            settled.push(WebhookAttemptResult { message, outcome, at: now, attempt: Some(attempt) });
        }
        let outcomes: Vec<_> = settled.iter().map(|settled| (settled.message.id, settled.outcome)).collect();
        self.told.note(format!("settle posts {outcomes:?}"));
        let store = self.store();
        let result = self.under(fault, store.settle_webhook_messages(&settled)).await;
        let mut after = self.model.clone();
        after.settle(&settled);
        match without_fault(result, fault) {
            Some(disabled) => {
                assert_eq!(disabled, Vec::new(), "no endpoint fails for days");
                self.model = after;
            }
            None => self.one_of(vec![after, self.model.clone()]).await,
        }
    }
}

impl Model {
    /// Writes a message for each event behind the last that was looked at, and for each endpoint that wants it.
    fn dispatch(&mut self, now: Timestamp) {
        if self.endpoints.is_empty() {
            return;
        }
        for (id, events) in &self.events {
            for (sequence, placed) in (1..).zip(events) {
                let Some(position) = placed.position.filter(|position| *position > self.dispatched) else { continue };
                let event = &placed.event;
                let wants = |endpoint: &&Posted| {
                    let types = &endpoint.types;
                    let wanted = types.is_empty() || types.contains(&event.event_type);
                    wanted && endpoint.account == event.account && endpoint.since < position
                };
                for endpoint in self.endpoints.iter().filter(wants) {
                    let (account, state, due_at) = (event.account.clone(), "queued", Some(now));
                    let post =
                        TemplateMailer { account, state, due_at, lease: None, attempts: 0, first_tried_at: None };
                    self.posts.entry((endpoint.id, *id, sequence)).or_insert(post);
                }
            }
        }
        self.dispatched = self.position;
    }

    fn settle(&mut self, settled: &[WebhookAttemptResult]) {
        for WebhookAttemptResult { message, outcome, at, attempt } in settled {
            let post = self.posts.get_mut(&(message.endpoint, message.invitation, message.sequence)).unwrap();
            if post.lease != Some(message.lease) {
                continue;
            }
            post.lease = None;
            post.first_tried_at.get_or_insert(*at);
            (post.state, post.due_at) = match outcome {
                AttemptOutcome::Arrived => ("sent", None),
                AttemptOutcome::Retry(delay) => ("queued", Some(at.later(*delay))),
                AttemptOutcome::GivenUp => ("failed", None),
                AttemptOutcome::Gone | AttemptOutcome::Needless => ("cancelled", None),
            };
            let attempt = attempt.as_ref().map(|attempt| attempt.id);
            self.attempts.extend(attempt.map(|attempt| (attempt, message.endpoint, message.account.clone())));
            let endpoint = self.endpoints.iter_mut().find(|endpoint| endpoint.id == message.endpoint).unwrap();
            // Of several attempts at one endpoint the last counts.
            let failing = matches!(outcome, AttemptOutcome::Retry(_) | AttemptOutcome::GivenUp);
            endpoint.next = Some((failing, *at));
        }
        for endpoint in &mut self.endpoints {
            match endpoint.next.take() {
                Some((true, at)) => endpoint.failing_since = endpoint.failing_since.or(Some(at)),
                Some((false, _)) => endpoint.failing_since = None,
                None => {}
            }
        }
    }
}
