//! Updates an invitation that exists: the fields that its caller sets, and its recipients. The link stays.
//!
//! Acceptances keep what they were given: nothing of an update reaches them.

mod fields;
mod fixed;
mod recipients;
#[cfg(test)]
mod tests;
mod told;

use super::{Command, CommandRules, ReadSet, Target};
use crate::domain::decide::{Change, Changes, Context, Decided, Maker};
use crate::domain::delivery::NewDelivery;
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::event::payload::{EmptyPayload, FulfilledPayload, UpdatedPayload};
use crate::domain::invitation::event::{EventType, NewEvent, Payload};
use crate::domain::invitation::recipient::NewRecipient;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot::{Slot, SlotKey};
use crate::domain::invitation::slot_plan::SlotPlan;
use crate::domain::invitation::state::State;
use crate::domain::kind::Kind;
use crate::domain::value::time::Timestamp;
pub use fields::{JsonUpdate, MapUpdate, UpdatedFields};
pub use fixed::{DEFAULT_SOURCE, Fixed, FixedField, KeptText};
use recipients::ChangedRecipients;
pub(in crate::domain) use told::GIVING_FIELDS;
use told::Told;

/// Updates an invitation.
#[derive(Clone, Debug)]
pub struct UpdateInvitation {
    /// The invitation.
    pub target: Target,
    /// The kind that the called service updates.
    pub service: Kind,
    /// The new values of fields.
    pub fields: UpdatedFields,
    /// The fields that no update changes, as an update of the whole invitation repeats them.
    pub fixed: Vec<FixedField>,
    /// The recipients that are added, with distinct addresses.
    pub added: Vec<NewRecipient>,
    /// The ordinals of the recipients that are removed.
    pub removed: Vec<u16>,
    /// Whether those who are added are mailed their links.
    pub mails_added: bool,
}

impl CommandRules for UpdateInvitation {
    fn read_set(&self) -> ReadSet {
        ReadSet::of_named(&self.target)
    }

    fn second_read_set(&self, invitation: &Invitation, _now: Timestamp) -> ReadSet {
        let present = invitation.addresses();
        let addresses = present.chain(self.added.iter().map(|added| &added.address));
        ReadSet { slots: SlotKey::of(&invitation.details, addresses), ..ReadSet::default() }
    }

    fn weight(&self, reminders: &Schedules) -> usize {
        // The recipients of a moved expiry are not known before the load; this is enough for most.
        let reminders = reminders.get(self.service).len();
        8 + reminders + self.added.len() * (3 + reminders) + self.removed.len() * 2 + self.fields.rows()
    }

    fn bytes(&self) -> usize {
        self.fields.bytes() + self.added.iter().map(NewRecipient::bytes).sum::<usize>()
    }

    fn decide(&self, loaded: &Loaded, command: &Command, context: &Context) -> Result<Decided, Refusal> {
        let before = loaded.named(command, &self.target)?;
        if before.details.kind() != self.service {
            return Err(Refusal::WrongKind(before.details.kind()));
        }
        fixed::check(&self.fixed, before)?;
        let mut maker = Maker::new(loaded, command);
        let mut invitation = maker.touched(before);
        let mut told = self.fields.apply(&mut invitation, loaded.now)?;
        let changed = recipients::change(&mut invitation, &self.added, &self.removed)?;
        self.check_state(before, &invitation, &told, &changed, loaded.now)?;
        told.recipients(&changed);
        self.archive(&mut invitation, loaded.now);
        if told.is_empty() && before.archived_at == invitation.archived_at {
            return Ok(Decided::unchanged(before.id));
        }
        let (slots, freed) = (taken(loaded, before, &invitation)?, freed(before, &invitation));
        let mut deliveries = self.deliveries(&mut maker, &mut invitation, &changed);
        let mailed_count = deliveries.len();
        deliveries.extend(self.reminders(&maker, before, &mut invitation, (&changed, context))?);
        let events = events(&mut maker, before, &invitation, told.payload(mailed_count));
        let invitations = vec![Change::Update { invitation, unexpired: false }];
        let removed = changed.removed;
        let changes = Changes { invitations, slots, freed, removed, events, deliveries, ..Changes::default() };
        Ok(Decided::changed(before.id, changes))
    }

    fn may_open(&self) -> bool {
        true
    }

    fn invited(&self) -> &[NewRecipient] {
        &self.added
    }

    fn mails_invited(&self) -> bool {
        self.mails_added
    }
}

impl UpdateInvitation {
    /// Refuses to change what an ended invitation offers, unless more uses open it again. What only its caller reads can always
    /// be changed.
    fn check_state(
        &self,
        before: &Invitation,
        after: &Invitation,
        told: &Told,
        changed: &ChangedRecipients,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if !told.changes_the_offer() && changed.is_empty() {
            return Ok(());
        }
        let use_count = after.facts.use_count;
        if after.facts.max_uses.is_some_and(|max_uses| max_uses < use_count) {
            return Err(Refusal::MaxUsesBelowUseCount(use_count));
        }
        match (before.state_at(now), after.state_at(now)) {
            (State::Active | State::Expired, _) | (_, State::Active | State::Expired) => {}
            (ended, _) => ended.require_active()?,
        }
        if self.mails_added && !changed.added.is_empty() {
            after.state_at(now).require_active()?;
        }
        Ok(())
    }

    fn archive(&self, invitation: &mut Invitation, now: Timestamp) {
        match self.fields.archived {
            Some(true) => invitation.archived_at = invitation.archived_at.or(Some(now)),
            Some(false) => invitation.archived_at = None,
            None => {}
        }
    }

    /// Creates the messages to those who are added.
    fn deliveries(
        &self,
        maker: &mut Maker<'_>,
        invitation: &mut Invitation,
        changed: &ChangedRecipients,
    ) -> Vec<NewDelivery> {
        let mailed = if self.mails_added { mailable(invitation, &changed.added) } else { Vec::new() };
        let deliveries = maker.deliveries_to(invitation, &mailed);
        invitation.sent(deliveries.len(), maker.loaded.now);
        deliveries
    }

    /// Plans the reminders of those who are added and mailed, as of a new invitation, and anew those of all others if the expiry has
    /// moved. Whoever is added without mail is not reminded of a mail that they never had.
    fn reminders(
        &self,
        maker: &Maker<'_>,
        before: &Invitation,
        invitation: &mut Invitation,
        (changed, context): (&ChangedRecipients, &Context),
    ) -> Result<Vec<NewDelivery>, Refusal> {
        let mut reminders = maker.reminders_if_moved(before, invitation, &changed.added, context)?;
        if self.mails_added && invitation.mails {
            let schedule = context.reminders.get(invitation.details.kind());
            let planned = schedule.for_new(invitation.facts.expire_at, maker.loaded.now);
            let mailed = mailable(invitation, &changed.added);
            reminders.extend(maker.reminders_to(invitation, mailed.into_iter(), &planned));
        }
        Ok(reminders)
    }
}

/// Returns those of some recipients that have an e-mail address.
fn mailable(invitation: &Invitation, ordinals: &[u16]) -> Vec<u16> {
    let has_email = |ordinal: &u16| invitation.recipient(*ordinal).is_some_and(|named| named.email().is_some());
    ordinals.iter().copied().filter(has_email).collect()
}

/// Returns the slots of an invitation that is open, by the addresses that it has now.
fn slots_of(invitation: &Invitation) -> Vec<SlotKey> {
    SlotKey::of(&invitation.details, invitation.addresses())
}

/// Takes the slots that the invitation has to win: an update that opens it again, keeps it open for longer or adds a recipient.
fn taken(loaded: &Loaded, before: &Invitation, after: &Invitation) -> Result<Vec<(SlotKey, Slot)>, Refusal> {
    let held = slots_of(before);
    let is_same = before.facts == after.facts
        && before.archived_at == after.archived_at
        && slots_of(after).iter().all(|key| held.contains(key));
    if is_same || !after.holds_slots_at(loaded.now) {
        return Ok(Vec::new());
    }
    SlotPlan::of(loaded, after).unrivalled(after)
}

/// Returns the slots that the invitation gives up with its recipients.
fn freed(before: &Invitation, after: &Invitation) -> Vec<SlotKey> {
    let kept = slots_of(after);
    slots_of(before).into_iter().filter(|key| !kept.contains(key)).collect()
}

/// Creates the events: of the change, of the end by a lower number of uses, and of the flag.
fn events(
    maker: &mut Maker<'_>,
    before: &Invitation,
    after: &Invitation,
    payload: Option<UpdatedPayload>,
) -> Vec<NewEvent> {
    let mut events = Vec::new();
    if let Some(payload) = payload {
        events.push(maker.event(after, EventType::Updated, Payload::Updated(Box::new(payload))));
    }
    let is_used_up = |invitation: &Invitation| invitation.facts.remaining_uses() == Some(0);
    if is_used_up(after) && !is_used_up(before) {
        let payload = FulfilledPayload { use_count: after.facts.use_count };
        events.push(maker.event(after, EventType::Fulfilled, Payload::Fulfilled(payload)));
    }
    match (before.archived_at, after.archived_at) {
        (None, Some(_)) => {
            events.push(maker.event(after, EventType::Archived, Payload::Archived(EmptyPayload {})));
        }
        (Some(_), None) => {
            events.push(maker.event(after, EventType::Unarchived, Payload::Unarchived(EmptyPayload {})));
        }
        (None, None) | (Some(_), Some(_)) => {}
    }
    events
}
