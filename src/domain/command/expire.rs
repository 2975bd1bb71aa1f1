//! Tells that an invitation has expired, once for each moment of expiry. Nothing that its etag stands for changes.

use uuid::Uuid;

use super::{Command, ExpireInvitation};
use crate::domain::decide::{Change, Changes, Decided, Maker};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::state::State;
use crate::domain::value::id::{IdSeed, InvitationId};
use crate::domain::value::time::Timestamp;

pub(in crate::domain) fn decide(
    loaded: &Loaded,
    command: &Command,
    expire: &ExpireInvitation,
) -> Result<Decided, Refusal> {
    let invitation = loaded.invitation(&command.account, expire.id)?;
    let expired = invitation.state_at(loaded.now) == State::Expired;
    let untold = invitation.facts.expire_at.filter(|at| expired && invitation.expiry_told_at != Some(*at));
    let Some(expire_at) = untold else { return Ok(Decided::unchanged(invitation.id)) };
    let mut event = Maker::new(loaded, command).event(
        invitation,
        EventType::Expired,
        [("expire_time", expire_at.to_string().into())],
    );
    event.id = event_id(invitation.id, expire_at);
    let told = Invitation { expiry_told_at: Some(expire_at), ..Invitation::clone(invitation) };
    let invitations = vec![Change::Update { invitation: told, unexpired: false }];
    Ok(Decided::changed(invitation.id, Changes { invitations, events: vec![event], ..Changes::default() }))
}

/// The revision stays, so it does not keep two from telling the same at the same moment; the id of the event does, which is
/// made of what is told and of nothing else.
fn event_id(invitation: InvitationId, expire_at: Timestamp) -> Uuid {
    // The moment in the id is in milliseconds.
    let micros = u32::try_from(expire_at.micros().rem_euclid(1_000)).unwrap_or_default();
    IdSeed::new(expire_at, *invitation.0.as_bytes()).nth(micros)
}
