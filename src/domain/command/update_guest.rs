//! Updates the fields of a guest invitation that its caller sets: its expiry, its parent organization, and whether it
//! is archived.

#[cfg(test)]
mod tests;
use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Command, CommandRules, Expiry, ExpiryTime, ReadSet, Target};
use crate::domain::decide::{Change, Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::payload::{EmptyPayload, UpdatedPayload};
use crate::domain::invitation::event::{EventType, Payload};
use crate::domain::invitation::recipient::Address;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot_plan::SlotPlan;
use crate::domain::invitation::state::State;
use crate::domain::kind::shared::SharedDetails;
use crate::domain::kind::{Details, Kind};
use crate::domain::value::email::Email;
use crate::domain::value::rule::{FieldRule, Invalid};
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
    /// The fields that cannot be updated, as an update of the whole invitation repeats them.
    pub fixed: Box<FixedFields>,
}

/// The fields of a guest invitation that no update changes. One that is set has to be as it is in the invitation: a caller that
/// changes it would otherwise be told that it has.
#[derive(Clone, Debug, Default)]
pub struct FixedFields {
    /// The guest's address.
    pub email: Option<Email>,
    /// The fields that every kind has.
    pub shared: SharedDetails,
    /// The caller's own labels; empty means that they are not set.
    pub labels: BTreeMap<String, String>,
}

impl FixedFields {
    fn check(&self, invitation: &Invitation) -> Result<(), Refusal> {
        let email = self.email.clone().map(Address::Email);
        let (given, kept) = (&self.shared, invitation.details.shared());
        let fields = [
            ("guest_invitation.email", email.is_none_or(|email| invitation.addresses().any(|known| known.is(&email)))),
            ("guest_invitation.inviter", is_kept(&given.inviter, &kept.inviter)),
            ("guest_invitation.scope_display_name", is_kept(&given.scope_display_name, &kept.scope_display_name)),
            ("guest_invitation.message", is_kept(&given.message, &kept.message)),
            ("guest_invitation.locale", is_kept(&given.locale, &kept.locale)),
            ("guest_invitation.redirect_uri", is_kept(&given.redirect_uri, &kept.redirect_uri)),
            ("guest_invitation.labels", self.labels.is_empty() || self.labels == invitation.labels),
            ("guest_invitation.metadata", is_kept(&given.metadata, &kept.metadata)),
        ];
        let invalid = Invalid::new(FieldRule::NotAllowed, "must be unset or as it is: it cannot be updated");
        let changed = fields.into_iter().find(|(_, kept)| !kept);
        changed.map_or(Ok(()), |(field, _)| Err(Refusal::InvalidField { field, invalid }))
    }
}

fn is_kept<T: PartialEq>(given: &Option<T>, kept: &Option<T>) -> bool {
    given.is_none() || given == kept
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
        self.fixed.check(before)?;
        let mut maker = Maker::new(loaded, command);
        let mut invitation = maker.touched(before);
        let mut fields = change_details(&mut invitation, self)?;
        // The present expiry is no change, even where it has passed.
        let present = before.facts.expire_at.map(ExpiryTime::At);
        if let Some(expiry) = self.expiry.filter(|expiry| Some(expiry.time) != present) {
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
        let deliveries = maker.reminders_if_moved(before, &mut invitation, context)?;
        let invitations = vec![Change::Update { invitation, unexpired: false }];
        Ok(Decided::changed(before.id, Changes { invitations, slots, events, deliveries, ..Changes::default() }))
    }

    fn may_open(&self) -> bool {
        true
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
