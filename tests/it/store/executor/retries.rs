//! The executor when PostgreSQL asks it to try again.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::command::{Action, Command, CreateInvitation, SettleDelivery};
use invitation_service::domain::delivery::DeliveryEnd;
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::invitation::state::State;
use invitation_service::store::{ExecuteError, InvitationQuery};
use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};
use uuid::Uuid;

use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::gate::{actor, decide, gate, send};

/// Makes the next `times` writes to a table fail with a SQLSTATE. A sequence counts, since it is not rolled back.
async fn fail(connection: &DatabaseConnection, write: &str, code: &str, times: i64) {
    let sql = format!(
        "CREATE SEQUENCE IF NOT EXISTS attempts; SELECT setval('attempts', 1, false);
        CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('attempts') <= {times} THEN RAISE EXCEPTION 'injected' USING ERRCODE = '{code}'; END IF;
            RETURN NEW;
        END $$;
        CREATE OR REPLACE TRIGGER fail BEFORE {write} FOR EACH ROW EXECUTE FUNCTION fail()"
    );
    connection.execute_unprepared(&sql).await.unwrap();
}

async fn attempts(connection: &DatabaseConnection) -> i64 {
    let sql = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, "SELECT last_value FROM attempts");
    connection.query_one_raw(sql).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// Another's serialisation failure, a deadlock, a failed guard, a key that was taken.
const CONFLICTS: [&str; 4] = ["40001", "40P01", "22012", "23505"];

#[tokio::test(crate = "crate::support::limit")]
async fn conflict_is_decided_again_until_it_is_gone() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (store, _) = store(&database).await;
    let connection = database.connect().await;
    for code in CONFLICTS {
        for times in [1, 2, 5] {
            let made = created(&store, CreateInvitation { max_uses: Some(1), ..link() }).await;
            fail(&connection, "UPDATE ON invitation", code, times).await;
            let executed = store.executor().execute(command(accept(&made, "ann")), None).await.unwrap();
            assert!(!executed.already_accepted);
            assert_eq!(attempts(&connection).await, times + 1, "{code}");
            assert_eq!(story(&store, made.id).await, ["created", "accepted", "fulfilled"]);
            assert_eq!(*executed.invitation, read_bare(&store, &made).await);
        }
    }
}

async fn read_bare(
    store: &invitation_service::store::Store,
    made: &invitation_service::domain::invitation::Invitation,
) -> invitation_service::domain::invitation::Invitation {
    store.primary().get_invitation(&reach(), made.id, false).await.unwrap().unwrap().found
}

#[tokio::test(crate = "crate::support::limit")]
async fn lasting_conflict_is_answered_and_changes_nothing() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (store, _) = store(&database).await;
    let connection = database.connect().await;
    for code in CONFLICTS {
        let made = created(&store, link()).await;
        fail(&connection, "UPDATE ON invitation", code, i64::MAX).await;
        let left = store.executor().execute(command(revoke(&made)), None).await.unwrap_err();
        assert_eq!(left, ExecuteError::Conflict, "{code}");
        assert_eq!(read(&store, made.id).await, *made);
        assert_eq!(story(&store, made.id).await, ["created"]);
    }
    connection.execute_unprepared("DROP TRIGGER fail ON invitation").await.unwrap();
    created(&store, link()).await;
}

#[tokio::test(crate = "crate::support::limit")]
async fn creates_are_decided_again_after_a_conflict() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (store, _) = store(&database).await;
    let connection = database.connect().await;
    fail(&connection, "INSERT ON event", "40001", 3).await;
    let made = created(&store, CreateInvitation { recipients: emails(2), mails: true, ..link() }).await;
    assert_eq!(attempts(&connection).await, 4);
    assert_eq!(read(&store, made.id).await, *made);
    let all = InvitationQuery { limit: 10, ..InvitationQuery::default() };
    assert_eq!(store.primary().list_invitations(&reach(), &all).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn command_decided_again_sees_changes_of_others() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let clock = Clock::manual(NEW_YEAR);
    let ours = store_with(&database, &clock, &options(decide)).await;
    let theirs = store_with(&database, &clock, &options(Group::run)).await;
    let made = created(&ours, link()).await;
    let mut late = command(accept(&made, "late"));
    late.actor = actor();
    let mut held = gate(&late.actor);
    let late = send(&ours, late).await;
    assert!(held.decided().await, "at first it is in favour");
    theirs.executor().execute(command(revoke(&made)), None).await.unwrap();
    drop(held);
    assert_eq!(late.await.unwrap_err(), ExecuteError::Refused(Refusal::InvitationRevoked));
    assert_eq!(story(&ours, made.id).await, ["created", "revoked"]);
}

/// Between the decision on a message and its save, another sender takes the message over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn settle_changes_nothing_when_its_lease_was_lost_meanwhile() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let clock = Clock::manual(NEW_YEAR);
    let ours = store_with(&database, &clock, &options(decide)).await;
    let theirs = store_with(&database, &clock, &options(Group::run)).await;
    let made = created(&ours, CreateInvitation { recipients: emails(1), mails: true, ..link() }).await;
    let (frozen, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let lasts = Duration::from_secs(45);
    let claimed = ours.claim_deliveries(frozen, lasts, 1, "").await.unwrap().remove(0);
    let delivery = claimed.delivery.message.id;
    let settle = SettleDelivery { delivery, lease: frozen, end: DeliveryEnd::Sent };
    let late = Command { actor: actor(), ..command(Action::SettleDelivery(settle)) };
    let mut held = gate(&late.actor);
    let late = send(&ours, late).await;
    assert!(held.decided().await, "at first the lease is its");
    clock.advance(lasts);
    assert_eq!(theirs.claim_deliveries(other, lasts, 1, "").await.unwrap().len(), 1);
    drop(held);
    assert_eq!(late.await.unwrap_err(), ExecuteError::Refused(Refusal::LeaseLost));
    assert_eq!(story(&ours, made.id).await, ["created"]);
    let settle = SettleDelivery { delivery, lease: other, end: DeliveryEnd::Failed("550".to_owned()) };
    theirs.executor().execute(command(Action::SettleDelivery(settle)), None).await.unwrap();
    assert_eq!(story(&ours, made.id).await, ["created", "delivery.failed"], "the other one's word counts");
}

/// The lock is held by somebody else from before the decision until after the expiry, all on the database's own clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn expiry_between_decision_and_commit_is_respected() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let store = store_with(&database, &Clock::system(), &options(decide)).await;
    let other = database.connect().await;
    // A decision that comes too late to show anything is tried again with more time.
    for millis in [500, 2_000, 8_000, 16_000] {
        let made = created(&store, CreateInvitation { expiry: after(60), ..link() }).await;
        let set = format!(
            "UPDATE invitation SET expire_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + {millis}000
            WHERE id = '{}'",
            made.id.0
        );
        other.execute_unprepared(&set).await.unwrap();
        let mut accept = command(accept(&made, "ann"));
        accept.actor = actor();
        let mut held = gate(&accept.actor);
        let call = tokio::spawn({
            let store = store.clone();
            async move { store.executor().execute(accept, None).await }
        });
        let in_time = held.decided().await;
        let blocker = other.begin().await.unwrap();
        let lock = format!("SELECT 1 FROM invitation WHERE id = '{}' FOR UPDATE", made.id.0);
        blocker.execute_unprepared(&lock).await.unwrap();
        drop(held);
        let wait = format!(
            "SELECT pg_sleep((expire_at + 1000) / 1e6 - extract(epoch FROM clock_timestamp())) FROM invitation WHERE id = '{}'",
            made.id.0
        );
        blocker.execute_unprepared(&wait).await.unwrap();
        blocker.commit().await.unwrap();
        let answer = call.await.unwrap();
        if !in_time {
            continue;
        }
        assert_eq!(answer.unwrap_err(), ExecuteError::Refused(Refusal::InvitationExpired));
        let found = store.primary().get_invitation(&reach(), made.id, true).await.unwrap().unwrap();
        assert_eq!((found.found.facts.use_count, found.found.state_at(found.now)), (0, State::Expired));
        assert_eq!(story(&store, made.id).await, ["created"]);
        return;
    }
    panic!("no decision was ever in time");
}

/// Otherwise a row could pass the state filter at one moment and be shown in its state of another.
#[tokio::test(crate = "crate::support::limit")]
async fn all_rows_of_a_page_are_judged_at_one_moment_of_the_database() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let store = store_with(&database, &Clock::system(), &options(Group::run)).await;
    for answer in all_at_once((0..300).map(|_| (store.clone(), command(create(link()))))).await {
        answer.unwrap();
    }
    let page = InvitationQuery { states: vec![State::Active], limit: 300, ..InvitationQuery::default() };
    let page = store.primary().list_invitations(&reach(), &page).await.unwrap();
    assert_eq!(page.len(), 300);
    assert!(page.iter().all(|row| row.now == page[0].now));
}
