//! Hides a user invitation from its own service. The general service still shows it, and the audit trail stays.

#[cfg(test)]
mod tests;
use super::revoke::revoked;
use super::{Command, CommandRules, ReadSet, Target};
use crate::domain::decide::{Change, Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::event::payload::{RevokedPayload, UpdatedPayload};
use crate::domain::invitation::event::{EventType, Payload};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;

/// Hides a user invitation from its own service; it is revoked if it is ACTIVE or EXPIRED.
#[derive(Clone, Debug)]
pub struct DeleteInvitation {
    /// The invitation.
    pub target: Target,
}

impl CommandRules for DeleteInvitation {
    fn read_set(&self) -> ReadSet {
        ReadSet::of_named(&self.target)
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        6
    }

    fn decide(&self, loaded: &Loaded, command: &Command, _context: &Context) -> Result<Decided, Refusal> {
        let invitation = loaded.named(command, &self.target)?;
        let mut maker = Maker::new(loaded, command);
        let (mut change, event) = match invitation.state_at(loaded.now) {
            State::Active | State::Expired => {
                revoked(&mut maker, invitation, RevokedPayload { deleted: true, ..RevokedPayload::default() })
            }
            State::Revoked | State::Declined | State::Fulfilled => {
                let invitation = maker.touched(invitation);
                let payload = UpdatedPayload { deleted: true, ..UpdatedPayload::default() };
                let event = maker.event(&invitation, EventType::Updated, Payload::Updated(Box::new(payload)));
                (Change::Update { invitation, unexpired: false }, event)
            }
        };
        let (Change::Create(deleted) | Change::Update { invitation: deleted, .. }) = &mut change;
        deleted.deleted_at = Some(loaded.now);
        Ok(Decided::changed(
            invitation.id,
            Changes { invitations: vec![change], events: vec![event], ..Changes::default() },
        ))
    }
}
