//! The data of people that a group takes out of stored rows, and out of those that it is going to store itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Group;
use crate::domain::decide::AcceptanceChange;
use crate::domain::delivery::{NewDelivery, REMOVED};
use crate::domain::erasure::{ErasedRows, Erasure};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::slot::SlotKey;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;

/// The data of people to take out of stored rows.
#[derive(Clone, Debug, Default)]
pub struct Erasures {
    /// Slots that invitations give up, because their keys have an address that is erased or removed.
    pub slots: BTreeMap<(AccountId, SlotKey), InvitationId>,
    /// The events and messages, by invitation.
    pub rows: BTreeMap<InvitationId, (AccountId, ErasedRows)>,
}

impl Group {
    pub(super) fn take_in_erasure(&mut self, about: &Arc<Invitation>, erasure: Erasure) {
        let Erasure { acceptances, slots, mut rows } = erasure;
        let account = &about.account;
        for acceptance in acceptances {
            self.take_in_acceptance(Some(AcceptanceChange::Update(acceptance)), Arc::clone(about));
        }
        self.free_slots(about, slots);
        // A statement changes a message once: what the erasure does to it includes the rest.
        let gone: Vec<_> = self.save.removed.keys().filter(|(id, _)| *id == about.id).copied().collect();
        for key in gone {
            self.save.removed.remove(&key);
            rows.recipients.insert(key.1);
        }
        for event in self.save.events.iter_mut().filter(|event| event.invitation == about.id) {
            rows.erase_event(event);
        }
        let all = self.save.erasures.rows.entry(about.id).or_insert_with(|| (account.clone(), ErasedRows::default()));
        all.1.add(rows);
    }

    /// Notes the slots that an invitation gives up, unless another one takes them over.
    pub(super) fn free_slots(&mut self, about: &Invitation, slots: Vec<SlotKey>) {
        for key in slots {
            let key = (about.account.clone(), key);
            // An earlier command of the group may have taken it.
            self.save.slots.remove(&key);
            self.save.erasures.slots.insert(key, about.id);
        }
    }

    /// Notes the recipients who are removed, and cancels the messages to them that the group itself is going to store.
    pub(super) fn take_in_removed(&mut self, about: &Invitation, removed: &[u16]) {
        let is_gone = |message: &NewDelivery| message.invitation == about.id && removed.contains(&message.recipient);
        let messages = self.save.deliveries.iter().map(|(_, message)| message).filter(|message| is_gone(message));
        self.save.cancelled.extend(messages.map(|message| (message.id, REMOVED)));
        if let Some((_, rows)) = self.save.erasures.rows.get_mut(&about.id) {
            rows.recipients.extend(removed);
            return;
        }
        let removed = removed.iter().map(|ordinal| ((about.id, *ordinal), about.account.clone()));
        self.save.removed.extend(removed);
    }
}
