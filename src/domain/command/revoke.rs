//! Revokes an invitation.

use super::{Command, CommandRules, ReadSet, Target};
use crate::domain::decide::{Change, Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::payload::RevokedPayload;
use crate::domain::invitation::event::{EventType, NewEvent, Payload};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;

/// Revokes an invitation.
#[derive(Clone, Debug)]
pub struct RevokeInvitation {
    /// The invitation.
    pub target: Target,
}

impl CommandRules for RevokeInvitation {
    fn read_set(&self) -> ReadSet {
        ReadSet::of_named(&self.target)
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        6
    }

    fn decide(&self, loaded: &Loaded, command: &Command, _context: &Context) -> Result<Decided, Refusal> {
        let invitation = loaded.named(command, &self.target)?;
        match invitation.state_at(loaded.now) {
            // An emptied auto-join is shown as revoked, but a sync would bring it back.
            State::Revoked if invitation.facts.revoked_at.is_some() => return Ok(Decided::unchanged(invitation.id)),
            // An expired invitation can still be renewed, so it can still be revoked.
            State::Revoked | State::Active | State::Expired => {}
            ended @ (State::Declined | State::Fulfilled) => ended.require_active()?,
        }
        let (change, event) = revoked(&mut Maker::new(loaded, command), invitation, RevokedPayload::default());
        Ok(Decided::changed(
            invitation.id,
            Changes { invitations: vec![change], events: vec![event], ..Changes::default() },
        ))
    }
}

/// Sets the fact of the revocation.
pub(in crate::domain) fn revoked(
    maker: &mut Maker<'_>,
    invitation: &Invitation,
    payload: RevokedPayload,
) -> (Change, NewEvent) {
    let mut invitation = maker.touched(invitation);
    // At most one terminal fact is stored, and this one is for good.
    invitation.facts.emptied_at = None;
    invitation.facts.revoked_at = Some(maker.loaded.now);
    let event = maker.event(&invitation, EventType::Revoked, Payload::Revoked(payload));
    (Change::Update { invitation, unexpired: false }, event)
}
