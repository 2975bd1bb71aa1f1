//! A store, endpoints and a sender that is stepped by hand.

use std::sync::Arc;
use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::command::{Action, Command};
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::invitation::event::{EventFormat, EventType, EventTypeFilter};
use invitation_service::domain::secret::key_ring::KeyRing;
use invitation_service::domain::value::etag::StaleEtag;
use invitation_service::domain::value::id::IdSeed;
use invitation_service::domain::value::text::AccountId;
use invitation_service::domain::value::word::Word;
use invitation_service::domain::webhook::networks::Networks;
use invitation_service::domain::webhook::signature::Secret;
use invitation_service::domain::webhook::{Endpoint, EndpointChange, SealedSecrets};
use invitation_service::entropy::Entropy;
use invitation_service::store::{AttemptQuery, EndpointCreated, Store, WebhookAttempt, WriteOnce};
use invitation_service::webhook::client::WebhookClient;
use invitation_service::webhook::worker::{WebhookWorker, WebhookWorkerOptions};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, Value};
use uuid::Uuid;

use crate::support::build::commands::{account, command, options, store_with};
use crate::support::database::TestDatabase;
use crate::support::service::KEYS;

/// The time limit of a request in these tests. Only requests that wait in vain take as long.
pub(crate) const LIMIT: Duration = Duration::from_millis(300);

/// The store, the worker and the endpoint's server of a test.
pub(crate) struct Desk {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) ring: KeyRing,
    raw: DatabaseConnection,
}

impl Desk {
    /// Begins at the machine's present moment, which the published verifier looks at.
    pub(crate) async fn new(database: &TestDatabase) -> Self {
        let clock = Clock::manual(Clock::system().now());
        let store = store_with(database, &clock, &options(Group::run)).await;
        Self { store, clock, ring: KeyRing::parse(KEYS).unwrap(), raw: database.connect().await }
    }

    /// A sender that may post to this machine.
    pub(crate) fn sender(&self) -> WebhookWorker {
        self.sender_to(Networks::new(["127.0.0.0/8".parse().unwrap()]), 8)
    }

    pub(crate) fn sender_to(&self, networks: Networks, concurrency: u32) -> WebhookWorker {
        let client = WebhookClient::new(networks, LIMIT).unwrap();
        let options = WebhookWorkerOptions::new(concurrency, LIMIT);
        WebhookWorker::new(self.store.clone(), self.ring.clone(), client, self.clock.clone(), options)
    }

    /// Makes an endpoint, and returns it with its secret.
    pub(crate) async fn endpoint(&self, uri: &str, event_types: &[EventType]) -> (Endpoint, Secret) {
        self.endpoint_of(&account(), uri, event_types).await
    }

    /// Makes an endpoint of an account.
    pub(crate) async fn endpoint_of(
        &self,
        account: &AccountId,
        uri: &str,
        event_types: &[EventType],
    ) -> (Endpoint, Secret) {
        let (secret, now) = (Secret::new(Entropy::system().bytes()), self.clock.now());
        let id = IdSeed::new(now, Entropy::system().bytes()).nth(0);
        let endpoint = Endpoint {
            id,
            uri: uri.to_owned(),
            event_types: event_types.iter().map(|chosen| Word::from(EventTypeFilter::from(*chosen))).collect(),
            format: EventFormat::default().into(),
            disabled_at: None,
            disabled_reason: None,
            secrets: SealedSecrets { present: self.seal_of(account, id, &secret), previous: None },
            failing_since: None,
            revision: 1,
            creator: "tester".to_owned(),
            created_at: now,
            updated_at: now,
        };
        let new = endpoint.clone();
        let created = self.store.create_webhook_endpoint(account, &new, &WriteOnce::default()).await.unwrap();
        assert_eq!(created, Ok(EndpointCreated::Created), "{uri}");
        (endpoint, secret)
    }

    /// Changes an endpoint as callers do.
    pub(crate) async fn change(
        &self,
        endpoint: &Endpoint,
        decide: impl Fn(&Endpoint) -> Result<Option<Endpoint>, StaleEtag>,
    ) {
        let changed =
            self.store.change_webhook_endpoint(&account(), endpoint.id, &WriteOnce::default(), decide).await.unwrap();
        assert!(changed.is_ok(), "{changed:?}");
    }

    pub(crate) async fn set_disabled(&self, endpoint: &Endpoint, disabled: bool) {
        let change = EndpointChange { disabled: Some(disabled), ..EndpointChange::default() };
        let now = self.clock.now();
        self.change(endpoint, |found| found.update(&change, None, now)).await;
    }

    pub(crate) fn seal(&self, endpoint: Uuid, secret: &Secret) -> String {
        self.seal_of(&account(), endpoint, secret)
    }

    fn seal_of(&self, account: &AccountId, endpoint: Uuid, secret: &Secret) -> String {
        secret.seal(&self.ring, account, endpoint, Entropy::system().bytes()).unwrap()
    }

    /// Runs a command at the present moment, as callers do: the ids of its events tell when.
    pub(crate) async fn execute(&self, action: Action) -> Arc<Invitation> {
        let seed = IdSeed::new(self.clock.now(), Entropy::system().bytes());
        self.store.executor().execute(Command { seed, ..command(action) }, None).await.unwrap().invitation
    }

    /// Gives every event its position and writes the messages.
    pub(crate) async fn dispatch(&self) {
        self.sequence().await;
        let seed = IdSeed::new(self.clock.now(), Entropy::system().bytes());
        while self.store.dispatch_webhooks(&seed).await.unwrap() {}
    }

    /// Gives every event its position.
    pub(crate) async fn sequence(&self) {
        self.store.sequence().await.unwrap();
    }

    /// The endpoint as it now is.
    pub(crate) async fn get(&self, endpoint: &Endpoint) -> Endpoint {
        self.store.primary().get_webhook_endpoint(&account(), endpoint.id).await.unwrap().unwrap()
    }

    /// The requests to an endpoint, the oldest first.
    pub(crate) async fn attempts(&self, endpoint: &Endpoint) -> Vec<WebhookAttempt> {
        let query = AttemptQuery { ascending: true, ..AttemptQuery::of(endpoint.id, 1_000) };
        self.store.primary().list_webhook_attempts(&account(), &query).await.unwrap().unwrap()
    }

    /// The states of an endpoint's messages, and when they are due.
    pub(crate) async fn messages(&self, endpoint: &Endpoint) -> Vec<(String, Option<i64>)> {
        let sql = "SELECT state, due_at FROM webhook_message WHERE endpoint_id = $1 ORDER BY id";
        let rows = self.rows(sql, [endpoint.id.into()]).await;
        rows.iter().map(|row| (row.try_get("", "state").unwrap(), row.try_get("", "due_at").unwrap())).collect()
    }

    pub(crate) async fn states(&self, endpoint: &Endpoint) -> Vec<String> {
        self.messages(endpoint).await.into_iter().map(|(state, _)| state).collect()
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.raw.get_database_backend() == sea_orm::DbBackend::Postgres
    }

    pub(crate) async fn rows<const N: usize>(&self, sql: &str, values: [Value; N]) -> Vec<sea_orm::QueryResult> {
        let statement = Statement::from_sql_and_values(self.raw.get_database_backend(), sql, values);
        self.raw.query_all_raw(statement).await.unwrap()
    }

    /// The time until the endpoint's only message is due.
    pub(crate) async fn delay(&self, endpoint: &Endpoint) -> Duration {
        let due = self.messages(endpoint).await[0].1.expect("it is due at some time");
        Duration::from_micros(u64::try_from(due - self.clock.now().micros()).unwrap())
    }
}
