//! Nothing is sent to an address that a mail server has said will never take mail.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use invitation_service::clock::Clock;
use invitation_service::domain::command::CreateInvitation;
use invitation_service::domain::decide::Context;
use invitation_service::domain::delivery::{Delivery, DeliveryState};
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::invitation::recipient::NewRecipient;
use invitation_service::domain::quota::Quotas;
use invitation_service::domain::secret::key_ring::KeyRing;
use invitation_service::domain::suppression::{Suppression, SuppressionReason, SuppressionRule};
use invitation_service::domain::value::email::Email;
use invitation_service::mail::mailer::Mailer;
use invitation_service::mail::transport::{SendError, SendFailure};
use invitation_service::mail::worker::{MailWorker, MailWorkerOptions};
use invitation_service::store::{ClaimedDelivery, DeliveryQuery, ExecutorOptions, Store, SuppressionQuery, Topicality};

use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;
use crate::support::service::KEYS;

on_both!(
    migrated:
    refused_address_is_suppressed_with_its_message,
    two_refusals_at_once_suppress_once,
    message_queued_before_the_suppression_is_not_sent,
);

const OPTIONS: MailWorkerOptions =
    MailWorkerOptions { lease: Duration::from_secs(45), concurrency: 8, per_second: None, attempts: 3 };

/// Refuses what goes to addresses that begin with `gone`.
#[derive(Debug)]
struct Server;

#[async_trait]
impl Mailer for Server {
    async fn deliver(&self, message: &ClaimedDelivery, topic: &Topicality) -> Result<(), SendError> {
        let address = message.delivery.address(&topic.invitation.found).unwrap();
        match address.key().starts_with("gone") {
            true => Err(SendError { kind: SendFailure::BadAddress, text: "answered 550 5.1.1 to RCPT".to_owned() }),
            false => Ok(()),
        }
    }
}

fn rule() -> SuppressionRule {
    SuppressionRule { ring: KeyRing::parse(KEYS).unwrap() }
}

async fn suppressing(database: &TestDatabase) -> (Store, Clock) {
    let clock = Clock::manual(NEW_YEAR);
    let usual = options(Group::run);
    let quotas = Quotas { suppressions: Some(rule()), ..Quotas::NONE };
    let options = ExecutorOptions { context: Context { quotas, ..usual.context.clone() }, ..usual };
    (Store::start(database.open(&clock).await, &options), clock)
}

fn worker(store: &Store, clock: &Clock) -> MailWorker {
    MailWorker::new(store.clone(), Arc::new(Server), clock.clone(), OPTIONS).obeying(rule())
}

fn mailed(address: &str) -> CreateInvitation {
    let recipients = vec![NewRecipient::from(Email::parse(address).unwrap())];
    CreateInvitation { recipients, mails: true, ..link() }
}

async fn deliveries(store: &Store, invitation: &Invitation) -> Vec<Delivery> {
    let query = DeliveryQuery { ascending: true, ..DeliveryQuery::of(invitation.id, 100) };
    store.primary().list_deliveries(&reach(), &query).await.unwrap().unwrap().1
}

async fn suppressions(store: &Store) -> Vec<Suppression> {
    let query = SuppressionQuery { limit: 100, ..SuppressionQuery::default() };
    store.primary().list_suppressions(&account(), &query).await.unwrap()
}

async fn refused_address_is_suppressed_with_its_message(database: TestDatabase) {
    let (store, clock) = suppressing(&database).await;
    let made = created(&store, mailed("Gone@example.org")).await;
    let worker = worker(&store, &clock);
    worker.drain().await.unwrap();
    let failed = deliveries(&store, &made).await.remove(0);
    assert_eq!(failed.state, DeliveryState::Failed);
    assert_eq!(story(&store, made.id).await, ["created", "delivery.failed", "suppression.created"]);
    let [known] = suppressions(&store).await.try_into().unwrap();
    assert_eq!((known.key.as_str(), known.masked.as_str()), ("gone@example.org", "G***@example.org"));
    assert_eq!((known.reason, known.creator.as_str()), (SuppressionReason::HardBounce, "system/mail"));
    assert_eq!((known.source, known.created_at), (Some((made.id, failed.message.id)), clock.now()));

    // On PostgreSQL the create has needed no load until then.
    let again = created(&store, mailed("GONE@example.org")).await;
    assert_eq!(again.latest_delivery, Some(DeliveryState::Suppressed));
    assert_eq!(worker.drain().await.unwrap(), 0);
    let message = deliveries(&store, &again).await.remove(0);
    assert_eq!((message.state, message.due_at, message.attempts), (DeliveryState::Suppressed, None, 0));
    assert_eq!(message.last_error.as_deref(), Some("the address is suppressed"));
    assert_eq!(story(&store, again.id).await, ["created", "delivery.suppressed"]);
    let other = created(&store, mailed("here@example.org")).await;
    worker.drain().await.unwrap();
    assert_eq!(deliveries(&store, &other).await[0].state, DeliveryState::Sent);
}

async fn two_refusals_at_once_suppress_once(database: TestDatabase) {
    let (store, clock) = suppressing(&database).await;
    let mut made = Vec::new();
    for _ in 0..8 {
        made.push(created(&store, mailed("gone@example.org")).await);
    }
    // All of them are claimed before the first is refused.
    worker(&store, &clock).drain().await.unwrap();
    let mut told = 0;
    for one in &made {
        let told_of = story(&store, one.id).await;
        told += told_of.iter().filter(|told| **told == "suppression.created").count();
        assert!(told_of.iter().any(|told| ["delivery.failed", "delivery.suppressed"].contains(told)), "{told_of:?}");
    }
    assert_eq!((told, suppressions(&store).await.len()), (1, 1));
}

async fn message_queued_before_the_suppression_is_not_sent(database: TestDatabase) {
    let (store, clock) = suppressing(&database).await;
    let queued = created(&store, mailed("ann@example.org")).await;
    let suppression = Suppression {
        id: uuid::Uuid::from_u128(1),
        key: "ann@example.org".to_owned(),
        masked: "a***@example.org".to_owned(),
        reason: SuppressionReason::Manual,
        source: None,
        creator: "apiKeys/ci".to_owned(),
        created_at: clock.now(),
    };
    let given = (&suppression, uuid::Uuid::from_u128(2), &["ann@example.org".to_owned()][..]);
    store.create_suppression(&account(), given, &Default::default()).await.unwrap();
    worker(&store, &clock).drain().await.unwrap();
    let message = deliveries(&store, &queued).await.remove(0);
    assert_eq!((message.state, message.sent_at), (DeliveryState::Suppressed, None));
    assert_eq!(story(&store, queued.id).await, ["created", "delivery.suppressed"]);

    // Lifted, and sent again.
    store.delete_suppression(&account(), suppression.id, &Default::default(), |_| Ok(())).await.unwrap().unwrap();
    clock.advance(Duration::from_secs(60));
    store.executor().execute(command(resend(&queued, false, None)), None).await.unwrap();
    worker(&store, &clock).drain().await.unwrap();
    let states: Vec<_> = deliveries(&store, &queued).await.into_iter().map(|one| one.state).collect();
    assert_eq!(states, [DeliveryState::Suppressed, DeliveryState::Sent]);
}
