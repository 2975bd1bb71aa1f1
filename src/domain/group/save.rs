//! The changes of a group, merged to one row per key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::erasures::Erasures;
use super::loaded::Remembered;
use crate::domain::command::RequestKey;
use crate::domain::delivery::{Delivery, DeliveryState, NewDelivery};
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::invitation::event::NewEvent;
use crate::domain::invitation::recipient::Recipient;
use crate::domain::invitation::slot::{Slot, SlotKey};
use crate::domain::invitation::{Engagement, Invitation};
use crate::domain::quota::QuotaSave;
use crate::domain::seat::SeatSave;
use crate::domain::suppression::Suppression;
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::domain::value::text::AccountId;

/// The merged changes of a group.
#[derive(Clone, Debug, Default)]
pub struct Save {
    /// New invitations.
    pub created: BTreeMap<InvitationId, Arc<Invitation>>,
    /// Changed invitations, in the order in which they are locked.
    pub updated: BTreeMap<InvitationId, Update>,
    /// New acceptances.
    pub accepted: BTreeMap<AcceptanceId, (Arc<Invitation>, Acceptance)>,
    /// Changed acceptances.
    pub reaccepted: BTreeMap<AcceptanceId, (Arc<Invitation>, Acceptance)>,
    /// The sums to add to counters.
    pub engagement: BTreeMap<InvitationId, Engagement>,
    /// The new holders of slots; the version is that of the first command of the group that takes the slot.
    pub slots: BTreeMap<(AccountId, SlotKey), Slot>,
    /// New and removed domains, by invitation: the last change of the group counts.
    pub domains: BTreeMap<(InvitationId, String), (Arc<Invitation>, bool)>,
    /// The events, in order.
    pub events: Vec<NewEvent>,
    /// Messages to be sent, with their invitations.
    pub deliveries: Vec<(Arc<Invitation>, NewDelivery)>,
    /// Those of them that a later command cancels, with the reason.
    pub cancelled: BTreeMap<Uuid, &'static str>,
    /// Recipients who are removed, by invitation and ordinal: messages to them that are queued are cancelled.
    pub removed: BTreeMap<(InvitationId, u16), AccountId>,
    /// Messages that replace those of the same purpose to the same recipient which are queued, by invitation and recipient.
    pub replacing: BTreeMap<(InvitationId, u16), (AccountId, Uuid)>,
    /// Changed messages, with the state and the lease that they must still have.
    pub settled: BTreeMap<(AccountId, Uuid), SettledDelivery>,
    /// New suppressions of addresses, by their keys.
    pub suppressions: BTreeMap<(AccountId, String), Suppression>,
    /// Requests to be remembered.
    pub requests: BTreeMap<RequestKey, Remembered>,
    /// The data of people to take out of stored rows.
    pub erasures: Erasures,
    /// The use of the quotas.
    pub quotas: QuotaSave,
    /// The changes of seats.
    pub seats: SeatSave,
}

/// A changed invitation, with the conditions of the save.
#[derive(Clone, Debug)]
pub struct Update {
    /// The invitation after the group.
    pub invitation: Arc<Invitation>,
    /// The invitation as it was loaded.
    pub before: Option<Arc<Invitation>>,
    /// The revision that the decision depends on.
    pub loaded_revision: i64,
    /// Whether it must not have expired by the time of the save.
    pub unexpired: bool,
    /// The recipients whose row changes.
    pub recipients: BTreeSet<u16>,
}

impl Update {
    /// Returns whether a recipient of the invitation was not stored before.
    pub fn is_added(&self, recipient: &Recipient) -> bool {
        // Ordinals only grow.
        let last = self.before.as_ref().and_then(|before| before.recipients.last());
        self.before.is_some() && last.is_none_or(|last| recipient.ordinal > last.ordinal)
    }
}

/// A changed message, with the conditions of the save.
#[derive(Clone, Debug)]
pub struct SettledDelivery {
    /// The message after the group.
    pub delivery: Delivery,
    /// The state that the decision depends on.
    pub loaded_state: DeliveryState,
    /// The lease that it had then.
    pub loaded_lease: Option<Uuid>,
}

impl Save {
    /// Returns whether there is nothing to save.
    pub fn is_empty(&self) -> bool {
        // Every change of an invitation has an event; see `decide`.
        self.events.is_empty() && self.requests.is_empty()
    }

    /// Returns whether it only adds new invitations, which cannot collide with anything but a request_id.
    pub fn only_creates(&self) -> bool {
        self.updated.is_empty()
            && self.accepted.is_empty()
            && self.reaccepted.is_empty()
            && self.engagement.is_empty()
            && self.slots.is_empty()
            && self.domains.is_empty()
            && self.settled.is_empty()
            && self.quotas.additions.is_empty()
            && self.seats.is_empty()
    }
}
