//! Declines an invitation for one recipient; when all have declined, the invitation is DECLINED.

#[cfg(test)]
mod tests;
use super::{Access, Command, CommandRules, ReadSet};
use crate::domain::decide::{Change, Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::email_rule::{Binding, binding};
use crate::domain::invitation::event::payload::DeclinedPayload;
use crate::domain::invitation::event::{EventType, Payload};
use crate::domain::invitation::recipient::{Address, Recipient};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::kind::general::Usage;
use crate::domain::reach::person::Person;
use crate::domain::value::scrubbed::scrubbed;
use crate::domain::value::time::Timestamp;

/// Declines an invitation for one recipient.
#[derive(Clone, Debug)]
pub struct DeclineInvitation {
    /// The invitation.
    pub access: Access,
    /// The addresses of the person who declines, if the link or name does not identify them.
    pub addresses: Vec<Address>,
    /// The reason.
    pub reason: Option<String>,
}

impl CommandRules for DeclineInvitation {
    fn read_set(&self) -> ReadSet {
        ReadSet::of(self.access.invitation())
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        6
    }

    fn decide(&self, loaded: &Loaded, command: &Command, _context: &Context) -> Result<Decided, Refusal> {
        let invitation = loaded.reached(command, &self.access)?;
        let state = invitation.state_at(loaded.now);
        if state == State::Declined {
            return Ok(Decided::unchanged(invitation.id));
        }
        state.require_active()?;
        let declining = self.declining(invitation, command.reach.person())?;
        let mut open = Vec::with_capacity(declining.len());
        for ordinal in &declining {
            let recipient = invitation.recipient(*ordinal).ok_or(Refusal::InvitationNotFound)?;
            match (recipient.declined_at, recipient.accepted_at) {
                (Some(_), _) => {}
                (None, Some(_)) => return Err(Refusal::InvitationFulfilled),
                (None, None) => open.push(*ordinal),
            }
        }
        let id = invitation.id;
        if open.is_empty() && !declining.is_empty() {
            return Ok(Decided::unchanged(id));
        }

        let mut maker = Maker::new(loaded, command);
        let mut invitation = maker.touched(invitation);
        for recipient in invitation.recipients.iter_mut().filter(|recipient| open.contains(&recipient.ordinal)) {
            recipient.declined_at = Some(loaded.now);
        }
        // Nobody can answer for a recipient who was erased or removed.
        if invitation.recipients.iter().all(|recipient| recipient.declined_at.is_some() || recipient.is_erased()) {
            invitation.facts.declined_at = Some(loaded.now);
        }
        let reason = self.reason.as_deref().map(scrubbed);
        let mut event = |recipient| {
            let payload = DeclinedPayload { recipient, reason: reason.clone() };
            maker.event(&invitation, EventType::Declined, Payload::Declined(payload))
        };
        let events = match open.as_slice() {
            [] => vec![event(None)],
            open => open.iter().map(|ordinal| event(Some(*ordinal))).collect(),
        };
        let invitations = vec![Change::Update { invitation, unexpired: false }];
        Ok(Decided::changed(id, Changes { invitations, events, ..Changes::default() }))
    }
}

impl DeclineInvitation {
    /// Returns the recipients who decline; empty if the invitation has none.
    fn declining(&self, invitation: &Invitation, person: Option<&Person>) -> Result<Vec<u16>, Refusal> {
        let link = self.access.recipient();
        if let Some(person) = person.filter(|_| self.addresses.is_empty()) {
            return person_declines(invitation, link, person);
        }
        if self.access.is_for_invited() && self.addresses.is_empty() {
            return Err(Refusal::LinkRequired);
        }
        who_declines(invitation, link, &self.addresses)
    }
}

/// Returns whether one of the links of an invitation can be used to decline it: the plain link, or that of a recipient. A
/// person declines for themselves alone.
pub fn is_declinable(invitation: &Invitation, link: u16, person: Option<&Person>, now: Timestamp) -> bool {
    let is_open = |ordinal: &u16| invitation.recipient(*ordinal).is_some_and(Recipient::is_open);
    let declines = match person {
        Some(person) => person_declines(invitation, link, person),
        None => who_declines(invitation, link, &[]),
    };
    let can_decline = |declining: Vec<u16>| declining.is_empty() || declining.iter().any(is_open);
    invitation.state_at(now) == State::Active && declines.is_ok_and(can_decline)
}

/// Returns the recipients that a person is, however many of their addresses are invited. By a link they also decline what they
/// could accept by it: an invitation that is addressed to nobody, or one whose link was mailed to them, if nothing else is
/// known of their address.
fn person_declines(invitation: &Invitation, link: u16, person: &Person) -> Result<Vec<u16>, Refusal> {
    if invitation.details.usage().is_some_and(|usage| usage != Usage::SingleUse) {
        return Err(Refusal::NotDeclinable);
    }
    let own = invitation.recipients.iter().filter(|recipient| person.is(recipient));
    let own: Vec<u16> = own.map(|recipient| recipient.ordinal).collect();
    if !own.is_empty() {
        return Ok(own);
    }
    let is_proven_by_link = link > 0 && person.email.is_none();
    if binding(invitation) != Binding::Open && !is_proven_by_link {
        return Err(Refusal::EmailNotAllowed);
    }
    who_declines(invitation, link, &[])
}

/// Returns the recipients who decline: those with the given addresses, the one to whom the link was mailed, or the only
/// one; none if there is none. An invitation for many cannot be declined by one of them for all.
fn who_declines(invitation: &Invitation, link: u16, addresses: &[Address]) -> Result<Vec<u16>, Refusal> {
    if invitation.details.usage().is_some_and(|usage| usage != Usage::SingleUse) {
        return Err(Refusal::NotDeclinable);
    }
    if !addresses.is_empty() {
        let is_named = |recipient: &&Recipient| addresses.iter().any(|address| recipient.address.is(address));
        let named: Vec<_> = invitation.recipients.iter().filter(is_named).map(|recipient| recipient.ordinal).collect();
        return if named.is_empty() { Err(Refusal::RecipientUnknown) } else { Ok(named) };
    }
    // The holder of the plain link of an invitation for several uses would decline it for all of them.
    let is_for_many = invitation.facts.max_uses != Some(1);
    let present: Vec<_> = invitation.present_recipients().collect();
    match (link, present.as_slice()) {
        (0, [] | [_]) if is_for_many => Err(Refusal::NotDeclinable),
        (0, []) => Ok(Vec::new()),
        (0, [only]) => Ok(vec![only.ordinal]),
        (0, _) => Err(Refusal::RecipientUnknown),
        (ordinal, _) => Ok(vec![ordinal]),
    }
}
