//! Notes that a code has proved an address. Leaves the invitation itself alone.

use super::{Command, VerifyEmail};
use crate::domain::decide::{Changes, Decided, Maker};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::event::{EventType, NewEvent};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::email::Email;

pub(in crate::domain) fn decide(loaded: &Loaded, command: &Command, verify: &VerifyEmail) -> Result<Decided, Refusal> {
    let invitation = loaded.linked(command, &verify.link)?;
    invitation.state_at(loaded.now).require_active()?;
    // An address that counts by its domain alone is nobody's, and an event does not name it.
    let is_it = |email: &Email| email.key() == verify.email.key();
    let proven = invitation.recipients.iter().find(|recipient| recipient.email().is_some_and(is_it));
    let data = [("recipient", proven.map(|recipient| recipient.ordinal).into())];
    // The command is remembered by its code, which is no request_id of the caller.
    let event = Maker::new(loaded, command).event(invitation, EventType::EmailVerified, data);
    let events = vec![NewEvent { request_id: None, ..event }];
    Ok(Decided::changed(invitation.id, Changes { events, ..Changes::default() }))
}
