//! Records that an invitation has expired, once for each moment of expiry. The etag stays the same.

#[cfg(test)]
mod tests;
use uuid::Uuid;

use super::{Command, CommandRules, ReadSet};
use crate::domain::decide::{Change, Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::payload::ExpiredPayload;
use crate::domain::invitation::event::{EventType, NewEvent, Payload};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::value::id::{IdSeed, InvitationId};
use crate::domain::value::time::Timestamp;

/// Records that an invitation has expired, if it has and no event has recorded it.
#[derive(Clone, Copy, Debug)]
pub struct ExpireInvitation {
    /// The invitation.
    pub id: InvitationId,
}

impl CommandRules for ExpireInvitation {
    fn read_set(&self) -> ReadSet {
        ReadSet::of(self.id)
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        4
    }

    fn decide(&self, loaded: &Loaded, command: &Command, _context: &Context) -> Result<Decided, Refusal> {
        let invitation = loaded.invitation(command.account(), self.id)?;
        let expired = invitation.state_at(loaded.now) == State::Expired;
        let untold = invitation.facts.expire_at.filter(|at| expired && invitation.expiry_told_at != Some(*at));
        let Some(expire_at) = untold else { return Ok(Decided::unchanged(invitation.id)) };
        let event = event(&mut Maker::new(loaded, command), invitation, expire_at);
        let told = Invitation { expiry_told_at: Some(expire_at), ..Invitation::clone(invitation) };
        let invitations = vec![Change::Update { invitation: told, unexpired: false }];
        Ok(Decided::changed(invitation.id, Changes { invitations, events: vec![event], ..Changes::default() }))
    }
}

/// Records the expiry of the invitations that a command opens again although their moment has passed: the walk along these moments may
/// have passed it too, while they were closed.
pub(in crate::domain) fn tell_of_opened(loaded: &Loaded, command: &Command, changes: &mut Changes) {
    for change in &mut changes.invitations {
        let Change::Update { invitation, .. } = change else { continue };
        let is_told = invitation.expiry_told_at == invitation.facts.expire_at;
        if is_told || invitation.state_at(loaded.now) != State::Expired {
            continue;
        }
        let before = loaded.invitation(command.account(), invitation.id);
        if before.is_ok_and(|before| before.state_at(loaded.now) != State::Expired)
            && let Some(expire_at) = invitation.facts.expire_at
        {
            changes.events.push(event(&mut Maker::beside(loaded, command), invitation, expire_at));
            invitation.expiry_told_at = Some(expire_at);
        }
    }
}

fn event(maker: &mut Maker<'_>, invitation: &Invitation, expire_at: Timestamp) -> NewEvent {
    let payload = Payload::Expired(ExpiredPayload { expire_at });
    NewEvent { id: event_id(invitation.id, expire_at), ..maker.event(invitation, EventType::Expired, payload) }
}

/// The revision stays, so it does not keep two processes from recording the same expiry at the same moment; the id of
/// the event does, which is derived from the expiry alone.
fn event_id(invitation: InvitationId, expire_at: Timestamp) -> Uuid {
    // The moment in the id is in milliseconds.
    let micros = u32::try_from(expire_at.micros().rem_euclid(1_000)).unwrap_or_default();
    IdSeed::new(expire_at, *invitation.0.as_bytes()).nth(micros)
}
