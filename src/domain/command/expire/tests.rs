//! The invitations whose expiry is recorded, once each.

use crate::domain::command::{Action, ExpireInvitation};
use crate::domain::decide::decide;
use crate::domain::decide::tests::{after, run};
use crate::domain::fixtures::{CONTEXT, NOW, command, in_state, invitation, loaded, minutes};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::value::time::Timestamp;

fn expire(invitation: &Invitation) -> Action {
    Action::Expire(ExpireInvitation { id: invitation.id })
}

fn expired_at(expire_at: Timestamp) -> Invitation {
    let mut invitation = invitation(1, None);
    invitation.facts.expire_at = Some(expire_at);
    invitation
}

#[test]
fn only_what_is_expired_is_told_of_and_its_etag_stays() {
    for state in State::ALL {
        let before = in_state(state);
        let changes = run(&before, expire(&before)).unwrap().changes;
        if state != State::Expired {
            assert!(changes.events.is_empty() && changes.invitations.is_empty(), "{state:?}");
            continue;
        }
        let wanted = Invitation { expiry_told_at: before.facts.expire_at, ..before.clone() };
        assert_eq!(after(&changes), Some(&wanted));
        assert_eq!(wanted.etag(), before.etag());
        let [event] = changes.events.as_slice() else { panic!("one event") };
        assert_eq!((event.event_type, event.time), (EventType::Expired, NOW));
        assert_eq!(event.payload.json()["expire_at"], before.facts.expire_at.unwrap().micros());
    }
    for (at, told) in [(minutes(1), false), (Timestamp::from_micros(NOW.micros() + 1), false), (NOW, true)] {
        let before = expired_at(at);
        assert_eq!(run(&before, expire(&before)).unwrap().changes.events.len(), usize::from(told), "{at}");
    }
}

#[test]
fn each_expiry_is_recorded_once_under_one_id() {
    let mut invitation = expired_at(minutes(-10));
    let mut ids = Vec::new();
    for at in [minutes(-10), Timestamp::from_micros(minutes(-10).micros() + 1), minutes(-9)] {
        invitation.facts.expire_at = Some(at);
        let told = |number| decide(&loaded(&invitation, &[]), &command(number, expire(&invitation)), &CONTEXT).unwrap();
        let (one, other) = (told(1).changes, told(2).changes);
        assert_eq!(one.events[0].id, other.events[0].id);
        ids.push(one.events[0].id);
        invitation = after(&one).unwrap().clone();
        assert!(run(&invitation, expire(&invitation)).unwrap().changes.events.is_empty());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3, "each moment has an id of its own");
    assert!(ids.iter().all(|id| id.get_version_num() == 7));
}

#[test]
fn another_account_s_expiry_cannot_be_told() {
    let invitation = in_state(State::Expired);
    let mut foreign = command(1, expire(&invitation));
    foreign.reach = crate::domain::fixtures::reach("other");
    assert_eq!(decide(&loaded(&invitation, &[]), &foreign, &CONTEXT).unwrap_err(), Refusal::InvitationNotFound);
}
