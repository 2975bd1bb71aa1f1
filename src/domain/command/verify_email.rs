//! Records that a code has verified an address. Leaves the invitation itself alone.

#[cfg(test)]
mod tests;
use super::{Access, Command, CommandRules, ReadSet};
use crate::domain::decide::{Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::event::payload::EmailVerifiedPayload;
use crate::domain::invitation::event::{EventType, NewEvent, Payload};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::email::Email;

/// Records that a code has verified an address.
#[derive(Clone, Debug)]
pub struct VerifyEmail {
    /// The invitation.
    pub access: Access,
    /// The address.
    pub email: Email,
}

impl CommandRules for VerifyEmail {
    fn read_set(&self) -> ReadSet {
        ReadSet::of(self.access.invitation())
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        4
    }

    fn decide(&self, loaded: &Loaded, command: &Command, _context: &Context) -> Result<Decided, Refusal> {
        let invitation = loaded.reached(command, &self.access)?;
        invitation.state_at(loaded.now).require_active()?;
        // An address that counts only because of its domain belongs to no recipient, and the event does not name it.
        let is_it = |email: &Email| email.key() == self.email.key();
        let proven = invitation.recipients.iter().find(|recipient| recipient.email().is_some_and(is_it));
        let payload = EmailVerifiedPayload { recipient: proven.map(|recipient| recipient.ordinal) };
        // The command is remembered by its code, which is no request_id of the caller.
        let payload = Payload::EmailVerified(payload);
        let event = Maker::new(loaded, command).event(invitation, EventType::EmailVerified, payload);
        let events = vec![NewEvent { request_id: None, ..event }];
        Ok(Decided::changed(invitation.id, Changes { events, ..Changes::default() }))
    }
}
