//! Creates an invitation of any kind.

#[cfg(test)]
mod tests;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::revoke::revoked;
use super::{Command, CommandRules, Expiry, ExpiryTime, OpenSearch, ReadSet, text_bytes};
use crate::domain::decide::{Change, Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::delivery::repeats::Repeats;
use crate::domain::group::loaded::{Loaded, Rivals};
use crate::domain::invitation::event::payload::{CreatedPayload, RevokedPayload};
use crate::domain::invitation::event::{EventType, NewEvent, Payload};
use crate::domain::invitation::recipient::{NewRecipient, Recipient};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::invitation::slot::SlotKey;
use crate::domain::invitation::slot_plan::SlotPlan;
use crate::domain::invitation::state::Facts;
use crate::domain::invitation::unknown_fields::UnknownFields;
use crate::domain::invitation::{Engagement, Invitation};
use crate::domain::kind::Details;
use crate::domain::value::email::Email;
use crate::domain::value::id::InvitationId;

/// The reaction to an ACTIVE invitation that holds the place of the new one: of a general one, the same target and scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// Creates another one.
    #[default]
    Allow,
    /// Refuses the command.
    Reject,
    /// Creates nothing and returns the newest existing one.
    ReturnExisting,
    /// Revokes the existing ones and creates the invitation.
    Replace,
}

/// The outcome of a create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateOutcome {
    /// The invitation was created.
    Created,
    /// Nothing was created; the existing invitation differs from the command in these fields.
    Existing(Vec<String>),
    /// The invitation was created in place of these; `None` stands for one that exists only in the same dry run.
    Replaced(Vec<Option<InvitationId>>),
}

/// Creates an invitation of any kind.
#[derive(Clone, Debug)]
pub struct CreateInvitation {
    /// The details of its kind.
    pub details: Details,
    /// The most acceptances, `None` for any number.
    pub max_uses: Option<u32>,
    /// The expiry; `None` for an invitation that never expires.
    pub expiry: Option<Expiry>,
    /// The recipients, with distinct addresses.
    pub recipients: Vec<NewRecipient>,
    /// Whether each recipient with an e-mail address is mailed their own link.
    pub mails: bool,
    /// The caller's own labels.
    pub labels: BTreeMap<String, String>,
    /// The reaction to an ACTIVE invitation that holds one of its places.
    pub on_conflict: OnConflict,
}

impl CreateInvitation {
    /// Returns the addresses that a link can be mailed to.
    pub fn emails(&self) -> impl Iterator<Item = &Email> {
        self.recipients.iter().filter_map(|recipient| recipient.address.email())
    }

    /// Returns the slots that it takes.
    fn slots(&self) -> Vec<SlotKey> {
        SlotKey::of(&self.details, self.recipients.iter().map(|recipient| &recipient.address))
    }

    /// Returns the fields in which an existing invitation differs from the one that the command would create. A time to live
    /// is not compared: it would begin now.
    fn differing_fields(&self, existing: &Invitation) -> Vec<String> {
        let (wanted, found) = (details_json(&self.details), details_json(&existing.details));
        let names: BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
        let differing = names.into_iter().filter(|name| wanted.get(*name) != found.get(*name));
        let field = |name: &String| match name.as_str() {
            // These follow from other fields, or were not the caller's.
            "exclusive" | "explicit_scope" | "domains" | "accepted" | "replaced" => None,
            "usage" => Some("invitation_type".to_owned()),
            name => Some(name.to_owned()),
        };
        let mut fields: Vec<_> = differing.filter_map(field).collect();
        let expires = match self.expiry.map(|expiry| expiry.time) {
            Some(ExpiryTime::At(at)) => existing.facts.expire_at != Some(at),
            Some(ExpiryTime::Never) | None => existing.facts.expire_at.is_some(),
            Some(ExpiryTime::After(_)) => existing.facts.expire_at.is_none(),
        };
        let same_people = self.recipients.len() == existing.recipients.len()
            && self.recipients.iter().all(|new| existing.recipients.iter().any(|known| known.is(new)));
        let others = [
            ("expire_time", expires),
            ("labels", self.labels != existing.labels),
            ("max_uses", self.max_uses != existing.facts.max_uses),
            ("mailed", self.mails != existing.mails),
            (self.details.recipients_field(), !same_people),
        ];
        fields.extend(others.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned()));
        fields
    }

    /// Returns the search for invitations that it may conflict with, beside the holders of its slots.
    pub fn open_search(&self) -> Option<OpenSearch> {
        let general = self.details.general().filter(|_| self.on_conflict != OnConflict::Allow)?;
        let addresses = self.recipients.iter().map(|recipient| &recipient.address);
        let addresses = addresses.filter(|address| address.names_a_person()).cloned().collect();
        Some(OpenSearch { scope: general.scope.clone(), addresses })
    }
}

impl CommandRules for CreateInvitation {
    fn read_set(&self) -> ReadSet {
        ReadSet { slots: self.slots(), open_search: self.open_search(), ..ReadSet::default() }
    }

    fn weight(&self, reminders: &Schedules) -> usize {
        let messages = if self.mails { 1 + reminders.get(self.details.kind()).len() } else { 0 };
        let searched = self.open_search().map_or(0, |search| search.addresses.len());
        3 + self.labels.len() + self.details.groups().len() + self.recipients.len() * (2 + messages) + searched
    }

    fn bytes(&self) -> usize {
        let labels = self.labels.iter().map(|(key, value)| text_bytes([key, value])).sum::<usize>();
        let recipients = self.recipients.iter().map(NewRecipient::bytes).sum::<usize>();
        self.details.bytes() + labels + recipients
    }

    fn decide(&self, loaded: &Loaded, command: &Command, context: &Context) -> Result<Decided, Refusal> {
        let mut maker = Maker::new(loaded, command);
        let mut invitation = new_invitation(&mut maker, self, context)?;
        let SlotPlan { slots, mut rivals, .. } = SlotPlan::of(loaded, &invitation).readable(&invitation)?;
        let open = self.open_search().map(|search| loaded.rivals(command.account(), &search));
        if open.as_ref().is_some_and(|open| open.is_crowded) {
            return Err(Refusal::TooManyRivals);
        }
        rivals.extend(open.into_iter().flat_map(|open| open.ids));
        rivals.sort();
        rivals.dedup();
        if let Some(newest) = rivals.last() {
            match self.on_conflict {
                OnConflict::ReturnExisting => {
                    let existing = read(loaded, command, *newest)?;
                    return Ok(Decided::unchanged(existing.id));
                }
                OnConflict::Replace => {}
                OnConflict::Allow | OnConflict::Reject => {
                    return Err(Refusal::InvitationExists(*newest, self.details.kind()));
                }
            }
        }

        invitation.details.shared_mut().replaced.clone_from(&rivals);
        let mut deliveries = maker.deliveries(&invitation);
        invitation.sent(deliveries.len(), loaded.now);
        let mut events = vec![created(&mut maker, &invitation, deliveries.len())];
        let schedule = context.reminders.get(invitation.details.kind());
        deliveries.extend(maker.reminders(&invitation, &schedule.for_new(invitation.facts.expire_at, loaded.now)));
        let id = invitation.id;
        let mut invitations = vec![Change::Create(invitation)];
        for rival in rivals {
            let payload = RevokedPayload { replaced_by: Some(id), ..RevokedPayload::default() };
            let rival = revoked(&mut maker, read(loaded, command, rival)?, payload);
            events.push(rival.1);
            invitations.push(rival.0);
        }
        Ok(Decided::changed(id, Changes { invitations, slots, events, deliveries, ..Changes::default() }))
    }

    fn create(&self) -> Option<&CreateInvitation> {
        Some(self)
    }

    fn may_open(&self) -> bool {
        true
    }

    fn found_to_read(&self, loaded: &Loaded, rivals: &Rivals) -> Vec<InvitationId> {
        match self.on_conflict {
            // A refusal shows no more than the name.
            OnConflict::Allow | OnConflict::Reject => Vec::new(),
            _ if rivals.is_crowded => Vec::new(),
            // In a group of several callers' commands, another one may end the newest.
            OnConflict::ReturnExisting if !loaded.is_shared() => rivals.ids.last().copied().into_iter().collect(),
            OnConflict::ReturnExisting | OnConflict::Replace => rivals.ids.clone(),
        }
    }

    fn create_outcome(&self, answered: &Invitation, created: bool) -> Option<CreateOutcome> {
        Some(match answered.details.shared().replaced.as_slice() {
            _ if !created => CreateOutcome::Existing(self.differing_fields(answered)),
            [] => CreateOutcome::Created,
            replaced => CreateOutcome::Replaced(replaced.iter().copied().map(Some).collect()),
        })
    }

    fn made_link(&self, present: &Invitation, actor: &str) -> bool {
        present.generation == 0 && present.creator == actor
    }
}

/// Returns an invitation that was found, if it was read: of a batch that is decided as a whole, not more than a command may
/// compare are read.
fn read<'a>(loaded: &'a Loaded, command: &Command, id: InvitationId) -> Result<&'a Arc<Invitation>, Refusal> {
    loaded.invitation(command.account(), id).map_err(|_| Refusal::TooManyRivals)
}

fn details_json(details: &Details) -> Map<String, Value> {
    match serde_json::to_value(details) {
        Ok(Value::Object(mut fields)) => {
            fields.retain(|_, value| !value.is_null());
            fields
        }
        // Details that cannot be written are refused by the save.
        Ok(_) | Err(_) => Map::new(),
    }
}

/// Creates the event of a new invitation.
pub(in crate::domain) fn created(maker: &mut Maker<'_>, invitation: &Invitation, mailed_count: usize) -> NewEvent {
    let recipient_count = invitation.recipients.len();
    let payload = CreatedPayload { recipient_count, mailed_count, expire_at: invitation.facts.expire_at };
    maker.event(invitation, EventType::Created, Payload::Created(payload))
}

/// Returns a new invitation.
pub(in crate::domain) fn new_invitation(
    maker: &mut Maker<'_>,
    create: &CreateInvitation,
    context: &Context,
) -> Result<Invitation, Refusal> {
    let (now, actor) = (maker.loaded.now, &maker.command.actor);
    let lifetime = create.details.kind().lifetime();
    let expire_at = create.expiry.map(|expiry| expiry.at(now, lifetime)).transpose()?.flatten();
    let recipients = (1..).zip(&create.recipients).map(|(ordinal, new)| Recipient::new(ordinal, new.clone()));
    Ok(Invitation {
        id: InvitationId(maker.id()),
        account: maker.command.account().clone(),
        details: create.details.clone(),
        unknown: UnknownFields::default(),
        facts: Facts::new(create.max_uses, expire_at),
        revision: 1,
        generation: 0,
        key_id: context.signing_key,
        mails: create.mails,
        recipients: recipients.collect(),
        further_recipients: 0,
        labels: create.labels.clone(),
        creator: actor.clone(),
        updater: actor.clone(),
        archived_at: None,
        deleted_at: None,
        expiry_told_at: None,
        first_sent_at: None,
        last_sent_at: None,
        repeats: Repeats::default(),
        created_at: now,
        updated_at: now,
        engagement: Engagement::default(),
        deliveries: 0,
        latest_delivery: None,
        acceptances: Vec::new(),
    })
}
