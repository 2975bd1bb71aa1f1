//! Ends an invitation for good.

use super::{Change, Changes, Decided, Maker};
use crate::domain::command::{Command, RevokeInvitation};
use crate::domain::event::EventType;
use crate::domain::invitation::Invitation;
use crate::domain::loaded::Loaded;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;

pub(super) fn decide(loaded: &Loaded, command: &Command, revoke: &RevokeInvitation) -> Result<Decided, Refusal> {
    let invitation = loaded.named(command, &revoke.target)?;
    match invitation.state_at(loaded.now) {
        State::Revoked => return Ok(Decided::unchanged(invitation.id)),
        // What has expired can still be renewed, so it can still be revoked.
        State::Active | State::Expired => {}
        ended @ (State::Declined | State::Fulfilled) => ended.require_active()?,
    }
    let mut invitation = Invitation::clone(invitation);
    invitation.facts.revoked_at = Some(loaded.now);
    invitation.touch(loaded.now);
    let events = vec![Maker::new(loaded, command).event(&invitation, EventType::Revoked, [])];
    let id = invitation.id;
    let invitation = Some(Change::Update { invitation, unexpired: false });
    Ok(Decided::changed(id, Changes { invitation, events, ..Changes::default() }))
}
