//! An invitation that may exist only once among ACTIVE ones does, however many calls create it at once.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::command::{Command, CreateInvitation, OnConflict};
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::invitation::slot::Slot;
use invitation_service::domain::invitation::state::State;
use invitation_service::domain::kind::Kind;
use invitation_service::domain::reach::Reach;
use invitation_service::domain::value::text::AccountId;
use invitation_service::store::{ExecuteError, ExecutorOptions, Store};

use crate::support::build::commands::*;
use crate::support::build::kinds::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::gate::{actor, as_one_group, decide, gate, send};
use crate::support::on_both;

on_both!(
    migrated:
    of_two_creates_for_one_slot_at_once_exactly_one_wins,
    of_many_creates_for_one_slot_in_one_group_the_first_wins,
    slot_is_free_again_when_its_holder_ended_or_is_archived,
    expired_holder_loses_its_slot_and_is_not_renewed,
    renewed_holder_keeps_its_slot,
    of_a_takeover_and_a_renewal_at_once_exactly_one_wins,
    slots_of_two_accounts_kinds_hosts_and_scopes_do_not_meet,
);

/// One store on SQLite, two replicas with several lanes each on PostgreSQL.
async fn replicas(database: &TestDatabase) -> (Vec<Store>, Clock) {
    let clock = Clock::manual(NEW_YEAR);
    let options = ExecutorOptions { lanes: 3, ..options(Group::run) };
    let mut stores = vec![store_with(database, &clock, &options).await];
    if database.url().starts_with("postgres") {
        stores.push(store_with(database, &clock, &options).await);
    }
    (stores, clock)
}

fn exists(holder: &Invitation) -> ExecuteError {
    ExecuteError::Refused(Refusal::InvitationExists(holder.id, holder.details.kind()))
}

/// Everything that takes a slot, for an address that no other round has.
fn exclusive(round: usize) -> [CreateInvitation; 3] {
    let address = format!("ann{round}@example.org");
    let reject = general(team("red"), OnConflict::Reject, &[mail(&address), internal(&address)]);
    [user(&address), guest(&address), reject]
}

async fn of_two_creates_for_one_slot_at_once_exactly_one_wins(database: TestDatabase) {
    let (stores, _) = replicas(&database).await;
    for round in 0..10 {
        for invitation in exclusive(round) {
            let commands = (0..2).map(|_| command(create(invitation.clone())));
            let answers = all_at_once(stores.iter().cycle().cloned().zip(commands)).await;
            let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
            let [made, refused] = [made, refused].map(|mut answers| {
                assert_eq!(answers.len(), 1, "{answers:?}");
                answers.remove(0)
            });
            let made = made.unwrap().invitation;
            assert_eq!(refused.unwrap_err(), exists(&made));
            assert_eq!(story(&stores[0], made.id).await, ["created"]);
        }
    }
}

async fn of_many_creates_for_one_slot_in_one_group_the_first_wins(database: TestDatabase) {
    let clock = Clock::manual(NEW_YEAR);
    let store = store_with(&database, &clock, &options(decide)).await;
    for invitation in exclusive(0) {
        let commands: Vec<_> = (0..5).map(|_| command(create(invitation.clone()))).collect();
        let mut answers = as_one_group(&store, commands).await.into_iter();
        let made = answers.next().unwrap().unwrap().invitation;
        for refused in answers {
            assert_eq!(refused.unwrap_err(), exists(&made));
        }
    }
    let versions = texts(&database, "SELECT DISTINCT 'version ' || version FROM slot").await;
    assert_eq!(versions, [format!("version {}", Slot::first_version(NEW_YEAR))]);
}

async fn slot_is_free_again_when_its_holder_ended_or_is_archived(database: TestDatabase) {
    let (store, _) = store(&database).await;
    for (ending, name) in [
        (revoke as fn(&Invitation) -> _, "revoked"),
        (|made: &Invitation| decline(made, 1), "declined"),
        (|made: &Invitation| archive(made, true), "archived"),
        (|made: &Invitation| accept_as(made, "ann", "ann@example.org"), "fulfilled"),
    ] {
        let made = created(&store, guest("ann@example.org")).await;
        store.executor().execute(command(ending(&made)), None).await.unwrap();
        let next = created(&store, guest("ann@example.org")).await;
        assert_eq!(story(&store, made.id).await.last(), Some(&name));
        if name == "archived" {
            let back = store.executor().execute(command(archive(&made, false)), None).await.unwrap_err();
            assert_eq!(back, exists(&next), "it has lost its place");
        }
        store.executor().execute(command(revoke(&next)), None).await.unwrap();
    }
}

async fn expired_holder_loses_its_slot_and_is_not_renewed(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    for invitation in exclusive(0) {
        let old = created(&store, invitation.clone()).await;
        clock.advance(Duration::from_secs(600));
        let new = created(&store, invitation.clone()).await;
        assert_ne!(new.id, old.id);
        let renewal =
            store.executor().execute(command(resend(&old, true, Some(seconds(600)))), None).await.unwrap_err();
        assert_eq!(renewal, exists(&new));
        assert_eq!(read(&store, old.id).await.state_at(clock.now()), State::Expired);
        clock.advance(Duration::from_secs(600));
        store
            .executor()
            .execute(command(resend(&old, false, Some(seconds(600)))), None)
            .await
            .expect("the new one has expired");
        let again = store.executor().execute(command(create(invitation)), None).await.unwrap_err();
        assert_eq!(again, exists(&old), "now it is the old one's again");
    }
}

async fn renewed_holder_keeps_its_slot(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    for invitation in exclusive(0) {
        let made = created(&store, invitation.clone()).await;
        for _ in 0..3 {
            clock.advance(Duration::from_secs(600));
            store.executor().execute(command(resend(&made, false, Some(seconds(600)))), None).await.unwrap();
        }
        assert_eq!(store.executor().execute(command(create(invitation)), None).await.unwrap_err(), exists(&made));
    }
}

async fn of_a_takeover_and_a_renewal_at_once_exactly_one_wins(database: TestDatabase) {
    let (stores, clock) = replicas(&database).await;
    let (mut takeovers, mut renewals) = (0, 0);
    for round in 0..10 {
        for invitation in exclusive(round) {
            let old = created(&stores[0], invitation.clone()).await;
            clock.advance(Duration::from_secs(600));
            let (takeover, renewal) = (create(invitation), resend(&old, false, Some(seconds(600))));
            let commands = [takeover, renewal].map(command);
            // Each begins on another replica in turn.
            let stores = stores.iter().cycle().skip(round).cloned();
            let [takeover, renewal] = all_at_once(stores.zip(commands)).await.try_into().unwrap();
            match (takeover, renewal) {
                (Ok(taken), Err(refused)) => {
                    assert_eq!(refused, exists(&taken.invitation));
                    takeovers += 1;
                }
                (Err(refused), Ok(renewed)) => {
                    assert_eq!((refused, renewed.invitation.id), (exists(&old), old.id));
                    renewals += 1;
                }
                both => panic!("exactly one wins: {both:?}"),
            }
        }
    }
    assert_eq!(takeovers + renewals, 30);
}

async fn slots_of_two_accounts_kinds_hosts_and_scopes_do_not_meet(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let reject = |scope, address| general(scope, OnConflict::Reject, &[address]);
    for invitation in [
        user("ann@example.org"),
        guest("ann@example.org"),
        reject(None, mail("ann@example.org")),
        reject(team("red"), mail("ann@example.org")),
        reject(team("blue"), mail("ann@example.org")),
        reject(team("red"), internal("ann@example.org")),
        user("ANN@other.example"),
    ] {
        created(&store, invitation).await;
    }
    let mut foreign = command(create(user("ann@example.org")));
    foreign.reach = Reach::of_account(AccountId::parse("other").unwrap());
    store.executor().execute(foreign, None).await.unwrap();
    let same = store.executor().execute(command(create(user("Ann@EXAMPLE.org"))), None).await.unwrap_err();
    assert!(matches!(same, ExecuteError::Refused(Refusal::InvitationExists(_, Kind::User))), "{same:?}");
}

/// The guard of the save, without luck: another replica takes the slot while this one has decided that it is free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn slot_taken_between_decision_and_commit_is_respected() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let clock = Clock::manual(NEW_YEAR);
    let ours = store_with(&database, &clock, &options(decide)).await;
    let theirs = store_with(&database, &clock, &options(Group::run)).await;
    for invitation in exclusive(0) {
        // For the first time, and from an expired holder, who may also be the one that is at it.
        for held in [false, true, true] {
            let old = if held { Some(created(&theirs, invitation.clone()).await) } else { None };
            clock.advance(Duration::from_secs(600));
            let action = match &old {
                Some(old) => resend(old, false, Some(seconds(600))),
                None => create(invitation.clone()),
            };
            let late = Command { actor: actor(), ..command(action) };
            let mut gate = gate(&late.actor);
            let late = send(&ours, late).await;
            assert!(gate.decided().await, "at first it is free");
            let winner = created(&theirs, invitation.clone()).await;
            drop(gate);
            assert_eq!(late.await.unwrap_err(), exists(&winner));
            if let Some(old) = old {
                assert_eq!(read(&theirs, old.id).await.state_at(clock.now()), State::Expired);
            }
            clock.advance(Duration::from_secs(600));
        }
    }
}
