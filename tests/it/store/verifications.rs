//! The rows of verification codes: how long they are kept, and for which account.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::command::{Action, Command, SettleDelivery};
use invitation_service::domain::delivery::{DeliveryEnd, NewDelivery, Purpose};
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::invitation::refusal::RateLimited;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::secret::verification::FreeTries;
use invitation_service::domain::value::email::Email;
use invitation_service::domain::value::id::{IdSeed, InvitationId};
use invitation_service::entropy::Entropy;
use invitation_service::store::{CodeTry, DeliveryQuery, KeptCode, NewVerification, Store, StoreError, Topic, Tried};
use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::executor::races::replicas;
use crate::support::build::commands::*;
use crate::support::codes::{requested, verification};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(
    migrated:
    codes_are_forgotten_after_an_hour_and_not_before,
    message_finds_its_verification_until_replaced_or_used,
    used_code_counts_only_its_wrong_tries,
    parallel_tries_over_replicas_count_one_by_one,
    parallel_clients_share_the_budget_of_their_invitation,
    clients_together_have_a_budget_of_their_invitation,
    budget_is_forgotten_a_day_after_its_last_use,
    whoever_sends_messages_is_told_of_a_code_and_of_no_other,
    address_of_a_code_message_is_removed_on_settle,
);

fn asked(invitation: &Invitation, address_key: &str, mailed: bool) -> NewVerification {
    let seed = IdSeed::new(NEW_YEAR, Entropy::system().bytes());
    let verification = verification(invitation, seed.nth(1));
    let message = mailed.then(|| NewDelivery {
        id: seed.nth(2),
        invitation: invitation.id,
        purpose: Purpose::VerificationCode,
        recipient: 1,
        address: None,
        about: Some(verification.id),
        moment: None,
        created_at: NEW_YEAR,
        due_at: NEW_YEAR,
    });
    NewVerification { message, ..requested(&verification, address_key, "client") }
}

/// Tries the code that an address has, as one client.
async fn try_once(
    store: &Store,
    invitation: InvitationId,
    address: &str,
    client: &str,
    is_right: bool,
) -> Result<Tried, StoreError> {
    let account = account();
    let kept = store.find_codes(&account, invitation, &[address.to_owned()]).await?;
    let code = if is_right { kept.first() } else { kept.iter().find(|kept| kept.client_key == client) };
    let free = FreeTries { client: 3, invitation: 8 };
    store.try_code(&CodeTry { account: &account, invitation, client_key: client, code, is_right, free }).await
}

async fn tried(store: &Store, invitation: InvitationId, address: &str, client: &str, is_right: bool) -> Tried {
    try_once(store, invitation, address, client, is_right).await.unwrap()
}

fn paused(limit: &'static str, seconds: u64) -> Tried {
    Tried::Paused(RateLimited { limit, retry_after: Duration::from_secs(seconds) })
}

async fn ask(store: &Store, invitation: &Invitation, new: &NewVerification) {
    store.request_verification(invitation, new).await.unwrap().unwrap();
}

async fn codes_are_forgotten_after_an_hour_and_not_before(database: TestDatabase) {
    let clock = Clock::manual(NEW_YEAR);
    let opened = database.open(&clock).await;
    let maintenance = opened.maintenance();
    let store = Store::start(opened, &options(Group::run));
    let made = created(&store, link()).await;
    ask(&store, &made, &asked(&made, "old", false)).await;
    clock.advance(Duration::from_secs(60));
    let young = asked(&made, "young", false);
    ask(&store, &made, &young).await;
    clock.advance(Duration::from_secs(3_540));
    assert_eq!(maintenance.prune_verifications().await.unwrap(), 0);
    clock.advance(Duration::from_micros(1));
    assert_eq!(maintenance.prune_verifications().await.unwrap(), 1);
    let found = store.find_verification(&account(), made.id, young.verification.id).await.unwrap();
    assert_eq!(found, Some(young.verification));
}

async fn message_finds_its_verification_until_replaced_or_used(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, link()).await;
    let (first, second) = (asked(&made, "ann", true), asked(&made, "ann", true));
    ask(&store, &made, &first).await;
    let find =
        async |new: &NewVerification| store.find_verification(&account(), made.id, new.verification.id).await.unwrap();
    assert_eq!(find(&first).await, Some(first.verification.clone()));
    let elsewhere = InvitationId(first.verification.id);
    assert_eq!(store.find_verification(&account(), elsewhere, first.verification.id).await.unwrap(), None);
    clock.advance(Duration::from_secs(60));
    ask(&store, &made, &second).await;
    assert_eq!((find(&first).await, find(&second).await), (None, Some(second.verification.clone())));
    let keys = ["other".to_owned(), "ann".to_owned()];
    let kept = store.find_codes(&account(), made.id, &keys).await.unwrap();
    assert_eq!(kept.iter().map(|kept| &kept.verification).collect::<Vec<_>>(), [&second.verification]);
    assert!(store.find_codes(&account(), elsewhere, &keys).await.unwrap().is_empty());
    let replaced = KeptCode { verification: first.verification.clone(), ..kept[0].clone() };
    let (account, free) = (account(), FreeTries { client: 3, invitation: 8 });
    let of_replaced = CodeTry {
        account: &account,
        invitation: made.id,
        client_key: "client",
        code: Some(&replaced),
        is_right: true,
        free,
    };
    assert_eq!(store.try_code(&of_replaced).await.unwrap(), Tried::Wrong, "another took its place");
    assert_eq!(tried(&store, made.id, "ann", "client", true).await, Tried::Right);
    assert_eq!(find(&second).await, None);
    assert_eq!(read(&store, made.id).await.deliveries, 0, "what brings a code brings no link");
}

async fn used_code_counts_only_its_wrong_tries(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let made = created(&store, link()).await;
    ask(&store, &made, &asked(&made, "ann", true)).await;
    // Clients of their own, so that no budget is used up; the code counts those of its client alone.
    for _ in 0..2 {
        assert_eq!(tried(&store, made.id, "ann", "client", false).await, Tried::Wrong);
    }
    for _ in 0..20 {
        assert_eq!(tried(&store, made.id, "ann", "client", true).await, Tried::Right);
    }
    assert_eq!(tried(&store, made.id, "ann", "other", false).await, Tried::Wrong);
    let tries = "UPDATE verification SET tries = tries + 2";
    database.connect().await.execute_unprepared(tries).await.unwrap();
    assert_eq!(tried(&store, made.id, "ann", "client", true).await, Tried::Right);
    assert_eq!(tried(&store, made.id, "ann", "client", false).await, Tried::Wrong, "the fifth");
    assert_eq!(tried(&store, made.id, "ann", "client", true).await, Tried::Wrong, "it was tried too often");
}

async fn parallel_tries_over_replicas_count_one_by_one(database: TestDatabase) {
    let stores = replicas(&database).await;
    let made = created(&stores[0], link()).await;
    ask(&stores[0], &made, &asked(&made, "ann", true)).await;
    let mut tries = JoinSet::new();
    for number in 0..40 {
        let (store, id) = (stores[number % stores.len()].clone(), made.id);
        let client = ["client", "other"][number % 4 / 2];
        tries.spawn(async move { (client, tried(&store, id, "ann", client, false).await) });
    }
    let answers = tries.join_all().await;
    let wrong = |of: &str| answers.iter().filter(|(client, tried)| *client == of && *tried == Tried::Wrong).count();
    assert_eq!([wrong("client"), wrong("other")], [4, 4], "three are free, and the next one makes a pause");
    for client in ["client", "other"] {
        assert_eq!(tried(&stores[0], made.id, "ann", client, true).await, paused("wrong_codes_per_client", 10));
    }
    assert_eq!(tried(&stores[0], made.id, "ann", "honest", true).await, Tried::Right, "nine would be too many");
}

/// On PostgreSQL all of them begin before the lock of the first one ends, so that none has seen what the others count.
async fn parallel_clients_share_the_budget_of_their_invitation(database: TestDatabase) {
    let stores = replicas(&database).await;
    let made = created(&stores[0], link()).await;
    ask(&stores[0], &made, &asked(&made, "ann", true)).await;
    for number in 0..7 {
        assert_eq!(tried(&stores[0], made.id, "ann", &format!("early {number}"), false).await, Tried::Wrong);
    }
    let admin = database.connect().await;
    let lock = if stores.len() > 1 { Some(admin.begin().await.unwrap()) } else { None };
    if let Some(lock) = &lock {
        lock.execute_unprepared("SELECT 1 FROM verification_budget WHERE client_mac = '' FOR UPDATE").await.unwrap();
    }
    let mut tries = JoinSet::new();
    for number in 0..12 {
        let (store, id) = (stores[number % stores.len()].clone(), made.id);
        tries.spawn(async move { try_once(&store, id, "ann", &format!("client {number}"), false).await });
    }
    if let Some(lock) = lock {
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        let waiting = Statement::from_string(DbBackend::Postgres, waiting);
        for _ in 0..100 {
            let row = admin.query_one_raw(waiting.clone()).await.unwrap().unwrap();
            if row.try_get_by_index::<i64>(0).unwrap() >= 10 {
                break;
            }
        }
        lock.rollback().await.unwrap();
    }
    // One that waited for too long is refused, and counts nothing.
    let answers = tries.join_all().await;
    let wrong = answers.iter().filter(|tried| matches!(tried, Ok(Tried::Wrong))).count();
    assert!(wrong <= 2, "the eighth is free, and the ninth makes a pause: {answers:?}");
}

async fn clients_together_have_a_budget_of_their_invitation(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let (made, other) = (created(&store, link()).await, created(&store, link()).await);
    for made in [&made, &other] {
        ask(&store, made, &asked(made, "ann", true)).await;
    }
    for number in 0..9 {
        let client = format!("client {number}");
        assert_eq!(tried(&store, made.id, "ann", &client, false).await, Tried::Wrong);
    }
    for is_right in [false, true] {
        let answer = tried(&store, made.id, "ann", "client 0", is_right).await;
        assert_eq!(answer, paused("wrong_codes_per_invitation", 10));
    }
    assert_eq!(tried(&store, other.id, "ann", "client 0", true).await, Tried::Right, "another invitation");
    clock.advance(Duration::from_secs(10));
    assert_eq!(tried(&store, made.id, "ann", "client 0", true).await, Tried::Right);
    for client in ["client 0", "client 0"] {
        assert_eq!(tried(&store, made.id, "ann", client, false).await, Tried::Wrong, "no paused try was counted");
        clock.advance(Duration::from_secs(40));
    }
}

async fn budget_is_forgotten_a_day_after_its_last_use(database: TestDatabase) {
    let clock = Clock::manual(NEW_YEAR);
    let opened = database.open(&clock).await;
    let maintenance = opened.maintenance();
    let store = Store::start(opened, &options(Group::run));
    let made = created(&store, link()).await;
    assert_eq!(tried(&store, made.id, "ann", "client", false).await, Tried::Wrong, "nothing counts before a request");
    ask(&store, &made, &asked(&made, "ann", false)).await;
    for _ in 0..4 {
        assert_eq!(tried(&store, made.id, "ann", "client", false).await, Tried::Wrong);
    }
    clock.advance(Duration::from_secs(86_400));
    assert_eq!(maintenance.prune_verifications().await.unwrap(), 1, "the code alone");
    clock.advance(Duration::from_micros(1));
    assert_eq!(maintenance.prune_verifications().await.unwrap(), 2, "that of the client, and that of all");
}

async fn whoever_sends_messages_is_told_of_a_code_and_of_no_other(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let made = created(&store, link()).await;
    let heard = store.notifications().subscribe(Topic::Outbox);
    ask(&store, &made, &asked(&made, "eve", false)).await;
    assert!(!heard.has_changed().unwrap());
    ask(&store, &made, &asked(&made, "ann", true)).await;
    assert!(heard.has_changed().unwrap());
}

async fn address_of_a_code_message_is_removed_on_settle(database: TestDatabase) {
    let (store, _) = store(&database).await;
    for end in [Some(DeliveryEnd::Sent), Some(DeliveryEnd::Failed("gone".to_owned())), None] {
        let made = created(&store, link()).await;
        let mut new = asked(&made, "dora", true);
        let message = new.message.as_mut().unwrap();
        (message.recipient, message.address) = (0, Some(Email::parse("dora@example.net").unwrap()));
        ask(&store, &made, &new).await;
        let lasts = Duration::from_secs(45);
        let claimed = store.claim_deliveries(Uuid::from_u128(1), lasts, 1, "").await.unwrap().remove(0);
        assert!(claimed.delivery.message.address.is_some());
        match end {
            Some(end) => {
                let (delivery, lease) = (claimed.delivery.message.id, Uuid::from_u128(1));
                let action = Action::SettleDelivery(SettleDelivery { delivery, lease, end });
                store
                    .executor()
                    .execute(Command { reach: Reach::of_account(claimed.account.clone()), ..command(action) }, None)
                    .await
                    .unwrap();
            }
            None => assert!(store.cancel_delivery(&claimed, "no reason").await.unwrap()),
        }
        let query = DeliveryQuery { ascending: true, ..DeliveryQuery::of(made.id, 10) };
        let (_, settled) = store.primary().list_deliveries(&reach(), &query).await.unwrap().unwrap();
        assert_eq!(settled.iter().map(|settled| &settled.message.address).collect::<Vec<_>>(), [&None]);
    }
}
