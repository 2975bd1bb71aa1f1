//! Accounts take turns with the places that messages are posted from, and slow endpoints get few of them.

use std::time::Duration;

use invitation_service::domain::command::Command;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::value::text::AccountId;
use invitation_service::domain::webhook::networks::Networks;
use invitation_service::store::{Attempt, AttemptOutcome, Topic, WebhookAttemptResult};
use invitation_service::webhook::client::WebhookClient;
use invitation_service::webhook::worker::{WebhookWorker, WebhookWorkerOptions};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::build::Desk;
use super::http_sink::{Reply, Sink};
use crate::support::build::commands::*;
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(
    migrated:
    slow_endpoints_of_one_account_leave_places_for_another,
    claim_takes_turns_by_account_and_then_by_endpoint,
    slow_endpoint_rests_and_then_gets_one_at_a_time,
);

/// A worker whose requests may take any time.
fn patient(desk: &Desk, concurrency: u32) -> WebhookWorker {
    let limit = Duration::from_secs(600);
    let client = WebhookClient::new(Networks::new(["127.0.0.0/8".parse().unwrap()]), limit).unwrap();
    let options = WebhookWorkerOptions::new(concurrency, limit);
    WebhookWorker::new(desk.store.clone(), desk.ring.clone(), client, desk.clock.clone(), options)
}

async fn happen(desk: &Desk, account: &AccountId, events: usize) {
    for _ in 0..events {
        let made = Command { reach: Reach::of_account(account.clone()), ..command(create(link())) };
        desk.store.executor().execute(made, None).await.unwrap();
    }
    desk.dispatch().await;
}

async fn slow_endpoints_of_one_account_leave_places_for_another(database: TestDatabase) {
    let (desk, other) = (Desk::new(&database).await, AccountId::parse("other").unwrap());
    let (slow, quick) = (Sink::start(vec![Reply::Held; 50]).await, Sink::start([]).await);
    for _ in 0..10 {
        desk.endpoint(&slow.uri(), &[]).await;
    }
    desk.endpoint_of(&other, &quick.uri(), &[]).await;
    happen(&desk, &account(), 5).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(patient(&desk, 8).run(stop.clone()));
    slow.wait_for(6).await;
    happen(&desk, &other, 3).await;
    desk.store.notifications().notify(Topic::Webhook);
    quick.wait_for(3).await;
    assert_eq!(slow.received().len(), 6, "three quarters of the places, as long as nobody answers");
    stop.cancel();
    for _ in 0..6 {
        slow.release();
    }
    running.await.unwrap();
}

async fn claim_takes_turns_by_account_and_then_by_endpoint(database: TestDatabase) {
    let (desk, other) = (Desk::new(&database).await, AccountId::parse("other").unwrap());
    let mut endpoints = Vec::new();
    for _ in 0..3 {
        endpoints.push(desk.endpoint("http://127.0.0.1:1/hook", &[]).await.0.id);
    }
    let foreign = desk.endpoint_of(&other, "http://127.0.0.1:1/hook", &[]).await.0.id;
    happen(&desk, &account(), 6).await;
    happen(&desk, &other, 6).await;
    let claim = async |number: u128, places: u32| {
        let limit = invitation_service::store::ClaimLimit { rows: places, free_places: places };
        let behind = (String::new(), Uuid::nil());
        let claim = desk.store.claim_webhook_messages(Uuid::from_u128(number), Duration::from_secs(60), limit, &behind);
        let claimed = claim.await.unwrap();
        let of = |endpoint: &Uuid| claimed.iter().filter(|claimed| claimed.endpoint == *endpoint).count();
        let mut own: Vec<_> = endpoints.iter().map(of).collect();
        own.sort();
        (own, of(&foreign))
    };
    assert_eq!(claim(1, 9).await, (vec![1, 1, 1], 3), "the accounts have equal shares, and some places are left");
    assert_eq!(claim(2, 3).await.1, 0, "each has as many under way as it leaves others");
    assert_eq!(claim(3, 12).await, (vec![1, 1, 2], 1), "an endpoint has four at once");
}

async fn slow_endpoint_rests_and_then_gets_one_at_a_time(database: TestDatabase) {
    let desk = Desk::new(&database).await;
    desk.endpoint("http://127.0.0.1:1/hook", &[]).await;
    happen(&desk, &account(), 20).await;
    let answer = async |seconds: u64| {
        let message = patient(&desk, 8).claim_only().await.unwrap().remove(0);
        let attempt = Attempt {
            id: Uuid::from_bytes(invitation_service::entropy::Entropy::system().bytes()),
            webhook_id: message.id,
            http_status: Some(200),
            error: None,
            duration: Duration::from_secs(seconds),
        };
        let outcome = AttemptOutcome::Arrived;
        let result = WebhookAttemptResult { message, outcome, at: desk.clock.now(), attempt: Some(attempt) };
        desk.store.settle_webhook_messages(&[result]).await.unwrap();
        // The other messages that were claimed are free again.
        let raw = "UPDATE webhook_message SET lease = NULL, due_at = due_at - 700000000 WHERE lease IS NOT NULL";
        desk.rows(raw, []).await;
    };
    let claimed = async || patient(&desk, 8).claim_only().await.unwrap().len();
    answer(14).await;
    assert_eq!(claimed().await, 0, "it rests as long as its answer took");
    desk.clock.advance(Duration::from_secs(14));
    answer(3).await;
    desk.clock.advance(Duration::from_secs(3));
    answer(1).await;
    assert_eq!(claimed().await, 4, "it answers soon again");
}
