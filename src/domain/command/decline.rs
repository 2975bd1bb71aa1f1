//! Declines an invitation for one recipient; when all have declined, the invitation is DECLINED.

#[cfg(test)]
mod tests;
use super::{Access, Command, CommandRules, ReadSet};
use crate::domain::decide::{Change, Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::payload::DeclinedPayload;
use crate::domain::invitation::event::{EventType, Payload};
use crate::domain::invitation::recipient::Address;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::kind::general::Usage;
use crate::domain::value::scrubbed::scrubbed;
use crate::domain::value::time::Timestamp;

/// Declines an invitation for one recipient.
#[derive(Clone, Debug)]
pub struct DeclineInvitation {
    /// The invitation.
    pub access: Access,
    /// The address of the recipient who declines, if the link or name does not identify them.
    pub address: Option<Address>,
    /// The reason.
    pub reason: Option<String>,
}

impl CommandRules for DeclineInvitation {
    fn read_set(&self) -> ReadSet {
        ReadSet::of(self.access.invitation())
    }

    fn second_read_set(&self, _invitation: &Invitation, _now: Timestamp) -> ReadSet {
        ReadSet::default()
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        6
    }

    fn bytes(&self) -> usize {
        0
    }

    fn decide(&self, loaded: &Loaded, command: &Command, _context: &Context) -> Result<Decided, Refusal> {
        let invitation = loaded.reached(command, &self.access)?;
        let state = invitation.state_at(loaded.now);
        if state == State::Declined {
            return Ok(Decided::unchanged(invitation.id));
        }
        state.require_active()?;
        if self.access.is_for_invited() && self.address.is_none() {
            return Err(Refusal::LinkRequired);
        }
        let recipient = who_declines(invitation, self.access.recipient(), self.address.as_ref())?;

        let mut maker = Maker::new(loaded, command);
        let id = invitation.id;
        let mut invitation = maker.touched(invitation);
        if let Some(ordinal) = recipient {
            let declining = invitation.recipients.iter_mut().find(|recipient| recipient.ordinal == ordinal);
            let declining = declining.ok_or(Refusal::InvitationNotFound)?;
            if declining.declined_at.is_some() {
                return Ok(Decided::unchanged(id));
            }
            if declining.accepted_at.is_some() {
                return Err(Refusal::InvitationFulfilled);
            }
            declining.declined_at = Some(loaded.now);
        }
        // Nobody can answer for a recipient who was erased.
        if invitation.recipients.iter().all(|recipient| recipient.declined_at.is_some() || recipient.is_erased()) {
            invitation.facts.declined_at = Some(loaded.now);
        }
        let payload = DeclinedPayload { recipient, reason: self.reason.as_deref().map(scrubbed) };
        let events = vec![maker.event(&invitation, EventType::Declined, Payload::Declined(payload))];
        let invitations = vec![Change::Update { invitation, unexpired: false }];
        Ok(Decided::changed(id, Changes { invitations, events, ..Changes::default() }))
    }
}

/// Returns whether one of the links of an invitation can be used to decline it: the plain link, or that of a recipient.
pub fn is_declinable(invitation: &Invitation, link: u16, now: Timestamp) -> bool {
    let answered = |recipient: Option<u16>| {
        let recipient = recipient.and_then(|ordinal| invitation.recipient(ordinal));
        recipient.is_some_and(|recipient| !recipient.is_open())
    };
    let declines = who_declines(invitation, link, None);
    invitation.state_at(now) == State::Active && declines.is_ok_and(|recipient| !answered(recipient))
}

/// Returns the recipient who declines: the one to whom the link was mailed, the one with the given address, or the only
/// one; `None` if there is none. An invitation for many cannot be declined by one of them for all.
fn who_declines(invitation: &Invitation, link: u16, address: Option<&Address>) -> Result<Option<u16>, Refusal> {
    if invitation.details.usage().is_some_and(|usage| usage != Usage::SingleUse) {
        return Err(Refusal::NotDeclinable);
    }
    if let Some(address) = address {
        let named = invitation.recipients.iter().find(|recipient| recipient.address.is(address));
        return named.map(|recipient| Some(recipient.ordinal)).ok_or(Refusal::RecipientUnknown);
    }
    // The holder of the plain link of an invitation for several uses would decline it for all of them.
    let is_for_many = invitation.facts.max_uses != Some(1);
    match (link, invitation.recipients.as_slice()) {
        (0, [] | [_]) if is_for_many => Err(Refusal::NotDeclinable),
        (0, []) => Ok(None),
        (0, [only]) => Ok(Some(only.ordinal)),
        (0, _) => Err(Refusal::RecipientUnknown),
        (ordinal, _) => Ok(Some(ordinal)),
    }
}
