//! Updates the fields of a guest invitation that its caller sets: its expiry, its parent organization, and whether it
//! is archived.

#[cfg(test)]
mod tests;
use uuid::Uuid;

use super::{Command, CommandRules, Expiry, ReadSet, Target};
use crate::domain::decide::{Change, Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::payload::{EmptyPayload, UpdatedPayload};
use crate::domain::invitation::event::{EventType, Payload};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot_plan::SlotPlan;
use crate::domain::invitation::state::State;
use crate::domain::kind::{Details, Kind};
use crate::domain::value::time::Timestamp;

/// Updates the caller-set fields of a guest invitation; a field that is `None` stays.
#[derive(Clone, Debug)]
pub struct UpdateGuestInvitation {
    /// The invitation.
    pub target: Target,
    /// The new expiry.
    pub expiry: Option<Expiry>,
    /// Whether it is archived.
    pub archived: Option<bool>,
    /// The parent organization; the inner `None` clears it.
    pub parent_organization_id: Option<Option<Uuid>>,
    /// Its name; the inner `None` clears it.
    pub parent_organization_name: Option<Option<String>>,
}

impl CommandRules for UpdateGuestInvitation {
    fn read_set(&self) -> ReadSet {
        ReadSet::of_named(&self.target)
    }

    fn second_read_set(&self, invitation: &Invitation, _now: Timestamp) -> ReadSet {
        ReadSet::of_slots(invitation)
    }

    fn weight(&self, reminders: &Schedules) -> usize {
        6 + reminders.get(Kind::Guest).len()
    }

    fn bytes(&self) -> usize {
        0
    }

    fn decide(&self, loaded: &Loaded, command: &Command, context: &Context) -> Result<Decided, Refusal> {
        let before = loaded.named(command, &self.target)?;
        let mut maker = Maker::new(loaded, command);
        let mut invitation = maker.touched(before);
        let mut fields = change_details(&mut invitation, self)?;
        if let Some(expiry) = self.expiry {
            let expire_at = expiry.at(loaded.now, before.details.kind().lifetime())?;
            if invitation.facts.expire_at != expire_at {
                match before.state_at(loaded.now) {
                    State::Active | State::Expired => {}
                    ended @ (State::Revoked | State::Declined | State::Fulfilled) => ended.require_active()?,
                }
                invitation.facts.expire_at = expire_at;
                fields.push("expire_time");
            }
        }
        let mut events = Vec::new();
        if !fields.is_empty() {
            let expire_at = invitation.facts.expire_at.filter(|_| fields.contains(&"expire_time"));
            let fields = fields.into_iter().map(str::to_owned).collect();
            let payload = UpdatedPayload { fields, expire_at, ..UpdatedPayload::default() };
            events.push(maker.event(&invitation, EventType::Updated, Payload::Updated(payload)));
        }
        match self.archived {
            Some(true) if before.archived_at.is_none() => {
                invitation.archived_at = Some(loaded.now);
                events.push(maker.event(&invitation, EventType::Archived, Payload::Archived(EmptyPayload {})));
            }
            Some(false) if before.archived_at.is_some() => {
                invitation.archived_at = None;
                events.push(maker.event(&invitation, EventType::Unarchived, Payload::Unarchived(EmptyPayload {})));
            }
            Some(_) | None => {}
        }
        if events.is_empty() {
            return Ok(Decided::unchanged(before.id));
        }
        // An update that makes it ACTIVE again, or keeps it so for longer, has to win its slot again.
        let slots = if invitation.holds_slots_at(loaded.now) {
            SlotPlan::of(loaded, &invitation).unrivalled(&invitation)?
        } else {
            Vec::new()
        };
        let deliveries = maker.reminders_if_moved(before, &invitation, context);
        let invitations = vec![Change::Update { invitation, unexpired: false }];
        Ok(Decided::changed(before.id, Changes { invitations, slots, events, deliveries, ..Changes::default() }))
    }
}

/// Updates the parent organization and returns the fields that have changed.
fn change_details(invitation: &mut Invitation, update: &UpdateGuestInvitation) -> Result<Vec<&'static str>, Refusal> {
    let Details::Guest(details) = &mut invitation.details else { return Err(Refusal::InvitationNotFound) };
    let mut fields = Vec::new();
    if let Some(id) = update.parent_organization_id.filter(|id| *id != details.parent_organization_id) {
        details.parent_organization_id = id;
        fields.push("parent_organization_id");
    }
    if let Some(name) =
        update.parent_organization_name.as_ref().filter(|name| **name != details.parent_organization_name)
    {
        details.parent_organization_name.clone_from(name);
        fields.push("parent_organization_name");
    }
    Ok(fields)
}
