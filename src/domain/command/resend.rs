//! Sends an invitation again, renews it, and replaces its link where that is asked for.

use super::{Command, Expiry, ResendInvitation};
use crate::domain::decide::{Change, Changes, Context, Decided, Maker};
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::event::EventType;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot_plan::Claim;
use crate::domain::invitation::state::State;
use crate::domain::kind::Kind;
use crate::domain::kind::general::Usage;
use crate::domain::value::time::Ttl;

pub(in crate::domain) fn decide(
    loaded: &Loaded,
    command: &Command,
    resend: &ResendInvitation,
    context: &Context,
) -> Result<Decided, Refusal> {
    let invitation = loaded.named(command, &resend.target)?;
    // A field, so it is judged before the state.
    let too_long = matches!(resend.expiry, Some(Expiry::After(ttl)) if ttl > Ttl::YEAR);
    if too_long && invitation.details.kind() == Kind::User {
        let description = "must be at most 365 days for a user invitation";
        return Err(Refusal::InvalidField { field: "ttl", description });
    }
    let expire_at = resend.expiry.map(|expiry| expiry.at(loaded.now)).transpose()?;
    match invitation.state_at(loaded.now) {
        State::Active => {}
        State::Expired if expire_at.is_some() => {}
        closed @ (State::Expired | State::Revoked | State::Declined | State::Fulfilled) => closed.require_active()?,
    }
    let mut maker = Maker::new(loaded, command);
    let (before, mut invitation) = (invitation, maker.touched(invitation));
    let mut slots = Vec::new();
    if expire_at.is_some() {
        if invitation.details.usage() == Some(Usage::Autojoin) {
            return Err(Refusal::InvalidField {
                field: "ttl",
                description: "must not be set: an auto-join never expires",
            });
        }
        invitation.facts.expire_at = expire_at;
        slots = Claim::of(loaded, &invitation).unrivalled(&invitation)?;
    }
    if resend.rotate {
        invitation.generation = invitation.generation.checked_add(1).ok_or(Refusal::RotationsUsedUp)?;
        invitation.key_id = context.signing_key;
    }
    let mut deliveries = maker.deliveries(&invitation);
    invitation.sent(deliveries.len(), loaded.now);
    let data = [
        ("rotated", resend.rotate.into()),
        ("expire_time", invitation.facts.expire_at.map(|expire_at| expire_at.to_string()).into()),
        ("mailed", deliveries.len().into()),
    ];
    let events = vec![maker.event(&invitation, EventType::Resent, data)];
    deliveries.extend(maker.reminders_if_moved(before, &invitation, context));
    let id = invitation.id;
    let invitations = vec![Change::Update { invitation, unexpired: false }];
    Ok(Decided::changed(id, Changes { invitations, slots, events, deliveries, ..Changes::default() }))
}
