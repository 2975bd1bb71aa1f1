//! Events are posted to the endpoints that want them, signed, until they arrive.

use std::time::Duration;

use invitation_service::domain::command::Command;
use invitation_service::domain::invitation::EngagementType;
use invitation_service::domain::invitation::event::EventType;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::value::text::AccountId;
use invitation_service::domain::value::time::Timestamp;
use invitation_service::domain::webhook::Rotation;
use invitation_service::domain::webhook::signature::Secret;
use invitation_service::entropy::Entropy;
use invitation_service::store::{AttemptOutcome, WebhookAttemptResult};
use sea_orm::ConnectionTrait as _;
use standardwebhooks::Webhook;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::build::Desk;
use super::http_sink::{Received, Reply, Sink};
use crate::support::build::commands::*;
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(
    migrated:
    event_is_posted_once_to_each_endpoint_that_wants_it,
    published_library_verifies_what_is_posted,
    during_a_rotation_both_secrets_verify,
    endpoint_gets_nothing_of_what_was_before_it,
    disabled_endpoint_gets_nothing_and_its_queue_is_cancelled,
    sender_frozen_beyond_its_lease_cannot_settle,
    slow_endpoint_holds_up_no_other,
    endpoint_that_fails_is_asked_one_thing_at_a_time,
    event_that_cannot_be_read_keeps_no_other_waiting,
    loops_post_notified_events_and_end_when_stopped,
    message_whose_attempts_never_end_is_given_up,
    attempts_are_deleted_after_thirty_days,
    event_is_queued_for_the_endpoints_of_its_account_alone,
);

fn verifies(secret: &Secret, received: &Received) -> bool {
    Webhook::new(&secret.reveal()).unwrap().verify(received.body.as_bytes(), &received.headers).is_ok()
}

async fn event_is_posted_once_to_each_endpoint_that_wants_it(database: TestDatabase) {
    let (desk, all, some) = (Desk::new(&database).await, Sink::start([]).await, Sink::start([]).await);
    let (to_all, _) = desk.endpoint(&all.uri(), &[]).await;
    let (to_some, _) = desk.endpoint(&some.uri(), &[EventType::Accepted, EventType::Viewed]).await;
    let made = created(&desk.store, link()).await;
    desk.store.executor().execute(retryable("Accept", "try-1", 1, accept(&made, "ann")), None).await.unwrap();
    desk.dispatch().await;
    desk.dispatch().await;
    assert_eq!(desk.sender().drain().await.unwrap(), 3);
    assert_eq!(desk.sender().drain().await.unwrap(), 0);
    assert_eq!((all.received().len(), some.received().len()), (2, 1));
    let received = some.received().remove(0);
    assert_eq!(received.line, "POST /hook?key=private HTTP/1.1");
    assert_eq!(received.header("content-type"), "application/json");
    assert!(received.header("user-agent").starts_with("invitation-service/"));
    let body: serde_json::Value = serde_json::from_str(&received.body).unwrap();
    let event = &events(&desk.store, made.id).await[1];
    assert_eq!(body["type"], "invitation.accepted");
    assert_eq!(body["name"], format!("invitations/{}/events/2", made.id.0));
    assert_eq!((&body["requestId"], &body["accepted"]["subject"]), (&"try-1".into(), &"ann".into()));
    assert_eq!((&body["sequence"], &body["uid"]), (&"2".into(), &event.event.id.to_string().into()));
    assert_eq!(body["uid"], received.header("webhook-id"));
    let attempts = desk.attempts(&to_some).await;
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].http_status, attempts[0].error.as_deref()), (Some(200), None));
    assert_eq!((attempts[0].invitation, attempts[0].sequence), (made.id, 2));
    assert_eq!(attempts[0].webhook_id.to_string(), received.header("webhook-id"));
    assert_eq!(desk.states(&to_all).await, ["sent", "sent"]);
}

async fn published_library_verifies_what_is_posted(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([Reply::Status(500, "")]).await);
    let (endpoint, secret) = desk.endpoint(&sink.uri(), &[]).await;
    created(&desk.store, link()).await;
    desk.dispatch().await;
    let mut sender = desk.sender();
    sender.drain().await.unwrap();
    desk.clock.advance(desk.delay(&endpoint).await);
    sender.drain().await.unwrap();
    let received = sink.received();
    assert_eq!(received.len(), 2);
    assert!(received.iter().all(|received| verifies(&secret, received)));
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert!(!verifies(&Secret::new([0; 32]), &received[0]));
    let mut forged = received[0].clone();
    forged.body = forged.body.replace("created", "revoked");
    assert!(!verifies(&secret, &forged));
}

async fn during_a_rotation_both_secrets_verify(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([]).await);
    let (endpoint, old) = desk.endpoint(&sink.uri(), &[]).await;
    let new = Secret::new(Entropy::system().bytes());
    let until = Timestamp::from_micros(desk.clock.now().micros() + 60_000_000);
    let rotation = Rotation { sealed: desk.seal(endpoint.id, &new), until };
    let now = desk.clock.now();
    desk.change(&endpoint, |found| found.rotate(&rotation, None, now)).await;
    created(&desk.store, link()).await;
    desk.dispatch().await;
    desk.sender().drain().await.unwrap();
    desk.clock.advance(Duration::from_secs(60));
    created(&desk.store, link()).await;
    desk.dispatch().await;
    desk.sender().drain().await.unwrap();
    let received = sink.received();
    assert!(verifies(&old, &received[0]) && verifies(&new, &received[0]));
    assert_eq!(received[0].header("webhook-signature").split(' ').count(), 2);
    assert!(!verifies(&old, &received[1]) && verifies(&new, &received[1]), "the overlap is over");
}

async fn endpoint_gets_nothing_of_what_was_before_it(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([]).await);
    created(&desk.store, link()).await;
    desk.sequence().await;
    let (endpoint, _) = desk.endpoint(&sink.uri(), &[]).await;
    desk.dispatch().await;
    assert_eq!(desk.states(&endpoint).await.len(), 0);
    let made = created(&desk.store, link()).await;
    desk.dispatch().await;
    assert_eq!(desk.states(&endpoint).await, ["queued"]);
    desk.set_disabled(&endpoint, true).await;
    desk.store.executor().execute(command(record(&made, EngagementType::View)), None).await.unwrap();
    desk.sequence().await;
    desk.set_disabled(&endpoint, false).await;
    desk.dispatch().await;
    assert_eq!(desk.states(&endpoint).await, ["cancelled"], "nothing of while it was disabled");
    desk.store.executor().execute(command(record(&made, EngagementType::Click)), None).await.unwrap();
    desk.dispatch().await;
    assert_eq!(desk.sender().drain().await.unwrap(), 1);
    assert!(sink.received()[0].body.contains("invitation.clicked"));
}

async fn disabled_endpoint_gets_nothing_and_its_queue_is_cancelled(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([]).await);
    let (endpoint, _) = desk.endpoint(&sink.uri(), &[]).await;
    for _ in 0..2 {
        created(&desk.store, link()).await;
    }
    desk.dispatch().await;
    let mut sender = desk.sender_to(Default::default(), 1);
    let frozen = sender.claim_only().await.unwrap();
    assert_eq!(frozen.len(), 1);
    desk.set_disabled(&endpoint, true).await;
    let mut states = desk.states(&endpoint).await;
    states.sort();
    assert_eq!(states, ["cancelled", "sending"]);
    // A message that was being posted at that moment is cancelled when its lease is taken over.
    desk.clock.advance(Duration::from_secs(60));
    desk.sender().drain().await.unwrap();
    assert_eq!(desk.states(&endpoint).await, ["cancelled", "cancelled"]);
    assert_eq!((sink.received().len(), desk.attempts(&endpoint).await.len()), (0, 0));
}

async fn sender_frozen_beyond_its_lease_cannot_settle(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([]).await);
    let (endpoint, _) = desk.endpoint(&sink.uri(), &[]).await;
    created(&desk.store, link()).await;
    desk.dispatch().await;
    let mut frozen = desk.sender();
    let claimed = frozen.claim_only().await.unwrap();
    assert_eq!(desk.sender().drain().await.unwrap(), 0, "it is leased");
    desk.clock.advance(Duration::from_secs(40));
    assert_eq!(desk.sender().drain().await.unwrap(), 1, "the lease is over");
    let late =
        |outcome| WebhookAttemptResult { message: claimed[0].clone(), outcome, at: desk.clock.now(), attempt: None };
    desk.store.settle_webhook_messages(&[late(AttemptOutcome::Retry(Duration::ZERO))]).await.unwrap();
    assert_eq!(desk.states(&endpoint).await, ["sent"]);
    assert_eq!((sink.received().len(), desk.attempts(&endpoint).await.len()), (1, 1));
}

async fn slow_endpoint_holds_up_no_other(database: TestDatabase) {
    let desk = Desk::new(&database).await;
    let (slow, quick) = (Sink::start(vec![Reply::Silence; 20]).await, Sink::start([]).await);
    let (to_slow, _) = desk.endpoint(&slow.uri(), &[]).await;
    for _ in 0..20 {
        created(&desk.store, link()).await;
    }
    desk.dispatch().await;
    let (to_quick, _) = desk.endpoint(&quick.uri(), &[]).await;
    created(&desk.store, link()).await;
    desk.dispatch().await;
    let mut first = desk.sender_to(Default::default(), 100);
    let claimed = first.claim_only().await.unwrap();
    let of = |endpoint| claimed.iter().filter(|message| message.endpoint == endpoint).count();
    assert_eq!((of(to_slow.id), of(to_quick.id)), (4, 1), "few of one endpoint, however many wait");
    let mut second = desk.sender_to(Default::default(), 100);
    assert_eq!(second.claim_only().await.unwrap().len(), 0, "over all processes");
}

async fn endpoint_that_fails_is_asked_one_thing_at_a_time(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([Reply::Status(500, "")]).await);
    desk.endpoint(&sink.uri(), &[]).await;
    created(&desk.store, link()).await;
    desk.dispatch().await;
    desk.sender().drain().await.unwrap();
    for _ in 0..6 {
        created(&desk.store, link()).await;
    }
    desk.dispatch().await;
    assert_eq!(desk.sender().claim_only().await.unwrap().len(), 1);
    desk.clock.advance(Duration::from_secs(86_400));
    desk.sender().drain().await.unwrap();
    for _ in 0..6 {
        created(&desk.store, link()).await;
    }
    desk.dispatch().await;
    assert_eq!(desk.sender().claim_only().await.unwrap().len(), 4, "until it answers");
}

async fn event_that_cannot_be_read_keeps_no_other_waiting(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([]).await);
    let (endpoint, _) = desk.endpoint(&sink.uri(), &[]).await;
    let (first, second) = (created(&desk.store, link()).await, created(&desk.store, link()).await);
    desk.dispatch().await;
    let set = "UPDATE event SET kind = $1 WHERE invitation_id = $2";
    desk.rows(set, ["No Kind".into(), first.id.0.into()]).await;
    assert_eq!(desk.sender().drain().await.unwrap(), 1);
    assert!(sink.received()[0].body.contains(&second.id.0.to_string()));
    assert_eq!((desk.attempts(&endpoint).await.len(), desk.get(&endpoint).await.failing_since), (1, None));
    let sql = "SELECT 1 FROM webhook_message WHERE attempts = 0 AND first_tried_at IS NULL AND lease IS NULL";
    assert_eq!(desk.rows(sql, []).await.len(), 1, "as if it had not been claimed");
    desk.rows(set, ["connection".into(), first.id.0.into()]).await;
    desk.clock.advance(Duration::from_secs(60));
    assert_eq!(desk.sender().drain().await.unwrap(), 1);
    assert!(sink.received()[1].body.contains(&first.id.0.to_string()));
}

async fn loops_post_notified_events_and_end_when_stopped(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([Reply::Held]).await);
    let (endpoint, _) = desk.endpoint(&sink.uri(), &[]).await;
    let stop = CancellationToken::new();
    let (sender, store, clock) = (desk.sender(), desk.store.clone(), desk.clock.clone());
    let running = tokio::spawn(invitation_service::webhook::run(sender, store, clock, stop.clone()));
    created(&desk.store, link()).await;
    desk.sequence().await;
    desk.store.notifications().notify(invitation_service::store::Topic::Position);
    sink.wait_for(1).await;
    stop.cancel();
    sink.release();
    running.await.unwrap();
    assert_eq!(desk.states(&endpoint).await, ["sent"], "what was under way is settled");
}

async fn message_whose_attempts_never_end_is_given_up(database: TestDatabase) {
    let (desk, sink) = (Desk::new(&database).await, Sink::start([]).await);
    let (endpoint, _) = desk.endpoint(&sink.uri(), &[]).await;
    created(&desk.store, link()).await;
    desk.dispatch().await;
    let begun = desk.clock.now();
    let day = Duration::from_secs(86_400);
    for _ in 0..5 {
        // The rows of a process that is killed by a message that it posts.
        let claimed = desk.sender().claim_only().await.unwrap();
        assert_eq!(claimed[0].first_tried_at, Some(begun));
        desk.clock.advance(day);
    }
    assert_eq!(desk.sender().drain().await.unwrap(), 0);
    assert_eq!((desk.states(&endpoint).await, sink.received().len()), (vec!["failed".to_owned()], 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn request_result_outlives_an_outage_of_the_database() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (desk, sink) = (Desk::new(&database).await, Sink::start([]).await);
    let (endpoint, _) = desk.endpoint(&sink.uri(), &[]).await;
    created(&desk.store, link()).await;
    desk.dispatch().await;
    // A server that shuts down, and then one with a conflict; what a sequence has counted is not rolled back.
    let outage = "CREATE SEQUENCE tries;
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE try bigint := nextval('tries'); BEGIN
            IF try <= 2 THEN RAISE EXCEPTION 'away' USING ERRCODE = '57P03'; END IF;
            IF try = 3 THEN RAISE EXCEPTION 'conflict' USING ERRCODE = '40001'; END IF;
            RETURN NEW; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON webhook_attempt FOR EACH ROW EXECUTE FUNCTION refuse()";
    database.connect().await.execute_unprepared(outage).await.unwrap();
    assert_eq!(desk.sender().drain().await.unwrap(), 1);
    assert_eq!(desk.states(&endpoint).await, ["sent"]);
    assert_eq!((sink.received().len(), desk.attempts(&endpoint).await.len()), (1, 1));
}

async fn attempts_are_deleted_after_thirty_days(database: TestDatabase) {
    let desk = Desk::new(&database).await;
    let sink = Sink::start([]).await;
    let (endpoint, _) = desk.endpoint(&sink.uri(), &[]).await;
    created(&desk.store, link()).await;
    desk.dispatch().await;
    desk.sender().drain().await.unwrap();
    let day = Duration::from_secs(86_400);
    desk.clock.advance(29 * day);
    created(&desk.store, link()).await;
    desk.dispatch().await;
    let maintenance = desk.store.maintenance();
    assert_eq!(maintenance.prune_webhooks().await.unwrap(), 0);
    desk.clock.advance(day + Duration::from_secs(1));
    assert_eq!(maintenance.prune_webhooks().await.unwrap(), 2, "the attempt and its message");
    assert_eq!(desk.states(&endpoint).await, ["queued"]);
    desk.clock.advance(60 * day);
    assert_eq!(maintenance.prune_webhooks().await.unwrap(), 0, "what is still to be posted is kept");
}

async fn event_is_queued_for_the_endpoints_of_its_account_alone(database: TestDatabase) {
    let desk = Desk::new(&database).await;
    let accounts = ["acme", "bert"].map(|name| AccountId::parse(name).unwrap());
    let mut wanted = Vec::new();
    for account in &accounts {
        let endpoint = desk.endpoint_of(account, "http://127.0.0.1:1/hook", &[]).await.0;
        let made = Command { reach: Reach::of_account(account.clone()), ..command(create(link())) };
        let made = desk.store.executor().execute(made, None).await.unwrap().invitation;
        wanted.push((account.as_str().to_owned(), endpoint.id, made.id.0));
    }
    desk.dispatch().await;
    let sql = "SELECT account_id, endpoint_id, invitation_id FROM webhook_message ORDER BY account_id";
    let queued = desk.rows(sql, []).await;
    let queued = queued.iter().map(|row| {
        let of = |column| row.try_get::<Uuid>("", column).unwrap();
        (row.try_get::<String>("", "account_id").unwrap(), of("endpoint_id"), of("invitation_id"))
    });
    assert_eq!(queued.collect::<Vec<_>>(), wanted, "one for each event");
}
