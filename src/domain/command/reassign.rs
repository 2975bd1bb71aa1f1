//! Gives another inviter to an open invitation, as an update of this one field does.

use super::{Command, CommandRules, ReadSet, Target, UpdateInvitation, UpdatedFields};
use crate::domain::decide::{Context, Decided};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::kind::shared::Inviter;

/// Gives another inviter to an ACTIVE or EXPIRED invitation of a person.
#[derive(Clone, Debug)]
pub struct ReassignInvitation {
    /// The invitation.
    pub target: Target,
    /// The id of the present inviter. An invitation that has another one by now stays as it is.
    pub from: String,
    /// The new inviter.
    pub to: Inviter,
}

impl CommandRules for ReassignInvitation {
    fn read_set(&self) -> ReadSet {
        ReadSet::of_named(&self.target)
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        6
    }

    fn decide(&self, loaded: &Loaded, command: &Command, context: &Context) -> Result<Decided, Refusal> {
        let invitation = loaded.named(command, &self.target)?;
        match invitation.state_at(loaded.now) {
            State::Active | State::Expired => {}
            ended @ (State::Revoked | State::Declined | State::Fulfilled) => ended.require_active()?,
        }
        let inviter = invitation.details.shared().inviter.as_ref();
        if inviter.is_none_or(|inviter| inviter.user_id != self.from) {
            return Ok(Decided::unchanged(invitation.id));
        }
        let update = UpdateInvitation {
            target: self.target.clone(),
            service: invitation.details.kind(),
            fields: UpdatedFields { inviter: Some(Some(self.to.clone())), ..UpdatedFields::default() },
            fixed: Vec::new(),
            added: Vec::new(),
            removed: Vec::new(),
            mails_added: false,
        };
        update.decide(loaded, command, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::command::Action;
    use crate::domain::decide::tests::{after, event_types, is_nothing, run};
    use crate::domain::fixtures::{details, in_state, invited, target};
    use crate::domain::invitation::Invitation;
    use crate::domain::invitation::event::EventType;
    use crate::domain::kind::Kind;

    fn person(user_id: &str) -> Inviter {
        Inviter { user_id: user_id.to_owned(), display_name: Some(user_id.to_owned()), ..Inviter::default() }
    }

    fn by(mut invitation: Invitation, user_id: &str) -> Invitation {
        invitation.details.shared_mut().inviter = Some(person(user_id));
        invitation
    }

    fn reassign(invitation: &Invitation) -> Action {
        let (target, from, to) = (target(invitation), "ann".to_owned(), person("bob"));
        Action::Reassign(Box::new(ReassignInvitation { target, from, to }))
    }

    #[test]
    fn inviter_of_every_kind_is_another_and_nothing_else_is() {
        for kind in Kind::ALL {
            let before = by(invited(1, details(kind), &["r1@example.org"]), "ann");
            let changes = run(&before, reassign(&before)).unwrap().changes;
            assert_eq!(event_types(&changes), [EventType::Updated], "{kind:?}");
            assert!(changes.deliveries.is_empty() && changes.slots.is_empty() && changes.freed.is_empty());
            let payload = changes.events[0].payload.json();
            assert_eq!(payload["fields"], serde_json::json!(["inviter"]));
            let word = serde_json::json!([{"field": "inviter.user_id", "old": "ann", "new": "bob"}]);
            assert_eq!(payload["words"], word, "{kind:?}");
            let after = after(&changes).unwrap();
            let expected = by(before.clone(), "bob");
            assert_eq!(after.details, expected.details, "{kind:?}");
            assert_eq!((after.facts, &after.recipients), (before.facts, &before.recipients), "{kind:?}");
            assert_eq!(after.creator, before.creator, "{kind:?}");
        }
    }

    #[test]
    fn invitation_of_another_inviter_stays_as_it_is() {
        for state in [State::Active, State::Expired] {
            for invitation in [by(in_state(state), "cid"), by(in_state(state), ""), in_state(state)] {
                assert!(is_nothing(&run(&invitation, reassign(&invitation)).unwrap().changes), "{state:?}");
            }
        }
    }

    #[test]
    fn only_open_invitations_get_another_inviter() {
        for state in State::ALL {
            let before = by(in_state(state), "ann");
            let result = run(&before, reassign(&before));
            let refusal = match state {
                State::Active | State::Expired => None,
                State::Revoked => Some(Refusal::InvitationRevoked),
                State::Declined => Some(Refusal::InvitationDeclined),
                State::Fulfilled => Some(Refusal::InvitationFulfilled),
            };
            assert_eq!(result.map(drop).err(), refusal, "{state:?}");
        }
    }
}
