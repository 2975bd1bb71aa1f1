//! Declines an invitation for one recipient; when all have declined, the invitation is DECLINED.

use super::{Change, Changes, Decided, Maker};
use crate::domain::command::{Command, DeclineInvitation};
use crate::domain::event::EventType;
use crate::domain::invitation::Invitation;
use crate::domain::loaded::Loaded;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;

pub(super) fn decide(loaded: &Loaded, command: &Command, decline: &DeclineInvitation) -> Result<Decided, Refusal> {
    let invitation = loaded.linked(command, &decline.link)?;
    let state = invitation.state_at(loaded.now);
    if state == State::Declined {
        return Ok(Decided::unchanged(invitation.id));
    }
    state.require_active()?;
    let recipient = who_declines(invitation, decline.link.recipient)?;

    let mut invitation = Invitation::clone(invitation);
    if let Some(ordinal) = recipient {
        let declining = invitation.recipients.iter_mut().find(|recipient| recipient.ordinal == ordinal);
        let declining = declining.ok_or(Refusal::InvitationNotFound)?;
        if declining.declined_at.is_some() {
            return Ok(Decided::unchanged(invitation.id));
        }
        if declining.accepted_at.is_some() {
            return Err(Refusal::InvitationFulfilled);
        }
        declining.declined_at = Some(loaded.now);
    }
    if invitation.recipients.iter().all(|recipient| recipient.declined_at.is_some()) {
        invitation.facts.declined_at = Some(loaded.now);
    }
    invitation.touch(loaded.now);
    let mut maker = Maker::new(loaded, command);
    let data = [("recipient", recipient.into()), ("reason", decline.reason.clone().into())];
    let events = vec![maker.event(&invitation, EventType::Declined, data)];
    let id = invitation.id;
    let invitation = Some(Change::Update { invitation, unexpired: false });
    Ok(Decided::changed(id, Changes { invitation, events, ..Changes::default() }))
}

/// Returns the recipient who declines: the one the link was mailed to, or the only one; none where there is none.
fn who_declines(invitation: &Invitation, link_recipient: u16) -> Result<Option<u16>, Refusal> {
    match (link_recipient, invitation.recipients.as_slice()) {
        (0, []) => Ok(None),
        (0, [only]) => Ok(Some(only.ordinal)),
        (0, _) => Err(Refusal::RecipientUnknown),
        (ordinal, _) => Ok(Some(ordinal)),
    }
}
