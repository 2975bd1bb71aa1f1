//! The relay sends what there is a reason to send, once where nothing goes wrong, and says what became of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use invitation_service::clock::Clock;
use invitation_service::domain::command::CreateInvitation;
use invitation_service::domain::delivery::{Delivery, DeliveryState};
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::value::id::InvitationId;
use invitation_service::mail::mailer::Mailer;
use invitation_service::mail::transport::{SendError, SendFailure};
use invitation_service::mail::worker::{MailWorker, MailWorkerOptions, SETTLE_RESERVE};
use invitation_service::store::{ClaimedDelivery, DeliveryQuery, RedeliveryQuery, Store, Topicality, WriteOnce};
use sea_orm::{ConnectionTrait, Statement};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::build::commands::*;
use crate::support::build::kinds::*;
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(
    migrated:
    every_recipient_is_sent_one_message_and_its_event_follows,
    message_is_cancelled_when_its_invitation_ends_before,
    resends_in_an_outage_leave_one_message,
    message_replaced_while_it_was_sent_is_sent_no_more,
    failed_message_queued_behind_a_later_one_is_needless,
    failing_message_is_retried_later_and_fails_in_the_end,
    permanently_refused_message_fails_at_once,
    unusable_transport_costs_no_attempts_and_pauses,
    worker_frozen_beyond_its_lease_cannot_settle,
    worker_sends_new_messages_while_it_waits_until_stopped,
    two_workers_send_every_message_once,
    message_is_given_up_when_its_senders_keep_dying,
    silent_mailer_is_broken_off_before_the_lease_ends,
    message_waits_whose_invitation_cannot_be_read,
);

const OPTIONS: MailWorkerOptions =
    MailWorkerOptions { lease: Duration::from_secs(45), concurrency: 8, per_second: None, attempts: 3 };

/// Answers as scripted, then always well; what it was given is noted.
#[derive(Debug, Default)]
struct Script {
    answers: Mutex<VecDeque<Result<(), SendError>>>,
    sent: Mutex<Vec<Uuid>>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Result<(), SendError>>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), ..Self::default() })
    }

    fn sent(&self) -> Vec<Uuid> {
        self.sent.lock().unwrap().clone()
    }
}

#[async_trait]
impl Mailer for Script {
    async fn deliver(&self, message: &ClaimedDelivery, _: &Topicality) -> Result<(), SendError> {
        self.sent.lock().unwrap().push(message.delivery.message.id);
        self.answers.lock().unwrap().pop_front().unwrap_or(Ok(()))
    }
}

/// A link for so many addresses, each of which is mailed.
fn mailed_link(addresses: usize) -> CreateInvitation {
    CreateInvitation { recipients: emails(addresses), mails: true, ..link() }
}

fn fails(kind: SendFailure, text: &str) -> Result<(), SendError> {
    Err(SendError { kind, text: text.to_owned() })
}

fn relay(store: &Store, script: &Arc<Script>, clock: &Clock) -> MailWorker {
    MailWorker::new(store.clone(), script.clone(), clock.clone(), OPTIONS)
}

async fn deliveries(store: &Store, invitation: InvitationId) -> Vec<Delivery> {
    let query = DeliveryQuery { ascending: true, ..DeliveryQuery::of(invitation, 100) };
    store.primary().list_deliveries(&reach(), &query).await.unwrap().unwrap().1
}

async fn states(store: &Store, invitation: InvitationId) -> Vec<DeliveryState> {
    let mut found = deliveries(store, invitation).await;
    found.sort_by_key(|delivery| delivery.message.recipient);
    found.into_iter().map(|delivery| delivery.state).collect()
}

async fn every_recipient_is_sent_one_message_and_its_event_follows(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let invitation = created(&store, mailed_link(3)).await;
    let script = Script::new([]);
    assert_eq!(relay(&store, &script, &clock).drain().await.unwrap(), 3);
    assert_eq!(relay(&store, &script, &clock).drain().await.unwrap(), 0);
    let found = deliveries(&store, invitation.id).await;
    let mut sent = script.sent();
    sent.sort();
    assert_eq!(sent, found.iter().map(|delivery| delivery.message.id).collect::<Vec<_>>());
    assert!(
        found.iter().all(|delivery| delivery.state == DeliveryState::Sent && delivery.sent_at == Some(clock.now()))
    );
    let story = story(&store, invitation.id).await;
    assert_eq!(story, ["created", "delivery.sent", "delivery.sent", "delivery.sent"]);
}

async fn message_is_cancelled_when_its_invitation_ends_before(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let revoked = created(&store, mailed_link(1)).await;
    store.executor().execute(command(revoke(&revoked)), None).await.unwrap();
    let answered = created(&store, mailed_link(2)).await;
    store.executor().execute(command(decline(&answered, 1)), None).await.unwrap();
    let expired = created(&store, user("late@example.org")).await;
    clock.advance(Duration::from_secs(8 * 86_400));
    let open = created(&store, mailed_link(1)).await;
    let script = Script::new([]);
    relay(&store, &script, &clock).drain().await.unwrap();
    use DeliveryState::{Cancelled, Sent};
    assert_eq!(states(&store, revoked.id).await, [Cancelled]);
    assert_eq!(deliveries(&store, revoked.id).await[0].attempts, 0, "it was not tried");
    assert_eq!(states(&store, answered.id).await, [Cancelled, Sent]);
    assert_eq!(states(&store, expired.id).await, [Cancelled]);
    assert_eq!(states(&store, open.id).await, [Sent]);
    assert_eq!(script.sent().len(), 2);
    assert_eq!(story(&store, revoked.id).await, ["created", "revoked"], "nothing was sent, nothing happened");
}

/// Resends a minute after the last time.
async fn resend_later(store: &Store, clock: &Clock, invitation: &Invitation) {
    clock.advance(Duration::from_secs(60));
    store.executor().execute(command(resend(invitation, false, None)), None).await.unwrap();
}

async fn resends_in_an_outage_leave_one_message(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let invitation = created(&store, mailed_link(2)).await;
    let away = || fails(SendFailure::Retry, "no answer");
    let script = Script::new([away(), away()]);
    let relay = relay(&store, &script, &clock);
    relay.drain().await.unwrap();
    for _ in 0..5 {
        resend_later(&store, &clock, &invitation).await;
    }
    let found = deliveries(&store, invitation.id).await;
    let replaced = found.iter().filter(|one| one.state == DeliveryState::Cancelled);
    let reasons: Vec<_> = replaced.map(|one| (one.last_error.as_deref(), one.due_at)).collect();
    assert_eq!(reasons, [(Some("a later message replaces it"), None); 10]);
    relay.drain().await.unwrap();
    assert_eq!(script.sent().len(), 2 + 2, "each recipient gets one mail once the server is back");
    let latest = deliveries(&store, invitation.id).await.split_off(10);
    assert!(latest.iter().all(|one| one.state == DeliveryState::Sent));
}

async fn message_replaced_while_it_was_sent_is_sent_no_more(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let invitation = created(&store, mailed_link(1)).await;
    let claimed = store.claim_deliveries(Uuid::from_u128(1), OPTIONS.lease * 2, 1, "").await.unwrap().remove(0);
    resend_later(&store, &clock, &invitation).await;
    assert!(store.release_delivery(&claimed, Duration::ZERO, true, "no answer").await.unwrap());
    let script = Script::new([]);
    relay(&store, &script, &clock).drain().await.unwrap();
    let found = deliveries(&store, invitation.id).await;
    assert_eq!(states_by_age(&store, &invitation).await, [DeliveryState::Cancelled, DeliveryState::Sent]);
    assert_eq!(script.sent(), [found[1].message.id]);
}

async fn failed_message_queued_behind_a_later_one_is_needless(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let invitation = created(&store, mailed_link(1)).await;
    let script = Script::new([fails(SendFailure::Refused, "550"), fails(SendFailure::Refused, "550")]);
    let relay = relay(&store, &script, &clock);
    relay.drain().await.unwrap();
    resend_later(&store, &clock, &invitation).await;
    relay.drain().await.unwrap();
    let once = WriteOnce { request: None, validate_only: false };
    let queued = store.redeliver_deliveries(&reach(), &RedeliveryQuery::default(), &once).await.unwrap();
    assert_eq!(queued, Some(2));
    relay.drain().await.unwrap();
    assert_eq!(states_by_age(&store, &invitation).await, [DeliveryState::Cancelled, DeliveryState::Sent]);
    assert_eq!(script.sent().len(), 3);
}

async fn states_by_age(store: &Store, invitation: &Invitation) -> Vec<DeliveryState> {
    deliveries(store, invitation.id).await.into_iter().map(|delivery| delivery.state).collect()
}

async fn failing_message_is_retried_later_and_fails_in_the_end(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let invitation = created(&store, mailed_link(1)).await;
    let again = || fails(SendFailure::Retry, "451");
    let script = Script::new([again(), again(), again()]);
    let relay = relay(&store, &script, &clock);
    for attempt in 1..=3 {
        assert_eq!(relay.drain().await.unwrap(), 1, "attempt {attempt}");
        let found = deliveries(&store, invitation.id).await.remove(0);
        assert_eq!((found.attempts, found.last_error.as_deref()), (attempt, Some("451")));
        assert_eq!(found.state, if attempt < 3 { DeliveryState::Queued } else { DeliveryState::Failed });
        assert_eq!(relay.drain().await.unwrap(), 0, "not before its time");
        clock.advance(Duration::from_secs(60));
    }
    assert_eq!(story(&store, invitation.id).await, ["created", "delivery.failed"]);
    let ids = script.sent();
    assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0]), "one message, however often it is tried");
}

async fn permanently_refused_message_fails_at_once(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let invitation = created(&store, mailed_link(1)).await;
    let script = Script::new([fails(SendFailure::Refused, "550 5.1.1")]);
    relay(&store, &script, &clock).drain().await.unwrap();
    assert_eq!(states(&store, invitation.id).await, [DeliveryState::Failed]);
}

async fn unusable_transport_costs_no_attempts_and_pauses(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let first = created(&store, mailed_link(1)).await;
    let script = Script::new([fails(SendFailure::Misconfigured, "535 5.7.8")]);
    let paused = relay(&store, &script, &clock);
    paused.drain().await.unwrap();
    let found = deliveries(&store, first.id).await.remove(0);
    assert_eq!((found.state, found.attempts), (DeliveryState::Queued, 0));
    let second = created(&store, mailed_link(1)).await;
    assert_eq!(paused.drain().await.unwrap(), 0, "nothing is tried while the transport is paused");
    clock.advance(Duration::from_secs(60));
    relay(&store, &script, &clock).drain().await.unwrap();
    assert_eq!(states(&store, first.id).await, [DeliveryState::Sent]);
    assert_eq!(states(&store, second.id).await, [DeliveryState::Sent]);
}

async fn worker_frozen_beyond_its_lease_cannot_settle(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let invitation = created(&store, mailed_link(1)).await;
    let frozen = Script::new([fails(SendFailure::Refused, "550 too late to say so")]);
    let healthy = Script::new([]);
    // Its message is claimed by another as soon as the lease is over, before the frozen one comes back.
    let thaw = Thaw { healthy: relay(&store, &healthy, &clock), clock: clock.clone(), inner: frozen.clone() };
    MailWorker::new(store.clone(), Arc::new(thaw), clock, OPTIONS).drain().await.unwrap();
    assert_eq!(frozen.sent(), healthy.sent(), "sent twice, under one id");
    assert_eq!(states(&store, invitation.id).await, [DeliveryState::Sent], "the one who lost the lease has no say");
    assert_eq!(story(&store, invitation.id).await, ["created", "delivery.sent"]);
}

/// Stands still in the middle of a message until its lease is over and somebody else has sent it.
#[derive(Debug)]
struct Thaw {
    healthy: MailWorker,
    clock: Clock,
    inner: Arc<Script>,
}

#[async_trait]
impl Mailer for Thaw {
    async fn deliver(&self, message: &ClaimedDelivery, topic: &Topicality) -> Result<(), SendError> {
        self.clock.advance(OPTIONS.lease);
        self.healthy.drain().await.unwrap();
        self.inner.deliver(message, topic).await
    }
}

async fn worker_sends_new_messages_while_it_waits_until_stopped(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let (script, stop) = (Script::new([]), CancellationToken::new());
    let running = tokio::spawn(relay(&store, &script, &clock).run(stop.clone()));
    let invitation = created(&store, mailed_link(2)).await;
    while states(&store, invitation.id).await != [DeliveryState::Sent; 2] {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    running.await.unwrap();
    created(&store, mailed_link(1)).await;
    assert_eq!(script.sent().len(), 2);
}

async fn two_workers_send_every_message_once(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    for _ in 0..10 {
        created(&store, mailed_link(5)).await;
    }
    let script = Script::new([]);
    let (one, two) = (relay(&store, &script, &clock), relay(&store, &script, &clock));
    let (one, two) = tokio::join!(one.drain(), two.drain());
    assert_eq!(one.unwrap() + two.unwrap(), 50);
    let mut sent = script.sent();
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 50);
}

async fn message_is_given_up_when_its_senders_keep_dying(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let hopeless = created(&store, mailed_link(1)).await;
    let mut hopeful = None;
    for attempt in 1..=OPTIONS.attempts {
        // The sender dies after its claim, so that the lease passes.
        let lease = Uuid::from_u128(attempt.into());
        let claimed = store.claim_deliveries(lease, OPTIONS.lease, 8, "").await.unwrap();
        assert!(claimed.iter().any(|claimed| claimed.delivery.attempts == attempt));
        clock.advance(OPTIONS.lease);
        if hopeful.is_none() {
            hopeful = Some(created(&store, mailed_link(1)).await);
        }
    }
    let (script, hopeful) = (Script::new([]), hopeful.unwrap());
    assert_eq!(relay(&store, &script, &clock).drain().await.unwrap(), 2);
    assert_eq!(states(&store, hopeless.id).await, [DeliveryState::Failed]);
    assert_eq!(story(&store, hopeless.id).await, ["created", "delivery.failed"]);
    assert_eq!(states(&store, hopeful.id).await, [DeliveryState::Sent], "it had one attempt left");
    assert_eq!(script.sent(), [deliveries(&store, hopeful.id).await[0].message.id]);
}

/// Never answers.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl Mailer for Silent {
    async fn deliver(&self, _: &ClaimedDelivery, _: &Topicality) -> Result<(), SendError> {
        std::future::pending().await
    }
}

async fn silent_mailer_is_broken_off_before_the_lease_ends(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let invitation = created(&store, mailed_link(1)).await;
    let options = MailWorkerOptions { lease: SETTLE_RESERVE + Duration::from_millis(100), ..OPTIONS };
    let silent = MailWorker::new(store.clone(), Arc::new(Silent), clock, options);
    let claimed = tokio::time::timeout(SETTLE_RESERVE, silent.drain()).await.expect("the courier is broken off");
    assert_eq!(claimed.unwrap(), 1);
    let found = deliveries(&store, invitation.id).await.remove(0);
    assert_eq!((found.state, found.attempts), (DeliveryState::Queued, 1));
    assert_eq!(found.last_error.as_deref(), Some("no answer in time"));
}

/// The answer of the mail server is there, and its event cannot be committed for longer than one command is tried.
#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn sent_message_is_settled_after_an_outage() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (store, clock) = store(&database).await;
    let invitation = created(&store, mailed_link(1)).await;
    // A server that shuts down; what a sequence has counted is not rolled back.
    let outage = "CREATE SEQUENCE tries;
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('tries') <= 14 THEN RAISE EXCEPTION 'away' USING ERRCODE = '57P03'; END IF;
            RETURN NEW; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION refuse()";
    let connection = database.connect().await;
    connection.execute_unprepared(outage).await.unwrap();
    let script = Script::new([]);
    assert_eq!(relay(&store, &script, &clock).drain().await.unwrap(), 1);
    assert_eq!(states(&store, invitation.id).await, [DeliveryState::Sent]);
    assert_eq!(story(&store, invitation.id).await, ["created", "delivery.sent"]);
    assert_eq!(script.sent().len(), 1);
    let query = Statement::from_string(sea_orm::DbBackend::Postgres, "SELECT last_value FROM tries");
    let tries: i64 = connection.query_one_raw(query).await.unwrap().unwrap().try_get_by_index(0).unwrap();
    assert_eq!(tries, 15, "the outage was met and came to its end");
}

async fn message_waits_whose_invitation_cannot_be_read(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let raw = database.connect().await;
    let script = Script::new([]);
    let (broken, whole) = (created(&store, mailed_link(1)).await, created(&store, mailed_link(1)).await);
    let set = async |kind: &str| {
        let sql = format!("UPDATE invitation SET kind = '{kind}' WHERE id = $1");
        let values = [broken.id.0.into()];
        raw.execute_raw(Statement::from_sql_and_values(raw.get_database_backend(), sql, values)).await.unwrap();
    };
    set("from_the_future").await;
    // More often than a message is tried.
    for _ in 0..OPTIONS.attempts + 2 {
        relay(&store, &script, &clock).drain().await.unwrap();
        clock.advance(Duration::from_secs(60));
    }
    let of = |deliveries: Vec<Delivery>| (deliveries[0].state, deliveries[0].attempts);
    assert_eq!(of(deliveries(&store, whole.id).await), (DeliveryState::Sent, 1));
    set("connection").await;
    assert_eq!(of(deliveries(&store, broken.id).await), (DeliveryState::Queued, 0));
    relay(&store, &script, &clock).drain().await.unwrap();
    assert_eq!(of(deliveries(&store, broken.id).await), (DeliveryState::Sent, 1));
}
