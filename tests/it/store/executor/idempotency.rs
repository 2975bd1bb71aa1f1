//! A request_id has one effect: tried again, in parallel, after a restart, on another replica.

use invitation_service::clock::Clock;
use invitation_service::domain::command::{Access, Action, Command, CreateInvitation, OnConflict};
use invitation_service::domain::group::Group;
use invitation_service::domain::invitation::Invitation;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::invitation::state::State;
use invitation_service::store::{ExecuteError, InvitationQuery, KnownCall, Store};

use crate::support::build::commands::*;
use crate::support::build::kinds::{archive, general, guest, internal, sync, team};
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::gate::{as_one_group, decide};
use crate::support::on_both;

on_both!(
    migrated:
    request_id_survives_a_restart,
    same_request_fifty_times_at_once_has_one_effect,
    request_id_with_another_body_or_invitation_is_refused,
    refused_request_is_not_remembered,
    refusal_due_to_a_lost_request_is_decided_again,
    retry_of_a_request_that_changed_nothing_changes_nothing,
    call_finished_twice_counts_what_both_attempts_changed,
);

async fn how_many(store: &Store) -> usize {
    let query = InvitationQuery { limit: 1_000, ..InvitationQuery::default() };
    store.primary().list_invitations(&reach(), &query).await.unwrap().len()
}

async fn request_id_survives_a_restart(database: TestDatabase) {
    let (first, _) = store(&database).await;
    let again =
        || retryable("Create", "r1", 1, create(CreateInvitation { recipients: emails(2), mails: true, ..link() }));
    let made = first.executor().execute(again(), None).await.unwrap().invitation;
    let accepted = first.executor().execute(retryable("Accept", "r1", 1, accept_bound(&made)), None).await.unwrap();
    first.close().await;
    let (second, _) = store(&database).await;
    let replayed = second.executor().execute(again(), None).await.unwrap().invitation;
    assert_eq!(*replayed, read(&second, made.id).await, "the answer is the resource as it now is");
    assert_eq!((replayed.id, replayed.facts.use_count), (made.id, 1));
    let replayed = second.executor().execute(retryable("Accept", "r1", 1, accept_bound(&made)), None).await.unwrap();
    assert!(!replayed.already_accepted, "a retry is told what the first try was told");
    assert_eq!(replayed.acceptance, accepted.acceptance);
    assert_eq!(story(&second, made.id).await, ["created", "accepted"]);
    assert_eq!((how_many(&second).await, read(&second, made.id).await.deliveries), (1, 2));
}

fn accept_bound(made: &Invitation) -> Action {
    let mut accept = accept_by(made, acceptor("ann"));
    accept.access = Access::Link(made.claims(1));
    Action::Accept(Box::new(accept))
}

async fn same_request_fifty_times_at_once_has_one_effect(database: TestDatabase) {
    let clock = Clock::manual(NEW_YEAR);
    let options = invitation_service::store::ExecutorOptions { lanes: 4, ..options(Group::run) };
    let mut stores = vec![store_with(&database, &clock, &options).await];
    if database.url().starts_with("postgres") {
        stores.push(store_with(&database, &clock, &options).await);
    }
    let fifty = |action: &dyn Fn() -> Action, method| {
        let commands: Vec<_> =
            (0..50).map(|n| (stores[n % stores.len()].clone(), retryable(method, "r", 1, action()))).collect();
        all_at_once(commands)
    };
    let mailed = || create(CreateInvitation { recipients: emails(2), mails: true, ..link() });
    let answers = fifty(&mailed, "Create").await;
    let made = answers[0].clone().unwrap().invitation;
    for answer in answers {
        assert_eq!(answer.unwrap().invitation.id, made.id);
    }
    assert_eq!(how_many(&stores[0]).await, 1);
    for answer in fifty(&|| accept_bound(&made), "Accept").await {
        assert!(!answer.unwrap().already_accepted);
    }
    for answer in fifty(&|| resend(&made, true, None), "Resend").await {
        assert_eq!(answer.unwrap().invitation.generation, 1);
    }
    for answer in fifty(&|| revoke(&made), "Revoke").await {
        assert_eq!(answer.unwrap().invitation.state_at(clock.now()), State::Revoked);
    }
    assert_eq!(story(&stores[0], made.id).await, ["created", "accepted", "resent", "revoked"]);
    assert_eq!(read(&stores[0], made.id).await.deliveries, 3, "two when made, one open when sent again");
}

async fn request_id_with_another_body_or_invitation_is_refused(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let reused = ExecuteError::Refused(Refusal::RequestIdReused);
    let made = store.executor().execute(retryable("Create", "r", 1, create(link())), None).await.unwrap().invitation;
    let other = created(&store, link()).await;
    let body = store.executor().execute(retryable("Create", "r", 2, create(link())), None).await;
    assert_eq!(body.unwrap_err(), reused);
    store.executor().execute(retryable("Revoke", "r", 1, revoke(&made)), None).await.expect("methods do not meet");
    let invitation = store.executor().execute(retryable("Revoke", "r", 1, revoke(&other)), None).await;
    assert_eq!(invitation.unwrap_err(), reused);
    assert_eq!(story(&store, other.id).await, ["created"]);
}

async fn refused_request_is_not_remembered(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let made = created(&store, CreateInvitation { recipients: emails(1), ..link() }).await;
    let refused = store.executor().execute(retryable("Accept", "r", 1, accept(&made, "ann")), None).await.unwrap_err();
    assert_eq!(refused, ExecuteError::Refused(Refusal::EmailNotAllowed));
    let accepted = store.executor().execute(retryable("Accept", "r", 2, accept_bound(&made)), None).await.unwrap();
    assert!(!accepted.already_accepted);
}

/// In a group of creates, which are decided before anything is loaded.
async fn refusal_due_to_a_lost_request_is_decided_again(database: TestDatabase) {
    let store = store_with(&database, &Clock::manual(NEW_YEAR), &options(decide)).await;
    let made = store.executor().execute(retryable("Create", "r", 1, create(link())), None).await.unwrap().invitation;
    let bodies = [2, 1].map(|body| retryable("Create", "r", body, create(link())));
    let answers = as_one_group(&store, bodies).await;
    assert_eq!(answers[0].clone().unwrap_err(), ExecuteError::Refused(Refusal::RequestIdReused));
    assert_eq!(answers[1].clone().unwrap().invitation.id, made.id, "this one is the true retry");
}

/// Each action finds everything done, others undo it, and its retry comes.
async fn retry_of_a_request_that_changed_nothing_changes_nothing(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let guest = created(&store, guest("guest@example.org")).await;
    let link = created(&store, CreateInvitation { max_uses: None, ..link() }).await;
    let again = |method, body, action| store.executor().execute(retryable(method, "again", body, action), None);
    for (method, first, undo) in [
        ("SyncAutojoin", sync("blue", &["one.example"]), sync("blue", &["two.example"])),
        ("Update", archive(&guest, true), archive(&guest, false)),
    ] {
        let done = store.executor().execute(command(first.clone()), None).await.unwrap().invitation;
        assert!(!again(method, 1, first.clone()).await.unwrap().happened, "{method}");
        store.executor().execute(command(undo), None).await.unwrap();
        let before = read(&store, done.id).await;
        again(method, 1, first.clone()).await.unwrap();
        assert_eq!(read(&store, done.id).await, before, "{method}");
        let reused = ExecuteError::Refused(Refusal::RequestIdReused);
        assert_eq!(again(method, 2, first).await.unwrap_err(), reused, "{method}");
    }

    let into_team = || general(team("red"), OnConflict::ReturnExisting, &[internal("ann")]);
    let existing = created(&store, into_team()).await;
    assert_eq!(again("Create", 1, create(into_team())).await.unwrap().invitation.id, existing.id);
    store.executor().execute(command(revoke(&existing)), None).await.unwrap();
    assert_eq!(again("Create", 1, create(into_team())).await.unwrap().invitation.id, existing.id);

    store.executor().execute(command(accept(&link, "ann")), None).await.unwrap();
    for _ in 0..2 {
        assert!(again("Accept", 1, accept(&link, "ann")).await.unwrap().already_accepted);
    }
    let reused = again("Accept", 2, accept(&link, "bob")).await.unwrap_err();
    assert_eq!(reused, ExecuteError::Refused(Refusal::RequestIdReused));
}

/// Two replicas may work at one call at once: what the slower one changes after the other has finished counts too.
async fn call_finished_twice_counts_what_both_attempts_changed(database: TestDatabase) {
    let (store, _) = store(&database).await;
    let (one, other) = (created(&store, link()).await, created(&store, link()).await);
    let part = |made: &Invitation| {
        let command = retryable("RevokeInvitations", "r", 1, revoke(made));
        let request = command.request.as_ref().map(|request| request.part(made.id.0));
        Command { request, ..command }
    };
    let call = retryable("RevokeInvitations", "r", 1, revoke(&one)).request.unwrap();
    assert!(matches!(store.begin_call(&account(), &call).await.unwrap(), KnownCall::Begun { .. }));
    for (made, changed) in [(&one, 1), (&other, 2), (&other, 2)] {
        store.executor().execute(part(made), None).await.unwrap();
        assert_eq!(store.finish_call(&account(), &call).await.unwrap(), changed);
        assert_eq!(store.begin_call(&account(), &call).await.unwrap(), KnownCall::Finished { changed });
        assert_eq!(store.changed_by_call(&reach(), &call, None).await.unwrap().len() as u64, changed);
    }
}
