//! Commands that run together do not get in each other's way.

use invitation_service::clock::Clock;
use invitation_service::domain::command::{Command, CreateInvitation};
use invitation_service::domain::invitation::EngagementType;
use invitation_service::domain::invitation::refusal::Refusal;
use invitation_service::domain::invitation::state::State;
use invitation_service::store::{ExecuteError, Store};

use crate::support::build::commands::*;
use crate::support::database::{NEW_YEAR, TestDatabase};
use crate::support::gate::{as_one_group, decide};
use crate::support::on_both;

on_both!(
    migrated:
    refusal_leaves_its_neighbours_alone,
    panic_in_a_decision_is_internal_and_the_lane_goes_on,
    command_that_the_database_refuses_does_not_fail_its_group,
    commands_of_one_invitation_keep_their_order,
    later_commands_of_a_group_see_and_show_what_earlier_ones_did,
    group_too_large_for_one_commit_is_done_all_the_same,
);

async fn gated(database: &TestDatabase) -> (Store, Clock) {
    let clock = Clock::manual(NEW_YEAR);
    (store_with(database, &clock, &options(decide)).await, clock)
}

async fn refusal_leaves_its_neighbours_alone(database: TestDatabase) {
    let (store, _) = gated(&database).await;
    let made = created(&store, CreateInvitation { max_uses: Some(2), ..link() }).await;
    let bound = created(&store, CreateInvitation { recipients: emails(1), ..link() }).await;
    let commands = [
        accept(&made, "ann"),
        accept(&bound, "ann"),
        accept(&made, "bob"),
        create(link()),
        accept(&made, "cid"),
        record(&bound, EngagementType::View),
    ];
    let answers = as_one_group(&store, commands.map(command)).await;
    let refusals: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().cloned()).collect();
    let refused = |refusal| Some(ExecuteError::Refused(refusal));
    assert_eq!(
        refusals,
        [None, refused(Refusal::EmailNotAllowed), None, None, refused(Refusal::InvitationFulfilled), None]
    );
    assert_eq!(story(&store, made.id).await, ["created", "accepted", "accepted", "fulfilled"]);
    assert_eq!(story(&store, bound.id).await, ["created", "viewed"]);
    assert_eq!(story(&store, answers[3].as_ref().unwrap().invitation.id).await, ["created"]);
}

async fn panic_in_a_decision_is_internal_and_the_lane_goes_on(database: TestDatabase) {
    let (store, _) = gated(&database).await;
    let made = created(&store, link()).await;
    // A group that is loaded first, and one of creates, which are not.
    for actions in [[accept(&made, "ann"), revoke(&made), accept(&made, "bob")], [(); 3].map(|()| create(link()))] {
        let mut commands = actions.map(command);
        commands[1].actor = "panic".to_owned();
        let answers = as_one_group(&store, commands).await;
        assert!(answers[0].is_ok() && answers[2].is_ok());
        let internal = answers[1].clone().unwrap_err();
        assert!(matches!(&internal, ExecuteError::Internal(id) if id.len() == 32), "{internal:?}");
    }
    assert_eq!(story(&store, made.id).await, ["created", "accepted", "accepted"]);
    store.executor().execute(command(revoke(&made)), None).await.unwrap();
}

async fn command_that_the_database_refuses_does_not_fail_its_group(database: TestDatabase) {
    let (store, _) = gated(&database).await;
    let made = created(&store, link()).await;
    let poison = || create(CreateInvitation { max_uses: Some(0), ..link() });
    for actions in [[accept(&made, "ann"), poison(), accept(&made, "bob")], [create(link()), poison(), create(link())]]
    {
        let answers = as_one_group(&store, actions.map(command)).await;
        assert!(matches!(answers[1], Err(ExecuteError::Internal(_))), "{:?}", answers[1]);
        for neighbour in [&answers[0], &answers[2]] {
            let id = neighbour.as_ref().unwrap().invitation.id;
            assert_eq!(read(&store, id).await.id, id);
        }
    }
    assert_eq!(story(&store, made.id).await, ["created", "accepted", "accepted"]);
    store.executor().execute(command(revoke(&made)), None).await.expect("the lane lives on");
}

async fn commands_of_one_invitation_keep_their_order(database: TestDatabase) {
    let (store, clock) = gated(&database).await;
    let made = created(&store, link()).await;
    let commands = [
        accept(&made, "ann"),
        resend(&made, false, None),
        record(&made, EngagementType::Click),
        revoke(&made),
        accept(&made, "bob"),
    ];
    let answers = as_one_group(&store, commands.map(command)).await;
    assert_eq!(answers[4].clone().unwrap_err(), ExecuteError::Refused(Refusal::InvitationRevoked));
    let revisions: Vec<i64> = answers[..4].iter().map(|answer| answer.as_ref().unwrap().invitation.revision).collect();
    assert_eq!(revisions, [2, 3, 3, 4], "each answer shows the invitation as its command left it");
    assert_eq!(story(&store, made.id).await, ["created", "accepted", "resent", "clicked", "revoked"]);
    assert_eq!(read(&store, made.id).await.state_at(clock.now()), State::Revoked);
}

async fn later_commands_of_a_group_see_and_show_what_earlier_ones_did(database: TestDatabase) {
    let (store, _) = gated(&database).await;
    let made = created(&store, link()).await;
    store.executor().execute(command(accept(&made, "first")), None).await.unwrap();
    let commands = [
        accept(&made, "ann"),
        accept(&made, "ann"),
        record(&made, EngagementType::View),
        record(&made, EngagementType::View),
        revoke(&made),
        accept(&made, "ann"),
    ];
    let answers = as_one_group(&store, commands.map(command)).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    let already: Vec<bool> = answers.iter().map(|executed| executed.already_accepted).collect();
    assert_eq!(already, [false, true, false, false, false, true]);
    assert_eq!(answers[0].acceptance, answers[5].acceptance);
    assert_eq!(read(&store, made.id).await, *answers[4].invitation, "an answer by name is what a read then finds");
    assert_eq!(story(&store, made.id).await, ["created", "accepted", "accepted", "viewed", "viewed", "revoked"]);
}

async fn group_too_large_for_one_commit_is_done_all_the_same(database: TestDatabase) {
    let (store, _) = gated(&database).await;
    let large = || CreateInvitation { recipients: emails(1_000), mails: true, ..link() };
    let commands: Vec<Command> = (0..6).map(|_| command(create(large()))).collect();
    for answer in as_one_group(&store, commands).await {
        let made = answer.unwrap().invitation;
        assert_eq!(read(&store, made.id).await, *made);
    }
}
