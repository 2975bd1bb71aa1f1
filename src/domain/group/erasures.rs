//! The data of people that a group takes out of stored rows, and out of those that it is going to store itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Group;
use crate::domain::decide::AcceptanceChange;
use crate::domain::erasure::{ErasedRows, Erasure};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::slot::SlotKey;
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;

/// The data of people to take out of stored rows.
#[derive(Clone, Debug, Default)]
pub struct Erasures {
    /// Slots that invitations give up, because their keys have an address that is erased.
    pub slots: BTreeMap<(AccountId, SlotKey), InvitationId>,
    /// The keys of labels that are removed.
    pub labels: BTreeSet<(InvitationId, AccountId, String)>,
    /// The events and messages, by invitation.
    pub rows: BTreeMap<InvitationId, (AccountId, ErasedRows)>,
}

impl Group {
    pub(super) fn take_in_erasure(&mut self, about: &Arc<Invitation>, erasure: Erasure) {
        let Erasure { acceptances, slots, labels, rows } = erasure;
        let account = &about.account;
        for acceptance in acceptances {
            self.take_in_acceptance(Some(AcceptanceChange::Update(acceptance)), Arc::clone(about));
        }
        for key in slots {
            let key = (account.clone(), key);
            // An earlier command of the group may have taken it.
            self.save.slots.remove(&key);
            self.save.erasures.slots.insert(key, about.id);
        }
        self.save.erasures.labels.extend(labels.into_iter().map(|key| (about.id, account.clone(), key)));
        for event in self.save.events.iter_mut().filter(|event| event.invitation == about.id) {
            rows.erase_event(event);
        }
        let all = self.save.erasures.rows.entry(about.id).or_insert_with(|| (account.clone(), ErasedRows::default()));
        all.1.add(rows);
    }
}
