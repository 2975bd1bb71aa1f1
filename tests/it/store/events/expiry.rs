//! `invitation.expired`: once for each moment of expiry, whoever else is at work.

use std::time::Duration;

use invitation_service::background::expiry::ExpiryWalk;
use invitation_service::clock::Clock;
use invitation_service::domain::command::{
    AcceptanceTarget, Action, Command, CreateInvitation, ExpireInvitation, ReleaseAcceptance, UpdateAcceptance,
};
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::acceptance::ReleaseMode;
use invitation_service::domain::invitation::event::EventType;
use invitation_service::domain::invitation::state::State;
use invitation_service::domain::value::id::InvitationId;
use invitation_service::store::{BatchMode, ExecuteError, Store};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::on_both;

on_both!(
    migrated:
    expiry_is_told_once_and_again_after_a_renewal,
    end_of_a_grant_is_told_once_and_again_if_extended,
    invitation_that_ended_otherwise_does_not_expire,
    first_start_tells_of_everything_that_has_ever_expired,
    one_holder_records_expiries_and_the_next_takes_over,
    expiry_earlier_than_the_last_one_told_is_told_once,
    expiry_that_cannot_be_recorded_holds_up_no_other,
    group_in_lasting_conflict_is_saved_but_for_its_cause,
);

const ME: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

fn for_a_minute() -> CreateInvitation {
    CreateInvitation { expiry: after(60), ..link() }
}

fn pass(clock: &Clock, seconds: u64) {
    clock.advance(Duration::from_secs(seconds));
}

fn walk(store: &Store, holder: Uuid) -> ExpiryWalk {
    ExpiryWalk::new(store.clone(), holder)
}

async fn told(store: &Store) -> usize {
    walk(store, ME).record_expiries().await.unwrap().expect("nobody else is at it")
}

/// Beside those of invitations, also at the same moment, and after one that was extended.
async fn end_of_a_grant_is_told_once_and_again_if_extended(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let mut create = for_a_minute();
    create.details.shared_mut().grant_ttl = Some(seconds(60));
    let made = created(&store, create).await;
    let run = async |action| store.executor().execute(command(action), None).await.unwrap();
    let mut grants = Vec::new();
    for person in ["ann", "bob", "cid"] {
        grants.push(run(accept(&made, person)).await.acceptance.unwrap());
    }
    let target = |at: usize| AcceptanceTarget { invitation: made.id, id: grants[at].id, etag: None };
    run(Action::ReleaseAcceptance(ReleaseAcceptance { target: target(2), mode: ReleaseMode::End, reason: None })).await;
    pass(&clock, 59);
    assert_eq!(told(&store).await, 0, "it still counts");
    pass(&clock, 1);
    for expected in [3, 0, 0] {
        assert_eq!(told(&store).await, expected, "the invitation, and two of its acceptances");
        pass(&clock, 30);
    }
    let grant_expire_at = Some(Some(clock.now().later(Duration::from_secs(600))));
    run(Action::UpdateAcceptance(UpdateAcceptance { target: target(0), grant_expire_at })).await;
    assert_eq!(told(&store).await, 0);
    pass(&clock, 3_600);
    assert_eq!(told(&store).await, 1, "long after the moment");
    let story = story(&store, made.id).await;
    let all = ["created", "accepted", "accepted", "accepted", "acceptance.ended"];
    let all = [&all[..], &["expired", "acceptance.expired", "acceptance.expired"]].concat();
    assert_eq!(story, [&all[..], &["acceptance.updated", "acceptance.expired"]].concat());
}

async fn expiry_is_told_once_and_again_after_a_renewal(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, for_a_minute()).await;
    created(&store, link()).await;
    pass(&clock, 59);
    assert_eq!(told(&store).await, 0, "it has not expired");
    pass(&clock, 1);
    let before = read(&store, made.id).await;
    for expected in [1, 0, 0] {
        assert_eq!(told(&store).await, expected);
        pass(&clock, 30);
    }
    let after_ = read(&store, made.id).await;
    assert_eq!((after_.etag(), after_.updated_at, after_.updater), (before.etag(), before.updated_at, before.updater));
    store.executor().execute(command(resend(&made, false, Some(seconds(600)))), None).await.unwrap();
    assert_eq!(told(&store).await, 0);
    pass(&clock, 3_600);
    assert_eq!(told(&store).await, 1, "it expires again, long after the moment");
    assert_eq!(story(&store, made.id).await, ["created", "expired", "resent", "expired"]);
    let events = events(&store, made.id).await;
    assert_eq!(payload(&events[1])["expire_at"], NEW_YEAR.micros() + 60_000_000);
    assert_eq!(events[1].event.actor, "system/expiry");
    assert_ne!(payload(&events[1]), payload(&events[3]));
}

async fn invitation_that_ended_otherwise_does_not_expire(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let revoked = created(&store, for_a_minute()).await;
    let used = created(&store, CreateInvitation { max_uses: Some(1), ..for_a_minute() }).await;
    let declined = created(&store, CreateInvitation { recipients: emails(1), ..for_a_minute() }).await;
    let accepted = created(&store, CreateInvitation { max_uses: Some(2), ..for_a_minute() }).await;
    for action in [revoke(&revoked), accept(&used, "ann"), decline(&declined, 1), accept(&accepted, "ann")] {
        store.executor().execute(command(action), None).await.unwrap();
    }
    pass(&clock, 60);
    assert_eq!(told(&store).await, 1);
    for (id, expected) in [(revoked.id, 0), (used.id, 0), (declined.id, 0), (accepted.id, 1)] {
        let expired = events(&store, id).await.iter().filter(|one| one.event.event_type == EventType::Expired).count();
        assert_eq!(expired, expected);
        let state = read(&store, id).await.state_at(clock.now());
        assert_eq!(state == State::Expired, expected == 1);
    }
}

async fn first_start_tells_of_everything_that_has_ever_expired(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    // More than one chunk, also of those that expire at the very same moment.
    let commands = (0..450).map(|_| (store.clone(), command(create(for_a_minute()))));
    let mut made: Vec<InvitationId> =
        all_at_once(commands).await.into_iter().map(|answer| answer.unwrap().invitation.id).collect();
    pass(&clock, 365 * 86_400);
    made.push(created(&store, for_a_minute()).await.id);
    pass(&clock, 3_600);
    assert_eq!(told(&store).await, 451);
    assert_eq!(told(&store).await, 0);
    for id in made {
        assert_eq!(story(&store, id).await, ["created", "expired"]);
    }
}

fn expire(id: InvitationId) -> Command {
    command(Action::Expire(ExpireInvitation { id }))
}

/// On SQLite nothing comes between a load and its save.
#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn save_that_knew_nothing_of_the_telling_does_not_undo_it() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (telling, clock) = store(&database).await;
    let slow = store_with(&database, &clock, &options(crate::support::gate::decide)).await;
    let made = created(&telling, for_a_minute()).await;
    pass(&clock, 60);
    let actor = crate::support::gate::actor();
    let mut held = crate::support::gate::gate(&actor);
    let delete = Command { actor, ..command(resend(&made, false, Some(seconds(60)))) };
    let waiting = tokio::spawn({
        let slow = slow.clone();
        async move { slow.executor().execute(delete, None).await }
    });
    assert!(held.decided().await);
    assert_eq!(told(&telling).await, 1);
    drop(held);
    waiting.await.unwrap().unwrap();
    let found = read(&telling, made.id).await;
    assert_eq!(found.expiry_told_at, made.facts.expire_at, "it is still known what was told");
    assert_eq!(found.revision, made.revision + 1);

    // Two that tell the same at the same moment: one event.
    pass(&clock, 60);
    let actor = crate::support::gate::actor();
    let mut held = crate::support::gate::gate(&actor);
    let same = Command { actor, ..expire(made.id) };
    let waiting = tokio::spawn(async move { slow.executor().execute(same, None).await });
    assert!(held.decided().await);
    assert_eq!(told(&telling).await, 1);
    drop(held);
    assert!(!waiting.await.unwrap().unwrap().happened, "decided again, it finds nothing to tell");
    assert_eq!(story(&telling, made.id).await, ["created", "expired", "resent", "expired"]);
}

async fn one_holder_records_expiries_and_the_next_takes_over(database: TestDatabase) {
    let clock = Clock::manual(NEW_YEAR);
    let store = store_with(&database, &clock, &options(Group::run)).await;
    let made = created(&store, for_a_minute()).await;
    assert_eq!(walk(&store, OTHER).record_expiries().await.unwrap(), Some(0));
    pass(&clock, 29);
    assert_eq!(walk(&store, ME).record_expiries().await.unwrap(), None);
    pass(&clock, 31);
    assert_eq!(told(&store).await, 1);
    assert_eq!(walk(&store, OTHER).record_expiries().await.unwrap(), None, "the lease is another's now");
    let rows = database.connect().await.execute_unprepared("UPDATE follower SET lease = NULL").await.unwrap();
    assert!(rows.rows_affected() > 0);
    assert_eq!(walk(&store, OTHER).record_expiries().await.unwrap(), Some(0));
    assert_eq!(story(&store, made.id).await, ["created", "expired"]);
}

/// Sets the columns of an invitation past the service.
async fn tamper(database: &TestDatabase, id: InvitationId, columns: &str) {
    crate::store::read::build::set(database, &database.connect().await, id, columns).await;
}

/// As a database whose clock was set back leaves it.
async fn expiry_earlier_than_the_last_one_told_is_told_once(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let made = created(&store, for_a_minute()).await;
    tamper(&database, made.id, "expiry_told_at = expire_at + 1000000").await;
    pass(&clock, 61);
    for expected in [1, 0] {
        assert_eq!(told(&store).await, expected);
    }
    assert_eq!(story(&store, made.id).await, ["created", "expired"]);
}

async fn expiry_that_cannot_be_recorded_holds_up_no_other(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(created(&store, for_a_minute()).await.id);
    }
    pass(&clock, 60);
    let mut walk = walk(&store, ME);
    assert_eq!(walk.record_expiries().await.unwrap(), Some(5));
    // The event of the first is there, and nothing says so: its command can never be saved. The second is from the future.
    tamper(&database, made[0], "expiry_told_at = NULL").await;
    tamper(&database, made[1], "expiry_told_at = NULL, kind = 'from the future'").await;
    for id in &made[2..] {
        tamper(&database, *id, "expiry_told_at = NULL, expire_at = expire_at + 1").await;
    }
    pass(&clock, 1);
    assert_eq!(walk.record_expiries().await.unwrap(), Some(3), "the others are told of");
    let late = created(&store, for_a_minute()).await;
    pass(&clock, 3_600);
    assert_eq!(walk.record_expiries().await.unwrap(), Some(1), "the walk goes on");
    assert_eq!(story(&store, late.id).await, ["created", "expired"]);
    tamper(&database, made[1], "kind = 'connection', expire_at = expire_at + 1").await;
    tamper(&database, made[1], "expire_at = expire_at - 1").await;
    let connection = database.connect().await;
    connection.execute_unprepared("DELETE FROM event WHERE event_type = 'invitation.expired'").await.unwrap();
    assert_eq!(told(&store).await, 2, "whoever takes over finds what was stepped over");
}

/// Commands that were sent together: one of them stays in conflict whatever it is decided on.
async fn group_in_lasting_conflict_is_saved_but_for_its_cause(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let (one, other) = (created(&store, for_a_minute()).await, created(&store, for_a_minute()).await);
    pass(&clock, 60);
    assert_eq!(told(&store).await, 2);
    tamper(&database, one.id, "expiry_told_at = NULL").await;
    let commands = vec![expire(one.id), command(create(link())), command(revoke(&other))];
    let results = store.executor().execute_all(commands, BatchMode::Independent, None).await.unwrap();
    assert_eq!(results[0].as_ref().unwrap_err(), &ExecuteError::Conflict);
    assert!(results[1..].iter().all(Result::is_ok), "{results:?}");
    assert_eq!(story(&store, other.id).await, ["created", "expired", "revoked"]);
}
