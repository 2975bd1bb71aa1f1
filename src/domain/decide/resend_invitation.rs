//! Sends an invitation again, renews it, and replaces its link where that is asked for.

use super::{Change, Changes, Context, Decided, Maker};
use crate::domain::command::{Command, ResendInvitation};
use crate::domain::event::EventType;
use crate::domain::invitation::Invitation;
use crate::domain::loaded::Loaded;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;

pub(super) fn decide(
    loaded: &Loaded,
    command: &Command,
    resend: &ResendInvitation,
    context: &Context,
) -> Result<Decided, Refusal> {
    let invitation = loaded.named(command, &resend.target)?;
    match invitation.state_at(loaded.now) {
        State::Active => {}
        State::Expired if resend.ttl.is_some() => {}
        closed @ (State::Expired | State::Revoked | State::Declined | State::Fulfilled) => closed.require_active()?,
    }
    let mut invitation = Invitation::clone(invitation);
    if let Some(ttl) = resend.ttl {
        invitation.facts.expire_at = Some(loaded.now.plus(ttl));
    }
    if resend.rotate {
        invitation.generation = invitation.generation.checked_add(1).ok_or(Refusal::RotationsUsedUp)?;
        invitation.key_id = context.signing_key;
    }
    invitation.touch(loaded.now);
    let mut maker = Maker::new(loaded, command);
    let deliveries = maker.deliveries(&invitation);
    invitation.deliveries += u32::try_from(deliveries.len()).unwrap_or(u32::MAX);
    let data = [
        ("rotated", resend.rotate.into()),
        ("expire_time", invitation.facts.expire_at.map(|expire_at| expire_at.to_string()).into()),
        ("mailed", deliveries.len().into()),
    ];
    let events = vec![maker.event(&invitation, EventType::Resent, data)];
    let id = invitation.id;
    let invitation = Some(Change::Update { invitation, unexpired: false });
    Ok(Decided::changed(id, Changes { invitation, events, deliveries, ..Changes::default() }))
}
