//! An invitation is deleted, or kept, as a whole while others write to it, to its slots and to its messages.

use invitation_service::clock::Clock;
use invitation_service::domain::command::Command;
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::EngagementType;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::kind::Kind;
use invitation_service::store::{ExecuteError, PruneTurn, Store};
use sea_orm::{ConnectionTrait, TransactionTrait};

use super::{DAY, MINUTE, MONTH, all, count, revoked, run};
use crate::support::build::commands::*;
use crate::support::build::kinds::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::gate::{actor, decide, gate, send};
use crate::support::on_both;

on_both!(migrated: invitation_that_cannot_be_deleted_holds_up_no_other);

async fn prune(store: &Store) -> u64 {
    let pruned = store.maintenance().prune_ended_invitations(MONTH, &mut PruneTurn::lasting(MINUTE)).await.unwrap();
    assert_eq!(pruned, all(pruned.rows));
    pruned.rows
}

async fn invitation_that_cannot_be_deleted_holds_up_no_other(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let mut made = Vec::new();
    for number in 0..60 {
        made.push(revoked(&store, &database, &format!("ann{number}@example.org")).await);
    }
    let id = made[10].0.simple();
    // A defect on SQLite; on PostgreSQL a statement that takes too long.
    let fail = if database.url().starts_with("sqlite") {
        format!(
            "CREATE TRIGGER fail BEFORE DELETE ON invitation WHEN old.id = x'{id}'
            BEGIN SELECT RAISE(ABORT, 'injected'); END"
        )
    } else {
        format!(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                RAISE EXCEPTION 'injected' USING ERRCODE = '57014';
            END $$;
            CREATE TRIGGER fail BEFORE DELETE ON invitation FOR EACH ROW WHEN (old.id = '{id}'::uuid) EXECUTE FUNCTION fail()"
        )
    };
    run(&database, &fail).await;
    clock.advance(MONTH + DAY);
    // A turn that has no time left still gets on, and notes how far it came.
    let (maintenance, mut rows, mut turns) = (store.maintenance(), 0, 0);
    loop {
        let mut short = PruneTurn::lasting(std::time::Duration::ZERO);
        let pruned = maintenance.prune_ended_invitations(MONTH, &mut short).await.unwrap();
        (rows, turns) = (rows + pruned.rows, turns + 1);
        if pruned.is_done {
            break;
        }
    }
    assert_eq!((rows, count(&database, "invitation").await), (59, 1));
    assert!(turns > 1, "{turns}");
    assert_eq!(count(&database, "recipient").await, 1, "what belongs to it stays too");
    let drop = if database.url().starts_with("sqlite") { "" } else { " ON invitation" };
    run(&database, &format!("DROP TRIGGER fail{drop}")).await;
    assert_eq!(prune(&store).await, 1, "it is tried again");
}

#[tokio::test(crate = "crate::support::limit")]
async fn locked_rows_of_an_invitation_keep_it_and_no_other() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (store, clock) = store(&database).await;
    let ann = revoked(&store, &database, "ann@example.org").await;
    revoked(&store, &database, "bob@example.org").await;
    clock.advance(MONTH + DAY);
    let admin = database.connect().await;
    let lock = admin.begin().await.unwrap();
    let again = format!("UPDATE outbox SET state = 'queued', due_at = 1 WHERE invitation_id = '{}'", ann.0);
    lock.execute_unprepared(&again).await.unwrap();
    assert_eq!(prune(&store).await, 1, "somebody changes a message of the other one");
    lock.commit().await.unwrap();
    assert_eq!(prune(&store).await, 0, "the message is to be sent again");
    run(&database, "UPDATE outbox SET state = 'failed', due_at = NULL").await;
    let lock = admin.begin().await.unwrap();
    lock.execute_unprepared("SELECT 1 FROM slot FOR UPDATE").await.unwrap();
    assert_eq!(prune(&store).await, 0, "somebody takes its slot over");
    lock.rollback().await.unwrap();
    assert_eq!(prune(&store).await, 1);
    assert_eq!((count(&database, "outbox").await, count(&database, "slot").await), (0, 0));
}

/// An invitation is deleted between the decision to count a view of it and the save.
#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn view_of_an_invitation_deleted_meanwhile_is_refused() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let clock = Clock::manual(NEW_YEAR);
    let ours = store_with(&database, &clock, &options(decide)).await;
    let theirs = store_with(&database, &clock, &options(Group::run)).await;
    let made = created(&ours, link()).await;
    theirs.executor().execute(command(revoke(&made)), None).await.unwrap();
    run(&database, "DELETE FROM engagement").await;
    clock.advance(MONTH + DAY);
    let late = Command { actor: actor(), ..command(record(&made, EngagementType::View)) };
    let mut held = gate(&late.actor);
    let late = send(&ours, late).await;
    assert!(held.decided().await, "at first the invitation is there");
    assert_eq!(prune(&theirs).await, 1);
    drop(held);
    assert_eq!(late.await.unwrap_err(), ExecuteError::Refused(Refusal::InvitationNotFound));
    assert_eq!((count(&database, "engagement").await, count(&database, "event").await), (0, 2));
}

/// While a save counts a view, its invitation is not deleted, and others change it without waiting for the save.
#[tokio::test(crate = "crate::support::limit")]
async fn view_keeps_its_invitation_and_holds_up_no_change() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (store, clock) = store(&database).await;
    let made = created(&store, link()).await;
    let admin = database.connect().await;
    let view = admin.begin().await.unwrap();
    view.execute_unprepared("SELECT 1 FROM invitation FOR KEY SHARE").await.unwrap();
    store.executor().execute(command(accept(&made, "ann")), None).await.unwrap();
    store.executor().execute(command(revoke(&made)), None).await.unwrap();
    clock.advance(MONTH + DAY);
    assert_eq!(prune(&store).await, 0);
    view.rollback().await.unwrap();
    assert_eq!(prune(&store).await, 1);
}

/// Two processes see the same slot free, one of them a moment later by its clock, and save in this order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn free_slot_is_taken_once_by_clocks_a_moment_apart() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let clock = Clock::manual(NEW_YEAR);
    let theirs = store_with(&database, &clock, &options(Group::run)).await;
    for micros in [1, 2] {
        let address = format!("ann{micros}@example.org");
        let later = Clock::manual(NEW_YEAR.later(std::time::Duration::from_micros(micros)));
        let ours = store_with(&database, &later, &options(decide)).await;
        let late = Command { actor: actor(), ..command(create(user(&address))) };
        let mut held = gate(&late.actor);
        let late = send(&ours, late).await;
        assert!(held.decided().await, "at first the slot is free");
        let first = created(&theirs, user(&address)).await;
        drop(held);
        let refused = Refusal::InvitationExists(first.id, Kind::User);
        assert_eq!(late.await.unwrap_err(), ExecuteError::Refused(refused));
    }
    assert_eq!(count(&database, "invitation").await, 2);
}
