//! Messages are claimed by one at a time, fairly, and settled by nobody but who has claimed them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::command::{Action, Command, ReportDelivery, SettleDelivery};
use invitation_service::domain::delivery::{DeliveryEnd, DeliveryReport, DeliveryState};
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::value::text::AccountId;
use invitation_service::store::{
    Begin, ClaimedDelivery, DeliveryQuery, ExecuteError, Follower, FollowerLag, RedeliveryQuery, Store, TimeRange,
    WriteOnce,
};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::support::build::commands::*;
use crate::support::build::kinds::*;
use crate::support::database::TestDatabase;
use crate::support::on_both;

on_both!(
    migrated:
    message_is_claimed_once_until_its_lease_ends,
    many_who_claim_at_once_never_claim_the_same_message,
    account_with_a_backlog_keeps_no_other_waiting,
    every_account_has_its_turn_however_few_are_claimed_at_a_time,
    lost_lease_can_neither_settle_nor_release_nor_cancel,
    message_that_is_sent_is_an_event_and_never_claimed_again,
    released_message_comes_back_after_its_delay,
    failed_message_can_be_queued_again,
    provider_report_sets_the_state_of_a_message,
    claim_of_unequal_shares_leaves_no_row_behind,
    message_that_cannot_be_read_keeps_no_other_waiting,
    backlog_counts_what_is_due_and_what_is_under_way,
    followers_lag_behind_events_that_somebody_waits_for,
);

const LEASE: Duration = Duration::from_secs(45);

fn lease(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Invites so many addresses of an account, each on its own.
async fn invite(store: &Store, account: &str, addresses: usize) {
    for number in 0..addresses {
        let create = create(user(&format!("ann{number}@example.org")));
        let account = AccountId::parse(account).unwrap();
        store.executor().execute(Command { reach: Reach::of_account(account), ..command(create) }, None).await.unwrap();
    }
}

async fn claim(store: &Store, number: u128, limit: u32, after: &str) -> Vec<ClaimedDelivery> {
    store.claim_deliveries(lease(number), LEASE, limit, after).await.unwrap()
}

async fn settle(store: &Store, claimed: &ClaimedDelivery, end: DeliveryEnd) -> Answer {
    let ClaimedDelivery { account, delivery, .. } = claimed;
    let settle = SettleDelivery { delivery: delivery.message.id, lease: delivery.lease.unwrap(), end };
    let account = account.clone();
    store
        .executor()
        .execute(Command { reach: Reach::of_account(account), ..command(Action::SettleDelivery(settle)) }, None)
        .await
}

fn ids(claimed: &[ClaimedDelivery]) -> BTreeSet<Uuid> {
    claimed.iter().map(|claimed| claimed.delivery.message.id).collect()
}

async fn states(store: &Store, claimed: &ClaimedDelivery) -> Vec<DeliveryState> {
    let invitation = claimed.delivery.message.invitation;
    let query = DeliveryQuery { ascending: true, ..DeliveryQuery::of(invitation, 10) };
    let (_, found) =
        store.primary().list_deliveries(&Reach::of_account(claimed.account.clone()), &query).await.unwrap().unwrap();
    found.into_iter().map(|delivery| delivery.state).collect()
}

async fn backlog_counts_what_is_due_and_what_is_under_way(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let backlog = async |queue: &str| {
        let all = store.backlog().await.unwrap();
        assert_eq!(all.len(), 2, "mail and webhooks");
        let found = all.into_iter().find(|found| found.queue == queue).unwrap();
        (found.due, found.delayed, found.oldest)
    };
    assert_eq!(backlog("mail").await, (0, 0, Duration::ZERO));
    invite(&store, "acme", 3).await;
    let minute = Duration::from_secs(60);
    clock.advance(minute);
    assert_eq!(backlog("mail").await, (3, 0, minute));
    let claimed = claim(&store, 1, 2, "").await;
    assert_eq!(backlog("mail").await, (1, 2, minute));
    for claimed in &claimed {
        settle(&store, claimed, DeliveryEnd::Sent).await.unwrap();
    }
    assert_eq!(backlog("mail").await, (1, 0, minute));
    assert_eq!(backlog("webhook").await, (0, 0, Duration::ZERO));
    assert_eq!(store.events_lag().await.unwrap(), minute, "nobody has numbered them");
    store.sequence().await.unwrap();
    assert_eq!(store.events_lag().await.unwrap(), Duration::ZERO);
}

async fn followers_lag_behind_events_that_somebody_waits_for(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let lags = async || {
        let lags =
            store.follower_lags().await.unwrap().into_iter().map(|FollowerLag { follower, lag }| (follower, lag));
        lags.collect::<BTreeMap<_, _>>()
    };
    let wanted = |webhooks, nats| BTreeMap::from([("webhooks", webhooks), ("nats", nats)]);
    let (none, minute) = (Duration::ZERO, Duration::from_secs(60));
    invite(&store, "acme", 1).await;
    store.sequence().await.unwrap();
    clock.advance(minute);
    assert_eq!(lags().await, wanted(none, none), "there is no endpoint, and NATS was never followed");
    let holder = Uuid::from_u128(1);
    store.lease(Follower::Nats, holder, Begin::First).await.unwrap().unwrap();
    assert_eq!(lags().await, wanted(none, minute));
    store.release(Follower::Nats, holder).await.unwrap();
    assert_eq!(lags().await, wanted(none, minute), "nobody publishes");
    let position = store.lease(Follower::Nats, holder, Begin::First).await.unwrap().unwrap().position + 1;
    assert!(store.advance(Follower::Nats, holder, position).await.unwrap());
    assert_eq!(lags().await, wanted(none, none));
}

async fn message_that_cannot_be_read_keeps_no_other_waiting(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    invite(&store, "acme", 3).await;
    let raw = database.connect().await;
    let spoil =
        "UPDATE outbox SET purpose = 'from a newer program' WHERE id = (SELECT id FROM outbox ORDER BY id LIMIT 1)";
    raw.execute_unprepared(spoil).await.unwrap();
    for lease in 1..3 {
        assert_eq!(claim(&store, lease, 1, "").await.len(), 1, "one that it would have kept waiting");
    }
    raw.execute_unprepared("UPDATE outbox SET purpose = 'invitation'").await.unwrap();
    assert!(claim(&store, 3, 10, "").await.is_empty());
    clock.advance(Duration::from_secs(60));
    let again = claim(&store, 4, 10, "").await;
    let attempts: BTreeSet<u32> = again.iter().map(|claimed| claimed.delivery.attempts).collect();
    assert_eq!((again.len(), attempts), (3, BTreeSet::from([1, 2])), "it has lost no attempt");
}

async fn message_is_claimed_once_until_its_lease_ends(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    invite(&store, "acme", 3).await;
    let first = claim(&store, 1, 2, "").await;
    assert_eq!((first.len(), first[0].delivery.attempts, first[0].delivery.lease), (2, 1, Some(lease(1))));
    let rest = claim(&store, 2, 10, "").await;
    assert_eq!(rest.len(), 1);
    assert!(ids(&first).is_disjoint(&ids(&rest)));
    clock.advance(LEASE - Duration::from_micros(1));
    assert!(claim(&store, 3, 10, "").await.is_empty());
    clock.advance(Duration::from_micros(1));
    let again = claim(&store, 3, 10, "").await;
    assert_eq!(again.len(), 3);
    assert!(again.iter().all(|claimed| claimed.delivery.attempts == 2));
}

async fn many_who_claim_at_once_never_claim_the_same_message(database: TestDatabase) {
    let (store, _) = store(&database).await;
    for account in ["acme", "bert", "cora"] {
        invite(&store, account, 20).await;
    }
    let mut claimed = BTreeSet::new();
    let mut rounds = 0;
    while claimed.len() < 60 {
        let (one, two, three, four) = tokio::join!(
            claim(&store, 1, 7, ""),
            claim(&store, 2, 7, "acme"),
            claim(&store, 3, 7, ""),
            claim(&store, 4, 7, "bert"),
        );
        for id in [one, two, three, four].iter().flat_map(|claimed| ids(claimed)) {
            assert!(claimed.insert(id), "{id} was claimed twice");
        }
        rounds += 1;
        assert!(rounds < 60, "{} of 60 after {rounds} rounds", claimed.len());
    }
}

async fn account_with_a_backlog_keeps_no_other_waiting(database: TestDatabase) {
    let (store, _) = store(&database).await;
    invite(&store, "acme", 40).await;
    invite(&store, "bert", 2).await;
    let claimed = claim(&store, 1, 8, "").await;
    let of = |account: &str| claimed.iter().filter(|claimed| claimed.account.as_str() == account).count();
    assert_eq!((of("acme"), of("bert")), (6, 2), "one has no more, so the other has the rest");
}

async fn every_account_has_its_turn_however_few_are_claimed_at_a_time(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let accounts = ["acme", "bert", "cora", "dora", "emil"];
    for account in accounts {
        invite(&store, account, 3).await;
    }
    let mut after = String::new();
    let mut served = Vec::new();
    for number in 1..=3 {
        let claimed = claim(&store, number, 2, &after).await;
        served.extend(claimed.iter().map(|claimed| claimed.account.as_str().to_owned()));
        after = served.iter().max().cloned().unwrap_or_default();
    }
    served.sort();
    served.dedup();
    assert_eq!(served, accounts);
}

async fn lost_lease_can_neither_settle_nor_release_nor_cancel(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    invite(&store, "acme", 1).await;
    let frozen = claim(&store, 1, 1, "").await.remove(0);
    clock.advance(LEASE);
    let taken_over = claim(&store, 2, 1, "").await.remove(0);
    for end in [DeliveryEnd::Sent, DeliveryEnd::Failed("gone".to_owned())] {
        let refused = settle(&store, &frozen, end).await.unwrap_err();
        assert_eq!(refused, ExecuteError::Refused(Refusal::LeaseLost));
    }
    assert!(!store.release_delivery(&frozen, LEASE, true, "later").await.unwrap());
    assert!(!store.cancel_delivery(&frozen, "no reason").await.unwrap());
    assert_eq!(states(&store, &frozen).await, [DeliveryState::Sending]);
    assert!(settle(&store, &taken_over, DeliveryEnd::Sent).await.is_ok());
    let late = settle(&store, &taken_over, DeliveryEnd::Sent).await.unwrap_err();
    assert_eq!(late, ExecuteError::Refused(Refusal::LeaseLost), "settled once only");
}

async fn message_that_is_sent_is_an_event_and_never_claimed_again(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    invite(&store, "acme", 1).await;
    let claimed = claim(&store, 1, 1, "").await.remove(0);
    let sent = settle(&store, &claimed, DeliveryEnd::Sent).await.unwrap();
    assert_eq!(sent.delivery.unwrap().state, DeliveryState::Sent);
    assert_eq!(story(&store, claimed.delivery.message.invitation).await, ["created", "delivery.sent"]);
    clock.advance(100 * LEASE);
    assert!(claim(&store, 2, 1, "").await.is_empty());
}

async fn released_message_comes_back_after_its_delay(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    invite(&store, "acme", 1).await;
    let first = claim(&store, 1, 1, "").await.remove(0);
    let delay = Duration::from_secs(600);
    assert!(store.release_delivery(&first, delay, true, "451").await.unwrap());
    assert!(claim(&store, 2, 1, "").await.is_empty());
    clock.advance(delay);
    let second = claim(&store, 2, 1, "").await.remove(0);
    assert_eq!((second.delivery.attempts, second.delivery.last_error.as_deref()), (2, Some("451")));
    assert!(store.release_delivery(&second, delay, false, "535").await.unwrap());
    clock.advance(delay);
    assert_eq!(claim(&store, 3, 1, "").await[0].delivery.attempts, 2, "not counted");
}

async fn failed_message_can_be_queued_again(database: TestDatabase) {
    let (store, clock): (Store, Clock) = store(&database).await;
    invite(&store, "acme", 2).await;
    let dead = claim(&store, 1, 1, "").await.remove(0);
    settle(&store, &dead, DeliveryEnd::Failed("550".to_owned())).await.unwrap();
    clock.advance(LEASE);
    let other = AccountId::parse("bert").unwrap();
    assert_eq!(
        store
            .redeliver_deliveries(&Reach::of_account(other.clone()), &RedeliveryQuery::default(), &WriteOnce::default())
            .await
            .unwrap(),
        Some(0)
    );
    let later =
        RedeliveryQuery { created: TimeRange { start: Some(clock.now()), end: None }, ..RedeliveryQuery::default() };
    assert_eq!(store.redeliver_deliveries(&reach(), &later, &WriteOnce::default()).await.unwrap(), Some(0));
    assert_eq!(
        store.redeliver_deliveries(&reach(), &RedeliveryQuery::default(), &WriteOnce::default()).await.unwrap(),
        Some(1)
    );
    let again = claim(&store, 2, 10, "").await;
    let queued = again.iter().find(|claimed| claimed.delivery.message.id == dead.delivery.message.id).unwrap();
    assert_eq!(queued.delivery.attempts, 1, "it begins anew, under the same id");
}

async fn report(store: &Store, claimed: &ClaimedDelivery, report: DeliveryReport) -> DeliveryState {
    let delivery = claimed.delivery.message.id;
    let report = ReportDelivery { delivery, report, detail: None };
    let account = claimed.account.clone();
    let command = Command { reach: Reach::of_account(account), ..command(Action::ReportDelivery(report)) };
    store.executor().execute(command, None).await.unwrap().delivery.unwrap().state
}

async fn provider_report_sets_the_state_of_a_message(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    invite(&store, "acme", 1).await;
    let claimed = claim(&store, 1, 1, "").await.remove(0);
    let invitation = claimed.delivery.message.invitation;
    assert_eq!(report(&store, &claimed, DeliveryReport::Opened).await, DeliveryState::Sent, "somebody has seen it");
    let late = settle(&store, &claimed, DeliveryEnd::Failed("no answer".to_owned())).await.unwrap_err();
    assert_eq!(late, ExecuteError::Refused(Refusal::LeaseLost));
    for (word, state) in [
        (DeliveryReport::Delivered, DeliveryState::Delivered),
        (DeliveryReport::Delivered, DeliveryState::Delivered),
        (DeliveryReport::Complained, DeliveryState::Delivered),
        (DeliveryReport::Bounced, DeliveryState::Bounced),
        (DeliveryReport::Bounced, DeliveryState::Bounced),
    ] {
        assert_eq!(report(&store, &claimed, word).await, state);
    }
    clock.advance(100 * LEASE);
    assert!(claim(&store, 2, 1, "").await.is_empty(), "nothing of it is sent again");
    let told = ["delivery.opened", "delivery.delivered", "delivery.complained", "delivery.bounced"];
    assert_eq!(story(&store, invitation).await, [&["created"][..], &told].concat());
}

async fn claim_of_unequal_shares_leaves_no_row_behind(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let accounts = ["acme", "bert", "cora"];
    for account in accounts {
        invite(&store, account, 5).await;
    }
    let (mut after, mut claims, mut seen) = (String::new(), 0, BTreeSet::new());
    while seen.len() < 15 {
        let claimed = claim(&store, claims, 8, &after).await;
        // An empty claim, though more are due, comes only behind the last account.
        assert!(!claimed.is_empty() || !after.is_empty(), "{} of 15 were seen", seen.len());
        after = claimed.iter().map(|claimed| claimed.account.as_str().to_owned()).max().unwrap_or_default();
        seen.extend(ids(&claimed));
        claims += 1;
    }
}
