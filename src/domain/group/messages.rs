//! The messages of a group: those that new ones replace, and those that have changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::{Group, SettledDelivery};
use crate::domain::delivery::{Delivery, NewDelivery, Purpose, REPLACED};
use crate::domain::value::text::AccountId;

impl Group {
    /// Notes that messages with a link replace earlier ones to the same recipients which are not sent yet, so that nobody
    /// gets the same mail twice after an outage of the mail server.
    pub(super) fn replace_queued(
        &mut self,
        account: &AccountId,
        deliveries: &[NewDelivery],
        suppressed: &BTreeMap<Uuid, &'static str>,
    ) {
        let replaces = |new: &&NewDelivery| new.purpose == Purpose::Invitation && !suppressed.contains_key(&new.id);
        for new in deliveries.iter().filter(replaces) {
            let key = (new.invitation, new.recipient);
            let same = |earlier: &&NewDelivery| {
                (earlier.invitation, earlier.recipient) == key && earlier.purpose == Purpose::Invitation
            };
            let earlier = self.save.deliveries.iter().map(|(_, earlier)| earlier).filter(same);
            self.save.cancelled.extend(earlier.map(|earlier| (earlier.id, REPLACED)));
            self.save.replacing.insert(key, (account.clone(), new.id));
        }
    }

    /// Adds new messages. The notices of an hour are one message, whatever the number of commands that plan it.
    pub(super) fn take_in_deliveries(&mut self, account: &AccountId, deliveries: Vec<NewDelivery>) {
        for delivery in deliveries {
            let is_known = |known: &(_, NewDelivery)| known.1.id == delivery.id;
            if delivery.purpose.is_notice() && self.save.deliveries.iter().any(is_known) {
                continue;
            }
            if let Ok(about) = self.loaded.invitation(account, delivery.invitation) {
                self.save.deliveries.push((Arc::clone(about), delivery));
            }
        }
    }

    pub(super) fn take_in_delivery(&mut self, account: &AccountId, delivery: Delivery) {
        let key = (account.clone(), delivery.message.id);
        let before = self.loaded.delivery(account, delivery.message.id);
        let (loaded_state, loaded_lease) = before.map_or((delivery.state, None), |before| (before.state, before.lease));
        let settled = SettledDelivery { delivery: delivery.clone(), loaded_state, loaded_lease };
        self.save.settled.entry(key).or_insert(settled).delivery = delivery.clone();
        self.loaded.put_delivery(account, delivery);
    }
}
