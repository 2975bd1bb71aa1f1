//! Deleting a user invitation: always hides it, and revokes it if it could still be accepted.

use crate::domain::command::{Action, DeleteInvitation, RevokeInvitation, Target};
use crate::domain::decide::tests::{after, event_types, run};
use crate::domain::fixtures::{NOW, by_any_name, delete, details, invited, minutes, resend, revoke, target};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::event::EventType::{Revoked, Updated};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::kind::Kind;

fn user(state: State) -> Invitation {
    let mut user = invited(1, details(Kind::User), &["jane@example.org"]);
    match state {
        State::Active => {}
        State::Expired => user.facts.expire_at = Some(NOW),
        State::Revoked => user.facts.revoked_at = Some(minutes(-1)),
        State::Declined => user.facts.declined_at = Some(minutes(-1)),
        State::Fulfilled => user.facts.use_count = 1,
    }
    user
}

const TABLE: [(State, State, EventType); 5] = [
    (State::Active, State::Revoked, Revoked),
    (State::Expired, State::Revoked, Revoked),
    (State::Revoked, State::Revoked, Updated),
    (State::Declined, State::Declined, Updated),
    (State::Fulfilled, State::Fulfilled, Updated),
];

#[test]
fn delete_hides_in_every_state_and_revokes_if_active() {
    for (before, state, event) in TABLE {
        let user = user(before);
        let changes = run(&user, delete(&user)).unwrap().changes;
        let after = after(&changes).unwrap();
        assert_eq!((after.deleted_at, after.state_at(NOW)), (Some(NOW), state), "{before:?}");
        assert_eq!(after.revision, user.revision + 1, "{before:?}");
        let when = if event == Revoked { Some(NOW) } else { user.facts.revoked_at };
        assert_eq!(after.facts.revoked_at, when, "{before:?}");
        assert_eq!(event_types(&changes), [event], "{before:?}");
    }
}

#[test]
fn deleted_invitation_is_hidden_from_its_kind_service() {
    for (before, state, _) in TABLE {
        let user = user(before);
        let gone = after(&run(&user, delete(&user)).unwrap().changes).unwrap().clone();
        for again in [delete(&gone), revoke(&gone), resend(&gone, true, None)] {
            assert_eq!(run(&gone, again).unwrap_err(), Refusal::InvitationNotFound, "{before:?}");
        }
        let general = run(&gone, Action::Revoke(RevokeInvitation { target: by_any_name(&gone) }));
        assert_eq!(general.is_ok(), state == State::Revoked, "{before:?}");
    }
}

#[test]
fn delete_looks_at_the_name_and_the_etag() {
    let user = user(State::Active);
    for (kind, etag, refusal) in [
        (Kind::Guest, None, Refusal::InvitationNotFound),
        (Kind::User, Some("\"6\"".to_owned()), Refusal::EtagMismatch),
    ] {
        let target = Target { kind: Some(kind), etag, ..target(&user) };
        assert_eq!(run(&user, Action::Delete(DeleteInvitation { target })).unwrap_err(), refusal);
    }
}
