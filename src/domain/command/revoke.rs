//! Ends an invitation for good.

use super::{Command, RevokeInvitation};
use crate::domain::decide::{Change, Changes, Decided, Maker};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::{EventType, NewEvent};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;

pub(in crate::domain) fn decide(
    loaded: &Loaded,
    command: &Command,
    revoke: &RevokeInvitation,
) -> Result<Decided, Refusal> {
    let invitation = loaded.named(command, &revoke.target)?;
    match invitation.state_at(loaded.now) {
        // An emptied auto-join is shown as revoked, but a sync would bring it back.
        State::Revoked if invitation.facts.revoked_at.is_some() => return Ok(Decided::unchanged(invitation.id)),
        // What has expired can still be renewed, so it can still be revoked.
        State::Revoked | State::Active | State::Expired => {}
        ended @ (State::Declined | State::Fulfilled) => ended.require_active()?,
    }
    let (change, event) = revoked(&mut Maker::new(loaded, command), invitation);
    Ok(Decided::changed(
        invitation.id,
        Changes { invitations: vec![change], events: vec![event], ..Changes::default() },
    ))
}

/// Ends an invitation.
pub(in crate::domain) fn revoked(maker: &mut Maker<'_>, invitation: &Invitation) -> (Change, NewEvent) {
    let mut invitation = maker.touched(invitation);
    // At most one terminal fact is stored, and this one is for good.
    invitation.facts.emptied_at = None;
    invitation.facts.revoked_at = Some(maker.loaded.now);
    let event = maker.event(&invitation, EventType::Revoked, []);
    (Change::Update { invitation, unexpired: false }, event)
}
