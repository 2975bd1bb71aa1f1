//! General invitations and others for the same person, at their creation and their acceptance.

use std::time::Duration;

use invitation_service::clock::Clock;
use invitation_service::domain::command::{Command, CreateInvitation, OnConflict};
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::invitation::state::State;
use invitation_service::domain::kind::general::Usage;
use invitation_service::domain::kind::{Details, Kind};
use invitation_service::domain::value::id::IdSeed;
use invitation_service::entropy::Entropy;
use invitation_service::store::{ExecuteError, Store};

use crate::support::build::commands::*;
use crate::support::build::kinds::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::gate::{as_one_group, decide};
use crate::support::on_both;

on_both!(
    migrated:
    allowed_ones_stand_side_by_side_and_take_no_slot,
    same_is_refused_returned_or_replaced,
    ended_or_foreign_invitation_is_no_conflict,
    of_many_at_once_that_return_what_exists_all_return_the_same,
    accepting_one_closes_the_persons_others_into_the_same_scope,
    accept_elsewhere_closes_for_the_rest_of_its_group,
);

async fn allowed_ones_stand_side_by_side_and_take_no_slot(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let allow = || general(team("red"), OnConflict::Allow, &[mail("ann@example.org")]);
    assert_ne!(created(&store, allow()).await.id, created(&store, allow()).await.id);
    assert!(texts(&database, "SELECT key FROM slot").await.is_empty());
    let other = general(team("red"), OnConflict::Replace, &[mail("bob@example.org")]);
    created(&store, other).await;
    created(&store, general(team("red"), OnConflict::Allow, &[mail("bob@example.org")])).await;
}

/// Whether they were made with or without regard to others.
async fn same_is_refused_returned_or_replaced(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    for (scope, first) in [(team("a"), OnConflict::Allow), (team("b"), OnConflict::Reject), (None, OnConflict::Allow)] {
        let make = |on_conflict, address: &str| general(scope.clone(), on_conflict, &[internal("x"), mail(address)]);
        let old = created(&store, make(first, "Ann@example.org")).await;
        clock.advance(Duration::from_millis(2));
        // Ids tell which is the newest, and they are as old as their command.
        let seed = IdSeed::new(clock.now(), Entropy::system().bytes());
        let new = Command { seed, ..command(create(make(OnConflict::Allow, "ann@other.org"))) };
        let new = store.executor().execute(new, None).await.unwrap().invitation;
        let same = general(scope.clone(), OnConflict::Reject, &[mail("ann@EXAMPLE.org")]);
        let refused = store.executor().execute(command(create(same.clone())), None).await.unwrap_err();
        assert_eq!(refused, ExecuteError::Refused(Refusal::InvitationExists(old.id, Kind::General)));

        let returning = CreateInvitation { on_conflict: OnConflict::ReturnExisting, ..same };
        assert_eq!(*created(&store, returning.clone()).await, *old);
        let both = CreateInvitation { recipients: vec![recipient(internal("x"))], ..returning };
        assert_eq!(created(&store, both.clone()).await.id, new.id, "the newest of several");

        let replacing = CreateInvitation { on_conflict: OnConflict::Replace, ..both };
        let replaced = created(&store, replacing).await;
        assert_eq!(*replaced, read(&store, replaced.id).await);
        for ended in [&old, &new] {
            assert_eq!(read(&store, ended.id).await.state_at(clock.now()), State::Revoked);
            assert_eq!(story(&store, ended.id).await, ["created", "revoked"]);
        }
        assert_eq!(story(&store, replaced.id).await, ["created"]);
    }
}

async fn ended_or_foreign_invitation_is_no_conflict(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let make = |on_conflict| general(team("red"), on_conflict, &[mail("ann@example.org")]);
    for ending in ["revoked", "declined", "fulfilled", "expired"] {
        let made = created(&store, make(OnConflict::Allow)).await;
        match ending {
            "revoked" => drop(store.executor().execute(command(revoke(&made)), None).await.unwrap()),
            "declined" => drop(store.executor().execute(command(decline(&made, 1)), None).await.unwrap()),
            "fulfilled" => {
                drop(
                    store.executor().execute(command(accept_as(&made, "ann", "ann@example.org")), None).await.unwrap(),
                );
            }
            _ => clock.advance(Duration::from_secs(600)),
        }
        let next = created(&store, make(OnConflict::Reject)).await;
        store.executor().execute(command(revoke(&next)), None).await.unwrap();
    }
    for (scope, address) in
        [(team("blue"), mail("ann@example.org")), (None, mail("ann@example.org")), (team("red"), internal("ann"))]
    {
        created(&store, general(scope, OnConflict::Allow, &[address])).await;
    }
    created(&store, user("ann@example.org")).await;
    created(&store, make(OnConflict::Reject)).await;
}

async fn of_many_at_once_that_return_what_exists_all_return_the_same(database: TestDatabase) {
    let clock = Clock::manual(NEW_YEAR);
    let mut stores = vec![store_with(&database, &clock, &options(Group::run)).await];
    if database.url().starts_with("postgres") {
        stores.push(store_with(&database, &clock, &options(Group::run)).await);
    }
    let make = || command(create(general(team("red"), OnConflict::ReturnExisting, &[mail("ann@example.org")])));
    let answers = all_at_once(stores.iter().cycle().cloned().zip((0..40).map(|_| make()))).await;
    let ids: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().invitation.id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(story(&stores[0], ids[0]).await, ["created"]);
}

async fn state(store: &Store, made: &invitation_service::domain::invitation::Invitation) -> State {
    read(store, made.id).await.state_at(NEW_YEAR)
}

async fn accepting_one_closes_the_persons_others_into_the_same_scope(database: TestDatabase) {
    let (store, clock) = store(&database).await;
    let allow = |scope, address| general(scope, OnConflict::Allow, &[address]);
    let mut shared = allow(team("red"), mail("ann@example.org"));
    if let Details::General(details) = &mut shared.details {
        details.usage = Usage::MultiUse;
    }
    let first = created(&store, allow(team("red"), mail("ann@example.org"))).await;
    let by_address = created(&store, allow(team("red"), mail("Ann@example.org"))).await;
    let by_id = created(&store, allow(team("red"), internal("ann"))).await;
    let mut others = Vec::new();
    for other in [
        CreateInvitation { max_uses: None, ..shared },
        allow(team("blue"), mail("ann@example.org")),
        allow(None, mail("ann@example.org")),
        allow(team("red"), mail("bob@example.org")),
        user("ann@example.org"),
    ] {
        others.push(created(&store, other).await);
    }
    store.executor().execute(command(accept_as(&first, "ann", "ann@example.org")), None).await.unwrap();
    assert_eq!(story(&store, first.id).await, ["created", "accepted", "fulfilled"]);
    for closed in [&by_address, &by_id] {
        let found = read(&store, closed.id).await;
        assert_eq!(found.facts.accepted_elsewhere_at, Some(clock.now()));
        assert_eq!((found.state_at(clock.now()), found.revision), (State::Fulfilled, 2));
        assert_eq!(story(&store, closed.id).await, ["created", "accepted_elsewhere"]);
    }
    for other in &others {
        assert_eq!(read(&store, other.id).await, **other);
    }
}

async fn accept_elsewhere_closes_for_the_rest_of_its_group(database: TestDatabase) {
    let store = store_with(&database, &Clock::manual(NEW_YEAR), &options(decide)).await;
    let allow = || general(team("red"), OnConflict::Allow, &[mail("ann@example.org")]);
    let (first, second) = (created(&store, allow()).await, created(&store, allow()).await);
    let accepts = [&first, &second].map(|made| command(accept_as(made, "ann", "ann@example.org")));
    let answers = as_one_group(&store, accepts).await;
    answers[0].clone().unwrap();
    assert_eq!(answers[1].clone().unwrap_err(), ExecuteError::Refused(Refusal::InvitationFulfilled));
    assert_eq!(state(&store, &second).await, State::Fulfilled);
    assert_eq!(story(&store, second.id).await, ["created", "accepted_elsewhere"]);
}
