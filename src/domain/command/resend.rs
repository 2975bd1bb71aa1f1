//! Sends an invitation again, renews it, and replaces its link if the caller asks for that.

#[cfg(test)]
mod tests;
use super::{Command, CommandRules, Expiry, ReadSet, Target};
use crate::domain::decide::{Change, Changes, Context, Decided, Maker};
use crate::domain::delivery::NewDelivery;
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::payload::ResentPayload;
use crate::domain::invitation::event::{EventType, Payload};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot_plan::SlotPlan;
use crate::domain::invitation::state::State;
use crate::domain::kind::general::Usage;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::time::Timestamp;

/// Sends an invitation again.
#[derive(Clone, Debug)]
pub struct ResendInvitation {
    /// The invitation.
    pub target: Target,
    /// Whether a new link replaces all earlier ones.
    pub rotate: bool,
    /// The new expiry; `None` leaves it as it is.
    pub expiry: Option<Expiry>,
    /// Whether the recipients are mailed; `None` mails them if the invitation's links are mailed at all.
    pub send_email: Option<bool>,
    /// The ordinals of the only recipients who are mailed, also if the invitation's links are not; empty for all.
    pub recipients: Vec<u16>,
}

impl ResendInvitation {
    /// Checks that the named recipients can be mailed. An answer is a wrong state, which is reported after wrong fields.
    fn check_recipients(&self, invitation: &Invitation) -> Result<(), Refusal> {
        for (index, ordinal) in self.recipients.iter().enumerate() {
            let invalid = match invitation.recipient(*ordinal) {
                None => Invalid::new(FieldRule::UnknownValue, "must be a recipient of the invitation"),
                Some(named) if named.email().is_none() => {
                    Invalid::new(FieldRule::NotAllowed, "must be a recipient with an e-mail address")
                }
                Some(_) => continue,
            };
            return Err(Refusal::InvalidEntry { field: "recipients", index, invalid });
        }
        Ok(())
    }

    fn check_answers(&self, invitation: &Invitation) -> Result<(), Refusal> {
        let named = self.recipients.iter().filter_map(|ordinal| invitation.recipient(*ordinal));
        let answered = named.into_iter().find(|recipient| !recipient.is_open());
        answered.map_or(Ok(()), |recipient| Err(Refusal::RecipientAnswered(invitation.id, recipient.ordinal)))
    }

    /// Creates the messages to the recipients who are mailed.
    fn deliveries(&self, maker: &mut Maker<'_>, invitation: &Invitation) -> Vec<NewDelivery> {
        match self.send_email {
            Some(false) => Vec::new(),
            Some(true) | None if self.recipients.is_empty() => maker.deliveries(invitation),
            Some(true) | None => maker.deliveries_to(invitation, &self.recipients),
        }
    }
}

impl CommandRules for ResendInvitation {
    fn read_set(&self) -> ReadSet {
        ReadSet::of_named(&self.target)
    }

    fn second_read_set(&self, invitation: &Invitation, _now: Timestamp) -> ReadSet {
        ReadSet::of_slots(invitation)
    }

    fn weight(&self, reminders: &Schedules) -> usize {
        // The recipients who are mailed again are not known before the load; this is enough for most.
        8 + reminders.most()
    }

    fn decide(&self, loaded: &Loaded, command: &Command, context: &Context) -> Result<Decided, Refusal> {
        let invitation = loaded.named(command, &self.target)?;
        // A wrong field is reported before a wrong state.
        let lifetime = invitation.details.kind().lifetime();
        let renewed = self.expiry.map(|expiry| expiry.at(loaded.now, lifetime)).transpose()?;
        self.check_recipients(invitation)?;
        match invitation.state_at(loaded.now) {
            State::Active => {}
            State::Expired if renewed.is_some() => {}
            closed @ (State::Expired | State::Revoked | State::Declined | State::Fulfilled) => {
                closed.require_active()?;
            }
        }
        self.check_answers(invitation)?;
        let mut maker = Maker::new(loaded, command);
        let (before, mut invitation) = (invitation, maker.touched(invitation));
        let mut slots = Vec::new();
        if let (Some(expire_at), Some(Expiry { field, .. })) = (renewed, self.expiry) {
            if invitation.details.usage() == Some(Usage::Autojoin) {
                let description = "must not be set: an auto-join never expires";
                let invalid = Invalid::new(FieldRule::NotAllowed, description);
                return Err(Refusal::InvalidField { field, invalid });
            }
            invitation.facts.expire_at = expire_at;
            slots = SlotPlan::of(loaded, &invitation).unrivalled(&invitation)?;
        }
        if self.rotate {
            invitation.generation = invitation.generation.checked_add(1).ok_or(Refusal::RotationsUsedUp)?;
            invitation.key_id = context.signing_key;
        }
        if self.send_email == Some(true) {
            if invitation.recipients.iter().all(|recipient| recipient.email().is_none()) {
                let description = "needs a recipient with an e-mail address";
                let invalid = Invalid::new(FieldRule::Conflicts, description);
                return Err(Refusal::InvalidField { field: "send_email", invalid });
            }
            invitation.mails = true;
        }
        let mut deliveries = self.deliveries(&mut maker, &invitation);
        // A resend that mails nobody only renews or replaces the link.
        if !deliveries.is_empty() {
            invitation.repeats.count_resend(loaded.now, &context.quotas.resends)?;
        }
        let reminders = maker.reminders_if_moved(before, &mut invitation, &[], context)?;
        invitation.sent(deliveries.len(), loaded.now);
        let (mailed_count, expire_at) = (deliveries.len(), invitation.facts.expire_at);
        let payload = ResentPayload { rotated: self.rotate, mailed_count, expire_at };
        let events = vec![maker.event(&invitation, EventType::Resent, Payload::Resent(payload))];
        deliveries.extend(reminders);
        let id = invitation.id;
        let invitations = vec![Change::Update { invitation, unexpired: false }];
        Ok(Decided::changed(id, Changes { invitations, slots, events, deliveries, ..Changes::default() }))
    }

    fn may_open(&self) -> bool {
        true
    }

    fn may_mail_again(&self) -> bool {
        true
    }

    fn made_link(&self, present: &Invitation, actor: &str) -> bool {
        self.rotate && present.updater == actor
    }
}
